//! Accepting connections on one listener of one worker, and letting them go.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinError, JoinSet};

use super::connection;
use super::http2;
use super::passthrough::Passthrough;
use super::per_address::{Held, PerAddress};
use super::proxy_protocol::ProxyProtocol;
use super::sockets::Bound;
use super::spread::{Moved, Ticket};
use super::tls::handshake::{Terms, handshake};
use super::worker::Worker;
use crate::exchange::{ConnectionInfo, Refusal};
use crate::problem::{self, ProblemContext};
use crate::reason::Reason;
use crate::shared::Counter;

/// Pause after an error that the next `accept` would meet again (no descriptors, no memory).
const BACK_OFF: Duration = Duration::from_millis(50);
/// Shortest pause between two events about such errors, per listener and worker.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// What one configuration says of a listener; shared by the workers.
#[derive(Debug)]
pub struct Settings {
    /// Name. Pointer-equal over reloads while connections made before may live on.
    pub name: Arc<str>,
    /// Its sockets.
    pub bound: Arc<Bound>,
    /// TLS, or plain HTTP.
    pub tls: Option<Terms>,
    /// What is passed on unopened.
    pub passthrough: Option<Arc<Passthrough>>,
    /// Who announces clients with the PROXY protocol.
    pub proxy: Option<Arc<ProxyProtocol>>,
    /// Time for a TLS handshake, and for the PROXY protocol header before it.
    pub handshake: Duration,
    /// How long what was sent may stay unread; then the system resets the connection, also one that is closed already and
    /// would hold kernel memory for a client that reads nothing (TCP_USER_TIMEOUT).
    pub unread: Duration,
    /// Open connections, for the process.
    pub connections: usize,
    /// Open connections of one address.
    pub per_address: Option<Arc<PerAddress>>,
    /// How long connections may live on once the listener goes.
    pub drain: Duration,
}

/// One socket of a listener on one worker.
#[derive(Debug)]
pub struct LocalListener {
    /// Which worker.
    worker: usize,
    /// What new connections are told; swapped by `apply`.
    pub settings: RefCell<Arc<Settings>>,
    stop: Notify,
}

impl LocalListener {
    /// Not accepting yet: run [`accept`].
    #[must_use]
    pub fn new(worker: usize, settings: Arc<Settings>) -> Self {
        Self { worker, settings: RefCell::new(settings), stop: Notify::new() }
    }

    /// Accepts no more; what is open drains.
    pub fn stop(&self) {
        self.stop.notify_one();
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }
}

/// Accepts until the listener is stopped, then waits for its connections, at most as long as its drain may take.
/// `mailbox` has what other workers hand over.
pub async fn accept(worker: Rc<Worker>, listener: Rc<LocalListener>, socket: TcpListener, mut mailbox: Option<Receiver<Moved>>) {
    let mut connections = JoinSet::new();
    let mut complained = None;
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => place(&worker, &listener, stream, &mut connections),
                Err(error) => back_off(&worker, &listener, &error, &mut complained).await,
            },
            Some(moved) = handed(&mut mailbox) => take(&worker, &listener, moved, &mut connections),
            Some(ended) = connections.join_next() => reap(&worker, ended),
            () = listener.stop.notified() => break,
        }
    }
    // Closing a socket resets what waits in its queue.
    while let Some(Ok((stream, _))) = futures_now(socket.accept()).await {
        place(&worker, &listener, stream, &mut connections);
    }
    if let Some(mailbox) = &mut mailbox {
        mailbox.close();
    }
    while let Some(moved) = handed(&mut mailbox).await {
        take(&worker, &listener, moved, &mut connections);
    }
    let drain = listener.settings().drain;
    // Both hold the socket: one left open would queue connections that nobody accepts.
    drop((socket, listener));
    let all = async {
        while let Some(ended) = connections.join_next().await {
            reap(&worker, ended);
        }
    };
    if worker.draining.get() {
        // The worker has the deadline, and counts what it cuts.
        all.await;
    } else {
        let _ = tokio::time::timeout(drain, all).await;
    }
}

async fn handed(mailbox: &mut Option<Receiver<Moved>>) -> Option<Moved> {
    match mailbox {
        Some(mailbox) => mailbox.recv().await,
        None => None,
    }
}

/// The output of `future` if it is there at once.
async fn futures_now<F: Future>(future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}

async fn back_off(worker: &Worker, listener: &LocalListener, error: &std::io::Error, complained: &mut Option<Instant>) {
    // These concern one connection that is gone already (accept(2)).
    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted) {
        return;
    }
    worker.shared.counters.accept_errors.increment();
    if complained.is_none_or(|last: Instant| last.elapsed() >= COMPLAIN_EVERY) {
        *complained = Some(Instant::now());
        let (name, detail) = (Arc::clone(&listener.settings().name), error.to_string());
        worker.shared.events.push("error", "accept_failed", &[("listener", &name), ("detail", &detail)]);
    }
    tokio::time::sleep(BACK_OFF).await;
}

fn reap(worker: &Worker, ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        worker.shared.counters.connection_panics.increment();
        worker.shared.events.push("error", "connection_panicked", &[("detail", "a bug in the gateway ended one connection")]);
    }
}

/// Serves a connection here, or hands it to the worker that has clearly fewer.
fn place(worker: &Rc<Worker>, listener: &LocalListener, mut stream: TcpStream, connections: &mut JoinSet<()>) {
    let settings = listener.settings();
    let spread = &settings.bound.spread;
    let target = spread.place(listener.worker);
    if target != listener.worker {
        let Ok(free) = stream.into_std() else { return };
        let Err(kept) = spread.hand_over(target, free) else {
            worker.shared.counters.connections_moved.increment();
            return;
        };
        let Ok(back) = TcpStream::from_std(kept) else { return };
        stream = back;
    }
    let ticket = spread.ticket(listener.worker);
    admit(worker, &settings, stream, ticket, connections);
}

fn take(worker: &Rc<Worker>, listener: &LocalListener, moved: Moved, connections: &mut JoinSet<()>) {
    if let Ok(stream) = TcpStream::from_std(moved.stream) {
        admit(worker, &listener.settings(), stream, moved.ticket, connections);
    }
}

fn admit(worker: &Rc<Worker>, settings: &Arc<Settings>, stream: TcpStream, ticket: Ticket, connections: &mut JoinSet<()>) {
    let Ok(peer) = stream.peer_addr() else { return };
    let mut open = Open::new(worker, ticket);
    let speaks_http = settings.tls.is_none() && settings.passthrough.is_none();
    if open.ticket.before >= settings.connections {
        return refuse(worker, stream, speaks_http, &worker.shared.connections_refused.listener);
    }
    // Behind a balancer it is not known yet who the client is; who is none is a client, whatever it says.
    let announces = settings.proxy.as_ref().is_some_and(|proxy| proxy.trusts(peer.ip()));
    if !announces && !open.hold(settings.per_address.as_deref(), peer) {
        return refuse(worker, stream, speaks_http, &worker.shared.connections_refused.address);
    }
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(settings.unread));
    let info = ConnectionInfo {
        peer,
        listener: Arc::clone(&settings.name),
        tls: settings.tls.is_some(),
        sni: None,
        client_certificate: None,
        ja4: None,
    };
    if settings.proxy.is_some() {
        connections.spawn_local(announced(open, stream, info, Arc::clone(settings)));
        return;
    }
    if let Some(passthrough) = &settings.passthrough {
        let passthrough = Arc::clone(passthrough);
        connections.spawn_local(passed(open, stream, info, passthrough));
        return;
    }
    match &settings.tls {
        None => connections.spawn_local(plain(open, stream, info)),
        Some(terms) => connections.spawn_local(encrypted(open, stream, info, terms.clone())),
    };
}

/// First who the client is, then as any other connection.
async fn announced(mut open: Open, mut stream: TcpStream, mut info: ConnectionInfo, settings: Arc<Settings>) {
    let Some(proxy) = &settings.proxy else { return };
    let worker = Rc::clone(&open.worker);
    let shared = &worker.shared;
    let announces = proxy.trusts(info.peer.ip());
    let identified = Box::pin(proxy.identify(&mut stream, info.peer, settings.handshake, shared, &info.listener)).await;
    let Some(peer) = identified else { return };
    info.peer = peer;
    if announces && !open.hold(settings.per_address.as_deref(), peer) {
        let speaks_http = settings.tls.is_none() && settings.passthrough.is_none();
        return refuse(&worker, stream, speaks_http, &shared.connections_refused.address);
    }
    let (tls, passthrough) = (settings.tls.clone(), settings.passthrough.clone());
    // What the configuration says of the listener is not kept for as long as the connection lives.
    drop((settings, worker));
    match (passthrough, tls) {
        (Some(passthrough), _) => passed(open, stream, info, passthrough).await,
        (None, None) => plain(open, stream, info).await,
        (None, Some(terms)) => encrypted(open, stream, info, terms).await,
    }
}

/// Unopened.
async fn passed(open: Open, stream: TcpStream, info: ConnectionInfo, passthrough: Arc<Passthrough>) {
    Box::pin(passthrough.serve(&open.worker, stream, &info)).await;
}

async fn plain(open: Open, stream: TcpStream, info: ConnectionInfo) {
    let worker = Rc::clone(&open.worker);
    match Box::pin(http2::is_prior_knowledge(&worker, &stream, &info)).await {
        None => {}
        // Boxed: connections of HTTP/1.1 do not carry the room.
        Some(true) => Box::pin(http2::serve(worker, stream, Rc::new(info))).await,
        Some(false) => connection::serve(worker, stream, Rc::new(info)).await,
    }
}

async fn encrypted(open: Open, stream: TcpStream, mut info: ConnectionInfo, terms: Terms) {
    // Boxed: an idle connection does not carry the room for its handshake.
    let done = Box::pin(handshake(&open.worker, stream, &terms, &info.listener, info.peer)).await;
    // The gate and the keys are the handshake's.
    drop(terms);
    let Some(done) = done else { return };
    info.sni = done.sni;
    info.client_certificate = done.client_certificate;
    info.ja4 = done.ja4;
    let worker = Rc::clone(&open.worker);
    if done.stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        Box::pin(http2::serve(worker, done.stream, Rc::new(info))).await;
    } else {
        connection::serve(worker, done.stream, Rc::new(info)).await;
    }
}

/// Closes a connection that is one too many, and counts it.
fn refuse(worker: &Worker, stream: TcpStream, speaks_http: bool, counter: &Counter) {
    counter.increment();
    worker.recorder.metrics().refused(Reason::ConnectionLimit);
    if speaks_http {
        turn_away(stream);
    }
}

/// Says 503 without reading a request: the client sees a reason, and nothing is kept for it.
fn turn_away(stream: TcpStream) {
    let answer = problem::render(&Refusal::from(Reason::ConnectionLimit), &ProblemContext::default());
    let mut head = format!(
        "HTTP/1.1 {} Service Unavailable\r\nConnection: close\r\nContent-Length: {}\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&answer.body);
    // A new socket's send buffer takes it whole; what the client sent is read so that the close is no reset.
    let _ = stream.try_write(&bytes);
    let _ = socket2::SockRef::from(&stream).shutdown(std::net::Shutdown::Write);
    let _ = stream.try_read(&mut [0; 4096]);
}

/// One open connection, counted while it lives. It keeps no socket of the listener open.
struct Open {
    worker: Rc<Worker>,
    ticket: Ticket,
    /// Its place among those of its address.
    held: Option<Held>,
}

impl Open {
    fn new(worker: &Rc<Worker>, ticket: Ticket) -> Self {
        let metrics = worker.recorder.metrics();
        metrics.connections.add(1);
        metrics.open.add(1);
        Self { worker: Rc::clone(worker), ticket, held: None }
    }

    /// Takes a place among the connections of the address, once it is known; false where it has as many as it may.
    fn hold(&mut self, cap: Option<&PerAddress>, peer: SocketAddr) -> bool {
        let Some(cap) = cap else { return true };
        match cap.admit(peer.ip()) {
            Some(held) => {
                self.held = held;
                true
            }
            None => false,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.worker.recorder.metrics().open.sub(1);
    }
}
