//! Requests that one caller, or all callers of a route together, may have under way; where asked, shared fairly by tenants.
//!
//! A place is held from the limit phase until the request ends, however it does: it is given back when it is dropped.
//! The table has an entry for each key with a request under way, so it is no larger than there are requests.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use smallvec::SmallVec;

use crate::exchange::{Exchange, Refusal};
use crate::filters::authorize::Ask;
use crate::filters::authorize::condition::Readable;
use crate::filters::keyed_hash::KeyedHash;
use crate::filters::limit_table::mix;
use crate::filters::rate_limit::Key;
use crate::ir;
use crate::reason::Reason;

const SHARDS: usize = 32;

/// The places that one request holds; without allocation for one.
pub type Places = SmallVec<[Place; 1]>;

/// Requests under way of one key.
#[derive(Debug, Default)]
struct Under {
    total: u32,
    /// By tenant, where they share fairly.
    shares: HashMap<u64, u32>,
}

type Shard = Mutex<HashMap<u64, Under>>;
type Identity = (Box<str>, Box<str>, ir::LimitKey);

/// What is under way, of all limits of the process.
#[derive(Debug, Default)]
pub struct UnderWay {
    shards: Arc<[Shard; SHARDS]>,
    known: Mutex<HashMap<Identity, Weak<u64>>>,
    next_id: AtomicU64,
}

impl UnderWay {
    /// Places that are held now.
    #[must_use]
    pub fn held(&self) -> u64 {
        let of = |shard: &Shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().map(|under| u64::from(under.total)).sum::<u64>()
        };
        self.shards.iter().map(of).sum()
    }

    /// What all compiled forms of one limit share, so that a reload keeps what is under way.
    fn id(&self, limit: &ir::ConcurrencyLimit) -> Arc<u64> {
        let identity = (limit.scope.as_str().into(), limit.name.as_str().into(), limit.key.clone());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = known.get(&identity).and_then(Weak::upgrade) {
            return id;
        }
        known.retain(|_, id| id.strong_count() > 0);
        let id = Arc::new(mix(self.next_id.fetch_add(1, Ordering::Relaxed).wrapping_add(1)));
        known.insert(identity, Arc::downgrade(&id));
        id
    }
}

/// A place of one request, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    shards: Arc<[Shard; SHARDS]>,
    bucket: u64,
    share: Option<u64>,
    /// Keeps the identity of the limit over reloads while it is held.
    _id: Arc<u64>,
}

fn shard(shards: &[Shard; SHARDS], bucket: u64) -> Option<&Shard> {
    shards.get(usize::try_from(bucket % SHARDS as u64).ok()?)
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(shard) = shard(&self.shards, self.bucket) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let Entry::Occupied(mut entry) = shard.entry(self.bucket) else { return };
        let under = entry.get_mut();
        under.total = under.total.saturating_sub(1);
        if let Some(share) = self.share
            && let Entry::Occupied(mut held) = under.shares.entry(share)
        {
            *held.get_mut() = held.get().saturating_sub(1);
            if *held.get() == 0 {
                held.remove();
            }
        }
        if under.total == 0 {
            entry.remove();
        }
    }
}

/// The compiled limits of a route, the group's first.
#[derive(Debug)]
pub struct ConcurrencyLimits {
    limits: Box<[ConcurrencyLimit]>,
    shards: Arc<[Shard; SHARDS]>,
    hash: KeyedHash,
}

#[derive(Debug)]
struct ConcurrencyLimit {
    id: Arc<u64>,
    name: Arc<str>,
    requests: u32,
    key: Key,
    /// Whose shares are equal.
    fair: Option<Key>,
}

impl ConcurrencyLimits {
    /// Compiles them. `readable` is what expressions may read; `None` on a public route, which has no callers.
    ///
    /// # Errors
    /// Each part that cannot be compiled.
    pub fn build(
        specs: &[ir::ConcurrencyLimit],
        under_way: &UnderWay,
        seed: &[u8; 32],
        readable: Option<&Readable>,
    ) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut limits = Vec::with_capacity(specs.len());
        for spec in specs {
            let named = |message: String| format!("concurrency limit `{}`: {message}", spec.name);
            if spec.requests == 0 {
                errors.push(named("it allows nothing; `requests` is at least 1".to_owned()));
            }
            let fair = spec.fair.as_ref().map(|key| Key::build(key, readable)).transpose();
            match (Key::build(&spec.key, readable), fair) {
                (Ok(key), Ok(fair)) => limits.push(ConcurrencyLimit {
                    id: under_way.id(spec),
                    name: spec.name.as_str().into(),
                    requests: spec.requests,
                    key,
                    fair,
                }),
                (key, fair) => errors.extend([key.err(), fair.err()].into_iter().flatten().map(named)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self { limits: limits.into(), shards: Arc::clone(&under_way.shards), hash: KeyedHash::new(seed) })
    }

    /// Fields of requests that they read, lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.limits.iter().flat_map(|limit| limit.key.header().into_iter().chain(limit.fair.as_ref().and_then(Key::header)))
    }

    /// Takes a place of each limit, or of none.
    ///
    /// # Errors
    /// The first limit without a place; what was taken before is given back.
    pub fn enter(&self, exchange: &Exchange, ask: Option<&Ask<'_>>) -> Result<Places, Refusal> {
        let mut places = Places::new();
        for limit in &self.limits {
            let refuse = |reason: Reason| {
                let mut refusal = Refusal::from(reason);
                refusal.rule = Some(Arc::clone(&limit.name));
                refusal
            };
            let of = |key: &Key| key.of(exchange, ask, &self.hash).map_err(|_| refuse(Reason::LimitUndecided));
            let bucket = mix(mix(of(&limit.key)?) ^ *limit.id);
            let share = limit.fair.as_ref().map(of).transpose()?;
            places.push(self.place(limit, bucket, share).ok_or_else(|| refuse(Reason::ConcurrencyLimited))?);
        }
        Ok(places)
    }

    fn place(&self, limit: &ConcurrencyLimit, bucket: u64, share: Option<u64>) -> Option<Place> {
        let mut shard = shard(&self.shards, bucket)?.lock().unwrap_or_else(PoisonError::into_inner);
        let under = shard.entry(bucket).or_default();
        if under.total >= limit.requests {
            return None;
        }
        if let Some(share) = share {
            let held = under.shares.get(&share).copied().unwrap_or(0);
            let sharing = under.shares.len().saturating_add(usize::from(held == 0));
            let most = limit.requests.div_ceil(u32::try_from(sharing).unwrap_or(u32::MAX).max(1));
            if held >= most {
                return None;
            }
            under.shares.insert(share, held.saturating_add(1));
        }
        under.total = under.total.saturating_add(1);
        Some(Place { shards: Arc::clone(&self.shards), bucket, share, _id: Arc::clone(&limit.id) })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::rc::Rc;

    use super::{ConcurrencyLimits, Place, UnderWay};
    use crate::exchange::{ConnectionInfo, Exchange};
    use crate::filters::authorize::Ask;
    use crate::filters::authorize::condition::{Readable, RouteFacts};
    use crate::ir::{ConcurrencyLimit, LimitKey};
    use crate::principal::{AuthenticationMethod, Principal};
    use crate::reason::Reason;

    fn limit(name: &str, requests: u32, key: LimitKey) -> ConcurrencyLimit {
        ConcurrencyLimit { name: name.into(), scope: "route:a".into(), requests, key, fair: None }
    }

    fn build(under_way: &UnderWay, specs: &[ConcurrencyLimit]) -> ConcurrencyLimits {
        ConcurrencyLimits::build(specs, under_way, &[7; 32], Some(&Readable::default())).unwrap()
    }

    fn caller(key: u64, tenant: &str) -> Principal {
        Principal { key, tenant: Some(tenant.into()), ..Principal::blank("id".into(), AuthenticationMethod::Jwt) }
    }

    fn enter(limits: &ConcurrencyLimits, principal: &Principal) -> Result<super::Places, Option<String>> {
        let peer: SocketAddr = "10.1.2.3:4000".parse().unwrap();
        let connection =
            ConnectionInfo { peer, listener: "main".into(), tls: false, sni: None, client_certificate: None, ja4: None };
        let exchange = Exchange::new(Rc::new(connection));
        let now = crate::exchange::Now { monotonic_ns: 0, unix_ms: 0 };
        let ask = Ask { principal, exchange: &exchange, route: &RouteFacts::default(), now };
        limits.enter(&exchange, Some(&ask)).map_err(|refusal| {
            assert_eq!(refusal.reason, Reason::ConcurrencyLimited);
            refusal.rule.map(|rule| rule.to_string())
        })
    }

    #[test]
    fn each_caller_has_so_many_places_and_each_comes_back() {
        let under_way = UnderWay::default();
        let limits = build(&under_way, &[limit("caller", 2, LimitKey::Principal)]);
        let (ann, bob) = (caller(1, "a"), caller(2, "a"));
        let first = enter(&limits, &ann).unwrap();
        let second = enter(&limits, &ann).unwrap();
        assert_eq!(enter(&limits, &ann).unwrap_err().as_deref(), Some("caller"));
        assert!(enter(&limits, &bob).is_ok());
        drop(first);
        let again = build(&under_way, &[limit("caller", 2, LimitKey::Principal)]);
        let third = enter(&again, &ann).unwrap();
        assert!(enter(&limits, &ann).is_err(), "a reload keeps what is under way");
        drop((second, third));
        assert_eq!(under_way.held(), 0);
        assert!(under_way.shards.iter().all(|shard| shard.lock().unwrap().is_empty()), "no entry is left behind");
    }

    #[test]
    fn what_one_limit_refuses_holds_no_place_of_another() {
        let under_way = UnderWay::default();
        let limits = build(&under_way, &[limit("all", 10, LimitKey::Route), limit("caller", 1, LimitKey::Principal)]);
        let place = enter(&limits, &caller(1, "a")).unwrap();
        for _ in 0..50 {
            assert!(enter(&limits, &caller(1, "a")).is_err());
        }
        assert_eq!(under_way.held(), 2);
        drop(place);
        assert_eq!(under_way.held(), 0);
    }

    #[test]
    fn tenants_share_fairly() {
        let under_way = UnderWay::default();
        let fair = ConcurrencyLimit { fair: Some(LimitKey::Tenant), ..limit("all", 12, LimitKey::Route) };
        let limits = build(&under_way, &[fair]);
        let of = |tenant: &str| enter(&limits, &caller(1, tenant));
        let mut first: Vec<_> = (0..12).map(|_| of("a").unwrap()).collect();
        assert!(of("a").is_err() && of("b").is_err(), "one alone may have all of it");
        // What comes free goes to those who have less.
        let mut second = Vec::new();
        for _ in 0..6 {
            first.pop();
            second.push(of("b").unwrap());
            assert!(of("a").is_err(), "b has {}", second.len());
        }
        first.pop();
        assert!(of("b").is_err(), "neither has more than its half");
        let third = of("c").unwrap();
        drop((first, second, third));
        assert_eq!(under_way.held(), 0);
    }

    #[test]
    fn parallel_requests_never_have_more_than_the_limit() {
        let under_way = UnderWay::default();
        let limits = build(&under_way, &[limit("all", 3, LimitKey::Route)]);
        let most: usize = std::thread::scope(|scope| {
            let run = || {
                let mut most = 0;
                for _ in 0..2_000 {
                    if let Ok(places) = enter(&limits, &caller(1, "a")) {
                        most = most.max(usize::try_from(under_way.held()).unwrap());
                        drop(places);
                    }
                }
                most
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
        });
        assert!((1..=3).contains(&most), "{most} at once");
        assert_eq!(under_way.held(), 0);
    }

    #[test]
    fn nonsense_does_not_load() {
        let under_way = UnderWay::default();
        let build = |spec: ConcurrencyLimit, readable: Option<&Readable>| {
            ConcurrencyLimits::build(&[spec], &under_way, &[7; 32], readable).is_err()
        };
        assert!(build(limit("a", 0, LimitKey::Route), None));
        assert!(build(limit("a", 1, LimitKey::Tenant), None), "a public route has no callers");
        assert!(!build(limit("a", 1, LimitKey::Route), None));
        assert!(size_of::<Place>() <= 40);
    }
}
