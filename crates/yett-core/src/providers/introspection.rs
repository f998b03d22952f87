//! Opaque tokens (RFC 7662), in `Authorization: Bearer`: their issuer is asked, and what it says remembered for a while.
//!
//! The answer is judged as strictly as the claims of a signed token: it says what the token is, not that it is for us.

pub mod answers;
pub mod source;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use self::answers::{Answer, Said};
use self::source::{Source, Unanswered};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::assumed::Filled;
use super::claims::{self, Mapping};
use super::discovery::discovery;
use super::verdict::Verdict;
use super::{json, refuse};
use crate::exchange::{AuthenticationMethod, Now, Principal, Refusal};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::reason::Reason;
use crate::revocation::MAX_NAME;
use crate::shared::Shared;
use crate::snapshot::Secrets;

/// What was said of a request's token.
#[derive(Debug, Clone)]
pub struct Introspected {
    /// Index of the provider whose endpoint was asked.
    pub provider: u32,
    /// How old the answer might be, milliseconds.
    pub max_age_ms: u64,
    /// Its answer.
    pub answer: Result<Answer, Unanswered>,
}

/// The issuer that a signed token claims to have, whatever its header and signature; nothing where it is no such token.
pub(super) fn issuer_of(token: &[u8]) -> Option<String> {
    claim_of(token, "iss")
}

/// The `jti` of a token that is a JWT; only where its issuer has said that it gave out these very bytes.
pub(super) fn id_of(token: &[u8]) -> Option<String> {
    claim_of(token, "jti").filter(|id| (1..=MAX_NAME).contains(&id.len()))
}

fn claim_of(token: &[u8], name: &str) -> Option<String> {
    let mut parts = token.split(|b| *b == b'.');
    let payload = parts.nth(1)?;
    if parts.count() != 1 {
        return None;
    }
    let claims = json::object(&URL_SAFE_NO_PAD.decode(payload).ok()?)?;
    claims.get(name)?.as_str().map(str::to_owned)
}

/// A compiled provider.
#[derive(Debug)]
pub(super) struct Introspection {
    pub source: Arc<Source>,
    max_age: Duration,
    inactive_max_age: Duration,
    issuer: Option<Arc<str>>,
    audiences: Vec<Box<str>>,
    clients: Vec<Box<str>>,
    leeway_s: u64,
    mapping: Mapping,
}

/// A source of the whole process, for a provider or for the live checks of one.
pub(super) fn source(
    name: &str,
    spec: &ir::IntrospectionEndpoint,
    issuer: Option<&str>,
    secrets: &Secrets,
    shared: &Arc<Shared>,
) -> Result<Arc<Source>, String> {
    let events = Arc::downgrade(shared);
    let sink = move |level, event, fields: &[(&'static str, &str)]| {
        if let Some(shared) = events.upgrade() {
            shared.events.push(level, event, fields);
        }
    };
    let failed = |why: String| format!("provider `{name}`: {why}");
    let discovery = spec.discovery.as_ref().map(|spec| discovery(spec, shared)).transpose().map_err(failed)?;
    let runtime = &shared.service_runtime;
    shared.introspection.source(name, (spec, discovery), issuer, secrets, runtime, Arc::new(sink)).map_err(failed)
}

impl Introspection {
    pub(super) fn build(spec: &ir::IntrospectionProvider, secrets: &Secrets, shared: &Arc<Shared>) -> Result<Self, String> {
        let name = &spec.name;
        let texts = |list: &[String]| list.iter().map(|text| text.as_str().into()).collect::<Vec<Box<str>>>();
        let empty = spec.audiences.iter().chain(&spec.clients).any(String::is_empty);
        if empty || (spec.audiences.is_empty() && spec.clients.is_empty()) {
            return Err(format!("provider `{name}` needs at least one audience or client, none of them empty"));
        }
        Ok(Self {
            source: source(name, &spec.introspection, spec.issuer.as_deref(), secrets, shared)?,
            max_age: Duration::from_millis(spec.max_age_ms),
            inactive_max_age: Duration::from_millis(spec.inactive_max_age_ms),
            issuer: spec.issuer.as_deref().map(Into::into),
            audiences: texts(&spec.audiences),
            clients: texts(&spec.clients),
            leeway_s: spec.leeway_s,
            mapping: Mapping::new(name, &spec.claims, &KeyedHash::new(&shared.seed)),
        })
    }

    /// The one `iss`, where it is known.
    pub(super) fn issuer(&self) -> Option<&Arc<str>> {
        self.issuer.as_ref()
    }

    /// What is remembered of a token and young enough.
    pub(super) fn known(&self, digest: [u8; 32]) -> Option<Answer> {
        self.source.known(digest, self.max_age, self.inactive_max_age)
    }

    /// How old a question may be that a new request joins.
    pub(super) fn max_age_ms(&self) -> u64 {
        milliseconds(self.max_age)
    }

    /// The caller of an active token with these claims.
    pub(super) fn assume(&self, claims: &Map<String, Value>, now: Now) -> Result<Rc<Principal>, Refusal> {
        let mut filled = Filled::new(claims, now);
        filled.put("active", true).first("aud", &self.audiences);
        if let Some(issuer) = &self.issuer {
            filled.put("iss", &**issuer);
        }
        if matches!(self.mapping.client(filled.claims()), Ok(None)) {
            filled.first("client_id", &self.clients);
        }
        let text = serde_json::to_vec(filled.claims()).map_err(|_| Reason::Internal)?;
        let answer = Answer { said: Said::Active(text.into()), asked: tokio::time::Instant::now() };
        Ok(self.judge(&answer, now)?.principal)
    }

    /// The verdict on a token of which this was said. It counts no longer than the answer does.
    pub(super) fn judge(&self, answer: &Answer, now: Now) -> Result<Verdict, Refusal> {
        let claims = &answer.claims()?;
        self.check_kind(claims)?;
        let (from_ms, expires_ms) = window(claims, self.leeway_s, now)?;
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        let named = || claims::text(claims, "iss").ok().flatten().map(Arc::from);
        let issuer = self.issuer.clone().or_else(named).unwrap_or_default();
        let mut principal = self.mapping.principal(claims, &issuer, expires_ms.unwrap_or(u64::MAX))?;
        (principal.method, principal.expires_ms) = (AuthenticationMethod::Introspection, expires_ms);
        self.check_client(principal.client.as_deref())?;
        if claims.contains_key("cnf") && principal.confirmation.is_none() {
            return Err(refuse(Reason::TokenClaimInvalid, "the token is bound to a key in a way that is not supported"));
        }
        let age_ms = milliseconds(answer.asked.elapsed());
        let until_ms = now.unix_ms.saturating_add(milliseconds(self.max_age)).saturating_sub(age_ms);
        Ok(Verdict {
            principal: Rc::new(principal),
            trust_revision: 0,
            // a clock that was set back makes it older, not younger
            from_ms: from_ms.max(now.unix_ms.saturating_sub(age_ms).saturating_sub(1000)),
            until_ms: expires_ms.map_or(until_ms, |expires| expires.min(until_ms)),
        })
    }

    /// Refresh tokens and ID tokens are active, too, and open nothing here.
    fn check_kind(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let other = || refuse(Reason::TokenClaimInvalid, "the token is not an access token");
        let typed = claims::text(claims, "token_type")?;
        if !typed.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer") || kind.eq_ignore_ascii_case("dpop")) {
            return Err(other());
        }
        if claims::text(claims, "token_use")?.is_some_and(|kind| !matches!(kind, "access" | "access_token")) {
            return Err(other());
        }
        if matches!(claims::text(claims, "typ")?, Some("ID" | "Refresh" | "Offline")) {
            return Err(other());
        }
        // Without either, nothing says that it is no refresh token: those have no audience.
        if typed.is_none() && self.audiences.is_empty() {
            return Err(refuse(Reason::TokenClaimInvalid, "the answer does not say what kind of token it is"));
        }
        Ok(())
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        match (&self.issuer, claims::text(claims, "iss")?) {
            (Some(own), Some(issuer)) if **own != *issuer => Err(Reason::TokenIssuerUnknown.into()),
            _ => Ok(()),
        }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        if self.audiences.is_empty() {
            return Ok(());
        }
        let wrong = || refuse(Reason::TokenClaimInvalid, "claim `aud` is neither a text nor a list of texts");
        let ours = |audience: &str| self.audiences.iter().any(|own| **own == *audience);
        let meant = match claims.get("aud") {
            None => return Err(refuse(Reason::TokenClaimInvalid, "claim `aud` is missing")),
            Some(Value::String(audience)) => ours(audience),
            Some(Value::Array(list)) => {
                let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                texts.ok_or_else(wrong)?.into_iter().any(ours)
            }
            Some(_) => return Err(wrong()),
        };
        if meant { Ok(()) } else { Err(Reason::TokenAudienceMismatch.into()) }
    }

    fn check_client(&self, client: Option<&str>) -> Result<(), Refusal> {
        let known = |client: &str| self.clients.iter().any(|own| **own == *client);
        if self.clients.is_empty() || client.is_some_and(known) {
            return Ok(());
        }
        Err(refuse(Reason::TokenAudienceMismatch, "the token was made for another client"))
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// From when on a token counts and when it ends, if it does (milliseconds since 1970); refused where that is not now.
fn window(claims: &Map<String, Value>, leeway_s: u64, now: Now) -> Result<(u64, Option<u64>), Refusal> {
    let expires = claims::date(claims, "exp")?;
    let begins = claims::date(claims, "nbf")?.unwrap_or(0).max(claims::date(claims, "iat")?.unwrap_or(0));
    let expires_ms = expires.map(|seconds| seconds.saturating_add(leeway_s).saturating_mul(1000));
    let from_ms = begins.saturating_sub(leeway_s).saturating_mul(1000);
    if expires_ms.is_some_and(|ends| now.unix_ms >= ends) {
        return Err(Reason::TokenExpired.into());
    }
    if now.unix_ms < from_ms {
        return Err(Reason::TokenNotYetValid.into());
    }
    Ok((from_ms, expires_ms))
}
