//! Header fields in one arena: names in lower case, no allocation per field, reused from request to request.

// Owner of this file: the "core" helper. The signatures below are the contract the others build on.

/// Names that code asks for, recognised once while parsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the header of its name")]
pub enum Known {
    Other, Accept, Authorization, Connection, ContentLength, ContentType, Cookie, Date, Expect, Forwarded, Host,
    KeepAlive, Location, Origin, ProxyAuthenticate, ProxyAuthorization, ProxyConnection, RetryAfter, Server,
    SetCookie, Te, Traceparent, Tracestate, Trailer, TransferEncoding, Upgrade, UserAgent, Via, WwwAuthenticate,
    XForwardedFor, XForwardedHost, XForwardedProto, XForwardedPort, XForwardedPrefix, XForwardedServer,
    XRealIp, XPoweredBy, XRequestId,
}

/// Why a field was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldError {
    /// The name is not a token (RFC 9110 section 5.6.2).
    Name,
    /// The value has a control character (RFC 9110 section 5.5), or blanks around it.
    Value,
}

/// Header fields in order.
#[derive(Debug, Default, Clone)]
pub struct Headers {
    arena: Vec<u8>,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, Copy)]
struct Field { known: Known, name: Span, value: Span }

#[derive(Debug, Clone, Copy, Default)]
struct Span { start: u32, end: u32 }

impl Headers {
    /// Appends a field. The name is lower-cased; name and value are checked.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), FieldError> { todo!() }
    /// The value of the first field of that name.
    pub fn get(&self, known: Known) -> Option<&[u8]> { todo!() }
    /// The values of all fields of that name.
    pub fn get_all(&self, known: Known) -> impl Iterator<Item = &[u8]> { std::iter::empty() }
    /// How many fields of that name.
    pub fn count(&self, known: Known) -> usize { todo!() }
    /// The values of all fields of that (lower case) name.
    pub fn named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> { std::iter::empty() }
    /// Removes all fields of that name.
    pub fn remove(&mut self, known: Known) { todo!() }
    /// Keeps the fields for which `keep(known, name, value)` is true.
    pub fn retain(&mut self, keep: impl FnMut(Known, &[u8], &[u8]) -> bool) { todo!() }
    /// Replaces all fields of that name by one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), FieldError> { todo!() }
    /// All fields in order: known, name, value.
    pub fn iter(&self) -> impl Iterator<Item = (Known, &[u8], &[u8])> { std::iter::empty() }
    /// How many fields.
    #[must_use]
    pub fn len(&self) -> usize { self.fields.len() }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool { self.fields.is_empty() }
    /// Empties, keeping the memory.
    pub fn clear(&mut self) { self.arena.clear(); self.fields.clear(); }
}
