//! The Prometheus text format (version 0.0.4) of everything that is counted.

mod abuse;
mod callers;
mod connections;
mod limits;
mod requests;
mod services;
mod text;

use std::sync::Arc;

use self::text::{Seconds, Text};
use super::metrics::{Cell, WorkerMetrics};
use crate::shared::Shared;
use crate::store::Unavailable;
use crate::upstream::Health;

/// What is not counted but read at the scrape.
#[derive(Debug)]
pub struct Gauges<'a> {
    /// Revision that serves; empty before the first.
    pub revision: &'a str,
    /// Worker threads.
    pub workers: usize,
    /// Whether requests are served: loaded, bound, not draining.
    pub ready: bool,
    /// Seconds since 1970 of the start.
    pub started: u64,
    /// Seconds since 1970 of the last configuration applied; 0 before the first.
    pub applied: u64,
    /// Endpoints that are watched.
    pub health: Option<&'a Health>,
    /// Certificates that the configuration uses.
    pub certificates: &'a [crate::ir::Certificate],
}

/// All metrics of a gateway.
#[must_use]
pub fn render(workers: &[Arc<WorkerMetrics>], shared: &Shared, gauges: &Gauges<'_>) -> String {
    let mut text = Text::new();
    requests::answers(&mut text, workers);
    connections::failures(&mut text, shared);
    requests::durations(&mut text, workers);
    volumes(&mut text, workers, shared);
    limits::tables(&mut text, shared);
    process(&mut text, gauges);
    connections::certificates(&mut text, gauges.certificates);
    callers::introspection(&mut text, shared);
    services::tokens(&mut text, shared);
    limits::sharing(&mut text, shared);
    callers::external_checks(&mut text, shared);
    callers::shadow(&mut text, shared);
    state(&mut text, shared);
    limits::quotas(&mut text, shared);
    abuse::logins(&mut text, shared);
    abuse::bots(&mut text, shared);
    abuse::address_lists(&mut text, shared);
    abuse::geo(&mut text, shared);
    abuse::responses(&mut text, shared);
    abuse::attacks(&mut text, shared);
    services::resilience(&mut text, &shared.resilience.all());
    services::health(&mut text, gauges.health);
    text.into_string()
}

/// Connections, bytes, and what is counted by nothing else.
fn volumes(text: &mut Text, workers: &[Arc<WorkerMetrics>], shared: &Shared) {
    let sum = |pick: fn(&WorkerMetrics) -> &Cell| workers.iter().map(|worker| pick(worker).get()).sum::<u64>();
    text.counter("yett_connections_total", "connections accepted", sum(|w| &w.connections));
    text.gauge("yett_connections_open", "connections open now", sum(|w| &w.open));
    text.counter("yett_request_body_bytes_total", "body bytes read from clients", sum(|w| &w.bytes_in));
    text.counter("yett_response_body_bytes_total", "body bytes sent to clients", sum(|w| &w.bytes_out));
    text.gauge("yett_buffered_bytes", "bytes taken of the process-wide bound on buffers", shared.buffers.used());
    for (name, help, value) in shared.counters.all() {
        text.counter(name, help, value);
    }
    let help = "challenges of certificate authorities that were answered (ACME)";
    text.counter("yett_acme_challenges_answered_total", help, shared.challenges.answered.get());
}

fn process(text: &mut Text, gauges: &Gauges<'_>) {
    text.gauge("yett_workers", "worker threads", gauges.workers);
    text.gauge("yett_ready", "1 while requests are served and no drain is under way", u8::from(gauges.ready));
    text.gauge("yett_start_time_seconds", "when the gateway started", gauges.started);
    text.gauge("yett_last_reload_time_seconds", "when the configuration was applied", gauges.applied);
    text.gauges("yett_revision_info", "the configuration that serves").add(&[("revision", gauges.revision)], 1);
}

/// Revocations and stores.
fn state(text: &mut Text, shared: &Shared) {
    let known = &shared.revocations;
    let (held, room) = known.size();
    text.gauge("yett_revocations", "revocations that are held", held);
    text.gauge("yett_revocations_limit", "revocations that there is room for", room);
    let help = "requests refused and streams ended because the credential was revoked";
    text.counter("yett_revocations_refused_total", help, known.refused.get());
    if let Some(age_ms) = known.age_ms(crate::server::clock::now().unix_ms) {
        let help = "since when what other instances revoked is not known to its end";
        text.gauge("yett_revocations_age_seconds", help, Seconds(age_ms));
    }
    let mut failures = text.counters("yett_state_failures_total", "operations of the store without an answer, by cause");
    failures.by("cause", Unavailable::ALL.map(|why| (why.code(), shared.store_failures.get(why))));
}
