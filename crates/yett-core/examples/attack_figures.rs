//! What `attack_filter` finds of the corpus in `corpora/`, and what it takes for an attack and is none: the table of
//! docs/filters/attack_filter.md. `--missed` prints what was missed, `--cost` what a look costs (in a release build only).
#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::error::Error;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use yett_core::attack::{Class, Classes, Engine, Findings, Kind};
use yett_core::body::Body;
use yett_core::exchange::{ConnectionInfo, Exchange, Framing, Method};
use yett_core::filters::attack_filter::AttackFilter;
use yett_core::ir;

#[path = "../src/attack/corpus.rs"]
#[expect(clippy::indexing_slicing, reason = "of lists that are never empty")]
mod corpus;

const ORDINARY: usize = 50_000;

fn kind(name: &str) -> Kind {
    match name {
        "path" => Kind::Path,
        "agent" => Kind::Agent,
        _ => Kind::Value,
    }
}

/// Of a class and an encoding: how many were found, of how many.
type Row = [(usize, usize); corpus::ENCODINGS.len()];

fn attacks(engine: &Engine, threshold: u8, missed: bool) {
    let all = corpus::attacks();
    for held_out in [false, true] {
        println!("\n| {} | {} | all |", if held_out { "held out" } else { "class" }, corpus::ENCODINGS.join(" | "));
        println!("|---|{}---|", "---|".repeat(corpus::ENCODINGS.len()));
        let mut total = Row::default();
        for class in Class::ALL {
            let mut row = Row::default();
            for one in all.iter().filter(|one| one.held_out == held_out && one.class == class.code()) {
                let mut findings = Findings::default();
                engine.examine(one.text.as_bytes(), kind(one.kind), Classes::ALL, &mut findings);
                let found = findings.0.iter().any(|one| one.score >= threshold);
                let place = corpus::ENCODINGS.iter().position(|name| *name == one.encoding).unwrap_or_default();
                if let (Some(cell), Some(sum)) = (row.get_mut(place), total.get_mut(place)) {
                    *cell = (cell.0 + usize::from(found), cell.1 + 1);
                    *sum = (sum.0 + usize::from(found), sum.1 + 1);
                }
                if missed && !found {
                    println!("    missed: {} {} {:?}", one.class, one.encoding, one.text);
                }
            }
            println!("{}", line(class.code(), &row));
        }
        println!("{}", line("all", &total));
    }
}

fn line(name: &str, row: &Row) -> String {
    let percent = |(found, count): (usize, usize)| 100.0 * found as f64 / count.max(1) as f64;
    let cells: Vec<String> = row.iter().map(|cell| format!("{:.1}", percent(*cell))).collect();
    let all = row.iter().fold((0, 0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
    format!("| `{name}` | {} | {:.1} % of {} |", cells.join(" | "), percent(all), all.1)
}

fn exchange(of: &corpus::Ordinary) -> Result<Exchange, Box<dyn Error>> {
    let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let connection =
        ConnectionInfo { peer: nobody, listener: "".into(), tls: false, sni: None, client_certificate: None, ja4: None };
    let mut exchange = Exchange::new(Rc::new(connection));
    exchange.request.method = Method::Post;
    let path = of.path.replace('\'', "%27");
    exchange.path.parse_into(path.as_bytes()).map_err(|_| "a path of the corpus is not canonical")?;
    exchange.request.target = format!("{path}?{}", corpus::query(of)).into_bytes();
    for (name, value) in &of.headers {
        exchange.request.headers.push(name.as_bytes(), value.as_bytes()).map_err(|_| "a field of the corpus is none")?;
    }
    if let Some((kind, body)) = &of.body {
        exchange.request.headers.push(b"content-type", kind.as_bytes()).map_err(|_| "a type of the corpus is none")?;
        exchange.request.framing = Framing::Length(body.len() as u64);
        exchange.body = Some(Ok(Body::Given(body.as_bytes().into())));
    }
    Ok(exchange)
}

fn filter(threshold: u8) -> Result<AttackFilter, String> {
    let spec = ir::AttackFilter {
        enforce: true,
        threshold,
        classes: Class::ALL.into(),
        exceptions: Vec::new(),
        examined: 1 << 20,
        beyond_passes: false,
    };
    AttackFilter::build(&spec, &Arc::default())
}

fn ordinary(threshold: u8) -> Result<(), Box<dyn Error>> {
    let filter = filter(threshold)?;
    let (mut of, mut wrong) = ([0, 0], [0, 0]);
    for request in corpus::ordinary(ORDINARY) {
        let place = usize::from(request.held_out);
        let refused = filter.judge(&mut exchange(&request)?).is_err();
        if let (Some(of), Some(wrong)) = (of.get_mut(place), wrong.get_mut(place)) {
            *of += 1;
            *wrong += usize::from(refused);
        }
    }
    println!("\nordinary: {} of {} taken for attacks; of texts that were held out {} of {}", wrong[0], of[0], wrong[1], of[1]);
    Ok(())
}

/// A JSON body of 1 KiB, and the least that a request is looked at for.
fn cost() -> Result<(), Box<dyn Error>> {
    let item = r#"{"sku": "AB-1042", "name": "Mug, blue", "note": "It's for O'Brien", "price": 12.5}"#;
    let body = format!("{{\"id\": \"018f3c\", \"items\": [{}]}}", [item; 12].join(", "));
    for (name, body) in [("a JSON body of 1 KiB", Some(("application/json", body))), ("no body", None)] {
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
        let request = corpus::Ordinary {
            path: "/orders/7".to_owned(),
            query: vec![("page", "2".to_owned())],
            headers: vec![("user-agent", agent.to_owned()), ("x-request-id", "018f3c6a-0000-7000-8000-000000000000".to_owned())],
            body,
            held_out: false,
        };
        let (filter, mut exchange) = (filter(5)?, exchange(&request)?);
        let rounds = 20_000_u32;
        let mut best = u128::MAX;
        for _ in 0..5 {
            let begun = Instant::now();
            for _ in 0..rounds {
                black_box(filter.judge(black_box(&mut exchange)).is_ok());
            }
            best = best.min(begun.elapsed().as_nanos() / u128::from(rounds));
        }
        println!("{name}: {best} ns");
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| asked.iter().any(|one| one == name);
    if has("--cost") {
        return cost();
    }
    let threshold = asked.iter().find_map(|one| one.parse().ok()).unwrap_or(5);
    attacks(Engine::shared()?, threshold, has("--missed"));
    ordinary(threshold)
}
