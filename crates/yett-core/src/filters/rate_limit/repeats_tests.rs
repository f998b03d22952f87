use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;

use super::{ENTRIES, Entry, Free, Identity, LIVE_NS, Repeat, Repeats, RouteRepeats, SHARDS, Stage, is_key};
use crate::body::Body;
use crate::exchange::{ConnectionInfo, Exchange, Framing, Method};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::principal::{AuthenticationMethod, Principal};

const ID: Identity = Identity(1, 2);

fn number(repeats: &Repeats, id: Identity, now_ns: u64) -> Option<u8> {
    repeats.claim(id, now_ns).map(|claim| claim.number)
}

#[test]
fn two_repeats_within_a_minute() {
    let repeats = Repeats::default();
    assert_eq!(number(&repeats, ID, 0), None, "nothing was charged yet");
    repeats.remember(ID, 7, 0);
    assert_eq!(number(&repeats, Identity(1, 3), 1).or(number(&repeats, Identity(17, 2), 1)), None);
    let first = repeats.claim(ID, 5).unwrap();
    assert_eq!((first.number, first.age_ns, first.body), (1, 5, 7));
    repeats.remember(ID, 8, 6);
    let second = repeats.claim(ID, LIVE_NS - 1).unwrap();
    assert_eq!((second.number, second.body), (2, 7), "another request takes no entry over");
    assert_eq!(number(&repeats, ID, LIVE_NS - 1), None, "two and no more");
    repeats.remember(ID, 7, LIVE_NS - 1);
    assert_eq!(number(&repeats, ID, LIVE_NS - 1), None, "paying begins nothing anew before the minute is over");
    repeats.remember(ID, 7, LIVE_NS);
    assert_eq!(number(&repeats, ID, LIVE_NS), Some(1));
    assert_eq!(number(&repeats, ID, 2 * LIVE_NS), None, "over");
}

#[test]
fn parallel_repeats_are_two_and_no_more() {
    let repeats = Repeats::default();
    repeats.remember(ID, 7, 0);
    let claimed: usize = std::thread::scope(|scope| {
        let claims = || (0..100).filter(|_| repeats.claim(ID, 1).is_some()).count();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(claims)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(claimed, 2);
}

#[test]
fn a_full_table_forgets_nobody_and_takes_nobody_until_a_minute_is_over() {
    let repeats = Repeats::default();
    let same = |number: u64| Identity(number * SHARDS as u64, number);
    (0..5_000).for_each(|number| repeats.remember(same(number), 7, 0));
    assert_eq!(repeats.forgotten(), 5_000 - ENTRIES as u64);
    let known = (0..5_000).filter(|number| repeats.claim(same(*number), 1).is_some()).count();
    assert_eq!(known, ENTRIES);
    // Who fills it with new keys gets no repeat of an old one anew.
    (10_000..15_000).for_each(|number| repeats.remember(same(number), 7, 2));
    let again = (0..5_000).filter(|number| repeats.claim(same(*number), 3).is_some()).count();
    assert_eq!(again, ENTRIES);
    assert_eq!((0..15_000).filter(|number| repeats.claim(same(*number), 4).is_some()).count(), 0);
    (20_000..25_000).for_each(|number| repeats.remember(same(number), 7, 2 * LIVE_NS));
    assert_eq!((0..25_000).filter(|number| repeats.claim(same(*number), 2 * LIVE_NS).is_some()).count(), ENTRIES);
}

proptest! {
    /// Whatever is asked in whatever order, of each request that was charged at most two repeats are free, within its minute.
    #[test]
    fn never_more_than_two_for_one_that_was_charged(steps in proptest::collection::vec((0_u64..4, 0_u64..20), 1..200)) {
        let repeats = Repeats::default();
        let (mut now, mut charged) = (0_u64, HashMap::<u64, Vec<(u64, usize)>>::new());
        for (key, seconds) in steps {
            now += seconds * 1_000_000_000;
            match repeats.claim(Identity(key, key), now) {
                Some(claim) => {
                    let (at, free) = charged.get_mut(&key).unwrap().iter_mut().rev().find(|(at, _)| *at == now - claim.age_ns).unwrap();
                    *free += 1;
                    prop_assert_eq!(usize::from(claim.number), *free);
                    prop_assert!(*free <= 2 && now - *at < LIVE_NS);
                }
                None => {
                    charged.entry(key).or_default().push((now, 0));
                    repeats.remember(Identity(key, key), 7, now);
                }
            }
        }
        let of: Vec<_> = charged.values().flatten().collect();
        prop_assert!(of.iter().map(|(_, free)| free).sum::<usize>() <= 2 * of.len());
    }
}

fn route() -> RouteRepeats {
    RouteRepeats { known: Arc::default(), hash: KeyedHash::new(&[7; 32]), route: 1, most_body: 100 }
}

fn exchange(method: Method, target: &str, keys: &[&str], framing: Framing) -> Exchange {
    let peer: SocketAddr = "10.1.2.3:4000".parse().unwrap();
    let connection = ConnectionInfo { peer, listener: "main".into(), tls: false, sni: None, client_certificate: None, ja4: None };
    let mut exchange = Exchange::new(Rc::new(connection));
    exchange.request.method = method;
    exchange.request.target = target.into();
    exchange.request.framing = framing;
    exchange.host = "shop.example".into();
    exchange.principal = Some(Rc::new(caller(1)));
    for key in keys {
        exchange.request.headers.push(b"idempotency-key", key.as_bytes()).unwrap();
    }
    exchange
}

fn caller(key: u64) -> Principal {
    Principal { key, ..Principal::blank("id".into(), AuthenticationMethod::Jwt) }
}

#[test]
fn it_is_the_same_only_where_all_of_it_is() {
    let route = route();
    let made = || exchange(Method::Post, "/orders?a=1", &["k1"], Framing::Length(5));
    let id = route.identity(&made());
    assert!(id.is_some() && id == route.identity(&made()));
    let mut others = vec![
        exchange(Method::Put, "/orders?a=1", &["k1"], Framing::Length(5)),
        exchange(Method::Post, "/orders?a=2", &["k1"], Framing::Length(5)),
        exchange(Method::Post, "/orders?a=1", &["k2"], Framing::Length(5)),
        exchange(Method::Post, "/orders?a=1", &["\"k1\""], Framing::Length(5)),
        made(),
        made(),
        made(),
    ];
    others[4].host = "other.example".into();
    others[5].principal = Some(Rc::new(caller(2)));
    others[6].vouched.push(Rc::new(caller(2)));
    for other in &others {
        let found = route.identity(other);
        assert!(found.is_some() && found != id);
    }
    let elsewhere = RouteRepeats { route: 2, ..self::route() };
    assert_ne!(elsewhere.identity(&made()), id);
}

#[test]
fn what_could_not_be_repeated_has_no_identity() {
    let route = route();
    let post = |keys: &[&str], framing| exchange(Method::Post, "/", keys, framing);
    let mut public = post(&["k"], Framing::Empty);
    public.principal = None;
    let others = [
        exchange(Method::Get, "/", &["k"], Framing::Empty),
        post(&[], Framing::Empty),
        post(&["k", "k"], Framing::Empty),
        post(&["k"], Framing::Chunked),
        post(&["k"], Framing::Length(101)),
        public,
    ];
    assert!(others.iter().all(|other| route.identity(other).is_none()));
    assert!(route.identity(&post(&["k"], Framing::Length(100))).is_some());
}

#[test]
fn keys_are_strings_or_bare() {
    let long = |length: usize| "k".repeat(length);
    for good in ["k", "8e03978e-40d5-43dd-bc93-6894a57f9324", "a/b+c==", "\"a b\"", r#""a\"b\\c""#, &long(256)] {
        assert!(is_key(good.as_bytes()), "{good}");
    }
    for bad in
        ["", "\"", "\"\"", "a b", "a,b", "\"a\"b\"", "\"a\";p=1", "\"a\\", r#""a\""#, r#""a\b""#, "\"\u{e9}\"", "?1", &long(257)]
    {
        assert!(!is_key(bad.as_bytes()), "{bad}");
    }
}

#[test]
fn a_request_is_compared_by_its_body_and_remembered_with_it() {
    let route = route();
    let begin = |now_ns| {
        let mut one = exchange(Method::Post, "/", &["k"], Framing::Length(4));
        one.repeat = route.begin(&one, now_ns);
        one
    };
    let arrives = |one: &mut Exchange, body: &[u8]| one.body = Some(Ok(Body::Given(body.into())));
    let mut first = begin(0);
    assert!(route.compare(&mut first), "it need not be compared with anything");
    first.repeat.as_mut().unwrap().charged();
    assert!(!route.remember(&first, 0), "its body is not there");
    arrives(&mut first, b"body");
    assert!(route.remember(&first, 0));
    let mut other = begin(1);
    assert!(!route.compare(&mut other));
    arrives(&mut other, b"atad");
    assert!(route.compare(&mut other) && other.repeat.as_ref().unwrap().claim().is_none());
    let mut same = begin(30_000_000_000);
    arrives(&mut same, b"body");
    assert!(route.compare(&mut same));
    assert_eq!((same.repeat.as_ref().unwrap().claim().unwrap().number, route.known.found()), (2, 1));
    let covers = |repeats, within_ms| Free::build(&ir::Idempotency { repeats, within_ms }).unwrap().covers(&same);
    assert!(covers(2, 60_000) && !covers(1, 60_000) && !covers(2, 30_000) && covers(2, 30_001));
    same.repeat.as_mut().unwrap().charged();
    assert!(!same.repeat.as_ref().unwrap().is_charged(), "a repeat is not remembered as one that was charged");
}

#[test]
fn nonsense_does_not_load() {
    for (repeats, within_ms) in [(0, 1000), (3, 1000), (2, 0), (2, 60_001), (2, u64::MAX)] {
        assert!(Free::build(&ir::Idempotency { repeats, within_ms }).is_err());
    }
}

#[test]
fn an_entry_is_small() {
    assert!(size_of::<(Identity, Entry)>() <= 40 && size_of::<(Repeat, Stage)>() <= 96);
}
