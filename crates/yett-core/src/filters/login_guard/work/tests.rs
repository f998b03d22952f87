//! Work in place of waits, from the page to the attempt.

mod attempts;
mod pages;
mod proofs;

use std::rc::Rc;
use std::sync::Arc;

use super::super::LoginGuard;
use super::super::altcha::Payload;
use super::super::altcha::tests::solve;
use super::super::challenge::RANDOM;
use super::super::page::Written;
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
