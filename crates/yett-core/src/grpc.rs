//! gRPC over HTTP/2: which requests are, how long they may take, and how a refusal reads to their clients.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::fmt::Write;

use crate::exchange::{Answer, Exchange, Now, Refusal, Version};
use crate::headers::Known;
use crate::reason::Reason;
use crate::server::deadline::NEVER;

/// Digits of a `grpc-timeout`.
const MAX_DIGITS: usize = 8;

/// `application/grpc`, alone or with a suffix or parameters.
#[must_use]
pub fn is_content_type(value: &[u8]) -> bool {
    const NAME: &[u8] = b"application/grpc";
    value.get(..NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAME))
        && matches!(value.get(NAME.len()), None | Some(b'+' | b';' | b' '))
}

/// Whether this is a request of gRPC: its client reads status and message in trailers.
#[must_use]
pub fn is_grpc(exchange: &Exchange) -> bool {
    exchange.request.version == Version::Http2 && exchange.request.headers.get(Known::ContentType).is_some_and(is_content_type)
}

/// When the client stops waiting, in monotonic nanoseconds; [`NEVER`] where it does not say.
///
/// # Errors
/// `header_invalid` for a `grpc-timeout` that cannot be read, or stands twice.
pub fn deadline(exchange: &Exchange, started: Now) -> Result<u64, Reason> {
    if !is_grpc(exchange) {
        return Ok(NEVER);
    }
    let mut values = exchange.request.headers.named(b"grpc-timeout");
    match (values.next(), values.next()) {
        (None, _) => Ok(NEVER),
        (Some(value), None) => {
            let waits = nanoseconds(value).ok_or(Reason::HeaderInvalid)?;
            Ok(started.monotonic_ns.saturating_add(waits))
        }
        (Some(_), Some(_)) => Err(Reason::HeaderInvalid),
    }
}

/// At most eight digits and a unit.
fn nanoseconds(value: &[u8]) -> Option<u64> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let scale = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    Some(count.saturating_mul(scale))
}

/// A refusal as its client reads it: status 200 and nothing but a head, with the outcome in `grpc-status` and the reason's
/// code and title in `grpc-message`. What else the answer carries stays.
pub fn refuse(answer: &mut Answer, refusal: &Refusal) {
    answer.headers.retain(|(name, _)| !matches!(&**name, "content-type" | "x-content-type-options" | "content-security-policy"));
    answer.headers.push(("content-type".into(), "application/grpc".into()));
    answer.headers.push(("grpc-status".into(), status(refusal.reason).to_string().into()));
    let text = format!("{}: {}", refusal.reason.code(), refusal.reason.title());
    answer.headers.push(("grpc-message".into(), encoded(&text).into()));
    answer.status = 200;
    answer.body = std::sync::Arc::default();
}

/// The status code of gRPC. What a client may try again elsewhere or later is UNAVAILABLE only where the service saw nothing.
#[must_use]
pub fn status(reason: Reason) -> u8 {
    const DEADLINE_EXCEEDED: u8 = 4;
    const PERMISSION_DENIED: u8 = 7;
    const RESOURCE_EXHAUSTED: u8 = 8;
    const UNIMPLEMENTED: u8 = 12;
    const INTERNAL: u8 = 13;
    const UNAVAILABLE: u8 = 14;
    const UNAUTHENTICATED: u8 = 16;
    if reason == Reason::ServiceConnectTimeout {
        return UNAVAILABLE;
    }
    match reason.status() {
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 | 405 | 501 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        413 | 429 | 431 => RESOURCE_EXHAUSTED,
        502 | 503 => UNAVAILABLE,
        _ => INTERNAL,
    }
}

/// Percent-encoded as `grpc-message` is: what is no visible ASCII, and `%`.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{encoded, is_content_type, nanoseconds, status};
    use crate::reason::Reason;

    #[test]
    fn content_types() {
        for value in ["application/grpc", "application/grpc+proto", "application/gRPC;a=b"] {
            assert!(is_content_type(value.as_bytes()), "{value}");
        }
        for value in ["application/grpc-web", "application/grpcx", "application/grp", "text/plain", ""] {
            assert!(!is_content_type(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn timeouts() {
        assert_eq!(nanoseconds(b"1S"), Some(1_000_000_000));
        assert_eq!(nanoseconds(b"99999999H"), Some(u64::MAX));
        assert_eq!(nanoseconds(b"0n"), Some(0));
        for value in [&b"S"[..], b"1", b"1s", b"-1S", b"+1S", b"1.5S", b"123456789S", b"", b" 1S"] {
            assert_eq!(nanoseconds(value), None, "{value:?}");
        }
    }

    #[test]
    fn statuses() {
        for (reason, code) in [
            (Reason::CredentialMissing, 16),
            (Reason::ScopeMissing, 7),
            (Reason::RouteNotFound, 12),
            (Reason::RateLimited, 8),
            (Reason::ServiceUnreachable, 14),
            (Reason::ServiceConnectTimeout, 14),
            (Reason::TotalTimeout, 4),
            (Reason::MalformedRequest, 13),
        ] {
            assert_eq!(status(reason), code, "{reason:?}");
        }
    }

    #[test]
    fn messages() {
        assert_eq!(encoded("a b%c\u{e9}\n~"), "a b%25c%C3%A9%0A~");
    }
}
