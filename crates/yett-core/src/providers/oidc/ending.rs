//! What ends sessions: a logout here, or a token in which the provider tells of one.

use super::session::Session;
use super::{Oidc, authority, logout};
use crate::exchange::{Exchange, Now, Refusal};
use crate::providers::jwt::{Failure, Unverified};
use crate::providers::refuse;
use crate::reason::Reason;
use crate::revocation::{LOGOUT, Revocation, What, hex};
use crate::store::{Key, Space};

impl Oidc {
    /// What a logout token says (OpenID Connect Back-Channel Logout section 2.6).
    ///
    /// # Errors
    /// `logout_token_invalid`; or a key that has to be fetched.
    pub fn told(&self, token: &str, now: Now) -> Result<logout::Ended, Failure> {
        let wrong = |refusal: Refusal| refuse(Reason::LogoutTokenInvalid, refusal.reason.title());
        let token = Unverified::parse_logout_token(token.as_bytes()).map_err(wrong)?;
        token.check(&self.algorithms, &self.keys).map_err(|failure| match failure {
            Failure::Refused(refusal) => Failure::Refused(wrong(refusal)),
            needed @ Failure::KeysNeeded(_) => needed,
        })?;
        Ok(logout::judge(token.claims(), &self.issuer, &self.client, self.leeway_s, now)?)
    }

    /// Where a person goes on to after a logout: to the provider, where it has a page for that.
    #[must_use]
    pub fn logout_location(&self, exchange: &Exchange, session: Option<&Session>) -> String {
        let end_session = self.endpoints().and_then(|endpoints| endpoints.end_session);
        match (end_session, authority(exchange)) {
            (Some(end_session), Ok(host)) => {
                let back = format!("https://{host}{}", self.after_logout);
                logout::location(&end_session, &self.client, &back, session)
            }
            _ => self.after_logout.to_string(),
        }
    }

    /// What a logout revokes: this session, for as long as it could have lasted, wherever its cookie is.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn over(&self, session: &Session, now: Now) -> Result<Box<[Revocation]>, Refusal> {
        let until_s = session.created_s.saturating_add(self.lifetimes.absolute_s);
        let what = What::Token { issuer: Some((&*self.issuer).into()), id: session.id.as_str().into() };
        self.revocation(what, None, until_s, now).map(|one| [one].into())
    }

    /// What a logout token revokes: the session that it names, or all of a person that began before it was made. The same
    /// token is the same revocation, however often it comes.
    ///
    /// # Errors
    /// `logout_token_invalid` for a name that is none.
    pub fn ended(&self, ended: &logout::Ended, now: Now) -> Result<Box<[Revocation]>, Refusal> {
        let issuer = Some((&*self.issuer).into());
        let (what, before_ms) = match (&ended.sid, &ended.sub) {
            (Some(sid), _) => (What::Session { issuer, id: sid.clone() }, None),
            (None, Some(sub)) => {
                let before_s = ended.issued_s.saturating_add(self.leeway_s).saturating_add(1);
                (What::Subject { issuer, id: sub.clone() }, Some(before_s.saturating_mul(1000)))
            }
            (None, None) => return Err(Reason::LogoutTokenInvalid.into()),
        };
        let until_s = ended.issued_s.max(now.unix_ms / 1000).saturating_add(self.lifetimes.absolute_s);
        let mut one = self.revocation(what, before_ms, until_s, now)?;
        one.id = hex(self.logout_key(ended).id().get(..16).unwrap_or_default()).into();
        Ok([one].into())
    }

    fn revocation(&self, what: What, before_ms: Option<u64>, until_s: u64, now: Now) -> Result<Revocation, Refusal> {
        let until_ms = until_s.saturating_add(60).saturating_mul(1000);
        Revocation::new(what, before_ms, until_ms, LOGOUT, now.unix_ms).map_err(|_| Reason::Internal.into())
    }

    /// What a logout token is remembered by: it counts once.
    #[must_use]
    pub fn logout_key(&self, ended: &logout::Ended) -> Key {
        Key::new(Space::Event, &[b"logout", self.issuer.as_bytes(), ended.jti.as_bytes()])
    }
}
