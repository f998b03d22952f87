//! Limits: rates with a burst, whose they are, what a request costs, and when they count.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A rate with a burst (GCRA).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// The name in RateLimit-Policy.
    pub name: String,
    /// `group:billing` or `route:read-invoice`: one table per scope and name.
    pub scope: String,
    /// Requests per period.
    pub count: u64,
    /// Period, milliseconds.
    pub period_ms: u64,
    /// Requests that may come at once, at least 1.
    pub burst: u64,
    /// Whose bucket.
    pub key: LimitKey,
    /// What a request costs; 1 where nothing is said.
    #[serde(default)]
    pub cost: Option<LimitCost>,
    /// The class of callers that it is for, by its source in `limit_classes`; everybody where nothing is said.
    #[serde(default)]
    pub class: Option<String>,
    /// Classes that have a limit of their own instead.
    #[serde(default)]
    pub except: Vec<String>,
    /// When it counts; always where nothing is said.
    #[serde(default)]
    pub during: Option<Calendar>,
    /// When another one counts instead.
    #[serde(default)]
    pub outside: Vec<Calendar>,
    /// At most so many seconds are added to Retry-After, so that callers do not come back together.
    #[serde(default)]
    pub jitter_s: u32,
    /// Which repeats with the same Idempotency-Key cost nothing; none where nothing is said.
    #[serde(default)]
    pub idempotency: Option<Idempotency>,
    /// How instances share it; where nothing is said, each counts for itself.
    #[serde(default)]
    pub shared: Option<SharedLimit>,
}

/// Repeats of a request that was charged, with the same Idempotency-Key, which cost nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// So many: 1 or 2.
    pub repeats: u8,
    /// Milliseconds after the request that was charged: at most 60,000.
    pub within_ms: u64,
}

/// A limit that instances share by `state.redis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedLimit {
    /// Whether each request is charged there.
    pub mode: SharedMode,
    /// What becomes of requests while it does not answer.
    pub state_loss: LimitLoss,
}

/// How a limit is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedMode {
    /// Each request is charged in Redis.
    Exact,
    /// Each instance leases a part of the burst ahead of requests.
    Cached,
}

/// What becomes of requests while Redis does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitLoss {
    /// They are refused.
    Refuse,
    /// They are charged to a bucket of this instance.
    Local,
    /// They are let through.
    FailOpen,
}

impl LimitLoss {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Refuse, Self::Local, Self::FailOpen];

    /// The word in metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Local => "local",
            Self::FailOpen => "fail_open",
        }
    }
}

/// Whose bucket. A caller of whom the configured one is not known has a bucket as principal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKey {
    /// The verified caller (provider, subject, client, tenant).
    #[default]
    Principal,
    /// The OAuth client, of its provider.
    Client,
    /// The API key.
    Key,
    /// The token or key that vouched.
    Token,
    /// The session at the provider.
    Session,
    /// The partner, whichever provider says so.
    Partner,
    /// The tenant, whichever provider says so.
    Tenant,
    /// One bucket for everyone.
    Route,
    /// The client's address (IPv6 by /64); `address_limit` only.
    Address,
    /// The value of this field, lower case; those without it share a bucket.
    Header(String),
    /// What an expression in CEL comes to: a text.
    Value(String),
}

/// What a request costs, in requests; at most the burst counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitCost {
    /// With every method that is not listed; 0 costs nothing. Where `after` says something, what it costs beforehand.
    pub default: u64,
    /// By method, upper case; HEAD is GET.
    #[serde(default)]
    pub methods: BTreeMap<String, u64>,
    /// What an expression in CEL comes to, an int, in place of the others.
    #[serde(default)]
    pub value: Option<String>,
    /// What it costs once its answer has ended, where that is more.
    #[serde(default)]
    pub after: Option<CostAfter>,
}

/// What a request costs once its answer has ended: exactly one of `header`, `bytes` and `time_ms` says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostAfter {
    /// The field of the answer that has the cost, lower case.
    #[serde(default)]
    pub header: Option<String>,
    /// What an answer without that field costs; at least 1.
    #[serde(default)]
    pub missing: u64,
    /// Whether the field stays in the answer.
    #[serde(default)]
    pub keep: bool,
    /// One for every so many bytes of the body, begun ones too.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// One for every so many milliseconds of the service, begun ones too.
    #[serde(default)]
    pub time_ms: Option<u64>,
    /// The most that is charged; the burst where nothing is said.
    #[serde(default)]
    pub most: Option<u64>,
}

/// A time that comes again (cron): it begins at each minute that fits, and lasts.
///
/// Empty lists are every value. Where `days` and `weekdays` both say something, one of them is enough, as in crontab(5).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    /// Minutes of the hour, 0 to 59.
    #[serde(default)]
    pub minutes: Vec<u8>,
    /// Hours of the day, 0 to 23.
    #[serde(default)]
    pub hours: Vec<u8>,
    /// Days of the month, 1 to 31.
    #[serde(default)]
    pub days: Vec<u8>,
    /// Months, 1 to 12.
    #[serde(default)]
    pub months: Vec<u8>,
    /// Days of the week; 0 is Sunday.
    #[serde(default)]
    pub weekdays: Vec<u8>,
    /// Name of the IANA time zone.
    pub zone: String,
    /// How long it lasts, minutes: 1 to 1440.
    pub minutes_long: u32,
}

/// So many requests at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencyLimit {
    /// Its name, for refusals.
    pub name: String,
    /// `group:billing` or `route:read-invoice`: counted once per scope and name.
    pub scope: String,
    /// Requests that may be under way, at least 1.
    pub requests: u32,
    /// Whose they are.
    pub key: LimitKey,
    /// Who shares them equally.
    #[serde(default)]
    pub fair: Option<LimitKey>,
}
