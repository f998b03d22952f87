//! The admin listener: `/healthz`, `/readyz` and `/metrics`, on the service runtime so that neither a busy worker nor a
//! busy interpreter fails a probe; and `/revocations`, for which a bearer token is needed on any address.
//!
//! It is off the data ports and answers no browser: a request with `Origin`, or whose `Host` is a name
//! other than `localhost` (DNS rebinding), is refused before its path is looked at.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::providers::hyper_io::HyperIo;
use crate::revocation::Revocations;
use crate::server::sockets::Bound;

/// Connections at once; more wait in the socket's queue.
const CONNECTIONS: usize = 64;
/// Time for a whole exchange; each connection carries one.
const TIME: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Header fields of a request.
const HEADERS: usize = 64;
/// Bytes of a request's body.
const BODY_BYTES: usize = 72 * 1024;
const REVOCATIONS: &str = "/revocations";

/// What the admin listener asks the gateway.
pub trait Probe: Send + Sync + 'static {
    /// Whether a snapshot is loaded, its listeners are bound, and no drain is under way.
    fn ready(&self) -> bool;
    /// Prometheus text.
    fn metrics(&self) -> String;
    /// What is revoked; nothing once the gateway has ended.
    fn revocations(&self) -> Option<Arc<Revocations>>;
}

/// The digest of the bearer token: comparing digests tells nothing about where two tokens differ.
#[derive(Clone, Copy)]
pub struct Token([u8; 32]);

impl Token {
    /// Of these bytes.
    #[must_use]
    pub fn new(token: &[u8]) -> Self {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, token).as_ref());
        Self(out)
    }

    fn matches(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some((scheme, token)) = authorization.and_then(|value| value.as_bytes().split_at_checked(7)) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && verify_slices_are_equal(&Self::new(token).0, &self.0).is_ok()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A running admin listener; ends when dropped.
#[derive(Debug)]
pub struct Admin {
    bound: Bound,
    token: Arc<RwLock<Option<Token>>>,
    task: Option<JoinHandle<()>>,
}

impl Admin {
    /// Bound, but not listening yet.
    #[must_use]
    pub fn new(bound: Bound, token: Option<Token>) -> Self {
        Self { bound, token: Arc::new(RwLock::new(token)), task: None }
    }

    /// Where it is, with the real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.bound.address
    }

    /// Its socket and its lock.
    #[must_use]
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Another token from now on.
    pub fn set_token(&self, token: Option<Token>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Listens and answers until dropped.
    pub fn serve(&mut self, probe: Arc<dyn Probe>, runtime: &tokio::runtime::Handle) -> Result<(), String> {
        self.bound.listen()?;
        let context = runtime.enter();
        let socket = self
            .bound
            .sockets(0)
            .and_then(|all| {
                all.into_iter().next().map_or_else(|| Err(std::io::ErrorKind::NotFound.into()), TcpListener::from_std)
            })
            .map_err(|error| error.to_string())?;
        drop(context);
        let desk = Arc::new(Desk { probe, token: Arc::clone(&self.token) });
        self.task = Some(runtime.spawn(accept(socket, desk)));
        Ok(())
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Desk {
    probe: Arc<dyn Probe>,
    token: Arc<RwLock<Option<Token>>>,
}

async fn accept(socket: TcpListener, desk: Arc<Desk>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match socket.accept().await {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(TIME, exchange(stream, desk)).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn exchange(stream: TcpStream, desk: Arc<Desk>) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let desk = Arc::clone(&desk);
        async move {
            if desk.is_about_revocations(&request) {
                return Ok::<_, Infallible>(desk.revocations(request).await);
            }
            Ok(desk.answer(&request))
        }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(HyperIo(stream), service)
        .await;
}

impl Desk {
    fn is_about_revocations<B>(&self, request: &Request<B>) -> bool {
        let path = request.uri().path();
        path == REVOCATIONS || path.strip_prefix(REVOCATIONS).is_some_and(|rest| rest.starts_with('/'))
    }

    /// `GET` lists, `POST` revokes, `DELETE /revocations/ID` ends.
    async fn revocations(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if let Some(refused) = self.refuse_strangers(&request) {
            return refused;
        }
        if let Some(refused) = self.refuse_without_token(&request, true) {
            return refused;
        }
        let Some(known) = self.probe.revocations() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping\n");
        };
        let id = request.uri().path().strip_prefix(REVOCATIONS).and_then(|rest| rest.strip_prefix('/')).map(str::to_owned);
        let document = match (request.method().clone(), id) {
            (Method::GET, None) => serde_json::json!({"by": "admin", "list": {}}),
            (Method::DELETE, Some(id)) => serde_json::json!({"by": "admin", "undo": id}),
            (Method::POST, None) => match revoke(request).await {
                Ok(document) => document,
                Err(refused) => return refused,
            },
            (_, id) => {
                let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this method is not allowed here\n");
                let allow = if id.is_some() { "DELETE" } else { "GET, POST" };
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
                return response;
            }
        };
        let outcome = known.serve(document.to_string().as_bytes()).await;
        let mut response = text(StatusCode::from_u16(outcome.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), "");
        *response.body_mut() = Full::new(Bytes::from(outcome.body.to_string()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// Web pages, and names other than this machine's.
    fn refuse_strangers<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        let from_page = request.headers().get_all("sec-fetch-site").iter().any(|v| v != "none" && v != "same-origin");
        if from_page || request.headers().contains_key(header::ORIGIN) {
            return Some(text(StatusCode::FORBIDDEN, "requests from web pages are refused\n"));
        }
        if !host_is_literal(request) {
            return Some(text(StatusCode::MISDIRECTED_REQUEST, "address this listener by its address or as localhost\n"));
        }
        None
    }

    /// Where a token is configured it is asked for; where it is `needed`, nothing goes without one.
    fn refuse_without_token<B>(&self, request: &Request<B>, needed: bool) -> Option<Response<Full<Bytes>>> {
        let token = *self.token.read().unwrap_or_else(PoisonError::into_inner);
        let authorization = request.headers().get(header::AUTHORIZATION);
        match token {
            Some(token) if token.matches(authorization) => None,
            None if needed => Some(text(StatusCode::FORBIDDEN, "set `admin.token`: this is not served without one\n")),
            None => None,
            Some(_) => {
                let mut response = text(StatusCode::UNAUTHORIZED, "a bearer token is needed\n");
                let challenge = HeaderValue::from_static("Bearer realm=\"yett admin\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                Some(response)
            }
        }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if let Some(refused) = self.refuse_strangers(request) {
            return refused;
        }
        let path = request.uri().path();
        if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
            return text(StatusCode::NOT_FOUND, "nothing is served here\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed here\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/metrics" => self.refuse_without_token(request, false).unwrap_or_else(|| self.metrics()),
            "/readyz" if !self.probe.ready() => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            _ => text(StatusCode::OK, "ok\n"),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let mut response = text(StatusCode::OK, "");
        *response.body_mut() = Full::new(Bytes::from(self.probe.metrics()));
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// The document of a POST. `application/json` only: no form of a web page can send that unasked.
async fn revoke(request: Request<Incoming>) -> Result<serde_json::Value, Response<Full<Bytes>>> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send `application/json`\n"));
    }
    let body = Limited::new(request.into_body(), BODY_BYTES).collect().await;
    let body = body.map_err(|_| text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or broke off\n"))?;
    let ask: serde_json::Value =
        serde_json::from_slice(&body.to_bytes()).map_err(|_| text(StatusCode::BAD_REQUEST, "the body is not JSON\n"))?;
    Ok(serde_json::json!({"by": "admin", "revoke": ask}))
}

fn host_is_literal<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(authority) = host.to_str().unwrap_or_default().parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    // `Authority` lets `[::1].example` pass as the host `[::1]`.
    let rest = authority.as_str().strip_prefix(name);
    let whole = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
    whole && (name.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok())
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(bool);
    impl Probe for Fixed {
        fn ready(&self) -> bool {
            self.0
        }
        fn metrics(&self) -> String {
            "m 1\n".to_owned()
        }
        fn revocations(&self) -> Option<Arc<Revocations>> {
            None
        }
    }

    fn status(desk: &Desk, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        desk.answer(&request.body(()).unwrap()).status().as_u16()
    }

    fn desk(ready: bool, token: Option<&[u8]>) -> Desk {
        Desk { probe: Arc::new(Fixed(ready)), token: Arc::new(RwLock::new(token.map(Token::new))) }
    }

    #[test]
    fn paths_and_methods() {
        let desk = desk(false, None);
        let host = ("host", "127.0.0.1:9901");
        for (method, path, expected) in [
            ("GET", "/healthz", 200),
            ("HEAD", "/healthz", 200),
            ("GET", "/readyz", 503),
            ("GET", "/metrics", 200),
            ("POST", "/metrics", 405),
            ("GET", "/", 404),
            ("DELETE", "/config", 404),
            ("GET", "/healthz/", 404),
        ] {
            assert_eq!(status(&desk, method, path, &[host]), expected, "{method} {path}");
        }
    }

    #[test]
    fn web_pages_and_foreign_names_are_refused() {
        let desk = desk(true, None);
        for (host, expected) in [
            ("localhost:9901", 200),
            ("[::1]:9901", 200),
            ("10.0.0.1", 200),
            ("evil.example", 421),
            ("127.0.0.1.evil.example:9901", 421),
            ("127.0.0.1@evil.example", 421),
            ("", 421),
        ] {
            assert_eq!(status(&desk, "GET", "/readyz", &[("host", host)]), expected, "{host}");
        }
        assert_eq!(status(&desk, "GET", "/readyz", &[]), 421);
        assert_eq!(status(&desk, "GET", "/readyz", &[("host", "localhost"), ("host", "evil.example")]), 421);
        assert_eq!(status(&desk, "GET", "/metrics", &[("host", "localhost"), ("origin", "http://localhost")]), 403);
    }

    #[test]
    fn metrics_ask_for_the_token_and_probes_do_not() {
        let desk = desk(true, Some(b"right"));
        let host = ("host", "localhost");
        assert_eq!(status(&desk, "GET", "/readyz", &[host]), 200);
        for (value, expected) in
            [("Bearer right", 200), ("bearer right", 200), ("Bearer wrong", 401), ("right", 401), ("Basic right", 401)]
        {
            assert_eq!(status(&desk, "GET", "/metrics", &[host, ("authorization", value)]), expected, "{value}");
        }
        assert_eq!(status(&desk, "GET", "/metrics", &[host]), 401);
        assert!(!format!("{:?}", Token::new(b"right")).contains("114"));
    }
}
