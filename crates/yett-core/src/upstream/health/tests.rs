use std::sync::Arc;

use super::check::Streak;
use super::outlier::{Sample, ServiceHealth};
use super::state::{EndpointHealth, WHOLE};
use crate::ir;
use crate::shared::Shared;
use crate::upstream::Report;

const S: u64 = 1_000_000_000;

fn service(endpoints: usize, outlier: serde_json::Value) -> (Arc<ServiceHealth>, Vec<Arc<EndpointHealth>>) {
    let spec: ir::Service = serde_json::from_value(serde_json::json!({
        "name": "one", "endpoints": [], "tls": null, "host": "endpoint", "balance": "round_robin", "forward_credential": false,
        "idle_connections": 1, "idle_ms": 1, "outlier_detection": outlier,
    }))
    .unwrap();
    let shared = Arc::new(Shared::new(tokio::runtime::Handle::current(), [0; 32]));
    let states: Vec<_> = (0..endpoints).map(|n| Arc::new(EndpointHealth::new("one", &n.to_string(), false))).collect();
    (Arc::new(ServiceHealth::new(&spec, states.clone(), &shared)), states)
}

fn outlier(consecutive_errors: u32, success_rate: u32, max_ejected: u32) -> serde_json::Value {
    serde_json::json!({
        "consecutive_errors": consecutive_errors, "success_rate": success_rate, "eject_ms": 1000, "max_ejected": max_ejected,
    })
}

#[tokio::test]
async fn failures_in_a_row_eject_and_the_next_time_is_longer() {
    let (service, states) = service(2, outlier(3, 0, 5_000));
    let watch = service.watch(0).unwrap();
    for report in [Report::Answered(503), Report::Reset, Report::Answered(500), Report::TimedOut, Report::Invalid] {
        watch.observe(report, S);
    }
    assert!(states[0].is_healthy(S), "500 is an answer, and it ended the row");
    watch.observe(Report::ConnectFailed, S);
    assert!(!states[0].is_healthy(S) && states[1].is_healthy(S));
    assert!(states[0].is_healthy(2 * S));
    for _ in 0..3 {
        watch.observe(Report::Answered(502), 3 * S);
    }
    assert!(!states[0].is_healthy(4 * S + S / 2) && states[0].is_healthy(5 * S));
    // long after that it begins again
    for _ in 0..3 {
        watch.observe(Report::Answered(502), 100 * S);
    }
    assert!(states[0].is_healthy(101 * S));
    assert_eq!(states[0].ejections.get(), 3);
}

#[tokio::test]
async fn never_more_than_a_share_is_ejected() {
    for (endpoints, share, expected) in [(1, 5_000, 0), (2, 5_000, 1), (10, 3_000, 3), (3, 0, 0), (2, 10_000, 2)] {
        let (service, states) = service(endpoints, outlier(1, 0, share));
        for place in 0..endpoints {
            service.watch(place).unwrap().observe(Report::Reset, S);
        }
        assert_eq!(states.iter().filter(|state| state.is_ejected(S)).count(), expected);
    }
}

#[tokio::test]
async fn a_poor_success_rate_ejects_once_there_is_enough_of_it() {
    let (service, states) = service(2, outlier(0, 5_000, 5_000));
    let watch = service.watch(0).unwrap();
    for n in 0..19 {
        watch.observe(Report::Answered(if n % 3 == 0 { 200 } else { 503 }), S);
    }
    assert!(states[0].is_healthy(S));
    watch.observe(Report::Answered(503), S);
    assert!(!states[0].is_healthy(S));
    let watch = service.watch(1).unwrap();
    for n in 0..100 {
        watch.observe(Report::Answered(if n % 2 == 0 { 200 } else { 503 }), 3 * S);
    }
    assert!(states[1].is_healthy(3 * S), "half of them is not less than half");
}

#[test]
fn a_sample_begins_again_with_its_window() {
    let state = EndpointHealth::new("one", "a", false);
    state.sample(true, S);
    assert_eq!(state.sample(false, 9 * S), Sample { requests: 2, failures: 1 });
    assert_eq!(state.sample(true, 10 * S), Sample { requests: 1, failures: 1 });
}

#[test]
fn thresholds_count_results_in_a_row_and_the_first_decides_alone() {
    let spec: ir::HealthCheck = serde_json::from_value(serde_json::json!({
        "protocol": "tcp", "interval_ms": 1, "timeout_ms": 1, "healthy": 2, "unhealthy": 3,
    }))
    .unwrap();
    let mut streak = Streak::default();
    assert_eq!(streak.verdict(false, &spec, false), Some(false));
    let verdicts: Vec<_> = [true, false, true, true, false, false, true, false, false, false]
        .map(|passed| streak.verdict(passed, &spec, true))
        .into();
    assert_eq!(verdicts, [None, None, None, Some(true), None, None, None, None, None, Some(false)]);
}

#[test]
fn a_slow_start_ramps_up() {
    let state = EndpointHealth::new("one", "a", true);
    assert!(!state.is_healthy(S));
    assert!(state.judge(true, 10 * S) && !state.judge(true, 10 * S));
    let ramp = |now| state.ramp(now, 10 * S);
    assert_eq!((ramp(10 * S), ramp(15 * S), ramp(20 * S), ramp(99 * S)), (25, WHOLE / 2, WHOLE, WHOLE));
    assert_eq!(state.ramp(10 * S, 0), WHOLE);
    assert_eq!(EndpointHealth::new("one", "b", false).ramp(1, 10 * S), WHOLE);
}
