//! What is recorded: access log, metrics, events, the admin listener. [owner: lifecycle]
pub mod access_log;
pub mod admin;
pub mod events;
pub mod metrics;

use crate::exchange::{Exchange, Refusal};

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

/// One worker's access log buffer and counters.
#[derive(Debug)]
pub struct Recorder {}

impl Recorder {
    /// Writes nowhere and counts for nobody; for tests.
    #[must_use]
    pub fn discard() -> Self { Self {} }
    /// Formats a line into this worker's buffer and counts; never blocks, never allocates in the steady state.
    pub fn record(&self, record: &Record<'_>) { let _ = record; todo!() }
}
