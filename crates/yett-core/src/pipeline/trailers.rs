//! Trailer fields between two peers that speak HTTP/2 (RFC 9110 section 6.5): passed on as trailers, never as headers.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::hygiene;
use crate::headers::{Known, fold, folds_to, is_value};
use crate::snapshot::{Route, Snapshot};

/// Trailer fields of a message.
const MAX_FIELDS: usize = 64;
/// Their bytes, names and values.
const MAX_BYTES: usize = 32 * 1024;

/// More than there may be, or a value that no field may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Names beside those in [`Known`] that frame, route, authenticate or describe a message (RFC 9110 section 6.5.1), or are
/// the gateway's own.
const REFUSED: [&str; 26] = [
    "age",
    "allow",
    "cache-control",
    "content-encoding",
    "content-language",
    "content-range",
    "content-security-policy",
    "content-security-policy-report-only",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "expires",
    "max-forwards",
    "permissions-policy",
    "pragma",
    "range",
    "ratelimit",
    "ratelimit-policy",
    "referrer-policy",
    "strict-transport-security",
    "vary",
    "warning",
    "x-api-key",
    "x-content-type-options",
    "x-frame-options",
    "grpc-timeout",
];

/// Of a request, for its service: also without what rules and edits of the route name, and what keys come in. A service
/// that puts trailers to the headers would else read there what the gateway has checked, set or removed.
///
/// # Errors
/// See [`Malformed`].
pub fn of_request(snapshot: &Snapshot, route: &Route, trailers: HeaderMap) -> Result<HeaderMap, Malformed> {
    let keys = || snapshot.key_headers.iter().map(|name| name.as_bytes());
    let own = || route.own_headers.iter().map(|name| name.as_bytes());
    let claims = || snapshot.claim_headers.iter().map(|name| name.as_bytes());
    clean(trailers, |name| keys().chain(own()).chain(claims()).any(|one| folds_to(name, one)))
}

/// Of an answer, for its client: also without what the route takes away from answers.
///
/// # Errors
/// See [`Malformed`].
pub fn of_answer(route: &Route, trailers: HeaderMap) -> Result<HeaderMap, Malformed> {
    let tenant = |name: &[u8]| route.response_tenant.as_ref().is_some_and(|own| folds_to(name, own.as_bytes()));
    clean(trailers, |name| route.response_headers.takes(name) || tenant(name))
}

/// Drops what may not stand in trailers; a folding of such a name (`_` and `.` for `-`) neither.
fn clean(trailers: HeaderMap, taken: impl Fn(&[u8]) -> bool) -> Result<HeaderMap, Malformed> {
    let bytes: usize = trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if trailers.len() > MAX_FIELDS || bytes > MAX_BYTES {
        return Err(Malformed);
    }
    if trailers.values().any(|value: &HeaderValue| !is_value(value.as_bytes())) {
        return Err(Malformed);
    }
    let refused: Vec<HeaderName> =
        trailers.keys().filter(|name| !passes(name.as_str()) || taken(name.as_str().as_bytes())).cloned().collect();
    let mut trailers = trailers;
    for name in &refused {
        while trailers.remove(name).is_some() {}
    }
    Ok(trailers)
}

fn passes(name: &str) -> bool {
    let folded: Vec<u8> = name.bytes().map(fold).collect();
    let owned = matches!(
        Known::of(&folded),
        Known::Authorization
            | Known::ContentLength
            | Known::ContentType
            | Known::Cookie
            | Known::Date
            | Known::Expect
            | Known::Forwarded
            | Known::Host
            | Known::Location
            | Known::Origin
            | Known::RetryAfter
            | Known::Server
            | Known::SetCookie
            | Known::Traceparent
            | Known::Tracestate
            | Known::Via
            | Known::WwwAuthenticate
            | Known::XForwardedFor
            | Known::XForwardedHost
            | Known::XForwardedProto
            | Known::XForwardedPort
            | Known::XForwardedPrefix
            | Known::XForwardedServer
            | Known::XRealIp
            | Known::XPoweredBy
            | Known::XRequestId
            | Known::YettIdentity
    );
    let prefix = |prefix: &[u8]| folded.starts_with(prefix);
    !owned
        && !hygiene::is_hop_by_hop(Known::of(&folded))
        && !hygiene::is_override(&folded)
        && !REFUSED.iter().any(|refused| refused.as_bytes() == folded.as_slice())
        && !prefix(b"access-control-")
        && !prefix(b"if-")
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Malformed, clean};

    fn cleaned(fields: &[(&str, &str)]) -> Result<Vec<String>, Malformed> {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        clean(map, |_| false).map(|map| map.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect())
    }

    #[test]
    fn nothing_that_frames_routes_or_authenticates() {
        let fields = [
            ("grpc-status", "0"),
            ("grpc-message", "a b"),
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
            ("authorization", "a"),
            ("x_forwarded_for", "1"),
            ("x-forwarded-user", "1"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=1"),
            ("x-request-id", "1"),
            ("connection", "x"),
            ("x-original-url", "/"),
            ("access-control-allow-origin", "*"),
            ("strict.transport.security", "1"),
            ("x-checksum-bin", "1"),
        ];
        assert_eq!(cleaned(&fields).unwrap(), ["grpc-status=0", "grpc-message=a b", "x-checksum-bin=1"]);
    }

    #[test]
    fn bounds() {
        let many: Vec<_> = (0..65).map(|n| format!("x-{n}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "1")).collect();
        assert_eq!(cleaned(&many), Err(Malformed));
        assert!(cleaned(&many[..64]).is_ok());
        assert_eq!(cleaned(&[("x", &"a".repeat(33_000))]), Err(Malformed));
        assert_eq!(cleaned(&[("x", "a ")]), Err(Malformed));
    }
}
