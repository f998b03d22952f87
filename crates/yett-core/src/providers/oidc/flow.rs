//! A login, from its beginning to the session that it ends in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::grants::Grant;
use super::login::{BEGIN_RANDOM, Begun, Pending, Start, Wanted};
use super::session::{Session, Who};
use super::token::Token;
use super::tokens::{Expected, Tokens};
use super::{ID, Oidc, authority, login, no_fit, tokens};
use crate::exchange::{Exchange, Now, Refusal};
use crate::providers::jwt::{Failure, Unverified};
use crate::providers::refuse;
use crate::reason::Reason;

impl Oidc {
    /// Begins a login that ends at `return_to`, a path and query of a route of this host.
    ///
    /// # Errors
    /// `login_insecure`, `identity_provider_unavailable`.
    pub fn begin(
        &self,
        exchange: &Exchange,
        return_to: &str,
        wanted: &Wanted,
        random: &[u8; BEGIN_RANDOM],
        now: Now,
    ) -> Result<Begun, Refusal> {
        if !exchange.https {
            return Err(Reason::LoginInsecure.into());
        }
        let endpoints = self.endpoints().ok_or(Reason::IdentityProviderUnavailable)?;
        let host = authority(exchange)?;
        let start = Start {
            headers: &exchange.request.headers,
            host: &host,
            redirect_uri: &self.redirect_uri(&host),
            return_to,
            wanted,
            now_s: now.unix_ms / 1000,
        };
        login::begin(&self.client(&endpoints), &start, random).ok_or_else(|| Reason::Internal.into())
    }

    /// Finds the login that a request to the callback belongs to.
    ///
    /// # Errors
    /// `login_insecure`, `identity_provider_unavailable`, `login_state_invalid`.
    pub fn returned(&self, exchange: &Exchange, now: Now) -> Result<login::Returned, Refusal> {
        if !exchange.https {
            return Err(Reason::LoginInsecure.into());
        }
        let endpoints = self.endpoints().ok_or(Reason::IdentityProviderUnavailable)?;
        let answered = login::Answered {
            headers: &exchange.request.headers,
            host: &authority(exchange)?,
            query: exchange.query(),
            issuer: &self.issuer,
            names_issuer: endpoints.names_issuer,
            now_s: now.unix_ms / 1000,
        };
        login::returned(&self.client(&endpoints), &answered)
    }

    /// What the token endpoint is to be asked with for this login.
    ///
    /// # Errors
    /// `host_invalid`
    pub fn grant(&self, exchange: &Exchange, pending: &Pending, code: &Token) -> Result<Grant, Refusal> {
        let redirect_uri = self.redirect_uri(&authority(exchange)?).into();
        Ok(Grant::Code { code: code.clone(), verifier: pending.verifier.clone(), redirect_uri })
    }

    /// The session that a login ends in: with a name of its own, whatever the browser brought.
    ///
    /// # Errors
    /// `login_failed`, `insufficient_user_authentication`; or a key that has to be fetched.
    pub fn establish(
        &self,
        exchange: &Exchange,
        pending: &Pending,
        code: &Token,
        body: &[u8],
        id: &[u8; ID],
        now: Now,
    ) -> Result<Session, Failure> {
        let tokens = Tokens::read(body)?;
        let wanted = pending.wanted();
        let id_token = tokens.id_token.as_ref().ok_or_else(|| refuse(Reason::LoginFailed, "the provider gave no ID token"))?;
        let who = self.identify(id_token, &tokens, Some(&pending.nonce), Some(code), &wanted, now)?;
        let now_s = now.unix_ms / 1000;
        let refresh = tokens.refresh_token.clone();
        Ok(Session {
            id: URL_SAFE_NO_PAD.encode(id),
            host: authority(exchange)?,
            created_s: now_s,
            seen_s: now_s,
            access_s: tokens.expires_in.map(|seconds| (now_s, now_s.saturating_add(seconds))),
            refresh,
            id_token: Some(id_token.clone()),
            over_s: None,
            failed_s: None,
            who,
        })
    }

    /// Who an ID token names: its signature, then its claims.
    pub(super) fn identify(
        &self,
        id_token: &Token,
        tokens: &Tokens,
        nonce: Option<&Token>,
        code: Option<&Token>,
        wanted: &Wanted,
        now: Now,
    ) -> Result<Who, Failure> {
        let token = Unverified::parse_id_token(id_token.0.as_bytes()).map_err(no_fit)?;
        token.check(&self.algorithms, &self.keys).map_err(|failure| match failure {
            Failure::Refused(refusal) => Failure::Refused(no_fit(refusal)),
            needed @ Failure::KeysNeeded(_) => needed,
        })?;
        let expected = Expected {
            issuer: &self.issuer,
            client: &self.client,
            nonce: nonce.map(|nonce| nonce.0.as_str()),
            access_token: &tokens.access_token.0,
            code: code.map(|code| code.0.as_str()),
            wanted,
            leeway_s: self.leeway_s,
            algorithm: token.algorithm(),
        };
        tokens::judge(token.claims(), &expected, now)?;
        let mut who = Who::of(&self.mapping.principal(token.claims(), &self.issuer, u64::MAX).map_err(no_fit)?);
        if who.scopes.is_empty() {
            let granted = tokens.scope.as_deref().unwrap_or(&self.scope);
            who.scopes = granted.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
        }
        Ok(who)
    }
}
