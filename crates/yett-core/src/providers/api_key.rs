//! Keys that we handed out: `yett_<id>_<secret><checksum>`, kept as keyed hashes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::{constant_time, hmac};
use zeroize::Zeroizing;

use super::assumed;
use super::key_uses::LastUse;
use super::machine;
use super::refuse;
use super::verdict::Verdict;
use crate::exchange::{AuthenticationMethod, Now, Principal, Refusal};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::reason::Reason;
use crate::shared::Shared;
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

pub(super) struct Stored {
    hash: [u8; 32],
    expires_ms: Option<u64>,
    spec: ir::ApiKey,
    used: Arc<LastUse>,
}

impl Stored {
    /// A key that was found good is used from an address of its own, and that is noted.
    ///
    /// # Errors
    /// `api_key_address_forbidden`
    pub(super) fn used_from(&self, client: IpAddr, now: Now) -> Result<(), Refusal> {
        self.allowed_from(client)?;
        self.used.note(now);
        Ok(())
    }

    fn allowed_from(&self, client: IpAddr) -> Result<(), Refusal> {
        let allowed = &self.spec.allowed_addresses;
        if !allowed.is_empty() && !allowed.iter().any(|network| network.contains(&client)) {
            return Err(Reason::ApiKeyAddressForbidden.into());
        }
        Ok(())
    }
}

impl ApiKeys {
    pub(super) fn build(provider: &ir::ApiKeyProvider, secrets: &Secrets, shared: &Shared) -> Result<Self, String> {
        let name = &provider.name;
        let header_fine = !provider.header.is_empty()
            && provider.header.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !matches!(provider.header.as_str(), "authorization" | "cookie" | "host" | "connection");
        if !header_fine {
            return Err(format!("provider `{name}` cannot take keys from the header `{}`; use `x-api-key`", provider.header));
        }
        let salt = unhex::<32>(&provider.salt).ok_or_else(|| {
            format!("provider `{name}`: `salt` is not 64 hexadecimal digits; make the file with `yett keys create`")
        })?;
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
            let stored = Stored {
                hash,
                expires_ms: key.expires.map(|seconds| seconds.saturating_mul(1000)),
                spec: key.clone(),
                used: shared.key_uses.of(name, &key.id),
            };
            if keys.insert(key.id.as_bytes().into(), stored).is_some() {
                return Err(bad("has the `id` of another key"));
            }
        }
        Ok(Self {
            header: provider.header.as_str().into(),
            provider: name.as_str().into(),
            hash: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            keys,
            seed: KeyedHash::new(&shared.seed),
        })
    }

    /// What is kept of the key with this id.
    pub(super) fn stored(&self, key: &WellFormed<'_>) -> Option<&Stored> {
        self.keys.get(key.id)
    }

    /// Compares in constant time, and does the same work for an id that does not exist.
    pub(super) fn verify(&self, key: &WellFormed<'_>, now: Now) -> Result<Verdict, Refusal> {
        let computed = hmac::sign(&self.hash, key.text);
        let stored = self.keys.get(key.id);
        let expected = stored.map_or([0; 32], |stored| stored.hash);
        let equal = constant_time::verify_slices_are_equal(computed.as_ref(), &expected).is_ok();
        let stored = stored.filter(|_| equal).ok_or(Reason::ApiKeyUnknown)?;
        let principal = Rc::new(self.principal(stored, now)?);
        Ok(Verdict { principal, trust_revision: 0, from_ms: 0, until_ms: stored.expires_ms.unwrap_or(u64::MAX) })
    }

    /// Whoever has the key of this name, or of one of this name that still counts.
    pub(super) fn assume(&self, name: &str, client: IpAddr, now: Now) -> Result<Rc<Principal>, Refusal> {
        let mut found = Err(assumed::unknown(Reason::ApiKeyUnknown, name));
        for stored in self.keys.values().filter(|stored| stored.spec.name == name) {
            found = self.principal(stored, now).and_then(|principal| {
                stored.allowed_from(client)?;
                Ok(Rc::new(principal))
            });
            if found.is_ok() {
                break;
            }
        }
        found
    }

    fn principal(&self, stored: &Stored, now: Now) -> Result<Principal, Refusal> {
        if stored.expires_ms.is_some_and(|until_ms| now.unix_ms >= until_ms) {
            return Err(Reason::ApiKeyExpired.into());
        }
        let spec = &stored.spec;
        let texts = |list: &[String]| list.iter().map(|text| text.as_str().into()).collect();
        Ok(Principal {
            subject: spec.name.as_str().into(),
            scopes: texts(&spec.scopes),
            roles: texts(&spec.roles),
            tenant: spec.tenant.as_deref().map(Into::into),
            partner: spec.partner.as_deref().map(Into::into),
            kind: machine::kind(spec.kind),
            token_id: Some(spec.id.as_str().into()),
            expires_ms: stored.expires_ms,
            key: self.seed.parts(&[self.provider.as_bytes(), spec.name.as_bytes(), b""]),
            ..Principal::blank(Arc::clone(&self.provider), AuthenticationMethod::ApiKey)
        })
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

#[cfg(test)]
mod tests {
    use super::{ApiKeys, WellFormed, checksum};
    use crate::exchange::{AuthenticationMethod, Now, PrincipalKind};
    use crate::ir;
    use crate::reason::Reason;
    use crate::shared::Shared;
    use crate::snapshot::Secrets;
    use aws_lc_rs::hmac;
    use proptest::prelude::*;

    const SALT: [u8; 32] = [7; 32];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn key(id: &str, secret: char) -> String {
        let body = format!("yett_{id}_{}", String::from(secret).repeat(43));
        format!("{body}{}", std::str::from_utf8(&checksum(body.as_bytes())).unwrap())
    }

    fn hash(text: &str, pepper: &[u8]) -> String {
        hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[&SALT, pepper].concat()), text.as_bytes()).as_ref())
    }

    fn stored(id: &str, text: &str, pepper: &[u8], expires: Option<u64>) -> ir::ApiKey {
        ir::ApiKey {
            id: id.into(),
            name: format!("key {id}"),
            hash: hash(text, pepper),
            expires,
            scopes: vec!["a".into()],
            roles: vec![],
            tenant: Some("acme".into()),
            kind: ir::MachineKind::Service,
            partner: None,
            allowed_addresses: vec![],
        }
    }

    fn spec(keys: Vec<ir::ApiKey>, pepper: Option<&str>) -> ir::ApiKeyProvider {
        ir::ApiKeyProvider {
            name: "partners".into(),
            header: "x-api-key".into(),
            salt: hex(&SALT),
            pepper: pepper.map(Into::into),
            keys,
        }
    }

    fn build(spec: &ir::ApiKeyProvider, secrets: &Secrets) -> Result<ApiKeys, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        ApiKeys::build(spec, secrets, &Shared::new(runtime.handle().clone(), [1; 32]))
    }

    fn judge(keys: &ApiKeys, text: &str, unix_ms: u64) -> Result<String, Reason> {
        let key = WellFormed::parse(text.as_bytes()).map_err(|refusal| refusal.reason)?;
        let verdict = keys.verify(&key, Now { monotonic_ns: 0, unix_ms }).map_err(|refusal| refusal.reason)?;
        assert_eq!(verdict.principal.method, AuthenticationMethod::ApiKey);
        assert_eq!(verdict.principal.kind, PrincipalKind::Service);
        Ok(verdict.principal.subject.to_string())
    }

    #[test]
    fn the_checksum_is_that_of_zlib_in_base_62() {
        // zlib.crc32(b"123456789") == 0xcbf43926 == 3421780262
        assert_eq!(&checksum(b"123456789"), b"3jZRME");
        assert_eq!(&checksum(b""), b"000000");
    }

    #[test]
    fn a_key_is_its_caller_until_it_expires() {
        let (good, other) = (key("abcdefgh0123", 'x'), key("abcdefgh0123", 'y'));
        let keys = build(&spec(vec![stored("abcdefgh0123", &good, b"", Some(100))], None), &Secrets::new()).unwrap();
        assert_eq!(judge(&keys, &good, 99_999), Ok("key abcdefgh0123".to_owned()));
        assert_eq!(judge(&keys, &good, 100_000), Err(Reason::ApiKeyExpired));
        assert_eq!(judge(&keys, &other, 0), Err(Reason::ApiKeyUnknown));
        assert_eq!(judge(&keys, &key("zzzzzzzzzzzz", 'x'), 0), Err(Reason::ApiKeyUnknown));
        assert!(!format!("{keys:?}").contains("07"));
    }

    #[test]
    fn the_pepper_belongs_to_the_hash() {
        let good = key("abcdefgh0123", 'x');
        let spec = spec(vec![stored("abcdefgh0123", &good, b"hot", None)], Some("p"));
        let with = |pepper: &[u8]| Secrets::from([("p".to_owned(), pepper.to_vec().into())]);
        assert!(judge(&build(&spec, &with(b"hot")).unwrap(), &good, 0).is_ok());
        assert_eq!(judge(&build(&spec, &with(b"mild")).unwrap(), &good, 0), Err(Reason::ApiKeyUnknown));
        assert!(build(&spec, &Secrets::new()).is_err() && build(&spec, &with(b"")).is_err());
    }

    #[test]
    fn files_that_are_wrong_do_not_load() {
        let good = key("abcdefgh0123", 'x');
        let fine = || stored("abcdefgh0123", &good, b"", None);
        let broken = |change: fn(&mut ir::ApiKeyProvider)| {
            let mut spec = spec(vec![fine()], None);
            change(&mut spec);
            build(&spec, &Secrets::new()).is_err()
        };
        assert!(!broken(|_| {}));
        assert!(broken(|s| s.salt = "00".into()) && broken(|s| s.salt = "zz".repeat(32)) && broken(|s| s.salt.clear()));
        assert!(
            broken(|s| s.keys[0].hash.clear()) && broken(|s| s.keys[0].id = "ABC".into()) && broken(|s| s.keys[0].name.clear())
        );
        assert!(broken(|s| s.keys.push(s.keys[0].clone())));
        assert!(broken(|s| s.header = "Authorization".into()) && broken(|s| s.header = "authorization".into()));
    }

    proptest! {
        #[test]
        fn a_mistyped_key_is_malformed_before_it_is_looked_for(position in 0usize..67, byte in 0x20u8..0x7f) {
            let good = key("abcdefgh0123", 'x');
            let mut bytes = good.clone().into_bytes();
            bytes[position] = byte;
            let parsed = WellFormed::parse(&bytes);
            prop_assert_eq!(parsed.is_ok(), bytes == good.as_bytes());
        }

        #[test]
        fn junk_is_malformed(junk in "(yett_)?[a-z0-9_A-Z]{0,80}") {
            prop_assert!(WellFormed::parse(junk.as_bytes()).is_err());
        }
    }
}
