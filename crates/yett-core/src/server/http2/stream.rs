//! One HTTP/2 stream as the client's side of a request.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer;
use crate::exchange::{Answer, Framing, ResponseHead};
use crate::http1::write::Announce;
use crate::server::client::{Client, Gone};
use crate::server::clock::{HttpDate, monotonic_ns};
use crate::server::deadline::{Timer, after};

/// Most that is handed to the library at once; the client's windows allow it.
const PIECE: usize = 32 * 1024;

/// How long a body that nobody wants is read on, the longest pause in it, and its bytes.
const DISCARD_MS: u64 = 5_000;
const DISCARD_PAUSE_MS: u64 = 1_000;
const DISCARD_BYTES: usize = 64 * 1024 * 1024;

/// The stream of the request under way; reused from stream to stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    respond: Option<SendResponse<Bytes>>,
    send: Option<SendStream<Bytes>>,
    body: Option<RecvStream>,
    /// Read from the library and not yet by the request.
    chunk: Bytes,
    head_request: bool,
    /// Bytes of the answer's body to come, where that is known.
    left: Option<u64>,
    /// END_STREAM was sent, or RST_STREAM.
    ended: bool,
    /// Of the request.
    read_trailers: Option<Box<HeaderMap>>,
    /// Of the answer.
    trailers: Option<Box<HeaderMap>>,
    expects_trailers: bool,
}

impl Stream {
    /// Begins with a new stream.
    pub(super) fn begin(&mut self, respond: SendResponse<Bytes>, body: RecvStream, head_request: bool) {
        *self = Self {
            respond: Some(respond),
            send: None,
            body: (!body.is_end_stream()).then_some(body),
            chunk: Bytes::new(),
            head_request,
            left: None,
            ended: false,
            ..Self::default()
        };
    }

    /// Lets go of the stream. An answer that was not finished is reset; a body that was not read is refused
    /// (`NO_ERROR`, RFC 9113 section 8.1) by the library.
    pub(super) fn end(&mut self, reason: Reason) {
        if !self.ended {
            match (&mut self.send, &mut self.respond) {
                (Some(send), _) => send.send_reset(reason),
                (None, Some(respond)) => respond.send_reset(reason),
                (None, None) => {}
            }
        }
        *self = Self::default();
    }

    /// Reads and drops what the client still sends of a body that nobody wants: many clients give up an answer whose stream
    /// is reset before they have sent everything.
    pub(super) async fn discard(&mut self, timer: &mut Timer) {
        let Some(body) = self.body.as_mut().filter(|_| self.ended) else { return };
        let end = after(monotonic_ns(), DISCARD_MS);
        let mut left = DISCARD_BYTES;
        loop {
            let deadline = end.min(after(monotonic_ns(), DISCARD_PAUSE_MS));
            let Some(Some(Ok(chunk))) = timer.within(deadline, poll_fn(|cx| body.poll_data(cx))).await else { return };
            left = left.saturating_sub(chunk.len());
            if left == 0 || body.flow_control().release_capacity(chunk.len()).is_err() {
                return;
            }
        }
    }

    fn respond(&mut self, response: Response<()>, end: bool) -> Result<(), Gone> {
        let respond = self.respond.as_mut().ok_or(Gone)?;
        self.send = Some(respond.send_response(response, end).map_err(|_| Gone)?);
        self.ended = end;
        Ok(())
    }

    fn has_body(&self, status: u16) -> bool {
        !self.head_request && !matches!(status, 204 | 304)
    }
}

impl Client for Stream {
    const FRAMED: bool = true;

    fn body_framing(&self, announced: Framing) -> Framing {
        match announced {
            Framing::Chunked => Framing::Close,
            other => other,
        }
    }

    async fn ask_for_body(&mut self) -> Result<(), Gone> {
        let mut interim = Response::new(());
        *interim.status_mut() = http::StatusCode::CONTINUE;
        self.respond.as_mut().ok_or(Gone)?.send_informational(interim).map_err(|_| Gone)
    }

    fn start(
        &mut self,
        _: &mut Vec<u8>,
        head: &ResponseHead,
        announce: Announce,
        _close: bool,
        date: &HttpDate,
    ) -> Result<(), Gone> {
        let length = match announce {
            Announce::Length(length) => Some(length),
            Announce::Chunked | Announce::Nothing | Announce::WebSocket => None,
        };
        // The last byte of a body ends the stream, but where trailer fields may follow.
        self.left = length.filter(|_| !self.expects_trailers);
        let end = !self.has_body(head.status) || length == Some(0);
        self.respond(answer::service(head, length, date).ok_or(Gone)?, end)
    }

    fn answer(
        &mut self,
        out: &mut Vec<u8>,
        answer: &Answer,
        head_request: bool,
        _close: bool,
        date: &HttpDate,
    ) -> Result<(), Gone> {
        let length = answer.body.len() as u64;
        self.left = Some(length);
        let end = head_request || !self.has_body(answer.status) || length == 0;
        self.respond(answer::own(answer, date).ok_or(Gone)?, end)?;
        if !end {
            out.extend_from_slice(&answer.body);
        }
        Ok(())
    }

    fn hint(&mut self, _: &mut Vec<u8>, links: &[&[u8]]) {
        if let (None, Some(respond), Some(interim)) = (&self.send, &mut self.respond, answer::hints(links)) {
            let _ = respond.send_informational(interim);
        }
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if !self.ended {
            self.ended = true;
            let send = self.send.as_mut().ok_or(Gone)?;
            match self.trailers.take() {
                Some(trailers) if !trailers.is_empty() => send.send_trailers(*trailers).map_err(|_| Gone)?,
                Some(_) | None => send.send_data(Bytes::new(), true).map_err(|_| Gone)?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        self.read_trailers.take()
    }

    fn expect_trailers(&mut self) {
        self.expects_trailers = true;
    }

    fn set_trailers(&mut self, trailers: Box<HeaderMap>) {
        self.trailers = Some(trailers);
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended {
            return Poll::Pending;
        }
        match (&mut self.send, &mut self.respond) {
            (Some(send), _) => send.poll_reset(cx).map(drop),
            (None, Some(respond)) => respond.poll_reset(cx).map(drop),
            (None, None) => Poll::Ready(()),
        }
    }
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(Ok(())) };
        while this.chunk.is_empty() {
            match ready!(body.poll_data(cx)) {
                Some(Ok(chunk)) => this.chunk = chunk,
                Some(Err(_)) => return Poll::Ready(Err(broken())),
                None => {
                    if let Ok(Some(trailers)) = ready!(body.poll_trailers(cx)) {
                        this.read_trailers = Some(Box::new(trailers));
                    }
                    this.body = None;
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let count = this.chunk.len().min(buf.remaining());
        buf.put_slice(this.chunk.get(..count).unwrap_or_default());
        this.chunk.advance(count);
        // What was taken may be sent again: the window follows the service's pace.
        body.flow_control().release_capacity(count).map_err(|_| broken())?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let send = this.send.as_mut().ok_or_else(broken)?;
        if this.ended {
            return Poll::Ready(Err(broken()));
        }
        let wanted = buf.len().min(PIECE);
        send.reserve_capacity(wanted);
        while send.capacity() == 0 {
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(broken())),
            }
        }
        let count = wanted.min(send.capacity());
        let piece = buf.get(..count).unwrap_or_default();
        let end = match &mut this.left {
            Some(left) => {
                *left = left.saturating_sub(count as u64);
                *left == 0
            }
            None => false,
        };
        send.send_data(Bytes::copy_from_slice(piece), end).map_err(|_| broken())?;
        this.ended = end;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
