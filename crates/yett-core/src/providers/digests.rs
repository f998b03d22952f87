//! SHA-256 of verified credentials, remembered per worker: the same bytes have the same digest.
//!
//! Nothing else has to hold for that: whether a digest still stands for a caller is decided by who looks it up. Texts
//! are compared whole, in the same time whether they differ early or late, and are wiped when they make place.

use zeroize::{Zeroize, Zeroizing};

use super::jwk::sha256;

/// Places; the end of a text says which one is its own.
const PLACES: usize = 128;
/// Longest text that is kept: 256 KiB a worker at most.
const LONGEST: usize = 2048;

#[derive(Debug, Default)]
struct Place {
    text: Zeroizing<Vec<u8>>,
    digest: [u8; 32],
}

/// The digests.
#[derive(Debug, Default)]
pub struct Digests(Vec<Place>);

impl Digests {
    /// SHA-256 of `text`.
    #[must_use]
    pub fn of(&self, text: &[u8]) -> [u8; 32] {
        match self.0.get(place(text)) {
            Some(known) if is_same(&known.text, text) => known.digest,
            _ => sha256(text),
        }
    }

    /// Remembers the digest of a credential that was verified.
    pub fn keep(&mut self, text: &[u8], digest: [u8; 32]) {
        if text.len() > LONGEST || text.is_empty() {
            return;
        }
        if self.0.is_empty() {
            self.0.resize_with(PLACES, Place::default);
        }
        let Some(known) = self.0.get_mut(place(text)).filter(|known| known.digest != digest) else { return };
        known.text.zeroize();
        if known.text.capacity() < text.len() {
            known.text = Zeroizing::new(Vec::with_capacity(text.len()));
        }
        known.text.extend_from_slice(text);
        known.digest = digest;
    }
}

/// Where a text has its place: signatures differ in their last bytes.
fn place(text: &[u8]) -> usize {
    let end = text.last_chunk::<8>().map_or(0, |end| u64::from_le_bytes(*end));
    usize::try_from(end.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).map_or(0, |spread| spread % PLACES)
}

/// An empty place holds no text, not the empty one.
fn is_same(known: &[u8], text: &[u8]) -> bool {
    !known.is_empty() && known.len() == text.len() && known.iter().zip(text).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::{Digests, LONGEST, PLACES, place, sha256};

    #[test]
    fn a_digest_is_always_that_of_the_whole_text() {
        let mut digests = Digests::default();
        let texts: Vec<Vec<u8>> = (0..4 * PLACES).map(|number| format!("{number} same end of all").into_bytes()).collect();
        assert_eq!(texts.iter().map(|text| place(text)).collect::<std::collections::HashSet<_>>().len(), 1);
        for text in texts.iter().chain(&texts) {
            assert_eq!(digests.of(text), sha256(text));
            digests.keep(text, sha256(text));
            assert_eq!(digests.of(text), sha256(text));
        }
        let long = vec![b'a'; LONGEST + 1];
        digests.keep(&long, sha256(&long));
        assert!(digests.0.iter().all(|place| place.text.len() <= LONGEST));
        assert_eq!((digests.of(&long), digests.of(b"")), (sha256(&long), sha256(b"")));
    }

    #[test]
    fn what_is_known_is_taken_from_there() {
        let mut digests = Digests::default();
        digests.keep(b"a token of some length", [7; 32]);
        assert_eq!(digests.of(b"a token of some length"), [7; 32]);
        assert_eq!(digests.of(b"b token of some length"), sha256(b"b token of some length"));
    }
}
