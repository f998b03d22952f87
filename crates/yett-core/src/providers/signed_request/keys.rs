//! The algorithms of RFC 9421 section 3.3, and keys that verify by one each.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

/// Bytes of a shared secret at least.
pub const SECRET_BYTES: usize = 32;

/// An algorithm; which one is used comes from the registered key, never from the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Ed25519,
    EcdsaP256Sha256,
    RsaPssSha512,
    HmacSha256,
}

impl Algorithm {
    /// From its registered name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "ed25519" => Self::Ed25519,
            "ecdsa-p256-sha256" => Self::EcdsaP256Sha256,
            "rsa-pss-sha512" => Self::RsaPssSha512,
            "hmac-sha256" => Self::HmacSha256,
            _ => return None,
        })
    }

    /// Its registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::HmacSha256 => "hmac-sha256",
        }
    }
}

/// What verifies signatures of one key.
#[derive(Debug)]
pub enum Verifier {
    /// A public key.
    Public(ParsedPublicKey),
    /// A shared secret.
    Shared(Box<hmac::Key>),
}

impl Verifier {
    /// From a public key in PEM (`PUBLIC KEY`, RFC 5280 section 4.1.2.7).
    ///
    /// # Errors
    /// It is no such key, or not one for this algorithm.
    pub fn public(algorithm: Algorithm, pem: &str) -> Result<Self, String> {
        let mut found = SubjectPublicKeyInfoDer::pem_slice_iter(pem.as_bytes());
        let der = match (found.next(), found.next()) {
            (Some(Ok(der)), None) => der,
            _ => {
                return Err("the file has to hold exactly one public key in PEM (`-----BEGIN PUBLIC KEY-----`)".into());
            }
        };
        let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| "the public key cannot be read".to_owned())?;
        let kind = info.algorithm.algorithm.to_id_string();
        let curve = info.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| oid.to_id_string());
        let bytes = info.subject_public_key.data.as_ref();
        let (fits, verifier): (bool, &'static dyn signature::VerificationAlgorithm) = match algorithm {
            Algorithm::Ed25519 => (kind == "1.3.101.112", &signature::ED25519),
            Algorithm::EcdsaP256Sha256 => (
                kind == "1.2.840.10045.2.1" && curve.as_deref() == Some("1.2.840.10045.3.1.7"),
                &signature::ECDSA_P256_SHA256_FIXED,
            ),
            Algorithm::RsaPssSha512 => {
                (matches!(kind.as_str(), "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10"), &signature::RSA_PSS_2048_8192_SHA512)
            }
            Algorithm::HmacSha256 => (false, &signature::ED25519),
        };
        if !fits {
            return Err(format!("the public key is of another kind than `{}` needs", algorithm.name()));
        }
        let parsed = ParsedPublicKey::new(verifier, bytes);
        parsed.map(Self::Public).map_err(|_| format!("the public key is no valid one for `{}`", algorithm.name()))
    }

    /// From a shared secret.
    ///
    /// # Errors
    /// It has fewer than [`SECRET_BYTES`].
    pub fn shared(secret: &[u8]) -> Result<Self, String> {
        if secret.len() < SECRET_BYTES {
            return Err(format!("the shared secret is shorter than {SECRET_BYTES} bytes"));
        }
        Ok(Self::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret))))
    }

    /// Whether this is the signature of `base`.
    #[must_use]
    pub fn verifies(&self, base: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Public(key) => key.verify_sig(base, signature).is_ok(),
            Self::Shared(key) => hmac::verify(key, base, signature).is_ok(),
        }
    }
}
