//! What `login_guard` costs a login: its form or JSON read, all that is counted looked up and changed, and the answer noted; for an
//! attempt that succeeds, one that fails, and one from a banned address. Nanoseconds of this thread's CPU.
//! `cargo run --release --example login_cost`
#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use yett_core::body::Body;
use yett_core::exchange::{ConnectionInfo, Exchange, Framing, Method};
use yett_core::filters::login_guard::{LoginGuard, Told};
use yett_core::server::clock;
use yett_core::shared::Shared;

const BATCH: u32 = 10_000;
const BATCHES: u32 = 20;
const BROWSER: [(&str, &str); 12] = [
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("cookie", "first=0123456789abcdef0123456789abcdef; second=0123456789abcdef"),
    ("origin", "https://shop.example.com"),
    ("referer", "https://shop.example.com/login"),
    ("sec-ch-ua", "\"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\""),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shared = Arc::new(Shared::new(runtime.handle().clone(), [7; 32]));
    for (kind, content_type) in [("form", "application/x-www-form-urlencoded"), ("json", "application/json")] {
        let part = |name: &str| if kind == "form" { name.to_owned() } else { format!("/{name}") };
        let spec = serde_json::from_value(serde_json::json!({
            "kind": "login", "account": {kind: part("user")}, "password": {kind: part("password")},
            "window_ms": 600_000, "slow_ms": 0, "ban_ms": 900_000,
            "thresholds": {"accounts": 10, "failures": 20, "guesses": 10, "per_account": 30, "per_fingerprint": 30, "per_password": 10},
        }))?;
        for (what, told) in
            [("succeed", Some(Told::Passed)), ("fail, from many addresses", Some(Told::Failed)), ("fail, from one", None)]
        {
            shared.logins.forget();
            shared.logins.set_keys(100_000);
            let guard = LoginGuard::build(&spec, "login", None, &shared)?;
            measure(&guard, (kind, content_type), what, told)?;
        }
    }
    Ok(())
}

fn measure(guard: &LoginGuard, body: (&str, &str), what: &str, told: Option<Told>) -> Result<(), Box<dyn Error>> {
    let (mut spent, mut refused) = (0, 0_u32);
    for batch in 0..=BATCHES {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let mut logins = numbers.map(|number| login(number, body, told.is_some())).collect::<Result<Vec<Exchange>, _>>()?;
        let (start, mut out) = (cpu_ns(), 0);
        for exchange in &mut logins {
            let now = clock::now();
            if guard.screen(exchange, now).is_ok() {
                let _ = guard.judge(exchange, now);
            }
            let asked = exchange.attempt.as_ref().is_some_and(|attempt| attempt.answer == "passed");
            if let Some(attempt) = &mut exchange.attempt {
                guard.settle(attempt, asked, told.or(Some(Told::Failed)), clock::now());
            }
            out += u32::from(!asked);
        }
        // The first one warms up.
        if batch > 0 {
            spent += cpu_ns() - start;
            refused += out;
        }
    }
    let rounds = BATCH * BATCHES;
    println!("{}: {what:<26} {:>8} ns   ({refused} of {rounds} refused)", body.0, spent / u128::from(rounds));
    Ok(())
}

/// A browser sends its form, or a page its JSON.
fn login(number: u32, (kind, content_type): (&str, &str), many: bool) -> Result<Exchange, &'static str> {
    let peer = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | if many { number % 50_000 } else { 1 }));
    let (listener, peer) = ("main".into(), (peer, 1).into());
    let mut exchange =
        Exchange::new(Rc::new(ConnectionInfo { peer, listener, tls: false, sni: None, client_certificate: None, ja4: None }));
    exchange.request.method = Method::Post;
    for (name, value) in BROWSER.iter().chain(&[("content-type", content_type)]) {
        exchange.request.headers.push(name.as_bytes(), value.as_bytes()).map_err(|_| "a field cannot be sent")?;
    }
    let (user, password) = (format!("person{}@example.com", number % 50_000), format!("correct+horse+{number}"));
    let body = match kind {
        "form" => format!("csrf=0123456789abcdef&user={user}&password={password}&remember=on"),
        _ => serde_json::json!({"user": user, "password": password, "remember": true}).to_string(),
    };
    exchange.request.framing = Framing::Length(body.len() as u64);
    exchange.body = Some(Ok(Body::Given(body.into_bytes().into())));
    Ok(exchange)
}

/// Of this thread.
fn cpu_ns() -> u128 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}
