//! Work that was done, by the nonce of its challenge: each counts once, and for so many attempts. One bounded table for the
//! process; where it is full, nothing new counts, and nobody is asked for work.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::altcha::Nonce;
use crate::shared::Counter;

/// Proofs at once.
pub const PROOFS: usize = 50_000;
/// Challenges that are made in a second at most: each takes a derivation, a third of a millisecond.
pub const CHALLENGES: u32 = 200;

/// Challenges that one address, or IPv6 network of 64 bits, is given in a [`PERIOD_MS`].
pub const OF_ADDRESS: u32 = 5;
/// Ten seconds.
const PERIOD_MS: u64 = 10_000;
/// Counts of addresses; those that meet in one share it.
const SLOTS: usize = 8_192;

/// Whether a challenge may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// It may.
    Make,
    /// Its address has had enough for the moment.
    NotHere,
    /// All have, or there is no room for what would come of it.
    NotNow,
}

#[derive(Debug)]
struct Proof {
    /// When neither it nor its challenge counts any more, milliseconds since 1970.
    until_ms: u64,
    /// Attempts that it is good for.
    left: u32,
}

/// What became of a solution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// It counts from now on.
    New,
    /// It was used before.
    Again,
    /// There is no room for another one.
    Full,
}

/// All of the process.
#[derive(Debug, Default)]
pub struct Proofs {
    all: Mutex<HashMap<Nonce, Proof>>,
    /// When it was last looked through for room.
    swept_ms: AtomicU64,
    /// The second in which challenges were made last, and how many, in the lower half.
    made: AtomicU64,
    /// The same for each address, and ten seconds.
    of_addresses: OnceLock<Box<[AtomicU64]>>,
    /// Solutions that counted, since start.
    pub solved: Counter,
    /// Those that did not, for want of room.
    pub without_room: Counter,
}

impl Proofs {
    fn lock(&self) -> MutexGuard<'_, HashMap<Nonce, Proof>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another challenge may be made at this time, for this address (a keyed hash of it): it is counted then.
    pub fn may_make(&self, address: u64, now_ms: u64) -> May {
        let slots = self.of_addresses.get_or_init(|| (0..SLOTS).map(|_| AtomicU64::new(0)).collect());
        let slot = usize::try_from(address % SLOTS as u64).ok().and_then(|at| slots.get(at));
        if slot.is_none_or(|slot| !one_more(slot, OF_ADDRESS, now_ms / PERIOD_MS)) {
            return May::NotHere;
        }
        let room = self.has_room(&mut self.lock(), now_ms);
        if room && one_more(&self.made, CHALLENGES, now_ms / 1_000) { May::Make } else { May::NotNow }
    }

    /// Takes a solution: it is good for so many attempts, and its nonce is remembered until then.
    pub fn enter(&self, nonce: Nonce, until_ms: u64, attempts: u32, now_ms: u64) -> Entered {
        let mut all = self.lock();
        if all.contains_key(&nonce) {
            return Entered::Again;
        }
        if !self.has_room(&mut all, now_ms) {
            return Entered::Full;
        }
        all.insert(nonce, Proof { until_ms, left: attempts });
        self.solved.increment();
        Entered::New
    }

    /// Whether a proof that is signed and still lasts is good for an attempt, which it is charged where `spend` says so. One
    /// that is not known here was made by an instance with the same key.
    pub fn is_good(&self, nonce: Nonce, until_ms: u64, attempts: u32, spend: bool, now_ms: u64) -> bool {
        let mut all = self.lock();
        if let Some(proof) = all.get_mut(&nonce) {
            let good = proof.left > 0;
            proof.left = proof.left.saturating_sub(u32::from(spend));
            return good;
        }
        if !spend {
            return true;
        }
        if !self.has_room(&mut all, now_ms) {
            return false;
        }
        all.insert(nonce, Proof { until_ms, left: attempts.saturating_sub(1) });
        true
    }

    fn has_room(&self, all: &mut HashMap<Nonce, Proof>, now_ms: u64) -> bool {
        if all.len() < PROOFS {
            return true;
        }
        // Once a second: whoever fills it has everybody wait for each look through all of it.
        let swept = self.swept_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(swept) >= 1_000 {
            self.swept_ms.store(now_ms, Ordering::Relaxed);
            all.retain(|_, proof| proof.until_ms >= now_ms);
        }
        if all.len() >= PROOFS {
            self.without_room.increment();
        }
        all.len() < PROOFS
    }

    /// How many there are, those that are over but not thrown away included.
    #[must_use]
    pub fn held(&self) -> usize {
        self.lock().len()
    }

    /// Forgets all of them.
    pub fn forget(&self) {
        self.lock().clear();
        let counts = self.of_addresses.get().into_iter().flatten().chain([&self.made]);
        counts.for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

/// Counts one more in this period, if there are fewer than so many: the period stands in the upper half.
fn one_more(count: &AtomicU64, most: u32, period: u64) -> bool {
    let period = period & 0xffff_ffff;
    let next = |before: u64| {
        let made = if before >> 32 == period { before & 0xffff_ffff } else { 0 };
        (made < u64::from(most)).then_some((period << 32) | (made + 1))
    };
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{CHALLENGES, Entered, May, OF_ADDRESS, PROOFS, Proofs, SLOTS};
    use crate::filters::login_guard::altcha::Nonce;

    fn nonce(number: usize) -> Nonce {
        (number as u128).to_be_bytes()
    }

    #[test]
    fn a_nonce_counts_once_and_for_so_many_attempts() {
        let proofs = Proofs::default();
        assert_eq!(proofs.enter(nonce(1), 9_000, 2, 1_000), Entered::New);
        assert_eq!(proofs.enter(nonce(1), 9_000, 2, 1_000), Entered::Again);
        assert!(proofs.is_good(nonce(1), 9_000, 2, false, 2_000), "to ask costs nothing");
        assert!(proofs.is_good(nonce(1), 9_000, 2, true, 2_000) && proofs.is_good(nonce(1), 9_000, 2, true, 2_000));
        assert!(!proofs.is_good(nonce(1), 9_000, 2, true, 2_000) && !proofs.is_good(nonce(1), 9_000, 2, false, 2_000));
        assert_eq!(proofs.enter(nonce(1), 9_000, 2, 8_999), Entered::Again, "nor when it is spent");
        assert_eq!(proofs.solved.get(), 1);
    }

    #[test]
    fn one_of_another_instance_is_counted_from_its_first_attempt_on() {
        let proofs = Proofs::default();
        assert!(proofs.is_good(nonce(1), 9_000, 1, true, 1_000) && !proofs.is_good(nonce(1), 9_000, 1, true, 1_000));
        assert_eq!(proofs.enter(nonce(1), 9_000, 2, 1_000), Entered::Again);
    }

    #[test]
    fn where_it_is_full_nothing_new_counts_until_some_are_over() {
        let proofs = Proofs::default();
        for number in 0..PROOFS {
            assert_eq!(proofs.enter(nonce(number), 9_000, 1, 1_000), Entered::New);
        }
        assert_eq!(proofs.enter(nonce(PROOFS), 20_000, 1, 1_000), Entered::Full);
        assert!(!proofs.is_good(nonce(PROOFS), 20_000, 1, true, 1_000), "nor what another instance took");
        assert!(proofs.is_good(nonce(7), 9_000, 1, true, 1_000), "what was entered does");
        assert_eq!(proofs.may_make(1, 1_000), May::NotNow, "nobody is asked for what would not count");
        assert_eq!((proofs.held(), proofs.without_room.get()), (PROOFS, 3));
        assert_eq!(proofs.enter(nonce(PROOFS), 20_000, 1, 9_001), Entered::New);
        assert_eq!(proofs.held(), 1);
    }

    #[test]
    fn challenges_of_a_second_are_bounded() {
        let proofs = Proofs::default();
        let made = |from: u64, now_ms| {
            (from..from + u64::from(CHALLENGES) + 5).filter(|one| proofs.may_make(*one, now_ms) == May::Make).count()
        };
        assert_eq!((made(0, 1_000), made(1_000, 1_999), made(2_000, 2_000)), (CHALLENGES as usize, 0, CHALLENGES as usize));
        assert_eq!(proofs.may_make(5_000, 2_000), May::NotNow);
    }

    #[test]
    fn one_address_does_not_use_up_what_others_need() {
        let proofs = Proofs::default();
        let made = |address, now_ms| (0..100).filter(|_| proofs.may_make(address, now_ms) == May::Make).count();
        assert_eq!([made(7, 1_000), made(7, 9_999), made(8, 9_999), made(7, 10_000)], [OF_ADDRESS as usize, 0, 5, 5]);
        assert_eq!(proofs.may_make(7 + SLOTS as u64, 10_000), May::NotHere, "those that meet in one count share it");
    }
}
