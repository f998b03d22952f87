//! Answers that are looked at whole before any of them leaves.

use std::future::poll_fn;
use std::task::Poll;

use super::buffers::ReadBuffer;
use super::client::Client;
use super::clock::monotonic_ns;
use super::deadline::after;
use super::forward::Job;
use super::held::Held;
use super::pipe::{Fault, Wait};
use super::transfer::{Failure, Transfer, Upload};
use crate::exchange::{Exchange, Framing, ResponseHead};
use crate::filters::response_validation::{Judged, Look, ResponseValidation};
use crate::reason::Reason;

/// Fields that say something of the bytes of a body, which are others now.
const OF_BYTES: [&[u8]; 6] = [b"accept-ranges", b"content-digest", b"content-md5", b"digest", b"etag", b"repr-digest"];

/// What is looked at of an answer, by its head.
pub(super) fn look(job: &Job<'_>, exchange: &Exchange, response: &ResponseHead, framing: Framing) -> Result<Look, Reason> {
    let Some(validation) = &job.route.response_validation else { return Ok(Look::Nothing) };
    if response.status == 101 {
        return Ok(Look::Nothing);
    }
    let judged = validation.head(response, framing != Framing::Empty).and_then(|look| match (look, framing) {
        (Look::Body { .. }, Framing::Length(length)) if length > validation.size => Err(Reason::ResponseTooLarge),
        // What passes in any case is not held back: of an answer without an announced length only the head is looked at.
        (_, Framing::Chunked | Framing::Close) if validation.reports() => Ok(Look::Nothing),
        (look, _) => Ok(look),
    });
    match judged {
        Err(reason) if validation.reports() => {
            report(job, exchange, reason);
            Ok(Look::Nothing)
        }
        other => other,
    }
}

/// An answer that does not fit, and passes.
fn report(job: &Job<'_>, exchange: &Exchange, reason: Reason) {
    let id = String::from_utf8_lossy(&exchange.request_id).into_owned();
    let fields = [("route", &*job.route.name), ("reason", reason.code()), ("request_id", id.as_str())];
    job.worker.shared.events.push("warning", "response_fault", &fields);
}

/// Judges a body; what leaves in its place.
pub(super) fn judge(
    job: &Job<'_>,
    exchange: &Exchange,
    validation: &ResponseValidation,
    look: Look,
    held: ReadBuffer,
    response: &mut ResponseHead,
) -> Result<ReadBuffer, Reason> {
    match validation.body(look, held.data()) {
        Ok(Judged::Passes) => Ok(held),
        Ok(Judged::Stripped(text)) => {
            let mut stripped =
                ReadBuffer::with_room(job.view.pools.buffers().clone(), text.len()).ok_or(Reason::BufferExhausted)?;
            if stripped.append(&text) != text.len() {
                return Err(Reason::Internal);
            }
            response.headers.retain(|_, name, _| !OF_BYTES.contains(&name));
            Ok(stripped)
        }
        Err(reason) if validation.reports() => {
            report(job, exchange, reason);
            Ok(held)
        }
        Err(reason) => Err(reason),
    }
}

impl<C: Client> Transfer<'_, C> {
    /// Reads the whole body of an answer, at most so many bytes, before anything is sent to the client.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(super) async fn hold_answer(&mut self, framing: Framing, limit: u64, room: ReadBuffer) -> Result<ReadBuffer, Failure> {
        self.down.start(framing, false, limit);
        let mut held = Held::new(room);
        poll_fn(|cx| {
            if self.client.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Failure::ClientGone));
            }
            // The answer stands: what becomes of the request does not change it.
            let waiting = self.poll_upload(cx).unwrap_or_else(|_| {
                self.upload = Upload::Broken;
                None
            });
            let outcome = self.down.poll(cx, self.service, self.service_buffer, &mut held);
            if self.down.take_moved() {
                self.down_moved = monotonic_ns();
            }
            let reason = match outcome {
                Ok(Wait::Done) => return Poll::Ready(Ok(())),
                Ok(Wait::Read) => {
                    let idle = (after(self.down_moved, self.limits.idle_ms), Failure::Because(Reason::ServiceTimeout));
                    let due = waiting.filter(|waiting| waiting.0 < idle.0).unwrap_or(idle);
                    return self.poll_due(cx, due).map(Err);
                }
                Ok(Wait::Write) => Reason::Internal,
                Err(Fault::TooLarge) => Reason::ResponseTooLarge,
                Err(Fault::Malformed) => Reason::ServiceResponseInvalid,
                Err(Fault::Eof | Fault::Read) => Reason::ServiceReset,
                Err(Fault::Exhausted | Fault::Write) => Reason::BufferExhausted,
            };
            Poll::Ready(Err(Failure::Because(reason)))
        })
        .await?;
        Ok(held.into_inner())
    }
}
