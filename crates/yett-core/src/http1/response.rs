//! Response heads (RFC 9112 section 4), read strictly from services.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::Malformed;
use super::fields::{self, Announced};
use crate::exchange::{Framing, ResponseHead};

/// Bytes of an answer's head, interim answers not counted.
pub const MAX_BYTES: usize = 64 * 1024;
/// Fields of an answer's head.
pub const MAX_FIELDS: usize = 256;

static HEAD_END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// What the connection has to know of a complete head, beside the head itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complete {
    /// Bytes that it took.
    pub bytes: usize,
    /// How its body is framed.
    pub framing: Framing,
    /// Its Content-Length, also where no body follows (HEAD, 304).
    pub length: Option<u64>,
    /// The service keeps the connection open.
    pub keep_alive: bool,
}

/// Reads a head once all of it is there; `None` until then. `scanned` bytes are known to hold no end of a head;
/// it is moved on.
///
/// # Errors
/// Anything that is not exactly one valid head, and a switch of protocols, which was not asked for.
pub fn parse(
    bytes: &[u8],
    scanned: &mut usize,
    head_request: bool,
    head: &mut ResponseHead,
) -> Result<Option<Complete>, Malformed> {
    match parse_or_switch(bytes, scanned, head_request, head) {
        Ok(Some(_)) if head.status == 101 => Err(Malformed),
        other => other,
    }
}

/// As [`parse`], where a switch of protocols was asked for: 101 is taken, and what follows it is not HTTP.
///
/// # Errors
/// Anything that is not exactly one valid head.
pub fn parse_or_switch(
    bytes: &[u8],
    scanned: &mut usize,
    head_request: bool,
    head: &mut ResponseHead,
) -> Result<Option<Complete>, Malformed> {
    let from = scanned.saturating_sub(3);
    let Some(at) = HEAD_END.find(bytes.get(from..).unwrap_or_default()) else {
        let begins = bytes.iter().zip(b"HTTP/1.").all(|(a, b)| a == b);
        if bytes.len() >= MAX_BYTES || !begins || bare_feed(bytes, from) {
            return Err(Malformed);
        }
        *scanned = bytes.len();
        return Ok(None);
    };
    let end = from + at + 4;
    if end > MAX_BYTES {
        return Err(Malformed);
    }
    *scanned = 0;
    head.headers.clear();
    let mut rest = bytes.get(..end).unwrap_or_default();
    let mut old = None;
    while let Some((line, length)) = fields::line(rest, 0)? {
        rest = rest.get(length..).unwrap_or_default();
        if old.is_none() {
            old = Some(status_line(line, head)?);
        } else if line.is_empty() {
            break;
        } else if head.headers.len() >= MAX_FIELDS {
            return Err(Malformed);
        } else {
            fields::push(line, &mut head.headers)?;
        }
    }
    finish(end, old.unwrap_or(true), head_request, head).map(Some)
}

/// Whether a line feed stands alone: no end of a head would ever come, and waiting for one is no answer.
fn bare_feed(bytes: &[u8], from: usize) -> bool {
    memchr::memchr_iter(b'\n', bytes.get(from..).unwrap_or_default())
        .any(|at| (from + at).checked_sub(1).and_then(|before| bytes.get(before)) != Some(&b'\r'))
}

/// `HTTP/1.x SP status [SP reason]`; says whether it is HTTP/1.0. The reason is not passed on.
fn status_line(line: &[u8], head: &mut ResponseHead) -> Result<bool, Malformed> {
    let (old, rest) = match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b' ', rest @ ..] => (false, rest),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', b' ', rest @ ..] => (true, rest),
        _ => return Err(Malformed),
    };
    let [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', reason @ ..] = rest else { return Err(Malformed) };
    if !(reason.is_empty() || reason.first() == Some(&b' ')) || !reason.iter().all(|b| fields::is_value_byte(*b)) {
        return Err(Malformed);
    }
    head.status = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    Ok(old)
}

/// RFC 9112 section 6.3.
fn finish(bytes: usize, old: bool, head_request: bool, head: &ResponseHead) -> Result<Complete, Malformed> {
    let announced = Announced::read(&head.headers)?;
    if old && (announced.chunked || head.status == 101) {
        return Err(Malformed);
    }
    let bodiless = head_request || head.status < 200 || head.status == 204 || head.status == 304;
    let framing = if bodiless {
        Framing::Empty
    } else if announced.chunked {
        Framing::Chunked
    } else {
        match announced.length {
            Some(0) => Framing::Empty,
            Some(length) => Framing::Length(length),
            None => Framing::Close,
        }
    };
    // A body announced where none may be: whatever follows is not read as the next answer.
    let suspicious = matches!(head.status, 100..=199 | 204) && (announced.chunked || announced.length.is_some_and(|l| l > 0));
    // After an interim answer nobody could close before the next one is read.
    if suspicious && head.status < 200 {
        return Err(Malformed);
    }
    let keep_alive = !old && !announced.close && framing != Framing::Close && !suspicious;
    Ok(Complete { bytes, framing, length: announced.length, keep_alive })
}
