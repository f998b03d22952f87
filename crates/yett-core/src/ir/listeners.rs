//! What clients reach: sockets, their TLS, bounds and time limits, and what stands in place of routes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ipnet::IpNet;
use serde::Deserialize;

use super::{AddressFilter, GeoFilter, RateLimit, ShadowLimit};

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
