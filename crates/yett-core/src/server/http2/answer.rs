//! Answers' heads as header blocks.

use super::hpack::{Encoder, Indexing};
use crate::exchange::{Answer, ResponseHead};
use crate::headers::{Known, is_lower_token, is_value};
use crate::http1::write::is_ours;
use crate::server::clock::HttpDate;

/// The head of a service's answer. Its fields were checked when they were read.
pub(super) fn service(encoder: &mut Encoder, out: &mut Vec<u8>, head: &ResponseHead, length: Option<u64>, date: &HttpDate) {
    encoder.status(head.status, out);
    let mut dated = false;
    for (known, name, value) in head.headers.iter() {
        if !is_ours(known) {
            dated |= known == Known::Date;
            encoder.field(name, value, indexing(known, name), out);
        }
    }
    if !dated {
        encoder.field(b"date", date, Indexing::Yes, out);
    }
    if let Some(length) = length {
        encoder.field(b"content-length", itoa::Buffer::new().format(length).as_bytes(), Indexing::No, out);
    }
}

/// Whether an answer of our own can be written: it always can.
pub(super) fn is_fit(answer: &Answer) -> bool {
    answer.headers.iter().all(|(name, value)| is_lower_token(&name.as_bytes().to_ascii_lowercase()) && is_value(value.as_bytes()))
}

/// The head of an answer of our own.
pub(super) fn own(encoder: &mut Encoder, out: &mut Vec<u8>, answer: &Answer, date: &HttpDate) {
    encoder.status(answer.status, out);
    for (name, value) in &answer.headers {
        let name = name.as_bytes().to_ascii_lowercase();
        let known = Known::of(&name);
        if !is_ours(known) {
            encoder.field(&name, value.as_bytes(), indexing(known, &name), out);
        }
    }
    encoder.field(b"date", date, Indexing::Yes, out);
    if !matches!(answer.status, 204 | 304) {
        encoder.field(b"content-length", itoa::Buffer::new().format(answer.body.len()).as_bytes(), Indexing::No, out);
    }
}

/// An interim answer with links (RFC 8297).
pub(super) fn hints(encoder: &mut Encoder, out: &mut Vec<u8>, links: &[&[u8]]) {
    encoder.status(103, out);
    links.iter().for_each(|link| encoder.field(b"link", link, Indexing::No, out));
}

fn indexing(known: Known, name: &[u8]) -> Indexing {
    match known {
        Known::SetCookie => Indexing::Never,
        Known::XRequestId | Known::Location | Known::Traceparent | Known::WwwAuthenticate => Indexing::No,
        Known::Other => match name {
            b"age" | b"etag" | b"expires" | b"last-modified" | b"content-range" | b"link" | b"ratelimit" => Indexing::No,
            _ => Indexing::Yes,
        },
        _ => Indexing::Yes,
    }
}
