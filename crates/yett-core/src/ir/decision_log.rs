//! Where decisions are recorded, for `yett replay`.

use serde::Deserialize;

/// A file of decision records.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionLog {
    /// Appended to, and reopened on request.
    pub file: String,
    /// Name of the secret that personal values are hashed with.
    pub key: String,
    /// Whether addresses of clients are hashed as well.
    #[serde(default)]
    pub hash_addresses: bool,
    /// Header fields that are recorded beside those that rules read, lower case.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Parameters of queries likewise.
    #[serde(default)]
    pub query: Vec<String>,
}
