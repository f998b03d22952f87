//! Verified credentials, remembered per worker. [owner: credentials]
/// Successes only, keyed by SHA-256 of the token, provider and trust revision.
#[derive(Debug)]
pub struct VerdictCache {}
impl VerdictCache {
    /// At most `entries`.
    #[must_use]
    pub fn new(entries: usize) -> Self { let _ = entries; todo!() }
}
