//! JWK sets (RFC 7517): fetched once for the process, refreshed ahead, bounded.
//!
//! One task per source on the service runtime fetches; nobody else does. It refreshes at `refresh`, tries again with a
//! growing pause after a failure, and gives a set up once it is `refresh + stale` old. Workers only read. A request with
//! an unknown key wakes the task, which fetches at most once per `min_interval`, and waits for the end of that attempt.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::jwk::{Algorithm, KeySet, SET_BYTES, Trust};
use crate::ir;
use crate::outbound::{Limits, Request, Response, Target, Transport, address};

/// First pause after a failure; each further one doubles it, up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// No configured time counts for more than about three years, so that clocks never overflow.
const LONGEST: Duration = Duration::from_secs(100_000_000);

/// Where failures are reported: level, event, fields.
pub(super) type Sink = Box<dyn Fn(&'static str, &'static str, &[(&'static str, &str)]) + Send + Sync>;

/// Everything that makes one source differ from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Settings {
    url: String,
    plaintext: bool,
    ca: Option<String>,
    /// Whether addresses of this machine may be fetched from.
    loopback: bool,
    refresh: Duration,
    stale: Duration,
    min_interval: Duration,
    algorithms: Vec<Algorithm>,
}

impl Settings {
    pub(super) fn new(spec: &ir::JwksUrl, issuer: &str, algorithms: &[Algorithm]) -> Result<Self, String> {
        if spec.refresh_ms == 0 {
            return Err("a key set cannot be refreshed every 0 seconds; use `10m`".to_owned());
        }
        Ok(Self {
            url: spec.url.clone(),
            plaintext: spec.plaintext,
            ca: spec.ca.clone(),
            loopback: spec.plaintext || address::names_this_machine(issuer),
            refresh: Duration::from_millis(spec.refresh_ms).min(LONGEST),
            stale: Duration::from_millis(spec.stale_ms).min(LONGEST),
            min_interval: Duration::from_millis(spec.min_interval_ms).min(LONGEST),
            algorithms: algorithms.to_vec(),
        })
    }
}

/// JWK sets by source; each lives as long as a configuration uses it.
#[derive(Debug, Default)]
pub struct Registry {
    sources: Mutex<HashMap<Settings, Weak<KeySource>>>,
    /// The last revision given out, over all sources: no revision ever comes again.
    revisions: Arc<AtomicU64>,
}

impl Registry {
    /// Finds a source, or makes it and starts its first fetch without waiting.
    pub(super) fn source(
        &self,
        settings: Settings,
        runtime: &tokio::runtime::Handle,
        sink: Sink,
    ) -> Result<Arc<KeySource>, String> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(&settings).and_then(Weak::upgrade) {
            return Ok(source);
        }
        sources.retain(|_, source| source.strong_count() > 0);
        let transport = Transport::new(settings.ca.as_deref(), None, settings.plaintext, settings.loopback)?;
        let target = Target::new(&settings.url, &transport).map_err(|why| format!("the key set: {why}"))?;
        let (attempts, seen) = watch::channel(0);
        let revision = next(&self.revisions);
        let source = Arc::new(KeySource {
            settings: settings.clone(),
            trust: RwLock::new(Trust { set: None, revision }),
            revision: AtomicU64::new(revision),
            revisions: Arc::clone(&self.revisions),
            busy: AtomicBool::new(true),
            allowed_from: Mutex::new(Instant::now()),
            wanted: Arc::new(Notify::new()),
            attempts: seen,
        });
        let task = Task { source: Arc::downgrade(&source), wanted: Arc::clone(&source.wanted), target, attempts, sink };
        runtime.spawn(task.run());
        sources.insert(settings, Arc::downgrade(&source));
        Ok(source)
    }
}

fn next(revisions: &AtomicU64) -> u64 {
    revisions.fetch_add(1, Ordering::Relaxed) + 1
}

/// One set of keys that is kept fresh.
#[derive(Debug)]
pub(super) struct KeySource {
    settings: Settings,
    trust: RwLock<Trust>,
    /// The same number as in `trust`, for whoever needs nothing else.
    revision: AtomicU64,
    revisions: Arc<AtomicU64>,
    /// An attempt is under way.
    busy: AtomicBool,
    /// When an unknown key may cause the next attempt.
    allowed_from: Mutex<Instant>,
    wanted: Arc<Notify>,
    /// Grows at the end of every attempt, and whenever one that was asked for is not made.
    attempts: watch::Receiver<u64>,
}

impl Drop for KeySource {
    fn drop(&mut self) {
        self.wanted.notify_one();
    }
}

impl KeySource {
    /// Changes with every change of the keys.
    pub(super) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The keys and their revision.
    pub(super) fn trust(&self) -> Trust {
        self.trust.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether waiting for [`Self::refreshed`] can bring anything new.
    pub(super) fn may_refetch(&self) -> bool {
        self.busy.load(Ordering::Acquire) || self.interval_over()
    }

    fn interval_over(&self) -> bool {
        Instant::now() >= *self.allowed_from.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for an attempt, or joins the one under way, and waits for its end. Every attempt ends within 5 seconds.
    pub(super) fn refreshed(&self) -> impl Future<Output = ()> + 'static {
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

    /// Swaps the set in if its keys differ.
    fn publish(&self, set: Option<KeySet>) -> bool {
        let mut trust = self.trust.write().unwrap_or_else(PoisonError::into_inner);
        let fingerprint = |set: &KeySet| set.fingerprint;
        if trust.set.as_deref().map(fingerprint) == set.as_ref().map(fingerprint) {
            return false;
        }
        *trust = Trust { set: set.map(Arc::new), revision: next(&self.revisions) };
        self.revision.store(trust.revision, Ordering::Release);
        true
    }
}

struct Task {
    source: Weak<KeySource>,
    wanted: Arc<Notify>,
    target: Target,
    attempts: watch::Sender<u64>,
    sink: Sink,
}

/// What the task knows between attempts.
struct Schedule {
    next: Instant,
    pause: Duration,
    /// When the set is too old to be believed.
    dead: Option<Instant>,
}

impl Task {
    async fn run(self) {
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
            let Some(source) = self.source.upgrade() else { return };
            if schedule.dead.is_some_and(|dead| dead <= Instant::now()) {
                schedule.dead = None;
                source.publish(None);
                (self.sink)("error", "jwks_expired", &[("url", shown(&source.settings.url))]);
            }
            if Instant::now() >= schedule.next || (asked && source.interval_over()) {
                self.attempt(&source, &mut schedule).await;
            }
            if asked || !source.busy.load(Ordering::Relaxed) {
                self.attempts.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    async fn attempt(&self, source: &KeySource, schedule: &mut Schedule) {
        source.busy.store(true, Ordering::Release);
        let began = Instant::now();
        let request = Request::get("application/jwk-set+json, application/json");
        let answer = self.target.send(&request, Limits { bytes: SET_BYTES, ..Limits::default() }).await;
        let set = answer.and_then(Response::ok).map_err(|fault| fault.to_string()).and_then(|text| {
            let set = KeySet::parse(&text, &source.settings.algorithms)?;
            if set.is_empty() { Err("the key set has no public key for the provider's algorithms".to_owned()) } else { Ok(set) }
        });
        let url = shown(&source.settings.url);
        match set {
            Ok(set) => {
                let count = set.len().to_string();
                if source.publish(Some(set)) {
                    (self.sink)("info", "jwks_changed", &[("url", url), ("keys", &count)]);
                }
                schedule.pause = RETRY_FIRST;
                schedule.dead = began.checked_add(source.settings.refresh.saturating_add(source.settings.stale));
                schedule.next = began + source.settings.refresh;
            }
            Err(error) => {
                (self.sink)("warning", "jwks_fetch_failed", &[("url", url), ("error", &error)]);
                schedule.next = Instant::now() + schedule.pause;
                schedule.pause = (schedule.pause * 2).min(RETRY_MAX);
            }
        }
        let mut allowed = source.allowed_from.lock().unwrap_or_else(PoisonError::into_inner);
        *allowed = Instant::now() + source.settings.min_interval;
        drop(allowed);
        source.busy.store(false, Ordering::Release);
    }
}

/// A URL without its query, which might hold a key.
fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
