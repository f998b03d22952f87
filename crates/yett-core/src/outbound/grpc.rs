//! Unary calls of gRPC over HTTP/2, on one connection that the calls share.
//!
//! The protocol is gRPC's "gRPC over HTTP2": a message is five bytes of prefix and its encoding, and only `grpc-status: 0` in the
//! trailers makes an answer. Nothing is compressed.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Method, Version, header};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;

use super::fault::Fault;
use super::message::Limits;
use super::target::Target;

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// Bytes of an answer's fields at most, decoded.
const HEAD_BYTES: u32 = 32 * 1024;
/// After that long without an acknowledgement a connection is given up, so that dead ones do not add up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// A server of gRPC.
#[derive(Debug)]
pub struct Grpc {
    target: Target,
    /// What calls are made on; replaced when a call on it fails.
    link: Mutex<Option<SendRequest<Bytes>>>,
}

impl Grpc {
    /// Of a target: its path is not used.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target: target.speaking(b"h2"), link: Mutex::new(None) }
    }

    /// Calls `path` (`/package.Service/Method`) with an encoded message, which must be fine to send twice. Returns the
    /// encoded answer. To be called on the service runtime.
    ///
    /// # Errors
    /// Whatever went wrong, another status than OK included.
    pub async fn call(&self, path: &'static str, message: &[u8], limits: Limits) -> Result<Bytes, Fault> {
        let exchange = self.exchange(path, message, limits.bytes, limits.milliseconds());
        let called = self.target.within(limits, exchange).await;
        if let Err(Fault::Timeout(_)) = called {
            // Perhaps nobody is there any more: the next call finds out on a connection of its own.
            *self.link.lock().await = None;
        }
        called
    }

    async fn exchange(&self, path: &'static str, message: &[u8], limit: usize, milliseconds: u64) -> Result<Bytes, Fault> {
        let body = framed(message)?;
        let kept = self.link.lock().await.clone();
        if let Some(kept) = kept {
            match self.ask(kept, path, body.clone(), limit, milliseconds).await {
                Err(Fault::Broken) => {}
                answer => return answer,
            }
        }
        let fresh = self.fresh().await?;
        self.ask(fresh, path, body, limit, milliseconds).await
    }

    /// A new connection, in place of the one that failed.
    async fn fresh(&self) -> Result<SendRequest<Bytes>, Fault> {
        let stream = self.target.connect().await?;
        let _ = stream.set_nodelay(true);
        let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let link = match self.target.tls() {
            None => over(stream).await?,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|e| Fault::Tls(e.to_string()))?;
                over(stream).await?
            }
        };
        *self.link.lock().await = Some(link.clone());
        Ok(link)
    }

    async fn ask(
        &self,
        link: SendRequest<Bytes>,
        path: &'static str,
        body: Bytes,
        limit: usize,
        milliseconds: u64,
    ) -> Result<Bytes, Fault> {
        let broken = |_: h2::Error| Fault::Broken;
        let mut link = link.ready().await.map_err(broken)?;
        let (response, mut sending) = link.send_request(self.head(path, milliseconds)?, false).map_err(broken)?;
        sending.send_data(body, true).map_err(broken)?;
        let response = response.await.map_err(broken)?;
        if response.status() != http::StatusCode::OK {
            return Err(Fault::Status(response.status().as_u16()));
        }
        if let Some(status) = response.headers().get("grpc-status") {
            // Trailers alone: there is no message, whatever the status says.
            return Err(refused(status));
        }
        let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if !kind.starts_with(b"application/grpc") {
            return Err(Fault::Unexpected("is not of the type application/grpc"));
        }
        let mut received = BytesMut::new();
        let mut body = response.into_body();
        while let Some(part) = body.data().await {
            let part = part.map_err(broken)?;
            if received.len().saturating_add(part.len()) > limit.saturating_add(PREFIX) {
                return Err(Fault::TooLarge(limit));
            }
            body.flow_control().release_capacity(part.len()).map_err(broken)?;
            received.extend_from_slice(&part);
        }
        let trailers = body.trailers().await.map_err(broken)?;
        ok(trailers.as_ref())?;
        unframed(received.freeze())
    }

    fn head(&self, path: &'static str, milliseconds: u64) -> Result<http::Request<()>, Fault> {
        let scheme = if self.target.tls().is_some() { "https" } else { "http" };
        let uri = http::Uri::builder().scheme(scheme).authority(self.target.authority().as_bytes()).path_and_query(path);
        http::Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(uri.build().map_err(|_| Fault::Unsendable)?)
            .header(header::TE, "trailers")
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::USER_AGENT, "yett")
            .header("grpc-timeout", format!("{milliseconds}m"))
            .body(())
            .map_err(|_| Fault::Unsendable)
    }
}

async fn over<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: T) -> Result<SendRequest<Bytes>, Fault> {
    let handshake = h2::client::Builder::new().enable_push(false).max_header_list_size(HEAD_BYTES).handshake(stream);
    let (link, connection) = handshake.await.map_err(|_| Fault::Broken)?;
    // It ends when the last call on it has, and nobody keeps it.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(link)
}

fn framed(message: &[u8]) -> Result<Bytes, Fault> {
    let mut frame = BytesMut::with_capacity(PREFIX.saturating_add(message.len()));
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).map_err(|_| Fault::Unsendable)?);
    frame.extend_from_slice(message);
    Ok(frame.freeze())
}

/// The one message of an answer.
fn unframed(mut frame: Bytes) -> Result<Bytes, Fault> {
    let Some((&[compressed, a, b, c, d], message)) = frame.split_first_chunk::<PREFIX>() else {
        return Err(Fault::Unexpected("holds no message"));
    };
    if compressed != 0 {
        return Err(Fault::Encoded);
    }
    if usize::try_from(u32::from_be_bytes([a, b, c, d])) != Ok(message.len()) {
        return Err(Fault::Unexpected("is not one whole message"));
    }
    Ok(frame.split_off(PREFIX))
}

fn ok(trailers: Option<&HeaderMap>) -> Result<(), Fault> {
    match trailers.and_then(|trailers| trailers.get("grpc-status")) {
        Some(status) if status.as_bytes() == b"0" => Ok(()),
        Some(status) => Err(refused(status)),
        None => Err(Fault::Unexpected("ends without a grpc-status")),
    }
}

fn refused(status: &HeaderValue) -> Fault {
    match status.as_bytes() {
        b"4" => Fault::Unexpected("has the grpc-status DEADLINE_EXCEEDED"),
        b"12" => Fault::Unexpected("has the grpc-status UNIMPLEMENTED: the server does not offer this service"),
        b"14" => Fault::Unexpected("has the grpc-status UNAVAILABLE"),
        _ => Fault::Unexpected("has another grpc-status than OK"),
    }
}

#[cfg(test)]
mod tests {
    use super::{framed, ok, unframed};
    use http::HeaderMap;

    #[test]
    fn one_whole_message_and_nothing_else() {
        assert_eq!(&unframed(framed(b"abc").unwrap()).unwrap()[..], b"abc");
        assert_eq!(&unframed(framed(b"").unwrap()).unwrap()[..], b"");
        for bad in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x02a", b"\0\0\0\0\x01ab", b"\x01\0\0\0\x01a"] {
            assert!(unframed(bad.to_vec().into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_a_status_of_zero_is_an_answer() {
        let with = |status: &'static str| HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())]);
        assert!(ok(Some(&with("0"))).is_ok());
        for bad in ["1", "00", "", "0 ", "14"] {
            assert!(ok(Some(&with(bad))).is_err(), "{bad:?}");
        }
        assert!(ok(None).is_err() && ok(Some(&HeaderMap::new())).is_err());
    }
}
