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
/// Proofs of one address, or IPv6 network of 64 bits, that count at once: the oldest gives way.
pub const EACH: usize = 8;
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
    /// When it is not needed any more where another one took its place.
    ends_ms: u64,
    /// Attempts that it was used for.
    used: u32,
}

/// What is known of a proof that is signed.
#[derive(Debug, Clone, Copy)]
pub struct Proven {
    /// Of its challenge.
    pub nonce: Nonce,
    /// Whose it is: a keyed hash of the address, or of its IPv6 network of 64 bits.
    pub address: u64,
    /// When neither it nor its challenge counts any more, milliseconds since 1970.
    pub until_ms: u64,
    /// How long it has to be remembered where another one of its address takes its place: as long as somebody could use it again.
    pub ends_ms: u64,
}

#[derive(Debug, Default)]
struct Table {
    all: HashMap<Nonce, Proof>,
    /// Those of each address that count, the oldest first.
    of_addresses: HashMap<u64, Vec<Nonce>>,
}

impl Table {
    fn add(&mut self, one: &Proven, used: u32, now_ms: u64) {
        let Self { all, of_addresses } = self;
        let own = of_addresses.entry(one.address).or_default();
        own.retain(|nonce| all.get(nonce).is_some_and(|proof| proof.until_ms > now_ms));
        if own.len() >= EACH {
            let oldest = own.remove(0);
            if let Some(proof) = all.get_mut(&oldest) {
                (proof.used, proof.until_ms) = (u32::MAX, proof.ends_ms);
            }
        }
        own.push(one.nonce);
        all.insert(one.nonce, Proof { until_ms: one.until_ms, ends_ms: one.ends_ms, used });
    }

    fn sweep(&mut self, now_ms: u64) {
        let Self { all, of_addresses } = self;
        all.retain(|_, proof| proof.until_ms >= now_ms);
        of_addresses.retain(|_, own| {
            own.retain(|nonce| all.contains_key(nonce));
            !own.is_empty()
        });
    }
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
    table: Mutex<Table>,
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
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Takes a solution: its nonce is remembered until then.
    pub fn enter(&self, one: &Proven, now_ms: u64) -> Entered {
        let mut table = self.lock();
        if table.all.contains_key(&one.nonce) {
            return Entered::Again;
        }
        if !self.has_room(&mut table, now_ms) {
            return Entered::Full;
        }
        table.add(one, 0, now_ms);
        self.solved.increment();
        Entered::New
    }

    /// Whether a proof that is signed and still lasts is good for one of so many attempts, which it is charged where `spend` says so.
    /// One that is not known here counts only where it may be of another instance, with the same key.
    pub fn is_good(&self, one: &Proven, attempts: u32, spend: bool, elsewhere: bool, now_ms: u64) -> bool {
        let mut table = self.lock();
        if let Some(proof) = table.all.get_mut(&one.nonce) {
            let good = proof.used < attempts;
            proof.used = proof.used.saturating_add(u32::from(spend));
            return good;
        }
        if !elsewhere || !spend {
            return elsewhere;
        }
        if !self.has_room(&mut table, now_ms) {
            return false;
        }
        table.add(one, 1, now_ms);
        true
    }

    fn has_room(&self, table: &mut Table, now_ms: u64) -> bool {
        if table.all.len() < PROOFS {
            return true;
        }
        // Once a second: whoever fills it has everybody wait for each look through all of it.
        let swept = self.swept_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(swept) >= 1_000 {
            self.swept_ms.store(now_ms, Ordering::Relaxed);
            table.sweep(now_ms);
        }
        if table.all.len() >= PROOFS {
            self.without_room.increment();
        }
        table.all.len() < PROOFS
    }

    /// How many there are, those that are over but not thrown away included.
    #[must_use]
    pub fn held(&self) -> usize {
        self.lock().all.len()
    }

    /// Forgets all of them.
    pub fn forget(&self) {
        *self.lock() = Table::default();
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
    use super::{CHALLENGES, EACH, Entered, May, OF_ADDRESS, PROOFS, Proofs, Proven, SLOTS};
    use crate::filters::login_guard::altcha::Nonce;

    fn nonce(number: usize) -> Nonce {
        (number as u128).to_be_bytes()
    }

    /// Of an address of its own.
    fn one(number: usize) -> Proven {
        Proven { nonce: nonce(number), address: number as u64, until_ms: 9_000, ends_ms: 9_000 }
    }

    #[test]
    fn a_nonce_counts_once_and_for_so_many_attempts() {
        let (proofs, one) = (Proofs::default(), one(1));
        let good = |attempts, spend| proofs.is_good(&one, attempts, spend, false, 2_000);
        assert!(!good(2, false) && !good(2, true), "it is not known, and nobody else signs with this key");
        assert_eq!([(); 2].map(|()| proofs.enter(&one, 1_000)), [Entered::New, Entered::Again]);
        assert!(good(2, false), "to ask costs nothing");
        assert!(good(2, true) && !good(1, true), "the bound is that of now, and what was used counts");
        assert!(!good(2, true) && !good(2, false));
        assert_eq!(proofs.enter(&one, 8_999), Entered::Again, "nor when it is spent");
        assert_eq!(proofs.solved.get(), 1);
    }

    #[test]
    fn one_of_another_instance_is_counted_from_its_first_attempt_on() {
        let (proofs, one) = (Proofs::default(), one(1));
        let good = |spend| proofs.is_good(&one, 1, spend, true, 1_000);
        assert!(good(false) && good(true) && !good(true));
        assert_eq!(proofs.enter(&one, 1_000), Entered::Again);
    }

    #[test]
    fn the_oldest_of_an_address_gives_way_and_cannot_be_entered_again() {
        let proofs = Proofs::default();
        let own = |number| Proven { address: 7, until_ms: 90_000, ends_ms: 5_000, ..one(number) };
        let good = |number, now_ms| proofs.is_good(&own(number), 9, true, false, now_ms);
        for number in 0..EACH {
            assert_eq!(proofs.enter(&own(number), 1_000), Entered::New);
        }
        assert_eq!(proofs.enter(&one(100), 1_000), Entered::New, "another address has its own");
        assert!(good(0, 2_000) && good(1, 2_000));
        assert_eq!(proofs.enter(&own(EACH), 2_000), Entered::New);
        assert!(!good(0, 2_000) && good(1, 2_000) && good(EACH, 2_000));
        assert_eq!(proofs.enter(&own(0), 4_999), Entered::Again);
        assert!(!good(0, 6_000), "nor does it count when it is forgotten");
    }

    #[test]
    fn where_it_is_full_nothing_new_counts_until_some_are_over() {
        let proofs = Proofs::default();
        for number in 0..PROOFS {
            assert_eq!(proofs.enter(&one(number), 1_000), Entered::New);
        }
        let late = Proven { until_ms: 20_000, ends_ms: 20_000, ..one(PROOFS) };
        assert_eq!(proofs.enter(&late, 1_000), Entered::Full);
        assert!(!proofs.is_good(&late, 1, true, true, 1_000), "nor what another instance took");
        assert!(proofs.is_good(&one(7), 1, true, true, 1_000), "what was entered does");
        assert_eq!(proofs.may_make(1, 1_000), May::NotNow, "nobody is asked for what would not count");
        assert_eq!((proofs.held(), proofs.without_room.get()), (PROOFS, 3));
        assert_eq!(proofs.enter(&late, 9_001), Entered::New);
        assert_eq!((proofs.held(), proofs.lock().of_addresses.len()), (1, 1));
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
