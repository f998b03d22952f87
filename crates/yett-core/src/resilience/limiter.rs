//! Requests under way at a service, counted for the whole process; some more wait in order, the rest is refused.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// Places for requests. A figure is for the process: workers share one limiter for each service.
#[derive(Debug)]
pub struct Limiter {
    free: Semaphore,
    /// Places there are, free or not.
    places: Mutex<u32>,
    /// Places to be taken away as soon as they are given back: the limit was lowered while they were in use.
    owed: AtomicU32,
    active: AtomicU32,
    waiting: AtomicU32,
    may_wait: AtomicU32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            free: Semaphore::new(0),
            places: Mutex::default(),
            owed: AtomicU32::new(0),
            active: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            may_wait: AtomicU32::new(0),
        }
    }
}

impl Limiter {
    /// Sets the bounds; requests under way keep their places.
    pub fn configure(&self, concurrency: u32, pending: u32) {
        self.may_wait.store(pending, Ordering::Relaxed);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if concurrency > *places {
            self.add(concurrency - *places);
        } else if concurrency < *places {
            let less = *places - concurrency;
            // Owed before it is taken, so that no place given back meanwhile lets one request too many in.
            self.owed.fetch_add(less, Ordering::Relaxed);
            let taken = u32::try_from(self.free.forget_permits(less as usize)).unwrap_or(less);
            self.add(taken);
        }
        *places = concurrency;
    }

    /// More places: first what is owed.
    fn add(&self, count: u32) {
        let before = self.owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |owed| Some(owed.saturating_sub(count)));
        let paid = before.unwrap_or_else(|owed| owed).min(count);
        self.free.add_permits((count - paid) as usize);
    }

    /// A place, if one is free and nobody waits for it.
    #[must_use]
    pub fn try_enter(self: &Arc<Self>) -> Option<Place> {
        let permit = self.free.try_acquire().ok()?;
        permit.forget();
        Some(self.entered())
    }

    /// A place in the queue, if there is one left.
    #[must_use]
    pub fn queue(self: &Arc<Self>) -> Option<Waiting> {
        let most = self.may_wait.load(Ordering::Relaxed);
        let more = |waiting: u32| (waiting < most).then(|| waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Waiting(self.clone()))
    }

    fn entered(self: &Arc<Self>) -> Place {
        self.active.fetch_add(1, Ordering::Relaxed);
        Place(self.clone())
    }

    /// Requests under way.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Requests that wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A request under way; its place is free again when this is dropped.
#[derive(Debug)]
pub struct Place(Arc<Limiter>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
        self.0.add(1);
    }
}

/// A request that waits, until this is dropped.
#[derive(Debug)]
pub struct Waiting(Arc<Limiter>);

impl Waiting {
    /// A place once it is this request's turn.
    pub async fn turn(&self) -> Option<Place> {
        self.0.free.acquire().await.ok()?.forget();
        Some(self.0.entered())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::{Limiter, Place, Waiting};

    fn limiter(concurrency: u32, pending: u32) -> Arc<Limiter> {
        let limiter = Arc::new(Limiter::default());
        limiter.configure(concurrency, pending);
        limiter
    }

    fn fill(limiter: &Arc<Limiter>) -> Vec<Place> {
        std::iter::from_fn(|| limiter.try_enter()).collect()
    }

    #[test]
    fn places_and_queue_are_bounded_and_given_back() {
        let limiter = limiter(3, 2);
        let places = fill(&limiter);
        assert_eq!((places.len(), limiter.active()), (3, 3));
        let queue: Vec<Waiting> = std::iter::from_fn(|| limiter.queue()).collect();
        assert_eq!((queue.len(), limiter.waiting()), (2, 2));
        drop((places, queue));
        assert_eq!((limiter.active(), limiter.waiting(), fill(&limiter).len()), (0, 0, 3));
    }

    #[test]
    fn those_who_wait_come_first_and_in_order() {
        let limiter = limiter(1, 2);
        let place = limiter.try_enter();
        let (first, second) = (limiter.queue().unwrap(), limiter.queue().unwrap());
        let mut cx = Context::from_waker(Waker::noop());
        let (mut first, mut second) = (pin!(first.turn()), pin!(second.turn()));
        assert!(first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending());
        drop(place);
        assert!(limiter.try_enter().is_none(), "a place that someone waits for");
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert!(matches!(first.as_mut().poll(&mut cx), Poll::Ready(Some(_))));
    }

    #[test]
    fn a_reload_changes_the_bound_under_load() {
        let limiter = limiter(4, 0);
        let mut places = fill(&limiter);
        limiter.configure(1, 0);
        places.truncate(1);
        assert!(limiter.try_enter().is_none());
        limiter.configure(2, 0);
        assert_eq!(fill(&limiter).len(), 1);
        limiter.configure(1, 0);
        limiter.configure(3, 0);
        places.clear();
        assert_eq!(fill(&limiter).len(), 3);
        for (from, to) in [(3, 5), (5, 2), (2, 2), (2, 9)] {
            assert_eq!(fill(&limiter).len(), from);
            limiter.configure(to, 0);
            assert_eq!(fill(&limiter).len(), to as usize);
        }
    }
}
