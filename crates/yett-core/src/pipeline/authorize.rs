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
    let step = match (rules(route, exchange, now), &route.external) {
        (Step::Continue, Some(external)) => external.check(index, exchange),
        (step, _) => step,
    };
    if matches!(step, Step::Continue) {
        shadow(route, exchange, now, false);
    }
    step
}

/// What rules in shadow would have done, once the request is allowed; it changes nothing about that.
fn shadow(route: &Route, exchange: &mut Exchange, now: Now, body: bool) {
    if let (Some(shadow), Access::Authenticated { policy, .. }) = (&route.shadow, &route.access) {
        shadow.judge(policy, exchange, now, body);
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
pub(super) fn authorize_body(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    let Some(route) = snapshot.route(exchange.route) else { return Step::Refuse(Reason::Internal.into()) };
    let step = body_rules(route, exchange, now);
    if matches!(step, Step::Continue) {
        shadow(route, exchange, now, true);
    }
    step
}

fn body_rules(route: &Route, exchange: &Exchange, now: Now) -> Step {
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
