//! Sessions that are over before their time: logged out here, or by the provider. Known to the whole process at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use super::session::Session;
use crate::providers::jwk::sha256;

/// What is remembered at once; beyond it a logout of the provider is refused, so that it tries again.
const ENTRIES: usize = 100_000;

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About<'a> {
    /// A session of ours, by its name.
    Session(&'a str),
    /// A session at the provider (`sid`).
    Sid(&'a str),
    /// All sessions of a person (`sub`) that began until then.
    Subject(&'a str),
    /// A logout token (`jti`): it counts once.
    Token(&'a str),
}

type Digest = [u8; 32];

fn digest(issuer: &str, about: About<'_>) -> Digest {
    let (kind, text) = match about {
        About::Session(text) => (b'i', text),
        About::Sid(text) => (b's', text),
        About::Subject(text) => (b'u', text),
        About::Token(text) => (b't', text),
    };
    let length = (issuer.len() as u64).to_be_bytes();
    sha256(&[&length[..], issuer.as_bytes(), &[kind], text.as_bytes()].concat())
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at_s: u64,
    until_s: u64,
}

/// Sessions that are over.
#[derive(Debug, Default)]
pub struct Ended {
    any: AtomicBool,
    entries: RwLock<HashMap<Digest, Entry>>,
}

impl Ended {
    /// Notes it until a moment, seconds since 1970; false where there is no room.
    #[must_use]
    pub fn note(&self, issuer: &str, about: About<'_>, now_s: u64, until_s: u64) -> bool {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ENTRIES {
            entries.retain(|_, entry| entry.until_s > now_s);
        }
        let key = digest(issuer, about);
        if entries.len() >= ENTRIES && !entries.contains_key(&key) {
            return false;
        }
        let old = entries.get(&key).map_or(0, |entry| entry.until_s);
        entries.insert(key, Entry { at_s: now_s, until_s: until_s.max(old) });
        self.any.store(true, Ordering::Release);
        true
    }

    /// Whether it is noted.
    #[must_use]
    pub fn has(&self, issuer: &str, about: About<'_>, now_s: u64) -> bool {
        self.find(issuer, about, now_s).is_some()
    }

    fn find(&self, issuer: &str, about: About<'_>, now_s: u64) -> Option<Entry> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&digest(issuer, about)).copied().filter(|entry| entry.until_s > now_s)
    }

    /// Whether a session is over.
    #[must_use]
    pub fn is_over(&self, issuer: &str, session: &Session, now_s: u64) -> bool {
        let sid = session.who.sid.as_deref();
        self.has(issuer, About::Session(&session.id), now_s)
            || sid.is_some_and(|sid| self.has(issuer, About::Sid(sid), now_s))
            || self.find(issuer, About::Subject(&session.who.subject), now_s).is_some_and(|entry| session.created_s <= entry.at_s)
    }

    /// Whether the session that a remembered verdict is of is over.
    #[must_use]
    pub fn is_caller_over(&self, issuer: &str, principal: &crate::principal::Principal, now_s: u64) -> bool {
        self.any.load(Ordering::Acquire)
            && (principal.token_id.as_deref().is_some_and(|id| self.has(issuer, About::Session(id), now_s))
                || principal.session.as_deref().is_some_and(|sid| self.has(issuer, About::Sid(sid), now_s))
                // When it began stands in the cookie: that is opened again.
                || self.has(issuer, About::Subject(&principal.subject), now_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::oidc::session::Who;

    fn session(id: &str, sid: Option<&str>, subject: &str, created_s: u64) -> Session {
        let who = Who { subject: subject.into(), sid: sid.map(Into::into), ..Who::default() };
        Session {
            id: id.into(),
            host: "h".into(),
            created_s,
            seen_s: created_s,
            access_s: None,
            refresh: None,
            id_token: None,
            who,
        }
    }

    #[test]
    fn each_end_is_of_its_sessions() {
        let (ann, bob) = (session("1", Some("s1"), "ann", 100), session("2", Some("s2"), "bob", 100));
        for (about, over) in [
            (About::Session("1"), true),
            (About::Session("2"), false),
            (About::Sid("s1"), true),
            (About::Sid("1"), false),
            (About::Subject("ann"), true),
            (About::Subject("bob"), false),
            (About::Token("1"), false),
        ] {
            let ended = Ended::default();
            assert!(!ended.is_over("id", &ann, 200));
            assert!(ended.note("id", about, 150, 300));
            assert_eq!(ended.is_over("id", &ann, 200), over, "{about:?}");
            assert!(!ended.is_over("other", &ann, 200) && !ended.is_over("id", &ann, 300));
            assert_eq!(ended.is_over("id", &bob, 200), !over && !matches!(about, About::Sid("1") | About::Token(_)));
        }
    }

    #[test]
    fn who_logs_in_again_is_in() {
        let ended = Ended::default();
        assert!(ended.note("id", About::Subject("ann"), 150, 300));
        assert!(ended.is_over("id", &session("1", None, "ann", 150), 200));
        assert!(!ended.is_over("id", &session("2", None, "ann", 151), 200));
    }

    #[test]
    fn memory_is_bounded() {
        let ended = Ended::default();
        for number in 0..ENTRIES {
            assert!(ended.note("id", About::Token(&number.to_string()), 1, 10));
        }
        assert!(!ended.note("id", About::Token("one more"), 2, 20) && ended.note("id", About::Token("7"), 2, 20));
        assert!(ended.note("id", About::Token("one more"), 10, 20));
        assert!(ended.has("id", About::Token("one more"), 11) && !ended.has("id", About::Token("8"), 11));
    }
}
