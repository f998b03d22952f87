//! What cannot be asked from outside: a worker that panics.

use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn a_worker_that_panics_serves_again_on_the_same_sockets() {
    let gateway = Gateway::start(&Options { workers: 1 }).unwrap();
    let ir = serde_json::json!({
        "version": 1, "environment": null,
        "process": {"buffered_bytes": 1_048_576, "verdict_cache": 10, "limit_keys": 10, "drain_ms": 1000},
        "admin": null, "access_log": "off", "secrets": {}, "providers": [], "services": [], "routes": [],
        "listeners": [{
            "name": "main", "address": "127.0.0.1:0", "tls": null, "trusted_proxies": null, "address_limits": [],
            "limits": {"connections": 10, "request_line": 8192, "header_bytes": 32768, "headers": 100},
            "timeouts": {"handshake_ms": 1000, "head_ms": 5000, "body_ms": 5000, "keep_alive_ms": 5000},
        }],
    });
    gateway.apply(ir.to_string().as_bytes(), &Secrets::new()).unwrap();
    let address = lock(&gateway.inner.current).as_ref().unwrap().listeners[0].bound.address;
    let ask = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask().starts_with("HTTP/1.1 404 "));
    gateway.panic_worker(0);
    let end = Instant::now() + Duration::from_secs(10);
    while gateway.inner.shared.counters.worker_restarts.get() == 0 {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    assert!(ask().starts_with("HTTP/1.1 404 "));
    assert_eq!(lock(&gateway.inner.current).as_ref().unwrap().listeners[0].bound.address, address);
    assert!(gateway.events(Duration::ZERO).iter().any(|line| line.contains("worker_restarted")));
    gateway.apply(ir.to_string().as_bytes(), &Secrets::new()).unwrap();
    gateway.stop(Duration::from_secs(1));
}
