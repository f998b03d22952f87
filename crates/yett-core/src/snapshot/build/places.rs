//! Where the gateway itself answers: receivers of security events, and logins.

use super::Errors;
use crate::ir::Ir;
use crate::providers::Provider;
use crate::providers::oidc::places::Places;
use crate::snapshot::{BearerToken, Events, Secrets};

/// Receivers of security events, each with a provider of signed tokens, and no route in its place.
pub(super) fn events(ir: &Ir, providers: &[Provider], secrets: &Secrets, errors: &mut Errors) -> Vec<Events> {
    let mut out = Vec::with_capacity(ir.security_events.len());
    for (index, spec) in ir.security_events.iter().enumerate() {
        let provider = providers.iter().position(|provider| **provider.name() == *spec.provider && provider.signs_tokens());
        let token = match &spec.token {
            None => Ok(None),
            Some(name) => secrets
                .get(name)
                .map(|token| Some(BearerToken::new(token)))
                .ok_or_else(|| format!("the secret `{name}` is missing")),
        };
        let provider = provider.ok_or_else(|| format!("there is no provider `{}` of signed tokens", spec.provider));
        let provider = errors.take(|| format!("/security_events/{index}/provider"), provider);
        let token = errors.take(|| format!("/security_events/{index}/token"), token);
        let (Some(provider), Some(token)) = (provider, token) else { continue };
        out.push(Events {
            listeners: spec.listeners.iter().map(|name| name.as_str().into()).collect(),
            path: spec.path.as_str().into(),
            provider: u32::try_from(provider).unwrap_or(u32::MAX),
            audiences: spec.audiences.clone(),
            token,
        });
    }
    out
}

/// Where the gateway itself answers; not where a route stands.
pub(super) fn logins(ir: &Ir, providers: &[Provider], errors: &mut Errors) -> Places {
    let mut places = Places::default();
    for (index, provider) in providers.iter().enumerate() {
        let Some(oidc) = provider.oidc() else { continue };
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        errors.take(|| format!("/providers/{index}/base"), places.add(number, provider.name(), oidc.base(), &ir.routes));
    }
    places
}
