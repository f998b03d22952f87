//! What runs a stream: a lane that is used for one stream after the other.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Request;

use super::head::{self, Fault};
use super::stream::Stream;
use super::woken::{Part, Woken};
use crate::exchange::{ConnectionInfo, Refusal};
use crate::server::buffers::ReadBuffer;
use crate::server::clock::now;
use crate::server::lane::{Lane, Next, Settings};
use crate::server::worker::Worker;

/// A request as the library gives it out.
pub(super) type Incoming = (Request<RecvStream>, SendResponse<Bytes>);

/// Where the connection leaves a stream for its slot.
#[derive(Default)]
struct Inbox {
    incoming: RefCell<Option<Incoming>>,
    busy: Cell<bool>,
}

/// One slot.
pub(super) struct Slot {
    inbox: Rc<Inbox>,
    run: Pin<Box<dyn Future<Output = ()>>>,
    part: Arc<Part>,
    waker: Waker,
}

impl Slot {
    pub(super) fn new(
        worker: &Rc<Worker>,
        info: &Rc<ConnectionInfo>,
        settings: &Settings,
        woken: &Arc<Woken>,
        part: usize,
    ) -> Self {
        let inbox = Rc::new(Inbox::default());
        let buffer = ReadBuffer::new(worker.view.borrow().pools.buffers().clone());
        let lane = Lane::new(Stream::default(), Rc::clone(info), settings.clone(), buffer);
        let run = Box::pin(run(Rc::clone(worker), lane, Rc::clone(&inbox)));
        let part = Part::new(woken, part);
        Self { inbox, run, waker: Waker::from(Arc::clone(&part)), part }
    }

    /// Begins with a stream.
    pub(super) fn begin(&mut self, incoming: Incoming) {
        self.inbox.busy.set(true);
        *self.inbox.incoming.borrow_mut() = Some(incoming);
    }

    /// Goes on; true when the stream has ended with it.
    pub(super) fn poll(&mut self) -> bool {
        self.part.begin();
        // A stream that is over may wake its slot late.
        if !self.inbox.busy.get() {
            return false;
        }
        let _ = self.run.as_mut().poll(&mut Context::from_waker(&self.waker));
        !self.inbox.busy.get()
    }
}

async fn run(worker: Rc<Worker>, mut lane: Lane<Stream>, inbox: Rc<Inbox>) {
    loop {
        let incoming = poll_fn(|_| match inbox.incoming.borrow_mut().take() {
            Some(incoming) => Poll::Ready(incoming),
            // The connection polls after it left one.
            None => Poll::Pending,
        })
        .await;
        let reason = serve(&worker, &mut lane, incoming).await;
        lane.client.end(reason);
        lane.rest();
        inbox.busy.set(false);
    }
}

/// Serves one stream; says how it is reset if its answer did not end.
async fn serve(worker: &Rc<Worker>, lane: &mut Lane<Stream>, (request, respond): Incoming) -> Reason {
    let started = now();
    let view = worker.view();
    let (parts, body) = request.into_parts();
    let ended = body.is_end_stream();
    lane.client.begin(respond, body, parts.method == http::Method::HEAD);
    if !lane.refresh(worker) {
        // The listener is gone: the client may try elsewhere (RFC 9113 section 8.7).
        return Reason::REFUSED_STREAM;
    }
    lane.exchange.reset();
    let tls = lane.exchange.connection.tls;
    let read = head::read(&parts, ended, tls, &lane.settings.head, &mut lane.exchange.request);
    drop(parts);
    let next = match read {
        Ok(head) => lane.request(worker, &view, started, head).await,
        Err(Fault::Refused(reason)) => lane.refuse_head(worker, &view, started, reason).await,
        Err(Fault::Malformed) => {
            lane.status = 0;
            lane.record_head(worker, &view, started, &Refusal::from(crate::reason::Reason::MalformedRequest));
            return Reason::PROTOCOL_ERROR;
        }
    };
    let Lane { client, timer, .. } = lane;
    client.discard(timer).await;
    if next == Next::Cut { Reason::INTERNAL_ERROR } else { Reason::CANCEL }
}
