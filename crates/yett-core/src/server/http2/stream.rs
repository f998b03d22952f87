//! One HTTP/2 stream as the client's side of a request.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer;
use super::frame::Code;
use super::send::Key;
use super::session::Session;
use crate::exchange::{Answer, Framing, ResponseHead};
use crate::http1::write::Announce;
use crate::server::client::{Client, Gone};
use crate::server::clock::{HttpDate, monotonic_ns};
use crate::server::deadline::{Timer, after};

/// How long a body that nobody wants is read on, the longest pause in it, and its bytes.
const DISCARD_MS: u64 = 5_000;
const DISCARD_PAUSE_MS: u64 = 1_000;
const DISCARD_BYTES: usize = 64 * 1024 * 1024;

/// The stream of the request under way; reused from stream to stream.
#[derive(Debug)]
pub(super) struct Stream {
    session: Rc<RefCell<Session>>,
    key: Key,
    head_request: bool,
    /// The head of the answer was written, and all of it.
    begun: bool,
    ended: bool,
    /// Bytes of the answer's body to come, where that is known.
    left: Option<u64>,
    /// Of the answer.
    trailers: Option<Box<HeaderMap>>,
    expects_trailers: bool,
}

impl Stream {
    pub(super) fn new(session: Rc<RefCell<Session>>) -> Self {
        Self {
            session,
            key: (0, 0),
            head_request: false,
            begun: false,
            ended: false,
            left: None,
            trailers: None,
            expects_trailers: false,
        }
    }

    /// Begins with a new stream.
    pub(super) fn begin(&mut self, key: Key, head_request: bool) {
        (self.key, self.head_request, self.begun, self.ended) = (key, head_request, false, false);
        (self.left, self.trailers, self.expects_trailers) = (None, None, false);
    }

    /// Lets go of the stream; an answer that was not finished is reset.
    pub(super) fn end(&mut self, code: Code) {
        self.session.borrow_mut().release(self.key, code);
        self.trailers = None;
    }

    /// Reads and drops what the client still sends of a body that nobody wants: many clients give up an answer whose stream
    /// is reset before they have sent everything.
    pub(super) async fn discard(&mut self, timer: &mut Timer) {
        if !self.ended || !self.session.borrow_mut().is_open(self.key) {
            return;
        }
        let end = after(monotonic_ns(), DISCARD_MS);
        let mut left = DISCARD_BYTES;
        while left > 0 {
            let deadline = end.min(after(monotonic_ns(), DISCARD_PAUSE_MS));
            let drop = poll_fn(|_| self.session.borrow_mut().drop_body(self.key));
            let Some(Some(count)) = timer.within(deadline, drop).await else { return };
            left = left.saturating_sub(count);
        }
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
        self.session.borrow_mut().head(self.key, false, |encoder, out| encoder.status(100, out))
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
        let mut session = self.session.borrow_mut();
        session.head(self.key, end, |encoder, out| answer::service(encoder, out, head, length, date))?;
        (self.begun, self.ended) = (true, end);
        Ok(())
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
        if !answer::is_fit(answer) {
            return Err(Gone);
        }
        let mut session = self.session.borrow_mut();
        session.head(self.key, end, |encoder, out| answer::own(encoder, out, answer, date))?;
        (self.begun, self.ended) = (true, end);
        if !end {
            out.extend_from_slice(&answer.body);
        }
        Ok(())
    }

    fn hint(&mut self, _: &mut Vec<u8>, links: &[&[u8]]) {
        if !self.begun {
            let _ = self.session.borrow_mut().head(self.key, false, |encoder, out| answer::hints(encoder, out, links));
        }
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if !self.ended {
            self.session.borrow_mut().finish(self.key, self.trailers.take().as_deref())?;
            self.ended = true;
        }
        Poll::Ready(Ok(()))
    }

    fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        self.session.borrow_mut().take_trailers(self.key)
    }

    fn expect_trailers(&mut self) {
        self.expects_trailers = true;
    }

    fn set_trailers(&mut self, trailers: Box<HeaderMap>) {
        self.trailers = Some(trailers);
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        if !self.ended && self.session.borrow_mut().is_gone(self.key) { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn broken(_: Gone) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.session.borrow_mut().read_body(self.key, buf).map_err(broken)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, _: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.ended || !this.begun {
            return Poll::Ready(Err(broken(Gone)));
        }
        let written = this.session.borrow_mut().write(this.key, bufs, this.left);
        let (count, end) = ready!(written).map_err(broken)?;
        if let Some(left) = &mut this.left {
            *left = left.saturating_sub(count as u64);
        }
        this.ended = end;
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
