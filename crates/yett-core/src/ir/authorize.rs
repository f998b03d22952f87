//! What verified callers may do: rules, tenants, and what a refused caller sees.

use ipnet::IpNet;
use serde::Deserialize;

/// One rule, of `authorize:` or of `deny:`. All parts that are present have to hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizeRule {
    /// `group billing`, or `route read-invoice: deny.frozen`, for logs.
    pub source: String,
    /// Exact callers.
    #[serde(default)]
    pub callers: Option<Callers>,
    /// Scopes.
    #[serde(default)]
    pub scopes: Option<Scopes>,
    /// Roles.
    #[serde(default)]
    pub roles: Option<RoleSets>,
    /// Permissions, as the roles that bring them.
    #[serde(default)]
    pub permissions: Option<RoleSets>,
    /// Declared claims; each has to pass.
    #[serde(default)]
    pub claims: Vec<ClaimRule>,
    /// Networks of the client; one of them.
    #[serde(default)]
    pub addresses: Vec<IpNet>,
    /// Times; one of them.
    #[serde(default)]
    pub times: Vec<TimeWindow>,
    /// What is known of the device.
    #[serde(default)]
    pub device: Option<DeviceRule>,
    /// A condition in CEL.
    #[serde(default)]
    pub when: Option<String>,
    /// Header fields that it may read, lower case.
    #[serde(default)]
    pub headers: Vec<String>,
}

/// Rules that are judged and reported, and never enforced. Group's first.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// Rules that would have to hold.
    #[serde(default)]
    pub rules: Vec<AuthorizeRule>,
    /// Rules that would refuse where they hold.
    #[serde(default)]
    pub deny: Vec<AuthorizeRule>,
}

/// Exact callers; one of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callers {
    /// Values of `sub`.
    #[serde(default)]
    pub users: Vec<String>,
    /// Values of the client claim.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Names of API keys.
    #[serde(default)]
    pub keys: Vec<String>,
    /// SPIFFE ids, exact or with `/*` at the end.
    #[serde(default)]
    pub spiffe: Vec<String>,
}

/// Several values with a quantifier.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Quantified {
    /// One is enough.
    AnyOf(Vec<String>),
    /// All are needed.
    AllOf(Vec<String>),
}

/// Scopes, for all methods or for each.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scopes {
    /// One is enough.
    AnyOf(Vec<String>),
    /// All are needed.
    AllOf(Vec<String>),
    /// By method, upper case; HEAD is GET, and a method that is not there is refused.
    Methods(std::collections::BTreeMap<String, Quantified>),
}

/// What roles have to be held. Each item is the set of roles that satisfy it, those that include it among them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RoleSets {
    /// One item is enough.
    AnyOf(Vec<Vec<String>>),
    /// All are needed.
    AllOf(Vec<Vec<String>>),
}

/// A declared claim and what it has to be.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRule {
    /// The name under which providers declare it.
    pub name: String,
    /// What it has to be.
    pub test: ClaimTest,
}

/// What a claim has to be, by its type.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClaimTest {
    /// One of these texts.
    AnyOf(Vec<String>),
    /// None of these texts.
    NoneOf(Vec<String>),
    /// A list that has one of these.
    HasAny(Vec<String>),
    /// A list that has all of these.
    HasAll(Vec<String>),
    /// A list that has none of these.
    HasNone(Vec<String>),
    /// This.
    Is(bool),
    /// A whole number of these.
    Numbers(Vec<i64>),
    /// A whole number in this range.
    Range(NumberRange),
}

/// A range of whole numbers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberRange {
    /// The least.
    #[serde(default)]
    pub at_least: Option<i64>,
    /// The most.
    #[serde(default)]
    pub at_most: Option<i64>,
}

/// A time of the week.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeWindow {
    /// 0 is Monday; the day on which it begins.
    pub days: Vec<u8>,
    /// Minute of the day from which on.
    pub from_min: u16,
    /// Minute of the day until which, exclusive; at most 1440, and before `from_min` where it ends on the next day.
    pub to_min: u16,
    /// Name of the IANA time zone.
    pub zone: String,
}

/// What is known of the device. Whatever is absent refuses.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRule {
    /// Values of the claim `device_posture`; one of them.
    #[serde(default)]
    pub posture: Vec<String>,
    /// Greatest age of the claim `device_checked` (seconds since 1970).
    #[serde(default)]
    pub age_ms: Option<u64>,
    /// Whether the connection has to carry a verified client certificate.
    #[serde(default)]
    pub certificate: bool,
}

/// A service that is asked whether a request may pass.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalAuthorization {
    /// `group billing` or `route read-invoice`, for logs.
    pub source: String,
    /// Where it is asked.
    pub endpoint: super::OutboundEndpoint,
    /// In which form.
    #[serde(default)]
    pub protocol: ExternalProtocol,
    /// For everything, the connection included.
    pub timeout_ms: u64,
    /// Fields of the request that it sees, lower case.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Fields that it may set for the service, lower case.
    #[serde(default)]
    pub to_service: Vec<String>,
}

/// How a check is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExternalProtocol {
    /// POST of a JSON document.
    #[default]
    Http,
    /// Envoy's `ext_authz` over gRPC.
    Grpc,
}

/// Where the request names its tenant: it has to be there once and to equal the caller's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantRule {
    /// `group billing` or `route read-invoice`, for logs.
    pub source: String,
    /// Where.
    pub from: TenantSource,
}

/// Where the request names its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TenantSource {
    /// A variable of the path template.
    Path(String),
    /// One label of the host: what stands before and behind it, for each host that the route takes.
    Host(Vec<HostTemplate>),
    /// A header field, lower case.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// Names of properties of the validated body, with dots between them.
    Body(String),
}

/// A host with one label left open.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostTemplate {
    /// What stands before it, such as `api-`; may be empty.
    pub before: String,
    /// What stands behind it, such as `.example.com`.
    pub after: String,
}
