//! What `bot_filter` costs a request: its head walked through once and compared with the browser that it names, for each of the
//! browsers of the corpus; and, with `--corpus`, what each of them comes to. Nanoseconds of this thread's CPU.
//! `cargo run --release --example bot_cost`
#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;
use yett_core::exchange::{ConnectionInfo, Exchange, Step, Upgrade, Version};
use yett_core::filters::bot_filter::{BotFilter, Signal};
use yett_core::server::clock;
use yett_core::shared::Shared;

const ROUNDS: u32 = 20_000;
const BROWSERS: &str = include_str!("../../../corpora/browsers.jsonl");

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shared = Arc::new(Shared::new(runtime.handle().clone(), [7; 32]));
    let spec = serde_json::from_value(serde_json::json!({
        "enforce": true, "threshold": 6, "impostors": "refuse", "programs": "allow", "scanners": "refuse",
        "crawlers": [{"name": "googlebot", "agents": ["Googlebot"], "domains": ["googlebot.com"], "allowed": true}],
    }))?;
    let filter = BotFilter::build(&spec, "shop", &shared)?;
    let mut all = BROWSERS.lines().map(recorded).collect::<Result<Vec<_>, _>>()?;
    if std::env::args().any(|one| one == "--corpus") {
        for (name, exchange, behind) in &mut all {
            let refused = matches!(filter.judge(exchange, 0, *behind, false, clock::now()), Step::Refuse(_));
            let (score, signals) = exchange.bot.as_ref().map(|seen| (seen.score, seen.signals)).unwrap_or_default();
            let signals: Vec<&str> = signals.iter().map(Signal::code).collect();
            println!("{}", serde_json::json!({"name": name, "score": score, "signals": signals, "refused": refused}));
        }
        return Ok(());
    }
    let (mut least, mut most, mut sum) = (u128::MAX, 0, 0);
    for (_, exchange, behind) in &mut all {
        let start = cpu_ns();
        for _ in 0..ROUNDS {
            let _ = filter.judge(exchange, 0, *behind, false, clock::now());
        }
        let each = (cpu_ns() - start) / u128::from(ROUNDS);
        (least, most, sum) = (least.min(each), most.max(each), sum + each);
    }
    println!("{} browsers: {} ns each, {least} to {most}", all.len(), sum / all.len() as u128);
    Ok(())
}

/// As the tests of the filter read them.
fn recorded(line: &str) -> Result<(String, Exchange, bool), Box<dyn Error>> {
    let one: Value = serde_json::from_str(line)?;
    let of = |name: &str| one.get(name).cloned().unwrap_or_default();
    let ja4 = of("ja4").as_str().map(|text| text.as_bytes().try_into()).transpose()?;
    let info = ConnectionInfo {
        peer: "198.51.100.7:1".parse()?,
        listener: "main".into(),
        tls: true,
        sni: None,
        client_certificate: None,
        ja4,
    };
    let mut exchange = Exchange::new(Rc::new(info));
    "shop.example".clone_into(&mut exchange.host);
    let fields: Vec<(String, String)> = serde_json::from_value(of("fields"))?;
    for (name, value) in fields {
        exchange.request.headers.push(name.as_bytes(), value.as_bytes()).map_err(|_| "a field cannot be sent")?;
    }
    exchange.request.version = if of("http") == 2 { Version::Http2 } else { Version::Http11 };
    exchange.https = of("https") == true;
    if of("websocket") == true {
        exchange.upgrade = Upgrade::Taken;
    }
    Ok((of("name").as_str().unwrap_or_default().to_owned(), exchange, of("behind") == true))
}

/// Of this thread.
fn cpu_ns() -> u128 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}
