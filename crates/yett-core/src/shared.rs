//! What the whole process shares: limits, key sets, the buffer bound, the service runtime, events.

use crate::filters::rate_limit::Tables;
use crate::observe::events::Events;
use crate::providers::jwks::Registry;
use crate::server::buffers::BufferBudget;
use crate::upstream::Network;

/// What the whole process shares; one per gateway, never a global.
#[derive(Debug)]
pub struct Shared {
    /// Rate limit tables, by scope and name; they outlive a reload.
    pub limits: Tables,
    /// JWK sets, by URL; they outlive a reload.
    pub jwks: Registry,
    /// The bound on buffered bytes.
    pub buffers: BufferBudget,
    /// Name resolution, and the addresses that no service may resolve to: `network.set_own_addresses` after every bind.
    pub network: Network,
    /// The multi-thread runtime for everything that may be slow.
    pub service_runtime: tokio::runtime::Handle,
    /// What Python should log or count.
    pub events: Events,
    /// Key of the hashes that pick buckets and cache slots; random per process.
    pub seed: [u8; 32],
}
