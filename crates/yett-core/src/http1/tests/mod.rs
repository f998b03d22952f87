//! Whatever this codec accepts, other servers read in the same way; everything else is refused.

mod fuzz;
mod oracle;
mod requests;
mod responses;

use super::body::{Decoder, Piece};
use super::request::{HeadLimits, RequestParser};
use crate::exchange::{Framing, Method, RequestHead, Version};
use crate::headers::Headers;
use crate::reason::Reason;

pub(super) const LIMITS: HeadLimits = HeadLimits { line: 8192, bytes: 32 * 1024, fields: 100 };

/// A message as both codecs see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl Message {
    /// Whether hyper takes the target: not in another form, and without the likes of `<`, which routing refuses or passes on
    /// as they came. A fragment is no part of one (RFC 9112 section 3.2.1): routing refuses it, hyper cuts it off.
    pub(super) fn is_origin_form(&self) -> bool {
        self.target.starts_with('/') && !self.target.contains('#') && self.target.parse::<hyper::Uri>().is_ok()
    }
}

pub(super) fn empty_head() -> RequestHead {
    RequestHead {
        method: Method::Get,
        target: Vec::new(),
        version: Version::Http11,
        headers: Headers::default(),
        framing: Framing::Empty,
    }
}

/// Why a stream of requests ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At the end of a message.
    Clean,
    /// Inside a message.
    Incomplete,
    /// The client wanted it.
    Close,
    /// At a fault.
    Fault(Reason),
}

/// Reads requests from `parts`, one after the other, as a connection would.
pub(super) fn read_all<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Message>, End) {
    let mut messages = Vec::new();
    let mut buffer: Vec<u8> = Vec::new();
    let mut parser = RequestParser::default();
    let mut head = empty_head();
    let mut body: Option<(Decoder, Vec<u8>, bool)> = None;
    for part in parts {
        buffer.extend_from_slice(part);
        loop {
            if let Some((decoder, bytes, close)) = &mut body {
                match decoder.next(&buffer) {
                    Err(_) => return (messages, End::Fault(Reason::BodyMalformed)),
                    Ok(Piece::More { skip }) => {
                        buffer.drain(..skip);
                        break;
                    }
                    Ok(Piece::Data { skip, data }) => {
                        assert!(data > 0, "a piece of data has bytes");
                        bytes.extend_from_slice(&buffer[skip..skip + data]);
                        buffer.drain(..skip + data);
                    }
                    Ok(Piece::End { skip }) => {
                        buffer.drain(..skip);
                        let fields =
                            head.headers.iter().map(|(_, n, v)| (String::from_utf8_lossy(n).into_owned(), v.to_vec())).collect();
                        messages.push(Message {
                            method: head.method.as_str().to_owned(),
                            target: String::from_utf8_lossy(&head.target).into_owned(),
                            fields,
                            body: std::mem::take(bytes),
                        });
                        let close = *close;
                        body = None;
                        head = empty_head();
                        parser = RequestParser::default();
                        if close {
                            return (messages, End::Close);
                        }
                    }
                }
                continue;
            }
            if buffer.is_empty() {
                break;
            }
            match parser.advance(&buffer, &mut head, &LIMITS) {
                Err(reason) => return (messages, End::Fault(reason)),
                Ok(None) => break,
                Ok(Some(complete)) => {
                    buffer.drain(..complete.bytes);
                    body = Some((Decoder::new(head.framing), Vec::new(), complete.close));
                }
            }
        }
    }
    let end = if buffer.is_empty() && body.is_none() { End::Clean } else { End::Incomplete };
    (messages, end)
}
