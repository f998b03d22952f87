//! Authorize: what the caller may do.

use crate::exchange::{Exchange, Now, Refusal, Step};
use crate::filters::authorize::Ask;
use crate::reason::Reason;
use crate::snapshot::{Access, Route, Snapshot};

/// Every rule has to allow, and then whoever is asked outside.
pub(super) fn authorize(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    let (Some(index), Some(route)) = (exchange.route, snapshot.route(exchange.route)) else {
        return Step::Refuse(Reason::Internal.into());
    };
    exchange.judged_ms = now.unix_ms;
    let step = match (rules(route, exchange, now), &route.external) {
        (Err(refusal), _) => Step::Refuse(refusal),
        (Ok(()), Some(external)) => external.check(index, exchange),
        (Ok(()), None) => Step::Continue,
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

/// What the rules of the route decide on the head.
///
/// # Errors
/// The refusal.
pub(super) fn decided(snapshot: &Snapshot, exchange: &Exchange, now: Now) -> Result<(), Refusal> {
    rules(snapshot.route(exchange.route).ok_or(Reason::Internal)?, exchange, now)
}

fn rules(route: &Route, exchange: &Exchange, now: Now) -> Result<(), Refusal> {
    let Access::Authenticated { policy, .. } = &route.access else { return Ok(()) };
    let principal = exchange.principal.as_ref().ok_or(Reason::Internal)?;
    policy.check(&Ask { principal, exchange, route: &policy.route, now })
}

/// What rules decide on the validated body.
pub(super) fn authorize_body(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    if let Err(refusal) = decided_body(snapshot, exchange, now) {
        return Step::Refuse(refusal);
    }
    if let Some(route) = snapshot.route(exchange.route) {
        shadow(route, exchange, now, true);
    }
    Step::Continue
}

/// The same, as a result.
///
/// # Errors
/// The refusal.
pub(super) fn decided_body(snapshot: &Snapshot, exchange: &Exchange, now: Now) -> Result<(), Refusal> {
    let route = snapshot.route(exchange.route).ok_or(Reason::Internal)?;
    let Access::Authenticated { policy, .. } = &route.access else { return Ok(()) };
    if !policy.reads_body() {
        return Ok(());
    }
    let principal = exchange.principal.as_ref().ok_or(Reason::Internal)?;
    policy.check_body(&Ask { principal, exchange, route: &policy.route, now })
}
