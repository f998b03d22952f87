//! Route: which one takes this request, or 404, or 405.

use crate::exchange::{Exchange, Now, Refusal, Step, Upgrade, Variables};
use crate::pipeline::{cors, guard, limit, redirect};
use crate::reason::Reason;
use crate::resilience::shed::Level;
use crate::router::{Match, Source, Wanted};
use crate::snapshot::{Route, Snapshot};

pub(super) fn route(snapshot: &Snapshot, shed: Level, exchange: &mut Exchange, now: Now) -> Step {
    if let Some(answer) = snapshot.challenges.as_ref().and_then(|challenges| challenges.answer(exchange)) {
        return Step::Answer(answer);
    }
    if let Some(step) = cors::preflight(snapshot, shed, exchange, now) {
        return step;
    }
    let found = find(snapshot, exchange);
    // A route of the user's own at that place goes before; one that merely takes every path does not.
    let own = matches!(found, Match::Found(index) if snapshot.route(Some(index)).is_some_and(|route| route.well_known));
    if !own && let Some(answer) = snapshot.protected.answer(exchange) {
        return Step::Answer(answer);
    }
    match found {
        Match::Found(index) => {
            let route = match taken(snapshot, exchange, index) {
                Ok(route) => route,
                Err(refusal) => return Step::Refuse(refusal),
            };
            exchange.route = Some(index);
            cors::note(route, exchange);
            // As soon as it is known how important the request is: refusing has to be cheap.
            if shed.refuses(route.priority) {
                return Step::Refuse(Reason::Overloaded.into());
            }
            // Before authenticate, so that a wrong credential is charged too.
            match limit::admit_to(route, exchange, now) {
                Step::Continue => match upgrade(route, exchange) {
                    Step::Continue => match cors::check(route, exchange) {
                        Step::Continue => guard::screen(route, exchange, now),
                        other => other,
                    },
                    other => other,
                },
                other => other,
            }
        }
        other => {
            let refusal = nowhere(exchange, beside(snapshot, exchange, other));
            let redirected = if refusal.reason == Reason::RouteNotFound { redirect::to_https(snapshot, exchange) } else { None };
            redirected.unwrap_or(Step::Refuse(refusal))
        }
    }
}

fn find(snapshot: &Snapshot, exchange: &mut Exchange) -> Match {
    let mut variables = std::mem::take(&mut exchange.variables);
    let found = snapshot.router.find(&exchange.connection.listener, wanted(exchange), &mut variables);
    exchange.variables = variables;
    found
}

/// The route, if it takes a path like that.
pub(super) fn taken<'s>(snapshot: &'s Snapshot, exchange: &Exchange, index: u32) -> Result<&'s Route, Refusal> {
    let route = snapshot.route(Some(index)).ok_or(Reason::Internal)?;
    if exchange.path.used().is_allowed_by(&route.path_allow) { Ok(route) } else { Err(Reason::PathNotCanonical.into()) }
}

/// Only which route takes a recorded request.
///
/// # Errors
/// None does.
pub(super) fn place<'s>(snapshot: &'s Snapshot, exchange: &mut Exchange) -> Result<(u32, &'s Route), Refusal> {
    match find(snapshot, exchange) {
        Match::Found(index) => Ok((index, taken(snapshot, exchange, index)?)),
        other => Err(nowhere(exchange, beside(snapshot, exchange, other))),
    }
}

/// What the request would get if hidden routes were not there. Where a route that everyone may see would take it then, it
/// still gets nothing: a refused request never goes on to a laxer route.
pub(super) fn absent(snapshot: &Snapshot, exchange: &Exchange) -> Refusal {
    nowhere(exchange, beside(snapshot, exchange, Match::NotFound))
}

/// What matching finds but for hidden routes; `found` where there are none.
fn beside(snapshot: &Snapshot, exchange: &Exchange, found: Match) -> Match {
    match snapshot.listener(&exchange.connection.listener) {
        Some(listener) if listener.hides => {
            snapshot.router.find_shown(&listener.name, wanted(exchange), &mut Variables::default())
        }
        _ => found,
    }
}

/// The refusal of a request that no route takes.
fn nowhere(exchange: &Exchange, found: Match) -> Refusal {
    // An unusual path that nobody asked for says no more than that it is unusual.
    if !exchange.path.used().is_plain() {
        return Reason::PathNotCanonical.into();
    }
    match found {
        Match::MethodNotAllowed(allow) => Refusal { allow: Some(allow), ..Reason::MethodNotAllowed.into() },
        Match::Ambiguous(Source::Header) => Reason::HeaderInvalid.into(),
        Match::Ambiguous(Source::Query) => {
            let detail = "a query parameter that decides which route is taken stands more than once";
            Refusal { detail: Some(detail.into()), ..Reason::MalformedRequest.into() }
        }
        Match::Found(_) | Match::NotFound => Reason::RouteNotFound.into(),
    }
}

pub(super) fn wanted(exchange: &Exchange) -> Wanted<'_> {
    Wanted {
        host: &exchange.host,
        path: &exchange.path,
        method: &exchange.request.method,
        headers: &exchange.request.headers,
        query: exchange.request.query(),
        recorded: exchange.recorded.as_deref(),
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
