//! One GET to an identity provider: bounded in time and size, no redirects, never to a metadata address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::header;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::hyper_io::HyperIo;

/// For name resolution, connection, handshake and body together.
const TOTAL: Duration = Duration::from_secs(5);

/// Where to, decided at load.
pub(super) struct Target {
    /// TLS, unless plain HTTP was allowed with a reason.
    tls: Option<TlsConnector>,
    host: String,
    port: u16,
    path: String,
    authority: String,
    loopback: bool,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl Target {
    /// Of a URL. `loopback`: whether addresses of this machine are fine.
    pub(super) fn new(url: &str, plaintext: bool, ca: Option<&str>, loopback: bool) -> Result<Self, String> {
        let uri: http::Uri = url.parse().map_err(|_| "the URL of the key set cannot be read".to_owned())?;
        let authority = uri.authority().ok_or("the URL of the key set names no host")?;
        if authority.as_str().contains('@') {
            return Err("the URL of the key set holds a user name; remove it".to_owned());
        }
        let tls = match uri.scheme_str() {
            Some("https") => Some(connector(ca)?),
            Some("http") if plaintext => None,
            Some("http") => {
                return Err("the URL of the key set is plain HTTP; use https, or say `plaintext: \"reason\"`".to_owned());
            }
            _ => return Err("the URL of the key set is not https".to_owned()),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { tls, host, port, path, authority: authority.as_str().to_owned(), loopback })
    }

    /// The body of a 200 answer of at most `limit` bytes, or what went wrong, without anything that the other end sent.
    pub(super) async fn get(&self, limit: usize) -> Result<Vec<u8>, String> {
        tokio::time::timeout(TOTAL, self.exchange(limit)).await.map_err(|_| "no answer within 5 seconds".to_owned())?
    }

    async fn exchange(&self, limit: usize) -> Result<Vec<u8>, String> {
        let stream = self.connect().await?;
        let Some(tls) = &self.tls else { return self.request(stream, limit).await };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| "the host is not a valid name".to_owned())?;
        let stream = tls.connect(name, stream).await.map_err(|e| format!("the TLS handshake failed: {e}"))?;
        self.request(stream, limit).await
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let addresses: Vec<SocketAddr> = found.map_err(|_| "the host name cannot be resolved".to_owned())?.collect();
        // One forbidden address spoils the name: who could add it can add others.
        if let Some(bad) = addresses.iter().find(|address| !acceptable(address.ip(), self.loopback)) {
            return Err(format!("the host resolves to {}, which is never fetched from", bad.ip()));
        }
        let mut last = "the host has no address".to_owned();
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = format!("cannot connect to {address}: {}", error.kind()),
            }
        }
        Err(last)
    }

    async fn request<T>(&self, stream: T, limit: usize) -> Result<Vec<u8>, String>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |_| "the answer is not valid HTTP, or broke off".to_owned();
        let handshake = hyper::client::conn::http1::handshake(HyperIo(stream));
        let (mut sender, connection) = handshake.await.map_err(failed)?;
        // Dropped, and with it the connection, when this function ends in whatever way.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let request = http::Request::get(self.path.as_str())
            .header(header::HOST, self.authority.as_str())
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .header(header::USER_AGENT, "yett")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|_| "the URL cannot be asked for".to_owned())?;
        let mut response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(format!("answered {}; redirects are not followed", status.as_u16()));
        }
        if status != http::StatusCode::OK {
            return Err(format!("answered {} instead of 200", status.as_u16()));
        }
        if response.headers().contains_key(header::CONTENT_ENCODING) {
            return Err("answered with a content encoding that was not asked for".to_owned());
        }
        let mut body = Vec::new();
        while let Some(frame) = response.body_mut().frame().await {
            if let Ok(data) = frame.map_err(failed)?.into_data() {
                if body.len() + data.len() > limit {
                    return Err(format!("answered more than {limit} bytes"));
                }
                body.extend_from_slice(&data);
            }
        }
        Ok(body)
    }
}

fn connector(ca: Option<&str>) -> Result<TlsConnector, String> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(pem) = ca {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| "the certificates in `ca` cannot be read".to_owned())?;
            roots.add(certificate).map_err(|_| "a certificate in `ca` is not valid".to_owned())?;
        }
        if roots.is_empty() {
            return Err("`ca` holds no certificate".to_owned());
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err("this system has no certificate authorities; name one with `ca`".to_owned());
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Whether keys may be fetched from an address: never link-local, cloud metadata, unspecified, broadcast or multicast;
/// this machine's own only with `loopback`. IPv4 inside IPv6 (mapped, NAT64) counts as IPv4.
pub(super) fn acceptable(address: IpAddr, loopback: bool) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => acceptable_v4(v4, loopback),
        IpAddr::V6(v6) => {
            let [.., a, b, c, d] = v6.octets();
            let nat64 = v6.segments().starts_with(&[0x64, 0xff9b, 0, 0, 0, 0]);
            let metadata = v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254];
            !v6.is_unicast_link_local()
                && !v6.is_unspecified()
                && !v6.is_multicast()
                && !metadata
                && (loopback || !v6.is_loopback())
                && (!nat64 || acceptable_v4(Ipv4Addr::new(a, b, c, d), false))
        }
    }
}

fn acceptable_v4(v4: Ipv4Addr, loopback: bool) -> bool {
    let metadata = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]].contains(&v4.octets());
    let [first, ..] = v4.octets();
    first != 0 && !v4.is_link_local() && !v4.is_broadcast() && !v4.is_multicast() && !metadata && (loopback || !v4.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{Target, acceptable};

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
    fn urls_that_are_not_https_need_a_reason() {
        assert!(Target::new("http://id.example/jwks", false, None, false).unwrap_err().contains("plaintext"));
        assert!(Target::new("http://id.example/jwks", true, None, false).is_ok());
        for bad in ["file:///etc/passwd", "/jwks", "https://", "https://me:pw@id.example/", "ftp://id.example/"] {
            assert!(Target::new(bad, true, None, false).is_err(), "{bad}");
        }
        assert!(Target::new("https://id.example/", false, Some("no certificate"), false).unwrap_err().contains("ca"));
    }
}
