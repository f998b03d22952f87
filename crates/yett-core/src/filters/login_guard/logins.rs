//! What guarded logins count, remember and ban, for the whole process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::bans::Bans;
use super::book::{Book, Known};
use super::proofs::Proofs;
use super::score::Trend;
use crate::ir::Ir;
use crate::shared::Counter;

/// Keys where nothing else is configured.
pub const DEFAULT_KEYS: u32 = 100_000;
/// Attempts that wait at once, of the whole process. Beyond it they are refused.
pub const WAITING: usize = 1_000;

/// What guarded logins count, remember and ban, for the whole process.
#[derive(Debug, Default)]
pub struct Logins {
    /// Attempts.
    pub book: Book,
    /// Bans.
    pub bans: Bans,
    /// Work that was done in place of waiting.
    pub proofs: Proofs,
    pub(super) known: Known,
    waiting: Arc<AtomicUsize>,
    watches: Mutex<BTreeMap<Box<str>, Weak<Watch>>>,
}

/// What came of attempts on one route; it outlives a reload.
#[derive(Debug)]
pub struct Watch {
    /// The route.
    pub route: Arc<str>,
    pub(super) trend: Mutex<Trend>,
    counts: [Counter; ANSWERS.len()],
}

/// What is counted of attempts.
pub const ANSWERS: [&str; 9] =
    ["passed", "failed", "unanswered", "slowed", "limited", "banned", "unreadable", "challenged", "proved"];

impl Logins {
    /// Room for as many keys as it says, and at most for so many, where logins are guarded; none otherwise.
    pub fn configure(&self, ir: &Ir, most: u32) {
        let guarded = ir.routes.iter().any(|route| route.login_guard.is_some());
        self.set_keys(if guarded { ir.process.login_keys.min(most) } else { 0 });
    }

    /// Room for so many.
    pub fn set_keys(&self, keys: u32) {
        self.book.set_keys(keys);
        self.known.set_keys(keys);
    }

    /// Forgets everything: for tools, whose questions say nothing of each other.
    pub fn forget(&self) {
        self.book.forget();
        self.known.forget();
        self.bans.forget();
        self.proofs.forget();
        for watch in self.watches() {
            *watch.trend.lock().unwrap_or_else(PoisonError::into_inner) = Trend::default();
        }
    }

    /// Attempts that wait now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// What came of attempts, by route.
    #[must_use]
    pub fn watches(&self) -> Vec<Arc<Watch>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn watch(&self, scope: &str, route: &str) -> Arc<Watch> {
        let mut all = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(scope).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, watch| watch.strong_count() > 0);
        let made = Arc::new(Watch { route: route.into(), trend: Mutex::default(), counts: Default::default() });
        all.insert(scope.into(), Arc::downgrade(&made));
        made
    }

    pub(super) fn wait(&self) -> Option<Place> {
        let place = Place(Arc::clone(&self.waiting));
        // Taken before it is known whether there is one: given back when it is dropped.
        (self.waiting.fetch_add(1, Ordering::Relaxed) < WAITING).then_some(place)
    }
}

impl Watch {
    pub(super) fn count(&self, what: &str) {
        if let Some((_, counter)) = ANSWERS.iter().zip(&self.counts).find(|(name, _)| **name == what) {
            counter.increment();
        }
    }

    /// How many there were of each of [`ANSWERS`].
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        ANSWERS.into_iter().zip(self.counts.iter().map(Counter::get))
    }
}

/// A place among the attempts that wait.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
