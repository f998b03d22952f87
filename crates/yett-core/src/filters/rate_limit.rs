//! GCRA limits by caller.
//!
//! A limit's buckets belong to its scope, name and key. They outlive a reload, also one that changes the rate: a caller
//! who was out of requests stays so, for at most the time in which the new rate fills its burst. What is refused by one
//! limit of a route is charged by none ([`RateLimits`]).

mod after;
mod calendar;
mod measure;
mod repeats;
mod shared;
mod shared_key;
mod sharing;
mod together;
#[cfg(test)]
mod together_tests;

pub use after::{Declared, Ended, Owed, Owing};
pub use measure::{Cost, Key, Named, Undecided};
pub use repeats::{Free, Repeat, Repeats, RouteRepeats};
pub use shared::{Answered, Asked};
pub use sharing::{Sharing, note};
pub use together::{Classes, RateLimits, Reports};

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use self::shared::SharedLimit;
use crate::exchange::{LimitReport, Now, Refusal};
use crate::filters::limit_table::{LimitTable, Rate, gcra, mix, take_back};
use crate::ir;
use crate::reason::Reason;

const NS: u64 = 1_000_000_000;
/// Longest time in which a burst may fill, in nanoseconds (about 10 years).
const DEPTH_MAX_NS: u64 = 315_360_000 * NS;
/// Bursts that may be owed after answers.
const DEBT: u64 = 10;

type Identity = (Box<str>, Box<str>, ir::LimitKey);

/// All buckets of the process.
#[derive(Debug)]
pub struct Tables {
    table: Arc<LimitTable>,
    known: Mutex<HashMap<Identity, Weak<Limit>>>,
    next_id: AtomicU64,
    overflowed: Arc<AtomicU64>,
    sharing: Arc<Sharing>,
    repeats: Arc<Repeats>,
}

/// What all compiled forms of one limit share.
#[derive(Debug)]
struct Limit {
    id: u64,
    /// The bucket that new keys share while the table is full.
    overflow: AtomicU64,
    /// Whether something is charged to it after answers.
    owes: AtomicBool,
}

impl Tables {
    /// For `keys` entries over all limits (see [`LimitTable::new`] for the rounding; about 22 bytes each, taken at once).
    #[must_use]
    pub fn new(keys: u32) -> Self {
        Self {
            table: Arc::new(LimitTable::new(keys)),
            known: Mutex::new(HashMap::new()),
            next_id: AtomicU64::new(1),
            overflowed: Arc::new(AtomicU64::new(0)),
            sharing: Arc::new(Sharing::new(keys)),
            repeats: Arc::default(),
        }
    }

    /// What is known of limits that instances share.
    #[must_use]
    pub fn sharing(&self) -> &Arc<Sharing> {
        &self.sharing
    }

    /// Requests that may be repeated.
    #[must_use]
    pub fn repeats(&self) -> &Arc<Repeats> {
        &self.repeats
    }

    /// Changes the bound (reload); live entries are kept as far as they fit. Nothing happens when it is the same.
    pub fn set_keys(&self, keys: u32, now: Now) {
        self.table.resize(keys, now.monotonic_ns);
        self.sharing.resize(keys);
    }

    /// Requests that were charged to a shared bucket because the table was full, since start.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// Keys with a bucket that is not full, now. Walks the table: for scrapes.
    #[must_use]
    pub fn live(&self, now: Now) -> u64 {
        self.table.live(now.monotonic_ns)
    }

    fn limit(&self, limit: &ir::RateLimit) -> Arc<Limit> {
        let identity = (limit.scope.as_str().into(), limit.name.as_str().into(), limit.key.clone());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limit) = known.get(&identity).and_then(Weak::upgrade) {
            return limit;
        }
        known.retain(|_, limit| limit.strong_count() > 0);
        let id = mix(self.next_id.fetch_add(1, Ordering::Relaxed));
        let made = Arc::new(Limit { id, overflow: AtomicU64::new(0), owes: AtomicBool::new(false) });
        known.insert(identity, Arc::downgrade(&made));
        made
    }
}

/// One compiled limit; its buckets outlive a reload.
#[derive(Debug)]
pub struct RateLimit {
    table: Arc<LimitTable>,
    overflowed: Arc<AtomicU64>,
    limit: Arc<Limit>,
    rate: Rate,
    jitter_s: u32,
    name: Arc<str>,
    policy: Arc<str>,
    reason: Reason,
    shared: Option<SharedLimit>,
    sharing: Arc<Sharing>,
}

impl RateLimit {
    /// Finds or makes its buckets. Refuses a limit by address: that is `address_limit`.
    pub fn build(limit: &ir::RateLimit, tables: &Tables) -> Result<Self, String> {
        if limit.key == ir::LimitKey::Address {
            return Err(format!("limit `{}` is keyed by address; write it as an `address_limit`", limit.name));
        }
        Self::compile(limit, tables, Reason::RateLimited)
    }

    pub(super) fn compile(limit: &ir::RateLimit, tables: &Tables, reason: Reason) -> Result<Self, String> {
        let name = &limit.name;
        if name.is_empty() || !name.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\') {
            return Err(format!("limit name `{name}` cannot stand in RateLimit-Policy; use letters, digits and `-`"));
        }
        if limit.count == 0 || limit.period_ms == 0 || limit.burst == 0 {
            return Err(format!("limit `{name}` allows nothing; rate, period and burst are at least 1"));
        }
        let period_ns = limit.period_ms.saturating_mul(1_000_000);
        let interval_ns = period_ns / limit.count;
        if interval_ns == 0 {
            return Err(format!("limit `{name}` has a rate beyond one request per nanosecond; lower it"));
        }
        let depth_ns = interval_ns.checked_mul(limit.burst).filter(|ns| *ns <= DEPTH_MAX_NS);
        let Some(depth_ns) = depth_ns else {
            return Err(format!("limit `{name}` takes more than ten years to fill its burst; lower the burst"));
        };
        let kept = tables.limit(limit);
        if limit.cost.as_ref().is_some_and(|cost| cost.after.is_some()) {
            kept.owes.store(true, Ordering::Relaxed);
        }
        let shared = limit.shared.as_ref().map(|shared| SharedLimit::build(limit, shared, interval_ns, depth_ns)).transpose()?;
        if shared.is_some() {
            tables.sharing.used();
        }
        Ok(Self {
            shared,
            sharing: Arc::clone(&tables.sharing),
            table: Arc::clone(&tables.table),
            overflowed: Arc::clone(&tables.overflowed),
            limit: kept,
            rate: Rate { interval_ns, depth_ns, debt_ns: 0 },
            jitter_s: limit.jitter_s,
            name: name.as_str().into(),
            policy: format!("\"{name}\";q={};w={}", limit.count, limit.period_ms.div_ceil(1000)).into(),
            reason,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Charges one request, or refuses (429, Retry-After). `key` is a keyed hash (`Principal::key`, or 0 for `Route`).
    ///
    /// `remaining` is the number of requests that would pass at once now, `reset_s` the seconds (rounded up) until the
    /// whole burst is there again (draft-ietf-httpapi-ratelimit-headers).
    #[expect(clippy::result_large_err, reason = "made only for a refusal, and taken apart by the one caller")]
    pub fn check(&self, key: u64, now: Now) -> Result<LimitReport, (Refusal, LimitReport)> {
        let (bucket, cost_ns) = (self.bucket(key), self.rate.interval_ns);
        match self.charge(bucket, cost_ns, now.monotonic_ns) {
            Ok(ahead_ns) => Ok(self.report(ahead_ns)),
            Err(ahead_ns) => Err((self.refuse(bucket, ahead_ns, cost_ns, now.monotonic_ns), self.report(ahead_ns))),
        }
    }

    /// The bucket of a key.
    fn bucket(&self, key: u64) -> u64 {
        mix(mix(key) ^ self.limit.id)
    }

    /// What so many requests cost: at most the whole burst.
    fn cost_ns(&self, requests: u64) -> u64 {
        self.rate.interval_ns.saturating_mul(requests).min(self.rate.depth_ns)
    }

    /// Its rate, with what may be owed: that is of the bucket, whichever route charges it.
    fn rate(&self) -> Rate {
        let debt_ns = if self.limit.owes.load(Ordering::Relaxed) { self.rate.depth_ns.saturating_mul(DEBT) } else { 0 };
        Rate { debt_ns, ..self.rate }
    }

    /// Charges so many requests that are owed, whether there is room or not. A bucket that many share owes nothing.
    fn owe(&self, bucket: u64, requests: u64, now_ns: u64) {
        let cost_ns = self.rate.interval_ns.saturating_mul(requests);
        if cost_ns > 0 && !self.table.owe(bucket, self.rate(), cost_ns, now_ns) {
            self.rate.owe(&self.limit.overflow, cost_ns, now_ns);
        }
    }

    /// How far ahead of now the bucket stands, charging nothing.
    fn peek(&self, bucket: u64, now_ns: u64) -> u64 {
        let tat = self.table.peek(bucket, now_ns).unwrap_or_else(|| self.limit.overflow.load(Ordering::Relaxed));
        self.rate().ahead(tat, now_ns)
    }

    /// Counts a request that was refused for the bucket that new keys share while the table is full.
    fn count_shared(&self, bucket: u64, now_ns: u64) {
        if self.table.peek(bucket, now_ns).is_none() {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn charge(&self, bucket: u64, cost_ns: u64, now_ns: u64) -> Result<u64, u64> {
        // What costs nothing takes no place in the table.
        if cost_ns == 0 {
            return gcra(self.peek(bucket, now_ns).saturating_add(now_ns), now_ns, self.rate.depth_ns, 0);
        }
        self.table.charge_cost(bucket, self.rate(), cost_ns, now_ns).unwrap_or_else(|| {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
            self.rate.charge_cost(&self.limit.overflow, cost_ns, now_ns)
        })
    }

    /// Takes a charge of this moment back.
    fn take_back(&self, bucket: u64, ahead_ns: u64, cost_ns: u64, now_ns: u64) {
        if !self.table.take_back(bucket, ahead_ns, cost_ns, now_ns) {
            take_back(&self.limit.overflow, ahead_ns, cost_ns, now_ns);
        }
    }

    /// Nanoseconds until there is room; 0 where there is.
    fn wait_ns(&self, ahead_ns: u64, cost_ns: u64) -> u64 {
        ahead_ns.saturating_add(cost_ns).saturating_sub(self.rate.depth_ns)
    }

    fn refuse(&self, bucket: u64, ahead_ns: u64, cost_ns: u64, now_ns: u64) -> Refusal {
        let mut refusal = Refusal::from(self.reason);
        // The bucket's hash has a secret key, so nobody knows the next one.
        let jitter = mix(bucket ^ now_ns) % (u64::from(self.jitter_s) + 1);
        let pause = self.wait_ns(ahead_ns, cost_ns).div_ceil(NS).max(1);
        refusal.retry_after_s = Some(Refusal::pause(pause.saturating_add(jitter)));
        refusal.rule = Some(Arc::clone(&self.name));
        refusal
    }

    fn report(&self, ahead_ns: u64) -> LimitReport {
        LimitReport {
            policy: Arc::clone(&self.policy),
            name: Arc::clone(&self.name),
            remaining: self.rate.depth_ns.saturating_sub(ahead_ns) / self.rate.interval_ns,
            reset_s: ahead_ns.div_ceil(NS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RateLimit, Tables};
    use crate::exchange::Now;
    use crate::ir;
    use crate::reason::Reason;

    fn limit(count: u64, period_ms: u64, burst: u64) -> ir::RateLimit {
        ir::RateLimit { name: "per-caller".into(), scope: "route:a".into(), count, period_ms, burst, ..ir::RateLimit::default() }
    }

    fn at(ms: u64) -> Now {
        Now { monotonic_ns: ms * 1_000_000, unix_ms: ms }
    }

    #[test]
    fn reports_as_the_fields_want_it() {
        let tables = Tables::new(1000);
        let limit = RateLimit::build(&limit(50, 1000, 50), &tables).unwrap();
        let report = limit.check(1, at(5)).unwrap();
        assert_eq!(&*report.policy, "\"per-caller\";q=50;w=1");
        assert_eq!((report.remaining, report.reset_s), (49, 1));
    }

    #[test]
    fn refuses_exactly_what_is_beyond_the_burst_and_says_when_to_come_back() {
        let tables = Tables::new(1000);
        let limit = RateLimit::build(&limit(1, 10_000, 3), &tables).unwrap();
        for left in (0..3).rev() {
            assert_eq!(limit.check(1, at(0)).unwrap().remaining, left);
        }
        let (refusal, report) = limit.check(1, at(500)).unwrap_err();
        assert_eq!(refusal.reason, Reason::RateLimited);
        assert_eq!((refusal.retry_after_s, report.remaining, report.reset_s), (Some(10), 0, 30));
        assert_eq!(refusal.rule.as_deref(), Some("per-caller"));
        assert!(limit.check(1, at(9_999)).is_err());
        assert!(limit.check(1, at(10_000)).is_ok());
        assert!(limit.check(2, at(10_000)).is_ok());
    }

    #[test]
    fn buckets_outlive_a_reload_and_names_keep_them_apart() {
        let tables = Tables::new(1000);
        let first = RateLimit::build(&limit(1, 10_000, 1), &tables).unwrap();
        assert!(first.check(1, at(0)).is_ok());
        let again = RateLimit::build(&limit(1, 20_000, 1), &tables).unwrap();
        assert!(again.check(1, at(1)).is_err());
        let mut other = limit(1, 10_000, 1);
        other.scope = "route:b".into();
        assert!(RateLimit::build(&other, &tables).unwrap().check(1, at(1)).is_ok());
    }

    #[test]
    fn a_full_table_shares_one_bucket_and_counts() {
        let tables = Tables::new(1);
        let limit = RateLimit::build(&limit(1, 10_000, 2), &tables).unwrap();
        let granted = (0..5_000u64).filter(|k| limit.check(crate::filters::limit_table::mix(*k), at(1)).is_ok()).count();
        assert!(granted <= 256 * 2 + 2, "granted {granted}");
        assert!(tables.overflowed() > 4_000);
        assert_eq!(tables.live(at(20_002)), 0);
    }

    #[test]
    fn parallel_requests_get_exactly_the_limit_from_the_overflow_bucket() {
        use crate::filters::limit_table::mix;
        let tables = Tables::new(1);
        let filler = RateLimit::build(&limit(1, 3_600_000, 1), &tables).unwrap();
        for key in 0..5_000u64 {
            let _ = filler.check(mix(key), at(1));
        }
        let mut other = limit(1, 3_600_000, 100);
        other.name = "other".into();
        let other = RateLimit::build(&other, &tables).unwrap();
        let granted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4u64)
                .map(|t| {
                    let other = &other;
                    scope.spawn(move || (0..500).filter(|k| other.check(mix(t * 500 + k), at(1)).is_ok()).count())
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(granted, 100);
    }

    #[test]
    fn nonsense_does_not_load() {
        let tables = Tables::new(10);
        for bad in [limit(0, 1000, 1), limit(1, 0, 1), limit(1, 1000, 0), limit(u64::MAX, 1000, 1), limit(1, u64::MAX, 9)] {
            assert!(RateLimit::build(&bad, &tables).is_err());
        }
        let mut address = limit(1, 1000, 1);
        address.key = ir::LimitKey::Address;
        assert!(RateLimit::build(&address, &tables).unwrap_err().contains("address_limit"));
        let mut quoted = limit(1, 1000, 1);
        quoted.name = "a\"b".into();
        assert!(RateLimit::build(&quoted, &tables).is_err());
    }
}
