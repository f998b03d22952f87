//! A small client of DNS (RFC 1035): names of an address, and addresses of a name, from resolvers that are given or the system's.
//!
//! What the system's own functions do not give is a bound on their time, their threads, and how long an answer is good. Whatever
//! does not answer exactly what was asked is no answer; nothing here decides what one means.

mod client;
mod message;
#[cfg(test)]
mod tests;

pub use client::{Unanswered, lookup, of_system};
pub use message::{Found, Kind, reverse};
