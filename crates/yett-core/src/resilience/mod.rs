//! What keeps a failing service from failing its callers, and busy callers from failing a service: retries with a
//! budget, a circuit breaker for each endpoint, limits of requests under way.
//!
//! State is the process's, by the names of service and endpoint, and outlives a reload; a service that asks for none of
//! it has no [`Guard`], and its requests pay nothing.

pub mod breaker;
pub mod budget;
pub mod limiter;
pub mod shed;
pub mod tries;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use self::breaker::Breaker;
use self::budget::Budget;
use self::limiter::Limiter;
use crate::ir;
use crate::shared::Counter;

/// The state of all services, for as long as some configuration in use names them.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<Arc<str>, Weak<State>>>);

/// The state of one service.
#[derive(Debug)]
pub struct State {
    /// Its name.
    pub service: Arc<str>,
    /// Places for requests.
    pub limiter: Arc<Limiter>,
    /// What may be tried again.
    pub budget: Budget,
    /// Requests that were tried again.
    pub retries: Counter,
    /// Requests that were not, because the budget was spent.
    pub refused: Counter,
    breakers: Mutex<BTreeMap<Arc<str>, Arc<Breaker>>>,
}

/// What one service asks for, and its state.
#[derive(Debug)]
pub struct Guard {
    /// The process's state of this service.
    pub state: Arc<State>,
    /// Bounds of requests under way.
    pub limits: Option<ir::ServiceLimits>,
    /// Whether its endpoints have circuit breakers.
    pub breaker: bool,
    /// What is tried again.
    pub retry: Option<ir::Retry>,
    /// Whether a request's body is read whole first, for its digest in the assertion of identity.
    pub digest: bool,
}

impl Registry {
    /// The guard of a service as it is configured now; none where it asks for nothing.
    #[must_use]
    pub fn guard(&self, spec: &ir::Service) -> Option<Box<Guard>> {
        let digest = spec.identity_assertion.as_ref().is_some_and(|assertion| assertion.body_digest);
        if spec.limits.is_none() && spec.circuit_breaker.is_none() && spec.retry.is_none() && !digest {
            return None;
        }
        let state = self.state(&spec.name);
        if let Some(limits) = &spec.limits {
            state.limiter.configure(limits.concurrency, limits.pending);
        }
        Some(Box::new(Guard {
            state,
            limits: spec.limits.clone(),
            breaker: spec.circuit_breaker.is_some(),
            retry: spec.retry.clone(),
            digest,
        }))
    }

    fn state(&self, name: &str) -> Arc<State> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get(name).and_then(Weak::upgrade) {
            return state;
        }
        states.retain(|_, state| state.strong_count() > 0);
        let service: Arc<str> = name.into();
        let state = Arc::new(State {
            service: service.clone(),
            limiter: Arc::default(),
            budget: Budget::default(),
            retries: Counter::default(),
            refused: Counter::default(),
            breakers: Mutex::default(),
        });
        states.insert(service, Arc::downgrade(&state));
        state
    }

    /// All states in use, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect()
    }
}

impl State {
    /// The breakers of its endpoints, by `host:port`.
    #[must_use]
    pub fn breakers(&self) -> Vec<(Arc<str>, Arc<Breaker>)> {
        let breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.iter().map(|(label, breaker)| (label.clone(), breaker.clone())).collect()
    }

    /// The breaker of an endpoint as it is configured now.
    #[must_use]
    pub fn breaker(&self, endpoint: &Arc<str>, spec: &ir::CircuitBreaker) -> Arc<Breaker> {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let breaker = breakers.entry(endpoint.clone()).or_default();
        breaker.configure(spec.failures, spec.open_ms, spec.probes);
        breaker.clone()
    }

    /// Forgets the breakers of endpoints that the service no longer has.
    pub fn keep_breakers(&self, is_kept: impl Fn(&str) -> bool) {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner).retain(|label, _| is_kept(label));
    }
}
