//! What a client's frames cost (RFC 9113 section 10.5): frames that ask for nothing are paid from an allowance.
//!
//! Other bounds say what a connection may hold; this says how often a client may make it work for nothing. Every frame
//! but HEADERS and DATA costs; time gives an allowance back, and so does every byte of an answer, so that a busy client
//! never runs out and one that only resets, pings or updates windows does.

use super::frame::{Head, flag, kind};
use crate::server::deadline::NEVER;

/// Most that can be saved up, in bytes of answers.
const MOST: u64 = 64 * 1000;
/// What a second gives back.
const A_SECOND: u64 = 64 * 200;
/// What a frame costs that comes for a stream which is over.
pub const LATE: u64 = 64;

/// What a part of an answer gives back beside its bytes: a PING and two updates of windows.
pub const SERVED: usize = 256;

/// One connection's.
#[derive(Debug)]
pub struct Allowance {
    left: u64,
    refilled: u64,
}

/// What a frame costs.
#[must_use]
pub fn cost(frame: Head) -> u64 {
    match frame.kind {
        kind::DATA if frame.length == 0 && !frame.has(flag::END_STREAM) => 640,
        kind::CONTINUATION if frame.length == 0 => 640,
        kind::DATA | kind::HEADERS | kind::CONTINUATION => 0,
        kind::RST_STREAM => 320,
        kind::SETTINGS | kind::GOAWAY => 640,
        kind::PING => 128,
        _ => 64,
    }
}

impl Allowance {
    /// For a connection that begins at `now` (monotonic nanoseconds).
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self { left: MOST, refilled: now }
    }

    /// Pays; says false when there is not enough left. `now` is asked only then.
    pub fn pay(&mut self, cost: u64, now: impl Fn() -> u64) -> bool {
        if self.left < cost {
            let now = now();
            let waited = now.saturating_sub(self.refilled).min(NEVER / A_SECOND);
            self.refilled = now;
            self.left = MOST.min(self.left + waited * A_SECOND / 1_000_000_000);
        }
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Counts an answer's bytes in.
    pub fn wrote(&mut self, bytes: usize) {
        self.left = MOST.min(self.left.saturating_add(bytes as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, Head, MOST, cost};

    fn frame(kind: u8, flags: u8, length: usize) -> u64 {
        cost(Head { length, kind, flags, stream: 1 })
    }

    #[test]
    fn resets_run_out_and_come_back_with_time() {
        let mut allowance = Allowance::new(0);
        let reset = frame(3, 0, 4);
        for _ in 0..200 {
            assert!(allowance.pay(reset, || 0));
        }
        assert!(!allowance.pay(reset, || 0));
        // Ten seconds later a burst is there again.
        for _ in 0..200 {
            assert!(allowance.pay(reset, || 10_000_000_000));
        }
        assert!(!allowance.pay(reset, || 10_000_000_000));
    }

    #[test]
    fn answers_pay_for_what_reading_them_takes() {
        let mut allowance = Allowance::new(0);
        for _ in 0..100_000 {
            allowance.wrote(16_384);
            assert!(allowance.pay(frame(8, 0, 4), || 0) && allowance.pay(frame(8, 0, 4), || 0));
        }
    }

    #[test]
    fn requests_and_bodies_are_free_and_empty_frames_are_not() {
        for (kind, flags, length) in [(1, 4, 3), (0, 1, 10), (0, 0, 1), (9, 4, 1), (0, 1, 0)] {
            assert_eq!(frame(kind, flags, length), 0);
        }
        assert_eq!((frame(0, 0, 0), frame(9, 0, 0), frame(4, 0, 0), frame(6, 0, 8)), (640, 640, 640, 128));
        assert_eq!(MOST / 640, 100);
    }
}
