//! SipHash-2-4 under a key of the process: what picks a bucket or a cache slot cannot be aimed at.

use std::net::IpAddr;

/// A keyed hash of short strings. Not for signatures: 64 bits only spread, they prove nothing.
#[derive(Clone, Copy)]
pub struct KeyedHash {
    k0: u64,
    k1: u64,
}

impl std::fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedHash")
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |acc, b| (acc << 8) | u64::from(*b))
}

fn round(v: &mut [u64; 4]) {
    let [a, b, c, d] = v;
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}

impl KeyedHash {
    /// The first 16 bytes of the seed are the key.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        let (k0, rest) = seed.split_at(8);
        let (k1, _) = rest.split_at(8);
        Self { k0: word(k0), k1: word(k1) }
    }

    /// With a key that everybody knows: where several processes have to agree. Whoever chooses the bytes chooses the hash.
    #[must_use]
    pub const fn fixed() -> Self {
        Self { k0: 0, k1: 0 }
    }

    /// SipHash-2-4 (Aumasson and Bernstein, 2012) of the bytes.
    #[must_use]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut v = [
            self.k0 ^ 0x736f_6d65_7073_6575,
            self.k1 ^ 0x646f_7261_6e64_6f6d,
            self.k0 ^ 0x6c79_6765_6e65_7261,
            self.k1 ^ 0x7465_6462_7974_6573,
        ];
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            absorb(&mut v, word(chunk));
        }
        let length = u64::try_from(bytes.len() & 0xff).unwrap_or(0);
        absorb(&mut v, (length << 56) | word(chunks.remainder()));
        v[2] ^= 0xff;
        for _ in 0..4 {
            round(&mut v);
        }
        v.iter().fold(0, |acc, x| acc ^ x)
    }

    /// Of several parts; each is preceded by its length, so that no two lists of parts read alike.
    #[must_use]
    pub fn parts(&self, parts: &[&[u8]]) -> u64 {
        let mut text = Vec::with_capacity(128);
        for part in parts {
            text.extend_from_slice(&part.len().to_le_bytes());
            text.extend_from_slice(part);
        }
        self.hash(&text)
    }

    /// Of a client's address: IPv6 by /64, an IPv4-mapped address as IPv4.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> u64 {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.hash(&v4.octets()),
            IpAddr::V6(v6) => {
                let network = v6.to_bits() >> 64;
                self.hash(&network.to_be_bytes())
            }
        }
    }
}

fn absorb(v: &mut [u64; 4], m: u64) {
    v[3] ^= m;
    round(v);
    round(v);
    v[0] ^= m;
}

#[cfg(test)]
mod tests {
    use super::KeyedHash;

    fn reference() -> KeyedHash {
        let mut seed = [0u8; 32];
        for (i, byte) in seed.iter_mut().enumerate() {
            *byte = u8::try_from(i).unwrap();
        }
        KeyedHash::new(&seed)
    }

    #[test]
    fn agrees_with_the_published_vectors() {
        let message: Vec<u8> = (0..15).collect();
        assert_eq!(reference().hash(&message), 0xa129_ca61_49be_45e5);
        assert_eq!(reference().hash(&[]), 0x726f_db47_dd0e_0e31);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let hash = reference();
        assert_ne!(hash.parts(&[b"ab", b"c"]), hash.parts(&[b"a", b"bc"]));
    }

    #[test]
    fn addresses_fold() {
        let hash = reference();
        let of = |text: &str| hash.address(text.parse().unwrap());
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }
}
