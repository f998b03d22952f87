//! Requests under way, by what they ask: whoever wants the same waits for the same answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

/// Requests under way. As many as are begun and not answered, so their number is bounded where requests are.
#[derive(Debug)]
pub struct Flights<K, V>(Mutex<HashMap<K, Flight<V>>>);

#[derive(Debug)]
struct Flight<V> {
    began: Instant,
    answer: watch::Receiver<Option<V>>,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, V> Flights<K, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Joins the request for `key` if it began at `not_before` or later; otherwise begins one. It goes on to its end on
    /// `runtime`, also if nobody waits any more. Nothing only where it ended in a bug.
    pub async fn join<F>(self: &Arc<Self>, key: K, not_before: Instant, runtime: &Handle, ask: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut answer = self.find_or_begin(key, not_before, runtime, ask);
        let found = answer.wait_for(Option::is_some).await.ok()?;
        found.clone()
    }

    fn find_or_begin<F>(
        self: &Arc<Self>,
        key: K,
        not_before: Instant,
        runtime: &Handle,
        ask: impl FnOnce() -> F,
    ) -> watch::Receiver<Option<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key)
            && flight.began >= not_before
        {
            return flight.answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        flights.insert(key.clone(), Flight { began: Instant::now(), answer: answer.clone() });
        let landing = Landing { flights: Arc::clone(self), key, answer: answer.clone() };
        let asked = ask();
        runtime.spawn(async move {
            let found = asked.await;
            // gone from the list first: who comes now asks anew
            drop(landing);
            let _ = sender.send(Some(found));
        });
        answer
    }

    /// How many are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Takes a request off the list, however it ends; not a younger one for the same.
struct Landing<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    answer: watch::Receiver<Option<V>>,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(&self.key).is_some_and(|flight| flight.answer.same_channel(&self.answer)) {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn the_same_is_asked_once_while_it_is_fresh_enough() {
        let flights = Arc::new(Flights::<u8, usize>::default());
        let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let runtime = Handle::current();
        let began = Instant::now();
        let ask = |key, not_before| {
            let (asked, go, flights, runtime) = (Arc::clone(&asked), Arc::clone(&go), Arc::clone(&flights), runtime.clone());
            async move {
                let call = || async move {
                    let number = asked.fetch_add(1, Ordering::SeqCst);
                    go.notified().await;
                    number
                };
                flights.join(key, not_before, &runtime, call).await
            }
        };
        let first = tokio::spawn(ask(1, began));
        let second = tokio::spawn(ask(1, began));
        let other = tokio::spawn(ask(2, began));
        while asked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(flights.len(), 2);
        // what began before this moment is too old for somebody
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        let fresh = tokio::spawn(ask(1, Instant::now()));
        while asked.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        go.notify_waiters();
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        assert!(first == second && first.is_some());
        assert_ne!(fresh.await.unwrap(), first);
        assert!(other.await.unwrap().is_some());
        assert!(flights.is_empty());
    }

    #[tokio::test]
    async fn a_bug_leaves_nothing_behind() {
        let flights = Arc::new(Flights::<u8, ()>::default());
        let call = || async { panic!("as a bug would") };
        assert_eq!(flights.join(1, Instant::now(), &Handle::current(), call).await, None);
        assert!(flights.is_empty());
    }
}
