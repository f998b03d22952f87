//! Limits that instances share, on a real Redis: the arithmetic is that of memory, and what happens when the server fails.

use std::cell::Cell;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis::Value;

use super::limits::{Charge, Charged, Script, Use, UseKeys, read, use_name};
use super::redis::{Passwords, Redis};
use super::tests::{Server, eventually, runtime};
use super::{Key, Space, Store, Unavailable};
use crate::filters::limit_table::gcra;

const NS: u64 = 1_000_000_000;
const START_S: u64 = 1_795_867_200;
/// The test's own clock: what the script would read of Redis comes behind the charges. Keys outlive the test.
const CLOCK: &str = "local now_s, now_n, slack = tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV]), 3600000\n";

fn key(name: &str) -> Key {
    Key::new(Space::Limit, &[name.as_bytes()])
}

fn hour(name: &str, burst: u64) -> Charge {
    Charge { key: key(name), depth_ns: burst * 3600 * NS, cost_ns: 3600 * NS }
}

/// What memory does: looks at each, then charges all or none.
fn in_memory(tats: &mut [u64], now_ns: u64, asked: &[(usize, u64, u64)]) -> (bool, Vec<u64>) {
    let found: Vec<_> = asked.iter().map(|(bucket, depth, cost)| gcra(tats[*bucket], now_ns, *depth, *cost)).collect();
    if found.iter().all(Result::is_ok) {
        for ((bucket, _, cost), charged) in asked.iter().zip(&found) {
            if *cost > 0 {
                tats[*bucket] = now_ns + charged.unwrap();
            }
        }
        return (true, found.into_iter().map(Result::unwrap).collect());
    }
    let before = asked.iter().map(|(bucket, depth, _)| tats[*bucket].saturating_sub(now_ns).min(*depth)).collect();
    (false, before)
}

/// Which buckets, how far ahead each may go, what it costs; and how the clock moves before.
type Step = (i64, Vec<(usize, u64, u64)>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let amount = || prop_oneof![0..5_u64, 0..3 * NS, 0..315_360_000 * NS, Just(NS - 1), Just(NS), Just(315_360_000 * NS)];
    let charges = prop::collection::btree_map(0..4_usize, (amount(), amount(), 0..4_u8), 1..4);
    let charge = |(bucket, (depth, cost, mode)): (usize, (u64, u64, u8))| {
        // At random most would have no room: so they are some parts of the depth.
        let cost = if mode == 0 { cost } else { depth / (u64::from(mode) * 2) };
        (bucket, depth, cost)
    };
    let asked = charges.prop_map(move |all| all.into_iter().map(charge).collect());
    let pause = prop_oneof![Just(0), 0..10_i64, 0..5_000_000_000_i64, -2_000_000_000..0_i64, 0..100_000_000_000_000_000_i64];
    prop::collection::vec((pause, asked), 1..12)
}

#[test]
fn the_script_counts_as_memory_does_bit_for_bit() {
    let server = Server::start(None);
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/", server.port)).unwrap();
    let runtime = runtime();
    let connect = || runtime.block_on(client.get_multiplexed_async_connection());
    eventually("redis-server", || connect().is_ok());
    let connection = connect().unwrap();
    let script = Script::with_clock(CLOCK);
    let number = Cell::new(0_u64);
    let granted = [Cell::new(0_u32), Cell::new(0)];
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let run = runner.run(&steps(), |steps| {
        number.set(number.get() + 1);
        let mut tats = [0_u64; 4];
        let mut now_ns = START_S * NS;
        for (pause, asked) in steps {
            now_ns = now_ns.saturating_add_signed(pause);
            let charges: Vec<Charge> = asked
                .iter()
                .map(|(bucket, depth_ns, cost_ns)| Charge {
                    key: Key::new(Space::Limit, &[&number.get().to_be_bytes(), &bucket.to_be_bytes()]),
                    depth_ns: *depth_ns,
                    cost_ns: *cost_ns,
                })
                .collect();
            let mut command = script.run(false, &charges, &[], |key| format!("{:02x?}", key.id()));
            command.arg(now_ns / NS).arg(now_ns % NS);
            let values: Vec<Value> = runtime.block_on(command.query_async(&mut connection.clone())).unwrap();
            let Charged { granted: there, ahead_ns, .. } = read(&values, charges.len(), 0).unwrap();
            let (here, ahead) = in_memory(&mut tats, now_ns, &asked);
            let count = &granted[usize::from(here)];
            count.set(count.get() + 1);
            prop_assert_eq!(there, here);
            prop_assert_eq!(ahead_ns.to_vec(), ahead);
        }
        Ok(())
    });
    run.unwrap();
    assert!(granted.iter().all(|count| count.get() > 200), "both happen: {granted:?}");
}

struct Two {
    server: Server,
    runtime: tokio::runtime::Runtime,
}

impl Two {
    fn new() -> Self {
        Self { server: Server::start(None), runtime: runtime() }
    }

    fn open(&self, deadline_ms: u64) -> Redis {
        let spec = crate::ir::Redis { deadline_ms, ..self.server.spec("limits") };
        Redis::open(&spec, Passwords::default(), self.runtime.handle()).unwrap()
    }

    fn charge(&self, store: &Redis, charges: &[Charge]) -> Result<Charged, Unavailable> {
        self.runtime.block_on(store.charge(charges, &[]))
    }

    fn connected(&self, store: &Redis) {
        eventually("connected", || self.charge(store, &[]).is_ok());
    }
}

#[test]
fn instances_that_ask_at_once_get_exactly_the_limit() {
    let two = Two::new();
    let stores = [two.open(10_000), two.open(10_000)].map(Arc::new);
    stores.iter().for_each(|store| two.connected(store));
    let asked = Arc::new([hour("day", 1000), hour("hour", 100), hour("week", 150)]);
    let tasks: Vec<_> = (0..400)
        .map(|number| {
            let (store, asked) = (Arc::clone(&stores[number % 2]), Arc::clone(&asked));
            two.runtime.spawn(async move { store.charge(&*asked, &[]).await.unwrap().granted })
        })
        .collect();
    let granted = tasks.into_iter().map(|task| two.runtime.block_on(task).unwrap()).filter(|yes| *yes).count();
    assert_eq!(granted, 100);
    let left = two.charge(&stores[0], &[Charge { cost_ns: 0, ..hour("day", 1000) }]).unwrap();
    let ahead = left.ahead_ns[0];
    assert!(ahead <= 100 * 3600 * NS && ahead > 99 * 3600 * NS, "what one refused was charged by none: {ahead}");
}

#[test]
fn buckets_have_names_of_one_length_and_go_by_themselves() {
    let two = Two::new();
    let store = two.open(10_000);
    two.connected(&store);
    let brief = Charge { key: key("brief"), depth_ns: NS, cost_ns: NS / 1000 };
    assert!(two.charge(&store, &[hour(&"long ".repeat(1000), 5), brief]).unwrap().granted);
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/", two.server.port)).unwrap();
    let mut connection = two.runtime.block_on(client.get_multiplexed_async_connection()).unwrap();
    let mut ask = |words: &[&str]| -> Vec<String> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        two.runtime.block_on(command.query_async(&mut connection)).unwrap()
    };
    let names: Vec<String> = ask(&["KEYS", "limits:{limit}:*"]);
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.len() == "limits:{limit}:".len() + 64), "{names:?}");
    eventually("the brief one goes", || ask(&["KEYS", "limits:{limit}:*"]).len() == 1);
}

#[test]
fn a_server_that_restarts_without_the_script_gets_it_again() {
    let mut two = Two::new();
    let store = two.open(10_000);
    two.connected(&store);
    assert!(two.charge(&store, &[hour("a", 1)]).unwrap().granted);
    assert!(!two.charge(&store, &[hour("a", 1)]).unwrap().granted);
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/", two.server.port)).unwrap();
    let mut connection = two.runtime.block_on(client.get_multiplexed_async_connection()).unwrap();
    let flushed: String = two.runtime.block_on(redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut connection)).unwrap();
    assert_eq!(flushed, "OK");
    assert!(!two.charge(&store, &[hour("a", 1)]).unwrap().granted, "on the same connection");
    drop(connection);
    let port = two.server.port;
    two.server = Server::start_after(two.server, port);
    two.connected(&store);
    assert!(two.charge(&store, &[hour("b", 1)]).unwrap().granted);
}

#[test]
fn a_server_that_stalls_or_is_gone_is_an_error_and_comes_back() {
    let two = Two::new();
    let store = two.open(20);
    two.connected(&store);
    two.server.signal("-STOP");
    // Slow, unless it was found to be gone meanwhile.
    assert!(matches!(two.charge(&store, &[hour("a", 1)]), Err(Unavailable::Slow | Unavailable::Failed)));
    eventually("given up", || two.charge(&store, &[hour("b", 1)]) == Err(Unavailable::Failed));
    two.server.signal("-CONT");
    two.connected(&store);
}

#[test]
fn what_stands_in_place_of_a_bucket_is_an_error() {
    let two = Two::new();
    let store = two.open(10_000);
    two.connected(&store);
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/", two.server.port)).unwrap();
    let mut connection = two.runtime.block_on(client.get_multiplexed_async_connection()).unwrap();
    assert!(two.charge(&store, &[hour("a", 5)]).unwrap().granted);
    let names: Vec<String> = two.runtime.block_on(redis::cmd("KEYS").arg("*").query_async(&mut connection)).unwrap();
    for junk in ["", "1", "a b", "-5 3", "1 2 3", "1.5 2"] {
        let set: String = two.runtime.block_on(redis::cmd("SET").arg(&names[0]).arg(junk).query_async(&mut connection)).unwrap();
        assert_eq!(set, "OK");
        assert_eq!(two.charge(&store, &[hour("a", 5)]), Err(Unavailable::Failed), "`{junk}`");
    }
}

fn seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// A quota of a period that lasts from an hour ago to an hour from now.
fn quota(name: &str, id: u128, amount: u64) -> Use {
    let (start_s, end_s) = (seconds() - 3600, seconds() + 3600);
    // Its place does not move while a test runs.
    let keys = UseKeys::new(&[b"route:a", name.as_bytes(), b"hour", b"UTC"], 1);
    Use { keys, id, text: format!("partner\ncaller {id}").into(), cost: 1, amount, most: 1000, start_s, end_s }
}

impl Two {
    fn count(&self, store: &Redis, charges: &[Charge], uses: &[Use]) -> Result<(bool, Vec<u64>), Unavailable> {
        self.runtime.block_on(store.charge(charges, uses)).map(|charged| (charged.granted, charged.used.to_vec()))
    }

    fn used(&self, store: &Redis, name: &str) -> Vec<(String, u64, String)> {
        let mut all: Vec<_> = self
            .runtime
            .block_on(store.used(quota(name, 1, 1).keys))
            .unwrap()
            .into_iter()
            .map(|one| (one.id, one.used, one.text))
            .collect();
        all.sort();
        all
    }
}

#[test]
fn instances_that_ask_at_once_get_exactly_the_quota_and_rates_with_it() {
    let two = Two::new();
    let stores = [two.open(10_000), two.open(10_000)].map(Arc::new);
    stores.iter().for_each(|store| two.connected(store));
    let asked = Arc::new((hour("rate", 150), [quota("month", 7, 1000), quota("day", 7, 100)]));
    let tasks: Vec<_> = (0..300)
        .map(|number| {
            let (store, asked) = (Arc::clone(&stores[number % 2]), Arc::clone(&asked));
            two.runtime.spawn(async move { store.charge(std::slice::from_ref(&asked.0), &asked.1).await.unwrap().granted })
        })
        .collect();
    let granted = tasks.into_iter().map(|task| two.runtime.block_on(task).unwrap()).filter(|yes| *yes).count();
    assert_eq!(granted, 100);
    let rate = two.charge(&stores[0], &[Charge { cost_ns: 0, ..hour("rate", 150) }]).unwrap().ahead_ns[0];
    assert!(rate <= 100 * 3600 * NS && rate > 99 * 3600 * NS, "what the quota refused cost no rate: {rate}");
    let id = use_name(7);
    assert_eq!(two.used(&stores[0], "month"), [(id.clone(), 100, "partner\ncaller 7".to_owned())]);
    let free = Use { cost: 0, ..quota("day", 7, 100) };
    assert_eq!(two.count(&stores[0], &[], &[free]), Ok((true, vec![100])), "what costs nothing passes and is told");
    let full = [hour("full", 1)];
    assert!(two.charge(&stores[0], &full).unwrap().granted);
    assert_eq!(two.count(&stores[0], &full, &[quota("month", 7, 1000)]), Ok((false, vec![100])), "nor the other way round");
    // An operator gives it again, and both know.
    let reset = |id: &str| two.runtime.block_on(stores[0].reset_used(quota("day", 7, 1).keys, id.to_owned()));
    assert_eq!((reset(&id), reset(&use_name(8))), (Ok(Some(100)), Ok(None)));
    assert_eq!(two.count(&stores[1], &[], &[quota("day", 7, 100)]), Ok((true, vec![1])));
}

#[test]
fn keys_of_a_quota_are_bounded_and_those_without_a_place_share_one() {
    let two = Two::new();
    let store = two.open(10_000);
    two.connected(&store);
    let ask = |id, most| {
        let (granted, used) = two.count(&store, &[], &[Use { most, ..quota("q", id, 2) }]).unwrap();
        (granted, used[0])
    };
    assert_eq!([ask(1, 2), ask(2, 2), ask(3, 2)], [(true, 1); 3]);
    assert_eq!(ask(4, 2), (true, 2), "the fourth shares with the third");
    assert_eq!([ask(3, 2), ask(5, 2)], [(false, 2); 2]);
    assert_eq!(ask(3, 100), (false, 2), "and a larger bound gives nobody a fresh one");
    assert_eq!([ask(1, 2), ask(1, 2)], [(true, 2), (false, 2)]);
    let shown: Vec<_> = two.used(&store, "q").into_iter().map(|(_, used, text)| (used, text)).collect();
    let text = |text: &str| text.to_owned();
    let wanted = [(2, text("partner\ncaller 1")), (1, text("partner\ncaller 2")), (2, text("others\nall who found no place"))];
    assert_eq!(shown, wanted);
}

#[test]
fn an_instance_whose_clock_says_another_time_counts_nothing() {
    let two = Two::new();
    let store = two.open(10_000);
    two.connected(&store);
    let month = 31 * 86_400;
    for (start_s, end_s) in [
        (seconds() + 3600, seconds() + month),
        (seconds() + month, seconds() + 2 * month),
        (seconds() - month, seconds() - 3600),
        (seconds() - month, seconds() - 400),
    ] {
        let ahead = Use { start_s, end_s, ..quota("q", 1, 10) };
        assert_eq!(two.count(&store, &[hour("a", 5)], &[ahead]), Err(Unavailable::Clock));
    }
    let left = two.charge(&store, &[Charge { cost_ns: 0, ..hour("a", 5) }]).unwrap();
    assert_eq!((left.ahead_ns[0], two.used(&store, "q").len()), (0, 0), "nothing was charged");
    let skewed = Use { start_s: seconds() + 200, end_s: seconds() + month, ..quota("q", 1, 10) };
    assert_eq!(two.count(&store, &[], &[skewed]), Ok((true, vec![1])), "a few minutes are none");
}

#[test]
fn use_goes_a_day_after_its_period() {
    let two = Two::new();
    let store = two.open(10_000);
    two.connected(&store);
    assert_eq!(two.count(&store, &[], &[quota("q", 1, 10), quota("p", 1, 10)]), Ok((true, vec![1, 1])));
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/", two.server.port)).unwrap();
    let mut connection = two.runtime.block_on(client.get_multiplexed_async_connection()).unwrap();
    let names: Vec<String> =
        two.runtime.block_on(redis::cmd("KEYS").arg("limits:{limit}:*").query_async(&mut connection)).unwrap();
    assert_eq!(names.len(), 4);
    for name in &names {
        let left: i64 = two.runtime.block_on(redis::cmd("TTL").arg(name).query_async(&mut connection)).unwrap();
        assert!((86_400 + 3000..=86_400 + 3600).contains(&left), "{left}");
    }
    for junk in ["", "x", "-1", "1.5", " 1"] {
        for name in &names {
            let _: i64 = two
                .runtime
                .block_on(redis::cmd("HSET").arg(name).arg(use_name(1)).arg(junk).query_async(&mut connection))
                .unwrap();
        }
        assert_eq!(two.count(&store, &[], &[quota("q", 1, 10)]), Err(Unavailable::Failed), "`{junk}`");
    }
}
