//! Guarded logins, attempt by attempt, with a service that is thought up.

mod answers;
mod attacks;
mod people;
mod requests;

use std::rc::Rc;
use std::sync::Arc;

use super::{LoginGuard, Told};
use crate::body::Body;
use crate::exchange::{ConnectionInfo, Exchange, Framing, Method, Need, Now, Step};
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
