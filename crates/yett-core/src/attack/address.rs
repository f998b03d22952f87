//! Addresses that a service shall be made to ask: a value that is wholly a URL of an internal host, however it is written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::class::{Class, Kind};
use super::filter::Filter;

/// Looks at a value, in lower case and decoded.
pub(super) fn examine(text: &[u8], kind: Kind, filter: &mut Filter<'_>) {
    if !matches!(kind, Kind::Value | Kind::File) || !filter.wants(Class::Ssrf, 5) || text.len() > 2048 {
        return;
    }
    let Ok(text) = std::str::from_utf8(text) else { return };
    let text = text.trim();
    let text = text.strip_prefix("url:").unwrap_or(text);
    let Some((scheme, rest)) = text.split_once(':') else { return };
    if text.contains([' ', '\n', '"', '<']) {
        return;
    }
    match scheme {
        "gopher" | "dict" | "netdoc" | "tftp" | "jar" if rest.len() > 2 => {
            filter.add(Class::Ssrf, "ssrf-scheme", 5);
        }
        "file" | "local_file" if rest.starts_with('/') => filter.add(Class::Ssrf, "ssrf-file", 5),
        "ldap" | "ldaps" | "sftp" if rest.starts_with("//") => filter.add(Class::Ssrf, "ssrf-scheme", 5),
        "http" | "https" | "ftp" | "ws" | "wss" => {
            let authority = rest.trim_start_matches(['/', '\\']);
            if authority.len() < rest.len()
                && let Some(rule) = internal(authority)
            {
                filter.add(Class::Ssrf, rule, 5);
            }
        }
        _ => {}
    }
}

/// Which host of several: parsers disagree about `@`, `#` and `\`, so each that could be one is looked at.
fn internal(rest: &str) -> Option<&'static str> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    authority.split(['@', '#', '\\']).take(4).filter(|one| !one.is_empty()).find_map(host)
}

fn host(text: &str) -> Option<&'static str> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.split([']', '%']).next()?;
        return judged(IpAddr::V6(inner.parse().ok()?), false);
    }
    let name = text.split(':').next()?.trim_end_matches('.');
    if let Some((address, odd)) = legacy(name) {
        return judged(IpAddr::V4(address), odd);
    }
    named(name)
}

fn named(name: &str) -> Option<&'static str> {
    const METADATA: [&str; 5] =
        ["metadata", "metadata.google.internal", "instance-data", "metadata.azure.internal", "metadata.tencentyun.com"];
    const LOCAL: [&str; 6] =
        ["localhost", "localtest.me", "lvh.me", "host.docker.internal", "localhost.localdomain", "kubernetes.default"];
    const ENDS: [&str; 9] =
        [".localhost", ".internal", ".cluster.local", ".consul", ".svc", ".localtest.me", ".lvh.me", ".vcap.me", ".localdomain"];
    if METADATA.contains(&name) {
        return Some("ssrf-metadata");
    }
    if LOCAL.contains(&name) || ENDS.iter().any(|end| name.ends_with(end)) {
        return Some("ssrf-internal-host");
    }
    // Names that say an address: `10.0.0.1.nip.io`, `app-10-0-0-1.sslip.io`.
    let said = [".nip.io", ".sslip.io", ".xip.io"].iter().find_map(|end| name.strip_suffix(end))?;
    let labels: Vec<&str> = said.split(['.', '-']).collect();
    labels.windows(4).find_map(|four| judged(IpAddr::V4(four.join(".").parse().ok()?), true))
}

/// As `inet_aton` reads it: one to four numbers, decimal, octal or hexadecimal; and whether it is written in such a way.
fn legacy(name: &str) -> Option<(Ipv4Addr, bool)> {
    if !name.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if let Ok(plain) = name.parse::<Ipv4Addr>() {
        return Some((plain, false));
    }
    let mut parts = Vec::with_capacity(4);
    for part in name.split('.') {
        let number = match part.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None if part.len() > 1 && part.starts_with('0') => u32::from_str_radix(part.trim_start_matches('0'), 8)
                .or(if part.bytes().all(|b| b == b'0') { Ok(0) } else { Err(()) })
                .ok()?,
            None => part.parse().ok()?,
        };
        parts.push(number);
    }
    let (last, others) = parts.split_last()?;
    if others.len() > 3 || others.iter().any(|one| *one > 255) {
        return None;
    }
    let room = 8 * (4 - u32::try_from(others.len()).ok()?);
    if room < 32 && *last >= 1 << room {
        return None;
    }
    let high = others.iter().enumerate().fold(0_u32, |sum, (place, one)| sum | one << (24 - 8 * place));
    Some((Ipv4Addr::from(high | last), true))
}

fn judged(address: IpAddr, odd: bool) -> Option<&'static str> {
    let address = match address {
        IpAddr::V6(six) => match embedded(six) {
            Some(four) => IpAddr::V4(four),
            None => IpAddr::V6(six),
        },
        four => four,
    };
    match address {
        IpAddr::V4(four) => {
            let octets = four.octets();
            let metadata = four.is_link_local()
                || octets == [100, 100, 100, 200]
                || octets == [192, 0, 0, 192]
                || octets == [168, 63, 129, 16];
            if metadata {
                Some("ssrf-metadata")
            } else if four.is_loopback()
                || four.is_private()
                || four.is_unspecified()
                || octets[0] == 0
                || octets[0] == 100 && octets[1] & 0xc0 == 64
            {
                Some("ssrf-internal-address")
            } else {
                odd.then_some("ssrf-odd-address")
            }
        }
        IpAddr::V6(six) => {
            let [first, ..] = six.segments();
            if six == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254) {
                return Some("ssrf-metadata");
            }
            let internal = six.is_loopback() || six.is_unspecified() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80;
            internal.then_some("ssrf-internal-address")
        }
    }
}

/// An IPv4 address in an IPv6 one: mapped, compatible, NAT64, 6to4.
fn embedded(six: Ipv6Addr) -> Option<Ipv4Addr> {
    let four = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match six.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => four(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => four(high, low),
        [0x2002, high, low, ..] => four(high, low),
        _ => None,
    }
}
