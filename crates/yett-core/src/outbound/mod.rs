//! Requests that the gateway sends itself, to identity providers: bounded in time, size and number, over connections that
//! are kept for a while; no redirects, never to a metadata address.
//!
//! [`Transport`] (TLS, decided at load) makes [`Target`]s (an address with its connections), which take [`Request`]s.
//! [`OauthClient`] makes requests that prove who the gateway is. All of it runs on the service runtime.

pub mod address;
mod circuit;
mod client;
mod connection;
mod fault;
mod flights;
mod grpc;
mod halves;
mod message;
mod signing;
mod target;
#[cfg(test)]
mod tests;
mod transport;

pub use circuit::{Circuit, Pass};
pub use client::OauthClient;
pub use fault::Fault;
pub use flights::Flights;
pub use grpc::Grpc;
pub use halves::Halves;
pub use message::{Form, Limits, Request, Response};
pub use signing::SigningKey;
pub use target::Target;
pub use transport::{OwnCertificate, Transport};
