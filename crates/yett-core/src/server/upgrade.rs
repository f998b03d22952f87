//! A connection after its switch to WebSocket (RFC 6455): bytes both ways, with backpressure, until one side ends it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::buffers::{FillError, ReadBuffer};
use super::client::Client;
use super::clock::monotonic_ns;
use super::deadline::after;
use super::forward::{Job, Outcome};
use super::lane::Lane;
use super::lifetime::Lifetime;
use crate::reason::Reason;
use crate::upstream::Stream;

/// How long the other side may take to close, once one has.
const CLOSE_MS: u64 = 5_000;

/// One direction.
#[derive(Debug, Default)]
struct Way {
    bytes: u64,
    /// Something moved since the last look.
    moved: bool,
    /// Written, and perhaps held back by TLS.
    unflushed: bool,
    /// The sender has ended, and the receiver knows.
    ended: bool,
}

/// Why a direction cannot go on.
enum Broken {
    /// One of the two connections failed.
    Connection,
    /// The process-wide bound on buffers is reached.
    Exhausted,
}

impl Way {
    /// Moves what there is. Nothing is read while something waits to be written.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, reader: &mut R, buffer: &mut ReadBuffer, writer: &mut W) -> Result<(), Broken>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut over = false;
        while !self.ended {
            if !buffer.data().is_empty() {
                match Pin::new(&mut *writer).poll_write(cx, buffer.data()) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(count)) if count > 0 => {
                        buffer.consume(count);
                        self.bytes = self.bytes.saturating_add(count as u64);
                        self.moved = true;
                        self.unflushed = true;
                    }
                    Poll::Ready(_) => return Err(Broken::Connection),
                }
                continue;
            }
            if over {
                match Pin::new(&mut *writer).poll_shutdown(cx) {
                    Poll::Pending => return Ok(()),
                    // Whether it took the end or had gone already makes no difference.
                    Poll::Ready(_) => self.ended = true,
                }
                return Ok(());
            }
            match buffer.poll_fill(cx, reader) {
                Poll::Ready(Ok(0)) => over = true,
                Poll::Ready(Ok(_)) => self.moved = true,
                Poll::Ready(Err(FillError::Exhausted)) => return Err(Broken::Exhausted),
                Poll::Ready(Err(_)) => return Err(Broken::Connection),
                Poll::Pending => {
                    if self.unflushed {
                        match Pin::new(&mut *writer).poll_flush(cx) {
                            Poll::Pending => {}
                            Poll::Ready(Ok(())) => self.unflushed = false,
                            Poll::Ready(Err(_)) => return Err(Broken::Connection),
                        }
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl<C: Client> Lane<C> {
    /// Passes bytes both ways until both sides have closed, or the connection may not go on.
    pub(super) async fn tunnel(
        &mut self,
        job: Job<'_>,
        idle_ms: u64,
        service: &mut Stream,
        service_buffer: &mut ReadBuffer,
    ) -> Outcome {
        let mut lifetime = Lifetime::new(job, &self.exchange);
        let (mut up, mut down) = (Way::default(), Way::default());
        let mut last = monotonic_ns();
        let mut half = None;
        let ended = poll_fn(|cx| {
            let moved = up.poll(cx, &mut self.client, &mut self.buffer, service);
            let moved = moved.and_then(|()| down.poll(cx, service, service_buffer, &mut self.client));
            match moved {
                Ok(()) if up.ended && down.ended => return Poll::Ready(None),
                Ok(()) => {}
                Err(Broken::Connection) => return Poll::Ready(None),
                Err(Broken::Exhausted) => return Poll::Ready(Some(Reason::BufferExhausted)),
            }
            if std::mem::take(&mut up.moved) | std::mem::take(&mut down.moved) {
                last = monotonic_ns();
            }
            let due = if up.ended || down.ended {
                (after(*half.get_or_insert_with(monotonic_ns), CLOSE_MS), None)
            } else {
                (after(last, idle_ms), Some(Reason::WebsocketIdle))
            };
            lifetime.poll(cx, &mut self.timer, due)
        })
        .await;
        self.up.count(up.bytes);
        self.down.count(down.bytes);
        match ended {
            Some(reason) => Outcome::Truncated(Some(reason.into())),
            None => Outcome::Done { keep: false },
        }
    }
}
