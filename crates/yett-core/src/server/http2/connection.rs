//! Drives one connection: frames in, streams on, frames out in one write; limits, time-outs, GOAWAY.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::Reason;
use h2::server::{self, Builder};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::futures::Notified;
use tokio::task::coop;

use super::slot::{Incoming, Slot};
use super::wire::{Socket, Wire};
use super::woken::{Part, Woken};
use crate::exchange::ConnectionInfo;
use crate::ir;
use crate::server::clock::monotonic_ns;
use crate::server::deadline::{NEVER, Timer, after};
use crate::server::lane::Settings;
use crate::server::worker::Worker;

/// The window of a stream and of the connection for requests' bodies: what the library may hold unread.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// What the library may hold of one stream's answer that the client does not take.
const SEND_BUFFER: usize = 32 * 1024;
/// Streams that a faulty client may make us reset in a connection's life (CVE-2025-8671).
const FAULTS: usize = 100;
/// Streams that the client reset before they were looked at.
const UNSEEN_RESETS: usize = 20;
/// How long a client may take to close after the last stream of a connection that ends.
const CLOSING_MS: u64 = 5_000;
/// How long the last words to a client that floods may take.
const ABRUPT_MS: u64 = 1_000;
/// Slots that stay with an idle connection.
const KEEP_SLOTS: usize = 4;

/// Parts of the connection beside its slots, in [`Woken`].
const LIBRARY: usize = 0;
const TIMER: usize = 1;
const DRAIN: usize = 2;
const SLOTS: usize = 3;

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

/// One connection.
struct Connection<I> {
    worker: Rc<Worker>,
    info: Rc<ConnectionInfo>,
    settings: Settings,
    streams: usize,
    /// Gone once it has no more to do.
    library: Option<server::Connection<Wire<I>, Bytes>>,
    socket: Rc<RefCell<Socket<I>>>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    woken: Arc<Woken>,
    parts: Vec<usize>,
    io: Handle,
    alarm: Handle,
    drain: Handle,
    timer: Timer,
    /// When the last stream ended, or the connection began.
    ended: u64,
    /// Since when it ends.
    closing: Option<u64>,
    /// Because of a flood: what is open ends with it.
    abrupt: bool,
}

/// Serves one connection until it closes or the worker drains.
pub async fn serve<I: AsyncRead + AsyncWrite + Unpin + 'static>(worker: Rc<Worker>, io: I, info: Rc<ConnectionInfo>) {
    let Some(http2) = super::settings(&worker, &info) else { return };
    let Some(settings) = Settings::find(&worker.view(), &info.listener) else { return };
    let begun = monotonic_ns();
    let mut timer = Timer::default();
    let (wire, socket) = Wire::new(io, begun);
    let library = {
        let mut handshake = Box::pin(builder(&http2, &settings).handshake(wire));
        let work = poll_fn(|cx| {
            let polled = handshake.as_mut().poll(cx);
            let _ = socket.borrow_mut().poll_send(cx);
            polled
        });
        match timer.within(after(begun, settings.timeouts.head_ms), work).await {
            Some(Ok(library)) => library,
            Some(Err(_)) | None => return,
        }
    };
    let woken = Arc::new(Woken::default());
    let mut connection = Connection {
        io: Handle::new(&woken, LIBRARY),
        alarm: Handle::new(&woken, TIMER),
        drain: Handle::new(&woken, DRAIN),
        worker: Rc::clone(&worker),
        info,
        settings,
        streams: usize::try_from(http2.max_concurrent_streams).unwrap_or(usize::MAX),
        library: Some(library),
        socket,
        slots: Vec::new(),
        free: Vec::new(),
        woken,
        parts: vec![LIBRARY, TIMER, DRAIN],
        timer,
        ended: begun,
        closing: None,
        abrupt: false,
    };
    let mut drain = pin!(worker.drain.notified());
    poll_fn(|cx| connection.poll(cx, &worker, drain.as_mut())).await;
}

fn builder(http2: &ir::Http2, settings: &Settings) -> Builder {
    let fields = settings.head.fields.saturating_add(8).saturating_mul(32);
    // Above our own bound, which answers with a reason; beyond this one the library answers, or ends the connection.
    let list = settings.head.bytes.saturating_add(settings.head.line).saturating_add(fields);
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(http2.max_concurrent_streams)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_local_error_reset_streams(Some(FAULTS))
        .max_pending_accept_reset_streams(UNSEEN_RESETS);
    builder
}

impl<I: AsyncRead + AsyncWrite + Unpin + 'static> Connection<I> {
    fn active(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn poll<'w>(&mut self, cx: &mut Context<'_>, worker: &'w Worker, mut drain: Pin<&mut Notified<'w>>) -> Poll<()> {
        self.woken.begin(cx.waker());
        loop {
            let mut parts = std::mem::take(&mut self.parts);
            self.woken.take(&mut parts);
            let mut library = false;
            for part in parts.drain(..) {
                match part {
                    LIBRARY => library = true,
                    TIMER => self.alarm.part.begin(),
                    DRAIN => self.poll_drain(worker, drain.as_mut()),
                    slot => self.poll_slot(slot - SLOTS),
                }
            }
            self.parts = parts;
            if library {
                self.poll_library();
            }
            self.poll_time();
            if self.library.is_none() && self.active() == 0 {
                return Poll::Ready(());
            }
            if self.woken.rest() {
                return Poll::Pending;
            }
            if !coop::has_budget_remaining() {
                self.woken.give_way();
                return Poll::Pending;
            }
        }
    }

    fn poll_slot(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        if !slot.poll() {
            return;
        }
        self.free.push(index);
        if self.active() == 0 {
            self.rest();
        }
        if self.closing.is_none() && self.worker.closes(&self.info) {
            self.close();
        }
    }

    /// Frames in and out.
    fn poll_library(&mut self) {
        self.io.part.begin();
        let waker = self.io.waker.clone();
        let mut cx = Context::from_waker(&waker);
        while let Some(library) = &mut self.library {
            match library.poll_accept(&mut cx) {
                Poll::Ready(Some(Ok(incoming))) => self.begin(incoming),
                Poll::Ready(None | Some(Err(_))) => self.library = None,
                Poll::Pending if self.socket.borrow().is_flooded() && !self.abrupt => {
                    self.worker.shared.counters.http2_floods.increment();
                    library.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    self.closing = Some(monotonic_ns());
                    self.abrupt = true;
                }
                Poll::Pending => break,
            }
        }
        let sent = self.socket.borrow_mut().poll_send(&mut cx);
        if matches!(sent, Poll::Ready(Err(_))) {
            self.library = None;
        }
    }

    fn begin(&mut self, (request, mut respond): Incoming) {
        let view = self.worker.view();
        if !self.settings.is_current(&view)
            && let Some(settings) = Settings::find(&view, &self.info.listener)
        {
            self.settings = settings;
        }
        // Streams that were reset are not open any more for the library, while what they began is still being ended.
        if self.active() >= self.streams.saturating_mul(2) {
            respond.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        let index = self.free.pop().unwrap_or(self.slots.len());
        if index == self.slots.len() {
            self.slots.push(Slot::new(&self.worker, &self.info, &self.settings, &self.woken, SLOTS + index));
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.begin((request, respond));
        }
        self.poll_slot(index);
    }

    /// Tells the client to begin no more streams; those under way go on.
    fn close(&mut self) {
        self.closing = Some(monotonic_ns());
        if let Some(library) = &mut self.library {
            library.graceful_shutdown();
        }
        self.io.waker.wake_by_ref();
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

    /// Does what is due. Without the library the streams that are left end by themselves, and are recorded.
    fn poll_time(&mut self) {
        if self.library.is_none() {
            return;
        }
        let (blocked, inside) = {
            let socket = self.socket.borrow();
            (socket.blocked(), socket.inside())
        };
        let idle = self.active() == 0;
        let within = |since: Option<u64>, ms| since.map_or(NEVER, |since| after(since, ms));
        let hard = within(blocked, self.settings.timeouts.body_ms).min(within(inside, self.settings.timeouts.head_ms));
        let hard = match self.closing {
            Some(since) if self.abrupt => hard.min(after(since, ABRUPT_MS)),
            Some(since) if idle => hard.min(after(since.max(self.ended), CLOSING_MS)),
            Some(_) | None => hard,
        };
        let soft = if idle && self.closing.is_none() { after(self.ended, self.settings.timeouts.keep_alive_ms) } else { NEVER };
        let mut cx = Context::from_waker(&self.alarm.waker);
        if self.timer.poll(&mut cx, hard.min(soft)).is_pending() {
            return;
        }
        if hard <= soft {
            self.library = None;
        } else {
            self.close();
        }
        self.alarm.waker.wake_by_ref();
    }

    /// Gives back what an idle connection does not need.
    fn rest(&mut self) {
        self.ended = monotonic_ns();
        if self.slots.len() > KEEP_SLOTS {
            self.slots.truncate(KEEP_SLOTS);
            self.free.clear();
            self.free.extend((0..self.slots.len()).rev());
        }
        self.socket.borrow_mut().rest();
    }
}
