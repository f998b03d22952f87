//! Route: which one takes this request, or 404, or 405.

use crate::exchange::{Exchange, Now, Refusal, Step, Upgrade};
use crate::pipeline::{limit, redirect};
use crate::reason::Reason;
use crate::resilience::shed::Level;
use crate::router::{Match, Source, Wanted};
use crate::snapshot::{Route, Snapshot};

pub(super) fn route(snapshot: &Snapshot, shed: Level, exchange: &mut Exchange, now: Now) -> Step {
    if let Some(answer) = snapshot.challenges.as_ref().and_then(|challenges| challenges.answer(exchange)) {
        return Step::Answer(answer);
    }
    let wanted = Wanted {
        host: &exchange.host,
        path: &exchange.path,
        method: &exchange.request.method,
        headers: &exchange.request.headers,
        query: exchange.request.query(),
    };
    let found = snapshot.router.find(&exchange.connection.listener, wanted, &mut exchange.variables);
    let used = exchange.path.used();
    // A route of the user's own at that place goes before; one that merely takes every path does not.
    let own = matches!(found, Match::Found(index) if snapshot.route(Some(index)).is_some_and(|route| route.well_known));
    if !own && let Some(answer) = snapshot.protected.answer(exchange) {
        return Step::Answer(answer);
    }
    match found {
        Match::Found(index) => {
            exchange.route = Some(index);
            let Some(route) = snapshot.route(Some(index)) else { return Step::Refuse(Reason::Internal.into()) };
            if !used.is_allowed_by(&route.path_allow) {
                exchange.route = None;
                return Step::Refuse(Reason::PathNotCanonical.into());
            }
            // As soon as it is known how important the request is: refusing has to be cheap.
            if shed.refuses(route.priority) {
                return Step::Refuse(Reason::Overloaded.into());
            }
            // Before authenticate, so that a wrong credential is charged too.
            match limit::charge_address(&route.address_limits, exchange, now) {
                Step::Continue => upgrade(route, exchange),
                other => other,
            }
        }
        // An unusual path that nobody asked for says no more than that it is unusual.
        _ if !used.is_plain() => Step::Refuse(Reason::PathNotCanonical.into()),
        Match::MethodNotAllowed(allow) => {
            let mut refusal = Refusal::from(Reason::MethodNotAllowed);
            refusal.allow = Some(allow);
            Step::Refuse(refusal)
        }
        Match::Ambiguous(Source::Header) => Step::Refuse(Reason::HeaderInvalid.into()),
        Match::Ambiguous(Source::Query) => {
            let mut refusal = Refusal::from(Reason::MalformedRequest);
            refusal.detail = Some("a query parameter that decides which route is taken stands more than once".into());
            Step::Refuse(refusal)
        }
        Match::NotFound => redirect::to_https(snapshot, exchange).unwrap_or_else(|| Step::Refuse(Reason::RouteNotFound.into())),
    }
}

/// A route for WebSocket connections takes nothing else; on any other route Upgrade is ignored. Before authenticate, so that
/// a foreign page learns nothing about the caller.
fn upgrade(route: &Route, exchange: &mut Exchange) -> Step {
    let Some(websocket) = &route.websocket else { return Step::Continue };
    if exchange.upgrade == Upgrade::Asked {
        exchange.upgrade = Upgrade::Taken;
    }
    match websocket.check(exchange) {
        Ok(()) => Step::Continue,
        Err(refusal) => Step::Refuse(refusal),
    }
}
