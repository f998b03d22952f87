//! Gateways from outside: sockets, TLS, reload under load, a second process on the port, logs, the drain.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use yett_core::gateway::{Gateway, Options};
use yett_core::snapshot::Secrets;

const PATIENCE: Duration = Duration::from_secs(20);

/// A service that answers every request with `hello`.
struct Origin {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    /// Answers wait while this is set.
    hold: Arc<AtomicBool>,
}

impl Origin {
    fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = Self { address: socket.local_addr().unwrap(), requests: Arc::default(), hold: Arc::default() };
        let (requests, hold) = (Arc::clone(&origin.requests), Arc::clone(&origin.hold));
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let (requests, hold) = (Arc::clone(&requests), Arc::clone(&hold));
                std::thread::spawn(move || answer(stream, &requests, &hold));
            }
        });
        origin
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, requests: &AtomicUsize, hold: &AtomicBool) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line == "\r\n" {
            requests.fetch_add(1, Ordering::SeqCst);
            let begun = Instant::now();
            while hold.load(Ordering::SeqCst) && begun.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").is_err() {
                return;
            }
        }
        line.clear();
    }
}

fn listener(name: &str, address: &str, tls: &Value) -> Value {
    json!({
        "name": name, "address": address, "tls": tls, "trusted_proxies": null, "address_limits": [],
        "limits": {"connections": 1000, "request_line": 8192, "header_bytes": 32768, "headers": 100},
        "timeouts": {"handshake_ms": 2000, "head_ms": 5000, "body_ms": 5000, "keep_alive_ms": 20000},
    })
}

fn route(name: &str, path: &str, listeners: &[&str]) -> Value {
    json!({
        "name": name, "group": null, "listeners": listeners,
        "match": {"hosts": null, "path": path, "methods": ["GET"], "headers": {}, "query": {}},
        "path_allow": [], "access": "public", "address_limits": [], "rate_limits": [],
        "action": {"forward": [{"service": "origin", "weight": 10000}]}, "rewrite": null,
        "request_headers": {"remove": [], "set": {}, "add": {}}, "response_headers": {"remove": [], "set": {}, "add": {}},
        "body_limit": 1_048_576, "timeouts": {"connect_ms": 2000, "first_byte_ms": 15000, "idle_ms": 5000, "total_ms": 0},
    })
}

fn ir(origin: SocketAddr, listeners: &[Value], routes: &[Value]) -> Value {
    json!({
        "version": 1, "environment": null,
        "process": {"buffered_bytes": 268_435_456_u64, "verdict_cache": 1000, "limit_keys": 1000, "drain_ms": 30000},
        "admin": null, "access_log": "off", "secrets": {}, "listeners": listeners, "providers": [],
        "services": [{
            "name": "origin", "endpoints": [{"tls": false, "host": origin.ip().to_string(), "port": origin.port()}],
            "tls": null, "host": "endpoint", "balance": "round_robin", "forward_credential": false,
            "idle_connections": 64, "idle_ms": 30000,
        }],
        "routes": routes,
    })
}

fn simple(origin: &Origin) -> Value {
    ir(origin.address, &[listener("main", "127.0.0.1:0", &Value::Null)], &[route("all", "/{rest...}", &["main"])])
}

fn start(workers: u32) -> Gateway {
    Gateway::start(&Options { workers, adopted: Vec::new() }).unwrap()
}

fn apply(gateway: &Gateway, ir: &Value, secrets: &Secrets) -> String {
    gateway.apply(ir.to_string().as_bytes(), secrets).unwrap()
}

fn status(gateway: &Gateway) -> Value {
    serde_json::from_str(&gateway.status()).unwrap()
}

fn address(gateway: &Gateway, name: &str) -> SocketAddr {
    let status = status(gateway);
    let found = status["listeners"].as_array().unwrap().iter().find(|l| l["name"] == name).unwrap();
    found["address"].as_str().unwrap().parse().unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One exchange: status and body.
fn ask(stream: &mut (impl Read + Write), path: &str) -> std::io::Result<(u16, String)> {
    ask_host(stream, path, "gateway.test")
}

fn ask_host(stream: &mut (impl Read + Write), path: &str, host: &str) -> std::io::Result<(u16, String)> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap()))
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    ask(&mut connect(address), path).unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn two_gateways_with_one_and_four_workers() {
    let origin = Origin::start();
    let gateways = [start(1), start(4)];
    for gateway in &gateways {
        apply(gateway, &simple(&origin), &Secrets::new());
    }
    for gateway in &gateways {
        for _ in 0..8 {
            assert_eq!(get(address(gateway, "main"), "/x"), (200, "hello".to_owned()));
        }
    }
    assert_eq!(origin.count(), 16);
    for gateway in &gateways {
        until("metrics", || {
            gateway.metrics().contains("yett_requests_total{listener=\"main\",route=\"all\",status=\"2xx\"} 8\n")
        });
    }
    gateways[0].stop(Duration::from_secs(5));
    assert_eq!(get(address(&gateways[1], "main"), "/x").0, 200);
}

type Der = rustls::pki_types::CertificateDer<'static>;

fn certificate(name: &str, secrets: &mut Secrets) -> (Value, Der) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    secrets.insert(name.to_owned(), made.signing_key.serialize_pem().into_bytes().into());
    (json!({"chain": made.cert.pem(), "key": name}), made.cert.der().clone())
}

fn tls_get(address: SocketAddr, name: &str, root: &Der) -> Result<(u16, rustls::NamedGroup), String> {
    let mut store = rustls::RootCertStore::empty();
    store.add(root.clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(yett_core::server::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    let connection = rustls::ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, connect(address));
    let (status, _) = ask_host(&mut stream, "/x", name).map_err(|error| error.to_string())?;
    Ok((status, stream.conn.negotiated_key_exchange_group().unwrap().name()))
}

#[test]
fn tls_by_name_swapped_in_place() {
    let origin = Origin::start();
    let mut secrets = Secrets::new();
    let (one, one_der) = certificate("one.test", &mut secrets);
    let (two, two_der) = certificate("two.test", &mut secrets);
    let (three, three_der) = certificate("three.test", &mut secrets);
    let gateway = start(2);
    let document = |certificates: &[&Value]| {
        let tls = json!({"profile": "intermediate", "certificates": certificates});
        ir(origin.address, &[listener("main", "127.0.0.1:0", &tls)], &[route("all", "/{rest...}", &["main"])])
    };
    apply(&gateway, &document(&[&one, &two]), &secrets);
    let before = address(&gateway, "main");
    for (name, der) in [("one.test", &one_der), ("two.test", &two_der)] {
        assert_eq!(tls_get(before, name, der).unwrap(), (200, rustls::NamedGroup::X25519MLKEM768));
    }
    apply(&gateway, &document(&[&three]), &secrets);
    assert_eq!(address(&gateway, "main"), before, "the socket stays when only the certificate changes");
    assert_eq!(tls_get(before, "three.test", &three_der).unwrap().0, 200);
    assert!(tls_get(before, "one.test", &one_der).is_err());

    let mut broken = three.clone();
    broken["key"] = json!("one.test");
    let errors = gateway.apply(document(&[&broken]).to_string().as_bytes(), &secrets).unwrap_err();
    assert_eq!(errors[0].pointer, "/listeners/0/tls/certificates/0/key");
    assert_eq!(tls_get(before, "three.test", &three_der).unwrap().0, 200, "the old one serves on");
}

#[test]
fn plaintext_on_a_tls_port_and_silent_clients_reach_nothing() {
    let origin = Origin::start();
    let mut secrets = Secrets::new();
    let (one, _) = certificate("one.test", &mut secrets);
    let mut document = simple(&origin);
    document["listeners"][0]["tls"] = json!({"profile": "modern", "certificates": [one]});
    document["listeners"][0]["timeouts"]["handshake_ms"] = json!(200);
    let gateway = start(1);
    apply(&gateway, &document, &secrets);
    let main = address(&gateway, "main");
    let mut plain = connect(main);
    plain.write_all(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let mut silent = connect(main);
    assert_eq!(silent.read(&mut [0; 16]).unwrap_or(0), 0, "closed by the time limit of the handshake");
    assert_eq!(origin.count(), 0);
    until("both are counted", || gateway.metrics().contains("yett_tls_handshake_failures_total{cause=\"timeout\"} 1\n"));
}

#[test]
fn reload_under_load_loses_no_request() {
    let origin = Origin::start();
    let gateway = start(4);
    apply(&gateway, &simple(&origin), &Secrets::new());
    let main = address(&gateway, "main");
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut served = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = connect(main);
                    for _ in 0..if client % 2 == 0 { 1 } else { 50 } {
                        assert_eq!(ask(&mut stream, "/x").unwrap().0, 200);
                        served += 1;
                    }
                }
                served
            })
        })
        .collect();
    for round in 0..20 {
        let mut document = simple(&origin);
        let name = format!("extra-{round}");
        document["routes"].as_array_mut().unwrap().push(route(&name, &format!("/extra/{round}"), &["main"]));
        apply(&gateway, &document, &Secrets::new());
        let before = origin.count();
        until("traffic between reloads", || origin.count() > before + 20);
    }
    stop.store(true, Ordering::Relaxed);
    let served: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(served > 400, "{served}");
    let counted = format!("yett_requests_total{{listener=\"main\",route=\"all\",status=\"2xx\"}} {served}\n");
    until("counts over reloads", || gateway.metrics().contains(&counted));
}

#[test]
fn a_second_gateway_on_the_port_is_refused_and_changes_nothing() {
    let origin = Origin::start();
    let first = start(2);
    apply(&first, &simple(&origin), &Secrets::new());
    let taken = address(&first, "main");
    let second = start(2);
    let mut document = simple(&origin);
    document["listeners"][0]["address"] = json!(taken.to_string());
    let errors = second.apply(document.to_string().as_bytes(), &Secrets::new()).unwrap_err();
    assert_eq!(errors[0].pointer, "/listeners/0/address");
    assert!(errors[0].message.contains("already in use"), "{}", errors[0].message);
    assert_eq!(status(&second)["ready"], json!(false));
    for _ in 0..20 {
        assert_eq!(get(taken, "/x").0, 200);
    }
    first.stop(Duration::from_secs(5));
    apply(&second, &document, &Secrets::new());
    assert_eq!(get(taken, "/x").0, 200);
}

#[test]
fn a_removed_listener_drains_and_the_other_stays() {
    let origin = Origin::start();
    let gateway = start(2);
    let both = [listener("main", "127.0.0.1:0", &Value::Null), listener("side", "127.0.0.1:0", &Value::Null)];
    apply(&gateway, &ir(origin.address, &both, &[route("all", "/{rest...}", &["main", "side"])]), &Secrets::new());
    let (main, side) = (address(&gateway, "main"), address(&gateway, "side"));
    let (mut idle, mut kept, mut busy) = (connect(side), connect(main), connect(side));
    assert_eq!(ask(&mut idle, "/x").unwrap().0, 200);
    assert_eq!(ask(&mut kept, "/x").unwrap().0, 200);
    origin.hold.store(true, Ordering::SeqCst);
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: gateway.test\r\n\r\n").unwrap();
    until("the request at the origin", || origin.count() == 3);
    apply(&gateway, &simple(&origin), &Secrets::new());
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0, "an idle connection of a removed listener closes");
    until("the port is closed", || TcpStream::connect(side).is_err());
    origin.hold.store(false, Ordering::SeqCst);
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    assert_eq!(ask(&mut kept, "/x").unwrap().0, 200, "the other listener's connection lives on");
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let origin = Origin::start();
    let gateway = start(2);
    let mut document = simple(&origin);
    document["listeners"][0]["limits"]["connections"] = json!(2);
    apply(&gateway, &document, &Secrets::new());
    let main = address(&gateway, "main");
    let mut held = [connect(main), connect(main)];
    for stream in &mut held {
        assert_eq!(ask(stream, "/x").unwrap().0, 200);
    }
    let mut answer = String::new();
    connect(main).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("connection_limit"), "{answer}");
    assert_eq!(origin.count(), 2);
    assert!(gateway.metrics().contains("yett_refusals_total{reason=\"connection_limit\",fault=\"gateway\"} 1\n"));
    drop(held);
    until("room again", || status(&gateway)["connections"] == json!(0));
    assert_eq!(get(main, "/x").0, 200);
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_log_is_written_within_moments_and_reopened() {
    let origin = Origin::start();
    let gateway = start(2);
    let directory = std::env::temp_dir().join(format!("yett-log-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (log, moved) = (directory.join("access.jsonl"), directory.join("access.jsonl.1"));
    let mut document = simple(&origin);
    document["access_log"] = json!({"file": log});
    let revision = apply(&gateway, &document, &Secrets::new());
    assert_eq!(get(address(&gateway, "main"), "/a%22b?token=hush").0, 200);
    until("the first line", || lines(&log).len() == 1);
    let line = &lines(&log)[0];
    for (key, value) in [
        ("route", json!("all")),
        ("status", json!(200)),
        ("path", json!("/a%22b")),
        ("listener", json!("main")),
        ("client", json!("127.0.0.1")),
        ("method", json!("GET")),
        ("host", json!("gateway.test")),
        ("service", json!("origin")),
        ("attempts", json!(1)),
        ("bytes_out", json!(5)),
        ("tls", json!(false)),
        ("revision", json!(revision.get(..12))),
        ("endpoint", json!(origin.address.to_string())),
    ] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    assert!(!line.to_string().contains("hush"));
    std::fs::rename(&log, &moved).unwrap();
    gateway.reopen_logs();
    until("the new file", || log.exists());
    assert_eq!(get(address(&gateway, "main"), "/b").0, 200);
    until("a line in the new file", || lines(&log).len() == 1);
    assert_eq!(lines(&moved).len(), 1);
    assert_eq!(get(address(&gateway, "main"), "/c").0, 200);
    gateway.stop(Duration::from_secs(5));
    assert_eq!(lines(&log).len(), 2, "a stop writes what is buffered");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn stop_lets_requests_finish_and_the_deadline_cuts_them() {
    let origin = Origin::start();
    for (deadline, finishes) in [(PATIENCE, true), (Duration::from_millis(50), false)] {
        let gateway = Arc::new(start(2));
        apply(&gateway, &simple(&origin), &Secrets::new());
        let main = address(&gateway, "main");
        let mut idle = connect(main);
        assert_eq!(ask(&mut idle, "/x").unwrap().0, 200);
        let before = origin.count();
        origin.hold.store(true, Ordering::SeqCst);
        let mut busy = connect(main);
        busy.write_all(b"GET /slow HTTP/1.1\r\nHost: gateway.test\r\n\r\n").unwrap();
        until("the request at the origin", || origin.count() > before);
        let stopping = Arc::clone(&gateway);
        let stopper = std::thread::spawn(move || stopping.stop(deadline));
        assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0, "an idle connection closes at once");
        assert_eq!(status(&gateway)["ready"], json!(false));
        until("new connections are refused while requests finish", || TcpStream::connect(main).is_err());
        let mut answer = String::new();
        if finishes {
            origin.hold.store(false, Ordering::SeqCst);
            busy.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        }
        stopper.join().unwrap();
        if !finishes {
            assert!(busy.read_to_string(&mut answer).is_err() || answer.is_empty(), "{answer}");
            origin.hold.store(false, Ordering::SeqCst);
        }
        assert!(TcpStream::connect(main).is_err());
        gateway.stop(Duration::ZERO);
        assert!(gateway.apply(simple(&origin).to_string().as_bytes(), &Secrets::new()).is_err());
    }
}

#[test]
fn the_admin_listener_is_guarded_and_moves() {
    let origin = Origin::start();
    let gateway = start(1);
    let mut document = simple(&origin);
    document["admin"] = json!({"address": "0.0.0.0:0", "token": null});
    let errors = gateway.apply(document.to_string().as_bytes(), &Secrets::new()).unwrap_err();
    assert_eq!(errors[0].pointer, "/admin/address");
    assert_eq!(status(&gateway)["listeners"], json!([]), "nothing is bound after a refusal");
    document["admin"] = json!({"address": "127.0.0.1:0", "token": null});
    apply(&gateway, &document, &Secrets::new());
    let admin = || status(&gateway)["admin"]["address"].as_str().unwrap().parse::<SocketAddr>().unwrap();
    let raw = |address, text: &str| {
        let mut stream = connect(address);
        let _ = stream.write_all(text.as_bytes());
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let first = admin();
    assert!(raw(first, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 200 "));
    assert!(raw(first, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").contains("\nyett_ready 1\n"));
    assert!(raw(first, "GET /readyz HTTP/1.1\r\nHost: evil.example\r\n\r\n").starts_with("HTTP/1.1 421 "));
    let huge = format!("GET /readyz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    assert!(!raw(first, &huge).starts_with("HTTP/1.1 200 "));
    document["admin"]["address"] = json!("127.0.0.2:0");
    apply(&gateway, &document, &Secrets::new());
    assert_ne!(admin(), first);
    assert!(raw(admin(), "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 200 "));
    until("the old one is gone", || TcpStream::connect(first).is_err());
}
