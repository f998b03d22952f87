//! Answers of streams, framed behind each other (RFC 9113 section 8.1), and requests' bodies, as lanes read them.

use std::io::IoSlice;
use std::task::Poll;

use http::HeaderMap;
use tokio::io::ReadBuf;

use super::frame::{self, Code, HEAD, Head, LARGEST, flag, kind};
use super::hpack::{Encoder, Indexing};
use super::session::{ROOM, Session};
use super::streams::{Incoming, Input, Past, Stream};
use crate::server::client::Gone;

/// Memory that streams keep for bodies, where there are more of them than so many: those keep what they have once needed.
const KEPT: usize = 8 * 1024;
const ROOMY: usize = 4;

/// A stream as its lane knows it: its place and number.
pub type Key = (usize, u32);

impl Session {
    fn stream(&mut self, (at, id): Key) -> Result<&mut Stream, Gone> {
        if self.is_dead() {
            return Err(Gone);
        }
        self.streams.get(at).filter(|stream| stream.id == id && stream.input != Input::Reset).ok_or(Gone)
    }

    /// The request that waits at this place.
    pub fn begin(&mut self, at: usize) -> Option<(Key, Incoming)> {
        let stream = self.streams.get(at)?;
        let id = stream.id;
        stream.incoming.take().map(|incoming| ((at, id), incoming))
    }

    /// Whether the stream was reset, or the connection is gone.
    pub fn is_gone(&mut self, key: Key) -> bool {
        self.stream(key).is_err()
    }

    /// Whether the client's side is still open.
    pub fn is_open(&mut self, key: Key) -> bool {
        self.stream(key).is_ok_and(|stream| stream.input == Input::Open)
    }

    /// HEADERS with what `write` puts into the block; `end` says that nothing follows.
    ///
    /// # Errors
    /// The stream was reset.
    pub fn head(&mut self, key: Key, end: bool, write: impl FnOnce(&mut Encoder, &mut Vec<u8>)) -> Result<(), Gone> {
        self.stream(key)?;
        let Self { out, encoder, .. } = self;
        let start = out.len();
        out.extend_from_slice(&[0; HEAD]);
        encoder.begin(out);
        write(encoder, out);
        let flags = if end { flag::END_STREAM } else { 0 };
        finish_block(out, start, flags, key.1);
        if end {
            self.answered(key.0);
        }
        Ok(())
    }

    /// As much of `parts` as windows and room allow, in DATA frames; says how much that was, and whether it was the last of
    /// the `left` bytes of the body, where that is known: then the stream is ended.
    pub fn write(&mut self, key: Key, parts: &[IoSlice<'_>], left: Option<u64>) -> Poll<Result<(usize, bool), Gone>> {
        let room = self.has_room();
        let window = self.output_window;
        let Ok(stream) = self.stream(key) else { return Poll::Ready(Err(Gone)) };
        let total = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        if total > 0 && stream.output_window <= 0 {
            return Poll::Pending;
        }
        if total > 0 && !room {
            if !std::mem::replace(&mut stream.waits, true) {
                self.waiting.push_back(key.0);
            }
            return Poll::Pending;
        }
        let window = usize::try_from(stream.output_window.min(window)).unwrap_or(0);
        let count = total.min(window).min(ROOM);
        let end = left.is_some_and(|left| left <= count as u64);
        let spent = i64::try_from(count).unwrap_or(i64::MAX);
        stream.output_window = stream.output_window.saturating_sub(spent);
        self.output_window = self.output_window.saturating_sub(spent);
        let mut pieces = Pieces { parts, at: 0 };
        let mut rest = count;
        loop {
            let length = rest.min(LARGEST);
            rest = rest.saturating_sub(length);
            let flags = if end && rest == 0 { flag::END_STREAM } else { 0 };
            self.out.extend_from_slice(&Head { length, kind: kind::DATA, flags, stream: key.1 }.bytes());
            pieces.copy(length, &mut self.out);
            if rest == 0 {
                break;
            }
        }
        // Whoever opens windows by single bytes earns nothing by it.
        if count == total {
            self.served();
        }
        if end {
            self.answered(key.0);
        }
        Poll::Ready(Ok((count, end)))
    }

    /// Ends the answer, with trailer fields or an empty DATA frame.
    ///
    /// # Errors
    /// The stream was reset.
    pub fn finish(&mut self, key: Key, trailers: Option<&HeaderMap>) -> Result<(), Gone> {
        let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) else {
            self.stream(key)?;
            frame::write(&mut self.out, kind::DATA, flag::END_STREAM, key.1, &[]);
            self.answered(key.0);
            return Ok(());
        };
        self.head(key, true, |encoder, out| {
            for (name, value) in trailers {
                encoder.field(name.as_str().as_bytes(), value.as_bytes(), Indexing::No, out);
            }
        })
    }

    fn answered(&mut self, at: usize) {
        self.served();
        let Some(stream) = self.streams.get(at) else { return };
        stream.answered = true;
        if stream.input == Input::Ended {
            self.uncount(at);
        }
    }

    /// Lets go of a stream: one whose answer has not ended is reset with `code`, and one whose body was not read to its end
    /// with `NO_ERROR` (RFC 9113 section 8.1).
    pub fn release(&mut self, key: Key, code: Code) {
        let Ok(stream) = self.stream(key) else { return };
        let code = match (stream.answered, stream.input) {
            (false, _) => code,
            (true, Input::Open) => Code::NoError,
            (true, Input::Ended | Input::Reset) => return,
        };
        (stream.input, stream.past) = (Input::Reset, Past::ByUs);
        frame::reset(&mut self.out, key.1, code);
    }

    /// Reads what has come of the body: nothing is its end.
    pub fn read_body(&mut self, key: Key, buf: &mut ReadBuf<'_>) -> Poll<Result<(), Gone>> {
        let Ok(stream) = self.stream(key) else { return Poll::Ready(Err(Gone)) };
        if stream.body.is_empty() {
            return if stream.input == Input::Open { Poll::Pending } else { Poll::Ready(Ok(())) };
        }
        let mut count = 0;
        let (first, second) = stream.body.as_slices();
        for part in [first, second] {
            let part = part.get(..part.len().min(buf.remaining())).unwrap_or_default();
            buf.put_slice(part);
            count += part.len();
        }
        self.took(key, count);
        Poll::Ready(Ok(()))
    }

    /// Drops what has come of the body; says how much that was, and `None` after its end.
    pub fn drop_body(&mut self, key: Key) -> Poll<Option<usize>> {
        let Ok(stream) = self.stream(key) else { return Poll::Ready(None) };
        let count = stream.body.len();
        if count == 0 {
            return if stream.input == Input::Open { Poll::Pending } else { Poll::Ready(None) };
        }
        self.took(key, count);
        Poll::Ready(Some(count))
    }

    /// What was taken may be sent again: the window follows the service's pace.
    fn took(&mut self, key: Key, count: usize) {
        let bytes = u32::try_from(count).unwrap_or(u32::MAX);
        let several = self.active() > ROOMY;
        if let Ok(stream) = self.stream(key) {
            stream.body.drain(..count.min(stream.body.len()));
            // Windows bound what is unread, not the memory that it has taken on one stream after the other.
            if several && stream.body.capacity() > KEPT.max(stream.body.len().saturating_mul(4)) {
                stream.body.shrink_to(KEPT.max(stream.body.len()));
            }
        }
        self.credit(key.0, bytes);
        self.give_back(bytes);
    }

    /// Trailer fields of the request, once its body was read to its end.
    pub fn take_trailers(&mut self, key: Key) -> Option<Box<HeaderMap>> {
        self.stream(key).ok()?.trailers.take()
    }
}

/// Writes the head of the block that stands in `out` from `start` on, after room for it. A long one is split.
fn finish_block(out: &mut Vec<u8>, start: usize, flags: u8, stream: u32) {
    let body = start.saturating_add(HEAD);
    let length = out.len().saturating_sub(body);
    if length <= LARGEST {
        let head = Head { length, kind: kind::HEADERS, flags: flags | flag::END_HEADERS, stream }.bytes();
        if let Some(room) = out.get_mut(start..body) {
            room.copy_from_slice(&head);
        }
        return;
    }
    let block = out.split_off(body);
    out.truncate(start);
    let count = block.len().div_ceil(LARGEST);
    for (index, part) in block.chunks(LARGEST).enumerate() {
        let (kind, flags) = if index == 0 { (kind::HEADERS, flags) } else { (kind::CONTINUATION, 0) };
        let last = if index.saturating_add(1) == count { flag::END_HEADERS } else { 0 };
        frame::write(out, kind, flags | last, stream, part);
    }
}

/// Copies from several slices in a row.
struct Pieces<'a, 'b> {
    parts: &'a [IoSlice<'b>],
    at: usize,
}

impl Pieces<'_, '_> {
    fn copy(&mut self, mut count: usize, out: &mut Vec<u8>) {
        while count > 0
            && let Some((first, rest)) = self.parts.split_first()
        {
            let piece = first.get(self.at..).unwrap_or_default();
            let piece = piece.get(..piece.len().min(count)).unwrap_or_default();
            out.extend_from_slice(piece);
            count = count.saturating_sub(piece.len());
            self.at = self.at.saturating_add(piece.len());
            if self.at >= first.len() {
                (self.parts, self.at) = (rest, 0);
            }
        }
    }
}
