//! GCRA limits by caller. [owner: credentials]
use crate::exchange::{LimitReport, Now, Refusal};
use crate::ir;

/// All tables of the process.
#[derive(Debug)]
pub struct Tables {}

impl Tables {
    /// At most `keys` entries over all tables.
    #[must_use]
    pub fn new(keys: u32) -> Self { let _ = keys; todo!() }
}

/// One compiled limit; its table outlives a reload as long as scope, name, rate and key stay.
#[derive(Debug)]
pub struct RateLimit {}

impl RateLimit {
    /// Finds or makes its table.
    pub fn build(limit: &ir::RateLimit, tables: &Tables) -> Result<Self, String> { let _ = (limit, tables); todo!() }
    /// Whose bucket.
    #[must_use]
    pub fn key(&self) -> ir::LimitKey { todo!() }
    /// Charges one request, or refuses (429, Retry-After). `key` is a keyed hash (`Principal::key`, or 0 for `Route`).
    pub fn check(&self, key: u64, now: Now) -> Result<LimitReport, (Refusal, LimitReport)> { let _ = (key, now); todo!() }
}
