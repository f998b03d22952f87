//! A document of an identity provider that is kept fresh: its key set (RFC 7517), its metadata (RFC 8414).
//!
//! One task per document on the service runtime fetches; nobody else does. It fetches again ahead of `refresh` by a
//! random part, or earlier where the provider says so, tries again with a growing pause after a failure, and gives a
//! document up once it is `refresh + stale` old. Everyone else only reads. Whoever misses something wakes the task, which
//! fetches at most once per `min_interval`, and waits for the end of that attempt.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// First pause after a failure; each further one doubles it, up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// No configured time counts for more than about three years, so that clocks never overflow.
const LONGEST: Duration = Duration::from_secs(100_000_000);
/// A provider that asks for less (Cache-Control) is not asked more often than this, unless `refresh` says so.
const SHORTEST: Duration = Duration::from_secs(60);
/// Bytes of an ETag that is kept; one that is longer is none.
const ETAG_BYTES: usize = 256;

/// Where failures are reported: level, event, fields. `debug` is for counting alone.
pub type Sink = Box<dyn Fn(&'static str, &'static str, &[(&'static str, &str)]) + Send + Sync>;

/// When to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timing {
    refresh: Duration,
    stale: Duration,
    min_interval: Duration,
}

impl Timing {
    /// Milliseconds.
    ///
    /// # Errors
    /// A refresh without a pause.
    pub fn new(refresh_ms: u64, stale_ms: u64, min_interval_ms: u64) -> Result<Self, String> {
        if refresh_ms == 0 {
            return Err("nothing can be refreshed every 0 seconds; use `10m`".to_owned());
        }
        let bounded = |ms| Duration::from_millis(ms).min(LONGEST);
        Ok(Self { refresh: bounded(refresh_ms), stale: bounded(stale_ms), min_interval: bounded(min_interval_ms) })
    }

    /// How long a document is fresh: what the provider says, within bounds.
    fn fresh(&self, max_age: Option<Duration>) -> Duration {
        let shortest = SHORTEST.max(self.min_interval).min(self.refresh);
        max_age.map_or(self.refresh, |age| age.clamp(shortest, self.refresh))
    }
}

/// What came of an attempt.
#[derive(Debug)]
pub enum Fetched<D> {
    /// The document has not changed (304).
    Unchanged {
        /// How long the provider wants it to be kept.
        max_age: Option<Duration>,
    },
    /// A document.
    New {
        /// It.
        document: D,
        /// To ask with the next time (RFC 9110 section 8.8.3).
        etag: Option<Box<str>>,
        /// How long the provider wants it to be kept.
        max_age: Option<Duration>,
    },
}

/// How one kind of document is fetched. A value is one source.
pub trait Fetch: Send + Sync + Sized + 'static {
    /// What it is.
    type Document: Send + Sync + std::fmt::Debug + 'static;
    /// Everything that makes one source differ from another.
    type Settings: Clone + Eq + Hash + Send + Sync + std::fmt::Debug + 'static;
    /// The first word of its events.
    const FETCHED: &'static str;
    /// It is another one than before.
    const CHANGED: &'static str;
    /// An attempt failed.
    const FAILED: &'static str;
    /// It is too old to be believed.
    const EXPIRED: &'static str;

    /// For events: a URL without its query, which might hold a key.
    fn place(&self) -> String;
    /// Whether nothing that counts differs.
    fn same(one: &Self::Document, other: &Self::Document) -> bool;
    /// For events.
    fn size(document: &Self::Document) -> usize;
    /// One attempt; ends within 5 seconds. The error holds nothing that the other end sent.
    fn fetch(&self, etag: Option<&str>) -> impl Future<Output = Result<Fetched<Self::Document>, String>> + Send;
}

/// Sources by their settings; each lives as long as a configuration uses it.
#[derive(Debug)]
pub struct Registry<F: Fetch> {
    sources: Mutex<HashMap<F::Settings, Weak<Kept<F>>>>,
    /// The last revision given out, over all sources: no revision ever comes again.
    revisions: Arc<AtomicU64>,
}

impl<F: Fetch> Default for Registry<F> {
    fn default() -> Self {
        Self { sources: Mutex::default(), revisions: Arc::default() }
    }
}

impl<F: Fetch> Registry<F> {
    /// Finds a source, or makes it and starts its first fetch without waiting.
    pub fn source(
        &self,
        settings: F::Settings,
        timing: Timing,
        runtime: &tokio::runtime::Handle,
        sink: Sink,
        make: impl FnOnce(&F::Settings) -> Result<F, String>,
    ) -> Result<Arc<Kept<F>>, String> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(&settings).and_then(Weak::upgrade) {
            return Ok(source);
        }
        sources.retain(|_, source| source.strong_count() > 0);
        let fetch = make(&settings)?;
        let (attempts, seen) = watch::channel(0);
        let revision = next(&self.revisions);
        let kept = Arc::new(Kept {
            timing,
            held: RwLock::new(Held { document: None, revision }),
            revision: AtomicU64::new(revision),
            revisions: Arc::clone(&self.revisions),
            busy: AtomicBool::new(true),
            allowed_from: Mutex::new(Instant::now()),
            wanted: Arc::new(Notify::new()),
            attempts: seen,
        });
        let wanted = Arc::clone(&kept.wanted);
        let task = Task { kept: Arc::downgrade(&kept), wanted, fetch, etag: None, attempts, sink };
        runtime.spawn(task.run());
        sources.insert(settings, Arc::downgrade(&kept));
        Ok(kept)
    }
}

fn next(revisions: &AtomicU64) -> u64 {
    revisions.fetch_add(1, Ordering::Relaxed) + 1
}

/// A document and its number.
#[derive(Debug)]
pub struct Held<D> {
    /// `None`: never fetched, or too old.
    pub document: Option<Arc<D>>,
    /// Grows whenever the document changes, and never comes again within a process.
    pub revision: u64,
}

/// One document that is kept fresh.
#[derive(Debug)]
pub struct Kept<F: Fetch> {
    timing: Timing,
    held: RwLock<Held<F::Document>>,
    /// The same number as in `held`, for whoever needs nothing else.
    revision: AtomicU64,
    revisions: Arc<AtomicU64>,
    /// An attempt is under way.
    busy: AtomicBool,
    /// When somebody who misses something may cause the next attempt.
    allowed_from: Mutex<Instant>,
    wanted: Arc<Notify>,
    /// Grows at the end of every attempt, and whenever one that was asked for is not made.
    attempts: watch::Receiver<u64>,
}

impl<F: Fetch> Drop for Kept<F> {
    fn drop(&mut self) {
        self.wanted.notify_one();
    }
}

impl<F: Fetch> Kept<F> {
    /// Changes with every change of the document.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The document and its revision.
    pub fn held(&self) -> Held<F::Document> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        Held { document: held.document.clone(), revision: held.revision }
    }

    /// Whether waiting for [`Self::refreshed`] can bring anything new.
    pub fn may_refetch(&self) -> bool {
        self.busy.load(Ordering::Acquire) || self.interval_over()
    }

    fn interval_over(&self) -> bool {
        Instant::now() >= *self.allowed_from.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for an attempt, or joins the one under way, and waits for its end.
    pub fn refreshed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut attempts = self.attempts.clone();
        attempts.borrow_and_update();
        let useful = self.may_refetch();
        if useful {
            self.wanted.notify_one();
        }
        async move {
            if useful {
                // The task is gone only with its runtime; then there is nothing to wait for.
                let _ = attempts.changed().await;
            }
        }
    }

    /// Swaps the document in if it differs.
    fn publish(&self, document: Option<F::Document>) -> bool {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let same = match (held.document.as_deref(), document.as_ref()) {
            (None, None) => true,
            (Some(one), Some(other)) => F::same(one, other),
            _ => false,
        };
        if same {
            return false;
        }
        *held = Held { document: document.map(Arc::new), revision: next(&self.revisions) };
        self.revision.store(held.revision, Ordering::Release);
        true
    }
}

struct Task<F: Fetch> {
    kept: Weak<Kept<F>>,
    wanted: Arc<Notify>,
    fetch: F,
    etag: Option<Box<str>>,
    attempts: watch::Sender<u64>,
    sink: Sink,
}

/// What the task knows between attempts.
struct Schedule {
    next: Instant,
    pause: Duration,
    /// When the document is too old to be believed.
    dead: Option<Instant>,
}

impl<F: Fetch> Task<F> {
    async fn run(mut self) {
        let mut schedule = Schedule { next: Instant::now(), pause: RETRY_FIRST, dead: None };
        loop {
            let mut asked = false;
            let wake = schedule.dead.map_or(schedule.next, |dead| dead.min(schedule.next));
            if wake > Instant::now() {
                tokio::select! {
                    () = tokio::time::sleep_until(wake) => {}
                    () = self.wanted.notified() => asked = true,
                }
            }
            let Some(kept) = self.kept.upgrade() else { return };
            if schedule.dead.is_some_and(|dead| dead <= Instant::now()) {
                schedule.dead = None;
                self.etag = None;
                kept.publish(None);
                (self.sink)("error", F::EXPIRED, &[("url", &self.fetch.place())]);
            }
            if Instant::now() >= schedule.next || (asked && kept.interval_over()) {
                self.attempt(&kept, &mut schedule).await;
            }
            if asked || !kept.busy.load(Ordering::Relaxed) {
                self.attempts.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    async fn attempt(&mut self, kept: &Kept<F>, schedule: &mut Schedule) {
        kept.busy.store(true, Ordering::Release);
        let began = Instant::now();
        let outcome = match self.fetch.fetch(self.etag.as_deref()).await {
            Ok(Fetched::Unchanged { .. }) if self.etag.is_none() => Err("answered 304 to a request without an ETag".to_owned()),
            other => other,
        };
        match outcome {
            Ok(fetched) => {
                let max_age = self.accept(kept, fetched);
                let fresh = kept.timing.fresh(max_age);
                schedule.pause = RETRY_FIRST;
                schedule.dead = began.checked_add(kept.timing.refresh.saturating_add(kept.timing.stale));
                schedule.next = began + shortened(fresh);
            }
            Err(error) => {
                (self.sink)("warning", F::FAILED, &[("url", &self.fetch.place()), ("error", &error)]);
                schedule.next = Instant::now() + shortened(schedule.pause);
                schedule.pause = (schedule.pause * 2).min(RETRY_MAX);
            }
        }
        let mut allowed = kept.allowed_from.lock().unwrap_or_else(PoisonError::into_inner);
        *allowed = Instant::now() + kept.timing.min_interval;
        drop(allowed);
        kept.busy.store(false, Ordering::Release);
    }

    fn accept(&mut self, kept: &Kept<F>, fetched: Fetched<F::Document>) -> Option<Duration> {
        let place = self.fetch.place();
        (self.sink)("debug", F::FETCHED, &[("url", &place)]);
        match fetched {
            Fetched::Unchanged { max_age } => max_age,
            Fetched::New { document, etag, max_age } => {
                let size = F::size(&document).to_string();
                if kept.publish(Some(document)) {
                    (self.sink)("info", F::CHANGED, &[("url", &place), ("count", &size)]);
                }
                self.etag = etag;
                max_age
            }
        }
    }
}

/// Up to a tenth less, by chance, so that instances that started together do not ask together.
fn shortened(time: Duration) -> Duration {
    let mut byte = [0];
    let [chance] = if aws_lc_rs::rand::fill(&mut byte).is_ok() { byte } else { [0] };
    time - time / 2560 * u32::from(chance)
}

/// An ETag that can be sent back (RFC 9110 section 8.8.3).
pub fn etag(headers: &http::HeaderMap) -> Option<Box<str>> {
    let text = headers.get(http::header::ETAG)?.to_str().ok()?;
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let quoted = opaque.len() >= 2 && opaque.starts_with('"') && opaque.ends_with('"');
    (quoted && text.len() <= ETAG_BYTES).then(|| text.into())
}

/// How long an answer says that it may be kept (RFC 9111 section 5.2.2). What it says twice, or unclearly, counts as 0.
pub fn max_age(headers: &http::HeaderMap) -> Option<Duration> {
    let mut found = None;
    for value in headers.get_all(http::header::CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or("no-cache").split(',').map(str::trim) {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let age = match name.to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => 0,
                "max-age" => argument.trim_matches('"').parse().unwrap_or(0),
                _ => continue,
            };
            found = Some(found.map_or(age, |before: u64| before.min(age)));
        }
    }
    found.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, header};

    fn with(name: header::HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_a_provider_says_about_time_counts_within_bounds() {
        let timing = Timing::new(600_000, 0, 10_000).unwrap();
        let fresh = |values: &[&'static str]| timing.fresh(max_age(&with(header::CACHE_CONTROL, values))).as_secs();
        assert_eq!(fresh(&[]), 600);
        assert_eq!(fresh(&["public, max-age=300"]), 300);
        assert_eq!(fresh(&["max-age=86400, must-revalidate"]), 600);
        assert_eq!(fresh(&["Max-Age=\"120\""]), 120);
        for short in ["max-age=15, stale-if-error=86400", "no-store", "no-cache, max-age=300", "max-age=soon", "max-age=-1"] {
            assert_eq!(fresh(&[short]), 60, "{short}");
        }
        assert_eq!(fresh(&["max-age=300", "max-age=500"]), 300);
        assert_eq!(Timing::new(5_000, 0, 10_000).unwrap().fresh(Some(Duration::ZERO)).as_secs(), 5);
        assert!(Timing::new(0, 1, 1).is_err());
    }

    #[test]
    fn etags_are_kept_as_they_are_or_not_at_all() {
        for good in ["\"\"", "\"abc\"", "W/\"abc\""] {
            assert_eq!(etag(&with(header::ETAG, &[good])).as_deref(), Some(good));
        }
        for bad in ["", "abc", "\"", "W/abc"] {
            assert_eq!(etag(&with(header::ETAG, &[bad])), None, "{bad}");
        }
        let long = HeaderMap::from_iter([(header::ETAG, HeaderValue::from_str(&format!("\"{}\"", "a".repeat(256))).unwrap())]);
        assert_eq!(etag(&long), None);
    }

    #[test]
    fn shortened_by_a_tenth_at_most() {
        for _ in 0..1000 {
            let time = shortened(Duration::from_secs(600));
            assert!(time > Duration::from_secs(540) && time <= Duration::from_secs(600), "{time:?}");
        }
    }
}
