//! Active health: one task an endpoint asks it again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::probe::{Cause, Target};
use super::state::EndpointHealth;
use crate::ir;
use crate::server::clock::monotonic_ns;
use crate::shared::Shared;
use crate::upstream::balance::random;

/// A running check; ends when dropped.
#[derive(Debug)]
pub(super) struct Check {
    task: AbortHandle,
}

impl Drop for Check {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Check {
    pub(super) fn start(target: Target, spec: ir::HealthCheck, state: Arc<EndpointHealth>, shared: Arc<Shared>) -> Self {
        let runtime = shared.service_runtime.clone();
        Self { task: runtime.spawn(run(target, spec, state, shared)).abort_handle() }
    }
}

/// Results in a row.
#[derive(Debug, Default)]
pub(super) struct Streak {
    passed: u32,
    failed: u32,
}

impl Streak {
    /// What one more result says of the endpoint, if anything. The first one of all decides alone.
    pub(super) fn verdict(&mut self, passed: bool, spec: &ir::HealthCheck, known: bool) -> Option<bool> {
        if passed {
            *self = Self { passed: self.passed.saturating_add(1), failed: 0 };
        } else {
            *self = Self { passed: 0, failed: self.failed.saturating_add(1) };
        }
        let enough = if passed { self.passed >= spec.healthy } else { self.failed >= spec.unhealthy };
        (enough || !known).then_some(passed)
    }
}

async fn run(target: Target, spec: ir::HealthCheck, state: Arc<EndpointHealth>, shared: Arc<Shared>) {
    let time = Duration::from_millis(spec.timeout_ms);
    let mut streak = Streak::default();
    loop {
        let result = tokio::time::timeout(time, target.ask(&shared)).await.unwrap_or(Err(Cause::Timeout));
        state.checks.increment();
        if let Some(counter) = result.err().and_then(|cause| state.failures.get(cause as usize)) {
            counter.increment();
        }
        if let Some(healthy) = streak.verdict(result.is_ok(), &spec, state.is_known())
            && state.judge(healthy, monotonic_ns())
        {
            let mut fields = vec![("service", &*state.service), ("endpoint", &*state.label)];
            match result {
                Ok(()) => shared.events.push("info", "endpoint_healthy", &fields),
                Err(cause) => {
                    fields.push(("cause", cause.code()));
                    shared.events.push("warning", "endpoint_unhealthy", &fields);
                }
            }
        }
        // A tenth more or less, so that many gateways do not ask at once.
        let tenth = spec.interval_ms / 10;
        let shift = random() % (tenth * 2 + 1);
        tokio::time::sleep(Duration::from_millis(spec.interval_ms - tenth + shift)).await;
    }
}
