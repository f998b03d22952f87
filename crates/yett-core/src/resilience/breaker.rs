//! The circuit breaker of one endpoint: closed, open after some failures in a row, half open for a few probes.
//!
//! One word holds the state, so that workers share it without a lock. Each change begins a new epoch; what a request of
//! an earlier epoch reports is of no account, so that a slow failure does not open a circuit that has just been proven.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::server::deadline::after;
use crate::shared::Counter;

const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const HALF_OPEN: u64 = 2;

/// The state as a word: kind in the top 8 bits, epoch in 24, a count in 32: of failures, or of probes under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    kind: u64,
    epoch: u32,
    count: u32,
}

impl Word {
    const fn pack(self) -> u64 {
        self.kind << 56 | (self.epoch as u64 & 0xff_ffff) << 32 | self.count as u64
    }

    const fn unpack(word: u64) -> Self {
        Self { kind: word >> 56, epoch: (word >> 32) as u32 & 0xff_ffff, count: word as u32 }
    }

    /// The first word of the next epoch.
    const fn next(self, kind: u64, count: u32) -> Self {
        Self { kind, epoch: self.epoch.wrapping_add(1) & 0xff_ffff, count }
    }
}

/// What became of the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Closed, and now open.
    Opened,
    /// A probe failed: open again.
    Reopened,
    /// A probe succeeded.
    Closed,
}

/// The breaker of one endpoint, for the whole process.
#[derive(Debug, Default)]
pub struct Breaker {
    word: AtomicU64,
    /// Monotonic nanoseconds at which an open circuit lets probes through, and a half-open one others in their place.
    until: AtomicU64,
    failures: AtomicU32,
    probes: AtomicU32,
    /// Probes under way whose body their clients still send, as slowly as they like.
    uploads: AtomicU32,
    open_ms: AtomicU64,
    /// Times that it opened, from closed or after a probe.
    pub opened: Counter,
    /// Times that it closed.
    pub closed: Counter,
}

impl Breaker {
    /// Sets the bounds; the state stays.
    pub fn configure(&self, failures: u32, open_ms: u64, probes: u32) {
        self.failures.store(failures, Ordering::Relaxed);
        self.open_ms.store(open_ms, Ordering::Relaxed);
        self.probes.store(probes, Ordering::Relaxed);
    }

    /// 0 closed, 1 half open, 2 open; for the metric.
    #[must_use]
    pub fn state(&self) -> u64 {
        match Word::unpack(self.word.load(Ordering::Relaxed)).kind {
            CLOSED => 0,
            HALF_OPEN => 1,
            _ => 2,
        }
    }

    /// Lets a request through, or says from when on it may be worth a try.
    ///
    /// # Errors
    /// The circuit is open until then, or the probes that it takes at once are under way. Where one is an upload, they are not
    /// waited for any longer than a circuit stays open: a client that sends its body slowly would keep all others out.
    pub fn admit(self: &Arc<Self>, now: u64) -> Result<Pass, u64> {
        loop {
            let seen = self.word.load(Ordering::Acquire);
            let word = Word::unpack(seen);
            let next = match word.kind {
                CLOSED => return Ok(self.pass(word.epoch, false)),
                HALF_OPEN if word.count < self.probes.load(Ordering::Relaxed) => Word { count: word.count + 1, ..word },
                _ => {
                    let until = self.until.load(Ordering::Relaxed);
                    if word.kind == HALF_OPEN && (now < until || self.uploads.load(Ordering::Relaxed) == 0) {
                        return Err(now);
                    }
                    if now < until {
                        return Err(until);
                    }
                    // Before the word that makes it count; whoever comes first sets it.
                    let next = after(now, self.open_ms.load(Ordering::Relaxed));
                    let _ = self.until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed);
                    // Those that are late may still decide.
                    if word.kind == OPEN { word.next(HALF_OPEN, 1) } else { Word { count: 1, ..word } }
                }
            };
            if self.swap(seen, next) {
                return Ok(self.pass(next.epoch, true));
            }
        }
    }

    /// Whether [`Self::admit`] would let a request through now.
    #[must_use]
    pub fn admits(&self, now: u64) -> bool {
        let word = Word::unpack(self.word.load(Ordering::Acquire));
        match word.kind {
            CLOSED => true,
            HALF_OPEN if word.count < self.probes.load(Ordering::Relaxed) => true,
            HALF_OPEN if self.uploads.load(Ordering::Relaxed) == 0 => false,
            _ => now >= self.until.load(Ordering::Relaxed),
        }
    }

    fn pass(self: &Arc<Self>, epoch: u32, probe: bool) -> Pass {
        Pass { breaker: self.clone(), epoch, probe, upload: false }
    }

    fn swap(&self, seen: u64, next: Word) -> bool {
        self.word.compare_exchange(seen, next.pack(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn succeeded(&self, epoch: u32) -> Option<Change> {
        loop {
            let seen = self.word.load(Ordering::Relaxed);
            let word = Word::unpack(seen);
            if word.epoch != epoch || (word.kind, word.count) == (CLOSED, 0) {
                return None;
            }
            let next = if word.kind == CLOSED { Word { count: 0, ..word } } else { word.next(CLOSED, 0) };
            if self.swap(seen, next) {
                if word.kind == CLOSED {
                    return None;
                }
                self.closed.increment();
                return Some(Change::Closed);
            }
        }
    }

    fn failed(&self, epoch: u32, now: u64) -> Option<Change> {
        loop {
            let seen = self.word.load(Ordering::Relaxed);
            let word = Word::unpack(seen);
            if word.epoch != epoch || word.kind == OPEN {
                return None;
            }
            let count = word.count.saturating_add(1);
            if word.kind == CLOSED && count < self.failures.load(Ordering::Relaxed) {
                if self.swap(seen, Word { count, ..word }) {
                    return None;
                }
                continue;
            }
            // Before the word that makes it count.
            self.until.store(after(now, self.open_ms.load(Ordering::Relaxed)), Ordering::Relaxed);
            if self.swap(seen, word.next(OPEN, 0)) {
                self.opened.increment();
                return Some(if word.kind == CLOSED { Change::Opened } else { Change::Reopened });
            }
        }
    }

    /// A probe that came to nothing either way.
    fn abandoned(&self, epoch: u32) {
        let _ = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seen| {
            let word = Word::unpack(seen);
            let mine = word.epoch == epoch && word.kind == HALF_OPEN;
            mine.then(|| Word { count: word.count.saturating_sub(1), ..word }.pack())
        });
    }
}

/// A request that the circuit let through. Dropped without a report, it says nothing of the endpoint.
#[derive(Debug)]
pub struct Pass {
    breaker: Arc<Breaker>,
    epoch: u32,
    probe: bool,
    upload: bool,
}

impl Pass {
    /// Of a request whose body its client still sends.
    #[must_use]
    pub fn uploading(mut self) -> Self {
        if self.probe && !self.upload {
            self.upload = true;
            self.breaker.uploads.fetch_add(1, Ordering::Relaxed);
        }
        self
    }

    /// Whether the circuit is half open and waits for what becomes of this request.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// The endpoint answered as it should.
    pub fn succeeded(mut self) -> Option<Change> {
        self.probe = false;
        self.breaker.succeeded(self.epoch)
    }

    /// As [`Self::succeeded`], where the request goes on and may still fail.
    pub fn proven(&mut self) -> Option<Change> {
        self.probe = false;
        let change = self.breaker.succeeded(self.epoch);
        if change.is_some() {
            self.epoch = self.epoch.wrapping_add(1) & 0xff_ffff;
        }
        change
    }

    /// The endpoint failed.
    pub fn failed(mut self, now: u64) -> Option<Change> {
        self.probe = false;
        self.breaker.failed(self.epoch, now)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.upload {
            self.breaker.uploads.fetch_sub(1, Ordering::Relaxed);
        }
        if self.probe {
            self.breaker.abandoned(self.epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::{Breaker, Change, Word};

    const MS: u64 = 1_000_000;

    fn breaker(failures: u32, probes: u32) -> Arc<Breaker> {
        let breaker = Arc::new(Breaker::default());
        breaker.configure(failures, 10, probes);
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let breaker = breaker(3, 1);
        for _ in 0..5 {
            assert_eq!(breaker.admit(0).unwrap().failed(0), None);
            assert_eq!(breaker.admit(0).unwrap().failed(0), None);
            assert_eq!(breaker.admit(0).unwrap().succeeded(), None);
        }
        for change in [None, None, Some(Change::Opened)] {
            assert_eq!(breaker.admit(0).unwrap().failed(0), change);
        }
        assert_eq!(breaker.admit(10 * MS - 1).unwrap_err(), 10 * MS);
    }

    #[test]
    fn probes_decide_and_only_so_many_at_once() {
        let breaker = breaker(1, 2);
        breaker.admit(0).unwrap().failed(0);
        let (one, two) = (breaker.admit(10 * MS).unwrap(), breaker.admit(10 * MS).unwrap());
        assert!(one.is_probe() && breaker.admit(10 * MS).is_err());
        drop(one);
        let three = breaker.admit(10 * MS).unwrap();
        assert!(breaker.admit(10 * MS).is_err());
        assert_eq!(two.failed(11 * MS), Some(Change::Reopened));
        assert_eq!(three.succeeded(), None, "a probe of an epoch that is over");
        assert_eq!(breaker.admit(20 * MS).unwrap_err(), 21 * MS);
        assert_eq!(breaker.admit(21 * MS).unwrap().succeeded(), Some(Change::Closed));
        assert_eq!(breaker.state(), 0);
    }

    #[test]
    fn uploads_are_not_waited_for_as_probes() {
        let breaker = breaker(1, 1);
        breaker.admit(0).unwrap().failed(0);
        let waits = breaker.admit(10 * MS).unwrap();
        assert!(!breaker.admits(30 * MS) && breaker.admit(30 * MS).is_err(), "for the service alone");
        drop(waits);
        let silent = breaker.admit(10 * MS).unwrap().uploading();
        assert!(!breaker.admits(20 * MS - 1) && breaker.admit(20 * MS - 1).is_err());
        assert!(breaker.admits(20 * MS));
        let other = breaker.admit(20 * MS).unwrap();
        assert!(breaker.admit(20 * MS).is_err(), "one for each such time");
        assert_eq!(other.succeeded(), Some(Change::Closed));
        assert_eq!(silent.failed(21 * MS), None, "of an epoch that is over");
        // One that is late, and not silent, still decides.
        breaker.admit(30 * MS).unwrap().failed(30 * MS);
        let late = breaker.admit(40 * MS).unwrap().uploading();
        let other = breaker.admit(50 * MS).unwrap();
        assert_eq!((late.succeeded(), other.succeeded()), (Some(Change::Closed), None));
        assert_eq!(breaker.uploads.load(Ordering::Relaxed), 0);
        assert_eq!(breaker.state(), 0);
    }

    #[test]
    fn what_began_before_a_change_is_of_no_account() {
        let breaker = breaker(1, 1);
        let (slow, other) = (breaker.admit(0).unwrap(), breaker.admit(0).unwrap());
        other.failed(0);
        assert_eq!(slow.succeeded(), None);
        assert_eq!(breaker.state(), 2);
        let slow = breaker.admit(10 * MS).unwrap();
        assert_eq!(slow.succeeded(), Some(Change::Closed));
    }

    #[test]
    fn a_probe_that_is_proven_may_still_fail() {
        let breaker = breaker(1, 1);
        breaker.admit(0).unwrap().failed(0);
        let mut probe = breaker.admit(10 * MS).unwrap();
        assert_eq!(probe.proven(), Some(Change::Closed));
        assert_eq!(probe.failed(11 * MS), Some(Change::Opened));
    }

    /// CVE-2026-3206: circuits that open and close for ever. There is nothing that could grow.
    #[test]
    fn a_hundred_thousand_cycles() {
        let breaker = breaker(2, 1);
        let mut now = 0;
        for _ in 0..100_000 {
            assert_eq!(breaker.admit(now).unwrap().failed(now), None);
            assert_eq!(breaker.admit(now).unwrap().failed(now), Some(Change::Opened));
            assert!(breaker.admit(now).is_err());
            now += 10 * MS;
            drop(breaker.admit(now).unwrap());
            assert_eq!(breaker.admit(now).unwrap().failed(now), Some(Change::Reopened));
            now += 10 * MS;
            assert_eq!(breaker.admit(now).unwrap().succeeded(), Some(Change::Closed));
        }
        assert_eq!((breaker.state(), breaker.opened.get(), breaker.closed.get()), (0, 200_000, 100_000));
        assert_eq!(Arc::strong_count(&breaker), 1);
    }

    #[test]
    fn the_word_holds_what_was_put_in() {
        let word = Word { kind: 2, epoch: 0xff_ffff, count: u32::MAX };
        assert_eq!(Word::unpack(word.pack()), word);
        assert_eq!(word.next(0, 0), Word { kind: 0, epoch: 0, count: 0 });
    }
}
