//! Guard: an attempt to log in is judged by what came of those before it, and what comes of it is noted.

use crate::exchange::{Exchange, Now, Step};
use crate::filters::login_guard::Told;
use crate::reason::Reason;
use crate::snapshot::{Route, Snapshot};

/// Who may not try at all, before anything of the request is read.
pub(super) fn screen(route: &Route, exchange: &Exchange, now: Now) -> Step {
    match route.login_guard.as_ref().map(|guard| guard.screen(exchange, now)) {
        None | Some(Ok(())) => Step::Continue,
        Some(Err(refusal)) => Step::Refuse(refusal),
    }
}

/// Whether the service is asked.
pub(super) fn guard(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    let Some(route) = snapshot.route(exchange.route) else { return Step::Refuse(Reason::Internal.into()) };
    match &route.login_guard {
        Some(guard) => guard.judge(exchange, now),
        None => Step::Continue,
    }
}

/// What came of it.
pub(super) fn told(snapshot: &Snapshot, exchange: &mut Exchange, asked: bool, told: Option<Told>, now: Now) {
    let guard = snapshot.route(exchange.route).and_then(|route| route.login_guard.as_ref());
    if let (Some(guard), Some(attempt)) = (guard, &mut exchange.attempt) {
        guard.settle(attempt, asked, told, now);
    }
}
