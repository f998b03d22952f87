//! Bodies that are held: read whole before anything of the request leaves.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::buffers::{BLOCK, LARGE_BLOCK, ReadBuffer};
use super::client::Client;
use super::clock::monotonic_ns;
use super::deadline::{NEVER, after};
use super::forward::Outcome;
use super::lane::Lane;
use super::pipe::{Fault, Wait};
use super::worker::View;
use crate::body::Body;
use crate::exchange::{Framing, Now};
use crate::reason::Reason;

impl<C: Client> Lane<C> {
    /// Holds the body for the phases that read it, at most so many bytes and milliseconds (0: as long as the route takes).
    /// What is forwarded is what they read: a body of known length.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) async fn hold_for_phases(
        &mut self,
        view: &View,
        (limit, within_ms): (u64, u64),
        started: Now,
        asks: bool,
    ) -> Result<(), ClientGone> {
        let route_ms = view.snapshot.route(self.exchange.route).map_or(0, |route| route.timeouts.total_ms);
        let total = [within_ms, route_ms].into_iter().filter(|ms| *ms > 0).min();
        let total = total.map_or(NEVER, |ms| after(started.monotonic_ns, ms));
        let held = match self.hold_body(view, limit, total, asks).await {
            Ok(held) => {
                let length = held.data().len() as u64;
                self.exchange.request.framing = if length == 0 { Framing::Empty } else { Framing::Length(length) };
                Ok(Body::Held(held))
            }
            Err(Outcome::Refused(refusal)) => Err(refusal.reason),
            Err(Outcome::Gone | Outcome::Truncated(_) | Outcome::Done { .. }) => return Err(ClientGone),
        };
        self.exchange.body = Some(held);
        Ok(())
    }

    /// Reads the request's whole body, at most so many bytes, before anything is sent. `asks` says that the client waits
    /// to be asked for it.
    ///
    /// # Errors
    /// It is too large or malformed, or does not come in time.
    pub(super) async fn hold_body(&mut self, view: &View, limit: u64, total: u64, asks: bool) -> Result<ReadBuffer, Outcome> {
        let framing = self.exchange.request.framing;
        let room = match framing {
            Framing::Length(length) if length > limit => return Err(Reason::BodyTooLarge.into()),
            // More as it comes: who only says that it sends much takes nothing from others.
            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX).min(LARGE_BLOCK),
            _ => BLOCK,
        };
        // As where no route is: what came whole is dropped whole.
        if self.arrived(view).is_some_and(|length| length > limit) {
            return Err(Reason::BodyTooLarge.into());
        }
        let held = ReadBuffer::with_room(view.pools.buffers().clone(), room).ok_or(Reason::BufferExhausted)?;
        let mut held = Held(held);
        self.body_taken = true;
        self.up.start(self.client.body_framing(framing), false, limit);
        self.up.keep_pace();
        let mut moved = monotonic_ns();
        let client_ms = self.settings.timeouts.body_ms;
        if asks && self.buffer.data().is_empty() {
            let deadline = total.min(after(moved, client_ms));
            if !matches!(self.timer.within(deadline, self.client.ask_for_body()).await, Some(Ok(()))) {
                return Err(Outcome::Gone);
            }
        }
        let Self { client, buffer, up, timer, .. } = self;
        poll_fn(|cx| {
            if client.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Outcome::Gone));
            }
            let outcome = up.poll(cx, client, buffer, &mut held);
            if up.take_moved() {
                moved = monotonic_ns();
            }
            let late = match outcome {
                Ok(Wait::Done) => return Poll::Ready(Ok(())),
                Ok(Wait::Read) => after(moved, client_ms),
                Ok(Wait::Write) => return Poll::Ready(Err(Reason::Internal.into())),
                Err(Fault::Eof | Fault::Malformed) => return Poll::Ready(Err(Reason::BodyMalformed.into())),
                Err(Fault::TooLarge) => return Poll::Ready(Err(Reason::BodyTooLarge.into())),
                // There is always room but where no more is given out.
                Err(Fault::Exhausted | Fault::Write) => return Poll::Ready(Err(Reason::BufferExhausted.into())),
                Err(Fault::Read) => return Poll::Ready(Err(Outcome::Gone)),
            };
            let reason = if late < total { Reason::RequestTimeout } else { Reason::TotalTimeout };
            timer.poll(cx, late.min(total)).map(|()| Err(reason.into()))
        })
        .await?;
        Ok(held.0)
    }
}

/// Nobody is there any more to read an answer.
pub(super) struct ClientGone;

/// Takes a request's body, and room for it as it comes.
pub(super) struct Held(ReadBuffer);

impl Held {
    /// Into this.
    pub(super) fn new(room: ReadBuffer) -> Self {
        Self(room)
    }

    /// What was taken.
    pub(super) fn into_inner(self) -> ReadBuffer {
        self.0
    }
}

impl AsyncWrite for Held {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        let held = &mut self.get_mut().0;
        let mut count = held.append(data);
        if count == 0 && !data.is_empty() {
            held.grow().map_err(|_| std::io::ErrorKind::OutOfMemory)?;
            count = held.append(data);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
