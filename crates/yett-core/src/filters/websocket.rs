//! WebSocket connections (RFC 6455): which upgrades a route takes, from which origins, and for how long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::exchange::{Exchange, Framing, Method, Refusal, ResponseHead, Upgrade, Version};
use crate::headers::{Headers, Known};
use crate::ir;
use crate::reason::Reason;

/// What a key is hashed with (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY: &[u8] = b"sec-websocket-key";
const VERSION: &[u8] = b"sec-websocket-version";
const PROTOCOL: &[u8] = b"sec-websocket-protocol";
const EXTENSIONS: &[u8] = b"sec-websocket-extensions";

/// Connections that are open now, by route; the counts outlive a reload.
#[derive(Debug, Default)]
pub struct OpenConnections(Mutex<BTreeMap<Box<str>, Weak<AtomicU32>>>);

impl OpenConnections {
    fn of(&self, route: &str) -> Arc<AtomicU32> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, count| count.strong_count() > 0);
        counts.get(route).and_then(Weak::upgrade).unwrap_or_else(|| {
            let count = Arc::new(AtomicU32::new(0));
            counts.insert(route.into(), Arc::downgrade(&count));
            count
        })
    }
}

/// One open connection, counted while it lives.
#[derive(Debug)]
pub struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Compiled `websocket`.
#[derive(Debug)]
pub struct WebSocket {
    origins: ir::Origins,
    /// Longest time without a byte either way, in milliseconds.
    pub idle_ms: u64,
    /// Bytes of one message, as it is sent.
    pub message: u64,
    connections: u32,
    open: Arc<AtomicU32>,
}

impl WebSocket {
    /// For the route of this name.
    ///
    /// # Errors
    /// An origin that no browser would send.
    pub fn build(spec: &ir::WebSocket, route: &str, open: &OpenConnections) -> Result<Self, String> {
        if let ir::Origins::Listed(origins) = &spec.origins {
            for origin in origins {
                let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
                let lower =
                    rest.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b':' | b'[' | b']' | b'_'));
                if rest.is_empty() || !lower {
                    return Err(format!("`{origin}` is not an origin; write one such as `https://shop.example.com`"));
                }
            }
        }
        if spec.connections == 0 || spec.idle_ms == 0 || spec.message == 0 {
            return Err("`connections`, `idle` and `message` have to be above 0".to_owned());
        }
        Ok(Self {
            origins: spec.origins.clone(),
            idle_ms: spec.idle_ms,
            message: spec.message,
            connections: spec.connections,
            open: open.of(route),
        })
    }

    /// Whether a service's 101 agrees to an extension.
    #[must_use]
    pub fn is_extended(response: &ResponseHead) -> bool {
        response.headers.named(EXTENSIONS).flat_map(list).next().is_some()
    }

    /// Takes a place among the route's connections.
    #[must_use]
    pub fn enter(&self) -> Option<Place> {
        let more = |open: u32| (open < self.connections).then(|| open.saturating_add(1));
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place(Arc::clone(&self.open)))
    }

    /// Whether a request opens a WebSocket connection as RFC 6455 section 4.1 says, from an origin that may.
    ///
    /// # Errors
    /// `upgrade_required`, `websocket_handshake_invalid`, `origin_forbidden`.
    pub fn check(&self, exchange: &Exchange) -> Result<(), Refusal> {
        let request = &exchange.request;
        let one = |name: &'static [u8]| {
            let mut values = request.headers.named(name);
            values.next().filter(|_| values.next().is_none())
        };
        if exchange.upgrade == Upgrade::None || request.version != Version::Http11 {
            return Err(Reason::UpgradeRequired.into());
        }
        if request.method != Method::Get {
            return invalid("a WebSocket connection is opened with GET");
        }
        if request.framing != Framing::Empty {
            return invalid("a request for a WebSocket connection has no body");
        }
        match one(VERSION) {
            Some(b"13") => {}
            Some(_) => return Err(Reason::UpgradeRequired.into()),
            None => return invalid("`Sec-WebSocket-Version` has to be there once"),
        }
        if !one(KEY).is_some_and(is_key) {
            return invalid("`Sec-WebSocket-Key` has to be there once, with 16 bytes in base64");
        }
        if self.origin_may(exchange) { Ok(()) } else { Err(Reason::OriginForbidden.into()) }
    }

    /// Browsers open WebSocket connections to any host, with its cookies and client certificates, and say from which page.
    fn origin_may(&self, exchange: &Exchange) -> bool {
        let headers = &exchange.request.headers;
        let ambient = headers.get(Known::Cookie).is_some() || exchange.connection.client_certificate.is_some();
        match (headers.get(Known::Origin), &self.origins) {
            (Some(origin), _) if is_own(origin, exchange) => true,
            (Some(origin), ir::Origins::Listed(listed)) => listed.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(origin)),
            (Some(_), ir::Origins::Any) => !ambient,
            (Some(_), ir::Origins::Same) | (None, ir::Origins::Listed(_)) => false,
            // No browser: programs send no Origin, and a browser's cookies do not come without one.
            (None, ir::Origins::Same | ir::Origins::Any) => headers.get(Known::Cookie).is_none(),
        }
    }
}

fn invalid(detail: &str) -> Result<(), Refusal> {
    Err(Refusal { detail: Some(detail.into()), ..Reason::WebsocketHandshakeInvalid.into() })
}

/// 16 bytes in base64.
fn is_key(value: &[u8]) -> bool {
    value.len() == 24 && STANDARD.decode(value).is_ok_and(|key| key.len() == 16)
}

/// Whether an origin is the host that is asked, over the same scheme.
fn is_own(origin: &[u8], exchange: &Exchange) -> bool {
    let scheme: &[u8] = if exchange.https { b"https://" } else { b"http://" };
    origin
        .split_at_checked(scheme.len())
        .is_some_and(|(start, rest)| start.eq_ignore_ascii_case(scheme) && rest.eq_ignore_ascii_case(&exchange.authority))
}

/// Whether fields ask for, or agree to, a switch to WebSocket: exactly this one protocol.
#[must_use]
pub fn is_upgrade(headers: &Headers) -> bool {
    let named = headers.get_all(Known::Connection).flat_map(list).any(|item| item.eq_ignore_ascii_case(b"upgrade"));
    let mut protocols = headers.get_all(Known::Upgrade);
    named && protocols.next().is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) && protocols.next().is_none()
}

/// Whether a service's 101 answers this request (RFC 6455 section 4.1): the right accept value, and no extension or
/// subprotocol that the client did not offer. Before the respond phase, which takes the connection's fields away.
#[must_use]
pub fn is_accepted(request: &Headers, response: &ResponseHead) -> bool {
    let (Some(key), headers) = (request.named(KEY).next(), &response.headers) else { return false };
    let mut accepts = headers.named(b"sec-websocket-accept");
    let accepted = accepts.next() == Some(accept(key).as_bytes()) && accepts.next().is_none();
    let offered = |name: &'static [u8], chosen: &[u8]| request.named(name).flat_map(list).any(|one| token(one) == token(chosen));
    let mut protocols = headers.named(PROTOCOL);
    let protocol = protocols.next().is_none_or(|chosen| !chosen.is_empty() && offered(PROTOCOL, chosen));
    let extensions = headers.named(EXTENSIONS).flat_map(list).all(|chosen| offered(EXTENSIONS, chosen));
    is_upgrade(headers) && accepted && protocol && protocols.next().is_none() && extensions
}

/// `Sec-WebSocket-Accept` for a key.
fn accept(key: &[u8]) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat()))
}

/// Items of a list in a field.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// An extension without its parameters.
fn token(item: &[u8]) -> &[u8] {
    item.split(|b| *b == b';').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::{accept, is_accepted, is_key, is_upgrade};
    use crate::exchange::ResponseHead;
    use crate::headers::tests::headers;

    #[test]
    fn the_example_of_the_rfc() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for bad in [&b""[..], b"dGhlIHNhbXBsZSBub25jZQ", b"dGhlIHNhbXBsZSBub25jZQ=a", b"dGhlIHNhbXBsZSBub25jZSE", b"!!!!"] {
            assert!(!is_key(bad), "{bad:?}");
        }
    }

    #[test]
    fn upgrades() {
        assert!(is_upgrade(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")])));
        assert!(!is_upgrade(&headers(&[("connection", "keep-alive"), ("upgrade", "websocket")])));
        assert!(!is_upgrade(&headers(&[("connection", "upgrade")])));
        assert!(!is_upgrade(&headers(&[("connection", "upgrade"), ("upgrade", "websocket, h2c")])));
        assert!(!is_upgrade(&headers(&[("connection", "upgrade"), ("upgrade", "h2c"), ("upgrade", "websocket")])));
    }

    #[test]
    fn a_service_chooses_among_what_was_offered() {
        let request = headers(&[
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "chat, superchat"),
            ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
        ]);
        let answers = |more: &[(&str, &str)]| {
            let mut fields = vec![
                ("connection", "Upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ];
            fields.extend_from_slice(more);
            is_accepted(&request, &ResponseHead { status: 101, headers: headers(&fields) })
        };
        assert!(answers(&[]));
        assert!(answers(&[("sec-websocket-protocol", "chat"), ("sec-websocket-extensions", "permessage-deflate;x=1")]));
        assert!(!answers(&[("sec-websocket-protocol", "other")]));
        assert!(!answers(&[("sec-websocket-protocol", "chat, superchat")]));
        assert!(!answers(&[("sec-websocket-protocol", "chat"), ("sec-websocket-protocol", "chat")]));
        assert!(!answers(&[("sec-websocket-extensions", "permessage-deflate, other")]));
        assert!(!answers(&[("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")]));
        let wrong = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", "x")];
        assert!(!is_accepted(&request, &ResponseHead { status: 101, headers: headers(&wrong) }));
    }
}
