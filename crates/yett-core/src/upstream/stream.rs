//! A connection to a service, plain or TLS.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::http2::Http2Stream;
use crate::exchange::Framing;

/// A connection to a service.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP, where the configuration says `plaintext:`.
    Plain(TcpStream),
    /// Verified TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// One request's part of a connection that speaks HTTP/2.
    Http2(Box<Http2Stream>),
}

impl Stream {
    /// The address at the other end; of a part of a connection it is not asked for.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        let socket = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
            Self::Http2(_) => return None,
        };
        socket.peer_addr().ok().map(|peer| peer.ip())
    }

    /// How the answer's body is framed as it is read from here, where the head announced `announced`.
    #[must_use]
    pub fn body_framing(&self, announced: Framing) -> Framing {
        match self {
            // To its end: the library compares with the length.
            Self::Http2(_) if announced != Framing::Empty => Framing::Close,
            Self::Plain(_) | Self::Tls(_) | Self::Http2(_) => announced,
        }
    }

    /// Whether a connection that waits for its next request is still usable: nothing may have arrived. Asks the
    /// runtime's readiness; the system is asked only where something did arrive.
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0_u8; 1];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(self).poll_read(&mut cx, &mut buffer).is_pending()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Http2(stream) => stream.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Http2(stream) => stream.poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Http2(stream) => {
                let first = bufs.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
                stream.poll_write(cx, first)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        !matches!(self, Self::Http2(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Http2(stream) => stream.poll_again(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Http2(_) => Poll::Ready(Ok(())),
        }
    }
}
