//! Callers that a policy tool takes as verified: what their providers ask of claims, keys and names is asked all the same.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::authenticate::{Accepts, Caller};
use super::present::Presented;
use super::{Kind, Provider, refuse};
use crate::decide::Assumed;
use crate::exchange::{Exchange, Now, Refusal};
use crate::reason::Reason;

/// Seconds that an assumed token counts, where its claims do not say.
const LIFETIME_S: u64 = 300;

fn ambient(providers: &[Provider], assumed: &Assumed) -> bool {
    let own = providers.iter().find(|provider| *provider.name == *assumed.provider());
    own.is_some_and(|provider| matches!(provider.kind, Kind::Mtls(..) | Kind::Oidc(_)))
}

/// Adds them to what the request presents. As on a connection, certificates and sessions count where nothing else is said.
pub(super) fn present<'a>(
    providers: &[Provider],
    accepts: &Accepts,
    assumed: &'a [Assumed],
    presented: &mut SmallVec<[Presented<'a>; 2]>,
) {
    let said = !presented.is_empty() || assumed.iter().any(|one| !ambient(providers, one));
    let passed_over = |one: &Assumed| said && matches!(accepts, Accepts::AnyOf(_)) && ambient(providers, one);
    presented.extend(assumed.iter().filter(|one| !passed_over(one)).map(Presented::Assumed));
}

/// The caller, if its provider is one of the list.
pub(super) fn judge(
    providers: &[Provider],
    list: &[u32],
    assumed: &Assumed,
    exchange: &Exchange,
    now: Now,
) -> Result<Caller, Refusal> {
    let accepted = || list.iter().filter_map(|index| providers.get(usize::try_from(*index).ok()?));
    let Some(provider) = accepted().find(|provider| *provider.name == *assumed.provider()) else {
        let own = providers.iter().find(|provider| *provider.name == *assumed.provider());
        return Err(own.map_or(Reason::Internal, |own| foreign(own, accepted())).into());
    };
    provider.assume(assumed, exchange, now).map_err(|mut refusal| {
        refusal.provider = Some(Arc::clone(&provider.name));
        refusal
    })
}

/// What a credential of a provider that the route does not accept is refused with.
fn foreign<'p>(own: &Provider, mut accepted: impl Iterator<Item = &'p Provider>) -> Reason {
    match &own.kind {
        Kind::Jwt(_) | Kind::Introspection(_) | Kind::ClientAssertion(..) => match accepted.any(|one| one.reads_issuers()) {
            true => Reason::TokenIssuerUnknown,
            false => Reason::ProviderNotAccepted,
        },
        Kind::ApiKey(keys) => match accepted.any(|one| one.api_keys().is_some_and(|other| other.header == keys.header)) {
            true => Reason::ApiKeyUnknown,
            false => Reason::ProviderNotAccepted,
        },
        Kind::SignedRequest(..) => Reason::ProviderNotAccepted,
        Kind::Mtls(..) | Kind::Oidc(_) => Reason::CredentialMissing,
    }
}

impl Provider {
    fn reads_issuers(&self) -> bool {
        matches!(self.kind, Kind::Jwt(_) | Kind::ClientAssertion(..))
    }

    fn assume(&self, assumed: &Assumed, exchange: &Exchange, now: Now) -> Result<Caller, Refusal> {
        match &self.kind {
            Kind::Jwt(jwt) => jwt.assume(assumed.claims(), now),
            Kind::Introspection(introspection) => introspection.assume(assumed.claims(), now),
            Kind::Oidc(oidc) => oidc.assume(assumed.claims(), exchange, now).map(Rc::new),
            Kind::ApiKey(keys) => keys.assume(assumed.name(), exchange.client, now),
            Kind::Mtls(mtls, maker) => mtls.assume(maker, assumed.name()).map(Rc::new),
            Kind::ClientAssertion(assertions, maker) => assertions.assume(maker, assumed.name(), now).map(Rc::new),
            Kind::SignedRequest(signed, maker) => signed.assume(maker, assumed.name(), now).map(Rc::new),
        }
    }
}

/// Claims with what every good token of a provider says, where they do not say it.
pub(super) struct Filled {
    claims: Map<String, Value>,
}

impl Filled {
    pub(super) fn new(claims: &Map<String, Value>, now: Now) -> Self {
        let now_s = now.unix_ms / 1000;
        let mut filled = Self { claims: claims.clone() };
        filled.put("iat", now_s).put("exp", now_s.saturating_add(LIFETIME_S));
        filled
    }

    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        if !self.claims.contains_key(name) {
            self.claims.insert(name.to_owned(), value.into());
        }
        self
    }

    /// The first of several, where there is one.
    pub(super) fn first(&mut self, name: &str, values: &[Box<str>]) -> &mut Self {
        match values.first() {
            Some(value) => self.put(name, &**value),
            None => self,
        }
    }

    pub(super) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// No key, certificate or signature of that name.
pub(super) fn unknown(reason: Reason, name: &str) -> Refusal {
    refuse(reason, format!("nothing is known here by the name `{name}`"))
}
