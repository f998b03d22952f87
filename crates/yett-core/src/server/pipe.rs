//! One direction of a message: decode from one connection, encode to the other, with backpressure.
//!
//! Small pieces leave together with what stands before them, in one write; large ones go out of the block that they
//! were read into, without a copy. Nothing is read while something waits to be written.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::buffers::{FillError, ReadBuffer};
use super::judged::Copied;
use crate::exchange::Framing;
use crate::http1::body::{Decoder, Piece};
use crate::http1::write::chunk_head;

/// Up to here a piece is copied behind what leaves before it.
const COPY: usize = 4096;
/// Bytes that a receiver who is behind has to take before that counts as moving, and that a client has to send of a body: who
/// takes or sends one now and again stands still.
const PACE: u32 = 4096;
/// Memory that stays with an idle pipe.
const KEEP: usize = 2048;
const TAIL: &[u8] = b"\r\n";

/// Why a message cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The sender closed before the end.
    Eof,
    /// The sender's connection failed.
    Read,
    /// The receiver's connection failed.
    Write,
    /// The body is not framed as announced.
    Malformed,
    /// The body is larger than allowed.
    TooLarge,
    /// The process-wide bound on buffers is reached.
    Exhausted,
}

/// What the pipe waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Nothing: the message has been written whole.
    Done,
    /// The sender.
    Read,
    /// The receiver.
    Write,
}

/// One direction of a message; reused from message to message.
#[derive(Debug)]
pub struct Pipe {
    decoder: Decoder,
    chunked: bool,
    out: Vec<u8>,
    sent: usize,
    /// Bytes at the start of the reader's buffer that go out after `out`, and of the CRLF after them.
    raw: usize,
    tail: usize,
    limit: u64,
    bytes: u64,
    ended: bool,
    moved: bool,
    /// What the receiver has taken since it fell behind, or since that last counted as moving.
    behind: Option<u32>,
    /// What the sender has sent since that last counted as moving, where it has to keep pace.
    pace: Option<u32>,
    /// Takes a copy of what passes of this message.
    pub copy: Option<Box<Copied>>,
}

impl Default for Pipe {
    fn default() -> Self {
        Self {
            decoder: Decoder::Done,
            chunked: false,
            out: Vec::new(),
            sent: 0,
            raw: 0,
            tail: 0,
            limit: 0,
            bytes: 0,
            ended: true,
            moved: false,
            behind: None,
            pace: None,
            copy: None,
        }
    }
}

impl Pipe {
    /// Begins a message. The head is written into the returned buffer. `chunked` is how the body goes out.
    pub fn start(&mut self, framing: Framing, chunked: bool, limit: u64) -> &mut Vec<u8> {
        self.out.clear();
        if self.out.capacity() > KEEP {
            self.out.shrink_to(KEEP);
        }
        self.decoder = Decoder::new(framing);
        self.chunked = chunked && framing != Framing::Empty;
        (self.sent, self.raw, self.tail) = (0, 0, 0);
        (self.limit, self.bytes) = (limit, 0);
        self.ended = framing == Framing::Empty;
        self.moved = false;
        self.behind = None;
        self.pace = None;
        self.copy = None;
        &mut self.out
    }

    /// Demands of the sender of this message that it keeps pace.
    pub fn keep_pace(&mut self) {
        self.pace = Some(0);
    }

    /// Body bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts bytes that went another way.
    pub fn count(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Whether anything moved since the last call.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Whether the body has been read to its end (not: written).
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.ended
    }

    /// Whether all that was read has been written and more is to come: what is missing is the sender's.
    #[must_use]
    pub fn waits_for_sender(&self) -> bool {
        !self.ended && !self.has_output()
    }

    /// Notes that a body of so many bytes was read to its end, by another use of this pipe.
    pub fn read_already(&mut self, bytes: u64) {
        self.start(Framing::Empty, false, 0);
        self.bytes = bytes;
    }

    /// Prepares what can be written of what has been read.
    fn stage(&mut self, buffer: &mut ReadBuffer) -> Result<(), Fault> {
        while !self.ended && self.raw == 0 && self.tail == 0 && self.out.len() < COPY * 4 {
            match self.decoder.next(buffer.data()).map_err(|_| Fault::Malformed)? {
                Piece::More { skip } => {
                    buffer.consume(skip);
                    return if self.bytes.saturating_add(self.decoder.announced()) > self.limit {
                        Err(Fault::TooLarge)
                    } else {
                        Ok(())
                    };
                }
                Piece::End { skip } => {
                    buffer.consume(skip);
                    self.end();
                }
                Piece::Data { skip, data } => {
                    buffer.consume(skip);
                    self.bytes = self.bytes.saturating_add(data as u64);
                    if self.bytes > self.limit {
                        return Err(Fault::TooLarge);
                    }
                    self.stage_data(buffer, data);
                }
            }
        }
        Ok(())
    }

    fn stage_data(&mut self, buffer: &mut ReadBuffer, data: usize) {
        if let Some(copy) = &mut self.copy {
            copy.add(buffer.data().get(..data).unwrap_or_default());
        }
        if self.chunked {
            chunk_head(&mut self.out, data);
        }
        if data > COPY {
            self.raw = data;
            self.tail = if self.chunked { TAIL.len() } else { 0 };
        } else {
            self.out.extend_from_slice(buffer.data().get(..data).unwrap_or_default());
            buffer.consume(data);
            if self.chunked {
                self.out.extend_from_slice(TAIL);
            }
        }
        // A body of known length needs no further bytes to end.
        if self.decoder.is_done() && self.raw == 0 {
            self.end();
        }
    }

    fn end(&mut self) {
        self.ended = true;
        if self.chunked {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
    }

    fn has_output(&self) -> bool {
        self.sent < self.out.len() || self.raw > 0 || self.tail > 0
    }

    fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuffer,
        writer: &mut W,
    ) -> Poll<Result<(), Fault>> {
        let head = self.out.get(self.sent..).unwrap_or_default();
        let outcome = if self.raw == 0 && self.tail == 0 {
            Pin::new(writer).poll_write(cx, head)
        } else {
            let raw = buffer.data().get(..self.raw).unwrap_or_default();
            let tail = TAIL.get(TAIL.len() - self.tail..).unwrap_or_default();
            if writer.is_write_vectored() {
                Pin::new(writer).poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(raw), IoSlice::new(tail)])
            } else {
                let next = [head, raw, tail].into_iter().find(|part| !part.is_empty()).unwrap_or_default();
                Pin::new(writer).poll_write(cx, next)
            }
        };
        match outcome {
            Poll::Pending => {
                if self.behind.is_none() {
                    self.behind = Some(0);
                    // From now on it is the receiver who is waited for.
                    self.moved |= self.pace.is_some();
                }
                Poll::Pending
            }
            Poll::Ready(Ok(count)) if count > 0 => {
                self.wrote(count, buffer);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(_) => Poll::Ready(Err(Fault::Write)),
        }
    }

    fn wrote(&mut self, count: usize, buffer: &mut ReadBuffer) {
        match &mut self.behind {
            Some(taken) => self.moved |= is_pace(taken, count),
            None => self.moved |= self.pace.is_none(),
        }
        let head = count.min(self.out.len() - self.sent);
        self.sent += head;
        if self.sent == self.out.len() {
            self.sent = 0;
            self.out.clear();
        }
        let raw = (count - head).min(self.raw);
        self.raw -= raw;
        buffer.consume(raw);
        self.tail -= (count - head - raw).min(self.tail);
        if self.raw == 0 && self.tail == 0 && self.decoder.is_done() && !self.ended {
            self.end();
        }
    }

    /// Moves as much as possible.
    ///
    /// # Errors
    /// See [`Fault`]. What was staged before the fault may not have been written.
    pub fn poll<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        buffer: &mut ReadBuffer,
        writer: &mut W,
    ) -> Result<Wait, Fault> {
        loop {
            self.stage(buffer)?;
            if self.has_output() {
                match self.poll_write(cx, buffer, writer)? {
                    Poll::Pending => return Ok(Wait::Write),
                    Poll::Ready(()) => continue,
                }
            }
            if self.behind.take().is_some() {
                self.moved = true;
            }
            if self.ended {
                return match Pin::new(writer).poll_flush(cx) {
                    Poll::Pending => Ok(Wait::Write),
                    Poll::Ready(Ok(())) => {
                        self.moved |= self.pace.is_some();
                        Ok(Wait::Done)
                    }
                    Poll::Ready(Err(_)) => Err(Fault::Write),
                };
            }
            if buffer.is_full() {
                buffer.prefer_large();
            }
            match buffer.poll_fill(cx, reader) {
                Poll::Ready(Ok(0)) if self.decoder == Decoder::Close => {
                    self.decoder = Decoder::Done;
                    self.end();
                }
                Poll::Ready(Ok(0)) => return Err(Fault::Eof),
                Poll::Ready(Ok(count)) => {
                    self.moved |= self.pace.as_mut().is_none_or(|sent| is_pace(sent, count));
                    if buffer.is_full() {
                        buffer.prefer_large();
                    }
                }
                Poll::Ready(Err(FillError::Io(_))) => return Err(Fault::Read),
                Poll::Ready(Err(FillError::Full)) => return Err(Fault::Malformed),
                Poll::Ready(Err(FillError::Exhausted)) => return Err(Fault::Exhausted),
                Poll::Pending => {
                    // TLS may still hold what was written.
                    let _ = Pin::new(writer).poll_flush(cx).map_err(|_| Fault::Write)?;
                    return Ok(Wait::Read);
                }
            }
        }
    }

    /// Writes what is staged, without a body; false if the receiver's connection failed.
    pub async fn drain<W: AsyncWrite + Unpin>(&mut self, writer: &mut W) -> bool {
        let written = writer.write_all(&self.out).await.is_ok();
        self.out.clear();
        written && writer.flush().await.is_ok()
    }
}

/// Adds to what has passed; whether it is enough to count as moving.
fn is_pace(passed: &mut u32, count: usize) -> bool {
    *passed = passed.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    let enough = *passed >= PACE;
    if enough {
        *passed = 0;
    }
    enough
}
