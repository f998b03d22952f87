//! Which endpoints are healthy, for the whole process: what active checks and the outcomes of requests say.
//!
//! Workers read atomics; checks run on the service runtime, one task an endpoint. What is known of an endpoint outlives a
//! reload that keeps it, and a check ends with the configuration that asked for it. A service that asks for neither has
//! nothing of this.

mod check;
mod outlier;
mod probe;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub use outlier::Watch;
pub use probe::Cause;
pub use state::{EndpointHealth, WHOLE};

use self::check::Check;
use self::outlier::ServiceHealth;
use super::Tls;
use super::resolve::Host;
use super::tls::Identity;
use crate::ir;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// Service, protocol, host and port.
type StateKey = (Box<str>, bool, Box<str>, u16);
/// Everything that makes one check differ from another; also what is offered by ALPN.
type CheckKey = (StateKey, ir::HealthCheck, Option<Identity>, ir::HostPolicy, &'static [&'static [u8]], ir::Dns);

/// What outlives a reload; holds nothing alive.
#[derive(Debug, Default)]
pub struct Registry {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    states: HashMap<StateKey, Weak<EndpointHealth>>,
    checks: HashMap<CheckKey, Weak<Check>>,
}

/// One configuration's endpoints that are watched; its checks end when it is dropped.
#[derive(Debug, Default)]
pub struct Health {
    services: Vec<Option<Arc<ServiceHealth>>>,
    _checks: Vec<Arc<Check>>,
    /// So that names are asked for before the first request, and not anew after a reload.
    _hosts: Vec<Host>,
}

impl Health {
    /// Takes over what is known and starts the checks that do not run yet.
    #[must_use]
    pub fn build(snapshot: &Snapshot, tls: &Tls, shared: &Arc<Shared>) -> Arc<Self> {
        let mut known = shared.health.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.states.retain(|_, state| state.strong_count() > 0);
        known.checks.retain(|_, check| check.strong_count() > 0);
        let mut services = Vec::with_capacity(snapshot.ir.services.len());
        let mut checks = Vec::new();
        let mut hosts = Vec::new();
        for (index, spec) in snapshot.ir.services.iter().enumerate() {
            let first = hosts.len();
            hosts.extend(spec.endpoints.iter().map(|endpoint| Host::new(&endpoint.host, &spec.dns, shared)));
            if spec.health_check.is_none() && spec.outlier_detection.is_none() {
                services.push(None);
                continue;
            }
            let joins = known
                .states
                .iter()
                .any(|(key, state)| *key.0 == *spec.name && state.upgrade().is_some_and(|state| state.is_known()));
            let mut states = Vec::with_capacity(spec.endpoints.len());
            for (endpoint, host) in spec.endpoints.iter().zip(hosts.iter().skip(first)) {
                let key: StateKey = (spec.name.as_str().into(), endpoint.tls, endpoint.host.as_str().into(), endpoint.port);
                let old = known.states.get(&key).and_then(Weak::upgrade);
                let state = old.unwrap_or_else(|| {
                    let waits = joins && spec.health_check.is_some();
                    Arc::new(EndpointHealth::new(&spec.name, &super::pool::label(endpoint), waits))
                });
                known.states.insert(key.clone(), Arc::downgrade(&state));
                match &spec.health_check {
                    None => state.unchecked(),
                    Some(check) => {
                        let identity = tls.service(index).filter(|_| endpoint.tls).map(|tls| tls.identity);
                        let key = (key, check.clone(), identity, spec.host.clone(), spec.speaks.alpn(), spec.dns.clone());
                        let running = known.checks.get(&key).and_then(Weak::upgrade);
                        let running = running.or_else(|| {
                            let target = probe::Target::new(spec, endpoint, check, tls.service(index), host.clone())?;
                            Some(Arc::new(Check::start(target, check.clone(), Arc::clone(&state), Arc::clone(shared))))
                        });
                        if let Some(running) = running {
                            known.checks.insert(key, Arc::downgrade(&running));
                            checks.push(running);
                        }
                    }
                }
                states.push(state);
            }
            services.push(Some(Arc::new(ServiceHealth::new(spec, states, shared))));
        }
        Arc::new(Self { services, _checks: checks, _hosts: hosts })
    }

    /// Of the service with this index; nothing where it is not watched.
    #[must_use]
    pub fn service(&self, index: usize) -> Option<&Arc<ServiceHealth>> {
        self.services.get(index).and_then(Option::as_ref)
    }

    /// Every endpoint that is watched, once.
    #[must_use]
    pub fn endpoints(&self) -> Vec<&Arc<EndpointHealth>> {
        let mut all: Vec<&Arc<EndpointHealth>> = self.services.iter().flatten().flat_map(|service| service.endpoints()).collect();
        all.sort_by(|a, b| (&a.service, &a.label).cmp(&(&b.service, &b.label)));
        all.dedup_by(|a, b| Arc::ptr_eq(a, b));
        all
    }
}
