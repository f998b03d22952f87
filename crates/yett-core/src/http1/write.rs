//! Heads as bytes. Framing and connection fields are the writer's own; those in the given fields are left out.

use crate::exchange::{Answer, Framing};
use crate::headers::{Headers, Known};
use crate::server::clock::HttpDate;

/// The interim answer that asks for the body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Fields that belong to one connection or are written anew.
pub(crate) const fn is_ours(known: Known) -> bool {
    matches!(
        known,
        Known::Host
            | Known::ContentLength
            | Known::TransferEncoding
            | Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Te
            | Known::Trailer
            | Known::Upgrade
            | Known::Expect
    )
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn fields(out: &mut Vec<u8>, headers: &Headers) {
    for (known, name, value) in headers.iter() {
        if !is_ours(known) {
            field(out, name, value);
        }
    }
}

fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    field(out, name, itoa::Buffer::new().format(value).as_bytes());
}

/// A request head.
pub fn request(out: &mut Vec<u8>, method: &str, target: &[u8], host: &[u8], headers: &Headers, framing: Framing) {
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    field(out, b"host", host);
    fields(out, headers);
    match framing {
        Framing::Length(length) => number(out, b"content-length", length),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        // A method that usually has a body says that it has none (RFC 9110 section 8.6).
        Framing::Empty if matches!(method, "POST" | "PUT" | "PATCH") => out.extend_from_slice(b"content-length: 0\r\n"),
        Framing::Empty | Framing::Close => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// A request head that asks for WebSocket.
pub fn upgrade_request(out: &mut Vec<u8>, method: &str, target: &[u8], host: &[u8], headers: &Headers) {
    request(out, method, target, host, headers, Framing::Empty);
    out.truncate(out.len().saturating_sub(2));
    ask_for_websocket(out);
}

/// How an answer's body is announced to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    /// Content-Length.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
    /// What follows is WebSocket.
    WebSocket,
    /// Neither: no body can follow, or it ends with the connection.
    Nothing,
}

/// The head of a service's answer. Date is added where it is missing.
pub fn response(out: &mut Vec<u8>, status: u16, headers: &Headers, announce: Announce, close: bool, date: &HttpDate) {
    status_line(out, status);
    fields(out, headers);
    if headers.get(Known::Date).is_none() {
        field(out, b"date", date);
    }
    announce_body(out, announce, close);
}

/// An answer that the gateway makes itself, with its body (not for HEAD).
pub fn answer(out: &mut Vec<u8>, answer: &Answer, head_request: bool, close: bool, date: &HttpDate) {
    status_line(out, answer.status);
    for (name, value) in &answer.headers {
        // Built by us; a line break in it would still be a way to add a field.
        if name.bytes().chain(value.bytes()).all(|b| b != b'\r' && b != b'\n') {
            field(out, name.as_bytes(), value.as_bytes());
        }
    }
    field(out, b"date", date);
    let bodiless = matches!(answer.status, 204 | 304);
    announce_body(out, if bodiless { Announce::Nothing } else { Announce::Length(answer.body.len() as u64) }, close);
    if !head_request && !bodiless {
        out.extend_from_slice(&answer.body);
    }
}

fn announce_body(out: &mut Vec<u8>, announce: Announce, close: bool) {
    match announce {
        Announce::Length(length) => number(out, b"content-length", length),
        Announce::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Announce::Nothing => {}
        Announce::WebSocket => return ask_for_websocket(out),
    }
    out.extend_from_slice(if close { b"connection: close\r\n\r\n" } else { b"\r\n" });
}

/// Ends a head that switches to WebSocket, or asks for it.
fn ask_for_websocket(out: &mut Vec<u8>) {
    out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n");
}

/// An interim answer with links (103, RFC 8297).
pub fn hints(out: &mut Vec<u8>, links: &[&[u8]]) {
    out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\n");
    links.iter().for_each(|link| field(out, b"link", link));
    out.extend_from_slice(b"\r\n");
}

/// The head of one chunk.
pub fn chunk_head(out: &mut Vec<u8>, length: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0_u8; 18];
    let mut at = 16;
    let mut left = length;
    loop {
        at -= 1;
        if let (Some(slot), Some(digit)) = (text.get_mut(at), DIGITS.get(left & 15)) {
            *slot = *digit;
        }
        left >>= 4;
        if left == 0 || at == 0 {
            break;
        }
    }
    out.extend_from_slice(text.get(at..16).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
}

fn status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    let reason = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("");
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}
