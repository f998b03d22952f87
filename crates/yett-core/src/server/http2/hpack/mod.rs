//! Header compression of HTTP/2 (RFC 7541): a decoder for requests and an encoder for answers, each with its bounded table.

mod decode;
mod encode;
mod huffman;
mod integer;
mod statics;
mod table;
#[cfg(test)]
mod tests;

pub use decode::{Decoder, Malformed};
pub use encode::{Encoder, Indexing};
pub use table::{Entry, Kind};

/// What a header list may begin with (RFC 9113 section 8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Pseudo {
    Method = 1,
    Scheme = 2,
    Authority = 4,
    Path = 8,
}
