//! Forwarding: choose an endpoint, connect, pass request and answer on.
//!
//! A connection failure is tried at the next endpoint; nothing of the request has left then. Once a byte of it was
//! sent, it is sent again in one case only: a kept connection turns out to be closed before any byte of an answer, the
//! method is idempotent (RFC 9110 section 9.2.2) and there is no body. Then once more, on a fresh connection.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::buffers::ReadBuffer;
use super::clock::{http_date, monotonic_ns};
use super::connection::Connection;
use super::deadline::{NEVER, after};
use super::transfer::{Failure, Limits, Transfer, Upload};
use super::worker::{View, Worker};
use crate::exchange::{Framing, Method, Now, Refusal, Version};
use crate::http1::write::{self, Announce};
use crate::http1::{request, response};
use crate::ir::HostPolicy;
use crate::pipeline;
use crate::reason::Reason;
use crate::snapshot::Route;
use crate::upstream::{Active, Service, Stream};

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
    pub view: &'a View,
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

/// How one use of one connection ended.
enum Once {
    Ended(Outcome),
    /// A kept connection was closed before it was used.
    Stale,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Connection<I> {
    /// Forwards the request of `self.exchange`, which every check has passed.
    pub async fn forward(&mut self, job: Job<'_>, attempted: &mut Attempted) -> Outcome {
        let Some(service) = self.exchange.service.and_then(|index| job.view.pools.service(index)) else {
            return Reason::Internal.into();
        };
        if matches!(self.exchange.request.framing, Framing::Length(length) if length > job.route.body_limit) {
            return Reason::BodyTooLarge.into();
        }
        let total_ms = job.route.timeouts.total_ms;
        let total = if total_ms == 0 { NEVER } else { after(job.started.monotonic_ns, total_ms) };
        let mut time = job.started.monotonic_ns;
        let first = service.first(time);
        let mut index = 0;
        let mut fresh = false;
        let mut failure = Reason::ServiceUnreachable;
        while let Some(endpoint) = service.attempt(first, index) {
            attempted.attempts += 1;
            let kept = if fresh { None } else { endpoint.take_idle(time) };
            attempted.reused = kept.is_some();
            let active = attempted.active.insert(endpoint.enter());
            let stream = match kept {
                Some(stream) => stream,
                None => {
                    let deadline = total.min(after(time, job.route.timeouts.connect_ms));
                    let connected = self.timer.within(deadline, Box::pin(endpoint.connect(&job.worker.shared))).await;
                    time = monotonic_ns();
                    match connected {
                        Some(Ok(stream)) => {
                            job.worker.shared.counters.upstream_connects.increment();
                            stream
                        }
                        _ if time >= total => return Reason::TotalTimeout.into(),
                        failed => {
                            failure = failed.and_then(Result::err).unwrap_or(Reason::ServiceConnectTimeout);
                            active.endpoint().failed(time);
                            job.worker.shared.counters.upstream_connect_failures.increment();
                            index += 1;
                            continue;
                        }
                    }
                }
            };
            let limits = Limits {
                first_byte_ms: job.route.timeouts.first_byte_ms,
                idle_ms: job.route.timeouts.idle_ms,
                client_ms: self.settings.timeouts.body_ms,
                total,
            };
            match self.forward_once(job, service, stream, limits, time, attempted).await {
                Once::Ended(outcome) => return outcome,
                Once::Stale => fresh = true,
            }
        }
        failure.into()
    }

    async fn forward_once(
        &mut self,
        job: Job<'_>,
        service: &Service,
        mut stream: Stream,
        limits: Limits,
        time: u64,
        attempted: &mut Attempted,
    ) -> Once {
        let Some(endpoint) = attempted.active.as_ref().map(|a| a.endpoint().clone()) else {
            return Once::Ended(Reason::Internal.into());
        };
        self.body_taken = true;
        let request = &self.exchange.request;
        let framing = request.framing;
        let host: &[u8] = match &service.host {
            HostPolicy::Preserve => &self.exchange.authority,
            HostPolicy::Endpoint => &endpoint.host,
            HostPolicy::Literal(host) => host.as_bytes(),
        };
        let out = self.up.start(framing, framing == Framing::Chunked, job.route.body_limit);
        write::request(out, request.method.as_str(), &self.exchange.forward_target, host, &request.headers, framing);
        if job.head.expect_continue && framing != Framing::Empty && self.buffer.data().is_empty() {
            let deadline = limits.total.min(after(time, limits.client_ms));
            let asked = async {
                self.io.write_all(write::CONTINUE).await?;
                self.io.flush().await
            };
            if !matches!(self.timer.within(deadline, asked).await, Some(Ok(()))) {
                return Once::Ended(Outcome::Gone);
            }
        }
        let mut service_buffer = ReadBuffer::new(job.view.pools.buffers().clone());
        let head_request = request.method == Method::Head;
        let mut transfer = Transfer {
            client: &mut self.io,
            client_buffer: &mut self.buffer,
            service: &mut stream,
            service_buffer: &mut service_buffer,
            up: &mut self.up,
            down: &mut self.down,
            timer: &mut self.timer,
            limits,
            upload: Upload::Active,
            up_moved: time,
            down_moved: time,
            polled: false,
        };
        let (complete, first_byte) = match transfer.head(head_request, &mut self.response).await {
            Ok(found) => found,
            Err(Failure::Silent) if attempted.reused && framing == Framing::Empty && is_idempotent(&request.method) => {
                return Once::Stale;
            }
            Err(Failure::Silent) => return Once::Ended(Reason::ServiceReset.into()),
            Err(Failure::ClientGone) => return Once::Ended(Outcome::Gone),
            Err(Failure::Because(reason)) => return Once::Ended(reason.into()),
        };
        attempted.first_byte_ns = first_byte.saturating_sub(time);
        transfer.down_moved = first_byte.max(time);
        let status = self.response.status;
        if let Err(refusal) = pipeline::respond(&job.view.snapshot, &self.exchange, &mut self.response) {
            return Once::Ended(Outcome::Refused(refusal));
        }
        let version = request.version;
        let announce = announce(&complete, status, version);
        let sent = transfer.upload == Upload::Sent;
        let last = job.last || job.worker.closes(&self.exchange.connection);
        let mut keep = sent && !last && !(complete.framing == Framing::Close && announce == Announce::Nothing);
        keep &= !(complete.framing == Framing::Chunked && announce == Announce::Nothing);
        let out = transfer.down.start(complete.framing, announce == Announce::Chunked, u64::MAX);
        write::response(out, status, &self.response.headers, announce, !keep, &http_date(job.started.unix_ms));
        self.status = status;
        let body = transfer.body().await;
        let moved = transfer.down_moved;
        let outcome = match body {
            Ok(()) => Outcome::Done { keep },
            Err(Failure::Because(reason)) => Outcome::Truncated(Some(reason.into())),
            Err(Failure::ClientGone | Failure::Silent) => Outcome::Truncated(None),
        };
        if matches!(outcome, Outcome::Done { .. }) && sent && complete.keep_alive && service_buffer.data().is_empty() {
            endpoint.keep(stream, moved);
        }
        Once::Ended(outcome)
    }
}

/// How the answer's body is announced to the client.
fn announce(complete: &response::Complete, status: u16, version: Version) -> Announce {
    match (complete.framing, complete.length) {
        (Framing::Empty, _) if status == 204 => Announce::Nothing,
        (Framing::Empty, Some(length)) => Announce::Length(length),
        (Framing::Length(length), _) => Announce::Length(length),
        (Framing::Chunked | Framing::Close, _) if version == Version::Http11 => Announce::Chunked,
        _ => Announce::Nothing,
    }
}

/// Methods that may be sent twice; without a body.
fn is_idempotent(method: &Method) -> bool {
    matches!(method, Method::Get | Method::Head | Method::Options | Method::Put | Method::Delete)
}
