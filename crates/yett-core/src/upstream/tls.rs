//! TLS towards services: always verified, against the service's own authority or the system's roots.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::pins::Pinned;
use crate::ir;
use crate::snapshot::{LoadError, Secrets};

/// What a service's connections authenticate with; two services or snapshots with the same one may share connections.
pub type Identity = [u8; 32];

/// One service's TLS.
#[derive(Debug, Clone)]
pub struct ServiceTls {
    /// Ready to connect with.
    pub config: Arc<ClientConfig>,
    /// Digest of authority, certificate, key and server name.
    pub identity: Identity,
    /// `server_name` of the configuration.
    pub server_name: Option<ServerName<'static>>,
}

/// TLS client configurations of all services of a snapshot; built once per apply, off the workers.
#[derive(Debug)]
pub struct Tls {
    services: Vec<Option<ServiceTls>>,
}

impl Tls {
    /// Builds or says what is wrong.
    ///
    /// # Errors
    /// Each authority, certificate, key or name that cannot be used.
    pub fn build(ir: &ir::Ir, secrets: &Secrets) -> Result<Self, Vec<LoadError>> {
        let mut errors = Vec::new();
        let mut system_roots = None;
        let mut services = Vec::with_capacity(ir.services.len());
        for (index, service) in ir.services.iter().enumerate() {
            if !service.endpoints.iter().any(|e| e.tls) {
                services.push(None);
                continue;
            }
            let default = ir::ServiceTls::default();
            let spec = service.tls.as_ref().unwrap_or(&default);
            match build_service(spec, secrets, &mut system_roots, service.speaks.alpn()) {
                Ok(tls) => services.push(Some(tls)),
                Err((part, message)) => errors.push(LoadError {
                    pointer: format!("/services/{index}/tls/{part}"),
                    message: format!("service `{}`: {message}", service.name),
                }),
            }
        }
        if errors.is_empty() { Ok(Self { services }) } else { Err(errors) }
    }

    /// The TLS of a service; `None` where no endpoint speaks it.
    #[must_use]
    pub fn service(&self, index: usize) -> Option<&ServiceTls> {
        self.services.get(index).and_then(Option::as_ref)
    }
}

type Fault = (&'static str, String);

fn build_service(
    spec: &ir::ServiceTls,
    secrets: &Secrets,
    system: &mut Option<Arc<RootCertStore>>,
    alpn: &[&[u8]],
) -> Result<ServiceTls, Fault> {
    let roots = match &spec.ca {
        _ if spec.waiting => Arc::new(RootCertStore::empty()),
        Some(pem) => Arc::new(own_roots(pem)?),
        None => match system {
            Some(roots) => roots.clone(),
            None => system.insert(Arc::new(system_roots()?)).clone(),
        },
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ("ca", error.to_string()))?;
    let builder = if spec.san.is_empty() {
        builder.with_root_certificates(roots)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned::new(roots, &spec.san, algorithms)))
    };
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut mix = |part: Option<&[u8]>| {
        let part = part.unwrap_or_default();
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    };
    mix(spec.ca.as_deref().map(str::as_bytes));
    mix(spec.certificate.as_deref().map(str::as_bytes));
    mix(Some(&[u8::from(spec.waiting)]));
    mix(spec.server_name.as_deref().map(str::as_bytes));
    spec.san.iter().for_each(|name| mix(Some(format!("{name:?}").as_bytes())));
    let mut config = match (&spec.certificate, &spec.key) {
        (Some(chain), Some(name)) => {
            let pem = secrets.get(name).ok_or_else(|| ("key", format!("the secret `{name}` was not passed")))?;
            mix(Some(pem.as_slice()));
            let chain = certificates(chain).map_err(|m| ("certificate", m))?;
            let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| ("key", "holds no private key in PEM form".to_owned()))?;
            builder.with_client_auth_cert(chain, key).map_err(|_| ("key", "the key does not fit the certificate".to_owned()))?
        }
        (None, None) => builder.with_no_client_auth(),
        (Some(_), None) => return Err(("key", "a client certificate needs its key".to_owned())),
        (None, Some(_)) => return Err(("certificate", "a key needs its client certificate".to_owned())),
    };
    // A resumed session is not verified: a service whose certificate has ended, or is another's now, would go on with new
    // tickets for as long as both sides like.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let server_name = match &spec.server_name {
        Some(name) => Some(
            ServerName::try_from(name.clone())
                .map_err(|_| ("server_name", format!("`{name}` is neither a DNS name nor an address")))?,
        ),
        None => None,
    };
    let identity = digest.finish().as_ref().try_into().unwrap_or_default();
    Ok(ServiceTls { config: Arc::new(config), identity, server_name })
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| "cannot be read as PEM".to_owned())?;
    if chain.is_empty() { Err("holds no certificate in PEM form".to_owned()) } else { Ok(chain) }
}

fn own_roots(pem: &str) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem).map_err(|m| ("ca", m))? {
        roots.add(certificate).map_err(|_| ("ca", "holds a certificate that is no authority".to_owned()))?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(("ca", "the system has no root certificates; name the authority with `tls: {ca: …}`".to_owned()));
    }
    Ok(roots)
}
