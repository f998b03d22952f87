//! The addresses that no service may have.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{PoisonError, RwLock};

use super::resolve::{Addresses, Host, Names};
use crate::outbound::address::{acceptable, is_translated};
use crate::reason::Reason;

/// Names and forbidden addresses, for the whole process.
#[derive(Debug, Default)]
pub struct Network {
    own: RwLock<Vec<SocketAddr>>,
    /// Names of endpoints.
    pub names: Names,
}

impl Network {
    /// The bound addresses (real ports) of all listeners and of the admin listener; call it before a new snapshot serves.
    pub fn set_own_addresses(&self, addresses: Vec<SocketAddr>) {
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// The addresses of an endpoint, from now on those that may be connected to.
    ///
    /// # Errors
    /// `service_unreachable` when the name does not resolve, `service_address_forbidden` when any of its addresses is one
    /// that no service may have: a name that points there once is not trusted for its other addresses either.
    pub async fn resolve(&self, host: &Host, port: u16) -> Result<Addresses, Reason> {
        let addresses = host.addresses().await;
        if addresses.is_empty() {
            return Err(Reason::ServiceUnreachable);
        }
        if addresses.iter().any(|address| self.is_forbidden(SocketAddr::new(*address, port))) {
            return Err(Reason::ServiceAddressForbidden);
        }
        Ok(addresses)
    }

    /// Whether no service may have this address: special ranges, cloud metadata, our own listeners.
    #[must_use]
    pub fn is_forbidden(&self, address: SocketAddr) -> bool {
        let ip = unmapped(address.ip());
        is_special(ip) || self.is_own(SocketAddr::new(ip, address.port()))
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        own.iter().any(|bound| {
            bound.port() == address.port()
                && (unmapped(bound.ip()) == address.ip() || (bound.ip().is_unspecified() && is_local(address.ip())))
        })
    }
}

/// IPv4 addresses written as IPv6 (mapped, NAT64) are judged as IPv4.
fn unmapped(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    let [.., a, b, c, d] = v6.octets();
    if is_translated(v6) { Ipv4Addr::new(a, b, c, d).into() } else { ip }
}

/// Whether no service may have it, whatever the port.
pub(super) fn is_special(ip: IpAddr) -> bool {
    !acceptable(unmapped(ip), true)
}

/// Whether the address is one of this machine's: only those can be bound.
fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Network;
    use crate::ir;
    use crate::reason::Reason;
    use crate::shared::Shared;
    use crate::upstream::resolve::Host;

    #[test]
    fn special_addresses_are_forbidden() {
        let network = Network::default();
        for text in [
            "169.254.169.254:80",
            "0.0.0.0:80",
            "0.1.2.3:80",
            "224.0.0.1:80",
            "255.255.255.255:80",
            "100.100.100.200:80",
            "168.63.129.16:80",
            "192.0.0.192:80",
            "[fe80::1]:80",
            "[::]:80",
            "[ff02::1]:80",
            "[fd00:ec2::254]:80",
            "[fd00:ec2::23]:80",
            "[fd20:ce::254]:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[64:ff9b:1::a9fe:a9fe]:80",
        ] {
            assert!(network.is_forbidden(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1:80", "10.0.0.1:80", "192.0.2.1:443", "[::1]:80", "[2001:db8::1]:443", "[fd00::1]:80"] {
            assert!(!network.is_forbidden(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn our_own_sockets_are_forbidden() {
        let network = Network::default();
        network.set_own_addresses(vec!["127.0.0.1:9901".parse().unwrap(), "0.0.0.0:8443".parse().unwrap()]);
        for text in [
            "127.0.0.1:9901",
            "[::ffff:127.0.0.1]:9901",
            "[64:ff9b::7f00:1]:9901",
            "[64:ff9b:1::7f00:1]:9901",
            "127.0.0.1:8443",
            "127.1.2.3:8443",
        ] {
            assert!(network.is_forbidden(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1:9902", "192.0.2.1:8443", "127.0.0.2:9901"] {
            assert!(!network.is_forbidden(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn names_and_literals_resolve() {
        let shared = Arc::new(Shared::new(tokio::runtime::Handle::current(), [0; 32]));
        let resolve = async |host: &str| {
            let host = Host::new(host, &ir::Dns::default(), &shared);
            shared.network.resolve(&host, 80).await
        };
        assert!(resolve("127.0.0.1").await.is_ok());
        assert!(resolve("localhost").await.is_ok());
        assert_eq!(resolve("169.254.169.254").await, Err(Reason::ServiceAddressForbidden));
        assert_eq!(resolve("name.invalid").await, Err(Reason::ServiceUnreachable));
    }
}
