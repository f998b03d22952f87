//! What came of external checks: counted by check and cause, and said to operators when a check begins to fail, fails in another
//! way, or works again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Verdict;
use crate::observe::events::Events;
use crate::outbound::Fault;
use crate::shared::Counter;

/// While it goes on, the same failure is said again after so long, nanoseconds.
const PAUSE_NS: u64 = 60_000_000_000;
/// Nothing has failed since the last answer.
const WORKS: u64 = u64::MAX;

/// Every check of the process, by whose it is: counts outlive a reload.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<Arc<str>, Weak<Record>>>);

impl Registry {
    /// The record of a check, such as `route order`.
    #[must_use]
    pub fn of(&self, source: &str) -> Arc<Record> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(source).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, record| record.strong_count() > 0);
        let record = Arc::new(Record::new(source));
        all.insert(Arc::clone(&record.source), Arc::downgrade(&record));
        record
    }

    /// Those in use, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect()
    }
}

/// What came of one check.
#[derive(Debug)]
pub struct Record {
    /// Whose it is.
    pub source: Arc<str>,
    /// Requests that it let pass.
    pub allowed: Counter,
    /// Requests that it denied.
    pub denied: Counter,
    failed: [Counter; Fault::CODES.len()],
    /// Which failure was said last, or [`WORKS`]; and when.
    said: AtomicU64,
    said_ns: AtomicU64,
}

impl Record {
    fn new(source: &str) -> Self {
        Self {
            source: source.into(),
            allowed: Counter::default(),
            denied: Counter::default(),
            failed: std::array::from_fn(|_| Counter::default()),
            said: AtomicU64::new(WORKS),
            said_ns: AtomicU64::new(0),
        }
    }

    /// Failures by cause.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Fault::CODES.into_iter().zip(self.failed.iter().map(Counter::get))
    }

    /// Counts a verdict, and says what an operator has to know.
    pub fn note(&self, verdict: &Verdict, events: &Events, now_ns: u64) {
        let fault = match verdict {
            Verdict::Allowed(_) => return self.answered(&self.allowed, events),
            Verdict::Denied => return self.answered(&self.denied, events),
            Verdict::Failed(fault) => fault,
        };
        let code = fault.code();
        let Some(at) = Fault::CODES.iter().position(|known| *known == code) else { return };
        if let Some(counter) = self.failed.get(at) {
            counter.increment();
        }
        let at = at as u64;
        let before = self.said.swap(at, Ordering::Relaxed);
        if before != at || now_ns.saturating_sub(self.said_ns.load(Ordering::Relaxed)) >= PAUSE_NS {
            self.said_ns.store(now_ns, Ordering::Relaxed);
            let error = fault.to_string();
            let fields = [("check", &*self.source), ("cause", code), ("error", error.as_str())];
            events.push("warning", "external_authorization_failed", &fields);
        }
    }

    fn answered(&self, counter: &Counter, events: &Events) {
        counter.increment();
        // Read first: where all is well nothing is written that workers share.
        if self.said.load(Ordering::Relaxed) != WORKS && self.said.swap(WORKS, Ordering::Relaxed) != WORKS {
            events.push("info", "external_authorization_recovered", &[("check", &self.source)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{PAUSE_NS, Record, Registry};
    use crate::filters::external_authorization::Verdict;
    use crate::observe::events::Events;
    use crate::outbound::Fault;

    fn said(events: &Events) -> Vec<String> {
        let read = |line: String| {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("event").replace("external_authorization_", ""), text("cause")).trim_end().to_owned()
        };
        events.take(Duration::ZERO).into_iter().map(read).collect()
    }

    #[test]
    fn what_changes_is_said_and_everything_is_counted() {
        let (record, events) = (Record::new("route a"), Events::default());
        let note = |verdict: &Verdict, now: u64| {
            record.note(verdict, &events, now);
            said(&events)
        };
        let (slow, other) = (Verdict::Failed(Fault::Timeout(500)), Verdict::Failed(Fault::Status(500)));
        assert!(note(&Verdict::Denied, 1).is_empty());
        assert_eq!(note(&slow, 1), ["failed timeout"]);
        assert!(note(&slow, 2).is_empty());
        assert_eq!(note(&other, 3), ["failed status"]);
        assert!(note(&other, 2 + PAUSE_NS).is_empty());
        assert_eq!(note(&other, 3 + PAUSE_NS), ["failed status"]);
        assert_eq!(note(&Verdict::Allowed(Vec::new()), 4), ["recovered"]);
        assert!(note(&Verdict::Allowed(Vec::new()), 5).is_empty());
        let failures: Vec<_> = record.failures().filter(|(_, count)| *count > 0).collect();
        assert_eq!(failures, [("timeout", 2), ("status", 3)]);
        assert_eq!((record.allowed.get(), record.denied.get()), (2, 1));
    }

    #[test]
    fn counts_outlive_a_reload_and_no_more() {
        let all = Registry::default();
        let first = all.of("route a");
        first.allowed.increment();
        let again = all.of("route a");
        drop(first);
        assert_eq!(again.allowed.get(), 1);
        drop(again);
        assert!(all.all().is_empty());
        assert_eq!(all.of("route a").allowed.get(), 0);
    }

    #[test]
    fn every_fault_has_a_label_that_is_counted() {
        let address = "192.0.2.1:1".parse().unwrap();
        let all = [
            Fault::Timeout(1),
            Fault::Busy,
            Fault::Unresolved,
            Fault::Forbidden("192.0.2.1".parse().unwrap()),
            Fault::Connect(address, std::io::ErrorKind::ConnectionRefused),
            Fault::Tls(String::new()),
            Fault::Broken,
            Fault::Redirect(302),
            Fault::Status(500),
            Fault::Encoded,
            Fault::TooLarge(1),
            Fault::NotJson,
            Fault::Unexpected(""),
            Fault::Undiscovered(String::new()),
            Fault::Unsendable,
        ];
        assert_eq!(all.map(|fault| fault.code()), Fault::CODES);
    }
}
