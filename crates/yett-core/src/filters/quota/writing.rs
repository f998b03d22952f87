//! What is still to be written of a book of quotas, what was read of it, and the disk that it is kept on.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::book::{Book, lock};
use super::disk::Disk;
use super::entry::{Entry, Id, Names, Row, Used};
use super::period::Span;
use crate::shared::Shared;

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
