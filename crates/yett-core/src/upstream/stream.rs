//! A connection to a service, plain or TLS.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
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
        if let Self::Plain(stream) = self {
            return stream.try_read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        }
        let mut buffer = ReadBuf::new(&mut byte);
        // A task that has used up its turn would be told that nothing arrived, whatever did.
        let look = unconstrained(poll_fn(|cx| Pin::new(&mut *self).poll_read(cx, &mut buffer)));
        pin!(look).poll(&mut Context::from_waker(Waker::noop())).is_pending()
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::coop::{consume_budget, has_budget_remaining};

    use super::Stream;

    #[tokio::test]
    async fn what_arrived_shows_also_to_a_task_that_has_used_up_its_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut theirs, _) = listener.accept().await.unwrap();
        let mut stream = Stream::Plain(ours);
        assert!(stream.is_quiet());
        theirs.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let Stream::Plain(ours) = &stream else { unreachable!() };
        ours.readable().await.unwrap();
        let quiet = poll_fn(|cx| {
            while has_budget_remaining() {
                let _ = pin!(consume_budget()).poll(cx);
            }
            Poll::Ready(stream.is_quiet())
        });
        assert!(!quiet.await);
    }
}
