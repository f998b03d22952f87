//! What both ends of one connection know (RFC 9113), without input or output: bytes in, streams and bytes out.
//!
//! The connection gives what it read to [`Session::read`] and writes what stands in `out`; the streams' lanes read and
//! write here. Whom something happened to is listed, and polled by the connection: no stream needs a waker.

use std::collections::VecDeque;

use super::allowance::{Allowance, SERVED, cost};
use super::frame::{self, Code, FIRST_WINDOW, HEAD, Head, LARGEST, PREFACE, kind, setting};
use super::head::Trailers;
use super::hpack::{Decoder, Encoder};
use super::streams::{Found, Input, Past, Streams};
use crate::exchange::{Framing, Method, RequestHead, Version};
use crate::headers::Headers;
use crate::http1::request::HeadLimits;

/// The window of a stream and of the connection for requests' bodies: what is held unread.
pub const STREAM_WINDOW: u32 = 128 * 1024;
pub const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Answers wait while so much of them has not been written.
pub const ROOM: usize = 64 * 1024;
/// Bytes of a client's compression table.
const TABLE: usize = 4096;
/// Streams that a faulty client may make us reset in a connection's life (CVE-2025-8671).
const FAULTS: u32 = 100;
/// Emptied heads that are kept for the next requests.
const SPARE: usize = 8;
/// Marks the answer to our PING.
const MARK: [u8; 8] = *b"yett bye";

/// A header block that has begun and not ended.
#[derive(Debug)]
pub(super) struct Block {
    pub stream: u32,
    pub ends: bool,
    pub faulty: bool,
    pub bytes: Vec<u8>,
}

/// A DATA frame under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data {
    pub stream: u32,
    pub left: usize,
    pub padding: usize,
    pub ends: bool,
}

/// How far the connection has been given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// The client was told; streams that it has begun meanwhile are served.
    Announced,
    /// No further stream is.
    Final,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    /// To be written.
    pub out: Vec<u8>,
    /// Bounds of a head, as the listener has them now.
    pub limits: HeadLimits,
    pub(super) tls: bool,
    pub(super) most_streams: usize,
    pub(super) streams: Streams,
    /// Streams that count towards `most_streams`.
    pub(super) open: usize,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    scratch: Vec<u8>,
    spare: Vec<RequestHead>,
    /// Bytes of the preface that came.
    preface: usize,
    /// The client's first SETTINGS came.
    settled: bool,
    pub(super) block: Option<Block>,
    pub(super) data: Option<Data>,
    /// What the client may send, and what was read and not given back to it.
    pub(super) input_window: u32,
    pub(super) read: u32,
    /// What we may send.
    pub(super) output_window: i64,
    /// What a new stream may send.
    pub(super) first_window: u32,
    allowance: Allowance,
    /// Monotonic nanoseconds.
    clock: fn() -> u64,
    faults: u32,
    pub(super) leaving: Leaving,
    /// The client leaves.
    pub(super) left: bool,
    /// Nothing is read or written any more.
    dead: bool,
    ready: VecDeque<usize>,
    pub(super) waiting: VecDeque<usize>,
}

impl Session {
    /// A new connection; what it says first stands in `out`.
    #[must_use]
    pub fn new(limits: HeadLimits, most_streams: u32, tls: bool, clock: fn() -> u64) -> Self {
        let mut out = Vec::new();
        let list = u32::try_from(most_block(&limits)).unwrap_or(u32::MAX);
        let values = [
            (setting::MAX_CONCURRENT_STREAMS, most_streams),
            (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            (setting::MAX_HEADER_LIST_SIZE, list),
        ];
        frame::settings(&mut out, &values);
        frame::window_update(&mut out, 0, CONNECTION_WINDOW.saturating_sub(FIRST_WINDOW));
        Self {
            out,
            limits,
            tls,
            most_streams: usize::try_from(most_streams).unwrap_or(usize::MAX),
            streams: Streams::default(),
            open: 0,
            decoder: Decoder::new(TABLE),
            encoder: Encoder::default(),
            scratch: Vec::new(),
            spare: Vec::new(),
            preface: 0,
            settled: false,
            block: None,
            data: None,
            input_window: CONNECTION_WINDOW,
            read: 0,
            output_window: i64::from(FIRST_WINDOW),
            first_window: FIRST_WINDOW,
            allowance: Allowance::new(clock()),
            clock,
            faults: 0,
            leaving: Leaving::No,
            left: false,
            dead: false,
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Reads what the client sent, and says how much of it: what is left is a part of a frame, to be given again with more.
    ///
    /// # Errors
    /// The connection has to end with this code.
    pub fn read(&mut self, data: &[u8]) -> Result<usize, Code> {
        if self.dead {
            // What follows the fault has not been promised anything (RFC 9113 section 5.4.1), and may not mean what it says.
            return Ok(data.len());
        }
        let mut rest = data;
        if self.preface < PREFACE.len() {
            let wanted = PREFACE.get(self.preface..).unwrap_or_default();
            let count = wanted.len().min(rest.len());
            let (part, more) = rest.split_at_checked(count).unwrap_or_default();
            if !wanted.starts_with(part) {
                return Err(Code::ProtocolError);
            }
            self.preface += count;
            rest = more;
        }
        loop {
            if self.data.is_some() {
                rest = self.data(rest)?;
                if self.data.is_some() {
                    break;
                }
            }
            let Some(head) = Head::read(rest) else { break };
            let payload = rest.get(HEAD..).unwrap_or_default();
            self.check(head)?;
            if head.kind == kind::DATA {
                let padded = head.has(frame::flag::PADDED) && head.length > 0;
                let Some((padding, after)) = (if padded { payload.split_first() } else { Some((&0, payload)) }) else { break };
                self.pay(cost(head))?;
                self.begin_data(head, padded.then_some(*padding))?;
                rest = after;
                continue;
            }
            let Some((payload, after)) = payload.split_at_checked(head.length) else { break };
            self.pay(cost(head))?;
            self.frame(head, payload)?;
            rest = after;
        }
        Ok(data.len().saturating_sub(rest.len()))
    }

    /// What a frame's head alone shows.
    fn check(&self, head: Head) -> Result<(), Code> {
        if head.length > LARGEST {
            return Err(Code::FrameSizeError);
        }
        let continues = |block: &Block| head.kind == kind::CONTINUATION && head.stream == block.stream;
        if self.block.as_ref().is_some_and(|block| !continues(block)) {
            return Err(Code::ProtocolError);
        }
        if !self.settled && (head.kind != kind::SETTINGS || head.has(frame::flag::ACK)) {
            return Err(Code::ProtocolError);
        }
        Ok(())
    }

    /// Pays for something that the client makes us do.
    pub(super) fn pay(&mut self, cost: u64) -> Result<(), Code> {
        if self.allowance.pay(cost, self.clock) { Ok(()) } else { Err(Code::EnhanceYourCalm) }
    }

    fn frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        match head.kind {
            kind::HEADERS => self.headers(head, payload),
            kind::CONTINUATION => self.continuation(head, payload),
            kind::PRIORITY => self.priority(head, payload),
            kind::RST_STREAM => self.reset_by_client(head, payload),
            kind::SETTINGS => {
                self.settled = true;
                self.settings(head, payload)
            }
            kind::PUSH_PROMISE => Err(Code::ProtocolError),
            kind::PING => self.ping(head, payload),
            kind::GOAWAY => self.goaway(head, payload),
            kind::WINDOW_UPDATE => self.window_update(head, payload),
            // Unknown ones are ignored (RFC 9113 section 4.1).
            _ => Ok(()),
        }
    }

    fn ping(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if head.stream != 0 {
            return Err(Code::ProtocolError);
        }
        let mark: [u8; 8] = payload.try_into().map_err(|_| Code::FrameSizeError)?;
        if !head.has(frame::flag::ACK) {
            frame::write(&mut self.out, kind::PING, frame::flag::ACK, 0, &mark);
        } else if mark == MARK {
            self.insist();
        }
        Ok(())
    }

    /// Tells the client to begin no more streams. What it has begun before it knows is served (RFC 9113 section 6.8).
    pub fn leave(&mut self) {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Announced;
            frame::goaway(&mut self.out, frame::MOST_WINDOW, Code::NoError);
            frame::write(&mut self.out, kind::PING, 0, 0, &MARK);
        }
    }

    /// Whether the client was told and has not said that it knows.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        !self.dead && self.leaving == Leaving::Announced
    }

    /// The client knows, or has had the time to: no further stream is begun.
    pub fn insist(&mut self) {
        if self.is_leaving() {
            self.leaving = Leaving::Final;
            frame::goaway(&mut self.out, self.streams.last, Code::NoError);
        }
    }

    /// Ends the connection: `code` is the last thing that it says, and all streams are gone.
    pub fn end(&mut self, code: Code) {
        frame::goaway(&mut self.out, self.streams.last, code);
        self.die();
    }

    /// The socket is gone, and so are all streams.
    pub fn die(&mut self) {
        self.dead = true;
        for at in self.streams.iter().map(|(at, _)| at).collect::<Vec<_>>() {
            self.wake(at);
        }
    }

    /// Whether nothing is read or written any more.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Whether the connection is over: because of a fault, or because nobody will begin a stream and none is open.
    pub fn has_ended(&mut self) -> bool {
        if !self.dead && (self.left || self.leaving == Leaving::Final) && self.active() == 0 {
            self.dead = true;
            if self.leaving != Leaving::Final {
                frame::goaway(&mut self.out, self.streams.last, Code::NoError);
            }
        }
        self.dead
    }

    /// Counts a part of an answer that the client's windows took whole: clients may ask with each whether the path is still
    /// as fast, and move a window, as those of gRPC do.
    pub(super) fn served(&mut self) {
        self.allowance.wrote(SERVED);
    }

    /// Counts what was written.
    pub fn wrote(&mut self, bytes: usize) {
        self.allowance.wrote(bytes);
    }

    /// Whether a stream can go on.
    #[must_use]
    pub fn can_go_on(&self) -> bool {
        !self.ready.is_empty() || (!self.waiting.is_empty() && self.has_room())
    }

    /// Whether the client is inside something that has to end soon: the preface or a header block.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !self.settled || self.block.is_some()
    }

    /// Streams that a slot serves or has to.
    #[must_use]
    pub fn active(&self) -> usize {
        self.streams.active()
    }

    /// Whether answers may be written.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.out.len() < ROOM && self.output_window > 0
    }

    /// The place of a stream that can go on.
    pub fn next_ready(&mut self) -> Option<usize> {
        while let Some(at) = self.ready.pop_front() {
            if let Some(stream) = self.streams.get(at) {
                stream.is_ready = false;
                return Some(at);
            }
        }
        // One after the other: each may take all of the room, and then waits behind the others.
        while self.has_room()
            && let Some(at) = self.waiting.pop_front()
        {
            if let Some(stream) = self.streams.get(at) {
                stream.waits = false;
                return Some(at);
            }
        }
        None
    }

    /// Notes that a stream can go on.
    pub(super) fn wake(&mut self, at: usize) {
        if let Some(stream) = self.streams.get(at).filter(|stream| !stream.is_ready) {
            stream.is_ready = true;
            self.ready.push_back(at);
        }
    }

    /// Counts a stream that the client makes us reset. Who does so too often is a flood.
    pub(super) fn blame(&mut self) -> Result<(), Code> {
        self.faults = self.faults.saturating_add(1);
        if self.faults > FAULTS { Err(Code::EnhanceYourCalm) } else { Ok(()) }
    }

    /// Resets a stream because of what the client did.
    pub(super) fn fault(&mut self, id: u32, code: Code) -> Result<(), Code> {
        self.blame()?;
        frame::reset(&mut self.out, id, code);
        match self.streams.find(id) {
            Found::Open(at) => self.lose(at, Past::ByUs),
            // What else comes of it is ignored.
            Found::Over(_) | Found::Forgotten => self.streams.remember(id, Past::ByUs),
            Found::Idle => {}
        }
        Ok(())
    }

    /// A stream was reset by either side. A slot that has begun with it is told; else it is over at once.
    pub(super) fn lose(&mut self, at: usize, past: Past) {
        let Some(stream) = self.streams.get(at) else { return };
        (stream.input, stream.past) = (Input::Reset, past);
        let unseen = stream.incoming.take();
        self.uncount(at);
        match unseen {
            Some(incoming) => {
                self.give_head(incoming.head);
                self.forget(at);
            }
            None => self.wake(at),
        }
    }

    /// A stream that is closed for both sides does not count any more.
    pub(super) fn uncount(&mut self, at: usize) {
        if let Some(stream) = self.streams.get(at)
            && std::mem::take(&mut stream.counted)
        {
            self.open = self.open.saturating_sub(1);
        }
    }

    /// Frees the place of a stream; what was not read of its body goes back to the connection's window.
    pub fn forget(&mut self, at: usize) {
        self.uncount(at);
        let Some(stream) = self.streams.get(at) else { return };
        let unread = u32::try_from(stream.body.len()).unwrap_or(u32::MAX);
        if stream.waits {
            self.waiting.retain(|waiting| *waiting != at);
        }
        self.streams.close(at);
        self.give_back(unread);
    }

    /// Gives bytes back to a stream's window.
    pub(super) fn credit(&mut self, at: usize, bytes: u32) {
        let Some(stream) = self.streams.get(at) else { return };
        stream.read = stream.read.saturating_add(bytes);
        if stream.read >= STREAM_WINDOW / 2 && stream.input == Input::Open {
            let increment = std::mem::take(&mut stream.read);
            stream.input_window = stream.input_window.saturating_add(increment);
            frame::window_update(&mut self.out, stream.id, increment);
        }
    }

    /// Gives bytes back to the connection's window.
    pub(super) fn give_back(&mut self, bytes: u32) {
        self.read = self.read.saturating_add(bytes);
        if self.read >= CONNECTION_WINDOW / 2 && !self.dead {
            frame::window_update(&mut self.out, 0, self.read);
            self.input_window = self.input_window.saturating_add(self.read);
            self.read = 0;
        }
    }

    /// An emptied head.
    pub(super) fn take_head(&mut self) -> RequestHead {
        self.spare.pop().unwrap_or_else(|| RequestHead {
            method: Method::Get,
            target: Vec::new(),
            version: Version::Http2,
            headers: Headers::default(),
            framing: Framing::Empty,
        })
    }

    /// Takes a head back that is not needed any more.
    pub fn give_head(&mut self, mut head: RequestHead) {
        if self.spare.len() < SPARE {
            head.target.clear();
            head.headers.clear();
            head.framing = Framing::Empty;
            self.spare.push(head);
        }
    }

    /// Gives back what an idle connection does not need.
    pub fn rest(&mut self) {
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        (self.scratch, self.spare) = (Vec::new(), Vec::new());
        (self.ready, self.waiting) = (VecDeque::new(), VecDeque::new());
        self.streams.rest();
    }

    /// Decodes a block.
    pub(super) fn decode(&mut self, block: &[u8], take: impl FnMut(&super::hpack::Entry<'_>)) -> Result<(), Code> {
        self.decoder.decode(block, &mut self.scratch, take).map_err(|_| Code::CompressionError)
    }

    /// Decodes trailer fields; `None` if they are malformed.
    pub(super) fn decode_trailers(&mut self, block: &[u8]) -> Result<Option<Box<http::HeaderMap>>, Code> {
        let limits = self.limits;
        let mut trailers = Trailers::new(&limits);
        self.decode(block, |entry| trailers.take(entry))?;
        Ok(trailers.finish())
    }
}

/// Longest header block, encoded or decoded as HTTP counts it (RFC 9113 section 6.5.2).
pub(super) fn most_block(limits: &HeadLimits) -> usize {
    // Above our own bound, which answers with a reason; beyond this one the connection ends.
    let fields = limits.fields.saturating_add(8).saturating_mul(32);
    limits.bytes.saturating_add(limits.line).saturating_add(fields)
}
