//! One request and its answer on two connections, both ways at once.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::buffers::{FillError, ReadBuffer};
use super::client::Client;
use super::clock::monotonic_ns;
use super::deadline::{NEVER, Timer, after};
use super::hints;
use super::lifetime::Lifetime;
use super::pipe::{Fault, Pipe, Wait};
use crate::exchange::ResponseHead;
use crate::http1::response::{self, Complete};
use crate::reason::Reason;
use crate::snapshot::{Route, Snapshot};
use crate::upstream::Stream;

/// Interim answers that are read and dropped before the answer.
const MAX_INTERIM: u32 = 8;

/// How long a service may pause in an answer without a known end, once the client has ended its side.
const HALF_CLOSED_MS: u64 = 5_000;

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// For this reason.
    Because(Reason),
    /// The client is gone; nobody reads an answer.
    ClientGone,
    /// The service closed before the first byte of an answer.
    Silent,
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self::Because(reason)
    }
}

/// Time limits of an exchange, in milliseconds, and its absolute end.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the request sent to the first byte of the answer.
    pub first_byte_ms: u64,
    /// Longest pause of the service.
    pub idle_ms: u64,
    /// Longest pause of the client; while it is behind, the longest that it may need for 4 KiB.
    pub client_ms: u64,
    /// Monotonic nanoseconds.
    pub total: u64,
}

/// How the request's way stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// Under way.
    Active,
    /// Sent whole.
    Sent,
    /// The service does not take it any more, or the client does not send it.
    Broken,
}

/// How long a service has been waited for: not while the client does not take what is there.
#[derive(Debug, Clone, Copy)]
pub struct Waited {
    since: u64,
    service: bool,
    total: u64,
}

impl Waited {
    /// From now on for the service.
    pub fn new(now: u64) -> Self {
        Self { since: now, service: true, total: 0 }
    }

    /// Whom it is waited for from now on.
    fn note(&mut self, now: u64, service: bool) {
        if self.service {
            self.total = self.total.saturating_add(now.saturating_sub(self.since));
        }
        (self.since, self.service) = (now, service);
    }

    /// Nanoseconds, with those since it was last noted whom it is waited for.
    #[must_use]
    pub fn ended(mut self, now: u64) -> u64 {
        self.note(now, self.service);
        self.total
    }
}

/// Both sides of an exchange.
#[derive(Debug)]
pub struct Transfer<'a, C> {
    /// The client's side.
    pub client: &'a mut C,
    /// What was read from it.
    pub client_buffer: &'a mut ReadBuffer,
    /// The service's connection.
    pub service: &'a mut Stream,
    /// What was read from it.
    pub service_buffer: &'a mut ReadBuffer,
    /// Client to service.
    pub up: &'a mut Pipe,
    /// Service to client.
    pub down: &'a mut Pipe,
    /// The connection's timer.
    pub timer: &'a mut Timer,
    /// Time limits.
    pub limits: Limits,
    /// How the request's way stands.
    pub upload: Upload,
    /// Monotonic time at which something last moved from client to service.
    pub up_moved: u64,
    /// Likewise from service to client.
    pub down_moved: u64,
    /// Whether the request's way was polled before.
    pub polled: bool,
    /// Both ways stay open for as long as something moves on either (gRPC).
    pub duplex: bool,
    /// Whether the service may switch to WebSocket.
    pub upgrade: bool,
    /// Whether `client_buffer` is the connection's own, and not a body that is held to be sent again.
    pub ahead: bool,
    /// When the client ended its side, in monotonic nanoseconds; 0 before.
    pub half_closed: u64,
    /// Early hints that may be passed on.
    pub hints: u8,
    /// What says which trailer fields pass; none do without it.
    pub rules: Option<(&'a Snapshot, &'a Route)>,
    /// How long the service has been waited for, where somebody asks.
    pub waited: Option<Waited>,
    /// How long an answer without a known end may go on.
    pub lifetime: Option<Box<Lifetime<'a>>>,
}

/// Seconds that something may still take, and what it means when it does not.
pub(super) type Due = (u64, Failure);

impl<C: Client> Transfer<'_, C> {
    /// Sends the request and reads the answer's head; says also when its first byte came.
    ///
    /// # Errors
    /// See [`Failure`]. Nothing has been sent to the client.
    pub async fn head(&mut self, head_request: bool, head: &mut ResponseHead) -> Result<(Complete, u64), Failure> {
        let mut scanned = 0;
        let mut interim = 0;
        let mut first_byte = 0;
        poll_fn(|cx| {
            if self.client.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Failure::ClientGone));
            }
            let waiting = match self.poll_upload(cx) {
                Ok(due) => due,
                Err(failure) => return Poll::Ready(Err(failure)),
            };
            loop {
                let parse = if self.upgrade { response::parse_or_switch } else { response::parse };
                match parse(self.service_buffer.data(), &mut scanned, head_request, head) {
                    Err(_) => return Poll::Ready(Err(Failure::Because(Reason::ServiceResponseInvalid))),
                    Ok(Some(complete)) => {
                        self.service_buffer.consume(complete.bytes);
                        if head.status >= 200 || head.status == 101 {
                            return Poll::Ready(Ok((complete, first_byte)));
                        }
                        if hints::pass(&mut self.hints, cx, self.client, head).is_err() {
                            return Poll::Ready(Err(Failure::ClientGone));
                        }
                        interim += 1;
                        if interim > MAX_INTERIM {
                            return Poll::Ready(Err(Failure::Because(Reason::ServiceResponseInvalid)));
                        }
                        continue;
                    }
                    Ok(None) => {}
                }
                match self.poll_more(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(())) => {
                        if first_byte == 0 {
                            first_byte = monotonic_ns();
                        }
                    }
                    Poll::Ready(Err(Failure::Because(Reason::ServiceReset))) if first_byte == 0 => {
                        return Poll::Ready(Err(Failure::Silent));
                    }
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                }
            }
            self.poll_no_answer(cx, waiting).map(Err)
        })
        .await
    }

    /// Whether the wait for the answer's head has to end without one; `waiting` is what the request's way waits for.
    pub(super) fn poll_no_answer(&mut self, cx: &mut Context<'_>, waiting: Option<Due>) -> Poll<Failure> {
        if let Poll::Ready(gone) = self.poll_left(cx) {
            return Poll::Ready(gone);
        }
        let timeout = Failure::Because(Reason::ServiceTimeout);
        let due = waiting.unwrap_or((after(self.up_moved, self.limits.first_byte_ms), timeout));
        self.poll_due(cx, due)
    }

    /// Reads more of the answer, with more room where there is none; its end is a reset.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let reason = match self.service_buffer.poll_fill(cx, self.service) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => return Poll::Ready(Ok(())),
                Poll::Ready(Err(FillError::Full)) if self.service_buffer.grow().is_ok() => continue,
                Poll::Ready(Err(FillError::Full | FillError::Exhausted)) => Reason::BufferExhausted,
                Poll::Ready(Ok(_) | Err(FillError::Io(_))) => Reason::ServiceReset,
            };
            return Poll::Ready(Err(Failure::Because(reason)));
        }
    }

    /// What goes on beside an answer, which stands: what becomes of the request does not change it. Says what the request waits
    /// for.
    ///
    /// # Errors
    /// The client has left.
    pub(super) fn beside(&mut self, cx: &mut Context<'_>) -> Result<Option<Due>, Failure> {
        if self.client.poll_gone(cx).is_ready() {
            return Err(Failure::ClientGone);
        }
        Ok(self.poll_upload(cx).unwrap_or_else(|_| {
            self.upload = Upload::Broken;
            None
        }))
    }

    /// Whether the wait for more of an answer that is held has to end; `waiting` is what the request waits for.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>, waiting: Option<Due>) -> Poll<Failure> {
        let idle = (after(self.down_moved, self.limits.idle_ms), Failure::Because(Reason::ServiceTimeout));
        self.poll_due(cx, waiting.filter(|waiting| waiting.0 < idle.0).unwrap_or(idle))
    }

    /// Waits until so many bytes of the answer's body are there.
    ///
    /// # Errors
    /// See [`Failure`]. Nothing has been sent to the client.
    pub async fn hold(&mut self, length: usize) -> Result<(), Failure> {
        poll_fn(|cx| {
            let waiting = self.beside(cx)?;
            while self.service_buffer.data().len() < length {
                match self.poll_more(cx) {
                    Poll::Pending => return self.poll_idle(cx, waiting).map(Err),
                    Poll::Ready(Ok(())) => self.down_moved = monotonic_ns(),
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Passes the answer on, head and body; `down` was started with the head in it.
    ///
    /// # Errors
    /// See [`Failure`]. A part of the answer may have been sent.
    pub async fn body(&mut self) -> Result<(), Failure> {
        poll_fn(|cx| {
            let waiting = self.beside(cx)?;
            let outcome = self.down.poll(cx, self.service, self.service_buffer, self.client);
            if let Some(waited) = &mut self.waited {
                waited.note(monotonic_ns(), outcome == Ok(Wait::Read));
            }
            if outcome != Ok(Wait::Done) && self.down.take_moved() {
                self.down_moved = monotonic_ns();
            }
            let due = match outcome {
                Ok(Wait::Done) => match self.poll_end(cx) {
                    ended @ Poll::Ready(_) => return ended,
                    Poll::Pending => (after(self.down_moved, self.limits.client_ms), Failure::Because(Reason::RequestTimeout)),
                },
                Ok(Wait::Write) => (after(self.down_moved, self.limits.client_ms), Failure::Because(Reason::RequestTimeout)),
                // While the service still takes the request, its answer may pause.
                Ok(Wait::Read) if self.upload == Upload::Active => {
                    let idle = after(self.down_moved.max(self.up_moved), self.limits.idle_ms);
                    let due = waiting.unwrap_or((NEVER, Failure::ClientGone));
                    if idle < due.0 { (idle, Failure::Because(Reason::ServiceTimeout)) } else { due }
                }
                Ok(Wait::Read) => match self.poll_left(cx) {
                    Poll::Ready(gone) => return Poll::Ready(Err(gone)),
                    Poll::Pending => self.pause(),
                },
                Err(Fault::Write) => return Poll::Ready(Err(Failure::ClientGone)),
                Err(Fault::Eof | Fault::Read) => return Poll::Ready(Err(Failure::Because(Reason::ServiceReset))),
                Err(Fault::Malformed | Fault::TooLarge) => {
                    return Poll::Ready(Err(Failure::Because(Reason::ServiceResponseInvalid)));
                }
                Err(Fault::Exhausted) => return Poll::Ready(Err(Failure::Because(Reason::BufferExhausted))),
            };
            self.poll_due(cx, due).map(Err)
        })
        .await
    }

    /// How long the service may pause. Where the answer has no known end and the client has ended its side, a long pause means
    /// that the client is gone: only a write would tell, and there is none.
    fn pause(&self) -> Due {
        let due = (after(self.down_moved, self.limits.idle_ms), Failure::Because(Reason::ServiceTimeout));
        if self.half_closed == 0 || self.lifetime.is_none() {
            return due;
        }
        let left = after(self.half_closed.max(self.down_moved), HALF_CLOSED_MS);
        if left < due.0 { (left, Failure::ClientGone) } else { due }
    }

    /// Looks whether the client is still there, once its request is sent and nothing more is read from it. What it sends
    /// already for its next request is kept, as much as the buffer holds. An end is no more than that: the answer may be
    /// awaited (half-closed).
    pub(super) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        while !C::FRAMED && self.ahead && self.upload == Upload::Sent && self.half_closed == 0 && !self.client_buffer.is_full() {
            match self.client_buffer.poll_fill(cx, self.client) {
                Poll::Ready(Ok(0)) => self.half_closed = monotonic_ns(),
                Poll::Ready(Ok(_)) => {}
                // A TLS client that ends without saying so.
                Poll::Ready(Err(FillError::Io(error))) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.half_closed = monotonic_ns();
                }
                Poll::Ready(Err(FillError::Io(_))) => return Poll::Ready(Failure::ClientGone),
                Poll::Pending | Poll::Ready(Err(FillError::Full | FillError::Exhausted)) => break,
            }
        }
        Poll::Pending
    }

    /// Moves the request on; while it is under way, says what it waits for.
    pub(super) fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<Option<Due>, Failure> {
        if self.upload != Upload::Active {
            return Ok(None);
        }
        let outcome = self.up.poll(cx, self.client, self.client_buffer, self.service);
        // The first time, `up_moved` has just been read off the clock.
        if self.up.take_moved() && self.polled {
            self.up_moved = monotonic_ns();
        }
        self.polled = true;
        match outcome {
            Ok(Wait::Done) => {
                self.upload = Upload::Sent;
                self.end_upload()?;
                Ok(None)
            }
            Ok(Wait::Read) if self.duplex => {
                let quiet = after(self.up_moved.max(self.down_moved), self.limits.idle_ms);
                Ok(Some((quiet, Failure::Because(Reason::ServiceTimeout))))
            }
            Ok(Wait::Read) => Ok(Some((after(self.up_moved, self.limits.client_ms), Failure::Because(Reason::RequestTimeout)))),
            Ok(Wait::Write) => Ok(Some((after(self.up_moved, self.limits.idle_ms), Failure::Because(Reason::ServiceTimeout)))),
            // The service may have answered and closed without reading on: its answer counts.
            Err(Fault::Write) => {
                self.upload = Upload::Broken;
                Ok(None)
            }
            Err(Fault::Eof | Fault::Malformed) => Err(Failure::Because(Reason::BodyMalformed)),
            Err(Fault::TooLarge) => Err(Failure::Because(Reason::BodyTooLarge)),
            Err(Fault::Exhausted) => Err(Failure::Because(Reason::BufferExhausted)),
            Err(Fault::Read) => Err(Failure::ClientGone),
        }
    }

    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>, due: Due) -> Poll<Failure> {
        let due = if self.limits.total < due.0 { (self.limits.total, Failure::Because(Reason::TotalTimeout)) } else { due };
        match &mut self.lifetime {
            None => self.timer.poll(cx, due.0).map(|()| due.1),
            Some(lifetime) => lifetime.poll(cx, self.timer, due),
        }
    }
}
