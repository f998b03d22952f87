//! Assertions that registered clients sign about themselves (RFC 7523), in `Authorization: Bearer`, each for one request.
//!
//! Of what an assertion says only who, for whom, when and its id are believed: what a client may do stands in the
//! configuration, because a client could sign anything about itself.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};

use super::assumed;
use super::claims;
use super::jwk::Algorithm;
use super::jwt::{Failure, Keys, Unverified};
use super::machine::Maker;
use super::refuse;
use super::verdict::Verdict;
use crate::exchange::{AuthenticationMethod, Now, Once, Principal, Refusal};
use crate::ir::{self, Machine};
use crate::reason::Reason;
use crate::store::{Key, Space};

/// Bytes of a `jti` at most.
const ID_BYTES: usize = 256;

/// A compiled provider.
#[derive(Debug)]
pub(super) struct ClientAssertions {
    audiences: Vec<Box<str>>,
    algorithms: Vec<Algorithm>,
    lifetime_s: u64,
    leeway_s: u64,
    clients: HashMap<Box<str>, Client>,
    /// Since when what was used is remembered, milliseconds since 1970.
    since: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Client {
    keys: Keys,
    machine: Machine,
}

impl ClientAssertions {
    pub(super) fn build(spec: &ir::ClientAssertionProvider, since: Arc<AtomicU64>) -> Result<Self, String> {
        let named = |what: &str| format!("provider `{}` {what}", spec.name);
        if spec.audiences.is_empty() || spec.audiences.iter().any(String::is_empty) {
            return Err(named("needs an audience"));
        }
        let algorithms: Vec<Algorithm> = spec.algorithms.iter().filter_map(|name| Algorithm::parse(name)).collect();
        if algorithms.is_empty() || algorithms.len() != spec.algorithms.len() {
            return Err(named(&format!("names an algorithm that is not known; choose among {}", Algorithm::NAMES)));
        }
        let mut clients = HashMap::with_capacity(spec.clients.len());
        for client in &spec.clients {
            let jwks = ir::Jwks::Inline(client.jwks.clone());
            let none = |_| Err(named("has keys of its clients in the document alone"));
            let keys = Keys::build(&spec.name, &jwks, &client.id, &algorithms, none)?;
            let built = Client { keys, machine: client.machine.clone() };
            if client.id.is_empty() || clients.insert(client.id.as_str().into(), built).is_some() {
                return Err(named("has a client without a name, or one twice"));
            }
        }
        if clients.is_empty() {
            return Err(named("has no clients, so every request would be refused"));
        }
        Ok(Self {
            audiences: spec.audiences.iter().map(|one| one.as_str().into()).collect(),
            algorithms,
            lifetime_s: spec.lifetime_s,
            leeway_s: spec.leeway_s,
            clients,
            since,
        })
    }

    /// Whether assertions of this issuer are those of a client of its own.
    pub(super) fn knows(&self, issuer: &str) -> bool {
        self.clients.contains_key(issuer)
    }

    /// Who an assertion is of. That it was not used before is for [`ClientAssertions::once`].
    pub(super) fn verify(&self, assertion: &[u8], maker: &Maker, now: Now) -> Result<Verdict, Refusal> {
        let token = Unverified::parse_assertion(assertion)?;
        let id = token.issuer()?;
        let client = self.clients.get(id).ok_or(Reason::TokenIssuerUnknown)?;
        token.check(&self.algorithms, &client.keys).map_err(|failure| match failure {
            Failure::Refused(refusal) | Failure::KeysNeeded(refusal) => refusal,
        })?;
        let times = self.judge(id, token.claims(), now)?;
        let mut principal = maker.principal(AuthenticationMethod::ClientAssertion, id, &client.machine);
        principal.token_id = Some(times.id);
        principal.issued_ms = Some(times.issued_s.saturating_mul(1000));
        principal.expires_ms = Some(times.until_ms);
        Ok(Verdict { principal: Rc::new(principal), trust_revision: 0, from_ms: times.from_ms, until_ms: times.until_ms })
    }

    /// The caller of a good assertion of this client.
    ///
    /// # Errors
    /// `token_issuer_unknown`
    pub(super) fn assume(&self, maker: &Maker, id: &str, now: Now) -> Result<Principal, Refusal> {
        let client = self.clients.get(id).ok_or_else(|| assumed::unknown(Reason::TokenIssuerUnknown, id))?;
        let mut principal = maker.principal(AuthenticationMethod::ClientAssertion, id, &client.machine);
        principal.issued_ms = Some(now.unix_ms);
        Ok(principal)
    }

    /// The claims of an assertion whose signature is good (RFC 7523 section 3).
    fn judge(&self, client: &str, claims: &Map<String, Value>, now: Now) -> Result<Times, Refusal> {
        let wrong = |what: &str| refuse(Reason::TokenClaimInvalid, what);
        if claims::text(claims, "sub")? != Some(client) {
            return Err(wrong("claim `sub` is not the client that `iss` names"));
        }
        let date = |name: &str| claims::date(claims, name)?.ok_or_else(|| wrong(&format!("claim `{name}` is missing")));
        let (expires_s, issued_s) = (date("exp")?, date("iat")?);
        let begins_s = claims::date(claims, "nbf")?.unwrap_or(0).max(issued_s);
        let id = claims::text(claims, "jti")?.ok_or_else(|| wrong("claim `jti` is missing"))?;
        if id.is_empty() || id.len() > ID_BYTES {
            return Err(wrong("claim `jti` is empty or too long"));
        }
        let until_ms = expires_s.saturating_add(self.leeway_s).saturating_mul(1000);
        let from_ms = begins_s.saturating_sub(self.leeway_s).saturating_mul(1000);
        if now.unix_ms >= until_ms {
            return Err(Reason::TokenExpired.into());
        }
        if now.unix_ms < from_ms {
            return Err(Reason::TokenNotYetValid.into());
        }
        if expires_s.checked_sub(issued_s).is_none_or(|lifetime_s| lifetime_s > self.lifetime_s) {
            return Err(wrong(&format!("the assertion lives for more than the {} s that are accepted", self.lifetime_s)));
        }
        self.check_audience(claims)?;
        Ok(Times { id: id.into(), issued_s, from_ms, until_ms })
    }

    /// For us and nobody else, who could use it here.
    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let mismatch = |what: &str| refuse(Reason::TokenAudienceMismatch, what);
        let audience = match claims.get("aud") {
            None => return Err(refuse(Reason::TokenClaimInvalid, "claim `aud` is missing")),
            Some(Value::String(audience)) => audience,
            Some(Value::Array(list)) => match list.as_slice() {
                [Value::String(audience)] => audience,
                _ => return Err(mismatch("claim `aud` has to name one audience alone")),
            },
            Some(_) => return Err(refuse(Reason::TokenClaimInvalid, "claim `aud` is neither a text nor a list of texts")),
        };
        if self.audiences.iter().any(|own| **own == **audience) {
            return Ok(());
        }
        Err(Reason::TokenAudienceMismatch.into())
    }

    /// What the store is asked about an assertion: whether this is the first time. Before that, also for a verdict that is
    /// remembered: what a store of before has seen is not known to the one that is asked now.
    ///
    /// # Errors
    /// `assertion_replayed`: it may have been used with nobody remembering.
    pub(super) fn once(&self, principal: &Principal) -> Result<Once, Refusal> {
        if principal.issued_ms.unwrap_or(0) < self.since.load(Ordering::Acquire) {
            let detail = "it is from before the gateway remembers what was used; make a new one";
            return Err(refuse(Reason::AssertionReplayed, detail));
        }
        let id = principal.token_id.as_deref().unwrap_or_default();
        // Without the provider: under another name, or beside another one that knows the client, it is the same assertion.
        let key = Key::new(Space::Assertion, &[principal.subject.as_bytes(), id.as_bytes()]);
        Ok(Once { key, until_ms: principal.expires_ms.unwrap_or(u64::MAX) })
    }
}

struct Times {
    id: Box<str>,
    issued_s: u64,
    from_ms: u64,
    until_ms: u64,
}
