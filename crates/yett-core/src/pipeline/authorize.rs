//! Authorize: what the caller may do.

use crate::exchange::{Exchange, Now, Step};
use crate::filters::authorize::Ask;
use crate::reason::Reason;
use crate::snapshot::{Access, Route, Snapshot};

/// Every rule has to allow, and then whoever is asked outside.
pub(super) fn authorize(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    let (Some(index), Some(route)) = (exchange.route, snapshot.route(exchange.route)) else {
        return Step::Refuse(Reason::Internal.into());
    };
    match (rules(route, exchange, now), &route.external) {
        (Step::Continue, Some(external)) => external.check(index, exchange),
        (step, _) => step,
    }
}

fn rules(route: &Route, exchange: &Exchange, now: Now) -> Step {
    let Access::Authenticated { policy, .. } = &route.access else { return Step::Continue };
    let Some(principal) = &exchange.principal else { return Step::Refuse(Reason::Internal.into()) };
    match policy.check(&Ask { principal, exchange, route: &policy.route, now }) {
        Ok(()) => Step::Continue,
        Err(refusal) => Step::Refuse(refusal),
    }
}

/// What rules decide on the validated body.
pub(super) fn authorize_body(snapshot: &Snapshot, exchange: &Exchange, now: Now) -> Step {
    let Some(route) = snapshot.route(exchange.route) else { return Step::Refuse(Reason::Internal.into()) };
    let Access::Authenticated { policy, .. } = &route.access else { return Step::Continue };
    if !policy.reads_body() {
        return Step::Continue;
    }
    let Some(principal) = &exchange.principal else { return Step::Refuse(Reason::Internal.into()) };
    match policy.check_body(&Ask { principal, exchange, route: &policy.route, now }) {
        Ok(()) => Step::Continue,
        Err(refusal) => Step::Refuse(refusal),
    }
}
