//! Receive: one reading of the request, before anything decides on it.

use crate::exchange::{Exchange, Method, Now, Refusal, Step};
use crate::headers::Known;
use crate::pipeline::{PipelineState, connection, forwarding, hygiene, random::Random};
use crate::reason::Reason;
use crate::snapshot::{Listener, Snapshot};

/// Longest request id that a trusted proxy may send.
const REQUEST_ID_MAX: usize = 64;
/// Longest `tracestate` that is passed on (W3C Trace Context section 3.3.1.5).
const TRACESTATE_MAX: usize = 512;

pub(super) fn receive(snapshot: &Snapshot, state: &mut PipelineState, exchange: &mut Exchange, now: Now) -> Step {
    let listener = snapshot.listener(&exchange.connection.listener);
    let received = received(listener, &mut state.random, exchange, now).map_err(Refusal::from);
    match received.and_then(|()| listener.map_or(Ok(()), |listener| connection::fits(listener, exchange, now))) {
        Ok(()) => Step::Continue,
        Err(refusal) => Step::Refuse(refusal),
    }
}

fn received(listener: Option<&Listener>, random: &mut Random, exchange: &mut Exchange, now: Now) -> Result<(), Reason> {
    // First, so that every refusal has an id.
    let listener = listener.ok_or(Reason::RouteNotFound);
    let proxies = listener.as_ref().ok().and_then(|l| l.trusted_proxies.as_ref());
    let from_proxy = proxies.is_some_and(|proxies| forwarding::trusts(proxies, exchange.client));
    request_id(random, exchange, now, from_proxy)?;
    trace(random, exchange)?;
    listener?;
    // Before any other check, so that their refusals are logged with the client and not with the proxy.
    forwarding::believe(proxies, exchange)?;
    if matches!(exchange.request.method, Method::Connect | Method::Trace) {
        return Err(Reason::MethodNotSupported);
    }
    exchange.upgrade = hygiene::clean(&mut exchange.request)?;
    host(exchange)?;
    path(exchange)
}

/// The id of a trusted proxy if it is a plain word, else a fresh UUID version 7 (RFC 9562 section 5.7).
fn request_id(random: &mut Random, exchange: &mut Exchange, now: Now, from_proxy: bool) -> Result<(), Reason> {
    exchange.request_id.clear();
    let given = if from_proxy { exchange.request.headers.get(Known::XRequestId) } else { None };
    let plain = |id: &&[u8]| {
        (1..=REQUEST_ID_MAX).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
    };
    if let Some(id) = given.filter(plain) {
        exchange.request_id.extend_from_slice(id);
        return Ok(());
    }
    let mut bytes: [u8; 16] = random.bytes().ok_or(Reason::Internal)?;
    let time = now.unix_ms.to_be_bytes();
    for (slot, byte) in bytes.iter_mut().zip(time.iter().skip(2)) {
        *slot = *byte;
    }
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = 0x70 | (*version & 0x0f);
    *variant = 0x80 | (*variant & 0x3f);
    exchange.request_id.extend_from_slice(&uuid(bytes));
    Ok(())
}

/// The 36 characters of a UUID (RFC 9562 section 4).
fn uuid(bytes: [u8; 16]) -> [u8; 36] {
    let mut text = [b'-'; 36];
    let places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    for (place, byte) in places.into_iter().zip(bytes) {
        if let Some(slot) = text.get_mut(place..).and_then(<[u8]>::first_chunk_mut) {
            *slot = hex(byte);
        }
    }
    text
}

/// Two digits of each byte.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut at = 0;
    while at < 256 {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
        {
            table[at] = [digits[at >> 4], digits[at & 15]];
        }
        at += 1;
    }
    table
};

fn hex(byte: u8) -> [u8; 2] {
    HEX.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Exactly one Host with a valid name or address, in one spelling: lower case, no trailing dot, no port.
fn host(exchange: &mut Exchange) -> Result<(), Reason> {
    let headers = &mut exchange.request.headers;
    let value = headers.get(Known::Host).ok_or(Reason::HostInvalid)?;
    exchange.authority.clear();
    exchange.authority.extend_from_slice(value);
    let text = std::str::from_utf8(&exchange.authority).map_err(|_| Reason::HostInvalid)?;
    let name = host_name(text).ok_or(Reason::HostInvalid)?;
    exchange.host.clear();
    exchange.host.push_str(name);
    exchange.host.make_ascii_lowercase();
    headers.remove(Known::Host);
    Ok(())
}

/// The name or bracketed address of `host[:port]`, without a trailing dot.
fn host_name(text: &str) -> Option<&str> {
    let split = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            inside.parse::<std::net::Ipv6Addr>().ok()?;
            (text.get(..inside.len().checked_add(2)?)?, after)
        }
        None => match memchr::memchr(b':', text.as_bytes()) {
            Some(at) => text.split_at_checked(at)?,
            None => (text, ""),
        },
    };
    let (name, port) = split;
    let port_is_fine = match port.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    if !port_is_fine {
        return None;
    }
    if name.starts_with('[') {
        return Some(name);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |l: &[u8]| (1..=63).contains(&l.len()) && l.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (name.len() <= 253 && name.as_bytes().split(|b| *b == b'.').all(label)).then_some(name)
}

/// The target's path in canonical form; a query of visible ASCII characters.
fn path(exchange: &mut Exchange) -> Result<(), Reason> {
    let target = &exchange.request.target;
    let end = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at_checked(end).ok_or(Reason::PathNotCanonical)?;
    if !query.iter().all(|b| (0x21..=0x7e).contains(b) && *b != b'#') {
        return Err(Reason::MalformedRequest);
    }
    // An authority to many parsers (`//host/admin`): no exception of a route reaches it.
    if path.starts_with(b"//") {
        return Err(Reason::PathNotCanonical);
    }
    exchange.path.parse_into(path).map(|_| ()).map_err(|_| Reason::PathNotCanonical)
}

/// Goes on with a valid `traceparent` (W3C Trace Context section 3.2) under a new span, or begins a new trace.
fn trace(random: &mut Random, exchange: &mut Exchange) -> Result<(), Reason> {
    let headers = &mut exchange.request.headers;
    let given = if headers.count(Known::Traceparent) == 1 { headers.get(Known::Traceparent) } else { None };
    let trace = given.and_then(trace_of);
    let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let fresh: [u8; 24] = random.bytes().ok_or(Reason::Internal)?;
    let (new_trace, span) = fresh.split_at_checked(16).ok_or(Reason::Internal)?;
    let mut write = |at: usize, bytes: &[u8]| {
        let (pairs, _) = out.get_mut(at..).unwrap_or_default().as_chunks_mut();
        for (pair, byte) in pairs.iter_mut().zip(bytes) {
            *pair = hex(*byte);
        }
    };
    write(36, span);
    match trace {
        None => write(3, new_trace),
        Some((id, flags)) => {
            for (slot, byte) in out.iter_mut().skip(3).zip(id) {
                *slot = *byte;
            }
            for (slot, byte) in out.iter_mut().skip(53).zip(flags) {
                *slot = *byte;
            }
        }
    }
    let known = trace.is_some();
    exchange.traceparent = out;
    let headers = &mut exchange.request.headers;
    let short = headers.get_all(Known::Tracestate).map(<[u8]>::len).sum::<usize>() <= TRACESTATE_MAX;
    if !known || !short {
        headers.remove(Known::Tracestate);
    }
    Ok(())
}

/// Trace id and flags of a version 00 `traceparent`.
fn trace_of(value: &[u8]) -> Option<(&[u8], &[u8])> {
    if value.len() != 55 {
        return None;
    }
    let mut parts = value.split(|b| *b == b'-');
    let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lower_hex = |text: &[u8]| text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let fits = parts.next().is_none() && version == b"00" && id.len() == 32 && span.len() == 16 && flags.len() == 2;
    let real = |text: &[u8]| lower_hex(text) && text.iter().any(|b| *b != b'0');
    (fits && real(id) && real(span) && lower_hex(flags)).then_some((id, flags))
}

#[cfg(test)]
mod tests {
    use super::{host_name, path, trace_of, uuid};
    use crate::exchange::{ConnectionInfo, Exchange};
    use crate::reason::Reason;

    #[test]
    fn targets() {
        let peer = "192.0.2.1:1".parse().unwrap();
        let connection =
            ConnectionInfo { peer, listener: "l".into(), tls: false, sni: None, client_certificate: None, ja4: None };
        let mut exchange = Exchange::new(std::rc::Rc::new(connection));
        let mut read = |target: &str| {
            exchange.request.target = target.into();
            path(&mut exchange)
        };
        assert_eq!(read("/a//b?x=1"), Ok(()));
        for target in ["//host/admin", "///a", "//", "*", "", "a", "http://host/a", "/a/../b", "/a#b"] {
            assert_eq!(read(target), Err(Reason::PathNotCanonical), "{target}");
        }
        assert_eq!(read("/a?b#c"), Err(Reason::MalformedRequest));
    }

    #[test]
    fn ids() {
        let bytes = std::array::from_fn(|at| u8::try_from(at * 17).unwrap());
        assert_eq!(&uuid(bytes), b"00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn hosts() {
        for (text, name) in [
            ("example.com", "example.com"),
            ("example.com.", "example.com"),
            ("example.com:8443", "example.com"),
            ("[::1]:80", "[::1]"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(host_name(text), Some(name), "{text}");
        }
        for text in [
            "",
            ".",
            "a..b",
            "a b",
            "a/b",
            "a@b",
            "user@host",
            "a:b",
            "a:80:80",
            "a:99999",
            "a:",
            "[::1",
            "[x]",
            "a\t",
            "é",
            "a,b",
            "a%41",
        ] {
            assert_eq!(host_name(text), None, "{text:?}");
        }
    }

    #[test]
    fn traces() {
        let good = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(trace_of(good), Some((&good[3..35], &good[53..55])));
        for bad in [
            &b"00-00000000000000000000000000000000-b7ad6b7169203331-01"[..],
            b"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            b"",
        ] {
            assert_eq!(trace_of(bad), None);
        }
    }
}
