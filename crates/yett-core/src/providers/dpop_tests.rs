//! The examples of RFC 9449, and every check of its section 4.3 failing by itself.

use std::rc::Rc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};

use super::dpop::{Dpop, Proved};
use super::jwk::{self, sha256};
use crate::exchange::{ConnectionInfo, Exchange, Method, Now, Refusal};
use crate::ir;
use crate::reason::Reason;

/// RFC 9449 section 7.1, figure 12.
const TOKEN: &[u8] = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const PROOF: &str = concat!(
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFV",
    "ZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.",
    "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJj",
    "ZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.",
    "2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA",
);
/// RFC 9449 section 5, figure 4: a proof for the token endpoint, without `ath`.
const TOKEN_ENDPOINT_PROOF: &str = concat!(
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFV",
    "ZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.",
    "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYy",
    "MjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
);
/// RFC 9449 section 6.1: `jkt` of the key of both.
const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const IAT: u64 = 1_562_262_618;

fn jkt(text: &str) -> [u8; 32] {
    B64.decode(text).unwrap().try_into().unwrap()
}

fn at(unix_s: u64) -> Now {
    Now { monotonic_ns: 0, unix_ms: unix_s * 1000 }
}

fn request(method: &str, url: &str, proofs: &[&str]) -> Exchange {
    let info = ConnectionInfo {
        peer: "192.0.2.1:1".parse().unwrap(),
        listener: "l".into(),
        tls: url.starts_with("https"),
        sni: None,
        client_certificate: None,
        ja4: None,
    };
    let mut exchange = Exchange::new(Rc::new(info));
    let (authority, path) = url.split_once("://").unwrap().1.split_once('/').unwrap();
    exchange.request.method = Method::parse(method.as_bytes()).unwrap();
    exchange.authority = authority.as_bytes().to_vec();
    exchange.host = authority.split(':').next().unwrap().to_ascii_lowercase();
    exchange.path.parse_into(format!("/{path}").as_bytes()).unwrap();
    for proof in proofs {
        exchange.request.headers.push(b"dpop", proof.as_bytes()).unwrap();
    }
    exchange
}

fn dpop(spec: &ir::Dpop) -> Dpop {
    Dpop::build(spec, None, &[7; 32]).unwrap()
}

fn example(exchange: &Exchange, now: u64) -> Result<Proved, Refusal> {
    dpop(&ir::Dpop::default()).check(exchange, TOKEN, &jkt(JKT), 0, at(now))
}

#[test]
fn the_examples_of_the_rfc() {
    let exchange = request("GET", "https://resource.example.org/protectedresource", &[PROOF]);
    let proved = example(&exchange, IAT).unwrap();
    assert_eq!(proved.until_ms, (IAT + 61) * 1000);
    // the same proof again has the same key, which the store has seen
    assert_eq!(example(&exchange, IAT + 60).unwrap().key, proved.key);
    assert_eq!(B64.encode(sha256(TOKEN)), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    // a proof for the token endpoint is for no request with a token
    let exchange = request("POST", "https://server.example.com/token", &[TOKEN_ENDPOINT_PROOF]);
    assert_eq!(example(&exchange, IAT).unwrap_err().detail.as_deref(), Some("`ath` is missing"));
}

#[test]
fn thumbprints_are_those_of_rfc_7638_and_rfc_8037() {
    let of = |jwk: Value| jwk::thumbprint(jwk.as_object().unwrap()).map(|print| B64.encode(print));
    let okp = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "passed over"});
    assert_eq!(of(okp).as_deref(), Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
    assert_eq!(of(json!({"kty": "oct", "k": "AAAA"})), None);
    assert_eq!(of(json!({"kty": "EC", "crv": "P-256", "x": "A\"", "y": "A"})), None);
}

/// A key of a client, and proofs signed with it.
struct Client {
    pair: EcdsaKeyPair,
    jwk: Value,
}

impl Client {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": B64.encode(&point[1..33]), "y": B64.encode(&point[33..])});
        Self { pair, jwk }
    }

    fn jkt(&self) -> [u8; 32] {
        jwk::thumbprint(self.jwk.as_object().unwrap()).unwrap()
    }

    /// A proof that holds, but for `header` and `claims`: null takes something away.
    fn proof(&self, header: Value, claims: Value) -> String {
        let mut fields = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk});
        let mut body =
            json!({"jti": "1", "htm": "GET", "htu": "https://api.test/a", "iat": IAT, "ath": B64.encode(sha256(TOKEN))});
        for (into, changes) in [(&mut fields, header), (&mut body, claims)] {
            for (name, value) in changes.as_object().unwrap() {
                into[name] = value.clone();
            }
            into.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        }
        let signed = format!("{}.{}", B64.encode(fields.to_string()), B64.encode(body.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", B64.encode(signature))
    }
}

#[test]
fn everything_that_is_wrong_refuses_by_itself() {
    let client = Client::new();
    let check = |proof: &str| {
        let exchange = request("GET", "https://api.test/a", &[proof]);
        dpop(&ir::Dpop::default()).check(&exchange, TOKEN, &client.jkt(), 0, at(IAT))
    };
    let nothing = json!({});
    check(&client.proof(nothing.clone(), nothing.clone())).unwrap();
    let private = {
        let mut jwk = client.jwk.clone();
        jwk["d"] = json!("AAAA");
        jwk
    };
    for header in [
        json!({"typ": "JWT"}),
        json!({"typ": null}),
        json!({"typ": "DPoP+jwt"}),
        json!({"alg": "HS256"}),
        json!({"alg": "none"}),
        json!({"alg": "ES384"}),
        json!({"alg": "ES512"}),
        json!({"alg": null}),
        json!({"jwk": null}),
        json!({"jwk": private}),
        json!({"jwk": "text"}),
        json!({"crit": ["x"], "x": 1}),
        json!({"x5c": ["AAAA"]}),
        json!({"jku": "https://evil.test"}),
    ] {
        assert_eq!(check(&client.proof(header.clone(), nothing.clone())).unwrap_err().reason, Reason::ProofInvalid, "{header}");
    }
    for claims in [
        json!({"jti": null}),
        json!({"jti": ""}),
        json!({"jti": 1}),
        json!({"jti": "x".repeat(257)}),
        json!({"htm": null}),
        json!({"htm": "POST"}),
        json!({"htm": "get"}),
        json!({"htu": null}),
        json!({"htu": "https://api.test/b"}),
        json!({"htu": "http://api.test/a"}),
        json!({"htu": "https://other.test/a"}),
        json!({"htu": "https://api.test:444/a"}),
        json!({"htu": "https://api.test/a/"}),
        json!({"htu": "/a"}),
        json!({"htu": "https://me@api.test/a"}),
        json!({"iat": null}),
        json!({"iat": IAT as f64}),
        json!({"iat": format!("{IAT}")}),
        json!({"iat": -1}),
        json!({"iat": IAT - 61}),
        json!({"iat": IAT + 6}),
        json!({"ath": null}),
        json!({"ath": B64.encode(sha256(b"another token"))}),
    ] {
        assert_eq!(check(&client.proof(nothing.clone(), claims.clone())).unwrap_err().reason, Reason::ProofInvalid, "{claims}");
    }
    let good = client.proof(nothing.clone(), nothing.clone());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = client.proof(nothing.clone(), json!({"jti": "2"}));
    for proof in [
        format!("{signed}.{}", other.rsplit_once('.').unwrap().1),
        format!("{signed}."),
        format!("{signed}.{signature}.x"),
        signed.to_owned(),
        String::from("x"),
        format!("{good}="),
        format!("{}{signature}", "A".repeat(5000)),
    ] {
        assert_eq!(check(&proof).unwrap_err().reason, Reason::ProofInvalid, "{proof}");
    }
    // another client's proof
    assert_eq!(check(&Client::new().proof(nothing.clone(), nothing)).unwrap_err().reason, Reason::NotBound);
}

#[test]
fn one_proof_and_not_from_before_anything_was_remembered() {
    let client = Client::new();
    let proof = client.proof(json!({}), json!({}));
    let dpop = dpop(&ir::Dpop::default());
    let check = |proofs: &[&str], since_ms| {
        let exchange = request("GET", "https://api.test/a", proofs);
        dpop.check(&exchange, TOKEN, &client.jkt(), since_ms, at(IAT)).map(|_| ()).map_err(|refusal| refusal.reason)
    };
    assert_eq!(check(&[], 0), Err(Reason::ProofMissing));
    assert_eq!(check(&[&proof, &proof], 0), Err(Reason::ProofInvalid));
    assert_eq!(check(&[&proof], IAT * 1000), Ok(()));
    assert_eq!(check(&[&proof], IAT * 1000 + 1), Err(Reason::ProofInvalid));
}

#[test]
fn addresses_are_compared_as_they_are_meant() {
    let client = Client::new();
    for (htu, url) in [
        ("HTTPS://API.test:443/a%7e%2f", "https://api.test/a~%2F"),
        ("https://api.test/%61", "https://api.test/a"),
        ("https://api.test", "https://api.test/"),
        ("https://api.test/a?x=1#y", "https://api.test/a"),
        ("https://api.test:8443/a", "https://api.test:8443/a"),
        ("https://api.test:/a", "https://api.test/a"),
        ("http://api.test:80/a", "http://api.test/a"),
        ("http://api.test/a", "http://api.test:80/a"),
    ] {
        let proof = client.proof(json!({}), json!({"htu": htu}));
        let exchange = request("GET", url, &[&proof]);
        assert!(dpop(&ir::Dpop::default()).check(&exchange, TOKEN, &client.jkt(), 0, at(IAT)).is_ok(), "{htu} {url}");
    }
    for (htu, url) in [("https://api.test/a%2fb", "https://api.test/a/b"), ("https://api.test/A", "https://api.test/a")] {
        let proof = client.proof(json!({}), json!({"htu": htu}));
        let exchange = request("GET", url, &[&proof]);
        assert!(dpop(&ir::Dpop::default()).check(&exchange, TOKEN, &client.jkt(), 0, at(IAT)).is_err(), "{htu} {url}");
    }
}

#[test]
fn a_nonce_is_asked_for_and_renewed() {
    let client = Client::new();
    let spec = ir::Dpop { nonce_ms: Some(10_000), max_age_s: 600, ..ir::Dpop::default() };
    let dpop = dpop(&spec);
    let check = |claims: Value, now| {
        let exchange = request("GET", "https://api.test/a", &[&client.proof(json!({}), claims)]);
        dpop.check(&exchange, TOKEN, &client.jkt(), 0, at(now)).map(|proved| proved.renew).map_err(|refusal| refusal.reason)
    };
    assert_eq!(check(json!({}), IAT), Err(Reason::ProofNonce));
    assert_eq!(check(json!({"nonce": "made up"}), IAT), Err(Reason::ProofNonce));
    let nonce = dpop.nonce(at(IAT)).unwrap();
    assert_eq!(check(json!({"nonce": *nonce}), IAT), Ok(false));
    assert_eq!(check(json!({"nonce": *nonce}), IAT + 5), Ok(true));
    assert_eq!(check(json!({"nonce": *nonce}), IAT + 15), Err(Reason::ProofNonce));
}
