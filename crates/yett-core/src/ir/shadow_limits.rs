//! Limits that are tried out: a list of their own, so that nothing that enforces sees one.

use serde::Deserialize;

use super::{AuthorizeRule, ConcurrencyLimit, RateLimit};

/// A limit that is counted and reported, and refuses nobody.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowLimit {
    /// As in logs and metrics: `route list-orders: rate_limit.per-caller`.
    pub source: String,
    /// What it would bound.
    pub limit: TriedLimit,
}

/// What a limit in shadow would bound.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriedLimit {
    /// Requests of an address.
    Address(Box<RateLimit>),
    /// Requests of a caller: all windows, classes and times of one limit.
    Rate(TriedRates),
    /// Requests at once.
    Concurrency(ConcurrencyLimit),
}

/// All that one `rate_limit` comes to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriedRates {
    /// Its windows, classes and times.
    pub limits: Vec<RateLimit>,
    /// Its classes of callers.
    #[serde(default)]
    pub classes: Vec<AuthorizeRule>,
}

impl ShadowLimit {
    /// The rates that it consists of.
    pub fn rates(&self) -> &[RateLimit] {
        match &self.limit {
            TriedLimit::Address(limit) => std::slice::from_ref(&**limit),
            TriedLimit::Rate(rates) => &rates.limits,
            TriedLimit::Concurrency(_) => &[],
        }
    }
}
