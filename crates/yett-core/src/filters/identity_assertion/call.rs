//! What an assertion is for: one caller, one request as the service sees it.

use std::rc::Rc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::principal::Principal;

/// A SHA-256.
pub type Digest = [u8; 32];

/// One request on its way to a service.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The verified caller; nobody on a public route.
    pub principal: Option<&'a Rc<Principal>>,
    /// Method, as in the request line.
    pub method: &'a str,
    /// Path and query as they are sent.
    pub target: &'a [u8],
    /// The request's id.
    pub request_id: &'a [u8],
    /// SHA-256 of the body, where the assertion carries it.
    pub body: Option<&'a Digest>,
}

impl Call<'_> {
    /// The `req` of an assertion: SHA-256 of the method, LF, the path percent-decoded once, LF, and the query as it is sent,
    /// without `?` and empty where there is none. No part can hold an LF: a path that decodes to one is not canonical.
    pub fn digest(&self, scratch: &mut Vec<u8>) -> Option<Digest> {
        scratch.clear();
        scratch.extend_from_slice(self.method.as_bytes());
        scratch.push(b'\n');
        let (path, query) = match memchr::memchr(b'?', self.target) {
            Some(at) => (self.target.get(..at)?, self.target.get(at.checked_add(1)?..)?),
            None => (self.target, &[][..]),
        };
        decode(path, scratch)?;
        scratch.push(b'\n');
        scratch.extend_from_slice(query);
        sha256(scratch)
    }
}

/// Of these bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Option<Digest> {
    digest(&SHA256, bytes).as_ref().try_into().ok()
}

fn decode(path: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = path;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(rest.get(..at)?);
        let digit = |offset: usize| {
            let byte = *rest.get(at.checked_add(offset)?)?;
            char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
        };
        out.push(digit(1)? << 4 | digit(2)?);
        rest = rest.get(at.checked_add(3)?..)?;
    }
    out.extend_from_slice(rest);
    Some(())
}
