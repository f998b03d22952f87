//! One client connection: read a head, decide, forward or answer, record, again.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::futures::Notified;

use super::buffers::{FillError, ReadBuffer};
use super::clock::{http_date, monotonic_ns, now};
use super::deadline::{Timer, after};
use super::forward::{Attempted, Job, Outcome};
use super::pipe::Pipe;
use super::worker::{View, Worker};
use crate::exchange::{Answer, ConnectionInfo, Exchange, Method, Need, Now, Refusal, ResponseHead, Step};
use crate::http1::body::{Decoder, Piece};
use crate::http1::request::{Complete, HeadLimits, RequestParser};
use crate::http1::write;
use crate::ir;
use crate::observe::{Record, UpstreamRecord};
use crate::pipeline;
use crate::reason::Reason;

/// How long a client's unread body is discarded after a refusal, so that the client reads the answer before a reset.
const LINGER_MS: u64 = 5_000;
/// Longest pause in it.
const LINGER_PAUSE_MS: u64 = 1_000;
/// Bytes that are discarded at most.
const LINGER_BYTES: u64 = 64 * 1024 * 1024;
/// How long a fresh key set is waited for.
const KEYS_MS: u64 = 10_000;
/// Facts that one request may ask for.
const MAX_NEEDS: u32 = 4;
/// Memory for fields that stays with an idle connection.
const KEEP_HEAD: usize = 4096;

/// What the listener says, looked up once per connection and snapshot.
#[derive(Debug)]
pub(super) struct Settings {
    view: Weak<View>,
    /// Bounds of a head.
    head: HeadLimits,
    /// Time limits.
    pub(super) timeouts: ir::ListenerTimeouts,
}

/// One client connection.
#[derive(Debug)]
pub(super) struct Connection<I> {
    pub(super) io: I,
    pub(super) buffer: ReadBuffer,
    pub(super) timer: Timer,
    pub(super) up: Pipe,
    pub(super) down: Pipe,
    pub(super) exchange: Box<Exchange>,
    pub(super) response: ResponseHead,
    pub(super) settings: Settings,
    /// Of the answer under way.
    pub(super) status: u16,
    bytes_out: u64,
    /// Whether forwarding took over reading the request's body.
    pub(super) body_taken: bool,
    /// When the last request ended, or the connection began.
    ended: u64,
}

/// What reading a head came to.
enum Head {
    Complete(Complete),
    /// Nothing to answer: idle too long, closed, or draining.
    Closed,
    Fault(Reason),
}

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The next request.
    Keep,
    /// The client knows that this was the last, and nothing of it is unread.
    Close,
    /// Something may still arrive.
    Linger,
    /// The answer was cut: no clean end.
    Cut,
}

/// Serves one connection until it closes or the worker drains.
pub async fn serve<I: AsyncRead + AsyncWrite + Unpin + 'static>(worker: Rc<Worker>, io: I, info: ConnectionInfo) {
    let first_view = worker.view();
    let info = Rc::new(info);
    let Some(settings) = Settings::find(&first_view, &info.listener) else { return };
    let buffer = ReadBuffer::new(first_view.pools.buffers().clone());
    drop(first_view);
    let mut connection = Connection {
        io,
        buffer,
        timer: Timer::default(),
        up: Pipe::default(),
        down: Pipe::default(),
        exchange: Box::new(Exchange::new(info)),
        response: ResponseHead::default(),
        settings,
        status: 0,
        bytes_out: 0,
        body_taken: false,
        ended: monotonic_ns(),
    };
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
            let _ = connection.timer.within(deadline, connection.io.shutdown()).await;
        }
    }
}

impl Settings {
    fn find(view: &Rc<View>, listener: &str) -> Option<Self> {
        let spec = view.snapshot.ir.listeners.iter().find(|l| *l.name == *listener)?;
        let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let head = HeadLimits {
            line: size(spec.limits.request_line),
            bytes: size(spec.limits.header_bytes),
            fields: size(spec.limits.headers),
        };
        Some(Self { view: Rc::downgrade(view), head, timeouts: spec.timeouts.clone() })
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Connection<I> {
    /// Looks the listener up again if the snapshot changed; false if it is gone.
    fn refresh(&mut self, worker: &Worker) -> bool {
        let view = worker.view.borrow();
        if std::ptr::eq(self.settings.view.as_ptr(), Rc::as_ptr(&view)) {
            return true;
        }
        match Settings::find(&view, &self.exchange.connection.listener) {
            Some(settings) => {
                self.settings = settings;
                true
            }
            None => false,
        }
    }

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
                } else if worker.closes(&self.exchange.connection) {
                    return Poll::Ready(Head::Closed);
                }
                match self.buffer.poll_fill(cx, &mut self.io) {
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
                if worker.closes(&self.exchange.connection) || !self.refresh(worker) || drain.as_mut().poll(cx).is_ready() {
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

    /// A request with a valid head.
    async fn request(&mut self, worker: &Rc<Worker>, view: &Rc<View>, started: Now, head: Complete) -> Next {
        let step = self.decide(worker, view, started).await;
        let last = head.close || worker.closes(&self.exchange.connection);
        let mut attempted = Attempted::default();
        let mut failed = None;
        let mut truncated = false;
        self.status = 0;
        self.bytes_out = 0;
        self.body_taken = false;
        self.up.start(crate::exchange::Framing::Empty, false, 0);
        self.down.start(crate::exchange::Framing::Empty, false, 0);
        let next = match step {
            Step::Answer(answer) => self.answer(&answer, last, head.close).await,
            Step::Refuse(refusal) => {
                let next = self.refuse(view, &refusal, last, head.close).await;
                failed = Some(refusal);
                next
            }
            Step::Need(_) => {
                let refusal = Refusal::from(Reason::Internal);
                let next = self.refuse(view, &refusal, last, head.close).await;
                failed = Some(refusal);
                next
            }
            Step::Continue => {
                let route = self.exchange.route.and_then(|r| view.snapshot.routes.get(usize::try_from(r).ok()?));
                let outcome = match route {
                    None => Outcome::from(Reason::Internal),
                    Some(route) => {
                        let job = Job { view, worker, route, started, head, last };
                        self.forward(job, &mut attempted).await
                    }
                };
                self.bytes_out = self.down.bytes();
                match outcome {
                    Outcome::Done { keep: true } => Next::Keep,
                    Outcome::Done { keep: false } if head.close && self.up.is_read() => Next::Close,
                    Outcome::Done { keep: false } => Next::Linger,
                    Outcome::Gone => Next::Cut,
                    Outcome::Truncated(refusal) => {
                        truncated = true;
                        failed = refusal;
                        Next::Cut
                    }
                    Outcome::Refused(refusal) => {
                        let next = self.refuse(view, &refusal, last, head.close).await;
                        failed = Some(refusal);
                        next
                    }
                }
            }
        };
        self.record(worker, view, started, failed.as_ref(), &attempted, truncated);
        next
    }

    /// Runs the pipeline, fetching what it asks for.
    async fn decide(&mut self, worker: &Rc<Worker>, view: &Rc<View>, started: Now) -> Step {
        let mut time = started;
        for _ in 0..MAX_NEEDS {
            let step = pipeline::run(&view.snapshot, &mut worker.state.borrow_mut(), &mut self.exchange, time);
            let Step::Need(Need::Keys { provider }) = step else { return step };
            let provider = usize::try_from(provider).ok().and_then(|index| view.snapshot.providers.get(index));
            let Some(provider) = provider else { return Step::Refuse(Reason::Internal.into()) };
            let deadline = after(started.monotonic_ns, KEYS_MS);
            // Whatever comes of it, the pipeline decides, and refuses if the key is still missing.
            let _ = self.timer.within(deadline, provider.refresh_keys()).await;
            time = now();
        }
        Step::Refuse(Reason::Internal.into())
    }

    /// Answers a head that is no request.
    async fn refuse_head(&mut self, worker: &Rc<Worker>, view: &Rc<View>, started: Now, reason: Reason) -> Next {
        let refusal = Refusal::from(reason);
        let answer = pipeline::refuse(&view.snapshot, None, &refusal);
        self.status = 0;
        let sent = self.send(&answer, false, true).await;
        worker.recorder.record(&Record {
            exchange: None,
            route: None,
            connection: &self.exchange.connection,
            revision: &view.snapshot.revision,
            status: self.status,
            refusal: Some(&refusal),
            bytes_in: 0,
            bytes_out: self.bytes_out,
            started,
            ended: now(),
            upstream: None,
            truncated: false,
        });
        if sent { Next::Linger } else { Next::Cut }
    }

    async fn refuse(&mut self, view: &View, refusal: &Refusal, last: bool, client_closes: bool) -> Next {
        let answer = pipeline::refuse(&view.snapshot, Some(&self.exchange), refusal);
        self.answer(&answer, last, client_closes).await
    }

    /// Sends an answer of our own. The connection lives on if the request's whole body has been read.
    async fn answer(&mut self, answer: &Answer, last: bool, client_closes: bool) -> Next {
        let clean = if self.body_taken { self.up.is_read() } else { self.skip_body() };
        let head_request = self.exchange.request.method == Method::Head;
        match self.send(answer, head_request, last || !clean).await {
            false => Next::Cut,
            true if clean && !last => Next::Keep,
            true if clean && client_closes => Next::Close,
            true => Next::Linger,
        }
    }

    /// Drops the body of the request if all of it has been read already.
    fn skip_body(&mut self) -> bool {
        let mut decoder = Decoder::new(self.exchange.request.framing);
        loop {
            match decoder.next(self.buffer.data()) {
                Ok(Piece::End { skip }) => {
                    self.buffer.consume(skip);
                    return true;
                }
                Ok(Piece::Data { skip, data }) => self.buffer.consume(skip + data),
                Ok(Piece::More { .. }) | Err(_) => return false,
            }
        }
    }

    /// Writes an answer of our own, in one write where the socket takes it; false if it could not be sent.
    async fn send(&mut self, answer: &Answer, head_request: bool, close: bool) -> bool {
        let time = now();
        let out = self.down.start(crate::exchange::Framing::Empty, false, 0);
        write::answer(out, answer, head_request, close, &http_date(time.unix_ms));
        self.status = answer.status;
        self.bytes_out = if head_request { 0 } else { answer.body.len() as u64 };
        let deadline = after(time.monotonic_ns, self.settings.timeouts.body_ms);
        let Self { io, down, timer, .. } = self;
        let sent = timer.within(deadline, down.drain(io)).await;
        matches!(sent, Some(true))
    }

    fn record(
        &mut self,
        worker: &Worker,
        view: &View,
        started: Now,
        refusal: Option<&Refusal>,
        attempted: &Attempted,
        truncated: bool,
    ) {
        let ended = now();
        self.ended = ended.monotonic_ns;
        let route = self.exchange.route.and_then(|r| view.snapshot.routes.get(usize::try_from(r).ok()?));
        let service = self.exchange.service.and_then(|index| view.pools.service(index));
        let upstream = attempted.active.as_ref().zip(service).map(|(active, service)| UpstreamRecord {
            service: service.name(),
            endpoint: &active.endpoint().label,
            attempts: attempted.attempts,
            first_byte_ns: attempted.first_byte_ns,
            reused: attempted.reused,
        });
        worker.recorder.record(&Record {
            exchange: Some(&self.exchange),
            route: route.map(|r| &*r.name),
            connection: &self.exchange.connection,
            revision: &view.snapshot.revision,
            status: self.status,
            refusal,
            bytes_in: self.up.bytes(),
            bytes_out: self.bytes_out,
            started,
            ended,
            upstream,
            truncated,
        });
    }

    /// Gives back what an idle connection does not need.
    fn rest(&mut self) {
        self.buffer.release();
        let headers: usize = self.exchange.request.headers.iter().map(|(_, name, value)| name.len() + value.len()).sum();
        if headers > KEEP_HEAD {
            self.exchange.request.headers = Default::default();
        }
        let answer: usize = self.response.headers.iter().map(|(_, name, value)| name.len() + value.len()).sum();
        if answer > KEEP_HEAD {
            self.response.headers = Default::default();
        }
    }

    /// Tells the client that nothing more comes and discards what it still sends, so that it can read the answer.
    async fn linger(&mut self) {
        let start = monotonic_ns();
        let end = after(start, LINGER_MS);
        if self.timer.within(after(start, LINGER_PAUSE_MS), self.io.shutdown()).await.is_none() {
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
                match Pin::new(&mut self.io).poll_read(cx, &mut read) {
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
        assert!(plain <= 2048, "{plain} bytes for a connection");
        assert!(
            size_of::<crate::exchange::Exchange>() <= 1024,
            "{} bytes for an exchange",
            size_of::<crate::exchange::Exchange>()
        );
    }
}
