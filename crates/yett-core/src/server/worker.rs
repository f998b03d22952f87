//! One worker: a thread with its own runtime, sockets, pools, counters.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Weak};

use super::deadline::NEVER;
use super::mirror::Mirrors;
use crate::exchange::ConnectionInfo;
use crate::filters::identity_assertion::Minter;
use crate::observe::Recorder;
use crate::pipeline::PipelineState;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::upstream::Pools;

/// What a request holds from receive to record.
#[derive(Debug)]
pub struct View {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// This worker's upstream pools for it.
    pub pools: Rc<Pools>,
}

/// One worker.
#[derive(Debug)]
pub struct Worker {
    /// What the whole process shares.
    pub shared: Arc<Shared>,
    /// The current configuration; swapped by `apply`.
    pub view: RefCell<Rc<View>>,
    /// Between requests; never borrowed across an await.
    pub state: RefCell<PipelineState>,
    /// Access log and counters.
    pub recorder: Recorder,
    /// Set while draining: connections close after the request under way.
    pub draining: Cell<bool>,
    /// Set while draining for a successor: an idle connection may bring one more request, whose answer closes it.
    pub patient: Cell<bool>,
    /// Wakes idle connections on a drain or when their listener goes; ask [`Worker::closes`] then.
    pub drain: tokio::sync::Notify,
    /// Wakes streams that last on a reload and on a drain.
    pub streams: tokio::sync::Notify,
    /// While draining: when streams that still go on are cut, in monotonic nanoseconds.
    pub cut_at: Cell<u64>,
    /// Client hellos that wait for their turn on this worker.
    pub handshakes: Cell<u32>,
    /// For assertions of identity; never borrowed across an await.
    pub minter: Rc<RefCell<Minter>>,
    /// Mirrored requests under way on this worker.
    pub mirrors: Mirrors,
    /// Listeners that are gone while connections of theirs may live on.
    pub gone: RefCell<Vec<Weak<str>>>,
}

impl Worker {
    /// A worker that serves `view`.
    #[must_use]
    pub fn new(shared: Arc<Shared>, view: View, state: PipelineState, recorder: Recorder) -> Self {
        Self {
            shared,
            view: RefCell::new(Rc::new(view)),
            state: RefCell::new(state),
            recorder,
            draining: Cell::new(false),
            patient: Cell::new(false),
            drain: tokio::sync::Notify::new(),
            streams: tokio::sync::Notify::new(),
            cut_at: Cell::new(NEVER),
            handshakes: Cell::new(0),
            minter: Rc::default(),
            mirrors: Mirrors::default(),
            gone: RefCell::new(Vec::new()),
        }
    }

    /// The current configuration; a request keeps the one it started with.
    #[must_use]
    pub fn view(&self) -> Rc<View> {
        Rc::clone(&self.view.borrow())
    }

    /// Whether a connection has to close after the request under way: a drain, or its listener went.
    /// Ask after each answer (for `Connection: close`), and whenever `drain` wakes an idle connection.
    #[must_use]
    pub fn closes(&self, connection: &ConnectionInfo) -> bool {
        if self.draining.get() {
            return true;
        }
        let is_mine = |gone: &Weak<str>| gone.upgrade().is_some_and(|gone| Arc::ptr_eq(&gone, &connection.listener));
        self.gone.borrow().iter().any(is_mine)
    }

    /// Whether a connection that waits for its next request closes now.
    #[must_use]
    pub fn closes_idle(&self, connection: &ConnectionInfo) -> bool {
        !self.patient.get() && self.closes(connection)
    }
}
