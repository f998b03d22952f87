//! Services: their endpoints, their checks, and the tokens that they get.

use std::sync::Arc;

use super::Errors;
use crate::ir::{self, Ir};
use crate::service_tokens::TokenSource;
use crate::shared::Shared;
use crate::snapshot::Secrets;
use crate::upstream::balance::MAX_ENDPOINTS;

/// A service has at least one endpoint, and at most as many as are told apart.
pub(super) fn endpoints(ir: &Ir, errors: &mut Errors) {
    for (index, service) in ir.services.iter().enumerate() {
        if service.endpoints.is_empty() || service.endpoints.len() > MAX_ENDPOINTS {
            let message = format!("service `{}` needs 1 to {MAX_ENDPOINTS} endpoints", service.name);
            errors.add(format!("/services/{index}/endpoints"), message);
        }
        if service.health_check.as_ref().is_some_and(|check| !check_is_sound(check)) {
            let message = format!("the health check of service `{}` cannot be carried out", service.name);
            errors.add(format!("/services/{index}/health_check"), message);
        }
        if service.endpoints.iter().any(|endpoint| endpoint.weight == 0) {
            let message = format!("an endpoint of service `{}` has no weight, so nothing would go there", service.name);
            errors.add(format!("/services/{index}/endpoints"), message);
        }
    }
}

/// What a check needs, so that it neither runs without a pause nor never ends.
fn check_is_sound(check: &ir::HealthCheck) -> bool {
    let path = check.protocol != ir::CheckProtocol::Http || (check.path.starts_with('/') && !check.status.is_empty());
    path && check.interval_ms >= 50
        && check.timeout_ms > 0
        && check.healthy > 0
        && check.unhealthy > 0
        && check.service.len() < 126
}

/// Where tokens for services come from, and whether every route to such a service can be served with one.
pub(super) fn service_tokens(
    ir: &Ir,
    secrets: &Secrets,
    shared: &Arc<Shared>,
    errors: &mut Errors,
) -> Vec<Option<Arc<TokenSource>>> {
    for fault in crate::service_tokens::faults(ir) {
        errors.0.push(fault);
    }
    let mut out = Vec::with_capacity(ir.services.len());
    for (index, service) in ir.services.iter().enumerate() {
        let source = service.token.as_ref().map(|spec| shared.service_tokens.source(&service.name, spec, secrets, shared));
        out.push(errors.take(|| format!("/services/{index}/token"), source.transpose()).flatten());
    }
    out
}
