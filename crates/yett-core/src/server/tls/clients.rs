//! Certificates that clients show: who vouches for them, what they are for, which are revoked.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use crate::certificate::{is_authority, is_for_clients};
use crate::ir::{ClientCertificateMode, ClientCertificates};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

/// What is wrong, and where: a field of `client_certificates`.
pub type FieldError = (String, String);

/// Who verifies the clients of a listener.
#[derive(Debug)]
pub struct Clients {
    /// For the handshake.
    pub verifier: Arc<dyn ClientCertVerifier>,
    /// Milliseconds since 1970 from when on a revocation list is out of date; a resumed session asks again.
    pub lists_end_ms: Option<u64>,
}

/// Builds the verifier of a listener. The system's authorities are never a part of it.
///
/// # Errors
/// Each authority or list that cannot be used; no authority at all.
pub fn build(spec: &ClientCertificates, provider: &Arc<CryptoProvider>) -> Result<Clients, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut roots = RootCertStore::empty();
    if let Err(message) = authorities(&spec.ca, &mut roots) {
        errors.push(("ca".to_owned(), message));
    }
    let (mut lists, mut lists_end_ms) = (Vec::new(), None);
    for (index, pem) in spec.crls.iter().enumerate() {
        match revocation_lists(pem) {
            Ok((more, end_ms)) => {
                lists.extend(more);
                lists_end_ms = Some(lists_end_ms.map_or(end_ms, |end: u64| end.min(end_ms)));
            }
            Err(message) => errors.push((format!("crls/{index}"), message)),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    // Every certificate of a chain has to be covered by a list, if there is any, and an outdated list covers nothing.
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .with_crls(lists)
        .enforce_revocation_expiration();
    let builder = match spec.mode {
        ClientCertificateMode::Required => builder,
        ClientCertificateMode::Optional => builder.allow_unauthenticated(),
    };
    let inner =
        builder.build().map_err(|error| vec![("crls".to_owned(), format!("a revocation list cannot be used: {error}"))])?;
    Ok(Clients { verifier: Arc::new(ForClients(inner)), lists_end_ms })
}

fn authorities(pem: &str, roots: &mut RootCertStore) -> Result<(), String> {
    let mut count = 0_usize;
    for found in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let der = found.map_err(|error| format!("the authorities are no valid PEM: {error}"))?;
        count = count.saturating_add(1);
        let describe = |why: &str| format!("certificate {count} of the file cannot vouch for clients: {why}");
        match is_authority(&der) {
            Ok(true) => {}
            Ok(false) => return Err(describe("it is no authority (CA:TRUE, and the right to sign certificates)")),
            Err(why) => return Err(describe(why)),
        }
        roots.add(der).map_err(|_| describe("it cannot be read"))?;
    }
    if roots.is_empty() {
        return Err("the file holds no certificate; name the authorities that vouch for clients, in PEM".to_owned());
    }
    Ok(())
}

/// The lists of a file, and when the first of them is out of date.
fn revocation_lists(pem: &str) -> Result<(Vec<CertificateRevocationListDer<'static>>, u64), String> {
    let mut lists = Vec::new();
    let mut end_ms = u64::MAX;
    for found in CertificateRevocationListDer::pem_slice_iter(pem.as_bytes()) {
        let der = found.map_err(|error| format!("the revocation list is no valid PEM: {error}"))?;
        let (_, list) = CertificateRevocationList::from_der(&der).map_err(|_| "the revocation list cannot be read".to_owned())?;
        let next = list.next_update().ok_or("the revocation list does not say when the next one comes".to_owned())?;
        end_ms = end_ms.min(u64::try_from(next.timestamp()).unwrap_or(0).saturating_mul(1000));
        lists.push(der);
    }
    if lists.is_empty() {
        return Err("the file holds no revocation list; PEM with `X509 CRL` is needed".to_owned());
    }
    Ok((lists, end_ms))
}

/// Demands the purpose `clientAuth` of the leaf, where the library accepts a leaf that names no purpose at all.
struct ForClients(Arc<dyn ClientCertVerifier>);

impl fmt::Debug for ForClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForClients")
    }
}

impl ClientCertVerifier for ForClients {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.0.verify_client_cert(leaf, intermediates, now)?;
        if is_for_clients(leaf) { Ok(verified) } else { Err(CertificateError::InvalidPurpose.into()) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
