//! The addresses that the gateway never sends requests of its own to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a request may go to an address: never link-local, cloud metadata, unspecified, broadcast or multicast;
/// this machine's own only with `loopback`. IPv4 inside IPv6 (mapped, NAT64) counts as IPv4.
#[must_use]
pub fn acceptable(address: IpAddr, loopback: bool) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => acceptable_v4(v4, loopback),
        IpAddr::V6(v6) => {
            let [.., a, b, c, d] = v6.octets();
            let metadata = v6.segments().starts_with(&[0xfd00, 0xec2]) || v6.segments() == [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254];
            !v6.is_unicast_link_local()
                && !v6.is_unspecified()
                && !v6.is_multicast()
                && !metadata
                && (loopback || !v6.is_loopback())
                && (!is_translated(v6) || acceptable_v4(Ipv4Addr::new(a, b, c, d), false))
        }
    }
}

/// Whether an IPv4 address stands in its last four bytes (NAT64: RFC 6052 section 2.1, and RFC 8215 for networks of one's own).
#[must_use]
pub fn is_translated(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    segments.starts_with(&[0x64, 0xff9b, 0, 0, 0, 0]) || segments.starts_with(&[0x64, 0xff9b, 1])
}

fn acceptable_v4(v4: Ipv4Addr, loopback: bool) -> bool {
    let metadata = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]].contains(&v4.octets());
    let [first, ..] = v4.octets();
    first != 0 && !v4.is_link_local() && !v4.is_broadcast() && !v4.is_multicast() && !metadata && (loopback || !v4.is_loopback())
}

/// Whether a URL names this machine itself: `localhost` or a loopback address. Then addresses of this machine are fine.
#[must_use]
pub fn names_this_machine(url: &str) -> bool {
    let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{acceptable, names_this_machine};

    #[test]
    fn metadata_and_link_local_addresses_are_never_fetched_from() {
        for bad in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a9fe:a9fe",
            "fd20:ce::254",
        ] {
            assert!(!acceptable(bad.parse().unwrap(), true), "{bad}");
        }
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(acceptable(own.parse().unwrap(), true) && !acceptable(own.parse().unwrap(), false), "{own}");
        }
        for good in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1"] {
            assert!(acceptable(good.parse().unwrap(), false), "{good}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for own in ["https://localhost/x", "https://LOCALHOST:8443", "http://127.1.2.3/", "https://[::1]:8443/"] {
            assert!(names_this_machine(own), "{own}");
        }
        for other in ["https://id.example/", "https://localhost.example/", "https://192.0.2.1/", "nonsense"] {
            assert!(!names_this_machine(other), "{other}");
        }
    }
}
