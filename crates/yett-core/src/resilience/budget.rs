//! How many requests of a service may be tried again: a share of those of the last ten seconds.
//!
//! When a service fails altogether, retries would multiply what it gets; the budget bounds them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds that are looked back on.
const WINDOW: u64 = 10;
/// Retries that the window has room for where there are few requests: 3 a second.
const FLOOR: u64 = 3 * WINDOW;
const SECOND: u64 = 1_000_000_000;

/// A count for each of the last seconds; each slot holds its second and its count.
#[derive(Debug, Default)]
struct Window([AtomicU64; WINDOW as usize]);

impl Window {
    fn add(&self, second: u64) {
        let Some(slot) = self.0.get((second % WINDOW) as usize) else { return };
        let stamp = second << 32;
        let more = |seen: u64| Some(if seen & !0xffff_ffff == stamp { seen.saturating_add(1) } else { stamp | 1 });
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    fn sum(&self, second: u64) -> u64 {
        let recent = |seen: &u64| (seen >> 32) + WINDOW > second;
        self.0.iter().map(|slot| slot.load(Ordering::Relaxed)).filter(recent).map(|seen| seen & 0xffff_ffff).sum()
    }
}

/// The budget of one service, for the whole process.
#[derive(Debug, Default)]
pub struct Budget {
    requests: Window,
    retries: Window,
}

impl Budget {
    /// Counts a request; not for its retries.
    pub fn request(&self, now: u64) {
        self.requests.add(now / SECOND);
    }

    /// Takes one retry, if `share` (parts of 10,000 of the requests) has one left.
    #[must_use]
    pub fn take(&self, now: u64, share: u32) -> bool {
        let second = now / SECOND;
        let most = FLOOR.max(self.requests.sum(second).saturating_mul(u64::from(share)) / 10_000);
        if self.retries.sum(second) >= most {
            return false;
        }
        self.retries.add(second);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, FLOOR, SECOND};

    fn taken(budget: &Budget, now: u64) -> usize {
        (0..100_000).take_while(|_| budget.take(now, 2_000)).count()
    }

    #[test]
    fn a_share_of_the_last_seconds_and_never_less_than_the_floor() {
        let budget = Budget::default();
        let start = 7 * SECOND;
        assert_eq!(taken(&budget, start), FLOOR as usize);
        for second in 0..10 {
            (0..100).for_each(|_| budget.request(start + second * SECOND));
        }
        let now = start + 9 * SECOND;
        assert_eq!(taken(&budget, now), 200 - FLOOR as usize);
        assert_eq!(taken(&budget, now + 9 * SECOND), 0, "retries of nine seconds ago still count");
        assert_eq!(taken(&budget, now + 10 * SECOND), FLOOR as usize);
        assert_eq!(taken(&budget, now + 1_000 * SECOND), FLOOR as usize);
    }
}
