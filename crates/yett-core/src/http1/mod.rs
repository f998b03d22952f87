//! HTTP/1.1 messages (RFC 9112), read strictly and written plainly; no I/O here.
//!
//! One codec for both sides. What it accepts has exactly one reading: lines end in CRLF, a field stands on one line,
//! a body has one length. What other servers repair, it refuses, so that nothing behind the gateway can see another
//! message than the gateway did. What it writes is made anew from the parts and never copied as a whole.

pub mod body;
pub mod fields;
pub mod request;
pub mod response;
pub mod write;

/// A message that cannot be read in exactly one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

#[cfg(test)]
mod tests;
