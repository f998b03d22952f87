//! Drives one connection: frames in, streams on, frames out in one write; limits, time-outs, GOAWAY.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::futures::Notified;
use tokio::task::coop;

use super::frame::Code;
use super::session::{ROOM, Session};
use super::slot::Slot;
use super::woken::{Part, Woken};
use crate::exchange::ConnectionInfo;
use crate::server::clock::monotonic_ns;
use crate::server::deadline::{NEVER, Timer, after};
use crate::server::lane::Settings;
use crate::server::worker::Worker;

/// Bytes that are read at once. One block a worker: what is left in it of a frame is copied out.
const BLOCK: usize = 32 * 1024;
/// Reads before streams have their turn.
const READS: usize = 4;
/// Nothing is read while so much waits to be written: every frame may ask for an answer.
const BACKLOG: usize = 4 * ROOM;
/// After so long without a stream a connection gives back what it does not need.
const REST_MS: u64 = 1_000;
/// How long a client may take to close after the last stream of a connection that ends, and to say that it knows: until then
/// it may begin streams (RFC 9113 section 6.8).
const CLOSING_MS: u64 = 5_000;
/// How long the last words to a faulty client may take.
const ABRUPT_MS: u64 = 1_000;
/// What such a client may still send, so that the last words are not lost in a reset.
const DISCARD: usize = 256 * 1024;

/// Parts of the connection beside its slots, in [`Woken`].
const IO: usize = 0;
const TIMER: usize = 1;
const DRAIN: usize = 2;
const SLOTS: usize = 3;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; BLOCK]);
}

/// What can be woken and polled.
struct Handle {
    part: Arc<Part>,
    waker: Waker,
}

impl Handle {
    fn new(woken: &Arc<Woken>, index: usize) -> Self {
        let part = Part::new(woken, index);
        Self { waker: Waker::from(Arc::clone(&part)), part }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The last words are on their way; what still comes is dropped.
    Ending,
    /// Nothing can be written any more.
    Gone,
}

/// One connection.
struct Connection<I> {
    worker: Rc<Worker>,
    info: Rc<ConnectionInfo>,
    settings: Settings,
    io: I,
    session: Rc<RefCell<Session>>,
    /// The begin of a frame whose end has not come.
    part: Vec<u8>,
    /// Bytes of `out` that are written.
    sent: usize,
    phase: Phase,
    /// The writing side of the socket is closed, and what came after that.
    shut: bool,
    discarded: usize,
    /// There may be more to read.
    more: bool,
    slots: Vec<Slot>,
    woken: Arc<Woken>,
    parts: Vec<usize>,
    reads: Handle,
    alarm: Handle,
    drain: Handle,
    timer: Timer,
    /// When the last stream ended, or the connection began.
    ended: u64,
    rested: bool,
    /// Since when it ends.
    closing: Option<u64>,
    /// Since when the client takes nothing, and is inside of something that has to end soon.
    blocked: Option<u64>,
    inside: Option<u64>,
}

/// Serves one connection until it closes or the worker drains.
pub async fn serve<I: AsyncRead + AsyncWrite + Unpin + 'static>(worker: Rc<Worker>, io: I, info: Rc<ConnectionInfo>) {
    let Some(http2) = super::settings(&worker, &info) else { return };
    let Some(settings) = Settings::find(&worker.view(), &info.listener) else { return };
    let begun = monotonic_ns();
    let woken = Arc::new(Woken::default());
    let mut connection = Connection {
        session: Rc::new(RefCell::new(Session::new(settings.head, http2.max_concurrent_streams, info.tls, monotonic_ns))),
        worker: Rc::clone(&worker),
        info,
        settings,
        io,
        part: Vec::new(),
        sent: 0,
        phase: Phase::Open,
        shut: false,
        discarded: 0,
        more: true,
        slots: Vec::new(),
        reads: Handle::new(&woken, IO),
        alarm: Handle::new(&woken, TIMER),
        drain: Handle::new(&woken, DRAIN),
        woken,
        parts: vec![DRAIN],
        timer: Timer::default(),
        ended: begun,
        rested: true,
        closing: None,
        blocked: None,
        inside: Some(begun),
    };
    let mut drain = pin!(worker.drain.notified());
    poll_fn(|cx| connection.poll(cx, &worker, drain.as_mut())).await;
}

impl<I: AsyncRead + AsyncWrite + Unpin + 'static> Connection<I> {
    fn poll<'w>(&mut self, cx: &mut Context<'_>, worker: &'w Worker, mut drain: Pin<&mut Notified<'w>>) -> Poll<()> {
        self.woken.begin(cx.waker());
        loop {
            let mut parts = std::mem::take(&mut self.parts);
            self.woken.take(&mut parts);
            for part in parts.drain(..) {
                match part {
                    IO => self.more = true,
                    TIMER => self.alarm.part.begin(),
                    DRAIN => self.poll_drain(worker, drain.as_mut()),
                    slot => self.poll_slot(slot - SLOTS),
                }
            }
            self.parts = parts;
            if std::mem::take(&mut self.more) {
                self.reads.part.begin();
                self.poll_read();
            }
            self.poll_ready();
            self.poll_send();
            self.poll_time();
            let active = self.session.borrow().active();
            if self.phase == Phase::Gone && active == 0 {
                return Poll::Ready(());
            }
            let more = self.more || self.session.borrow().can_go_on();
            if !more && self.woken.rest() {
                return Poll::Pending;
            }
            if !coop::has_budget_remaining() {
                self.woken.give_way();
                return Poll::Pending;
            }
        }
    }

    /// Streams that something happened to.
    fn poll_ready(&mut self) {
        loop {
            let next = self.session.borrow_mut().next_ready();
            let Some(at) = next else { return };
            while self.slots.len() <= at {
                let woken = (&self.woken, SLOTS + self.slots.len());
                let slot = Slot::new(&self.worker, &self.info, &self.settings, &self.session, self.slots.len(), woken);
                self.slots.push(slot);
            }
            self.rested = false;
            self.poll_slot(at);
        }
    }

    fn poll_slot(&mut self, at: usize) {
        if !self.slots.get_mut(at).is_some_and(Slot::poll) {
            return;
        }
        let mut session = self.session.borrow_mut();
        session.forget(at);
        if session.active() == 0 {
            self.ended = monotonic_ns();
        }
        drop(session);
        if self.closing.is_none() && self.worker.closes(&self.info) {
            self.close();
        }
    }

    /// Frames in.
    fn poll_read(&mut self) {
        let view = self.worker.view();
        if !self.settings.is_current(&view)
            && let Some(settings) = Settings::find(&view, &self.info.listener)
        {
            self.session.borrow_mut().limits = settings.head;
            self.settings = settings;
        }
        let waker = self.reads.waker.clone();
        let mut cx = Context::from_waker(&waker);
        READ.with_borrow_mut(|block| {
            for _ in 0..READS {
                if self.phase == Phase::Gone || self.session.borrow().out.len() >= BACKLOG {
                    return;
                }
                let mut read = ReadBuf::new(block);
                match Pin::new(&mut self.io).poll_read(&mut cx, &mut read) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(())) if !read.filled().is_empty() => self.feed(read.filled()),
                    Poll::Ready(_) => return self.lose(),
                }
            }
            self.more = true;
        });
    }

    fn feed(&mut self, bytes: &[u8]) {
        if self.phase == Phase::Ending {
            self.discarded = self.discarded.saturating_add(bytes.len());
            if self.discarded > DISCARD {
                self.lose();
            }
            return;
        }
        let mut session = self.session.borrow_mut();
        let read = if self.part.is_empty() {
            let read = session.read(bytes);
            let left = read.ok().and_then(|count| bytes.get(count..)).unwrap_or_default();
            self.part.extend_from_slice(left);
            read
        } else {
            self.part.extend_from_slice(bytes);
            let read = session.read(&self.part);
            self.part.drain(..read.unwrap_or(0).min(self.part.len()));
            read
        };
        if self.part.is_empty() && self.part.capacity() > 0 {
            self.part = Vec::new();
        }
        self.inside = match (session.is_inside(), self.part.is_empty()) {
            (true, _) => self.inside.or_else(|| Some(monotonic_ns())),
            (false, true) => None,
            // A part of another frame than before.
            (false, false) if read != Ok(0) => Some(monotonic_ns()),
            (false, false) => self.inside.or_else(|| Some(monotonic_ns())),
        };
        if let Err(code) = read {
            session.end(code);
            if code == Code::EnhanceYourCalm {
                self.worker.shared.counters.http2_floods.increment();
            }
        }
    }

    /// The socket cannot be used any more.
    fn lose(&mut self) {
        self.phase = Phase::Gone;
        self.more = false;
        self.session.borrow_mut().die();
    }

    /// Frames out, and the end of the connection after the last one.
    fn poll_send(&mut self) {
        if self.phase == Phase::Gone {
            return;
        }
        if self.phase == Phase::Open && self.session.borrow_mut().has_ended() {
            self.phase = Phase::Ending;
            self.closing = Some(monotonic_ns());
        }
        let waker = self.reads.waker.clone();
        let mut cx = Context::from_waker(&waker);
        let sent = self.poll_out(&mut cx);
        self.blocked = if sent.is_pending() { self.blocked.or_else(|| Some(monotonic_ns())) } else { None };
        match sent {
            Poll::Pending => {}
            Poll::Ready(false) => self.lose(),
            Poll::Ready(true) if self.phase == Phase::Ending && !self.shut => {
                match Pin::new(&mut self.io).poll_shutdown(&mut cx) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(())) => {
                        self.shut = true;
                        self.more = true;
                    }
                    Poll::Ready(Err(_)) => self.lose(),
                }
            }
            Poll::Ready(true) => {}
        }
    }

    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut session = self.session.borrow_mut();
        let backlog = session.out.len() >= BACKLOG;
        while let Some(rest) = session.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.io).poll_write(cx, rest) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.sent += count;
                    self.blocked = None;
                    session.wrote(count);
                }
                Poll::Ready(_) => return Poll::Ready(false),
            }
        }
        session.out.clear();
        session.out.shrink_to(BACKLOG);
        self.sent = 0;
        // Reading had stopped for it.
        self.more |= backlog;
        Pin::new(&mut self.io).poll_flush(cx).map(|flushed| flushed.is_ok())
    }

    /// Tells the client to begin no more streams; those under way go on.
    fn close(&mut self) {
        self.closing = Some(monotonic_ns());
        self.session.borrow_mut().leave();
    }

    fn poll_drain<'w>(&mut self, worker: &'w Worker, mut drain: Pin<&mut Notified<'w>>) {
        self.drain.part.begin();
        let mut cx = Context::from_waker(&self.drain.waker);
        while drain.as_mut().poll(&mut cx).is_ready() {
            drain.set(worker.drain.notified());
        }
        if self.closing.is_none() && worker.closes(&self.info) {
            self.close();
        }
    }

    /// Does what is due. Streams that are left without their connection end by themselves, and are recorded.
    fn poll_time(&mut self) {
        if self.phase == Phase::Gone {
            return;
        }
        let idle = self.session.borrow().active() == 0;
        let timeouts = &self.settings.timeouts;
        let within = |since: Option<u64>, ms| since.map_or(NEVER, |since| after(since, ms));
        let hard = within(self.blocked, timeouts.body_ms).min(within(self.inside, timeouts.head_ms));
        let hard = match self.closing {
            Some(since) if self.phase == Phase::Ending => hard.min(after(since.max(self.ended), ABRUPT_MS)),
            Some(since) if idle => hard.min(after(since.max(self.ended), CLOSING_MS)),
            Some(_) | None => hard,
        };
        let (mut rest, mut close) = (NEVER, NEVER);
        if idle && self.closing.is_none() {
            close = after(self.ended, timeouts.keep_alive_ms);
            rest = if self.rested { NEVER } else { after(self.ended, REST_MS) };
        }
        let insist = match self.closing {
            Some(since) if self.session.borrow().is_leaving() => after(since, CLOSING_MS),
            Some(_) | None => NEVER,
        };
        let mut cx = Context::from_waker(&self.alarm.waker);
        if self.timer.poll(&mut cx, hard.min(close).min(rest).min(insist)).is_pending() {
            return;
        }
        if insist <= hard.min(close).min(rest) {
            self.session.borrow_mut().insist();
        } else if hard <= close.min(rest) {
            self.lose();
        } else if close <= rest {
            self.close();
        } else {
            self.rest();
        }
        self.alarm.waker.wake_by_ref();
    }

    /// Gives back what an idle connection does not need.
    fn rest(&mut self) {
        self.rested = true;
        self.slots = Vec::new();
        self.session.borrow_mut().rest();
    }
}
