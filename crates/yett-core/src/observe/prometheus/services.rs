//! Services: the tokens that they get, their limits, circuits and retries, and the health of their endpoints.

use std::sync::Arc;

use super::text::Text;
use crate::resilience::State;
use crate::shared::Shared;
use crate::upstream::Health;
use crate::upstream::health::Cause;

/// Services that get tokens; nothing where there are none.
pub(super) fn tokens(text: &mut Text, shared: &Shared) {
    let all = shared.service_tokens.all();
    if all.is_empty() {
        return;
    }
    let mut each = text.each(&all, |source| [("service", &source.service)]);
    each.counter("yett_service_token_issued_total", "tokens for a service that were issued", |s| s.counts.issued.get());
    each.counter("yett_service_token_cached_total", "requests that got a token that was there", |s| s.counts.cached.get());
    each.counter("yett_service_token_failed_total", "requests for tokens that failed", |s| s.counts.failed.get());
    each.counter("yett_service_token_refused_total", "requests for tokens that were refused", |s| s.counts.refused.get());
    let help = "tokens dropped because the service refused them";
    each.counter("yett_service_token_dropped_total", help, |s| s.counts.dropped.get());
    each.gauge("yett_service_token_circuit_open", "1 while the token endpoint is left alone", |s| s.is_left_alone().into());
    each.gauge("yett_service_token_entries", "tokens that are kept", |s| s.entries() as u64);
}

/// Services with limits, circuit breakers or retries; nothing where there are none.
pub(super) fn resilience(text: &mut Text, all: &[Arc<State>]) {
    if all.is_empty() {
        return;
    }
    let mut each = text.each(all, |state| [("service", &state.service)]);
    let help = "requests under way at services with `limits`";
    each.gauge("yett_service_requests_active", help, |s| s.limiter.active().into());
    let help = "requests that wait for services with `limits`";
    each.gauge("yett_service_requests_pending", help, |s| s.limiter.waiting().into());
    each.counter("yett_service_retries_total", "requests tried again", |s| s.retries.get());
    let help = "requests not tried again because the service's budget of retries was spent";
    each.counter("yett_service_retries_refused_total", help, |s| s.refused.get());
    let breakers: Vec<_> = all.iter().flat_map(|s| s.breakers().into_iter().map(|(at, one)| (&s.service, at, one))).collect();
    let mut each = text.each(&breakers, |(service, endpoint, _)| [("service", service), ("endpoint", endpoint)]);
    each.gauge("yett_circuit_state", "circuit breakers: 0 closed, 1 half open, 2 open", |(.., b)| b.state());
    let help = "times that a circuit opened, or stayed open after a probe";
    each.counter("yett_circuit_opened_total", help, |(.., b)| b.opened.get());
    each.counter("yett_circuit_closed_total", "times that a circuit closed again", |(.., b)| b.closed.get());
}

/// Endpoints that are watched; nothing where there are none.
pub(super) fn health(text: &mut Text, health: Option<&Health>) {
    let endpoints = health.map(Health::endpoints).unwrap_or_default();
    if endpoints.is_empty() {
        return;
    }
    let now = crate::server::clock::monotonic_ns();
    let mut each = text.each(&endpoints, |one| [("service", &one.service), ("endpoint", &one.label)]);
    each.gauge("yett_endpoint_healthy", "1 while requests go to the endpoint", |one| one.is_healthy(now).into());
    let help = "times that failing requests took an endpoint away";
    each.counter("yett_endpoint_ejections_total", help, |one| one.ejections.get());
    each.counter("yett_health_checks_total", "checks of an endpoint", |one| one.checks.get());
    let mut failures = text.counters("yett_health_check_failures_total", "checks of an endpoint that failed, by cause");
    for one in &endpoints {
        for (cause, count) in Cause::ALL.iter().zip(&one.failures).filter(|(_, count)| count.get() > 0) {
            failures.add(&[("service", &one.service), ("endpoint", &one.label), ("cause", cause.code())], count.get());
        }
    }
}
