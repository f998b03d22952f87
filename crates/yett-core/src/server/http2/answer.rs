//! Answers' heads as the library takes them.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue, LINK};
use http::{Response, StatusCode};

use crate::exchange::{Answer, ResponseHead};
use crate::headers::Known;
use crate::http1::write::is_ours;
use crate::server::clock::HttpDate;

/// The head of a service's answer. `None` if it cannot be one: its fields were checked before, so never.
pub(super) fn service(head: &ResponseHead, length: Option<u64>, date: &HttpDate) -> Option<Response<()>> {
    let mut fields = HeaderMap::with_capacity(head.headers.len() + 2);
    let kept = || head.headers.iter().filter(|(known, _, _)| !is_ours(*known));
    // One allocation for all values.
    let mut values = BytesMut::with_capacity(kept().map(|(_, _, value)| value.len()).sum());
    kept().for_each(|(_, _, value)| values.extend_from_slice(value));
    let mut values = values.freeze();
    for (_, name, value) in kept() {
        push(&mut fields, name, values.split_to(value.len().min(values.len())))?;
    }
    if head.headers.get(Known::Date).is_none() {
        fields.append(DATE, HeaderValue::from_bytes(date).ok()?);
    }
    if let Some(length) = length {
        fields.append(CONTENT_LENGTH, HeaderValue::from(length));
    }
    finish(head.status, fields)
}

/// The head of an answer of our own.
pub(super) fn own(answer: &Answer, date: &HttpDate) -> Option<Response<()>> {
    let mut fields = HeaderMap::with_capacity(answer.headers.len() + 2);
    for (name, value) in answer.headers.iter().filter(|(name, _)| !is_ours(Known::of(name.as_bytes()))) {
        push(&mut fields, name.as_bytes(), Bytes::copy_from_slice(value.as_bytes()))?;
    }
    fields.append(DATE, HeaderValue::from_bytes(date).ok()?);
    if !matches!(answer.status, 204 | 304) {
        fields.append(CONTENT_LENGTH, HeaderValue::from(answer.body.len() as u64));
    }
    finish(answer.status, fields)
}

/// An interim answer with links (RFC 8297).
pub(super) fn hints(links: &[&[u8]]) -> Option<Response<()>> {
    let mut fields = HeaderMap::with_capacity(links.len());
    for link in links {
        fields.append(LINK, HeaderValue::from_bytes(link).ok()?);
    }
    finish(103, fields)
}

fn push(fields: &mut HeaderMap, name: &[u8], value: Bytes) -> Option<()> {
    let name = match name {
        b"x-request-id" => HeaderName::from_static("x-request-id"),
        b"ratelimit" => HeaderName::from_static("ratelimit"),
        b"ratelimit-policy" => HeaderName::from_static("ratelimit-policy"),
        other => HeaderName::from_bytes(other).ok()?,
    };
    let mut value = HeaderValue::from_maybe_shared(value).ok()?;
    // Another one each time: an entry of the compression table would only push others out.
    value.set_sensitive(name.as_str() == "x-request-id");
    fields.try_append(name, value).ok().map(drop)
}

fn finish(status: u16, fields: HeaderMap) -> Option<Response<()>> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    *response.headers_mut() = fields;
    Some(response)
}
