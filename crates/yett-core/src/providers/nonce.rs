//! Nonces that the gateway gives to clients (RFC 9449 section 9): a window of time under a seal, so that nothing is kept
//! and every instance with the same secret knows them.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of the seal that are shown.
const SEAL: usize = 16;

/// Nonces that count for one window and the next.
pub struct Nonces {
    key: hmac::Key,
    lifetime_ms: u64,
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces").field("lifetime_ms", &self.lifetime_ms).finish_non_exhaustive()
    }
}

impl Nonces {
    /// Under this secret, with windows of half a lifetime.
    #[must_use]
    pub fn new(secret: &[u8], lifetime_ms: u64) -> Self {
        // a key of its own, so that the secret means nothing elsewhere
        let master = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&master, b"yett dpop nonce 1");
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()), lifetime_ms: lifetime_ms.max(2) }
    }

    fn window(&self, unix_ms: u64) -> u64 {
        unix_ms / (self.lifetime_ms / 2)
    }

    fn of_window(&self, window: u64) -> Box<str> {
        let bytes = window.to_be_bytes();
        let seal = hmac::sign(&self.key, &bytes);
        let mut out = bytes.to_vec();
        out.extend(seal.as_ref().iter().take(SEAL));
        URL_SAFE_NO_PAD.encode(out).into()
    }

    /// The one to give now.
    #[must_use]
    pub fn current(&self, unix_ms: u64) -> Box<str> {
        self.of_window(self.window(unix_ms))
    }

    /// Whether a nonce counts now, and then whether the client should use a newer one from now on.
    #[must_use]
    pub fn check(&self, nonce: &str, unix_ms: u64) -> Option<bool> {
        let window = self.window(unix_ms);
        let is = |window: u64| {
            let own = self.of_window(window);
            aws_lc_rs::constant_time::verify_slices_are_equal(own.as_bytes(), nonce.as_bytes()).is_ok()
        };
        if is(window) {
            return Some(false);
        }
        // the last one, and one of an instance whose clock is ahead
        (is(window.saturating_sub(1)) || is(window + 1)).then_some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::Nonces;

    #[test]
    fn they_count_for_their_window_and_the_next() {
        let nonces = Nonces::new(b"a secret", 10_000);
        let given = nonces.current(100_000);
        assert_eq!(nonces.check(&given, 100_000), Some(false));
        assert_eq!(nonces.check(&given, 104_999), Some(false));
        assert_eq!(nonces.check(&given, 105_000), Some(true));
        assert_eq!(nonces.check(&given, 110_000), None);
        assert_eq!(nonces.check(&given, 94_999), None);
        assert_eq!(Nonces::new(b"a secret", 10_000).check(&given, 100_000), Some(false), "another instance");
        assert_eq!(Nonces::new(b"another", 10_000).check(&given, 100_000), None);
        for forged in ["", "AAAA", given.strip_suffix(|_: char| true).unwrap_or_default(), &format!("{given}A")] {
            assert_eq!(nonces.check(forged, 100_000), None);
        }
    }
}
