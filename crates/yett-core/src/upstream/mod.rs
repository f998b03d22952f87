//! Connections to services: pools, balancing, connecting, time limits. [owner: datapath]
use std::rc::Rc;
use std::sync::Arc;
use crate::shared::Shared;
use crate::snapshot::{LoadError, Secrets, Snapshot};

/// One worker's pools for one snapshot; connections of unchanged endpoints move over from the previous one.
#[derive(Debug)]
pub struct Pools {}
impl Pools {
    /// Made on the worker at a swap; cheap. TLS configurations were built in `Tls::build`.
    #[must_use]
    pub fn new(snapshot: &Arc<Snapshot>, tls: &Arc<Tls>, previous: Option<&Rc<Self>>, shared: &Arc<Shared>) -> Self { let _ = (snapshot, tls, previous, shared); todo!() }
}
/// TLS client configurations of all services of a snapshot; built once per apply, off the workers.
#[derive(Debug)]
pub struct Tls {}
impl Tls {
    /// Builds or says what is wrong.
    pub fn build(ir: &crate::ir::Ir, secrets: &Secrets) -> Result<Self, Vec<LoadError>> { let _ = (ir, secrets); todo!() }
}
/// Name resolution and forbidden addresses, for the whole process. Starts empty: `Network::default()`.
#[derive(Debug, Default)]
pub struct Network {}
impl Network {
    /// The bound addresses (real ports) of all listeners and of the admin listener; call it before a new snapshot serves.
    pub fn set_own_addresses(&self, addresses: Vec<std::net::SocketAddr>) { let _ = addresses; }
}
