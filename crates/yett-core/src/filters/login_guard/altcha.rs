//! The proof of work of ALTCHA, version 2: which key was derived from a password that ends in a counter.
//!
//! `parameters` say how keys are derived (PBKDF2 with SHA-256, RFC 8018) and how the one that is wanted begins; whoever looks
//! for it tries counters one after the other: `key = PBKDF2(nonce ‖ counter as 4 bytes, big endian; salt; cost)`. The counter is
//! chosen beforehand, so the work is known, and `keySignature`, an HMAC of the whole key, is all that it takes to check it.
//! `signature` is an HMAC of the parameters as JSON with sorted names and no blanks, so none of them can be changed.

use std::num::NonZeroU32;

use aws_lc_rs::{hmac, pbkdf2};
use serde::{Deserialize, Serialize};

use crate::revocation::hex;

/// How keys are derived.
pub const ALGORITHM: &str = "PBKDF2/SHA-256";
/// Iterations of each derivation: how long one try takes.
const COST: NonZeroU32 = match NonZeroU32::new(1_000) {
    Some(cost) => cost,
    None => NonZeroU32::MIN,
};
/// Bytes of a key.
const KEY: usize = 32;
/// Bytes at its beginning that are told.
const PREFIX: usize = KEY / 2;
/// Bytes of a nonce, and of a salt.
pub const NONCE: usize = 16;

/// A nonce, by which a challenge is known.
pub type Nonce = [u8; NONCE];

/// How keys are derived, and which is wanted. The order of the fields is that in which they are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    algorithm: Box<str>,
    cost: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    key_length: u32,
    key_prefix: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_signature: Option<Box<str>>,
    nonce: Box<str>,
    salt: Box<str>,
}

/// What a challenge is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// In hexadecimal.
    pub binding: Box<str>,
}

/// What a client is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    parameters: Parameters,
    signature: Box<str>,
}

/// What it found.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Solution {
    /// Which try it was. Nothing hangs on it: the key says it, too.
    pub counter: u32,
    derived_key: Box<str>,
    /// How long it took, milliseconds, as the client says.
    #[serde(default)]
    pub time: Option<f64>,
}

/// What it sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// As it came.
    pub challenge: Challenge,
    /// What was found.
    pub solution: Solution,
}

/// What is wrong with a solution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The gateway did not make this challenge.
    Signature,
    /// Its time is over.
    Expired,
    /// The key is not the one that is wanted.
    Work,
}

/// A challenge that was solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Solved {
    /// By which it is known.
    pub nonce: Nonce,
    /// When it would have ended, seconds since 1970.
    pub expires_s: u64,
}

/// Signs challenges, and the keys that are wanted.
pub struct Signer {
    parameters: hmac::Key,
    keys: hmac::Key,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// What a challenge is made of; all of it is chosen by the caller.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Never used before.
    pub nonce: Nonce,
    /// Random.
    pub salt: Nonce,
    /// The try that finds the key: so many others come before it.
    pub counter: u32,
    /// Seconds since 1970.
    pub expires_s: u64,
    /// What it is bound to.
    pub binding: &'a str,
}

impl Signer {
    /// Two secrets, so that neither signature says anything of the other.
    #[must_use]
    pub fn new(parameters: &[u8], keys: &[u8]) -> Self {
        let key = |secret| hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self { parameters: key(parameters), keys: key(keys) }
    }

    /// A challenge. Derives one key.
    #[must_use]
    pub fn challenge(&self, wanted: &Wanted<'_>) -> Option<Challenge> {
        let key = derive(&wanted.nonce, &wanted.salt, wanted.counter, COST);
        let parameters = Parameters {
            algorithm: ALGORITHM.into(),
            cost: COST.get(),
            data: Some(Data { binding: wanted.binding.into() }),
            expires_at: Some(wanted.expires_s),
            key_length: u32::try_from(KEY).ok()?,
            key_prefix: hex(key.get(..PREFIX)?).into(),
            key_signature: Some(hex(hmac::sign(&self.keys, &key).as_ref()).into()),
            nonce: hex(&wanted.nonce).into(),
            salt: hex(&wanted.salt).into(),
        };
        let signature = hex(hmac::sign(&self.parameters, &canonical(&parameters)?).as_ref()).into();
        Some(Challenge { parameters, signature })
    }

    /// Whether the work was done, for a challenge of this signer. Derives nothing, whatever is sent.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, payload: &Payload, now_s: u64) -> Result<Solved, Wrong> {
        let Challenge { parameters, signature } = &payload.challenge;
        let signed = canonical(parameters).ok_or(Wrong::Signature)?;
        let tag = bytes::<32>(signature).ok_or(Wrong::Signature)?;
        hmac::verify(&self.parameters, &signed, &tag).map_err(|_| Wrong::Signature)?;
        // Those of ours have both.
        let expires_s = parameters.expires_at.ok_or(Wrong::Signature)?;
        let key_signature = parameters.key_signature.as_deref().and_then(bytes::<32>).ok_or(Wrong::Signature)?;
        let nonce = bytes::<NONCE>(&parameters.nonce).ok_or(Wrong::Signature)?;
        if now_s > expires_s {
            return Err(Wrong::Expired);
        }
        let key = bytes::<KEY>(&payload.solution.derived_key).ok_or(Wrong::Work)?;
        hmac::verify(&self.keys, &key, &key_signature).map_err(|_| Wrong::Work)?;
        Ok(Solved { nonce, expires_s })
    }
}

impl Challenge {
    /// What it is bound to, whoever says so.
    #[must_use]
    pub fn binding(&self) -> Option<&str> {
        self.parameters.data.as_ref().map(|data| &*data.binding)
    }
}

/// As it is signed.
fn canonical(parameters: &Parameters) -> Option<Vec<u8>> {
    serde_json::to_vec(parameters).ok()
}

fn derive(nonce: &[u8], salt: &[u8], counter: u32, cost: NonZeroU32) -> [u8; KEY] {
    let (mut password, mut key) = (nonce.to_vec(), [0; KEY]);
    password.extend_from_slice(&counter.to_be_bytes());
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, cost, salt, &password, &mut key);
    key
}

/// So many bytes in hexadecimal, lower case, and nothing else.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let mut out = [0; N];
    if digits.len() != N.checked_mul(2)? {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().try_fold(0_u8, |high, digit| {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            Some((high << 4) | value)
        })?;
    }
    Some(out)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What a client does.
    pub fn solve(challenge: &Challenge) -> Payload {
        let parameters = &challenge.parameters;
        let (nonce, salt) = (bytes::<NONCE>(&parameters.nonce).unwrap(), bytes::<NONCE>(&parameters.salt).unwrap());
        let cost = NonZeroU32::new(parameters.cost).unwrap();
        let found = (0..200_000).map(|counter| (counter, hex(&derive(&nonce, &salt, counter, cost))));
        let (counter, key) = found.into_iter().find(|(_, key)| key.starts_with(&*parameters.key_prefix)).unwrap();
        let sent = serde_json::json!({"challenge": challenge, "solution": {"counter": counter, "derivedKey": key, "time": 1.5}});
        serde_json::from_value(sent).unwrap()
    }

    fn signer() -> Signer {
        Signer::new(b"secret of the vectors", b"another secret")
    }

    fn challenge(signer: &Signer) -> Challenge {
        let binding = "00112233445566778899aabbccddeeff";
        signer.challenge(&Wanted { nonce: [7; NONCE], salt: [9; NONCE], counter: 20, expires_s: 1_000, binding }).unwrap()
    }

    /// Made and solved by altcha (PyPI) 2.3.0, whose `verify_solution` takes it.
    #[test]
    fn what_the_library_makes_and_solves_is_taken() {
        let payload: Payload = serde_json::from_str(include_str!("altcha_vector.json")).unwrap();
        let solved = signer().check(&payload, 4_000_000_000).unwrap();
        assert_eq!((solved.expires_s, payload.challenge.binding()), (4_000_000_000, Some("00112233445566778899aabbccddeeff")));
        assert_eq!(solve(&payload.challenge).solution.derived_key, payload.solution.derived_key);
        assert_eq!(signer().check(&payload, 4_000_000_001), Err(Wrong::Expired));
        assert_eq!(Signer::new(b"other", b"another secret").check(&payload, 1), Err(Wrong::Signature));
        assert_eq!(Signer::new(b"secret of the vectors", b"other").check(&payload, 1), Err(Wrong::Work));
    }

    #[test]
    fn a_challenge_is_solved_by_trying() {
        let (signer, challenge) = (signer(), challenge(&signer()));
        let payload = solve(&challenge);
        assert_eq!(payload.solution.counter, 20);
        assert_eq!(signer.check(&payload, 1_000), Ok(Solved { nonce: [7; NONCE], expires_s: 1_000 }));
        assert_eq!(signer.check(&payload, 1_001), Err(Wrong::Expired));
    }

    #[test]
    fn nothing_of_it_can_be_changed() {
        let (signer, payload) = (signer(), solve(&challenge(&signer())));
        let changes: [fn(&mut Parameters); 10] = [
            |it| it.cost = 1,
            |it| it.algorithm = "SHA-256".into(),
            |it| it.key_length = 16,
            |it| it.key_prefix = "00".into(),
            |it| it.key_signature = None,
            |it| it.key_signature = Some("0".repeat(64).into()),
            |it| it.expires_at = Some(1_000_000),
            |it| it.expires_at = None,
            |it| it.data = None,
            |it| it.nonce = "0".repeat(32).into(),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut forged = payload.clone();
            change(&mut forged.challenge.parameters);
            assert_eq!(signer.check(&forged, 1), Err(Wrong::Signature), "{at}");
        }
        for signature in ["", "0", &"0".repeat(64), &payload.challenge.signature.to_uppercase()] {
            let mut forged = payload.clone();
            forged.challenge.signature = signature.into();
            assert_eq!(signer.check(&forged, 1), Err(Wrong::Signature), "{signature}");
        }
        let prefix_alone = format!("{}{}", payload.challenge.parameters.key_prefix, "0".repeat(32));
        for key in
            ["", &prefix_alone, payload.solution.derived_key.get(..62).unwrap(), &payload.solution.derived_key.to_uppercase()]
        {
            let mut forged = payload.clone();
            forged.solution.derived_key = key.into();
            assert_eq!(signer.check(&forged, 1), Err(Wrong::Work), "{key}");
        }
    }

    #[test]
    fn names_that_stand_twice_or_are_unknown_are_not_read() {
        let good = serde_json::to_string(&challenge(&signer())).unwrap();
        let read = |text: &str| serde_json::from_str::<Challenge>(text).is_ok();
        assert!(read(&good) && good.contains(r#"{"algorithm":"PBKDF2/SHA-256","cost":1000,"data":{"binding":"#));
        assert!(!read(&good.replace("\"cost\":1000", "\"cost\":1000,\"cost\":1")));
        assert!(!read(&good.replace("\"cost\":1000", "\"cost\":1000,\"memoryCost\":1")));
        assert!(!format!("{:?}", signer()).contains("secret"));
    }
}
