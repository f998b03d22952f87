//! The corpus of `corpora/`, held against the engine; `python -m bench.attacks` prints the table.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use super::corpus::{self, Ordinary};
use super::{Class, Classes, Engine, Findings, Kind};
use crate::body::Body;
use crate::exchange::{ConnectionInfo, Exchange, Framing, Method};
use crate::filters::attack_filter::AttackFilter;
use crate::ir;

/// Ordinary requests of the corpus; each seventh is asked here, as these builds are slow, and all of them by the command.
const COUNT: usize = 50_000;
const EVERY: usize = 7;

fn score(text: &str, kind: Kind) -> Findings {
    let mut findings = Findings::default();
    Engine::shared().unwrap().examine(text.as_bytes(), kind, Classes::ALL, &mut findings);
    findings
}

fn rule(text: &str) -> Option<&'static str> {
    score(text, Kind::Value).0.iter().find(|one| one.score >= 5).map(|one| one.rule)
}

fn percent(part: usize, of: usize) -> f64 {
    100.0 * part as f64 / of.max(1) as f64
}

#[test]
fn attacks_of_every_class_and_encoding_are_found() {
    let all = corpus::attacks();
    assert!(all.len() >= 2000 * corpus::ENCODINGS.len(), "{}", all.len());
    for held_out in [false, true] {
        let (mut found, mut count) = (0, 0);
        for class in Class::ALL {
            let of_class = all.iter().filter(|one| one.held_out == held_out && one.class == class.code());
            let (mut missed, mut own) = (Vec::new(), 0);
            for one in of_class {
                let kind = match one.kind {
                    "path" => Kind::Path,
                    "agent" => Kind::Agent,
                    _ => Kind::Value,
                };
                if !score(&one.text, kind).0.iter().any(|one| one.score >= 5) {
                    missed.push((one.encoding, &one.text));
                }
                own += 1;
            }
            assert!(percent(missed.len(), own) <= 10.0, "{} of {own}, held out: {held_out}: {missed:?}", class.code());
            (found, count) = (found + own - missed.len(), count + own);
        }
        assert!(percent(found, count) >= 95.0, "{found} of {count}, held out: {held_out}");
    }
}

fn exchange(of: &Ordinary) -> Exchange {
    let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let connection =
        ConnectionInfo { peer: nobody, listener: "".into(), tls: false, sni: None, client_certificate: None, ja4: None };
    let mut exchange = Exchange::new(Rc::new(connection));
    exchange.request.method = Method::Post;
    let path = of.path.replace('\'', "%27");
    exchange.path.parse_into(path.as_bytes()).unwrap();
    exchange.request.target = format!("{path}?{}", corpus::query(of)).into_bytes();
    for (name, value) in &of.headers {
        exchange.request.headers.push(name.as_bytes(), value.as_bytes()).unwrap();
    }
    if let Some((kind, body)) = &of.body {
        exchange.request.headers.push(b"content-type", kind.as_bytes()).unwrap();
        exchange.request.framing = Framing::Length(body.len() as u64);
        exchange.body = Some(Ok(Body::Given(body.as_bytes().into())));
    }
    exchange
}

#[test]
fn ordinary_requests_pass() {
    let spec = ir::AttackFilter {
        enforce: true,
        threshold: 5,
        classes: Class::ALL.into(),
        exceptions: Vec::new(),
        examined: 1 << 20,
        beyond_passes: false,
    };
    let filter = AttackFilter::build(&spec, &Arc::default()).unwrap();
    let mut refused = Vec::new();
    for request in corpus::ordinary(COUNT).step_by(EVERY) {
        let mut exchange = exchange(&request);
        if filter.judge(&mut exchange).is_err() {
            refused.push((exchange.attack, request.held_out, request));
        }
    }
    assert!(percent(refused.len(), COUNT / EVERY) <= 0.05, "{} of {COUNT} / {EVERY}: {:?}", refused.len(), refused.first());
}

#[test]
fn what_gets_out_of_its_place_is_told_from_what_only_looks_like_it() {
    for (attack, found) in [
        ("x' OR 1=1 --", "sql-tautology"),
        ("1; DROP TABLE users", "sql-stacked"),
        ("x; cat /etc/passwd", "command-separator"),
        ("*)(uid=*", "ldap-filter"),
        ("{{7*7}}", "template-arithmetic"),
        ("http://0xA9FEA9FE/", "ssrf-metadata"),
        ("../../../etc/passwd", "traversal-file"),
    ] {
        assert_eq!(rule(attack), Some(found), "{attack}");
    }
    for ordinary in [
        "it's 1 or 2 = fine",
        "SELECT * FROM users WHERE name = '' OR id = 1",
        "cd build; cat notes.txt | head",
        "f(x)(y=2)",
        "{{name}} has 7*7 apples",
        "https://203.0.113.7/x",
        "import x from '../../lib/x'",
    ] {
        assert_eq!(rule(ordinary), None, "{ordinary}");
    }
}

#[test]
fn work_grows_with_the_bytes_and_not_faster() {
    // What is nearly an attack over and over: whoever began anew at each place would take hours.
    for piece in ["<a ", "' or ", "(select ", "{{", "${", "../", "%25", "&#", "<script ", "$(cat ", "`id ", "/*", "\\u"] {
        let text = piece.repeat(64 * 1024 / piece.len());
        score(&text, Kind::Value);
    }
}

proptest::proptest! {
    #[test]
    fn whatever_comes_is_looked_at(value in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let mut findings = Findings::default();
        Engine::shared().unwrap().examine(&value, Kind::Value, Classes::ALL, &mut findings);
        proptest::prop_assert!(findings.0.len() <= Class::ALL.len());
    }
}
