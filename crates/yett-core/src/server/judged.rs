//! Answers that are looked at whole before any of them leaves.

use std::future::poll_fn;
use std::task::Poll;

use super::buffers::ReadBuffer;
use super::client::Client;
use super::clock::monotonic_ns;
use super::forward::Job;
use super::held::Held;
use super::pipe::{Fault, Wait};
use super::transfer::{Failure, Transfer};
use crate::exchange::{Exchange, Framing, Method, ResponseHead};
use crate::filters::login_guard::{Told, answers};
use crate::filters::response_validation::{Judged, Look, ResponseValidation};
use crate::reason::Reason;
use crate::upstream::Endpoint;

/// Fields that say something of the bytes of a body, which are others now.
const OF_BYTES: [&[u8]; 6] = [b"accept-ranges", b"content-digest", b"content-md5", b"digest", b"etag", b"repr-digest"];

/// What is done about a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// It passes.
    Passes,
    /// It passes, and what is wrong with it is reported.
    Watched(Look),
    /// It is held, and passes once it was judged.
    Held(Look),
}

/// What is done about an answer, by its head.
pub(super) fn plan(
    job: &Job<'_>,
    exchange: &Exchange,
    response: &ResponseHead,
    framing: Framing,
    endpoint: &Endpoint,
) -> Result<Plan, Reason> {
    let Some(validation) = &job.route.response_validation else { return Ok(Plan::Passes) };
    if response.status == 101 {
        return Ok(Plan::Passes);
    }
    let head = exchange.request.method == Method::Head;
    let inside = (&*endpoint.host, &*exchange.authority);
    let judged = validation.head(response, framing != Framing::Empty, head, inside).and_then(|look| match (look, framing) {
        (Look::Body { .. }, Framing::Length(length)) if length > validation.size => Err(Reason::ResponseTooLarge),
        (look, _) => Ok(look),
    });
    match judged {
        Ok(Look::Nothing) => Ok(Plan::Passes),
        Ok(look) if validation.reports() => Ok(Plan::Watched(look)),
        Ok(look) => Ok(Plan::Held(look)),
        Err(reason) if validation.reports() => {
            report(job, exchange, validation, reason);
            Ok(Plan::Passes)
        }
        Err(reason) => Err(reason),
    }
}

/// An answer that does not fit, and passes.
#[cold]
fn report(job: &Job<'_>, exchange: &Exchange, validation: &ResponseValidation, reason: Reason) {
    job.worker.shared.response_faults.count(reason);
    if validation.may_report(reason, monotonic_ns() / 1_000_000_000) {
        let id = String::from_utf8_lossy(&exchange.request_id).into_owned();
        let fields = [("route", &*job.route.name), ("reason", reason.code()), ("request_id", id.as_str())];
        job.worker.shared.events.push("warning", "response_fault", &fields);
    }
}

/// A copy of a body that passes, at most as much as is looked at.
#[derive(Debug)]
pub struct Copied {
    /// What is looked at once it has passed, for the validation of answers.
    look: Option<Look>,
    data: Result<ReadBuffer, Reason>,
    limit: u64,
}

impl Copied {
    /// Nothing yet; none where nobody reads the body.
    pub(super) fn new(job: &Job<'_>, plan: Plan, told: Option<Told>) -> Option<Box<Self>> {
        let look = match plan {
            Plan::Watched(look) => Some(look),
            Plan::Passes | Plan::Held(_) => None,
        };
        let watched = look.and(job.route.response_validation.as_ref()).map(|validation| validation.size);
        let limit = watched.max((told == Some(Told::InBody)).then_some(answers::ANSWER))?;
        let room = ReadBuffer::with_room(job.view.pools.buffers().clone(), 0);
        Some(Box::new(Self { look, data: room.ok_or(Reason::BufferExhausted), limit }))
    }

    /// What has passed, where all of it was kept.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        self.data.as_ref().ok().map(ReadBuffer::data)
    }

    /// Adds what passes. Where there is no room, nothing is kept: it passes nevertheless.
    pub(super) fn add(&mut self, mut data: &[u8]) {
        let Ok(kept) = &mut self.data else { return };
        if (kept.data().len() + data.len()) as u64 > self.limit {
            self.data = Err(Reason::ResponseTooLarge);
            return;
        }
        while !data.is_empty() {
            let count = kept.append(data);
            data = data.get(count..).unwrap_or_default();
            if count == 0 && kept.grow().is_err() {
                self.data = Err(Reason::BufferExhausted);
                return;
            }
        }
    }
}

/// Reports what is wrong with a body that has passed, whole.
pub(super) fn watched(job: &Job<'_>, exchange: &Exchange, copied: &Copied) {
    let Some(validation) = &job.route.response_validation else { return };
    let Some(look) = copied.look else { return };
    let judged = match &copied.data {
        Ok(data) if data.data().len() as u64 > validation.size => Err(Reason::ResponseTooLarge),
        Ok(data) => validation.body(look, data.data()).map(|_| ()),
        Err(reason) => Err(*reason),
    };
    if let Err(reason) = judged {
        report(job, exchange, validation, reason);
    }
}

/// What an answer says of an attempt to log in, once its whole body is known; what was not kept of it says no.
pub(super) fn told(job: &Job<'_>, told: Option<Told>, body: Option<&[u8]>) -> Option<Told> {
    match (told, &job.route.login_guard) {
        (Some(Told::InBody), Some(guard)) => Some(body.map_or(Told::Failed, |body| guard.read(body))),
        _ => told,
    }
}

/// Judges a body; what leaves in its place.
pub(super) fn judge(
    job: &Job<'_>,
    validation: &ResponseValidation,
    look: Look,
    held: ReadBuffer,
    response: &mut ResponseHead,
) -> Result<ReadBuffer, Reason> {
    match validation.body(look, held.data())? {
        Judged::Passes => Ok(held),
        Judged::Stripped(text) => {
            let room = ReadBuffer::with_room(job.view.pools.buffers().clone(), text.len());
            let mut stripped = room.ok_or(Reason::BufferExhausted)?;
            if stripped.append(&text) != text.len() {
                return Err(Reason::Internal);
            }
            response.headers.retain(|_, name, _| !OF_BYTES.contains(&name));
            Ok(stripped)
        }
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
            let waiting = self.beside(cx)?;
            let outcome = self.down.poll(cx, self.service, self.service_buffer, &mut held);
            if self.down.take_moved() {
                self.down_moved = monotonic_ns();
            }
            let reason = match outcome {
                Ok(Wait::Done) => return Poll::Ready(Ok(())),
                Ok(Wait::Read) => return self.poll_idle(cx, waiting).map(Err),
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
