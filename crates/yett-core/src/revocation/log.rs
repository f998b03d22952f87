//! Revocations in the logs of the stores: written before they are acknowledged, heard from this disk and other instances.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

use super::table::Record;
use super::{NotAcknowledged, Revocation, Revocations};
use crate::server::clock;
use crate::store::{Entry, Follower, Opened, Store, Unavailable};

/// Hears one of the logs.
struct Ear {
    /// Weak: they hold the store that holds this.
    known: Weak<Revocations>,
    /// Whether it is the one that other instances write to.
    shared: bool,
    /// Where what others revoked is kept, for a restart without them.
    disk: Option<Arc<dyn Store>>,
}

impl Follower for Ear {
    fn hear(&self, entries: &[Entry]) {
        let Some(known) = self.known.upgrade() else { return };
        let now = clock::now().unix_ms;
        let mut records = Vec::with_capacity(entries.len());
        for entry in entries {
            match serde_json::from_slice::<Record>(&entry.bytes) {
                Ok(record) => {
                    if let Some(disk) = self.disk.as_ref().filter(|_| !known.knows(&record)) {
                        drop(disk.append(entry.clone()));
                    }
                    records.push(record);
                }
                Err(_) => known.unreadable(entry.until_ms),
            }
        }
        known.take(records, now);
    }

    fn known(&self) -> Vec<Entry> {
        let Some(known) = self.known.upgrade() else { return Vec::new() };
        let table = known.table.read().unwrap_or_else(PoisonError::into_inner);
        table.records().iter().filter_map(entry).collect()
    }

    fn current(&self, yes: bool) {
        let Some(known) = self.known.upgrade() else { return };
        match (self.shared, yes) {
            (true, true) => known.heard(),
            (true, false) => known.aged(),
            (false, _) => {}
        }
    }
}

fn entry(record: &Record) -> Option<Entry> {
    Some(Entry { bytes: serde_json::to_vec(record).ok()?, until_ms: record.until_ms() })
}

impl Revocations {
    /// From now on writes to and hears these stores. Waits until what is there has been heard; what a disk does not give is
    /// missing, and nobody is believed then.
    pub fn follow(self: &Arc<Self>, opened: &Opened, runtime: &tokio::runtime::Handle) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = |old: &Option<Arc<dyn Store>>, new: &Option<Arc<dyn Store>>| match (old, new) {
            (Some(old), Some(new)) => !Arc::ptr_eq(old, new),
            (old, new) => old.is_some() != new.is_some(),
        };
        let ear = |shared| Arc::new(Ear { known: Arc::downgrade(self), shared, disk: opened.disk.clone().filter(|_| shared) });
        let disk_changed = changed(&stores.disk, &opened.disk);
        if let Some(disk) = opened.disk.as_ref().filter(|_| disk_changed) {
            if runtime.block_on(disk.follow(ear(false))).is_err() {
                self.unreadable(u64::MAX);
            }
            // A directory that is new gets what is known already.
            for entry in ear(false).known() {
                drop(disk.append(entry));
            }
        }
        if let Some(shared) = opened.shared.as_ref().filter(|_| disk_changed || changed(&stores.shared, &opened.shared)) {
            let _ = runtime.block_on(shared.follow(ear(true)));
        }
        *stores = opened.clone();
    }

    /// Revokes, from this moment on; answered when it is as safe as the configuration makes it.
    ///
    /// # Errors
    /// See [`NotAcknowledged`].
    pub async fn revoke(&self, revocation: Revocation) -> Result<(), NotAcknowledged> {
        let record = Record::Revoke(revocation);
        let Some(entry) = entry(&record) else { return Err(NotAcknowledged::Full) };
        self.admit(record)?;
        self.write(entry).await
    }

    /// Answered when everything is known here that any instance had acknowledged when this was asked.
    ///
    /// # Errors
    /// What other instances revoked cannot be read.
    pub async fn caught_up(&self) -> Result<(), Unavailable> {
        let shared = self.stores.lock().unwrap_or_else(PoisonError::into_inner).shared.clone();
        match shared {
            Some(shared) => shared.caught_up().await,
            None => Ok(()),
        }
    }

    /// Ends a revocation; false if there is none of this id.
    ///
    /// # Errors
    /// It could not be written, and counts on until it is.
    pub async fn undo(&self, id: &str) -> Result<bool, NotAcknowledged> {
        let found = self.table.read().unwrap_or_else(PoisonError::into_inner).find(id).cloned();
        let Some(Record::Revoke(one)) = found else { return Ok(false) };
        let record = Record::Undo { id: one.id, until_ms: one.until_ms };
        let Some(entry) = entry(&record) else { return Err(NotAcknowledged::Full) };
        self.write(entry).await?;
        self.take(vec![record], clock::now().unix_ms);
        Ok(true)
    }

    async fn write(&self, entry: Entry) -> Result<(), NotAcknowledged> {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Both, whatever comes of the first: each of them helps.
        let disk = match &stores.disk {
            Some(disk) => disk.append(entry.clone()).await.map(drop),
            None => Ok(()),
        };
        let shared = match &stores.shared {
            Some(shared) => shared.append(entry).await.map(drop),
            None => Ok(()),
        };
        disk.map_err(|_| NotAcknowledged::Disk)?;
        shared.map_err(|_| NotAcknowledged::Shared)
    }

    /// Counts here from now on, if there is room.
    fn admit(&self, record: Record) -> Result<(), NotAcknowledged> {
        let now = clock::now().unix_ms;
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.expire(now);
        if !table.has_room(&record) {
            return Err(NotAcknowledged::Full);
        }
        drop(table);
        self.take(vec![record], now);
        Ok(())
    }

    fn knows(&self, record: &Record) -> bool {
        self.table.read().unwrap_or_else(PoisonError::into_inner).knows(record)
    }

    /// A newer version wrote something that this one cannot keep to: nobody may rely on what is known until it has passed.
    fn unreadable(&self, until_ms: u64) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).unreadable(until_ms);
        self.settle();
        self.wake();
    }

    /// The log of other instances cannot be read.
    fn aged(&self) {
        let late = clock::now().monotonic_ns >= self.current_until.load(Ordering::Acquire);
        // Once: streams end, as new requests are refused.
        if late && !self.woken.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }
}
