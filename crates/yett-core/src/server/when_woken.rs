//! A future that rarely has anything to do, beside many that have: asked only where it was woken itself.
//!
//! A `LocalSet` asks the future that it is run until each time that anything of the thread was woken, which is several times a
//! request.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Asks `future` at first, and then where it was woken.
pub fn when_woken<F: Future + Unpin>(future: F) -> WhenWoken<F> {
    let nudge = Arc::new(Nudge { woken: AtomicBool::new(true), outer: Mutex::new(Waker::noop().clone()) });
    WhenWoken { future, known: Waker::noop().clone(), waker: Arc::clone(&nudge).into(), nudge }
}

/// See [`when_woken`].
#[derive(Debug)]
pub struct WhenWoken<F> {
    future: F,
    /// Who asked last.
    known: Waker,
    waker: Waker,
    nudge: Arc<Nudge>,
}

#[derive(Debug)]
struct Nudge {
    woken: AtomicBool,
    outer: Mutex<Waker>,
}

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // First this: whoever is woken looks at it.
        self.woken.store(true, Ordering::Release);
        let outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        outer.wake();
    }
}

impl<F: Future + Unpin> Future for WhenWoken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if !self.known.will_wake(context.waker()) {
            self.known.clone_from(context.waker());
            self.nudge.outer.lock().unwrap_or_else(PoisonError::into_inner).clone_from(context.waker());
        }
        if !self.nudge.woken.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.nudge.woken.store(false, Ordering::Release);
        let this = &mut *self;
        Pin::new(&mut this.future).poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[tokio::test(flavor = "current_thread")]
    async fn asked_only_where_it_was_woken() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<u8>(4);
        let asked = Rc::new(Cell::new(0));
        let mut future = when_woken(Box::pin({
            let asked = Rc::clone(&asked);
            async move {
                std::future::poll_fn(|context| {
                    asked.set(asked.get() + 1);
                    receiver.poll_recv(context)
                })
                .await
            }
        }));
        for _ in 0..5 {
            assert!(futures_pending(&mut future).await);
        }
        assert_eq!(asked.get(), 1);
        std::thread::spawn(move || sender.blocking_send(7)).join().unwrap().unwrap();
        assert_eq!(future.await, Some(7));
        assert_eq!(asked.get(), 2);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn no_wake_is_lost_between_threads() {
        for _ in 0..500 {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let thread = std::thread::spawn(move || sender.send(1));
            let got = tokio::time::timeout(std::time::Duration::from_secs(20), when_woken(receiver)).await;
            assert_eq!(got, Ok(Ok(1)));
            thread.join().unwrap().unwrap();
        }
    }

    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context).is_pending())).await
    }
}
