//! State in the memory of the process: bounded, and gone with it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Entry, Follower, Key, MAX_ENTRY, MAX_VALUE, Reply, Store, Survives, Unavailable, ready, unix_ms};

/// Keys of one store, values or not. About 150 bytes each.
pub const MAX_KEYS: usize = 500_000;
/// Bytes of all values together.
pub const MAX_BYTES: usize = 128 * 1024 * 1024;
/// Parts with a lock of their own.
const SHARDS: usize = 16;

/// State in the memory of the process.
#[derive(Debug)]
pub struct Memory {
    shards: [Mutex<Shard>; SHARDS],
    keys: usize,
    bytes: usize,
    log: Mutex<Option<Arc<dyn Follower>>>,
    sequence: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    values: HashMap<Key, (Vec<u8>, u64)>,
    /// The same keys by their end, so that what has passed goes without a search.
    ends: BTreeSet<(u64, Key)>,
    bytes: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self::bounded(MAX_KEYS, MAX_BYTES)
    }
}

impl Memory {
    /// With at most so many keys and bytes.
    #[must_use]
    pub fn bounded(keys: usize, bytes: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            keys: keys.div_ceil(SHARDS),
            bytes: bytes.div_ceil(SHARDS),
            log: Mutex::default(),
            sequence: AtomicU64::new(0),
        }
    }

    /// Keys that are held, those included that have passed and were not met yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).values.len()).sum()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: &Key, now_ms: u64) -> MutexGuard<'_, Shard> {
        let [first, ..] = key.id();
        let index = usize::from(*first) % SHARDS;
        let mut shard = lock(self.shards.get(index).unwrap_or(&self.shards[0]));
        shard.expire(now_ms);
        shard
    }

    /// As [`Store::insert_if_absent`], at once.
    ///
    /// # Errors
    /// It is full of keys that still count.
    pub fn remember(&self, key: Key, until_ms: u64, now_ms: u64) -> Result<bool, Unavailable> {
        let mut shard = self.shard(&key, now_ms);
        if until_ms <= now_ms || shard.values.contains_key(&key) {
            return Ok(false);
        }
        shard.put(self, key, Vec::new(), until_ms)?;
        Ok(true)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn expire(&mut self, now_ms: u64) {
        while let Some((until, key)) = self.ends.first().copied().filter(|(until, _)| *until <= now_ms) {
            self.ends.remove(&(until, key));
            if let Some((value, _)) = self.values.remove(&key) {
                self.bytes = self.bytes.saturating_sub(value.len());
            }
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Vec<u8>> {
        let (value, until) = self.values.remove(key)?;
        self.ends.remove(&(until, *key));
        self.bytes = self.bytes.saturating_sub(value.len());
        Some(value)
    }

    fn put(&mut self, bounds: &Memory, key: Key, value: Vec<u8>, until_ms: u64) -> Result<(), Unavailable> {
        let old = self.values.get(&key).map_or(0, |(old, _)| old.len());
        let full = self.values.len() >= bounds.keys && !self.values.contains_key(&key);
        if full || self.bytes - old + value.len() > bounds.bytes || value.len() > MAX_VALUE {
            return Err(Unavailable::Full);
        }
        self.remove(&key);
        self.bytes += value.len();
        self.ends.insert((until_ms, key));
        self.values.insert(key, (value, until_ms));
        Ok(())
    }
}

impl Store for Memory {
    fn insert_if_absent(&self, key: Key, until_ms: u64) -> Reply<bool> {
        ready(self.remember(key, until_ms, unix_ms()))
    }

    fn get(&self, key: Key) -> Reply<Option<Vec<u8>>> {
        ready(Ok(self.shard(&key, unix_ms()).values.get(&key).map(|(value, _)| value.clone())))
    }

    fn put(&self, key: Key, value: Vec<u8>, until_ms: u64) -> Reply<()> {
        ready(self.shard(&key, unix_ms()).put(self, key, value, until_ms))
    }

    fn replace(&self, key: Key, expected: Vec<u8>, value: Vec<u8>, until_ms: u64) -> Reply<bool> {
        let mut shard = self.shard(&key, unix_ms());
        let same = shard.values.get(&key).is_some_and(|(there, _)| *there == expected);
        ready(if same { shard.put(self, key, value, until_ms).map(|()| true) } else { Ok(false) })
    }

    fn take(&self, key: Key) -> Reply<Option<Vec<u8>>> {
        ready(Ok(self.shard(&key, unix_ms()).remove(&key)))
    }

    fn delete(&self, key: Key) -> Reply<bool> {
        ready(Ok(self.shard(&key, unix_ms()).remove(&key).is_some()))
    }

    fn append(&self, entry: Entry) -> Reply<u64> {
        if entry.bytes.len() > MAX_ENTRY {
            return ready(Err(Unavailable::Full));
        }
        let log = lock(&self.log);
        let number = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(follower) = &*log {
            follower.hear(&[entry]);
        }
        ready(Ok(number))
    }

    fn follow(&self, follower: Arc<dyn Follower>) -> Reply<()> {
        follower.current(true);
        *lock(&self.log) = Some(follower);
        ready(Ok(()))
    }

    fn replay_survives(&self) -> Survives {
        Survives::No
    }

    fn values_survive(&self) -> Survives {
        Survives::No
    }
}
