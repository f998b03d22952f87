//! HTTP/2 to services (RFC 9113): connections that many requests share, for one endpoint on one worker.
//!
//! A connection is one task on the worker. It takes new requests once the service's SETTINGS have arrived, at most as
//! many as they and the configuration allow. Where all are full a further one is opened, up to `connections`; beyond
//! that requests wait for a place, at most as many as have one.

mod head;
mod link;
mod stream;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

pub use head::{Unsendable, request_head};
pub use link::Lease;
pub use stream::{Broken, Http2Stream, Kept};

use self::link::Link;
use super::pool::Endpoint;
use super::stream::Stream;
use crate::ir;
use crate::reason::Reason;
use crate::server::clock::monotonic_ns;
use crate::server::deadline::after;
use crate::shared::Shared;

/// What a connection to an endpoint speaks, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Unknown,
    Http1,
    Http2,
}

/// The connections of one endpoint.
#[derive(Debug)]
pub struct Http2Pool {
    spec: ir::ServiceHttp2,
    /// Only HTTP/2 is spoken: nothing is asked, or nothing else taken.
    only: bool,
    speaks: Cell<Speaks>,
    links: RefCell<Vec<Rc<Link>>>,
    connecting: Cell<u32>,
    waiting: Cell<u32>,
    /// Failed connects so far, and why the last one failed.
    failures: Cell<(u64, Reason)>,
    room: Notify,
}

/// Counts until it is dropped.
struct Counted<'a>(&'a Cell<u32>);

impl<'a> Counted<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.set(count.get().saturating_add(1));
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// A connect under way: however it ends, those who wait look again.
struct Opening<'a> {
    pool: &'a Http2Pool,
    _count: Counted<'a>,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.pool.room.notify_waiters();
    }
}

impl Http2Pool {
    /// Without connections.
    #[must_use]
    pub fn new(spec: &ir::ServiceHttp2, only: bool) -> Rc<Self> {
        Rc::new(Self {
            spec: spec.clone(),
            only,
            speaks: Cell::new(if only { Speaks::Http2 } else { Speaks::Unknown }),
            links: RefCell::default(),
            connecting: Cell::new(0),
            waiting: Cell::new(0),
            failures: Cell::new((0, Reason::ServiceUnreachable)),
            room: Notify::new(),
        })
    }

    /// Whether connections made for it may serve one described like this.
    #[must_use]
    pub fn fits(&self, spec: &ir::ServiceHttp2, only: bool) -> bool {
        self.spec == *spec && self.only == only
    }

    /// A place on a connection that is open, for a request that need not wait for anybody.
    #[must_use]
    pub fn take(self: &Rc<Self>, now: u64, idle_ms: u64) -> Option<Http2Stream> {
        if self.waiting.get() > 0 { None } else { self.place(now, idle_ms) }
    }

    fn place(self: &Rc<Self>, now: u64, idle_ms: u64) -> Option<Http2Stream> {
        let mut links = self.links.borrow_mut();
        links.retain(|link| link.is_open() && !link.is_idle_since(now, idle_ms));
        let lease = links.iter().find_map(|link| link.enter(self));
        lease.map(Http2Stream::new)
    }

    /// A place on a connection, or a connection of its own where the service speaks HTTP/1.1.
    ///
    /// # Errors
    /// Those of [`Endpoint::dial`]; `service_overloaded` where as many wait as have a place.
    pub async fn connect(self: &Rc<Self>, endpoint: &Endpoint, shared: &Shared) -> Result<Stream, Reason> {
        let (seen, _) = self.failures.get();
        let mut waiting = None;
        loop {
            if self.speaks.get() == Speaks::Http1 {
                break;
            }
            if let Some(stream) = self.place(monotonic_ns(), u64::MAX) {
                return Ok(Stream::Http2(Box::new(stream)));
            }
            let (failures, reason) = self.failures.get();
            if waiting.is_some() && failures > seen {
                return Err(reason);
            }
            let (open, connecting) = (self.links.borrow().len(), self.connecting.get());
            let expected = connecting.saturating_mul(self.spec.streams);
            let more = u32::try_from(open).unwrap_or(u32::MAX).saturating_add(connecting) < self.spec.connections;
            // Of those who wait, this one counts already.
            if more && (connecting == 0 || self.waiting.get() > expected) {
                break;
            }
            if waiting.is_none() {
                if self.waiting.get() >= self.spec.connections.saturating_mul(self.spec.streams) {
                    return Err(Reason::ServiceOverloaded);
                }
                waiting = Some(Counted::new(&self.waiting));
                continue;
            }
            self.room.notified().await;
        }
        drop(waiting);
        self.open(endpoint, shared).await
    }

    async fn open(self: &Rc<Self>, endpoint: &Endpoint, shared: &Shared) -> Result<Stream, Reason> {
        let opening = Opening { pool: self, _count: Counted::new(&self.connecting) };
        let opened = self.opened(endpoint, shared).await;
        if let Err(reason) = &opened {
            let (failures, _) = self.failures.get();
            self.failures.set((failures.wrapping_add(1), *reason));
        }
        drop(opening);
        opened
    }

    async fn opened(self: &Rc<Self>, endpoint: &Endpoint, shared: &Shared) -> Result<Stream, Reason> {
        let stream = endpoint.dial(shared).await?;
        if let Stream::Tls(tls) = &stream
            && tls.get_ref().1.alpn_protocol() != Some(b"h2")
        {
            self.speaks.set(if self.only { Speaks::Http2 } else { Speaks::Http1 });
            return if self.only { Err(Reason::ServiceTlsFailed) } else { Ok(stream) };
        }
        self.speaks.set(Speaks::Http2);
        let link = link::open(self, stream, &self.spec).await?;
        // A service that changed its mind may bring one more than there is room for: it serves this request only.
        let lease = link.enter(self);
        let mut links = self.links.borrow_mut();
        if links.len() < usize::try_from(self.spec.connections).unwrap_or(usize::MAX) {
            links.push(link);
        }
        let lease = lease.ok_or(Reason::ServiceOverloaded)?;
        Ok(Stream::Http2(Box::new(Http2Stream::new(lease))))
    }

    /// Lets go of all connections; each ends with the last request under way on it.
    pub fn retire(&self) {
        self.links.borrow_mut().clear();
        self.room.notify_waiters();
    }

    /// Lets go of connections that waited too long; they close by themselves.
    pub fn sweep(&self, now: u64, idle_ms: u64) {
        self.links.borrow_mut().retain(|link| link.is_open() && !link.is_idle_since(now, idle_ms));
    }

    /// A connection takes no more requests, or takes more than before.
    fn changed(&self) {
        self.links.borrow_mut().retain(|link| link.is_open());
        self.room.notify_waiters();
    }

    /// A request has left its place.
    fn left(&self) {
        if self.waiting.get() > 0 {
            self.room.notify_one();
        }
    }
}

/// Whether `since` is longer ago than `idle_ms`.
fn is_over(since: u64, now: u64, idle_ms: u64) -> bool {
    idle_ms != u64::MAX && now > after(since, idle_ms)
}
