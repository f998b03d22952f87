//! Connections to services: pools, balancing, connecting.
//!
//! Everything here belongs to one worker, but for [`Network`] and [`Tls`]. A connection serves a further request only if
//! the last one was sent whole, its answer was read to its end, and nothing arrived since. Bounds and balance are the
//! worker's own: `idle_connections` is per endpoint and worker.

pub mod balance;
pub mod health;
pub mod http2;
pub mod network;
pub mod pins;
pub mod pool;
pub mod resolve;
pub mod stream;
pub mod tls;
pub mod tls_cause;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub use balance::Tried;
use balance::{Balancer, Place};
pub use health::Health;
pub use network::Network;
pub use pool::{Active, Endpoint, Report};
use resolve::Host;
pub use stream::Stream;
pub use tls::Tls;

use crate::ir;
use crate::resilience::Guard;
use crate::server::buffers::BufferPool;
use crate::server::clock;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// How often idle connections that nobody asks for are looked at.
const SWEEP: Duration = Duration::from_secs(10);

/// One worker's pools for one snapshot; connections of unchanged endpoints move over from the previous one.
#[derive(Debug)]
pub struct Pools {
    services: Vec<Service>,
    buffers: Rc<BufferPool>,
}

/// One service on one worker.
#[derive(Debug)]
pub struct Service {
    name: Arc<str>,
    /// The Host field that it sees.
    pub host: ir::HostPolicy,
    endpoints: Vec<Rc<Endpoint>>,
    balancer: Balancer,
    /// Limits, circuit breakers and retries, where it asks for any.
    pub guard: Option<Box<Guard>>,
}

impl Pools {
    /// Made on the worker at a swap; cheap. TLS configurations were built in `Tls::build`.
    #[must_use]
    pub fn new(
        snapshot: &Arc<Snapshot>,
        tls: &Arc<Tls>,
        health: &Health,
        previous: Option<&Rc<Self>>,
        shared: &Arc<Shared>,
    ) -> Self {
        let mut services = Vec::with_capacity(snapshot.ir.services.len());
        for (index, spec) in snapshot.ir.services.iter().enumerate() {
            let tls = tls.service(index);
            let health = health.service(index);
            let guard = shared.resilience.guard(spec);
            let before = previous.and_then(|p| p.services.iter().find(|s| *s.name == *spec.name));
            let mut endpoints = Vec::with_capacity(spec.endpoints.len());
            let mut places = Vec::with_capacity(spec.endpoints.len());
            for (place, described) in spec.endpoints.iter().enumerate() {
                let host = Host::new(&described.host, &spec.dns, shared);
                let fits = |endpoint: &&Rc<Endpoint>| endpoint.fits(described, &host, tls, &spec.speaks);
                let kept = before.and_then(|s| s.endpoints.iter().find(fits).cloned());
                let new = || Endpoint::new(described, host.clone(), tls, &spec.speaks).map(Rc::new);
                let Some(endpoint) = kept.or_else(new) else { continue };
                endpoint.set_bounds(spec.idle_connections, spec.idle_ms);
                endpoint.set_watch(health.and_then(|health| health.watch(place)));
                let breaker = guard.as_ref().zip(spec.circuit_breaker.as_ref());
                endpoint.set_breaker(breaker.map(|(guard, breaker)| guard.state.breaker(&endpoint.label, breaker)));
                places.push(Place::new(described, snapshot.ir.zone.as_deref(), health.and_then(|h| h.endpoints().get(place))));
                endpoints.push(endpoint);
            }
            if let Some(guard) = &guard {
                guard.state.keep_breakers(|label| endpoints.iter().any(|endpoint| *endpoint.label == *label));
            }
            let balancer = Balancer::new(&spec.balance, places, health.map_or(0, |health| health.slow_start_ns()));
            if let Some(before) = before {
                balancer.go_on(&before.balancer);
            }
            services.push(Service { name: spec.name.as_str().into(), host: spec.host.clone(), endpoints, balancer, guard });
        }
        let buffers = previous.map_or_else(|| Rc::new(BufferPool::new(shared.clone())), |p| p.buffers.clone());
        Self { services, buffers }
    }

    /// A service, by its index in the snapshot.
    #[must_use]
    pub fn service(&self, index: u32) -> Option<&Service> {
        self.services.get(usize::try_from(index).ok()?)
    }

    /// This worker's blocks.
    #[must_use]
    pub fn buffers(&self) -> &Rc<BufferPool> {
        &self.buffers
    }

    /// Closes idle connections that waited too long or were closed by the service; ends when the pools are gone.
    /// Spawned on the worker beside them, best once per swap.
    pub async fn sweep(pools: std::rc::Weak<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let Some(pools) = pools.upgrade() else { return };
            let now = clock::monotonic_ns();
            for endpoint in pools.services.iter().flat_map(|s| &s.endpoints) {
                endpoint.sweep(now);
            }
        }
    }
}

impl Service {
    /// Name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}
