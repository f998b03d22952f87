//! What assertions of identity are signed with, and what a service is told.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What assertions are signed with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Their `iss`.
    pub issuer: String,
    /// The one that signs last comes first.
    pub keys: Vec<IdentityKey>,
}

/// A private key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityKey {
    /// `kid`: its thumbprint (RFC 7638).
    pub id: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// Name of the secret that holds it, in PEM (PKCS #8).
    pub secret: String,
    /// Which of the private keys in that secret.
    pub index: usize,
    /// When it begins to sign, Unix seconds.
    pub from_s: u64,
}

/// What a key signs with (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum SigningAlgorithm {
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}

/// What a service is told of the caller.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityAssertion {
    /// `aud`.
    pub audience: String,
    /// From `iat` to `exp`, seconds.
    pub lifetime_s: u64,
    /// Declared claims that it carries.
    #[serde(default)]
    pub claims: Vec<String>,
    /// Whether it carries roles.
    #[serde(default)]
    pub roles: bool,
    /// Plain headers: what each says.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Whether public routes lead to the service.
    #[serde(default)]
    pub anonymous: bool,
    /// Whether it carries the SHA-256 of the body.
    #[serde(default)]
    pub body_digest: bool,
    /// How long one may serve again.
    #[serde(default)]
    pub reuse_ms: Option<u64>,
}
