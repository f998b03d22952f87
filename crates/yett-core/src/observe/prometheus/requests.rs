//! Requests: how they were answered, why they were refused, and how long they took.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::text::Text;
use crate::observe::metrics::{CLASSES, Cell, WorkerMetrics};
use crate::reason::Reason;

/// By listener, route and class; by reason; and what came of credentials.
pub(super) fn answers(text: &mut Text, workers: &[Arc<WorkerMetrics>]) {
    requests(text, workers);
    refusals(text, workers);
    authentication(text, workers);
}

pub(super) fn durations(text: &mut Text, workers: &[Arc<WorkerMetrics>]) {
    let help = "from a request's head to the last byte of its answer";
    text.histogram("yett_request_duration_seconds", help, workers.iter().map(|worker| &worker.request));
    let help = "from forwarding to the first byte of a service's answer";
    text.histogram("yett_service_duration_seconds", help, workers.iter().map(|worker| &worker.upstream));
}

/// Listener, route, status class.
type SeriesKey = (Arc<str>, Option<Arc<str>>, usize);

fn requests(text: &mut Text, workers: &[Arc<WorkerMetrics>]) {
    let mut totals: BTreeMap<SeriesKey, u64> = BTreeMap::new();
    for worker in workers {
        worker.table().each(|listener, route, class, count| {
            *totals.entry((Arc::clone(listener), route.cloned(), class)).or_default() += count;
        });
    }
    let help = "requests answered, by listener, route (empty where none matched) and status class";
    let mut family = text.counters("yett_requests_total", help);
    for ((listener, route, class), count) in totals {
        let (route, class) = (route.as_deref().unwrap_or(""), CLASSES.get(class).unwrap_or(&""));
        family.add(&[("listener", &listener), ("route", route), ("status", class)], count);
    }
}

fn refusals(text: &mut Text, workers: &[Arc<WorkerMetrics>]) {
    let mut family = text.counters("yett_refusals_total", "requests refused or failed, by reason");
    for reason in Reason::ALL {
        let at = usize::from(*reason as u8);
        let count: u64 = workers.iter().filter_map(|worker| worker.refusals.get(at)).map(Cell::get).sum();
        if count > 0 {
            family.add(&[("reason", reason.code()), ("fault", reason.fault().as_str())], count);
        }
    }
}

fn authentication(text: &mut Text, workers: &[Arc<WorkerMetrics>]) {
    let mut totals: BTreeMap<(Option<Arc<str>>, &'static str), u64> = BTreeMap::new();
    for worker in workers {
        let own = worker.authentication.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, count) in own.iter() {
            *totals.entry(key.clone()).or_default() += count;
        }
    }
    let help = "credentials that were missing or refused, by provider (empty where it is not known) and reason";
    let mut family = text.counters("yett_authentication_failures_total", help);
    for ((provider, reason), count) in totals {
        family.add(&[("provider", provider.as_deref().unwrap_or("")), ("reason", reason)], count);
    }
}
