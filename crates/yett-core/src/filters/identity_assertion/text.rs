//! JSON as it is written for each assertion, into one buffer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Appends a string with its quotes (RFC 8259 section 7).
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// Appends what stands between the quotes of a string.
pub(super) fn escaped(out: &mut Vec<u8>, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.extend_from_slice(text.as_bytes());
    } else {
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                0..0x20 => {
                    out.extend_from_slice(b"\\u00");
                    out.extend([byte >> 4, byte & 15].map(|nibble| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0')));
                }
                _ => out.push(byte),
            }
        }
    }
}

/// Appends `,"name":` in front of a value.
pub(super) fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends `,"name":"text"`.
pub(super) fn member(out: &mut Vec<u8>, key: &str, text: &str) {
    name(out, key);
    string(out, text);
}

/// Appends `,"name":7`.
pub(super) fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    name(out, key);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `,"name":["a","b"]`.
pub(super) fn list(out: &mut Vec<u8>, items: &[Box<str>]) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, item);
    }
    out.push(b']');
}

/// Appends `,"name":"…"` with the bytes in base64url.
pub(super) fn encoded(out: &mut Vec<u8>, key: &str, bytes: &[u8]) {
    name(out, key);
    out.push(b'"');
    base64url(out, bytes);
    out.push(b'"');
}

/// Appends the bytes in base64url without padding (RFC 7515 section 2).
pub(super) fn base64url(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    let most = start.saturating_add(bytes.len().saturating_mul(4).div_ceil(3));
    out.resize(most, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, room).unwrap_or(0);
    out.truncate(start.saturating_add(written));
}
