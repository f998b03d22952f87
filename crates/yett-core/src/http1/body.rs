//! Where a body ends: lengths, chunks and trailers (RFC 9112 sections 6 and 7).

use super::{Malformed, fields};
use crate::exchange::Framing;

/// Bytes of a trailer section.
const MAX_TRAILERS: usize = 8 * 1024;
/// Hex digits of a chunk size.
const MAX_DIGITS: u8 = 16;

/// Follows a body through the bytes of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    /// Nothing more.
    Done,
    /// So many bytes more.
    Length(u64),
    /// Until the connection closes.
    Close,
    /// Somewhere in a chunked body.
    Chunked(Chunk),
}

/// Where in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// In the size: digits so far, their value.
    Size(u8, u64),
    /// Before the line feed of the size line.
    SizeFeed(u64),
    /// In the data: bytes left.
    Data(u64),
    /// Before the CR after the data.
    DataReturn,
    /// Before the LF after the data.
    DataFeed,
    /// In the trailers: bytes so far.
    Trailers(usize),
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// First this many bytes of framing, then this many of data (at least 1).
    Data {
        /// Framing.
        skip: usize,
        /// Data.
        data: usize,
    },
    /// First this many bytes of framing; then more has to be read.
    More {
        /// Framing.
        skip: usize,
    },
    /// First this many bytes of framing; then the body has ended.
    End {
        /// Framing.
        skip: usize,
    },
}

impl Decoder {
    /// For a head's framing.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        match framing {
            Framing::Empty => Self::Done,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunk::Size(0, 0)),
            Framing::Close => Self::Close,
        }
    }

    /// Whether the body has ended.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Bytes of data that are known to follow.
    #[must_use]
    pub const fn announced(&self) -> u64 {
        match self {
            Self::Length(left) | Self::Chunked(Chunk::Data(left) | Chunk::SizeFeed(left)) => *left,
            Self::Chunked(_) | Self::Done | Self::Close => 0,
        }
    }

    /// Says what `bytes` start with, and counts it as read.
    ///
    /// # Errors
    /// Anything but plain chunks: extensions, blanks or signs around a size, other line ends, broken trailers.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Piece, Malformed> {
        match self {
            Self::Done => Ok(Piece::End { skip: 0 }),
            Self::Close if bytes.is_empty() => Ok(Piece::More { skip: 0 }),
            Self::Close => Ok(Piece::Data { skip: 0, data: bytes.len() }),
            Self::Length(left) => {
                let data = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= data as u64;
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok(if data == 0 { Piece::More { skip: 0 } } else { Piece::Data { skip: 0, data } })
            }
            Self::Chunked(_) => self.next_chunked(bytes),
        }
    }

    fn next_chunked(&mut self, bytes: &[u8]) -> Result<Piece, Malformed> {
        let mut skip = 0;
        while let Self::Chunked(chunk) = self {
            let rest = bytes.get(skip..).unwrap_or_default();
            if let Chunk::Trailers(total) = chunk {
                let Some((line, length)) = fields::line(rest, 0)? else {
                    return if *total + rest.len() > MAX_TRAILERS { Err(Malformed) } else { Ok(Piece::More { skip }) };
                };
                *total += length;
                skip += length;
                if *total > MAX_TRAILERS {
                    return Err(Malformed);
                }
                if line.is_empty() {
                    *self = Self::Done;
                    return Ok(Piece::End { skip });
                }
                fields::check_trailer(line)?;
                continue;
            }
            let Some(byte) = rest.first().copied() else { return Ok(Piece::More { skip }) };
            if let Chunk::Data(left) = chunk {
                let data = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= data as u64;
                if *left == 0 {
                    *chunk = Chunk::DataReturn;
                }
                return Ok(Piece::Data { skip, data });
            }
            *chunk = step(*chunk, byte)?;
            skip += 1;
        }
        Ok(Piece::End { skip })
    }
}

/// One byte of framing.
fn step(chunk: Chunk, byte: u8) -> Result<Chunk, Malformed> {
    match (chunk, byte) {
        (Chunk::Size(1.., size), b'\r') => Ok(Chunk::SizeFeed(size)),
        (Chunk::Size(digits, size), _) if digits < MAX_DIGITS => {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                _ => return Err(Malformed),
            };
            Ok(Chunk::Size(digits + 1, (size << 4) | u64::from(digit)))
        }
        (Chunk::SizeFeed(0), b'\n') => Ok(Chunk::Trailers(0)),
        (Chunk::SizeFeed(size), b'\n') => Ok(Chunk::Data(size)),
        (Chunk::DataReturn, b'\r') => Ok(Chunk::DataFeed),
        (Chunk::DataFeed, b'\n') => Ok(Chunk::Size(0, 0)),
        _ => Err(Malformed),
    }
}
