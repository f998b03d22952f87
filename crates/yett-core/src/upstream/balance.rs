//! Which endpoint of a service a request goes to: priority, zone, then in turn, by load or by key.
//!
//! Turns and load are the worker's own. Everything is counted out at each choice: a service has at most
//! [`MAX_ENDPOINTS`], and with one endpoint there is nothing to choose.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

use super::health::{EndpointHealth, WHOLE};
use super::{Endpoint, Service};
use crate::exchange::Exchange;
use crate::filters::keyed_hash::KeyedHash;
use crate::filters::limit_table::mix;
use crate::headers::Known;
use crate::ir::{self, Balance, HashKey};

/// Endpoints of one service, at most.
pub const MAX_ENDPOINTS: usize = 256;

/// Endpoints of one service that a request has tried, by their place.
#[derive(Debug, Default, Clone)]
pub struct Tried([u64; MAX_ENDPOINTS / 64]);

impl Tried {
    /// Whether it was tried. What has no place here counts as tried.
    #[must_use]
    pub fn contains(&self, place: usize) -> bool {
        self.0.get(place / 64).is_none_or(|word| word & (1 << (place % 64)) != 0)
    }

    /// Notes that it was tried.
    pub fn insert(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }
}

/// What the balancer knows of one endpoint.
#[derive(Debug)]
pub(super) struct Place {
    /// Of host and port: the same in every process, so that several gateways agree.
    id: u64,
    weight: u32,
    priority: u32,
    near: bool,
    health: Option<Arc<EndpointHealth>>,
    /// How far its turn is owed (smooth weighted round robin, as in nginx).
    owed: Cell<i64>,
}

impl Place {
    pub(super) fn new(spec: &ir::Endpoint, zone: Option<&str>, health: Option<&Arc<EndpointHealth>>) -> Self {
        let id = STABLE.parts(&[spec.host.as_bytes(), &spec.port.to_be_bytes()]);
        let near = zone.is_some() && spec.zone.as_deref() == zone;
        Self { id, weight: spec.weight, priority: spec.priority, near, health: health.cloned(), owed: Cell::new(0) }
    }

    fn is_healthy(&self, now: u64) -> bool {
        self.health.as_ref().is_none_or(|health| health.is_healthy(now))
    }

    /// Its weight now, in parts of [`WHOLE`].
    fn weight(&self, now: u64, slow_start_ns: u64) -> u64 {
        let ramp = self.health.as_ref().filter(|_| slow_start_ns > 0).map_or(WHOLE, |health| health.ramp(now, slow_start_ns));
        u64::from(self.weight) * ramp
    }
}

/// The same in every process: `consistent_hash` has to lead to the same endpoint from each of several gateways.
const STABLE: KeyedHash = KeyedHash::fixed();

/// A number that nobody foresees, but no secret.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// How one service's endpoints are chosen.
#[derive(Debug)]
pub(super) struct Balancer {
    policy: Balance,
    places: Vec<Place>,
    slow_start_ns: u64,
    random: Cell<u64>,
}

/// Places that a request may go to, with their weights now.
type Candidates = SmallVec<[(usize, u64); 16]>;

impl Balancer {
    pub(super) fn new(policy: &Balance, places: Vec<Place>, slow_start_ns: u64) -> Self {
        let balancer = Self { policy: policy.clone(), places, slow_start_ns, random: Cell::new(random()) };
        // Workers do not all begin with the first one.
        let all: Candidates = (0..balancer.places.len()).map(|at| (at, WHOLE)).collect();
        for _ in 0..balancer.below(all.len()) {
            let _ = balancer.in_turn(&all);
        }
        balancer
    }

    /// Goes on where the previous configuration's was.
    pub(super) fn go_on(&self, before: &Self) {
        for place in &self.places {
            let old = before.places.iter().find(|old| old.id == place.id);
            place.owed.set(old.map_or(0, |old| old.owed.get()));
        }
    }

    /// Whether anything is known of the endpoints' health.
    fn watches(&self) -> bool {
        self.places.iter().any(|place| place.health.is_some())
    }

    fn random(&self) -> u64 {
        self.random.set(self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        mix(self.random.get())
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.random() % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    fn pick(&self, endpoints: &[Rc<Endpoint>], key: Option<u64>, now: u64, tried: &Tried) -> Option<usize> {
        let candidates = self.candidates(endpoints, now, tried);
        match (&*candidates, &self.policy, key) {
            ([], ..) => None,
            ([(only, _)], ..) => Some(*only),
            (_, Balance::ConsistentHash(_), Some(key)) => self.by_key(&candidates, key),
            (_, Balance::LeastRequests, _) => self.by_load(&candidates, endpoints),
            _ => self.in_turn(&candidates),
        }
    }

    /// The healthy ones of the first priority that has any, and of them those nearby, while at least half of these are there.
    /// What could not be reached a moment ago comes last, whatever its priority.
    fn candidates(&self, endpoints: &[Rc<Endpoint>], now: u64, tried: &Tried) -> Candidates {
        let rank = |at: usize, place: &Place| {
            let endpoint = endpoints.get(at).filter(|_| place.is_healthy(now))?;
            Some((!endpoint.is_preferred(now), place.priority))
        };
        let mut best: Option<(bool, u32)> = None;
        for (at, place) in self.places.iter().enumerate().filter(|(at, _)| !tried.contains(*at)) {
            if let Some(rank) = rank(at, place)
                && best.is_none_or(|found| rank < found)
            {
                best = Some(rank);
            }
        }
        let Some(best) = best else { return Candidates::new() };
        let (mut near, mut near_there) = (0_u32, 0_u32);
        let mut found = Candidates::new();
        for (at, place) in self.places.iter().enumerate().filter(|(_, place)| place.priority == best.1) {
            let there = rank(at, place) == Some(best);
            near += u32::from(place.near);
            near_there += u32::from(place.near && there);
            if there && !tried.contains(at) {
                found.push((at, place.weight(now, self.slow_start_ns)));
            }
        }
        if near > 0 && near_there * 2 >= near {
            let is_near = |at: usize| self.places.get(at).is_some_and(|place| place.near);
            if found.iter().any(|(at, _)| is_near(*at)) {
                found.retain(|(at, _)| is_near(*at));
            }
        }
        found
    }

    fn in_turn(&self, candidates: &[(usize, u64)]) -> Option<usize> {
        let signed = |weight: u64| i64::try_from(weight).unwrap_or(i64::MAX / 1024);
        let mut best: Option<(i64, usize)> = None;
        let mut total = 0_i64;
        for (at, weight) in candidates {
            let Some(place) = self.places.get(*at) else { continue };
            let owed = place.owed.get().saturating_add(signed(*weight));
            place.owed.set(owed);
            total = total.saturating_add(signed(*weight));
            if best.is_none_or(|(most, _)| owed > most) {
                best = Some((owed, *at));
            }
        }
        let (owed, at) = best?;
        self.places.get(at)?.owed.set(owed.saturating_sub(total));
        Some(at)
    }

    /// Of two the less loaded, of more the less loaded of two that are drawn; of two alike the one whose turn it is.
    fn by_load(&self, candidates: &[(usize, u64)], endpoints: &[Rc<Endpoint>]) -> Option<usize> {
        let pair: [(usize, u64); 2] = match candidates {
            [first, second] => [*first, *second],
            _ => {
                let first = self.draw(candidates, None)?;
                [first, self.draw(candidates, Some(first.0))?]
            }
        };
        let load = |(at, weight): (usize, u64)| {
            let active = endpoints.get(at).map_or(u64::MAX >> 32, |endpoint| u64::from(endpoint.active()));
            (active << 20) / weight.max(1)
        };
        let [first, second] = pair;
        match load(first).cmp(&load(second)) {
            std::cmp::Ordering::Less => Some(first.0),
            std::cmp::Ordering::Greater => Some(second.0),
            std::cmp::Ordering::Equal => self.in_turn(&pair),
        }
    }

    /// One by weight, but not `without`.
    fn draw(&self, candidates: &[(usize, u64)], without: Option<usize>) -> Option<(usize, u64)> {
        let allowed = || candidates.iter().filter(|(at, _)| Some(*at) != without);
        let total: u64 = allowed().map(|(_, weight)| weight).sum();
        let mut left = self.random() % total.max(1);
        for (at, weight) in allowed() {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return Some((*at, *weight)),
            }
        }
        None
    }

    /// Weighted rendezvous hashing (Thaler and Ravishankar, 1998): when an endpoint goes, only its own keys move.
    fn by_key(&self, candidates: &[(usize, u64)], key: u64) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        for (at, weight) in candidates {
            let Some(place) = self.places.get(*at) else { continue };
            // 53 bits, strictly between 0 and 1
            let share = ((mix(key ^ place.id) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            let score = -(*weight as f64) / share.ln();
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, *at));
            }
        }
        best.map(|(_, at)| at)
    }
}

impl Service {
    /// What `consistent_hash` goes by for this request; nothing where the service is balanced otherwise, or where the
    /// request lacks it.
    #[must_use]
    pub fn key(&self, exchange: &Exchange) -> Option<u64> {
        let Balance::ConsistentHash(key) = &self.balancer.policy else { return None };
        match key {
            HashKey::Principal => {
                let principal = exchange.principal.as_ref()?;
                let client = principal.client.as_deref().unwrap_or_default();
                let parts = [principal.provider.as_bytes(), principal.issuer.as_bytes(), principal.subject.as_bytes()];
                let [provider, issuer, subject] = parts;
                Some(STABLE.parts(&[provider, issuer, subject, client.as_bytes()]))
            }
            HashKey::Address => Some(STABLE.address(exchange.client)),
            HashKey::Path => {
                let target = &exchange.request.target;
                let end = memchr::memchr(b'?', target).unwrap_or(target.len());
                Some(STABLE.hash(target.get(..end)?))
            }
            HashKey::Header(name) => exchange.request.headers.named(name.as_bytes()).next().map(|value| STABLE.hash(value)),
            HashKey::Cookie(name) => {
                let mut fields = exchange.request.headers.get_all(Known::Cookie);
                fields.find_map(|field| cookie(field, name.as_bytes())).map(|value| STABLE.hash(value))
            }
        }
    }

    /// The endpoint for the next attempt of a request, which becomes one of `tried`; `None` when no healthy one is left. `key` is
    /// what [`Self::key`] says.
    #[must_use]
    pub fn choose(&self, key: Option<u64>, now: u64, tried: &mut Tried) -> Option<&Rc<Endpoint>> {
        let place = match &*self.endpoints {
            [_] if !self.balancer.watches() => Some(0).filter(|only| !tried.contains(*only)),
            several => self.balancer.pick(several, key, now, tried),
        }?;
        tried.insert(place);
        self.endpoints.get(place)
    }
}

/// The value of a cookie in a Cookie field (RFC 6265 section 5.4).
fn cookie<'a>(field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    field.split(|byte| *byte == b';').find_map(|pair| pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"="))
}

#[cfg(test)]
#[path = "balance_tests.rs"]
mod tests;
