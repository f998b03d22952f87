//! What each rule of a route comes to, also those behind one that refuses: for explanations.

use serde_json::{Value, json};

use crate::exchange::{Exchange, Now};
use crate::filters::attack_filter::Suspected;
use crate::filters::authorize::shadow::Verdict;
use crate::filters::authorize::{Ask, Judged, Part};
use crate::filters::bot_filter::Sighting;
use crate::filters::login_guard::Attempt;
use crate::reason::Reason;
use crate::snapshot::{Access, Snapshot};

/// Nothing where nobody was verified, or where the route asks nobody.
pub(super) fn rules(snapshot: &Snapshot, exchange: &Exchange, now: Now) -> Option<Vec<Value>> {
    let principal = exchange.principal.as_deref()?;
    let Access::Authenticated { policy, .. } = &snapshot.route(exchange.route)?.access else { return None };
    let ask = Ask { principal, exchange, route: &policy.route, now };
    Some(policy.trace(&ask).iter().map(judged).collect())
}

/// The score of an attempt to log in, and its parts.
pub(super) fn login(attempt: &Attempt) -> Value {
    let parts: serde_json::Map<String, Value> =
        attempt.score.parts().map(|(part, points)| (part.as_str().to_owned(), json!(points))).collect();
    json!({"answer": attempt.answer, "score": attempt.score.total(), "parts": parts})
}

/// What a request was taken for, and each signal.
pub(super) fn bot(sighting: &Sighting) -> Value {
    let signals: serde_json::Map<String, Value> =
        sighting.signals.iter().map(|signal| (signal.code().to_owned(), json!(signal.points()))).collect();
    json!({
        "kind": sighting.kind.as_str(), "outcome": sighting.outcome.as_str(), "score": sighting.score, "signals": signals,
        "crawler": sighting.crawler.as_deref(),
    })
}

/// What a rule in shadow would have done.
pub(super) fn tried(verdict: &Verdict) -> Value {
    let outcome = verdict.outcome;
    json!({"rule": &*verdict.record.source, "outcome": outcome.as_str(), "reason": outcome.reason().map(Reason::code)})
}

/// What looked like an attack, and where.
pub(super) fn suspected(found: &Suspected) -> Value {
    let mut document = found.error().document();
    if let Some(members) = document.as_object_mut() {
        members.insert("class".into(), found.finding.class.code().into());
        members.insert("rule".into(), found.finding.rule.into());
        members.insert("score".into(), found.finding.score.into());
    }
    document
}

fn judged(rule: &Judged) -> Value {
    let parts: Vec<Value> = rule.parts.iter().map(|(name, part)| one(name, *part)).collect();
    json!({"kind": rule.kind, "source": &*rule.source, "parts": parts})
}

fn one(name: &str, part: Part) -> Value {
    match part {
        Part::Holds => json!({"part": name, "outcome": "holds"}),
        Part::Fails(reason) => json!({"part": name, "outcome": "fails", "reason": reason.code()}),
        Part::Undecided(reason) => json!({"part": name, "outcome": "undecided", "reason": reason.code()}),
    }
}
