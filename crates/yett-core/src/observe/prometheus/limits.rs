//! Limits and quotas: how full their tables are, and what they do without the store that instances share.

use super::text::{Seconds, Text};
use crate::ir::LimitLoss;
use crate::shared::{Counter, Shared};

/// Tables of this process.
pub(super) fn tables(text: &mut Text, shared: &Shared) {
    let help = "requests charged to the overflow bucket because the limit table was full";
    text.counter("yett_limit_overflow_total", help, shared.limits.overflowed());
    let live = shared.limits.live(crate::server::clock::now());
    text.gauge("yett_limit_keys", "keys with a bucket that is not full", live);
    let repeats = shared.limits.repeats();
    let help = "requests that repeated another with the same Idempotency-Key, which limits charge once";
    text.counter("yett_limit_repeats_total", help, repeats.found());
    let help = "requests with an Idempotency-Key whose repeats cost as others do, because the table of them was full";
    text.counter("yett_limit_repeats_forgotten_total", help, repeats.forgotten());
    text.gauge("yett_concurrency_held", "places that requests hold of limits of concurrency", shared.under_way.held());
}

/// Limits that instances share; nothing where there are none.
pub(super) fn sharing(text: &mut Text, shared: &Shared) {
    let sharing = shared.limits.sharing();
    let Some(lost) = sharing.lost() else { return };
    let help = "1 while the store that instances share limits by did not answer when it was asked last";
    text.gauge("yett_limits_not_shared", help, u8::from(lost));
    let help = "limits that were decided without the store, by what was to be done";
    let losses = LimitLoss::ALL.map(|loss| (loss.code(), sharing.without(loss)));
    text.counters("yett_limit_state_loss_total", help).by("state_loss", losses);
    let help = "parts of a burst that were leased (`cached`), or were not to be had";
    let leases = ["granted", "refused"].into_iter().zip(sharing.leases.iter().map(Counter::get));
    text.counters("yett_limit_leases_total", help).by("outcome", leases);
}

/// Use of quotas; nothing where there never was any.
pub(super) fn quotas(text: &mut Text, shared: &Shared) {
    let book = &shared.quotas;
    let (held, room) = book.size();
    let warned = book.warned();
    if held == 0 && warned.is_empty() {
        return;
    }
    text.gauge("yett_quota_keys", "keys that have used something of a quota", held);
    text.gauge("yett_quota_keys_limit", "keys of quotas that there is room for", room);
    let help = "requests charged to the entry that keys of a quota share for which there was no room";
    text.counter("yett_quota_overflow_total", help, book.overflowed.get());
    let waiting = book.unwritten_for_ms(crate::server::clock::monotonic_ns());
    text.gauge("yett_quota_unwritten_seconds", "how long use of quotas has been waiting to be written", Seconds(waiting));
    let help = "keys that passed a threshold of a quota, once each period";
    let mut family = text.counters("yett_quota_thresholds_total", help);
    for (names, percent, count) in warned {
        family.add(&[("quota", &names.name), ("scope", &names.scope), ("percent", &percent.to_string())], count);
    }
}
