//! Every vector of RFC 7515, 7517, 7519, 7520 and 8037: the verdict that the RFC names, or the refusal that our policy
//! demands. The page `docs/providers/jwt.md` lists them.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::authenticate::is_token68;
use super::jwk::{Algorithm, KeySet, Selection};
use super::testing::*;
use crate::ir;
use crate::reason::Reason;

const ASYMMETRIC: [&str; 10] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

#[derive(Deserialize)]
struct Vectors {
    tokens: Vec<Token>,
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Token {
    source: String,
    what: String,
    token: String,
    /// The code of the reason, for a provider that would take it in every other respect.
    verdict: String,
    /// What the RFC signs with, without private parts; where it signs in compact form.
    key: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Key {
    source: String,
    what: String,
    jwk: Value,
    /// The algorithms that it verifies here.
    usable: Vec<String>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../../tests/vectors/jose.json")).unwrap()
}

fn all() -> Vec<Algorithm> {
    ASYMMETRIC.iter().map(|name| Algorithm::parse(name).unwrap()).collect()
}

/// The set of one key, public or a secret.
fn key_set(jwk: &Map<String, Value>) -> KeySet {
    if jwk["kty"] == "oct" {
        let secret = unb64(jwk["k"].as_str().unwrap());
        return KeySet::shared(&secret, &[Algorithm::Hs256]).unwrap();
    }
    KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes(), &all()).unwrap()
}

/// Whether the signature in a compact token is good, whatever its payload is.
fn signature_holds(token: &str, set: &KeySet) -> bool {
    let mut parts = token.rsplitn(2, '.');
    let signature = unb64(parts.next().unwrap());
    let signed = parts.next().unwrap();
    let header: Value = serde_json::from_slice(&unb64(signed.split('.').next().unwrap())).unwrap();
    let algorithm = Algorithm::parse(header["alg"].as_str().unwrap()).unwrap();
    match set.select(header["kid"].as_str(), algorithm) {
        Selection::Found(key, _) => key.verifies(signed.as_bytes(), &signature),
        _ => false,
    }
}

#[test]
fn signatures_of_the_rfcs_verify_and_with_one_bit_changed_they_do_not() {
    let mut verified = 0;
    for vector in vectors().tokens {
        let Some(key) = &vector.key else { continue };
        let set = key_set(key);
        assert!(signature_holds(&vector.token, &set), "{}: {}", vector.source, vector.what);
        let (signed, signature) = vector.token.rsplit_once('.').unwrap();
        let mut bytes = unb64(signature);
        for position in [0, bytes.len() / 2, bytes.len() - 1] {
            bytes[position] ^= 1;
            assert!(!signature_holds(&format!("{signed}.{}", b64(&bytes)), &set), "{}", vector.source);
            bytes[position] ^= 1;
        }
        verified += 1;
    }
    assert_eq!(verified, 11);
}

#[test]
fn tokens_of_the_rfcs_get_the_verdict_that_is_listed() {
    for vector in vectors().tokens {
        let keys: Vec<Value> = vector.key.iter().filter(|key| key["kty"] != "oct").cloned().map(Value::Object).collect();
        let set = if keys.is_empty() { set(&[Signer::shared().jwk(Some("other"))]) } else { set(&keys) };
        let mut provider = provider(ir::Jwks::Inline(set));
        provider.algorithms = ASYMMETRIC.map(Into::into).to_vec();
        let codes = ["joe", "hobbiton.example"].map(|issuer| {
            provider.issuer = issuer.into();
            // What cannot stand in the header field does not get further (RFC 6750 section 2.1).
            let sendable = is_token68(vector.token.as_bytes());
            let verdict =
                if sendable { judge(&build(&provider).unwrap(), &vector.token, now()) } else { Err(Reason::CredentialMalformed) };
            verdict.expect_err(&vector.source).code()
        });
        let fits = |code: &&str| **code == vector.verdict || **code == *"token_issuer_unknown";
        assert!(
            codes.iter().all(fits) && codes.contains(&vector.verdict.as_str()),
            "{} ({}): {codes:?}",
            vector.source,
            vector.what
        );
    }
}

#[test]
fn keys_of_the_rfcs_are_used_as_far_as_they_verify_and_private_ones_never() {
    for vector in vectors().keys {
        let set = KeySet::parse(json!({ "keys": [vector.jwk] }).to_string().as_bytes(), &all()).unwrap();
        let kid = vector.jwk["kid"].as_str();
        let usable: Vec<&str> = ASYMMETRIC
            .into_iter()
            .filter(|name| matches!(set.select(kid, Algorithm::parse(name).unwrap()), Selection::Found(..)))
            .collect();
        assert_eq!(usable, vector.usable, "{}: {}", vector.source, vector.what);
    }
}

#[test]
fn the_page_lists_every_vector() {
    let page = include_str!("../../../../docs/providers/jwt.md");
    let Vectors { tokens, keys } = vectors();
    for token in tokens {
        let row = format!("| {} | {} | ", token.source, token.what);
        let line = page.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("no row `{row}`"));
        assert!(line.contains(&format!("`{}`", token.verdict)), "{line}");
        assert_eq!(line.contains("verifies"), token.key.is_some(), "{line}");
    }
    for key in keys {
        let row = format!("| {} | {} | ", key.source, key.what);
        let line = page.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("no row `{row}`"));
        assert_eq!(line.contains("not used"), key.usable.is_empty(), "{line}");
    }
}
