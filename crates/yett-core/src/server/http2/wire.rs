//! The socket under an HTTP/2 connection: watches what comes in, and sends what belongs together in one write.
//!
//! The library flushes after every larger DATA frame. Here a flush only marks the end of a frame; the connection writes
//! once everything that its streams had to say has been framed.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::watch::Watch;
use crate::server::clock::monotonic_ns;

/// Up to here frames are gathered; one TLS record.
const GATHER: usize = 16 * 1024;
/// Memory that stays while the connection is busy.
const KEEP: usize = 4096;

/// The socket, and what is gathered for it.
#[derive(Debug)]
pub(super) struct Socket<I> {
    io: I,
    out: Vec<u8>,
    sent: usize,
    watch: Watch,
    /// Since when the client takes nothing (monotonic nanoseconds).
    blocked: Option<u64>,
    /// Since when the client is inside of something that has to end soon.
    inside: Option<u64>,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Socket<I> {
    fn new(io: I, now: u64) -> Self {
        Self { io, out: Vec::new(), sent: 0, watch: Watch::new(now), blocked: None, inside: Some(now) }
    }

    /// Sends what is gathered.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.poll_out(cx);
        let sent = if matches!(sent, Poll::Ready(Ok(()))) { Pin::new(&mut self.io).poll_flush(cx) } else { sent };
        self.blocked = if sent.is_pending() { self.blocked.or_else(|| Some(monotonic_ns())) } else { None };
        sent
    }

    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => {
                    self.sent += count;
                    self.blocked = None;
                }
            }
        }
        self.out.clear();
        self.out.shrink_to(KEEP);
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Gives back what an idle connection does not need.
    pub(super) fn rest(&mut self) {
        if self.out.is_empty() {
            self.out = Vec::new();
        }
    }

    /// Whether the client has made more work than it may.
    pub(super) fn is_flooded(&self) -> bool {
        self.watch.is_flooded()
    }

    /// Since when the client takes nothing (monotonic nanoseconds).
    pub(super) fn blocked(&self) -> Option<u64> {
        self.blocked
    }

    /// Since when the client has been sending something that has to end soon.
    pub(super) fn inside(&self) -> Option<u64> {
        self.inside
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.watch.is_flooded() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        self.watch.read(read, monotonic_ns);
        self.inside = if self.watch.is_inside() { self.inside.or_else(|| Some(monotonic_ns())) } else { None };
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let total: usize = bufs.iter().map(|part| part.len()).sum();
        if self.out.len() + total <= GATHER {
            bufs.iter().for_each(|part| self.out.extend_from_slice(part));
        } else {
            if let Err(error) = ready!(self.poll_send(cx)) {
                return Poll::Ready(Err(error));
            }
            if total > GATHER {
                let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
                self.blocked = if written.is_pending() { self.blocked.or_else(|| Some(monotonic_ns())) } else { None };
                if let Poll::Ready(Ok(count)) = written {
                    self.watch.wrote(count);
                }
                return written;
            }
            bufs.iter().for_each(|part| self.out.extend_from_slice(part));
        }
        self.watch.wrote(total);
        Poll::Ready(Ok(total))
    }
}

/// What the library holds of the socket.
#[derive(Debug)]
pub(super) struct Wire<I>(Rc<RefCell<Socket<I>>>);

impl<I: AsyncRead + AsyncWrite + Unpin> Wire<I> {
    /// The library's end, and the connection's.
    pub(super) fn new(io: I, now: u64) -> (Self, Rc<RefCell<Socket<I>>>) {
        let socket = Rc::new(RefCell::new(Socket::new(io, now)));
        (Self(Rc::clone(&socket)), socket)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, buf)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.0.borrow_mut();
        ready!(socket.poll_send(cx))?;
        Pin::new(&mut socket.io).poll_shutdown(cx)
    }
}
