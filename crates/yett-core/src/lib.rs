//! The data plane of Yett: everything that a packet touches. No Python here.
//!
//! `ARCHITECTURE.md` tells the life of a request and of a configuration; the modules follow it.

pub mod address_lists;
pub mod attack;
pub mod body;
pub mod cel;
pub mod certificate;
pub mod challenges;
pub mod decide;
pub mod decisions;
pub mod dns;
pub mod exchange;
pub mod filters;
#[cfg(test)]
mod fuzz;
pub mod gateway;
pub mod geo;
pub mod grpc;
pub mod headers;
pub mod http1;
pub mod ir;
pub mod observe;
pub mod origin;
pub mod outbound;
pub mod path;
pub mod pipeline;
pub mod principal;
pub mod problem;
pub mod protected_resource;
pub mod providers;
pub mod reason;
pub mod resilience;
pub mod revocation;
pub mod router;
pub mod server;
pub mod service_tokens;
pub mod shared;
pub mod snapshot;
pub mod store;
pub mod upstream;
pub mod watched;
mod words;
pub mod yaml;
