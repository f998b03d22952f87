//! Eight bytes at a time: most strings of a request are too short for the vectors that a compiler makes of a loop.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The byte in every place.
const fn every(byte: u8) -> u64 {
    ONES.wrapping_mul(byte as u64)
}

/// Whether a byte of the word is below `bound`, which is at most 128.
#[must_use]
pub const fn any_below(word: u64, bound: u8) -> bool {
    word.wrapping_sub(every(bound)) & !word & HIGH != 0
}

/// Whether a byte of the word is this one.
#[must_use]
pub const fn any_is(word: u64, byte: u8) -> bool {
    any_below(word ^ every(byte), 1)
}

/// Whether a byte of the word is no ASCII.
#[must_use]
pub const fn any_high(word: u64) -> bool {
    word & HIGH != 0
}

/// The high bit of each byte from `first` to `last`; for words of ASCII, both bounds between 1 and 127.
const fn within(word: u64, first: u8, last: u8) -> u64 {
    let (from, past) = (every(0x80 - first), every(0x7f - last));
    word.wrapping_add(from) & !word.wrapping_add(past) & HIGH
}

/// The word in lower case, where all of it are letters, digits and hyphens.
#[must_use]
pub const fn lower_name(word: u64) -> Option<u64> {
    if any_high(word) {
        return None;
    }
    let upper = within(word, b'A', b'Z');
    let fine = upper | within(word, b'a', b'z') | within(word, b'0', b'9') | within(word, b'-', b'-');
    if fine == HIGH { Some(word | (upper >> 2)) } else { None }
}

/// Whether `fine` holds for all bytes, of which it sees eight together. What a last word lacks is `filler`, or was seen before.
/// `fine_byte` says the same of one; without branches, so that the compiler makes vectors of it where there is enough for those.
#[inline]
pub fn all(bytes: &[u8], filler: u8, fine: impl Fn(u64) -> bool, fine_byte: impl Fn(u8) -> bool) -> bool {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
        let (pairs, _) = bytes.as_chunks::<32>();
        let rest = bytes.get(pairs.as_flattened().len()..).and_then(|rest| rest.first_chunk::<16>()).unwrap_or(first);
        return pairs.iter().all(|pair| block(pair, &fine_byte)) && block(rest, &fine_byte) && block(last, &fine_byte);
    }
    if let Some(last) = bytes.last_chunk::<8>() {
        let (words, _) = bytes.as_chunks::<8>();
        return words.iter().all(|word| fine(u64::from_le_bytes(*word))) && fine(u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return fine(u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32);
    }
    match *bytes {
        [] => true,
        [a] => fine(u64::from_le_bytes([a, filler, filler, filler, filler, filler, filler, filler])),
        [a, b] => fine(u64::from_le_bytes([a, b, filler, filler, filler, filler, filler, filler])),
        [a, b, c] => fine(u64::from_le_bytes([a, b, c, filler, filler, filler, filler, filler])),
        _ => false,
    }
}

#[inline]
fn block<const N: usize>(bytes: &[u8; N], fine: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, byte| all & fine(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_byte_in_each_place() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                for other in [b'a', 0, 0x1f, 0x20, 0x7f, 0x80, 0xff] {
                    let mut bytes = [other; 8];
                    bytes[place] = byte;
                    let word = u64::from_le_bytes(bytes);
                    for bound in [1, 0x20, 0x7f, 0x80] {
                        assert_eq!(any_below(word, bound), bytes.iter().any(|b| *b < bound), "{bytes:?} {bound}");
                    }
                    for wanted in [0, b'"', 0x7f, 0xff] {
                        assert_eq!(any_is(word, wanted), bytes.contains(&wanted), "{bytes:?} {wanted}");
                    }
                    assert_eq!(any_high(word), bytes.iter().any(|b| *b > 0x7f));
                    let plain = bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
                    let lower = plain.then(|| u64::from_le_bytes(bytes.map(|b| b.to_ascii_lowercase())));
                    assert_eq!(lower_name(word), lower, "{bytes:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_byte_is_left_out(mut bytes in prop::collection::vec(b'a'..=b'z', 0..140), at in any::<prop::sample::Index>()) {
            let fine = |word: u64| !any_is(word, b'!');
            let fine_byte = |byte: u8| byte != b'!';
            prop_assert!(all(&bytes, b'a', fine, fine_byte));
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = b'!';
                prop_assert!(!all(&bytes, b'a', fine, fine_byte));
            }
        }
    }
}
