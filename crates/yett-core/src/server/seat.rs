//! A worker's thread: takes configurations, runs the accept loops, drains, and starts again after a bug.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use super::accept::{LocalListener, Settings, accept};
use super::clock::monotonic_ns;
use super::deadline::after;
use super::signals;
use super::when_woken::when_woken;
use super::worker::{View, Worker};
use crate::observe::Recorder;
use crate::observe::access_log::LogQueue;
use crate::observe::metrics::{Labels, WorkerMetrics};
use crate::pipeline::PipelineState;
use crate::providers::verdict::VerdictCache;
use crate::resilience::shed;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::upstream::{Health, Pools, Tls};

/// So long before the deadline of a drain streams end.
const CUT_AHEAD: Duration = Duration::from_secs(1);

/// A configuration as the workers take it.
#[derive(Debug)]
pub struct Installed {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// TLS towards its services.
    pub tls: Arc<Tls>,
    /// Health of their endpoints; its checks run as long as this is there.
    pub health: Arc<Health>,
    /// Its listeners.
    pub listeners: Vec<Arc<Settings>>,
    /// Names of its series.
    pub labels: Arc<Labels>,
    /// Each worker's share of the verdict cache.
    pub verdict_entries: usize,
}

/// What a worker is told.
#[derive(Debug)]
pub enum Command {
    /// Serve this; answer when it does.
    Install(Arc<Installed>, SyncSender<()>),
    /// Accept no more, let requests finish, then end.
    Drain(Drain),
    /// Say that you are there.
    Ping(SyncSender<()>),
    /// Panic, to test what happens then.
    #[cfg(test)]
    Panic,
}

/// How long a drain takes.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// At most so long; then connections are cut.
    pub deadline: Duration,
    /// So long an idle connection may bring one more request.
    pub patience: Duration,
}

/// What outlives a worker's bugs.
#[derive(Debug)]
pub struct Seat {
    /// Which one, from 0.
    pub index: usize,
    /// What the process shares.
    pub shared: Arc<Shared>,
    /// Orders.
    pub commands: Receiver<Command>,
    /// The configuration that serves; where a restarted worker begins.
    pub current: Arc<Mutex<Option<Arc<Installed>>>>,
    /// Its counts.
    pub metrics: Arc<WorkerMetrics>,
    /// Its way to the access log.
    pub log: LogQueue,
    /// Its way to the decision log.
    pub decisions: LogQueue,
}

impl Seat {
    /// The thread's body.
    pub fn run(mut self) {
        signals::block();
        loop {
            let ended = catch_unwind(AssertUnwindSafe(|| self.serve()));
            match ended {
                Ok(Ok(())) => return,
                Ok(Err(error)) => self.complain(&error.to_string()),
                Err(_) => self.complain("a bug in the gateway ended a worker; it starts again with the same sockets"),
            }
            self.shared.counters.worker_restarts.increment();
            // Connections of the ended runtime were dropped, and took themselves off the counts.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn complain(&self, detail: &str) {
        self.shared.events.push("error", "worker_restarted", &[("worker", &self.index.to_string()), ("detail", detail)]);
    }

    fn serve(&mut self) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let local = LocalSet::new();
        local.block_on(&runtime, when_woken(Box::pin(self.obey())));
        Ok(())
    }

    async fn obey(&mut self) {
        let mut desk = Desk::new(self);
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(current) = current {
            desk.install(&current);
        }
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Install(installed, done)) => {
                        desk.install(&installed);
                        let _ = done.try_send(());
                    }
                    Some(Command::Drain(drain)) => return desk.drain(drain, &mut self.commands).await,
                    Some(Command::Ping(here)) => drop(here.try_send(())),
                    None => return,
                    #[cfg(test)]
                    Some(Command::Panic) => panic!("told to"),
                },
                Some(ended) = desk.tasks.join_next() => desk.reap(ended),
            }
        }
    }
}

/// Streams compare themselves with what was revoked, as soon as it changes.
async fn wake_streams(worker: std::rc::Weak<Worker>, mut changes: tokio::sync::watch::Receiver<u64>) {
    while changes.changed().await.is_ok() {
        let Some(worker) = worker.upgrade() else { return };
        worker.streams.notify_waiters();
    }
}

/// One life of a worker.
struct Desk {
    index: usize,
    shared: Arc<Shared>,
    recorder: Option<Recorder>,
    worker: Option<Rc<Worker>>,
    listeners: Vec<Rc<LocalListener>>,
    tasks: JoinSet<()>,
    verdict_entries: usize,
}

impl Desk {
    fn new(seat: &Seat) -> Self {
        let recorder = Recorder::new(Arc::clone(&seat.metrics), Some(seat.log.clone())).deciding(seat.decisions.clone());
        Self {
            index: seat.index,
            shared: Arc::clone(&seat.shared),
            recorder: Some(recorder),
            worker: None,
            listeners: Vec::new(),
            tasks: JoinSet::new(),
            verdict_entries: 0,
        }
    }

    fn install(&mut self, installed: &Arc<Installed>) {
        let previous = self.worker.as_ref().map(|worker| Rc::clone(&worker.view().pools));
        let pools = Rc::new(Pools::new(&installed.snapshot, &installed.tls, &installed.health, previous.as_ref(), &self.shared));
        // Not one of `tasks`, for which a drain waits: it ends with the pools.
        tokio::task::spawn_local(Pools::sweep(Rc::downgrade(&pools)));
        let view = View { snapshot: Arc::clone(&installed.snapshot), pools };
        let worker = match (&self.worker, self.recorder.take()) {
            (Some(worker), _) => {
                let worker = Rc::clone(worker);
                worker.recorder.relabel(&installed.labels);
                worker.view.replace(Rc::new(view));
                worker.streams.notify_waiters();
                if self.verdict_entries != installed.verdict_entries {
                    worker.state.borrow_mut().verdicts = VerdictCache::new(installed.verdict_entries);
                }
                worker
            }
            (None, Some(recorder)) => {
                recorder.relabel(&installed.labels);
                let state = PipelineState::new(installed.verdict_entries);
                let worker = Rc::new(Worker::new(Arc::clone(&self.shared), view, state, recorder));
                let flusher = Rc::clone(&worker);
                self.tasks.spawn_local(async move { flusher.recorder.flush_regularly().await });
                tokio::task::spawn_local(wake_streams(Rc::downgrade(&worker), self.shared.revocations.changes()));
                tokio::task::spawn_local(shed::watch(Rc::downgrade(&worker), self.index));
                self.worker = Some(Rc::clone(&worker));
                worker
            }
            (None, None) => return,
        };
        self.verdict_entries = installed.verdict_entries;
        self.listen(&worker, &installed.listeners);
    }

    /// Lets go of listeners that went, tells the others what is new, and starts the new ones.
    fn listen(&mut self, worker: &Rc<Worker>, wanted: &[Arc<Settings>]) {
        let mut gone = worker.gone.borrow_mut();
        gone.retain(|name| name.strong_count() > 0);
        let before = gone.len();
        self.listeners.retain(|listener| {
            let old = Arc::clone(&listener.settings.borrow());
            let next = wanted.iter().find(|next| Arc::ptr_eq(&next.bound, &old.bound));
            if next.is_none_or(|next| !Arc::ptr_eq(&next.name, &old.name)) {
                gone.push(Arc::downgrade(&old.name));
            }
            match next {
                Some(next) => drop(listener.settings.replace(Arc::clone(next))),
                None => listener.stop(),
            }
            next.is_some()
        });
        let any_gone = gone.len() > before;
        drop(gone);
        for settings in wanted {
            let serves = |l: &Rc<LocalListener>| Arc::ptr_eq(&l.settings.borrow().bound, &settings.bound);
            if !self.listeners.iter().any(serves) {
                self.open(worker, settings);
            }
        }
        if any_gone {
            worker.drain.notify_waiters();
        }
    }

    fn open(&mut self, worker: &Rc<Worker>, settings: &Arc<Settings>) {
        let sockets = settings.bound.sockets(self.index).and_then(|all| all.into_iter().map(TcpListener::from_std).collect());
        let sockets: Vec<TcpListener> = match sockets {
            Ok(sockets) => sockets,
            Err(error) => {
                let detail = error.to_string();
                self.shared.events.push("error", "listener_failed", &[("listener", &settings.name), ("detail", &detail)]);
                return;
            }
        };
        let mut mailbox = settings.bound.spread.mailbox(self.index);
        for socket in sockets {
            let listener = Rc::new(LocalListener::new(self.index, Arc::clone(settings)));
            self.listeners.push(Rc::clone(&listener));
            self.tasks.spawn_local(accept(Rc::clone(worker), listener, socket, mailbox.take()));
        }
    }

    /// A task that panicked takes the worker with it: the next life has all of them again.
    fn reap(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }

    async fn drain(&mut self, drain: Drain, commands: &mut Receiver<Command>) {
        let Some(worker) = self.worker.clone() else { return };
        worker.draining.set(true);
        worker.patient.set(!drain.patience.is_zero());
        for listener in self.listeners.drain(..) {
            listener.stop();
        }
        worker.drain.notify_waiters();
        // Before the deadline, so that what is cut is also recorded.
        let cut = drain.deadline.saturating_sub(CUT_AHEAD.min(drain.deadline / 2));
        worker.cut_at.set(after(monotonic_ns(), u64::try_from(cut.as_millis()).unwrap_or(u64::MAX)));
        worker.streams.notify_waiters();
        let begun = Instant::now();
        let mut end = begun + drain.deadline;
        if worker.patient.get() {
            self.wait(begun + drain.patience, &mut end, commands).await;
            worker.patient.set(false);
            worker.drain.notify_waiters();
        }
        self.wait(end, &mut end, commands).await;
        let cut = worker.recorder.metrics().open.get();
        if cut > 0 {
            let (index, cut) = (self.index.to_string(), cut.to_string());
            self.shared.events.push("warning", "connections_cut", &[("worker", &index), ("connections", &cut)]);
        }
        self.tasks.shutdown().await;
        worker.recorder.flush();
    }

    /// Until no connection is left, at most until `until` and `end`; a second drain may bring the end forward.
    async fn wait(&mut self, until: Instant, end: &mut Instant, commands: &mut Receiver<Command>) {
        // The task that flushes the log never ends by itself.
        while self.tasks.len() > 1 {
            tokio::select! {
                () = tokio::time::sleep_until(until.min(*end)) => return,
                _ = self.tasks.join_next() => {}
                Some(command) = commands.recv() => if let Command::Drain(sooner) = command {
                    *end = (*end).min(Instant::now() + sooner.deadline);
                },
            }
        }
    }
}
