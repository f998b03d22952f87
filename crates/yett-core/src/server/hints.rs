//! Early hints (103, RFC 8297): Link fields of a service's interim answers, passed on ahead of the answer itself.
//!
//! Hints may be lost: what the client's connection does not take at once, and what is beyond the bounds, is dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::client::{Client, Gone};
use crate::exchange::{RequestHead, ResponseHead, Version};

/// Interim answers that are passed on.
const MOST: u8 = 2;
/// Link fields of one.
const FIELDS: usize = 16;
/// Bytes of all links of one.
const BYTES: usize = 4096;

/// How many interim answers a client is passed: over HTTP/1.1 only a browser that loads a page, since other clients
/// have taken a 103 for the answer (RFC 8297 section 3).
pub fn allowed<C: Client>(request: &RequestHead) -> u8 {
    let browser = || request.headers.named(b"sec-fetch-mode").eq([b"navigate".as_slice()]);
    if C::FRAMED || (request.version == Version::Http11 && browser()) { MOST } else { 0 }
}

/// Passes the links of an interim answer on; `left` counts down.
///
/// # Errors
/// The client took a part of it, so that nothing else can follow.
pub fn pass<C: Client>(left: &mut u8, cx: &mut Context<'_>, client: &mut C, head: &ResponseHead) -> Result<(), Gone> {
    if *left == 0 || head.status != 103 {
        return Ok(());
    }
    let mut bytes = 0_usize;
    let fits = |link: &&[u8]| {
        bytes = bytes.saturating_add(link.len());
        bytes <= BYTES
    };
    let links: Vec<&[u8]> = head.headers.named(b"link").take(FIELDS).take_while(fits).collect();
    if links.is_empty() {
        return Ok(());
    }
    *left -= 1;
    let mut out = Vec::new();
    client.hint(&mut out, &links);
    if out.is_empty() {
        return Ok(());
    }
    match Pin::new(&mut *client).poll_write(cx, &out) {
        Poll::Pending => Ok(()),
        // What TLS holds back of it leaves with the answer.
        Poll::Ready(Ok(count)) if count == out.len() => {
            let _ = Pin::new(client).poll_flush(cx);
            Ok(())
        }
        Poll::Ready(_) => Err(Gone),
    }
}
