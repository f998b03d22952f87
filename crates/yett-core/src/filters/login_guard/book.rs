//! What guarded logins count, by keyed hash: attempts that failed, accounts, successes. One bounded table for the process.
//!
//! Counts fade: in one window to a third (1/e). A place that has faded may be taken by another key. Where there is none,
//! the key that did least gives way; those that are suspected never do before they have faded, so nobody gets rid of what is
//! known of him by filling the table. A key that finds no place shares an entry with all others of its kind.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::filters::limit_table::mix;
use crate::shared::Counter;

const SHARDS: usize = 64;
const WAYS: usize = 8;
/// Failures or accounts from which on an entry stays until it has faded.
const SUSPECTED: f32 = 4.0;
/// Below this an entry says nothing.
const FADED: f32 = 0.2;
/// Bits of a set of accounts that may be taken before it begins anew.
const FULL: u32 = 32;

/// What is known of one key.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entry {
    key: u64,
    /// When it was changed last, milliseconds; after the window has passed thrice nothing is left of it.
    at_ms: u64,
    window_ms: u64,
    /// Attempts that failed, or are not answered yet.
    pub failed: f32,
    /// Accounts of those.
    pub accounts: f32,
    /// Accounts that succeeded.
    pub good: f32,
    failed_for: u64,
    good_for: u64,
}

impl Entry {
    fn fade(&mut self, window_ms: u64, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.at_ms);
        self.window_ms = window_ms.max(1);
        if passed == 0 {
            return;
        }
        self.at_ms = now_ms;
        let left = left(passed, self.window_ms);
        self.failed *= left;
        self.accounts *= left;
        self.good *= left;
        if self.failed.max(self.accounts) < FADED {
            self.failed_for = 0;
        }
        if self.good < FADED {
            self.good_for = 0;
        }
    }

    /// How much it matters: what faded most goes first.
    fn weight(&self, now_ms: u64) -> f32 {
        let passed = now_ms.saturating_sub(self.at_ms);
        self.failed.max(self.accounts).max(self.good * 0.5) * left(passed, self.window_ms.max(1))
    }

    /// Takes so much back, and no more than there is; how much that was.
    pub fn take_back(&mut self, failed: f32, accounts: f32) -> (f32, f32) {
        let taken = (self.failed.min(failed).max(0.0), self.accounts.min(accounts).max(0.0));
        self.failed -= taken.0;
        self.accounts -= taken.1;
        taken
    }

    /// Counts an account that failed; whether it was not among them.
    pub fn fail_for(&mut self, account: u64) -> bool {
        let new = among(&mut self.failed_for, account);
        if new {
            self.accounts += 1.0;
        }
        new
    }

    /// Takes back an account that was not among them: when it fails again, it counts again.
    pub fn take_back_for(&mut self, account: u64) {
        self.failed_for &= !place_of(account);
        self.take_back(0.0, 1.0);
    }

    /// Counts an account that succeeded.
    pub fn succeed_for(&mut self, account: u64) {
        if among(&mut self.good_for, account) {
            self.good += 1.0;
        }
    }
}

/// The part that is left after a time.
pub fn left(passed_ms: u64, window_ms: u64) -> f32 {
    (-(passed_ms as f32) / window_ms.max(1) as f32).exp()
}

fn place_of(one: u64) -> u64 {
    1_u64 << (mix(one) & 63)
}

/// Puts it into a small set; whether it is new there.
fn among(set: &mut u64, one: u64) -> bool {
    let bit = place_of(one);
    if *set & bit != 0 {
        return false;
    }
    if set.count_ones() >= FULL {
        *set = 0;
    }
    *set |= bit;
    true
}

#[derive(Debug, Default)]
struct Shard {
    groups: Vec<[Entry; WAYS]>,
}

impl Shard {
    fn group(&mut self, key: u64) -> Option<&mut [Entry; WAYS]> {
        let count = self.groups.len() as u64;
        let at = usize::try_from(((key >> 32) * count) >> 32).ok()?;
        self.groups.get_mut(at)
    }

    fn place(&mut self, key: u64, now_ms: u64) -> Option<&mut Entry> {
        let group = self.group(key)?;
        if let Some(found) = group.iter().position(|entry| entry.key == key) {
            return group.get_mut(found);
        }
        let weights = group.iter().enumerate().map(|(at, entry)| (at, entry.weight(now_ms)));
        let (least, weight) = weights.min_by(|(_, one), (_, other)| one.total_cmp(other))?;
        if weight >= SUSPECTED {
            return None;
        }
        let entry = group.get_mut(least)?;
        *entry = Entry { key, at_ms: now_ms, ..Entry::default() };
        Some(entry)
    }
}

/// All that guarded logins count.
#[derive(Debug)]
pub struct Book {
    shards: [Mutex<Shard>; SHARDS],
    /// Shared by keys without a place; as many as there are guards and kinds of keys.
    others: Mutex<HashMap<u64, Entry>>,
    /// Attempts that were counted there.
    pub overflowed: Counter,
}

impl Default for Book {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), others: Mutex::default(), overflowed: Counter::default() }
    }
}

/// A key, and the one that is shared where it finds no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its own.
    pub own: u64,
    /// That of its guard and kind.
    pub others: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    /// Room for so many keys, a third more places; 56 bytes each. What is there is forgotten where the size changes.
    pub fn set_keys(&self, keys: u32) {
        let groups = usize::try_from(u64::from(keys) * 4 / 3).unwrap_or(usize::MAX).div_ceil(SHARDS * WAYS);
        for shard in &self.shards {
            let mut shard = lock(shard);
            if shard.groups.len() != groups {
                shard.groups = vec![[Entry::default(); WAYS]; groups];
            }
        }
    }

    /// Forgets everything.
    pub fn forget(&self) {
        for shard in &self.shards {
            lock(shard).groups.iter_mut().for_each(|group| *group = Default::default());
        }
        lock(&self.others).clear();
    }

    /// Does something with what is known of a key, faded to this moment, and says whether that is shared with others.
    pub fn with<R>(&self, key: Key, window_ms: u64, now_ms: u64, work: impl FnOnce(&mut Entry, bool) -> R) -> R {
        // 0 is nobody's.
        let own = mix(key.own).max(1);
        if let Some(shard) = self.shard(own) {
            let mut shard = lock(shard);
            if let Some(entry) = shard.place(own, now_ms) {
                entry.fade(window_ms, now_ms);
                return work(entry, false);
            }
        }
        self.overflowed.increment();
        let mut others = lock(&self.others);
        let entry = others.entry(key.others).or_default();
        entry.fade(window_ms, now_ms);
        work(entry, true)
    }

    /// Accounts, attempts that failed and successes of a key, faded to this moment; nobody gives way to it.
    #[must_use]
    pub fn look(&self, own: u64, now_ms: u64) -> [f32; 3] {
        let own = mix(own).max(1);
        let Some(shard) = self.shard(own) else { return [0.0; 3] };
        let mut shard = lock(shard);
        let Some(entry) = shard.group(own).and_then(|group| group.iter().find(|entry| entry.key == own)) else { return [0.0; 3] };
        let left = left(now_ms.saturating_sub(entry.at_ms), entry.window_ms);
        [entry.accounts, entry.failed, entry.good].map(|count| count * left)
    }

    /// Forgets a key.
    pub fn remove(&self, own: u64) {
        let own = mix(own).max(1);
        let Some(shard) = self.shard(own) else { return };
        for group in &mut lock(shard).groups {
            for entry in group.iter_mut().filter(|entry| entry.key == own) {
                *entry = Entry::default();
            }
        }
    }

    /// Entries that say something now, and how many there is room for. Walks the table: for scrapes.
    #[must_use]
    pub fn size(&self, now_ms: u64) -> (u64, u64) {
        let (mut held, mut room) = (0, 0);
        for shard in &self.shards {
            let shard = lock(shard);
            room += (shard.groups.len() * WAYS) as u64;
            held += shard.groups.iter().flatten().filter(|entry| entry.key != 0 && entry.weight(now_ms) >= FADED).count() as u64;
        }
        (held, room)
    }

    fn shard(&self, own: u64) -> Option<&Mutex<Shard>> {
        self.shards.get(usize::try_from(own % SHARDS as u64).ok()?)
    }
}

/// Pairs, each with the moment of its last success.
type Successes = [(u64, u64); WAYS];

/// From which addresses which accounts have succeeded: what was longest ago gives way.
#[derive(Debug)]
pub struct Known {
    shards: [Mutex<Vec<Successes>>; SHARDS],
}

/// How long a success counts, milliseconds.
const KNOWN_MS: u64 = 30 * 86_400_000;

impl Default for Known {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Known {
    /// Room for so many, a third more places; 16 bytes each.
    pub fn set_keys(&self, keys: u32) {
        let groups = usize::try_from(u64::from(keys) * 4 / 3).unwrap_or(usize::MAX).div_ceil(SHARDS * WAYS);
        for shard in &self.shards {
            let mut shard = lock(shard);
            if shard.len() != groups {
                *shard = vec![[(0, 0); WAYS]; groups];
            }
        }
    }

    /// Forgets everything.
    pub fn forget(&self) {
        self.shards.iter().for_each(|shard| lock(shard).iter_mut().for_each(|group| *group = Default::default()));
    }

    /// Whether this pair has succeeded.
    #[must_use]
    pub fn has(&self, pair: u64, now_ms: u64) -> bool {
        let pair = mix(pair).max(1);
        self.group(pair, |group| group.iter().any(|(key, at_ms)| *key == pair && now_ms.saturating_sub(*at_ms) < KNOWN_MS))
            .unwrap_or(false)
    }

    /// Remembers that it has.
    pub fn add(&self, pair: u64, now_ms: u64) {
        let pair = mix(pair).max(1);
        self.group(pair, |group| {
            let at = group.iter().position(|(key, _)| *key == pair);
            let at = at.or_else(|| group.iter().enumerate().min_by_key(|(_, (_, at_ms))| *at_ms).map(|(at, _)| at));
            if let Some(place) = at.and_then(|at| group.get_mut(at)) {
                *place = (pair, now_ms);
            }
        });
    }

    fn group<R>(&self, pair: u64, work: impl FnOnce(&mut Successes) -> R) -> Option<R> {
        let mut shard = lock(self.shards.get(usize::try_from(pair % SHARDS as u64).ok()?)?);
        let count = shard.len() as u64;
        let at = usize::try_from(((pair >> 32) * count) >> 32).ok()?;
        shard.get_mut(at).map(work)
    }
}

#[cfg(test)]
mod tests {
    use super::{Book, Key, Known};

    const MINUTE: u64 = 60_000;

    fn key(own: u64) -> Key {
        Key { own, others: 1 }
    }

    #[test]
    fn counts_fade_to_a_third_in_a_window_and_to_nothing() {
        let book = Book::default();
        book.set_keys(1_000);
        for _ in 0..9 {
            book.with(key(7), 10 * MINUTE, 1, |entry, shared| {
                assert!(!shared);
                entry.failed += 1.0;
            });
        }
        let later = |ms| book.with(key(7), 10 * MINUTE, 1 + ms, |entry, _| entry.failed);
        assert!((3.0..3.5).contains(&later(10 * MINUTE)));
        assert!((1.1..1.3).contains(&later(20 * MINUTE)));
        assert!(later(100 * MINUTE) < 0.01);
        assert_eq!(book.size(1 + 200 * MINUTE).0, 0);
    }

    #[test]
    fn a_flood_of_strangers_frees_nobody_who_is_suspected() {
        let book = Book::default();
        book.set_keys(1_000);
        for suspect in 0..100 {
            book.with(key(suspect), MINUTE, 1, |entry, _| entry.failed = 6.0);
        }
        for stranger in 1_000..50_000 {
            book.with(key(stranger), MINUTE, 2, |entry, _| entry.failed += 1.0);
        }
        for suspect in 0..100 {
            assert!(book.with(key(suspect), MINUTE, 3, |entry, shared| !shared && entry.failed > 5.0), "{suspect}");
        }
        assert!(book.size(3).0 <= book.size(3).1);
    }

    #[test]
    fn where_all_places_are_suspects_the_others_share_one() {
        let book = Book::default();
        book.set_keys(1);
        for suspect in 0..50_000 {
            book.with(key(suspect), MINUTE, 1, |entry, _| entry.failed += 5.0);
        }
        assert!(book.with(key(99_999), MINUTE, 2, |entry, shared| shared && entry.failed > 1_000.0));
        assert!(book.overflowed.get() > 40_000);
        book.forget();
        assert!(book.with(key(99_999), MINUTE, 2, |entry, shared| !shared && entry.failed < 1.0));
    }

    #[test]
    fn accounts_are_counted_once() {
        let book = Book::default();
        book.set_keys(100);
        book.with(key(1), MINUTE, 1, |entry, _| {
            assert!(entry.fail_for(1) && !entry.fail_for(1));
            for account in 0..20 {
                entry.fail_for(account);
                entry.succeed_for(account);
            }
            assert!((12.0..=20.0).contains(&entry.accounts) && (12.0..=20.0).contains(&entry.good));
            for account in 0..5_000 {
                entry.fail_for(account);
            }
            assert!(entry.accounts > 1_000.0, "a set that is full does not end the count");
        });
    }

    #[test]
    fn what_succeeded_is_remembered_and_the_oldest_gives_way() {
        let known = Known::default();
        known.set_keys(100);
        known.add(5, 1);
        assert!(known.has(5, 2) && !known.has(6, 2) && !known.has(5, 1 + super::KNOWN_MS));
        known.add(9, 1_000);
        for pair in 100..110 {
            known.add(pair, 2_000);
        }
        assert!((100..110).all(|pair| known.has(pair, 3_000)));
        let empty = Known::default();
        empty.add(1, 1);
        assert!(!empty.has(1, 1));
    }
}
