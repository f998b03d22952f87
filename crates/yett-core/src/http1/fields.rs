//! Lines, fields and the two fields that frame a body.

use memchr::memchr;

use super::Malformed;
use crate::exchange::Framing;
use crate::headers::{Headers, Known, folds_to, is_token, is_value};

/// Splits off one line, which has to end in CRLF: the line without it, and its length with it. `from` bytes are
/// known to hold no line feed. `None` until the line is complete.
///
/// # Errors
/// A bare LF.
pub fn line(bytes: &[u8], from: usize) -> Result<Option<(&[u8], usize)>, Malformed> {
    let Some(at) = memchr(b'\n', bytes.get(from..).unwrap_or_default()) else { return Ok(None) };
    let feed = from + at;
    match bytes.get(..feed) {
        Some([line @ .., b'\r']) => Ok(Some((line, feed + 1))),
        _ => Err(Malformed),
    }
}

/// A character of a token (RFC 9110 section 5.6.2).
#[must_use]
pub const fn is_tchar(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// A byte that may stand in a field value or a reason phrase: no control character but the tab.
#[must_use]
pub const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Without the blanks around it (OWS).
#[must_use]
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Name and value of a field line. A folded line fails, because it starts with a blank; so does a blank before the colon.
///
/// # Errors
/// No field line (RFC 9112 section 5).
pub fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let colon = memchr(b':', line).ok_or(Malformed)?;
    let (name, rest) = line.split_at_checked(colon).ok_or(Malformed)?;
    let [b':', value @ ..] = rest else { return Err(Malformed) };
    Ok((name, trim(value)))
}

/// Adds a field line. [`Headers::push`] checks name and value.
///
/// # Errors
/// No field line (RFC 9112 section 5).
pub fn push(line: &[u8], headers: &mut Headers) -> Result<(), Malformed> {
    let (name, value) = split(line)?;
    headers.push(name, value).map_err(|_| Malformed)
}

/// Checks a trailer field, which is then dropped (RFC 9110 section 6.5.1).
///
/// # Errors
/// No field line, or one that would frame or address a message.
pub fn check_trailer(line: &[u8]) -> Result<(), Malformed> {
    let (name, value) = split(line)?;
    let forbidden = [&b"content-length"[..], b"transfer-encoding", b"host"].iter().any(|n| folds_to(name, n));
    if !forbidden && is_token(name) && is_value(value) { Ok(()) } else { Err(Malformed) }
}

/// What the framing fields of a head say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Announced {
    /// `Content-Length`.
    pub length: Option<u64>,
    /// `Transfer-Encoding: chunked`.
    pub chunked: bool,
    /// `Connection: close`.
    pub close: bool,
    /// Fields named `Host`.
    pub hosts: usize,
    /// `Expect: 100-continue`.
    pub expect_continue: bool,
    /// Another `Expect`.
    pub expect_other: bool,
}

impl Announced {
    /// Reads the framing fields.
    ///
    /// # Errors
    /// Two lengths, even equal ones; a length that is not made of digits or is above 2^63; a transfer encoding other than
    /// a single `chunked`; both at once (RFC 9112 section 6); a name that folds onto one of these.
    pub fn read(headers: &Headers) -> Result<Self, Malformed> {
        let mut found = Self::default();
        for (known, name, value) in headers.iter() {
            match known {
                Known::ContentLength if found.length.is_none() => found.length = Some(length(value)?),
                Known::TransferEncoding if !found.chunked && value.eq_ignore_ascii_case(b"chunked") => found.chunked = true,
                Known::ContentLength | Known::TransferEncoding => return Err(Malformed),
                Known::Connection => found.close |= has_close(value),
                Known::Host => found.hosts += 1,
                Known::Expect if value.eq_ignore_ascii_case(b"100-continue") => found.expect_continue = true,
                Known::Expect => found.expect_other = true,
                // What a service that folds `_` and `.` would take for framing.
                Known::Other if is_alias(name) => return Err(Malformed),
                _ => {}
            }
        }
        if found.chunked && found.length.is_some() { Err(Malformed) } else { Ok(found) }
    }

    /// The framing of a request body: no field, no body.
    #[must_use]
    pub fn request_framing(&self) -> Framing {
        match (self.chunked, self.length) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) if length > 0 => Framing::Length(length),
            _ => Framing::Empty,
        }
    }
}

fn is_alias(name: &[u8]) -> bool {
    match name.len() {
        14 => folds_to(name, b"content-length"),
        17 => folds_to(name, b"transfer-encoding"),
        _ => false,
    }
}

fn has_close(value: &[u8]) -> bool {
    value.split(|b| *b == b',').any(|item| trim(item).eq_ignore_ascii_case(b"close"))
}

/// A Content-Length: digits only, at most 2^63.
fn length(value: &[u8]) -> Result<u64, Malformed> {
    if value.is_empty() || value.len() > 19 {
        return Err(Malformed);
    }
    let mut sum = 0_u64;
    for byte in value {
        let digit = byte.checked_sub(b'0').filter(|d| *d <= 9).ok_or(Malformed)?;
        sum = sum.checked_mul(10).and_then(|s| s.checked_add(u64::from(digit))).ok_or(Malformed)?;
    }
    if sum <= 1 << 63 { Ok(sum) } else { Err(Malformed) }
}
