//! Services whose certificate has to carry one of certain names (`tls: {san: …}`), beside everything that any
//! service's certificate has to be.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::certificate::{self, SubjectName};
use crate::ir::San;

/// Verifies a chain, validity and purpose as ever, then looks for a pinned name.
#[derive(Debug)]
pub struct Pinned {
    roots: Arc<RootCertStore>,
    names: Box<[SubjectName]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    /// Of one service; `names` is not empty.
    #[must_use]
    pub fn new(roots: Arc<RootCertStore>, names: &[San], algorithms: WebPkiSupportedAlgorithms) -> Self {
        let typed = |name: &San| match name {
            San::Dns(name) => SubjectName::Dns(name.to_ascii_lowercase().into()),
            San::Uri(name) => SubjectName::Uri(name.as_str().into()),
            San::Ip(address) => SubjectName::Ip(*address),
        };
        Self { roots, names: names.iter().map(typed).collect(), algorithms }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&leaf, &self.roots, intermediates, now, self.algorithms.all)?;
        let carried = certificate::names(end_entity).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let mut pinned = self.names.iter().filter(|name| carried.contains(name)).peekable();
        if pinned.peek().is_none() {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        // A URI says who it is; a DNS name or address says that, too, only where we meant to go there.
        if !pinned.any(|name| matches!(name, SubjectName::Uri(_))) {
            verify_server_name(&leaf, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
