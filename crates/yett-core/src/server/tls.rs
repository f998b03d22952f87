//! TLS of listeners: profiles, certificates by name, tickets shared by the workers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::ir;
use crate::snapshot::{LoadError, Secrets};

/// The one cryptographic provider; X25519MLKEM768 leads its key exchanges (feature `prefer-post-quantum`).
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A listener's TLS, with what it was made of.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// Ready for handshakes.
    pub config: Arc<ServerConfig>,
    digest: [u8; 32],
}

impl ServerTls {
    /// Builds it, or keeps `previous` (and with it the keys of session tickets) where nothing changed. A changed
    /// configuration has new ticket keys, so that no session outlives the certificates that it was checked with.
    pub fn build(
        tls: &ir::ListenerTls,
        secrets: &Secrets,
        pointer: &str,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<LoadError>> {
        let digest = digest(tls, secrets);
        if let Some(previous) = previous.filter(|previous| previous.digest == digest) {
            return Ok(previous.clone());
        }
        let provider = provider();
        let mut names = Certificates::default();
        let mut errors = Vec::new();
        for (index, pair) in tls.certificates.iter().enumerate() {
            match certified(pair, secrets, &provider) {
                Ok(key) => names.add(Arc::new(key)),
                Err((field, message)) => {
                    errors.push(LoadError { pointer: format!("{pointer}/certificates/{index}/{field}"), message })
                }
            }
        }
        if names.default.is_none() && errors.is_empty() {
            errors.push(LoadError {
                pointer: format!("{pointer}/certificates"),
                message: "a TLS listener needs at least one certificate".to_owned(),
            });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let config = server_config(tls.profile, provider, names)
            .map_err(|error| vec![LoadError { pointer: pointer.to_owned(), message: format!("TLS: {error}") }])?;
        Ok(Self { config: Arc::new(config), digest })
    }
}

fn server_config(
    profile: ir::TlsProfile,
    provider: Arc<CryptoProvider>,
    names: Certificates,
) -> Result<ServerConfig, rustls::Error> {
    let versions: &[&rustls::SupportedProtocolVersion] = match profile {
        ir::TlsProfile::Modern => &[&rustls::version::TLS13],
        ir::TlsProfile::Intermediate => &[&rustls::version::TLS13, &rustls::version::TLS12],
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(names));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    Ok(config)
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

fn digest(tls: &ir::ListenerTls, secrets: &Secrets) -> [u8; 32] {
    let mut context = aws_lc_rs_digest();
    let mut part = |bytes: &[u8]| {
        context.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(bytes);
    };
    part(match tls.profile {
        ir::TlsProfile::Modern => b"modern",
        ir::TlsProfile::Intermediate => b"intermediate",
    });
    for pair in &tls.certificates {
        part(pair.chain.as_bytes());
        part(secrets.get(&pair.key).map_or(&[], |key| key.as_slice()));
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

fn aws_lc_rs_digest() -> ::aws_lc_rs::digest::Context {
    ::aws_lc_rs::digest::Context::new(&::aws_lc_rs::digest::SHA256)
}

/// Certificates by name: exact, then `*.` of the parent, then the first one.
#[derive(Default)]
struct Certificates {
    default: Option<Arc<CertifiedKey>>,
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    wildcard: HashMap<Box<str>, Arc<CertifiedKey>>,
}

impl Certificates {
    /// Where two certificates carry one name, the earlier one serves it.
    fn add(&mut self, key: Arc<CertifiedKey>) {
        if let Some(leaf) = key.cert.first()
            && let Ok(leaf) = webpki::EndEntityCert::try_from(leaf)
        {
            for name in leaf.valid_dns_names() {
                let name = name.to_ascii_lowercase();
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut self.wildcard, parent),
                    None => (&mut self.exact, name.as_str()),
                };
                map.entry(name.into()).or_insert_with(|| Arc::clone(&key));
            }
        }
        self.default.get_or_insert(key);
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.exact.get(name.as_str()).or_else(|| self.wildcard.get(parent?)).or(self.default.as_ref())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("exact", &self.exact.len()).field("wildcard", &self.wildcard.len()).finish()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            Some(name) => self.find(name).cloned(),
            None => self.default.clone(),
        }
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

    #[test]
    fn post_quantum_leads() {
        let provider = provider();
        assert_eq!(provider.kx_groups.first().unwrap().name(), NamedGroup::X25519MLKEM768);
    }

    #[test]
    fn exact_beats_wildcard_beats_first() {
        let mut secrets = Secrets::new();
        let provider = provider();
        let mut names = Certificates::default();
        for (index, list) in [vec!["first.test"], vec!["*.shop.test"], vec!["api.shop.test"]].iter().enumerate() {
            let pair = pair(list, &index.to_string(), &mut secrets);
            names.add(Arc::new(certified(&pair, &secrets, &provider).unwrap()));
        }
        let found = |name: &str| names.find(name).unwrap().cert[0].clone();
        let (first, wildcard, exact) = (found("first.test"), found("a.shop.test"), found("api.shop.test"));
        assert_ne!(first, wildcard);
        assert_ne!(wildcard, exact);
        assert_eq!(found("API.shop.TEST"), exact);
        assert_eq!(found("a.b.shop.test"), first);
        assert_eq!(found("unknown"), first);
    }

    #[test]
    fn a_key_of_another_certificate_does_not_load() {
        let mut secrets = Secrets::new();
        let mut one = pair(&["one.test"], "one", &mut secrets);
        pair(&["two.test"], "two", &mut secrets);
        one.key = "two".to_owned();
        let tls = ir::ListenerTls { profile: ir::TlsProfile::Modern, certificates: vec![one] };
        let errors = ServerTls::build(&tls, &secrets, "/listeners/0/tls", None).unwrap_err();
        assert_eq!(errors[0].pointer, "/listeners/0/tls/certificates/0/key");
        assert!(errors[0].message.contains("does not belong"), "{}", errors[0].message);
    }

    #[test]
    fn unchanged_tls_keeps_its_ticket_keys() {
        let mut secrets = Secrets::new();
        let mut tls =
            ir::ListenerTls { profile: ir::TlsProfile::Modern, certificates: vec![pair(&["a.test"], "a", &mut secrets)] };
        let before = ServerTls::build(&tls, &secrets, "", None).unwrap();
        let same = ServerTls::build(&tls, &secrets, "", Some(&before)).unwrap();
        assert!(Arc::ptr_eq(&before.config, &same.config));
        tls.profile = ir::TlsProfile::Intermediate;
        let other = ServerTls::build(&tls, &secrets, "", Some(&same)).unwrap();
        assert!(!Arc::ptr_eq(&before.config, &other.config));
    }
}
