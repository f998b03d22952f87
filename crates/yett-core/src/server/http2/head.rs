//! A request head of HTTP/2 (RFC 9113 sections 8.2 and 8.3), read field by field into the form that everything else reads.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::hpack::{Entry, Kind, Pseudo};
use crate::exchange::{Framing, Method, RequestHead, Version};
use crate::headers::Known;
use crate::http1::fields::Announced;
use crate::http1::request::{Complete, HeadLimits};
use crate::reason::Reason;

/// Why a head is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Malformed: a stream error (RFC 9113 section 8.1.1).
    Malformed,
    /// Answered.
    Refused(Reason),
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

/// A request's head, and what the stream has to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// For the lane.
    pub complete: Complete,
    /// `content-length`.
    pub length: Option<u64>,
}

/// Reads a head. Whatever it finds wrong, it can be given all fields, so that the compression stays in step.
#[derive(Debug)]
pub struct Reader<'a> {
    head: &'a mut RequestHead,
    limits: &'a HeadLimits,
    tls: bool,
    /// Pseudo-header fields, as bits.
    seen: u8,
    /// A field that is none came.
    regular: bool,
    fields: usize,
    bytes: usize,
    cookies: Option<Vec<u8>>,
    fault: Option<Fault>,
}

impl<'a> Reader<'a> {
    /// Into the emptied `head`; `tls` says that the connection is encrypted.
    pub fn new(head: &'a mut RequestHead, limits: &'a HeadLimits, tls: bool) -> Self {
        (head.method, head.version) = (Method::Get, Version::Http2);
        Self { head, limits, tls, seen: 0, regular: false, fields: 0, bytes: 0, cookies: None, fault: None }
    }

    /// The next field.
    pub fn take(&mut self, entry: &Entry<'_>) {
        if self.fault.is_none() {
            self.fault = self.field(entry).err();
        }
    }

    fn field(&mut self, entry: &Entry<'_>) -> Result<(), Fault> {
        match entry.kind {
            Kind::Bad => Err(Fault::Malformed),
            Kind::Pseudo(pseudo) => {
                let bit = pseudo as u8;
                if self.regular || self.seen & bit != 0 {
                    return Err(Fault::Malformed);
                }
                self.seen |= bit;
                self.pseudo(pseudo, entry)
            }
            Kind::Regular(known) => {
                self.regular = true;
                self.fields += 1;
                if self.fields > self.limits.fields {
                    return Err(Reason::HeadersTooLarge.into());
                }
                // As the line of HTTP/1.1 would be long.
                self.count(entry.name.len().saturating_add(entry.value.len()).saturating_add(4))?;
                self.regular(known, entry)
            }
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.bytes { Err(Reason::HeadersTooLarge.into()) } else { Ok(()) }
    }

    fn pseudo(&mut self, pseudo: Pseudo, entry: &Entry<'_>) -> Result<(), Fault> {
        let value = entry.value;
        match pseudo {
            Pseudo::Method => self.head.method = Method::parse(value).ok_or(Fault::Malformed)?,
            Pseudo::Scheme => match value {
                b"https" => {}
                // A proxy before this listener may have ended TLS; nobody can have undone ours.
                b"http" if !self.tls => {}
                _ => return Err(Fault::Malformed),
            },
            Pseudo::Authority => {
                self.count(value.len())?;
                let pushed = if entry.clean { self.head.headers.push_known(Known::Host, b"host", value).ok() } else { None };
                pushed.ok_or(Fault::Malformed)?;
            }
            Pseudo::Path => {
                // What no URI has (RFC 3986), and what readers would take for a fragment.
                let fits = |byte: &u8| (0x21..=0x7e).contains(byte) & !matches!(byte, b'"' | b'#' | b'<' | b'>');
                if value.is_empty() || !value.iter().fold(true, |all, byte| all & fits(byte)) {
                    return Err(Fault::Malformed);
                }
                if value.len() > self.limits.line {
                    return Err(Reason::RequestLineTooLong.into());
                }
                self.bytes = self.bytes.saturating_add(value.len());
                self.head.target.extend_from_slice(value);
            }
        }
        Ok(())
    }

    fn regular(&mut self, known: Known, entry: &Entry<'_>) -> Result<(), Fault> {
        if !entry.clean || is_of_connection(known, entry.value) {
            return Err(Fault::Malformed);
        }
        match known {
            // Pieces of one field (RFC 9113 section 8.2.3).
            Known::Cookie => {
                let cookies = self.cookies.get_or_insert_default();
                if !cookies.is_empty() {
                    cookies.extend_from_slice(b"; ");
                }
                cookies.extend_from_slice(entry.value);
                return Ok(());
            }
            Known::Host if self.seen & Pseudo::Authority as u8 != 0 => {
                let authority = self.head.headers.get(Known::Host).unwrap_or_default();
                // Two readers could take either one.
                let same = authority.eq_ignore_ascii_case(entry.value);
                return if same { Ok(()) } else { Err(Reason::HostInvalid.into()) };
            }
            _ => {}
        }
        self.head.headers.push_known(known, entry.name, entry.value).map_err(|_| Fault::Malformed)
    }

    /// After the last field. `ended` says that no body follows.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn finish(self, ended: bool) -> Result<Read, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let Self { head, seen, cookies, .. } = self;
        let of = |pseudos: &[Pseudo]| pseudos.iter().fold(0, |bits, pseudo| bits | *pseudo as u8);
        if head.method == Method::Connect {
            if seen != of(&[Pseudo::Method, Pseudo::Authority]) {
                return Err(Fault::Malformed);
            }
            head.target.extend_from_slice(head.headers.get(Known::Host).unwrap_or_default());
        } else if seen | Pseudo::Authority as u8 != of(&[Pseudo::Method, Pseudo::Scheme, Pseudo::Path, Pseudo::Authority]) {
            return Err(Fault::Malformed);
        }
        if let Some(cookies) = cookies {
            head.headers.push(b"cookie", &cookies).map_err(|_| Fault::Malformed)?;
        }
        let announced = Announced::read(&head.headers).map_err(|_| Fault::Malformed)?;
        if ended && announced.length.is_some_and(|length| length > 0) {
            return Err(Fault::Malformed);
        }
        if announced.hosts != 1 {
            return Err(Reason::HostInvalid.into());
        }
        if announced.expect_other {
            return Err(Reason::ExpectationFailed.into());
        }
        head.framing = match announced.length {
            _ if ended => Framing::Empty,
            Some(0) => Framing::Empty,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        let complete = Complete { bytes: 0, close: false, expect_continue: announced.expect_continue };
        Ok(Read { complete, length: announced.length })
    }
}

/// Whether a field belongs to one connection of HTTP/1.1 (RFC 9113 section 8.2.2).
fn is_of_connection(known: Known, value: &[u8]) -> bool {
    match known {
        Known::Connection | Known::KeepAlive | Known::ProxyConnection | Known::TransferEncoding | Known::Upgrade => true,
        Known::Te => value != b"trailers",
        _ => false,
    }
}

/// Reads trailer fields.
#[derive(Debug)]
pub struct Trailers<'a> {
    fields: Box<HeaderMap>,
    limits: &'a HeadLimits,
    bytes: usize,
    malformed: bool,
}

impl<'a> Trailers<'a> {
    /// Bounded as a head is.
    #[must_use]
    pub fn new(limits: &'a HeadLimits) -> Self {
        Self { fields: Box::default(), limits, bytes: 0, malformed: false }
    }

    /// The next field.
    pub fn take(&mut self, entry: &Entry<'_>) {
        if !self.malformed {
            self.malformed = self.field(entry).is_none();
        }
    }

    fn field(&mut self, entry: &Entry<'_>) -> Option<()> {
        let Kind::Regular(known) = entry.kind else { return None };
        self.bytes = self.bytes.saturating_add(entry.name.len()).saturating_add(entry.value.len()).saturating_add(4);
        let fits = self.fields.len() < self.limits.fields && self.bytes <= self.limits.bytes;
        if !fits || !entry.clean || is_of_connection(known, entry.value) {
            return None;
        }
        let (name, value) = (HeaderName::from_bytes(entry.name).ok()?, HeaderValue::from_bytes(entry.value).ok()?);
        self.fields.try_append(name, value).ok().map(drop)
    }

    /// `None` if they were malformed, or too many.
    #[must_use]
    pub fn finish(self) -> Option<Box<HeaderMap>> {
        (!self.malformed).then_some(self.fields)
    }
}
