//! The caller that a session stands for: where it is read, when it is written anew, and its refresh, one at a time.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::grants::{Failure as NoTokens, Grant, Outcome};
use super::login::Wanted;
use super::session::{Session, Standing};
use super::stored::{self, Ask, Handle};
use super::tokens::Tokens;
use super::{Found, Oidc, authority, browser, cookie, no_fit};
use crate::exchange::{AuthenticationMethod, Exchange, Need, Now, Principal, PrincipalKind, Refusal, Upgrade, Use};
use crate::filters::csrf;
use crate::origin::Page;
use crate::providers::assumed::Filled;
use crate::providers::jwk::sha256;
use crate::providers::jwt::Failure;
use crate::providers::refuse;
use crate::providers::verdict::{Credential, Verdict, VerdictCache};
use crate::reason::Reason;
use crate::store::Key;

/// What of a session's reading decides how it goes on.
struct Read {
    session: Session,
    /// Where the store has it, and the SHA-256 of its text there.
    place: Option<(Key, [u8; 32])>,
}

fn refused(reason: Reason, clear: bool) -> Found {
    Found::Refused(reason.into(), clear)
}

impl Oidc {
    /// The caller that the session cookie of a request stands for. `provider` is the index of this provider,
    /// `identity` that of its configuration.
    pub fn caller(&self, provider: u32, identity: u128, exchange: &Exchange, verdicts: &mut VerdictCache, now: Now) -> Found {
        if self.forged(exchange) {
            return refused(Reason::CsrfRefused, false);
        }
        let Some(text) = cookie::read_session(&exchange.request.headers, &self.cookie) else {
            return refused(Reason::SessionInvalid, false);
        };
        let Ok(host) = authority(exchange) else { return refused(Reason::HostInvalid, false) };
        let credential = Credential { digest: sha256(&[host.as_bytes(), b"\0", &text].concat()), provider: identity };
        // What the store said for this request counts before what it said for an earlier one.
        let place = exchange.sessions.as_ref().filter(|sessions| !sessions.stored.is_empty()).and_then(|_| self.place(&text));
        if place.is_none_or(|key| exchange.stored(&key).is_none())
            && let Some(principal) = verdicts.get(&credential, 0, now)
        {
            return Found::Caller(principal, None);
        }
        let read = match self.read(exchange, &text, &host) {
            Ok(read) => read,
            Err(found) => return *found,
        };
        let now_s = now.unix_ms / 1000;
        match read.session.standing(&self.lifetimes, now_s) {
            Standing::Ended => refused(Reason::SessionExpired, true),
            Standing::Live { until_s } => match self.principal(&read.session) {
                None => refused(Reason::SessionInvalid, false),
                Some(principal) => {
                    // What the store has may change without this browser.
                    let look_s = read.place.map_or(u64::MAX, |_| now_s.saturating_add(stored::READ_S));
                    let until_ms = until_s.min(look_s).saturating_mul(1000);
                    let verdict = Verdict { principal: Rc::clone(&principal), trust_revision: 0, from_ms: 0, until_ms };
                    verdicts.insert(credential, verdict);
                    Found::Caller(principal, None)
                }
            },
            Standing::Renew => self.renewed(Session { seen_s: now_s, ..read.session }),
            Standing::Refresh { until_s } => self.refreshing(provider, &read, exchange, until_s, now),
        }
    }

    /// The session of a cookie's text, from the cookie itself or from the store.
    fn read(&self, exchange: &Exchange, text: &[u8], host: &str) -> Result<Read, Box<Found>> {
        let no = |reason, clear| Err(Box::new(refused(reason, clear)));
        let (session, place) = match self.place(text) {
            None if self.is_stored() => return no(Reason::SessionInvalid, false),
            None => (self.unseal(text), None),
            Some(key) => match exchange.stored(&key) {
                None => {
                    let need = Need::Session(Box::new(Ask::Read(key)));
                    return Err(Box::new(Found::Needs(need, Reason::StateUnavailable.into())));
                }
                Some(Err(_)) => return no(Reason::StateUnavailable, false),
                Some(Ok(None)) => return no(Reason::SessionExpired, true),
                Some(Ok(Some(sealed))) => (self.unseal_stored(&key, sealed), Some((key, sha256(sealed)))),
            },
        };
        match session.filter(|session| session.host == host) {
            Some(session) => Ok(Read { session, place }),
            None => no(Reason::SessionInvalid, false),
        }
    }

    /// Where the store has the session of a cookie's text; nothing where cookies hold sessions, or this one holds no handle.
    pub(super) fn place(&self, text: &[u8]) -> Option<Key> {
        self.is_stored().then(|| Handle::read(text)).flatten().map(|handle| handle.key(&self.name))
    }

    /// A session whose access ends soon: by one request of all that come with it, the others go on until it has ended.
    fn refreshing(&self, provider: u32, read: &Read, exchange: &Exchange, until_s: u64, now: Now) -> Found {
        let session = &read.session;
        let Some(token) = session.refresh.clone() else { return refused(Reason::Internal, false) };
        if let Some((key, digest)) = read.place {
            let now_s = now.unix_ms / 1000;
            let failed = session.failed_s.is_some_and(|failed_s| now_s < failed_s.saturating_add(stored::PAUSE_S));
            let turn = stored::turn(&key, session, now.unix_ms);
            match exchange.use_of(&turn.key) {
                _ if failed && now_s < until_s => return self.lasting(session),
                _ if failed => return refused(Reason::IdentityProviderUnavailable, false),
                Some(Use::New) => {}
                Some(Use::Unknown) => return refused(Reason::StateUnavailable, false),
                Some(Use::Again) if now_s < until_s => return self.lasting(session),
                Some(Use::Again) => {
                    let need = Need::Session(Box::new(Ask::Changed(key, digest)));
                    return Found::Needs(need, Reason::IdentityProviderUnavailable.into());
                }
                None => return Found::Needs(Need::Unused(Box::new(turn)), Reason::StateUnavailable.into()),
            }
        }
        let grant = Grant::Refresh(token);
        match exchange.tokens(provider, &grant) {
            Some(outcome) => self.refresh(provider, read, outcome, until_s, now),
            // Asked for once, and not answered in time.
            None if exchange.was_asked(&Need::Tokens { provider, grant: Box::new(grant.clone()) }) => {
                self.refresh(provider, read, &Err(NoTokens::Unavailable("no answer in time".into())), until_s, now)
            }
            None => Found::Needs(Need::Tokens { provider, grant: Box::new(grant) }, Reason::IdentityProviderUnavailable.into()),
        }
    }

    /// What a session is after its refresh, or after the attempt.
    fn refresh(&self, provider: u32, read: &Read, outcome: &Outcome, until_s: u64, now: Now) -> Found {
        let (session, now_s) = (&read.session, now.unix_ms / 1000);
        let fresh = match outcome {
            Ok(body) => self.merged(session, body, now),
            Err(NoTokens::Refused(_)) => Err(Refusal::from(Reason::SessionExpired).into()),
            Err(NoTokens::Unavailable(_)) => Err(Refusal::from(Reason::IdentityProviderUnavailable).into()),
        };
        match fresh {
            Ok(session) => self.renewed(session),
            Err(Failure::KeysNeeded(refusal)) => Found::Needs(Need::Keys { provider }, refusal),
            // For all that come with it: it goes on to the end of its access, and is over then or tried again.
            Err(Failure::Refused(refusal)) if read.place.is_some() => self.renewed(match refusal.reason {
                Reason::IdentityProviderUnavailable => Session { failed_s: Some(now_s), ..session.clone() },
                _ => Session { refresh: None, over_s: session.access_s.map(|(_, end_s)| end_s), ..session.clone() },
            }),
            // To the end of its access, and no longer; nothing is remembered, so that it is tried again.
            Err(Failure::Refused(_)) if now_s < until_s => self.lasting(session),
            Err(Failure::Refused(refusal)) => {
                let over = refusal.reason != Reason::IdentityProviderUnavailable;
                let reason = if over { Reason::SessionExpired } else { refusal.reason };
                Found::Refused(Refusal { reason, ..refusal }, over)
            }
        }
    }

    /// A session with fresh tokens (OpenID Connect Core section 12.2).
    fn merged(&self, session: &Session, body: &[u8], now: Now) -> Result<Session, Failure> {
        let tokens = Tokens::read(body)?;
        let now_s = now.unix_ms / 1000;
        let mut who = session.who.clone();
        if let Some(id_token) = &tokens.id_token {
            who = self.identify(id_token, &tokens, None, None, &Wanted::default(), now)?;
            let moved = who.auth_time.is_some() && session.who.auth_time.is_some() && who.auth_time != session.who.auth_time;
            if who.subject != session.who.subject || moved {
                return Err(refuse(Reason::LoginFailed, "the fresh ID token is another login's").into());
            }
            // What says how the person logged in, and in which session, does not change by a refresh.
            who.sid = who.sid.or_else(|| session.who.sid.clone());
            who.acr = session.who.acr.clone();
            who.auth_time = session.who.auth_time;
        }
        let refresh = tokens.refresh_token.clone().or_else(|| session.refresh.clone());
        Ok(Session {
            seen_s: now_s,
            access_s: tokens.expires_in.map(|seconds| (now_s, now_s.saturating_add(seconds))),
            refresh,
            failed_s: None,
            id_token: tokens.id_token.clone().or_else(|| session.id_token.clone()),
            who,
            ..session.clone()
        })
    }

    fn renewed(&self, session: Session) -> Found {
        match self.principal(&session) {
            Some(principal) => Found::Caller(principal, Some(Box::new(session))),
            None => Found::Refused(Reason::SessionInvalid.into(), false),
        }
    }

    fn lasting(&self, session: &Session) -> Found {
        match self.principal(session) {
            Some(principal) => Found::Caller(principal, None),
            None => Found::Refused(Reason::SessionInvalid.into(), false),
        }
    }

    /// The caller that a session stands for.
    #[must_use]
    pub fn principal(&self, session: &Session) -> Option<Rc<Principal>> {
        let principal = session.principal(&self.name, &self.issuer, &self.hash, &self.lifetimes)?;
        Some(Rc::new(Principal { page_token: self.page_token(&session.id), ..principal }))
    }

    /// Who logged in just now with these claims.
    pub(in crate::providers) fn assume(
        &self,
        claims: &Map<String, Value>,
        exchange: &Exchange,
        now: Now,
    ) -> Result<Principal, Refusal> {
        if self.forged(exchange) {
            return Err(Reason::CsrfRefused.into());
        }
        let mut filled = Filled::new(claims, now);
        filled.put("auth_time", now.unix_ms / 1000);
        let mut principal = self.mapping.principal(filled.claims(), &self.issuer, u64::MAX).map_err(no_fit)?;
        (principal.method, principal.kind) = (AuthenticationMethod::Oidc, PrincipalKind::User);
        principal.expires_ms = None;
        Ok(principal)
    }

    /// Whether a request may have been sent by a foreign page, with the cookie that the browser adds by itself.
    fn forged(&self, exchange: &Exchange) -> bool {
        // The route says whose pages may write.
        if let Some(page) = exchange.page {
            // A token is compared where the caller is known.
            return csrf::writes(exchange) && !matches!(page, Page::Own | Page::Listed | Page::Promised);
        }
        if exchange.upgrade != Upgrade::None {
            // From which origins is decided with the route; a page of another site never with a session.
            return exchange.request.headers.named(b"sec-fetch-site").any(|site| site == b"cross-site")
                || exchange.request.headers.get(crate::headers::Known::Origin).is_none();
        }
        !browser::is_safe(&exchange.request.method) && !browser::is_same_origin(exchange)
    }
}
