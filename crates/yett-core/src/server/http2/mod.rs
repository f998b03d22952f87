//! One HTTP/2 connection (RFC 9113): its streams run the code that HTTP/1.1 requests run, all in the connection's task.

mod allowance;
mod answer;
#[cfg(test)]
mod attack_tests;
mod connection;
mod frame;
mod head;
mod hpack;
mod receive;
mod send;
mod session;
#[cfg(test)]
mod session_tests;
mod slot;
mod stream;
mod streams;
mod woken;

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

pub use connection::serve;

use super::clock::monotonic_ns;
use super::deadline::{Timer, after};
use super::lane;
use super::worker::Worker;
use crate::exchange::ConnectionInfo;
use crate::ir;

/// The first bytes of every HTTP/2 connection; no method of HTTP/1.1 is called so.
const PREFACE: &[u8] = b"PRI ";
/// First pause while a client has sent less of it, and the longest one.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What the configuration says of HTTP/2 on this listener.
fn settings(worker: &Worker, info: &ConnectionInfo) -> Option<ir::Http2> {
    let view = worker.view.borrow();
    view.snapshot.ir.listeners.iter().find(|listener| *listener.name == *info.listener).map(|listener| listener.http2.clone())
}

/// Whether a client of a listener without TLS begins with HTTP/2, where that is allowed; `None` where it says too little in
/// time, or nothing before the connection has to go. Takes nothing off the socket.
pub async fn is_prior_knowledge(worker: &Rc<Worker>, stream: &TcpStream, info: &ConnectionInfo) -> Option<bool> {
    if !settings(worker, info).is_some_and(|http2| http2.prior_knowledge) {
        return Some(false);
    }
    let timeouts = lane::Settings::find(&worker.view(), &info.listener)?.timeouts;
    if !says_something(worker, stream, info, timeouts.keep_alive_ms).await {
        return None;
    }
    timeout(Duration::from_millis(timeouts.head_ms), begins_with_preface(stream)).await.ok()
}

/// Waits for the client's first byte, or its end.
async fn says_something(worker: &Worker, stream: &TcpStream, info: &ConnectionInfo, within_ms: u64) -> bool {
    let due = after(monotonic_ns(), within_ms);
    let mut timer = Timer::default();
    let mut drain = pin!(worker.drain.notified());
    poll_fn(|cx| {
        if stream.poll_read_ready(cx).is_ready() {
            return Poll::Ready(true);
        }
        while drain.as_mut().poll(cx).is_ready() {
            drain.set(worker.drain.notified());
        }
        if worker.closes_idle(info) { Poll::Ready(false) } else { timer.poll(cx, due).map(|()| false) }
    })
    .await
}

/// Looks until there is enough to tell. The end of a client that has sent a part does not show.
async fn begins_with_preface(stream: &TcpStream) -> bool {
    let mut seen = [0; PREFACE.len()];
    let mut pause = PAUSE;
    loop {
        match stream.peek(&mut seen).await {
            Ok(count @ 1..) => {
                let seen = seen.get(..count).unwrap_or_default();
                if seen == PREFACE {
                    return true;
                }
                if !PREFACE.starts_with(seen) {
                    return false;
                }
            }
            Ok(0) | Err(_) => return false,
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}
