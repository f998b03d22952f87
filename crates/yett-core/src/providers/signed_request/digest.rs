//! `Content-Digest` (RFC 9530): what a body has to hash to, and the hashing of it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256, SHA512};

use super::fields::byte_sequences;

/// The digests that a request announces, of the two algorithms that are not broken; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDigest {
    sha256: Option<[u8; 32]>,
    sha512: Option<[u8; 64]>,
}

impl ContentDigest {
    /// Reads the field. Digests of other algorithms are passed over (section 2), as long as one of ours is there.
    ///
    /// # Errors
    /// It is malformed, or names neither `sha-256` nor `sha-512`.
    pub fn parse(text: &[u8]) -> Result<Self, Box<str>> {
        let mut found = Self { sha256: None, sha512: None };
        for (algorithm, bytes) in byte_sequences("Content-Digest", text)? {
            let length = || Box::<str>::from(format!("`Content-Digest` has a digest for `{algorithm}` of another length"));
            match &*algorithm {
                "sha-256" => found.sha256 = Some(bytes.try_into().map_err(|_| length())?),
                "sha-512" => found.sha512 = Some(bytes.try_into().map_err(|_| length())?),
                _ => {}
            }
        }
        if found.sha256.is_none() && found.sha512.is_none() {
            return Err("`Content-Digest` has neither `sha-256` nor `sha-512`".into());
        }
        Ok(found)
    }

    /// Begins to hash a body.
    #[must_use]
    pub fn hashing(&self) -> Hashing {
        Hashing { sha256: self.sha256.map(|_| Context::new(&SHA256)), sha512: self.sha512.map(|_| Context::new(&SHA512)) }
    }

    /// Whether the body that was hashed is the announced one: all of the digests have to fit.
    #[must_use]
    pub fn fits(&self, hashing: Hashing) -> bool {
        let same = |wanted: Option<&[u8]>, context: Option<Context>| match (wanted, context) {
            (None, None) => true,
            (Some(wanted), Some(context)) => verify_slices_are_equal(wanted, context.finish().as_ref()).is_ok(),
            _ => false,
        };
        let first = same(self.sha256.as_ref().map(|bytes| &bytes[..]), hashing.sha256);
        first & same(self.sha512.as_ref().map(|bytes| &bytes[..]), hashing.sha512)
    }

    /// Whether this is the whole body.
    #[must_use]
    pub fn fits_bytes(&self, body: &[u8]) -> bool {
        let mut hashing = self.hashing();
        hashing.update(body);
        self.fits(hashing)
    }
}

/// A body on its way through the hash functions that its digests need.
pub struct Hashing {
    sha256: Option<Context>,
    sha512: Option<Context>,
}

impl std::fmt::Debug for Hashing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hashing")
    }
}

impl Hashing {
    /// Adds what comes next.
    pub fn update(&mut self, data: &[u8]) {
        for context in [&mut self.sha256, &mut self.sha512].into_iter().flatten() {
            context.update(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ContentDigest;

    // RFC 9530 appendix B.1 and RFC 9421 appendix B.2
    const HELLO: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    const WORLD: &str = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
    const BODY: &[u8] = b"{\"hello\": \"world\"}";

    #[test]
    fn digests_of_the_standards() {
        assert!(ContentDigest::parse(HELLO.as_bytes()).unwrap().fits_bytes(BODY));
        let both = ContentDigest::parse(format!("{HELLO}, {WORLD}, md5=:Sd/dVLAcvNLSq16eXua5uQ==:").as_bytes()).unwrap();
        assert!(both.fits_bytes(BODY) && !both.fits_bytes(b"{\"hello\": \"World\"}") && !both.fits_bytes(b""));
    }

    #[test]
    fn one_digest_that_does_not_fit_is_enough() {
        let other = WORLD.replace("WZDP", "WZDQ");
        assert!(!ContentDigest::parse(format!("{HELLO}, {other}").as_bytes()).unwrap().fits_bytes(BODY));
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for text in ["", "md5=:Sd/dVLAcvNLSq16eXua5uQ==:", "sha-256=:YQ==:", "sha-256", "SHA-256=:YQ==:", "sha-256=YQ"] {
            assert!(ContentDigest::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(ContentDigest::parse(format!("{HELLO}, {HELLO}").as_bytes()).is_err());
    }
}
