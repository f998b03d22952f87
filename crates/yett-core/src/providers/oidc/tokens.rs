//! What the token endpoint answers, and what an ID token has to say (OpenID Connect Core sections 3.1.3.3 and 3.1.3.7).

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::login::Wanted;
use super::token::Token;
use crate::exchange::{Now, Refusal};
use crate::providers::jwk::Algorithm;
use crate::providers::{claims, json, refuse};
use crate::reason::Reason;

/// Bytes of a refresh token that is kept; what is larger is as good as none.
const REFRESH_BYTES: usize = 3072;
/// Longest subject (OpenID Connect Core section 2).
const SUBJECT_BYTES: usize = 255;

/// What the token endpoint gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Not believed yet. Always there after a login, and maybe after a refresh.
    pub id_token: Option<Token>,
    /// Only to compare `at_hash` with, and for how long it counts; nobody keeps it.
    pub access_token: Token,
    /// Seconds.
    pub expires_in: Option<u64>,
    /// The next refresh token.
    pub refresh_token: Option<Token>,
    /// What was granted, where that is not what was asked for.
    pub scope: Option<String>,
}

fn failed(detail: &str) -> Refusal {
    refuse(Reason::LoginFailed, detail)
}

impl Tokens {
    /// Reads a successful answer (RFC 6749 section 5.1).
    ///
    /// # Errors
    /// `login_failed`: no JSON, a name twice, a part of another type, a kind of token that is no bearer token.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        let answer = json::object(body).ok_or_else(|| failed("the token endpoint did not answer with a JSON object"))?;
        let text = |name: &str| match answer.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.bytes().all(|b| (0x20..0x7f).contains(&b)) => Ok(Some(text.clone())),
            Some(_) => Err(failed("a part of the token endpoint's answer is not a text")),
        };
        let kind = text("token_type")?.unwrap_or_default();
        if !kind.eq_ignore_ascii_case("bearer") {
            return Err(failed("the token endpoint did not give a bearer token"));
        }
        let expires_in = match answer.get("expires_in") {
            None | Some(Value::Null) => None,
            Some(number) => Some(number.as_u64().ok_or_else(|| failed("`expires_in` is not a number of seconds"))?),
        };
        Ok(Self {
            id_token: text("id_token")?.map(Token),
            access_token: Token(text("access_token")?.ok_or_else(|| failed("the token endpoint gave no access token"))?),
            expires_in,
            refresh_token: text("refresh_token")?.filter(|token| (1..=REFRESH_BYTES).contains(&token.len())).map(Token),
            scope: text("scope")?,
        })
    }
}

/// What an ID token has to fit to.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `iss`
    pub issuer: &'a str,
    /// Our `client_id`.
    pub client: &'a str,
    /// The `nonce` of the login; after a refresh there need not be one.
    pub nonce: Option<&'a str>,
    /// What `at_hash` is of.
    pub access_token: &'a str,
    /// What `c_hash` is of.
    pub code: Option<&'a str>,
    /// What was asked for.
    pub wanted: &'a Wanted,
    /// Seconds that clocks may differ.
    pub leeway_s: u64,
    /// What the token was signed with.
    pub algorithm: Algorithm,
}

/// Judges the claims of an ID token whose signature is good.
///
/// # Errors
/// `login_failed` with what does not fit; `insufficient_user_authentication` where the provider did not log the person in as
/// it was asked to.
pub fn judge(claims: &Map<String, Value>, expected: &Expected<'_>, now: Now) -> Result<(), Refusal> {
    let text = |name: &str| claims::text(claims, name).map_err(|_| failed("a claim of the ID token has the wrong type"));
    let date = |name: &str| claims::date(claims, name).map_err(|_| failed("a date in the ID token is not a number of seconds"));
    if text("iss")? != Some(expected.issuer) {
        return Err(failed("the ID token is another identity provider's"));
    }
    audience(claims, expected.client, text("azp")?)?;
    let now_s = now.unix_ms / 1000;
    let leeway = expected.leeway_s;
    let expires = date("exp")?.ok_or_else(|| failed("the ID token does not say when it ends"))?;
    let issued = date("iat")?.ok_or_else(|| failed("the ID token does not say when it was made"))?;
    if now_s >= expires.saturating_add(leeway) {
        return Err(failed("the ID token has expired"));
    }
    if issued.max(date("nbf")?.unwrap_or(0)) > now_s.saturating_add(leeway) {
        return Err(failed("the ID token is not valid yet"));
    }
    match (expected.nonce, text("nonce")?) {
        (Some(own), Some(theirs)) if constant_time::verify_slices_are_equal(own.as_bytes(), theirs.as_bytes()).is_ok() => {}
        (Some(_), _) => return Err(failed("the ID token was not made for this login")),
        // One that nobody asked for again may be the first one's (section 12.2), which is not kept.
        (None, _) => {}
    }
    if let Some(hash) = text("at_hash")?
        && half_hash(expected.algorithm, expected.access_token).as_deref() != Some(hash)
    {
        return Err(failed("the ID token belongs to another access token"));
    }
    if let (Some(hash), Some(code)) = (text("c_hash")?, expected.code)
        && half_hash(expected.algorithm, code).as_deref() != Some(hash)
    {
        return Err(failed("the ID token belongs to another code"));
    }
    let subject = text("sub")?.unwrap_or_default();
    if subject.is_empty() || subject.len() > SUBJECT_BYTES {
        return Err(failed("the ID token names nobody"));
    }
    assured(expected.wanted, text("acr")?, date("auth_time")?, now_s, leeway)
}

/// We are the audience, and the only one (section 3.1.3.7, 3 to 5): others could have had the token made for them.
fn audience(claims: &Map<String, Value>, client: &str, azp: Option<&str>) -> Result<(), Refusal> {
    let fits = match claims.get("aud") {
        Some(Value::String(audience)) => audience == client,
        Some(Value::Array(list)) => {
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            let texts = texts.ok_or_else(|| failed("claim `aud` of the ID token is not a list of texts"))?;
            texts.contains(&client) && (texts.len() == 1 || azp == Some(client))
        }
        _ => false,
    };
    if !fits || azp.is_some_and(|party| party != client) {
        return Err(failed("the ID token was made for another client"));
    }
    Ok(())
}

/// Whether a login is as sure and as late as it has to be.
///
/// # Errors
/// `insufficient_user_authentication`
pub fn assured(wanted: &Wanted, acr: Option<&str>, auth_time: Option<u64>, now_s: u64, leeway_s: u64) -> Result<(), Refusal> {
    let strong = wanted.acr.is_empty() || acr.is_some_and(|acr| wanted.acr.iter().any(|one| **one == *acr));
    let fresh = wanted.max_age_s.is_none_or(|max_age| {
        auth_time.is_some_and(|at| {
            now_s <= at.saturating_add(max_age).saturating_add(leeway_s) && at <= now_s.saturating_add(leeway_s)
        })
    });
    if strong && fresh { Ok(()) } else { Err(Reason::InsufficientUserAuthentication.into()) }
}

/// The left half of the hash that the algorithm uses (section 3.1.3.6); `None` for an algorithm that is not known.
fn half_hash(algorithm: Algorithm, text: &str) -> Option<String> {
    let name = format!("{algorithm:?}");
    let hash = match name.get(2..)? {
        "256" => &digest::SHA256,
        "384" => &digest::SHA384,
        // Ed25519 hashes with SHA-512.
        "512" | "DsA" | "Dsa" => &digest::SHA512,
        _ => return None,
    };
    let whole = digest::digest(hash, text.as_bytes());
    Some(URL_SAFE_NO_PAD.encode(whole.as_ref().get(..whole.as_ref().len() / 2)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const T: u64 = 1_800_000_000;

    fn claims() -> Value {
        json!({"iss": "https://id.example", "aud": "gateway", "sub": "ann", "exp": T + 300, "iat": T - 1, "nonce": "n"})
    }

    fn verdict(changes: &Value, change: impl Fn(&mut Expected<'_>)) -> Result<(), Reason> {
        let mut claims = claims();
        for (name, value) in changes.as_object().unwrap() {
            if value == "absent" {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        let anything = Wanted::default();
        let mut expected = Expected {
            issuer: "https://id.example",
            client: "gateway",
            nonce: Some("n"),
            access_token: "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
            code: Some("c"),
            wanted: &anything,
            leeway_s: 30,
            algorithm: Algorithm::Rs256,
        };
        change(&mut expected);
        let now = Now { monotonic_ns: 0, unix_ms: T * 1000 };
        judge(claims.as_object().unwrap(), &expected, now).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn a_good_id_token() {
        assert_eq!(verdict(&json!({}), |_| {}), Ok(()));
        assert_eq!(verdict(&json!({"aud": ["gateway"], "azp": "gateway"}), |_| {}), Ok(()));
        assert_eq!(verdict(&json!({"aud": ["gateway", "other"], "azp": "gateway"}), |_| {}), Ok(()));
        assert_eq!(verdict(&json!({"nonce": "absent"}), |e| e.nonce = None), Ok(()));
        // The example of OpenID Connect Core appendix A.3.
        assert_eq!(verdict(&json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), |_| {}), Ok(()));
    }

    #[test]
    fn everything_that_does_not_fit_fails() {
        for changes in [
            json!({"iss": "https://evil.example"}),
            json!({"iss": "https://id.example/"}),
            json!({"iss": "absent"}),
            json!({"aud": "other"}),
            json!({"aud": ["other"]}),
            json!({"aud": ["gateway", "other"]}),
            json!({"aud": ["gateway", "other"], "azp": "other"}),
            json!({"aud": "gateway", "azp": "other"}),
            json!({"aud": ["gateway", 1], "azp": "gateway"}),
            json!({"aud": "absent"}),
            json!({"aud": {}}),
            json!({"azp": 1}),
            json!({"sub": "absent"}),
            json!({"sub": ""}),
            json!({"sub": 1}),
            json!({"sub": "a\nb"}),
            json!({"sub": "a".repeat(256)}),
            json!({"exp": "absent"}),
            json!({"exp": T - 30}),
            json!({"exp": (T + 9).to_string()}),
            json!({"iat": "absent"}),
            json!({"iat": T + 31}),
            json!({"iat": 1.5}),
            json!({"nbf": T + 31}),
            json!({"nonce": "absent"}),
            json!({"nonce": "N"}),
            json!({"nonce": ""}),
            json!({"nonce": null}),
            json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RR"}),
            json!({"at_hash": 1}),
            json!({"c_hash": "77QmUPtjPfzWtF2AnpK9RQ"}),
        ] {
            assert_eq!(verdict(&changes, |_| {}), Err(Reason::LoginFailed), "{changes}");
        }
        assert_eq!(verdict(&json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), |e| e.access_token = "x"), Err(Reason::LoginFailed));
        assert_eq!(
            verdict(&json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), |e| e.algorithm = Algorithm::Rs384),
            Err(Reason::LoginFailed)
        );
    }

    #[test]
    fn every_algorithm_has_its_hash() {
        for (name, bytes) in [("RS256", 16), ("PS384", 24), ("ES256", 16), ("ES384", 24), ("RS512", 32), ("EdDSA", 32)] {
            let half = half_hash(Algorithm::parse(name).unwrap(), "x").unwrap();
            assert_eq!(URL_SAFE_NO_PAD.decode(half).unwrap().len(), bytes, "{name}");
        }
    }

    #[test]
    fn the_login_is_as_it_was_asked_for() {
        let gold = Wanted { acr: vec!["gold".into(), "silver".into()], max_age_s: Some(300) };
        let ask = |changes: Value| {
            let mut claims = claims();
            claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            let acr = claims["acr"].as_str();
            assured(&gold, acr, claims["auth_time"].as_u64(), T, 30).is_ok()
        };
        assert!(ask(json!({"acr": "silver", "auth_time": T - 300})) && ask(json!({"acr": "gold", "auth_time": T - 330})));
        for bad in [
            json!({"acr": "bronze", "auth_time": T}),
            json!({"auth_time": T}),
            json!({"acr": "gold"}),
            json!({"acr": "gold", "auth_time": T - 331}),
            json!({"acr": "gold", "auth_time": T + 31}),
        ] {
            assert!(!ask(bad.clone()), "{bad}");
        }
        assert!(assured(&Wanted::default(), None, None, T, 0).is_ok());
    }

    #[test]
    fn what_the_token_endpoint_may_answer() {
        let read = |value: Value| Tokens::read(value.to_string().as_bytes()).map_err(|refusal| refusal.reason);
        let good = json!({"access_token": "a", "token_type": "bearer", "expires_in": 60, "id_token": "i", "refresh_token": "r"});
        let tokens = read(good.clone()).unwrap();
        assert_eq!((tokens.expires_in, tokens.refresh_token, tokens.scope), (Some(60), Some(Token("r".into())), None));
        for (name, value) in [
            ("access_token", json!(null)),
            ("access_token", json!(1)),
            ("token_type", json!("DPoP")),
            ("token_type", json!(null)),
            ("expires_in", json!("60")),
            ("expires_in", json!(-1)),
            ("expires_in", json!(1.5)),
            ("id_token", json!({})),
            ("refresh_token", json!(["r"])),
            ("scope", json!(["a"])),
            ("id_token", json!("a\nb")),
        ] {
            let mut bad = good.clone();
            bad[name] = value.clone();
            assert_eq!(read(bad).map(drop), Err(Reason::LoginFailed), "{name} {value}");
        }
        assert!(Tokens::read(b"[]").is_err() && Tokens::read(b"{\"a\":1,\"a\":1}").is_err() && Tokens::read(b"").is_err());
        let mut large = good;
        large["refresh_token"] = "r".repeat(REFRESH_BYTES + 1).into();
        assert_eq!(read(large).unwrap().refresh_token, None);
    }
}
