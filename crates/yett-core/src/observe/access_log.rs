//! Access log as JSON lines: workers format into buffers of their own, one thread writes them.
//!
//! Bounds: a worker's buffer is handed over at 32 KiB or 100 ms after its first line; 64 buffers wait at most. Where
//! the writer cannot keep up (a full disk, a blocked pipe), whole buffers are dropped and their lines counted in
//! `yett_access_log_dropped_total`: a log that cannot be written never slows a request.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::ir;
use crate::shared::{Counter, Counters, Shared};

/// Buffers that wait for the writer.
const QUEUE: usize = 64;
/// Size at which a buffer is handed over.
pub(super) const BATCH_BYTES: usize = 32 * 1024;
/// Longest wait of a line in a worker's buffer.
pub(super) const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Shortest pause between two events about the same trouble.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// What a log is to those who read counters and events.
#[derive(Debug)]
pub struct Kind {
    thread: &'static str,
    dropped: fn(&Counters) -> &Counter,
    errors: fn(&Counters) -> &Counter,
    write_failed: &'static str,
    lines_dropped: &'static str,
    reopen_failed: &'static str,
    stuck: &'static str,
    /// Permissions of a new file.
    mode: u32,
}

/// The access log.
pub static ACCESS: Kind = Kind {
    thread: "yett-log",
    dropped: |counters| &counters.access_log_dropped,
    errors: |counters| &counters.access_log_errors,
    write_failed: "access_log_write_failed",
    lines_dropped: "access_log_dropped",
    reopen_failed: "access_log_reopen_failed",
    stuck: "access_log_stuck",
    mode: 0o640,
};

/// The decision log.
pub static DECISIONS: Kind = Kind {
    thread: "yett-decisions",
    dropped: |counters| &counters.decision_log_dropped,
    errors: |counters| &counters.decision_log_errors,
    write_failed: "decision_log_write_failed",
    lines_dropped: "decision_log_dropped",
    reopen_failed: "decision_log_reopen_failed",
    stuck: "decision_log_stuck",
    mode: 0o600,
};

/// Where lines go, opened.
#[derive(Debug)]
pub enum Target {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout(File),
    /// A file.
    File(String, File),
}

impl Target {
    /// Opens it; a file is appended to, and created with mode 0640.
    pub fn open(log: &ir::AccessLog) -> io::Result<Self> {
        Ok(match log {
            ir::AccessLog::Off => Self::Off,
            ir::AccessLog::Stdout => Self::Stdout(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
            ir::AccessLog::File(path) => Self::file(path, &ACCESS)?,
        })
    }

    /// Opens the file of a decision log, where there is one; it is created with mode 0600.
    pub fn decisions(log: Option<&ir::DecisionLog>) -> io::Result<Self> {
        log.map_or(Ok(Self::Off), |log| Self::file(&log.file, &DECISIONS))
    }

    fn file(path: &str, kind: &Kind) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(kind.mode).open(path)?;
        Ok(Self::File(path.to_owned(), file))
    }
}

#[derive(Debug)]
enum Message {
    Batch { bytes: Vec<u8>, lines: u64 },
    Wake,
}

#[derive(Debug, Default)]
struct Orders {
    target: Option<Target>,
    reopen: bool,
    stop: bool,
}

/// The workers' end: hands buffers over, takes empty ones back.
#[derive(Debug, Clone)]
pub struct LogQueue {
    sender: SyncSender<Message>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Whether lines go anywhere at all.
    on: Arc<AtomicBool>,
    shared: Arc<Shared>,
    kind: &'static Kind,
}

impl LogQueue {
    /// Whether lines go anywhere at all.
    #[must_use]
    pub fn on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Hands `buffer` over and leaves an empty one in its place. Never blocks.
    pub fn submit(&self, buffer: &mut Vec<u8>, lines: u64) {
        let next = lock(&self.spare).pop().unwrap_or_else(|| Vec::with_capacity(BATCH_BYTES + 4096));
        let bytes = std::mem::replace(buffer, next);
        match self.sender.try_send(Message::Batch { bytes, lines }) {
            Ok(()) => {}
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                (self.kind.dropped)(&self.shared.counters).add(lines);
                if let Message::Batch { bytes, .. } = message {
                    give_back(&self.spare, bytes);
                }
            }
        }
    }
}

fn give_back(spare: &Mutex<Vec<Vec<u8>>>, mut bytes: Vec<u8>) {
    bytes.clear();
    let mut spare = lock(spare);
    if spare.len() < QUEUE && bytes.capacity() <= 4 * BATCH_BYTES {
        spare.push(bytes);
    }
}

/// The writer thread.
#[derive(Debug)]
pub struct LogWriter {
    queue: LogQueue,
    orders: Arc<Mutex<Orders>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl LogWriter {
    /// Starts it; nothing is written before the first [`LogWriter::set`].
    pub fn start(shared: &Arc<Shared>, kind: &'static Kind) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let on = Arc::new(AtomicBool::new(false));
        let queue = LogQueue { sender, spare: Arc::default(), on, shared: Arc::clone(shared), kind };
        let orders = Arc::<Mutex<Orders>>::default();
        let writer = Writer {
            target: Target::Off,
            spare: Arc::clone(&queue.spare),
            orders: Arc::clone(&orders),
            shared: Arc::clone(shared),
            kind,
            complained: None,
            dropped: 0,
        };
        let thread = std::thread::Builder::new().name(kind.thread.to_owned()).spawn(move || {
            crate::server::signals::block();
            writer.run(&receiver);
        })?;
        Ok(Self { queue, orders, thread: Mutex::new(Some(thread)) })
    }

    /// For a worker.
    #[must_use]
    pub fn queue(&self) -> LogQueue {
        self.queue.clone()
    }

    /// Lines go there from now on.
    pub fn set(&self, target: Target) {
        self.queue.on.store(!matches!(target, Target::Off), Ordering::Relaxed);
        self.order(|orders| orders.target = Some(target));
    }

    /// Opens the file again, after it was moved away.
    pub fn reopen(&self) {
        self.order(|orders| orders.reopen = true);
    }

    /// Writes what waits, and ends the thread; gives up after `within`, as on a pipe that nobody reads.
    pub fn stop(&self, within: Duration) {
        self.order(|orders| orders.stop = true);
        let Some(thread) = lock(&self.thread).take() else { return };
        let end = Instant::now() + within;
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        if thread.is_finished() {
            let _ = thread.join();
        } else {
            self.queue.shared.events.push("error", self.queue.kind.stuck, &[("detail", "the last lines were not written")]);
        }
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut lock(&self.orders));
        // A full queue wakes the writer as well.
        let _ = self.queue.sender.try_send(Message::Wake);
    }
}

struct Writer {
    target: Target,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    orders: Arc<Mutex<Orders>>,
    shared: Arc<Shared>,
    kind: &'static Kind,
    complained: Option<Instant>,
    dropped: u64,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>) {
        while let Ok(message) = receiver.recv() {
            let stop = self.obey();
            self.handle(message);
            if stop {
                while let Ok(message) = receiver.try_recv() {
                    self.handle(message);
                }
                return;
            }
        }
    }

    fn handle(&mut self, message: Message) {
        let Message::Batch { bytes, lines } = message else { return };
        let written = match &mut self.target {
            Target::Off => Ok(()),
            Target::Stdout(file) | Target::File(_, file) => file.write_all(&bytes),
        };
        if let Err(error) = written {
            (self.kind.errors)(&self.shared.counters).increment();
            (self.kind.dropped)(&self.shared.counters).add(lines);
            self.complain(self.kind.write_failed, &error.to_string());
        }
        let dropped = (self.kind.dropped)(&self.shared.counters).get();
        if dropped > self.dropped && self.complain(self.kind.lines_dropped, &format!("{} lines", dropped - self.dropped)) {
            self.dropped = dropped;
        }
        give_back(&self.spare, bytes);
    }

    fn obey(&mut self) -> bool {
        let (target, reopen, stop) = {
            let mut orders = lock(&self.orders);
            (orders.target.take(), std::mem::take(&mut orders.reopen), orders.stop)
        };
        if let Some(target) = target {
            self.target = target;
        }
        if reopen && let Target::File(path, _) = &self.target {
            match Target::file(path, self.kind) {
                Ok(target) => self.target = target,
                Err(error) => {
                    let detail = error.to_string();
                    self.shared.events.push("error", self.kind.reopen_failed, &[("detail", &detail)]);
                }
            }
        }
        stop
    }

    fn complain(&mut self, event: &'static str, detail: &str) -> bool {
        let due = self.complained.is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY);
        if due {
            self.complained = Some(Instant::now());
            self.shared.events.push("error", event, &[("detail", detail)]);
        }
        due
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
