//! What requests are forwarded to: endpoints, how one is chosen, and what is spoken to them.

use std::net::IpAddr;

use serde::Deserialize;

use super::{CircuitBreaker, HealthCheck, IdentityAssertion, OutlierDetection, Retry, ServiceLimits, ServiceToken};

/// What requests are forwarded to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The name in the configuration.
    pub name: String,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// TLS towards them; plain HTTP only where an endpoint says so.
    pub tls: Option<ServiceTls>,
    /// The Host header that they see.
    pub host: HostPolicy,
    /// How one of several is chosen.
    pub balance: Balance,
    /// The caller's credential is forwarded only where this is set.
    pub forward_credential: bool,
    /// A token that the gateway gets for it, in place of the caller's credential.
    #[serde(default)]
    pub token: Option<ServiceToken>,
    /// Idle connections kept, per endpoint and worker.
    pub idle_connections: u32,
    /// How long an idle connection is kept.
    pub idle_ms: u64,
    /// HTTP/1.1, HTTP/2, or what the service prefers.
    #[serde(default)]
    pub speaks: Speaks,
    /// How endpoints are asked whether they serve.
    #[serde(default)]
    pub health_check: Option<HealthCheck>,
    /// When failing requests keep an endpoint away.
    #[serde(default)]
    pub outlier_detection: Option<OutlierDetection>,
    /// How long an endpoint that is back takes to get its whole share; 0 is not at all.
    #[serde(default)]
    pub slow_start_ms: u64,
    /// How names of endpoints are kept fresh.
    #[serde(default)]
    pub dns: Dns,
    /// Requests under way at once.
    #[serde(default)]
    pub limits: Option<ServiceLimits>,
    /// When an endpoint that fails is left alone.
    #[serde(default)]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// What is tried again.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// What it is told of the caller, signed.
    #[serde(default)]
    pub identity_assertion: Option<IdentityAssertion>,
}

/// One address of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its share among endpoints of the same priority.
    #[serde(default = "one")]
    pub weight: u32,
    /// Used only when no endpoint of a smaller one is healthy.
    #[serde(default)]
    pub priority: u32,
    /// Where it stands.
    #[serde(default)]
    pub zone: Option<String>,
}

fn one() -> u32 {
    1
}

impl Endpoint {
    /// Whether both are the same address and protocol.
    #[must_use]
    pub fn is_same_address(&self, other: &Self) -> bool {
        self.tls == other.tls && self.port == other.port && self.host == other.host
    }
}

/// How names of endpoints are kept fresh.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// From one answer to the next question.
    pub refresh_ms: u64,
    /// How long the last answer is used on while the resolver fails.
    pub stale_ms: u64,
}

impl Default for Dns {
    fn default() -> Self {
        Self { refresh_ms: 10_000, stale_ms: 600_000 }
    }
}

/// How one of several endpoints is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Balance {
    /// In turn, by weight.
    RoundRobin,
    /// The one with the fewest requests under way; of more than two, the better of two that are drawn by weight.
    LeastRequests,
    /// The same one for the same key, as long as it is healthy.
    ConsistentHash(HashKey),
}

/// What requests go by that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HashKey {
    /// The verified caller.
    Principal,
    /// The client's address; of IPv6 the /64.
    Address,
    /// The path as it came, without the query.
    Path,
    /// A header field, lower case.
    Header(String),
    /// A cookie.
    Cookie(String),
}

/// The Host header that a service sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HostPolicy {
    /// As the client sent it.
    Preserve,
    /// The endpoint's own.
    Endpoint,
    /// This one.
    Literal(String),
}

/// TLS towards a service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTls {
    /// PEM of the authority; the system's roots otherwise.
    pub ca: Option<String>,
    /// PEM of our client certificate.
    pub certificate: Option<String>,
    /// Name of the secret that holds its key.
    pub key: Option<String>,
    /// The name that the certificate has to carry; the endpoint's host otherwise.
    pub server_name: Option<String>,
    /// Names of which the certificate has to carry one; where it is a URI, that is in place of the name above.
    #[serde(default)]
    pub san: Vec<San>,
    /// What a workload API gives is still to come: nobody is trusted, so every handshake fails.
    #[serde(default)]
    pub waiting: bool,
}

/// A subject alternative name (RFC 5280 section 4.2.1.6), with its kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum San {
    /// `dNSName`, lower case.
    Dns(String),
    /// `uniformResourceIdentifier`.
    Uri(String),
    /// `iPAddress`.
    Ip(IpAddr),
}

/// What is spoken to a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Speaks {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2; without TLS with prior knowledge.
    Http2(ServiceHttp2),
    /// What the service chooses in the TLS handshake (ALPN).
    Auto(ServiceHttp2),
}

impl Speaks {
    /// Bounds of HTTP/2 where it is spoken, and whether nothing else is.
    #[must_use]
    pub fn http2(&self) -> Option<(&ServiceHttp2, bool)> {
        match self {
            Self::Http1 => None,
            Self::Http2(http2) => Some((http2, true)),
            Self::Auto(http2) => Some((http2, false)),
        }
    }

    /// What is offered in the TLS handshake.
    #[must_use]
    pub fn alpn(&self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1 => &[b"http/1.1"],
            Self::Http2(_) => &[b"h2"],
            Self::Auto(_) => &[b"h2", b"http/1.1"],
        }
    }
}

/// HTTP/2 of a service, for each endpoint and worker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceHttp2 {
    /// Connections that take new requests.
    pub connections: u32,
    /// Requests that one connection has under way, where the service allows as many.
    pub streams: u32,
    /// Bytes of one answer that are held while its client does not take them.
    pub window: u32,
    /// How long a connection with requests may be silent before it is asked whether it lives.
    pub ping_ms: u64,
    /// How long its answer may take.
    pub ping_timeout_ms: u64,
}
