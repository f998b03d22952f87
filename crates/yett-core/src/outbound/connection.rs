//! One connection to an identity provider, and the few that are kept for the next request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{Builder, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fault::Fault;
use super::message::Response;
use crate::providers::hyper_io::HyperIo;

/// Connections to one target that are kept at most.
const IDLE_MAX: usize = 8;
/// How long one is kept at most.
const IDLE_TIME: Duration = Duration::from_secs(30);
/// How long one may have been idle for a request that must not be sent twice: a server that closes it at that very
/// moment makes the request fail.
const IDLE_TIME_ONCE: Duration = Duration::from_secs(1);
/// Bytes of an answer's head at most.
const HEAD_BYTES: usize = 32 * 1024;

/// A connection on which one request at a time is under way.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Moves its bytes; aborted, and the connection closed, when this is dropped.
    _driver: JoinSet<()>,
    /// How long it may be kept.
    keep: Duration,
}

/// An exchange that failed, and whether asking anew on another connection may help.
pub(super) struct Failed {
    pub fault: Fault,
    /// The request was not sent.
    pub unsent: bool,
    /// Nothing was answered.
    pub silent: bool,
}

impl Connection {
    pub(super) async fn over<T>(stream: T) -> Result<Self, Fault>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = Builder::new().max_buf_size(HEAD_BYTES).handshake(HyperIo(stream));
        let (sender, connection) = handshake.await.map_err(|_| Fault::Broken)?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // what went wrong is told to whoever asks on it
            let _ = connection.await;
        });
        Ok(Self { sender, _driver: driver, keep: IDLE_TIME })
    }

    /// One request, and the whole answer of at most `limit` bytes.
    pub(super) async fn ask(&mut self, request: http::Request<Full<Bytes>>, limit: usize) -> Result<Response, Failed> {
        let failed = |fault| Failed { fault, unsent: false, silent: false };
        let mut response = match self.sender.try_send_request(request).await {
            Ok(response) => response,
            Err(mut error) => {
                return Err(Failed { fault: Fault::Broken, unsent: error.take_message().is_some(), silent: true });
            }
        };
        let status = response.status();
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            return Err(failed(Fault::Redirect(status.as_u16())));
        }
        if response.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(failed(Fault::Encoded));
        }
        self.keep = kept_by_the_other_end(response.headers());
        let mut body = Vec::new();
        while let Some(frame) = response.body_mut().frame().await {
            if let Ok(data) = frame.map_err(|_| failed(Fault::Broken))?.into_data() {
                if body.len().saturating_add(data.len()) > limit {
                    return Err(failed(Fault::TooLarge(limit)));
                }
                body.extend_from_slice(&data);
            }
        }
        Ok(Response { status, headers: std::mem::take(response.headers_mut()), body })
    }
}

/// A little less than what `Keep-Alive: timeout=N` says (RFC 2068 section 19.7.1.1), and never more than our own bound.
fn kept_by_the_other_end(headers: &HeaderMap) -> Duration {
    let text = headers.get("keep-alive").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let seconds = text.split(',').find_map(|part| part.trim().strip_prefix("timeout=")?.parse::<u64>().ok());
    seconds.map_or(IDLE_TIME, |seconds| Duration::from_secs(seconds.saturating_sub(1)).min(IDLE_TIME))
}

/// Connections that are kept for the next request.
#[derive(Default)]
pub(super) struct Pool(Mutex<Idle>);

#[derive(Default)]
struct Idle {
    /// With the moment from which each is kept; the oldest first.
    kept: VecDeque<(Instant, Connection)>,
    /// Whether a task waits to close them.
    swept: bool,
}

impl Pool {
    /// One that is ready, the youngest first. `once`: for a request that must not be sent twice.
    pub(super) fn take(&self, once: bool) -> Option<Connection> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while let Some((since, connection)) = idle.kept.pop_back() {
            let longest = if once { connection.keep.min(IDLE_TIME_ONCE) } else { connection.keep };
            if connection.sender.is_ready() && now.saturating_duration_since(since) < longest {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps one; closes it where there are enough, or where the other end does.
    pub(super) fn put(self: &Arc<Self>, connection: Connection) {
        if connection.sender.is_closed() || connection.keep.is_zero() {
            return;
        }
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.kept.len() >= IDLE_MAX {
            idle.kept.pop_front();
        }
        idle.kept.push_back((Instant::now(), connection));
        if !idle.swept {
            idle.swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what was kept long enough. When the next one is due, or nothing where none is left.
    fn close_old(&self) -> Option<Instant> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        idle.kept.retain(|(since, connection)| !connection.sender.is_closed() && *since + connection.keep > now);
        let next = idle.kept.iter().map(|(since, connection)| *since + connection.keep).min();
        idle.swept = next.is_some();
        next
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().kept.len()
    }

    #[cfg(test)]
    pub(super) fn ready(&self) -> usize {
        self.0.lock().unwrap().kept.iter().filter(|(_, connection)| connection.sender.is_ready()).count()
    }
}

async fn sweep(pool: std::sync::Weak<Pool>) {
    // The upgraded reference is gone before the pause, so that this task keeps no pool alive.
    while let Some(next) = pool.upgrade().and_then(|pool| pool.close_old()) {
        tokio::time::sleep_until(next).await;
    }
}
