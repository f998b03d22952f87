//! Sealing what a browser keeps for us: AES-256-GCM under a ring of keys, of which the first encrypts and all decrypt.
//!
//! Every box has a key of its own, derived from a key of the ring and 16 random bytes, beside a random nonce of 12: so
//! however many are sealed, no pair of key and nonce comes twice. What a box is for is authenticated with it (the
//! associated data), so that one for a login never opens as a session, and none of another provider or policy at all.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// Bytes of a key of the ring.
const KEY: usize = 32;
/// The format; a new one is a new number.
const VERSION: u8 = 1;
const KEY_ID: usize = 4;
const SALT: usize = 16;
const NONCE: usize = 12;
const HEAD: usize = 1 + KEY_ID + SALT + NONCE;
const TAG: usize = 16;
/// Random bytes that sealing takes.
pub const RANDOM: usize = SALT + NONCE;

/// What a box is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A login under way.
    Login,
    /// A session.
    Session,
    /// A session that the store holds.
    Stored,
}

impl Purpose {
    const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Login => b"login",
            Self::Session => b"session",
            Self::Stored => b"stored session",
        }
    }
}

/// What a box belongs to, beside its purpose: the provider's name and the policy under which it was made.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// What it is for.
    pub purpose: Purpose,
    /// Name of the provider.
    pub provider: &'a str,
    /// SHA-256 of what the provider's sessions stand on.
    pub policy: &'a [u8; 32],
}

impl Bound<'_> {
    /// Fields of fixed places or with their length in front: two different ones never look alike.
    fn associated(&self, head: &[u8]) -> Vec<u8> {
        let purpose = self.purpose.as_bytes();
        let mut out = Vec::with_capacity(head.len() + self.provider.len() + 64);
        out.extend_from_slice(b"yett sealed box\0");
        for part in [head, purpose, self.provider.as_bytes(), self.policy] {
            out.extend_from_slice(&(part.len() as u64).to_be_bytes());
            out.extend_from_slice(part);
        }
        out
    }
}

#[cfg(test)]
thread_local! {
    /// How many tags this thread made.
    pub(super) static TAGS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

struct RingKey {
    id: [u8; KEY_ID],
    derive: hmac::Key,
}

impl RingKey {
    fn new(bytes: &[u8]) -> Self {
        let derive = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let tag = hmac::sign(&derive, b"yett key id");
        let mut id = [0; KEY_ID];
        for (slot, byte) in id.iter_mut().zip(tag.as_ref()) {
            *slot = *byte;
        }
        Self { id, derive }
    }

    /// The key of one box. HMAC under a key of full length is a pseudo-random function, so one call derives.
    fn key_of(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let mut context = hmac::Context::with_key(&self.derive);
        context.update(b"yett box key");
        context.update(salt);
        Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, context.sign().as_ref()).ok()?))
    }

    fn tag(&self, parts: &[&[u8]]) -> hmac::Tag {
        #[cfg(test)]
        TAGS.with(|tags| tags.set(tags.get() + 1));
        let mut context = hmac::Context::with_key(&self.derive);
        parts.iter().for_each(|part| context.update(part));
        context.sign()
    }
}

/// The keys of a provider's sessions.
pub struct KeyRing {
    first: RingKey,
    older: Vec<RingKey>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("older", &self.older.len()).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// From the texts of secrets, each 32 bytes in base64 or in hexadecimal; the first encrypts.
    ///
    /// # Errors
    /// None at all, one of another form, the same one twice.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, String> {
        let mut keys = Vec::new();
        for text in texts {
            let bytes = read_key(text)
                .ok_or("a session key is 32 random bytes in base64 or hexadecimal; make one with `openssl rand -base64 32`")?;
            let key = RingKey::new(&bytes);
            if keys.iter().any(|other: &RingKey| other.id == key.id) {
                return Err("a session key stands twice; keep one of the two".to_owned());
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or("sessions need a key; make one with `openssl rand -base64 32`")?;
        Ok(Self { first, older: keys.collect() })
    }

    /// Seals, as text of the URL-safe base64 alphabet. `None` only if the library fails.
    #[must_use]
    pub fn seal(&self, bound: &Bound<'_>, plain: &[u8], random: &[u8; RANDOM]) -> Option<String> {
        let (salt, nonce) = random.split_at_checked(SALT)?;
        let mut out = Vec::with_capacity(HEAD + plain.len() + TAG);
        out.push(VERSION);
        out.extend_from_slice(&self.first.id);
        out.extend_from_slice(random);
        let associated = bound.associated(&out);
        let mut body = plain.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        self.first.key_of(salt)?.seal_in_place_append_tag(nonce, Aad::from(associated), &mut body).ok()?;
        out.extend_from_slice(&body);
        Some(URL_SAFE_NO_PAD.encode(out))
    }

    /// HMAC-SHA-256 of these parts under the first key. Their beginning says what it is for.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> hmac::Tag {
        self.first.tag(parts)
    }

    /// The same under each of the older keys.
    pub fn older_tags(&self, parts: &[&[u8]]) -> impl Iterator<Item = hmac::Tag> {
        self.older.iter().map(|key| key.tag(parts))
    }

    /// What was sealed, if it is all there and was sealed for this.
    #[must_use]
    pub fn open(&self, bound: &Bound<'_>, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (head, body) = bytes.split_at_checked(HEAD)?;
        let (version, rest) = head.split_first()?;
        let (id, rest) = rest.split_at_checked(KEY_ID)?;
        let (salt, nonce) = rest.split_at_checked(SALT)?;
        if *version != VERSION {
            return None;
        }
        let key = std::iter::once(&self.first).chain(&self.older).find(|key| key.id == id)?;
        let mut plain = Zeroizing::new(body.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = key.key_of(salt)?.open_in_place(nonce, Aad::from(bound.associated(head)), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

/// 32 bytes from their text.
fn read_key(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.trim_ascii();
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = if text.len() == 2 * KEY {
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let (pairs, _) = text.as_chunks::<2>();
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<Vec<u8>>>()?
    } else {
        let engines = [&alphabet::STANDARD, &alphabet::URL_SAFE].map(|alphabet| GeneralPurpose::new(alphabet, config));
        engines.iter().find_map(|engine| engine.decode(text).ok())?
    };
    (bytes.len() == KEY).then(|| Zeroizing::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::{Bound, KeyRing, Purpose, RANDOM};
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    const POLICY: [u8; 32] = [9; 32];
    const BOUND: Bound<'static> = Bound { purpose: Purpose::Session, provider: "staff", policy: &POLICY };

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; 32])
    }

    fn ring(keys: &[u8]) -> KeyRing {
        let texts: Vec<String> = keys.iter().map(|byte| key(*byte)).collect();
        KeyRing::new(texts.iter().map(String::as_bytes)).unwrap()
    }

    #[test]
    fn the_first_key_encrypts_and_all_decrypt() {
        let (old, both, new) = (ring(&[1]), ring(&[2, 1]), ring(&[2]));
        let sealed = old.seal(&BOUND, b"hello", &[7; RANDOM]).unwrap();
        assert_eq!(old.open(&BOUND, sealed.as_bytes()).unwrap().as_slice(), b"hello");
        assert_eq!(both.open(&BOUND, sealed.as_bytes()).unwrap().as_slice(), b"hello");
        assert!(new.open(&BOUND, sealed.as_bytes()).is_none());
        let sealed = both.seal(&BOUND, b"hello", &[8; RANDOM]).unwrap();
        assert!(new.open(&BOUND, sealed.as_bytes()).is_some() && old.open(&BOUND, sealed.as_bytes()).is_none());
    }

    #[test]
    fn a_box_opens_only_for_what_it_was_sealed_for() {
        let ring = ring(&[1]);
        let sealed = ring.seal(&BOUND, b"hello", &[7; RANDOM]).unwrap();
        let other = [8; 32];
        for bound in [
            Bound { purpose: Purpose::Login, ..BOUND },
            Bound { provider: "customers", ..BOUND },
            Bound { policy: &other, ..BOUND },
        ] {
            assert!(ring.open(&bound, sealed.as_bytes()).is_none(), "{bound:?}");
        }
    }

    #[test]
    fn keys_that_are_none_do_not_load() {
        let good = key(3);
        let hex = "ab".repeat(32);
        for fine in [good.as_str(), &format!(" {good}\n"), good.trim_end_matches('='), &hex] {
            assert!(KeyRing::new([fine.as_bytes()]).is_ok(), "{fine}");
        }
        for bad in
            ["", "secret", "changemechangemechangemechangeme", good.get(1..).unwrap(), &format!("{good}{good}"), &"zz".repeat(32)]
        {
            assert!(KeyRing::new([bad.as_bytes()]).unwrap_err().contains("openssl rand"), "{bad}");
        }
        assert!(KeyRing::new([]).is_err());
        assert!(KeyRing::new([good.as_bytes(), good.trim_end_matches('=').as_bytes()]).unwrap_err().contains("twice"));
        assert!(!format!("{:?}", ring(&[3])).contains('3'));
    }

    proptest! {
        #[test]
        fn no_bit_can_be_changed(plain in prop::collection::vec(any::<u8>(), 0..80), bit in 0usize..100_000, random in any::<[u8; 16]>()) {
            let ring = ring(&[1]);
            let mut seed = [5; RANDOM];
            seed[..16].copy_from_slice(&random);
            let sealed = ring.seal(&BOUND, &plain, &seed).unwrap();
            let opened = ring.open(&BOUND, sealed.as_bytes()).unwrap();
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
            let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
            let at = bit % (bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
            prop_assert!(ring.open(&BOUND, URL_SAFE_NO_PAD.encode(&bytes).as_bytes()).is_none());
            bytes.truncate(at / 8);
            prop_assert!(ring.open(&BOUND, URL_SAFE_NO_PAD.encode(&bytes).as_bytes()).is_none());
        }

        #[test]
        fn junk_opens_nothing(junk in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(ring(&[1]).open(&BOUND, &junk).is_none());
        }
    }
}
