//! Mirrored requests: sent by a task of their own, their answers read and dropped.
//!
//! The request that is mirrored waits for nothing here and hears of nothing. At most [`UNDER_WAY`] are under way on a
//! worker, each for a bounded time; what is beyond that is counted and not sent.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::buffers::ReadBuffer;
use super::client::{Client, Gone};
use super::clock::{HttpDate, monotonic_ns};
use super::deadline::{NEVER, Timer, after};
use super::forward::{Job, connect};
use super::identity;
use super::pipe::Pipe;
use super::transfer::{Failure, Limits, Transfer, Upload};
use super::worker::View;
use crate::exchange::{Answer, Exchange, Framing, Method, RequestId, ResponseHead};
use crate::filters::identity_assertion::{Call, Minter, sha256};
use crate::filters::mirror::Mirrored;
use crate::headers::Headers;
use crate::http1::write::{self, Announce};
use crate::ir::HostPolicy;
use crate::principal::Principal;
use crate::reason::Reason;
use crate::resilience::tries::is_idempotent;
use crate::shared::Shared;
use crate::upstream::{Endpoint, Report, Service, Stream, Tried};

/// Mirrored requests under way on a worker.
pub const UNDER_WAY: u32 = 64;
/// Bytes of an answer's body that are read; the connection of a longer one is closed.
pub const MAX_ANSWER: u64 = 1024 * 1024;

/// How many are under way on one worker.
#[derive(Debug, Default, Clone)]
pub struct Mirrors(Rc<Cell<u32>>);

/// One of those under way; gives its place back.
#[derive(Debug)]
struct Place(Rc<Cell<u32>>);

impl Mirrors {
    fn enter(&self) -> Option<Place> {
        let count = self.0.get();
        if count >= UNDER_WAY {
            return None;
        }
        self.0.set(count + 1);
        Some(Place(Rc::clone(&self.0)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// What its task owns.
struct Copy {
    view: Rc<View>,
    shared: Arc<Shared>,
    service: u32,
    key: Option<u64>,
    method: Method,
    target: Vec<u8>,
    authority: Vec<u8>,
    headers: Headers,
    /// For the assertion of identity.
    principal: Option<Rc<Principal>>,
    request_id: RequestId,
    minter: Rc<RefCell<Minter>>,
    connect_ms: u64,
    limits: Limits,
}

/// Sends the copy of a request that is about to be forwarded, or counts that it is not sent.
#[cold]
pub(super) fn send(job: &Job<'_>, exchange: &Exchange, mirrored: Mirrored, total: u64) {
    let shared = &job.worker.shared;
    let service = job.view.pools.service(mirrored.service);
    let (Some(headers), Some(service), Some(place)) = (mirrored.headers, service, job.worker.mirrors.enter()) else {
        shared.counters.mirror_dropped.increment();
        return;
    };
    let times = &job.route.timeouts;
    let whole = times.connect_ms.saturating_add(times.first_byte_ms).saturating_add(times.idle_ms);
    let total = if total == NEVER { after(job.started.monotonic_ns, whole) } else { total };
    let copy = Copy {
        view: Rc::clone(job.view),
        shared: Arc::clone(shared),
        service: mirrored.service,
        key: service.key(exchange),
        method: exchange.request.method.clone(),
        target: exchange.forward_target.clone(),
        authority: exchange.authority.clone(),
        headers,
        principal: exchange.principal.clone(),
        request_id: exchange.request_id.clone(),
        minter: Rc::clone(&job.worker.minter),
        connect_ms: times.connect_ms,
        limits: Limits { first_byte_ms: times.first_byte_ms, idle_ms: times.idle_ms, client_ms: times.idle_ms, total },
    };
    tokio::task::spawn_local(async move {
        let answered = copy.run().await;
        let counters = &copy.shared.counters;
        if answered {
            counters.mirrored.increment()
        } else {
            counters.mirror_dropped.increment()
        }
        drop(place);
    });
}

impl Copy {
    /// Whether an answer came.
    async fn run(&self) -> bool {
        let Some(service) = self.view.pools.service(self.service) else { return false };
        let mut timer = Timer::default();
        let mut tried = Tried::default();
        while let Some(endpoint) = service.choose(self.key, monotonic_ns(), &mut tried) {
            let active = endpoint.enter();
            let mut kept = endpoint.take_idle(monotonic_ns());
            loop {
                let reused = kept.is_some();
                let stream = match kept.take() {
                    Some(stream) => stream,
                    None => {
                        let by = self.limits.total.min(after(monotonic_ns(), self.connect_ms));
                        match connect(&self.shared, endpoint, &mut timer, by, self.limits.total).await {
                            Ok(stream) => stream,
                            Err(Reason::TotalTimeout) => return false,
                            Err(_) => break,
                        }
                    }
                };
                match self.exchange(service, active.endpoint(), stream, &mut timer).await {
                    Ok(()) => return true,
                    Err(Failure::Silent) if reused && is_idempotent(&self.method) => {}
                    Err(failure) => {
                        let reason = match failure {
                            Failure::Because(reason) => reason,
                            Failure::Silent | Failure::ClientGone => Reason::ServiceReset,
                        };
                        if let Some(report) = Report::of(reason) {
                            endpoint.report(report, monotonic_ns());
                        }
                        return false;
                    }
                }
            }
        }
        false
    }

    /// The fields of one attempt, with an assertion of its own where the service is told who calls.
    fn told(&self) -> Result<Cow<'_, Headers>, Failure> {
        let Some(assertion) = self.view.snapshot.assertion(Some(self.service)) else { return Ok(Cow::Borrowed(&self.headers)) };
        let mut headers = self.headers.clone();
        // A copy has no body.
        let empty = sha256(b"");
        let call = Call {
            principal: self.principal.as_ref(),
            method: self.method.as_str(),
            target: &self.target,
            request_id: &self.request_id,
            body: empty.as_ref(),
        };
        identity::assert(assertion, &call, &mut self.minter.borrow_mut(), &mut headers).map_err(Failure::Because)?;
        Ok(Cow::Owned(headers))
    }

    /// One use of one connection. An answer counts once its head is there.
    async fn exchange(
        &self,
        service: &Service,
        endpoint: &Endpoint,
        mut stream: Stream,
        timer: &mut Timer,
    ) -> Result<(), Failure> {
        let host: &[u8] = match &service.host {
            HostPolicy::Preserve => &self.authority,
            HostPolicy::Endpoint => &endpoint.host,
            HostPolicy::Literal(host) => host.as_bytes(),
        };
        let headers = self.told()?;
        let (mut up, mut down) = (Pipe::default(), Pipe::default());
        let out = up.start(Framing::Empty, false, 0);
        write::request(out, self.method.as_str(), &self.target, host, &headers, Framing::Empty);
        let buffers = self.view.pools.buffers();
        let mut client_buffer = ReadBuffer::new(buffers.clone());
        let mut service_buffer = ReadBuffer::new(buffers.clone());
        let mut response = ResponseHead::default();
        let time = monotonic_ns();
        let mut transfer = Transfer {
            client: &mut Nobody,
            client_buffer: &mut client_buffer,
            service: &mut stream,
            service_buffer: &mut service_buffer,
            up: &mut up,
            down: &mut down,
            timer,
            limits: self.limits,
            upload: Upload::Active,
            up_moved: time,
            down_moved: time,
            polled: false,
            duplex: false,
            upgrade: false,
            ahead: false,
            half_closed: 0,
            hints: 0,
            rules: None,
            waited: None,
            lifetime: None,
        };
        let (complete, first_byte) = transfer.head(self.method == Method::Head, &mut response).await?;
        endpoint.report(Report::Answered(response.status), first_byte);
        transfer.down_moved = first_byte;
        transfer.down.start(complete.framing, false, MAX_ANSWER);
        let read = transfer.body().await.is_ok();
        let (sent, moved) = (transfer.upload == Upload::Sent, transfer.down_moved);
        drop(transfer);
        if read && sent && complete.keep_alive && service_buffer.data().is_empty() {
            endpoint.keep(stream, moved);
        }
        Ok(())
    }
}

/// Has sent all and takes everything.
#[derive(Debug)]
struct Nobody;

impl AsyncRead for Nobody {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Nobody {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Client for Nobody {
    const FRAMED: bool = true;

    fn body_framing(&self, announced: Framing) -> Framing {
        announced
    }

    async fn ask_for_body(&mut self) -> Result<(), Gone> {
        Ok(())
    }

    fn start(&mut self, _: &mut Vec<u8>, _: &ResponseHead, _: Announce, _: bool, _: &HttpDate) -> Result<(), Gone> {
        Ok(())
    }

    fn answer(&mut self, _: &mut Vec<u8>, _: &Answer, _: bool, _: bool, _: &HttpDate) -> Result<(), Gone> {
        Ok(())
    }

    fn hint(&mut self, _: &mut Vec<u8>, _: &[&[u8]]) {}

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }
}
