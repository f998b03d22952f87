use std::net::SocketAddr;
use std::rc::Rc;

use super::{RateLimits, Reports, Tables};
use crate::exchange::{ConnectionInfo, Exchange, Method, Now, Refusal};
use crate::filters::authorize::Ask;
use crate::filters::authorize::condition::{Readable, RouteFacts};
use crate::filters::limit_table::mix;
use crate::ir::{self, AuthorizeRule, Calendar, LimitCost, LimitKey};
use crate::principal::{AuthenticationMethod, Principal};
use crate::reason::Reason;

/// 2026-11-28 12:00 UTC.
const NOON_MS: u64 = 1_795_867_200_000;

fn at(ms: u64) -> Now {
    Now { monotonic_ns: ms * 1_000_000, unix_ms: NOON_MS + ms }
}

fn exchange() -> Exchange {
    let peer: SocketAddr = "10.1.2.3:4000".parse().unwrap();
    Exchange::new(Rc::new(ConnectionInfo {
        peer,
        listener: "main".into(),
        tls: false,
        sni: None,
        client_certificate: None,
        ja4: None,
    }))
}

fn limit(name: &str, count: u64, period_ms: u64, burst: u64) -> ir::RateLimit {
    ir::RateLimit { name: name.into(), scope: "route:a".into(), count, period_ms, burst, ..ir::RateLimit::default() }
}

fn principal(key: u64) -> Principal {
    Principal { key: mix(key), subject: format!("user-{key}").into(), ..Principal::blank("id".into(), AuthenticationMethod::Jwt) }
}

fn build(tables: &Tables, limits: &[ir::RateLimit], classes: &[AuthorizeRule]) -> RateLimits {
    RateLimits::build(limits, classes, tables, &[7; 32], Some(&Readable::default())).unwrap()
}

fn ask(limits: &RateLimits, caller: &Principal, exchange: &Exchange, now: Now) -> (Result<(), Refusal>, Reports) {
    let mut reports = Reports::new();
    let ask = Ask { principal: caller, exchange, route: &RouteFacts::default(), now };
    let charged = limits.charge(exchange, Some(&ask), now, &mut reports);
    (charged, reports)
}

fn passes(limits: &RateLimits, caller: &Principal, now: Now) -> bool {
    ask(limits, caller, &exchange(), now).0.is_ok()
}

fn left(limits: &RateLimits, caller: &Principal, now: Now) -> Vec<u64> {
    ask(limits, caller, &exchange(), now).1.iter().map(|report| report.remaining).collect()
}

#[test]
fn what_one_window_refuses_is_charged_to_none() {
    let tables = Tables::new(1000);
    let limits = build(&tables, &[limit("day", 100, 86_400_000, 100), limit("second", 1, 1000, 2)], &[]);
    let ann = principal(1);
    assert_eq!(left(&limits, &ann, at(0)), [99, 1]);
    assert_eq!(left(&limits, &ann, at(0)), [98, 0]);
    for _ in 0..50 {
        let (charged, reports) = ask(&limits, &ann, &exchange(), at(0));
        let refusal = charged.unwrap_err();
        assert_eq!((refusal.reason, refusal.rule.as_deref()), (Reason::RateLimited, Some("second")));
        assert_eq!(reports.iter().map(|one| one.remaining).collect::<Vec<_>>(), [98, 0], "all are told of, none is charged");
    }
    assert_eq!(left(&limits, &ann, at(1000)), [97, 0]);
}

#[test]
fn the_limit_that_takes_longest_is_the_one_that_is_named() {
    let limits = build(&Tables::new(1000), &[limit("minute", 1, 60_000, 1), limit("second", 1, 1000, 1)], &[]);
    let ann = principal(1);
    assert!(passes(&limits, &ann, at(0)));
    let refusal = ask(&limits, &ann, &exchange(), at(100)).0.unwrap_err();
    assert_eq!((refusal.rule.as_deref(), refusal.retry_after_s), (Some("minute"), Some(60)));
}

#[test]
fn parallel_requests_get_exactly_the_tightest_of_several_windows() {
    let tables = Tables::new(1000);
    let limits = [limit("day", 1000, 86_400_000, 1000), limit("hour", 50, 3_600_000, 50), limit("week", 60, 604_800_000, 60)];
    let limits = build(&tables, &limits, &[]);
    let granted: usize = std::thread::scope(|scope| {
        let run = || {
            let ann = principal(1);
            (0..500).filter(|_| passes(&limits, &ann, at(5))).count()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(granted, 50);
}

#[test]
fn a_million_callers_never_push_a_limited_one_out_and_the_table_does_not_grow() {
    let tables = Tables::new(10_000);
    let limits = build(&tables, &[limit("minute", 1, 60_000, 2), limit("hour", 1, 3_600_000, 3)], &[]);
    let ann = principal(0);
    assert!(passes(&limits, &ann, at(0)) && passes(&limits, &ann, at(0)) && !passes(&limits, &ann, at(0)));
    for caller in 1..=1_000_000_u64 {
        passes(&limits, &principal(caller), at(1));
        if caller % 100_000 == 0 {
            assert!(!passes(&limits, &ann, at(1)), "let through early after {caller} callers");
        }
    }
    let live = tables.live(at(1));
    assert!(live <= 10_000 * 4 / 3 + 256, "{live} entries");
    assert!(tables.overflowed() > 900_000);
    assert!(passes(&limits, &ann, at(60_000)), "and not a moment later than due");
}

#[test]
fn what_is_refused_takes_no_place() {
    let tables = Tables::new(1000);
    let mut device = limit("device", 1, 60_000, 1);
    device.key = LimitKey::Header("x-device".into());
    let limits = build(&tables, &[limit("caller", 1, 60_000, 3), device], &[]);
    let ann = principal(1);
    let mut granted = 0;
    for number in 0..200 {
        let mut exchange = exchange();
        exchange.request.headers.push(b"x-device", number.to_string().as_bytes()).unwrap();
        granted += usize::from(ask(&limits, &ann, &exchange, at(0)).0.is_ok());
    }
    assert_eq!((granted, tables.live(at(0))), (3, 4));
}

#[test]
fn costs_by_method_are_charged_and_never_more_than_the_burst() {
    let mut dear = limit("dear", 1, 1000, 10);
    let methods = [("GET".to_owned(), 0), ("POST".to_owned(), 4)].into();
    dear.cost = Some(LimitCost { default: 10, methods, ..LimitCost::default() });
    let tables = Tables::new(1000);
    let limits = build(&tables, &[dear.clone()], &[]);
    let ann = principal(1);
    let with = |method: Method, now| {
        let mut exchange = exchange();
        exchange.request.method = method;
        ask(&limits, &ann, &exchange, now)
    };
    assert_eq!(with(Method::Get, at(0)).1.first().unwrap().remaining, 10);
    assert_eq!(with(Method::Head, at(0)).1.first().unwrap().remaining, 10);
    assert_eq!(tables.live(at(0)), 0, "what costs nothing takes no place");
    assert_eq!(with(Method::Post, at(0)).1.first().unwrap().remaining, 6);
    assert!(with(Method::Post, at(0)).0.is_ok());
    let refusal = with(Method::Post, at(0)).0.unwrap_err();
    assert_eq!(refusal.retry_after_s, Some(2), "two of four are there");
    assert!(with(Method::Put, at(7_999)).0.is_err() && with(Method::Put, at(8_000)).0.is_ok());
    dear.cost = Some(LimitCost { default: 11, ..LimitCost::default() });
    assert!(RateLimits::build(&[dear], &[], &tables, &[7; 32], None).is_err(), "nothing could ever pass");
}

#[test]
fn a_cost_in_cel_is_the_callers_and_what_has_no_value_refuses() {
    let mut sized = limit("sized", 1, 1000, 100);
    sized.cost = Some(LimitCost { default: 1, value: Some("request.size / 10 - 1".into()), ..LimitCost::default() });
    let limits = build(&Tables::new(1000), &[sized], &[]);
    let ann = principal(1);
    let with = |length| {
        let mut exchange = exchange();
        exchange.request.framing = crate::exchange::Framing::Length(length);
        ask(&limits, &ann, &exchange, at(0))
    };
    assert_eq!(with(410).1.first().unwrap().remaining, 60);
    assert_eq!(with(5).0.unwrap_err().reason, Reason::LimitUndecided, "less than nothing is no cost");
    let (charged, reports) = with(1_000_000);
    assert_eq!((charged.unwrap_err().reason, reports.first().unwrap().remaining), (Reason::RateLimited, 60));
    let mut bad = limit("bad", 1, 1000, 100);
    bad.cost = Some(LimitCost { default: 1, value: Some("request.method".into()), ..LimitCost::default() });
    let error = RateLimits::build(&[bad], &[], &Tables::new(10), &[7; 32], Some(&Readable::default())).unwrap_err();
    assert!(error.iter().any(|message| message.contains("string")), "{error:?}");
}

#[test]
fn each_key_has_buckets_of_its_own_and_whoever_lacks_it_is_a_principal() {
    type Change = fn(&mut Principal);
    let one: [(LimitKey, Change); 6] = [
        (LimitKey::Client, |one| one.client = Some("app".into())),
        (LimitKey::Session, |one| one.session = Some("s1".into())),
        (LimitKey::Token, |one| one.token_id = Some("t1".into())),
        (LimitKey::Partner, |one| one.partner = Some("acme".into())),
        (LimitKey::Tenant, |one| one.tenant = Some("north".into())),
        (LimitKey::Key, |one| {
            one.method = AuthenticationMethod::ApiKey;
            one.token_id = Some("k1".into());
        }),
    ];
    for (key, change) in one {
        let mut spec = limit("a", 1, 60_000, 1);
        spec.key = key.clone();
        let limits = build(&Tables::new(1000), &[spec], &[]);
        let (mut ann, mut bob) = (principal(1), principal(2));
        change(&mut ann);
        change(&mut bob);
        assert!(passes(&limits, &ann, at(0)) && !passes(&limits, &bob, at(0)), "{key:?} is shared");
        assert!(passes(&limits, &principal(1), at(0)) && passes(&limits, &principal(2), at(0)), "{key:?} is not known");
        assert!(!passes(&limits, &principal(1), at(0)), "{key:?}");
        let shared = matches!(key, LimitKey::Partner | LimitKey::Tenant);
        bob.provider = "other".into();
        assert_eq!(passes(&limits, &bob, at(0)), !shared, "{key:?} of another provider");
    }
}

#[test]
fn a_class_has_its_own_limit_and_what_cannot_be_decided_has_both() {
    let class = AuthorizeRule {
        source: "route a: rate_limit.a.batch".into(),
        when: Some("principal.client == 'batch'".into()),
        ..AuthorizeRule::default()
    };
    let (mut own, mut others) = (limit("a.batch", 1, 60_000, 5), limit("a", 1, 60_000, 2));
    own.class = Some(class.source.clone());
    others.except = vec![class.source.clone()];
    let limits = build(&Tables::new(1000), &[others, own], &[class]);
    let client = |name: Option<&str>, key| Principal { client: name.map(Into::into), ..principal(key) };
    let told = |caller: &Principal| {
        let reports = ask(&limits, caller, &exchange(), at(0)).1;
        reports.iter().map(|report| report.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told(&client(Some("batch"), 1)), ["a.batch"]);
    assert_eq!(told(&client(Some("app"), 2)), ["a"]);
    assert_eq!(told(&client(None, 3)), ["a", "a.batch"], "no client at all: neither is wider than due");
    let mut lost = limit("b", 1, 1000, 1);
    lost.class = Some("route a: rate_limit.b.gone".into());
    assert!(RateLimits::build(&[lost], &[], &Tables::new(10), &[7; 32], Some(&Readable::default())).is_err());
}

#[test]
fn a_schedule_has_a_burst_of_its_own() {
    let hourly = Calendar { minutes: vec![0], zone: "Europe/Berlin".into(), minutes_long: 5, ..Calendar::default() };
    let (mut normal, mut spike) = (limit("a", 1, 60_000, 2), limit("a.full-hour", 1, 60_000, 50));
    normal.outside = vec![hourly.clone()];
    spike.during = Some(hourly);
    let limits = build(&Tables::new(1000), &[normal, spike], &[]);
    let ann = principal(1);
    let granted = |minute: u64| (0..60).filter(|_| passes(&limits, &ann, at(minute * 60_000))).count();
    assert_eq!(granted(0), 50, "at :00");
    assert_eq!(granted(30), 2, "at :30");
    assert_eq!(granted(120), 50, "at :00 again");
}

#[test]
fn retry_after_is_spread_where_that_is_asked_for() {
    let mut spread = limit("a", 1, 10_000, 1);
    spread.jitter_s = 20;
    let limits = build(&Tables::new(10_000), &[spread], &[]);
    let mut seen = std::collections::BTreeSet::new();
    for caller in 0..200 {
        let ann = principal(caller);
        assert!(passes(&limits, &ann, at(0)));
        let pause = ask(&limits, &ann, &exchange(), at(0)).0.unwrap_err().retry_after_s.unwrap();
        assert!((10..=30).contains(&pause), "{pause}");
        seen.insert(pause);
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[test]
fn a_public_route_has_no_callers() {
    let tables = Tables::new(10);
    for key in [LimitKey::Principal, LimitKey::Tenant, LimitKey::Value("principal.subject".into())] {
        let mut spec = limit("a", 1, 1000, 1);
        spec.key = key;
        let errors = RateLimits::build(&[spec], &[], &tables, &[7; 32], None).unwrap_err();
        assert!(errors.iter().all(|error| error.contains("public")), "{errors:?}");
    }
    let mut shared = limit("a", 1, 60_000, 2);
    shared.key = LimitKey::Route;
    let limits = RateLimits::build(&[shared], &[], &tables, &[7; 32], None).unwrap();
    let granted = (0..5).filter(|_| limits.charge(&exchange(), None, at(0), &mut Reports::new()).is_ok()).count();
    assert_eq!(granted, 2);
}
