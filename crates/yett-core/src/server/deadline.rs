//! One timer per connection, re-armed only when it fires or has to fire earlier.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::time::Sleep;

use super::clock;

/// A time limit that is never reached.
pub const NEVER: u64 = u64::MAX;

/// `from` plus `ms` milliseconds, in monotonic nanoseconds.
#[must_use]
pub fn after(from: u64, ms: u64) -> u64 {
    from.saturating_add(ms.saturating_mul(1_000_000))
}

/// The timer. Deadlines that move into the future cost nothing: it fires at the old time and is armed anew.
#[derive(Debug)]
pub struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: u64,
    waker: Option<Waker>,
}

impl Default for Timer {
    fn default() -> Self {
        Self { sleep: None, armed: NEVER, waker: None }
    }
}

impl Timer {
    /// Ready once `deadline` (monotonic nanoseconds) has passed.
    pub fn poll(&mut self, cx: &mut Context<'_>, deadline: u64) -> Poll<()> {
        if deadline == NEVER && self.armed == NEVER {
            return Poll::Pending;
        }
        if deadline < self.armed {
            self.arm(deadline);
        }
        loop {
            let known = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            let Some(sleep) = self.sleep.as_mut() else { return Poll::Pending };
            if known && !sleep.is_elapsed() {
                return Poll::Pending;
            }
            if !known {
                self.waker = Some(cx.waker().clone());
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.waker = None;
            if clock::monotonic_ns() >= deadline {
                self.armed = NEVER;
                self.sleep = None;
                return Poll::Ready(());
            }
            if deadline == NEVER {
                self.armed = NEVER;
                self.sleep = None;
                return Poll::Pending;
            }
            self.arm(deadline);
        }
    }

    fn arm(&mut self, deadline: u64) {
        let at = clock::instant(deadline);
        self.armed = deadline;
        self.waker = None;
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(at))),
        }
    }

    /// Runs `work`, at most until `deadline`; `None` when it passed first.
    pub async fn within<T>(&mut self, deadline: u64, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => self.poll(cx, deadline).map(|()| None),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use super::super::clock::monotonic_ns;
    use super::{Timer, after};

    #[tokio::test]
    async fn fires_late_never_early() {
        let mut timer = Timer::default();
        let start = monotonic_ns();
        assert!(timer.within(after(start, 5), pending::<()>()).await.is_none());
        assert!(monotonic_ns() >= after(start, 5));
        let mut polled = false;
        let start = monotonic_ns();
        poll_fn(|cx| {
            let deadline = if polled { after(start, 40) } else { after(start, 5) };
            polled = true;
            timer.poll(cx, deadline)
        })
        .await;
        assert!(monotonic_ns() >= after(start, 40));
    }

    #[tokio::test]
    async fn can_be_brought_forward() {
        let mut timer = Timer::default();
        let start = monotonic_ns();
        assert_eq!(timer.within(after(start, 60_000), async { 1 }).await, Some(1));
        assert!(timer.within(after(start, 60_000), tokio::task::yield_now()).await.is_some());
        assert!(timer.within(after(start, 10), pending::<()>()).await.is_none());
        assert!(monotonic_ns() < after(start, 5_000));
    }
}
