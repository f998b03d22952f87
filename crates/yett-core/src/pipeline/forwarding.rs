//! Who the client is, behind proxies that are trusted. Exactly one header is believed, and only from them.

use std::net::IpAddr;

use crate::exchange::Exchange;
use crate::headers::Known;
use crate::ir::{ForwardingHeader, TrustedProxies};
use crate::reason::Reason;

/// Hops that are looked at; a longer list is not readable.
const MAX_HOPS: usize = 32;

/// Whether an address is a trusted proxy's.
pub(super) fn trusts(proxies: &TrustedProxies, address: IpAddr) -> bool {
    proxies.addresses.iter().any(|network| network.contains(&address))
}

/// Sets `exchange.client` and `exchange.https` from the trusted proxy's header: from the right, the first address that
/// is no trusted proxy's. Without the header the proxy itself is the client.
///
/// # Errors
/// `forwarding_header_invalid` for a header that cannot be read: the address would be a guess.
pub(super) fn believe(proxies: Option<&TrustedProxies>, exchange: &mut Exchange) -> Result<(), Reason> {
    let Some(proxies) = proxies else { return Ok(()) };
    if !trusts(proxies, exchange.client) {
        return Ok(());
    }
    let known = match proxies.header {
        ForwardingHeader::XForwardedFor => Known::XForwardedFor,
        ForwardingHeader::Forwarded => Known::Forwarded,
    };
    let mut hops: Vec<&[u8]> = Vec::new();
    for value in exchange.request.headers.get_all(known) {
        hops.extend(value.split(|b| *b == b',').take(MAX_HOPS.saturating_add(1)));
    }
    if hops.len() > MAX_HOPS {
        return Err(Reason::ForwardingHeaderInvalid);
    }
    let mut client = exchange.client;
    let mut https = exchange.https;
    for hop in hops.iter().rev() {
        let hop = match proxies.header {
            ForwardingHeader::XForwardedFor => Hop { address: address(hop.trim_ascii()), https: None },
            ForwardingHeader::Forwarded => forwarded(hop),
        };
        client = hop.address.ok_or(Reason::ForwardingHeaderInvalid)?;
        https = hop.https.unwrap_or(https);
        if !trusts(proxies, client) {
            break;
        }
    }
    exchange.client = client;
    exchange.https = https;
    Ok(())
}

struct Hop {
    address: Option<IpAddr>,
    https: Option<bool>,
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            let port = after.strip_prefix(':').map(|p| p.parse::<u16>().is_ok());
            if !(after.is_empty() || port == Some(true)) {
                return None;
            }
            inside
        }
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => {
                port.parse::<u16>().ok()?;
                host
            }
            _ => text,
        },
    };
    plain.parse::<IpAddr>().ok().map(|a| a.to_canonical())
}

/// One element of `Forwarded` (RFC 7239 section 4): `for` has to be an address; a parameter that stands twice is refused.
fn forwarded(element: &[u8]) -> Hop {
    let mut hop = Hop { address: None, https: None };
    for pair in element.split(|b| *b == b';').map(<[u8]>::trim_ascii) {
        let mut parts = pair.splitn(2, |b| *b == b'=');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { return Hop { address: None, https: None } };
        let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
        if name.eq_ignore_ascii_case(b"for") {
            if hop.address.is_some() {
                return Hop { address: None, https: None };
            }
            hop.address = address(value);
        } else if name.eq_ignore_ascii_case(b"proto") {
            hop.https = Some(value.eq_ignore_ascii_case(b"https"));
        }
    }
    hop
}

#[cfg(test)]
mod tests {
    use super::believe;
    use crate::exchange::{ConnectionInfo, Exchange};
    use crate::ir::{ForwardingHeader, TrustedProxies};
    use crate::reason::Reason;
    use std::rc::Rc;

    fn client(header: ForwardingHeader, peer: &str, fields: &[(&str, &str)]) -> Result<(String, bool), Reason> {
        let proxies = TrustedProxies { addresses: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], header };
        let connection = ConnectionInfo {
            peer: format!("{peer}:1").parse().unwrap(),
            listener: "l".into(),
            tls: false,
            sni: None,
            client_certificate: None,
            ja4: None,
        };
        let mut exchange = Exchange::new(Rc::new(connection));
        for (name, value) in fields {
            exchange.request.headers.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        believe(Some(&proxies), &mut exchange)?;
        Ok((exchange.client.to_string(), exchange.https))
    }

    #[test]
    fn from_the_right_the_first_that_is_not_trusted() {
        let xff = |peer, fields: &[(&str, &str)]| client(ForwardingHeader::XForwardedFor, peer, fields).map(|(c, _)| c);
        let header = "x-forwarded-for";
        assert_eq!(xff("10.0.0.1", &[(header, "1.1.1.1, 2.2.2.2, 10.9.9.9")]).unwrap(), "2.2.2.2");
        assert_eq!(xff("10.0.0.1", &[(header, "1.1.1.1"), (header, "3.3.3.3")]).unwrap(), "3.3.3.3");
        assert_eq!(xff("192.0.2.7", &[(header, "1.1.1.1")]).unwrap(), "192.0.2.7");
        assert_eq!(xff("[::ffff:10.0.0.1]", &[(header, "::ffff:1.2.3.4")]).unwrap(), "1.2.3.4");
        assert_eq!(xff("10.0.0.1", &[("forwarded", "for=1.1.1.1")]).unwrap(), "10.0.0.1");
        assert_eq!(xff("10.0.0.1", &[(header, "10.0.0.3, 10.0.0.2")]).unwrap(), "10.0.0.3");
    }

    #[test]
    fn what_cannot_be_read_refuses() {
        for value in ["unknown", "", "1.1.1.1,", "1.1.1.1:x", "[::1", "1.1.1.1 2.2.2.2"] {
            let found = client(ForwardingHeader::XForwardedFor, "10.0.0.1", &[("x-forwarded-for", value)]);
            assert_eq!(found, Err(Reason::ForwardingHeaderInvalid), "{value:?}");
        }
        let long = vec!["10.0.0.1"; 40].join(",");
        assert!(client(ForwardingHeader::XForwardedFor, "10.0.0.1", &[("x-forwarded-for", &long)]).is_err());
    }

    #[test]
    fn forwarded_elements() {
        let read = |value| client(ForwardingHeader::Forwarded, "10.0.0.1", &[("forwarded", value)]);
        assert_eq!(read("for=\"[2001:db8::1]:80\";proto=https"), Ok(("2001:db8::1".to_owned(), true)));
        assert_eq!(read("for=1.1.1.1;for=2.2.2.2"), Err(Reason::ForwardingHeaderInvalid));
        assert_eq!(read("for=_hidden"), Err(Reason::ForwardingHeaderInvalid));
        assert_eq!(read("proto=https"), Err(Reason::ForwardingHeaderInvalid));
    }
}
