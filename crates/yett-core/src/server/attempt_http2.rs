//! One request on an HTTP/2 connection to a service, up to its answer's head; the body goes the way of all bodies.
//!
//! What the service says it has not looked at (a stream above the last one of its GOAWAY, or REFUSED_STREAM; RFC 9113
//! section 8.7) is sent again on another connection to it, whatever the method is.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::client::Client;
use super::clock::monotonic_ns;
use super::deadline::after;
use super::forward::Job;
use super::identity;
use super::transfer::{Failure, Transfer};
use crate::exchange::{Exchange, Method, ResponseHead};
use crate::headers::Headers;
use crate::http1::response::Complete;
use crate::pipeline::trailers;
use crate::reason::Reason;
use crate::upstream::http2::{Broken, Http2Stream, Kept, request_head};
use crate::upstream::{Endpoint, Stream};

/// How often a request is sent that the service does not look at.
const SENDS: u32 = 3;

/// What sending a request takes.
pub(super) struct Sending<'a> {
    pub job: Job<'a>,
    pub exchange: &'a Exchange,
    pub endpoint: &'a Endpoint,
    /// Host as the service sees it.
    pub host: &'a [u8],
}

impl<C: Client> Transfer<'_, C> {
    /// As [`Transfer::head`], on a place of an HTTP/2 connection.
    ///
    /// # Errors
    /// See [`Failure`]. Nothing has been sent to the client.
    pub(super) async fn head_http2(
        &mut self,
        sending: &Sending<'_>,
        head: &mut ResponseHead,
    ) -> Result<(Complete, u64), Failure> {
        let head_request = sending.exchange.request.method == Method::Head;
        let mut kept = Kept::new();
        let mut anew = None;
        for last in (0..SENDS).rev() {
            let broken = match self.begin(sending, anew.as_ref(), std::mem::take(&mut kept))? {
                Ok(()) => match self.answer(head_request, head).await? {
                    Ok(complete) => return Ok((complete, monotonic_ns())),
                    Err(broken) => broken,
                },
                Err(broken) => broken,
            };
            let again = match (broken, self.http2()) {
                (Broken::Malformed, _) => return Err(Failure::Because(Reason::ServiceResponseInvalid)),
                (Broken::Unseen, Some(stream)) if last > 0 => stream.take_kept(),
                (Broken::Unseen | Broken::Reset, _) => None,
            };
            kept = again.ok_or(Failure::Silent)?;
            anew = identity::anew(&sending.job, sending.exchange).map_err(Failure::Because)?;
            self.reconnect(sending).await?;
        }
        Err(Failure::Silent)
    }

    /// The request has been sent: ends it, with its trailer fields if client and service both know them.
    pub(super) fn end_upload(&mut self) -> Result<(), Failure> {
        let Stream::Http2(stream) = &mut *self.service else { return Ok(()) };
        let trailers = match (self.client.take_trailers(), self.rules) {
            (Some(trailers), Some((snapshot, route))) => {
                let cleaned = trailers::of_request(snapshot, route, *trailers);
                Some(Box::new(cleaned.map_err(|_| Failure::Because(Reason::BodyMalformed))?))
            }
            _ => None,
        };
        stream.finish(trailers);
        Ok(())
    }

    /// The answer has been written: ends it, with its trailer fields if there are any.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if let Stream::Http2(stream) = &mut *self.service
            && let (Some(trailers), Some((_, route))) = (stream.take_trailers(), self.rules)
        {
            match trailers::of_answer(route, *trailers) {
                Ok(trailers) => self.client.set_trailers(Box::new(trailers)),
                Err(_) => return Poll::Ready(Err(Failure::Because(Reason::ServiceResponseInvalid))),
            }
        }
        self.client.poll_finish(cx).map_err(|_| Failure::ClientGone)
    }

    fn http2(&mut self) -> Option<&mut Http2Stream> {
        match self.service {
            Stream::Http2(stream) => Some(stream),
            Stream::Plain(_) | Stream::Tls(_) => None,
        }
    }

    fn begin(&mut self, sending: &Sending<'_>, anew: Option<&Headers>, kept: Kept) -> Result<Result<(), Broken>, Failure> {
        let Sending { exchange, endpoint, host, .. } = sending;
        let request = &exchange.request;
        let headers = anew.unwrap_or(&request.headers);
        let head = request_head(&request.method, endpoint.is_tls(), host, &exchange.forward_target, headers, request.framing)
            .map_err(|_| Failure::Because(Reason::MalformedRequest))?;
        // A service that has changed to HTTP/1.1 meanwhile: what the client sent is framed for the other one.
        let stream = self.http2().ok_or(Failure::Silent)?;
        Ok(stream.begin(head, request.framing, kept))
    }

    async fn answer(&mut self, head_request: bool, head: &mut ResponseHead) -> Result<Result<Complete, Broken>, Failure> {
        poll_fn(|cx| {
            if self.client.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Failure::ClientGone));
            }
            let waiting = match self.poll_upload(cx) {
                Ok(due) => due,
                Err(failure) => return Poll::Ready(Err(failure)),
            };
            let Some(stream) = self.http2() else { return Poll::Ready(Err(Failure::Silent)) };
            if let Poll::Ready(answer) = stream.poll_head(cx, head_request, head) {
                return Poll::Ready(Ok(answer));
            }
            self.poll_no_answer(cx, waiting).map(Err)
        })
        .await
    }

    async fn reconnect(&mut self, sending: &Sending<'_>) -> Result<(), Failure> {
        let Sending { job, endpoint, .. } = sending;
        let deadline = self.limits.total.min(after(monotonic_ns(), job.route.timeouts.connect_ms));
        let connected = self.timer.within(deadline, endpoint.connect(&job.worker.shared)).await;
        match connected {
            Some(Ok(stream)) => *self.service = stream,
            Some(Err(reason)) => return Err(Failure::Because(reason)),
            None if monotonic_ns() >= self.limits.total => return Err(Failure::Because(Reason::TotalTimeout)),
            None => return Err(Failure::Because(Reason::ServiceConnectTimeout)),
        }
        self.upload = super::transfer::Upload::Active;
        self.up_moved = monotonic_ns();
        Ok(())
    }
}
