//! What a token has to be, and every way in which it may not be it.

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::KeySize;
use base64::Engine as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::jwt::TOKEN_BYTES;
use super::testing::*;
use crate::exchange::{ClaimValue, PrincipalKind};
use crate::reason::Reason;

fn header() -> Value {
    json!({"alg": "ES256", "kid": "k1", "typ": "JWT"})
}

/// The verdict on a token of the shared key with these changes of its claims (`null` removes one).
fn with(changes: &Value) -> Result<(), Reason> {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value == "absent" {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    judge(&jwt(), &Signer::shared().token(&header(), &claims), now()).map(drop)
}

fn with_header(header: &Value) -> Result<(), Reason> {
    let parts = (header.to_string(), claims().to_string());
    judge(&jwt(), &Signer::shared().raw_token(parts.0.as_bytes(), parts.1.as_bytes(), "ES256"), now()).map(drop)
}

#[test]
fn a_good_token_becomes_its_caller() {
    let mut claims = claims();
    claims["realm"] = json!({"roles": ["auditor"]});
    claims["tenant"] = "acme".into();
    claims["acr"] = 2.into();
    let verdict = judge(&jwt(), &Signer::shared().token(&header(), &claims), now()).unwrap();
    let caller = &*verdict.principal;
    assert_eq!((&*caller.provider, &*caller.issuer, &*caller.subject), ("id", "https://id.example", "ann"));
    assert_eq!((caller.client.as_deref(), caller.kind), (Some("mobile"), PrincipalKind::User));
    assert_eq!(caller.scopes, ["orders.read".into(), "orders.write".into()] as [Box<str>; 2]);
    assert_eq!(caller.roles, ["auditor".into()] as [Box<str>; 1]);
    assert_eq!((caller.tenant.as_deref(), caller.token_id.as_deref()), (Some("acme"), Some("t-1")));
    assert_eq!(caller.claims, [("assurance".into(), ClaimValue::Int(2))]);
    assert_eq!(verdict.until_ms, (NOW_S + 330) * 1000);
}

#[test]
fn every_algorithm_verifies_with_its_own_key_only() {
    let rsa = Signer::rsa(KeySize::Rsa2048);
    let (es256, es384, ed) = (Signer::es256(), Signer::es384(), Signer::ed25519());
    let signers = [("r", &rsa), ("e2", &es256), ("e3", &es384), ("ed", &ed)];
    let jwt = jwt_with(set(&signers.map(|(kid, key)| key.jwk(Some(kid))))).unwrap();
    let algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
    for (kid, signer) in signers {
        for algorithm in algorithms {
            let fits = match kid {
                "r" => algorithm.starts_with("RS") || algorithm.starts_with("PS"),
                "e2" => algorithm == "ES256",
                "e3" => algorithm == "ES384",
                _ => algorithm == "EdDSA",
            };
            let token = signer.token(&json!({"alg": algorithm, "kid": kid}), &claims());
            let verdict = judge(&jwt, &token, now()).map(drop);
            assert_eq!(verdict, if fits { Ok(()) } else { Err(Reason::TokenAlgorithmForbidden) }, "{kid} {algorithm}");
        }
    }
    let swapped = rsa.raw_token(br#"{"alg":"PS256","kid":"r"}"#, claims().to_string().as_bytes(), "RS256");
    assert_eq!(judge(&jwt, &swapped, now()).unwrap_err(), Reason::TokenSignatureInvalid);
}

#[test]
fn symmetric_and_absent_algorithms_are_never_accepted() {
    for alg in [
        json!("none"),
        json!("None"),
        json!("NONE"),
        json!(""),
        json!("HS256"),
        json!("HS384"),
        json!("HS512"),
        json!("es256"),
        json!("ES512"),
        json!("RS1"),
        json!(null),
        json!(5),
        json!(["ES256"]),
    ] {
        assert_eq!(with_header(&json!({"alg": alg, "kid": "k1"})), Err(Reason::TokenAlgorithmForbidden), "{alg}");
    }
    assert_eq!(with_header(&json!({"kid": "k1"})), Err(Reason::TokenAlgorithmForbidden));
    let unsigned = format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64(claims().to_string()));
    assert_eq!(judge(&jwt(), &unsigned, now()).unwrap_err(), Reason::TokenAlgorithmForbidden);
    let empty = format!("{}.{}.", b64(header().to_string()), b64(claims().to_string()));
    assert_eq!(judge(&jwt(), &empty, now()).unwrap_err(), Reason::TokenSignatureInvalid);
}

#[test]
fn a_public_key_never_serves_as_a_secret() {
    let rsa = Signer::rsa(KeySize::Rsa2048);
    let text = set(&[rsa.jwk(Some("k1"))]);
    let jwt = jwt_with(text.clone()).unwrap();
    let Signer::Rsa(pair) = &rsa else { unreachable!() };
    let der = aws_lc_rs::signature::KeyPair::public_key(pair).as_ref().to_vec();
    for secret in [der, text.into_bytes(), vec![]] {
        for alg in ["HS256", "RS256"] {
            let signed = format!("{}.{}", b64(json!({"alg": alg, "kid": "k1"}).to_string()), b64(claims().to_string()));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
            assert!(judge(&jwt, &format!("{signed}.{}", b64(tag)), now()).is_err());
        }
    }
    let oct = json!({"kty": "oct", "kid": "k1", "k": b64("secret"), "alg": "HS256"});
    assert!(jwt_with(set(std::slice::from_ref(&oct))).is_err());
    let mixed = jwt_with(set(&[oct, Signer::shared().jwk(Some("k2"))])).unwrap();
    let token = Signer::shared().token(&json!({"alg": "ES256", "kid": "k1"}), &claims());
    assert_eq!(judge(&mixed, &token, now()).unwrap_err(), Reason::TokenKeyUnknown);
}

#[test]
fn dates_are_whole_numbers_or_the_token_is_refused() {
    let huge = json!(1u64 << 54);
    for name in ["exp", "nbf", "iat"] {
        for bad in [
            json!("1800000000"),
            json!(1.8e9),
            json!(NOW_S as f64 + 0.5),
            json!(-1),
            json!(null),
            json!(true),
            json!([]),
            huge.clone(),
            json!(u64::MAX),
            json!(1e300),
        ] {
            assert_eq!(with(&json!({name: bad})), Err(Reason::TokenClaimInvalid), "{name} {bad}");
        }
    }
    assert_eq!(with(&json!({"exp": "absent"})), Err(Reason::TokenClaimInvalid));
    assert_eq!(with(&json!({"iat": "absent"})), Ok(()));
}

#[test]
fn time_counts_with_its_leeway() {
    for (changes, expected) in [
        (json!({"exp": NOW_S - 29}), Ok(())),
        (json!({"exp": NOW_S - 30}), Err(Reason::TokenExpired)),
        (json!({"exp": 0}), Err(Reason::TokenExpired)),
        (json!({"nbf": NOW_S + 30}), Ok(())),
        (json!({"nbf": NOW_S + 31}), Err(Reason::TokenNotYetValid)),
        (json!({"iat": NOW_S + 30}), Ok(())),
        (json!({"iat": NOW_S + 31}), Err(Reason::TokenNotYetValid)),
        (json!({"exp": 1u64 << 53}), Ok(())),
    ] {
        assert_eq!(with(&changes), expected, "{changes}");
    }
}

#[test]
fn the_audience_has_to_be_ours() {
    for (aud, expected) in [
        (json!("shop"), Ok(())),
        (json!(["other", "shop"]), Ok(())),
        (json!("Shop"), Err(Reason::TokenAudienceMismatch)),
        (json!("shop "), Err(Reason::TokenAudienceMismatch)),
        (json!(["other"]), Err(Reason::TokenAudienceMismatch)),
        (json!([]), Err(Reason::TokenAudienceMismatch)),
        (json!(["shop", 1]), Err(Reason::TokenClaimInvalid)),
        (json!(null), Err(Reason::TokenClaimInvalid)),
        (json!({"shop": 1}), Err(Reason::TokenClaimInvalid)),
        (json!("absent"), Err(Reason::TokenClaimInvalid)),
    ] {
        assert_eq!(with(&json!({"aud": aud})), expected, "{aud}");
    }
}

#[test]
fn an_id_token_is_no_access_token() {
    for changes in
        [json!({"nonce": "n"}), json!({"at_hash": "h"}), json!({"typ": "ID"}), json!({"token_use": "id"}), json!({"nonce": null})]
    {
        assert_eq!(with(&changes), Err(Reason::TokenClaimInvalid), "{changes}");
    }
}

#[test]
fn claims_of_another_type_are_refused_never_absent() {
    for changes in [
        json!({"iss": 1}),
        json!({"iss": "absent"}),
        json!({"sub": 1}),
        json!({"sub": null}),
        json!({"client_id": {}}),
        json!({"scope": 1}),
        json!({"scope": ["a", 1]}),
        json!({"scope": null}),
        json!({"realm": "x"}),
        json!({"realm": {"roles": {}}}),
        json!({"tenant": 7}),
        json!({"tenant": null}),
        json!({"acr": "2"}),
        json!({"acr": 2.0}),
        json!({"jti": 1}),
        json!({"sub": "a\nb"}),
        json!({"sub": "absent", "client_id": "absent"}),
        json!({"sub": "", "client_id": ""}),
    ] {
        assert_eq!(with(&changes), Err(Reason::TokenClaimInvalid), "{changes}");
    }
}

#[test]
fn a_client_with_its_own_token_is_a_service() {
    for (changes, subject, kind) in [
        (json!({"sub": "mobile"}), "mobile", PrincipalKind::Service),
        (json!({"sub": ""}), "mobile", PrincipalKind::Service),
        (json!({"client_id": "other"}), "ann", PrincipalKind::User),
    ] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let verdict = judge(&jwt(), &Signer::shared().token(&header(), &claims), now()).unwrap();
        assert_eq!((&*verdict.principal.subject, verdict.principal.kind), (subject, kind));
    }
}

#[test]
fn headers_that_bring_keys_or_ask_for_more_are_refused() {
    let own = Signer::es256();
    for (name, value) in [
        ("jwk", own.jwk(None)),
        ("jku", json!("http://127.0.0.1:1/")),
        ("x5u", json!("http://127.0.0.1:1/")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("kid", json!(1)),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("ID")),
        ("typ", json!(1)),
        ("typ", json!("")),
    ] {
        let mut header = header();
        header[name] = value.clone();
        assert_eq!(with_header(&header), Err(Reason::TokenHeaderRefused), "{name} {value}");
        let parts = (header.to_string(), claims().to_string());
        let forged = own.raw_token(parts.0.as_bytes(), parts.1.as_bytes(), "ES256");
        assert_eq!(judge(&jwt(), &forged, now()).map(drop), Err(Reason::TokenHeaderRefused));
    }
    for typ in ["jwt", "JWT", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"] {
        assert_eq!(with_header(&json!({"alg": "ES256", "kid": "k1", "typ": typ})), Ok(()), "{typ}");
    }
    assert_eq!(with_header(&json!({"alg": "ES256", "kid": "k1"})), Ok(()));
}

#[test]
fn the_form_is_strict_and_capped() {
    let good = Signer::shared().token(&header(), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (h, c, s) = (parts[0], parts[1], parts[2]);
    let dup_header = b64(r#"{"alg":"ES256","alg":"ES256","kid":"k1"}"#);
    let dup_claims = b64(r#"{"iss":"https://id.example","iss":"x"}"#);
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        h.into(),
        format!("{h}.{c}"),
        format!("{h}.{c}.{s}."),
        format!("{h}.{c}.{s}="),
        format!("{h}=.{c}.{s}"),
        format!("{h}.{c}\n.{s}"),
        format!(" {good}"),
        format!("{h}.{}.{s}", b64("[]")),
        format!("{h}.{}.{s}", b64("{}x")),
        format!("{dup_header}.{c}.{s}"),
        format!("{h}.{dup_claims}.{s}"),
        format!("{h}.{c}.+{s}"),
    ] {
        assert_eq!(judge(&jwt(), &bad, now()).unwrap_err(), Reason::CredentialMalformed, "{bad:?}");
    }
    assert_eq!(judge(&jwt(), &format!("{h}.{c}.{s}.{c}.{s}"), now()).unwrap_err(), Reason::TokenHeaderRefused);
    assert_eq!(judge(&jwt(), &"a".repeat(TOKEN_BYTES + 1), now()).unwrap_err(), Reason::TokenTooLarge);
    assert!(judge(&jwt(), &good, now()).is_ok());
}

#[test]
fn keys_are_chosen_by_exact_kid_or_because_only_one_fits() {
    let (a, b) = (Signer::es256(), Signer::es256());
    let two = jwt_with(set(&[a.jwk(Some("a")), b.jwk(Some("b"))])).unwrap();
    let verdict = |kid: Option<&str>, jwt| {
        let header = kid.map_or_else(|| json!({"alg": "ES256"}), |kid| json!({"alg": "ES256", "kid": kid}));
        judge(jwt, &a.token(&header, &claims()), now()).map(drop)
    };
    assert_eq!(verdict(Some("a"), &two), Ok(()));
    assert_eq!(verdict(Some("b"), &two), Err(Reason::TokenSignatureInvalid));
    for unknown in [Some("A"), Some("c"), Some(""), None] {
        assert_eq!(verdict(unknown, &two), Err(Reason::TokenKeyUnknown), "{unknown:?}");
    }
    let one = jwt_with(set(&[a.jwk(None), Signer::ed25519().jwk(None)])).unwrap();
    assert_eq!(verdict(None, &one), Ok(()));
    assert_eq!(verdict(Some("a"), &one), Err(Reason::TokenKeyUnknown));
}

#[test]
fn keys_for_other_uses_and_weak_keys_are_passed_over() {
    let key = Signer::es256();
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!(1)),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!([])),
        ("key_ops", json!("verify")),
        ("alg", json!("ES384")),
        ("alg", json!("HS256")),
        ("alg", json!(1)),
        ("kid", json!(1)),
        ("crv", json!("P-384")),
        ("x", json!("AA")),
        ("d", json!("AA")),
    ] {
        let mut jwk = key.jwk(Some("k1"));
        jwk[name] = value.clone();
        assert!(jwt_with(set(&[jwk])).is_err(), "{name} {value}");
    }
    let mut fine = key.jwk(Some("k1"));
    fine["use"] = "sig".into();
    fine["key_ops"] = json!(["verify"]);
    fine["alg"] = "ES256".into();
    assert!(jwt_with(set(&[fine])).is_ok());
    let Signer::Rsa(pair) = Signer::rsa(KeySize::Rsa2048) else { unreachable!() };
    let (n, e) = rsa_parts(aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref());
    let rsa = |n: &[u8], e: &[u8]| jwt_with(set(&[json!({"kty": "RSA", "n": b64(n), "e": b64(e)})]));
    assert!(rsa(&n, &e).is_ok());
    assert!(rsa(&[&[0], &n[..]].concat(), &e).is_ok());
    assert!(rsa(&n[..128], &e).is_err());
    assert!(rsa(&n, &[1]).is_err() && rsa(&n, &[]).is_err() && rsa(&n, &[2]).is_err());
}

#[test]
fn sets_are_capped_and_each_kid_stands_once() {
    let key = Signer::shared();
    assert!(jwt_with(set(&[key.jwk(Some("a")), Signer::es256().jwk(Some("a"))])).unwrap_err().contains("`a`"));
    let many: Vec<_> = (0..101).map(|i| key.jwk(Some(&i.to_string()))).collect();
    assert!(jwt_with(set(&many)).unwrap_err().contains("100"));
    assert!(jwt_with(set(&many[..100])).is_ok());
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, r#"{"keys":[]}"#] {
        assert!(jwt_with(bad.to_owned()).is_err(), "{bad}");
    }
    assert!(jwt_with(" ".repeat(300_000)).is_err());
}

#[test]
fn providers_that_decide_nothing_do_not_load() {
    let base = || provider(crate::ir::Jwks::Inline(set(&[Signer::shared().jwk(None)])));
    for change in [
        (|p| p.audiences.clear()) as fn(&mut crate::ir::JwtProvider),
        |p| p.audiences.push(String::new()),
        |p| p.issuer.clear(),
        |p| p.algorithms.clear(),
        |p| p.algorithms.push("HS256".into()),
        |p| p.algorithms.push("none".into()),
    ] {
        let mut spec = base();
        change(&mut spec);
        assert!(build(&spec).is_err());
    }
    let mut narrow = base();
    narrow.algorithms = vec!["EdDSA".into()];
    assert!(build(&narrow).is_err());
}

proptest! {
    /// No change of a byte of a good token leaves it good.
    #[test]
    fn a_mutated_token_is_refused(position in 0usize..10_000, byte in any::<u8>()) {
        let good = Signer::shared().token(&header(), &claims());
        let mut bytes = good.clone().into_bytes();
        let position = position % bytes.len();
        bytes[position] = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert_eq!(judge(&jwt(), &text, now()).is_ok(), text == good);
        }
    }

    /// Nothing that is not a token makes the reader fail otherwise than by refusing.
    #[test]
    fn junk_is_refused(junk in "[A-Za-z0-9_.-]{0,200}") {
        prop_assert!(judge(&jwt(), &junk, now()).is_err());
    }

    #[test]
    fn any_claims_are_judged_without_a_panic(name in "exp|nbf|iat|aud|iss|sub|scope|realm|tenant|acr", text in "[\\[\\]{}\",:0-9a-z.e-]{1,12}") {
        let base = r#"{"iss":"https://id.example","aud":"shop","sub":"ann","exp":1800000300"#;
        let claims = format!("{base},\"{name}\":{text}}}");
        let token = Signer::shared().raw_token(header().to_string().as_bytes(), claims.as_bytes(), "ES256");
        let _ = judge(&jwt(), &token, now());
        prop_assert!(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(b64(&claims)).is_ok());
    }
}

#[test]
fn fuzz_no_token_but_the_signed_ones_is_believed() {
    let jwt = jwt();
    let signed: Vec<String> = [json!({}), json!({"aud": ["shop", "other"]}), json!({"scope": "", "tenant": "acme"})]
        .iter()
        .map(|changes| {
            let mut claims = claims();
            claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            Signer::shared().token(&header(), &claims)
        })
        .collect();
    let unsigned = format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64(claims().to_string()));
    let mut seeds: Vec<&[u8]> = signed.iter().map(String::as_bytes).collect();
    seeds.push(unsigned.as_bytes());
    let words: Vec<String> =
        [r#"{"alg":"none"}"#, r#"{"alg":"HS256","kid":"k1"}"#, r#"{"alg":"ES256","kid":"k2","jwk":{}}"#].map(b64).into();
    let mut words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    words.extend([&b"."[..], b"=", b"..", b"A", b"AAAA"]);
    crate::fuzz::run("jwt", &seeds, &words, |data| {
        let Ok(text) = std::str::from_utf8(data) else { return false };
        let verdict = judge(&jwt, text, now());
        // A signature that was made over these very bytes is the only one that counts.
        let known = signed.iter().any(|token| token.rsplit_once('.').unwrap().0 == text.rsplit_once('.').unwrap_or(("", "")).0);
        assert!(verdict.is_err() || known, "believed: {text}");
        !matches!(verdict, Err(Reason::CredentialMalformed))
    });
}

#[test]
fn fuzz_of_signed_tokens_only_what_the_rules_allow_is_believed() {
    const LEEWAY_S: u64 = 30;
    let lines = |header: &Value, claims: &Value| format!("{header}\n{claims}").into_bytes();
    let mut rich = claims();
    rich["realm"] = json!({"roles": ["auditor"]});
    rich["nbf"] = json!(NOW_S - 5);
    rich["aud"] = json!(["shop", "other"]);
    let twice = claims().to_string().replacen('{', r#"{"sub":"bob","#, 1);
    let seeds = [lines(&header(), &claims()), lines(&header(), &rich), format!("{}\n{twice}", header()).into_bytes()];
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    let words: [&[u8]; 14] = [
        b"null",
        b"-1",
        b"1e300",
        b"0.5",
        b"\"\"",
        b"[]",
        b"{}",
        b"true",
        b"\\u0000",
        b",",
        b"\"crit\":[],",
        b"\"jwk\":{},",
        b"\"sub\":\"bob\",",
        b"\"nbf\":1900000000,",
    ];
    crate::fuzz::run("jwt_claims", &seeds, &words, |data| {
        let Some(at) = data.iter().position(|b| *b == b'\n') else { return false };
        let (head, body) = (&data[..at], &data[at + 1..]);
        let Ok(verdict) = judge(&jwt(), &Signer::shared().raw_token(head, body, "ES256"), now()) else { return false };
        let head: Value = serde_json::from_slice(head).unwrap();
        let body: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(head["alg"], "ES256");
        for name in ["jwk", "jku", "x5c", "x5u", "crit", "b64"] {
            assert!(head.get(name).is_none(), "{name}");
        }
        assert!(body["aud"] == "shop" || body["aud"].as_array().is_some_and(|all| all.contains(&json!("shop"))));
        let expires = body["exp"].as_u64().unwrap();
        assert!(expires + LEEWAY_S > NOW_S && verdict.until_ms <= (expires + LEEWAY_S) * 1000);
        assert!(body.get("nbf").is_none_or(|nbf| nbf.as_u64().unwrap() <= NOW_S + LEEWAY_S));
        let caller = &verdict.principal;
        assert!(!caller.subject.is_empty() && !caller.subject.chars().any(char::is_control));
        // Another reader of JSON, which takes the last of two equal names, sees the same caller.
        let again = Signer::shared().raw_token(head.to_string().as_bytes(), body.to_string().as_bytes(), "ES256");
        let again = judge(&jwt(), &again, now()).unwrap();
        assert_eq!(format!("{:?}", again.principal), format!("{caller:?}"));
        true
    });
}
