//! Forwarding: choose an endpoint, connect, pass request and answer on.
//!
//! A connection failure is tried at the next endpoint; nothing of the request has left then. Once a byte of it was
//! sent, it is sent again in one case only: a kept connection turns out to be closed before any byte of an answer, the
//! method is idempotent (RFC 9110 section 9.2.2) and there is no body. Then once more, on a fresh connection. A service
//! with retries, circuit breakers or limits has a loop of its own (`guarded.rs`).

use std::rc::Rc;

use super::attempt::Once;
use super::buffers::ReadBuffer;
use super::client::Client;
use super::clock::monotonic_ns;
use super::deadline::{NEVER, Timer, after};
use super::lane::Lane;
use super::mirror;
use super::transfer::Limits;
use super::worker::{View, Worker};
use crate::body::Body;
use crate::exchange::{Framing, Now, Refusal};
use crate::filters::login_guard::Told;
use crate::filters::rate_limit::Declared;
use crate::grpc;
use crate::http1::request;
use crate::reason::Reason;
use crate::shared::Shared;
use crate::snapshot::Route;
use crate::upstream::{Active, Endpoint, Report, Service, Stream, Tried};

/// The service's part, for the record.
#[derive(Debug, Default)]
pub struct Attempted {
    /// Who answered or failed last.
    pub active: Option<Active>,
    /// Connect attempts and uses of kept connections.
    pub attempts: u32,
    /// Nanoseconds from forwarding to the first byte of the answer.
    pub first_byte_ns: u64,
    /// Whether a kept connection was used.
    pub reused: bool,
    /// Whether anything of the request went to a service.
    pub asked: bool,
    /// What the last answer says of its cost.
    pub declared: Declared,
    /// What the last answer says of an attempt to log in.
    pub told: Option<Told>,
    /// Nanoseconds in which the service was waited for, where a cost is by them.
    pub service_ns: u64,
}

/// How forwarding ended.
#[derive(Debug)]
pub enum Outcome {
    /// The answer was passed on whole.
    Done {
        /// The client's connection can take the next request.
        keep: bool,
    },
    /// The answer was cut after its head.
    Truncated(Option<Refusal>),
    /// Nothing was sent to the client yet.
    Refused(Refusal),
    /// The client went away before the answer.
    Gone,
}

impl From<Reason> for Outcome {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason.into())
    }
}

/// What forwarding has to know of one request.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Configuration and pools.
    pub view: &'a Rc<View>,
    /// The worker.
    pub worker: &'a Worker,
    /// Its route.
    pub route: &'a Route,
    /// When its head was complete.
    pub started: Now,
    /// What its head said.
    pub head: request::Complete,
    /// The connection closes after it, whatever happens.
    pub last: bool,
}

impl<C: Client> Lane<C> {
    /// Forwards the request of `self.exchange`, which every check has passed.
    pub async fn forward(&mut self, job: &Job<'_>, attempted: &mut Attempted) -> Outcome {
        let Some(service) = self.exchange.service.and_then(|index| job.view.pools.service(index)) else {
            return Reason::Internal.into();
        };
        if matches!(self.exchange.request.framing, Framing::Length(length) if length > job.route.body_limit) {
            return Reason::BodyTooLarge.into();
        }
        if job.route.hidden
            && self.exchange.body.is_none()
            && self.arrived(job.view).is_some_and(|length| length > job.route.body_limit)
        {
            return Reason::BodyTooLarge.into();
        }
        let total_ms = job.route.timeouts.total_ms;
        let total = if total_ms == 0 { NEVER } else { after(job.started.monotonic_ns, total_ms) };
        let total = match grpc::deadline(&self.exchange, job.started) {
            Ok(deadline) => total.min(deadline),
            Err(reason) => return reason.into(),
        };
        self.exchange.validated = None;
        // A body that was judged is sent as it was read.
        let mut held = match self.exchange.body.take() {
            None => None,
            Some(Ok(Body::Held(body))) => Some(body),
            Some(Ok(Body::Given(_)) | Err(_)) => return Reason::Internal.into(),
        };
        if let Some(mirrored) = self.exchange.mirror.take() {
            mirror::send(job, &self.exchange, *mirrored, total);
        }
        if let Some(guard) = &service.guard {
            return Box::pin(self.forward_guarded(job, service, guard, total, held, attempted)).await;
        }
        let outcome = self.forward_plain(job, service, total, &mut held, attempted).await;
        self.held(held.is_some());
        outcome
    }

    /// When the service's time begins, nanoseconds since process start: what checks waited for is not its doing.
    pub(super) fn begun(&self, job: &Job<'_>) -> u64 {
        if self.exchange.waited { monotonic_ns() } else { job.started.monotonic_ns }
    }

    /// Notes that the body was read whole, and not by the last use of the pipe.
    pub(super) fn held(&mut self, held: bool) {
        if let Some(length) = self.exchange.request.framing.length().filter(|_| held) {
            self.up.read_already(length);
        }
    }

    /// To a service without a guard.
    async fn forward_plain(
        &mut self,
        job: &Job<'_>,
        service: &Service,
        total: u64,
        held: &mut Option<ReadBuffer>,
        attempted: &mut Attempted,
    ) -> Outcome {
        let mut time = self.begun(job);
        let mut tried = Tried::default();
        let key = service.key(&self.exchange);
        let mut chosen = service.choose(key, time, &mut tried);
        let mut fresh = false;
        let mut failure = Reason::NoHealthyEndpoint;
        while let Some(endpoint) = chosen {
            let stream = match self.reach(job, endpoint, fresh, total, &mut time, attempted).await {
                Ok(stream) => stream,
                Err(Reason::TotalTimeout) => return Reason::TotalTimeout.into(),
                Err(reason) => {
                    failure = reason;
                    chosen = service.choose(key, time, &mut tried);
                    fresh = false;
                    continue;
                }
            };
            let limits = self.limits(job, total);
            match self.forward_once(job, service, stream, limits, time, attempted, (None, held.as_mut())).await {
                Once::Ended(outcome) => return outcome,
                Once::Stale | Once::Rejected => fresh = true,
            }
        }
        failure.into()
    }

    /// A connection to the endpoint: a kept one, unless it has to be `fresh`, or a new one. `time` moves on.
    ///
    /// # Errors
    /// It could not be opened; or `total_timeout`.
    pub(super) async fn reach(
        &mut self,
        job: &Job<'_>,
        endpoint: &Rc<Endpoint>,
        fresh: bool,
        total: u64,
        time: &mut u64,
        attempted: &mut Attempted,
    ) -> Result<Stream, Reason> {
        attempted.attempts += 1;
        let kept = if fresh { None } else { endpoint.take_idle(*time) };
        attempted.reused = kept.is_some();
        attempted.active = Some(endpoint.enter());
        if let Some(stream) = kept {
            return Ok(stream);
        }
        let by = total.min(after(*time, job.route.timeouts.connect_ms));
        let connected = connect(&job.worker.shared, endpoint, &mut self.timer, by, total).await;
        *time = monotonic_ns();
        connected
    }

    /// The time limits of an attempt.
    pub(super) fn limits(&self, job: &Job<'_>, total: u64) -> Limits {
        Limits {
            first_byte_ms: job.route.timeouts.first_byte_ms,
            idle_ms: job.route.timeouts.idle_ms,
            client_ms: self.settings.timeouts.body_ms,
            total,
        }
    }
}

/// A new connection to the endpoint, counted and reported; `by` is when it has to be there, `total` when the request ends.
///
/// # Errors
/// It could not be opened; or `total_timeout`, which says nothing of the endpoint.
pub(super) async fn connect(
    shared: &Shared,
    endpoint: &Endpoint,
    timer: &mut Timer,
    by: u64,
    total: u64,
) -> Result<Stream, Reason> {
    let connected = timer.within(by, Box::pin(endpoint.connect(shared))).await;
    let (counters, now) = (&shared.counters, monotonic_ns());
    match connected {
        Some(Ok(stream)) => {
            counters.upstream_connects.increment();
            endpoint.report(Report::Connected, now);
            Ok(stream)
        }
        _ if now >= total => Err(Reason::TotalTimeout),
        failed => {
            let reason = failed.and_then(Result::err).unwrap_or(Reason::ServiceConnectTimeout);
            // Full is not unreachable.
            if reason != Reason::ServiceOverloaded {
                endpoint.report(Report::ConnectFailed, now);
                counters.upstream_connect_failures.increment();
            }
            Err(reason)
        }
    }
}
