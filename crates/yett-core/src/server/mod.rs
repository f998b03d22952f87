//! Listening sockets, workers, connections. [owner: lifecycle; datapath owns buffers, connection, forward]
pub mod accept;
pub mod buffers;
pub mod clock;
pub mod connection;
pub mod deadline;
pub mod forward;
pub mod pipe;
#[cfg(test)]
mod pipe_tests;
pub mod proxy_protocol;
pub mod seat;
pub mod signals;
pub mod sockets;
pub mod tls;
pub mod transfer;
pub mod worker;
