//! Limits: by address before anything is known of the caller, by caller once it is.

use crate::exchange::{Exchange, Now, Step};
use crate::filters::address_limit::AddressLimit;
use crate::ir::LimitKey;
use crate::reason::Reason;
use crate::snapshot::Snapshot;

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

/// The route's limits by caller, the group's first. What passed one and is refused by the next stays charged.
pub(super) fn limit(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    let Some(route) = snapshot.route(exchange.route) else { return Step::Refuse(Reason::Internal.into()) };
    for limit in &route.rate_limits {
        let key = match (limit.key(), &exchange.principal) {
            (LimitKey::Principal, Some(principal)) => principal.key,
            (LimitKey::Route, _) => 0,
            // Does not load: a limit by principal needs one, and one by address is another filter.
            (LimitKey::Principal, None) | (LimitKey::Address, _) => return Step::Refuse(Reason::Internal.into()),
        };
        match limit.check(key, now) {
            Ok(report) => exchange.limits.push(report),
            Err((refusal, report)) => {
                exchange.limits.push(report);
                return Step::Refuse(refusal);
            }
        }
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
