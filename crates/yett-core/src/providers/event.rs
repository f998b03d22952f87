//! Security event tokens (RFC 8417): what an identity provider tells of sessions and accounts (CAEP, RISC), and which
//! revocations follow from it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::jwk::{Algorithm, Selection};
use super::jwt::Jwt;
use super::{Provider, claims, json};
use crate::exchange::Now;
use crate::revocation::{Revocation, What, hex};
use crate::store::{Key, Space};

/// Bytes of a token of events.
pub const EVENT_BYTES: usize = 64 * 1024;
/// Events of one token.
const MAX_EVENTS: usize = 16;
/// How old a token may be, seconds: transmitters deliver again for a while.
const MAX_AGE_S: u64 = 24 * 3600;
/// How far ahead its clock may be, seconds.
const LEEWAY_S: u64 = 60;
/// How long revocations of sessions and accounts count, milliseconds: 30 days.
const FOR_MS: u64 = 30 * 86_400_000;

/// A code of RFC 8935 section 2.4, and what is wrong, in words without anything of the token.
pub type Fault = (&'static str, &'static str);

/// Why a token of events does not count.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// For good.
    Fault(Fault),
    /// A key is missing, and fetching may help.
    KeysNeeded,
    /// A key is missing, and the provider does not give it now.
    Unavailable,
}

/// A token of events that counts, but for whether it came before.
#[derive(Debug)]
pub struct Told {
    /// What has to be new.
    pub key: Key,
    /// So long it could come again, milliseconds since 1970.
    pub until_ms: u64,
    /// What follows from it; nothing for events that are only acknowledged.
    pub revocations: Vec<Revocation>,
}

const REQUEST: &str = "invalid_request";
const KEY: &str = "invalid_key";
const ISSUER: &str = "invalid_issuer";
const AUDIENCE: &str = "invalid_audience";

fn fault(code: &'static str, words: &'static str) -> Refused {
    Refused::Fault((code, words))
}

impl Provider {
    /// Reads a token of events of this provider, which has to be one of signed tokens.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn told(&self, token: &[u8], audiences: &[String], now: Now) -> Result<Told, Refused> {
        let jwt = self.jwt().ok_or(Refused::Unavailable)?;
        let claims = verified(jwt, token)?;
        let claims = &claims;
        if claims.get("iss").and_then(Value::as_str) != Some(jwt.issuer()) {
            return Err(fault(ISSUER, "`iss` is not the issuer that is expected here"));
        }
        let meant = match claims.get("aud") {
            Some(Value::String(one)) => audiences.contains(one),
            Some(Value::Array(all)) => {
                all.iter().any(|one| one.as_str().is_some_and(|one| audiences.iter().any(|own| own == one)))
            }
            _ => false,
        };
        if !meant {
            return Err(fault(AUDIENCE, "`aud` does not name this receiver"));
        }
        let issued = claims::date(claims, "iat").ok().flatten().ok_or_else(|| fault(REQUEST, "`iat` is missing"))?;
        let now_s = now.unix_ms / 1000;
        if issued > now_s + LEEWAY_S || issued + MAX_AGE_S < now_s {
            return Err(fault(REQUEST, "`iat` is from the future, or more than a day ago"));
        }
        if claims.contains_key("exp") && claims::date(claims, "exp").ok().flatten().is_none_or(|exp| exp <= now_s) {
            return Err(fault(REQUEST, "the token has expired"));
        }
        let jti = claims.get("jti").and_then(Value::as_str).filter(|jti| (1..=256).contains(&jti.len()));
        let jti = jti.ok_or_else(|| fault(REQUEST, "`jti` is missing or too long"))?;
        let events = claims.get("events").and_then(Value::as_object).filter(|events| (1..=MAX_EVENTS).contains(&events.len()));
        let events = events.ok_or_else(|| fault(REQUEST, "`events` is missing, empty or too large"))?;
        let mut revocations = Vec::new();
        for (kind, event) in events {
            let event = event.as_object().ok_or_else(|| fault(REQUEST, "an event is no object"))?;
            let Some(mut one) = follows(kind, event, claims, jwt.issuer(), issued)? else { continue };
            // The same token twice is the same revocation: whoever delivers it again revokes nothing anew.
            let name = Key::new(Space::Event, &[jwt.issuer().as_bytes(), jti.as_bytes(), kind.as_bytes()]);
            one.id = hex(name.id().get(..16).unwrap_or_default()).into();
            revocations.push(one);
        }
        let key = Key::new(Space::Event, &[jwt.issuer().as_bytes(), jti.as_bytes()]);
        let until_ms = issued.saturating_add(MAX_AGE_S + LEEWAY_S).saturating_mul(1000);
        Ok(Told { key, until_ms, revocations })
    }
}

/// The claims of a token whose signature is good.
fn verified(jwt: &Jwt, token: &[u8]) -> Result<Map<String, Value>, Refused> {
    let malformed = || fault(REQUEST, "this is no signed token of security events");
    if token.len() > EVENT_BYTES {
        return Err(malformed());
    }
    let mut parts = token.split(|b| *b == b'.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(malformed());
    };
    let object = |part: &[u8]| json::object(&URL_SAFE_NO_PAD.decode(part).ok()?).ok_or(()).ok();
    let fields = object(header).ok_or_else(malformed)?;
    let claims = object(payload).ok_or_else(malformed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
    // An access token or a login of the same issuer is no event, and the other way round (RFC 8417 section 4.6).
    let typ = fields.get("typ").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    if typ.strip_prefix("application/").unwrap_or(&typ) != "secevent+jwt" {
        return Err(fault(REQUEST, "`typ` is not `secevent+jwt`"));
    }
    if fields.keys().any(|name| !matches!(name.as_str(), "typ" | "alg" | "kid")) {
        return Err(fault(REQUEST, "the header asks for something that is not supported"));
    }
    let algorithm = fields.get("alg").and_then(Value::as_str).and_then(Algorithm::parse);
    let algorithm =
        algorithm.filter(|one| jwt.algorithms().contains(one)).ok_or_else(|| fault(KEY, "the algorithm is not accepted"))?;
    let kid = match fields.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().ok_or_else(malformed)?),
    };
    let trust = jwt.keys.trust();
    let missing = |known: bool| match (jwt.keys.may_refetch(), known) {
        (true, _) => Refused::KeysNeeded,
        (false, true) => fault(KEY, "the key is not known"),
        (false, false) => Refused::Unavailable,
    };
    let Some(set) = &trust.set else { return Err(missing(false)) };
    let key = match set.select(kid, algorithm) {
        Selection::Found(key, _) => key,
        Selection::WrongAlgorithm => return Err(fault(KEY, "the key is not for this algorithm")),
        Selection::Unknown => return Err(missing(true)),
    };
    let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
    if !key.verifies(signed, &signature) {
        return Err(fault(KEY, "the signature is not valid"));
    }
    Ok(claims)
}

/// Whom an event is about.
enum Subject {
    Session(Box<str>),
    Person(Box<str>),
}

/// The revocations that an event asks for.
fn follows(
    kind: &str,
    event: &Map<String, Value>,
    claims: &Map<String, Value>,
    issuer: &str,
    issued: u64,
) -> Result<Option<Revocation>, Refused> {
    let caep = kind.strip_prefix("https://schemas.openid.net/secevent/caep/event-type/");
    let risc = kind.strip_prefix("https://schemas.openid.net/secevent/risc/event-type/");
    // What is issued later is meant, too, where the account itself is closed.
    let closed = match (caep, risc) {
        (_, Some("account-disabled" | "account-purged")) => true,
        (Some("session-revoked" | "credential-change" | "token-claims-change" | "assurance-level-change"), _)
        | (_, Some("sessions-revoked" | "account-credential-change-required" | "credential-compromise")) => false,
        (Some("device-compliance-change"), _) if event.get("current_status").and_then(Value::as_str) == Some("not-compliant") => {
            false
        }
        // Others change nothing that is decided here, and are acknowledged, as a verification of the stream is.
        _ => return Ok(None),
    };
    let subject = subject(event, claims, issuer)?;
    let happened = event.get("event_timestamp").and_then(Value::as_u64);
    // Never after the token itself: what is issued later is not meant.
    let before_ms = happened.unwrap_or(issued).min(issued).saturating_mul(1000).saturating_add(1000);
    let issuer = Some(issuer.into());
    let (what, before_ms) = match subject {
        Subject::Session(id) => (What::Session { issuer, id }, None),
        Subject::Person(id) => (What::Subject { issuer, id }, (!closed).then_some(before_ms)),
    };
    let made_ms = issued.saturating_mul(1000);
    let made = Revocation::new(what, before_ms, made_ms.saturating_add(FOR_MS), "security_event", made_ms);
    made.map(Some).map_err(|_| fault(REQUEST, "the subject of an event is empty or too long"))
}

/// The subject of an event (RFC 9493): in the event, in `sub_id`, or as `sub` of the token.
fn subject(event: &Map<String, Value>, claims: &Map<String, Value>, issuer: &str) -> Result<Subject, Refused> {
    let unknown =
        || fault(REQUEST, "the subject of an event is of no kind that is known here: use `iss_sub`, or `opaque` for sessions");
    let Some(named) = event.get("subject").or_else(|| claims.get("sub_id")) else {
        let sub = claims.get("sub").and_then(Value::as_str).ok_or_else(unknown)?;
        return Ok(Subject::Person(sub.into()));
    };
    let named = named.as_object().ok_or_else(unknown)?;
    // complex (SSF 1.0 section 3.2): a session says more than the person whose it is
    if let Some(session) = named.get("session") {
        let id = session.get("id").or_else(|| session.get("sub")).and_then(Value::as_str);
        return Ok(Subject::Session(id.ok_or_else(unknown)?.into()));
    }
    let person = named.get("user").and_then(Value::as_object).unwrap_or(named);
    if person.get("format").and_then(Value::as_str) != Some("iss_sub")
        || person.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return Err(unknown());
    }
    Ok(Subject::Person(person.get("sub").and_then(Value::as_str).ok_or_else(unknown)?.into()))
}
