//! TLS of listeners: profiles, certificates by name, clients' certificates, tickets shared by the workers.

pub mod cause;
pub mod clients;
pub mod handshake;
pub mod ja4;
pub mod names;
pub mod profile;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use self::names::Names;
use crate::ir;
use crate::snapshot::{LoadError, Secrets};

/// The cryptography of everything that is no listener; X25519MLKEM768 leads its key exchanges.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// What listeners offer (ALPN, RFC 7301), in the order of preference.
fn alpn_protocols() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

/// A listener's TLS, with what it was made of.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// Ready for handshakes. Its ticket keys are its own: no other listener and no later trust resumes its sessions.
    pub config: Arc<ServerConfig>,
    /// What connections rely on beside our own certificate: policy, clients' authorities and revocation lists.
    pub trust: [u8; 32],
    /// Whether clients are asked for certificates.
    pub asks: bool,
    /// Milliseconds since 1970 from when on a revocation list is out of date.
    pub lists_end_ms: Option<u64>,
    certificates: Arc<Certificates>,
    digest: [u8; 32],
}

impl ServerTls {
    /// Builds it, or keeps `previous` (and with it the keys of session tickets) where nothing changed. A changed
    /// configuration has new ticket keys, so that no session outlives what it was checked with.
    pub fn build(
        tls: &ir::ListenerTls,
        secrets: &Secrets,
        pointer: &str,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<LoadError>> {
        let trust = trust(tls);
        let digest = digest(tls, &trust, secrets);
        if let Some(previous) = previous.filter(|previous| previous.digest == digest) {
            return Ok(previous.clone());
        }
        let at = |field: &str, message: String| LoadError { pointer: format!("{pointer}/{field}"), message };
        let (provider, versions) = profile::profile(tls).map_err(|message| vec![at("profile", message)])?;
        let provider = Arc::new(provider);
        let mut errors = Vec::new();
        let mut keys = Certificates::default();
        for (index, pair) in tls.certificates.iter().enumerate() {
            match certified(pair, secrets, &provider) {
                Ok(key) => keys.add(Arc::new(key)),
                Err((field, message)) => errors.push(at(&format!("certificates/{index}/{field}"), message)),
            }
        }
        keys.waiting = tls.waiting;
        keys.pending = tls.pending.iter().map(|name| name.to_ascii_lowercase().into()).collect();
        if tls.certificates.is_empty() && tls.pending.is_empty() && !tls.waiting {
            errors.push(at("certificates", "a TLS listener needs at least one certificate".to_owned()));
        }
        // Without a certificate of ours no handshake gets as far as theirs.
        let asked = tls.client_certificates.as_ref().filter(|_| !tls.waiting);
        let clients = asked.map(|spec| clients::build(spec, &provider)).transpose();
        let clients = clients.unwrap_or_else(|found| {
            errors.extend(found.into_iter().map(|(field, message)| at(&format!("client_certificates/{field}"), message)));
            None
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        let keys = Arc::new(keys);
        let (asks, lists_end_ms) = (tls.client_certificates.is_some(), clients.as_ref().and_then(|clients| clients.lists_end_ms));
        let verifier = clients.map_or_else(WebPkiClientVerifier::no_client_auth, |clients| clients.verifier);
        let failed = |error: rustls::Error| vec![LoadError { pointer: pointer.to_owned(), message: format!("TLS: {error}") }];
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).map_err(failed)?;
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::clone(&keys) as _);
        config.alpn_protocols = alpn_protocols();
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(failed)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0;
        // Without it, a resumed TLS 1.2 session can be spliced onto another connection's client (RFC 7627 section 1).
        config.require_ems |= asks;
        if tls.profile == ir::TlsProfile::Fips && !config.fips() {
            return Err(vec![at("profile", profile::NOT_FIPS.to_owned())]);
        }
        Ok(Self { config: Arc::new(config), trust, asks, lists_end_ms, certificates: keys, digest })
    }

    /// Whether there is a certificate for a client that asks for this name.
    #[must_use]
    pub fn has_certificate(&self, name: Option<&str>) -> bool {
        self.certificates.find(name).is_some()
    }
}

type FieldError = (&'static str, String);

fn certified(pair: &ir::CertificatePair, secrets: &Secrets, provider: &CryptoProvider) -> Result<CertifiedKey, FieldError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pair.chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| ("chain", format!("the certificate chain is no valid PEM: {error}")))?;
    if chain.is_empty() {
        return Err(("chain", "the chain holds no certificate; give PEM with the leaf first".to_owned()));
    }
    let pem = secrets.get(&pair.key).ok_or_else(|| ("key", format!("the secret `{}` is missing", pair.key)))?;
    let key = PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| ("key", format!("the secret `{}` holds no private key in PEM", pair.key)))?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        ("key", format!("the private key `{}` is of a kind that is not supported; use ECDSA P-256 or RSA 2048", pair.key))
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(("key", format!("the private key `{}` does not belong to the first certificate of the chain", pair.key)))
        }
        Err(_) => Err(("chain", "the first certificate of the chain cannot be read".to_owned())),
    }
}

/// What connections of a listener rely on beside our own certificate. Where it changes, connections made before have to go.
#[must_use]
pub fn trust(tls: &ir::ListenerTls) -> [u8; 32] {
    let mut digest = Digest::new();
    digest.part(format!("{:?} {:?}", tls.profile, tls.guideline).as_bytes());
    if let Some(clients) = &tls.client_certificates {
        digest.part(format!("{:?}", clients.mode).as_bytes());
        digest.part(clients.ca.as_bytes());
        clients.crls.iter().for_each(|list| digest.part(list.as_bytes()));
    }
    digest.finish()
}

fn digest(tls: &ir::ListenerTls, trust: &[u8; 32], secrets: &Secrets) -> [u8; 32] {
    let mut digest = Digest::new();
    digest.part(trust);
    tls.pending.iter().for_each(|name| digest.part(name.as_bytes()));
    digest.part(&[u8::from(tls.waiting)]);
    for pair in &tls.certificates {
        digest.part(pair.chain.as_bytes());
        digest.part(secrets.get(&pair.key).map_or(&[], |key| key.as_slice()));
    }
    digest.finish()
}

/// SHA-256 over parts, each with its length before it.
struct Digest(::aws_lc_rs::digest::Context);

impl Digest {
    fn new() -> Self {
        Self(::aws_lc_rs::digest::Context::new(&::aws_lc_rs::digest::SHA256))
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(bytes);
    }

    fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

/// Certificates in the order of the configuration, and which of them a name gets.
#[derive(Default)]
struct Certificates {
    keys: Vec<Arc<CertifiedKey>>,
    names: Names,
    pending: HashSet<Box<str>>,
    /// There is none for anybody yet.
    waiting: bool,
}

impl Certificates {
    fn add(&mut self, key: Arc<CertifiedKey>) {
        if let Some(leaf) = key.cert.first() {
            self.names.add(u32::try_from(self.keys.len()).unwrap_or(u32::MAX), leaf);
        }
        self.keys.push(key);
    }

    /// A name whose certificate is still to come gets none: another's would only look like a mistake.
    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        if self.waiting {
            return None;
        }
        let name = name.map(str::to_ascii_lowercase);
        let index = match name.as_deref() {
            None => 0,
            Some(name) => match self.names.own_certificate(name) {
                Some(index) => index,
                None if self.pending.contains(name) => return None,
                None => 0,
            },
        };
        self.keys.get(usize::try_from(index).ok()?)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("count", &self.keys.len()).finish()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::NamedGroup;
    use zeroize::Zeroizing;

    fn pair(names: &[&str], key_name: &str, secrets: &mut Secrets) -> ir::CertificatePair {
        let made = rcgen::generate_simple_self_signed(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        secrets.insert(key_name.to_owned(), Zeroizing::new(made.signing_key.serialize_pem().into_bytes()));
        ir::CertificatePair { chain: made.cert.pem(), key: key_name.to_owned() }
    }

    fn listener(certificates: Vec<ir::CertificatePair>) -> ir::ListenerTls {
        ir::ListenerTls {
            profile: ir::TlsProfile::Modern,
            guideline: None,
            certificates,
            pending: vec![],
            waiting: false,
            client_certificates: None,
        }
    }

    #[test]
    fn a_name_whose_certificate_is_to_come_gets_none() {
        let mut secrets = Secrets::new();
        let mut tls = listener(vec![]);
        tls.pending = vec!["A.test".to_owned(), "w.b.test".to_owned()];
        let none = ServerTls::build(&tls, &secrets, "", None).unwrap();
        assert!(!none.has_certificate(Some("a.test")) && !none.has_certificate(None) && !none.has_certificate(Some("x.test")));
        tls.certificates = vec![pair(&["*.b.test"], "b", &mut secrets)];
        let some = ServerTls::build(&tls, &secrets, "", Some(&none)).unwrap();
        assert!(!some.has_certificate(Some("a.Test")));
        assert!(some.has_certificate(Some("w.b.test")) && some.has_certificate(None) && some.has_certificate(Some("x.test")));
        tls.waiting = true;
        assert!(!ServerTls::build(&tls, &secrets, "", None).unwrap().has_certificate(Some("b.test")));
        tls.waiting = false;
        tls.pending.clear();
        assert!(ServerTls::build(&tls, &secrets, "", Some(&some)).unwrap().has_certificate(Some("a.test")));
    }

    #[test]
    fn post_quantum_leads() {
        let provider = provider();
        assert_eq!(provider.kx_groups.first().unwrap().name(), NamedGroup::X25519MLKEM768);
    }

    #[test]
    fn a_key_of_another_certificate_does_not_load() {
        let mut secrets = Secrets::new();
        let mut one = pair(&["one.test"], "one", &mut secrets);
        pair(&["two.test"], "two", &mut secrets);
        one.key = "two".to_owned();
        let tls = listener(vec![one]);
        let errors = ServerTls::build(&tls, &secrets, "/listeners/0/tls", None).unwrap_err();
        assert_eq!(errors[0].pointer, "/listeners/0/tls/certificates/0/key");
        assert!(errors[0].message.contains("does not belong"), "{}", errors[0].message);
    }

    #[test]
    fn unchanged_tls_keeps_its_ticket_keys() {
        let mut secrets = Secrets::new();
        let mut tls = listener(vec![pair(&["a.test"], "a", &mut secrets)]);
        let before = ServerTls::build(&tls, &secrets, "", None).unwrap();
        let same = ServerTls::build(&tls, &secrets, "", Some(&before)).unwrap();
        assert!(Arc::ptr_eq(&before.config, &same.config));
        tls.profile = ir::TlsProfile::Intermediate;
        let other = ServerTls::build(&tls, &secrets, "", Some(&same)).unwrap();
        assert!(!Arc::ptr_eq(&before.config, &other.config));
    }
}
