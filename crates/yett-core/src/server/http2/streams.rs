//! The streams of one connection: what is open, and what was until lately.

use std::collections::VecDeque;

use http::HeaderMap;

use super::frame::MOST_WINDOW;
use super::head::{Fault, Read};
use crate::exchange::RequestHead;

/// Streams that are over and still known by how they ended, so that late frames can be told from wrong ones.
const REMEMBERED: usize = 64;

/// A request that no slot has begun with.
#[derive(Debug)]
pub struct Incoming {
    /// Its head.
    pub head: RequestHead,
    /// What reading it came to.
    pub read: Result<Read, Fault>,
}

/// The client's side of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// More may come.
    Open,
    /// END_STREAM came.
    Ended,
    /// RST_STREAM came, or was sent.
    Reset,
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    /// 0 is a place without a stream.
    pub id: u32,
    /// Until the slot takes it.
    pub incoming: Option<Incoming>,
    /// The client's side.
    pub input: Input,
    /// How it ended, where it was reset.
    pub past: Past,
    /// Bytes of the body that were not read yet.
    pub body: VecDeque<u8>,
    /// What `content-length` says is still to come.
    pub announced: Option<u64>,
    /// Trailer fields of the request.
    pub trailers: Option<Box<HeaderMap>>,
    /// What the client may send.
    pub input_window: u32,
    /// What was read and not given back to its window.
    pub read: u32,
    /// What we may send; less than nothing after the client has changed its mind.
    pub output_window: i64,
    /// END_STREAM was sent.
    pub answered: bool,
    /// It counts as one of the streams that are open at once.
    pub counted: bool,
    /// It is to be polled.
    pub is_ready: bool,
    /// It waits for room or for the connection's window.
    pub waits: bool,
}

impl Stream {
    fn empty() -> Self {
        Self {
            id: 0,
            incoming: None,
            input: Input::Reset,
            past: Past::Ended,
            body: VecDeque::new(),
            announced: None,
            trailers: None,
            input_window: 0,
            read: 0,
            output_window: 0,
            answered: false,
            counted: false,
            is_ready: false,
            waits: false,
        }
    }

    /// Moves the window for answers.
    ///
    /// # Errors
    /// Beyond 2^31-1 (RFC 9113 section 6.9.1).
    pub fn widen(&mut self, change: i64) -> Result<(), ()> {
        let window = self.output_window.saturating_add(change);
        self.output_window = window;
        if window > i64::from(MOST_WINDOW) { Err(()) } else { Ok(()) }
    }
}

/// How a stream ended that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// The client had ended its side.
    Ended,
    /// The client had reset it.
    ByClient,
    /// We had reset it: what was on its way is ignored.
    ByUs,
}

/// What a stream's number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The stream at this place.
    Open(usize),
    /// A stream that is over.
    Over(Past),
    /// A stream that is over, or was skipped, longer ago than is remembered.
    Forgotten,
    /// Not begun yet, or none that a client can begin.
    Idle,
}

/// All streams.
#[derive(Debug, Default)]
pub struct Streams {
    all: Vec<Stream>,
    /// Of each place, to be looked through quickly.
    ids: Vec<u32>,
    free: Vec<usize>,
    /// The highest one that the client has begun.
    pub last: u32,
    past: VecDeque<(u32, Past)>,
}

impl Streams {
    /// What this number stands for.
    #[must_use]
    pub fn find(&self, id: u32) -> Found {
        if let Some(at) = self.ids.iter().position(|known| *known == id).filter(|_| id != 0) {
            return Found::Open(at);
        }
        if id > self.last || id.is_multiple_of(2) {
            return Found::Idle;
        }
        self.past.iter().rev().find(|past| past.0 == id).map_or(Found::Forgotten, |past| Found::Over(past.1))
    }

    /// The stream at this place.
    pub fn get(&mut self, at: usize) -> Option<&mut Stream> {
        self.all.get_mut(at).filter(|stream| stream.id != 0)
    }

    /// Places with streams.
    #[must_use]
    pub fn active(&self) -> usize {
        self.all.len().saturating_sub(self.free.len())
    }

    /// Streams that are open, with their places.
    pub fn iter(&mut self) -> impl Iterator<Item = (usize, &mut Stream)> {
        self.all.iter_mut().enumerate().filter(|(_, stream)| stream.id != 0)
    }

    /// A place for a new stream.
    pub fn open(&mut self, id: u32) -> Option<(usize, &mut Stream)> {
        let at = self.free.pop().unwrap_or_else(|| {
            self.all.push(Stream::empty());
            self.ids.push(0);
            self.all.len().saturating_sub(1)
        });
        let stream = self.all.get_mut(at)?;
        *self.ids.get_mut(at)? = id;
        // Its memory for a body stays.
        stream.body.clear();
        *stream = Stream { id, input: Input::Open, body: std::mem::take(&mut stream.body), ..Stream::empty() };
        Some((at, stream))
    }

    /// Forgets a stream but for how it ended.
    pub fn close(&mut self, at: usize) {
        let Some(stream) = self.all.get_mut(at).filter(|stream| stream.id != 0) else { return };
        let (id, past) = (stream.id, stream.past);
        (stream.id, stream.incoming, stream.trailers) = (0, None, None);
        stream.body.clear();
        stream.body.shrink_to(4096);
        if let Some(known) = self.ids.get_mut(at) {
            *known = 0;
        }
        self.free.push(at);
        self.remember(id, past);
    }

    /// Remembers how a stream ended.
    pub fn remember(&mut self, id: u32, past: Past) {
        if self.past.len() >= REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back((id, past));
    }

    /// The client reset a stream that we had reset: nothing more may come on it.
    pub fn reset_as_well(&mut self, id: u32) {
        if let Some(past) = self.past.iter_mut().rev().find(|past| past.0 == id && past.1 == Past::ByUs) {
            past.1 = Past::ByClient;
        }
    }

    /// Gives back memory while there are none.
    pub fn rest(&mut self) {
        if self.active() == 0 {
            (self.all, self.ids, self.free) = (Vec::new(), Vec::new(), Vec::new());
            self.past = self.past.iter().rev().take(2).rev().copied().collect();
        }
    }
}
