//! Where sessions are kept: in a sealed cookie, or in the store, of which the cookie has the handle.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::cookie::Fields;
use super::seal::{Purpose, RANDOM};
use super::session::Session;
use super::stored::{Ask, Handle};
use super::{Oidc, authority, cookie, stored};
use crate::exchange::{Exchange, Need, Now, Refusal};
use crate::ir;
use crate::reason::Reason;
use crate::store::{Key, MAX_VALUE};

/// How long the store keeps a session after its end, seconds: clocks of instances differ.
const KEPT_S: u64 = 60;

impl Oidc {
    /// Whether its sessions are in the store.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.store == ir::SessionStore::Server
    }

    /// The session of a request, whatever it is worth now; for a logout.
    ///
    /// # Errors
    /// What the store has to be asked first; or, without a question, `state_unavailable`.
    pub fn open(&self, exchange: &Exchange) -> Result<Option<Session>, Option<Need>> {
        let Some(text) = cookie::read_session(&exchange.request.headers, &self.cookie) else { return Ok(None) };
        let session = match self.place(&text) {
            None if self.is_stored() => None,
            None => self.unseal(&text),
            Some(key) => match exchange.stored(&key) {
                None => return Err(Some(Need::Session(Box::new(Ask::Read(key))))),
                Some(Err(_)) => return Err(None),
                Some(Ok(sealed)) => sealed.as_ref().and_then(|sealed| self.unseal_stored(&key, sealed)),
            },
        };
        Ok(session.filter(|session| authority(exchange).is_ok_and(|host| session.host == host)))
    }

    /// Where the store has the session of a request, if it has it.
    #[must_use]
    pub fn key(&self, exchange: &Exchange) -> Option<Key> {
        self.place(&cookie::read_session(&exchange.request.headers, &self.cookie)?)
    }

    pub(super) fn unseal(&self, text: &[u8]) -> Option<Session> {
        Session::read(&self.ring.open(&self.bound(Purpose::Session), text)?)
    }

    pub(super) fn unseal_stored(&self, key: &Key, text: &[u8]) -> Option<Session> {
        let own = self.bound(Purpose::Stored);
        let policy = stored::policy(&own, key);
        Session::read(&self.ring.open(&stored::bound(&own, &policy), text)?)
    }

    /// A session as the store keeps it at this place, and until when, milliseconds since 1970.
    ///
    /// # Errors
    /// `session_too_large`
    pub fn seal_stored(&self, key: &Key, session: &Session, random: &[u8; RANDOM]) -> Result<(Arc<[u8]>, u64), Refusal> {
        let own = self.bound(Purpose::Stored);
        let policy = stored::policy(&own, key);
        let write = |session: &Session| {
            let plain = Zeroizing::new(session.write()?);
            let sealed = self.ring.seal(&stored::bound(&own, &policy), &plain, random)?;
            (sealed.len() <= MAX_VALUE).then(|| sealed.into_bytes().into())
        };
        let until_ms = session.end_s(&self.lifetimes).saturating_add(KEPT_S).saturating_mul(1000);
        // As with cookies: the hint of a logout is what it can do without.
        let value = write(session).or_else(|| write(&Session { id_token: None, ..session.clone() }));
        Ok((value.ok_or(Reason::SessionTooLarge)?, until_ms))
    }

    /// The cookie that gives a browser the handle of its session, for as long as the session can last.
    ///
    /// # Errors
    /// Never: a handle fits into one cookie.
    pub fn hand_over(&self, exchange: &Exchange, session: &Session, handle: &Handle, now: Now) -> Result<Fields, Refusal> {
        let end_s = session.created_s.saturating_add(self.lifetimes.absolute_s);
        let left = end_s.saturating_sub(now.unix_ms / 1000);
        let fields = cookie::write_session(&exchange.request.headers, &self.cookie, &handle.text(), left);
        fields.ok_or_else(|| Reason::SessionTooLarge.into())
    }

    /// The cookies that keep a session.
    ///
    /// # Errors
    /// `session_too_large`
    pub fn keep(&self, exchange: &Exchange, session: &Session, random: &[u8; RANDOM], now: Now) -> Result<Fields, Refusal> {
        let left = session.end_s(&self.lifetimes).saturating_sub(now.unix_ms / 1000);
        let write = |session: &Session| {
            let plain = Zeroizing::new(session.write()?);
            let sealed = self.ring.seal(&self.bound(Purpose::Session), &plain, random)?;
            cookie::write_session(&exchange.request.headers, &self.cookie, &sealed, left)
        };
        if let Some(fields) = write(session) {
            return Ok(fields);
        }
        // The hint of a logout is the one thing that it can do without. The random bytes sealed nothing that was sent.
        let smaller = Session { id_token: None, ..session.clone() };
        write(&smaller).ok_or_else(|| Reason::SessionTooLarge.into())
    }

    /// Takes the session's cookies away.
    #[must_use]
    pub fn clear(&self, exchange: &Exchange) -> Fields {
        cookie::clear_session(&exchange.request.headers, &self.cookie)
    }
}
