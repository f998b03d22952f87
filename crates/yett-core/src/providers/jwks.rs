//! JWK sets (RFC 7517): fetched once for the process, refreshed ahead, bounded. [owner: credentials]
/// JWK sets by URL.
#[derive(Debug, Default)]
pub struct Registry {}
