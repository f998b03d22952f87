//! The client's side of one request: what differs between an HTTP/1.1 connection and an HTTP/2 stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::clock::HttpDate;
use crate::exchange::{Answer, Framing, ResponseHead};
use crate::http1::write::{self, Announce};

/// The client is gone, or no longer takes this answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// The client's side of one request. Reading gives the request's body, framed as [`Client::body_framing`] says; writing
/// takes the answer: first what [`Client::start`] or [`Client::answer`] left in `out`, then the body.
pub trait Client: AsyncRead + AsyncWrite + Unpin {
    /// Whether the protocol frames messages itself, so that no chunked coding is read or written and nothing of one request
    /// can be taken for the next.
    const FRAMED: bool;

    /// How the body's bytes are framed as they are read from here, where the head announced `announced`.
    fn body_framing(&self, announced: Framing) -> Framing;

    /// Asks for a body that waits for it (100-continue, RFC 9110 section 10.1.1).
    ///
    /// # Errors
    /// The client is gone.
    fn ask_for_body(&mut self) -> impl Future<Output = Result<(), Gone>>;

    /// Begins a service's answer: what has to be written before its body is appended to `out`. `close` says that the
    /// connection ends with it.
    ///
    /// # Errors
    /// The client is gone.
    fn start(
        &mut self,
        out: &mut Vec<u8>,
        head: &ResponseHead,
        announce: Announce,
        close: bool,
        date: &HttpDate,
    ) -> Result<(), Gone>;

    /// Begins an answer of the gateway itself; its body is appended to `out` as well (not for HEAD).
    ///
    /// # Errors
    /// The client is gone.
    fn answer(
        &mut self,
        out: &mut Vec<u8>,
        answer: &Answer,
        head_request: bool,
        close: bool,
        date: &HttpDate,
    ) -> Result<(), Gone>;

    /// An interim answer with these links (RFC 8297): to be written from `out`, or on its way already.
    fn hint(&mut self, out: &mut Vec<u8>, links: &[&[u8]]);

    /// Ends the answer after everything before it was written and flushed.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;

    /// The request's trailer fields, where its body has been read to its end and the protocol knows them.
    fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        None
    }

    /// Says before [`Client::start`] that trailer fields may follow the answer, whatever its length.
    fn expect_trailers(&mut self) {}

    /// What [`Client::poll_finish`] ends the answer with. They are dropped where the client's protocol has no place for them.
    fn set_trailers(&mut self, _: Box<HeaderMap>) {}

    /// Ready when the client has taken its request back; never where that shows in reading only.
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub struct Http1<I>(pub I);

impl<I: AsyncRead + AsyncWrite + Unpin> Client for Http1<I> {
    const FRAMED: bool = false;

    fn body_framing(&self, announced: Framing) -> Framing {
        announced
    }

    async fn ask_for_body(&mut self) -> Result<(), Gone> {
        self.0.write_all(write::CONTINUE).await.map_err(|_| Gone)?;
        self.0.flush().await.map_err(|_| Gone)
    }

    fn start(
        &mut self,
        out: &mut Vec<u8>,
        head: &ResponseHead,
        announce: Announce,
        close: bool,
        date: &HttpDate,
    ) -> Result<(), Gone> {
        write::response(out, head.status, &head.headers, announce, close, date);
        Ok(())
    }

    fn answer(
        &mut self,
        out: &mut Vec<u8>,
        answer: &Answer,
        head_request: bool,
        close: bool,
        date: &HttpDate,
    ) -> Result<(), Gone> {
        write::answer(out, answer, head_request, close, date);
        Ok(())
    }

    fn hint(&mut self, out: &mut Vec<u8>, links: &[&[u8]]) {
        write::hints(out, links);
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Http1<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Http1<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, buf)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}
