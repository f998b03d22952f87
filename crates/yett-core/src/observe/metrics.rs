//! Counters per worker, summed when scraped.
//!
//! Every cell has one writer, its worker, so that counting is a load and a store; the scrape only reads. Label values
//! come from the configuration (listeners, routes) or from closed lists (status classes, reasons), never from a request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::reason::Reason;

/// Status classes; `aborted` is a client that was gone before its answer.
pub const CLASSES: [&str; 6] = ["aborted", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// Upper bounds of the histograms' buckets, nanoseconds; one for the rest follows.
pub const BUCKETS: [(u64, &str); 12] = [
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (1_000_000_000, "1"),
    (5_000_000_000, "5"),
    (30_000_000_000, "30"),
];
/// Series of failed authentication that are kept apart.
const SERIES: usize = 10_000;
const REASONS: usize = Reason::ALL.len();

/// A cell with one writer.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Only its worker calls this.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }
    /// Only its worker calls this.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(n), Ordering::Relaxed);
    }
    /// Anyone may.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A histogram with [`BUCKETS`].
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [Cell; BUCKETS.len() + 1],
    sum_ns: Cell,
}

impl Histogram {
    /// Only its worker calls this.
    pub fn observe(&self, ns: u64) {
        let index = BUCKETS.iter().position(|(bound, _)| ns <= *bound).unwrap_or(BUCKETS.len());
        if let Some(cell) = self.counts.get(index) {
            cell.add(1);
        }
        self.sum_ns.add(ns);
    }

    /// Adds its counts (not cumulative) and sum to `counts` and `sum_ns`.
    pub fn collect(&self, counts: &mut [u64; BUCKETS.len() + 1], sum_ns: &mut u64) {
        for (total, cell) in counts.iter_mut().zip(&self.counts) {
            *total += cell.get();
        }
        *sum_ns = sum_ns.wrapping_add(self.sum_ns.get());
    }
}

/// What the series of one configuration are called; shared by the workers.
#[derive(Debug, Default)]
pub struct Labels {
    /// Revision, to tell whether a request's route index belongs to these labels.
    pub revision: Arc<str>,
    /// Listener names.
    pub listeners: Vec<Arc<str>>,
    /// Route names; the series in front of them is "no route".
    pub routes: Vec<Arc<str>>,
    /// For each series, its index among the previous labels.
    pub previous: Vec<Option<usize>>,
}

impl Labels {
    /// Labels of a configuration that follows `previous`; counts go on where listener and route keep their names.
    #[must_use]
    pub fn new(revision: Arc<str>, listeners: Vec<Arc<str>>, routes: Vec<Arc<str>>, previous: &Self) -> Self {
        let old_routes: std::collections::HashMap<&str, usize> =
            previous.routes.iter().enumerate().map(|(index, name)| (&**name, index)).collect();
        let mut from = Vec::with_capacity(listeners.len() * (routes.len() + 1));
        for listener in &listeners {
            let old = previous.listeners.iter().position(|name| name == listener);
            from.push(old.map(|old| previous.series(old, None)));
            for route in &routes {
                let route = old_routes.get(&**route);
                from.push(old.zip(route).map(|(old, route)| previous.series(old, Some(*route))));
            }
        }
        Self { revision, listeners, routes, previous: from }
    }

    fn series(&self, listener: usize, route: Option<usize>) -> usize {
        listener * (self.routes.len() + 1) + route.map_or(0, |route| route + 1)
    }

    /// The series of a request. `index` is its route in the configuration named by `revision`.
    fn find(&self, revision: &str, listener: &str, index: Option<u32>, route: Option<&str>) -> Option<usize> {
        let listener = self.listeners.iter().position(|name| **name == *listener)?;
        let same = std::ptr::eq(self.revision.as_ptr(), revision.as_ptr()) || *self.revision == *revision;
        let route = match (same, index) {
            (true, index) => index.and_then(|index| usize::try_from(index).ok()),
            (false, _) => route.and_then(|route| self.routes.iter().position(|name| **name == *route)),
        };
        Some(self.series(listener, route.filter(|route| *route < self.routes.len())))
    }
}

type Series = [Cell; CLASSES.len()];

/// One worker's requests by listener, route and class.
#[derive(Debug, Default)]
pub struct Table {
    labels: Arc<Labels>,
    /// Made at the first request of each series.
    series: Vec<OnceLock<Arc<Series>>>,
}

impl Table {
    /// For new labels; counts go over.
    #[must_use]
    pub fn next(&self, labels: &Arc<Labels>) -> Self {
        let carried = labels.previous.iter().map(|old| {
            let old = old.and_then(|index| self.series.get(index)).and_then(OnceLock::get);
            old.map_or_else(OnceLock::new, |series| OnceLock::from(Arc::clone(series)))
        });
        Self { labels: Arc::clone(labels), series: carried.collect() }
    }

    /// Counts one request.
    pub fn count(&self, revision: &str, listener: &str, index: Option<u32>, route: Option<&str>, status: u16) {
        let series = self.labels.find(revision, listener, index, route).and_then(|at| self.series.get(at));
        let class = usize::from(status / 100).min(CLASSES.len() - 1);
        if let Some(cell) = series.and_then(|series| series.get_or_init(Arc::default).get(class)) {
            cell.add(1);
        }
    }

    /// Calls `each(listener, route, class, count)` for what is not 0.
    pub fn each(&self, mut each: impl FnMut(&Arc<str>, Option<&Arc<str>>, usize, u64)) {
        let width = self.labels.routes.len() + 1;
        for (at, series) in self.series.iter().enumerate() {
            let (Some(listener), Some(series)) = (self.labels.listeners.get(at / width), series.get()) else { continue };
            let route = (at % width).checked_sub(1).and_then(|route| self.labels.routes.get(route));
            for (class, cell) in series.iter().enumerate().filter(|(_, cell)| cell.get() > 0) {
                each(listener, route, class, cell.get());
            }
        }
    }
}

/// A failed authentication: its provider, where one judged it, and the reason.
pub type Failed = (Option<Arc<str>>, &'static str);

/// What one worker counts.
#[derive(Debug)]
pub struct WorkerMetrics {
    /// Requests; swapped with the configuration.
    pub table: Mutex<Arc<Table>>,
    /// Refusals by reason.
    pub refusals: [Cell; REASONS],
    /// Credentials that were missing or refused, by provider (none where it is not known) and reason.
    pub authentication: Mutex<BTreeMap<Failed, u64>>,
    /// From the head to the last byte.
    pub request: Histogram,
    /// From forwarding to the first byte of the answer.
    pub upstream: Histogram,
    /// Accepted, since start.
    pub connections: Cell,
    /// Open now.
    pub open: Cell,
    /// Body bytes from clients.
    pub bytes_in: Cell,
    /// Body bytes to clients.
    pub bytes_out: Cell,
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        Self {
            table: Mutex::default(),
            refusals: std::array::from_fn(|_| Cell::default()),
            authentication: Mutex::default(),
            request: Histogram::default(),
            upstream: Histogram::default(),
            connections: Cell::default(),
            open: Cell::default(),
            bytes_in: Cell::default(),
            bytes_out: Cell::default(),
        }
    }
}

impl WorkerMetrics {
    /// The table now.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a credential that was missing or refused. Names come from configurations; beyond [`SERIES`], which only
    /// renaming at every reload can reach, they count as not known.
    pub fn authentication_failed(&self, provider: Option<&Arc<str>>, reason: Reason) {
        let mut all = self.authentication.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (provider.cloned(), reason.code());
        if all.len() >= SERIES && !all.contains_key(&key) {
            key.0 = None;
        }
        *all.entry(key).or_default() += 1;
    }

    /// Counts a refusal.
    pub fn refused(&self, reason: Reason) {
        if let Some(cell) = self.refusals.get(usize::from(reason as u8)) {
            cell.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<Arc<str>> {
        list.iter().map(|name| (*name).into()).collect()
    }

    fn counts(table: &Table) -> Vec<(String, String, u64)> {
        let mut out = Vec::new();
        table.each(|l, r, class, n| {
            out.push((format!("{l}/{}", r.map_or("", |r| r)), CLASSES[class].to_owned(), n));
        });
        out
    }

    #[test]
    fn counts_follow_names_over_a_reload() {
        let first = Arc::new(Labels::new("one".into(), names(&["a", "b"]), names(&["r", "s"]), &Labels::default()));
        let table = Table::default().next(&first);
        table.count("one", "b", Some(1), Some("s"), 200);
        table.count("one", "b", None, None, 404);
        let second = Arc::new(Labels::new("two".into(), names(&["b"]), names(&["new", "s"]), &first));
        let table = table.next(&second);
        table.count("one", "b", Some(1), Some("s"), 204);
        table.count("two", "b", Some(1), Some("s"), 0);
        table.count("one", "a", Some(0), Some("r"), 200);
        let expected = [("b/", "4xx", 1), ("b/s", "aborted", 1), ("b/s", "2xx", 2)];
        assert_eq!(counts(&table), expected.map(|(a, b, n)| (a.to_owned(), b.to_owned(), n)));
    }

    #[test]
    fn histogram_edges() {
        let histogram = Histogram::default();
        for ns in [0, 500_000, 500_001, u64::MAX / 2] {
            histogram.observe(ns);
        }
        let (mut buckets, mut sum) = ([0; BUCKETS.len() + 1], 0);
        histogram.collect(&mut buckets, &mut sum);
        assert_eq!((buckets[0], buckets[1], buckets[BUCKETS.len()]), (2, 1, 1));
    }
}
