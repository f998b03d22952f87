//! What rules cost a request: no allocation, and figures to read (`cargo test --test policy_cost -- --nocapture`).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: what is wrong here is to be seen")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use yett_core::exchange::{ConnectionInfo, Exchange, Now};
use yett_core::filters::authorize::condition::Readable;
use yett_core::filters::authorize::{Ask, Policy};
use yett_core::ir;
use yett_core::principal::{AuthenticationMethod, ClaimValue, Principal, PrincipalKind};

/// The system's allocator, and how often this thread asks it for memory.
struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its signature; this one counts and hands everything on")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.with(|asked| asked.set(asked.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: Now = Now { monotonic_ns: 0, unix_ms: 1_795_867_200_000 };

fn route(rule: serde_json::Value) -> ir::Route {
    let mut rule = rule;
    rule["source"] = "route a".into();
    serde_json::from_value(serde_json::json!({
        "name": "a", "group": null, "listeners": ["main"],
        "match": {"hosts": null, "path": "/tenants/{tenant}/a", "methods": ["GET"], "headers": {}, "query": {}},
        "path_allow": [], "access": {"authenticated": {"providers": ["id"], "rules": [rule]}},
        "tenants": [{"source": "route a", "from": {"path": "tenant"}}],
        "address_limits": [], "rate_limits": [], "action": {"forward": []}, "rewrite": null,
        "request_headers": {"remove": [], "set": {}, "add": {}}, "response_headers": {"remove": [], "set": {}, "add": {}},
        "body_limit": 0, "timeouts": {"connect_ms": 1, "first_byte_ms": 1, "idle_ms": 1, "total_ms": 1},
    }))
    .unwrap()
}

fn policy(rule: serde_json::Value) -> Policy {
    let route = route(rule);
    let ir::Access::Authenticated(authenticated) = &route.access else { unreachable!() };
    let claims = [("level", ir::ClaimType::Int), ("region", ir::ClaimType::String)].map(|(name, kind)| (name.to_owned(), kind));
    let readable = Readable {
        geo: Vec::new(),
        claims: [("id".to_owned(), claims.into())].into(),
        headers: vec![],
        variables: vec!["tenant".to_owned()],
        body: None,
    };
    Policy::build(&route, &authenticated.rules, &readable).unwrap()
}

fn caller() -> Principal {
    let words = |words: &[&str]| words.iter().map(|word| Box::from(*word)).collect();
    Principal {
        kind: PrincipalKind::User,
        subject: "ann".into(),
        tenant: Some("acme".into()),
        scopes: words(&["profile", "orders.read", "billing.read"]),
        roles: words(&["employee", "accountant"]),
        claims: vec![("level".into(), ClaimValue::Int(2)), ("region".into(), ClaimValue::String("eu".into()))],
        ..Principal::blank("id".into(), AuthenticationMethod::Jwt)
    }
}

fn exchange() -> Exchange {
    let peer = "10.1.2.3:4000".parse().unwrap();
    let connection = ConnectionInfo { peer, listener: "main".into(), tls: false, sni: None, client_certificate: None, ja4: None };
    let mut exchange = Exchange::new(Rc::new(connection));
    exchange.variables.push(["acme"]);
    exchange
}

/// Asserts that it is allowed without an allocation, and prints what it takes.
fn measure(label: &str, policy: &Policy) {
    let (principal, exchange) = (caller(), exchange());
    let ask = Ask { principal: &principal, exchange: &exchange, route: &policy.route, now: NOW };
    assert!(policy.check(&ask).is_ok(), "{label}");
    let before = ASKED.with(Cell::get);
    let allowed = black_box(policy.check(&ask)).is_ok();
    assert_eq!((allowed, ASKED.with(Cell::get) - before), (true, 0), "{label} allocates");
    let round = || {
        let begin = Instant::now();
        for _ in 0..1000 {
            let _ = black_box(policy.check(black_box(&ask)));
        }
        begin.elapsed().as_nanos() / 1000
    };
    let best = (0..50).map(|_| round()).min().unwrap_or(0);
    #[expect(clippy::print_stdout, reason = "a figure to read")]
    {
        println!("{label:<45} {best:>6} ns");
    }
}

#[test]
fn scopes_roles_tenant_and_a_claim() {
    let rule = serde_json::json!({
        "scopes": {"all_of": ["billing.read"]}, "roles": {"any_of": [["auditor"], ["accountant", "boss"]]},
        "claims": [{"name": "region", "test": {"any_of": ["uk", "eu"]}}],
    });
    measure("scopes, roles, tenant and one claim", &policy(rule));
}

#[test]
fn a_condition_of_four_comparisons() {
    let when = "principal.claims.level >= 2 && principal.claims.region == 'eu' && principal.kind == 'user' \
                && request.method in ['GET', 'HEAD']";
    measure("tenant and a condition of four comparisons", &policy(serde_json::json!({"when": when})));
}
