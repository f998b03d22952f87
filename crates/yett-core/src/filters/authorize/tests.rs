use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;

use super::condition::{Readable, RouteFacts};
use super::rule::Rule;
use super::tenant::Tenant;
use super::{Ask, Truth};
use crate::exchange::{ConnectionInfo, Exchange, Method, Now, Refusal};
use crate::ir::{self, AuthorizeRule, ClaimRule, ClaimTest, RoleSets, Scopes, TenantSource};
use crate::principal::{AuthenticationMethod, ClaimValue, Principal, PrincipalKind};
use crate::reason::Reason;

pub(super) fn exchange() -> Exchange {
    let peer: SocketAddr = "10.1.2.3:4000".parse().unwrap();
    let connection = ConnectionInfo { peer, listener: "main".into(), tls: false, sni: None, client_certificate: None, ja4: None };
    Exchange::new(Rc::new(connection))
}

pub(super) fn caller(kind: PrincipalKind, method: AuthenticationMethod, subject: &str) -> Principal {
    let issuer = if subject.starts_with("spiffe://") { "spiffe://shop.example" } else { "" };
    Principal { kind, subject: subject.into(), issuer: issuer.into(), ..Principal::blank("id".into(), method) }
}

pub(super) fn user() -> Principal {
    caller(PrincipalKind::User, AuthenticationMethod::Jwt, "ann")
}

/// 2026-11-28, a Saturday, 12:00 UTC.
pub(super) const NOW: Now = Now { monotonic_ns: 0, unix_ms: 1_795_867_200_000 };

fn rule() -> AuthorizeRule {
    AuthorizeRule { source: "route a".into(), ..AuthorizeRule::default() }
}

fn permit(spec: &AuthorizeRule, principal: &Principal, exchange: &Exchange) -> Result<(), Refusal> {
    Rule::build(spec, &Readable::default()).unwrap().permit(&Ask { principal, exchange, route: &RouteFacts::default(), now: NOW })
}

fn reason(spec: &AuthorizeRule, principal: &Principal) -> Option<Reason> {
    permit(spec, principal, &exchange()).err().map(|refusal| refusal.reason)
}

fn denied(spec: &AuthorizeRule, principal: &Principal) -> Option<Reason> {
    let exchange = exchange();
    Rule::build(spec, &Readable::default())
        .unwrap()
        .deny(&Ask { principal, exchange: &exchange, route: &RouteFacts::default(), now: NOW })
        .err()
        .map(|refusal| refusal.reason)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn callers_are_matched_by_their_kind() {
    use AuthenticationMethod::{ApiKey, Jwt, Mtls};
    use PrincipalKind::{Service, User};
    let mut spec = rule();
    let spiffe = words(&["spiffe://shop.example/orders", "spiffe://shop.example/batch/*"]);
    spec.callers = Some(ir::Callers { users: words(&["ann"]), clients: words(&["batch"]), keys: words(&["partner"]), spiffe });
    for (kind, method, subject) in [
        (User, Jwt, "ann"),
        (Service, ApiKey, "partner"),
        (Service, Mtls, "spiffe://shop.example/orders"),
        (Service, Mtls, "spiffe://shop.example/batch/7"),
    ] {
        assert_eq!(reason(&spec, &caller(kind, method, subject)), None, "{subject}");
    }
    for (kind, method, subject) in [
        (Service, Jwt, "ann"),
        (Service, ApiKey, "ann"),
        (User, Jwt, "partner"),
        (User, Jwt, "batch"),
        (User, Jwt, "Ann"),
        (User, Jwt, ""),
        (Service, Jwt, "spiffe://shop.example/orders"),
        (Service, Mtls, "spiffe://shop.example/batch/"),
        (Service, Mtls, "spiffe://shop.example/batches"),
        (Service, Mtls, "ann"),
    ] {
        assert_eq!(reason(&spec, &caller(kind, method, subject)), Some(Reason::CallerNotAllowed), "{kind:?} {subject}");
    }
    let mut common_name = caller(Service, Mtls, "spiffe://shop.example/orders");
    common_name.issuer = "".into();
    assert_eq!(reason(&spec, &common_name), Some(Reason::CallerNotAllowed), "a common name of the same letters");
    let mut through = caller(User, Jwt, "bob");
    through.client = Some("batch".into());
    assert_eq!(reason(&spec, &through), None);
    through.method = ApiKey;
    assert_eq!(reason(&spec, &through), Some(Reason::CallerNotAllowed));
}

#[test]
fn scopes_and_roles_follow_their_quantifier_and_name_what_is_needed() {
    let mut spec = rule();
    spec.scopes = Some(Scopes::AllOf(words(&["a", "b"])));
    spec.roles = Some(RoleSets::AnyOf(vec![words(&["x", "above-x"]), words(&["y"])]));
    let mut who = user();
    who.scopes = vec!["a".into(), "bb".into()];
    let refusal = permit(&spec, &who, &exchange()).unwrap_err();
    assert_eq!(refusal.reason, Reason::ScopeMissing);
    assert_eq!(refusal.scope.as_deref(), Some("a b"));
    assert_eq!(refusal.rule.as_deref(), Some("route a"));
    who.scopes.push("b".into());
    assert_eq!(reason(&spec, &who), Some(Reason::RoleMissing));
    who.roles.push("above-x".into());
    assert_eq!(reason(&spec, &who), None);
    spec.permissions = Some(RoleSets::AllOf(vec![words(&["above-x"]), words(&["z"])]));
    assert_eq!(reason(&spec, &who), Some(Reason::PermissionMissing));
}

#[test]
fn scopes_of_methods() {
    let mut spec = rule();
    let each = [("GET", ir::Quantified::AnyOf(words(&["read"]))), ("PUT", ir::Quantified::AllOf(words(&["read", "write"])))];
    spec.scopes = Some(Scopes::Methods(each.map(|(method, scopes)| (method.to_owned(), scopes)).into()));
    let mut who = user();
    who.scopes = vec!["read".into()];
    for (method, allowed) in [(Method::Get, true), (Method::Head, true), (Method::Put, false), (Method::Delete, false)] {
        let mut exchange = exchange();
        exchange.request.method = method.clone();
        assert_eq!(permit(&spec, &who, &exchange).is_ok(), allowed, "{method:?}");
    }
}

fn claim(test: ClaimTest) -> AuthorizeRule {
    let mut spec = rule();
    spec.claims = vec![ClaimRule { name: "c".into(), test }];
    spec
}

#[test]
fn claims_by_their_type_and_never_by_absence() {
    let text = |value: &str| ClaimValue::String(value.into());
    let list = |values: &[&str]| ClaimValue::StringList(values.iter().map(|value| (*value).into()).collect());
    let range = |at_least, at_most| ClaimTest::Range(ir::NumberRange { at_least, at_most });
    let cases: Vec<(ClaimTest, Vec<ClaimValue>, Vec<ClaimValue>)> = vec![
        (ClaimTest::AnyOf(words(&["eu", "uk"])), vec![text("uk")], vec![text("us"), text(""), list(&["uk"]), ClaimValue::Int(1)]),
        (ClaimTest::NoneOf(words(&["eu"])), vec![text("us")], vec![text("eu"), ClaimValue::Bool(true)]),
        (ClaimTest::HasAny(words(&["a", "b"])), vec![list(&["x", "b"])], vec![list(&[]), text("a")]),
        (ClaimTest::HasAll(words(&["a", "b"])), vec![list(&["b", "a"])], vec![list(&["a"])]),
        (ClaimTest::HasNone(words(&["a"])), vec![list(&["b"]), list(&[])], vec![list(&["a"])]),
        (ClaimTest::Is(false), vec![ClaimValue::Bool(false)], vec![ClaimValue::Bool(true), text("false")]),
        (ClaimTest::Numbers(vec![1, 3]), vec![ClaimValue::Int(3)], vec![ClaimValue::Int(2), text("3")]),
        (range(Some(2), None), vec![ClaimValue::Int(2)], vec![ClaimValue::Int(1), text("2")]),
        (range(None, Some(2)), vec![ClaimValue::Int(-9)], vec![ClaimValue::Int(3)]),
    ];
    for (test, pass, fail) in cases {
        let spec = claim(test);
        let with = |value: ClaimValue| Principal { claims: vec![("c".into(), value)], ..user() };
        for value in pass {
            assert_eq!(reason(&spec, &with(value.clone())), None, "{spec:?} {value:?}");
            assert_eq!(denied(&spec, &with(value)), Some(Reason::PolicyDenied));
        }
        for value in fail {
            assert_eq!(reason(&spec, &with(value.clone())), Some(Reason::AttributeMismatch), "{spec:?} {value:?}");
        }
        assert_eq!(reason(&spec, &user()), Some(Reason::AttributeMismatch));
        assert_eq!(denied(&spec, &user()), Some(Reason::PolicyError), "what is absent leaves a deny rule open, and it denies");
    }
}

#[test]
fn a_deny_rule_that_fails_for_sure_denies_nothing_whatever_else_is_open() {
    let mut spec = claim(ClaimTest::Is(true));
    spec.roles = Some(RoleSets::AnyOf(vec![words(&["contractor"])]));
    assert_eq!(denied(&spec, &user()), None, "not a contractor");
    let contractor = Principal { roles: vec!["contractor".into()], ..user() };
    assert_eq!(denied(&spec, &contractor), Some(Reason::PolicyError));
}

#[test]
fn the_device_is_known_recent_and_not_from_the_future() {
    let mut spec = rule();
    spec.device = Some(ir::DeviceRule { posture: words(&["compliant"]), age_ms: Some(900_000), certificate: false });
    let now = i64::try_from(NOW.unix_ms / 1000).unwrap();
    let with = |posture: &str, checked: i64| Principal {
        claims: vec![
            ("device_posture".into(), ClaimValue::String(posture.into())),
            ("device_checked".into(), ClaimValue::Int(checked)),
        ],
        ..user()
    };
    assert_eq!(reason(&spec, &with("compliant", now - 900)), None);
    for (posture, checked) in [("compliant", now - 901), ("compliant", now + 61), ("compliant", i64::MIN), ("rooted", now)] {
        assert_eq!(reason(&spec, &with(posture, checked)), Some(Reason::DeviceNotAllowed), "{posture} {checked}");
    }
    assert_eq!(reason(&spec, &user()), Some(Reason::DeviceNotAllowed));
    spec.device = Some(ir::DeviceRule { posture: vec![], age_ms: None, certificate: true });
    assert_eq!(reason(&spec, &user()), Some(Reason::DeviceNotAllowed));
}

#[test]
fn addresses_are_those_of_the_client() {
    let mut spec = rule();
    spec.addresses = vec!["10.0.0.0/8".parse().unwrap()];
    assert_eq!(reason(&spec, &user()), None);
    spec.addresses = vec!["10.0.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    assert_eq!(reason(&spec, &user()), Some(Reason::AddressNotAllowed));
}

fn tenant(from: TenantSource, held: Option<&str>, prepare: impl FnOnce(&mut Exchange)) -> Option<Reason> {
    let spec = ir::TenantRule { source: "route a".into(), from };
    let mut exchange = exchange();
    prepare(&mut exchange);
    let principal = Principal { tenant: held.map(Into::into), ..user() };
    let found = Tenant::build(&spec, &variables(&["invoice", "tenant"])).unwrap().check(&principal, &exchange);
    found.err().map(|refusal| refusal.reason)
}

#[test]
fn a_tenant_has_to_be_named_on_both_sides_and_be_the_same() {
    let path = |values: &'static [&'static str], held| {
        tenant(TenantSource::Path("tenant".into()), held, |exchange| {
            for value in values {
                exchange.variables.push([*value]);
            }
        })
    };
    assert_eq!(path(&["7", "acme"], None), Some(Reason::TenantMissing));
    assert_eq!(path(&["7", ""], Some("")), Some(Reason::TenantMissing));
    assert_eq!(path(&["7", "acme"], Some("acme")), None);
    assert_eq!(path(&["acme", "globex"], Some("acme")), Some(Reason::TenantMismatch));
    assert_eq!(path(&["7", "ACME"], Some("acme")), Some(Reason::TenantMismatch));
    assert_eq!(path(&["7"], Some("acme")), Some(Reason::TenantMissing));
}

#[test]
fn a_tenant_in_a_header_stands_there_once() {
    let header = |values: &'static [&'static str]| {
        tenant(TenantSource::Header("X-Tenant".into()), Some("acme"), |exchange| {
            for value in values {
                exchange.request.headers.push(b"x-tenant", value.as_bytes()).unwrap();
            }
        })
    };
    assert_eq!(header(&["acme"]), None);
    assert_eq!(header(&[]), Some(Reason::TenantMissing));
    assert_eq!(header(&[""]), Some(Reason::TenantMissing));
    assert_eq!(header(&["globex"]), Some(Reason::TenantMismatch));
    assert_eq!(header(&["acme, globex"]), Some(Reason::TenantMismatch));
    assert_eq!(header(&["acme", "acme"]), Some(Reason::TenantAmbiguous));
}

#[test]
fn a_tenant_in_the_query_stands_there_once_however_it_is_encoded() {
    let query = |query: &'static str| {
        tenant(TenantSource::Query("tenant".into()), Some("acme"), |exchange| {
            exchange.request.target = format!("/a?{query}").into_bytes();
        })
    };
    assert_eq!(query("x=1&tenant=acme"), None);
    assert_eq!(query("ten%61nt=%61cme"), None);
    assert_eq!(query("x=1"), Some(Reason::TenantMissing));
    assert_eq!(query("tenant="), Some(Reason::TenantMissing));
    assert_eq!(query("tenant=%ff"), Some(Reason::TenantMissing));
    assert_eq!(query("tenant=globex"), Some(Reason::TenantMismatch));
    assert_eq!(query("tenant=acme&ten%61nt=globex"), Some(Reason::TenantAmbiguous));
}

#[test]
fn a_tenant_in_the_host_is_one_label() {
    let host = |host: &'static str| {
        let templates = [("", ".shop.example"), ("api-", ".example.com")];
        let templates = templates.map(|(before, after)| ir::HostTemplate { before: before.into(), after: after.into() });
        tenant(TenantSource::Host(templates.into()), Some("acme"), |exchange| host.clone_into(&mut exchange.host))
    };
    assert_eq!(host("acme.shop.example"), None);
    assert_eq!(host("api-acme.example.com"), None);
    assert_eq!(host("globex.shop.example"), Some(Reason::TenantMismatch));
    for other in ["x.acme.shop.example", ".shop.example", "shop.example", "acme.example.com", "acme.shop.example.evil"] {
        assert_eq!(host(other), Some(Reason::TenantMissing), "{other}");
    }
}

#[test]
fn whoever_vouches_as_well_vouches_for_the_same_tenant() {
    let vouched = |other: Option<&'static str>| {
        tenant(TenantSource::Path("invoice".into()), Some("acme"), |exchange| {
            exchange.variables.push(["acme"]);
            exchange.vouched = [Rc::new(Principal { tenant: other.map(Into::into), ..user() })].into_iter().collect();
        })
    };
    assert_eq!(vouched(None), None);
    assert_eq!(vouched(Some("acme")), None);
    assert_eq!(vouched(Some("globex")), Some(Reason::TenantMismatch));
}

#[test]
fn rules_that_decide_nothing_do_not_load() {
    assert!(Rule::build(&rule(), &Readable::default()).is_err());
    for broken in [
        AuthorizeRule { scopes: Some(Scopes::AllOf(vec![])), ..rule() },
        AuthorizeRule { scopes: Some(Scopes::AnyOf(vec![String::new()])), ..rule() },
        AuthorizeRule { callers: Some(ir::Callers::default()), ..rule() },
        AuthorizeRule { roles: Some(RoleSets::AnyOf(vec![vec![]])), ..rule() },
        AuthorizeRule { callers: Some(ir::Callers { spiffe: words(&["spiffe://*"]), ..Default::default() }), ..rule() },
        claim(ClaimTest::AnyOf(vec![])),
        claim(ClaimTest::Range(ir::NumberRange { at_least: Some(3), at_most: Some(2) })),
        AuthorizeRule { device: Some(ir::DeviceRule { posture: vec![], age_ms: None, certificate: false }), ..rule() },
    ] {
        assert!(Rule::build(&broken, &Readable::default()).is_err(), "{broken:?}");
    }
    let spec = ir::TenantRule { source: "route a".into(), from: TenantSource::Path("tenant".into()) };
    assert!(Tenant::build(&spec, &variables(&["invoice"])).is_err());
}

fn truth() -> impl Strategy<Value = Truth> {
    prop_oneof![Just(Truth::Holds), Just(Truth::Fails(Reason::RoleMissing)), Just(Truth::Open(Reason::PolicyError))]
}

proptest! {
    #[test]
    fn and_is_kleenes(parts in prop::collection::vec(truth(), 0..5)) {
        let all = parts.iter().fold(Truth::Holds, |truth, part| truth.and(|| *part));
        let fails = parts.iter().any(|part| matches!(part, Truth::Fails(_)));
        let open = parts.iter().any(|part| matches!(part, Truth::Open(_)));
        prop_assert_eq!(matches!(all, Truth::Fails(_)), fails);
        prop_assert_eq!(matches!(all, Truth::Open(_)), open && !fails);
    }

    #[test]
    fn quantifiers_agree_with_set_logic(held in prop::collection::vec("[a-d]", 0..4), needs in prop::collection::vec(
        (any::<bool>(), prop::collection::vec("[a-d]", 1..3)), 1..4)) {
        let who = Principal { scopes: held.iter().map(|scope| Box::from(scope.as_str())).collect(), ..user() };
        for (all, values) in needs {
            let expected = if all { values.iter().all(|v| held.contains(v)) } else { values.iter().any(|v| held.contains(v)) };
            let mut spec = rule();
            spec.scopes = Some(if all { Scopes::AllOf(values) } else { Scopes::AnyOf(values) });
            prop_assert_eq!(reason(&spec, &who).is_none(), expected);
        }
    }
}

#[test]
fn the_name_of_a_rule_is_shared_and_not_copied() {
    let spec = AuthorizeRule { scopes: Some(Scopes::AnyOf(words(&["a"]))), ..rule() };
    let rule = Rule::build(&spec, &Readable::default()).unwrap();
    let (principal, exchange) = (user(), exchange());
    let ask = Ask { principal: &principal, exchange: &exchange, route: &RouteFacts::default(), now: NOW };
    let refusals = [rule.permit(&ask).unwrap_err(), rule.permit(&ask).unwrap_err()];
    let [first, second] = refusals.map(|refusal| refusal.rule.unwrap());
    assert!(Arc::ptr_eq(&first, &second));
}

fn variables(names: &[&str]) -> Readable {
    Readable { variables: names.iter().map(|name| (*name).to_owned()).collect(), ..Readable::default() }
}

#[test]
fn a_hello_that_is_not_known_is_no_absent_one() {
    let when = |source: &str, tls: bool, ja4: Option<&str>| {
        let mut spec = rule();
        spec.when = Some(source.to_owned());
        let peer: SocketAddr = "10.1.2.3:4000".parse().unwrap();
        let ja4 = ja4.and_then(crate::server::tls::ja4::read);
        let connection = ConnectionInfo { peer, listener: "main".into(), tls, sni: None, client_certificate: None, ja4 };
        permit(&spec, &user(), &Exchange::new(Rc::new(connection))).err().map(|refusal| refusal.reason)
    };
    let told = "t13d1516h2_8daaf6152771_e5627efa2ab1";
    let asks = format!("connection.ja4 == '{told}'");
    let careful = "!has(connection.ja4) || connection.ja4.startsWith('t13')";
    assert_eq!(when(&asks, true, Some(told)), None);
    assert_eq!(when(&asks, true, Some("t12d1516h2_8daaf6152771_e5627efa2ab1")), Some(Reason::PolicyDenied));
    assert_eq!([when(careful, true, Some(told)), when(careful, false, None)], [None; 2]);
    for (source, tls) in [(&*asks, false), (&*asks, true), (careful, true), ("!has(connection.ja4)", true)] {
        assert_eq!(when(source, tls, None), Some(Reason::PolicyError), "{source}");
    }
    for text in [
        "",
        "t13d1516h2_8daaf6152771_e5627efa2ab",
        "t13d1516h2-8daaf6152771_e5627efa2ab1",
        "t13d1516h2_8daaf6152771_E5627efa2ab1",
    ] {
        assert!(crate::server::tls::ja4::read(text).is_none(), "{text}");
    }
}
