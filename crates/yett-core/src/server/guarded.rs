//! Forwarding to a service with limits, circuit breakers or retries; requests of other services do not come here.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::attempt::Once;
use super::buffers::ReadBuffer;
use super::client::Client;
use super::clock::monotonic_ns;
use super::deadline::after;
use super::forward::{Attempted, Job, Outcome};
use super::lane::Lane;
use crate::exchange::{Framing, Refusal};
use crate::filters::identity_assertion::{MAX_DIGESTED, sha256};
use crate::reason::Reason;
use crate::resilience::Guard;
use crate::resilience::limiter::Place;
use crate::resilience::tries::{Tries, is_endpoint_failure};
use crate::upstream::{Service, Tried};

impl<C: Client> Lane<C> {
    /// As [`Self::forward`], for a service with a guard. `total` is when the request's time is over.
    pub(super) async fn forward_guarded(
        &mut self,
        job: &Job<'_>,
        service: &Service,
        guard: &Guard,
        total: u64,
        mut body: Option<ReadBuffer>,
        attempted: &mut Attempted,
    ) -> Outcome {
        let mut time = self.begun(job);
        let _place = match self.place(guard, total, &mut time).await {
            Ok(place) => place,
            Err(outcome) => return outcome,
        };
        let mut tries = Tries::new(guard, &job.worker.shared, total);
        let framing = self.exchange.request.framing;
        let again = tries.request(&self.exchange.request.method, framing, time);
        let digested = match framing {
            _ if !guard.digest => None,
            Framing::Empty => None,
            Framing::Length(length) if length <= MAX_DIGESTED => Some(length),
            Framing::Length(_) => return Reason::BodyTooLarge.into(),
            Framing::Chunked | Framing::Close => return Reason::LengthRequired.into(),
        };
        if body.is_none() && again.or(digested).is_some() {
            // So that it can be sent again, or be digested before it is sent.
            match self.hold_body(job.view, job.route.body_limit, total, job.head.expect_continue).await {
                Ok(held) => body = Some(held),
                Err(outcome) => return outcome,
            }
            time = monotonic_ns();
        }
        if guard.digest {
            self.exchange.body_digest = sha256(body.as_ref().map(ReadBuffer::data).unwrap_or_default());
        }
        let outcome = self.tries(job, service, &mut tries, &mut body, total, time, attempted).await;
        self.held(body.is_some());
        outcome
    }

    #[expect(clippy::too_many_arguments, reason = "one caller; what they are stands there")]
    async fn tries(
        &mut self,
        job: &Job<'_>,
        service: &Service,
        tries: &mut Tries<'_>,
        body: &mut Option<ReadBuffer>,
        total: u64,
        mut time: u64,
        attempted: &mut Attempted,
    ) -> Outcome {
        let key = service.key(&self.exchange);
        let mut tried = Tried::default();
        let mut failure = None;
        // A retry was granted, and nobody asked since.
        let mut granted = false;
        let mut again = None;
        loop {
            let fresh = again.is_some();
            let Some(endpoint) = again.take().or_else(|| service.choose(key, time, &mut tried)) else {
                let reason =
                    failure.unwrap_or(if tries.met_open_circuit() { Reason::CircuitOpen } else { Reason::NoHealthyEndpoint });
                if !granted {
                    if !tries.again_after_connect(reason) {
                        let retry_after_s = (reason == Reason::CircuitOpen).then(|| Refusal::pause(tries.reopens_s(time)));
                        return Outcome::Refused(Refusal { retry_after_s, ..reason.into() });
                    }
                    if !self.pause(tries.resume()).await {
                        return Outcome::Gone;
                    }
                    time = monotonic_ns();
                }
                // There is no other: those that failed once more.
                granted = false;
                tried = Tried::default();
                continue;
            };
            let upload = body.is_none() && self.exchange.request.framing != Framing::Empty;
            if !fresh && !tries.enter(endpoint, time, upload) {
                continue;
            }
            granted = false;
            let stream = match self.reach(job, endpoint, fresh, total, &mut time, attempted).await {
                Ok(stream) => stream,
                Err(reason) => {
                    if is_endpoint_failure(reason) || (reason == Reason::TotalTimeout && !impatient(job, total)) {
                        tries.failed();
                    }
                    if reason == Reason::TotalTimeout {
                        return reason.into();
                    }
                    failure = Some(reason);
                    continue;
                }
            };
            let limits = self.limits(job, total);
            match self.forward_once(job, service, stream, limits, time, attempted, (Some(&mut *tries), body.as_mut())).await {
                Once::Stale => {
                    again = Some(endpoint);
                    time = monotonic_ns();
                    continue;
                }
                Once::Rejected => failure = None,
                Once::Ended(outcome) => {
                    self.report(tries, &outcome, impatient(job, total));
                    let reset = matches!(&outcome, Outcome::Refused(refusal) if refusal.reason == Reason::ServiceReset);
                    if !reset || !tries.again_after_reset() {
                        return outcome;
                    }
                    failure = Some(Reason::ServiceReset);
                }
            }
            if !self.pause(tries.resume()).await {
                return Outcome::Gone;
            }
            time = monotonic_ns();
            granted = true;
        }
    }

    /// Tells the circuit breaker how a try ended; a client that left, or was at fault, says nothing of the endpoint.
    fn report(&self, tries: &mut Tries<'_>, outcome: &Outcome, impatient: bool) {
        match outcome {
            Outcome::Done { .. } => tries.succeeded(),
            // Nor does a service that waits for the client's next message: clients would cut others off by saying nothing.
            Outcome::Refused(refusal) | Outcome::Truncated(Some(refusal))
                if refusal.reason == Reason::ServiceTimeout && self.up.waits_for_sender() => {}
            Outcome::Refused(refusal) | Outcome::Truncated(Some(refusal)) if is_endpoint_failure(refusal.reason) => {
                tries.failed()
            }
            // The client had sent everything, and the service not a byte.
            Outcome::Refused(refusal) if refusal.reason == Reason::TotalTimeout && self.up.is_read() && !impatient => {
                tries.failed()
            }
            _ => {}
        }
    }

    /// A place among the requests under way, if the service limits them; waits for one where it may.
    async fn place(&mut self, guard: &Guard, total: u64, time: &mut u64) -> Result<Option<Place>, Outcome> {
        let Some(limits) = &guard.limits else { return Ok(None) };
        let limiter = &guard.state.limiter;
        if let Some(place) = limiter.try_enter() {
            return Ok(Some(place));
        }
        let Some(waiting) = limiter.queue() else { return Err(Reason::ServiceOverloaded.into()) };
        let deadline = total.min(after(monotonic_ns(), limits.wait_ms));
        let mut turn = pin!(waiting.turn());
        let Self { client, timer, .. } = self;
        let outcome = poll_fn(|cx| {
            if client.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Outcome::Gone));
            }
            match turn.as_mut().poll(cx) {
                Poll::Ready(place) => Poll::Ready(place.ok_or_else(|| Reason::Internal.into())),
                Poll::Pending => timer.poll(cx, deadline).map(|()| Err(Reason::ServiceOverloaded.into())),
            }
        })
        .await;
        *time = monotonic_ns();
        match outcome {
            Err(Outcome::Refused(_)) if *time >= total => Err(Reason::TotalTimeout.into()),
            outcome => outcome.map(Some),
        }
    }

    /// Waits; false if the client left meanwhile.
    pub(super) async fn pause(&mut self, until: u64) -> bool {
        let Self { client, timer, .. } = self;
        timer.within(until, poll_fn(|cx| client.poll_gone(cx))).await.is_none()
    }
}

/// Whether the client gave the service less time than the route does (`grpc-timeout`): that it was over blames nobody.
fn impatient(job: &Job<'_>, total: u64) -> bool {
    let own = job.route.timeouts.total_ms;
    own == 0 || total < after(job.started.monotonic_ns, own)
}
