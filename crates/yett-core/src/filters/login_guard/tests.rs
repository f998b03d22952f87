use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;

use super::answers::Answers;
use super::{LoginGuard, Told, WAITING};
use crate::body::Body;
use crate::exchange::{ConnectionInfo, Exchange, Framing, Method, Need, Now, ResponseHead, Step};
use crate::geo::{Fact, Located};
use crate::headers::tests::headers;
use crate::ir;
use crate::reason::Reason;
use crate::shared::Shared;

const SECOND: u64 = 1_000;

struct World {
    shared: Arc<Shared>,
    guard: LoginGuard,
    now_ms: u64,
    _runtime: tokio::runtime::Runtime,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    Asked,
    Slowed,
    Refused(Reason),
}

fn spec() -> ir::LoginGuard {
    serde_json::from_value(serde_json::json!({
        "kind": "login", "account": {"form": "user"}, "password": {"form": "password"},
        "window_ms": 600_000, "slow_ms": 2_000, "ban_ms": 900_000, "except": ["198.51.100.0/24"],
        "thresholds": {"accounts": 10, "failures": 20, "guesses": 10, "per_account": 30, "per_fingerprint": 30, "per_password": 10},
    }))
    .unwrap()
}

fn world(change: impl FnOnce(&mut ir::LoginGuard)) -> World {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shared = Arc::new(Shared::new(runtime.handle().clone(), [3; 32]));
    shared.logins.set_keys(20_000);
    let mut spec = spec();
    change(&mut spec);
    let guard = LoginGuard::build(&spec, "login", None, &shared).unwrap();
    World { shared, guard, now_ms: 1_000_000, _runtime: runtime }
}

fn exchange(address: &str, client: &str, body: &str) -> Exchange {
    let peer = std::net::SocketAddr::new(address.parse().unwrap(), 4000);
    let info = ConnectionInfo { peer, listener: "main".into(), tls: false, sni: None, client_certificate: None, ja4: None };
    let mut exchange = Exchange::new(Rc::new(info));
    exchange.request.method = Method::Post;
    exchange.request.framing = Framing::Length(body.len() as u64);
    exchange.request.headers = headers(&[("content-type", "application/x-www-form-urlencoded"), ("user-agent", client)]);
    exchange.body = Some(Ok(Body::Given(body.as_bytes().into())));
    exchange
}

impl World {
    fn now(&self) -> Now {
        Now { monotonic_ns: self.now_ms * 1_000_000, unix_ms: self.now_ms }
    }

    fn begin(&self, exchange: &mut Exchange) -> Became {
        if let Err(refusal) = self.guard.screen(exchange, self.now()) {
            return Became::Refused(refusal.reason);
        }
        match self.guard.judge(exchange, self.now()) {
            Step::Continue => Became::Asked,
            Step::Need(Need::Pause { .. }) => {
                assert!(matches!(self.guard.judge(exchange, self.now()), Step::Continue), "after the pause it goes on");
                Became::Slowed
            }
            Step::Refuse(refusal) => {
                assert!(refusal.reason == Reason::LoginUnreadable || refusal.retry_after_s.is_some());
                Became::Refused(refusal.reason)
            }
            other => panic!("{other:?}"),
        }
    }

    /// `right` is whether the service takes the password.
    fn attempt(&mut self, address: &str, client: &str, user: &str, password: &str, right: bool) -> Became {
        self.now_ms += 50;
        let mut exchange = exchange(address, client, &format!("user={user}&password={password}"));
        let became = self.begin(&mut exchange);
        let told = if right { Told::Passed } else { Told::Failed };
        if let Some(attempt) = &mut exchange.attempt {
            self.guard.settle(attempt, true, Some(told), self.now());
        }
        became
    }

    fn login(&mut self, address: &str, user: &str) -> Became {
        self.attempt(address, "browser", user, "their own", true)
    }
}

#[test]
fn stuffing_from_one_address_is_slowed_limited_and_banned() {
    let mut world = world(|_| ());
    let answers: Vec<Became> =
        (0..40).map(|n| world.attempt("192.0.2.1", "bot", &format!("u{n}"), &format!("p{n}"), false)).collect();
    let first = |wanted: Became| answers.iter().position(|one| *one == wanted).unwrap();
    let (slowed, limited) = (first(Became::Slowed), first(Became::Refused(Reason::LoginLimited)));
    let banned = first(Became::Refused(Reason::LoginBanned));
    assert_eq!((slowed, limited), (5, 10), "{answers:?}");
    assert!((17..20).contains(&banned) && answers[banned..].iter().all(|one| *one == answers[banned]), "{answers:?}");
    let bans = world.shared.logins.bans.all(world.now_ms);
    assert_eq!((bans.len(), bans[0].refused, bans[0].address.to_string()), (1, 40 - banned as u64, "192.0.2.1".to_owned()));
    assert!(bans[0].why.starts_with("accounts 10"), "{}", bans[0].why);
    assert_eq!(world.login("192.0.2.2", "ann"), Became::Asked, "another address is not concerned");
    world.now_ms += 900 * SECOND;
    assert_ne!(world.attempt("192.0.2.1", "browser", "ann", "p", true), Became::Refused(Reason::LoginBanned), "it has an end");
}

#[test]
fn many_at_once_are_no_way_around() {
    let world = world(|_| ());
    let mut open: Vec<Exchange> = (0..60).map(|n| exchange("192.0.2.1", "bot", &format!("user=u{n}&password=p{n}"))).collect();
    let answers: Vec<Became> = open.iter_mut().map(|one| world.begin(one)).collect();
    let asked = answers.iter().filter(|one| !matches!(one, Became::Refused(_))).count();
    assert_eq!(asked, 10);
}

#[test]
fn passwords_of_one_account_are_guessed_from_one_address() {
    let mut world = world(|_| ());
    let answers: Vec<Became> = (0..15).map(|n| world.attempt("192.0.2.1", "bot", "Ann", &format!("p{n}"), false)).collect();
    let asked = answers.iter().filter(|one| !matches!(one, Became::Refused(_))).count();
    assert_eq!(asked, 10, "{answers:?}");
    // Neither blanks nor capitals make it another account.
    assert_eq!(world.attempt("192.0.2.1", "bot", "+aNN+", "p", false), Became::Refused(Reason::LoginLimited));
}

#[test]
fn nobody_is_locked_out_by_strangers() {
    let mut world = world(|_| ());
    assert_eq!(world.login("203.0.113.5", "ann"), Became::Asked);
    for n in 0..400 {
        let address = format!("10.0.{}.{}", n / 250, n % 250);
        world.attempt(&address, &format!("bot {n}"), "ann", &format!("p{n}"), false);
    }
    assert_eq!(world.login("203.0.113.5", "ann"), Became::Asked, "from where she has got in before");
    assert_eq!(world.login("203.0.113.99", "ann"), Became::Slowed, "from elsewhere she waits, and gets in");
    assert_eq!(world.login("203.0.113.99", "ann"), Became::Asked, "and is known there from then on");
    assert_eq!(world.login("203.0.113.7", "bob"), Became::Slowed, "the route fails more often than usual");
}

#[test]
fn who_has_got_in_from_a_banned_address_still_does() {
    let mut world = world(|_| ());
    world.login("192.0.2.1", "ann");
    for n in 0..60 {
        world.attempt("192.0.2.1", "bot", &format!("u{n}"), &format!("p{n}"), false);
    }
    assert_eq!(world.attempt("192.0.2.1", "browser", "stranger", "p", true), Became::Refused(Reason::LoginBanned));
    assert_eq!(world.login("192.0.2.1", "ann"), Became::Asked);
    // She may mistype; guessing at her account from there ends.
    let answers: Vec<Became> = (0..20).map(|n| world.attempt("192.0.2.1", "bot", "ann", &format!("q{n}"), false)).collect();
    assert!(answers[..4].iter().all(|one| *one == Became::Asked), "{answers:?}");
    assert_eq!(answers[19], Became::Refused(Reason::LoginLimited), "and does not become a ban");
}

#[test]
fn a_login_of_ones_own_in_between_takes_nothing_back() {
    let mut world = world(|_| ());
    let mut asked = 0;
    for n in 0..60 {
        asked += usize::from(!matches!(
            world.attempt("192.0.2.1", "bot", &format!("u{n}"), &format!("p{n}"), false),
            Became::Refused(_)
        ));
        world.attempt("192.0.2.1", "bot", "mallory", "mine", true);
    }
    assert!(asked < 15, "{asked} got through");
}

#[test]
fn attempts_of_ones_own_that_are_broken_off_take_nothing_of_others_back() {
    let mut world = world(|_| ());
    for n in 0..8 {
        world.attempt("192.0.2.1", "bot", &format!("u{n}"), &format!("p{n}"), false);
    }
    // Many under way for an account of his own; one succeeds, and the others are left before the service is asked.
    let mut open: Vec<Exchange> = (0..8).map(|_| exchange("192.0.2.1", "bot", "user=mallory&password=mine")).collect();
    for one in &mut open {
        world.begin(one);
    }
    for (n, one) in open.iter_mut().enumerate() {
        if let Some(attempt) = &mut one.attempt {
            world.guard.settle(attempt, n == 0, (n == 0).then_some(Told::Passed), world.now());
        }
    }
    let answers: Vec<Became> =
        (0..12).map(|n| world.attempt("192.0.2.1", "bot", &format!("v{n}"), &format!("q{n}"), false)).collect();
    let asked = answers.iter().filter(|one| !matches!(one, Became::Refused(_))).count();
    assert!(asked <= 4, "{answers:?}");
}

#[test]
fn one_password_over_many_accounts_from_many_addresses() {
    let mut world = world(|spec| spec.thresholds.per_fingerprint = 1_000_000);
    let answers: Vec<Became> = (0..60)
        .map(|n| world.attempt(&format!("10.0.0.{n}"), &format!("bot {n}"), &format!("u{n}"), "Winter2026", false))
        .collect();
    let asked = answers.iter().filter(|one| !matches!(one, Became::Refused(_))).count();
    assert!(asked < 20, "{answers:?}");
    assert_eq!(world.attempt("10.0.1.1", "bot x", "someone", "another one", false), Became::Asked);
}

#[test]
fn a_kind_of_client_that_only_fails() {
    let mut world = world(|_| ());
    let answers: Vec<Became> =
        (0..200).map(|n| world.attempt(&format!("10.0.0.{n}"), "python", &format!("u{n}"), &format!("p{n}"), false)).collect();
    let asked = answers.iter().filter(|one| !matches!(one, Became::Refused(_))).count();
    assert!(asked < 60, "{asked}");
    assert_ne!(world.login("10.0.1.1", "ann"), Became::Refused(Reason::LoginLimited), "others are not refused for it");
}

#[test]
fn what_a_service_cannot_answer_is_nobodys_fault() {
    let world = world(|_| ());
    for n in 0..200 {
        let mut one = exchange("192.0.2.1", "browser", &format!("user=u{n}&password=p"));
        assert_eq!(world.begin(&mut one), Became::Asked, "{n}");
        let attempt = one.attempt.as_mut().unwrap();
        match n % 2 {
            0 => world.guard.settle(attempt, true, Some(Told::Broken), world.now()),
            _ => world.guard.settle(attempt, false, None, world.now()),
        }
    }
    for n in 0..30 {
        let mut one = exchange("192.0.2.1", "browser", &format!("user=u{n}&password=p"));
        world.begin(&mut one);
        // The client left, and the service may have tried it.
        if let Some(attempt) = one.attempt.as_mut() {
            world.guard.settle(attempt, true, None, world.now());
        }
    }
    let mut one = exchange("192.0.2.1", "browser", "user=x&password=p");
    assert!(matches!(world.begin(&mut one), Became::Refused(_)));
}

#[test]
fn sign_ups_count_whether_they_succeed_or_not() {
    let mut world = world(|spec| {
        spec.kind = ir::LoginKind::SignUp;
        spec.password = None;
    });
    let made = (0..40).filter(|n| !matches!(world.login("192.0.2.1", &format!("n{n}")), Became::Refused(_))).count();
    assert_eq!(made, 10);
    assert_eq!(world.login("192.0.2.2", "somebody"), Became::Asked);
}

#[test]
fn in_shadow_all_is_reported_and_nothing_refused() {
    let mut world = world(|spec| spec.shadow = true);
    for n in 0..40 {
        assert_eq!(world.attempt("192.0.2.1", "bot", &format!("u{n}"), &format!("p{n}"), false), Became::Asked);
    }
    assert!(world.shared.logins.bans.all(world.now_ms).is_empty());
    let mut one = exchange("192.0.2.1", "bot", "user=x&password=p");
    world.begin(&mut one);
    assert_eq!(one.shadow[0].outcome.reason(), Some(Reason::LoginBanned));
    let mut odd = exchange("192.0.2.9", "bot", "nobody=x");
    assert_eq!(world.begin(&mut odd), Became::Asked);
    assert_eq!(odd.shadow[0].outcome.reason(), Some(Reason::LoginUnreadable));
}

#[test]
fn places_to_wait_are_bounded_and_given_back() {
    let world = world(|spec| spec.thresholds.failures = 1_000_000);
    let mut open = Vec::new();
    for n in 0..WAITING + 50 {
        // Eleven accounts each: six pass at once, five wait.
        for user in 0..6 {
            let mut one = exchange(
                &format!("10.{}.{}.1", n / 250, n % 250),
                &format!("bot {n}"),
                &format!("user={n}.{user}&password={n}.{user}"),
            );
            let _ = world.guard.judge(&mut one, world.now());
            one.attempt = None;
        }
        let mut one =
            exchange(&format!("10.{}.{}.1", n / 250, n % 250), &format!("bot {n}"), &format!("user={n}.x&password={n}.x"));
        let step = world.guard.judge(&mut one, world.now());
        if n < WAITING {
            assert!(matches!(step, Step::Need(Need::Pause { .. })), "{n}: {step:?}");
        } else {
            assert!(matches!(step, Step::Refuse(_)), "{n}: {step:?}");
        }
        open.push(one);
    }
    assert_eq!(world.shared.logins.waiting(), WAITING);
    drop(open);
    assert_eq!(world.shared.logins.waiting(), 0);
}

#[test]
fn an_account_that_two_programs_could_read_otherwise_is_none() {
    let world = world(|_| ());
    let refused = |body: &str, change: fn(&mut Exchange)| {
        let mut one = exchange("192.0.2.1", "b", body);
        change(&mut one);
        world.begin(&mut one) == Became::Refused(Reason::LoginUnreadable)
    };
    let as_it_is: fn(&mut Exchange) = |_| ();
    assert!(!refused("user=ann&password=p", as_it_is));
    for body in
        ["", "password=p", "user=&password=p", "user=+&password=p", "user=a&user=b", "user=a&%75ser=b", "user=%ff", "user=%zz"]
    {
        assert!(refused(body, as_it_is), "{body}");
    }
    assert!(refused("user=a", |one| one.request.target = b"/login?user=b".to_vec()));
    assert!(refused("user=a", |one| one.request.headers = headers(&[("content-type", "application/json")])));
    assert!(refused("user=a", |one| one.request.headers = headers(&[])));
    assert!(refused("user=a", |one| {
        one.request.headers.push(b"content-encoding", b"gzip").unwrap();
    }));
    assert!(refused("user=a", |one| {
        one.request.headers.push(b"content-type", b"application/json").unwrap();
    }));
    let mut page = exchange("192.0.2.1", "b", "");
    (page.request.method, page.request.framing) = (Method::Get, Framing::Empty);
    assert_eq!(world.begin(&mut page), Became::Asked, "who asks for the page tries nothing");
    assert!(page.attempt.is_none());
    assert!(refused("user=a&user=b", |one| one.request.method = Method::Get), "a GET with a body is an attempt");
    let mut excepted = exchange("198.51.100.7", "b", "user=a&user=b");
    assert_eq!(world.begin(&mut excepted), Became::Asked);
}

#[test]
fn json_names_its_account_once() {
    let world = world(|spec| {
        spec.account = ir::LoginPart::Json("/login/email".to_owned());
        spec.password = Some(ir::LoginPart::Json("/password".to_owned()));
    });
    let became = |body: &str| {
        let mut one = exchange("192.0.2.1", "b", body);
        one.request.headers = headers(&[("content-type", "application/json")]);
        world.begin(&mut one)
    };
    assert_eq!(became(r#"{"login": {"email": "a@b.c"}, "password": "p"}"#), Became::Asked);
    assert_eq!(became(r#"{"login": {"email": 17}, "password": "p"}"#), Became::Asked);
    for body in [
        "",
        "{}",
        "[]",
        r#"{"login": {"email": "a", "email": "b"}}"#,
        r#"{"login": {"email": "a", "\u0065mail": "b"}}"#,
        r#"{"login": {"email": ["a"]}}"#,
        r#"{"login": {"email": "a"}} {}"#,
        r#"{"login": {"email": " "}}"#,
    ] {
        assert_eq!(became(body), Became::Refused(Reason::LoginUnreadable), "{body}");
    }
}

#[test]
fn what_an_answer_says() {
    let world = world(|spec| {
        spec.failed.status = vec![200];
        spec.failed.header = Some(ir::LoginField { name: "location".to_owned(), value: "/login?".to_owned(), prefix: true });
    });
    let told = |status, fields: &[(&str, &str)]| world.guard.told(&ResponseHead { status, headers: headers(fields) });
    assert_eq!(told(200, &[]), Told::Failed);
    assert_eq!((told(204, &[]), told(302, &[("location", "/home")])), (Told::Passed, Told::Passed));
    assert_eq!(told(302, &[("location", "/login?error=1")]), Told::Failed);
    assert_eq!([400, 401, 403, 422, 429].map(|status| told(status, &[])), [Told::Failed; 5]);
    assert_eq!((told(500, &[]), told(503, &[])), (Told::Broken, Told::Broken));
}

/// What bodies come to, where `failed` and `passed` ask these values: passed or not.
fn read(failed: Option<ir::LoginBody>, passed: Option<ir::LoginBody>, body: &str) -> bool {
    let failed = ir::LoginFailed { body: failed, ..Default::default() };
    let answers = Answers::build(&failed, passed.as_ref()).unwrap();
    assert!(answers.reads_body());
    let head = ResponseHead { status: 200, headers: headers(&[("content-type", "application/json")]) };
    assert_eq!(answers.told(&head), Told::InBody);
    assert_eq!(answers.told(&ResponseHead { status: 302, headers: headers(&[]) }), Told::Failed, "no body that says so");
    answers.read(body.as_bytes()) == Told::Passed
}

fn at(pointer: &str, value: Option<ir::LoginValue>) -> Option<ir::LoginBody> {
    Some(ir::LoginBody { pointer: pointer.to_owned(), value })
}

#[test]
fn an_answer_without_the_object_that_could_say_no_has_failed() {
    for body in ["null", "[]", r#"[{"error": 1}]"#, r#""denied""#, "0", "true"] {
        assert!(!read(at("/error", None), None, body), "{body}");
    }
    assert!(read(at("/error", None), None, "{}"));
    for body in [
        r#"{"data": {"x": {"error": "no"}}}"#,
        r#"{"data": null}"#,
        r#"{"data": {"login": null}}"#,
        r#"{"data": {"login": []}}"#,
        r#"{"data": {"login": "Mutation"}}"#,
        r#"{"data": {"login": {"error": "no"}}}"#,
        "{}",
    ] {
        assert!(!read(at("/data/login/error", None), None, body), "{body}");
        let denied = ir::LoginValue::Text("no".to_owned());
        assert!(!read(at("/data/login/error", Some(denied)), None, body), "{body}");
    }
    assert!(read(at("/data/login/error", None), None, r#"{"data": {"login": {"token": "t", "error": null}}}"#));
    assert!(read(at("/data/login/error", None), None, r#"{"data": {"login": {"token": "t"}}}"#));
}

#[test]
fn what_passed_asks_for_has_to_be_there() {
    for body in [
        "{}",
        "null",
        "[]",
        r#"{"token": null}"#,
        r#"{"token": false}"#,
        r#"{"x": {"token": "t"}}"#,
        r#"{"token": "t", "Token": 1}"#,
        r#"{"token": "t", "token": "t"}"#,
        r#"{"token": "t"} x"#,
    ] {
        assert!(!read(None, at("/token", None), body), "{body}");
    }
    for body in [r#"{"token": "t"}"#, r#"{"token": 0}"#, r#"{"token": {}}"#, r#"{"token": ""}"#] {
        assert!(read(None, at("/token", None), body), "{body}");
    }
    let fine = || at("/state", Some(ir::LoginValue::Text("fine".to_owned())));
    assert!(read(None, fine(), r#"{"state": "fine"}"#));
    for body in [r#"{"state": "Fine"}"#, r#"{"state": ["fine"]}"#, r#"{"state": true}"#, "{}"] {
        assert!(!read(None, fine(), body), "{body}");
    }
    assert!(read(None, at("/ok", Some(ir::LoginValue::Bool(true))), r#"{"ok": true}"#));
    assert!(!read(None, at("/ok", Some(ir::LoginValue::Bool(true))), r#"{"ok": "true"}"#));
    // Both: `failed` goes before.
    assert!(read(at("/error", None), fine(), r#"{"state": "fine"}"#));
    assert!(!read(at("/error", None), fine(), r#"{"state": "fine", "error": "no"}"#));
    assert!(!read(at("/error", None), fine(), r#"{"state": "no"}"#));
}

#[test]
fn nonsense_does_not_load() {
    let world = world(|_| ());
    let bad = |change: fn(&mut ir::LoginGuard)| {
        let mut spec = spec();
        change(&mut spec);
        LoginGuard::build(&spec, "login", None, &world.shared).is_err()
    };
    assert!(!bad(|_| ()));
    assert!(bad(|spec| spec.thresholds.guesses = 0) && bad(|spec| spec.window_ms = 0) && bad(|spec| spec.slow_ms = 30_001));
    assert!(bad(|spec| spec.account = ir::LoginPart::Json("email".to_owned())));
    assert!(bad(|spec| spec.account = ir::LoginPart::Form(String::new())));
    assert!(bad(|spec| spec.passed = Some(ir::LoginBody { pointer: "/a~".to_owned(), value: None })));
    assert!(bad(|spec| spec.failed.body = Some(ir::LoginBody { pointer: "/e/-".to_owned(), value: None })));
    assert!(bad(|spec| spec.password = Some(ir::LoginPart::Json("/a~2b".to_owned()))));
    assert!(bad(|spec| spec.account = ir::LoginPart::Json("/a".to_owned())), "the password stands in a form");
    assert!(bad(|spec| spec.failed.header = Some(ir::LoginField { name: "X Y".to_owned(), value: String::new(), prefix: true })));
    assert!(bad(|spec| spec.failed.body = Some(ir::LoginBody { pointer: "error".to_owned(), value: None })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// People behind one address, some of whom mistype and some of whom never get in, while somebody there stuffs credentials.
    #[test]
    fn people_who_share_an_address_pass_while_stuffing_from_it_is_stopped(
        people in 5_usize..120,
        per_person in 1_usize..25,
        mistypes in 2_usize..9,
        seed in any::<u64>(),
    ) {
        let mut world = world(|_| ());
        for person in 0..people {
            let user = format!("person{person}");
            if person % mistypes == 0 {
                let mistyped = format!("{user} mistyped");
                let became = world.attempt("192.0.2.1", "browser", &user, &mistyped, false);
                prop_assert!(!matches!(became, Became::Refused(_)), "mistyped: {became:?}");
            }
            let became = world.login("192.0.2.1", &user);
            prop_assert!(!matches!(became, Became::Refused(_)), "before the attack {user}: {became:?}");
        }
        let (mut asked, mut tried) = (0, 0);
        for round in 0..people {
            for n in 0..per_person {
                tried += 1;
                let user = format!("victim{seed}.{round}.{n}");
                let became = world.attempt("192.0.2.1", "bot", &user, &format!("{user} leaked"), false);
                asked += usize::from(!matches!(became, Became::Refused(_)));
            }
            let person = (round * 7 + 3) % people;
            prop_assert_eq!(world.login("192.0.2.1", &format!("person{person}")), Became::Asked, "person{}", person);
        }
        // What others got in with is what hides the attack, and nothing else: a few accounts for each who did.
        prop_assert!(asked <= 20 + people, "{asked} of {tried} were tried with {people} people around");
        if tried > 4 * (20 + people) {
            prop_assert!(!world.shared.logins.bans.all(world.now_ms).is_empty());
        }
    }
}

#[test]
fn what_only_asks_for_a_page_is_no_way_in() {
    let mut world = world(|_| ());
    for method in [Method::Get, Method::Head, Method::Options] {
        let mut with_body = exchange("192.0.2.1", "bot", "user=ann&password=x");
        with_body.request.method = method.clone();
        assert_eq!(world.begin(&mut with_body), Became::Refused(Reason::LoginUnreadable), "{method:?}");
        let mut in_query = exchange("192.0.2.1", "bot", "");
        in_query.request.method = method.clone();
        in_query.request.framing = Framing::Empty;
        in_query.request.target = b"/login?user=ann&password=x".to_vec();
        assert_eq!(world.begin(&mut in_query), Became::Refused(Reason::LoginUnreadable), "{method:?}");
        in_query = exchange("192.0.2.1", "bot", "");
        in_query.request.method = method;
        in_query.request.framing = Framing::Empty;
        in_query.request.target = b"/login?user=ann&next=/orders".to_vec();
        assert_eq!(world.begin(&mut in_query), Became::Asked, "a page that is filled in");
        assert!(in_query.attempt.is_none());
    }
    // An answer to one whose account stands in a field is no success either.
    let by_header = self::world(|spec| {
        spec.account = serde_json::from_value(serde_json::json!({"header": "x-user"})).unwrap();
        spec.password = None;
    });
    let answers: Vec<Became> = (0..40)
        .map(|n| {
            let mut asks = exchange("192.0.2.1", "bot", "");
            asks.request.method = if n % 2 == 0 { Method::Get } else { Method::Post };
            asks.request.framing = Framing::Empty;
            asks.request.headers = headers(&[("x-user", &format!("u{}", n / 2)), ("user-agent", "bot")]);
            let became = by_header.begin(&mut asks);
            let told = if n % 2 == 0 { Told::Passed } else { Told::Failed };
            if let Some(attempt) = &mut asks.attempt {
                by_header.guard.settle(attempt, true, Some(told), by_header.now());
            }
            became
        })
        .collect();
    assert!(answers.iter().any(|one| matches!(one, Became::Refused(Reason::LoginLimited | Reason::LoginBanned))), "{answers:?}");
    world.now_ms += 1;
}

#[test]
fn a_name_that_some_programs_take_for_the_account_is_refused() {
    let world = world(|_| ());
    for body in [
        "user=me&password=x&USER=victim",
        "user=me&password=x&+user=victim",
        "user=me&password=x&user.=victim",
        "user=me&password=x&user%5B%5D=victim",
        "user=me&password=x&user%5B0%5D=victim",
        "user=me&password=x&user%00x=victim",
        "a=1;user=victim&user=me&password=x",
        "user=me;user=victim&password=x",
        "user=me&password=x;b=1;Password=y",
        "user=me&password=x&password[a][b]=y",
        "user=me&password=x&Pass_word=y",
        "user=me",
        "user=me&password=x&password=y",
    ] {
        let mut one = exchange("192.0.2.1", "bot", body);
        assert_eq!(world.begin(&mut one), Became::Refused(Reason::LoginUnreadable), "{body}");
    }
    let mut one = exchange("192.0.2.1", "bot", "user=me&password=x&users=5&username=z");
    assert_eq!(world.begin(&mut one), Became::Asked, "other names are no concern");
    let mut one = exchange("192.0.2.1", "bot", "user=me&password=x;y%3Buser=z;next=1");
    assert_eq!(world.begin(&mut one), Became::Asked, "nor is what is written as a part of a value");
    for query in ["user=v", "USER=v", "user[]=v", "user%5B0%5D=v", "a=1;User=v", "user%00=v", "pass.word", "next=/&Password=v"] {
        let mut one = exchange("192.0.2.1", "bot", "user=me&password=x");
        one.request.target = format!("/login?{query}").into_bytes();
        assert_eq!(world.begin(&mut one), Became::Refused(Reason::LoginUnreadable), "{query}");
    }
    let mut one = exchange("192.0.2.1", "bot", "user=me&password=x");
    one.request.target = b"/login?users=5&next=user&a[user]=1".to_vec();
    assert_eq!(world.begin(&mut one), Became::Asked, "other parameters are no concern");
    let nested = self::world(|spec| {
        spec.account = ir::LoginPart::Form("user[email]".to_owned());
        spec.password = Some(ir::LoginPart::Form("user[password]".to_owned()));
    });
    for (body, became) in [
        ("user[email]=me&user[password]=x", Became::Asked),
        ("user[email]=me&user[password]=x&user[email][0]=v", Became::Refused(Reason::LoginUnreadable)),
    ] {
        assert_eq!(nested.begin(&mut exchange("192.0.2.1", "bot", body)), became, "{body}");
    }
    let json = self::world(|spec| {
        spec.account = serde_json::from_value(serde_json::json!({"json": "/a/email"})).unwrap();
        spec.password = None;
    });
    for (body, became) in [
        (r#"{"a": {"email": "me"}}"#, Became::Asked),
        (r#"{"a": {"email": "me", "email[0]": "victim"}}"#, Became::Refused(Reason::LoginUnreadable)),
        (r#"{"a": {"email": "me", "EMAIL": "victim"}}"#, Became::Refused(Reason::LoginUnreadable)),
        (r#"{"a": {"email": "me", "e_mail": "victim"}}"#, Became::Refused(Reason::LoginUnreadable)),
        (r#"{"a": {"email": "me"}, "A": {"email": "victim"}}"#, Became::Refused(Reason::LoginUnreadable)),
    ] {
        let mut one = exchange("192.0.2.1", "bot", body);
        one.request.headers = headers(&[("content-type", "application/json"), ("user-agent", "bot")]);
        assert_eq!(json.begin(&mut one), became, "{body}");
    }
}

#[test]
fn strangers_in_the_waiting_room_keep_nobody_out() {
    let mut world = world(|_| ());
    for n in 0..15 {
        world.attempt(&format!("10.1.{n}.1"), "browser", "victim", &format!("p{n}"), false);
    }
    let taken: Vec<_> = std::iter::from_fn(|| world.shared.logins.wait()).collect();
    assert_eq!(taken.len(), WAITING);
    let became = world.login("192.0.2.7", "victim");
    assert_eq!(became, Became::Asked, "it would have waited, and there is no place");
    for n in 0..6 {
        world.attempt("192.0.2.8", "bot", &format!("u{n}"), &format!("q{n}"), false);
    }
    assert_eq!(world.attempt("192.0.2.8", "bot", "u9", "q9", false), Became::Refused(Reason::LoginLimited));
    drop(taken);
}

#[test]
fn a_kind_of_client_that_got_in_is_slowed_at_most() {
    let mut world = world(|_| ());
    assert_eq!(world.login("192.0.2.1", "ann"), Became::Asked);
    world.now_ms += 24 * 3600 * SECOND;
    for n in 0..60 {
        world.attempt(&format!("10.2.{n}.1"), "browser", &format!("u{n}"), &format!("p{n}"), false);
    }
    assert_eq!(world.login("192.0.2.2", "bob"), Became::Slowed);
}

#[test]
fn what_is_tried_out_refuses_no_body() {
    let world = world(|spec| spec.shadow = true);
    for framing in [Framing::Length(70 * 1024), Framing::Chunked] {
        let mut long = exchange("192.0.2.1", "bot", "user=x&password=p");
        (long.body, long.request.framing) = (None, framing);
        assert_eq!(world.begin(&mut long), Became::Asked);
        assert_eq!(long.shadow[0].outcome.reason(), Some(Reason::LoginUnreadable));
    }
}

#[test]
fn spellings_of_one_account_that_get_in_hide_one_failure() {
    // As MySQL has it, an accent makes no other account; U+1FBF0 and the digits after it are those of ASCII (NFKC).
    let (e, digit) = (["e", "%C3%A9", "%C3%A8", "%C3%AA"], |n: usize| format!("%F0%9F%AF%B{}", n % 10));
    let accents = |n: usize| [n / 16, n / 4, n].map(|n| e.get(n % 4).unwrap().to_string()).concat();
    let spellings: [&dyn Fn(usize) -> String; 3] =
        [&|n| format!("m.e%2b{n}@mail.example"), &accents, &|n| [n / 10, n].map(digit).concat()];
    for spelling in spellings {
        let mut world = world(|_| ());
        for n in 0..60 {
            let became = world.attempt("192.0.2.1", "browser", &spelling(n), "own", true);
            assert!(!matches!(became, Became::Refused(_)), "{n}");
        }
        let asked = (0..60).filter(|n| {
            !matches!(world.attempt("192.0.2.1", "bot", &format!("u{n}"), &format!("p{n}"), false), Became::Refused(_))
        });
        let asked = asked.count();
        assert!(asked <= 12, "{asked} {}", spelling(1));
    }
}

#[test]
fn a_system_from_which_many_fail_is_slowed_and_others_are_not() {
    let mut world = world(|spec| spec.thresholds.per_account = 1_000);
    let mut attempt = |address: String, user: String, asn: u32, right: bool| {
        world.now_ms += 50;
        let mut one = exchange(&address, &format!("program of {user}"), &format!("user={user}&password={user}"));
        one.geo = Some(Located { asn: Fact::Known(asn), ..Located::default() });
        let became = world.begin(&mut one);
        let told = if right { Told::Passed } else { Told::Failed };
        world.guard.settle(one.attempt.as_mut().unwrap(), true, Some(told), world.now());
        (became, one.attempt.unwrap().score.text())
    };
    for n in 0..24 {
        attempt(format!("10.9.{n}.1"), format!("u{n}"), 64500, false);
    }
    // Hardly anything is known yet, and the route does not fail more often than usual.
    let (became, why) = attempt("10.10.1.1".to_owned(), "a".to_owned(), 64500, true);
    assert!(became == Became::Asked && why.starts_with("asn 1"), "{why}");
    for n in 0..4 {
        attempt(format!("10.11.{n}.1"), format!("good{n}"), 64501, true);
    }
    let (_, elsewhere) = attempt("10.12.1.1".to_owned(), "b".to_owned(), 64502, true);
    assert!(!elsewhere.contains("asn"), "{elsewhere}");
    for n in 0..60 {
        attempt(format!("10.13.{n}.1"), format!("v{n}"), 64500, false);
    }
    let (became, why) = attempt("10.14.1.1".to_owned(), "c".to_owned(), 64500, true);
    assert!(became == Became::Slowed && why.contains("asn 30"), "{why}");
    let (_, elsewhere) = attempt("10.15.1.1".to_owned(), "d".to_owned(), 64502, true);
    assert!(!elsewhere.contains("asn"), "{elsewhere}");
}
