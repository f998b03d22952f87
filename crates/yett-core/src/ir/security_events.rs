//! Who pushes security events.

use serde::Deserialize;

/// A receiver of security events (RFC 8935).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityEvents {
    /// The name in the configuration.
    pub name: String,
    /// Names of its listeners.
    pub listeners: Vec<String>,
    /// The exact path.
    pub path: String,
    /// The provider of signed tokens whose issuer and keys vouch for them.
    pub provider: String,
    /// One of these has to be in `aud`.
    pub audiences: Vec<String>,
    /// Name of the secret that the transmitter sends as a bearer token.
    #[serde(default)]
    pub token: Option<String>,
}
