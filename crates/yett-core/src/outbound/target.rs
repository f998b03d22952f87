//! One address that the gateway sends requests of its own to, with the connections that are kept to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use http::header;
use http_body_util::Full;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_rustls::TlsConnector;

use super::address::acceptable;
use super::connection::{Connection, Pool};
use super::fault::Fault;
use super::message::{Limits, Request, Response};
use super::transport::Transport;

/// Requests to one target under way at once, and waiting, where nothing else is said.
const UNDER_WAY: usize = 32;
const WAITING: usize = 256;

/// Where to, decided at load or when a discovery document said so.
pub struct Target {
    tls: Option<(TlsConnector, ServerName<'static>)>,
    host: String,
    port: u16,
    path: String,
    authority: HeaderValue,
    loopback: bool,
    places: Semaphore,
    waiting: AtomicUsize,
    max_waiting: usize,
    pool: Arc<Pool>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl Target {
    /// Of a URL.
    ///
    /// # Errors
    /// What is wrong with the URL, in words for the person who wrote it.
    pub fn new(url: &str, transport: &Transport) -> Result<Self, String> {
        let uri: http::Uri = url.parse().map_err(|_| "the URL cannot be read".to_owned())?;
        let authority = uri.authority().ok_or("the URL names no host")?;
        if authority.as_str().contains('@') {
            return Err("the URL holds a user name; remove it".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match uri.scheme_str() {
            Some("https") => {
                let name =
                    ServerName::try_from(host.clone()).map_err(|_| "the host of the URL is not a valid name".to_owned())?;
                Some((transport.connector()?, name))
            }
            Some("http") if transport.plaintext => None,
            Some("http") => return Err("the URL is plain HTTP; use https, or say `plaintext: \"reason\"`".to_owned()),
            _ => return Err("the URL is not https".to_owned()),
        };
        let port = authority.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let authority =
            HeaderValue::from_str(authority.as_str()).map_err(|_| "the host of the URL is not a valid name".to_owned())?;
        Ok(Self {
            tls,
            host,
            port,
            path,
            authority,
            loopback: transport.loopback,
            places: Semaphore::new(UNDER_WAY),
            waiting: AtomicUsize::new(0),
            max_waiting: WAITING,
            pool: Arc::default(),
        })
    }

    /// Bounds of requests under way at once (at least 1) and of those that wait.
    #[must_use]
    pub fn bounded(mut self, under_way: usize, waiting: usize) -> Self {
        self.places = Semaphore::new(under_way.max(1));
        self.max_waiting = waiting;
        self
    }

    /// Offers only this protocol in handshakes (ALPN).
    #[must_use]
    pub(super) fn speaking(mut self, protocol: &[u8]) -> Self {
        if let Some((connector, _)) = &mut self.tls {
            let mut config = connector.config().as_ref().clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            *connector = TlsConnector::from(Arc::new(config));
        }
        self
    }

    pub(super) const fn tls(&self) -> Option<&(TlsConnector, ServerName<'static>)> {
        self.tls.as_ref()
    }

    pub(super) const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// One request. To be called on the service runtime.
    ///
    /// # Errors
    /// Whatever went wrong, redirects included: they are never followed.
    pub async fn send(&self, request: &Request, limits: Limits) -> Result<Response, Fault> {
        self.within(limits, self.exchange(request, limits.bytes)).await
    }

    /// One exchange, once there is a place for it, within its time.
    pub(super) async fn within<T>(&self, limits: Limits, exchange: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let end = tokio::time::Instant::now() + limits.time;
        // Half of the time at most, so that a crowd never makes the other end look slow.
        let _place = tokio::time::timeout(limits.time / 2, self.place()).await.map_err(|_| Fault::Busy)??;
        let exchanged = tokio::time::timeout_at(end, exchange).await;
        exchanged.map_err(|_| Fault::Timeout(limits.milliseconds()))?
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, Fault> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let _waiting = Waiting::new(self).ok_or(Fault::Busy)?;
        self.places.acquire().await.map_err(|_| Fault::Busy)
    }

    async fn exchange(&self, request: &Request, limit: usize) -> Result<Response, Fault> {
        if let Some(mut kept) = self.pool.take(!request.repeatable) {
            match kept.ask(self.message(request)?, limit).await {
                Ok(response) => {
                    self.pool.put(kept);
                    return Ok(response);
                }
                Err(failed) if failed.unsent || (failed.silent && request.repeatable) => {}
                Err(failed) => return Err(failed.fault),
            }
        }
        let mut fresh = self.open().await?;
        let response = fresh.ask(self.message(request)?, limit).await.map_err(|failed| failed.fault)?;
        self.pool.put(fresh);
        Ok(response)
    }

    fn message(&self, request: &Request) -> Result<http::Request<Full<bytes::Bytes>>, Fault> {
        let mut message = http::Request::new(Full::new(request.body.clone()));
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = self.path.parse().map_err(|_| Fault::Unsendable)?;
        let headers = message.headers_mut();
        headers.clone_from(&request.headers);
        headers.insert(header::HOST, self.authority.clone());
        headers.insert(header::USER_AGENT, HeaderValue::from_static("yett"));
        Ok(message)
    }

    async fn open(&self) -> Result<Connection, Fault> {
        let stream = self.connect().await?;
        // a request is written at once, its answer waited for: nothing to collect
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => Connection::over(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|e| Fault::Tls(e.to_string()))?;
                Connection::over(stream).await
            }
        }
    }

    pub(super) async fn connect(&self) -> Result<TcpStream, Fault> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let addresses: Vec<SocketAddr> = found.map_err(|_| Fault::Unresolved)?.collect();
        // One forbidden address spoils the name: who could add it can add others.
        if let Some(bad) = addresses.iter().find(|address| !acceptable(address.ip(), self.loopback)) {
            return Err(Fault::Forbidden(bad.ip()));
        }
        let mut last = Fault::Unresolved;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Fault::Connect(address, error.kind()),
            }
        }
        Err(last)
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.pool.len()
    }

    #[cfg(test)]
    pub(super) fn ready(&self) -> usize {
        self.pool.ready()
    }
}

/// A place in the queue, given back however the wait ends.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(target: &'a Target) -> Option<Self> {
        let before = target.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(&target.waiting);
        (before < target.max_waiting).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
