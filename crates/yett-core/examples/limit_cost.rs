//! What a limit that instances share costs a request that a lease pays for (`shared: cached`): nanoseconds of this thread's CPU.
//! `cargo run --release --example limit_cost`
#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use yett_core::exchange::{ConnectionInfo, Exchange};
use yett_core::filters::authorize::Ask;
use yett_core::filters::authorize::condition::{Readable, RouteFacts};
use yett_core::filters::rate_limit::{RateLimits, Reports, Sharing};
use yett_core::ir;
use yett_core::principal::{AuthenticationMethod, Principal};
use yett_core::server::clock;
use yett_core::shared::Shared;
use yett_core::store::limits::{Charge, Charged, Use};
use yett_core::store::{Entry, Follower, Key, Opened, Reply, Store, Survives, Unavailable};

const ROUNDS: u32 = 5_000_000;

/// A store that grants every lease, and has nothing else.
#[derive(Debug)]
struct Generous;

fn charged(charges: &[Charge]) -> Charged {
    Charged { granted: true, ahead_ns: charges.iter().map(|one| one.depth_ns).collect(), used: Default::default() }
}

fn reply<T: Send + 'static>(result: Result<T, Unavailable>) -> Reply<T> {
    Box::pin(std::future::ready(result))
}

impl Store for Generous {
    fn insert_if_absent(&self, _: Key, _: u64) -> Reply<bool> {
        reply(Err(Unavailable::Failed))
    }
    fn get(&self, _: Key) -> Reply<Option<Vec<u8>>> {
        reply(Err(Unavailable::Failed))
    }
    fn put(&self, _: Key, _: Vec<u8>, _: u64) -> Reply<()> {
        reply(Err(Unavailable::Failed))
    }
    fn replace(&self, _: Key, _: Vec<u8>, _: Vec<u8>, _: u64) -> Reply<bool> {
        reply(Err(Unavailable::Failed))
    }
    fn take(&self, _: Key) -> Reply<Option<Vec<u8>>> {
        reply(Err(Unavailable::Failed))
    }
    fn delete(&self, _: Key) -> Reply<bool> {
        reply(Err(Unavailable::Failed))
    }
    fn append(&self, _: Entry) -> Reply<u64> {
        reply(Err(Unavailable::Failed))
    }
    fn follow(&self, _: Arc<dyn Follower>) -> Reply<()> {
        reply(Ok(()))
    }
    fn charge(&self, charges: &[Charge], _: &[Use]) -> Reply<Charged> {
        reply(Ok(charged(charges)))
    }
    fn replay_survives(&self) -> Survives {
        Survives::No
    }
    fn values_survive(&self) -> Survives {
        Survives::No
    }
}

fn cpu_ns() -> u128 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shared = Arc::new(Shared::new(runtime.handle().clone(), [3; 32]));
    let mut opened = Opened::default();
    opened.shared = Some(Arc::new(Generous));
    shared.stores.set(opened);
    Sharing::serve(&shared);
    let cached = ir::SharedLimit { mode: ir::SharedMode::Cached, state_loss: ir::LimitLoss::Refuse };
    // A lease is for 5,000,000 requests of an hour.
    let spec = |name: &str| ir::RateLimit {
        name: name.into(),
        scope: "route:a".into(),
        count: 1_000_000_000,
        period_ms: 3_600_000,
        burst: 1_000_000_000,
        shared: Some(cached),
        ..ir::RateLimit::default()
    };
    for windows in [vec![spec("hour")], vec![spec("one"), spec("other")]] {
        let limits = RateLimits::build(&windows, &[], &shared.limits, &[7; 32], Some(&Readable::default()));
        measure(&limits.map_err(|errors| errors.join("; "))?, windows.len())?;
    }
    Ok(())
}

fn measure(limits: &RateLimits, windows: usize) -> Result<(), Box<dyn Error>> {
    let peer = "10.1.2.3:4000".parse()?;
    let connection = ConnectionInfo { peer, listener: "main".into(), tls: false, sni: None, client_certificate: None, ja4: None };
    let exchange = Exchange::new(Rc::new(connection));
    let (facts, mut reports) = (RouteFacts::default(), Reports::new());
    let principal = Principal { key: 7, ..Principal::blank("id".into(), AuthenticationMethod::Jwt) };
    let (mut waited, mut start) = (0_u32, cpu_ns());
    for round in 0..ROUNDS + ROUNDS / 10 {
        if round == ROUNDS / 10 {
            (waited, start) = (0, cpu_ns());
        }
        let now = clock::now();
        let ask = Ask { principal: &principal, exchange: &exchange, route: &facts, now };
        reports.clear();
        if let Ok(Some(asked)) = limits.admit(&exchange, Some(&ask), now, None, false, &mut reports) {
            waited += 1;
            let answered = asked.answered(Ok(charged(&asked.charges)));
            let _ = limits.admit(&exchange, Some(&ask), now, Some(&answered), false, &mut reports);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let ns = (cpu_ns() - start) / u128::from(ROUNDS);
    println!("{windows} cached windows, with the clock {ns:>8} ns   ({waited} of {ROUNDS} asked the store)");
    Ok(())
}
