//! A gateway: workers, listeners, snapshots; what `yett._core.Gateway` wraps.
//!
//! A process may hold several. Each has its workers (plain threads, one runtime each), one service runtime of two
//! threads for what may be slow, one thread that writes the access log, and no global of any kind.

mod adopt;
mod plan;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Sender, channel};

use self::adopt::Adopted;
pub use self::adopt::{Given, bind_early};
use self::plan::{Control, Plan};
use crate::geo::Database;
use crate::observe::access_log::{ACCESS, DECISIONS, LogWriter};
use crate::observe::admin::Probe;
use crate::observe::metrics::WorkerMetrics;
use crate::observe::prometheus::{self, Gauges};
use crate::revocation::Revocations;
use crate::server::clock;
use crate::server::seat::{Command, Drain, Installed, Seat};
use crate::server::signals;
use crate::shared::Shared;
use crate::snapshot::{LoadError, Secrets, Snapshot};
use crate::upstream::Health;
use crate::upstream::health::EndpointHealth;
use crate::watched::{Watched, now_s};

/// Threads of the service runtime.
const SERVICE_THREADS: usize = 2;
/// Threads for name resolution and files, made when needed.
const BLOCKING_THREADS: usize = 8;
/// Orders that wait for a worker.
const COMMANDS: usize = 16;
/// How long an apply waits for the workers. They take a configuration between two polls, so this is only met by a bug.
const ACKNOWLEDGE: Duration = Duration::from_secs(10);
/// How long past the deadline a stop waits for threads, and then for the log.
const GRACE: Duration = Duration::from_secs(2);
/// How long a configuration that was replaced is held for requests that still use it, and how often that is looked at.
const RETIRED: Duration = Duration::from_secs(10);
const RETIRED_EVERY: Duration = Duration::from_millis(100);
/// Most workers; beyond any machine's cores.
const MAX_WORKERS: u32 = 1024;

/// How to start.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Worker threads, at least 1.
    pub workers: u32,
    /// Listening sockets from outside; those that the first configuration does not use are closed.
    #[serde(default)]
    pub adopted: Vec<Given>,
}

/// A running gateway. Several may live in one process.
#[derive(Debug)]
pub struct Gateway {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    runtime: Mutex<Option<Runtime>>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    commands: Vec<Sender<Command>>,
    metrics: Vec<Arc<WorkerMetrics>>,
    current: Arc<Mutex<Option<Arc<Installed>>>>,
    /// Held over a whole apply or stop, so that two never mix.
    control: Mutex<Control>,
    admin: Mutex<Option<SocketAddr>>,
    log: LogWriter,
    decisions: LogWriter,
    draining: AtomicBool,
    started: u64,
    applied: AtomicU64,
}

impl Gateway {
    /// Starts workers and the service runtime; nothing listens before the first `apply`.
    pub fn start(options: &Options) -> Result<Self, String> {
        if options.workers == 0 || options.workers > MAX_WORKERS {
            return Err(format!("`{}` workers cannot be started; use 1 to {MAX_WORKERS}", options.workers));
        }
        let adopted = options.adopted.iter().map(Adopted::take).collect::<Result<Vec<_>, _>>()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(SERVICE_THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("yett-service")
            .on_thread_start(signals::block)
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| format!("the service runtime does not start: {error}"))?;
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| "the system gives no randomness".to_owned())?;
        let shared = Arc::new(Shared::new(runtime.handle().clone(), seed));
        let writer = |kind| LogWriter::start(&shared, kind).map_err(|error| format!("the log writer does not start: {error}"));
        let (log, decisions) = (writer(&ACCESS)?, writer(&DECISIONS)?);
        let current = Arc::<Mutex<Option<Arc<Installed>>>>::default();
        let (mut commands, mut metrics, mut threads) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..usize::try_from(options.workers).unwrap_or(1) {
            let (sender, receiver) = channel(COMMANDS);
            let counts = Arc::<WorkerMetrics>::default();
            let seat = Seat {
                index,
                shared: Arc::clone(&shared),
                commands: receiver,
                current: Arc::clone(&current),
                metrics: Arc::clone(&counts),
                log: log.queue(),
                decisions: decisions.queue(),
            };
            let thread = std::thread::Builder::new().name(format!("yett-{index}")).spawn(move || seat.run());
            threads.push(thread.map_err(|error| format!("worker {index} does not start: {error}"))?);
            commands.push(sender);
            metrics.push(counts);
        }
        let inner = Inner {
            shared,
            commands,
            metrics,
            current,
            control: Mutex::new(Control::adopting(adopted)),
            admin: Mutex::default(),
            log,
            decisions,
            draining: AtomicBool::new(false),
            started: unix_seconds(),
            applied: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner), threads: Mutex::new(threads), runtime: Mutex::new(Some(runtime)) })
    }

    /// Builds a snapshot, binds new addresses, swaps on every worker, waits for all acknowledgements, drains what went.
    /// All or nothing: after an error what served before serves on unchanged.
    pub fn apply(&self, ir: &[u8], secrets: &Secrets) -> Result<String, Vec<LoadError>> {
        let inner = &self.inner;
        let begun = Instant::now();
        let mut control = lock(&inner.control);
        let prepared = if inner.draining.load(Ordering::Relaxed) {
            Err(vec![error("", "the gateway is stopping; start a new one")])
        } else {
            let probe = Arc::new(WeakProbe(Arc::downgrade(inner)));
            Plan::prepare(&control, ir, secrets, &inner.shared, inner.commands.len(), probe)
        };
        let plan = match prepared {
            Ok(plan) => plan,
            Err(errors) => {
                inner.shared.counters.reload_failures.increment();
                let count = errors.len().to_string();
                inner.shared.events.push("error", "apply_failed", &[("errors", &count)]);
                return Err(errors);
            }
        };
        let built = begun.elapsed();
        let installed = inner.commit(&mut control, plan);
        inner.shared.counters.reloads.increment();
        inner.shared.key_uses.forget();
        inner.applied.store(unix_seconds(), Ordering::Relaxed);
        let ir = &installed.snapshot.ir;
        inner.shared.events.push(
            "info",
            "applied",
            &[
                ("revision", &installed.snapshot.revision),
                ("duration_ms", &begun.elapsed().as_millis().to_string()),
                ("build_ms", &built.as_millis().to_string()),
                ("listeners", &ir.listeners.len().to_string()),
                ("routes", &ir.routes.len().to_string()),
                ("services", &ir.services.len().to_string()),
                ("providers", &ir.providers.len().to_string()),
            ],
        );
        Ok(installed.snapshot.revision.to_string())
    }

    /// Revision, listeners with their bound addresses (real ports), admin address, workers, connections, start time,
    /// whether it is ready or draining, as JSON.
    #[must_use]
    pub fn status(&self) -> String {
        let inner = &self.inner;
        let current = lock(&inner.current).clone();
        let listeners = current.iter().flat_map(|current| &current.listeners).map(|listener| {
            serde_json::json!({
                "name": &*listener.name,
                "address": listener.bound.address.to_string(),
                "tls": listener.tls.is_some(),
                "connections": listener.bound.spread.open(),
                "connections_by_worker": listener.bound.spread.by_worker(),
            })
        });
        serde_json::json!({
            "revision": current.as_ref().map(|current| &*current.snapshot.revision),
            "environment": current.as_ref().and_then(|current| current.snapshot.ir.environment.as_deref()),
            "started": inner.started,
            "applied": inner.applied.load(Ordering::Relaxed),
            "workers": inner.commands.len(),
            "listeners": listeners.collect::<Vec<_>>(),
            "endpoints": current.as_ref().map(|current| endpoints(&current.health)),
            "geo": inner.shared.geo.files().iter().map(|file| geo(file)).collect::<Vec<_>>(),
            "admin": lock(&inner.admin).map(|address| serde_json::json!({"address": address.to_string()})),
            "connections": inner.metrics.iter().map(|metrics| metrics.open.get()).sum::<u64>(),
            "ready": inner.ready(),
            // Nothing where no limit is shared.
            "limits_shared": inner.shared.limits.sharing().lost().map(|lost| !lost),
            "draining": inner.draining.load(Ordering::Relaxed),
        })
        .to_string()
    }

    /// Prometheus text.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.inner.render_metrics()
    }

    /// When API keys were last used, by provider and id: JSON of Unix seconds, to the minute.
    #[must_use]
    pub fn key_uses(&self) -> String {
        self.inner.shared.key_uses.to_json()
    }

    /// Lists, makes or undoes revocations: the document of `revocation::desk::Request`, and what became of it, as JSON.
    #[must_use]
    pub fn revocations(&self, request: &[u8]) -> String {
        let shared = &self.inner.shared;
        shared.service_runtime.block_on(shared.revocations.serve(request)).body.to_string()
    }

    /// Shows bans of guarded logins, or lifts one: the document of `login_guard::desk`, and the answer, as JSON.
    #[must_use]
    pub fn bans(&self, request: &[u8]) -> String {
        crate::filters::login_guard::desk::serve(&self.inner.shared, request).to_string()
    }

    /// Shows use of quotas, or gives a key its whole quota again: the document of `quota::desk`, and the answer, as JSON.
    #[must_use]
    pub fn quotas(&self, request: &[u8]) -> String {
        crate::filters::quota::desk::serve(&self.inner.shared, request).to_string()
    }

    /// Reopens access log files.
    pub fn reopen_logs(&self) {
        self.inner.log.reopen();
        self.inner.decisions.reopen();
    }

    /// The challenges of certificate authorities that are open now: JSON of `{token: answer}`. They replace those before.
    ///
    /// # Errors
    /// In words, where the document is none or names what no authority gives.
    pub fn set_challenges(&self, document: &[u8]) -> Result<(), String> {
        let wanted = serde_json::from_slice(document).map_err(|error| error.to_string())?;
        self.inner.shared.challenges.set(wanted)
    }

    /// Counts an order of a certificate.
    pub fn count_order(&self, issued: bool) {
        let counters = &self.inner.shared.counters;
        if issued { counters.acme_orders.increment() } else { counters.acme_order_failures.increment() }
    }

    /// Events since the last call, as JSON lines; waits at most `timeout` for the first.
    #[must_use]
    pub fn events(&self, timeout: Duration) -> Vec<String> {
        self.inner.shared.events.take(timeout)
    }

    /// The descriptors of all listeners, once more, as a JSON list of [`Given`]; whoever asks closes them. This gateway
    /// serves on until [`Gateway::leave`].
    pub fn hand_over(&self) -> Result<Vec<u8>, String> {
        let control = lock(&self.inner.control);
        if control.stopped {
            return Err("the gateway is stopping".to_owned());
        }
        serde_json::to_vec(&control.give()?).map_err(|error| error.to_string())
    }

    /// Whether every worker answers within `timeout`.
    #[must_use]
    pub fn alive(&self, timeout: Duration) -> bool {
        let (here, answers) = sync_channel(self.inner.commands.len());
        // A full queue is no answer either.
        let asked = self.inner.commands.iter().filter(|commands| commands.try_send(Command::Ping(here.clone())).is_ok()).count();
        let end = Instant::now() + timeout;
        asked == self.inner.commands.len()
            && (0..asked).all(|_| answers.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok())
    }

    /// Drains (readiness false, no new connections, requests finish) for at most `deadline`, then closes. Idempotent: a
    /// second call brings the deadline forward, and waits for the first.
    pub fn stop(&self, deadline: Duration) {
        self.end(Drain { deadline, patience: Duration::ZERO });
    }

    /// As [`Gateway::stop`], for a successor that serves the same sockets: the admin listener is let go of at once, and
    /// for half of `deadline` idle connections may bring one more request, whose answer says that it closes.
    pub fn leave(&self, deadline: Duration) {
        lock(&self.inner.control).release_admin();
        self.end(Drain { deadline, patience: deadline / 2 });
    }

    fn end(&self, drain: Drain) {
        let inner = &self.inner;
        let deadline = drain.deadline;
        let again = inner.draining.swap(true, Ordering::Relaxed);
        let tell = || inner.commands.iter().for_each(|commands| drop(commands.try_send(Command::Drain(drain))));
        if again {
            tell();
        }
        let mut control = lock(&inner.control);
        if control.stopped {
            return;
        }
        control.stopped = true;
        tell();
        // The workers accept what is queued, and then nobody holds the sockets: a late client is refused at once.
        *lock(&inner.current) = None;
        control.release_listeners();
        let end = Instant::now() + deadline + GRACE;
        for thread in lock(&self.threads).drain(..) {
            while !thread.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(2));
            }
            if thread.is_finished() {
                let _ = thread.join();
            } else {
                inner.shared.events.push("error", "worker_stuck", &[("detail", "a worker did not end in time")]);
            }
        }
        // Nobody is charged any more.
        inner.shared.quotas.close();
        *lock(&inner.admin) = None;
        *control = Control::stopped();
        inner.log.stop(GRACE);
        inner.decisions.stop(GRACE);
        inner.shared.events.push("info", "stopped", &[]);
        if let Some(runtime) = lock(&self.runtime).take() {
            runtime.shutdown_background();
        }
    }

    #[cfg(test)]
    fn panic_worker(&self, index: usize) {
        self.inner.commands[index].try_send(Command::Panic).unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl Inner {
    /// What cannot fail any more: one pointer per worker, and what goes with it.
    fn commit(&self, control: &mut Control, plan: Plan) -> Arc<Installed> {
        let process = &plan.snapshot.ir.process;
        self.shared.buffers.set(process.buffered_bytes);
        self.shared.limits.set_keys(process.limit_keys, clock::now());
        self.shared.shadow_limits.set_keys(&plan.snapshot.ir, clock::now());
        self.shared.introspection.answers.set_entries(process.introspection_cache);
        self.shared.network.set_own_addresses(plan.own_addresses(control));
        let (installed, targets) = plan.install(control, self.commands.len(), &self.shared);
        targets.access.into_iter().for_each(|target| self.log.set(target));
        targets.decisions.into_iter().for_each(|target| self.decisions.set(target));
        *lock(&self.admin) = control.admin_address();
        let before = lock(&self.current).replace(Arc::clone(&installed));
        if let Some(before) = before {
            self.shared.service_runtime.spawn(retire(Arc::clone(&before.snapshot)));
        }
        let (done, acknowledged) = sync_channel(self.commands.len());
        for commands in &self.commands {
            let _ = commands.try_send(Command::Install(Arc::clone(&installed), done.clone()));
        }
        drop(done);
        let end = Instant::now() + ACKNOWLEDGE;
        for _ in &self.commands {
            match acknowledged.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(()) => {}
                // A worker that restarts meanwhile begins with `current`.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.shared.events.push("error", "worker_unresponsive", &[("revision", &installed.snapshot.revision)]);
                    break;
                }
            }
        }
        installed
    }

    fn ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed) && lock(&self.current).is_some()
    }

    fn render_metrics(&self) -> String {
        let current = lock(&self.current).clone();
        let gauges = Gauges {
            revision: current.as_ref().map_or("", |current| &current.snapshot.revision),
            workers: self.commands.len(),
            ready: self.ready(),
            started: self.started,
            applied: self.applied.load(Ordering::Relaxed),
            health: current.as_ref().map(|current| &*current.health),
            certificates: current.as_ref().map_or(&[], |current| &current.snapshot.ir.certificates),
        };
        prometheus::render(&self.metrics, &self.shared, &gauges)
    }
}

/// Holds a configuration that was replaced until nobody else does, so that none of the workers is the one that frees it: that
/// takes milliseconds with thousands of routes. Requests that last longer free it themselves.
async fn retire(snapshot: Arc<Snapshot>) {
    let end = Instant::now() + RETIRED;
    while Arc::strong_count(&snapshot) > 1 && Instant::now() < end {
        tokio::time::sleep(RETIRED_EVERY).await;
    }
}

/// The admin listener's view of the gateway; it keeps nothing alive.
struct WeakProbe(Weak<Inner>);

impl Probe for WeakProbe {
    fn ready(&self) -> bool {
        self.0.upgrade().is_some_and(|inner| inner.ready())
    }

    fn metrics(&self) -> String {
        self.0.upgrade().map(|inner| inner.render_metrics()).unwrap_or_default()
    }

    fn revocations(&self) -> Option<Arc<Revocations>> {
        self.0.upgrade().map(|inner| Arc::clone(&inner.shared.revocations))
    }
}

/// Those that are watched.
fn endpoints(health: &Health) -> Vec<serde_json::Value> {
    let now = clock::monotonic_ns();
    let one = |endpoint: &Arc<EndpointHealth>| {
        serde_json::json!({
            "service": &*endpoint.service,
            "endpoint": &*endpoint.label,
            "healthy": endpoint.is_healthy(now),
            "ejected": endpoint.is_ejected(now),
        })
    };
    health.endpoints().into_iter().map(one).collect()
}

fn geo(file: &Watched<Database>) -> serde_json::Value {
    let (status, how) = (file.status(), file.how());
    let age_s = file.ask(|database| database.map(|database| now_s().saturating_sub(database.built_s)));
    serde_json::json!({
        "database": how.kind.as_str(),
        "file": status.path,
        "age_s": age_s,
        "old": age_s.is_some_and(|age_s| age_s > how.max_age_s),
        "current": status.current,
    })
}

fn error(pointer: &str, message: &str) -> LoadError {
    LoadError { pointer: pointer.to_owned(), message: message.to_owned() }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
