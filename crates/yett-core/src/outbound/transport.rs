//! How an identity provider is reached: TLS with its authority and the gateway's own certificate, decided at load.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsConnector;

/// A certificate of the gateway's own and its key, both PEM.
#[derive(Clone, Copy)]
pub struct OwnCertificate<'a> {
    /// Leaf first.
    pub chain: &'a str,
    /// The private key.
    pub key: &'a [u8],
}

impl std::fmt::Debug for OwnCertificate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnCertificate").finish_non_exhaustive()
    }
}

/// How targets are reached. One may serve several targets of a provider.
pub struct Transport {
    tls: OnceLock<Result<TlsConnector, String>>,
    pub(super) plaintext: bool,
    pub(super) loopback: bool,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = (self.plaintext, self.loopback);
        f.debug_struct("Transport").field("plaintext, loopback", &parts).finish_non_exhaustive()
    }
}

impl Transport {
    /// `ca`: PEM of the authority, in place of the system's. `plaintext`: plain HTTP was allowed, with a reason. `loopback`:
    /// whether addresses of this machine are fine; they are with `plaintext`, and where the issuer's URL names this machine
    /// ([`super::address::names_this_machine`]).
    ///
    /// # Errors
    /// Certificates and keys that cannot be used.
    pub fn new(ca: Option<&str>, own: Option<OwnCertificate<'_>>, plaintext: bool, loopback: bool) -> Result<Arc<Self>, String> {
        let tls = OnceLock::new();
        if ca.is_some() || own.is_some() || !plaintext {
            tls.get_or_init(|| connector(ca, own)).as_ref().map_err(String::clone)?;
        }
        Ok(Arc::new(Self { tls, plaintext, loopback }))
    }

    /// TLS; where plain HTTP was allowed, it is set up when a target asks for it after all.
    pub(super) fn connector(&self) -> Result<TlsConnector, String> {
        self.tls.get_or_init(|| connector(None, None)).clone()
    }
}

fn connector(ca: Option<&str>, own: Option<OwnCertificate<'_>>) -> Result<TlsConnector, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?
        .with_root_certificates(roots(ca)?);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain: Vec<_> = CertificateDer::pem_slice_iter(own.chain.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(|_| "the client certificate cannot be read".to_owned())?;
            let key =
                PrivateKeyDer::from_pem_slice(own.key).map_err(|_| "the key of the client certificate is not PEM".to_owned())?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|_| "the key does not fit the client certificate, or one of them cannot be used".to_owned())?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(ca: Option<&str>) -> Result<rustls::RootCertStore, String> {
    let mut roots = rustls::RootCertStore::empty();
    let Some(pem) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() {
            Err("this system has no certificate authorities; name one with `ca`".to_owned())
        } else {
            Ok(roots)
        };
    };
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| "the certificates in `ca` cannot be read".to_owned())?;
        roots.add(certificate).map_err(|_| "a certificate in `ca` is not valid".to_owned())?;
    }
    if roots.is_empty() { Err("`ca` holds no certificate".to_owned()) } else { Ok(roots) }
}
