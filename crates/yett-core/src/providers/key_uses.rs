//! When each API key was last used: a minute a key, written by whoever sees it used, read by `yett keys list --used`.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::exchange::Now;

const MINUTE_MS: u64 = 60_000;

/// The last use of one key.
#[derive(Debug, Default)]
pub struct LastUse(AtomicU64);

impl LastUse {
    /// Notes a use. Most requests find that their minute is noted already, and write nothing.
    pub fn note(&self, now: Now) {
        let minute = now.unix_ms / MINUTE_MS;
        if self.0.load(Ordering::Relaxed) < minute {
            self.0.store(minute, Ordering::Relaxed);
        }
    }

    fn seconds(&self) -> Option<u64> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            minute => Some(minute.saturating_mul(60)),
        }
    }
}

/// Provider and id.
type Name = (Box<str>, Box<str>);

/// The last uses of the keys of this process, by provider and id. Only loads and questions take its lock.
#[derive(Debug, Default)]
pub struct KeyUses(Mutex<HashMap<Name, Arc<LastUse>>>);

impl KeyUses {
    /// Where uses of this key are noted; the same for every configuration that has it.
    #[must_use]
    pub fn of(&self, provider: &str, id: &str) -> Arc<LastUse> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry((provider.into(), id.into())).or_default())
    }

    /// Forgets keys that no configuration has any more; called after a load, never at the end, when nothing serves.
    pub fn forget(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, last| Arc::strong_count(last) > 1);
    }

    /// Unix seconds of the minute of each last use, by provider and id: JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for ((provider, id), last) in known.iter() {
            if let Some(seconds) = last.seconds() {
                out.entry(provider).or_default().insert(id, seconds);
            }
        }
        serde_json::json!(out).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_ms: u64) -> Now {
        Now { monotonic_ns: 0, unix_ms }
    }

    #[test]
    fn the_last_minute_stays_over_a_reload_and_goes_with_the_key() {
        let uses = KeyUses::default();
        let first = uses.of("partners", "a");
        first.note(at(90_000));
        first.note(at(30_000));
        let again = uses.of("partners", "a");
        drop(first);
        let unused = uses.of("partners", "b");
        assert_eq!(uses.to_json(), r#"{"partners":{"a":60}}"#);
        again.note(at(125_000));
        assert_eq!(uses.to_json(), r#"{"partners":{"a":120}}"#);
        drop((again, unused));
        assert_eq!(uses.to_json(), r#"{"partners":{"a":120}}"#, "nothing serves, and it is still known");
        uses.forget();
        assert_eq!(uses.to_json(), "{}");
    }
}
