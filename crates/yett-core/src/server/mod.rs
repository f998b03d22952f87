//! Listening sockets, workers, connections.
pub mod accept;
mod attempt;
mod attempt_http2;
pub mod buffers;
pub mod client;
pub mod clock;
pub mod connection;
pub mod deadline;
pub mod descriptors;
pub mod forward;
mod guarded;
pub mod http2;
mod lane;
mod lifetime;
pub mod passthrough;
pub mod per_address;
pub mod pipe;
#[cfg(test)]
mod pipe_tests;
pub mod proxy_protocol;
pub mod seat;
pub mod signals;
pub mod sockets;
pub mod spread;
pub mod tls;
pub mod transfer;
mod upgrade;
pub mod worker;
