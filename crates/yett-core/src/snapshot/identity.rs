//! Assertions of identity, by service.

use std::sync::Arc;

use super::{LoadError, Secrets};
use crate::filters::identity_assertion::{IdentityAssertion, Ring};
use crate::ir::{self, Ir};

/// One for each service, in the document's order.
pub(super) fn build(ir: &Ir, secrets: &Secrets, revision: &str) -> Result<Vec<Option<IdentityAssertion>>, Vec<LoadError>> {
    let mut errors = Vec::new();
    let mut fault = |pointer: String, message: String| errors.push(LoadError { pointer, message });
    let ring = ir.identity.as_ref().and_then(|spec| match Ring::build(spec, secrets) {
        Ok(ring) => Some((spec.issuer.as_str(), Arc::new(ring))),
        Err(message) => {
            fault("/identity/keys".to_owned(), message);
            None
        }
    });
    let mut built = Vec::with_capacity(ir.services.len());
    for (index, service) in ir.services.iter().enumerate() {
        let Some(spec) = &service.identity_assertion else {
            built.push(None);
            continue;
        };
        let pointer = || format!("/services/{index}/identity_assertion");
        match ring.as_ref().map(|(issuer, ring)| IdentityAssertion::build(spec, issuer, ring, revision)) {
            Some(Ok(assertion)) => built.push(Some(assertion)),
            Some(Err(message)) => fault(pointer(), message),
            None if ir.identity.is_none() => fault(pointer(), "there are no keys to sign with".to_owned()),
            None => {}
        }
    }
    for (index, route) in ir.routes.iter().enumerate() {
        if !matches!(route.access, ir::Access::Public) {
            continue;
        }
        let ir::Action::Forward(shares) = &route.action else { continue };
        let named = shares.iter().map(|share| &share.service).chain(route.mirror.iter().map(|mirror| &mirror.service));
        for name in named {
            let service = ir.services.iter().find(|service| service.name == *name);
            if service.and_then(|service| service.identity_assertion.as_ref()).is_some_and(|spec| !spec.anonymous) {
                let message = format!("a public route leads to `{name}`, which is told who calls");
                fault(format!("/routes/{index}/access"), message);
            }
        }
    }
    if errors.is_empty() { Ok(built) } else { Err(errors) }
}

/// Names of plain headers that say who calls, of all services: clients' own never pass, to no service.
pub(super) fn claim_headers(assertions: &[Option<IdentityAssertion>]) -> Vec<Box<str>> {
    let mut names: Vec<Box<str>> = assertions.iter().flatten().flat_map(|one| one.header_names().map(Box::from)).collect();
    names.sort();
    names.dedup();
    names
}
