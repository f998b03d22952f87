//! Use, by quota and key, for the whole process: what is counted in memory, and what of it is still to be written.
//!
//! An entry is never dropped before its period ends. When there is no place for another, further keys of a quota share one
//! entry, which stays theirs until its period ends, so that nobody who has used it up gets a fresh one in between.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::disk::Disk;
use super::entry::{Entry, Id, Names, Place};
use super::known::Known;
use super::period::Span;
use super::warnings::Warnings;
use crate::shared::Counter;

const SHARDS: usize = 64;
/// Keys before the first configuration says otherwise.
const DEFAULT_KEYS: usize = 100_000;
/// How long use may be unwritten before `state_loss` says what happens, milliseconds.
pub const PATIENCE_MS: u64 = 10_000;

#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) entries: HashMap<Id, Entry>,
    /// Entries with something to write.
    pub(super) dirty: HashSet<Id>,
}

impl Shard {
    fn note(&mut self, id: Id) {
        self.dirty.insert(id);
    }
}

/// All use of the process.
#[derive(Debug)]
pub struct Book {
    pub(super) shards: [Mutex<Shard>; SHARDS],
    pub(super) held: AtomicUsize,
    /// Of them, by quota.
    pub(super) by_quota: Mutex<HashMap<Names, usize>>,
    keys: AtomicUsize,
    /// Requests that were charged to a shared entry.
    pub overflowed: Counter,
    /// Whether somebody tells of what instances share.
    pub(super) served: AtomicBool,
    pub(super) warnings: Mutex<Warnings>,
    pub(super) swept_from: Mutex<Option<Instant>>,
    pub(super) known: Mutex<BTreeMap<Names, Known>>,
    pub(super) disk: Mutex<Option<(PathBuf, Arc<Disk>)>>,
    /// Since when something is unwritten, milliseconds of the monotonic clock; 0 where nothing is.
    pub(super) unwritten_ms: AtomicU64,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            held: AtomicUsize::new(0),
            by_quota: Mutex::default(),
            keys: AtomicUsize::new(DEFAULT_KEYS),
            overflowed: Counter::default(),
            served: AtomicBool::new(false),
            warnings: Mutex::default(),
            swept_from: Mutex::default(),
            known: Mutex::default(),
            disk: Mutex::default(),
            unwritten_ms: AtomicU64::new(0),
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    pub(super) fn shard(&self, id: Id) -> MutexGuard<'_, Shard> {
        let [first, ..] = id.to_le_bytes();
        let at = usize::from(first) % SHARDS;
        #[expect(clippy::indexing_slicing, reason = "a remainder is below its divisor")]
        lock(&self.shards[at])
    }

    /// Changes the bound; nothing that is held is dropped.
    pub fn set_keys(&self, keys: u32) {
        self.keys.store(usize::try_from(keys).unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Keys that are held, and for how many there is room.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.held.load(Ordering::Relaxed), self.keys.load(Ordering::Relaxed))
    }

    /// Use of a place in a period, charging nothing.
    #[must_use]
    pub fn used(&self, place: &Place<'_>, span: Span) -> u64 {
        // The shared one counts for new keys once there was no place for one of them.
        self.used_by(place.id, span).or_else(|| self.used_by(place.others, span)).unwrap_or(0)
    }

    fn used_by(&self, id: Id, span: Span) -> Option<u64> {
        let mut shard = self.shard(id);
        let entry = shard.entries.get_mut(&id)?;
        entry.enter(span);
        Some(entry.used)
    }

    /// Charges a place: what is used then, or the use where it does not fit. `who` says for people what the key is, and whose.
    pub fn charge(
        &self,
        place: &Place<'_>,
        span: Span,
        cost: u64,
        amount: u64,
        who: impl FnOnce() -> (Box<str>, Box<str>),
    ) -> Result<u64, u64> {
        if let Some(result) = self.charge_held(place.id, span, cost, amount) {
            return result;
        }
        if cost == 0 {
            return Ok(self.used(place, span));
        }
        let shared = self.used_by(place.others, span).is_some_and(|used| used > 0);
        let (id, (by, whose)) = if shared || !self.has_place(place.names) {
            self.overflowed.increment();
            (place.others, ("others".into(), "all who found no place".into()))
        } else {
            (place.id, who())
        };
        let mut shard = self.shard(id);
        if !shard.entries.contains_key(&id) && id != place.others {
            self.hold(place.names);
        }
        let fresh =
            || Entry { names: place.names.clone(), by, whose, span, used: 0, pending: 0, kept: place.kept, others: Vec::new() };
        let entry = shard.entries.entry(id).or_insert_with(fresh);
        let result = entry.charge(span, cost, amount);
        if result.is_ok() && place.kept {
            shard.note(id);
        }
        result
    }

    /// What is used of a quota that instances share: counted on from there while they cannot. Without a place it is not known.
    pub fn learn(&self, place: &Place<'_>, span: Span, used: u64, who: impl FnOnce() -> (Box<str>, Box<str>)) {
        let mut shard = self.shard(place.id);
        match shard.entries.get_mut(&place.id) {
            Some(entry) => {
                entry.enter(span);
                entry.used = used;
            }
            None if self.has_place(place.names) => {
                self.hold(place.names);
                let (by, whose) = who();
                let entry =
                    Entry { names: place.names.clone(), by, whose, span, used, pending: 0, kept: false, others: Vec::new() };
                shard.entries.insert(place.id, entry);
            }
            None => {}
        }
    }

    fn charge_held(&self, id: Id, span: Span, cost: u64, amount: u64) -> Option<Result<u64, u64>> {
        let mut shard = self.shard(id);
        let entry = shard.entries.get_mut(&id)?;
        entry.enter(span);
        let result = entry.charge(span, cost, amount);
        if result.is_ok() && cost > 0 && entry.kept {
            shard.note(id);
        }
        Some(result)
    }

    /// Whether one more key of a quota may be held: half of the places are for whoever comes first, the others for quotas that
    /// have less than their share. So the keys of one, which may be header fields of anybody, do not take the places of all
    /// others. Requests that ask at once may each hold one more.
    fn has_place(&self, names: &Names) -> bool {
        let (held, keys) = self.size();
        let own = || lock(&self.by_quota).get(names).copied().unwrap_or(0);
        held < keys && (held < keys / 2 || own() < (keys / lock(&self.known).len().max(1)).max(1))
    }

    pub(super) fn hold(&self, names: &Names) {
        self.held.fetch_add(1, Ordering::Relaxed);
        let mut all = lock(&self.by_quota);
        let own = all.entry(names.clone()).or_default();
        *own = own.saturating_add(1);
    }

    /// Gives back what was charged just now.
    pub fn give_back(&self, place: &Place<'_>, span: Span, cost: u64) {
        for id in [place.id, place.others] {
            let mut shard = self.shard(id);
            if let Some(entry) = shard.entries.get_mut(&id) {
                // Another request may have gone over to another period meanwhile.
                entry.enter(span);
                entry.used = entry.used.saturating_sub(cost);
                if entry.kept {
                    entry.pending = entry.pending.saturating_sub_unsigned(cost);
                    shard.note(id);
                }
                return;
            }
        }
    }

    /// Forgets everything: for tools, which ask each question as if it were the first.
    pub fn forget(&self) {
        if self.held.swap(0, Ordering::Relaxed) > 0 {
            self.shards.iter().for_each(|shard| *lock(shard) = Shard::default());
            lock(&self.by_quota).clear();
        }
    }

    /// All entries of this instance whose period has not ended.
    #[must_use]
    pub fn entries(&self, now_s: u64) -> Vec<(Id, Entry)> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            found.extend(
                shard.entries.iter().filter(|(_, entry)| entry.kept && entry.span.end_s > now_s).map(|(id, e)| (*id, e.clone())),
            );
        }
        found
    }
}
