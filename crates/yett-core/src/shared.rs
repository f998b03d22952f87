//! What the whole process shares: limits, key sets, the state of services, the buffer bound, the service runtime, events.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::address_lists;
use crate::challenges::Challenges;
use crate::filters::rate_limit::Tables;
use crate::filters::websocket::OpenConnections;
use crate::observe::events::Events;
use crate::providers::discovery::Discoveries;
use crate::providers::introspection::source::Registry as Introspection;
use crate::providers::jwks::Registry;
use crate::providers::key_uses::KeyUses;
use crate::resilience;
use crate::revocation::Revocations;
use crate::server::buffers::BufferBudget;
use crate::server::passthrough::Ends;
use crate::server::tls::cause::Failures;
use crate::store::Stores;
use crate::upstream::Network;
use crate::upstream::tls_cause::TlsFailures;

/// Bytes that may be buffered before the first configuration says otherwise.
const DEFAULT_BUFFERED_BYTES: u64 = 256 * 1024 * 1024;
/// Keys of limits before the first configuration says otherwise.
const DEFAULT_LIMIT_KEYS: u32 = 100_000;

/// What the whole process shares; one per gateway, never a global.
pub struct Shared {
    /// Rate limit tables, by scope and name; they outlive a reload.
    pub limits: Tables,
    /// Requests under way, by limit; they outlive a reload.
    pub under_way: crate::filters::concurrency_limit::UnderWay,
    /// Use of quotas; it outlives a reload, and on disk the process.
    pub quotas: Arc<crate::filters::quota::book::Book>,
    /// What guarded logins count, remember and ban; it outlives a reload.
    pub logins: Arc<crate::filters::login_guard::Logins>,
    /// What routes with a bot filter count, and which addresses are crawlers'; it outlives a reload.
    pub bots: crate::filters::bot_filter::Bots,
    /// Lists of addresses from files; they outlive a reload.
    pub address_lists: address_lists::Registry,
    /// Databases that say where addresses are; they outlive a reload.
    pub geo: crate::geo::Registry,
    /// WebSocket connections, by route; they outlive a reload.
    pub websockets: OpenConnections,
    /// JWK sets, by URL; they outlive a reload.
    pub jwks: Registry,
    /// Introspection endpoints and what they said; they outlive a reload.
    pub introspection: Introspection,
    /// Tokens for services; they outlive a reload.
    pub service_tokens: crate::service_tokens::Registry,
    /// What came of external checks; it outlives a reload.
    pub external_checks: crate::filters::external_authorization::record::Registry,
    /// What came of rules in shadow; it outlives a reload.
    pub shadow: crate::filters::authorize::shadow::Registry,
    /// What limits in shadow count.
    pub shadow_limits: crate::filters::limit_shadow::ShadowTables,
    /// Metadata of identity providers, by issuer; they outlive a reload.
    pub discoveries: Discoveries,
    /// Circuit breakers, retry budgets and places of services; they outlive a reload.
    pub resilience: resilience::Registry,
    /// The bound on buffered bytes.
    pub buffers: BufferBudget,
    /// Name resolution, and the addresses that no service may resolve to: `network.set_own_addresses` after every bind.
    pub network: Network,
    /// What is known of endpoints; it outlives a reload.
    pub health: crate::upstream::health::Registry,
    /// The multi-thread runtime for everything that may be slow.
    pub service_runtime: tokio::runtime::Handle,
    /// What Python should log or count.
    pub events: Events,
    /// Rare things that are counted for the whole process.
    pub counters: Counters,
    /// Handshakes of clients that failed, by cause.
    pub handshake_failures: Failures,
    /// Connections closed because there were too many.
    pub connections_refused: ConnectionsRefused,
    /// How connections that were passed on unopened ended.
    pub passthrough: Ends,
    /// TLS with services that failed, by cause.
    pub service_tls_failures: TlsFailures,
    /// Challenges of certificate authorities that are open now.
    pub challenges: Arc<Challenges>,
    /// State that outlives a request: ask `stores.main()` each time anew.
    pub stores: Stores,
    /// Operations of stores without an answer.
    pub store_failures: crate::store::Failures,
    /// Answers that did not fit, and passed.
    pub response_faults: crate::filters::response_validation::Faults,
    /// Requests that looked like attacks.
    pub attacks: Arc<crate::filters::attack_filter::Counts>,
    /// What was verified and shall not count any more.
    pub revocations: Arc<Revocations>,
    /// When API keys were last used.
    pub key_uses: KeyUses,
    /// Key of the hashes that pick buckets and cache slots; random per process.
    pub seed: [u8; 32],
}

impl Shared {
    /// With default bounds; `apply` sets the configured ones.
    #[must_use]
    pub fn new(service_runtime: tokio::runtime::Handle, seed: [u8; 32]) -> Self {
        Self {
            limits: Tables::new(DEFAULT_LIMIT_KEYS),
            under_way: Default::default(),
            quotas: Arc::default(),
            logins: Arc::default(),
            bots: Default::default(),
            address_lists: address_lists::Registry::default(),
            geo: Default::default(),
            websockets: OpenConnections::default(),
            jwks: Registry::default(),
            introspection: Introspection::default(),
            service_tokens: crate::service_tokens::Registry::default(),
            external_checks: Default::default(),
            shadow: Default::default(),
            shadow_limits: Default::default(),
            discoveries: Discoveries::default(),
            resilience: resilience::Registry::default(),
            buffers: BufferBudget::new(DEFAULT_BUFFERED_BYTES),
            network: Network::default(),
            health: crate::upstream::health::Registry::default(),
            service_runtime,
            events: Events::default(),
            counters: Counters::default(),
            handshake_failures: Failures::default(),
            connections_refused: ConnectionsRefused::default(),
            passthrough: Ends::default(),
            service_tls_failures: TlsFailures::default(),
            challenges: Arc::default(),
            stores: Stores::default(),
            store_failures: crate::store::Failures::default(),
            response_faults: crate::filters::response_validation::Faults::default(),
            attacks: Arc::default(),
            revocations: Arc::default(),
            key_uses: KeyUses::default(),
            seed,
        }
    }
}

impl fmt::Debug for Shared {
    /// Without the seed: who knows it can aim at one bucket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// A count that only grows. Relaxed: nothing is ordered by it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    /// So far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Connections closed because there were too many, by whose bound it was.
#[derive(Debug, Default)]
pub struct ConnectionsRefused {
    /// The listener's.
    pub listener: Counter,
    /// Those of one address.
    pub address: Counter,
}

macro_rules! counters {
    ($($name:ident $metric:literal $help:literal;)*) => {
        /// Rare things that are counted for the whole process; what happens on every request is counted per worker.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(#[doc = $help] pub $name: Counter,)*
        }

        impl Counters {
            /// Metric name, help and value of each.
            #[must_use]
            pub fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$(($metric, $help, self.$name.get()),)*]
            }
        }
    };
}

counters! {
    jwks_fetches "yett_jwks_fetches_total" "JWK sets fetched";
    jwks_fetch_failures "yett_jwks_fetch_failures_total" "fetches of JWK sets that failed";
    discovery_fetches "yett_discovery_fetches_total" "metadata of identity providers fetched";
    discovery_failures "yett_discovery_failures_total" "fetches of identity providers' metadata that failed";
    upstream_connects "yett_upstream_connects_total" "connections opened to services";
    upstream_connect_failures "yett_upstream_connect_failures_total" "connections to services that could not be opened";
    mirrored "yett_mirrored_total" "requests of which a copy was answered by the service that they are mirrored to";
    mirror_dropped "yett_mirror_dropped_total" "requests that were to be mirrored and were not, or got no answer there";
    connection_panics "yett_connection_panics_total" "connections that ended in a bug of the gateway";
    worker_restarts "yett_worker_restarts_total" "workers that were restarted after a bug of the gateway";
    dns_failures "yett_dns_failures_total" "names of endpoints that could not be resolved, each time";
    accept_errors "yett_accept_errors_total" "connections that could not be accepted (descriptors or memory ran out)";
    connections_moved "yett_connections_moved_total" "connections handed to a worker that had fewer";
    proxy_protocol_missing "yett_proxy_protocol_missing_total" "connections from trusted balancers that were closed because they did not begin with a PROXY protocol header";
    proxy_protocol_malformed "yett_proxy_protocol_malformed_total" "connections closed because of a PROXY protocol header that cannot be read";
    proxy_protocol_untrusted "yett_proxy_protocol_untrusted_total" "connections closed because of a PROXY protocol header from an address that is not trusted";
    passthrough_bytes_in "yett_passthrough_bytes_in_total" "bytes of connections that were passed on unopened, from clients";
    passthrough_bytes_out "yett_passthrough_bytes_out_total" "bytes of connections that were passed on unopened, to clients";
    handshakes_elsewhere "yett_tls_handshakes_elsewhere_total" "TLS handshakes computed beside the workers, because many clients came at once";
    http2_floods "yett_http2_floods_total" "HTTP/2 connections ended because the client sent too many frames that ask for nothing";
    access_log_dropped "yett_access_log_dropped_total" "access log lines dropped because the writer could not keep up";
    access_log_errors "yett_access_log_errors_total" "writes to the access log that failed";
    decision_log_dropped "yett_decision_log_dropped_total" "decision records dropped because the writer could not keep up";
    decision_log_errors "yett_decision_log_errors_total" "writes to the decision log that failed";
    acme_orders "yett_acme_orders_total" "certificates that an authority issued to this instance (ACME)";
    acme_order_failures "yett_acme_order_failures_total" "orders of certificates that failed (ACME)";
    reloads "yett_reloads_total" "configurations applied";
    reload_failures "yett_reload_failures_total" "configurations refused";
}
