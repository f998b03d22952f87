//! One use of one connection to a service: send the request, read the answer's head, pass its body on.

use super::attempt_http2::Sending;
use super::buffers::ReadBuffer;
use super::client::Client;
use super::clock::{http_date, monotonic_ns, now};
use super::deadline::after;
use super::forward::{Attempted, Job, Outcome};
use super::hints;
use super::judged::{self, Copied, Plan};
use super::lane::Lane;
use super::lifetime::Lifetime;
use super::pipe::Pipe;
use super::transfer::{Failure, Limits, Transfer, Upload, Waited};
use crate::exchange::{Framing, Method, Upgrade, Version};
use crate::filters::login_guard::{Attempt, Told};
use crate::filters::websocket;
use crate::grpc;
use crate::http1::response;
use crate::http1::write::{self, Announce};
use crate::ir::HostPolicy;
use crate::pipeline;
use crate::reason::Reason;
use crate::resilience::tries::{Tries, is_idempotent};
use crate::upstream::{Endpoint, Report, Service, Stream};

/// For a guarded service the request's tries, and its body where it is held.
pub(super) type Guarded<'a, 'g> = (Option<&'a mut Tries<'g>>, Option<&'a mut ReadBuffer>);

/// How one use of one connection ended.
pub(super) enum Once {
    Ended(Outcome),
    /// A kept connection was closed before it was used.
    Stale,
    /// The answer was dropped, and the request is tried again.
    Rejected,
}

impl<C: Client> Lane<C> {
    #[expect(clippy::too_many_arguments, reason = "two callers; what they are stands there")]
    pub(super) async fn forward_once(
        &mut self,
        job: &Job<'_>,
        service: &Service,
        mut stream: Stream,
        limits: Limits,
        time: u64,
        attempted: &mut Attempted,
        guarded: Guarded<'_, '_>,
    ) -> Once {
        let (mut tries, mut held) = guarded;
        let Some(endpoint) = attempted.active.as_ref().map(|a| a.endpoint().clone()) else {
            return Once::Ended(Reason::Internal.into());
        };
        if let Err(reason) = self.assert_identity(job) {
            return Once::Ended(reason.into());
        }
        // Not before: a body that nobody has read would pass for one that was read whole, and be the next request.
        self.body_taken = true;
        attempted.asked = true;
        let request = &self.exchange.request;
        let framing = request.framing;
        let host: &[u8] = match &service.host {
            HostPolicy::Preserve => &self.exchange.authority,
            HostPolicy::Endpoint => &endpoint.host,
            HostPolicy::Literal(host) => host.as_bytes(),
        };
        let http2 = matches!(stream, Stream::Http2(_));
        let chunked = framing == Framing::Chunked && !http2;
        let read_as = if held.is_some() { framing } else { self.client.body_framing(framing) };
        let out = self.up.start(read_as, chunked, job.route.body_limit);
        let upgrade = self.exchange.upgrade == Upgrade::Taken;
        let target = &self.exchange.forward_target;
        match upgrade {
            // Does not load.
            true if http2 => return Once::Ended(Reason::Internal.into()),
            false if http2 => {}
            false => write::request(out, request.method.as_str(), target, host, &request.headers, framing),
            true => write::upgrade_request(out, request.method.as_str(), target, host, &request.headers),
        }
        let duplex = http2 && grpc::is_grpc(&self.exchange);
        if framing != Framing::Empty && !duplex {
            self.up.keep_pace();
        }
        if let Some(held) = &mut held {
            held.rewind(framing.length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0));
        } else if job.head.expect_continue && framing != Framing::Empty && self.buffer.data().is_empty() {
            let deadline = limits.total.min(after(time, limits.client_ms));
            if !matches!(self.timer.within(deadline, self.client.ask_for_body()).await, Some(Ok(()))) {
                return Once::Ended(Outcome::Gone);
            }
        }
        let mut service_buffer = ReadBuffer::new(job.view.pools.buffers().clone());
        // An answer that was looked at whole.
        let mut whole = None;
        let head_request = request.method == Method::Head;
        let repeatable = (framing == Framing::Empty || held.is_some()) && is_idempotent(&request.method);
        let ahead = held.is_none();
        let mut transfer = Transfer {
            client: &mut self.client,
            client_buffer: held.unwrap_or(&mut self.buffer),
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
            duplex,
            upgrade,
            ahead,
            half_closed: 0,
            hints: if job.route.early_hints { hints::allowed::<C>(request) } else { 0 },
            rules: Some((&job.view.snapshot, job.route)),
            waited: None,
            lifetime: None,
        };
        // Of a request that is sent whole, what comes after that is the service's time.
        let begun = |transfer: &Transfer<'_, C>| if transfer.upload == Upload::Sent { transfer.up_moved.max(time) } else { time };
        let timed = !self.exchange.owing.is_empty() && job.route.rate_limits.is_timed();
        attempted.declared.clear();
        attempted.told = None;
        let answered = if http2 {
            let sending = Sending { job: *job, exchange: &self.exchange, endpoint: &endpoint, host };
            Box::pin(transfer.head_http2(&sending, &mut self.response)).await
        } else {
            transfer.head(head_request, &mut self.response).await
        };
        let (mut complete, first_byte) = match answered {
            Ok(found) => {
                endpoint.report(Report::Answered(self.response.status), found.1);
                found
            }
            Err(Failure::Silent) if attempted.reused && repeatable => return Once::Stale,
            Err(failure) => {
                attempted.service_ns += monotonic_ns().saturating_sub(begun(&transfer));
                return Once::Ended(failed(&endpoint, failure, transfer.up));
            }
        };
        attempted.service_ns += first_byte.saturating_sub(begun(&transfer));
        attempted.first_byte_ns = first_byte.saturating_sub(time);
        transfer.down_moved = first_byte.max(time);
        let status = self.response.status;
        // Before anything is judged or edited, so that nothing of that changes the cost.
        attempted.declared = job.route.rate_limits.declared(&mut self.response.headers);
        attempted.told = job.route.login_guard.as_ref().map(|guard| guard.told(&self.response));
        if let Some(tries) = &mut tries {
            if tries.rejects(status) {
                let sent = transfer.upload == Upload::Sent;
                let length = complete.framing.length().and_then(|length| usize::try_from(length).ok());
                let whole = sent && complete.keep_alive && length == Some(transfer.service_buffer.data().len());
                drop(transfer);
                if whole {
                    endpoint.keep(stream, first_byte);
                }
                return Once::Rejected;
            }
            if let Framing::Length(length) = complete.framing
                && tries.holds(length)
                && let Err(failure) = transfer.hold(usize::try_from(length).unwrap_or(usize::MAX)).await
            {
                attempted.service_ns += monotonic_ns().saturating_sub(first_byte);
                return Once::Ended(failed(&endpoint, failure, transfer.up));
            }
        }
        // Before any of it leaves: who has got in is known when the next request comes.
        if attempted.told != Some(Told::InBody) {
            settle(job, &mut self.exchange.attempt, attempted.told);
        }
        // Only where it was asked for; anything else is an ordinary answer.
        let switched = status == 101;
        if switched && !(complete.keep_alive && websocket::is_accepted(&request.headers, &self.response)) {
            return Once::Ended(Reason::ServiceResponseInvalid.into());
        }
        let plan = match judged::plan(job, &self.exchange, &self.response, complete.framing, &endpoint) {
            Ok(plan) => plan,
            Err(reason) => return Once::Ended(reason.into()),
        };
        let is_held = matches!(plan, Plan::Held(_));
        if matches!(complete.framing, Framing::Chunked | Framing::Close) && !is_held {
            transfer.lifetime = Some(Box::new(Lifetime::new(*job, &self.exchange)));
        }
        if let Err(refusal) = pipeline::respond(&job.view.snapshot, &self.exchange, &mut self.response) {
            if refusal.reason == Reason::TenantLeak {
                let id = String::from_utf8_lossy(&self.exchange.request_id).into_owned();
                let fields = [("route", &*job.route.name), ("request_id", id.as_str())];
                job.worker.shared.events.push("error", "tenant_leak", &fields);
            }
            return Once::Ended(Outcome::Refused(refusal));
        }
        if let (Plan::Held(look), Some(validation)) = (plan, &job.route.response_validation) {
            let Some(room) = ReadBuffer::with_room(job.view.pools.buffers().clone(), 0) else {
                return Once::Ended(Reason::BufferExhausted.into());
            };
            let framing = transfer.service.body_framing(complete.framing);
            // Boxed: other answers do not carry the room.
            let held = Box::pin(transfer.hold_answer(framing, validation.size, room)).await;
            if timed {
                attempted.service_ns += monotonic_ns().saturating_sub(first_byte);
            }
            let held = match held {
                Ok(held) => held,
                Err(failure) => return Once::Ended(failed(&endpoint, failure, transfer.up)),
            };
            if attempted.told == Some(Told::InBody) {
                attempted.told = judged::told(job, attempted.told, Some(held.data()));
                settle(job, &mut self.exchange.attempt, attempted.told);
            }
            match judged::judge(job, validation, look, held, &mut self.response) {
                Ok(held) => {
                    let length = held.data().len() as u64;
                    complete.framing = if length == 0 { Framing::Empty } else { Framing::Length(length) };
                    complete.length = Some(length);
                    transfer.service_buffer = whole.insert(held);
                    // Nothing of it that was not looked at.
                    transfer.rules = None;
                }
                Err(reason) => return Once::Ended(reason.into()),
            }
        }
        let version = request.version;
        let announce = announce(&complete, status, version);
        let sent = transfer.upload == Upload::Sent;
        let last = job.last || job.worker.closes(&self.exchange.connection);
        let mut keep = sent && !last && !(complete.framing == Framing::Close && announce == Announce::Nothing);
        keep &= !(complete.framing == Framing::Chunked && announce == Announce::Nothing);
        let read_as = if is_held { complete.framing } else { transfer.service.body_framing(complete.framing) };
        let out = transfer.down.start(read_as, announce == Announce::Chunked && !C::FRAMED, u64::MAX);
        if http2 && !is_held {
            transfer.client.expect_trailers();
        }
        if transfer.client.start(out, &self.response, announce, !keep, &http_date(job.started.unix_ms)).is_err() {
            return Once::Ended(Outcome::Gone);
        }
        transfer.down.copy = Copied::new(job, plan, attempted.told);
        self.status = status;
        // What follows holds no more of the head than this: an idle connection has the room, too.
        let keep_alive = complete.keep_alive;
        transfer.waited = timed.then(|| Waited::new(if is_held { monotonic_ns() } else { first_byte.max(time) }));
        let body = transfer.body().await;
        attempted.service_ns += transfer.waited.map_or(0, |waited| waited.ended(monotonic_ns()));
        let moved = transfer.down_moved;
        let copied = transfer.down.copy.take();
        if let (Some(copied), Ok(())) = (&copied, &body) {
            judged::watched(job, &self.exchange, copied);
        }
        // Of one that was cut nobody knows what it says.
        attempted.told = match &body {
            Ok(()) => judged::told(job, attempted.told, copied.as_ref().and_then(|copied| copied.whole())),
            // Whoever has seen a part of it and left may have seen enough.
            Err(Failure::ClientGone | Failure::Silent) => judged::told(job, attempted.told, None),
            Err(Failure::Because(_)) => attempted.told,
        };
        drop(transfer);
        if let (101, Ok(()), Some(websocket)) = (self.status, &body, &job.route.websocket) {
            // Boxed: other requests do not carry the room.
            return Once::Ended(Box::pin(self.tunnel(*job, websocket, &mut stream, &mut service_buffer)).await);
        }
        let outcome = match body {
            Ok(()) => Outcome::Done { keep },
            Err(Failure::Because(reason)) => Outcome::Truncated(Some(reason.into())),
            Err(Failure::ClientGone | Failure::Silent) => Outcome::Truncated(None),
        };
        if matches!(outcome, Outcome::Done { .. }) && sent && keep_alive && service_buffer.data().is_empty() {
            endpoint.keep(stream, moved);
        }
        Once::Ended(outcome)
    }
}

/// Says of an attempt to log in what came of it.
fn settle(job: &Job<'_>, attempt: &mut Option<Box<Attempt>>, told: Option<Told>) {
    if let (Some(guard), Some(attempt)) = (&job.route.login_guard, attempt) {
        guard.settle(attempt, true, told, now());
    }
}

/// How the answer's body is announced to the client.
fn announce(complete: &response::Complete, status: u16, version: Version) -> Announce {
    match (complete.framing, complete.length) {
        _ if status == 101 => Announce::WebSocket,
        (Framing::Empty, _) if status == 204 => Announce::Nothing,
        (Framing::Empty, Some(length)) => Announce::Length(length),
        (Framing::Length(length), _) => Announce::Length(length),
        (Framing::Chunked | Framing::Close, _) if version == Version::Http11 => Announce::Chunked,
        _ => Announce::Nothing,
    }
}

/// A failure before anything was sent to the client. A service that waits for the client's next message is not late.
fn failed(endpoint: &Endpoint, failure: Failure, up: &Pipe) -> Outcome {
    let reason = match failure {
        Failure::Silent => Reason::ServiceReset,
        Failure::ClientGone => return Outcome::Gone,
        Failure::Because(reason) => reason,
    };
    let report = Report::of(reason).filter(|report| *report != Report::TimedOut || !up.waits_for_sender());
    if let Some(report) = report {
        endpoint.report(report, monotonic_ns());
    }
    reason.into()
}
