use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair};
use aws_lc_rs::signature::{KeyPair, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;
use crate::principal::AuthenticationMethod;
use crate::snapshot::Secrets;

const NOW_MS: u64 = 1_800_000_000_123;

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

/// Keys that sign from these moments (seconds), newest first, and their public parts.
fn ring(from: &[u64]) -> (Arc<Ring>, Vec<Vec<u8>>) {
    let mut text = String::new();
    let mut public = Vec::new();
    for _ in from {
        let der = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).unwrap();
        public.push(Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap().public_key().as_ref().to_vec());
        text.push_str(&pem(der.as_ref()));
    }
    let key = |(index, from_s): (usize, &u64)| json!({"id": format!("k{index}"), "algorithm": "EdDSA", "secret": "ring", "index": index, "from_s": from_s});
    let keys: Vec<_> = from.iter().enumerate().map(key).collect();
    let spec: ir::Identity = serde_json::from_value(json!({"issuer": "https://gateway", "keys": keys})).unwrap();
    let secrets = Secrets::from([("ring".to_owned(), text.into_bytes().into())]);
    (Arc::new(Ring::build(&spec, &secrets).unwrap()), public)
}

fn build(more: Value, ring: &Arc<Ring>) -> Result<IdentityAssertion, String> {
    let mut spec = json!({"audience": "billing", "lifetime_s": 30});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    IdentityAssertion::build(&serde_json::from_value(spec).unwrap(), "https://gateway", ring, "0123456789abcdef")
}

fn principal() -> Rc<Principal> {
    Rc::new(Principal {
        subject: "al\"ice\\\u{1}é".into(),
        client: Some("app".into()),
        tenant: Some("acme".into()),
        scopes: vec!["a".into(), "b\"".into()],
        roles: vec!["auditor".into()],
        claims: vec![
            ("level".into(), ClaimValue::Int(-2)),
            ("secret".into(), ClaimValue::String("hidden".into())),
            ("groups".into(), ClaimValue::StringList(vec!["x".into(), "y".into()])),
            ("ok".into(), ClaimValue::Bool(true)),
        ],
        authenticated_s: Some(7),
        actor: Some(r#"{"sub":"bot"}"#.into()),
        ..Principal::blank("customers".into(), AuthenticationMethod::Jwt)
    })
}

fn call<'a>(principal: Option<&'a Rc<Principal>>, target: &'a str) -> Call<'a> {
    Call { principal, method: "GET", target: target.as_bytes(), request_id: b"r-1", body: None }
}

fn minted(assertion: &IdentityAssertion, call: &Call<'_>, now: u64, minter: &mut Minter) -> Result<String, Unminted> {
    let mut out = b"what was there before".to_vec();
    assertion.mint(call, now, minter, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn parts(text: &str) -> (Value, Value, Vec<u8>) {
    let parts: Vec<_> = text.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    let [header, payload, signature] = &parts[..] else { panic!("{text}") };
    (serde_json::from_slice(header).unwrap(), serde_json::from_slice(payload).unwrap(), signature.clone())
}

fn verified(text: &str, algorithm: &'static dyn VerificationAlgorithm, key: &[u8]) -> bool {
    let (message, _) = text.rsplit_once('.').unwrap();
    UnparsedPublicKey::new(algorithm, key).verify(message.as_bytes(), &parts(text).2).is_ok()
}

#[test]
fn the_digest_of_a_request_is_that_of_the_published_vectors() {
    let file: Value = serde_json::from_str(include_str!("../../../../../docs/backends/req-vectors.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert!(vectors.len() > 10);
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().unwrap();
        let call = Call { method: text("method"), ..call(None, text("target")) };
        assert_eq!(URL_SAFE_NO_PAD.encode(call.digest(&mut Vec::new()).unwrap()), text("req"), "{vector}");
    }
}

#[test]
fn it_says_who_calls_and_nothing_that_was_not_asked_for() {
    let (ring, keys) = ring(&[0]);
    let assertion = build(json!({}), &ring).unwrap();
    let principal = principal();
    let text = minted(&assertion, &call(Some(&principal), "/a?b"), NOW_MS, &mut Minter::default()).unwrap();
    let (header, mut payload, _) = parts(&text);
    assert_eq!(header, json!({"alg": "EdDSA", "kid": "k0", "typ": "yett-identity+jwt"}));
    let jti = payload.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(jti.as_str().unwrap().len(), 22);
    let request = URL_SAFE_NO_PAD.encode(call(None, "/a?b").digest(&mut Vec::new()).unwrap());
    let expected = json!({
        "iss": "https://gateway", "aud": "billing", "rev": "0123456789ab", "sub": "al\"ice\\\u{1}é", "idp": "customers",
        "kind": "service", "client_id": "app", "tenant": "acme", "scope": "a b\"", "amr": ["jwt"], "auth_time": 7, "act": {"sub": "bot"},
        "request_id": "r-1", "iat": 1_800_000_000, "exp": 1_800_000_030, "htm": "GET", "req": request,
    });
    assert_eq!(payload, expected);
    assert!(verified(&text, &ED25519, &keys[0]));
}

#[test]
fn what_was_asked_for_beside_stands_in_a_place_of_its_own() {
    let (ring, _) = ring(&[0]);
    let assertion = build(json!({"claims": ["level", "groups", "ok", "absent"], "roles": true}), &ring).unwrap();
    let principal = principal();
    let text = minted(&assertion, &call(Some(&principal), "/"), NOW_MS, &mut Minter::default()).unwrap();
    let payload = parts(&text).1;
    assert_eq!(payload["claims"], json!({"level": -2, "groups": ["x", "y"], "ok": true}));
    assert_eq!(payload["roles"], json!(["auditor"]));
}

#[test]
fn nobody_is_told_of_only_where_that_is_said() {
    let (ring, _) = ring(&[0]);
    let minter = &mut Minter::default();
    assert_eq!(minted(&build(json!({}), &ring).unwrap(), &call(None, "/"), NOW_MS, minter), Err(Unminted));
    let text = minted(&build(json!({"anonymous": true}), &ring).unwrap(), &call(None, "/"), NOW_MS, minter).unwrap();
    let payload = parts(&text).1;
    assert_eq!((&payload["kind"], &payload["sub"]), (&json!("anonymous"), &json!("anonymous")));
    assert!(payload.get("scope").is_none() && payload.get("amr").is_none());
}

#[test]
fn a_key_signs_from_its_moment_and_the_oldest_before_all() {
    let now_s = NOW_MS / 1000;
    let (ring, keys) = ring(&[now_s + 10, now_s + 5]);
    let assertion = build(json!({}), &ring).unwrap();
    let principal = principal();
    for (ms, key) in [(0, 1), (4_999, 1), (9_876, 1), (9_877, 0), (99_999, 0)] {
        let text = minted(&assertion, &call(Some(&principal), "/"), NOW_MS + ms, &mut Minter::default()).unwrap();
        assert_eq!(parts(&text).0["kid"], format!("k{key}"), "{ms}");
        assert!(verified(&text, &ED25519, &keys[key]));
    }
}

#[test]
fn es256_signs_as_well() {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &aws_lc_rs::rand::SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
    let key = json!({"id": "p", "algorithm": "ES256", "secret": "ring", "index": 0, "from_s": 0});
    let spec = serde_json::from_value(json!({"issuer": "i", "keys": [key]})).unwrap();
    let secrets = Secrets::from([("ring".to_owned(), pem(der.as_ref()).into_bytes().into())]);
    let assertion = build(json!({}), &Arc::new(Ring::build(&spec, &secrets).unwrap())).unwrap();
    let text = minted(&assertion, &call(Some(&principal()), "/"), NOW_MS, &mut Minter::default()).unwrap();
    assert_eq!(parts(&text).0["alg"], "ES256");
    assert!(verified(&text, &ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()));
}

#[test]
fn a_kept_one_serves_the_same_caller_service_and_request_for_a_while() {
    let (ring, _) = ring(&[0]);
    let assertion = build(json!({"reuse_ms": 5000}), &ring).unwrap();
    let minter = &mut Minter::default();
    let alice = principal();
    let first = minted(&assertion, &call(Some(&alice), "/a"), NOW_MS, minter).unwrap();
    let payload = parts(&first).1;
    assert!(payload.get("jti").is_none() && payload.get("request_id").is_none());
    assert_eq!(minted(&assertion, &call(Some(&alice), "/a"), NOW_MS + 4999, minter).unwrap(), first);
    let other = Call { method: "POST", ..call(Some(&alice), "/a") };
    assert_ne!(minted(&assertion, &other, NOW_MS, minter).unwrap(), first);
    assert_ne!(minted(&assertion, &call(Some(&alice), "/a?b"), NOW_MS, minter).unwrap(), first);
    // Another verdict, though it says the same: what a newer token of the caller says counts.
    let again = principal();
    let second = minted(&assertion, &call(Some(&again), "/a"), NOW_MS + 1000, minter).unwrap();
    assert_eq!(parts(&second).1["iat"], 1_800_000_001);
    // Another configuration of the service.
    let after = build(json!({"reuse_ms": 5000}), &ring).unwrap();
    assert_eq!(parts(&minted(&after, &call(Some(&alice), "/a"), NOW_MS + 2000, minter).unwrap()).1["iat"], 1_800_000_002);
    // It is over.
    let late = minted(&assertion, &call(Some(&alice), "/a"), NOW_MS + 5000, minter).unwrap();
    assert_eq!(parts(&late).1["iat"], 1_800_000_005);
    // The clock was set back: it does not live longer for that.
    let back = minted(&assertion, &call(Some(&alice), "/a"), NOW_MS - 60_000, minter).unwrap();
    assert_eq!(parts(&back).1["iat"], 1_799_999_940);
}

#[test]
fn one_that_is_not_kept_is_new_for_each_attempt() {
    let (ring, _) = ring(&[0]);
    let assertion = build(json!({}), &ring).unwrap();
    let (alice, minter) = (principal(), &mut Minter::default());
    let mut ids = std::collections::HashSet::new();
    for _ in 0..100 {
        let text = minted(&assertion, &call(Some(&alice), "/a"), NOW_MS, minter).unwrap();
        assert!(ids.insert(parts(&text).1["jti"].to_string()));
    }
}

#[test]
fn a_long_one_is_not_sent() {
    let (ring, _) = ring(&[0]);
    let assertion = build(json!({}), &ring).unwrap();
    let mut many = Principal::clone(&principal());
    many.scopes = (0..1000).map(|n| format!("scope-{n}").into()).collect();
    assert_eq!(minted(&assertion, &call(Some(&Rc::new(many)), "/"), NOW_MS, &mut Minter::default()), Err(Unminted));
}

#[test]
fn a_digest_of_the_body_is_there_or_nothing_is() {
    let (ring, _) = ring(&[0]);
    let assertion = build(json!({"body_digest": true}), &ring).unwrap();
    let (alice, minter) = (principal(), &mut Minter::default());
    assert_eq!(minted(&assertion, &call(Some(&alice), "/"), NOW_MS, minter), Err(Unminted));
    let digest = sha256(b"abc").unwrap();
    let with = Call { body: Some(&digest), ..call(Some(&alice), "/") };
    let payload = parts(&minted(&assertion, &with, NOW_MS, minter).unwrap()).1;
    assert_eq!(payload["body"], "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
}

#[test]
fn plain_headers_say_what_was_asked_for() {
    let (ring, _) = ring(&[0]);
    let wanted = json!({"headers": {
        "X-User": "client", "x-tenant": "tenant", "x-kind": "kind", "x-roles": "roles", "x-level": "claims.level",
        "x-groups": "claims.groups", "x-absent": "claims.absent", "x-idp": "provider",
    }});
    let assertion = build(wanted, &ring).unwrap();
    let mut headers = Headers::default();
    headers.push(b"x-tenant", b"globex").unwrap();
    assertion.headers(Some(&principal()), &mut headers).unwrap();
    let mut seen: Vec<_> = headers.iter().map(|(_, n, v)| format!("{}={}", n.escape_ascii(), v.escape_ascii())).collect();
    seen.sort();
    assert_eq!(
        seen,
        ["x-groups=x y", "x-idp=customers", "x-kind=service", "x-level=-2", "x-roles=auditor", "x-tenant=acme", "x-user=app"]
    );
    // A control character in a subject is no header.
    let subject = build(json!({"headers": {"x-user": "subject"}}), &ring).unwrap();
    assert_eq!(subject.headers(Some(&principal()), &mut Headers::default()), Err(FieldError::Value));
    assert!(build(json!({"headers": {"x-user": "password"}}), &ring).is_err());
}

#[test]
fn what_cannot_be_carried_out_does_not_load() {
    let (ring, _) = ring(&[0]);
    for spec in [
        json!({"lifetime_s": 0}),
        json!({"lifetime_s": 31}),
        json!({"reuse_ms": 30_000}),
        json!({"reuse_ms": 0}),
        json!({"reuse_ms": 5000, "body_digest": true}),
    ] {
        assert!(build(spec.clone(), &ring).is_err(), "{spec}");
    }
    let identity = |keys: Value| serde_json::from_value::<ir::Identity>(json!({"issuer": "i", "keys": keys})).unwrap();
    let key = |index: usize, from: u64| json!({"id": "k", "algorithm": "EdDSA", "secret": "s", "index": index, "from_s": from});
    let der = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).unwrap();
    let text = pem(der.as_ref()).repeat(2);
    let secrets = Secrets::from([("s".to_owned(), text.into_bytes().into())]);
    assert!(Ring::build(&identity(json!([key(0, 5), key(1, 0)])), &secrets).is_ok());
    assert!(Ring::build(&identity(json!([key(0, 0), key(1, 0)])), &secrets).is_err());
    assert!(Ring::build(&identity(json!([key(0, 0), key(1, 5)])), &secrets).is_err());
    assert!(Ring::build(&identity(json!([key(2, 0)])), &secrets).is_err());
    assert!(Ring::build(&identity(json!([])), &secrets).is_err());
    assert!(Ring::build(&identity(json!([key(0, 0)])), &Secrets::new()).is_err());
}
