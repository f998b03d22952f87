//! A request head of HTTP/2 (RFC 9113 section 8.3) in the form that everything else reads.
//!
//! The library has refused by now: unknown or repeated pseudo-header fields, names in upper case, fields of one
//! connection, a `te` other than `trailers`, a content-length that END_STREAM contradicts.

use http::Version as Wire;
use http::request::Parts;

use crate::exchange::{Framing, Method, RequestHead, Version};
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

/// Reads `parts` into the emptied `head`. `ended` says that no body follows, `tls` that the connection is encrypted.
///
/// # Errors
/// See [`Fault`].
pub fn read(parts: &Parts, ended: bool, tls: bool, limits: &HeadLimits, head: &mut RequestHead) -> Result<Complete, Fault> {
    debug_assert_eq!(parts.version, Wire::HTTP_2);
    head.version = Version::Http2;
    head.method = Method::parse(parts.method.as_str().as_bytes()).ok_or(Fault::Malformed)?;
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    match parts.uri.path_and_query() {
        Some(target) => head.target.extend_from_slice(target.as_str().as_bytes()),
        None if head.method == Method::Connect => head.target.extend_from_slice(authority.unwrap_or_default().as_bytes()),
        None => return Err(Fault::Malformed),
    }
    if head.target.len() > limits.line {
        return Err(Reason::RequestLineTooLong.into());
    }
    match parts.uri.scheme_str() {
        None | Some("https") => {}
        // A proxy before this listener may have ended TLS; nobody can have undone ours.
        Some("http") if !tls => {}
        Some(_) => return Err(Fault::Malformed),
    }
    fields(parts, authority, limits, head)?;
    let announced = Announced::read(&head.headers).map_err(|_| Fault::Malformed)?;
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
    Ok(Complete { bytes: 0, close: false, expect_continue: announced.expect_continue })
}

/// The fields, `:authority` as the one `host` among them, cookies joined (RFC 9113 section 8.2.3).
fn fields(parts: &Parts, authority: Option<&str>, limits: &HeadLimits, head: &mut RequestHead) -> Result<(), Fault> {
    let mut bytes = head.target.len();
    let mut cookies: Option<Vec<u8>> = None;
    if let Some(authority) = authority {
        bytes += authority.len();
        head.headers.push(b"host", authority.as_bytes()).map_err(|_| Fault::Malformed)?;
    }
    if parts.headers.len() > limits.fields {
        return Err(Reason::HeadersTooLarge.into());
    }
    for (name, value) in &parts.headers {
        // As the line of HTTP/1.1 would be long.
        bytes += name.as_str().len() + value.len() + 4;
        if bytes > limits.bytes {
            return Err(Reason::HeadersTooLarge.into());
        }
        if *name == http::header::COOKIE {
            let joined = cookies.get_or_insert_with(Vec::new);
            if !joined.is_empty() {
                joined.extend_from_slice(b"; ");
            }
            joined.extend_from_slice(value.as_bytes());
            continue;
        }
        if *name == http::header::HOST
            && let Some(authority) = authority
        {
            // Two readers could take either one.
            if !authority.as_bytes().eq_ignore_ascii_case(value.as_bytes()) {
                return Err(Reason::HostInvalid.into());
            }
            continue;
        }
        head.headers.push(name.as_str().as_bytes(), value.as_bytes()).map_err(|_| Fault::Malformed)?;
    }
    match cookies {
        Some(cookies) => head.headers.push(b"cookie", &cookies).map_err(|_| Fault::Malformed),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{Fault, read};
    use crate::exchange::{Framing, Method, RequestHead, Version};
    use crate::headers::{Headers, Known};
    use crate::http1::request::HeadLimits;
    use crate::reason::Reason;

    const LIMITS: HeadLimits = HeadLimits { line: 100, bytes: 1000, fields: 5 };

    fn read_fields(uri: &str, fields: &[(&str, &str)], ended: bool) -> Result<RequestHead, Fault> {
        let mut request = Request::builder().version(http::Version::HTTP_2).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut head = RequestHead {
            method: Method::Get,
            target: Vec::new(),
            version: Version::Http11,
            headers: Headers::default(),
            framing: Framing::Empty,
        };
        let (parts, ()) = request.body(()).unwrap().into_parts();
        read(&parts, ended, true, &LIMITS, &mut head).map(|_| head)
    }

    #[test]
    fn cookies_are_one_field_and_the_authority_is_the_host() {
        let head = read_fields("https://a.example/b?c=d", &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")], true).unwrap();
        assert_eq!(head.headers.get(Known::Host), Some(&b"a.example"[..]));
        assert_eq!(head.headers.get_all(Known::Cookie).collect::<Vec<_>>(), [b"a=1; b=2"]);
        assert_eq!((head.target.as_slice(), head.version, head.framing), (&b"/b?c=d"[..], Version::Http2, Framing::Empty));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let refused = |fields: &[(&str, &str)]| read_fields("https://a.example/", fields, true).unwrap_err();
        assert_eq!(refused(&[("host", "b.example")]), Reason::HostInvalid.into());
        assert!(read_fields("https://a.example/", &[("host", "A.example")], true).is_ok());
        assert_eq!(refused(&[("content-length", "1"), ("content-length", "1")]), Fault::Malformed);
        assert_eq!(refused(&[("content_length", "1")]), Fault::Malformed);
        assert_eq!(refused(&[("x", " y")]), Fault::Malformed);
        assert_eq!(refused(&[("expect", "200-ok")]), Reason::ExpectationFailed.into());
        assert_eq!(read_fields("http://a.example/", &[], true).unwrap_err(), Fault::Malformed);
        assert_eq!(read_fields("/", &[], true).unwrap_err(), Reason::HostInvalid.into());
        assert_eq!(read_fields("/", &[("host", "a"), ("host", "a")], true).unwrap_err(), Reason::HostInvalid.into());
    }

    #[test]
    fn every_crumb_counts() {
        let crumbs = [("cookie", "a=1"); 6];
        assert_eq!(read_fields("https://a/", &crumbs, true).unwrap_err(), Reason::HeadersTooLarge.into());
        assert!(read_fields("https://a/", &crumbs[..5], true).is_ok());
    }

    #[test]
    fn framing() {
        let framing = |fields: &[(&str, &str)], ended| read_fields("https://a/", fields, ended).unwrap().framing;
        assert_eq!(framing(&[], true), Framing::Empty);
        assert_eq!(framing(&[], false), Framing::Chunked);
        assert_eq!(framing(&[("content-length", "7")], false), Framing::Length(7));
        assert_eq!(framing(&[("content-length", "0")], false), Framing::Empty);
    }
}
