//! Who may come in by address and place, and limits: by address before anything is known of the caller, by caller once it is.

use crate::exchange::{Exchange, Need, Now, Refusal, Step};
use crate::filters::address_filter::AddressFilter;
use crate::filters::address_limit::AddressLimit;
use crate::filters::authorize::Ask;
use crate::filters::geo_filter::{self, GeoFilter};
use crate::filters::limit_shadow::ShadowLimits;
use crate::filters::rate_limit::{Answered, Asked, Ended};
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
pub(super) fn admit_to(route: &Route, exchange: &mut Exchange, now: Now) -> Step {
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
///
/// A request may come here again: with its body, which says whether it is a repeat; with what a shared store said; and to be
/// remembered once it was charged, so that nothing is read of one that has no room.
pub(super) fn limit(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    let Some(route) = snapshot.route(exchange.route) else { return Step::Refuse(Reason::Internal.into()) };
    if exchange.repeat.as_ref().is_some_and(|repeat| repeat.is_charged()) {
        return remember(route, exchange, now);
    }
    let answered = exchange.limits_answered.take();
    if answered.is_none() && exchange.repeat.is_none() {
        match route.concurrency_limits.enter(exchange, ask_of(route, exchange, now).as_ref()) {
            Ok(places) => exchange.under_way = places,
            Err(refusal) => return Step::Refuse(refusal),
        }
        exchange.repeat = route.repeats.as_ref().and_then(|repeats| repeats.begin(exchange, now.monotonic_ns));
    }
    // Once it is known whether it is a repeat, it stays so while the store is asked.
    if let Some(repeats) = &route.repeats
        && !repeats.compare(exchange)
    {
        return body(route, exchange);
    }
    match charge(route, exchange, answered.as_deref(), now) {
        Ok(None) => {}
        Ok(Some(asked)) => return Step::Need(Need::Limits(Box::new(asked))),
        Err(refusal) => {
            exchange.under_way.clear();
            return Step::Refuse(refusal);
        }
    }
    // What was asked for one moment is decided for it.
    match enter(route, exchange, answered.as_ref().map_or(now, |answered| answered.at)) {
        Step::Continue => remember(route, exchange, now),
        other => other,
    }
}

/// What finds no room in a quota costs no rate, and what is refused by a rate nothing of a quota.
fn charge(route: &Route, exchange: &mut Exchange, answered: Option<&Answered>, now: Now) -> Result<Option<Asked>, Refusal> {
    let now = answered.map_or(now, |answered| answered.at);
    let mut reports = std::mem::take(&mut exchange.limits);
    let ask = ask_of(route, exchange, now);
    let classes = || route.rate_limits.classes(ask.as_ref());
    let first = answered.is_none();
    let charged = route.quotas.look(exchange, ask.as_ref(), classes, first, now, &mut reports).and_then(|quotas| {
        let uses = if first { quotas.asked() } else { Box::default() };
        let lost = match answered {
            Some(answered) => quotas.settle(answered, now, &mut reports)?,
            None => false,
        };
        let asked = route.rate_limits.admit(exchange, ask.as_ref(), now, answered, !uses.is_empty(), &mut reports)?;
        match asked {
            Some(asked) => Ok(Some(Asked { uses, ..asked })),
            None => quotas.take(lost, now, &mut reports).map(|()| None),
        }
    });
    exchange.limits = reports;
    charged
}

/// What there is to do for a request that was charged.
fn enter(route: &Route, exchange: &mut Exchange, now: Now) -> Step {
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
    if let Some(repeat) = &mut exchange.repeat {
        repeat.charged();
    }
    Step::Continue
}

/// So that repeats of it are known: their minute begins when it was charged or, if its body came later, with that.
fn remember(route: &Route, exchange: &mut Exchange, now: Now) -> Step {
    match &route.repeats {
        Some(repeats) if !repeats.remember(exchange, now.monotonic_ns) => body(route, exchange),
        _ => Step::Continue,
    }
}

/// Asks for the body, which is no larger than what is compared.
fn body(route: &Route, exchange: &mut Exchange) -> Step {
    let limit = route.repeats.as_ref().map_or(0, |repeats| repeats.most_body(exchange));
    match &exchange.body {
        Some(Err(reason)) => Step::Refuse((*reason).into()),
        _ => exchange.ask(Need::Body { limit, within_ms: 0 }).unwrap_or_else(|| Step::Refuse(Reason::BodyMalformed.into())),
    }
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
