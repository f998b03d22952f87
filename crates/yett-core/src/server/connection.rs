//! One client connection: read a head, decide, forward or answer, record, again. [owner: datapath]
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite};
use crate::exchange::ConnectionInfo;
use crate::server::worker::Worker;

/// Serves one connection until it closes or the worker drains.
pub async fn serve<I: AsyncRead + AsyncWrite + Unpin + 'static>(worker: Rc<Worker>, io: I, info: ConnectionInfo) {
    let _ = (worker, io, info);
    todo!()
}
