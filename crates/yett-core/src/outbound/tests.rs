//! Requests over real sockets: what is kept, what is bounded, what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Fault, Form, Limits, Request, Response, Target, Transport};

/// A server that answers each request with `answer` of its number, or closes where there is none.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

async fn serve(answer: fn(usize) -> Option<String>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (opened, asked) = (Arc::clone(&connections), Arc::clone(&requests));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            opened.fetch_add(1, Ordering::SeqCst);
            let asked = Arc::clone(&asked);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        let text = String::from_utf8(std::mem::take(&mut head)).unwrap().to_ascii_lowercase();
                        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                        stream.read_exact(&mut body).await.unwrap();
                        let Some(answer) = answer(asked.fetch_add(1, Ordering::SeqCst)) else { return };
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    Server { port, connections, requests }
}

impl Server {
    fn target(&self) -> Target {
        let transport = Transport::new(None, None, true, true).unwrap();
        Target::new(&format!("http://127.0.0.1:{}/token?x=1", self.port), &transport).unwrap()
    }

    fn counts(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

fn ok(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n{fields}\r\n{{}}")
}

fn get() -> Request {
    Request::get("application/json")
}

fn post() -> Request {
    Request::post(&Form::default().with("token", "x"))
}

/// Until the connection that was used last is ready for the next request, or known to be closed.
async fn settled(target: &Target) {
    while target.kept() != target.ready() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn ask(target: &Target, request: &Request) -> Result<Response, Fault> {
    target.send(request, Limits { time: Duration::from_secs(20), bytes: 100 }).await
}

#[tokio::test]
async fn connections_are_kept_for_the_next_request() {
    let server = serve(|_| Some(ok(""))).await;
    let target = server.target();
    for request in [get(), post(), get(), post()] {
        ask(&target, &request).await.unwrap().read_json().unwrap();
        settled(&target).await;
    }
    assert_eq!(server.counts(), (1, 4));
}

#[tokio::test]
async fn what_the_server_closes_is_not_kept() {
    let server = serve(|_| Some(ok("Connection: close\r\n"))).await;
    let target = server.target();
    for _ in 0..3 {
        ask(&target, &get()).await.unwrap();
    }
    assert_eq!(server.counts().1, 3);
    let server = serve(|_| Some(ok("Keep-Alive: timeout=1\r\n"))).await;
    let target = server.target();
    ask(&target, &get()).await.unwrap();
    assert_eq!(target.kept(), 0);
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_again() {
    // every second request finds its connection closed
    let server = serve(|n| (n % 2 == 0).then(|| ok(""))).await;
    let target = server.target();
    ask(&target, &get()).await.unwrap();
    settled(&target).await;
    ask(&target, &get()).await.unwrap();
    assert_eq!(server.counts(), (2, 3));
    settled(&target).await;
    assert_eq!(ask(&target, &post()).await.unwrap_err(), Fault::Broken);
    assert_eq!(server.counts(), (2, 4));
    ask(&target, &get()).await.unwrap();
    settled(&target).await;
    ask(&target, &post().repeatable()).await.unwrap();
    assert_eq!(server.counts(), (4, 7));
}

#[tokio::test]
async fn idle_connections_are_closed_after_a_while() {
    // the server says two seconds, so they are kept for one
    let server = serve(|_| Some(ok("Keep-Alive: timeout=2, max=100\r\n"))).await;
    let target = server.target();
    ask(&target, &get()).await.unwrap();
    assert_eq!(target.kept(), 1);
    while target.kept() == 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ask(&target, &get()).await.unwrap();
    assert_eq!(server.counts(), (2, 2));
}

#[tokio::test]
async fn answers_are_bounded_and_redirects_not_followed() {
    for (answer, fault) in [
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", Fault::Redirect(302)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n0123456789", Fault::TooLarge(100)),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", Fault::Encoded),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Fault::Broken),
        ("SSH-2.0-x\r\n\r\n", Fault::Broken),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        let long = "y".repeat(91);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(format!("{answer}{long}").as_bytes()).await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let target = Target::new(&url, &Transport::new(None, None, true, true).unwrap()).unwrap();
        assert_eq!(ask(&target, &get()).await.unwrap_err(), fault);
        assert_eq!(target.kept(), 0);
    }
}

#[tokio::test]
async fn time_and_queue_are_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let transport = Transport::new(None, None, true, true).unwrap();
    let target = Target::new(&url, &transport).unwrap().bounded(1, 1);
    let (request, limits) = (get(), Limits { time: Duration::from_millis(300), bytes: 10 });
    let (first, second, third) =
        tokio::join!(target.send(&request, limits), target.send(&request, limits), target.send(&request, limits));
    assert_eq!(first.unwrap_err(), Fault::Timeout(300));
    assert_eq!(second.unwrap_err(), Fault::Busy, "half of the time is for waiting");
    assert_eq!(third.unwrap_err(), Fault::Busy);
    drop(listener);
    assert!(matches!(ask(&target, &request).await.unwrap_err(), Fault::Connect(..)));
}

#[tokio::test]
async fn this_machine_and_metadata_are_not_asked() {
    let transport = Transport::new(None, None, true, false).unwrap();
    for url in ["http://127.0.0.1:9/", "http://169.254.169.254/latest", "http://[::1]:9/"] {
        let target = Target::new(url, &transport).unwrap();
        assert!(matches!(ask(&target, &get()).await.unwrap_err(), Fault::Forbidden(_)), "{url}");
    }
}

#[test]
fn urls_that_are_not_https_need_a_reason() {
    let made = |url: &str, plaintext| Target::new(url, &Transport::new(None, None, plaintext, false).unwrap());
    assert!(made("http://id.example/jwks", false).unwrap_err().contains("plaintext"));
    assert!(made("http://id.example/jwks", true).is_ok());
    for bad in ["file:///etc/passwd", "/jwks", "https://", "https://me:pw@id.example/", "ftp://id.example/"] {
        assert!(made(bad, true).is_err(), "{bad}");
    }
    assert!(Transport::new(Some("no certificate"), None, false, false).unwrap_err().contains("ca"));
}
