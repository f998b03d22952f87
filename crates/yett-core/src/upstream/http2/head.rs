//! Heads in the library's form: a request's made from ours, an answer's read as strictly as one of HTTP/1.1.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};

use crate::exchange::{Framing, Method, ResponseHead};
use crate::grpc;
use crate::headers::{Headers, Known};
use crate::http1::fields::Announced;
use crate::http1::response::{Complete, MAX_BYTES, MAX_FIELDS};
use crate::http1::write::is_ours;

/// What a client asked for cannot be said in HTTP/2: its target has a byte that no URI may have (RFC 3986), such as `<`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsendable;

/// The head of a request; fields of one connection are left out.
///
/// # Errors
/// See [`Unsendable`].
pub fn request_head(
    method: &Method,
    tls: bool,
    host: &[u8],
    target: &[u8],
    headers: &Headers,
    framing: Framing,
) -> Result<Request<()>, Unsendable> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(Authority::from_maybe_shared(Bytes::copy_from_slice(host)).map_err(|_| Unsendable)?);
    let path = PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(target)).map_err(|_| Unsendable)?;
    if path.as_str().as_bytes() != target {
        return Err(Unsendable);
    }
    parts.path_and_query = Some(path);
    let mut request = Request::new(());
    *request.method_mut() = http::Method::from_bytes(method.as_str().as_bytes()).map_err(|_| Unsendable)?;
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Unsendable)?;
    *request.version_mut() = http::Version::HTTP_2;
    let fields = fields(headers, matches!(framing, Framing::Length(_) | Framing::Empty)).ok_or(Unsendable)?;
    *request.headers_mut() = fields;
    if headers.get(Known::ContentType).is_some_and(grpc::is_content_type) {
        request.headers_mut().append(TE, HeaderValue::from_static("trailers"));
    }
    let length = match framing {
        Framing::Length(length) => Some(length),
        // A method that usually has a body says that it has none (RFC 9110 section 8.6).
        Framing::Empty if matches!(method, Method::Post | Method::Put | Method::Patch) => Some(0),
        Framing::Empty | Framing::Chunked | Framing::Close => None,
    };
    if let Some(length) = length {
        request.headers_mut().append(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(request)
}

fn fields(headers: &Headers, one_more: bool) -> Option<HeaderMap> {
    let mut fields = HeaderMap::with_capacity(headers.len() + usize::from(one_more));
    let kept = || headers.iter().filter(|(known, _, _)| !is_ours(*known));
    // One allocation for all values.
    let mut values = BytesMut::with_capacity(kept().map(|(_, _, value)| value.len()).sum());
    kept().for_each(|(_, _, value)| values.extend_from_slice(value));
    let mut values = values.freeze();
    for (known, name, value) in kept() {
        let name = HeaderName::from_bytes(name).ok()?;
        let mut value = HeaderValue::from_maybe_shared(values.split_to(value.len().min(values.len()))).ok()?;
        // Secrets, and what is another one each time: an entry of the compression table would only push others out.
        value.set_sensitive(matches!(
            known,
            Known::Authorization
                | Known::Cookie
                | Known::XRequestId
                | Known::Traceparent
                | Known::XForwardedFor
                | Known::YettIdentity
        ));
        fields.try_append(name, value).ok()?;
    }
    Some(fields)
}

/// The answer is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads the head of an answer into `head`. The library has refused by now: fields of one connection, names in upper
/// case, two lengths that differ, a length that END_STREAM contradicts; it goes on comparing the body with the length.
pub(super) fn answer<B>(
    response: &Response<B>,
    ended: bool,
    head_request: bool,
    head: &mut ResponseHead,
) -> Result<Complete, Malformed> {
    head.status = response.status().as_u16();
    head.headers.clear();
    if response.headers().len() > MAX_FIELDS {
        return Err(Malformed);
    }
    let mut bytes = 0;
    for (name, value) in response.headers() {
        bytes += name.as_str().len() + value.len() + 4;
        if bytes > MAX_BYTES {
            return Err(Malformed);
        }
        head.headers.push(name.as_str().as_bytes(), value.as_bytes()).map_err(|_| Malformed)?;
    }
    let announced = Announced::read(&head.headers).map_err(|_| Malformed)?;
    if announced.chunked || head.status == 101 || head.status >= 600 {
        return Err(Malformed);
    }
    let bodiless = head_request || head.status < 200 || matches!(head.status, 204 | 304);
    let framing = match announced.length {
        _ if bodiless => Framing::Empty,
        _ if ended => Framing::Empty,
        Some(0) => Framing::Empty,
        Some(length) => Framing::Length(length),
        None => Framing::Close,
    };
    // An answer that ended with its head has a body of no bytes.
    let length = announced.length.or((ended && !bodiless).then_some(0));
    Ok(Complete { bytes: 0, framing, length, keep_alive: true })
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::{Unsendable, answer, request_head};
    use crate::exchange::{Framing, Method, ResponseHead};
    use crate::headers::Headers;

    fn request(target: &str, fields: &[(&str, &str)], framing: Framing) -> Result<http::Request<()>, Unsendable> {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        request_head(&Method::Post, true, b"a.example:8443", target.as_bytes(), &headers, framing)
    }

    #[test]
    fn fields_of_one_connection_stay_here() {
        let fields = [("connection", "x"), ("te", "gzip"), ("host", "b"), ("X-Up", "1"), ("content-length", "9")];
        let made = request("/a?b=c", &fields, Framing::Length(3)).unwrap();
        assert_eq!(made.uri().to_string(), "https://a.example:8443/a?b=c");
        let seen: Vec<_> = made.headers().iter().map(|(n, v)| format!("{n}={}", v.to_str().unwrap())).collect();
        assert_eq!(seen, ["x-up=1", "content-length=3"]);
        assert_eq!(request("/", &[], Framing::Empty).unwrap().headers()["content-length"], "0");
        assert!(request("/", &[], Framing::Chunked).unwrap().headers().is_empty());
    }

    #[test]
    fn every_byte_of_a_target_arrives_or_the_request_does_not() {
        let mut refused = String::new();
        for byte in (0x21..0x7f_u8).filter(|b| !b"#?".contains(b)) {
            for target in [format!("/{}", byte as char), format!("/?{}", byte as char)] {
                match request(&target, &[], Framing::Empty) {
                    Ok(made) => assert_eq!(made.uri().path_and_query().unwrap().as_str(), target),
                    Err(Unsendable) => refused.push_str(&target),
                }
            }
        }
        assert_eq!(refused, "/?\"/</?</>/?>/`");
    }

    fn read(status: u16, fields: &[(&str, &str)], ended: bool, head_request: bool) -> Option<(Framing, Option<u64>)> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let response = response.body(()).unwrap();
        answer(&response, ended, head_request, &mut ResponseHead::default()).ok().map(|c| (c.framing, c.length))
    }

    #[test]
    fn answers() {
        assert_eq!(read(200, &[("content-length", "3")], false, false), Some((Framing::Length(3), Some(3))));
        assert_eq!(read(200, &[("content-length", "3")], true, true), Some((Framing::Empty, Some(3))));
        assert_eq!(read(200, &[], false, false), Some((Framing::Close, None)));
        assert_eq!(read(200, &[], true, false), Some((Framing::Empty, Some(0))));
        assert_eq!(read(304, &[("content-length", "3")], true, false), Some((Framing::Empty, Some(3))));
        assert_eq!(read(204, &[], true, false), Some((Framing::Empty, None)));
        for fields in [
            &[("content-length", "1"), ("content-length", "1")][..],
            &[("content-length", "+1")],
            &[("content_length", "1")],
            &[("transfer-encoding", "chunked")],
            &[("x", "y ")],
        ] {
            assert_eq!(read(200, fields, false, false), None, "{fields:?}");
        }
        assert_eq!(read(101, &[], false, false), None);
        assert_eq!(read(600, &[], false, false), None);
        let many: Vec<_> = (0..300).map(|n| format!("x-{n}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "1")).collect();
        assert_eq!(read(200, &many, false, false), None);
        let long = "a".repeat(70_000);
        assert_eq!(read(200, &[("x", &long)], false, false), None);
    }
}
