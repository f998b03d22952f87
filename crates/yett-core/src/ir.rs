//! The intermediate representation: the one document that crosses from Python to the data plane.
//!
//! Everything is resolved: durations are milliseconds, sizes are bytes, groups are merged into their routes, public
//! files are inlined as text, and a secret is only the name of an entry in the secrets passed beside the document.
//! Unknown fields are refused here as well as in Python.

mod addresses;
mod authorize;
mod bot_filter;
mod browsers;
mod decision_log;
mod geo;
mod identity;
mod introspection;
mod limits;
mod login_guard;
mod machines;
mod oidc;
mod outbound;
mod providers;
mod quota;
mod service_token;
mod shadow_limits;
mod validation;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::Deserialize;

pub use addresses::*;
pub use authorize::*;
pub use bot_filter::*;
pub use browsers::*;
pub use decision_log::DecisionLog;
pub use geo::*;
pub use identity::{Identity, IdentityAssertion, IdentityKey, SigningAlgorithm};
pub use introspection::{IntrospectionEndpoint, IntrospectionProvider, LiveCheck};
pub use limits::*;
pub use login_guard::*;
pub use machines::*;
pub use oidc::*;
pub use outbound::{ClientAuthentication, OauthClient, OutboundEndpoint, PrivateKeyJwt, TlsClientAuth};
pub use providers::*;
pub use quota::{Period, Quota, QuotaLoss};
pub use service_token::{ServiceToken, TokenGrant};
pub use shadow_limits::{ShadowLimit, TriedLimit, TriedRates};
pub use validation::*;

/// The version of this document that this build reads.
pub const IR_VERSION: u32 = 1;

/// A whole configuration. Its SHA-256 (of the canonical JSON bytes) is the revision.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ir {
    /// Lists of addresses that filters name.
    #[serde(default)]
    pub address_lists: Vec<AddressList>,
    /// Databases that say where addresses are.
    #[serde(default)]
    pub geo: Option<Geo>,
    /// Always [`IR_VERSION`].
    pub version: u32,
    /// The `environment:` key.
    pub environment: Option<String>,
    /// Bounds of the whole process.
    pub process: Process,
    /// The admin listener for probes and metrics.
    pub admin: Option<Admin>,
    /// Where access log lines go.
    pub access_log: AccessLog,
    /// Where decisions are recorded.
    #[serde(default)]
    pub decision_log: Option<DecisionLog>,
    /// Keyed fingerprints of the secrets, by name; the bytes travel beside the document.
    pub secrets: BTreeMap<String, String>,
    /// What answers carry that belong to no route; absent where nothing is asked for.
    #[serde(default)]
    pub security_headers: Option<SecurityHeaders>,
    /// Sockets that clients reach.
    pub listeners: Vec<Listener>,
    /// What vouches for callers.
    pub providers: Vec<Provider>,
    /// Where this gateway stands; endpoints of the same zone are preferred.
    #[serde(default)]
    pub zone: Option<String>,
    /// What assertions of identity are signed with.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// What requests are forwarded to.
    pub services: Vec<Service>,
    /// Merged routes, sorted by name.
    pub routes: Vec<Route>,
    /// Certificates in use, for their metric; their contents stand where they are used.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// Who pushes security events.
    #[serde(default)]
    pub security_events: Vec<SecurityEvents>,
    /// How proofs of sender-constrained tokens are checked.
    #[serde(default)]
    pub dpop: Dpop,
    /// Where state is kept that outlives the process.
    #[serde(default)]
    pub state: Option<State>,
    /// Whether challenges of certificate authorities (ACME) are answered on plain listeners.
    #[serde(default)]
    pub challenges: bool,
}

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

/// Where state is kept that outlives the process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// A directory that only the gateway uses, as an absolute path.
    #[serde(default)]
    pub directory: Option<String>,
    /// A server that instances share.
    #[serde(default)]
    pub redis: Option<Redis>,
}

/// A Redis or Valkey that instances share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether TLS is spoken; plain text had to be given a reason.
    pub tls: bool,
    /// Number of the database.
    pub database: u32,
    /// User of its access control list.
    pub username: Option<String>,
    /// Name of the secret that holds the password.
    pub password: Option<String>,
    /// PEM of the authorities that vouch for it; those of the system otherwise.
    pub ca: Option<String>,
    /// Time for an answer.
    pub deadline_ms: u64,
    /// What all keys begin with.
    pub prefix: String,
    /// How long what is known of revocations may be out of date.
    pub stale_ms: u64,
    /// What becomes of requests of verified callers then.
    pub state_loss: StateLoss,
    /// Who says where it is; host and port are those of a Sentinel then.
    #[serde(default)]
    pub sentinel: Option<Sentinel>,
    /// Further nodes of a Redis Cluster; host and port are those of one of its nodes then.
    #[serde(default)]
    pub cluster: Option<Vec<SentinelAddress>>,
}

/// Redis Sentinel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sentinel {
    /// What the master is called.
    pub master: String,
    /// Further Sentinels.
    pub further: Vec<SentinelAddress>,
    /// User of their access control list.
    #[serde(default)]
    pub username: Option<String>,
    /// Name of the secret that holds their password.
    #[serde(default)]
    pub password: Option<String>,
}

/// A Sentinel, or a node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentinelAddress {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What becomes of requests of verified callers while revocations of other instances cannot be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateLoss {
    /// They are refused.
    Refuse,
    /// They are decided by what is known here.
    Local,
}

/// A certificate in use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// `listener`, `client_ca`, `service_ca`, `service_client`, `provider_ca`, `provider_client` or `check_ca`.
    #[serde(rename = "use")]
    pub purpose: String,
    /// The listener, service or provider that uses it.
    pub owner: String,
    /// RFC 4514.
    pub subject: String,
    /// Hexadecimal.
    pub serial: String,
    /// When it ends, Unix seconds.
    pub not_after_s: i64,
}

/// Bounds of the whole process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Bytes of bodies and heads held in memory at once; beyond it 503 `buffer_exhausted`.
    pub buffered_bytes: u64,
    /// Entries of the verdict cache, shared out among the workers.
    pub verdict_cache: u32,
    /// Answers of introspection endpoints that are remembered: of active tokens, and as many of others.
    #[serde(default = "default_introspection_cache")]
    pub introspection_cache: u32,
    /// Keys of all rate limit tables together.
    pub limit_keys: u32,
    /// Keys of quotas.
    #[serde(default = "quota_keys")]
    pub quota_keys: u32,
    /// Addresses, accounts and the like that guarded logins count; and as many pairs that succeeded.
    #[serde(default = "login_keys")]
    pub login_keys: u32,
    /// Revocations that are held at once.
    #[serde(default = "revocations")]
    pub revocations: u32,
    /// How long a drain may take before open connections are cut.
    pub drain_ms: u64,
    /// The delay of a worker beyond which it refuses by priority; absent where it never does.
    #[serde(default)]
    pub load_shedding_ms: Option<u64>,
}

const fn default_introspection_cache() -> u32 {
    10_000
}

fn quota_keys() -> u32 {
    100_000
}

fn login_keys() -> u32 {
    crate::filters::login_guard::DEFAULT_KEYS
}

fn revocations() -> u32 {
    crate::revocation::DEFAULT_ENTRIES
}

/// How important a route's requests are when there are too many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Refused first.
    Low,
    /// What says nothing.
    #[default]
    Normal,
    /// Refused last.
    High,
    /// Never refused.
    Critical,
}

impl Priority {
    /// From 0, the least important.
    #[must_use]
    pub const fn rank(self) -> u8 {
        self as u8
    }
}

/// The admin listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// A loopback address, or any when `token` is set.
    pub address: SocketAddr,
    /// Name of the secret that a bearer token has to equal; `/healthz` and `/readyz` never ask for it.
    pub token: Option<String>,
}

/// Where access log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// A file, appended to and reopened on request.
    File(String),
    /// Nothing; `yett check` lists it as weakened.
    Off,
}

/// A socket that clients reach.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The name in the configuration.
    pub name: String,
    /// Address and port; port 0 picks a free one.
    pub address: SocketAddr,
    /// TLS; absent on a listener that says `plaintext: "reason"`.
    pub tls: Option<ListenerTls>,
    /// Whose forwarding header is believed.
    pub trusted_proxies: Option<TrustedProxies>,
    /// Who announces clients with the PROXY protocol.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Who may come in by address.
    #[serde(default)]
    pub address_filters: Vec<AddressFilter>,
    /// Who may come in by place.
    #[serde(default)]
    pub geo_filters: Vec<GeoFilter>,
    /// Limits by address, charged before a route is looked for, so that probing counts.
    pub address_limits: Vec<RateLimit>,
    /// Those that are tried out.
    #[serde(default)]
    pub shadow_limits: Vec<ShadowLimit>,
    /// Bounds.
    pub limits: ListenerLimits,
    /// Time limits.
    pub timeouts: ListenerTimeouts,
    /// HTTP/2.
    #[serde(default)]
    pub http2: Http2,
    /// Every request is told where HTTPS is; such a listener has neither TLS nor routes.
    #[serde(default)]
    pub redirect: Option<HttpsRedirect>,
    /// TLS is passed on unopened; such a listener has neither TLS of its own nor routes.
    #[serde(default)]
    pub passthrough: Option<Passthrough>,
}

/// TLS that is passed on unopened.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passthrough {
    /// Services by the name that the client asks for; `*.` stands for one or more labels.
    pub hosts: BTreeMap<String, String>,
    /// Networks that may connect; everyone where it is empty.
    #[serde(default)]
    pub allow: Vec<IpNet>,
    /// Networks that may not, also where `allow` names them.
    #[serde(default)]
    pub deny: Vec<IpNet>,
    /// Time for a connection to an endpoint.
    pub connect_ms: u64,
    /// Longest time in which no byte moves in either direction.
    pub idle_ms: u64,
}

/// Where HTTPS is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpsRedirect {
    /// The listener with TLS whose hosts are redirected to.
    pub listener: String,
    /// Its port as clients see it.
    pub port: u16,
}

/// HTTP/2 of a listener (RFC 9113).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http2 {
    /// Offered to clients of a listener with TLS (ALPN).
    pub enabled: bool,
    /// Spoken without TLS to clients that begin with it.
    pub prior_knowledge: bool,
    /// Streams that one connection may have open.
    pub max_concurrent_streams: u32,
}

impl Default for Http2 {
    fn default() -> Self {
        Self { enabled: true, prior_knowledge: false, max_concurrent_streams: 100 }
    }
}

/// TLS of a listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// Which versions, suites and key exchanges are spoken.
    pub profile: TlsProfile,
    /// The version of Mozilla's guideline that the profile is taken from; absent for the newest known.
    #[serde(default)]
    pub guideline: Option<Guideline>,
    /// At least one, unless there are names in `pending`; the first one is the default where SNI names none.
    pub certificates: Vec<CertificatePair>,
    /// Names whose certificate is still to come (ACME), lower case: handshakes for them fail.
    #[serde(default)]
    pub pending: Vec<String>,
    /// What a workload API gives is still to come: every handshake fails.
    #[serde(default)]
    pub waiting: bool,
    /// Certificates that clients are asked for.
    #[serde(default)]
    pub client_certificates: Option<ClientCertificates>,
}

/// Mozilla's server-side TLS profiles, and one of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsProfile {
    /// TLS 1.3 only.
    Modern,
    /// TLS 1.2 and 1.3.
    Intermediate,
    /// What the cryptographic module has been validated for; loads in a build with such a module only.
    Fips,
}

/// Versions of Mozilla's guideline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Guideline {
    /// Without post-quantum key exchange.
    #[serde(rename = "5.7")]
    V5_7,
    /// In what is enforced here the same as 5.7.
    #[serde(rename = "5.8")]
    V5_8,
    /// With X25519MLKEM768 first.
    #[serde(rename = "6.0")]
    V6_0,
}

/// Certificates that clients are asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// What becomes of a client without one.
    pub mode: ClientCertificateMode,
    /// PEM of the authorities that vouch for clients.
    pub ca: String,
    /// PEM of revocation lists; where there is one, every certificate of a chain has to be covered.
    #[serde(default)]
    pub crls: Vec<String>,
}

/// What becomes of a client without a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificateMode {
    /// Its handshake fails.
    Required,
    /// It may connect, and routes that require one refuse it.
    Optional,
}

/// A certificate chain and its key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificatePair {
    /// PEM text, leaf first.
    pub chain: String,
    /// Name of the secret that holds the PEM key.
    pub key: String,
}

/// Whose forwarding header is believed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedProxies {
    /// Networks of the proxies.
    pub addresses: Vec<IpNet>,
    /// The one header that they set.
    pub header: ForwardingHeader,
}

/// Load balancers that announce clients with the PROXY protocol, version 2.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocol {
    /// Networks of the balancers; they have to send it, and nobody else may.
    pub addresses: Vec<IpNet>,
}

/// The one forwarding header that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardingHeader {
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

/// Bounds of a listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerLimits {
    /// Open connections, for the process.
    pub connections: u32,
    /// Open connections of one address (IPv6: one network of 64 bits), for the process.
    #[serde(default)]
    pub connections_per_address: Option<u32>,
    /// Bytes of the request line; beyond it 414.
    pub request_line: u32,
    /// Bytes of the whole head; beyond it 431.
    pub header_bytes: u32,
    /// Header fields; beyond it 431.
    pub headers: u32,
    /// TLS handshakes under way at once, for the process; the others wait within `timeouts.handshake`.
    #[serde(default = "default_handshakes")]
    pub handshakes: u32,
}

const fn default_handshakes() -> u32 {
    1000
}

/// Time limits of a listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTimeouts {
    /// From accept to the end of the TLS handshake.
    pub handshake_ms: u64,
    /// From the first byte of a head to its last; 408.
    pub head_ms: u64,
    /// Longest pause inside a request body, or of a client that does not read, and the time for 4 KiB of either; 408.
    pub body_ms: u64,
    /// Longest pause between requests on a kept-alive connection.
    pub keep_alive_ms: u64,
}

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

/// How endpoints are asked whether they serve.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// What is asked.
    pub protocol: CheckProtocol,
    /// Path and query of a request.
    #[serde(default)]
    pub path: String,
    /// Statuses that pass.
    #[serde(default)]
    pub status: Vec<u16>,
    /// The Host field; the service's own otherwise.
    #[serde(default)]
    pub host: Option<String>,
    /// The name that gRPC is asked about; empty for all of it.
    #[serde(default)]
    pub service: String,
    /// From the end of one check to the next.
    pub interval_ms: u64,
    /// For one check.
    pub timeout_ms: u64,
    /// Passed checks in a row after which an endpoint is healthy.
    pub healthy: u32,
    /// Failed checks in a row after which it is not.
    pub unhealthy: u32,
}

/// What a check asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CheckProtocol {
    /// A request that is answered with one of the statuses.
    Http,
    /// A connection.
    Tcp,
    /// `grpc.health.v1.Health/Check`.
    Grpc,
}

/// When failing requests keep an endpoint away.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlierDetection {
    /// Failures in a row; 0 does not count them.
    pub consecutive_errors: u32,
    /// Least share of requests that succeed, in parts of 10,000; 0 does not count them.
    pub success_rate: u32,
    /// How long the first time.
    pub eject_ms: u64,
    /// Most endpoints at once, in parts of 10,000 of all.
    pub max_ejected: u32,
}

/// Requests under way at a service at once, for the process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceLimits {
    /// Under way.
    pub concurrency: u32,
    /// Waiting until one of them ends; beyond it 503 `service_overloaded`.
    pub pending: u32,
    /// How long one waits; then the same.
    pub wait_ms: u64,
}

/// When an endpoint that fails is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Failures in a row that open the circuit.
    pub failures: u32,
    /// How long it stays open.
    pub open_ms: u64,
    /// Requests that try the endpoint at once after that.
    pub probes: u32,
}

/// What is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Further tries of one request.
    pub retries: u32,
    /// After which failures.
    pub on: Vec<RetryOn>,
    /// Retries among the requests of the last seconds, in parts of 10,000.
    pub budget: u32,
    /// Bytes of a request body that is held to be sent again.
    pub body: u64,
}

/// A failure after which a request may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum RetryOn {
    /// No endpoint could be reached.
    #[serde(rename = "connect")]
    Connect,
    /// The service closed or reset the connection.
    #[serde(rename = "reset")]
    Reset,
    /// The service answered 502.
    #[serde(rename = "502")]
    BadGateway,
    /// The service answered 503.
    #[serde(rename = "503")]
    Unavailable,
    /// The service answered 504.
    #[serde(rename = "504")]
    GatewayTimeout,
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

/// A merged route.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The name in the configuration.
    pub name: String,
    /// Its group.
    pub group: Option<String>,
    /// Names of the listeners on which it exists.
    pub listeners: Vec<String>,
    /// Which requests it takes.
    #[serde(rename = "match")]
    pub matches: Match,
    /// How important its requests are when there are too many.
    #[serde(default)]
    pub priority: Priority,
    /// Exceptions to canonical paths.
    pub path_allow: Vec<PathAllow>,
    /// Whether the connection has to carry a verified client certificate.
    #[serde(default)]
    pub client_certificate: bool,
    /// What tokens have to be bound to.
    #[serde(default)]
    pub sender_constrained: Option<SenderConstrained>,
    /// Whether it is named in no document for strangers (RFC 9728).
    #[serde(default)]
    pub unlisted: bool,
    /// The one access decision.
    pub access: Access,
    /// Where the request names its tenant, group's first; all have to equal the caller's.
    #[serde(default)]
    pub tenants: Vec<TenantRule>,
    /// Rules that refuse where they hold, group's first.
    #[serde(default)]
    pub deny: Vec<AuthorizeRule>,
    /// Rules that are tried out: reported, never enforced.
    #[serde(default)]
    pub shadow: Option<Shadow>,
    /// Limits that are tried out: counted and reported, never enforced.
    #[serde(default)]
    pub shadow_limits: Vec<ShadowLimit>,
    /// How sensitive its data is.
    #[serde(default)]
    pub classification: Option<String>,
    /// Whether a refused caller sees what there is where nothing is.
    #[serde(default)]
    pub hidden: bool,
    /// A service that is asked whether a request may pass.
    #[serde(default)]
    pub external_authorization: Option<Box<ExternalAuthorization>>,
    /// The field of an answer that names its tenant, lower case.
    #[serde(default)]
    pub response_tenant: Option<String>,
    /// Whether the caller's credential is confirmed by its issuer.
    #[serde(default)]
    pub live_check: Option<LiveCheck>,
    /// How surely and how lately the caller has to have logged in.
    #[serde(default)]
    pub assurance: Option<Assurance>,
    /// Who may come in by address, group's first.
    #[serde(default)]
    pub address_filters: Vec<AddressFilter>,
    /// Who may come in by place.
    #[serde(default)]
    pub geo_filters: Vec<GeoFilter>,
    /// Limits by address, group's first.
    pub address_limits: Vec<RateLimit>,
    /// Limits by caller, group's first.
    pub rate_limits: Vec<RateLimit>,
    /// Requests at once, group's first.
    #[serde(default)]
    pub concurrency_limits: Vec<ConcurrencyLimit>,
    /// So much in each period, group's first.
    #[serde(default)]
    pub quotas: Vec<Quota>,
    /// Where people log in; absent where nobody watches that.
    #[serde(default)]
    pub login_guard: Option<Box<LoginGuard>>,
    /// Programs that pretend, and crawlers.
    #[serde(default)]
    pub bot_filter: Option<Box<BotFilter>>,
    /// Classes of callers that limits are for: rules, found by their source.
    #[serde(default)]
    pub limit_classes: Vec<AuthorizeRule>,
    /// What is done with an allowed request.
    pub action: Action,
    /// Change of the path before forwarding.
    pub rewrite: Option<Rewrite>,
    /// Changes of request headers.
    pub request_headers: HeaderEdits,
    /// Changes of response headers.
    pub response_headers: HeaderEdits,
    /// What browsers are told; absent where nothing is asked for.
    #[serde(default)]
    pub security_headers: Option<Box<SecurityHeaders>>,
    /// Whether early hints (RFC 8297) of services over HTTP/1.1 are passed on.
    #[serde(default)]
    pub early_hints: bool,
    /// WebSocket connections, and nothing else; absent where Upgrade is ignored.
    #[serde(default)]
    pub websocket: Option<WebSocket>,
    /// Pages of other origins; absent where what services say of them passes.
    #[serde(default)]
    pub cors: Option<Box<Cors>>,
    /// From whose pages requests that may change something may come; absent where nobody asks.
    #[serde(default)]
    pub csrf: Option<Csrf>,
    /// Copies for a second service.
    #[serde(default)]
    pub mirror: Option<Mirror>,
    /// What requests have to be.
    #[serde(default)]
    pub request_validation: Option<Box<RequestValidation>>,
    /// What answers have to be.
    #[serde(default)]
    pub response_validation: Option<Box<ResponseValidation>>,
    /// Attacks that are looked for in requests.
    #[serde(default)]
    pub attack_filter: Option<AttackFilter>,
    /// Bytes of a request body; beyond it 413.
    pub body_limit: u64,
    /// Time limits.
    pub timeouts: RouteTimeouts,
}

// As of `snapshot::Route`.
const _: () = assert!(size_of::<Route>() <= 1536);

/// Attacks that are looked for in the requests of a route.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackFilter {
    /// Whether what is found is refused; otherwise it is reported, and passes.
    pub enforce: bool,
    /// A value whose score is at least this looks like an attack.
    pub threshold: u8,
    /// Which are looked for.
    pub classes: Vec<crate::attack::Class>,
    /// Where some of them are in order.
    #[serde(default)]
    pub exceptions: Vec<AttackException>,
    /// Bytes of all values that are looked at.
    pub examined: u64,
    /// Whether a request with more passes, looked at so far.
    #[serde(default)]
    pub beyond_passes: bool,
}

/// Where some classes of attacks are in order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackException {
    /// `path`, `query`, `header`, `cookie`, `form` or `body`.
    #[serde(rename = "in")]
    pub place: AttackPlace,
    /// The name; in a body a JSON Pointer, in which `*` is any step. Nothing for a path.
    #[serde(default)]
    pub name: String,
    /// Which.
    pub classes: Vec<crate::attack::Class>,
}

/// Where a value of a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the part of its name")]
pub enum AttackPlace {
    Path,
    Query,
    Header,
    Cookie,
    Form,
    Body,
}

/// WebSocket connections of a route.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocket {
    /// From which pages.
    pub origins: Origins,
    /// Longest time without a byte either way.
    pub idle_ms: u64,
    /// Bytes of one message, as it is sent.
    pub message: u64,
    /// Open ones at a time, in the whole process.
    pub connections: u32,
}

/// Pages that may open WebSocket connections.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Origins {
    /// Those of the same host.
    Same,
    /// All, without cookies and client certificates; with them, those of the same host.
    Any,
    /// These and those of the same host; `https://shop.example.com`, lower case.
    Listed(Vec<String>),
}

/// Which requests a route takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Host names, lower case, exact or `*.example.com`; `None` is `any`.
    pub hosts: Option<Vec<String>>,
    /// Template: literal segments, `{name}`, and `{name...}` at the end.
    pub path: String,
    /// Upper case; GET brings HEAD with it.
    pub methods: Vec<String>,
    /// Headers (lower case) that have to be there exactly once with exactly this value.
    pub headers: BTreeMap<String, String>,
    /// Query parameters (decoded) that have to be there exactly once with exactly this value.
    pub query: BTreeMap<String, String>,
}

/// Exceptions to canonical paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathAllow {
    /// `%2f` inside a segment.
    EncodedSlash,
    /// `;`
    Semicolon,
    /// `//`
    EmptySegment,
}

/// The one access decision of a route.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Access {
    /// Anyone.
    Public,
    /// Verified callers of the named providers who pass every rule (none is `access: authenticated`).
    Authenticated(Authenticated),
}

/// Verified callers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authenticated {
    /// Names of the accepted providers; one of them, or all.
    pub providers: Vec<String>,
    /// Whether each of them has to vouch. The caller is whom the first one vouches for.
    #[serde(default)]
    pub all_of: bool,
    /// Every one has to allow: the group's, then the route's.
    pub rules: Vec<AuthorizeRule>,
}

/// What is done with an allowed request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Forwarded to services, shared by weight (parts of 10,000, sum 10,000; one service has them all).
    Forward(Vec<WeightedService>),
    /// Answered with a redirect.
    Redirect(Redirect),
    /// Answered with a fixed response.
    Respond(Respond),
}

/// A second service for copies of a share of the requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Name of the service.
    pub service: String,
    /// Parts of 10,000.
    pub share: u32,
}

/// A service and its share.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedService {
    /// Name of the service.
    pub service: String,
    /// Parts of 10,000.
    pub weight: u32,
}

/// A redirect. Exactly one of `location` and `scheme`/`host`/`path` parts is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// 301, 302, 303, 307, 308.
    pub status: u16,
    /// Fixed target; `None` builds one from the parts below and the request.
    pub location: Option<String>,
    /// Scheme of a built target.
    pub scheme: Option<String>,
    /// Authority of a built target.
    pub host: Option<String>,
    /// Path template of a built target, with `{name}` of the route's variables; the request's path otherwise.
    pub path: Option<String>,
}

/// A fixed response.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// Content-Type.
    pub content_type: String,
    /// Body text.
    pub body: String,
}

/// Change of the path before forwarding. Canonical again afterwards.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// Path template with `{name}` and `{name...}` of the route's variables.
    pub path: String,
}

/// Changes of headers, in this order. Names are lower case and never ones that the gateway owns (checked in Python).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderEdits {
    /// Removed, in any folding.
    pub remove: Vec<String>,
    /// Replaced or added.
    pub set: BTreeMap<String, String>,
    /// Added beside what is there.
    pub add: BTreeMap<String, String>,
}

/// Fields that tell browsers to be strict, and attributes of cookies. Values are checked in Python and again when built.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityHeaders {
    /// Strict-Transport-Security (RFC 6797).
    pub hsts: Option<Hsts>,
    /// X-Content-Type-Options.
    pub content_type_options: Option<String>,
    /// X-Frame-Options; its `frame-ancestors` stands in `content_security_policy`.
    pub frame_options: Option<String>,
    /// Referrer-Policy.
    pub referrer_policy: Option<String>,
    /// Content-Security-Policy: all of them apply.
    pub content_security_policy: Vec<String>,
    /// Permissions-Policy: feature and list, such as `()` or `(self)`.
    pub permissions_policy: BTreeMap<String, String>,
    /// Cross-Origin-Opener-Policy.
    pub cross_origin_opener_policy: Option<String>,
    /// Cross-Origin-Embedder-Policy.
    pub cross_origin_embedder_policy: Option<String>,
    /// Cross-Origin-Resource-Policy.
    pub cross_origin_resource_policy: Option<String>,
    /// Attributes of cookies.
    pub cookies: Option<CookieAttributes>,
}

/// Strict-Transport-Security (RFC 6797).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hsts {
    /// Seconds.
    pub max_age_s: u64,
    /// For subdomains, too.
    pub include_subdomains: bool,
    /// Consent to the browsers' built-in lists.
    pub preload: bool,
}

/// What a service's cookies have at least.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CookieAttributes {
    /// `Secure`, where the client came over TLS.
    pub secure: bool,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `SameSite`, where the cookie says none.
    pub same_site: Option<SameSite>,
    /// Names of cookies that scripts may read: they get no `HttpOnly`.
    pub readable: Vec<String>,
}

/// Whether a cookie goes along with requests from other sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// With links only.
    Lax,
    /// Never.
    Strict,
}

/// Time limits of a route.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTimeouts {
    /// To connect, TLS included; per endpoint tried.
    pub connect_ms: u64,
    /// From the request sent to the first byte of the answer.
    pub first_byte_ms: u64,
    /// Longest pause inside the answer.
    pub idle_ms: u64,
    /// For everything; 0 is none (streams).
    pub total_ms: u64,
}
