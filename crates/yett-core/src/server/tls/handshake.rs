//! One handshake, with a bound on its time and on how many are under way.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::{StartHandshake, TlsStream};

use super::ServerTls;
use super::cause::Cause;
use super::ja4::{self, Ja4};
use crate::certificate::ClientCertificate;
use crate::server::clock::{monotonic_ns, now};
use crate::server::worker::Worker;

/// Bytes of a client hello with its records. The library would hold four times as much; post-quantum key shares need about
/// 1.5 KiB.
const MAX_HELLO: usize = 16 * 1024;
/// Client hellos that wait on one worker at once before handshakes are computed elsewhere.
const CROWD: u32 = 4;

/// How many handshakes of a listener are under way, in the process.
#[derive(Debug)]
pub struct Gate {
    limit: u32,
    permits: Semaphore,
}

impl Gate {
    /// Lets `limit` in at once, in the order in which they come.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            permits: Semaphore::new(usize::try_from(limit).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS)),
        }
    }

    /// Whether it lets so many in.
    #[must_use]
    pub fn is(&self, limit: u32) -> bool {
        self.limit == limit
    }
}

/// What a handshake takes from its listener.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Keys, policy, trust.
    pub tls: ServerTls,
    /// Shared by the listener's handshakes.
    pub gate: Arc<Gate>,
    /// From accept to the end.
    pub time: Duration,
    /// Whether somebody asks what program a client is.
    pub fingerprints: bool,
    /// Whether somebody is refused by it, so that each connection has the hello of a new session.
    pub judged: bool,
}

/// What came of a handshake.
pub struct Done {
    /// The connection.
    pub stream: TlsStream<TcpStream>,
    /// The name that the client asked for, lower case.
    pub sni: Option<Box<str>>,
    /// The certificate that it proved to have.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// What its hello says of the program that sent it.
    pub ja4: Option<Ja4>,
}

/// Handshakes, or counts why not. A client that has not said hello holds no place among those under way.
pub async fn handshake(worker: &Rc<Worker>, stream: TcpStream, terms: &Terms, listener: &str, peer: SocketAddr) -> Option<Done> {
    match attempt(worker, stream, terms).await {
        Ok(done) => Some(done),
        Err(cause) => {
            let shared = &worker.shared;
            if shared.handshake_failures.count(cause, monotonic_ns()) {
                let fields = [("listener", listener), ("cause", cause.code()), ("client", &peer.ip().to_canonical().to_string())];
                shared.events.push("warning", "tls_handshake_failed", &fields);
            }
            None
        }
    }
}

async fn attempt(worker: &Rc<Worker>, stream: TcpStream, terms: &Terms) -> Result<Done, Cause> {
    let end = Instant::now() + terms.time;
    let (hello, ja4) = hello(stream, end, terms.fingerprints).await?;
    let served = terms.tls.has_certificate(hello.client_hello().server_name());
    let permit = match terms.gate.permits.try_acquire() {
        Ok(permit) => permit,
        Err(_) => match timeout_at(end, terms.gate.permits.acquire()).await {
            Ok(Ok(permit)) => permit,
            _ => return Err(Cause::Busy),
        },
    };
    let stream = if is_crowded(&worker.handshakes).await {
        worker.shared.counters.handshakes_elsewhere.increment();
        elsewhere(&worker.shared.service_runtime, finish(hello, terms.tls.clone(), end)).await
    } else {
        finish(hello, terms.tls.clone(), end).await
    };
    let stream = stream.map_err(|cause| if served { cause } else { Cause::NoCertificate })?;
    drop(permit);
    let (_, session) = stream.get_ref();
    let sni = session.server_name().map(|name| name.to_ascii_lowercase().into());
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let client_certificate = match leaf.filter(|_| terms.tls.asks) {
        None => None,
        Some(leaf) => {
            let read = ClientCertificate::read(leaf, terms.tls.trust).map_err(|_| Cause::ClientCertificateInvalid)?;
            // A resumed session was checked when it began.
            let time = now().unix_ms;
            if read.not_after_ms < time {
                return Err(Cause::ClientCertificateExpired);
            }
            if terms.tls.lists_end_ms.is_some_and(|end| end <= time) {
                return Err(Cause::RevocationListExpired);
            }
            Some(Arc::new(read))
        }
    };
    Ok(Done { stream, sni, client_certificate, ja4 })
}

/// Reads the whole client hello, in however many pieces it comes, and its fingerprint where that is asked for.
async fn hello(stream: TcpStream, end: Instant, fingerprint: bool) -> Result<(StartHandshake<TcpStream>, Option<Ja4>), Cause> {
    let kept = fingerprint.then(Vec::new);
    let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), Short { stream, left: MAX_HELLO, kept });
    match timeout_at(end, &mut acceptor).await {
        Ok(Ok(StartHandshake { accepted, io, .. })) => {
            let ja4 = io.kept.as_deref().and_then(ja4::of);
            Ok((StartHandshake::from_parts(accepted, io.stream), ja4))
        }
        Ok(Err(error)) => {
            let short = acceptor.take_io();
            short.iter().for_each(|short| part(&short.stream));
            Err(if short.is_some_and(|short| short.left == 0) { Cause::HelloTooLong } else { Cause::of(&error) })
        }
        Err(_) => Err(Cause::Timeout),
    }
}

/// A connection of which no more than so many bytes are read.
struct Short {
    stream: TcpStream,
    left: usize,
    /// A copy of them, where somebody asks.
    kept: Option<Vec<u8>>,
}

impl AsyncRead for Short {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let mut room = ReadBuf::new(buf.initialize_unfilled_to(self.left.min(buf.remaining())));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        let Self { kept, .. } = &mut *self;
        if let Some(kept) = kept {
            kept.extend_from_slice(room.filled());
        }
        buf.advance(count);
        self.left = self.left.saturating_sub(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Short {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn finish(hello: StartHandshake<TcpStream>, tls: ServerTls, end: Instant) -> Result<TlsStream<TcpStream>, Cause> {
    match timeout_at(end, hello.into_stream(tls.config).into_fallible()).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((error, stream))) => {
            part(&stream);
            Err(Cause::of(&error))
        }
        Err(_) => Err(Cause::Timeout),
    }
}

/// Lets the other tasks of the worker have their turn, and says whether other hellos came up meanwhile: then computing them
/// here one after the other would keep open connections waiting.
async fn is_crowded(waiting: &Cell<u32>) -> bool {
    waiting.set(waiting.get().saturating_add(1));
    let _leaves = Leaves(waiting);
    tokio::task::yield_now().await;
    waiting.get() > CROWD
}

struct Leaves<'a>(&'a Cell<u32>);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Runs it on the service runtime. The socket stays with this worker's reactor; only the computing is done there.
async fn elsewhere<F>(runtime: &Handle, work: F) -> Result<TlsStream<TcpStream>, Cause>
where
    F: Future<Output = Result<TlsStream<TcpStream>, Cause>> + Send + 'static,
{
    // A set, so that the work ends where this connection does.
    let mut one = JoinSet::new();
    one.spawn_on(work, runtime);
    match one.join_next().await {
        Some(Ok(done)) => done,
        _ => Err(Cause::Other),
    }
}

/// Ends a connection so that the client reads the alert: unread bytes would turn the close into a reset.
fn part(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write);
    let mut rest = [0; 4096];
    for _ in 0..4 {
        match stream.try_read(&mut rest) {
            Ok(read) if read > 0 => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
}

impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Done").field("sni", &self.sni).field("client_certificate", &self.client_certificate).finish()
    }
}
