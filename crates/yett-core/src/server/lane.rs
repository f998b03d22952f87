//! What one request needs: decide, forward or answer, record. An HTTP/1.1 connection has one lane and uses it for one
//! request after the other; an HTTP/2 connection has one for every open stream.

use std::future::poll_fn;
use std::rc::{Rc, Weak};

use super::buffers::ReadBuffer;
use super::client::Client;
use super::clock::{http_date, monotonic_ns, now};
use super::deadline::{Timer, after};
use super::forward::{Attempted, Job, Outcome};
use super::held::ClientGone;
use super::pipe::Pipe;
use super::worker::{View, Worker};
use crate::exchange::{Answer, ConnectionInfo, Exchange, Framing, Method, Need, Now, Refusal, ResponseHead, Step, Upgrade};
use crate::filters::rate_limit::Ended;
use crate::http1::body::{Decoder, Piece};
use crate::http1::request::{Complete, HeadLimits};
use crate::ir;
use crate::observe::{Record, UpstreamRecord};
use crate::pipeline;
use crate::reason::Reason;

/// Facts that one request may ask for.
const MAX_NEEDS: u32 = 8;
/// Memory for fields that stays with an idle lane.
const KEEP_HEAD: usize = 4096;

/// What the listener says, looked up once per connection and snapshot.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    view: Weak<View>,
    /// Bounds of a head.
    pub(super) head: HeadLimits,
    /// Time limits.
    pub(super) timeouts: ir::ListenerTimeouts,
}

/// One request at a time on its way from a client to a service and back.
#[derive(Debug)]
pub(super) struct Lane<C> {
    pub(super) client: C,
    pub(super) buffer: ReadBuffer,
    pub(super) timer: Timer,
    pub(super) up: Pipe,
    pub(super) down: Pipe,
    pub(super) exchange: Box<Exchange>,
    pub(super) response: ResponseHead,
    pub(super) settings: Settings,
    /// Of the answer under way.
    pub(super) status: u16,
    pub(super) bytes_out: u64,
    /// Whether forwarding took over reading the request's body.
    pub(super) body_taken: bool,
    /// Whether the next request can be read, as far as the body of this one goes.
    pub(super) came_with_head: bool,
    /// When the last request ended, or the lane began.
    pub(super) ended: u64,
}

/// What becomes of an HTTP/1.1 connection; an HTTP/2 stream ends in any case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next request.
    Keep,
    /// The client knows that this was the last, and nothing of it is unread.
    Close,
    /// Something may still arrive.
    Linger,
    /// The answer was cut: no clean end.
    Cut,
}

impl Settings {
    /// What `view` says of this listener; `None` if it is gone.
    pub(super) fn find(view: &Rc<View>, listener: &str) -> Option<Self> {
        let spec = view.snapshot.ir.listeners.iter().find(|l| *l.name == *listener)?;
        let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let head = HeadLimits {
            line: size(spec.limits.request_line),
            bytes: size(spec.limits.header_bytes),
            fields: size(spec.limits.headers),
        };
        Some(Self { view: Rc::downgrade(view), head, timeouts: spec.timeouts.clone() })
    }

    /// Whether they are of this snapshot.
    pub(super) fn is_current(&self, view: &Rc<View>) -> bool {
        std::ptr::eq(self.view.as_ptr(), Rc::as_ptr(view))
    }
}

impl<C: Client> Lane<C> {
    /// A lane without a request.
    pub(super) fn new(client: C, info: Rc<ConnectionInfo>, settings: Settings, buffer: ReadBuffer) -> Self {
        Self {
            client,
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
            came_with_head: true,
            ended: monotonic_ns(),
        }
    }

    /// Looks the listener up again if the snapshot changed; false if it is gone.
    pub(super) fn refresh(&mut self, worker: &Worker) -> bool {
        let view = worker.view.borrow();
        if self.settings.is_current(&view) {
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

    /// A request with a valid head.
    pub(super) async fn request(&mut self, worker: &Rc<Worker>, view: &Rc<View>, started: Now, head: Complete) -> Next {
        self.status = 0;
        self.bytes_out = 0;
        self.body_taken = false;
        self.came_with_head = true;
        self.up.start(Framing::Empty, false, 0);
        self.down.start(Framing::Empty, false, 0);
        let decided = self.decide(worker, view, started, head).await;
        // What follows a request for WebSocket was sent for that, and is never read as a request.
        let last = head.close || self.exchange.upgrade == Upgrade::Taken || worker.closes(&self.exchange.connection);
        let mut attempted = Attempted::default();
        let mut failed = None;
        let mut truncated = false;
        let mut passed = 0;
        let next = match decided {
            Err(ClientGone) => Next::Cut,
            Ok(Step::Answer(answer)) => self.answer(&answer, last, head.close).await,
            Ok(Step::Refuse(refusal)) => {
                let next = self.refuse(view, &refusal, last, head.close, started).await;
                failed = Some(refusal);
                next
            }
            Ok(Step::Need(_)) => {
                let refusal = Refusal::from(Reason::Internal);
                let next = self.refuse(view, &refusal, last, head.close, started).await;
                failed = Some(refusal);
                next
            }
            Ok(Step::Continue) => {
                let route = self.exchange.route.and_then(|r| view.snapshot.routes.get(usize::try_from(r).ok()?));
                let outcome = match route {
                    None => Outcome::from(Reason::Internal),
                    Some(route) => {
                        let job = Job { view, worker, route, started, head, last };
                        self.forward(&job, &mut attempted).await
                    }
                };
                self.bytes_out = self.down.bytes();
                // Nothing of the service's answer was sent where it was refused.
                passed = if matches!(outcome, Outcome::Refused(_)) { 0 } else { self.bytes_out };
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
                        let refusal = pipeline::refused_late(&view.snapshot, &mut self.exchange, refusal);
                        let next = self.refuse(view, &refusal, last, head.close, started).await;
                        failed = Some(refusal);
                        next
                    }
                }
            }
        };
        if !self.exchange.owing.is_empty() {
            let Attempted { asked, declared, service_ns, .. } = &attempted;
            let ended = Ended { asked: *asked, declared, bytes: passed, service_ns: *service_ns };
            pipeline::settle(&view.snapshot, &mut self.exchange, &ended, now());
        }
        if self.exchange.attempt.is_some() {
            pipeline::told(&view.snapshot, &mut self.exchange, attempted.asked, attempted.told, now());
        }
        self.record(worker, view, started, failed.as_ref(), &attempted, truncated);
        self.exchange.body = None;
        self.exchange.validated = None;
        self.exchange.attempt = None;
        // The request has ended; what lingers or idles is none.
        self.exchange.under_way.clear();
        next
    }

    /// Answers a head that is no request.
    pub(super) async fn refuse_head(&mut self, worker: &Rc<Worker>, view: &Rc<View>, started: Now, reason: Reason) -> Next {
        let refusal = Refusal::from(reason);
        let answer = pipeline::refuse(&view.snapshot, None, &refusal);
        self.status = 0;
        let sent = self.send(&answer, false, true).await;
        self.record_head(worker, view, started, &refusal);
        if sent { Next::Linger } else { Next::Cut }
    }

    /// Records a head that is no request.
    pub(super) fn record_head(&self, worker: &Worker, view: &View, started: Now, refusal: &Refusal) {
        worker.recorder.record(&Record {
            exchange: None,
            route: None,
            connection: &self.exchange.connection,
            revision: &view.snapshot.revision,
            status: self.status,
            refusal: Some(refusal),
            bytes_in: 0,
            bytes_out: self.bytes_out,
            started,
            ended: now(),
            upstream: None,
            truncated: false,
        });
    }

    /// Runs the pipeline, fetching what it asks for.
    ///
    /// # Errors
    /// The client is gone.
    async fn decide(&mut self, worker: &Rc<Worker>, view: &Rc<View>, started: Now, head: Complete) -> Result<Step, ClientGone> {
        let mut time = started;
        for _ in 0..MAX_NEEDS {
            let step = pipeline::run(&view.snapshot, &mut worker.state.borrow_mut(), &mut self.exchange, time);
            let Step::Need(need) = step else { return Ok(step) };
            // Whatever comes of it, the pipeline decides, and refuses if the fact is still missing.
            match need {
                // Boxed: other requests do not carry the room.
                Need::Body { limit, within_ms } => {
                    Box::pin(self.hold_for_phases(view, (limit, within_ms), started, head.expect_continue)).await?;
                }
                Need::Pause { ms } => {
                    if !Box::pin(self.pause(after(monotonic_ns(), ms))).await {
                        return Err(ClientGone);
                    }
                }
                need => self.fetch(worker, view, &need, started).await,
            }
            self.exchange.waited = true;
            time = now();
        }
        Ok(Step::Refuse(Reason::Internal.into()))
    }

    async fn refuse(&mut self, view: &View, refusal: &Refusal, last: bool, client_closes: bool, started: Now) -> Next {
        if pipeline::is_timeless(&view.snapshot, &self.exchange, refusal) && !Box::pin(self.settle(started)).await {
            return Next::Cut;
        }
        let answer = pipeline::refuse(&view.snapshot, Some(&self.exchange), refusal);
        let next = self.answer(&answer, last, client_closes).await;
        // A client of gRPC reads 200 and a status of its own; what is recorded is why.
        if self.status != 0 {
            self.status = refusal.status();
        }
        next
    }

    /// Sends an answer of our own. The connection lives on if the request's whole body has been read.
    async fn answer(&mut self, answer: &Answer, last: bool, client_closes: bool) -> Next {
        let clean = if self.body_taken { self.up.is_read() && self.came_with_head } else { self.skip_body() };
        let head_request = self.exchange.request.method == Method::Head;
        match self.send(answer, head_request, last || !clean).await {
            false => Next::Cut,
            true if clean && !last => Next::Keep,
            true if clean && client_closes => Next::Close,
            true => Next::Linger,
        }
    }

    /// For a hidden route: bytes of the request's body, where all of it came with the head. Where no route is, a body that
    /// did not come by then is not waited for, and the connection closes.
    pub(super) fn arrived(&mut self, view: &View) -> Option<u64> {
        if C::FRAMED || !view.snapshot.route(self.exchange.route).is_some_and(|route| route.hidden) {
            return None;
        }
        let length = whole(self.buffer.data(), self.exchange.request.framing);
        self.came_with_head = length.is_some();
        length
    }

    /// Drops the body of the request if all of it has been read already.
    fn skip_body(&mut self) -> bool {
        if C::FRAMED {
            return true;
        }
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
    pub(super) async fn send(&mut self, answer: &Answer, head_request: bool, close: bool) -> bool {
        let time = now();
        let out = self.down.start(Framing::Empty, false, 0);
        if self.client.answer(out, answer, head_request, close, &http_date(time.unix_ms)).is_err() {
            return false;
        }
        self.status = answer.status;
        self.bytes_out = if head_request { 0 } else { answer.body.len() as u64 };
        let deadline = after(time.monotonic_ns, self.settings.timeouts.body_ms);
        let Self { client, down, timer, .. } = self;
        let sent = async { down.drain(client).await && poll_fn(|cx| client.poll_finish(cx)).await.is_ok() };
        matches!(timer.within(deadline, sent).await, Some(true))
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
        let record = Record {
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
        };
        worker.recorder.record(&record);
        if let Some(records) = &view.snapshot.records {
            worker.recorder.decided(records, &view.snapshot, &record);
        }
    }

    /// Gives back what an idle connection does not need.
    pub(super) fn rest(&mut self) {
        // What was read of one stream's body and not used is no part of the next one's.
        if C::FRAMED {
            self.buffer.clear();
        }
        self.buffer.release();
        for headers in [&mut self.exchange.request.headers, &mut self.response.headers] {
            if headers.bytes() > KEEP_HEAD {
                *headers = Default::default();
            }
        }
    }
}

/// Bytes of a body of which all is here.
fn whole(mut data: &[u8], framing: Framing) -> Option<u64> {
    let mut decoder = Decoder::new(framing);
    let mut length = 0_u64;
    loop {
        match decoder.next(data) {
            Ok(Piece::End { .. }) => return Some(length),
            Ok(Piece::Data { skip, data: count }) => {
                length = length.saturating_add(count as u64);
                data = data.get(skip.saturating_add(count)..)?;
            }
            Ok(Piece::More { .. }) | Err(_) => return None,
        }
    }
}
