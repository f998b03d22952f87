//! Keys that verify signatures (RFC 7517, RFC 7518 section 6, RFC 8037), and the algorithms that each may verify.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json;

/// Bytes of a key set that are read at most.
pub const SET_BYTES: usize = 256 * 1024;
/// Keys of a set at most.
pub const SET_KEYS: usize = 100;

/// Algorithms that are known. Those with a shared secret count only for a provider that has nothing but a secret, so that
/// a public key never becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the JWA algorithm of its name")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
    Hs256,
    Hs384,
    Hs512,
}

impl Algorithm {
    /// From its JWA name, case-sensitive.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            // Its name since RFC 9864; of its two curves only Ed25519 is supported.
            "EdDSA" | "Ed25519" => Self::EdDsa,
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            _ => return None,
        })
    }

    /// Those that public keys verify, for messages.
    pub const NAMES: &'static str = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA";

    /// Whether it is one with a shared secret, and the secret's least length (RFC 7518 section 3.2).
    #[must_use]
    pub const fn secret_bytes(self) -> Option<usize> {
        match self {
            Self::Hs256 => Some(32),
            Self::Hs384 => Some(48),
            Self::Hs512 => Some(64),
            _ => None,
        }
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }
}

/// A key for one algorithm.
#[expect(clippy::large_enum_variant, reason = "a few of them, and each is used where it stands")]
pub enum Verifier {
    /// A public key.
    Public(ParsedPublicKey),
    /// A shared secret.
    Shared(hmac::Key),
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Public(_)) { "Public" } else { "Shared" })
    }
}

impl Verifier {
    /// Whether the signature is the one of this message.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
            Self::Shared(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

/// A key, parsed once for each algorithm that it may verify.
#[derive(Debug)]
struct Key {
    kid: Option<Box<str>>,
    /// `issuer`: whose tokens alone it signs, `{tenantid}` in it for the tenant (Microsoft Entra).
    issuer: Option<Box<str>>,
    verifiers: Vec<(Algorithm, Verifier)>,
}

/// SHA-256 thumbprint (RFC 7638) of a public key; nothing for what is none.
#[must_use]
pub fn thumbprint(jwk: &Map<String, Value>) -> Option<[u8; 32]> {
    let members: &[&str] = match jwk.get("kty").and_then(Value::as_str)? {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    let mut text = String::from("{");
    for (index, name) in members.iter().enumerate() {
        let value = jwk.get(*name).and_then(Value::as_str)?;
        // What needs an escape in JSON is in no public key.
        if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return None;
        }
        let comma = if index > 0 { "," } else { "" };
        text.push_str(&format!("{comma}\"{name}\":\"{value}\""));
    }
    text.push('}');
    Some(sha256(text.as_bytes()))
}

/// Whether `signature` over `signed` is of this public key, by this algorithm.
#[must_use]
pub fn verify(jwk: &Map<String, Value>, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
    let key = Key::parse(jwk, &[algorithm]);
    let verifier = key.as_ref().and_then(|key| key.verifiers.iter().find(|(known, _)| *known == algorithm));
    verifier.is_some_and(|(_, verifier)| verifier.verifies(signed, signature))
}

/// A set of keys, cut down to the ones that may verify signatures of a provider.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    /// SHA-256 over the usable keys, in any order.
    pub fingerprint: [u8; 32],
    /// A secret has no id: tokens may name whatever they like.
    any_kid: bool,
}

/// What a set has for a token.
#[derive(Debug)]
pub enum Selection<'a> {
    /// The one key, and whose tokens alone it signs, where it says so.
    Found(&'a Verifier, Option<&'a str>),
    /// The key exists, and is not for this algorithm.
    WrongAlgorithm,
    /// No such key, or without a `kid` more than one or none that fits.
    Unknown,
}

impl KeySet {
    /// Reads a set. Keys of other types and uses are passed over (RFC 7517 section 5), and so are ones too weak or
    /// malformed; a set that is malformed itself, too large, or has two usable keys of one `kid` is refused whole.
    pub fn parse(text: &[u8], allowed: &[Algorithm]) -> Result<Self, String> {
        if text.len() > SET_BYTES {
            return Err(format!("the key set is larger than {SET_BYTES} bytes"));
        }
        let set = json::object(text).ok_or("the key set is not a JSON object, or repeats a name")?;
        let list = set.get("keys").and_then(Value::as_array).ok_or("the key set has no array `keys`")?;
        if list.len() > SET_KEYS {
            return Err(format!("the key set has more than {SET_KEYS} keys"));
        }
        let keys: Vec<Key> = list.iter().filter_map(|jwk| Key::parse(jwk.as_object()?, allowed)).collect();
        for (i, key) in keys.iter().enumerate() {
            if let Some(kid) = &key.kid
                && keys.iter().skip(i + 1).any(|other| other.kid.as_ref() == Some(kid))
            {
                return Err(format!("the key set has two keys with the `kid` `{}`", kid.escape_default()));
            }
        }
        let fingerprint = fingerprint(&keys);
        Ok(Self { keys, fingerprint, any_kid: false })
    }

    /// A set of one shared secret.
    ///
    /// # Errors
    /// An algorithm for public keys; a secret shorter than the algorithm's hash.
    pub fn shared(secret: &[u8], allowed: &[Algorithm]) -> Result<Self, String> {
        let mut verifiers = Vec::new();
        for algorithm in allowed {
            let least = algorithm.secret_bytes().ok_or("a shared secret verifies HS256, HS384 and HS512 only")?;
            if secret.len() < least {
                return Err(format!("the shared secret has {} bytes; its algorithms need at least {least}", secret.len()));
            }
            let hash = match algorithm {
                Algorithm::Hs512 => hmac::HMAC_SHA512,
                Algorithm::Hs384 => hmac::HMAC_SHA384,
                _ => hmac::HMAC_SHA256,
            };
            verifiers.push((*algorithm, Verifier::Shared(hmac::Key::new(hash, secret))));
        }
        Ok(Self { keys: vec![Key { kid: None, issuer: None, verifiers }], fingerprint: [0; 32], any_kid: true })
    }

    /// How many usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is usable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key for a token: by exact `kid`; without one, the only key that fits the algorithm.
    #[must_use]
    pub fn select(&self, kid: Option<&str>, algorithm: Algorithm) -> Selection<'_> {
        if let Some(kid) = kid.filter(|_| !self.any_kid) {
            let Some(key) = self.keys.iter().find(|key| key.kid.as_deref() == Some(kid)) else {
                return Selection::Unknown;
            };
            return key.found(algorithm).unwrap_or(Selection::WrongAlgorithm);
        }
        let mut fitting = self.keys.iter().filter_map(|key| key.found(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => only,
            _ => Selection::Unknown,
        }
    }
}

fn fingerprint(keys: &[Key]) -> [u8; 32] {
    let mut parts: Vec<Vec<u8>> = keys
        .iter()
        .flat_map(|key| key.verifiers.iter().map(move |(algorithm, verifier)| (key, algorithm, verifier)))
        .map(|(key, algorithm, verifier)| {
            let text = format!("{:?} {:?} {algorithm:?} ", key.kid, key.issuer);
            let public: &[u8] = if let Verifier::Public(public) = verifier { public.as_ref() } else { &[] };
            [text.as_bytes(), public].concat()
        })
        .collect();
    parts.sort();
    let digests: Vec<u8> = parts.iter().flat_map(|part| digest(&SHA256, part).as_ref().to_vec()).collect();
    sha256(&digests)
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

impl Key {
    fn found(&self, algorithm: Algorithm) -> Option<Selection<'_>> {
        let (_, verifier) = self.verifiers.iter().find(|(a, _)| *a == algorithm)?;
        Some(Selection::Found(verifier, self.issuer.as_deref()))
    }

    fn parse(jwk: &Map<String, Value>, allowed: &[Algorithm]) -> Option<Self> {
        let text = |name: &str| jwk.get(name).map(|value| value.as_str());
        // A member of the wrong type makes the key unusable, never absent.
        let optional = |name: &str| text(name).map_or(Some(None), |value| value.map(Some));
        let private = ["d", "p", "q", "k"].iter().any(|name| jwk.contains_key(*name));
        if private || optional("use")?.is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(ops) = jwk.get("key_ops") {
            ops.as_array()?.iter().find(|op| op.as_str() == Some("verify"))?;
        }
        let own = match optional("alg")? {
            Some(name) => Some(Algorithm::parse(name)?),
            None => None,
        };
        let algorithms = allowed.iter().copied().filter(|a| own.is_none_or(|own| own == *a));
        let kid = optional("kid")?.map(Into::into);
        let issuer = optional("issuer")?.map(Into::into);
        let keys: Vec<_> = match text("kty")?? {
            "RSA" => {
                let (n, e) = (unsigned(text("n")??)?, unsigned(text("e")??)?);
                algorithms.filter_map(|a| Some((a, rsa(a.rsa()?, &n, &e)?))).collect()
            }
            "EC" => {
                let (x, y) = (octets(text("x")??)?, octets(text("y")??)?);
                let curve = text("crv")??;
                algorithms.filter_map(|a| Some((a, ec(a, curve, &x, &y)?))).collect()
            }
            "OKP" if text("crv")?? == "Ed25519" => {
                let x = octets(text("x")??)?;
                algorithms
                    .filter(|a| *a == Algorithm::EdDsa && x.len() == 32)
                    .filter_map(|a| Some((a, ParsedPublicKey::new(&signature::ED25519, &x).ok()?)))
                    .collect()
            }
            _ => return None,
        };
        let verifiers: Vec<_> = keys.into_iter().map(|(algorithm, key)| (algorithm, Verifier::Public(key))).collect();
        (!verifiers.is_empty()).then_some(Self { kid, issuer, verifiers })
    }
}

fn octets(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Base64urlUInt without leading zeros (RFC 7518 section 2; some issuers send them).
fn unsigned(text: &str) -> Option<Vec<u8>> {
    let bytes = octets(text)?;
    let start = bytes.iter().position(|b| *b != 0)?;
    Some(bytes.into_iter().skip(start).collect())
}

/// 2048 to 8192 bits, and an odd exponent of at least 3.
fn rsa(parameters: &'static RsaParameters, n: &[u8], e: &[u8]) -> Option<ParsedPublicKey> {
    let bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
    let exponent_fine = e.len() <= 8 && e != [1] && e.last().is_some_and(|b| b & 1 == 1);
    if !(2048..=8192).contains(&bits) || !exponent_fine {
        return None;
    }
    RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok()
}

fn ec(algorithm: Algorithm, curve: &str, x: &[u8], y: &[u8]) -> Option<ParsedPublicKey> {
    let (verifier, width) = match (algorithm, curve) {
        (Algorithm::Es256, "P-256") => (&signature::ECDSA_P256_SHA256_FIXED, 32),
        (Algorithm::Es384, "P-384") => (&signature::ECDSA_P384_SHA384_FIXED, 48),
        (Algorithm::Es512, "P-521") => (&signature::ECDSA_P521_SHA512_FIXED, 66),
        _ => return None,
    };
    if x.len() != width || y.len() != width {
        return None;
    }
    ParsedPublicKey::new(verifier, [&[4], x, y].concat()).ok()
}

/// A set and its number; numbers never come again within a process.
#[derive(Debug, Clone)]
pub struct Trust {
    /// `None`: never fetched, or too old.
    pub set: Option<Arc<KeySet>>,
    /// Increases whenever the set of keys changes.
    pub revision: u64,
}
