//! Request heads (RFC 9112 sections 2 to 5), read line by line as they arrive.

use memchr::memchr;

use super::fields::{self, Announced};
use crate::exchange::{Method, RequestHead, Version};
use crate::reason::Reason;

/// Bounds of a head.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Bytes of the request line, without CRLF.
    pub line: usize,
    /// Bytes of the whole head.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

/// What the connection has to know of a complete head, beside the head itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complete {
    /// Bytes that it took.
    pub bytes: usize,
    /// The client closes, or speaks HTTP/1.0.
    pub close: bool,
    /// It waits for `100 Continue`.
    pub expect_continue: bool,
}

/// How far a head has been read.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestParser {
    /// Bytes of complete lines.
    done: usize,
    /// Bytes known to hold no further line feed, from `done` on.
    scanned: usize,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Start,
    RequestLine,
    Fields,
}

impl RequestParser {
    /// Reads on. `bytes` always start at the first byte of the head and have grown since the last call; `head` is the
    /// same, emptied before the first call. `None` until the head is complete.
    ///
    /// # Errors
    /// The first fault found, in the order of the bytes.
    pub fn advance(&mut self, bytes: &[u8], head: &mut RequestHead, limits: &HeadLimits) -> Result<Option<Complete>, Reason> {
        loop {
            let rest = bytes.get(self.done..).unwrap_or_default();
            let Some((line, length)) = fields::line(rest, self.scanned).map_err(|_| Reason::MalformedRequest)? else {
                self.scanned = rest.len();
                return self.incomplete(rest, bytes.len(), limits);
            };
            self.done += length;
            self.scanned = 0;
            if self.done > limits.bytes && self.stage == Stage::Fields {
                return Err(Reason::HeadersTooLarge);
            }
            match self.stage {
                // One empty line before a request is skipped (RFC 9112 section 2.2); a second one is a fault.
                Stage::Start if line.is_empty() => self.stage = Stage::RequestLine,
                Stage::Start | Stage::RequestLine => {
                    if line.len() > limits.line {
                        return Err(Reason::RequestLineTooLong);
                    }
                    request_line(line, head)?;
                    self.stage = Stage::Fields;
                }
                Stage::Fields if line.is_empty() => return finish(self.done, head).map(Some),
                Stage::Fields => {
                    if head.headers.len() >= limits.fields {
                        return Err(Reason::HeadersTooLarge);
                    }
                    fields::push(line, &mut head.headers).map_err(|_| Reason::MalformedRequest)?;
                }
            }
        }
    }

    /// Refuses early what cannot become a head any more.
    fn incomplete(self, rest: &[u8], total: usize, limits: &HeadLimits) -> Result<Option<Complete>, Reason> {
        if self.stage != Stage::Fields {
            // Something else than HTTP, such as a TLS handshake, shows at once: a method is a token.
            if rest.first().is_some_and(|b| !fields::is_tchar(*b) && *b != b'\r') {
                return Err(Reason::MalformedRequest);
            }
            if rest.len() > limits.line.saturating_add(1) {
                return Err(Reason::RequestLineTooLong);
            }
        }
        if total >= limits.bytes { Err(Reason::HeadersTooLarge) } else { Ok(None) }
    }
}

/// `method SP request-target SP HTTP-version`, with exactly these two blanks.
fn request_line(line: &[u8], head: &mut RequestHead) -> Result<(), Reason> {
    const BAD: Reason = Reason::MalformedRequest;
    let (method, rest) = line.split_at_checked(memchr(b' ', line).ok_or(BAD)?).ok_or(BAD)?;
    let rest = rest.get(1..).ok_or(BAD)?;
    let (target, version) = rest.split_at_checked(memchr(b' ', rest).ok_or(BAD)?).ok_or(BAD)?;
    head.method = Method::parse(method).ok_or(BAD)?;
    if target.is_empty() || !target.iter().all(|b| (0x21..=0x7e).contains(b)) {
        return Err(BAD);
    }
    head.target.clear();
    head.target.extend_from_slice(target);
    head.version = match version {
        b" HTTP/1.1" => Version::Http11,
        b" HTTP/1.0" => Version::Http10,
        [b' ', b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(Reason::HttpVersionUnsupported),
        _ => return Err(BAD),
    };
    Ok(())
}

/// What only the whole head shows: Host and framing.
fn finish(bytes: usize, head: &mut RequestHead) -> Result<Complete, Reason> {
    let announced = Announced::read(&head.headers).map_err(|_| Reason::MalformedRequest)?;
    let old = head.version == Version::Http10;
    if old && announced.chunked {
        return Err(Reason::MalformedRequest);
    }
    if announced.hosts != 1 {
        return Err(Reason::HostInvalid);
    }
    if announced.expect_other && !old {
        return Err(Reason::ExpectationFailed);
    }
    head.framing = announced.request_framing();
    Ok(Complete { bytes, close: old || announced.close, expect_continue: announced.expect_continue && !old })
}
