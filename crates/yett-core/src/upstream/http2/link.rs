//! One connection: its task, what its service allows, and whether it still lives.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::{Http2Pool, is_over};
use crate::http1::response::{MAX_BYTES, MAX_FIELDS};
use crate::ir;
use crate::reason::Reason;
use crate::server::clock::monotonic_ns;
use crate::server::deadline::{NEVER, Timer, after};
use crate::upstream::stream::Stream;

/// What the library may hold of one request's body that the service does not take.
const SEND_BUFFER: usize = 32 * 1024;
/// The largest window that there is (RFC 9113 section 6.9.1).
const MOST: u32 = (1 << 31) - 1;
/// Between two pings of a connection that says nothing else: services count what comes more often as an attack.
const QUIET_MS: u64 = 300_000;

/// One connection as its pool sees it. The task ends once nobody holds it any more.
#[derive(Debug)]
pub struct Link {
    sender: RefCell<SendRequest<Bytes>>,
    /// Requests under way.
    active: Cell<u32>,
    /// Most that may be: the service's figure, at most the configuration's; 0 until its SETTINGS came.
    limit: Cell<u32>,
    /// Nothing new begins: it ended, the service said GOAWAY, or a ping is not answered yet.
    closed: Cell<bool>,
    asked: Cell<bool>,
    idle_since: Cell<u64>,
    ready: Notify,
}

/// A place on a connection; given back when it is dropped.
#[derive(Debug)]
pub struct Lease {
    link: Rc<Link>,
    pool: Rc<Http2Pool>,
}

impl Lease {
    /// A handle that begins one stream.
    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.link.sender.borrow().clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let active = self.link.active.get().saturating_sub(1);
        self.link.active.set(active);
        if active == 0 {
            self.link.idle_since.set(monotonic_ns());
        }
        self.pool.left();
    }
}

impl Link {
    /// Whether new requests may begin, now or later.
    pub(super) fn is_open(&self) -> bool {
        !self.closed.get()
    }

    /// Whether it has waited for a request for longer than this.
    pub(super) fn is_idle_since(&self, now: u64, idle_ms: u64) -> bool {
        self.active.get() == 0 && is_over(self.idle_since.get(), now, idle_ms)
    }

    /// A place, if there is one.
    pub(super) fn enter(self: &Rc<Self>, pool: &Rc<Http2Pool>) -> Option<Lease> {
        if self.closed.get() || self.asked.get() || self.active.get() >= self.limit.get() {
            return None;
        }
        self.active.set(self.active.get() + 1);
        Some(Lease { link: Rc::clone(self), pool: Rc::clone(pool) })
    }

    /// Takes over what the library has learnt; says whether the pool has to know.
    fn observe(&self, most: u32) -> bool {
        let mut sender = self.sender.borrow_mut();
        let limit = u32::try_from(sender.current_max_send_streams()).unwrap_or(u32::MAX).min(most);
        let more = limit > self.limit.replace(limit);
        let closed = matches!(sender.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)));
        more || (closed && !self.closed.replace(true))
    }
}

/// Begins a connection and waits for the service's SETTINGS: a peer that speaks something else never gets a request.
///
/// # Errors
/// `service_unreachable` where it ends before.
pub(super) async fn open(pool: &Rc<Http2Pool>, stream: Stream, spec: &ir::ServiceHttp2) -> Result<Rc<Link>, Reason> {
    let now = monotonic_ns();
    let heard = Rc::new(Cell::new(now));
    let socket = Socket { stream, heard: Rc::clone(&heard) };
    let opened = builder(spec).handshake(socket).await;
    let (sender, mut connection) = opened.map_err(|_| Reason::ServiceUnreachable)?;
    let ping_pong = connection.ping_pong();
    let link = Rc::new(Link {
        sender: RefCell::new(sender),
        active: Cell::new(0),
        limit: Cell::new(0),
        closed: Cell::new(false),
        asked: Cell::new(false),
        idle_since: Cell::new(now),
        ready: Notify::new(),
    });
    let driver = Driver {
        connection,
        end: End { link: Rc::downgrade(&link), pool: Rc::downgrade(pool) },
        most: spec.streams,
        ping_pong,
        ping_ms: spec.ping_ms,
        ping_timeout_ms: spec.ping_timeout_ms,
        heard,
        asked: None,
        answered: None,
        timer: Timer::default(),
    };
    tokio::task::spawn_local(driver.run());
    loop {
        if !link.is_open() {
            return Err(Reason::ServiceUnreachable);
        }
        if link.limit.get() > 0 {
            return Ok(link);
        }
        link.ready.notified().await;
    }
}

fn builder(spec: &ir::ServiceHttp2) -> Builder {
    let list = MAX_BYTES + 32 * MAX_FIELDS;
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .max_concurrent_streams(0)
        // None before the service has said how many.
        .initial_max_send_streams(0)
        .initial_window_size(spec.window.min(MOST))
        // Room for all streams: one whose client does not read holds up no other.
        .initial_connection_window_size(spec.window.saturating_mul(spec.streams).clamp(65_535, MOST))
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// Whatever ends the task, a panic in the library too: nobody begins on the connection any more, who waits looks again.
struct End {
    link: Weak<Link>,
    pool: Weak<Http2Pool>,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(link) = self.link.upgrade() {
            link.closed.set(true);
            link.ready.notify_waiters();
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.changed();
        }
    }
}

/// The connection's task.
struct Driver {
    connection: Connection<Socket, Bytes>,
    end: End,
    most: u32,
    ping_pong: Option<PingPong>,
    ping_ms: u64,
    ping_timeout_ms: u64,
    /// When something came last.
    heard: Rc<Cell<u64>>,
    /// When a ping was sent that is not answered.
    asked: Option<u64>,
    /// When the last one was answered.
    answered: Option<u64>,
    timer: Timer,
}

impl Driver {
    async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if Pin::new(&mut self.connection).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let link = self.end.link.upgrade();
            if let Some(link) = &link
                && link.observe(self.most)
            {
                link.ready.notify_waiters();
                if let Some(pool) = self.end.pool.upgrade() {
                    pool.changed();
                }
            }
            // Dropped by the pool, it lives on while streams do.
            let busy = link.as_ref().is_none_or(|link| link.active.get() > 0);
            drop(link);
            self.poll_answer(cx);
            let due = match self.asked {
                Some(at) => after(at, self.ping_timeout_ms),
                None if busy => self.next_ping(),
                None => NEVER,
            };
            if self.timer.poll(cx, due).is_pending() {
                return Poll::Pending;
            }
            if self.asked.is_some() {
                return Poll::Ready(());
            }
            let sent = self.ping_pong.as_mut().is_some_and(|ping_pong| ping_pong.send_ping(Ping::opaque()).is_ok());
            if !sent {
                return Poll::Ready(());
            }
            self.ask(Some(monotonic_ns()));
        }
    }

    fn ask(&mut self, asked: Option<u64>) {
        self.asked = asked;
        let Some(link) = self.end.link.upgrade() else { return };
        link.asked.set(asked.is_some());
        if asked.is_none()
            && let Some(pool) = self.end.pool.upgrade()
        {
            pool.changed();
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) {
        let Some(ping_pong) = self.ping_pong.as_mut().filter(|_| self.asked.is_some()) else { return };
        if ping_pong.poll_pong(cx).is_ready() {
            self.answered = Some(monotonic_ns());
            self.ask(None);
        }
    }

    fn next_ping(&self) -> u64 {
        match self.answered {
            Some(answered) if self.heard.get() <= answered => after(answered, self.ping_ms.max(QUIET_MS)),
            Some(_) | None => after(self.heard.get(), self.ping_ms),
        }
    }
}

/// The socket, and when something came over it last.
struct Socket {
    stream: Stream,
    heard: Rc<Cell<u64>>,
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.heard.set(monotonic_ns());
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
