//! Limits: by address before anything is known of the caller, by caller once it is.

use crate::exchange::{Exchange, Now, Step};
use crate::filters::address_limit::AddressLimit;
use crate::filters::authorize::Ask;
use crate::filters::rate_limit::Ended;
use crate::reason::Reason;
use crate::snapshot::{Access, Snapshot};

/// The listener's limits by address.
pub(super) fn screen(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    match snapshot.listener(&exchange.connection.listener) {
        Some(listener) => charge_address(&listener.address_limits, exchange, now),
        None => Step::Refuse(Reason::RouteNotFound.into()),
    }
}

/// Charges limits by address, one after the other.
pub(super) fn charge_address(limits: &[AddressLimit], exchange: &mut Exchange, now: Now) -> Step {
    for limit in limits {
        match limit.check(exchange.client, now) {
            Ok(report) => exchange.limits.push(report),
            Err((refusal, report)) => {
                exchange.limits.push(report);
                return Step::Refuse(refusal);
            }
        }
    }
    Step::Continue
}

/// The route's limits, the group's first: a place among the requests under way, so that what finds none costs nothing; then
/// all rates have room, or none is charged.
pub(super) fn limit(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    let Some(route) = snapshot.route(exchange.route) else { return Step::Refuse(Reason::Internal.into()) };
    let mut reports = std::mem::take(&mut exchange.limits);
    let ask = match (&route.access, &exchange.principal) {
        (Access::Authenticated { policy, .. }, Some(principal)) => Some(Ask { principal, exchange, route: &policy.route, now }),
        _ => None,
    };
    let places = route.concurrency_limits.enter(exchange, ask.as_ref());
    let entered = places.and_then(|places| route.rate_limits.charge(exchange, ask.as_ref(), now, &mut reports).map(|owing| (places, owing)));
    exchange.limits = reports;
    match entered {
        Ok((places, owing)) => (exchange.under_way, exchange.owing) = (places, owing),
        Err(refusal) => return Step::Refuse(refusal),
    }
    match &route.websocket {
        None => Step::Continue,
        // Taken before the service is asked, held until the connection ends.
        Some(websocket) => {
            exchange.place = websocket.enter();
            if exchange.place.is_some() { Step::Continue } else { Step::Refuse(Reason::WebsocketLimit.into()) }
        }
    }
}

/// Charges what the request owes, now that it has ended.
pub(super) fn settle(snapshot: &Snapshot, exchange: &mut Exchange, ended: &Ended<'_>, now: Now) {
    let owing = std::mem::take(&mut exchange.owing);
    if let Some(route) = snapshot.route(exchange.route) {
        route.rate_limits.settle(&owing, ended, now);
    }
}
