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

use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;

pub use connection::serve;

use super::worker::Worker;
use crate::exchange::ConnectionInfo;
use crate::ir;

/// The first bytes of every HTTP/2 connection; no method of HTTP/1.1 is called so.
const PREFACE: &[u8] = b"PRI ";
/// Pause while a client has sent less of it.
const PAUSE: Duration = Duration::from_millis(5);

/// What the configuration says of HTTP/2 on this listener.
fn settings(worker: &Worker, info: &ConnectionInfo) -> Option<ir::Http2> {
    let view = worker.view.borrow();
    view.snapshot.ir.listeners.iter().find(|listener| *listener.name == *info.listener).map(|listener| listener.http2.clone())
}

/// Whether a client of a listener without TLS begins with HTTP/2, where that is allowed. Takes nothing off the socket.
pub async fn is_prior_knowledge(worker: &Rc<Worker>, stream: &TcpStream, info: &ConnectionInfo) -> bool {
    if !settings(worker, info).is_some_and(|http2| http2.prior_knowledge) {
        return false;
    }
    let mut seen = [0; 4];
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
        tokio::time::sleep(PAUSE).await;
    }
}
