//! Private keys that sign what the gateway says about itself (RFC 7515, RFC 7518, RFC 8037).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

/// A private key with the one algorithm that it signs with.
pub struct SigningKey {
    algorithm: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Algorithms, for messages.
    pub const NAMES: &'static str = "RS256, PS256, ES256, ES384, EdDSA";

    /// From PEM: PKCS#8, PKCS#1 (`RSA PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`). Without `algorithm` the key's own: RS256,
    /// ES256 or ES384 by its curve, EdDSA.
    ///
    /// # Errors
    /// What cannot be read, keys of less than 2048 bits, and an algorithm that the key is not for.
    pub fn from_pem(pem: &[u8], algorithm: Option<&str>) -> Result<Self, String> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| "the private key is not PEM".to_owned())?;
        if let Some(name) = algorithm {
            let known = ["RS256", "PS256", "ES256", "ES384", "EdDSA"].into_iter().find(|known| *known == name);
            let known = known.ok_or_else(|| format!("`{name}` does not sign here; choose among {}", Self::NAMES))?;
            let pair = pair(&der, known).ok_or_else(|| format!("the private key cannot sign with `{name}`"))?;
            return Ok(Self { algorithm: known, pair });
        }
        ["EdDSA", "ES256", "ES384", "RS256"]
            .into_iter()
            .find_map(|algorithm| Some(Self { algorithm, pair: pair(&der, algorithm)? }))
            .ok_or_else(|| format!("the private key fits none of {}", Self::NAMES))
    }

    /// JWA name.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// The signature; nothing where the crypto library fails.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut out).ok()?;
                Some(out)
            }
            Pair::Ec(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Pair::Ed(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// The claims as a signed token in compact form (RFC 7515 section 7.1), with this `typ` and `kid`.
    #[must_use]
    pub fn jwt(&self, kind: &str, kid: Option<&str>, claims: &Value) -> Option<String> {
        let mut header = serde_json::json!({"alg": self.algorithm, "typ": kind});
        if let (Some(kid), Some(header)) = (kid, header.as_object_mut()) {
            header.insert("kid".to_owned(), kid.into());
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = format!("{}.{}", part(&header), part(claims));
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Some(token)
    }
}

fn pair(der: &PrivateKeyDer<'_>, algorithm: &str) -> Option<Pair> {
    let bytes = der.secret_der();
    match (algorithm, der) {
        ("RS256" | "PS256", PrivateKeyDer::Pkcs1(_) | PrivateKeyDer::Pkcs8(_)) => {
            let pair = match der {
                PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(bytes),
                _ => RsaKeyPair::from_pkcs8(bytes),
            };
            let encoding: &'static dyn RsaEncoding =
                if algorithm == "RS256" { &signature::RSA_PKCS1_SHA256 } else { &signature::RSA_PSS_SHA256 };
            Some(Pair::Rsa(Box::new(pair.ok()?), encoding))
        }
        ("ES256", _) => {
            Some(Pair::Ec(EcdsaKeyPair::from_private_key_der(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, bytes).ok()?))
        }
        ("ES384", _) => {
            Some(Pair::Ec(EcdsaKeyPair::from_private_key_der(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, bytes).ok()?))
        }
        ("EdDSA", PrivateKeyDer::Pkcs8(_)) => Some(Pair::Ed(Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::SigningKey;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData};

    #[test]
    fn keys_sign_with_their_own_algorithm() {
        for (kind, algorithm) in [
            (&PKCS_ECDSA_P256_SHA256, "ES256"),
            (&PKCS_ECDSA_P384_SHA384, "ES384"),
            (&PKCS_ED25519, "EdDSA"),
            (&PKCS_RSA_SHA256, "RS256"),
        ] {
            let pair = KeyPair::generate_for(kind).unwrap();
            let key = SigningKey::from_pem(pair.serialize_pem().as_bytes(), None).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let token = key.jwt("JWT", Some("k1"), &serde_json::json!({"iss": "me"})).unwrap();
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let public = pair.der_bytes();
            let good = match algorithm {
                "ES256" => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).verify(signed.as_bytes(), &signature).is_ok(),
                "EdDSA" => UnparsedPublicKey::new(&ED25519, public).verify(signed.as_bytes(), &signature).is_ok(),
                "RS256" => {
                    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).verify(signed.as_bytes(), &signature).is_ok()
                }
                _ => signature.len() == 96,
            };
            assert!(good, "{algorithm}");
            let header = String::from_utf8(URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
            assert_eq!(header, format!(r#"{{"alg":"{algorithm}","kid":"k1","typ":"JWT"}}"#));
            assert_eq!(format!("{key:?}"), format!("SigningKey {{ algorithm: {algorithm:?}, .. }}"));
        }
    }

    #[test]
    fn a_key_is_for_its_algorithm_only() {
        let pem = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
        for bad in ["RS256", "ES384", "EdDSA"] {
            assert!(SigningKey::from_pem(pem.as_bytes(), Some(bad)).unwrap_err().contains("cannot sign"), "{bad}");
        }
        assert!(SigningKey::from_pem(pem.as_bytes(), Some("HS256")).unwrap_err().contains("choose among"));
        assert!(SigningKey::from_pem(b"a secret", None).unwrap_err().contains("not PEM"));
        let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap().serialize_pem();
        assert_eq!(SigningKey::from_pem(rsa.as_bytes(), Some("PS256")).unwrap().algorithm(), "PS256");
    }
}
