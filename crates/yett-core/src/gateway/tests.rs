//! What cannot be asked from outside: a worker that panics.

use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn document() -> Vec<u8> {
    serde_json::json!({
        "version": 1, "environment": null,
        "process": {"buffered_bytes": 1_048_576, "verdict_cache": 10, "limit_keys": 10, "drain_ms": 1000},
        "admin": null, "access_log": "off", "secrets": {}, "providers": [], "services": [], "routes": [],
        "listeners": [{
            "name": "main", "address": "127.0.0.1:0", "tls": null, "trusted_proxies": null, "address_limits": [],
            "limits": {"connections": 100, "request_line": 8192, "header_bytes": 32768, "headers": 100},
            "timeouts": {"handshake_ms": 1000, "head_ms": 5000, "body_ms": 5000, "keep_alive_ms": 60000},
        }],
    })
    .to_string()
    .into_bytes()
}

fn start(workers: u32) -> (Gateway, SocketAddr) {
    let gateway = Gateway::start(&Options { workers, adopted: Vec::new() }).unwrap();
    gateway.apply(&document(), &Secrets::new()).unwrap();
    let address = listener(&gateway);
    (gateway, address)
}

fn listener(gateway: &Gateway) -> SocketAddr {
    lock(&gateway.inner.current).as_ref().unwrap().listeners[0].bound.address
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// One request on a connection that stays; false when the connection is gone.
fn ask(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 4096];
    let asked = stream.write_all(ASK);
    match asked.and_then(|()| stream.read(&mut answer)) {
        Ok(0) | Err(_) => false,
        Ok(count) => answer[..count].starts_with(b"HTTP/1.1 404 "),
    }
}

/// One request and its whole answer, in lower case.
fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.write_all(ASK).unwrap();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&part[..count]).to_lowercase());
        let length = text
            .split_once("content-length: ")
            .and_then(|(_, rest)| rest.split_once("\r\n"))
            .map(|(length, _)| length.parse::<usize>().unwrap());
        if let (Some(length), Some((_, body))) = (length, text.split_once("\r\n\r\n"))
            && body.len() >= length
        {
            return text;
        }
    }
}

fn restarted(gateway: &Gateway) {
    let end = Instant::now() + Duration::from_secs(10);
    while gateway.inner.shared.counters.worker_restarts.get() == 0 {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
}

#[test]
fn a_worker_that_panics_serves_again_on_the_same_sockets() {
    let (gateway, address) = start(1);
    assert!(ask(&mut connect(address)));
    gateway.panic_worker(0);
    restarted(&gateway);
    assert!(ask(&mut connect(address)));
    assert_eq!(listener(&gateway), address);
    assert!(gateway.events(Duration::ZERO).iter().any(|line| line.contains("worker_restarted")));
    gateway.apply(&document(), &Secrets::new()).unwrap();
    gateway.stop(Duration::from_secs(1));
}

#[test]
fn connections_of_other_workers_outlive_a_panic() {
    let (gateway, address) = start(2);
    let mut open: Vec<_> = (0..16).map(|_| connect(address)).collect();
    assert!(open.iter_mut().all(ask));
    let spread = Arc::clone(&lock(&gateway.inner.current).as_ref().unwrap().listeners[0].bound.spread);
    let before = spread.by_worker();
    assert!(before.iter().all(|count| *count >= 6), "{before:?}");
    gateway.panic_worker(0);
    restarted(&gateway);
    let alive = open.iter_mut().filter_map(|stream| ask(stream).then_some(())).count();
    assert_eq!(alive, before[1]);
    assert_eq!(spread.by_worker(), [0, before[1]]);
    assert!(gateway.alive(Duration::from_secs(10)));
    // The restarted worker takes its share again, also of what the other one accepts.
    let mut more: Vec<_> = (0..16).map(|_| connect(address)).collect();
    assert!(more.iter_mut().all(ask));
    assert!(spread.by_worker()[0] >= 8, "{:?}", spread.by_worker());
    gateway.stop(Duration::ZERO);
    assert!(!gateway.alive(Duration::ZERO));
}

#[test]
fn a_successor_serves_what_the_first_one_hands_over() {
    let (first, address) = start(3);
    let mut kept = connect(address);
    assert!(ask(&mut kept));
    let adopted = serde_json::from_slice(&first.hand_over().unwrap()).unwrap();
    let second = Gateway::start(&Options { workers: 2, adopted }).unwrap();
    second.apply(&document(), &Secrets::new()).unwrap();
    assert_eq!(listener(&second), address);
    std::thread::scope(|scope| {
        scope.spawn(|| first.leave(Duration::from_secs(10)));
        // Idle at the hand-over, and still good for requests until its worker has heard of it: that answer is the last.
        let end = Instant::now() + Duration::from_secs(10);
        while first.inner.ready() {
            assert!(Instant::now() < end);
        }
        loop {
            let answer = answer(&mut kept);
            assert!(answer.starts_with("http/1.1 404 ") && Instant::now() < end, "{answer}");
            if answer.contains("connection: close") {
                break;
            }
        }
        assert_eq!(kept.read(&mut [0; 16]).unwrap(), 0);
    });
    assert!((0..20).all(|_| ask(&mut connect(address))));
    second.stop(Duration::ZERO);
}
