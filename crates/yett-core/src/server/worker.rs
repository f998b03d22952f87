//! One worker: a thread with its own runtime, sockets, pools, counters. [owner: lifecycle]
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

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
    /// Wakes idle connections on a drain or when their listener goes.
    pub drain: tokio::sync::Notify,
}
