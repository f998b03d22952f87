//! Guard: an attempt to log in is judged by what came of those before it, and what comes of it is noted.

use crate::exchange::{Exchange, Now, Step};
use crate::filters::login_guard::LoginGuard;
use crate::filters::login_guard::Told;
use crate::pipeline::PipelineState;
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
pub(super) fn guard(snapshot: &Snapshot, state: &mut PipelineState, exchange: &mut Exchange, now: Now) -> Step {
    let Some(route) = snapshot.route(exchange.route) else { return Step::Refuse(Reason::Internal.into()) };
    let Some(guard) = &route.login_guard else { return Step::Continue };
    match guard.judge(exchange, now) {
        Step::Refuse(refusal) if refusal.reason == Reason::LoginChallenge => {
            let score = exchange.attempt.as_ref().map_or(0, |attempt| attempt.score.total());
            page(guard, state, exchange, score, now)
        }
        Step::Continue => match guard.approach(exchange, now) {
            Some(score) => page(guard, state, exchange, score, now),
            None => Step::Continue,
        },
        other => other,
    }
}

/// What a browser has to calculate first.
fn page(guard: &LoginGuard, state: &mut PipelineState, exchange: &mut Exchange, score: u32, now: Now) -> Step {
    match state.random.bytes() {
        Some(random) => guard.page(exchange, score, &random, now).map_or(Step::Continue, Step::Refuse),
        None => Step::Refuse(Reason::Internal.into()),
    }
}

/// What came of it.
pub(super) fn told(snapshot: &Snapshot, exchange: &mut Exchange, asked: bool, told: Option<Told>, now: Now) {
    let guard = snapshot.route(exchange.route).and_then(|route| route.login_guard.as_ref());
    if let (Some(guard), Some(attempt)) = (guard, &mut exchange.attempt) {
        guard.settle(attempt, asked, told, now);
    }
}
