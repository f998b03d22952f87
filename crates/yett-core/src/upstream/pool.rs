//! One endpoint of a service on one worker: its idle connections and how to make new ones.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::health::Watch;
use super::http2::Http2Pool;
use super::network::is_special;
use super::resolve::Host;
use super::stream::Stream;
use super::tls::{Identity, ServiceTls};
use super::tls_cause::TlsCause;
use crate::ir;
use crate::reason::Reason;
use crate::resilience::breaker::Breaker;
use crate::server::clock::monotonic_ns;
use crate::server::deadline::after;
use crate::shared::Shared;

/// How long an endpoint that could not be reached is tried last.
const AVOID_MS: u64 = 1_000;
/// How long one of several addresses may take to answer before the next one is tried.
const NEXT_ADDRESS: Duration = Duration::from_millis(500);

/// What became of one use of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// A new connection is there.
    Connected,
    /// No connection could be made: refused, not resolved, no TLS, not in time.
    ConnectFailed,
    /// The head of an answer came, with this status.
    Answered(u16),
    /// The connection ended before an answer.
    Reset,
    /// No answer in time.
    TimedOut,
    /// Something came that is no answer.
    Invalid,
}

impl Report {
    /// Of a failure, where it is the endpoint's.
    #[must_use]
    pub fn of(reason: Reason) -> Option<Self> {
        match reason {
            Reason::ServiceReset => Some(Self::Reset),
            Reason::ServiceTimeout => Some(Self::TimedOut),
            Reason::ServiceResponseInvalid => Some(Self::Invalid),
            _ => None,
        }
    }
}

/// One endpoint of a service.
#[derive(Debug)]
pub struct Endpoint {
    /// `host:port`, for logs.
    pub label: Arc<str>,
    /// The Host field of `host: endpoint`: without a port that is the scheme's own.
    pub host: Box<[u8]>,
    spec: ir::Endpoint,
    at: Host,
    /// The changes of its addresses that its idle connections are known to have outlived.
    seen: Cell<u32>,
    /// Whose turn it is among its addresses.
    turn: Cell<usize>,
    identity: Option<Identity>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Where HTTP/2 is spoken.
    http2: Option<Rc<Http2Pool>>,
    idle: RefCell<VecDeque<(Stream, u64)>>,
    bounds: Cell<(usize, u64)>,
    /// Requests under way.
    active: Cell<u32>,
    /// Tried last until then.
    avoid_until: Cell<u64>,
    /// What hears of its outcomes.
    watch: RefCell<Option<Watch>>,
    /// Shared by the workers; where the service has circuit breakers.
    breaker: RefCell<Option<Arc<Breaker>>>,
}

impl Endpoint {
    /// An endpoint without connections. `None` where it speaks TLS and nothing to verify it with was built.
    #[must_use]
    pub fn new(spec: &ir::Endpoint, at: Host, tls: Option<&ServiceTls>, speaks: &ir::Speaks) -> Option<Self> {
        let tls = if spec.tls {
            let tls = tls?;
            Some((tls.config.clone(), server_name(spec, tls)?, tls.identity))
        } else {
            None
        };
        Some(Self {
            label: label(spec).into(),
            host: endpoint_host(spec).into_bytes().into(),
            spec: spec.clone(),
            seen: Cell::new(at.changes()),
            at,
            turn: Cell::new(0),
            identity: tls.as_ref().map(|(_, _, identity)| *identity),
            tls: tls.map(|(config, name, _)| (config, name)),
            http2: speaks.http2().map(|(http2, only)| Http2Pool::new(http2, only)),
            idle: RefCell::default(),
            bounds: Cell::new((0, 0)),
            active: Cell::new(0),
            avoid_until: Cell::new(0),
            watch: RefCell::default(),
            breaker: RefCell::default(),
        })
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.spec.tls
    }

    /// Whether connections made for `self` may serve an endpoint described like this.
    #[must_use]
    pub fn fits(&self, spec: &ir::Endpoint, at: &Host, tls: Option<&ServiceTls>, speaks: &ir::Speaks) -> bool {
        let same = match (&self.http2, speaks.http2()) {
            (Some(pool), Some((http2, only))) => pool.fits(http2, only),
            (None, None) => true,
            _ => false,
        };
        same && self.at.is(at) && self.spec.is_same_address(spec) && self.identity == tls.filter(|_| spec.tls).map(|t| t.identity)
    }

    /// Idle connections kept, and for how many milliseconds.
    pub fn set_bounds(&self, connections: u32, idle_ms: u64) {
        self.bounds.set((usize::try_from(connections).unwrap_or(usize::MAX), idle_ms));
    }

    /// What hears of its outcomes.
    pub fn set_watch(&self, watch: Option<Watch>) {
        self.watch.replace(watch);
    }

    /// The circuit breaker from now on.
    pub fn set_breaker(&self, breaker: Option<Arc<Breaker>>) {
        self.breaker.replace(breaker);
    }

    /// The circuit breaker, where the service has them.
    #[must_use]
    pub fn breaker(&self) -> Option<Arc<Breaker>> {
        self.breaker.borrow().clone()
    }

    /// Requests under way.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.get()
    }

    /// Whether it could be reached lately, as far as this worker knows, and its circuit is not open.
    #[must_use]
    pub fn is_preferred(&self, now: u64) -> bool {
        now >= self.avoid_until.get() && self.breaker.borrow().as_ref().is_none_or(|breaker| breaker.admits(now))
    }

    /// Counts a request until the guard is dropped.
    #[must_use]
    pub fn enter(self: &Rc<Self>) -> Active {
        self.active.set(self.active.get().saturating_add(1));
        Active(self.clone())
    }

    /// The connection used last that is still open and quiet.
    pub fn take_idle(&self, now: u64) -> Option<Stream> {
        let (_, idle_ms) = self.bounds.get();
        self.leave_addresses();
        if let Some(stream) = self.http2.as_ref().and_then(|pool| pool.take(now, idle_ms)) {
            return Some(Stream::Http2(Box::new(stream)));
        }
        let mut idle = self.idle.borrow_mut();
        while let Some((mut stream, since)) = idle.pop_back() {
            if now > after(since, idle_ms) {
                idle.clear();
                return None;
            }
            if stream.is_quiet() {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection whose last answer was read to its end. One of HTTP/2 stays in its pool anyway.
    pub fn keep(&self, stream: Stream, now: u64) {
        if matches!(stream, Stream::Http2(_)) || (self.at.changes() != 0 && !self.is_current(&stream)) {
            return;
        }
        let (connections, _) = self.bounds.get();
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= connections {
            idle.pop_front();
        }
        if idle.len() < connections {
            idle.push_back((stream, now));
        }
    }

    /// Closes connections that waited too long.
    pub fn sweep(&self, now: u64) {
        let (_, idle_ms) = self.bounds.get();
        self.leave_addresses();
        let mut idle = self.idle.borrow_mut();
        while idle.front().is_some_and(|(_, since)| now > after(*since, idle_ms)) {
            idle.pop_front();
        }
        idle.retain_mut(|(stream, _)| stream.is_quiet());
        if let Some(pool) = &self.http2 {
            pool.sweep(now, idle_ms);
        }
    }

    /// Lets go of connections to addresses that its name has lost; requests under way on them go on.
    fn leave_addresses(&self) {
        let changes = self.at.changes();
        if self.seen.replace(changes) == changes {
            return;
        }
        self.idle.borrow_mut().retain(|(stream, _)| self.is_current(stream));
        if let Some(pool) = &self.http2 {
            pool.retire();
        }
    }

    /// Whether its name still leads where this connection does.
    fn is_current(&self, stream: &Stream) -> bool {
        let known = self.at.known();
        stream.peer().is_some_and(|peer| known.contains(&peer)) && !known.iter().any(|address| is_special(*address))
    }

    /// A connection, or a place on one.
    ///
    /// # Errors
    /// Those of [`Self::dial`]; `service_overloaded` where too many wait for a place.
    pub async fn connect(&self, shared: &Shared) -> Result<Stream, Reason> {
        match &self.http2 {
            Some(pool) => pool.connect(self, shared).await,
            None => self.dial(shared).await,
        }
    }

    /// Resolves, connects to one address after the other and shakes hands.
    ///
    /// # Errors
    /// `service_unreachable`, `service_address_forbidden`, `service_tls_failed`.
    pub async fn dial(&self, shared: &Shared) -> Result<Stream, Reason> {
        let tcp = self.connect_tcp(shared).await?;
        match &self.tls {
            None if self.spec.tls => Err(Reason::ServiceTlsFailed),
            None => Ok(Stream::Plain(tcp)),
            Some((config, name)) => {
                let connected = TlsConnector::from(config.clone()).connect(name.clone(), tcp).await;
                let tls = connected.map_err(|error| self.tls_failed(&error, shared))?;
                Ok(Stream::Tls(Box::new(tls)))
            }
        }
    }

    /// Resolves and connects to one address after the other.
    ///
    /// # Errors
    /// `service_unreachable`, `service_address_forbidden`.
    pub async fn connect_tcp(&self, shared: &Shared) -> Result<TcpStream, Reason> {
        let addresses = shared.network.resolve(&self.at, self.spec.port).await?;
        let turn = self.turn.get() % addresses.len().max(1);
        self.turn.set(turn + 1);
        let tcp = connect_any(&addresses, turn, self.spec.port).await.ok_or(Reason::ServiceUnreachable)?;
        // Small requests leave at once; a socket that refuses the option still works.
        let _ = tcp.set_nodelay(true);
        Ok(tcp)
    }

    fn tls_failed(&self, error: &std::io::Error, shared: &Shared) -> Reason {
        let cause = TlsCause::of(error);
        if shared.service_tls_failures.count(cause, monotonic_ns()) {
            let fields = [("endpoint", &*self.label), ("cause", cause.code())];
            shared.events.push("warning", "service_tls_failed", &fields);
        }
        Reason::ServiceTlsFailed
    }

    /// Notes what became of one use. A kept connection that turns out to be closed is none.
    pub fn report(&self, report: Report, now: u64) {
        if report == Report::ConnectFailed {
            self.avoid_until.set(after(now, AVOID_MS));
        }
        if let Some(watch) = &*self.watch.borrow() {
            watch.observe(report, now);
        }
    }
}

/// Name or address, an IPv6 one in brackets.
fn bracketed(spec: &ir::Endpoint) -> String {
    if spec.host.contains(':') { format!("[{}]", spec.host) } else { spec.host.clone() }
}

/// `host:port`.
pub(super) fn label(spec: &ir::Endpoint) -> String {
    format!("{}:{}", bracketed(spec), spec.port)
}

/// The Host field of `host: endpoint`.
pub(super) fn endpoint_host(spec: &ir::Endpoint) -> String {
    let default_port = if spec.tls { 443 } else { 80 };
    if spec.port == default_port { bracketed(spec) } else { label(spec) }
}

/// The name that its certificate has to carry.
pub(super) fn server_name(spec: &ir::Endpoint, tls: &ServiceTls) -> Option<ServerName<'static>> {
    tls.server_name.clone().or_else(|| ServerName::try_from(spec.host.clone()).ok())
}

/// The first address that takes a connection, beginning with the one whose turn it is. One that says nothing is given up
/// after a while, where there are others.
pub(super) async fn connect_any(addresses: &[IpAddr], turn: usize, port: u16) -> Option<TcpStream> {
    let count = addresses.len();
    for (tried, address) in addresses.iter().cycle().skip(turn).take(count).enumerate() {
        let connecting = TcpStream::connect(SocketAddr::new(*address, port));
        let connected =
            if tried + 1 < count { tokio::time::timeout(NEXT_ADDRESS, connecting).await.ok() } else { Some(connecting.await) };
        if let Some(Ok(stream)) = connected {
            return Some(stream);
        }
    }
    None
}

/// A request under way at an endpoint.
#[derive(Debug)]
pub struct Active(Rc<Endpoint>);

impl Active {
    /// Whose it is.
    #[must_use]
    pub fn endpoint(&self) -> &Rc<Endpoint> {
        &self.0
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get().saturating_sub(1));
    }
}
