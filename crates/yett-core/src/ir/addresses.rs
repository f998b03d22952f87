//! Lists of addresses, and filters that name them.

use ipnet::IpNet;
use serde::Deserialize;

/// A list of addresses.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressList {
    /// The name in the configuration.
    pub name: String,
    /// Networks on it.
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// Absolute path of a file with more, which is read anew when it changes.
    #[serde(default)]
    pub file: Option<String>,
    /// What it is where its file was never read.
    #[serde(default)]
    pub unavailable: ListUnavailable,
}

/// What a list is whose file was never read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListUnavailable {
    /// Unknown: whoever it would decide about is refused.
    #[default]
    Refuse,
    /// Empty.
    Empty,
}

/// Who may come in by address.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressFilter {
    /// Where it stands: `listener public`, `group billing`, `route read-invoice`.
    pub source: String,
    /// Names of lists, of which one has to have the address; all may where there are none.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Names of lists, of which none may have it; they win.
    #[serde(default)]
    pub deny: Vec<String>,
}
