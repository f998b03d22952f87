//! Who may come in by address and place, and limits: by address before anything is known of the caller, by caller once it is.

use crate::exchange::{Exchange, Need, Now, Step};
use crate::filters::address_filter::AddressFilter;
use crate::filters::address_limit::AddressLimit;
use crate::filters::authorize::Ask;
use crate::filters::geo_filter::{self, GeoFilter};
use crate::filters::limit_shadow::ShadowLimits;
use crate::filters::rate_limit::Ended;
use crate::reason::Reason;
use crate::snapshot::{Access, Route, Snapshot};

/// The listener's lists and limits by address.
pub(super) fn screen(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    exchange.geo = snapshot.geo.as_ref().map(|geo| geo.locate(exchange.client));
    match snapshot.listener(&exchange.connection.listener) {
        Some(listener) => {
            let (addresses, places) = (&listener.address_filters, &listener.geo_filters);
            admit(addresses, places, &listener.address_limits, &listener.shadow_limits, exchange, now)
        }
        None => Step::Refuse(Reason::RouteNotFound.into()),
    }
}

/// Whether an address may come in, also by where it is, and then how often: who may not costs nothing.
fn admit(
    filters: &[AddressFilter],
    places: &[GeoFilter],
    limits: &[AddressLimit],
    tried: &ShadowLimits,
    exchange: &mut Exchange,
    now: Now,
) -> Step {
    for filter in filters {
        if let Err(refusal) = filter.check(exchange.client) {
            return Step::Refuse(refusal);
        }
    }
    if let Err(refusal) = geo_filter::admit(places, exchange) {
        return Step::Refuse(refusal);
    }
    charge_address(limits, tried, exchange, now)
}

/// Whether an address may use a route, and then how often.
pub(super) fn enter(route: &Route, exchange: &mut Exchange, now: Now) -> Step {
    let (addresses, places) = (&route.address_filters, &route.geo_filters);
    admit(addresses, places, &route.address_limits, &route.shadow_limits, exchange, now)
}

/// Whoever of it had to be known before it was told whether its place lets it in.
pub(super) fn placed(snapshot: &Snapshot, exchange: &Exchange) -> Step {
    match snapshot.route(exchange.route).map_or(Ok(()), |route| geo_filter::confirm(&route.geo_filters, exchange)) {
        Ok(()) => Step::Continue,
        Err(refusal) => Step::Refuse(refusal),
    }
}

/// Charges limits by address, one after the other; where all have room, also those in shadow.
fn charge_address(limits: &[AddressLimit], tried: &ShadowLimits, exchange: &mut Exchange, now: Now) -> Step {
    for limit in limits {
        match limit.check(exchange.client, now) {
            Ok(report) => exchange.limits.push(report),
            Err((refusal, report)) => {
                exchange.limits.push(report);
                return Step::Refuse(refusal);
            }
        }
    }
    tried.judge_address(exchange, now);
    Step::Continue
}

/// The route's limits, the group's first: a place among the requests under way, so that what finds none costs nothing; then
/// all rates have room, or none is charged.
pub(super) fn limit(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    let Some(route) = snapshot.route(exchange.route) else { return Step::Refuse(Reason::Internal.into()) };
    let answered = exchange.limits_answered.take();
    // What was asked for one moment is decided for it.
    let now = answered.as_ref().map_or(now, |answered| answered.at);
    let mut reports = std::mem::take(&mut exchange.limits);
    let held = std::mem::take(&mut exchange.under_way);
    let ask = ask_of(route, exchange, now);
    let places = match &answered {
        None => route.concurrency_limits.enter(exchange, ask.as_ref()),
        Some(_) => Ok(held),
    };
    // What finds no room in a quota costs no rate, and what is refused by a rate nothing of a quota.
    let entered = places.and_then(|places| {
        let classes = || route.rate_limits.classes(ask.as_ref());
        let quotas = route.quotas.look(exchange, ask.as_ref(), classes, now, &mut reports)?;
        let asked = route.rate_limits.admit(exchange, ask.as_ref(), now, answered.as_deref(), &mut reports)?;
        if asked.is_none() {
            quotas.take(now, &mut reports)?;
        }
        Ok((places, asked))
    });
    exchange.limits = reports;
    match entered {
        Ok((places, None)) => exchange.under_way = places,
        Ok((places, Some(asked))) => {
            exchange.under_way = places;
            return Step::Need(Need::Limits(Box::new(asked)));
        }
        Err(refusal) => return Step::Refuse(refusal),
    }
    if let Some(websocket) = &route.websocket {
        // Taken before the service is asked, held until the connection ends.
        exchange.place = websocket.enter();
        if exchange.place.is_none() {
            return Step::Refuse(Reason::WebsocketLimit.into());
        }
    }
    exchange.owing = route.rate_limits.owing(exchange, ask_of(route, exchange, now).as_ref(), now);
    // Only what all that is enforced lets pass.
    if route.shadow_limits.has_callers() {
        route.shadow_limits.judge(exchange, ask_of(route, exchange, now).as_ref(), now).leave(exchange);
    }
    Step::Continue
}

fn ask_of<'a>(route: &'a Route, exchange: &'a Exchange, now: Now) -> Option<Ask<'a>> {
    match (&route.access, &exchange.principal) {
        (Access::Authenticated { policy, .. }, Some(principal)) => Some(Ask { principal, exchange, route: &policy.route, now }),
        _ => None,
    }
}

/// Charges what the request owes, now that it has ended.
pub(super) fn settle(snapshot: &Snapshot, exchange: &mut Exchange, ended: &Ended<'_>, now: Now) {
    let owing = std::mem::take(&mut exchange.owing);
    if let Some(route) = snapshot.route(exchange.route) {
        route.rate_limits.settle(&owing, ended, now);
    }
}
