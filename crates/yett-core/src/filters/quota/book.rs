//! Use, by quota and key, for the whole process: what is counted in memory, and what of it is still to be written.
//!
//! An entry is never dropped before its period ends. When there is no place for another, further keys of a quota share one
//! entry, which stays theirs until its period ends, so that nobody who has used it up gets a fresh one in between.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::disk::Disk;
use super::period::Span;
use crate::ir;
use crate::shared::{Counter, Shared};

const SHARDS: usize = 64;
/// Periods of a key that are remembered beside the one that is asked of.
const PERIODS: usize = 3;
/// Keys before the first configuration says otherwise.
const DEFAULT_KEYS: usize = 100_000;
/// Warnings that wait to be logged; the counters have all of them.
const WARNINGS: usize = 1024;
/// How long use may be unwritten before `state_loss` says what happens, milliseconds.
pub const PATIENCE_MS: u64 = 10_000;

/// A quota and whose use it is: the first half of a SHA-256.
pub type Id = u128;

/// A quota: `group:billing`, `per-partner`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Names {
    /// Where it stands.
    pub scope: Arc<str>,
    /// What it is called.
    pub name: Arc<str>,
}

/// Use in a period beside the one that is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// The period.
    pub span: Span,
    /// All that was used in it.
    pub used: u64,
    /// What of that is not written yet.
    pub pending: i64,
}

/// Use of one key.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The quota.
    pub names: Names,
    /// What the key is: `partner`, `tenant` …; `others` for the one that is shared.
    pub by: Box<str>,
    /// Whose it is, for people.
    pub whose: Box<str>,
    /// The period that it was used in.
    pub span: Span,
    /// All that was used in it.
    pub used: u64,
    /// What of that is not written yet.
    pub pending: i64,
    /// Whether it is written at all: what instances share is not.
    pub kept: bool,
    /// The periods before, or later ones where the clock went back: at most three.
    pub others: Vec<Used>,
}

/// What is written, or was read.
#[derive(Debug, Clone)]
pub struct Row {
    /// Whose.
    pub id: Id,
    /// As in memory. Where it is to be written `used` does not count, where it was read `pending` does not.
    pub entry: Entry,
}

impl Entry {
    /// Goes over to a period: a new one, in which nothing is used yet, or one that is known, with what was used in it: so a clock
    /// that goes back and forth gives nothing again. In one of the past that is not known, what was used last counts.
    pub fn enter(&mut self, span: Span) {
        if self.span.start_s == span.start_s {
            return;
        }
        let before = Used { span: self.span, used: self.used, pending: self.pending };
        (self.used, self.pending) = match self.others.iter().position(|other| other.span.start_s == span.start_s) {
            Some(at) => {
                let known = self.others.swap_remove(at);
                (known.used, known.pending)
            }
            None if span.start_s > before.span.start_s => (0, 0),
            None => (before.used, if self.kept { i64::try_from(before.used).unwrap_or(i64::MAX) } else { 0 }),
        };
        self.span = span;
        self.know(before);
    }

    /// Remembers a period beside the one that is asked of; the oldest gives way.
    fn know(&mut self, period: Used) {
        self.others.push(period);
        if self.others.len() > PERIODS {
            let oldest = self.others.iter().enumerate().min_by_key(|(_, other)| other.span.start_s);
            if let Some(at) = oldest.map(|(at, _)| at) {
                self.others.swap_remove(at);
            }
        }
    }

    /// What is not written yet of a period, if it is known.
    fn pending_of(&mut self, start_s: u64) -> Option<&mut i64> {
        if self.span.start_s == start_s {
            return Some(&mut self.pending);
        }
        self.others.iter_mut().find(|other| other.span.start_s == start_s).map(|other| &mut other.pending)
    }

    /// All periods, each as an entry.
    fn periods(&self) -> impl Iterator<Item = Self> {
        let current = Used { span: self.span, used: self.used, pending: self.pending };
        std::iter::once(current).chain(self.others.iter().copied()).map(|one| Self {
            names: self.names.clone(),
            by: self.by.clone(),
            whose: self.whose.clone(),
            span: one.span,
            used: one.used,
            pending: one.pending,
            kept: self.kept,
            others: Vec::new(),
        })
    }

    fn charge(&mut self, span: Span, cost: u64, amount: u64) -> Result<u64, u64> {
        self.enter(span);
        if cost == 0 {
            return Ok(self.used);
        }
        let used = self.used.checked_add(cost).filter(|used| *used <= amount).ok_or(self.used)?;
        self.used = used;
        if self.kept {
            self.pending = self.pending.saturating_add_unsigned(cost);
        }
        Ok(used)
    }
}

/// Whose use is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its own entry.
    pub id: Id,
    /// The one that keys without a place share.
    pub others: Id,
    /// The quota.
    pub names: &'a Names,
    /// Whether its use is written down.
    pub kept: bool,
}

/// What a configuration says of a quota, for people.
#[derive(Debug, Clone)]
pub struct Known {
    /// Requests in a period.
    pub amount: u64,
    /// Percentages at which it is told.
    pub warn: Vec<u8>,
    /// How long a period is.
    pub period: ir::Period,
    /// Where it begins.
    pub zone: String,
    /// Whether instances share it.
    pub shared: bool,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Id, Entry>,
    /// Entries with something to write.
    dirty: HashSet<Id>,
}

impl Shard {
    fn note(&mut self, id: Id) {
        self.dirty.insert(id);
    }
}

/// A threshold that was passed.
#[derive(Debug)]
pub struct Warning {
    /// The quota.
    pub names: Names,
    /// What the key is.
    pub by: Box<str>,
    /// Whose.
    pub whose: Box<str>,
    /// The threshold, percent.
    pub percent: u8,
    /// Use and amount then.
    pub used: (u64, u64),
    /// When the period ends.
    pub end_s: u64,
}

#[derive(Debug, Default)]
struct Warnings {
    waiting: Vec<Warning>,
    counts: BTreeMap<(Names, u8), u64>,
}

/// All use of the process.
#[derive(Debug)]
pub struct Book {
    shards: [Mutex<Shard>; SHARDS],
    held: AtomicUsize,
    /// Of them, by quota.
    by_quota: Mutex<HashMap<Names, usize>>,
    keys: AtomicUsize,
    /// Requests that were charged to a shared entry.
    pub overflowed: Counter,
    /// Whether somebody tells of what instances share.
    pub(super) served: AtomicBool,
    warnings: Mutex<Warnings>,
    swept_from: Mutex<Option<Instant>>,
    known: Mutex<BTreeMap<Names, Known>>,
    disk: Mutex<Option<(PathBuf, Arc<Disk>)>>,
    /// Since when something is unwritten, milliseconds of the monotonic clock; 0 where nothing is.
    unwritten_ms: AtomicU64,
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
    fn shard(&self, id: Id) -> MutexGuard<'_, Shard> {
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

    /// What the configuration that serves now says.
    pub fn configure(&self, ir: &ir::Ir) {
        self.know(ir.routes.iter().flat_map(|route| &route.quotas));
        self.set_keys(ir.process.quota_keys);
    }

    pub(super) fn know<'q>(&self, quotas: impl IntoIterator<Item = &'q ir::Quota>) {
        let known = quotas.into_iter().map(|quota| {
            let names = Names { scope: quota.scope.as_str().into(), name: quota.name.as_str().into() };
            let said = Known {
                amount: quota.amount,
                warn: quota.warn.clone(),
                period: quota.period,
                zone: quota.zone.clone(),
                shared: quota.shared,
            };
            (names, said)
        });
        *lock(&self.known) = known.collect();
    }

    /// The quotas of the configuration that instances share.
    #[must_use]
    pub fn shared(&self) -> Vec<(Names, Known)> {
        lock(&self.known).iter().filter(|(_, known)| known.shared).map(|(names, known)| (names.clone(), known.clone())).collect()
    }

    /// What is known of a quota.
    #[must_use]
    pub fn known(&self, names: &Names) -> Option<Known> {
        lock(&self.known).get(names).cloned()
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

    fn hold(&self, names: &Names) {
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

    /// Says that a threshold was passed.
    pub fn warn(&self, warning: Warning) {
        let mut warnings = lock(&self.warnings);
        let count = warnings.counts.entry((warning.names.clone(), warning.percent)).or_default();
        *count = count.saturating_add(1);
        if warnings.waiting.len() < WARNINGS {
            warnings.waiting.push(warning);
        }
    }

    /// Takes the warnings that wait.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut lock(&self.warnings).waiting)
    }

    /// How often each threshold was passed, since start.
    #[must_use]
    pub fn warned(&self) -> Vec<(Names, u8, u64)> {
        lock(&self.warnings).counts.iter().map(|((names, percent), count)| (names.clone(), *percent, *count)).collect()
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

/// What the thread that writes asks for.
impl Book {
    /// What is to be written; it counts as unwritten until [`Book::written`].
    pub(super) fn unwritten(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            let dirty = std::mem::take(&mut shard.dirty);
            for id in dirty {
                let periods = shard.entries.get(&id).into_iter().flat_map(Entry::periods);
                rows.extend(periods.filter(|entry| entry.pending != 0).map(|entry| Row { id, entry }));
            }
        }
        rows
    }

    /// They could not be written: they are tried again.
    pub(super) fn not_written(&self, rows: &[Row]) {
        for row in rows {
            let mut shard = self.shard(row.id);
            if shard.entries.contains_key(&row.id) {
                shard.dirty.insert(row.id);
            }
        }
    }

    /// They are on disk: what remains to be written of each is what came since.
    pub(super) fn written(&self, rows: &[Row]) {
        for row in rows {
            let mut shard = self.shard(row.id);
            let Some(entry) = shard.entries.get_mut(&row.id) else { continue };
            let Some(pending) = entry.pending_of(row.entry.span.start_s) else { continue };
            *pending = pending.saturating_sub(row.entry.pending);
            if *pending != 0 {
                shard.dirty.insert(row.id);
            }
        }
    }

    /// Takes what is on disk: of other processes too, with what is still to be written here.
    pub(super) fn read(&self, rows: Vec<Row>, now_s: u64) {
        for row in rows {
            let (mut shard, span) = (self.shard(row.id), row.entry.span);
            match shard.entries.get_mut(&row.id) {
                None if span.end_s <= now_s => {}
                None => {
                    if &*row.entry.by != "others" {
                        self.hold(&row.entry.names);
                    }
                    shard.entries.insert(row.id, Entry { pending: 0, ..row.entry });
                }
                Some(entry) if entry.span.start_s == span.start_s => {
                    entry.used = row.entry.used.saturating_add_signed(entry.pending);
                }
                Some(entry) => match entry.others.iter_mut().find(|other| other.span.start_s == span.start_s) {
                    Some(other) => other.used = row.entry.used.saturating_add_signed(other.pending),
                    // Another process is, or was, in another period.
                    None => entry.know(Used { span, used: row.entry.used, pending: 0 }),
                },
            }
        }
    }

    /// Everything that is in memory is new to a disk: all of it is to be written that the disk has not.
    pub(super) fn move_to(&self, rows: Vec<Row>, now_s: u64) {
        let there: HashMap<(Id, u64), u64> = rows.iter().map(|row| ((row.id, row.entry.span.start_s), row.entry.used)).collect();
        let missing = |id: Id, span: Span, used: u64| {
            let written = there.get(&(id, span.start_s)).copied().unwrap_or(0);
            (used.max(written), i64::try_from(used.saturating_sub(written)).unwrap_or(i64::MAX))
        };
        for shard in &self.shards {
            let mut shard = lock(shard);
            let mut dirty = HashSet::new();
            for (id, entry) in shard.entries.iter_mut().filter(|(_, entry)| entry.kept) {
                (entry.used, entry.pending) = missing(*id, entry.span, entry.used);
                for other in &mut entry.others {
                    (other.used, other.pending) = missing(*id, other.span, other.used);
                }
                if entry.pending != 0 || entry.others.iter().any(|other| other.pending != 0) {
                    dirty.insert(*id);
                }
            }
            shard.dirty = dirty;
        }
        self.read(rows, now_s);
    }

    /// Nothing is dropped until then: the clock jumped, and may come back.
    pub(super) fn hold_until(&self, moment: Instant) {
        *lock(&self.swept_from) = Some(moment);
    }

    /// Drops what has ended.
    pub(super) fn sweep(&self, now_s: u64) {
        if lock(&self.swept_from).is_some_and(|moment| Instant::now() < moment) {
            return;
        }
        for shard in &self.shards {
            let mut shard = lock(shard);
            let mut gone: HashMap<Names, usize> = HashMap::new();
            shard.entries.retain(|_, entry| {
                let stays = entry.span.end_s > now_s;
                if !stays && &*entry.by != "others" {
                    let count = gone.entry(entry.names.clone()).or_default();
                    *count = count.saturating_add(1);
                }
                stays
            });
            let mut all = lock(&self.by_quota);
            for (names, count) in gone {
                self.held.fetch_sub(count, Ordering::Relaxed);
                if let Some(own) = all.get_mut(&names) {
                    *own = own.saturating_sub(count);
                    if *own == 0 {
                        all.remove(&names);
                    }
                }
            }
        }
    }

    /// An operator gives a key its whole quota again.
    pub(super) fn reset(&self, id: Id, span: Span) {
        let mut shard = self.shard(id);
        if let Some(entry) = shard.entries.get_mut(&id) {
            entry.enter(span);
            // What was charged since it was written counts.
            entry.used = u64::try_from(entry.pending).unwrap_or(0);
        }
    }

    /// Something is to be written from now on; or nothing is any more.
    pub(super) fn set_unwritten(&self, since_ms: Option<u64>) {
        match since_ms {
            None => self.unwritten_ms.store(0, Ordering::Relaxed),
            Some(now_ms) => {
                let _ = self.unwritten_ms.compare_exchange(0, now_ms.max(1), Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    /// How long something is unwritten, milliseconds.
    #[must_use]
    pub fn unwritten_for_ms(&self, monotonic_ns: u64) -> u64 {
        match self.unwritten_ms.load(Ordering::Relaxed) {
            0 => 0,
            since => (monotonic_ns / 1_000_000).saturating_sub(since),
        }
    }
}

/// Where it is kept.
impl Book {
    /// The disk of a directory: the one that is open, or a new one.
    ///
    /// # Errors
    /// In words: it cannot be opened, or what is in it is damaged.
    pub fn open(&self, directory: &Path, shared: Weak<Shared>) -> Result<Arc<Disk>, String> {
        if let Some((open, disk)) = &*lock(&self.disk)
            && open == directory
        {
            return Ok(Arc::clone(disk));
        }
        Disk::open(directory, shared).map(Arc::new)
    }

    /// From now on it is kept there. What is on it counts from the first request on.
    pub fn keep(&self, directory: &Path, disk: &Arc<Disk>) {
        let mut kept = lock(&self.disk);
        if kept.as_ref().is_some_and(|(_, other)| Arc::ptr_eq(other, disk)) {
            return;
        }
        let before = kept.replace((directory.to_owned(), Arc::clone(disk)));
        drop(kept);
        // The one before writes what it has to, then all of it is new to the other.
        drop(before);
        if !disk.begin() {
            // Since the start: `state_loss` says what happens until it is read.
            self.set_unwritten(Some(1));
        }
    }

    /// The disk that it is kept on.
    pub(super) fn disk(&self) -> Option<Arc<Disk>> {
        lock(&self.disk).as_ref().map(|(_, disk)| Arc::clone(disk))
    }

    /// Writes what is left, and closes the file.
    pub fn close(&self) {
        let disk = lock(&self.disk).take();
        drop(disk);
    }
}
