//! What vouches for callers: one file per type. [owner: credentials]
pub mod api_key;
pub mod jwks;
pub mod jwt;
pub mod verdict;

use std::sync::Arc;

use crate::exchange::{Exchange, Now, Step};
use crate::ir;
use crate::shared::Shared;
use crate::snapshot::{Challenge, Secrets};

/// A compiled provider.
#[derive(Debug)]
pub struct Provider {}

impl Provider {
    /// Builds it; an unreachable JWKS URL is no error, a broken inline set is.
    pub fn build(provider: &ir::Provider, secrets: &Secrets, shared: &Arc<Shared>) -> Result<Self, String> { let _ = (provider, secrets, shared); todo!() }
    /// Name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> { todo!() }
    /// For WWW-Authenticate.
    #[must_use]
    pub fn challenge(&self) -> Challenge { todo!() }
    /// Header names (lower case) that carry its credential: removed before forwarding unless `forward_credential`.
    #[must_use]
    pub fn credential_headers(&self) -> &[Arc<str>] { todo!() }
    /// Waits (process-wide single flight, on the service runtime) for a fresh key set. Any outcome: the caller runs the
    /// pipeline again, which refuses if the key is still missing.
    pub fn refresh_keys(&self) -> impl Future<Output = ()> + 'static { async {} }
}

/// The authenticate phase for a route that accepts `accepted` of `providers`: sets `exchange.principal`.
pub fn authenticate(providers: &[Provider], accepted: &[u32], verdicts: &mut verdict::VerdictCache, exchange: &mut Exchange, now: Now) -> Step {
    let _ = (providers, accepted, verdicts, exchange, now);
    todo!()
}
