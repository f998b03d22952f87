//! How proofs of sender-constrained tokens are checked.

use serde::Deserialize;

/// How proofs of sender-constrained tokens are checked (RFC 9449).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dpop {
    /// JWA names that are accepted; asymmetric only.
    pub algorithms: Vec<String>,
    /// Seconds after `iat`.
    pub max_age_s: u64,
    /// Seconds before `iat`, for clocks that differ.
    pub leeway_s: u64,
    /// How long a nonce counts; none are asked for where it is absent.
    #[serde(default)]
    pub nonce_ms: Option<u64>,
    /// Name of the secret of nonces; one of the process otherwise.
    #[serde(default)]
    pub nonce_secret: Option<String>,
}

impl Default for Dpop {
    fn default() -> Self {
        let algorithms = ["ES256", "EdDSA", "ES384", "PS256", "RS256"].map(str::to_owned).to_vec();
        Self { algorithms, max_age_s: 60, leeway_s: 5, nonce_ms: None, nonce_secret: None }
    }
}
