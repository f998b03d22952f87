//! What is recorded: access log, metrics, events, the admin listener.

pub mod access_log;
pub mod admin;
pub mod events;
pub(crate) mod line;
pub mod metrics;
pub mod prometheus;

use std::cell::RefCell;
use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use self::access_log::LogQueue;
use self::metrics::{Labels, Table, WorkerMetrics};
use crate::decisions::{self, Records};
use crate::exchange::{Exchange, Refusal};
use crate::reason::Reason;
use crate::snapshot::Snapshot;

/// Everything about a finished request.
#[derive(Debug)]
pub struct Record<'a> {
    /// The request; `None` where no valid head was read.
    pub exchange: Option<&'a Exchange>,
    /// Route name.
    pub route: Option<&'a str>,
    /// Listener and peer, also where there is no exchange.
    pub connection: &'a crate::exchange::ConnectionInfo,
    /// Revision that decided.
    pub revision: &'a str,
    /// Status sent; 0 where the client was gone first.
    pub status: u16,
    /// Why it was refused or failed.
    pub refusal: Option<&'a Refusal>,
    /// Body bytes read from the client.
    pub bytes_in: u64,
    /// Body bytes sent to the client.
    pub bytes_out: u64,
    /// When the head was complete, and when the last byte was written.
    pub started: crate::exchange::Now,
    /// End.
    pub ended: crate::exchange::Now,
    /// The service's part.
    pub upstream: Option<UpstreamRecord<'a>>,
    /// The answer was cut short after its head was sent (by whom is in `refusal`).
    pub truncated: bool,
}

/// Whether it says that nobody knows who is calling.
fn is_authentication(reason: Reason) -> bool {
    reason.status() == 401 || matches!(reason, Reason::IdentityProviderUnavailable | Reason::CredentialInUrl)
}

/// The service's part.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamRecord<'a> {
    /// Service name.
    pub service: &'a str,
    /// `host:port` of the endpoint that answered or failed last.
    pub endpoint: &'a str,
    /// Connect attempts.
    pub attempts: u32,
    /// Nanoseconds from forwarding to the first byte of the answer.
    pub first_byte_ns: u64,
    /// Whether a kept connection was used.
    pub reused: bool,
}

/// A connection that was passed on unopened, or was refused that.
#[derive(Debug)]
pub struct PassthroughRecord<'a> {
    /// Listener and peer.
    pub connection: &'a crate::exchange::ConnectionInfo,
    /// The name that the client asked for.
    pub host: Option<&'a str>,
    /// The service listed for it.
    pub service: Option<&'a str>,
    /// `host:port` of the endpoint.
    pub endpoint: Option<&'a str>,
    /// How it ended.
    pub end: &'static str,
    /// Revision that decided.
    pub revision: &'a str,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// When it was accepted.
    pub started: crate::exchange::Now,
    /// End.
    pub ended: crate::exchange::Now,
}

/// One worker's access log buffer and counters.
#[derive(Debug)]
pub struct Recorder {
    metrics: Arc<WorkerMetrics>,
    table: RefCell<Arc<Table>>,
    log: Option<LogQueue>,
    lines: RefCell<Lines>,
    decisions: Option<LogQueue>,
    decided: RefCell<Lines>,
    first: Notify,
}

#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
    clock: line::Clock,
}

impl Recorder {
    /// Counts in `metrics` and hands lines to `log`.
    #[must_use]
    pub fn new(metrics: Arc<WorkerMetrics>, log: Option<LogQueue>) -> Self {
        let table = RefCell::new(metrics.table());
        let (lines, decided) = (RefCell::default(), RefCell::default());
        Self { metrics, table, log, lines, decisions: None, decided, first: Notify::new() }
    }

    /// Hands decision records to `log`.
    #[must_use]
    pub fn deciding(mut self, log: LogQueue) -> Self {
        self.decisions = Some(log);
        self
    }

    /// Writes nowhere and counts for nobody; for tests.
    #[must_use]
    pub fn discard() -> Self {
        Self::new(Arc::default(), None)
    }

    /// What this worker counts.
    #[must_use]
    pub fn metrics(&self) -> &WorkerMetrics {
        &self.metrics
    }

    /// Series of a new configuration.
    pub fn relabel(&self, labels: &Arc<Labels>) {
        let next = Arc::new(self.table.borrow().next(labels));
        *self.metrics.table.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
        self.table.replace(next);
    }

    /// Formats a line into this worker's buffer and counts; never blocks, never allocates in the steady state.
    pub fn record(&self, record: &Record<'_>) {
        self.count(record);
        self.line(|bytes, clock| line::write(bytes, clock, record));
    }

    /// Formats a decision record, where the request's access was decided; never blocks.
    pub fn decided(&self, records: &Records, snapshot: &Snapshot, record: &Record<'_>) {
        let write = |bytes: &mut Vec<u8>, clock: &mut line::Clock| decisions::write(bytes, clock, records, snapshot, record);
        self.append(self.decisions.as_ref(), &self.decided, write);
    }

    /// As [`Recorder::record`], for a whole connection.
    pub fn record_passthrough(&self, record: &PassthroughRecord<'_>) {
        self.line(|bytes, clock| line::passthrough(bytes, clock, record));
    }

    fn line(&self, write: impl FnOnce(&mut Vec<u8>, &mut line::Clock)) {
        self.append(self.log.as_ref(), &self.lines, |bytes, clock| {
            write(bytes, clock);
            true
        });
    }

    /// `write` says whether it wrote a line.
    fn append(&self, log: Option<&LogQueue>, lines: &RefCell<Lines>, write: impl FnOnce(&mut Vec<u8>, &mut line::Clock) -> bool) {
        let Some(log) = log.filter(|log| log.on()) else { return };
        let mut lines = lines.borrow_mut();
        let Lines { bytes, count, clock } = &mut *lines;
        let before = bytes.len();
        if !write(bytes, clock) {
            bytes.truncate(before);
            return;
        }
        *count += 1;
        if bytes.len() >= access_log::BATCH_BYTES {
            log.submit(bytes, std::mem::take(count));
        } else if *count == 1 {
            self.first.notify_one();
        }
    }

    fn count(&self, record: &Record<'_>) {
        let index = record.exchange.and_then(|exchange| exchange.route);
        let listener = &record.connection.listener;
        self.table.borrow().count(record.revision, listener, index, record.route, record.status);
        if let Some(refusal) = record.refusal {
            self.metrics.refused(refusal.reason);
            if is_authentication(refusal.reason) {
                self.metrics.authentication_failed(refusal.provider.as_ref(), refusal.reason);
            }
        }
        for verdict in record.exchange.iter().flat_map(|exchange| &exchange.shadow) {
            verdict.record.count(verdict.outcome);
        }
        if let Some(suspicion) = record.exchange.and_then(|exchange| exchange.attack.as_ref()) {
            suspicion.count();
        }
        self.metrics.request.observe(line::duration_ns(record.started, record.ended));
        if let Some(upstream) = record.upstream.filter(|upstream| upstream.first_byte_ns > 0) {
            self.metrics.upstream.observe(upstream.first_byte_ns);
        }
        self.metrics.bytes_in.add(record.bytes_in);
        self.metrics.bytes_out.add(record.bytes_out);
    }

    /// Hands over what is buffered.
    pub fn flush(&self) {
        for (log, lines) in [(&self.log, &self.lines), (&self.decisions, &self.decided)] {
            let mut lines = lines.borrow_mut();
            let Lines { bytes, count, .. } = &mut *lines;
            if let Some(log) = log.as_ref().filter(|_| *count > 0) {
                log.submit(bytes, std::mem::take(count));
            }
        }
    }

    /// Runs beside the connections: no line waits longer than 100 ms, and an idle worker is never woken.
    pub async fn flush_regularly(&self) {
        loop {
            self.first.notified().await;
            tokio::time::sleep(access_log::FLUSH_EVERY).await;
            self.flush();
        }
    }
}
