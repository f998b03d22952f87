//! Buckets of all limits in one bounded table: sharded, fixed in size, one compare-and-swap a charge.
//!
//! A bucket is one number, the theoretical arrival time (TAT) of GCRA in nanoseconds: the moment at which the whole
//! burst is there again. An entry whose TAT has passed says nothing that a new one would not, so it may be overwritten.
//! Each key has a place in one of two groups of eight slots; only when the emptier one is full of live entries does a new
//! key share the overflow bucket of its limit. A third more slots than keys make that rare below the bound.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

const SHARDS: usize = 32;
const WAYS: usize = 8;
/// So far the clocks of two requests under way may be apart: less than that says nothing of a rate.
const APART_NS: u64 = 1_000_000_000;

/// A rate as GCRA sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds that one request costs.
    pub interval_ns: u64,
    /// `burst * interval`: how far ahead of now a TAT may go.
    pub depth_ns: u64,
    /// How much further what is owed (see [`Rate::owe`]) may push it.
    pub debt_ns: u64,
}

/// The whole arithmetic of GCRA, in integers: what becomes of a bucket that is charged `cost_ns` at `now_ns`.
///
/// `Ok` and `Err` carry how far ahead of now the TAT stands afterwards, in nanoseconds: charged, or as it was where there is no
/// room. A TAT further ahead than the depth (owed, or left by a reload from a slower rate) counts as an empty bucket.
pub fn gcra(tat_ns: u64, now_ns: u64, depth_ns: u64, cost_ns: u64) -> Result<u64, u64> {
    let ahead = tat_ns.saturating_sub(now_ns).min(depth_ns);
    let charged = ahead.saturating_add(cost_ns);
    if charged > depth_ns { Err(ahead) } else { Ok(charged) }
}

impl Rate {
    /// Charges one request at `now`, exactly once however many threads do so at the same time.
    pub fn charge(self, tat: &AtomicU64, now_ns: u64) -> Result<u64, u64> {
        self.charge_cost(tat, self.interval_ns, now_ns)
    }

    /// The same for what costs so many nanoseconds. `Ok` and `Err` are those of [`gcra`].
    pub fn charge_cost(self, tat: &AtomicU64, cost_ns: u64, now_ns: u64) -> Result<u64, u64> {
        let mut seen = tat.load(Ordering::Relaxed);
        loop {
            let (next, outcome) = match gcra(seen, now_ns, self.depth_ns, cost_ns) {
                Ok(charged) => (now_ns.saturating_add(charged), Ok(charged)),
                // Nobody waits longer than this rate lets anybody wait, whatever a slower one left.
                Err(_) if seen.saturating_sub(now_ns) > self.most_ns().saturating_add(APART_NS) => {
                    (now_ns.saturating_add(self.most_ns()), Err(self.most_ns()))
                }
                Err(_) => return Err(self.ahead(seen, now_ns)),
            };
            match tat.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return outcome,
                Err(other) => seen = other,
            }
        }
    }

    /// Charges what is owed already, whether there is room or not; what goes beyond `depth_ns + debt_ns` is forgotten.
    pub fn owe(self, tat: &AtomicU64, cost_ns: u64, now_ns: u64) {
        let owed = |seen| {
            let ahead = self.ahead(seen, now_ns).saturating_add(cost_ns).min(self.most_ns());
            Some(now_ns.saturating_add(ahead).max(seen))
        };
        let _ = tat.fetch_update(Ordering::Relaxed, Ordering::Relaxed, owed);
    }

    /// How far ahead of now a TAT stands.
    #[must_use]
    pub fn ahead(self, tat_ns: u64, now_ns: u64) -> u64 {
        tat_ns.saturating_sub(now_ns).min(self.most_ns())
    }

    fn most_ns(self) -> u64 {
        self.depth_ns.saturating_add(self.debt_ns)
    }
}

/// Takes back a charge that left the bucket `ahead_ns` ahead of now, if nobody has charged it since. Otherwise it stays: what
/// others found is not to be told from what has run out meanwhile, and nobody may be let through too early.
pub fn take_back(tat: &AtomicU64, ahead_ns: u64, cost_ns: u64, now_ns: u64) {
    let left = now_ns.saturating_add(ahead_ns);
    let _ = tat.compare_exchange(left, left.saturating_sub(cost_ns), Ordering::Relaxed, Ordering::Relaxed);
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Group {
    keys: [u64; WAYS],
    tats: [AtomicU64; WAYS],
}

impl Group {
    fn find(&self, key: u64) -> Option<&AtomicU64> {
        self.keys.iter().zip(&self.tats).find(|(k, _)| **k == key).map(|(_, tat)| tat)
    }

    fn place(&mut self, key: u64, tat: u64, now_ns: u64) -> Option<&AtomicU64> {
        let slot = self.tats.iter_mut().position(|tat| *tat.get_mut() <= now_ns)?;
        *self.keys.get_mut(slot)? = key;
        let place = self.tats.get_mut(slot)?;
        *place.get_mut() = tat;
        Some(place)
    }
}

#[derive(Debug, Default)]
struct Shard {
    groups: Vec<Group>,
}

impl Shard {
    fn with_groups(groups: usize) -> Self {
        Self { groups: std::iter::repeat_with(Group::default).take(groups).collect() }
    }

    /// Two places, from two halves of the key.
    fn places(&self, key: u64) -> [usize; 2] {
        let groups = self.groups.len() as u64;
        let of = |half: u64| usize::try_from(((half & 0xffff_ffff) * groups) >> 32).unwrap_or(0);
        [of(key >> 32), of(key)]
    }

    fn find(&self, key: u64) -> Option<&AtomicU64> {
        self.places(key).into_iter().find_map(|place| self.groups.get(place)?.find(key))
    }

    fn has_place(&self, key: u64, now_ns: u64) -> bool {
        let free = |group: &Group| group.tats.iter().any(|tat| tat.load(Ordering::Relaxed) <= now_ns);
        self.places(key).into_iter().any(|place| self.groups.get(place).is_some_and(free))
    }

    fn place(&mut self, key: u64, tat: u64, now_ns: u64) -> Option<&AtomicU64> {
        let [first, second] = self.places(key);
        let free = |group: Option<&Group>| {
            group.map_or(0, |g| g.tats.iter().filter(|tat| tat.load(Ordering::Relaxed) <= now_ns).count())
        };
        let emptier = if free(self.groups.get(second)) > free(self.groups.get(first)) { second } else { first };
        self.groups.get_mut(emptier)?.place(key, tat, now_ns)
    }
}

/// Buckets by 64-bit key. Keys are already hashed under a key of the process.
#[derive(Debug)]
pub struct LimitTable {
    shards: [RwLock<Shard>; SHARDS],
}

impl LimitTable {
    /// For `keys` entries: slots for a third more, rounded up to a multiple of 256; 16 bytes each.
    #[must_use]
    pub fn new(keys: u32) -> Self {
        let groups = Self::groups(keys);
        Self { shards: std::array::from_fn(|_| RwLock::new(Shard::with_groups(groups))) }
    }

    fn groups(keys: u32) -> usize {
        let slots = u64::from(keys) * 4 / 3;
        usize::try_from(slots).unwrap_or(usize::MAX).div_ceil(SHARDS * WAYS).max(1)
    }

    /// Changes the bound in place; live entries are kept as far as they fit.
    pub fn resize(&self, keys: u32, now_ns: u64) {
        let groups = Self::groups(keys);
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            if shard.groups.len() == groups {
                continue;
            }
            let old = std::mem::replace(&mut *shard, Shard::with_groups(groups));
            for group in old.groups {
                for (key, tat) in group.keys.into_iter().zip(group.tats) {
                    let tat = tat.into_inner();
                    if tat > now_ns {
                        let _ = shard.place(key, tat, now_ns);
                    }
                }
            }
        }
    }

    /// Entries that hold a live bucket at `now`. Walks the whole table: for scrapes.
    #[must_use]
    pub fn live(&self, now_ns: u64) -> u64 {
        let mut live = 0;
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let tats = shard.groups.iter().flat_map(|group| &group.tats);
            live += tats.filter(|tat| tat.load(Ordering::Relaxed) > now_ns).count() as u64;
        }
        live
    }

    /// Charges the key's bucket; `None` where there is no place for a new key.
    ///
    /// The shard is only read-locked while its TATs move, so no entry is overwritten under a charge.
    pub fn charge(&self, key: u64, rate: Rate, now_ns: u64) -> Option<Result<u64, u64>> {
        self.charge_cost(key, rate, rate.interval_ns, now_ns)
    }

    /// The same for what costs so many nanoseconds.
    pub fn charge_cost(&self, key: u64, rate: Rate, cost_ns: u64, now_ns: u64) -> Option<Result<u64, u64>> {
        let (shard, key) = self.shard(key)?;
        {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(tat) = shard.find(key) {
                return Some(rate.charge_cost(tat, cost_ns, now_ns));
            }
        }
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(tat) = shard.find(key) {
            return Some(rate.charge_cost(tat, cost_ns, now_ns));
        }
        let tat = shard.place(key, now_ns, now_ns)?;
        Some(rate.charge_cost(tat, cost_ns, now_ns))
    }

    /// Charges what is owed already (see [`Rate::owe`]); whether there was a place.
    pub fn owe(&self, key: u64, rate: Rate, cost_ns: u64, now_ns: u64) -> bool {
        let Some((shard, key)) = self.shard(key) else { return false };
        {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(tat) = shard.find(key) {
                rate.owe(tat, cost_ns, now_ns);
                return true;
            }
        }
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(tat) = shard.find(key) {
            rate.owe(tat, cost_ns, now_ns);
            return true;
        }
        let placed = shard.place(key, now_ns, now_ns);
        if let Some(tat) = placed {
            rate.owe(tat, cost_ns, now_ns);
        }
        placed.is_some()
    }

    /// The TAT of the key's bucket, charging nothing and taking no place; `None` where a new key would find no place.
    #[must_use]
    pub fn peek(&self, key: u64, now_ns: u64) -> Option<u64> {
        let (shard, key) = self.shard(key)?;
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        match shard.find(key) {
            Some(tat) => Some(tat.load(Ordering::Relaxed)),
            None => shard.has_place(key, now_ns).then_some(0),
        }
    }

    /// See [`take_back`]; whether the key has a bucket here.
    pub fn take_back(&self, key: u64, ahead_ns: u64, cost_ns: u64, now_ns: u64) -> bool {
        let Some((shard, key)) = self.shard(key) else { return false };
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        let found = shard.find(key);
        if let Some(tat) = found {
            take_back(tat, ahead_ns, cost_ns, now_ns);
        }
        found.is_some()
    }

    /// The shard took the low bits; the places inside it want others.
    fn shard(&self, key: u64) -> Option<(&RwLock<Shard>, u64)> {
        let shard = self.shards.get(usize::try_from(key % SHARDS as u64).ok()?)?;
        Some((shard, mix(key).max(1)))
    }
}

/// The finaliser of SplitMix64: every bit of the result depends on every bit of `x`.
#[must_use]
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::{LimitTable, Rate, mix};
    use proptest::prelude::*;
    use std::sync::atomic::AtomicU64;

    /// A token bucket in whole tokens times interval, kept apart from the code under test.
    struct Oracle {
        rate: Rate,
        level_ns: u128,
        at_ns: u128,
    }

    impl Oracle {
        fn charge(&mut self, now_ns: u64) -> bool {
            let depth = u128::from(self.rate.depth_ns);
            self.level_ns = (self.level_ns + u128::from(now_ns) - self.at_ns).min(depth);
            self.at_ns = u128::from(now_ns);
            let enough = self.level_ns >= u128::from(self.rate.interval_ns);
            if enough {
                self.level_ns -= u128::from(self.rate.interval_ns);
            }
            enough
        }
    }

    proptest! {
        #[test]
        fn a_bucket_agrees_with_a_token_bucket(
            interval in 1u64..2_000_000_000, burst in 1u64..50, pauses in prop::collection::vec(0u64..3_000_000_000, 1..200),
        ) {
            let rate = Rate { interval_ns: interval, depth_ns: interval * burst, debt_ns: 0 };
            let tat = AtomicU64::new(0);
            let mut now = 1_000_000_000;
            let mut oracle = Oracle { rate, level_ns: u128::from(rate.depth_ns), at_ns: u128::from(now) };
            for (i, pause) in pauses.into_iter().enumerate() {
                now += if i % 3 == 0 { pause } else { pause / 1_000 };
                let charged = rate.charge(&tat, now);
                prop_assert_eq!(charged.is_ok(), oracle.charge(now));
                let ahead = charged.unwrap_or_else(|ahead| ahead);
                prop_assert_eq!(u128::from(ahead), u128::from(rate.depth_ns) - oracle.level_ns);
            }
        }
    }

    #[test]
    fn parallel_charges_are_exact() {
        let table = LimitTable::new(1000);
        let rate = Rate { interval_ns: 1_000_000_000, depth_ns: 100_000_000_000, debt_ns: 0 };
        let granted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..1000).filter(|_| matches!(table.charge(7, rate, 5), Some(Ok(_)))).count()))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(granted, 100);
    }

    #[test]
    fn parallel_charges_are_exact_while_other_keys_come_and_go() {
        let table = LimitTable::new(256);
        let slow = Rate { interval_ns: 1_000_000_000_000, depth_ns: 20_000_000_000_000, debt_ns: 0 };
        let brief = Rate { interval_ns: 1, depth_ns: 10, debt_ns: 0 };
        let granted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4u64)
                .map(|t| {
                    let table = &table;
                    scope.spawn(move || {
                        let mut granted = 0;
                        for i in 0..5_000u64 {
                            let now = 1_000 + i * 50;
                            let _ = table.charge(mix(t * 5_000 + i + 100), brief, now);
                            if i % 50 == 0 {
                                granted += (1..6).filter(|k| matches!(table.charge(mix(*k), slow, now), Some(Ok(_)))).count();
                            }
                        }
                        granted
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(granted, 5 * 20);
    }

    #[test]
    fn a_charge_is_taken_back_unless_somebody_charged_since() {
        let table = LimitTable::new(256);
        let rate = Rate { interval_ns: 1_000, depth_ns: 10_000, debt_ns: 0 };
        assert!(!table.take_back(7, 1_000, 1_000, 10), "there is no bucket");
        assert!(matches!(table.charge(7, rate, 10), Some(Ok(1_000))));
        assert!(matches!(table.charge_cost(7, rate, 4_000, 10), Some(Ok(5_000))));
        assert!(table.take_back(7, 5_000, 4_000, 10));
        assert_eq!(table.peek(7, 10), Some(1_010));
        assert!(matches!(table.charge_cost(7, rate, 4_000, 10), Some(Ok(5_000))));
        assert!(matches!(table.charge(7, rate, 10), Some(Ok(6_000))));
        assert!(table.take_back(7, 5_000, 4_000, 10));
        assert_eq!(table.peek(7, 10), Some(6_010), "nobody is let through for what another was charged");
    }

    #[test]
    fn a_new_key_finds_a_place_where_peek_says_so() {
        let table = LimitTable::new(256);
        let rate = Rate { interval_ns: 1_000, depth_ns: 10_000, debt_ns: 0 };
        let mut full = 0;
        for key in (0..2_000).map(mix) {
            let told = table.peek(key, 10).is_some();
            assert_eq!(told, table.charge(key, rate, 10).is_some());
            full += usize::from(!told);
        }
        assert!(full > 1_000);
    }

    #[test]
    fn a_full_table_takes_no_new_key_until_one_is_idle() {
        let table = LimitTable::new(256);
        let rate = Rate { interval_ns: 1_000, depth_ns: 10_000, debt_ns: 0 };
        let taken = (0..2_000u64).filter(|k| table.charge(mix(*k), rate, 10).is_some()).count();
        assert!((256..=512).contains(&taken), "took {taken}");
        assert_eq!(table.live(10), taken as u64);
        assert_eq!(table.live(2_000), 0);
        assert!(table.charge(mix(5_000), rate, 2_000).is_some());
    }

    #[test]
    fn a_table_of_the_default_size_takes_nearly_all_its_keys() {
        let table = LimitTable::new(100_000);
        let rate = Rate { interval_ns: 1_000, depth_ns: 10_000, debt_ns: 0 };
        let first_refused = (0..110_000u64).position(|k| table.charge(mix(k), rate, 10).is_none());
        assert!(first_refused.is_some_and(|n| n > 90_000), "first refused at {first_refused:?}");
    }

    #[test]
    fn resizing_keeps_live_entries() {
        let table = LimitTable::new(1_000);
        let rate = Rate { interval_ns: 1_000_000, depth_ns: 1_000_000, debt_ns: 0 };
        assert!(matches!(table.charge(9, rate, 10), Some(Ok(_))));
        table.resize(5_000, 20);
        assert!(matches!(table.charge(9, rate, 30), Some(Err(_))));
        table.resize(500, 40);
        assert!(matches!(table.charge(9, rate, 50), Some(Err(_))));
    }

    #[test]
    fn a_slower_rate_of_the_past_is_cut_to_one_burst() {
        let tat = AtomicU64::new(3_600_000_000_000);
        let rate = Rate { interval_ns: 1_000, depth_ns: 2_000, debt_ns: 0 };
        assert_eq!(rate.charge(&tat, 0), Err(2_000));
        assert_eq!(rate.charge(&tat, 999), Err(1_001));
        assert_eq!(rate.charge(&tat, 1_000), Ok(2_000), "and waits no longer than for that");
        assert_eq!(rate.charge(&tat, 500), Err(2_000), "a request that looked at the clock before that");
        assert_eq!(rate.charge(&tat, 1_999), Err(1_001), "takes nothing back");
    }

    #[test]
    fn what_is_owed_is_waited_for_up_to_a_bound() {
        let rate = Rate { interval_ns: 1_000, depth_ns: 2_000, debt_ns: 20_000 };
        let tat = AtomicU64::new(0);
        rate.owe(&tat, 5_000, 10);
        assert_eq!(rate.charge(&tat, 10), Err(5_000));
        assert_eq!(rate.charge(&tat, 4_009), Err(1_001));
        assert_eq!(rate.charge(&tat, 4_010), Ok(2_000));
        rate.owe(&tat, u64::MAX, 4_010);
        assert_eq!(rate.charge(&tat, 4_010), Err(22_000), "no more than that is owed");
        let table = LimitTable::new(256);
        assert!(table.owe(7, rate, 5_000, 10), "a bucket that is full has none");
        assert!(matches!(table.charge(7, rate, 10), Some(Err(5_000))));
        assert!(table.owe(7, rate, 1_000, 10));
        assert!(matches!(table.charge(7, rate, 10), Some(Err(6_000))));
    }
}
