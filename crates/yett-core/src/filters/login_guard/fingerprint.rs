//! What kind of client sent a request: its hello of TLS (JA4), which fields in which order, and what it says of itself. Shared by
//! many people.

use smallvec::SmallVec;

use crate::exchange::{Exchange, Version};
use crate::filters::keyed_hash::KeyedHash;
use crate::headers::Known;
use crate::server::tls::ja4::Ja4;

/// Fields that say what a client is.
const SAYING: [&[u8]; 6] =
    [b"accept", b"accept-encoding", b"accept-language", b"sec-ch-ua", b"sec-ch-ua-platform", b"user-agent"];
/// Fields that come and go with what was there before, or with proxies.
const PASSING: [&[u8]; 7] =
    [b"authorization", b"cookie", b"content-length", b"if-modified-since", b"if-none-match", b"traceparent", b"tracestate"];

/// A keyed hash of it. Anybody can look like anybody else: it is evidence, never proof.
#[must_use]
pub fn of(exchange: &Exchange, hash: &KeyedHash) -> u64 {
    let mut text: SmallVec<[u8; 1024]> = SmallVec::new();
    text.push(match exchange.request.version {
        Version::Http10 => b'0',
        Version::Http11 => b'1',
        Version::Http2 => b'2',
    });
    text.extend_from_slice(exchange.connection.ja4.as_ref().map(Ja4::as_slice).unwrap_or_default());
    text.push(b'\n');
    for (known, name, value) in exchange.request.headers.iter() {
        let passing = matches!(known, Known::XRequestId | Known::Forwarded | Known::XForwardedFor | Known::Via);
        if passing || PASSING.contains(&name) {
            continue;
        }
        text.extend_from_slice(name);
        if SAYING.contains(&name) {
            text.push(b'=');
            text.extend_from_slice(value);
        }
        text.push(b'\n');
    }
    hash.hash(&text)
}
