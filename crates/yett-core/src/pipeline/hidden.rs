//! Hidden routes: whoever is refused there, for whatever reason and in whatever phase, gets what there is where nothing is.

use crate::exchange::{Exchange, Phase, Refusal, Step, Upgrade};
use crate::pipeline::route;
use crate::reason::Reason;
use crate::snapshot::Snapshot;

/// What a phase of a hidden route came to, as its client sees it; the refusal keeps its reason.
pub(super) fn step(snapshot: &Snapshot, exchange: &mut Exchange, step: Step) -> Step {
    if !is_hidden(snapshot, exchange) {
        return step;
    }
    let why = match step {
        Step::Refuse(refusal) => refusal,
        // What an allowed caller is answered comes later.
        Step::Answer(_) if exchange.phase <= Phase::Authorize => Reason::CredentialMissing.into(),
        other => return other,
    };
    Step::Refuse(refusal(snapshot, exchange, why))
}

/// A refusal with what the client sees in its place, where the route is hidden.
pub(super) fn refusal(snapshot: &Snapshot, exchange: &mut Exchange, why: Refusal) -> Refusal {
    if !is_hidden(snapshot, exchange) || why.hidden.is_some() {
        return why;
    }
    // Where nothing is, an upgrade is ignored, and the connection goes on.
    if exchange.upgrade == Upgrade::Taken {
        exchange.upgrade = Upgrade::Asked;
    }
    Refusal { hidden: Some(Box::new(route::absent(snapshot, exchange))), ..why }
}

/// Whether the request took a hidden route.
pub(super) fn is_hidden(snapshot: &Snapshot, exchange: &Exchange) -> bool {
    snapshot.route(exchange.route).is_some_and(|route| route.hidden)
}

/// A refusal by a hidden route, and one by no route at all on a listener that has a hidden one: these two are to take equally
/// long. What is refused before a route is looked for knows of none.
pub(super) fn is_timeless(snapshot: &Snapshot, exchange: &Exchange, refusal: &Refusal) -> bool {
    let hides = || snapshot.listener(&exchange.connection.listener).is_some_and(|listener| listener.hides);
    refusal.hidden.is_some() || (exchange.route.is_none() && exchange.phase >= Phase::Route && hides())
}

#[cfg(test)]
#[path = "hidden_tests.rs"]
mod tests;
