//! A bounded table without a clock: what came since its halves last changed places, and what came before.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// Bytes that an entry may have on average: a few large ones push out many small ones.
const BYTES_PER_ENTRY: usize = 2048;

/// Entries with their sizes, bounded in number and bytes.
#[derive(Debug)]
pub struct Halves<K, V, S> {
    young: HashMap<K, (V, usize), S>,
    young_bytes: usize,
    old: HashMap<K, (V, usize), S>,
}

impl<K, V, S: Default> Default for Halves<K, V, S> {
    fn default() -> Self {
        Self { young: HashMap::default(), young_bytes: 0, old: HashMap::default() }
    }
}

impl<K: Eq + Hash, V, S: BuildHasher + Default> Halves<K, V, S> {
    /// What is kept under a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key)).map(|(value, _)| value)
    }

    /// Takes it out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let young = self.young.remove(key);
        if let Some((_, bytes)) = &young {
            self.young_bytes = self.young_bytes.saturating_sub(*bytes);
        }
        young.or_else(|| self.old.remove(key)).map(|(value, _)| value)
    }

    /// Keeps something of so many bytes, in place of what was there; nothing where `entries`, the bound, is below 2.
    pub fn insert(&mut self, key: K, value: V, bytes: usize, entries: usize) {
        let half = entries / 2;
        self.remove(&key);
        if half == 0 {
            return;
        }
        if self.young.len() >= half || self.young_bytes.saturating_add(bytes) > half.saturating_mul(BYTES_PER_ENTRY) {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes = self.young_bytes.saturating_add(bytes);
        self.young.insert(key, (value, bytes));
    }

    /// Entries held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
