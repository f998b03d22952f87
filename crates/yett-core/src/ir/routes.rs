//! Merged routes: which requests they take, from whom, and all that stands on the way.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Action, AddressFilter, Assurance, AttackFilter, AuthorizeRule, BotFilter, ConcurrencyLimit, Cors, Csrf,
    ExternalAuthorization, GeoFilter, HeaderEdits, LiveCheck, LoginGuard, Mirror, Quota, RateLimit, RequestValidation,
    ResponseValidation, Rewrite, SecurityHeaders, SenderConstrained, Shadow, ShadowLimit, TenantRule, WebSocket,
};

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
