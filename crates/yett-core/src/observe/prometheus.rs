//! The Prometheus text format (version 0.0.4) of everything that is counted.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, PoisonError};

use super::metrics::{BUCKETS, CLASSES, Histogram, WorkerMetrics};
use crate::ir::LimitLoss;
use crate::providers::introspection::source::Source;
use crate::reason::Reason;
use crate::resilience::State;
use crate::resilience::breaker::Breaker;
use crate::server::passthrough::End;
use crate::server::tls::cause::Cause;
use crate::service_tokens::TokenSource;
use crate::shared::Shared;
use crate::store::Unavailable;
use crate::upstream::Health;
use crate::upstream::health::{Cause as CheckFailure, EndpointHealth};
use crate::upstream::tls_cause::TlsCause;
use crate::watched::{Status, age_s, now_s};

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
    let mut out = String::with_capacity(16 * 1024);
    requests(&mut out, workers);
    refusals(&mut out, workers);
    authentication(&mut out, workers);
    handshakes(&mut out, shared);
    service_tls(&mut out, shared);
    connections_refused(&mut out, shared);
    passthrough(&mut out, shared);
    let each = |pick: fn(&WorkerMetrics) -> &Histogram| workers.iter().map(move |worker| pick(worker));
    histogram(
        &mut out,
        "yett_request_duration_seconds",
        "from a request's head to the last byte of its answer",
        each(|w| &w.request),
    );
    histogram(
        &mut out,
        "yett_service_duration_seconds",
        "from forwarding to the first byte of a service's answer",
        each(|w| &w.upstream),
    );
    let sum = |pick: fn(&WorkerMetrics) -> u64| workers.iter().map(|worker| pick(worker)).sum::<u64>();
    single(&mut out, "yett_connections_total", "connections accepted", "counter", sum(|w| w.connections.get()));
    single(&mut out, "yett_connections_open", "connections open now", "gauge", sum(|w| w.open.get()));
    single(&mut out, "yett_request_body_bytes_total", "body bytes read from clients", "counter", sum(|w| w.bytes_in.get()));
    single(&mut out, "yett_response_body_bytes_total", "body bytes sent to clients", "counter", sum(|w| w.bytes_out.get()));
    single(&mut out, "yett_buffered_bytes", "bytes taken of the process-wide bound on buffers", "gauge", shared.buffers.used());
    for (name, help, value) in shared.counters.all() {
        single(&mut out, name, help, "counter", value);
    }
    let answered = shared.challenges.answered.get();
    let help = "challenges of certificate authorities that were answered (ACME)";
    single(&mut out, "yett_acme_challenges_answered_total", help, "counter", answered);
    single(
        &mut out,
        "yett_limit_overflow_total",
        "requests charged to the overflow bucket because the limit table was full",
        "counter",
        shared.limits.overflowed(),
    );
    single(
        &mut out,
        "yett_limit_keys",
        "keys with a bucket that is not full",
        "gauge",
        shared.limits.live(crate::server::clock::now()),
    );
    let repeats = shared.limits.repeats();
    let help = "requests that repeated another with the same Idempotency-Key, which limits charge once";
    single(&mut out, "yett_limit_repeats_total", help, "counter", repeats.found());
    let help = "requests with an Idempotency-Key whose repeats cost as others do, because the table of them was full";
    single(&mut out, "yett_limit_repeats_forgotten_total", help, "counter", repeats.forgotten());
    let held = shared.under_way.held();
    single(&mut out, "yett_concurrency_held", "places that requests hold of limits of concurrency", "gauge", held);
    single(&mut out, "yett_workers", "worker threads", "gauge", u64::try_from(gauges.workers).unwrap_or(0));
    single(&mut out, "yett_ready", "1 while requests are served and no drain is under way", "gauge", u64::from(gauges.ready));
    single(&mut out, "yett_start_time_seconds", "when the gateway started", "gauge", gauges.started);
    single(&mut out, "yett_last_reload_time_seconds", "when the configuration was applied", "gauge", gauges.applied);
    head(&mut out, "yett_revision_info", "the configuration that serves", "gauge");
    let _ = writeln!(out, "yett_revision_info{{revision=\"{}\"}} 1", Label(gauges.revision));
    certificates(&mut out, gauges.certificates);
    introspection(&mut out, shared);
    service_tokens(&mut out, shared);
    sharing(&mut out, shared);
    external_checks(&mut out, shared);
    shadow(&mut out, shared);
    state(&mut out, shared);
    quotas(&mut out, shared);
    logins(&mut out, shared);
    bots(&mut out, shared);
    address_lists(&mut out, shared);
    geo(&mut out, shared);
    responses(&mut out, shared);
    attacks(&mut out, shared);
    services(&mut out, &shared.resilience.all());
    health(&mut out, gauges.health);
    out
}

/// Providers whose tokens are asked about; nothing where there are none.
fn introspection(out: &mut String, shared: &Shared) {
    let all = shared.introspection.all();
    if all.is_empty() {
        return;
    }
    let mut each = |name: &str, help: &str, kind: &str, value: fn(&Source) -> u64| {
        head(out, name, help, kind);
        for source in &all {
            let _ = writeln!(out, "{name}{{provider=\"{}\"}} {}", Label(&source.name), value(source));
        }
    };
    each("yett_introspection_active_total", "answers that a token is active", "counter", |s| s.counts.active.get());
    each("yett_introspection_inactive_total", "answers that a token is not active", "counter", |s| s.counts.inactive.get());
    each("yett_introspection_failed_total", "questions that brought no answer", "counter", |s| s.counts.failed.get());
    each(
        "yett_introspection_refused_total",
        "questions not asked, because the endpoint is left alone or too many waited",
        "counter",
        |s| s.counts.refused.get(),
    );
    each("yett_introspection_cached_total", "answers that were remembered", "counter", |s| s.counts.cached.get());
    each("yett_introspection_circuit_open", "1 while the endpoint is left alone", "gauge", |s| u64::from(s.is_left_alone()));
    let under_way = |s: &Source| u64::try_from(s.under_way()).unwrap_or(u64::MAX);
    each("yett_introspection_under_way", "questions under way or waiting", "gauge", under_way);
    let (active, inactive) = shared.introspection.answers.len();
    let count = |entries: usize| u64::try_from(entries).unwrap_or(u64::MAX);
    single(out, "yett_introspection_cache_entries", "answers that are remembered now", "gauge", count(active + inactive));
}

/// Services that get tokens; nothing where there are none.
fn service_tokens(out: &mut String, shared: &Shared) {
    let all = shared.service_tokens.all();
    if all.is_empty() {
        return;
    }
    let mut each = |name: &str, help: &str, kind: &str, value: fn(&TokenSource) -> u64| {
        head(out, name, help, kind);
        for source in &all {
            let _ = writeln!(out, "{name}{{service=\"{}\"}} {}", Label(&source.service), value(source));
        }
    };
    each("yett_service_token_issued_total", "tokens for a service that were issued", "counter", |s| s.counts.issued.get());
    each("yett_service_token_cached_total", "requests that got a token that was there", "counter", |s| s.counts.cached.get());
    each("yett_service_token_failed_total", "requests for tokens that failed", "counter", |s| s.counts.failed.get());
    each("yett_service_token_refused_total", "requests for tokens that were refused", "counter", |s| s.counts.refused.get());
    each("yett_service_token_dropped_total", "tokens dropped because the service refused them", "counter", |s| {
        s.counts.dropped.get()
    });
    each("yett_service_token_circuit_open", "1 while the token endpoint is left alone", "gauge", |s| {
        u64::from(s.is_left_alone())
    });
    each("yett_service_token_entries", "tokens that are kept", "gauge", |s| u64::try_from(s.entries()).unwrap_or(u64::MAX));
}

/// External checks, and why they failed; nothing where there are none.
fn external_checks(out: &mut String, shared: &Shared) {
    let all = shared.external_checks.all();
    if all.is_empty() {
        return;
    }
    let name = "yett_external_authorization_total";
    head(out, name, "answers of external checks", "counter");
    for check in &all {
        for (answer, count) in [("allowed", &check.allowed), ("denied", &check.denied)] {
            let _ = writeln!(out, "{name}{{check=\"{}\",answer=\"{answer}\"}} {}", Label(&check.source), count.get());
        }
    }
    let name = "yett_external_authorization_failures_total";
    head(out, name, "questions to external checks that brought no answer to rely on, by cause", "counter");
    for check in &all {
        for (cause, count) in check.failures().filter(|(_, count)| *count > 0) {
            let _ = writeln!(out, "{name}{{check=\"{}\",cause=\"{cause}\"}} {count}", Label(&check.source));
        }
    }
}

/// What rules in shadow would have done; nothing where there are none.
fn shadow(out: &mut String, shared: &Shared) {
    let all = shared.shadow.all();
    if all.is_empty() {
        return;
    }
    let name = "yett_shadow_total";
    head(out, name, "requests by what a rule or limit in shadow would have done", "counter");
    for record in &all {
        let (route, rule) = (Label(&record.route), Label(&record.source));
        for (outcome, count) in record.counts() {
            let _ = writeln!(out, "{name}{{route=\"{route}\",rule=\"{rule}\",outcome=\"{outcome}\"}} {count}");
        }
    }
}

/// Use of quotas; nothing where there never was any.
fn quotas(out: &mut String, shared: &Shared) {
    let book = &shared.quotas;
    let (held, room) = book.size();
    if held == 0 && book.warned().is_empty() {
        return;
    }
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    single(out, "yett_quota_keys", "keys that have used something of a quota", "gauge", count(held));
    single(out, "yett_quota_keys_limit", "keys of quotas that there is room for", "gauge", count(room));
    let help = "requests charged to the entry that keys of a quota share for which there was no room";
    single(out, "yett_quota_overflow_total", help, "counter", book.overflowed.get());
    let name = "yett_quota_unwritten_seconds";
    head(out, name, "how long use of quotas has been waiting to be written", "gauge");
    let waiting = book.unwritten_for_ms(crate::server::clock::monotonic_ns());
    let _ = writeln!(out, "{name} {}.{:03}", waiting / 1000, waiting % 1000);
    let name = "yett_quota_thresholds_total";
    head(out, name, "keys that passed a threshold of a quota, once each period", "counter");
    for (names, percent, count) in book.warned() {
        let (quota, scope) = (Label(&names.name), Label(&names.scope));
        let _ = writeln!(out, "{name}{{quota=\"{quota}\",scope=\"{scope}\",percent=\"{percent}\"}} {count}");
    }
}

/// Guarded logins; nothing where there are none.
fn logins(out: &mut String, shared: &Shared) {
    let logins = &shared.logins;
    let watches = logins.watches();
    if watches.is_empty() {
        return;
    }
    let name = "yett_login_attempts_total";
    head(out, name, "attempts to log in, by what came of them", "counter");
    for watch in &watches {
        for (outcome, count) in watch.all() {
            let _ = writeln!(out, "{name}{{route=\"{}\",outcome=\"{outcome}\"}} {count}", Label(&watch.route));
        }
    }
    let now_ms = crate::server::clock::monotonic_ns() / 1_000_000;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let (held, room) = logins.book.size(now_ms);
    single(out, "yett_login_keys", "addresses, accounts and the like that guarded logins count now", "gauge", held);
    single(out, "yett_login_keys_limit", "keys of guarded logins that there is room for", "gauge", room);
    let help = "counts that keys without a place share";
    single(out, "yett_login_overflow_total", help, "counter", logins.book.overflowed.get());
    single(out, "yett_login_bans", "addresses that are banned now", "gauge", count(logins.bans.active(now_ms)));
    single(out, "yett_login_bans_total", "bans that have begun", "counter", logins.bans.begun.get());
    let help = "addresses that were not banned because there are too many bans; they are limited";
    single(out, "yett_login_bans_missing_total", help, "counter", logins.bans.without_room.get());
    let proofs = &logins.proofs;
    single(out, "yett_login_proofs", "proofs of work at guarded logins that are remembered", "gauge", count(proofs.held()));
    single(out, "yett_login_proofs_total", "challenges at guarded logins that were solved", "counter", proofs.solved.get());
    let help = "challenges that were solved and did not count because too many proofs are remembered";
    single(out, "yett_login_proofs_missing_total", help, "counter", proofs.without_room.get());
    single(out, "yett_login_waiting", "attempts to log in that are slowed down now", "gauge", count(logins.waiting()));
}

/// Routes with a bot filter; nothing where there are none.
fn bots(out: &mut String, shared: &Shared) {
    let all = shared.bots.counts();
    if all.is_empty() {
        return;
    }
    let name = "yett_bot_requests_total";
    head(out, name, "requests of routes with a bot_filter, by what came of them", "counter");
    for counts in &all {
        for (outcome, count) in counts.all() {
            let _ = writeln!(out, "{name}{{route=\"{}\",outcome=\"{outcome}\"}} {count}", Label(&counts.route));
        }
    }
    let verifier = &shared.bots.verifier;
    let name = "yett_crawler_lookups_total";
    head(out, name, "addresses that were looked up because they said to be a crawler's, by what was found", "counter");
    for (outcome, counter) in [("genuine", &verifier.genuine), ("false", &verifier.false_claims), ("unknown", &verifier.unknown)]
    {
        let _ = writeln!(out, "{name}{{outcome=\"{outcome}\"}} {}", counter.get());
    }
    let waiting = u64::try_from(verifier.waiting()).unwrap_or(u64::MAX);
    single(out, "yett_crawler_lookups_waiting", "addresses that are looked up now, or wait for it", "gauge", waiting);
}

/// Files of addresses; nothing where there are none.
fn address_lists(out: &mut String, shared: &Shared) {
    let all = shared.address_lists.all();
    if all.is_empty() {
        return;
    }
    let mut each = |name: &str, help: &str, kind: &str, value: fn(&Status) -> u64| {
        head(out, name, help, kind);
        for file in &all {
            let _ = writeln!(out, "{name}{{file=\"{}\"}} {}", Label(&file.path), value(file));
        }
    };
    each("yett_address_list_entries", "ranges of addresses that count, of a file", "gauge", |f| f.entries as u64);
    each("yett_address_list_bytes", "bytes of memory that they take", "gauge", |f| f.bytes as u64);
    each("yett_address_list_current", "1 while what counts is what the file says", "gauge", |f| f.current.into());
    each("yett_address_list_failures_total", "times that a file could not be read", "counter", |f| f.failures);
    let name = "yett_address_list_age_seconds";
    head(out, name, "since when what counts has been written", "gauge");
    for file in &all {
        if let Some(modified_ms) = file.modified_ms {
            let _ = writeln!(out, "{name}{{file=\"{}\"}} {}", Label(&file.path), age_s(modified_ms));
        }
    }
}

/// Databases that say where addresses are; nothing where there are none.
fn geo(out: &mut String, shared: &Shared) {
    let files = shared.geo.files();
    if files.is_empty() {
        return;
    }
    let all: Vec<_> = files.iter().map(|file| (file.how().kind.as_str(), file.status())).collect();
    let mut each = |name: &str, help: &str, kind: &str, value: fn(&Status) -> u64| {
        head(out, name, help, kind);
        for (database, file) in &all {
            let _ = writeln!(out, "{name}{{database=\"{database}\",file=\"{}\"}} {}", Label(&file.path), value(file));
        }
    };
    each("yett_geo_database_entries", "ranges of addresses that a database knows", "gauge", |f| f.entries as u64);
    each("yett_geo_database_bytes", "bytes of memory that they take", "gauge", |f| f.bytes as u64);
    each("yett_geo_database_current", "1 while what counts is what the file says", "gauge", |f| f.current.into());
    each("yett_geo_database_failures_total", "times that a file could not be read", "counter", |f| f.failures);
    let name = "yett_geo_database_age_seconds";
    head(out, name, "since when the database that counts has been built", "gauge");
    for (file, (database, status)) in files.iter().zip(&all) {
        if let Some(built_s) = file.ask(|database| database.map(|database| database.built_s)) {
            let _ = writeln!(
                out,
                "{name}{{database=\"{database}\",file=\"{}\"}} {}",
                Label(&status.path),
                now_s().saturating_sub(built_s)
            );
        }
    }
}

/// Revocations and stores.
fn state(out: &mut String, shared: &Shared) {
    let known = &shared.revocations;
    let (held, room) = known.size();
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    single(out, "yett_revocations", "revocations that are held", "gauge", count(held));
    single(out, "yett_revocations_limit", "revocations that there is room for", "gauge", count(room));
    let help = "requests refused and streams ended because the credential was revoked";
    single(out, "yett_revocations_refused_total", help, "counter", known.refused.get());
    if let Some(age_ms) = known.age_ms(crate::server::clock::now().unix_ms) {
        let name = "yett_revocations_age_seconds";
        head(out, name, "since when what other instances revoked is not known to its end", "gauge");
        let _ = writeln!(out, "{name} {}.{:03}", age_ms / 1000, age_ms % 1000);
    }
    let name = "yett_state_failures_total";
    head(out, name, "operations of the store without an answer, by cause", "counter");
    for why in Unavailable::ALL {
        let _ = writeln!(out, "{name}{{cause=\"{}\"}} {}", why.code(), shared.store_failures.get(why));
    }
}

/// Limits that instances share; nothing where there are none.
fn sharing(out: &mut String, shared: &Shared) {
    let sharing = shared.limits.sharing();
    let Some(lost) = sharing.lost() else { return };
    let help = "1 while the store that instances share limits by did not answer when it was asked last";
    single(out, "yett_limits_not_shared", help, "gauge", u64::from(lost));
    let name = "yett_limit_state_loss_total";
    head(out, name, "limits that were decided without the store, by what was to be done", "counter");
    for loss in LimitLoss::ALL {
        let _ = writeln!(out, "{name}{{state_loss=\"{}\"}} {}", loss.code(), sharing.without(loss));
    }
    let name = "yett_limit_leases_total";
    head(out, name, "parts of a burst that were leased (`cached`), or were not to be had", "counter");
    for (outcome, counter) in ["granted", "refused"].iter().zip(&sharing.leases) {
        let _ = writeln!(out, "{name}{{outcome=\"{outcome}\"}} {}", counter.get());
    }
}

/// Answers that did not fit and passed (`response_validation: {mode: report}`).
fn responses(out: &mut String, shared: &Shared) {
    let name = "yett_response_faults_total";
    head(out, name, "answers that do not fit and passed nevertheless, by reason", "counter");
    for (reason, count) in shared.response_faults.all() {
        let _ = writeln!(out, "{name}{{reason=\"{}\"}} {count}", reason.code());
    }
}

/// Requests that looked like attacks (`attack_filter`), by class.
fn attacks(out: &mut String, shared: &Shared) {
    let name = "yett_attacks_total";
    head(out, name, "requests in which something looked like an attack, by class and what became of them", "counter");
    for (outcome, class, count) in shared.attacks.all() {
        let _ = writeln!(out, "{name}{{class=\"{class}\",outcome=\"{outcome}\"}} {count}");
    }
}

/// Services with limits, circuit breakers or retries; nothing where there are none.
fn services(out: &mut String, all: &[Arc<State>]) {
    if all.is_empty() {
        return;
    }
    let mut each = |name: &str, help: &str, kind: &str, value: fn(&State) -> u64| {
        head(out, name, help, kind);
        for state in all {
            let _ = writeln!(out, "{name}{{service=\"{}\"}} {}", Label(&state.service), value(state));
        }
    };
    each("yett_service_requests_active", "requests under way at services with `limits`", "gauge", |s| s.limiter.active().into());
    each("yett_service_requests_pending", "requests that wait for services with `limits`", "gauge", |s| {
        s.limiter.waiting().into()
    });
    each("yett_service_retries_total", "requests tried again", "counter", |s| s.retries.get());
    each(
        "yett_service_retries_refused_total",
        "requests not tried again because the service's budget of retries was spent",
        "counter",
        |s| s.refused.get(),
    );
    let breakers: Vec<_> = all.iter().flat_map(|s| s.breakers().into_iter().map(|one| (s.service.clone(), one))).collect();
    let mut each = |name: &str, help: &str, kind: &str, value: fn(&Breaker) -> u64| {
        head(out, name, help, kind);
        for (service, (endpoint, breaker)) in &breakers {
            let _ = writeln!(out, "{name}{{service=\"{}\",endpoint=\"{}\"}} {}", Label(service), Label(endpoint), value(breaker));
        }
    };
    each("yett_circuit_state", "circuit breakers: 0 closed, 1 half open, 2 open", "gauge", Breaker::state);
    each("yett_circuit_opened_total", "times that a circuit opened, or stayed open after a probe", "counter", |b| b.opened.get());
    each("yett_circuit_closed_total", "times that a circuit closed again", "counter", |b| b.closed.get());
}

fn health(out: &mut String, health: Option<&Health>) {
    let endpoints = health.map(Health::endpoints).unwrap_or_default();
    if endpoints.is_empty() {
        return;
    }
    let now = crate::server::clock::monotonic_ns();
    let mut each = |name: &str, help: &str, kind: &str, value: &dyn Fn(&EndpointHealth) -> u64| {
        head(out, name, help, kind);
        for one in &endpoints {
            let _ =
                writeln!(out, "{name}{{service=\"{}\",endpoint=\"{}\"}} {}", Label(&one.service), Label(&one.label), value(one));
        }
    };
    let healthy = |one: &EndpointHealth| u64::from(one.is_healthy(now));
    each("yett_endpoint_healthy", "1 while requests go to the endpoint", "gauge", &healthy);
    each("yett_endpoint_ejections_total", "times that failing requests took an endpoint away", "counter", &|one| {
        one.ejections.get()
    });
    each("yett_health_checks_total", "checks of an endpoint", "counter", &|one| one.checks.get());
    let name = "yett_health_check_failures_total";
    head(out, name, "checks of an endpoint that failed, by cause", "counter");
    for one in &endpoints {
        for (cause, count) in CheckFailure::ALL.iter().zip(&one.failures).filter(|(_, count)| count.get() > 0) {
            let (service, endpoint) = (Label(&one.service), Label(&one.label));
            let (cause, count) = (cause.code(), count.get());
            let _ = writeln!(out, "{name}{{service=\"{service}\",endpoint=\"{endpoint}\",cause=\"{cause}\"}} {count}");
        }
    }
}

fn certificates(out: &mut String, all: &[crate::ir::Certificate]) {
    if all.is_empty() {
        return;
    }
    let name = "yett_certificate_expiry_seconds";
    head(out, name, "when a certificate in use ends, in seconds since 1970", "gauge");
    let mut seen = BTreeMap::new();
    for one in all {
        seen.insert((&*one.purpose, &*one.owner, &*one.serial, &*one.subject), one.not_after_s);
    }
    for ((purpose, owner, serial, subject), end) in seen {
        let (owner, serial, subject) = (Label(owner), Label(serial), Label(subject));
        let _ = writeln!(out, "{name}{{use=\"{purpose}\",owner=\"{owner}\",subject=\"{subject}\",serial=\"{serial}\"}} {end}");
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn single(out: &mut String, name: &str, help: &str, kind: &str, value: u64) {
    head(out, name, help, kind);
    let _ = writeln!(out, "{name} {value}");
}

/// Listener, route, status class.
type SeriesKey = (Arc<str>, Option<Arc<str>>, usize);

fn requests(out: &mut String, workers: &[Arc<WorkerMetrics>]) {
    let mut totals: BTreeMap<SeriesKey, u64> = BTreeMap::new();
    for worker in workers {
        worker.table().each(|listener, route, class, count| {
            *totals.entry((Arc::clone(listener), route.cloned(), class)).or_default() += count;
        });
    }
    head(
        out,
        "yett_requests_total",
        "requests answered, by listener, route (empty where none matched) and status class",
        "counter",
    );
    for ((listener, route, class), count) in totals {
        let (route, class) = (route.as_deref().unwrap_or(""), CLASSES.get(class).unwrap_or(&""));
        let _ = writeln!(
            out,
            "yett_requests_total{{listener=\"{}\",route=\"{}\",status=\"{class}\"}} {count}",
            Label(&listener),
            Label(route)
        );
    }
}

fn refusals(out: &mut String, workers: &[Arc<WorkerMetrics>]) {
    head(out, "yett_refusals_total", "requests refused or failed, by reason", "counter");
    for reason in Reason::ALL {
        let at = usize::from(*reason as u8);
        let count: u64 = workers.iter().filter_map(|worker| worker.refusals.get(at)).map(super::metrics::Cell::get).sum();
        if count > 0 {
            let (code, fault) = (reason.code(), reason.fault().as_str());
            let _ = writeln!(out, "yett_refusals_total{{reason=\"{code}\",fault=\"{fault}\"}} {count}");
        }
    }
}

fn authentication(out: &mut String, workers: &[Arc<WorkerMetrics>]) {
    let mut totals: BTreeMap<(Option<Arc<str>>, &'static str), u64> = BTreeMap::new();
    for worker in workers {
        let own = worker.authentication.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, count) in own.iter() {
            *totals.entry(key.clone()).or_default() += count;
        }
    }
    let name = "yett_authentication_failures_total";
    head(out, name, "credentials that were missing or refused, by provider (empty where it is not known) and reason", "counter");
    for ((provider, reason), count) in totals {
        let provider = Label(provider.as_deref().unwrap_or(""));
        let _ = writeln!(out, "{name}{{provider=\"{provider}\",reason=\"{reason}\"}} {count}");
    }
}

fn handshakes(out: &mut String, shared: &Shared) {
    head(out, "yett_tls_handshake_failures_total", "TLS handshakes of clients that failed, by cause", "counter");
    for cause in Cause::ALL {
        let count = shared.handshake_failures.get(*cause);
        if count > 0 {
            let _ = writeln!(out, "yett_tls_handshake_failures_total{{cause=\"{}\"}} {count}", cause.code());
        }
    }
}

fn service_tls(out: &mut String, shared: &Shared) {
    head(out, "yett_service_tls_failures_total", "TLS handshakes with services that failed, by cause", "counter");
    for cause in TlsCause::ALL {
        let count = shared.service_tls_failures.get(*cause);
        if count > 0 {
            let _ = writeln!(out, "yett_service_tls_failures_total{{cause=\"{}\"}} {count}", cause.code());
        }
    }
}

fn connections_refused(out: &mut String, shared: &Shared) {
    let refused = &shared.connections_refused;
    head(
        out,
        "yett_connections_refused_total",
        "connections refused because there were too many, by whose bound it was",
        "counter",
    );
    for (cause, counter) in [("listener", &refused.listener), ("address", &refused.address)] {
        let _ = writeln!(out, "yett_connections_refused_total{{cause=\"{cause}\"}} {}", counter.get());
    }
}

fn passthrough(out: &mut String, shared: &Shared) {
    head(
        out,
        "yett_passthrough_connections_total",
        "connections passed on unopened, or refused that, by how they ended",
        "counter",
    );
    for end in End::ALL {
        let count = shared.passthrough.get(*end);
        if count > 0 {
            let _ = writeln!(out, "yett_passthrough_connections_total{{end=\"{}\"}} {count}", end.code());
        }
    }
}

fn histogram<'a>(out: &mut String, name: &str, help: &str, all: impl Iterator<Item = &'a Histogram>) {
    let (mut counts, mut sum_ns) = ([0; BUCKETS.len() + 1], 0);
    all.for_each(|histogram| histogram.collect(&mut counts, &mut sum_ns));
    head(out, name, help, "histogram");
    let mut total = 0;
    for (count, bound) in counts.iter().zip(BUCKETS.iter().map(|(_, text)| *text).chain(["+Inf"])) {
        total += count;
        let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {total}");
    }
    let _ = writeln!(out, "{name}_sum {}.{:09}\n{name}_count {total}", sum_ns / 1_000_000_000, sum_ns % 1_000_000_000);
}

/// A label value, escaped.
struct Label<'a>(&'a str);

impl std::fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(Label("a\"b\\c\nd").to_string(), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn buckets_are_cumulative() {
        let one = Histogram::default();
        one.observe(700_000);
        one.observe(60_000_000_000);
        let mut out = String::new();
        histogram(&mut out, "h", "help", [&one].into_iter());
        assert!(out.contains("h_bucket{le=\"0.0005\"} 0\nh_bucket{le=\"0.001\"} 1\n"), "{out}");
        assert!(out.contains("h_bucket{le=\"30\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 60.000700000\nh_count 2\n"), "{out}");
    }
}
