//! The keys that sign assertions: parsed once, chosen by the time.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, Signature};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use crate::ir;
use crate::snapshot::Secrets;

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// One key.
pub struct Signer {
    from_ms: u64,
    /// The encoded header of its assertions, with the dot after it.
    pub header: Box<[u8]>,
    pair: Pair,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("from_ms", &self.from_ms).finish_non_exhaustive()
    }
}

/// All keys of the gateway, the one that signs last first.
#[derive(Debug)]
pub struct Ring(Vec<Signer>);

impl Signer {
    fn build(spec: &ir::IdentityKey, secrets: &Secrets) -> Result<Self, String> {
        let pem = secrets.get(&spec.secret).ok_or_else(|| format!("the secret `{}` was not passed along", spec.secret))?;
        let unreadable = || format!("`{}` holds no private key that can be read at place {}", spec.secret, spec.index);
        let der = PrivatePkcs8KeyDer::pem_slice_iter(pem).nth(spec.index).and_then(Result::ok).ok_or_else(unreadable)?;
        let der = der.secret_pkcs8_der();
        let (algorithm, pair) = match spec.algorithm {
            ir::SigningAlgorithm::EdDsa => ("EdDSA", Pair::Ed25519(Ed25519KeyPair::from_pkcs8(der).map_err(|_| unreadable())?)),
            ir::SigningAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
                ("ES256", Pair::P256(pair.map_err(|_| unreadable())?))
            }
        };
        let header = serde_json::json!({"alg": algorithm, "kid": spec.id, "typ": super::TYPE}).to_string();
        let header = format!("{}.", URL_SAFE_NO_PAD.encode(header)).into_bytes().into();
        Ok(Self { from_ms: spec.from_s.saturating_mul(1000), header, pair })
    }

    /// The signature of these bytes; `None` where the crypto library gives none.
    pub fn sign(&self, message: &[u8]) -> Option<Signature> {
        match &self.pair {
            Pair::Ed25519(pair) => pair.try_sign(message).ok(),
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message).ok(),
        }
    }
}

impl Ring {
    /// Parses the keys.
    ///
    /// # Errors
    /// There is none, or one that cannot be read.
    pub fn build(spec: &ir::Identity, secrets: &Secrets) -> Result<Self, String> {
        if spec.keys.is_empty() {
            return Err("there is no key to sign with".to_owned());
        }
        let keys: Vec<Signer> = spec.keys.iter().map(|key| Signer::build(key, secrets)).collect::<Result<_, _>>()?;
        if !keys.is_sorted_by(|newer, older| newer.from_ms > older.from_ms) {
            return Err("two keys sign from the same moment, or they are not in order".to_owned());
        }
        Ok(Self(keys))
    }

    /// The one that signs now. The oldest signs also before its time: it is the only one that services can know.
    #[must_use]
    pub fn at(&self, unix_ms: u64) -> Option<&Signer> {
        self.0.iter().find(|key| key.from_ms <= unix_ms).or(self.0.last())
    }
}
