//! Quotas: so much in each hour, day, week or month of a time zone.

use serde::Deserialize;

use super::{Idempotency, LimitCost, LimitKey};

/// So many requests in each period of the calendar.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Its name, in RateLimit-Policy and in refusals.
    pub name: String,
    /// `group:billing` or `route:read-invoice`: counted once per scope, name and key.
    pub scope: String,
    /// Requests in a period, at least 1.
    pub amount: u64,
    /// How long a period is.
    pub period: Period,
    /// Name of the IANA time zone in which it begins and ends.
    pub zone: String,
    /// Whose it is.
    pub key: LimitKey,
    /// What a request costs; 1 where nothing is said.
    #[serde(default)]
    pub cost: Option<LimitCost>,
    /// Which repeats with the same Idempotency-Key cost nothing; none where nothing is said.
    #[serde(default)]
    pub idempotency: Option<Idempotency>,
    /// The class of callers that it is for, by its source in `limit_classes`; everybody where nothing is said.
    #[serde(default)]
    pub class: Option<String>,
    /// Classes that have a quota of their own instead.
    #[serde(default)]
    pub except: Vec<String>,
    /// Percentages of the amount at which it is told, ascending: 1 to 100.
    #[serde(default)]
    pub warn: Vec<u8>,
    /// Whether instances share it by `state.redis`.
    #[serde(default)]
    pub shared: bool,
    /// What happens while use cannot be written down, or Redis does not answer.
    pub state_loss: QuotaLoss,
}

/// A part of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the part of its name")]
pub enum Period {
    Hour,
    Day,
    /// From Monday (ISO 8601).
    Week,
    Month,
}

impl Period {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

/// What happens while use cannot be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaLoss {
    /// Requests that the quota is for are refused.
    Refuse,
    /// It is counted in memory and written later.
    Local,
}
