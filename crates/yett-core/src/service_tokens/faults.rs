//! What of a configuration would leave a service without the token that it is to get.

use std::collections::HashSet;

use crate::ir::{self, Ir, TokenGrant};
use crate::snapshot::LoadError;

/// Everything that is wrong, with its place.
pub(crate) fn faults(ir: &Ir) -> Vec<LoadError> {
    let mut found = Vec::new();
    let tokens = |name: &str| ir.services.iter().find(|service| service.name == name).and_then(|service| service.token.as_ref());
    for (index, service) in ir.services.iter().enumerate().filter(|(_, service)| service.token.is_some()) {
        let mut fault = |message: &str| {
            found.push(LoadError {
                pointer: format!("/services/{index}/token"),
                message: format!("service `{}` {message}", service.name),
            });
        };
        if service.forward_credential {
            fault("sees the caller's credential, so a token cannot take its place");
        }
        if service.token.as_ref().is_some_and(|spec| spec.audiences.len() + spec.resources.len() + spec.scopes.len() == 0) {
            fault("gets a token that is not made for it; name an audience, a resource or a scope");
        }
        let passed = |listener: &ir::Listener| {
            listener.passthrough.as_ref().is_some_and(|one| one.hosts.values().any(|name| *name == service.name))
        };
        if ir.listeners.iter().any(passed) {
            fault("is reached by a listener that passes TLS on unopened, which cannot add a token");
        }
    }
    let bearers: HashSet<&str> = ir.providers.iter().filter_map(bearer).collect();
    for (index, route) in ir.routes.iter().enumerate() {
        let mut fault = |part: &str, message: String| {
            found.push(LoadError { pointer: format!("/routes/{index}/{part}"), message });
        };
        if let Some(mirror) = route.mirror.as_ref().filter(|mirror| tokens(&mirror.service).is_some()) {
            fault("mirror", format!("copies for `{}` would lack its token", mirror.service));
        }
        let ir::Action::Forward(shares) = &route.action else { continue };
        for share in
            shares.iter().filter(|share| tokens(&share.service).is_some_and(|spec| spec.grant == TokenGrant::TokenExchange))
        {
            let callers = match &route.access {
                ir::Access::Public => false,
                ir::Access::Authenticated(access) if access.all_of => {
                    access.providers.iter().any(|name| bearers.contains(name.as_str()))
                }
                ir::Access::Authenticated(access) => access.providers.iter().all(|name| bearers.contains(name.as_str())),
            };
            if !callers {
                fault(
                    "action/forward",
                    format!("callers without a token cannot use `{}`, which gets one in exchange for theirs", share.service),
                );
            }
        }
    }
    found
}

/// The name of a provider whose callers come with a token.
fn bearer(provider: &ir::Provider) -> Option<&str> {
    match provider {
        ir::Provider::Jwt(jwt) => Some(&jwt.name),
        ir::Provider::Introspection(one) => Some(&one.name),
        _ => None,
    }
}
