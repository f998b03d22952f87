//! What is asked about callers elsewhere, and rules that are tried out.

use super::text::Text;
use crate::shared::Shared;

/// Providers whose tokens are asked about; nothing where there are none.
pub(super) fn introspection(text: &mut Text, shared: &Shared) {
    let all = shared.introspection.all();
    if all.is_empty() {
        return;
    }
    let mut each = text.each(&all, |source| [("provider", &source.name)]);
    each.counter("yett_introspection_active_total", "answers that a token is active", |s| s.counts.active.get());
    each.counter("yett_introspection_inactive_total", "answers that a token is not active", |s| s.counts.inactive.get());
    each.counter("yett_introspection_failed_total", "questions that brought no answer", |s| s.counts.failed.get());
    let help = "questions not asked, because the endpoint is left alone or too many waited";
    each.counter("yett_introspection_refused_total", help, |s| s.counts.refused.get());
    each.counter("yett_introspection_cached_total", "answers that were remembered", |s| s.counts.cached.get());
    each.gauge("yett_introspection_circuit_open", "1 while the endpoint is left alone", |s| s.is_left_alone().into());
    each.gauge("yett_introspection_under_way", "questions under way or waiting", |s| s.under_way() as u64);
    let (active, inactive) = shared.introspection.answers.len();
    text.gauge("yett_introspection_cache_entries", "answers that are remembered now", active + inactive);
}

/// External checks, and why they failed; nothing where there are none.
pub(super) fn external_checks(text: &mut Text, shared: &Shared) {
    let all = shared.external_checks.all();
    if all.is_empty() {
        return;
    }
    let mut answers = text.counters("yett_external_authorization_total", "answers of external checks");
    for check in &all {
        for (answer, count) in [("allowed", &check.allowed), ("denied", &check.denied)] {
            answers.add(&[("check", &check.source), ("answer", answer)], count.get());
        }
    }
    let help = "questions to external checks that brought no answer to rely on, by cause";
    let mut failures = text.counters("yett_external_authorization_failures_total", help);
    for check in &all {
        for (cause, count) in check.failures().filter(|(_, count)| *count > 0) {
            failures.add(&[("check", &check.source), ("cause", cause)], count);
        }
    }
}

/// What rules in shadow would have done; nothing where there are none.
pub(super) fn shadow(text: &mut Text, shared: &Shared) {
    let all = shared.shadow.all();
    if all.is_empty() {
        return;
    }
    let mut family = text.counters("yett_shadow_total", "requests by what a rule or limit in shadow would have done");
    for record in &all {
        for (outcome, count) in record.counts() {
            family.add(&[("route", &record.route), ("rule", &record.source), ("outcome", outcome)], count);
        }
    }
}
