//! One HTTP/1.1 connection: read a head, let its lane serve it, again.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::futures::Notified;

use super::buffers::{FillError, ReadBuffer};
use super::client::Http1;
use super::clock::{monotonic_ns, now};
use super::deadline::after;
use super::lane::{Lane, Next, Settings};
use super::worker::Worker;
use crate::exchange::ConnectionInfo;
use crate::http1::request::{Complete, RequestParser};
use crate::reason::Reason;

/// How long a client's unread body is discarded after a refusal, so that the client reads the answer before a reset.
const LINGER_MS: u64 = 5_000;
/// Longest pause in it.
const LINGER_PAUSE_MS: u64 = 1_000;
/// Bytes that are discarded at most.
const LINGER_BYTES: u64 = 64 * 1024 * 1024;

/// What reading a head came to.
enum Head {
    Complete(Complete),
    /// Nothing to answer: idle too long, closed, or draining.
    Closed,
    Fault(Reason),
}

/// Serves one connection until it closes or the worker drains.
pub async fn serve<I: AsyncRead + AsyncWrite + Unpin + 'static>(worker: Rc<Worker>, io: I, info: Rc<ConnectionInfo>) {
    let first_view = worker.view();
    let Some(settings) = Settings::find(&first_view, &info.listener) else { return };
    let buffer = ReadBuffer::new(first_view.pools.buffers().clone());
    drop(first_view);
    let mut connection = Lane::new(Http1(io), info, settings, buffer);
    let mut drain = pin!(worker.drain.notified());
    let next = loop {
        let head = connection.read_head(&worker, drain.as_mut()).await;
        let started = now();
        let view = worker.view();
        let next = match head {
            Head::Closed => break Next::Close,
            Head::Fault(reason) => connection.refuse_head(&worker, &view, started, reason).await,
            Head::Complete(head) => connection.request(&worker, &view, started, head).await,
        };
        drop(view);
        if next != Next::Keep {
            break next;
        }
        connection.rest();
    };
    match next {
        Next::Cut => {}
        Next::Linger => connection.linger().await,
        Next::Keep | Next::Close => {
            let deadline = after(monotonic_ns(), LINGER_PAUSE_MS);
            let _ = connection.timer.within(deadline, connection.client.shutdown()).await;
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Lane<Http1<I>> {
    /// Waits for a request and reads its head into `self.exchange`.
    async fn read_head<'w>(&mut self, worker: &'w Worker, mut drain: Pin<&mut Notified<'w>>) -> Head {
        self.exchange.reset();
        let mut parser = RequestParser::default();
        let mut begun = None;
        if !self.refresh(worker) {
            return Head::Closed;
        }
        poll_fn(|cx| {
            loop {
                if !self.buffer.data().is_empty() {
                    match parser.advance(self.buffer.data(), &mut self.exchange.request, &self.settings.head) {
                        Err(reason) => return Poll::Ready(Head::Fault(reason)),
                        Ok(Some(complete)) => {
                            self.buffer.consume(complete.bytes);
                            return Poll::Ready(Head::Complete(complete));
                        }
                        Ok(None) => {
                            begun.get_or_insert_with(monotonic_ns);
                        }
                    }
                }
                match self.buffer.poll_fill(cx, &mut self.client) {
                    // Not before the look: what a client has sent already is answered.
                    Poll::Pending if begun.is_none() && worker.closes_idle(&self.exchange.connection) => {
                        return Poll::Ready(Head::Closed);
                    }
                    Poll::Pending => break,
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    Poll::Ready(Err(FillError::Full)) => {
                        if self.buffer.grow().is_err() {
                            return Poll::Ready(Head::Fault(Reason::BufferExhausted));
                        }
                    }
                    Poll::Ready(Err(FillError::Exhausted)) => return Poll::Ready(Head::Fault(Reason::BufferExhausted)),
                    Poll::Ready(Ok(_) | Err(FillError::Io(_))) => return Poll::Ready(Head::Closed),
                }
            }
            if begun.is_none() && drain.as_mut().poll(cx).is_ready() {
                drain.set(worker.drain.notified());
                if worker.closes_idle(&self.exchange.connection) || !self.refresh(worker) || drain.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Head::Closed);
                }
            }
            let (deadline, late) = match begun {
                Some(begun) => (after(begun, self.settings.timeouts.head_ms), Head::Fault(Reason::RequestTimeout)),
                None => (after(self.ended, self.settings.timeouts.keep_alive_ms), Head::Closed),
            };
            self.timer.poll(cx, deadline).map(|()| late)
        })
        .await
    }

    /// Tells the client that nothing more comes and discards what it still sends, so that it can read the answer.
    async fn linger(&mut self) {
        let start = monotonic_ns();
        let end = after(start, LINGER_MS);
        if self.timer.within(after(start, LINGER_PAUSE_MS), self.client.shutdown()).await.is_none() {
            return;
        }
        let held = self.buffer.data().len();
        self.buffer.consume(held);
        self.buffer.release();
        let mut left = LINGER_BYTES;
        let mut last = monotonic_ns();
        poll_fn(|cx| {
            // Not charged to the bound: an answer that says that the bound is reached has to be readable, too.
            let mut block = [0; 8 * 1024];
            loop {
                let mut read = ReadBuf::new(&mut block);
                match Pin::new(&mut self.client).poll_read(cx, &mut read) {
                    Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                        left = left.saturating_sub(read.filled().len() as u64);
                        last = monotonic_ns();
                        if left == 0 {
                            return Poll::Ready(());
                        }
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
            }
            self.timer.poll(cx, end.min(after(last, LINGER_PAUSE_MS)))
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    /// What a connection costs while it is idle, beside its socket and the exchange.
    #[test]
    fn an_idle_connection_is_small() {
        fn size<A, B, C, F: Future>(_: fn(A, B, C) -> F) -> usize {
            size_of::<F>()
        }
        let plain = size(super::serve::<TcpStream>);
        assert!(plain <= 2416, "{plain} bytes for a connection");
        assert!(
            size_of::<crate::exchange::Exchange>() <= 1536,
            "{} bytes for an exchange",
            size_of::<crate::exchange::Exchange>()
        );
    }
}
