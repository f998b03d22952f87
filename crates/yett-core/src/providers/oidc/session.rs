//! A session: who logged in, and for how long it counts. It is sealed into the browser's cookie.
//!
//! Three ends: `idle` after its last use, `absolute` after the login whatever happens, and, where the provider gave a
//! refresh token, the end of the access token unless it is refreshed. A session belongs to the host at which it began.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::token::Token;
use crate::filters::keyed_hash::KeyedHash;
use crate::principal::{AuthenticationMethod, ClaimValue, Principal, PrincipalKind};

/// How far clocks of instances may differ, seconds.
const SKEW_S: u64 = 60;
/// Refreshing begins so long before the end of an access token, seconds, or in its last quarter, where that is shorter.
const AHEAD_S: u64 = 60;

/// What the browser keeps for us. Short names: it is sent with every request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Random, 22 characters; new at every login.
    #[serde(rename = "i")]
    pub id: String,
    /// The authority at which it began.
    #[serde(rename = "h")]
    pub host: String,
    /// When the login was, seconds since 1970.
    #[serde(rename = "c")]
    pub created_s: u64,
    /// When it was last written, seconds since 1970: idleness counts from here.
    #[serde(rename = "s")]
    pub seen_s: u64,
    /// When the access token was given, and when it ends, seconds since 1970.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub access_s: Option<(u64, u64)>,
    /// Refresh token.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Token>,
    /// ID token, as the hint of a logout.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<Token>,
    /// When it is over whatever else is said, seconds since 1970: the provider refused to refresh it.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub over_s: Option<u64>,
    /// When a refresh failed and may be tried again, seconds since 1970.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub failed_s: Option<u64>,
    /// Who it is.
    #[serde(rename = "w")]
    pub who: Who,
}

/// The part of a principal that comes from the login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// `sub`
    #[serde(rename = "s")]
    pub subject: String,
    /// Client.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Scopes.
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Roles.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Tenant.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Partner.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<String>,
    /// Declared claims.
    #[serde(rename = "d", default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<(String, Value)>,
    /// `sid`
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// `acr`
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// `auth_time`
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
    /// `iat`, seconds.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    pub issued_s: Option<u64>,
}

impl Who {
    /// From the principal that an ID token came to.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        let text = |one: &Option<Box<str>>| one.as_deref().map(str::to_owned);
        let list = |many: &[Box<str>]| many.iter().map(|one| one.to_string()).collect();
        Self {
            subject: principal.subject.to_string(),
            client: text(&principal.client),
            scopes: list(&principal.scopes),
            roles: list(&principal.roles),
            tenant: text(&principal.tenant),
            partner: text(&principal.partner),
            claims: principal.claims.iter().map(|(name, value)| (name.to_string(), to_json(value))).collect(),
            sid: text(&principal.session),
            acr: text(&principal.assurance),
            auth_time: principal.authenticated_s,
            issued_s: principal.issued_ms.map(|ms| ms / 1000),
        }
    }
}

fn to_json(value: &ClaimValue) -> Value {
    match value {
        ClaimValue::String(text) => text.as_ref().into(),
        ClaimValue::Int(number) => (*number).into(),
        ClaimValue::Bool(yes) => (*yes).into(),
        ClaimValue::StringList(list) => list.iter().map(|one| Value::from(one.as_ref())).collect::<Vec<_>>().into(),
    }
}

fn from_json(value: &Value) -> Option<ClaimValue> {
    Some(match value {
        Value::String(text) => ClaimValue::String(text.as_str().into()),
        Value::Bool(yes) => ClaimValue::Bool(*yes),
        Value::Number(number) => ClaimValue::Int(number.as_i64()?),
        Value::Array(list) => ClaimValue::StringList(list.iter().map(|one| one.as_str().map(Into::into)).collect::<Option<_>>()?),
        Value::Null | Value::Object(_) => return None,
    })
}

/// How long sessions count, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// After the last use.
    pub idle_s: u64,
    /// After the login.
    pub absolute_s: u64,
}

impl Lifetimes {
    /// How old what a browser has may be before it is written anew: a small part of `idle`, so that not every answer
    /// writes a cookie.
    #[must_use]
    pub fn renew_s(&self) -> u64 {
        (self.idle_s / 8).clamp(1, 300)
    }
}

/// What is to be done with a session now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It counts, unchanged, until this moment (seconds since 1970) at most: then it has to be looked at again.
    Live {
        /// First second after.
        until_s: u64,
    },
    /// It counts, and its time of use is to be written.
    Renew,
    /// Its access token ends soon: refresh. If that fails it counts until `until_s`.
    Refresh {
        /// First second after; in the past where it has ended already.
        until_s: u64,
    },
    /// It is over.
    Ended,
}

impl Session {
    /// What is to be done with it at this time.
    #[must_use]
    pub fn standing(&self, lifetimes: &Lifetimes, now_s: u64) -> Standing {
        if self.created_s > now_s.saturating_add(SKEW_S)
            || self.seen_s > now_s.saturating_add(SKEW_S)
            || self.seen_s < self.created_s
        {
            return Standing::Ended;
        }
        let end = self.end_s(lifetimes);
        if now_s >= end {
            return Standing::Ended;
        }
        let renew = self.seen_s.saturating_add(lifetimes.renew_s());
        let mut until_s = end.min(renew);
        if let (Some((from, to)), Some(_)) = (self.access_s, &self.refresh) {
            let ahead = (to.saturating_sub(from) / 4).min(AHEAD_S);
            let at = to.saturating_sub(ahead);
            if now_s >= at {
                return Standing::Refresh { until_s: to.min(end) };
            }
            until_s = until_s.min(at);
        }
        if now_s >= renew { Standing::Renew } else { Standing::Live { until_s } }
    }

    /// First second in which it is over, whatever is refreshed.
    #[must_use]
    pub fn end_s(&self, lifetimes: &Lifetimes) -> u64 {
        let idle = self.seen_s.saturating_add(lifetimes.idle_s);
        idle.min(self.created_s.saturating_add(lifetimes.absolute_s)).min(self.over_s.unwrap_or(u64::MAX))
    }

    /// When a stream that it opens has to end: with the access token where there is one that is refreshed.
    #[must_use]
    pub fn stream_end_s(&self, lifetimes: &Lifetimes) -> u64 {
        let absolute = self.created_s.saturating_add(lifetimes.absolute_s).min(self.over_s.unwrap_or(u64::MAX));
        match (self.access_s, &self.refresh) {
            (Some((_, to)), Some(_)) => absolute.min(to),
            _ => absolute,
        }
    }

    /// The caller; `None` if a claim is of a type that no claim has.
    #[must_use]
    pub fn principal(
        &self,
        provider: &Arc<str>,
        issuer: &Arc<str>,
        hash: &KeyedHash,
        lifetimes: &Lifetimes,
    ) -> Option<Principal> {
        let who = &self.who;
        let text = |one: &Option<String>| one.as_deref().map(Into::into);
        let list = |many: &[String]| many.iter().map(|one| one.as_str().into()).collect();
        let claims = who.claims.iter().map(|(name, value)| Some((name.as_str().into(), from_json(value)?)));
        let client = who.client.as_deref().unwrap_or_default();
        Some(Principal {
            issuer: Arc::clone(issuer),
            subject: who.subject.as_str().into(),
            client: text(&who.client),
            kind: PrincipalKind::User,
            scopes: list(&who.scopes),
            roles: list(&who.roles),
            tenant: text(&who.tenant),
            partner: text(&who.partner),
            claims: claims.collect::<Option<_>>()?,
            token_id: Some(self.id.as_str().into()),
            session: text(&who.sid),
            assurance: text(&who.acr),
            authenticated_s: who.auth_time,
            // When the login was, which no refresh moves: revocations of a person end what began before them.
            issued_ms: Some(self.created_s.saturating_mul(1000)),
            expires_ms: Some(self.stream_end_s(lifetimes).saturating_mul(1000)),
            key: hash.parts(&[
                provider.as_bytes(),
                who.subject.as_bytes(),
                client.as_bytes(),
                who.tenant.as_deref().unwrap_or_default().as_bytes(),
            ]),
            ..Principal::blank(Arc::clone(provider), AuthenticationMethod::Oidc)
        })
    }

    /// From the bytes of an opened box.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// As bytes to seal.
    #[must_use]
    pub fn write(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes { idle_s: 1800, absolute_s: 36_000 };
    const T: u64 = 1_800_000_000;

    fn session() -> Session {
        let who = Who {
            subject: "ann".into(),
            roles: vec!["admin".into()],
            claims: vec![("level".into(), 2.into()), ("groups".into(), serde_json::json!(["a", "b"]))],
            ..Who::default()
        };
        Session {
            id: "id".into(),
            host: "shop.example".into(),
            created_s: T,
            seen_s: T,
            access_s: None,
            refresh: None,
            id_token: Some(Token("secret".into())),
            over_s: None,
            failed_s: None,
            who,
        }
    }

    #[test]
    fn it_ends_when_it_is_idle_and_in_any_case() {
        let standing = |seen: u64, now: u64| Session { seen_s: T + seen, ..session() }.standing(&LIFETIMES, T + now);
        assert_eq!(standing(0, 0), Standing::Live { until_s: T + 225 });
        assert_eq!(standing(0, 224), Standing::Live { until_s: T + 225 });
        assert_eq!(standing(0, 225), Standing::Renew);
        assert_eq!(standing(0, 1799), Standing::Renew);
        assert_eq!(standing(0, 1800), Standing::Ended);
        assert_eq!(standing(35_900, 35_999), Standing::Live { until_s: T + 36_000 });
        assert_eq!(standing(35_900, 36_000), Standing::Ended);
        let over = Session { over_s: Some(T + 10), ..session() };
        assert_eq!(over.standing(&LIFETIMES, T), Standing::Live { until_s: T + 10 });
        assert_eq!(over.standing(&LIFETIMES, T + 10), Standing::Ended);
        assert_eq!(over.stream_end_s(&LIFETIMES), T + 10);
    }

    #[test]
    fn it_comes_from_neither_the_future_nor_nowhere() {
        assert_eq!(session().standing(&LIFETIMES, T - 61), Standing::Ended);
        assert!(matches!(session().standing(&LIFETIMES, T - 60), Standing::Live { .. }));
        assert_eq!(Session { seen_s: T - 1, ..session() }.standing(&LIFETIMES, T), Standing::Ended);
        assert_eq!(Session { seen_s: T + 500, ..session() }.standing(&LIFETIMES, T), Standing::Ended);
    }

    #[test]
    fn it_is_refreshed_ahead_and_counts_no_longer_than_its_access() {
        let with = |length: u64| Session { access_s: Some((T, T + length)), refresh: Some(Token("r".into())), ..session() };
        assert_eq!(with(100).standing(&LIFETIMES, T + 74), Standing::Live { until_s: T + 75 });
        assert_eq!(with(100).standing(&LIFETIMES, T + 75), Standing::Refresh { until_s: T + 100 });
        assert_eq!(with(100).standing(&LIFETIMES, T + 500), Standing::Refresh { until_s: T + 100 });
        assert_eq!(with(100).standing(&LIFETIMES, T + 1800), Standing::Ended);
        assert_eq!(with(100).stream_end_s(&LIFETIMES), T + 100);
        let without = Session { refresh: None, ..with(100) };
        assert!(matches!(without.standing(&LIFETIMES, T + 150), Standing::Live { .. }));
        assert_eq!(without.stream_end_s(&LIFETIMES), T + 36_000);
    }

    #[test]
    fn what_is_written_is_read_and_shows_no_token() {
        let one = session();
        assert_eq!(Session::read(&one.write().unwrap()).unwrap(), one);
        assert!(!format!("{one:?}").contains("secret"));
        let caller = one.principal(&"staff".into(), &"https://id".into(), &KeyedHash::fixed(), &LIFETIMES).unwrap();
        assert_eq!(caller.claim("level"), Some(&ClaimValue::Int(2)));
        assert_eq!(caller.claim("groups"), Some(&ClaimValue::StringList(vec!["a".into(), "b".into()])));
        assert_eq!((caller.kind, caller.method), (PrincipalKind::User, AuthenticationMethod::Oidc));
        assert_eq!(Who::of(&caller), Who { issued_s: Some(T), ..one.who });
        for bad in [&b""[..], b"{}", b"[]", b"{\"i\":1}"] {
            assert!(Session::read(bad).is_none());
        }
    }
}
