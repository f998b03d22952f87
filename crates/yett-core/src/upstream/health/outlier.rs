//! Passive health: endpoints whose answers fail are ejected for a while, never more than a share of them.
//!
//! A failure is no connection, no answer, something that is no answer, or 502, 503 or 504. 500 is none: one request that
//! trips over a bug of the service would take away an endpoint that serves all others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::state::EndpointHealth;
use crate::ir;
use crate::server::clock::monotonic_ns;
use crate::server::deadline::after;
use crate::shared::Shared;
use crate::upstream::Report;

/// Over which time a success rate is taken.
const WINDOW_NS: u64 = 10_000_000_000;
/// Requests in a window before its success rate counts.
const ENOUGH: u64 = 20;
/// An ejection grows with each that follows closely, up to so many times the first.
const MOST_TIMES: u32 = 10;
const COUNT: u64 = (1 << 20) - 1;

/// The endpoints of one service under one configuration.
#[derive(Debug)]
pub struct ServiceHealth {
    endpoints: Vec<Arc<EndpointHealth>>,
    outlier: Option<ir::OutlierDetection>,
    slow_start_ns: u64,
    /// One ejection at a time, so that the bound on them holds. Whoever finds it taken leaves it to the next failure.
    busy: AtomicBool,
    shared: Arc<Shared>,
}

impl ServiceHealth {
    pub(super) fn new(spec: &ir::Service, endpoints: Vec<Arc<EndpointHealth>>, shared: &Arc<Shared>) -> Self {
        Self {
            endpoints,
            outlier: spec.outlier_detection.clone(),
            slow_start_ns: after(0, spec.slow_start_ms),
            busy: AtomicBool::new(false),
            shared: Arc::clone(shared),
        }
    }

    /// Its endpoints, in the configuration's order.
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<EndpointHealth>] {
        &self.endpoints
    }

    /// How long a slow start takes, nanoseconds.
    #[must_use]
    pub fn slow_start_ns(&self) -> u64 {
        self.slow_start_ns
    }

    /// What hears of the outcomes at one endpoint, where they count.
    #[must_use]
    pub fn watch(self: &Arc<Self>, place: usize) -> Option<Watch> {
        self.outlier.as_ref()?;
        Some(Watch { service: Arc::clone(self), place })
    }
}

/// Hears of the outcomes at one endpoint.
#[derive(Debug, Clone)]
pub struct Watch {
    service: Arc<ServiceHealth>,
    place: usize,
}

impl Watch {
    /// Counts one outcome, and ejects the endpoint where it has failed too often.
    pub fn observe(&self, report: Report, now: u64) {
        let failed = match report {
            Report::Connected => return,
            Report::Answered(status) => matches!(status, 502..=504),
            Report::ConnectFailed | Report::Reset | Report::TimedOut | Report::Invalid => true,
        };
        let (Some(spec), Some(state)) = (&self.service.outlier, self.service.endpoints.get(self.place)) else { return };
        let poor = spec.success_rate > 0 && state.sample(failed, now).is_poor(spec.success_rate);
        if !failed {
            if state.errors.load(Ordering::Relaxed) != 0 {
                state.errors.store(0, Ordering::Relaxed);
            }
            return;
        }
        let errors = state.errors.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if spec.consecutive_errors > 0 && errors >= spec.consecutive_errors {
            self.eject(spec, state, "consecutive_errors", now);
        } else if poor {
            self.eject(spec, state, "success_rate", now);
        }
    }

    fn eject(&self, spec: &ir::OutlierDetection, state: &Arc<EndpointHealth>, cause: &str, now: u64) {
        if self.service.busy.swap(true, Ordering::Acquire) {
            return;
        }
        let all = &self.service.endpoints;
        let ejected = all.iter().filter(|endpoint| endpoint.is_ejected(now)).count();
        let share = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let allowed = share(all.len()).saturating_mul(u64::from(spec.max_ejected)) / 10_000;
        if !state.is_ejected(now) && share(ejected) < allowed {
            let last = state.ejected_until.load(Ordering::Relaxed);
            let again = last != 0 && now < after(last, spec.eject_ms.saturating_mul(u64::from(MOST_TIMES)));
            let times = if again { state.row.load(Ordering::Relaxed).saturating_add(1).min(MOST_TIMES) } else { 1 };
            state.row.store(times, Ordering::Relaxed);
            state.errors.store(0, Ordering::Relaxed);
            state.window.store(0, Ordering::Relaxed);
            let ms = spec.eject_ms.saturating_mul(u64::from(times));
            state.ejected_until.store(after(now, ms), Ordering::Relaxed);
            state.ejections.increment();
            self.tell(state, cause, ms);
        }
        self.service.busy.store(false, Ordering::Release);
    }

    /// Now, and when it is back.
    fn tell(&self, state: &Arc<EndpointHealth>, cause: &str, ms: u64) {
        let shared = Arc::clone(&self.service.shared);
        let fields = [("service", &*state.service), ("endpoint", &*state.label), ("cause", cause), ("for_ms", &ms.to_string())];
        shared.events.push("warning", "endpoint_ejected", &fields);
        let state = Arc::downgrade(state);
        let runtime = shared.service_runtime.clone();
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            if let Some(state) = state.upgrade().filter(|state| !state.is_ejected(monotonic_ns())) {
                let fields = [("service", &*state.service), ("endpoint", &*state.label)];
                shared.events.push("info", "endpoint_returned", &fields);
            }
        });
    }
}

/// Requests and failures in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) requests: u64,
    pub(super) failures: u64,
}

impl Sample {
    /// Whether less than `rate` parts of 10,000 succeeded, of enough.
    fn is_poor(self, rate: u32) -> bool {
        self.requests >= ENOUGH && (self.requests - self.failures) * 10_000 < self.requests * u64::from(rate)
    }
}

impl EndpointHealth {
    /// Counts a request; gives what its window holds.
    pub(super) fn sample(&self, failed: bool, now: u64) -> Sample {
        let epoch = (now / WINDOW_NS) & 0xff_ffff;
        let next = |packed: u64| {
            let (requests, failures) = if packed >> 40 == epoch { (packed >> 20 & COUNT, packed & COUNT) } else { (0, 0) };
            if requests == COUNT { (requests, failures) } else { (requests + 1, failures + u64::from(failed)) }
        };
        let pack = |(requests, failures): (u64, u64)| epoch << 40 | requests << 20 | failures;
        let before = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| Some(pack(next(packed))));
        let (requests, failures) = next(before.unwrap_or_else(|same| same));
        Sample { requests, failures }
    }
}
