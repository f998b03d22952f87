//! Answers whose time tells nothing: they leave at the next of fixed moments after their request came.
//!
//! A refusal by a hidden route has verified a token, perhaps, which where nothing is nobody does. Doing the same work there
//! would cost anybody's wrong path a signature, and use up nonces; waiting costs a timer.

use std::future::poll_fn;

use super::client::Client;
use super::clock::monotonic_ns;
use super::deadline::after;
use super::lane::Lane;
use crate::exchange::Now;

/// Milliseconds from one moment to the next: well above what any check costs that asks nobody outside.
const STEP_MS: u64 = 25;

impl<C: Client> Lane<C> {
    /// Waits for the next moment; false if the client left meanwhile.
    pub(super) async fn settle(&mut self, started: Now) -> bool {
        let until = next(started.monotonic_ns, monotonic_ns());
        let Self { client, timer, .. } = self;
        timer.within(until, poll_fn(|cx| client.poll_gone(cx))).await.is_none()
    }
}

/// The first moment after `now` for what began at `started`.
fn next(started: u64, now: u64) -> u64 {
    let step = after(0, STEP_MS);
    let passed = now.saturating_sub(started) / step;
    started.saturating_add(passed.saturating_add(1).saturating_mul(step))
}

#[cfg(test)]
mod tests {
    use super::{STEP_MS, next};

    #[test]
    fn whatever_was_done_within_a_step_ends_at_the_same_moment() {
        let step = STEP_MS * 1_000_000;
        for spent in [0, 1, 40_000, step - 1] {
            assert_eq!(next(7, 7 + spent), 7 + step, "{spent}");
        }
        assert_eq!(next(7, 7 + step), 7 + 2 * step);
        assert_eq!(next(7, 7 + 3 * step + 1), 7 + 4 * step);
        assert_eq!(next(u64::MAX, u64::MAX), u64::MAX);
    }
}
