use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Balancer, MAX_ENDPOINTS, Place, Tried, cookie, mix};
use crate::ir::{self, Balance, HashKey};
use crate::upstream::resolve::Host;
use crate::upstream::{Endpoint, Report};

/// Endpoints written as (port, weight, priority, zone).
fn made(policy: Balance, specs: &[(u16, u32, u32, &str)], zone: Option<&str>) -> (Balancer, Vec<Rc<Endpoint>>) {
    let specs = specs.iter().map(|(port, weight, priority, zone)| ir::Endpoint {
        tls: false,
        host: "127.0.0.1".to_owned(),
        port: *port,
        weight: *weight,
        priority: *priority,
        zone: Some((*zone).to_owned()).filter(|zone| !zone.is_empty()),
    });
    let specs: Vec<_> = specs.collect();
    let balancer = Balancer::new(&policy, specs.iter().map(|spec| Place::new(spec, zone, None)).collect(), 0);
    (balancer, specs.iter().map(|spec| Rc::new(Endpoint::new(spec, nowhere(), None, &ir::Speaks::default()).unwrap())).collect())
}

fn nowhere() -> Host {
    Host::Literal(std::sync::Arc::from([]))
}

fn plain(count: u16) -> Vec<(u16, u32, u32, &'static str)> {
    (0..count).map(|port| (port, 1, 0, "")).collect()
}

fn by_key() -> Balance {
    Balance::ConsistentHash(HashKey::Address)
}

#[test]
fn places_are_remembered_and_what_has_none_counts_as_tried() {
    let mut tried = Tried::default();
    for place in [0, 63, 64, MAX_ENDPOINTS - 1] {
        assert!(!tried.contains(place));
        tried.insert(place);
        assert!(tried.contains(place) && !tried.contains(place ^ 1));
    }
    tried.insert(MAX_ENDPOINTS);
    assert!(tried.contains(MAX_ENDPOINTS));
}

#[test]
fn turns_follow_weights_smoothly() {
    let (balancer, endpoints) = made(Balance::RoundRobin, &[(1, 5, 0, ""), (2, 1, 0, ""), (3, 1, 0, "")], None);
    let turns: Vec<_> = (0..70).map(|_| balancer.pick(&endpoints, None, 0, &Tried::default()).unwrap()).collect();
    for window in turns[14..].windows(7) {
        let count = |place| window.iter().filter(|turn| **turn == place).count();
        assert_eq!((count(0), count(1), count(2)), (5, 1, 1), "{turns:?}");
    }
    assert!(turns.windows(5).any(|w| w.contains(&1) || w.contains(&2)), "not one after the other: {turns:?}");
}

#[test]
fn a_request_meets_each_endpoint_once() {
    for policy in [Balance::RoundRobin, Balance::LeastRequests, by_key()] {
        let (balancer, endpoints) = made(policy, &plain(5), None);
        let mut tried = Tried::default();
        let mut met = Vec::new();
        while let Some(place) = balancer.pick(&endpoints, Some(7), 0, &tried) {
            tried.insert(place);
            met.push(place);
        }
        met.sort_unstable();
        assert_eq!(met, [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_later_priority_waits_until_the_first_is_tried_or_away() {
    let (balancer, endpoints) = made(Balance::RoundRobin, &[(1, 1, 1, ""), (2, 1, 0, ""), (3, 1, 0, "")], None);
    let mut tried = Tried::default();
    for _ in 0..20 {
        assert_ne!(balancer.pick(&endpoints, None, 0, &tried), Some(0));
    }
    endpoints[1].report(Report::ConnectFailed, 0);
    assert_eq!(balancer.pick(&endpoints, None, 1, &tried), Some(2));
    endpoints[2].report(Report::ConnectFailed, 0);
    assert_eq!(balancer.pick(&endpoints, None, 1, &tried), Some(0));
    tried.insert(0);
    assert!(balancer.pick(&endpoints, None, 1, &tried).is_some(), "those that failed a moment ago come last");
    assert_ne!(balancer.pick(&endpoints, None, 2_000_000_000, &Tried::default()), Some(0));
}

#[test]
fn the_own_zone_serves_while_half_of_it_is_there() {
    let specs = [(1, 1, 0, "a"), (2, 1, 0, "a"), (3, 1, 0, "b"), (4, 1, 0, "b"), (5, 1, 0, "")];
    let (balancer, endpoints) = made(Balance::RoundRobin, &specs, Some("a"));
    let counts = |now| {
        let mut counts = BTreeMap::new();
        for _ in 0..60 {
            *counts.entry(balancer.pick(&endpoints, None, now, &Tried::default()).unwrap()).or_insert(0) += 1;
        }
        counts
    };
    // Where a turn begins is random.
    let near = counts(0);
    assert!(near.keys().copied().eq([0, 1]) && near.values().all(|count| (29..=31).contains(count)), "{near:?}");
    endpoints[0].report(Report::ConnectFailed, 0);
    assert_eq!(counts(1), BTreeMap::from([(1, 60)]));
    endpoints[1].report(Report::ConnectFailed, 0);
    assert_eq!(counts(1).len(), 3);
    let mut tried = Tried::default();
    tried.insert(0);
    tried.insert(1);
    assert!(balancer.pick(&endpoints, None, 2_000_000_000, &tried).is_some());
}

#[test]
fn of_two_draws_the_less_loaded_is_taken() {
    let (balancer, endpoints) = made(Balance::LeastRequests, &plain(8), None);
    let mut held = Vec::new();
    for _ in 0..800 {
        let place = balancer.pick(&endpoints, None, 0, &Tried::default()).unwrap();
        held.push(endpoints[place].enter());
    }
    for endpoint in &endpoints {
        assert!((90..=110).contains(&endpoint.active()), "{}", endpoint.active());
    }
}

#[test]
fn load_is_weighed() {
    let (balancer, endpoints) = made(Balance::LeastRequests, &[(1, 3, 0, ""), (2, 1, 0, "")], None);
    let mut held = Vec::new();
    for _ in 0..400 {
        let place = balancer.pick(&endpoints, None, 0, &Tried::default()).unwrap();
        held.push(endpoints[place].enter());
    }
    assert!((295..=305).contains(&endpoints[0].active()), "{}", endpoints[0].active());
}

#[test]
fn keys_stay_where_they_are_and_only_those_of_a_lost_endpoint_move() {
    let (balancer, endpoints) = made(by_key(), &plain(10), None);
    let place = |balancer: &Balancer, key: u64, tried: &Tried| balancer.pick(&endpoints, Some(mix(key)), 0, tried).unwrap();
    let mut lost = Tried::default();
    lost.insert(3);
    let mut counts = [0_u32; 10];
    for key in 0..10_000 {
        let before = place(&balancer, key, &Tried::default());
        assert_eq!(place(&balancer, key, &Tried::default()), before);
        counts[before] += 1;
        let after = place(&balancer, key, &lost);
        assert!(if before == 3 { after != 3 } else { after == before });
    }
    assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    // another process, another order of the endpoints: the same place
    let mut turned = plain(10);
    turned.reverse();
    let (other, _) = made(by_key(), &turned, None);
    assert!((0..100).all(|key| 9 - place(&other, key, &Tried::default()) == place(&balancer, key, &Tried::default())));
}

#[test]
fn keys_follow_weights() {
    let (balancer, endpoints) = made(by_key(), &[(1, 3, 0, ""), (2, 1, 0, "")], None);
    let first = (0..10_000).filter(|key| balancer.pick(&endpoints, Some(mix(*key)), 0, &Tried::default()) == Some(0)).count();
    assert!((7_300..7_700).contains(&first), "{first}");
}

#[test]
fn turns_go_on_over_a_reload() {
    let (balancer, endpoints) = made(Balance::RoundRobin, &plain(3), None);
    let first = balancer.pick(&endpoints, None, 0, &Tried::default()).unwrap();
    let (next, _) = made(Balance::RoundRobin, &plain(3), None);
    next.go_on(&balancer);
    let (second, third) = (next.pick(&endpoints, None, 0, &Tried::default()), next.pick(&endpoints, None, 0, &Tried::default()));
    let mut all = [first, second.unwrap(), third.unwrap()];
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2]);
}

#[test]
fn cookies_are_found_by_their_whole_name() {
    assert_eq!(cookie(b"ab=1; b=2;  a=3", b"a"), Some(&b"3"[..]));
    assert_eq!(cookie(b"ab=1", b"a"), None);
    assert_eq!(cookie(b"a", b"a"), None);
    assert_eq!(cookie(b"a=", b"a"), Some(&b""[..]));
}
