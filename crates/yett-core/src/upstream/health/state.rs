//! What is known of one endpoint, in atomics that any thread reads and few write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::probe::Cause;
use crate::shared::Counter;

/// A whole share of traffic; see [`EndpointHealth::ramp`].
pub const WHOLE: u64 = 256;
/// The share with which a slow start begins: a tenth.
const FIRST: u64 = WHOLE / 10;

/// What is known of one endpoint of one service.
#[derive(Debug)]
pub struct EndpointHealth {
    /// The service's name.
    pub service: Arc<str>,
    /// `host:port`.
    pub label: Arc<str>,
    /// Times it was ejected.
    pub ejections: Counter,
    /// Checks made.
    pub checks: Counter,
    /// Checks that failed, by cause.
    pub failures: [Counter; Cause::ALL.len()],
    /// Failed its checks, or has yet to pass its first one.
    down: AtomicBool,
    /// Whether a check has ended.
    known: AtomicBool,
    /// Ejected until then, monotonic nanoseconds.
    pub(super) ejected_until: AtomicU64,
    /// When checks found it healthy again; 0 where it always was.
    since: AtomicU64,
    /// Failures in a row.
    pub(super) errors: AtomicU32,
    /// Ejections in a row.
    pub(super) row: AtomicU32,
    /// Window (24 bits), requests in it (20) and failures among them (20).
    pub(super) window: AtomicU64,
}

impl EndpointHealth {
    /// One that is used at once, or one that waits for its first check.
    #[must_use]
    pub fn new(service: &str, label: &str, waits: bool) -> Self {
        Self {
            service: service.into(),
            label: label.into(),
            ejections: Counter::default(),
            checks: Counter::default(),
            failures: std::array::from_fn(|_| Counter::default()),
            down: AtomicBool::new(waits),
            known: AtomicBool::new(false),
            ejected_until: AtomicU64::new(0),
            since: AtomicU64::new(0),
            errors: AtomicU32::new(0),
            row: AtomicU32::new(0),
            window: AtomicU64::new(0),
        }
    }

    /// Whether requests go there.
    #[must_use]
    pub fn is_healthy(&self, now: u64) -> bool {
        !self.down.load(Ordering::Relaxed) && !self.is_ejected(now)
    }

    /// Whether requests that failed there keep it away.
    #[must_use]
    pub fn is_ejected(&self, now: u64) -> bool {
        now < self.ejected_until.load(Ordering::Relaxed)
    }

    /// Whether checks keep it away.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Whether a check has ended.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Its share of traffic, out of [`WHOLE`], when `slow_ns` is what a slow start takes.
    #[must_use]
    pub fn ramp(&self, now: u64, slow_ns: u64) -> u64 {
        let back = self.ejected_until.load(Ordering::Relaxed).max(self.since.load(Ordering::Relaxed));
        let passed = now.saturating_sub(back);
        if back == 0 || passed >= slow_ns {
            return WHOLE;
        }
        let part = u128::from(passed) * u128::from(WHOLE) / u128::from(slow_ns.max(1));
        u64::try_from(part).unwrap_or(WHOLE).max(FIRST)
    }

    /// Nothing checks it any more.
    pub(super) fn unchecked(&self) {
        self.down.store(false, Ordering::Relaxed);
        self.known.store(false, Ordering::Relaxed);
    }

    /// What checks say from now on; whether that is new.
    pub(super) fn judge(&self, healthy: bool, now: u64) -> bool {
        if healthy && self.is_down() {
            self.since.store(now.max(1), Ordering::Relaxed);
        }
        let first = !self.known.swap(true, Ordering::Relaxed);
        let before = self.down.swap(!healthy, Ordering::Relaxed);
        before == healthy || (first && !healthy)
    }
}
