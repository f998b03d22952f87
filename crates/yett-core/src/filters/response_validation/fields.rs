//! Header fields of answers: what says what a service is made of, or where it is, or holds what should not leave.

use super::leaks::Leaks;
use crate::headers::{Headers, Known};

/// Fields that say what a service is made of, those of OWASP's Secure Headers project among them.
const INTERNALS: [&str; 33] = [
    "host-header",
    "k-proxy-request",
    "liferay-portal",
    "powered-by",
    "sourcemap",
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "x-backend",
    "x-backend-server",
    "x-beserver",
    "x-calculatedbetarget",
    "x-cms",
    "x-diaginfo",
    "x-drupal-cache",
    "x-drupal-dynamic-cache",
    "x-feserver",
    "x-framework",
    "x-generated-by",
    "x-generator",
    "x-mod-pagespeed",
    "x-owa-version",
    "x-page-speed",
    "x-php-version",
    "x-powered-cms",
    "x-redirect-by",
    "x-runtime",
    "x-server",
    "x-server-powered-by",
    "x-served-by",
    "x-sourcefiles",
    "x-sourcemap",
    "x-upstream",
    "x-varnish",
];
const PREFIXES: [&str; 4] = ["x-debug-", "x-envoy-", "x-kubernetes-", "x-litespeed-"];

/// Fields that lead to another place.
const LEADING: [&str; 4] = ["content-location", "link", "location", "refresh"];

/// Whether a field (in lower case) says what a service is made of.
pub(super) fn is_internal(name: &[u8]) -> bool {
    // Most names are neither.
    match name {
        [b'x', b'-', ..] => {
            name == b"x-debug"
                || INTERNALS.iter().any(|internal| internal.as_bytes() == name)
                || PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
        }
        [b'h' | b'k' | b'l' | b'p' | b's', ..] => INTERNALS.iter().any(|internal| internal.as_bytes() == name),
        _ => false,
    }
}

/// Whether a field that leads elsewhere leads to the endpoint, where no client can go. `own` is the host that was asked for.
pub(super) fn names_endpoint(headers: &Headers, endpoint: &[u8], own: &[u8]) -> bool {
    let leading = |known: Known, name: &[u8]| {
        known == Known::Location || (known == Known::Other && LEADING.iter().any(|leading| leading.as_bytes() == name))
    };
    let named = |value: &[u8]| {
        let mut rest = value;
        while let Some(at) = memchr::memmem::find(rest, b"//") {
            rest = rest.get(at + 2..).unwrap_or_default();
            let end = rest.iter().position(|byte| b"/?#>\"' \t,;".contains(byte)).unwrap_or(rest.len());
            let authority = rest.get(..end).unwrap_or_default();
            let host = authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
            if is_endpoint(host, endpoint, own) {
                return true;
            }
        }
        false
    };
    headers.iter().any(|(known, name, value)| leading(known, name) && named(value))
}

fn is_endpoint(host: &[u8], endpoint: &[u8], own: &[u8]) -> bool {
    if host.is_empty() || host.eq_ignore_ascii_case(own) {
        return false;
    }
    let name = without_port(endpoint);
    let shared = name.eq_ignore_ascii_case(without_port(own));
    // On this machine there are many services, and some are a client's own (RFC 8252 section 7.3).
    let machine = name.eq_ignore_ascii_case(b"localhost") || name.starts_with(b"127.") || name == b"[::1]";
    host.eq_ignore_ascii_case(endpoint) || (!shared && !machine && without_port(host).eq_ignore_ascii_case(name))
}

fn without_port(host: &[u8]) -> &[u8] {
    match memchr::memrchr(b':', host) {
        Some(colon) if host.get(colon..).is_some_and(|rest| !rest.contains(&b']')) => host.get(..colon).unwrap_or_default(),
        _ => host,
    }
}

/// Whether a value has something in it that should not leave. A cookie is for its client, whatever it looks like.
pub(super) fn leak(headers: &Headers, leaks: &Leaks) -> bool {
    let own = |name: &[u8]| matches!(name, b"etag" | b"last-modified" | b"cache-control" | b"vary" | b"content-security-policy");
    let looked = |known: Known, name: &[u8]| matches!(known, Known::Other | Known::Location) && !own(name);
    headers.iter().any(|(known, name, value)| looked(known, name) && leaks.find(value, false).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::leaks::Leaks;
    use super::{INTERNALS, is_internal, leak, names_endpoint};
    use crate::headers::Headers;
    use crate::ir::Leak;

    fn fields(all: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in all {
            headers.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        headers
    }

    #[test]
    fn every_name_is_found() {
        for name in INTERNALS.iter().chain(&["x-debug", "x-debug-token", "x-envoy-upstream-service-time"]) {
            assert!(is_internal(name.as_bytes()), "{name}");
        }
        for name in ["x-request-id", "x-total-count", "link", "server-timing", "x-debugger", "location", ""] {
            assert!(!is_internal(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn where_a_service_is() {
        let inside = |name: &str, value: &str, endpoint: &str, own: &str| {
            names_endpoint(&fields(&[(name, value)]), endpoint.as_bytes(), own.as_bytes())
        };
        let (endpoint, own) = ("billing-1.internal:8443", "api.example.com");
        for value in [
            "https://billing-1.internal:8443/a",
            "https://BILLING-1.internal:8443",
            "http://billing-1.internal/a",
            "//billing-1.internal:8443/a",
            "https://user:pw@billing-1.internal:8443?x",
        ] {
            assert!(inside("location", value, endpoint, own), "{value}");
            assert!(inside("content-location", value, endpoint, own), "{value}");
        }
        assert!(inside(
            "link",
            "<https://api.example.com/2>; rel=next, <https://billing-1.internal:8443/3>; rel=last",
            endpoint,
            own
        ));
        assert!(inside("refresh", "0; url=https://billing-1.internal:8443/", endpoint, own));
        assert!(inside("location", "http://127.0.0.1:9000/a", "127.0.0.1:9000", "127.0.0.1:8080"));
        assert!(inside("location", "http://[fd00::1]:9000/a", "[fd00::1]:8000", own));
        for (value, endpoint, own) in [
            ("/orders/1", endpoint, own),
            ("https://api.example.com/a//b", endpoint, own),
            ("https://login.example.com/?next=billing-1", endpoint, own),
            ("https://shop.example/a", "shop.example:8443", "shop.example"),
            ("https://shop.example:8443/a", "shop.example:9000", "shop.example"),
            // The callback of an application on the client's own machine.
            ("http://127.0.0.1:51004/callback", "127.0.0.1:9000", "127.0.0.1:8080"),
            ("", endpoint, own),
        ] {
            assert!(!inside("location", value, endpoint, own), "{value}");
        }
        assert!(!inside("x-other", "https://billing-1.internal:8443/a", endpoint, own));
    }

    #[test]
    fn values() {
        let leaks = Leaks::build(&[Leak::Tokens, Leak::Cards]).unwrap();
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlc2lnbmF0dXJl";
        assert!(leak(&fields(&[("x-own", "1"), ("x-token", token)]), &leaks));
        assert!(leak(&fields(&[("location", "/paid?card=4111111111111111")]), &leaks));
        assert!(!leak(&fields(&[("set-cookie", token), ("etag", "\"4111111111111111\"")]), &leaks));
    }
}
