//! Header blocks of answers (RFC 7541 section 6), with a table for fields that come again.

use std::collections::VecDeque;

use super::table::OVERHEAD;
use super::{huffman, integer};

/// Most that the table takes, whatever the client allows.
const MOST: usize = 4096;
/// Largest field that is put into the table.
const LARGEST: usize = 1024;

/// Whether a field goes into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexing {
    /// It will come again.
    Yes,
    /// Another one each time: an entry would only push others out.
    No,
    /// Secret: nobody on the way may index it either, and its length says nothing of its bytes (RFC 7541 section 7.1).
    Never,
}

#[derive(Debug)]
struct Kept {
    hash: u64,
    /// Name, then value.
    bytes: Box<[u8]>,
    name: usize,
}

/// A connection's encoder.
#[derive(Debug)]
pub struct Encoder {
    entries: VecDeque<Kept>,
    size: usize,
    most: usize,
    /// The smallest size since the last block, where the client has changed it.
    resized: Option<usize>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, most: MOST, resized: None }
    }
}

impl Encoder {
    /// The client's SETTINGS allow a table of so many bytes.
    pub fn resize(&mut self, allowed: usize) {
        let most = allowed.min(MOST);
        if most == self.most {
            return;
        }
        self.resized = Some(self.resized.map_or(most, |smallest| smallest.min(most)));
        self.most = most;
        self.evict(0);
    }

    /// Begins a block.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(smallest) = self.resized.take() {
            if smallest < self.most {
                integer::encode(smallest, 5, 0x20, out);
            }
            integer::encode(self.most, 5, 0x20, out);
        }
    }

    /// Appends `:status`.
    pub fn status(&mut self, status: u16, out: &mut Vec<u8>) {
        let index = match status {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            other => {
                let mut text = itoa::Buffer::new();
                return literal(8, b"", text.format(other).as_bytes(), 4, 0, out);
            }
        };
        integer::encode(index, 7, 0x80, out);
    }

    /// Appends a field. Its name has to be in lower case.
    pub fn field(&mut self, name: &[u8], value: &[u8], indexing: Indexing, out: &mut Vec<u8>) {
        let named = static_name(name);
        let size = name.len().saturating_add(value.len()).saturating_add(OVERHEAD);
        match indexing {
            Indexing::Yes if size <= LARGEST.min(self.most) => {}
            Indexing::Yes | Indexing::No => return literal(named, name, value, 4, 0, out),
            Indexing::Never => return literal(named, name, value, 4, 0x10, out),
        }
        let hash = hash(name, value);
        let same = |kept: &Kept| kept.hash == hash && kept.bytes.split_at_checked(kept.name) == Some((name, value));
        if let Some(at) = self.entries.iter().position(same) {
            return integer::encode(at.saturating_add(62), 7, 0x80, out);
        }
        literal(named, name, value, 6, 0x40, out);
        self.evict(size);
        let mut bytes = Vec::with_capacity(name.len().saturating_add(value.len()));
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(value);
        self.entries.push_front(Kept { hash, bytes: bytes.into(), name: name.len() });
        self.size = self.size.saturating_add(size);
    }

    fn evict(&mut self, size: usize) {
        while self.size.saturating_add(size) > self.most {
            let Some(last) = self.entries.pop_back() else { return };
            self.size = self.size.saturating_sub(last.bytes.len().saturating_add(OVERHEAD));
        }
    }
}

/// A literal whose name is the static entry `named`, or `name` where that is 0.
fn literal(named: usize, name: &[u8], value: &[u8], prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    integer::encode(named, prefix, pattern, out);
    if named == 0 {
        text(name, pattern == 0x40, out);
    }
    text(value, pattern == 0x40, out);
}

/// A string: in code words where it is said once for many times, and they are shorter.
fn text(text: &[u8], compress: bool, out: &mut Vec<u8>) {
    if compress {
        let length = huffman::encoded_len(text);
        if length < text.len() {
            integer::encode(length, 7, 0x80, out);
            return huffman::encode(text, out);
        }
    }
    integer::encode(text.len(), 7, 0, out);
    out.extend_from_slice(text);
}

/// Tells fields apart quickly; collisions cost a comparison.
fn hash(name: &[u8], value: &[u8]) -> u64 {
    let mut sum = name.len() as u64;
    for part in [name, value] {
        for word in part.chunks(8) {
            let mut bytes = [0; 8];
            for (to, from) in bytes.iter_mut().zip(word) {
                *to = *from;
            }
            sum = (sum.rotate_left(5) ^ u64::from_le_bytes(bytes)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }
    sum
}

/// The static entry with this name, 0 if there is none. Names of answers only.
fn static_name(name: &[u8]) -> usize {
    match name {
        b"accept-ranges" => 18,
        b"access-control-allow-origin" => 20,
        b"age" => 21,
        b"allow" => 22,
        b"cache-control" => 24,
        b"content-disposition" => 25,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-length" => 28,
        b"content-location" => 29,
        b"content-range" => 30,
        b"content-type" => 31,
        b"date" => 33,
        b"etag" => 34,
        b"expires" => 36,
        b"last-modified" => 44,
        b"link" => 45,
        b"location" => 46,
        b"proxy-authenticate" => 48,
        b"refresh" => 52,
        b"retry-after" => 53,
        b"server" => 54,
        b"set-cookie" => 55,
        b"strict-transport-security" => 56,
        b"vary" => 59,
        b"via" => 60,
        b"www-authenticate" => 61,
        _ => 0,
    }
}
