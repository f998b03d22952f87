//! From claims to a caller: what is mapped, what refuses, and what is simply not held.

use serde_json::{Value, json};

use super::testing::*;
use crate::ir;
use crate::principal::{Confirmation, Principal, PrincipalKind};
use crate::reason::Reason;

/// The caller of a token whose claims are the usual ones with these changes (null removes one).
fn caller(change: impl FnOnce(&mut ir::JwtProvider), claims: &Value) -> Result<Principal, Reason> {
    let mut provider = provider(ir::Jwks::Inline(set(&[Signer::shared().jwk(Some("k1"))])));
    provider.claims.declared.clear();
    change(&mut provider);
    let mut all = super::testing::claims();
    for (name, value) in claims.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
            value => all[name] = value.clone(),
        }
    }
    let token = Signer::shared().token(&json!({"alg": "ES256", "kid": "k1"}), &all);
    judge(&build(&provider).unwrap(), &token, now()).map(|verdict| verdict.principal.as_ref().clone())
}

fn plain(claims: &Value) -> Result<Principal, Reason> {
    caller(|_| {}, claims)
}

#[test]
fn session_assurance_and_times_are_filled_in() {
    let found = plain(&json!({"sid": "s-1", "acr": "gold", "auth_time": NOW_S - 100, "iat": NOW_S - 10})).unwrap();
    assert_eq!((found.session.as_deref(), found.assurance.as_deref()), (Some("s-1"), Some("gold")));
    assert_eq!((found.authenticated_s, found.issued_ms), (Some(NOW_S - 100), Some((NOW_S - 10) * 1000)));
    let none = plain(&json!({"iat": null})).unwrap();
    assert!(none.session.is_none() && none.assurance.is_none() && none.authenticated_s.is_none() && none.issued_ms.is_none());
    assert_eq!(plain(&json!({"acr": 2})).unwrap().assurance.as_deref(), Some("2"));
    assert_eq!(plain(&json!({"acr": ["2"]})).unwrap().assurance, None);
    for bad in [json!({"sid": 7}), json!({"auth_time": "now"}), json!({"auth_time": -1}), json!({"sid": "a\u{0}b"})] {
        assert_eq!(plain(&bad).unwrap_err(), Reason::TokenClaimInvalid, "{bad}");
    }
}

#[test]
fn partner_and_assurance_are_where_the_map_says() {
    let map = |provider: &mut ir::JwtProvider| {
        provider.claims.partner = Some(vec!["org".into(), "id".into()]);
        provider.claims.assurance = Some(vec!["loa".into()]);
    };
    let found = caller(map, &json!({"org": {"id": "acme"}, "loa": 3, "acr": "ignored"})).unwrap();
    assert_eq!((found.partner.as_deref(), found.assurance.as_deref()), (Some("acme"), Some("3")));
    assert_eq!(caller(map, &json!({"loa": true})).unwrap_err(), Reason::TokenClaimInvalid);
    assert_eq!(caller(map, &json!({"org": "acme"})).unwrap_err(), Reason::TokenClaimInvalid);
    assert_eq!(caller(map, &json!({})).unwrap().partner, None);
}

#[test]
fn a_confirmation_is_one_that_is_known_or_the_token_is_refused() {
    let print = b64([7; 32]);
    let confirmation = |cnf: Value| plain(&json!({ "cnf": cnf })).map(|found| found.confirmation);
    assert_eq!(confirmation(json!({ "jkt": print })), Ok(Some(Confirmation::Jkt([7; 32]))));
    assert_eq!(confirmation(json!({ "x5t#S256": print })), Ok(Some(Confirmation::X5t([7; 32]))));
    assert_eq!(plain(&json!({})).unwrap().confirmation, None);
    for bad in [
        json!("x"),
        json!({}),
        json!({ "jkt": print, "x5t#S256": print }),
        json!({ "jkt": b64([7; 31]) }),
        json!({ "jkt": 7 }),
        json!({ "jkt": format!("{print}=") }),
        json!({ "jwk": {"kty": "EC"} }),
        json!({ "kid": "k" }),
    ] {
        assert_eq!(confirmation(bad.clone()), Err(Reason::TokenClaimInvalid), "{bad}");
    }
}

fn kind(map: Value) -> impl FnOnce(&mut ir::JwtProvider) {
    move |provider| provider.claims.kind = Some(serde_json::from_value(map).unwrap())
}

#[test]
fn kinds_are_told_apart_as_the_map_says() {
    let of = |map: &Value, claims: Value| caller(kind(map.clone()), &claims).map(|found| found.kind);
    let values = json!({"from": ["t"], "values": {"robot": "service", "box": "device"}});
    assert_eq!(of(&values, json!({"t": "robot"})), Ok(PrincipalKind::Service));
    assert_eq!(of(&values, json!({"t": "box"})), Ok(PrincipalKind::Device));
    assert_eq!(of(&values, json!({"t": "person"})), Err(Reason::TokenClaimInvalid));
    assert_eq!(of(&values, json!({"t": 7})), Err(Reason::TokenClaimInvalid));
    assert_eq!(of(&values, json!({})), Ok(PrincipalKind::User));
    assert_eq!(of(&values, json!({"sub": "mobile"})), Ok(PrincipalKind::Service));
    let other = json!({"from": ["t"], "values": {"robot": "service"}, "other": "user"});
    assert_eq!(of(&other, json!({"t": "person", "sub": "mobile"})), Ok(PrincipalKind::User));
    let present = json!({"from": ["t"], "present": "service"});
    assert_eq!(of(&present, json!({"t": 7})), Ok(PrincipalKind::Service));
    let without = json!({"from": ["t"], "service_without": ["scp"]});
    assert_eq!(of(&without, json!({})), Ok(PrincipalKind::Service));
    assert_eq!(of(&without, json!({"scp": "a"})), Ok(PrincipalKind::User));
    let suffix = |provider: &mut ir::JwtProvider| provider.claims.client_suffix = Some("@clients".into());
    let found = |sub: &str| caller(suffix, &json!({ "sub": sub })).unwrap().kind;
    assert_eq!(found("mobile@clients"), PrincipalKind::Service);
    assert_eq!((found("other@clients"), found("@clients")), (PrincipalKind::User, PrincipalKind::User));
}

#[test]
fn roles_of_several_places_are_one_list() {
    let map = |provider: &mut ir::JwtProvider| {
        provider.claims.roles = vec!["a".into()];
        provider.claims.more_roles = vec![vec!["b".into(), "c.d".into(), "roles".into()]];
    };
    let found = caller(map, &json!({"a": ["x", "y"], "b": {"c.d": {"roles": ["y", "z"]}}})).unwrap();
    assert_eq!(found.roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["x", "y", "z"]);
}

#[test]
fn clients_are_the_listed_ones_and_an_absent_audience_only_goes_with_them() {
    let map = |provider: &mut ir::JwtProvider| {
        provider.clients = vec!["mobile".into()];
        provider.audiences.clear();
    };
    let verdict = |claims: Value| caller(map, &claims).map(|_| ());
    assert_eq!(verdict(json!({"aud": null})), Ok(()));
    assert_eq!(verdict(json!({"aud": "shop"})), Err(Reason::TokenAudienceMismatch));
    assert_eq!(verdict(json!({"aud": null, "client_id": "web"})), Err(Reason::TokenClientNotAccepted));
    assert_eq!(verdict(json!({"aud": null, "azp": "web"})), Err(Reason::TokenClientNotAccepted));
    assert_eq!(verdict(json!({"aud": null, "client_id": null, "azp": "mobile"})), Ok(()));
    assert_eq!(verdict(json!({"aud": null, "client_id": null})), Err(Reason::TokenClaimInvalid));
    assert_eq!(verdict(json!({"aud": null, "client_id": ["mobile"]})), Err(Reason::TokenClaimInvalid));
}

#[test]
fn a_token_has_an_age() {
    let age = |seconds: u64| move |provider: &mut ir::JwtProvider| provider.max_age_s = Some(seconds);
    assert!(caller(age(10), &json!({"iat": NOW_S - 10})).is_ok());
    assert!(caller(age(10), &json!({"iat": NOW_S - 39})).is_ok(), "leeway");
    assert_eq!(caller(age(10), &json!({"iat": NOW_S - 40})).unwrap_err(), Reason::TokenExpired);
    assert_eq!(caller(age(10), &json!({"iat": null})).unwrap_err(), Reason::TokenClaimInvalid);
    assert_eq!(caller(age(10), &json!({"iat": NOW_S + 31})).unwrap_err(), Reason::TokenNotYetValid);
}

#[test]
fn the_same_person_of_two_issuers_is_two_callers() {
    let tenants = |provider: &mut ir::JwtProvider| {
        provider.tenants = [("https://a.example".into(), "a".into()), ("https://b.example".into(), "b".into())].into();
    };
    let of = |tenant: &str| caller(tenants, &json!({"iss": format!("https://{tenant}.example"), "tid": tenant})).unwrap();
    assert_ne!(of("a").key, of("b").key);
    assert_eq!(&*of("a").issuer, "https://a.example");
    let crossed = caller(tenants, &json!({"iss": "https://a.example", "tid": "b"}));
    assert_eq!(crossed.unwrap_err(), Reason::TokenClaimInvalid);
}
