//! A gateway: workers, listeners, snapshots; what `yett._core.Gateway` wraps. [owner: lifecycle]
use std::time::Duration;
use crate::snapshot::{LoadError, Secrets};

/// How to start.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Worker threads, at least 1.
    pub workers: u32,
}

/// A running gateway. Several may live in one process.
#[derive(Debug)]
pub struct Gateway {}

impl Gateway {
    /// Starts workers and the service runtime; nothing listens before the first `apply`.
    pub fn start(options: &Options) -> Result<Self, String> { let _ = options; todo!() }
    /// Builds a snapshot, binds new addresses, swaps on every worker, waits for all acknowledgements, drains what went. All or nothing.
    pub fn apply(&self, ir: &[u8], secrets: &Secrets) -> Result<String, Vec<LoadError>> { let _ = (ir, secrets); todo!() }
    /// Revision, listeners with their bound addresses (real ports), admin address, workers, connections, weakened, start time: JSON.
    #[must_use]
    pub fn status(&self) -> String { todo!() }
    /// Prometheus text.
    #[must_use]
    pub fn metrics(&self) -> String { todo!() }
    /// Reopens access log files.
    pub fn reopen_logs(&self) { todo!() }
    /// Events since the last call, as JSON lines; waits at most `timeout` for the first.
    #[must_use]
    pub fn events(&self, timeout: Duration) -> Vec<String> { let _ = timeout; todo!() }
    /// Drains (readiness false, no new connections, requests finish) for at most `deadline`, then closes. Idempotent.
    pub fn stop(&self, deadline: Duration) { let _ = deadline; todo!() }
}
