//! Header fields and parameters that a client may not decide.

use crate::exchange::{RequestHead, Upgrade};
use crate::filters::websocket;
use crate::headers::{Headers, Known, fold};
use crate::path::decode_query;
use crate::reason::Reason;
use crate::snapshot::Snapshot;

/// Fields of one connection (RFC 9110 section 7.6.1) and of the way here: never forwarded.
pub(super) const fn is_hop_by_hop(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::ProxyAuthenticate
            | Known::ProxyAuthorization
            | Known::Te
            | Known::Trailer
            | Known::TransferEncoding
            | Known::Upgrade
    )
}

/// Fields that end here: those of one connection, and what only the gateway says.
const fn is_never_a_clients(known: Known) -> bool {
    is_hop_by_hop(known) || matches!(known, Known::YettIdentity)
}

/// Fields that `Connection` cannot remove: the gateway reads, trusts or sets them.
const fn is_kept_from_connection(known: Known) -> bool {
    matches!(
        known,
        Known::Host
            | Known::Authorization
            | Known::Cookie
            | Known::ContentLength
            | Known::ContentType
            | Known::Origin
            | Known::Forwarded
            | Known::XForwardedFor
            | Known::XRequestId
            | Known::Traceparent
            | Known::Tracestate
    )
}

const UPGRADE: u8 = 32;

/// Fields that may stand once; which of two a service would read is unknown.
const fn once(known: Known) -> Option<u8> {
    match known {
        Known::Host => Some(1),
        Known::ContentType => Some(2),
        Known::ContentLength => Some(4),
        Known::Origin => Some(8),
        Known::Expect => Some(16),
        Known::Upgrade => Some(UPGRADE),
        _ => None,
    }
}

/// Names with which clients try to change the path, the method or the address that others see, beside those in [`Known`].
///
/// Beside these, every name that begins with [`FORWARDED`].
const OVERRIDES: [&[u8]; 18] = [
    b"x-original-url",
    b"x-original-uri",
    b"x-original-method",
    b"x-original-host",
    b"x-rewrite-url",
    b"x-http-method",
    b"x-http-method-override",
    b"x-method-override",
    b"x-host",
    b"x-client-ip",
    b"x-cluster-client-ip",
    b"x-true-client-ip",
    b"true-client-ip",
    b"client-ip",
    b"cf-connecting-ip",
    b"x-forwarded",
    b"x-accel-redirect",
    b"proxy",
];

/// Names in [`Known`] that the gateway writes or trusts, for foldings of them.
const OWN: [&[u8]; 18] = [
    b"host",
    b"connection",
    b"content-length",
    b"transfer-encoding",
    b"content-type",
    b"authorization",
    b"proxy-authorization",
    b"cookie",
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-forwarded-port",
    b"x-forwarded-prefix",
    b"x-real-ip",
    b"x-request-id",
    b"traceparent",
    b"yett-identity",
];

/// What a proxy says of the way here has this in front: path, method, scheme, prefix and whatever comes next.
const FORWARDED: &[u8] = b"x-forwarded-";

fn folds_onto(name: &[u8], list: &[&[u8]]) -> bool {
    list.iter().any(|own| own.len() == name.len() && own.iter().zip(name).all(|(o, n)| *o == fold(*n)))
}

/// Whether another spelling of a name that is not ours to take from a client.
fn is_alias(name: &[u8]) -> bool {
    let forwarded = || FORWARDED.len() <= name.len() && FORWARDED.iter().zip(name).all(|(f, n)| *f == fold(*n));
    name.iter().any(|b| matches!(b, b'_' | b'.')) && (folds_onto(name, &OWN) || folds_onto(name, &OVERRIDES) || forwarded())
}

pub(super) fn is_override(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'x' | b't' | b'c' | b'p')) && (name.starts_with(FORWARDED) || OVERRIDES.contains(&name))
}

/// Refuses what stands twice, then drops hop-by-hop fields, those that `Connection` lists, overrides and aliases. The
/// forwarding fields stay for the moment: a trusted proxy's is read next.
///
/// Says whether the request asked for WebSocket before its connection's fields went.
pub(super) fn clean(request: &mut RequestHead) -> Result<Upgrade, Reason> {
    let headers = &mut request.headers;
    let mut seen = 0_u8;
    let mut drops = false;
    for (known, name, _) in headers.iter() {
        if let Some(bit) = once(known) {
            if seen & bit != 0 {
                return Err(if known == Known::Host { Reason::HostInvalid } else { Reason::HeaderInvalid });
            }
            seen |= bit;
        }
        drops |= is_never_a_clients(known) || (known == Known::Other && (is_alias(name) || is_override(name)));
    }
    let mut upgrade = Upgrade::None;
    if drops {
        if seen & UPGRADE != 0 && websocket::is_upgrade(headers) {
            upgrade = Upgrade::Asked;
        }
        drop_connection_fields(headers);
        headers.retain(|known, name, _| {
            !is_never_a_clients(known) && (known != Known::Other || !(is_alias(name) || is_override(name)))
        });
    }
    Ok(upgrade)
}

/// Drops what `Connection` lists (RFC 9110 section 7.6.1), but never what the gateway itself reads.
pub(super) fn drop_connection_fields(headers: &mut Headers) {
    if headers.get(Known::Connection).is_none() {
        return;
    }
    let own = |item: &[u8]| {
        item.is_empty() || [&b"close"[..], b"keep-alive", b"upgrade", b"te"].iter().any(|name| item.eq_ignore_ascii_case(name))
    };
    let listed: Vec<Vec<u8>> = headers
        .get_all(Known::Connection)
        .flat_map(|value| value.split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|item| !own(item))
        .map(<[u8]>::to_ascii_lowercase)
        .take(32)
        .collect();
    if !listed.is_empty() {
        headers.retain(|known, name, _| is_kept_from_connection(known) || !listed.iter().any(|item| item == name));
    }
}

/// Whether the query carries a credential (RFC 6750 section 2.3 advises against it: URLs are logged).
pub(super) fn credential_in_url(snapshot: &Snapshot, query: &[u8]) -> bool {
    if query.is_empty() {
        return false;
    }
    query.split(|b| *b == b'&').any(|pair| {
        let raw = pair.split(|b| *b == b'=').next().unwrap_or_default();
        let Some(name) = decode_query(raw) else { return false };
        let name = name.to_ascii_lowercase();
        matches!(name.as_str(), "access_token" | "api_key" | "apikey" | "api-key")
            // A signature in a query is another scheme's, and of no use elsewhere.
            || snapshot.key_headers.iter().any(|header| **header == *name && !header.starts_with("signature"))
    })
}

#[cfg(test)]
mod tests {
    use super::clean;
    use crate::exchange::{Framing, Method, RequestHead, Version};
    use crate::headers::Headers;
    use crate::reason::Reason;

    fn cleaned(fields: &[(&str, &str)]) -> Result<Vec<String>, Reason> {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        let mut request =
            RequestHead { method: Method::Get, target: vec![], version: Version::Http11, headers, framing: Framing::Empty };
        clean(&mut request)?;
        Ok(request.headers.iter().map(|(_, name, _)| String::from_utf8_lossy(name).into_owned()).collect())
    }

    #[test]
    fn foldings_of_our_names_and_overrides_never_pass() {
        let fields = [
            ("X_Request_Id", "1"),
            ("x.forwarded.for", "1"),
            ("X-Forwarded_For", "1"),
            ("Content_Length", "1"),
            ("HOST_", "1"),
            ("X-Original-URL", "/admin"),
            ("X_Rewrite_Url", "/admin"),
            ("X-HTTP-Method-Override", "PUT"),
            ("Proxy", "x"),
            ("x-custom_name", "1"),
            ("User-Agent", "u"),
        ];
        assert_eq!(cleaned(&fields).unwrap(), ["host_", "x-custom_name", "user-agent"]);
    }

    #[test]
    fn connection_removes_its_own_and_nothing_that_is_read() {
        let fields = [
            ("Connection", "X-Drop, Authorization, x-forwarded-for, close"),
            ("x-drop", "1"),
            ("authorization", "a"),
            ("x-forwarded-for", "1.2.3.4"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("keep-alive", "1"),
            ("proxy-authorization", "x"),
            ("x-keep", "1"),
        ];
        assert_eq!(cleaned(&fields).unwrap(), ["authorization", "x-forwarded-for", "x-keep"]);
    }

    #[test]
    fn what_may_stand_once_stands_once() {
        assert_eq!(cleaned(&[("content-type", "a/b"), ("Content-Type", "c/d")]), Err(Reason::HeaderInvalid));
        assert_eq!(cleaned(&[("host", "a"), ("host", "a")]), Err(Reason::HostInvalid));
        assert!(cleaned(&[("accept", "a/b"), ("accept", "c/d")]).is_ok());
    }

    #[test]
    fn fuzz_nothing_that_is_ours_survives_under_another_spelling() {
        let seeds: [&[u8]; 3] =
            [b"Connection: x-a, close\nx-a: 1", b"X_Forwarded.For: 1\nX-Method-Override: PUT", b"authorization: a\nUpgrade: h2c"];
        let words: [&[u8]; 12] = [
            b"connection: ",
            b"x-forwarded-for",
            b"_",
            b".",
            b"-",
            b"authorization",
            b"\n",
            b": ",
            b"content_length",
            b"x.real.ip",
            b"keep-alive",
            b"x-original-url: /",
        ];
        crate::fuzz::run("hygiene", &seeds, &words, |data| {
            let mut headers = Headers::default();
            for line in data.split(|b| *b == b'\n') {
                let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
                let _ = headers.push(&line[..colon], line[colon + 1..].trim_ascii());
            }
            let mut request =
                RequestHead { method: Method::Get, target: vec![], version: Version::Http11, headers, framing: Framing::Empty };
            if clean(&mut request).is_err() {
                return false;
            }
            let names = |request: &RequestHead| -> Vec<Vec<u8>> { request.headers.iter().map(|(_, n, _)| n.to_vec()).collect() };
            let once = names(&request);
            for name in &once {
                let folded: Vec<u8> = name.iter().map(|b| if matches!(b, b'_' | b'.') { b'-' } else { *b }).collect();
                let forwarded = folded.starts_with(b"x-forwarded-");
                let ours = super::OWN.contains(&folded.as_slice()) || super::OVERRIDES.contains(&folded.as_slice()) || forwarded;
                assert!(!ours || *name == folded, "`{}` passed", String::from_utf8_lossy(name));
                assert!(!super::OVERRIDES.contains(&name.as_slice()), "`{}` passed", String::from_utf8_lossy(name));
                assert!(!matches!(name.as_slice(), b"connection" | b"te" | b"upgrade" | b"keep-alive" | b"transfer-encoding"));
            }
            clean(&mut request).unwrap();
            assert_eq!(names(&request), once, "a second time changes nothing");
            !once.is_empty()
        });
    }
}
