//! A connection after its switch to WebSocket (RFC 6455): frames both ways, with backpressure, until one side ends it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::buffers::{FillError, ReadBuffer};
use super::client::Client;
use super::clock::monotonic_ns;
use super::deadline::after;
use super::forward::{Job, Outcome};
use super::frames::{Fault, Frames, close};
use super::lane::Lane;
use super::lifetime::Lifetime;
use crate::filters::websocket::WebSocket;
use crate::reason::Reason;
use crate::upstream::Stream;

/// How long the other side may take to close, once one has.
const CLOSE_MS: u64 = 5_000;
/// How long a connection that the gateway ends may take for that; less than a drain leaves for it.
const FAREWELL_MS: u64 = 400;
const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const POLICY: u16 = 1008;
const TOO_LARGE: u16 = 1009;

/// One direction.
#[derive(Debug)]
struct Way {
    frames: Frames,
    /// Bytes at the start of the buffer that the frames' follower has seen.
    followed: usize,
    /// Written.
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
    /// The sender breaks the protocol.
    Fault(Fault),
}

/// How a connection ends.
enum End {
    /// By one of the two sides.
    Theirs,
    /// By the gateway; the codes of the Close frames for the client and for the service.
    Ours(Reason, u16, u16),
}

impl From<Reason> for End {
    fn from(reason: Reason) -> Self {
        let code = if reason == Reason::CredentialExpired { POLICY } else { GOING_AWAY };
        Self::Ours(reason, code, GOING_AWAY)
    }
}

impl Way {
    fn new(frames: Frames) -> Self {
        Self { frames, followed: 0, bytes: 0, moved: false, unflushed: false, ended: false }
    }

    /// Moves what there is. Nothing is read while something waits to be written.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, reader: &mut R, buffer: &mut ReadBuffer, writer: &mut W) -> Result<(), Broken>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut over = false;
        while !self.ended {
            if !buffer.data().is_empty() {
                self.frames.advance(buffer.data().get(self.followed..).unwrap_or_default()).map_err(Broken::Fault)?;
                self.followed = buffer.data().len();
                match Pin::new(&mut *writer).poll_write(cx, buffer.data()) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(count)) if count > 0 => self.wrote(count, buffer),
                    Poll::Ready(_) => return Err(Broken::Connection),
                }
                continue;
            }
            if over {
                if Pin::new(&mut *writer).poll_shutdown(cx).is_ready() {
                    // Whether it took the end or had gone already makes no difference.
                    self.ended = true;
                }
                return Ok(());
            }
            match buffer.poll_fill(cx, reader) {
                Poll::Ready(Ok(0)) => over = true,
                Poll::Ready(Ok(_)) => self.moved = true,
                Poll::Ready(Err(FillError::Exhausted)) => return Err(Broken::Exhausted),
                Poll::Ready(Err(_)) => return Err(Broken::Connection),
                Poll::Pending if self.unflushed => {
                    match Pin::new(&mut *writer).poll_flush(cx) {
                        Poll::Pending => {}
                        Poll::Ready(Ok(())) => self.unflushed = false,
                        Poll::Ready(Err(_)) => return Err(Broken::Connection),
                    }
                    return Ok(());
                }
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    fn wrote(&mut self, count: usize, buffer: &mut ReadBuffer) {
        buffer.consume(count);
        self.followed = self.followed.saturating_sub(count);
        self.bytes = self.bytes.saturating_add(count as u64);
        self.moved = true;
        self.unflushed = true;
    }

    /// Writes what is left of whole frames, then a Close frame, where the receiver is between two frames, and ends.
    async fn farewell<W: AsyncWrite + Unpin>(&mut self, buffer: &mut ReadBuffer, writer: &mut W, close: &[u8]) {
        let (whole, closed) = self.frames.whole();
        let rest = whole.checked_sub(self.bytes).and_then(|rest| buffer.data().get(..usize::try_from(rest).ok()?));
        if let Some(rest) = rest {
            let last = if closed { &[] } else { close };
            if writer.write_all(rest).await.is_err() || writer.write_all(last).await.is_err() {
                return;
            }
            self.bytes = self.bytes.saturating_add((rest.len() + last.len()) as u64);
        }
        let _ = writer.shutdown().await;
    }
}

impl<C: Client> Lane<C> {
    /// Passes frames both ways until both sides have closed, or the connection may not go on.
    pub(super) async fn tunnel(
        &mut self,
        job: Job<'_>,
        websocket: &WebSocket,
        service: &mut Stream,
        service_buffer: &mut ReadBuffer,
    ) -> Outcome {
        let mut lifetime = Lifetime::new(job, &self.exchange);
        let extended = WebSocket::is_extended(&self.response);
        let mut up = Way::new(Frames::new(true, extended, websocket.message));
        let mut down = Way::new(Frames::new(false, extended, websocket.message));
        let mut last = monotonic_ns();
        let mut half = None;
        let end = poll_fn(|cx| {
            if let Err(broken) = up.poll(cx, &mut self.client, &mut self.buffer, service) {
                return Poll::Ready(broken.end(Reason::WebsocketFault, |code| (code, GOING_AWAY)));
            }
            if let Err(broken) = down.poll(cx, service, service_buffer, &mut self.client) {
                return Poll::Ready(broken.end(Reason::ServiceResponseInvalid, |code| (GOING_AWAY, code)));
            }
            if up.ended && down.ended {
                return Poll::Ready(End::Theirs);
            }
            if std::mem::take(&mut up.moved) | std::mem::take(&mut down.moved) {
                last = monotonic_ns();
            }
            let due = if up.ended || down.ended {
                (after(*half.get_or_insert_with(monotonic_ns), CLOSE_MS), End::Theirs)
            } else {
                (after(last, websocket.idle_ms), Reason::WebsocketIdle.into())
            };
            lifetime.poll(cx, &mut self.timer, due)
        })
        .await;
        let outcome = match end {
            End::Theirs => Outcome::Done { keep: false },
            End::Ours(reason, to_client, to_service) => {
                let key = monotonic_ns().to_be_bytes();
                let [.., k, l, m, n] = key;
                let Self { client, buffer, timer, .. } = self;
                let farewell = async {
                    down.farewell(service_buffer, client, &close(to_client, None)).await;
                    up.farewell(buffer, service, &close(to_service, Some([k, l, m, n]))).await;
                    // A close with something unread would be a reset, and could overtake the Close frame.
                    let mut unread = [0; 4096];
                    while client.read(&mut unread).await.is_ok_and(|count| count > 0) {}
                };
                timer.within(after(monotonic_ns(), FAREWELL_MS), farewell).await;
                Outcome::Truncated(Some(reason.into()))
            }
        };
        self.up.count(up.bytes);
        self.down.count(down.bytes);
        outcome
    }
}

impl Broken {
    /// `fault` is whose fault it is where the sender breaks the protocol, `codes` what both sides are told.
    fn end(self, fault: Reason, codes: impl Fn(u16) -> (u16, u16)) -> End {
        let (reason, code) = match self {
            Self::Connection => return End::Theirs,
            Self::Exhausted => return Reason::BufferExhausted.into(),
            Self::Fault(Fault::Protocol) => (fault, PROTOCOL_ERROR),
            Self::Fault(Fault::TooLarge) => (Reason::WebsocketMessageTooLarge, TOO_LARGE),
        };
        let (to_client, to_service) = codes(code);
        End::Ours(reason, to_client, to_service)
    }
}
