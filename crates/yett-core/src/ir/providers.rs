//! What vouches for callers, as it stands in the document.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{IntrospectionEndpoint, IntrospectionProvider};

use super::OidcProvider;

/// What vouches for callers.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a few of them, read once")]
pub enum Provider {
    /// Signed tokens (RFC 7519).
    Jwt(JwtProvider),
    /// Keys that we handed out.
    ApiKey(ApiKeyProvider),
    /// Client certificates.
    Mtls(super::MtlsProvider),
    /// Requests that their callers signed (RFC 9421).
    SignedRequest(super::SignedRequestProvider),
    /// What registered clients sign about themselves (RFC 7523).
    ClientAssertion(super::ClientAssertionProvider),
    /// Tokens that their issuer is asked about (RFC 7662).
    Introspection(IntrospectionProvider),
    /// People in browsers: login and session.
    Oidc(Box<OidcProvider>),
}

/// What a token has to be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderConstrained {
    /// A key, proved by DPoP (RFC 9449).
    Dpop,
    /// The client's certificate (RFC 8705 section 3).
    Mtls,
    /// Either.
    Any,
}

impl Provider {
    /// The name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Jwt(jwt) => &jwt.name,
            Self::Oidc(oidc) => &oidc.name,
            Self::ApiKey(keys) => &keys.name,
            Self::Mtls(mtls) => &mtls.name,
            Self::SignedRequest(signed) => &signed.name,
            Self::ClientAssertion(clients) => &clients.name,
            Self::Introspection(spec) => &spec.name,
        }
    }

    /// What its tokens have to be bound to.
    #[must_use]
    pub fn sender_constrained(&self) -> Option<SenderConstrained> {
        match self {
            Self::Jwt(jwt) => jwt.sender_constrained,
            Self::ApiKey(_) | Self::Mtls(_) | Self::SignedRequest(_) | Self::ClientAssertion(_) => None,
            Self::Introspection(_) | Self::Oidc(_) => None,
        }
    }

    /// The claims that it declares for rules; nothing where it has none.
    #[must_use]
    pub fn declared(&self) -> Option<&BTreeMap<String, DeclaredClaim>> {
        match self {
            Self::Jwt(jwt) => Some(&jwt.claims.declared),
            Self::Introspection(introspection) => Some(&introspection.claims.declared),
            Self::Oidc(oidc) => Some(&oidc.claims.declared),
            Self::ApiKey(_) | Self::Mtls(_) | Self::SignedRequest(_) | Self::ClientAssertion(_) => None,
        }
    }
}

/// Signed tokens (RFC 7519), in `Authorization: Bearer`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtProvider {
    /// The name in the configuration.
    pub name: String,
    /// The exact `iss`.
    pub issuer: String,
    /// One of these has to be in `aud`; none where tokens have no `aud`, and `clients` says whom they are for.
    pub audiences: Vec<String>,
    /// The OAuth clients whose tokens are accepted; any, where there are none.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Where keys come from.
    pub jwks: Jwks,
    /// JWA names that are accepted: asymmetric ones, or those with a shared secret where `jwks` is one.
    pub algorithms: Vec<String>,
    /// What the header's `typ` has to say.
    #[serde(default)]
    pub token_type: TokenType,
    /// Seconds of clock difference allowed.
    pub leeway_s: u64,
    /// Seconds after `iat` that a token counts at most.
    #[serde(default)]
    pub max_age_s: Option<u64>,
    /// Claims that have to be there, and the values of which each has to have one.
    #[serde(default)]
    pub required: BTreeMap<String, Vec<String>>,
    /// Where `issuer` stands for several: every `iss`, and the `tid` that goes with it.
    #[serde(default)]
    pub tenants: BTreeMap<String, String>,
    /// Whether `issuer` of a key says whose tokens it signs.
    #[serde(default)]
    pub key_issuer: bool,
    /// For who sends a token that is no signed JWT: where it comes from.
    #[serde(default)]
    pub opaque: Option<String>,
    /// Where the principal's parts stand in the token.
    pub claims: ClaimMap,
    /// Whom live checks ask.
    #[serde(default)]
    pub introspection: Option<IntrospectionEndpoint>,
    /// What its tokens have to be bound to.
    #[serde(default)]
    pub sender_constrained: Option<SenderConstrained>,
}

/// What the header's `typ` has to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum TokenType {
    /// `at+jwt`, `JWT` or nothing. An ID token is refused by its claims.
    #[default]
    #[serde(rename = "any-access")]
    Any,
    /// `at+jwt` (RFC 9068 section 2.1).
    #[serde(rename = "at+jwt")]
    AtJwt,
}

/// Where keys come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Jwks {
    /// The text of a JWK set (RFC 7517), read from a file at load.
    Inline(String),
    /// Fetched.
    Url(JwksUrl),
    /// Fetched from where the issuer's metadata says.
    Discovered(JwksDiscovered),
    /// Name of a secret that takes the place of public keys.
    SharedSecret(String),
}

/// A JWK set whose place the issuer's metadata says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwksDiscovered {
    /// The metadata.
    pub discovery: Discovery,
    /// Age at which a set is fetched again.
    pub refresh_ms: u64,
    /// How long a set serves on after its refresh failed.
    pub stale_ms: u64,
    /// Shortest pause between two fetches, whatever tokens ask for.
    pub min_interval_ms: u64,
}

/// Metadata of an issuer (OpenID Connect Discovery 1.0, RFC 8414).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discovery {
    /// The exact `issuer` of the document.
    pub issuer: String,
    /// Where it is, if not at its place below the issuer.
    #[serde(default)]
    pub url: Option<String>,
    /// Hosts that its endpoints may have beside the one that it comes from.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Whether plain HTTP was allowed, with a reason.
    #[serde(default)]
    pub plaintext: bool,
    /// PEM of the authority that signed the servers' certificates; the system's roots otherwise.
    #[serde(default)]
    pub ca: Option<String>,
    /// Age at which it is fetched again.
    pub refresh_ms: u64,
    /// How long it serves on after its refresh failed.
    pub stale_ms: u64,
    /// Shortest pause between two fetches.
    pub min_interval_ms: u64,
}

/// A JWK set that is fetched.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwksUrl {
    /// `https://…`, or `http://…` where `plaintext` is set. Host checked against issuer and `jwks_hosts` in Python.
    pub url: String,
    /// Whether plain HTTP was allowed, with a reason.
    pub plaintext: bool,
    /// PEM of the authority that signed the server's certificate; the system's roots otherwise.
    pub ca: Option<String>,
    /// Age at which a set is fetched again.
    pub refresh_ms: u64,
    /// How long a set serves on after its refresh failed.
    pub stale_ms: u64,
    /// Shortest pause between two fetches, whatever tokens ask for.
    pub min_interval_ms: u64,
}

/// Where the principal's parts stand in the token: paths of claim names, outermost first.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimMap {
    /// Granted scopes: a string of space-separated ones or an array.
    pub scopes: Vec<String>,
    /// Roles: an array of strings, or one string.
    pub roles: Vec<String>,
    /// Further places of roles.
    #[serde(default)]
    pub more_roles: Vec<Vec<String>>,
    /// The caller's tenant.
    pub tenant: Option<Vec<String>>,
    /// The OAuth client; the default tries `client_id`, then `azp`.
    pub client: Option<Vec<String>>,
    /// A subject that is the client's id and this is the client itself.
    #[serde(default)]
    pub client_suffix: Option<String>,
    /// Whose application it is.
    #[serde(default)]
    pub partner: Option<Vec<String>>,
    /// How surely the caller was authenticated; the default is `acr`.
    #[serde(default)]
    pub assurance: Option<Vec<String>>,
    /// What tells user, service and device apart, where it is not `sub` beside the client.
    #[serde(default)]
    pub kind: Option<KindMap>,
    /// Further claims that rules may read.
    pub declared: BTreeMap<String, DeclaredClaim>,
}

/// What tells user, service and device apart. Where it says nothing, `sub` and the client do (RFC 9068 section 2.2).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindMap {
    /// Path of claim names.
    pub from: Vec<String>,
    /// What its values mean.
    #[serde(default)]
    pub values: BTreeMap<String, Kind>,
    /// What any other value means; without it such a token is refused.
    #[serde(default)]
    pub other: Option<Kind>,
    /// What it means that the claim is there, whatever its value; then `values` is not looked at.
    #[serde(default)]
    pub present: Option<Kind>,
    /// Where the claim is absent: a token without this one is a service's.
    #[serde(default)]
    pub service_without: Option<Vec<String>>,
}

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is named by its word")]
pub enum Kind {
    User,
    Service,
    Device,
}

/// A claim that rules may read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredClaim {
    /// Path of claim names.
    pub from: Vec<String>,
    /// Its type; a token in which it has another type is refused.
    #[serde(rename = "type")]
    pub kind: ClaimType,
}

/// Types of declared claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimType {
    /// JSON string
    String,
    /// JSON integer
    Int,
    /// JSON boolean
    Bool,
    /// array of JSON strings
    StringList,
}

/// Keys that we handed out: `yett_<id>_<secret><checksum>`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyProvider {
    /// The name in the configuration.
    pub name: String,
    /// The one header that carries the key, lower case.
    pub header: String,
    /// Hex of the key of the hash (HMAC-SHA-256), from the keys file.
    pub salt: String,
    /// Name of a secret that is appended to the salt.
    pub pepper: Option<String>,
    /// The keys.
    pub keys: Vec<ApiKey>,
}

/// One key, hashed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The public part of the key, 12 characters of `[a-z0-9]`.
    pub id: String,
    /// Who it was given to.
    pub name: String,
    /// Hex of HMAC-SHA-256(salt || pepper, whole key).
    pub hash: String,
    /// Unix seconds after which it is refused.
    pub expires: Option<u64>,
    /// Granted scopes.
    pub scopes: Vec<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Tenant.
    pub tenant: Option<String>,
    /// What it was given to.
    #[serde(default)]
    pub kind: super::MachineKind,
    /// Partner.
    #[serde(default)]
    pub partner: Option<String>,
    /// Networks that it may be used from; empty for all.
    #[serde(default)]
    pub allowed_addresses: Vec<ipnet::IpNet>,
}
