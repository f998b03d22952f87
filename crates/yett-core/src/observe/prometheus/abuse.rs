//! Abuse: guarded logins, bots, lists of addresses, places, and answers and requests that looked wrong.

use super::text::Text;
use crate::geo::Database;
use crate::shared::Shared;
use crate::watched::{age_s, now_s};

/// Guarded logins; nothing where there are none.
pub(super) fn logins(text: &mut Text, shared: &Shared) {
    let logins = &shared.logins;
    let watches = logins.watches();
    if watches.is_empty() {
        return;
    }
    let mut attempts = text.counters("yett_login_attempts_total", "attempts to log in, by what came of them");
    for watch in &watches {
        for (outcome, count) in watch.all() {
            attempts.add(&[("route", &watch.route), ("outcome", outcome)], count);
        }
    }
    let now_ms = crate::server::clock::monotonic_ns() / 1_000_000;
    let (held, room) = logins.book.size(now_ms);
    text.gauge("yett_login_keys", "addresses, accounts and the like that guarded logins count now", held);
    text.gauge("yett_login_keys_limit", "keys of guarded logins that there is room for", room);
    let help = "counts that keys without a place share";
    text.counter("yett_login_overflow_total", help, logins.book.overflowed.get());
    text.gauge("yett_login_bans", "addresses that are banned now", logins.bans.active(now_ms));
    text.counter("yett_login_bans_total", "bans that have begun", logins.bans.begun.get());
    let help = "addresses that were not banned because there are too many bans; they are limited";
    text.counter("yett_login_bans_missing_total", help, logins.bans.without_room.get());
    let proofs = &logins.proofs;
    text.gauge("yett_login_proofs", "proofs of work at guarded logins that are remembered", proofs.held());
    text.counter("yett_login_proofs_total", "challenges at guarded logins that were solved", proofs.solved.get());
    let help = "challenges that were solved and did not count because too many proofs are remembered";
    text.counter("yett_login_proofs_missing_total", help, proofs.without_room.get());
    text.gauge("yett_login_waiting", "attempts to log in that are slowed down now", logins.waiting());
}

/// Routes with a bot filter; nothing where there are none.
pub(super) fn bots(text: &mut Text, shared: &Shared) {
    let all = shared.bots.counts();
    if all.is_empty() {
        return;
    }
    let help = "requests of routes with a bot_filter, by what came of them";
    let mut requests = text.counters("yett_bot_requests_total", help);
    for counts in &all {
        for (outcome, count) in counts.all() {
            requests.add(&[("route", &counts.route), ("outcome", outcome)], count);
        }
    }
    let verifier = &shared.bots.verifier;
    let help = "addresses that were looked up because they said to be a crawler's, by what was found";
    let found = [("genuine", &verifier.genuine), ("false", &verifier.false_claims), ("unknown", &verifier.unknown)];
    let found = found.map(|(outcome, counter)| (outcome, counter.get()));
    text.counters("yett_crawler_lookups_total", help).by("outcome", found);
    let help = "addresses that are looked up now, or wait for it";
    text.gauge("yett_crawler_lookups_waiting", help, verifier.waiting());
}

/// Files of addresses; nothing where there are none.
pub(super) fn address_lists(text: &mut Text, shared: &Shared) {
    let all = shared.address_lists.all();
    if all.is_empty() {
        return;
    }
    let mut each = text.each(&all, |file| [("file", &file.path)]);
    each.gauge("yett_address_list_entries", "ranges of addresses that count, of a file", |f| f.entries as u64);
    each.gauge("yett_address_list_bytes", "bytes of memory that they take", |f| f.bytes as u64);
    each.gauge("yett_address_list_current", "1 while what counts is what the file says", |f| f.current.into());
    each.counter("yett_address_list_failures_total", "times that a file could not be read", |f| f.failures);
    let help = "since when what counts has been written";
    each.gauge_of_some("yett_address_list_age_seconds", help, |f| f.modified_ms.map(age_s));
}

/// Databases that say where addresses are; nothing where there are none.
pub(super) fn geo(text: &mut Text, shared: &Shared) {
    let files = shared.geo.files();
    if files.is_empty() {
        return;
    }
    let built = |database: Option<&Database>| database.map(|database| database.built_s);
    let all: Vec<_> = files.iter().map(|file| (file.how().kind.as_str(), file.status(), file.ask(built))).collect();
    let mut each = text.each(&all, |(database, file, _)| [("database", database), ("file", &file.path)]);
    each.gauge("yett_geo_database_entries", "ranges of addresses that a database knows", |(_, f, _)| f.entries as u64);
    each.gauge("yett_geo_database_bytes", "bytes of memory that they take", |(_, f, _)| f.bytes as u64);
    each.gauge("yett_geo_database_current", "1 while what counts is what the file says", |(_, f, _)| f.current.into());
    each.counter("yett_geo_database_failures_total", "times that a file could not be read", |(_, f, _)| f.failures);
    let help = "since when the database that counts has been built";
    each.gauge_of_some("yett_geo_database_age_seconds", help, |(.., built)| built.map(|built| now_s().saturating_sub(built)));
}

/// Answers that did not fit and passed (`response_validation: {mode: report}`).
pub(super) fn responses(text: &mut Text, shared: &Shared) {
    let help = "answers that do not fit and passed nevertheless, by reason";
    let faults = shared.response_faults.all().map(|(reason, count)| (reason.code(), count));
    text.counters("yett_response_faults_total", help).by("reason", faults);
}

/// Requests that looked like attacks (`attack_filter`), by class.
pub(super) fn attacks(text: &mut Text, shared: &Shared) {
    let help = "requests in which something looked like an attack, by class and what became of them";
    let mut family = text.counters("yett_attacks_total", help);
    for (outcome, class, count) in shared.attacks.all() {
        family.add(&[("class", class), ("outcome", outcome)], count);
    }
}
