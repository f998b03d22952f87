//! SHA-256 of verified credentials, remembered per worker: the same bytes have the same digest.
//!
//! Nothing else has to hold for that: whether a digest still stands for a caller is decided by who looks it up. Texts
//! are compared whole, in the same time whether they differ early or late, and are wiped when they make place.

use zeroize::{Zeroize, Zeroizing};

use super::jwk::sha256;

/// Sets of two places each; the end of a text says which set is its own. Callers take turns, so that a set that is too
/// small for two of them would be of use to neither.
const SETS: usize = 512;
/// Longest text that is kept: 2 MiB a worker at most.
const LONGEST: usize = 2048;

#[derive(Debug, Default)]
struct Place {
    text: Zeroizing<Vec<u8>>,
    digest: [u8; 32],
}

/// The digests.
#[derive(Debug, Default)]
pub struct Digests(Vec<[Place; 2]>);

impl Digests {
    /// SHA-256 of `text`.
    #[must_use]
    pub fn of(&self, text: &[u8]) -> [u8; 32] {
        let known = self.0.get(set(text)).and_then(|places| places.iter().find(|place| is_same(&place.text, text)));
        known.map_or_else(|| sha256(text), |place| place.digest)
    }

    /// Remembers the digest of a credential that was verified, in place of the older one of its set.
    pub fn keep(&mut self, text: &[u8], digest: [u8; 32]) {
        if text.len() > LONGEST || text.is_empty() {
            return;
        }
        if self.0.is_empty() {
            self.0.resize_with(SETS, Default::default);
        }
        let Some(places) = self.0.get_mut(set(text)).filter(|places| places.iter().all(|known| known.digest != digest)) else {
            return;
        };
        let [newer, older] = places;
        std::mem::swap(newer, older);
        newer.text.zeroize();
        if newer.text.capacity() < text.len() {
            newer.text = Zeroizing::new(Vec::with_capacity(text.len()));
        }
        newer.text.extend_from_slice(text);
        newer.digest = digest;
    }
}

/// Where a text has its places: signatures differ in their last bytes.
fn set(text: &[u8]) -> usize {
    let end = text.last_chunk::<8>().map_or(0, |end| u64::from_le_bytes(*end));
    usize::try_from(end.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).map_or(0, |spread| spread % SETS)
}

/// An empty place holds no text, not the empty one.
fn is_same(known: &[u8], text: &[u8]) -> bool {
    !known.is_empty() && known.len() == text.len() && known.iter().zip(text).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::{Digests, LONGEST, set, sha256};

    #[test]
    fn a_digest_is_always_that_of_the_whole_text() {
        let mut digests = Digests::default();
        let texts: Vec<Vec<u8>> = (0..8).map(|number| format!("{number} same end of all").into_bytes()).collect();
        assert_eq!(texts.iter().map(|text| set(text)).collect::<std::collections::HashSet<_>>().len(), 1);
        for text in texts.iter().chain(&texts) {
            assert_eq!(digests.of(text), sha256(text));
            digests.keep(text, sha256(text));
            assert_eq!(digests.of(text), sha256(text));
        }
        let long = vec![b'a'; LONGEST + 1];
        digests.keep(&long, sha256(&long));
        assert!(digests.0.iter().flatten().all(|place| place.text.len() <= LONGEST));
        assert_eq!((digests.of(&long), digests.of(b"")), (sha256(&long), sha256(b"")));
    }

    #[test]
    fn what_is_known_is_taken_from_there() {
        let mut digests = Digests::default();
        digests.keep(b"a token of some length", [7; 32]);
        assert_eq!(digests.of(b"a token of some length"), [7; 32]);
        assert_eq!(digests.of(b"b token of some length"), sha256(b"b token of some length"));
    }

    #[test]
    fn two_that_take_turns_are_both_known() {
        let mut digests = Digests::default();
        let texts = [b"first same end of all", b"other same end of all", b"third same end of all"];
        let known = |digests: &Digests| texts.map(|text| digests.of(text) != sha256(text));
        for (text, digest) in texts.into_iter().zip([[1; 32], [2; 32], [3; 32]]) {
            digests.keep(text, digest);
        }
        assert_eq!(known(&digests), [false, true, true]);
        digests.keep(texts[1], [2; 32]);
        assert_eq!(known(&digests), [false, true, true]);
    }
}
