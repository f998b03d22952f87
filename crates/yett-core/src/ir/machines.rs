//! Providers for machines: client certificates and signed requests.

use serde::Deserialize;

/// Who a recognized machine is, and what it carries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its name; otherwise the one by which it was recognized.
    #[serde(default)]
    pub client: Option<String>,
    /// What it is.
    #[serde(default)]
    pub kind: MachineKind,
    /// Granted scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Tenant.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Partner.
    #[serde(default)]
    pub partner: Option<String>,
}

/// What a machine is; never a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is named by its word")]
pub enum MachineKind {
    #[default]
    Service,
    Device,
}

/// Certificates that a listener verified.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MtlsProvider {
    /// The name in the configuration.
    pub name: String,
    /// Which name is the caller.
    pub subject: CertificateSubject,
    /// SPIFFE trust domains that are accepted; for [`CertificateSubject::Spiffe`].
    #[serde(default)]
    pub trust_domains: Vec<String>,
    /// Names and patterns.
    pub identities: Vec<MtlsIdentity>,
    /// Assurance of every caller of it.
    #[serde(default)]
    pub assurance: Option<String>,
}

/// The name of a certificate that is the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateSubject {
    /// The one common name of the subject.
    CommonName,
    /// The whole subject (RFC 4514).
    DistinguishedName,
    /// A `dNSName`.
    Dns,
    /// An `rfc822Name`.
    Email,
    /// A `uniformResourceIdentifier`.
    Uri,
    /// The SPIFFE id: the only `uniformResourceIdentifier`.
    Spiffe,
}

/// A name, or a pattern with `*`, `{client}`, `{tenant}` and `{partner}`, and who it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MtlsIdentity {
    /// The name or pattern.
    pub name: String,
    /// Who it is.
    pub machine: Machine,
}

/// Requests that their callers signed (RFC 9421).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRequestProvider {
    /// The name in the configuration.
    pub name: String,
    /// What a signature has to cover.
    pub components: Vec<String>,
    /// Age by `created` at which it is refused, seconds.
    pub max_age_s: u64,
    /// How far `created` may lie ahead, seconds.
    pub leeway_s: u64,
    /// Whether every signature carries a nonce.
    pub nonce_required: bool,
    /// The tag of signatures for us.
    #[serde(default)]
    pub tag: Option<String>,
    /// The label of signatures for us.
    #[serde(default)]
    pub label: Option<String>,
    /// Bytes of a body that is held until its digest is checked.
    pub body_limit: u64,
    /// Registered keys.
    pub keys: Vec<SigningKey>,
}

/// A registered key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// `keyid`.
    pub id: String,
    /// Registered name of its algorithm.
    pub algorithm: String,
    /// PEM.
    #[serde(default)]
    pub public_key: Option<String>,
    /// Name of a secret.
    #[serde(default)]
    pub secret: Option<String>,
    /// Unix seconds after which it is refused.
    #[serde(default)]
    pub expires: Option<u64>,
    /// Whose it is.
    pub machine: Machine,
}

/// What registered clients sign about themselves (RFC 7523).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAssertionProvider {
    /// The name in the configuration.
    pub name: String,
    /// One of these is the one `aud`.
    pub audiences: Vec<String>,
    /// JWA names; asymmetric only.
    pub algorithms: Vec<String>,
    /// Seconds from `iat` to `exp` at most.
    pub lifetime_s: u64,
    /// Seconds of clock difference allowed.
    pub leeway_s: u64,
    /// Who may sign.
    pub clients: Vec<AssertionClient>,
}

/// A registered client.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssertionClient {
    /// `iss` and `sub`.
    pub id: String,
    /// The text of its JWK set (RFC 7517).
    pub jwks: String,
    /// Who it is.
    pub machine: Machine,
}
