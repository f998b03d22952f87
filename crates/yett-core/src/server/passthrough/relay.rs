//! Bytes in both directions until both have ended, with bounded buffers; each direction ends for itself.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::End;
use crate::exchange::ConnectionInfo;
use crate::server::buffers::{BufferPool, FillError, ReadBuffer};
use crate::server::clock::monotonic_ns;
use crate::server::deadline::{Timer, after};
use crate::server::worker::Worker;

/// Both ends, and how much went each way.
#[derive(Debug)]
pub(super) struct Relay {
    client: TcpStream,
    service: TcpStream,
    up: Way,
    down: Way,
}

/// One direction.
#[derive(Debug)]
struct Way {
    /// Holds a block only while there is something in it.
    buffer: ReadBuffer,
    /// What was read before.
    first: Vec<u8>,
    ended: bool,
    bytes: u64,
}

impl Way {
    fn new(pool: &Rc<BufferPool>, first: Vec<u8>) -> Self {
        Self { buffer: ReadBuffer::new(Rc::clone(pool)), first, ended: false, bytes: 0 }
    }

    /// Moves what can be moved; ready once this direction has ended.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        [gone, lost]: [End; 2],
    ) -> Poll<Result<(), End>> {
        while !self.ended {
            let first = !self.first.is_empty();
            let data = if first { self.first.as_slice() } else { self.buffer.data() };
            if !data.is_empty() {
                let count = match ready!(Pin::new(&mut *to).poll_write(cx, data)) {
                    Ok(count) if count > 0 => count,
                    _ => return Poll::Ready(Err(lost)),
                };
                self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                if first {
                    self.first.drain(..count.min(self.first.len()));
                } else {
                    self.buffer.consume(count);
                }
                continue;
            }
            self.first = Vec::new();
            match ready!(self.buffer.poll_fill(cx, from)) {
                Ok(0) => {
                    // Where the other end is gone already there is nobody to tell.
                    let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                    self.ended = true;
                }
                Ok(_) => {}
                Err(FillError::Exhausted) => return Poll::Ready(Err(End::BufferExhausted)),
                Err(FillError::Full | FillError::Io(_)) => return Poll::Ready(Err(gone)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Relay {
    pub(super) fn new(client: TcpStream, service: TcpStream, hello: Vec<u8>, pool: &Rc<BufferPool>) -> Self {
        Self { client, service, up: Way::new(pool, hello), down: Way::new(pool, Vec::new()) }
    }

    /// From the client, and to it.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.up.bytes, self.down.bytes)
    }

    /// Until both directions have ended, nothing moved for `idle_ms`, or the listener is another one.
    pub(super) async fn run(&mut self, worker: &Worker, info: &ConnectionInfo, idle_ms: u64) -> End {
        let mut timer = Timer::default();
        let mut drain = pin!(worker.drain.notified());
        let mut moved = monotonic_ns();
        poll_fn(|cx| {
            let before = self.bytes();
            let up = self.up.poll(cx, &mut self.client, &mut self.service, [End::ClientClosed, End::ServiceClosed]);
            let down = self.down.poll(cx, &mut self.service, &mut self.client, [End::ServiceClosed, End::ClientClosed]);
            match (up, down) {
                (Poll::Ready(Err(end)), _) | (_, Poll::Ready(Err(end))) => return Poll::Ready(end),
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Complete),
                _ => {}
            }
            if self.bytes() != before {
                moved = monotonic_ns();
            }
            while drain.as_mut().poll(cx).is_ready() {
                // A drain waits for what is open; a reload that changes what may be here does not.
                if !worker.draining.get() && worker.closes(info) {
                    return Poll::Ready(End::Reloaded);
                }
                drain.set(worker.drain.notified());
            }
            timer.poll(cx, after(moved, idle_ms)).map(|()| End::Idle)
        })
        .await
    }
}
