//! The end of a session: begun here (OpenID Connect RP-Initiated Logout 1.0), told by the provider to the gateway
//! (Back-Channel Logout 1.0), or told by it to the browser (Front-Channel Logout 1.0).

use serde_json::{Map, Value};

use super::query::{Parameters, with_parameters};
use super::session::Session;
use crate::exchange::{Now, Refusal};
use crate::providers::{claims, refuse};
use crate::reason::Reason;

/// What a logout token is about (Back-Channel Logout section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Oldest logout token, seconds: as long its `jti` is remembered (section 2.6 leaves it to us; its `exp` may be nearer).
pub const TOKEN_S: u64 = 600;
/// Longest `jti`, `sid` and `sub`.
const TEXT_BYTES: usize = 255;

/// Where the browser goes to log out at the provider (RP-Initiated Logout section 2).
#[must_use]
pub fn location(end_session: &str, client: &str, back: &str, session: Option<&Session>) -> String {
    let hint = session.and_then(|session| session.id_token.as_ref());
    let mut parameters = vec![("client_id", client), ("post_logout_redirect_uri", back)];
    if let Some(hint) = hint {
        parameters.push(("id_token_hint", hint.0.as_str()));
    }
    with_parameters(end_session, parameters)
}

/// Whose sessions a provider says are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// One session at the provider.
    pub sid: Option<Box<str>>,
    /// All of a person.
    pub sub: Option<Box<str>>,
    /// The token's own name: it counts once.
    pub jti: Box<str>,
    /// `iat`, seconds since 1970.
    pub issued_s: u64,
    /// Until when the name has to be remembered, milliseconds since 1970.
    pub until_ms: u64,
}

/// Judges the claims of a logout token whose signature is good (Back-Channel Logout section 2.6).
///
/// # Errors
/// `logout_token_invalid` with what does not fit.
pub fn judge(token: &Map<String, Value>, issuer: &str, client: &str, leeway_s: u64, now: Now) -> Result<Ended, Refusal> {
    let invalid = |detail: &str| refuse(Reason::LogoutTokenInvalid, detail);
    let text = |name: &str| {
        let text = claims::text(token, name).map_err(|_| invalid("a claim has the wrong type"))?;
        match text {
            Some(text) if text.is_empty() || text.len() > TEXT_BYTES => Err(invalid("a claim is empty or too long")),
            other => Ok(other),
        }
    };
    let date = |name: &str| claims::date(token, name).map_err(|_| invalid("a date is not a number of seconds"));
    if text("iss")? != Some(issuer) {
        return Err(invalid("it is another identity provider's"));
    }
    let ours = match token.get("aud") {
        Some(Value::String(audience)) => audience == client,
        Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(client)),
        _ => false,
    };
    if !ours {
        return Err(invalid("it was made for another client"));
    }
    let now_s = now.unix_ms / 1000;
    let issued = date("iat")?.ok_or_else(|| invalid("it does not say when it was made"))?;
    let oldest = issued.saturating_add(TOKEN_S);
    let expires = date("exp")?.map_or(oldest, |exp| exp.min(oldest)).saturating_add(leeway_s);
    if issued > now_s.saturating_add(leeway_s) || now_s >= expires {
        return Err(invalid("it has expired, or is not valid yet"));
    }
    // An ID token has one, and must never pass for a logout.
    if token.contains_key("nonce") {
        return Err(invalid("it has a `nonce`"));
    }
    let events = token.get("events").and_then(Value::as_object).and_then(|events| events.get(EVENT));
    if !events.is_some_and(Value::is_object) {
        return Err(invalid("it is not about a logout"));
    }
    let (sid, sub) = (text("sid")?, text("sub")?);
    if sid.is_none() && sub.is_none() {
        return Err(invalid("it names neither a session nor a person"));
    }
    let jti = text("jti")?.ok_or_else(|| invalid("it has no `jti`"))?;
    let own = |text: Option<&str>| text.map(Into::into);
    Ok(Ended { sid: own(sid), sub: own(sub), jti: jti.into(), issued_s: issued, until_ms: expires.saturating_mul(1000) })
}

/// The token of a back-channel request's body.
///
/// # Errors
/// `logout_token_invalid`
pub fn token_of(body: &[u8]) -> Result<String, Refusal> {
    let form = Parameters::read(body).ok_or_else(|| refuse(Reason::LogoutTokenInvalid, "the form cannot be read"))?;
    match form.one("logout_token") {
        Ok(Some(token)) if !token.is_empty() => Ok(token.to_owned()),
        _ => Err(refuse(Reason::LogoutTokenInvalid, "the form has not one `logout_token`")),
    }
}

/// Whether a front-channel request is about this session: it names the issuer and the session's own `sid` (Front-Channel
/// Logout section 2). Without a session of this browser it says nothing that could be believed: anybody can load it.
#[must_use]
pub fn is_about(query: &[u8], issuer: &str, session: &Session) -> bool {
    let Some(query) = Parameters::read(query) else { return false };
    query.one("iss") == Ok(Some(issuer)) && session.who.sid.as_deref().is_some_and(|own| query.one("sid") == Ok(Some(own)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::oidc::session::Who;
    use crate::providers::oidc::token::Token;
    use serde_json::json;

    const T: u64 = 1_800_000_000;

    fn claims() -> Value {
        json!({
            "iss": "https://id.example", "aud": "gateway", "iat": T, "exp": T + 120, "jti": "j", "sid": "s", "sub": "ann",
            "events": {EVENT: {}},
        })
    }

    fn verdict(changes: &Value, now_s: u64) -> Result<Ended, Reason> {
        let mut claims = claims();
        for (name, value) in changes.as_object().unwrap() {
            if value == "absent" {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        let now = Now { monotonic_ns: 0, unix_ms: now_s * 1000 };
        judge(claims.as_object().unwrap(), "https://id.example", "gateway", 30, now).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn a_logout_token_is_about_a_session_or_a_person() {
        let good = verdict(&json!({}), T).unwrap();
        assert_eq!((good.sid.as_deref(), good.sub.as_deref(), &*good.jti), (Some("s"), Some("ann"), "j"));
        assert_eq!(good.until_ms, (T + 150) * 1000);
        assert!(verdict(&json!({"sub": "absent"}), T).is_ok() && verdict(&json!({"sid": "absent"}), T).is_ok());
        assert!(verdict(&json!({"exp": "absent"}), T + 629).is_ok());
        for bad in [
            json!({"iss": "https://evil.example"}),
            json!({"iss": "absent"}),
            json!({"aud": "other"}),
            json!({"aud": ["other"]}),
            json!({"aud": "absent"}),
            json!({"iat": "absent"}),
            json!({"iat": T + 31}),
            json!({"exp": T - 30}),
            json!({"exp": "x"}),
            json!({"jti": "absent"}),
            json!({"jti": ""}),
            json!({"jti": "j".repeat(256)}),
            json!({"jti": 1}),
            json!({"sid": "absent", "sub": "absent"}),
            json!({"nonce": "n"}),
            json!({"nonce": null}),
            json!({"events": "absent"}),
            json!({"events": {}}),
            json!({"events": {EVENT: true}}),
            json!({"events": {"http://schemas.openid.net/event/other": {}}}),
            json!({"events": [EVENT]}),
        ] {
            assert_eq!(verdict(&bad, T), Err(Reason::LogoutTokenInvalid), "{bad}");
        }
        assert_eq!(verdict(&json!({"exp": T + 9999}), T + 630), Err(Reason::LogoutTokenInvalid));
    }

    #[test]
    fn the_form_has_one_token() {
        assert_eq!(token_of(b"logout_token=a.b.c").unwrap(), "a.b.c");
        for bad in [&b""[..], b"logout_token=", b"logout_token=a&logout_token=b", b"x=1", b"logout_token=%ff"] {
            assert!(token_of(bad).is_err());
        }
    }

    #[test]
    fn a_front_channel_request_names_the_session_of_its_browser() {
        let session = Session {
            id: "id".into(),
            host: "shop.example".into(),
            created_s: T,
            seen_s: T,
            access_s: None,
            refresh: None,
            id_token: Some(Token("hint".into())),
            who: Who { subject: "ann".into(), sid: Some("s".into()), ..Who::default() },
            ..Session::default()
        };
        let ask = |query: &str| is_about(query.as_bytes(), "https://id.example", &session);
        assert!(ask("iss=https%3A%2F%2Fid.example&sid=s"));
        for bad in [
            "",
            "sid=s",
            "iss=https%3A%2F%2Fid.example",
            "iss=https%3A%2F%2Fid.example&sid=t",
            "iss=x&sid=s",
            "iss=https%3A%2F%2Fid.example&sid=s&sid=s",
        ] {
            assert!(!ask(bad), "{bad}");
        }
        let url = location("https://id.example/end?x=1", "gateway", "https://shop.example/", Some(&session));
        assert_eq!(
            url,
            "https://id.example/end?x=1&client_id=gateway&post_logout_redirect_uri=https%3A%2F%2Fshop.example%2F&id_token_hint=hint"
        );
        assert!(!location("https://id.example/end", "gateway", "https://shop.example/", None).contains("hint"));
    }
}
