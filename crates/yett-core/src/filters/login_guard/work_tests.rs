use std::rc::Rc;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::LoginGuard;
use super::super::altcha::{Payload, tests::solve};
use super::super::challenge::{COOKIE, RANDOM, is_person};
use super::super::page::Written;
use super::super::proofs::{CHALLENGES, Entered, OF_ADDRESS, PROOFS, Proven};
use crate::body::Body;
use crate::exchange::{ConnectionInfo, Exchange, Framing, Method, Need, Now, Refusal, Step};
use crate::filters::login_guard::Told;
use crate::headers::tests::headers;
use crate::ir;
use crate::reason::Reason;
use crate::shared::Shared;

const BROWSER: [(&str, &str); 4] = [
    ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("user-agent", "Browser/1"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
];
const HERE: &str = "192.0.2.1";

struct World {
    shared: Arc<Shared>,
    guard: LoginGuard,
    spec: ir::LoginGuard,
    now_ms: u64,
    random: u8,
    _runtime: tokio::runtime::Runtime,
}

fn world(change: impl FnOnce(&mut ir::LoginGuard, &mut ir::LoginChallenge)) -> World {
    let mut spec: ir::LoginGuard = serde_json::from_value(serde_json::json!({
        "kind": "login", "account": {"form": "user"}, "password": {"form": "password"},
        "window_ms": 600_000, "slow_ms": 2_000, "ban_ms": 900_000,
        "thresholds": {"accounts": 10, "failures": 20, "guesses": 10, "per_account": 30, "per_fingerprint": 30, "per_password": 10},
    }))
    .unwrap();
    let mut work: ir::LoginChallenge =
        serde_json::from_value(serde_json::json!({"at": 30, "difficulty": 10, "holds_ms": 60_000, "attempts": 3})).unwrap();
    change(&mut spec, &mut work);
    spec.challenge = Some(work);
    build(spec, "login", [3; 32], None)
}

fn build(spec: ir::LoginGuard, route: &str, seed: [u8; 32], secret: Option<&[u8]>) -> World {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shared = Arc::new(Shared::new(runtime.handle().clone(), seed));
    shared.logins.set_keys(20_000);
    let guard = LoginGuard::build(&spec, route, secret, &shared).unwrap();
    World { shared, guard, spec, now_ms: 1_000_000, random: 0, _runtime: runtime }
}

fn request(method: Method, address: &str, fields: &[(&str, &str)], body: &str) -> Exchange {
    let peer = std::net::SocketAddr::new(address.parse().unwrap(), 4000);
    let info = ConnectionInfo { peer, listener: "main".into(), tls: true, sni: None, client_certificate: None, ja4: None };
    let mut exchange = Exchange::new(Rc::new(info));
    exchange.host = "shop.example".to_owned();
    exchange.request.headers = headers(fields);
    if method == Method::Post {
        exchange.request.framing = Framing::Length(body.len() as u64);
        exchange.request.headers.push(b"content-type", b"application/x-www-form-urlencoded").unwrap();
        exchange.body = Some(Ok(Body::Given(body.as_bytes().into())));
    }
    exchange.request.method = method;
    exchange
}

fn form(address: &str, cookie: Option<&str>, user: &str) -> Exchange {
    let mut exchange = request(Method::Post, address, &BROWSER, &format!("user={user}&password=p-{user}"));
    if let Some(cookie) = cookie {
        exchange.request.headers.push(b"cookie", cookie.as_bytes()).unwrap();
    }
    exchange
}

struct Made {
    refusal: Refusal,
    page: Option<Written>,
}

/// What stands in `data-challenge`, solved.
fn solved(made: &Made) -> Payload {
    assert_eq!(made.refusal.reason, Reason::LoginChallenge);
    let page = String::from_utf8(made.page.as_ref().unwrap().body.to_vec()).unwrap();
    let text = page.split_once("data-challenge=\"").unwrap().1.split_once('"').unwrap().0;
    solve(&serde_json::from_str(&text.replace("&quot;", "\"")).unwrap())
}

/// `name=value`, as a browser sends it back.
fn sent(cookie: &str) -> String {
    cookie.split(';').next().unwrap().to_owned()
}

impl World {
    fn now(&self) -> Now {
        Now { monotonic_ns: self.now_ms * 1_000_000, unix_ms: self.now_ms }
    }

    /// The reason of a refusal, `slowed`, or `asked`; and that it failed.
    fn attempt(&mut self, mut exchange: Exchange) -> &'static str {
        self.now_ms += 50;
        let step = self.guard.judge(&mut exchange, self.now());
        let attempt = exchange.attempt.as_mut().unwrap();
        self.guard.settle(attempt, matches!(step, Step::Continue | Step::Need(_)), Some(Told::Failed), self.now());
        match step {
            Step::Continue => attempt.answer,
            Step::Need(Need::Pause { .. }) => "slowed",
            Step::Refuse(refusal) => refusal.reason.code(),
            other => panic!("{other:?}"),
        }
    }

    /// So many accounts of an address have failed.
    fn suspect(&mut self, accounts: u32) {
        for number in 0..accounts {
            let mut exchange =
                request(Method::Post, HERE, &[("user-agent", "bot")], &format!("user=u{number}&password=p{number}"));
            let step = self.guard.judge(&mut exchange, self.now());
            assert!(matches!(step, Step::Continue | Step::Need(_)), "{step:?}");
            self.guard.settle(exchange.attempt.as_mut().unwrap(), true, Some(Told::Failed), self.now());
        }
    }

    fn page(&mut self, exchange: &mut Exchange, score: u32) -> Option<Made> {
        self.random += 1;
        let refusal = self.guard.page(exchange, score, &[self.random; RANDOM], self.now())?;
        Some(Made { refusal, page: exchange.sessions_mut().page.take() })
    }

    fn prove(&self, payload: &Payload, exchange: &Exchange) -> Option<Result<Box<str>, Option<Arc<str>>>> {
        let proved = self.guard.prove(payload, exchange, self.now());
        proved.map(|result| {
            result.map_err(|refusal| {
                assert_eq!(refusal.reason, Reason::LoginProofInvalid);
                refusal.rule
            })
        })
    }

    /// The cookie of a challenge that was solved.
    fn proof(&mut self) -> String {
        let mut exchange = form(HERE, None, "ann");
        let payload = solved(&self.page(&mut exchange, 30).unwrap());
        sent(&self.prove(&payload, &exchange).unwrap().unwrap())
    }
}

#[test]
fn a_browser_calculates_and_then_tries_so_many_times() {
    let mut world = world(|_, _| ());
    assert_eq!(world.attempt(form(HERE, None, "zoe")), "passed", "nobody is suspected yet");
    world.suspect(4);
    assert_eq!(world.attempt(form(HERE, None, "ann")), "login_challenge");
    let program = || request(Method::Post, HERE, &[("user-agent", "program")], "user=ann&password=x");
    assert_eq!(world.attempt(program()), "slowed", "programs wait as ever");
    let proof = world.proof();
    for _ in 0..3 {
        assert_eq!(world.attempt(form(HERE, Some(&proof), "ann")), "proved");
    }
    assert_eq!(world.attempt(form(HERE, Some(&proof), "ann")), "login_challenge", "the proof is spent");
    let second = world.proof();
    world.now_ms += 59_000;
    assert_eq!(world.attempt(form(HERE, Some(&second), "ann")), "proved");
    world.now_ms += 1_000;
    assert_eq!(world.attempt(form(HERE, Some(&second), "ann")), "login_challenge", "the proof has ended");
    assert_eq!(world.shared.logins.proofs.solved.get(), 2);
}

#[test]
fn a_proof_stands_in_for_a_refusal_and_lifts_no_ban() {
    let mut world = world(|_, work| work.attempts = 100);
    world.suspect(10);
    let proof = world.proof();
    let answers: Vec<&str> = (0..12).map(|number| world.attempt(form(HERE, Some(&proof), &format!("x{number}")))).collect();
    assert_eq!(answers.iter().filter(|one| **one == "proved").count(), 7, "{answers:?}");
    assert!(
        answers[..7].iter().all(|one| *one == "proved") && answers[7..].iter().all(|one| *one == "login_banned"),
        "{answers:?}"
    );
}

#[test]
fn without_bans_a_proof_ends_where_a_ban_would_begin() {
    let mut world = world(|guard, work| {
        work.attempts = 100;
        guard.ban_ms = 0;
    });
    world.suspect(10);
    let proof = world.proof();
    let answers: Vec<&str> = (0..12).map(|number| world.attempt(form(HERE, Some(&proof), &format!("x{number}")))).collect();
    assert!(
        answers[..7].iter().all(|one| *one == "proved") && answers[7..].iter().all(|one| *one == "login_limited"),
        "{answers:?}"
    );
}

#[test]
fn a_proof_lifts_neither_guesses_at_one_account_nor_a_sprayed_password() {
    let mut world = world(|_, work| work.attempts = 100);
    let proof = world.proof();
    let answers: Vec<&str> = (0..14).map(|_| world.attempt(form(HERE, Some(&proof), "ann"))).collect();
    assert_eq!(answers.iter().filter(|one| **one == "login_limited").count(), 4, "{answers:?}");
    assert_eq!(&answers[10..], ["login_limited"; 4]);
    for number in 0..12 {
        let address = format!("198.51.100.{number}");
        let body = format!("user=s{number}&password=Winter2026");
        let mut exchange = request(Method::Post, &address, &[("user-agent", "bot")], &body);
        let _ = world.guard.judge(&mut exchange, world.now());
        world.guard.settle(exchange.attempt.as_mut().unwrap(), true, Some(Told::Failed), world.now());
    }
    let mut sprayed = form("203.0.113.1", None, "bob");
    sprayed.body = Some(Ok(Body::Given(b"user=bob&password=Winter2026".as_slice().into())));
    assert_eq!(world.attempt(sprayed), "login_limited", "a page that would not help is not shown");
}

#[test]
fn what_is_proved_after_the_page_counts_for_its_password() {
    let mut world = world(|guard, work| {
        work.attempts = 100;
        guard.thresholds.per_password = 5;
    });
    world.suspect(5);
    let proof = world.proof();
    let mut answers = Vec::new();
    for number in 0..8 {
        world.now_ms += 2_000;
        let sprayed = |cookie| {
            let mut exchange = form(HERE, cookie, "ann");
            let body = format!("user=s{number}&password=Winter2026");
            exchange.request.framing = Framing::Length(body.len() as u64);
            exchange.body = Some(Ok(Body::Given(body.as_bytes().into())));
            exchange
        };
        let first = world.attempt(sprayed(None));
        assert!(["login_challenge", "login_limited"].contains(&first), "{first}");
        answers.push(world.attempt(sprayed(Some(&proof))));
    }
    let proved = answers.iter().filter(|one| **one == "proved").count();
    // Two names may meet in one bit of the set, and each count fades a little.
    assert!((5..=7).contains(&proved) && answers.last() == Some(&"login_limited"), "{answers:?}");
}

#[test]
fn a_solution_counts_once_for_whom_it_was_made_and_in_time() {
    let mut world = world(|_, _| ());
    let mut exchange = form(HERE, None, "ann");
    let payload = solved(&world.page(&mut exchange, 30).unwrap());
    let mut elsewhere = form(HERE, None, "ann");
    elsewhere.host = "other.example".to_owned();
    let other_name = request(Method::Post, HERE, &[("user-agent", "Browser/2")], "");
    for other in [form("192.0.2.2", None, "ann"), elsewhere, other_name] {
        assert!(world.prove(&payload, &other).is_none(), "{:?}", other.client);
    }
    let other_route = build(world.spec.clone(), "sign-up", [3; 32], None);
    assert!(other_route.prove(&payload, &exchange).is_none());
    let mut forged = payload.clone();
    forged.solution = solved(&world.page(&mut exchange, 30).unwrap()).solution;
    assert_eq!(world.prove(&forged, &exchange).unwrap(), Err(Some("work".into())));
    // A script sends it, with other fields than a page's.
    let script = request(Method::Post, HERE, &[("user-agent", "Browser/1"), ("accept", "*/*"), ("sec-fetch-mode", "cors")], "");
    let cookie = world.prove(&payload, &script).unwrap().unwrap();
    assert!(cookie.starts_with(COOKIE) && cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"), "{cookie}");
    assert_eq!(world.prove(&payload, &exchange).unwrap(), Err(Some("used".into())));
    world.now_ms += 299_000;
    assert_eq!(world.prove(&payload, &exchange).unwrap(), Err(Some("used".into())), "as long as the challenge counts");
    let late = solved(&world.page(&mut exchange, 30).unwrap());
    world.now_ms += 301_000;
    assert_eq!(world.prove(&late, &exchange).unwrap(), Err(Some("expired".into())));
}

#[test]
fn an_ipv6_network_is_one_client() {
    let mut world = world(|_, _| ());
    let payload = solved(&world.page(&mut form("2001:db8::1", None, "ann"), 30).unwrap());
    assert!(world.prove(&payload, &form("2001:db8:0:1::1", None, "ann")).is_none());
    assert!(world.prove(&payload, &form("2001:db8::2", None, "ann")).unwrap().is_ok());
}

#[test]
fn a_cookie_cannot_be_changed_nor_taken_elsewhere() {
    let mut world = world(|_, _| ());
    world.suspect(5);
    let proof = world.proof();
    let value = proof.split_once('=').unwrap().1;
    let bytes = URL_SAFE_NO_PAD.decode(value).unwrap();
    for at in 0..bytes.len() {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        let forged = format!("{COOKIE}={}", URL_SAFE_NO_PAD.encode(&forged));
        assert!(!world.guard.challenge.as_ref().unwrap().is_met(
            &form(HERE, Some(&forged), "ann"),
            true,
            &world.shared.logins.proofs,
            world.now()
        ));
    }
    for other in ["", "x", value.get(..40).unwrap(), &format!("{value}AA"), &format!("{value}=")] {
        let mut exchange = form(HERE, None, "ann");
        exchange.request.headers.push(b"cookie", format!("{COOKIE}={other}").as_bytes()).unwrap();
        assert_eq!(world.attempt(exchange), "login_challenge", "{other}");
        world.shared.logins.forget();
        world.suspect(5);
    }
    let proof = world.proof();
    let meets = |exchange: &Exchange| {
        world.guard.challenge.as_ref().unwrap().is_met(exchange, false, &world.shared.logins.proofs, world.now())
    };
    assert!(meets(&form(HERE, Some(&proof), "ann")));
    assert!(!meets(&form("192.0.2.2", Some(&proof), "ann")));
    let mut elsewhere = form(HERE, Some(&proof), "ann");
    elsewhere.host = "other.example".to_owned();
    assert!(!meets(&elsewhere));
    let two = format!("{proof}; {COOKIE}=other");
    assert!(!meets(&form(HERE, Some(&two), "ann")), "two that differ are none");
}

#[test]
fn where_the_table_is_full_no_new_proof_counts() {
    let mut world = world(|_, _| ());
    for number in 0..PROOFS {
        let nonce = (number as u128 + 1_000).to_be_bytes();
        let one = Proven { nonce, address: number as u64, until_ms: u64::MAX, ends_ms: u64::MAX };
        assert_eq!(world.shared.logins.proofs.enter(&one, world.now_ms), Entered::New);
    }
    let mut exchange = form(HERE, None, "ann");
    let payload = solved(&world.page(&mut exchange, 30).unwrap());
    assert_eq!(world.prove(&payload, &exchange).unwrap(), Err(Some("full".into())));
    world.suspect(5);
    assert_eq!(world.attempt(form(HERE, None, "ann")), "slowed", "nobody is asked for what would not count");
}

#[test]
fn what_a_reload_tightens_holds_for_proofs_that_are_out() {
    let mut world = world(|_, work| (work.attempts, work.holds_ms) = (100, 86_400_000));
    world.suspect(5);
    let (first, second) = (world.proof(), world.proof());
    for _ in 0..2 {
        assert_eq!(world.attempt(form(HERE, Some(&first), "ann")), "proved");
    }
    let mut spec = world.spec.clone();
    spec.challenge.iter_mut().for_each(|work| (work.attempts, work.holds_ms) = (3, 10_000));
    world.guard = LoginGuard::build(&spec, "login", None, &world.shared).unwrap();
    assert_eq!(world.attempt(form(HERE, Some(&first), "ann")), "proved");
    assert_eq!(world.attempt(form(HERE, Some(&first), "ann")), "login_challenge", "three attempts in all");
    assert_eq!(world.attempt(form(HERE, Some(&second), "ann")), "proved");
    world.now_ms += 10_000;
    assert_eq!(world.attempt(form(HERE, Some(&second), "ann")), "login_challenge", "ten seconds in all");
}

#[test]
fn who_asks_for_the_page_calculates_before_the_form() {
    let mut world = world(|_, _| ());
    let ask = |address: &str, cookie: Option<&str>| {
        let mut exchange = request(Method::Get, address, &BROWSER, "");
        if let Some(cookie) = cookie {
            exchange.request.headers.push(b"cookie", cookie.as_bytes()).unwrap();
        }
        exchange
    };
    assert_eq!(world.guard.approach(&ask(HERE, None), world.now()), None);
    world.suspect(5);
    assert_eq!(world.guard.approach(&ask(HERE, None), world.now()), Some(30));
    assert_eq!(world.guard.approach(&ask("192.0.2.2", None), world.now()), None);
    let proof = world.proof();
    for _ in 0..5 {
        assert_eq!(world.guard.approach(&ask(HERE, Some(&proof)), world.now()), None, "asking spends nothing");
    }
    assert_eq!(world.attempt(form(HERE, Some(&proof), "ann")), "proved");
    let mut fetched = ask(HERE, None);
    fetched.request.headers = headers(&[("accept", "application/json")]);
    assert_eq!(world.guard.approach(&fetched, world.now()), None);
    let page = world.page(&mut ask(HERE, None), 30).unwrap();
    assert!(String::from_utf8_lossy(&page.page.unwrap().body).contains("data-form=\"false\""));
    let watch = &world.shared.logins.watches()[0];
    assert!(watch.all().any(|(name, count)| name == "challenged" && count == 1));
    // Somebody gets in from there: nobody is stopped before the form any more.
    let mut inside = form(HERE, Some(&proof), "ann");
    assert!(matches!(world.guard.judge(&mut inside, world.now()), Step::Continue));
    world.guard.settle(inside.attempt.as_mut().unwrap(), true, Some(Told::Passed), world.now());
    assert_eq!(world.guard.approach(&ask(HERE, None), world.now()), None);
}

#[test]
fn a_banned_address_gets_no_page_that_would_not_help() {
    let mut world = world(|_, _| ());
    world.suspect(10);
    for number in 0..20 {
        world.attempt(form(HERE, None, &format!("x{number}")));
    }
    assert_eq!(world.attempt(form(HERE, None, "ann")), "login_banned");
    world.now_ms += 400_000;
    assert_eq!(world.guard.approach(&request(Method::Get, HERE, &BROWSER, ""), world.now()), None);
}

#[test]
fn over_plain_http_and_in_shadow_nobody_calculates() {
    let mut world = world(|_, _| ());
    world.suspect(5);
    let mut plain = form(HERE, None, "ann");
    plain.https = false;
    assert_eq!(world.attempt(plain), "slowed");
    let mut shadow = build(ir::LoginGuard { shadow: true, ..world.spec.clone() }, "login", [3; 32], None);
    shadow.suspect(5);
    let mut exchange = form(HERE, None, "ann");
    assert!(matches!(shadow.guard.judge(&mut exchange, shadow.now()), Step::Continue));
    assert_eq!((exchange.attempt.unwrap().answer, exchange.shadow.len()), ("challenged", 1));
    assert_eq!(shadow.guard.approach(&request(Method::Get, HERE, &BROWSER, ""), shadow.now()), None);
}

#[test]
fn others_may_be_refused_where_browsers_calculate() {
    let mut world = world(|_, work| work.refuse_others = true);
    world.suspect(5);
    let script = |cookie: Option<&str>| {
        let mut exchange = form(HERE, cookie, "ann");
        exchange.request.headers.remove(crate::headers::Known::Accept);
        exchange
    };
    let step = world.guard.judge(&mut script(None), world.now());
    let Step::Refuse(refusal) = step else { panic!("{step:?}") };
    // From 30 points to 29 in a window of ten minutes.
    assert_eq!((refusal.reason, refusal.retry_after_s), (Reason::LoginLimited, Some(21)));
    let proof = world.proof();
    assert_eq!(world.attempt(script(Some(&proof))), "proved", "a page's script has the cookie, too");
}

#[test]
fn where_too_many_ask_for_pages_they_wait_as_without() {
    let mut world = world(|_, _| ());
    world.suspect(5);
    let of_address = u64::from(OF_ADDRESS);
    for _ in 0..of_address {
        assert_eq!(world.attempt(form(HERE, None, "ann")), "login_challenge");
    }
    assert_eq!(world.attempt(form(HERE, None, "ann")), "slowed", "its address has had enough for the moment");
    let mut other = build(world.spec.clone(), "login", [3; 32], None);
    other.suspect(5);
    assert_eq!(other.guard.approach(&request(Method::Get, HERE, &BROWSER, ""), other.now()), Some(30));
    other.now_ms = 1_000_000;
    (0..u64::from(CHALLENGES)).for_each(|one| {
        let _ = other.shared.logins.proofs.may_make(one, 1_000_000);
    });
    assert_eq!(
        other.guard.approach(&request(Method::Get, HERE, &BROWSER, ""), other.now()),
        None,
        "the page itself tries nothing"
    );
    let step = other.guard.judge(&mut form(HERE, None, "ann"), other.now());
    assert!(matches!(step, Step::Need(Need::Pause { .. })), "nor is anybody refused for what others ask: {step:?}");
}

#[test]
fn what_is_answered_with_the_page_does_not_count_for_its_address() {
    for refuse in [false, true] {
        let mut world = world(|_, work| work.refuse_others = refuse);
        // Strangers, from many addresses.
        (0..300).for_each(|_| world.guard.trend().count(true, 600_000, 1_000_000));
        let mut answers = Vec::new();
        for number in 0..40 {
            world.now_ms += 5_000;
            let mut exchange = form(HERE, None, &format!("person{number}"));
            if refuse {
                exchange.request.headers.remove(crate::headers::Known::Accept);
            }
            answers.push(world.attempt(exchange));
        }
        let expected = if refuse { "login_limited" } else { "login_challenge" };
        assert!(answers.iter().all(|answer| *answer == expected), "{answers:?}");
        let mut exchange = form(HERE, None, "ann");
        let _ = world.guard.judge(&mut exchange, world.now());
        assert_eq!(exchange.attempt.unwrap().score.own(), 0, "nothing was tried from there");
    }
}

#[test]
fn the_work_is_any_of_the_tries() {
    let mut world = world(|_, work| work.difficulty = 40);
    let tries: Vec<u32> =
        (0..24).map(|_| solved(&world.page(&mut form(HERE, None, "ann"), 30).unwrap()).solution.counter).collect();
    assert!(tries.iter().any(|one| *one <= 12) && tries.iter().any(|one| *one > 28), "{tries:?}");
    assert!(tries.iter().all(|one| (1..=40).contains(one)), "{tries:?}");
}

#[test]
fn work_doubles_with_the_score() {
    let mut world = world(|_, work| work.difficulty = 100);
    let mut most = |score| {
        let refusal = world.page(&mut form(HERE, None, "ann"), score).unwrap();
        let page = String::from_utf8(refusal.page.unwrap().body.to_vec()).unwrap();
        page.split_once("data-most=\"").unwrap().1.split_once('"').unwrap().0.parse::<u32>().unwrap()
    };
    assert_eq!([30, 49, 50, 70, 90, 110, 200].map(&mut most), [100, 100, 200, 400, 800, 800, 800]);
}

#[test]
fn instances_with_one_secret_take_each_others_proofs() {
    let mut world = world(|_, _| ());
    let spec = world.spec.clone();
    world = build(spec.clone(), "login", [1; 32], Some(b"a secret of both"));
    let mut other = build(spec.clone(), "login", [2; 32], Some(b"a secret of both"));
    let payload = solved(&world.page(&mut form(HERE, None, "ann"), 30).unwrap());
    let proof = sent(&other.prove(&payload, &form(HERE, None, "ann")).unwrap().unwrap());
    world.suspect(5);
    other.suspect(5);
    assert_eq!(
        (world.attempt(form(HERE, Some(&proof), "ann")), other.attempt(form(HERE, Some(&proof), "ann"))),
        ("proved", "proved")
    );
    let stranger = build(spec, "login", [1; 32], None);
    assert!(stranger.prove(&payload, &form(HERE, None, "ann")).is_none());
}

#[test]
fn who_is_a_person() {
    let says = |fields: &[(&str, &str)]| is_person(&request(Method::Post, HERE, fields, ""));
    let with = |change: (&'static str, &'static str)| {
        let mut fields: Vec<(&str, &str)> = BROWSER.into_iter().filter(|(name, _)| *name != change.0).collect();
        fields.push(change);
        says(&fields)
    };
    assert!(says(&BROWSER) && says(&BROWSER[..2]), "an old browser says less");
    for change in [
        ("accept", "*/*"),
        ("accept", "application/json"),
        ("accept", "application/json, text/html"),
        ("x-requested-with", "XMLHttpRequest"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-dest", "empty"),
    ] {
        assert!(!with(change), "{change:?}");
    }
    assert!(!with(("sec-fetch-site", "cross-site")), "without cookies there is no proof");
    let mut from_a_link = BROWSER.to_vec();
    from_a_link.push(("sec-fetch-site", "cross-site"));
    assert!(with(("sec-fetch-site", "same-site")) && is_person(&request(Method::Get, HERE, &from_a_link, "")));
    assert!(!says(&[]));
    for method in [Method::Put, Method::Head, Method::Delete] {
        assert!(!is_person(&request(method, HERE, &BROWSER, "")));
    }
}

#[test]
fn nonsense_does_not_load() {
    let spec = world(|_, _| ()).spec;
    let bad = |change: fn(&mut ir::LoginChallenge)| {
        let mut spec = spec.clone();
        spec.challenge.iter_mut().for_each(change);
        let world = build(ir::LoginGuard { challenge: None, ..spec.clone() }, "login", [3; 32], None);
        LoginGuard::build(&spec, "login", None, &world.shared).is_err()
    };
    assert!(!bad(|_| ()));
    assert!(bad(|work| work.at = 0) && bad(|work| work.at = 61) && bad(|work| work.difficulty = 9));
    assert!(bad(|work| work.difficulty = 20_001) && bad(|work| work.attempts = 0) && bad(|work| work.holds_ms = 10));
}
