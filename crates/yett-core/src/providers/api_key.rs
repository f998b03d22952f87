//! Keys that we handed out: `yett_<id>_<secret><checksum>`, kept as keyed hashes.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::{constant_time, hmac};
use zeroize::Zeroizing;

use super::refuse;
use super::verdict::Verdict;
use crate::exchange::{Now, Principal, PrincipalKind, Refusal};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::reason::Reason;
use crate::snapshot::Secrets;

const PREFIX: &[u8] = b"yett_";
const ID: usize = 12;
const SECRET: usize = 43;
const CHECKSUM: usize = 6;
/// Bytes of a whole key.
pub const KEY_BYTES: usize = PREFIX.len() + ID + 1 + SECRET + CHECKSUM;

/// A compiled provider.
pub(super) struct ApiKeys {
    pub header: Arc<str>,
    provider: Arc<str>,
    hash: hmac::Key,
    keys: HashMap<Box<[u8]>, Stored>,
    seed: KeyedHash,
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeys").field("provider", &self.provider).finish_non_exhaustive()
    }
}

struct Stored {
    hash: [u8; 32],
    expires_ms: Option<u64>,
    spec: ir::ApiKey,
}

impl ApiKeys {
    pub(super) fn build(provider: &ir::ApiKeyProvider, secrets: &Secrets, seed: &KeyedHash) -> Result<Self, String> {
        let name = &provider.name;
        let header_fine = !provider.header.is_empty()
            && provider.header.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !matches!(provider.header.as_str(), "authorization" | "cookie" | "host" | "connection");
        if !header_fine {
            return Err(format!("provider `{name}` cannot take keys from the header `{}`; use `x-api-key`", provider.header));
        }
        let salt = unhex::<32>(&provider.salt)
            .ok_or_else(|| format!("provider `{name}`: `salt` is not 64 hexadecimal digits; make the file with `yett keys create`"))?;
        let mut secret = Zeroizing::new(salt.to_vec());
        if let Some(pepper) = &provider.pepper {
            let bytes = secrets.get(pepper).filter(|bytes| !bytes.is_empty());
            let bytes = bytes.ok_or_else(|| format!("provider `{name}`: the pepper `{pepper}` is missing or empty"))?;
            secret.extend_from_slice(bytes);
        }
        let mut keys = HashMap::with_capacity(provider.keys.len());
        for key in &provider.keys {
            let bad = |what: &str| format!("provider `{name}`: key `{}` {what}", key.name);
            let hash = unhex::<32>(&key.hash).ok_or_else(|| bad("has a `hash` that is not 64 hexadecimal digits"))?;
            if key.id.len() != ID || !key.id.bytes().all(id_byte) {
                return Err(bad("has an `id` that is not 12 characters of a-z and 0-9"));
            }
            if key.name.is_empty() {
                return Err(bad("has no name"));
            }
            let stored =
                Stored { hash, expires_ms: key.expires.map(|seconds| seconds.saturating_mul(1000)), spec: key.clone() };
            if keys.insert(key.id.as_bytes().into(), stored).is_some() {
                return Err(bad("has the `id` of another key"));
            }
        }
        Ok(Self {
            header: provider.header.as_str().into(),
            provider: name.as_str().into(),
            hash: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            keys,
            seed: *seed,
        })
    }

    /// Whether one of its keys has this id.
    pub(super) fn has(&self, key: &WellFormed<'_>) -> bool {
        self.keys.contains_key(key.id)
    }

    /// Compares in constant time, and does the same work for an id that does not exist.
    pub(super) fn verify(&self, key: &WellFormed<'_>, now: Now) -> Result<Verdict, Refusal> {
        let computed = hmac::sign(&self.hash, key.text);
        let stored = self.keys.get(key.id);
        let expected = stored.map_or([0; 32], |stored| stored.hash);
        let equal = constant_time::verify_slices_are_equal(computed.as_ref(), &expected).is_ok();
        let stored = stored.filter(|_| equal).ok_or(Reason::ApiKeyUnknown)?;
        let until_ms = stored.expires_ms.unwrap_or(u64::MAX);
        if now.unix_ms >= until_ms {
            return Err(Reason::ApiKeyExpired.into());
        }
        let spec = &stored.spec;
        let texts = |list: &[String]| list.iter().map(|text| text.as_str().into()).collect();
        let principal = Principal {
            provider: Arc::clone(&self.provider),
            issuer: "".into(),
            subject: spec.name.as_str().into(),
            client: None,
            kind: PrincipalKind::Key,
            scopes: texts(&spec.scopes),
            roles: texts(&spec.roles),
            tenant: spec.tenant.as_deref().map(Into::into),
            claims: Vec::new(),
            token_id: Some(spec.id.as_str().into()),
            expires_ms: stored.expires_ms,
            key: self.seed.parts(&[self.provider.as_bytes(), spec.name.as_bytes(), b""]),
        };
        Ok(Verdict { principal: Rc::new(principal), trust_revision: 0, from_ms: 0, until_ms })
    }
}

/// A key whose form and checksum are right; nothing is known yet of whether it was ever handed out.
#[derive(Clone, Copy)]
pub(super) struct WellFormed<'a> {
    text: &'a [u8],
    id: &'a [u8],
}

impl<'a> WellFormed<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, Refusal> {
        Self::read(text).ok_or_else(|| refuse(Reason::CredentialMalformed, "the API key is not complete, or mistyped"))
    }

    fn read(text: &'a [u8]) -> Option<Self> {
        let (body, sum) = text.split_at_checked(KEY_BYTES - CHECKSUM).filter(|_| text.len() == KEY_BYTES)?;
        let (id, secret) = body.strip_prefix(PREFIX)?.split_at_checked(ID)?;
        let secret = secret.strip_prefix(b"_")?;
        let fine = id.iter().copied().all(id_byte) && secret.iter().all(u8::is_ascii_alphanumeric) && checksum(body) == sum;
        fine.then_some(Self { text, id })
    }
}

fn id_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// CRC-32 (ISO-HDLC, as in zlib) in base 62, six digits of `0-9A-Za-z`, most significant first.
#[must_use]
pub fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = !0u32;
    for byte in body {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let mut rest = !crc;
    let mut out = [b'0'; CHECKSUM];
    for digit in out.iter_mut().rev() {
        *digit = usize::try_from(rest % 62).ok().and_then(|i| DIGITS.get(i)).copied().unwrap_or(b'0');
        rest /= 62;
    }
    out
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut out = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(out)
}
