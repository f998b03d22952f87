//! Live checks: a credential that was verified is confirmed by its issuer (RFC 7662).
//!
//! A signed token is good until it ends, whatever its issuer thinks of it meanwhile. A route with a live check asks, so
//! that a token that was revoked is refused there on the next request. Sessions are the gateway's own: the store that has one
//! is asked, and what other instances revoked is read to its end.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::jwk::sha256;
use super::oidc::stored::{Ask, READ_S};
use super::{Provider, authenticate, claims, refuse};
use crate::exchange::{AuthenticationMethod, Exchange, Need, Now, Principal, Refusal, Step};
use crate::ir;
use crate::reason::Reason;
use crate::revocation::Revocations;

/// A compiled live check.
#[derive(Debug)]
pub struct LiveCheck {
    max_age_ms: u64,
    /// The provider whose endpoint is asked; that of the credential otherwise.
    asked: Option<u32>,
}

impl LiveCheck {
    /// Builds it for a route.
    ///
    /// # Errors
    /// A public route, a provider that is not there, and tokens about which nobody can be asked.
    pub fn build(
        spec: &ir::LiveCheck,
        access: &ir::Access,
        providers: &[Provider],
        by_name: &HashMap<&str, u32>,
    ) -> Result<Self, String> {
        let ir::Access::Authenticated(authenticated) = access else {
            return Err("a public route knows no callers, whom a live check could confirm".to_owned());
        };
        let find = |name: &str| {
            let index = by_name.get(name).copied().ok_or_else(|| format!("there is no identity provider `{name}`"))?;
            let provider = usize::try_from(index).ok().and_then(|index| providers.get(index));
            provider.map(|provider| (index, provider)).ok_or_else(|| format!("there is no identity provider `{name}`"))
        };
        let asked = spec.provider.as_deref().map(find).transpose()?;
        if let Some((_, provider)) = asked
            && provider.introspection().is_none()
        {
            return Err(format!("`{}` is not of type `introspection`", provider.name));
        }
        for name in &authenticated.providers {
            let (_, provider) = find(name)?;
            if asked.is_none() && provider.jwt().is_some() && provider.source().is_none() {
                return Err(format!("there is nobody to ask about tokens of `{name}`"));
            }
        }
        Ok(Self { max_age_ms: spec.max_age_ms, asked: asked.map(|(index, _)| index) })
    }

    /// Confirms every credential that somebody can be asked about; what is not confirmed refuses.
    pub fn confirm(&self, providers: &[Provider], revocations: &Revocations, exchange: &mut Exchange, now: Now) -> Step {
        let mut step = Step::Continue;
        for principal in exchange.principals() {
            if exchange.assumed.iter().any(|one| *one.provider() == *principal.provider) {
                continue;
            }
            step = match principal.method {
                AuthenticationMethod::Jwt | AuthenticationMethod::Introspection => self.token(providers, exchange, principal),
                AuthenticationMethod::Oidc => self.session(providers, revocations, exchange, principal, now),
                AuthenticationMethod::ApiKey | AuthenticationMethod::Mtls => continue,
                AuthenticationMethod::SignedRequest | AuthenticationMethod::ClientAssertion => continue,
            };
            if !matches!(step, Step::Continue) {
                break;
            }
        }
        match step {
            Step::Need(need) => {
                let unanswered = match need {
                    Need::Introspection { .. } => Reason::IdentityProviderUnavailable,
                    _ => Reason::StateUnavailable,
                };
                exchange.ask(need).unwrap_or(Step::Refuse(unanswered.into()))
            }
            other => other,
        }
    }

    /// What other instances revoked has to be known, and the store has to have been read for this request: authenticate
    /// judges what it said, and the next phase what is revoked.
    fn session(
        &self,
        providers: &[Provider],
        revocations: &Revocations,
        exchange: &Exchange,
        principal: &Principal,
        now: Now,
    ) -> Step {
        if !revocations.are_as_of(self.max_age_ms, now.unix_ms) {
            match exchange.caught_up() {
                Some(true) => {}
                Some(false) => return Step::Refuse(Reason::StateUnavailable.into()),
                None => return Step::Need(Need::Revocations),
            }
        }
        let own = providers.iter().find(|provider| *provider.name == *principal.provider);
        let Some(oidc) = own.and_then(Provider::oidc) else { return Step::Refuse(Reason::Internal.into()) };
        // A worker remembers no longer than this.
        if !oidc.is_stored() || self.max_age_ms >= READ_S.saturating_mul(1000) {
            return Step::Continue;
        }
        match oidc.key(exchange) {
            Some(key) if exchange.stored(&key).is_some() => Step::Continue,
            Some(key) => Step::Need(Need::Session(Box::new(Ask::Read(key)))),
            None => Step::Refuse(Reason::Internal.into()),
        }
    }

    fn token(&self, providers: &[Provider], exchange: &Exchange, principal: &Principal) -> Step {
        let own = || providers.iter().position(|provider| *provider.name == *principal.provider);
        let index = match (principal.method, self.asked) {
            (AuthenticationMethod::Jwt, Some(asked)) => Some(asked),
            _ => own().and_then(|position| u32::try_from(position).ok()),
        };
        let provider = index.and_then(|index| providers.get(usize::try_from(index).ok()?));
        let found = index.zip(provider.and_then(Provider::source)).zip(authenticate::bearer_of(&exchange.request));
        let Some(((index, source), token)) = found else { return Step::Refuse(Reason::Internal.into()) };
        let max_age = Duration::from_millis(self.max_age_ms);
        let asked = exchange.introspected.as_ref().filter(|said| said.provider == index && said.max_age_ms <= self.max_age_ms);
        let answer = match asked {
            Some(said) => match &said.answer {
                Ok(answer) => answer.clone(),
                Err(unanswered) => return Step::Refuse(unanswered.refusal()),
            },
            None => match source.known(sha256(token.as_bytes()), max_age, max_age) {
                Some(answer) => answer,
                None => return Step::Need(Need::Introspection { provider: index, max_age_ms: self.max_age_ms }),
            },
        };
        let confirmed = answer.claims().map_err(Refusal::from).and_then(|claims| agrees(&claims, principal));
        confirmed.map_or_else(Step::Refuse, |()| Step::Continue)
    }
}

/// Whether the issuer speaks of the same token.
fn agrees(said: &Map<String, Value>, principal: &Principal) -> Result<(), Refusal> {
    let same = |name: &str, own: Option<&str>| match (claims::text(said, name)?, own) {
        (Some(text), Some(own)) if text != own => {
            Err(refuse(Reason::TokenClaimInvalid, format!("its issuer gives it another `{name}`")))
        }
        _ => Ok(()),
    };
    same("iss", Some(&*principal.issuer).filter(|issuer| !issuer.is_empty()))?;
    same("sub", Some(&principal.subject))?;
    same("jti", principal.token_id.as_deref())
}
