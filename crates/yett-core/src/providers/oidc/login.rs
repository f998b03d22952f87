//! A login under way: what the browser is sent to the provider with, and what has to fit together when it comes back
//! (OpenID Connect Core section 3.1, RFC 7636, RFC 9207).
//!
//! All that has to be remembered meanwhile is sealed into a cookie of that browser, one for each login: `state` names the
//! cookie and has to equal what is inside. So an answer counts only in the browser that began, whichever instance it
//! reaches, and nothing is kept in memory.

use aws_lc_rs::constant_time;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::cookie::{self, Fields, LOGINS};
use super::query::{Parameters, with_parameters};
use super::seal::{Bound, KeyRing, RANDOM};
use super::token::Token;
use crate::exchange::Refusal;
use crate::headers::Headers;
use crate::providers::jwk::sha256;
use crate::providers::refuse;
use crate::reason::Reason;

/// How long a login may take, seconds.
pub const LOGIN_S: u64 = 600;
/// Bytes of an address to return to; of a longer one only the path is kept, or the start page.
const RETURN_BYTES: usize = 1024;
/// Bytes of parameters that come back.
const STATE_BYTES: usize = 128;
const CODE_BYTES: usize = 2048;
/// Random bytes that beginning takes, without those of sealing.
const FRESH: usize = 32 + 16 + 16 + 6;
/// Random bytes that beginning takes.
pub const BEGIN_RANDOM: usize = FRESH + RANDOM;

/// How surely, and how lately, the person has to have logged in (RFC 9470).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// One of these as `acr`; none where any is fine.
    pub acr: Vec<Box<str>>,
    /// Seconds since the login at the provider.
    pub max_age_s: Option<u64>,
}

/// What is remembered of a login, sealed into its cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The whole `state`.
    #[serde(rename = "s")]
    state: Token,
    /// `nonce`
    #[serde(rename = "n")]
    pub nonce: Token,
    /// PKCE `code_verifier`
    #[serde(rename = "v")]
    pub verifier: Token,
    /// Path and query to return to.
    #[serde(rename = "r")]
    pub return_to: String,
    /// The authority at which it began.
    #[serde(rename = "h")]
    host: String,
    /// When it began, seconds since 1970.
    #[serde(rename = "t")]
    begun_s: u64,
    /// The `acr` values that were asked for.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    acr: Vec<Box<str>>,
    /// The `max_age` that was asked for.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    max_age_s: Option<u64>,
}

impl Pending {
    /// What was asked for.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        Wanted { acr: self.acr.clone(), max_age_s: self.max_age_s }
    }
}

/// What beginning a login needs to know of the provider.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The keys.
    pub ring: &'a KeyRing,
    /// What boxes are bound to (`Purpose::Login`).
    pub bound: Bound<'a>,
    /// The authorization endpoint.
    pub authorization: &'a str,
    /// `client_id`
    pub client: &'a str,
    /// `scope`
    pub scope: &'a str,
    /// Further parameters.
    pub parameters: &'a [(Box<str>, Box<str>)],
}

/// A login that begins here.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// Fields of the request.
    pub headers: &'a Headers,
    /// Its authority.
    pub host: &'a str,
    /// Where the provider sends the browser back to.
    pub redirect_uri: &'a str,
    /// Path and query to end at: of a route of this host.
    pub return_to: &'a str,
    /// What is asked for.
    pub wanted: &'a Wanted,
    /// Seconds since 1970.
    pub now_s: u64,
}

/// Where to send the browser, and what it has to keep.
#[derive(Debug, PartialEq, Eq)]
pub struct Begun {
    /// `Location`
    pub location: String,
    /// `Set-Cookie`
    pub cookies: Fields,
}

/// Begins; `None` only if the library fails.
#[must_use]
pub fn begin(client: &Client<'_>, start: &Start<'_>, random: &[u8; BEGIN_RANDOM]) -> Option<Begun> {
    let (verifier, rest) = random.split_at_checked(32)?;
    let (nonce, rest) = rest.split_at_checked(16)?;
    let (secret, rest) = rest.split_at_checked(16)?;
    let (id, seal) = rest.split_at_checked(6)?;
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let id = text(id);
    let pending = Pending {
        state: Token(format!("{id}.{}", text(secret))),
        nonce: Token(text(nonce)),
        verifier: Token(text(verifier)),
        return_to: shortened(start.return_to).to_owned(),
        host: start.host.to_owned(),
        begun_s: start.now_s,
        acr: start.wanted.acr.clone(),
        max_age_s: start.wanted.max_age_s,
    };
    let sealed = client.ring.seal(&client.bound, &serde_json::to_vec(&pending).ok()?, seal.try_into().ok()?)?;
    let mut cookies = crowd_out(client, start);
    cookies.push(cookie::set(&cookie::login_name(client.bound.provider, &id), &sealed, LOGIN_S));
    let challenge = text(&sha256(pending.verifier.0.as_bytes()));
    let max_age = pending.max_age_s.map(|seconds| seconds.to_string());
    let acr = pending.acr.join(" ");
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", client.client),
        ("redirect_uri", start.redirect_uri),
        ("scope", client.scope),
        ("state", pending.state.0.as_str()),
        ("nonce", pending.nonce.0.as_str()),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    parameters.extend(client.parameters.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
    if !acr.is_empty() {
        parameters.push(("acr_values", acr.as_str()));
    }
    if let Some(max_age) = &max_age {
        parameters.push(("max_age", max_age.as_str()));
    }
    Some(Begun { location: with_parameters(client.authorization, parameters), cookies })
}

/// An address that fits into the cookie.
fn shortened(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    if target.len() <= RETURN_BYTES {
        target
    } else if path.len() <= RETURN_BYTES {
        path
    } else {
        "/"
    }
}

/// Takes away logins under way that are one too many: what cannot be read first, then the oldest.
fn crowd_out(client: &Client<'_>, start: &Start<'_>) -> Fields {
    let mut open: Vec<(u64, String)> = cookie::logins(start.headers, client.bound.provider)
        .map(|(id, value)| (read(client, value).map_or(0, |pending| pending.begun_s), id.to_owned()))
        .collect();
    open.sort();
    let extra = open.len().saturating_add(1).saturating_sub(LOGINS);
    open.iter().take(extra).map(|(_, id)| cookie::clear(&cookie::login_name(client.bound.provider, id))).collect()
}

fn read(client: &Client<'_>, value: &[u8]) -> Option<Pending> {
    serde_json::from_slice(&client.ring.open(&client.bound, value)?).ok()
}

/// An answer that belongs to a login of this browser.
#[derive(Debug)]
pub struct Returned {
    /// The login.
    pub pending: Pending,
    /// `code`, or why there is none.
    pub code: Result<Token, Refusal>,
    /// Takes the login's cookie away: it counts once.
    pub clear: Box<str>,
}

/// What the provider's answer is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// Fields of the request.
    pub headers: &'a Headers,
    /// Its authority.
    pub host: &'a str,
    /// Its query.
    pub query: &'a [u8],
    /// The provider's issuer.
    pub issuer: &'a str,
    /// Whether the provider says that it always sends `iss` (RFC 9207 section 3).
    pub names_issuer: bool,
    /// Seconds since 1970.
    pub now_s: u64,
}

/// Finds the login that an answer belongs to.
///
/// # Errors
/// `login_state_invalid` where it belongs to none of this browser; nothing of the answer counts then.
pub fn returned(client: &Client<'_>, answered: &Answered<'_>) -> Result<Returned, Refusal> {
    let invalid = |detail: &str| refuse(Reason::LoginStateInvalid, detail);
    let query = Parameters::read(answered.query).ok_or_else(|| invalid("the answer cannot be read"))?;
    let one = |name| query.one(name).map_err(|_| invalid("a parameter of the answer stands twice"));
    let state = one("state")?.filter(|state| state.len() <= STATE_BYTES).ok_or_else(|| invalid("the answer has no `state`"))?;
    let (id, _) = state.split_once('.').ok_or_else(|| invalid("the answer's `state` is not ours"))?;
    let name = cookie::login_name(client.bound.provider, id);
    let elsewhere = || invalid("this browser has no such login under way: it was begun elsewhere, is over, or took too long");
    let sealed = cookie::read(answered.headers, &name).ok_or_else(elsewhere)?;
    let pending = read(client, &sealed).ok_or_else(elsewhere)?;
    if constant_time::verify_slices_are_equal(pending.state.0.as_bytes(), state.as_bytes()).is_err() {
        return Err(elsewhere());
    }
    let age = answered.now_s.checked_sub(pending.begun_s.saturating_sub(60));
    if age.is_none_or(|age| age >= LOGIN_S.saturating_add(60)) || pending.host != answered.host {
        return Err(elsewhere());
    }
    // Before anything else of the answer is looked at: it may be another provider's (RFC 9207 section 2.4).
    match one("iss")? {
        Some(issuer) if issuer == answered.issuer => {}
        Some(_) => return Err(invalid("the answer is another identity provider's")),
        None if answered.names_issuer => return Err(invalid("the answer does not say which identity provider it is from")),
        None => {}
    }
    let code = match (one("error")?, one("code")?) {
        (Some(error), _) => Err(refused(error)),
        (None, Some(code)) if (1..=CODE_BYTES).contains(&code.len()) => Ok(Token(code.to_owned())),
        (None, _) => Err(refuse(Reason::LoginFailed, "the identity provider sent no code")),
    };
    Ok(Returned { pending, code, clear: cookie::clear(&name) })
}

/// Errors that may be repeated (RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6); others are only called so.
fn refused(error: &str) -> Refusal {
    const KNOWN: [&str; 12] = [
        "access_denied",
        "invalid_request",
        "unauthorized_client",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "interaction_required",
        "login_required",
        "account_selection_required",
        "consent_required",
        "unmet_authentication_requirements",
    ];
    match KNOWN.iter().find(|known| **known == error) {
        Some(known) => refuse(Reason::LoginRefused, format!("the identity provider says `{known}`")),
        None => refuse(Reason::LoginRefused, "the identity provider says no"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::oidc::seal::Purpose;
    use base64::engine::general_purpose::STANDARD;

    const T: u64 = 1_800_000_000;
    const POLICY: [u8; 32] = [3; 32];

    fn ring(byte: u8) -> KeyRing {
        KeyRing::new([STANDARD.encode([byte; 32]).as_bytes()]).unwrap()
    }

    fn client(ring: &KeyRing) -> Client<'_> {
        Client {
            ring,
            bound: Bound { purpose: Purpose::Login, provider: "staff", policy: &POLICY },
            authorization: "https://id.example/auth?tenant=1",
            client: "gateway",
            scope: "openid profile",
            parameters: &[],
        }
    }

    fn start<'a>(headers: &'a Headers, wanted: &'a Wanted, return_to: &'a str) -> Start<'a> {
        Start {
            headers,
            host: "shop.example",
            redirect_uri: "https://shop.example/.yett/staff/callback",
            return_to,
            wanted,
            now_s: T,
        }
    }

    /// A browser that keeps cookies.
    #[derive(Default, Clone)]
    struct Browser(Vec<(String, String)>);

    impl Browser {
        fn keep(&mut self, cookies: &[Box<str>]) {
            for cookie in cookies {
                let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
                self.0.retain(|(other, _)| other != name);
                if !cookie.ends_with("Max-Age=0") {
                    self.0.push((name.to_owned(), value.to_owned()));
                }
            }
        }

        fn headers(&self) -> Headers {
            let mut headers = Headers::default();
            for (name, value) in &self.0 {
                headers.push(b"cookie", format!("{name}={value}").as_bytes()).unwrap();
            }
            headers
        }
    }

    fn parameter(location: &str, name: &str) -> String {
        let query = location.split_once('?').unwrap().1;
        Parameters::read(query.as_bytes()).unwrap().one(name).unwrap().unwrap().to_owned()
    }

    fn begun(browser: &mut Browser, seed: u8) -> String {
        let keys = ring(1);
        let begun =
            begin(&client(&keys), &start(&browser.headers(), &Wanted::default(), "/a?b=c"), &[seed; BEGIN_RANDOM]).unwrap();
        browser.keep(&begun.cookies);
        begun.location
    }

    fn ask(browser: &Browser, query: &str, change: impl Fn(&mut Answered<'_>)) -> Result<Returned, Reason> {
        let (keys, headers) = (ring(1), browser.headers());
        let mut answered = Answered {
            headers: &headers,
            host: "shop.example",
            query: query.as_bytes(),
            issuer: "https://id.example",
            names_issuer: true,
            now_s: T + 5,
        };
        change(&mut answered);
        returned(&client(&keys), &answered).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn what_the_provider_is_asked() {
        let location = begun(&mut Browser::default(), 7);
        assert!(location.starts_with("https://id.example/auth?tenant=1&response_type=code&client_id=gateway&redirect_uri="));
        assert_eq!(parameter(&location, "code_challenge_method"), "S256");
        let verifier = URL_SAFE_NO_PAD.encode([7; 32]);
        assert_eq!(parameter(&location, "code_challenge"), URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())));
        assert!(!location.contains(&verifier) && !location.contains("acr_values") && !location.contains("max_age"));
        let keys = ring(1);
        let wanted = Wanted { acr: vec!["gold".into(), "silver".into()], max_age_s: Some(300) };
        let stronger = begin(&client(&keys), &start(&Headers::default(), &wanted, "/"), &[7; BEGIN_RANDOM]).unwrap();
        assert_eq!(parameter(&stronger.location, "acr_values"), "gold silver");
        assert_eq!(parameter(&stronger.location, "max_age"), "300");
    }

    #[test]
    fn an_answer_counts_in_its_browser_only() {
        let mut browser = Browser::default();
        let state = parameter(&begun(&mut browser, 7), "state");
        let query = format!("code=abc&state={state}&iss=https%3A%2F%2Fid.example");
        let good = ask(&browser, &query, |_| {}).unwrap();
        assert_eq!((good.code.unwrap().0.as_str(), good.pending.return_to.as_str()), ("abc", "/a?b=c"));
        assert!(good.clear.ends_with("Max-Age=0"));
        let mut other = Browser::default();
        begun(&mut other, 8);
        for (who, query) in [
            (&Browser::default(), query.clone()),
            (&other, query.clone()),
            (&browser, query.replace(&state, &format!("{state}x"))),
            (&browser, query.replace(&state, state.get(..state.len() - 1).unwrap())),
            (&browser, query.replace(&state, state.split('.').next().unwrap())),
            (&browser, query.replace(&state, "")),
            (&browser, "code=abc&iss=https%3A%2F%2Fid.example".to_owned()),
            (&browser, format!("{query}&state={state}")),
            (&browser, format!("{query}&code=abc")),
            (&browser, query.replace("id.example", "evil.example")),
            (&browser, query.replace("https%3A%2F%2Fid.example", "")),
            (&browser, query.replace("&iss=https%3A%2F%2Fid.example", "")),
            (&browser, format!("error=access_denied&state={state}")),
        ] {
            assert_eq!(ask(who, &query, |_| {}).map(drop), Err(Reason::LoginStateInvalid), "{query}");
        }
        for (what, change) in [
            ("late", (|a| a.now_s = T + LOGIN_S) as fn(&mut Answered<'_>)),
            ("early", |a| a.now_s = T - 61),
            ("another host", |a| a.host = "other.example"),
            ("another issuer", |a| a.issuer = "https://id.example/"),
        ] {
            assert_eq!(ask(&browser, &query, change).map(drop), Err(Reason::LoginStateInvalid), "{what}");
        }
        assert!(ask(&browser, &query.replace("&iss=https%3A%2F%2Fid.example", ""), |a| a.names_issuer = false).is_ok());
    }

    #[test]
    fn an_error_is_the_providers_and_says_little() {
        let mut browser = Browser::default();
        let state = parameter(&begun(&mut browser, 7), "state");
        let ask = |rest: &str| {
            let query = format!("{rest}&state={state}&iss=https%3A%2F%2Fid.example");
            ask(&browser, &query, |_| {}).unwrap().code.unwrap_err()
        };
        let denied = ask("error=access_denied&error_description=%3Cscript%3E");
        assert_eq!(
            (denied.reason, denied.detail.as_deref()),
            (Reason::LoginRefused, Some("the identity provider says `access_denied`"))
        );
        let strange = ask("error=%3Cscript%3E&code=abc");
        assert_eq!((strange.reason, strange.detail.as_deref()), (Reason::LoginRefused, Some("the identity provider says no")));
        assert_eq!(ask("").reason, Reason::LoginFailed);
        assert_eq!(ask("code=").reason, Reason::LoginFailed);
    }

    #[test]
    fn a_cookie_of_another_kind_key_or_policy_is_no_login() {
        let mut browser = Browser::default();
        let location = begun(&mut browser, 7);
        let query = format!("code=a&state={}&iss=https%3A%2F%2Fid.example", parameter(&location, "state"));
        let headers = browser.headers();
        let answered = Answered {
            headers: &headers,
            host: "shop.example",
            query: query.as_bytes(),
            issuer: "https://id.example",
            names_issuer: true,
            now_s: T,
        };
        let (own, other_key) = (ring(1), ring(2));
        let other_policy = [4; 32];
        let mut client_of = client(&own);
        assert!(returned(&client_of, &answered).is_ok());
        client_of.bound.policy = &other_policy;
        assert!(returned(&client_of, &answered).is_err());
        client_of = client(&own);
        client_of.bound.purpose = Purpose::Session;
        assert!(returned(&client_of, &answered).is_err());
        assert!(returned(&client(&other_key), &answered).is_err());
    }

    #[test]
    fn tabs_are_bounded_and_the_oldest_goes() {
        let mut browser = Browser::default();
        let states: Vec<String> = (1..=6).map(|seed| parameter(&begun(&mut browser, seed), "state")).collect();
        assert_eq!(browser.0.len(), LOGINS);
        let counts =
            |state: &String| ask(&browser, &format!("code=a&state={state}&iss=https%3A%2F%2Fid.example"), |_| {}).is_ok();
        assert!(counts(&states[5]));
        browser.0.push(("__Host-yett-staff~login-junk".into(), "junk".into()));
        begun(&mut browser, 9);
        assert_eq!(browser.0.len(), LOGINS);
        assert!(!browser.0.iter().any(|(name, _)| name.ends_with("junk")));
    }

    #[test]
    fn long_addresses_are_cut_to_something_that_works() {
        assert_eq!(shortened("/a?b"), "/a?b");
        assert_eq!(shortened(&format!("/a?{}", "b".repeat(RETURN_BYTES))), "/a");
        assert_eq!(shortened(&format!("/{}", "b".repeat(RETURN_BYTES))), "/");
    }
}
