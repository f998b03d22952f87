//! What runs a stream: a lane that is used for one stream after the other.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::frame::Code;
use super::head::Fault;
use super::send::Key;
use super::session::Session;
use super::stream::Stream;
use super::streams::Incoming;
use super::woken::{Part, Woken};
use crate::exchange::{ConnectionInfo, Method, Refusal};
use crate::reason::Reason;
use crate::server::buffers::ReadBuffer;
use crate::server::clock::now;
use crate::server::lane::{Lane, Next, Settings};
use crate::server::worker::Worker;

/// One slot.
pub(super) struct Slot {
    run: Pin<Box<dyn Future<Output = ()>>>,
    /// Set when a stream has ended.
    done: Rc<Cell<bool>>,
    part: Arc<Part>,
    waker: Waker,
}

impl Slot {
    /// For the streams at the place `at`, woken as the part `part`.
    pub(super) fn new(
        worker: &Rc<Worker>,
        info: &Rc<ConnectionInfo>,
        settings: &Settings,
        session: &Rc<RefCell<Session>>,
        at: usize,
        woken: (&Arc<Woken>, usize),
    ) -> Self {
        let buffer = ReadBuffer::new(worker.view.borrow().pools.buffers().clone());
        let lane = Lane::new(Stream::new(Rc::clone(session)), Rc::clone(info), settings.clone(), buffer);
        let done = Rc::new(Cell::new(false));
        let run = Box::pin(run(Rc::clone(worker), lane, Rc::clone(session), at, Rc::clone(&done)));
        let part = Part::new(woken.0, woken.1);
        Self { run, done, waker: Waker::from(Arc::clone(&part)), part }
    }

    /// Begins or goes on; true when the stream has ended with it. Without a stream it does nothing.
    pub(super) fn poll(&mut self) -> bool {
        self.part.begin();
        let _ = self.run.as_mut().poll(&mut Context::from_waker(&self.waker));
        self.done.take()
    }
}

async fn run(worker: Rc<Worker>, mut lane: Lane<Stream>, session: Rc<RefCell<Session>>, at: usize, done: Rc<Cell<bool>>) {
    loop {
        let (key, incoming) = poll_fn(|_| match session.borrow_mut().begin(at) {
            Some(begun) => Poll::Ready(begun),
            // The connection polls when there is one.
            None => Poll::Pending,
        })
        .await;
        let code = serve(&worker, &mut lane, &session, key, incoming).await;
        lane.client.end(code);
        lane.rest();
        done.set(true);
    }
}

/// Serves one stream; says how it is reset if its answer did not end.
async fn serve(
    worker: &Rc<Worker>,
    lane: &mut Lane<Stream>,
    session: &Rc<RefCell<Session>>,
    key: Key,
    incoming: Incoming,
) -> Code {
    let started = now();
    let view = worker.view();
    lane.client.begin(key, incoming.head.method == Method::Head);
    if !lane.refresh(worker) {
        // The listener is gone: the client may try elsewhere (RFC 9113 section 8.7).
        return Code::RefusedStream;
    }
    lane.exchange.reset();
    let emptied = std::mem::replace(&mut lane.exchange.request, incoming.head);
    session.borrow_mut().give_head(emptied);
    let next = match incoming.read {
        Ok(read) => lane.request(worker, &view, started, read.complete).await,
        Err(Fault::Refused(reason)) => lane.refuse_head(worker, &view, started, reason).await,
        Err(Fault::Malformed) => {
            lane.status = 0;
            lane.record_head(worker, &view, started, &Refusal::from(Reason::MalformedRequest));
            return Code::ProtocolError;
        }
    };
    let Lane { client, timer, .. } = lane;
    client.discard(timer).await;
    if next == Next::Cut { Code::InternalError } else { Code::Cancel }
}
