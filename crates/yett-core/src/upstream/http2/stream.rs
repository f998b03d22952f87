//! One request and its answer on a connection that others share.
//!
//! Reading gives the answer's body, writing takes the request's. Pieces of the request are kept until the answer begins,
//! up to a bound: where the service says that it has not looked at it, it is sent again elsewhere.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::io::ReadBuf;

use super::head;
use super::link::Lease;
use crate::exchange::{Framing, ResponseHead};
use crate::http1::response::Complete;

/// Most that is handed to the library at once; the service's windows allow it.
const PIECE: usize = 32 * 1024;
/// Bytes of a request's body that are kept to be sent again.
const KEPT: usize = 64 * 1024;
/// Interim answers that are read and dropped before the answer.
const MAX_INTERIM: u32 = 8;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The service has not looked at the request (RFC 9113 section 8.7): it may be sent again, whatever it is.
    Unseen,
    /// The connection or the stream ended before an answer.
    Reset,
    /// It is not valid.
    Malformed,
}

/// What was sent of a request that may be sent again.
pub type Kept = Vec<Bytes>;

/// One request's part of a connection.
#[derive(Debug)]
pub struct Http2Stream {
    response: Option<ResponseFuture>,
    send: Option<SendStream<Bytes>>,
    body: Option<RecvStream>,
    /// Read from the library and not yet by the exchange.
    chunk: Bytes,
    interim: u32,
    /// Of the answer.
    trailers: Option<Box<HeaderMap>>,
    /// Bytes of the request's body to come, where that is known.
    left: Option<u64>,
    /// END_STREAM was sent.
    ended: bool,
    /// Of an earlier try, to be sent before anything else; the last one first.
    again: Vec<Bytes>,
    /// `None` once it was too much, or nobody needs it any more.
    kept: Option<Kept>,
    bytes: usize,
    // Last: the place is given back after the stream has been let go.
    lease: Lease,
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl Http2Stream {
    pub(super) fn new(lease: Lease) -> Self {
        Self {
            response: None,
            send: None,
            body: None,
            chunk: Bytes::new(),
            interim: 0,
            trailers: None,
            left: None,
            ended: false,
            again: Vec::new(),
            kept: Some(Vec::new()),
            bytes: 0,
            lease,
        }
    }

    /// Sends the head. `kept` is what an earlier try had sent of the body.
    ///
    /// # Errors
    /// The connection takes no more requests: [`Broken::Unseen`]; the head cannot be sent: [`Broken::Malformed`].
    pub fn begin(&mut self, request: Request<()>, framing: Framing, kept: Kept) -> Result<(), Broken> {
        self.again = kept;
        self.again.reverse();
        self.left = match framing {
            Framing::Length(length) => Some(length),
            Framing::Empty | Framing::Chunked | Framing::Close => None,
        };
        self.ended = framing == Framing::Empty;
        match self.lease.sender().send_request(request, self.ended) {
            Ok((response, send)) => {
                self.response = Some(response);
                self.send = Some(send);
                Ok(())
            }
            Err(error) if error.is_go_away() || error.is_io() => Err(Broken::Unseen),
            Err(_) => Err(Broken::Malformed),
        }
    }

    /// What was sent of the body, if all of it is still there.
    #[must_use]
    pub fn take_kept(&mut self) -> Option<Kept> {
        let mut kept = self.kept.take()?;
        kept.extend(self.again.drain(..).rev());
        Some(kept)
    }

    /// Reads the head of the answer.
    ///
    /// # Errors
    /// See [`Broken`].
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        head_request: bool,
        head: &mut ResponseHead,
    ) -> Poll<Result<Complete, Broken>> {
        let Some(response) = &mut self.response else { return Poll::Ready(Err(Broken::Reset)) };
        while let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
            self.interim += 1;
            if self.interim > MAX_INTERIM || interim.status() == http::StatusCode::SWITCHING_PROTOCOLS {
                return Poll::Ready(Err(Broken::Malformed));
            }
        }
        match ready!(Pin::new(response).poll(cx)) {
            Ok(answer) => {
                self.response = None;
                self.kept = None;
                let ended = answer.body().is_end_stream();
                let read = head::answer(&answer, ended, head_request, head).map_err(|_| Broken::Malformed);
                self.body = (!ended).then(|| answer.into_body());
                Poll::Ready(read)
            }
            Err(error) => Poll::Ready(Err(why(&error))),
        }
    }

    /// Ends the request, with trailer fields where there are any and its length was not known.
    pub fn finish(&mut self, trailers: Option<Box<HeaderMap>>) {
        if !self.ended && self.again.is_empty() {
            self.ended = true;
            if let Some(send) = &mut self.send {
                // Where the service takes no more, its answer says why.
                let _ = match trailers.filter(|trailers| !trailers.is_empty()) {
                    Some(trailers) => send.send_trailers(*trailers),
                    None => send.send_data(Bytes::new(), true),
                };
            }
        }
    }

    /// The trailer fields, once the answer has been read to its end.
    #[must_use]
    pub fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        self.trailers.take()
    }

    /// Reads of the answer's body; nothing at its end.
    ///
    /// # Errors
    /// The service broke it off, or it is not as long as announced.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
        while self.chunk.is_empty() {
            match ready!(body.poll_data(cx)) {
                Some(Ok(chunk)) => self.chunk = chunk,
                // Also a reset with NO_ERROR: after a whole answer (RFC 9113 section 8.1) the library gives its end instead.
                Some(Err(_)) => return Poll::Ready(Err(broken())),
                None => {
                    match ready!(body.poll_trailers(cx)) {
                        Ok(trailers) => self.trailers = trailers.map(Box::new),
                        Err(_) => return Poll::Ready(Err(broken())),
                    }
                    self.body = None;
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let count = self.chunk.len().min(buf.remaining());
        buf.put_slice(self.chunk.get(..count).unwrap_or_default());
        self.chunk.advance(count);
        // What was taken may be sent again: the window follows the client's pace.
        body.flow_control().release_capacity(count).map_err(|_| broken())?;
        Poll::Ready(Ok(()))
    }

    /// Writes of the request's body.
    ///
    /// # Errors
    /// The service does not take it any more.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_again(cx))?;
        let wanted = buf.len().min(PIECE);
        let count = ready!(self.poll_room(cx, wanted))?;
        let piece = Bytes::copy_from_slice(buf.get(..count).unwrap_or_default());
        self.send(piece)?;
        Poll::Ready(Ok(count))
    }

    /// Sends what an earlier try had sent.
    ///
    /// # Errors
    /// The service does not take it any more.
    pub fn poll_again(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(mut piece) = self.again.pop() {
            match self.poll_room(cx, piece.len()) {
                Poll::Ready(Ok(count)) => {
                    let part = piece.split_to(count.min(piece.len()));
                    if !piece.is_empty() {
                        self.again.push(piece);
                    }
                    self.send(part)?;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.again.push(piece);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let send = self.send.as_mut().filter(|_| !self.ended).ok_or_else(broken)?;
        send.reserve_capacity(wanted);
        while send.capacity() == 0 {
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(broken())),
            }
        }
        Poll::Ready(Ok(wanted.min(send.capacity())))
    }

    fn send(&mut self, piece: Bytes) -> io::Result<()> {
        let count = piece.len();
        self.bytes = self.bytes.saturating_add(count);
        if self.bytes > KEPT {
            self.kept = None;
        }
        if let Some(kept) = &mut self.kept {
            kept.push(piece.clone());
        }
        let end = match &mut self.left {
            Some(left) => {
                *left = left.saturating_sub(count as u64);
                *left == 0
            }
            None => false,
        };
        self.ended = end;
        self.send.as_mut().ok_or_else(broken)?.send_data(piece, end).map_err(|_| broken())
    }
}

fn why(error: &h2::Error) -> Broken {
    // The library gives a GOAWAY of the service to streams above its last stream only.
    let unseen = error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM));
    if unseen {
        Broken::Unseen
    } else if error.is_library() {
        Broken::Malformed
    } else {
        Broken::Reset
    }
}
