//! Requests: what is accepted, what is refused, and that it does not matter how the bytes arrive.

use proptest::prelude::*;

use super::super::request::{HeadLimits, RequestParser};
use super::{End, LIMITS, empty_head, read_all};
use crate::exchange::{Framing, Version};
use crate::reason::Reason;

fn end_of(text: &[u8]) -> End {
    read_all([text]).1
}

/// With `{}` replaced by the given fields.
fn with_fields(fields: &str) -> Vec<u8> {
    format!("POST /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n").into_bytes()
}

#[test]
fn plain_requests_are_read() {
    let (messages, end) = read_all([&b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nX-Y:  z \t\r\nEmpty:\r\n\r\n"[..]]);
    assert_eq!(end, End::Clean);
    assert_eq!(messages[0].target, "/a?b=c");
    assert_eq!(
        messages[0].fields,
        [("host".into(), b"example.com".to_vec()), ("x-y".into(), b"z".to_vec()), ("empty".into(), Vec::new()),]
    );
}

#[test]
fn pipelined_requests_are_read_in_order() {
    let text = b"POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcPOST /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n\
        2\r\nde\r\n00A\r\n0123456789\r\n0\r\nx: y\r\n\r\n\r\nGET /3 HTTP/1.0\r\nhost: a\r\n\r\n";
    let (messages, end) = read_all([&text[..]]);
    assert_eq!(end, End::Close);
    let seen: Vec<_> = messages.iter().map(|m| (m.target.as_str(), m.body.as_slice())).collect();
    assert_eq!(seen, [("/1", &b"abc"[..]), ("/2", b"de0123456789"), ("/3", b"")]);
    assert!(messages.iter().all(|m| m.fields.iter().all(|(name, _)| name != "x")), "trailers set no field");
}

#[test]
fn request_lines_have_one_form() {
    for (line, reason) in [
        ("GET  / HTTP/1.1", Reason::MalformedRequest),
        ("GET / HTTP/1.1 ", Reason::MalformedRequest),
        (" GET / HTTP/1.1", Reason::MalformedRequest),
        ("GET\t/ HTTP/1.1", Reason::MalformedRequest),
        ("GET /", Reason::MalformedRequest),
        ("GET / http/1.1", Reason::MalformedRequest),
        ("GET / HTTP/1.1\rX", Reason::MalformedRequest),
        ("GET /\x01 HTTP/1.1", Reason::MalformedRequest),
        ("GET /\u{e9} HTTP/1.1", Reason::MalformedRequest),
        ("G@T / HTTP/1.1", Reason::MalformedRequest),
        ("GET / HTTP/1.2", Reason::HttpVersionUnsupported),
        ("GET / HTTP/0.9", Reason::HttpVersionUnsupported),
        ("GET / HTTP/2.0", Reason::HttpVersionUnsupported),
        ("GET / HTTP/11", Reason::MalformedRequest),
    ] {
        assert_eq!(end_of(format!("{line}\r\nhost: a\r\n\r\n").as_bytes()), End::Fault(reason), "{line:?}");
    }
    assert_eq!(end_of(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), End::Fault(Reason::HttpVersionUnsupported));
    assert_eq!(end_of(b"\x16\x03\x01\x02\x00\x01\x00"), End::Fault(Reason::MalformedRequest));
    assert_eq!(end_of(b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"), End::Clean);
    assert_eq!(end_of(b"\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"), End::Fault(Reason::MalformedRequest));
}

#[test]
fn lines_end_in_crlf() {
    for text in [
        &b"GET / HTTP/1.1\nhost: a\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nhost: a\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n\n",
        b"GET / HTTP/1.1\r\nhost: a\rb: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n\tb: c\r\n\r\n",
        b"GET / HTTP/1.1\r\n host: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nnothing\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: \x1b[1m\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: \x7f\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx(y): z\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx\xe9: z\r\n\r\n",
    ] {
        assert_eq!(end_of(text), End::Fault(Reason::MalformedRequest), "{:?}", String::from_utf8_lossy(text));
    }
}

#[test]
fn a_body_has_one_length() {
    for fields in [
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 1, 1",
        "Content-Length: +1",
        "Content-Length: -1",
        "Content-Length: 0x1",
        "Content-Length: 1 ;",
        "Content-Length:",
        "Content-Length: 1 1",
        "Content-Length: 9223372036854775809",
        "Content-Length: 99999999999999999999",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding:",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer_Encoding: chunked",
        "Content.Length: 1",
    ] {
        assert_eq!(end_of(&with_fields(fields)), End::Fault(Reason::MalformedRequest), "{fields:?}");
    }
    assert_eq!(
        end_of(b"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        End::Fault(Reason::MalformedRequest)
    );
    assert_eq!(end_of(&with_fields("Transfer-Encoding: \t CHUNKED ")), End::Clean);
}

#[test]
fn chunks_have_one_form() {
    for chunks in [
        "1;a=b\r\nx\r\n0\r\n\r\n",
        "1 \r\nx\r\n0\r\n\r\n",
        " 1\r\nx\r\n0\r\n\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        "0x1\r\nx\r\n0\r\n\r\n",
        "1\nx\r\n0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "1\r\nxy\r\n0\r\n\r\n",
        "\r\nx\r\n0\r\n\r\n",
        "00000000000000001\r\nx\r\n0\r\n\r\n",
        "1\r\nx\r\n0\r\n\n",
        "1\r\nx\r\n0\n\r\n",
        "1\rx\r\n0\r\n\r\n",
        "1\r\nx\r\n0\r\nbad\r\n\r\n",
        "1\r\nx\r\n0\r\na: b\0\r\n\r\n",
        "1\r\nx\r\n0\r\n a: b\r\n\r\n",
        "g\r\n",
        "0;x\r\n\r\n",
        "0\r\nContent-Length: 1\r\n\r\n",
        "0\r\nTransfer_Encoding: chunked\r\n\r\n",
    ] {
        let text = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
        assert_eq!(end_of(text.as_bytes()), End::Fault(Reason::BodyMalformed), "{chunks:?}");
    }
    let long = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n{}\r\n", "a: b\r\n".repeat(2000));
    assert_eq!(end_of(long.as_bytes()), End::Fault(Reason::BodyMalformed));
}

#[test]
fn exactly_one_host() {
    assert_eq!(end_of(b"GET / HTTP/1.1\r\n\r\n"), End::Fault(Reason::HostInvalid));
    assert_eq!(end_of(b"GET / HTTP/1.0\r\n\r\n"), End::Fault(Reason::HostInvalid));
    assert_eq!(end_of(b"GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n"), End::Fault(Reason::HostInvalid));
}

#[test]
fn expectations() {
    let read = |expect: &str, version: &str| {
        let text = format!("POST / {version}\r\nhost: a\r\ncontent-length: 1\r\nexpect: {expect}\r\n\r\n");
        let mut head = empty_head();
        RequestParser::default().advance(text.as_bytes(), &mut head, &LIMITS).map(|c| c.unwrap().expect_continue)
    };
    assert_eq!(read("100-Continue", "HTTP/1.1"), Ok(true));
    assert_eq!(read("100-continue", "HTTP/1.0"), Ok(false));
    assert_eq!(read("tea", "HTTP/1.1"), Err(Reason::ExpectationFailed));
}

#[test]
fn sizes_are_bounded() {
    let limits = HeadLimits { line: 40, bytes: 200, fields: 3 };
    let read = |text: &str| RequestParser::default().advance(text.as_bytes(), &mut empty_head(), &limits).map(|c| c.is_some());
    assert_eq!(read(&format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(26))), Ok(true));
    assert_eq!(read(&format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(27))), Err(Reason::RequestLineTooLong));
    assert_eq!(read(&"a".repeat(42)), Err(Reason::RequestLineTooLong));
    assert_eq!(read("GET / HTTP/1.1\r\nhost: a\r\nb: c\r\nd: e\r\n\r\n"), Ok(true));
    assert_eq!(read("GET / HTTP/1.1\r\nhost: a\r\nb: c\r\nd: e\r\nf: g\r\n\r\n"), Err(Reason::HeadersTooLarge));
    assert_eq!(read(&format!("GET / HTTP/1.1\r\nhost: a\r\nb: {}", "c".repeat(200))), Err(Reason::HeadersTooLarge));
    assert_eq!(read(&format!("GET / HTTP/1.1\r\nhost: a\r\nb: {}\r\n\r\n", "c".repeat(200))), Err(Reason::HeadersTooLarge));
}

#[test]
fn versions_and_framing() {
    let read = |text: &str| {
        let mut head = empty_head();
        let complete = RequestParser::default().advance(text.as_bytes(), &mut head, &LIMITS).unwrap().unwrap();
        (head.version, head.framing, complete.close)
    };
    assert_eq!(read("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), (Version::Http11, Framing::Empty, false));
    assert_eq!(read("GET / HTTP/1.1\r\nhost: a\r\nconnection: x, Close\r\n\r\n"), (Version::Http11, Framing::Empty, true));
    assert_eq!(read("GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n"), (Version::Http10, Framing::Empty, true));
    assert_eq!(read("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"), (Version::Http11, Framing::Empty, false));
    assert_eq!(
        read("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 9223372036854775808\r\n\r\n"),
        (Version::Http11, Framing::Length(1 << 63), false)
    );
}

/// A stream of requests with every framing, some of them faulty.
pub(super) fn streams() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        Just(String::from("\r\n")),
        "[a-z]{1,40}".prop_map(|b| format!("content-length: {}\r\n\r\n{b}", b.len())),
        prop::collection::vec("[a-z\r\n]{1,20}", 0..4).prop_map(|chunks| {
            let chunks: String = chunks.iter().map(|c| format!("{:x}\r\n{c}\r\n", c.len())).collect();
            format!("transfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
        }),
        prop::collection::vec("[a-z]{1,20}", 1..3).prop_map(|chunks| {
            let chunks: String = chunks.iter().map(|c| format!("{:X}\r\n{c}\r\n", c.len())).collect();
            format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\nx-trailer: y\r\n\r\n")
        }),
    ];
    let request =
        ("(GET|POST|PUT|X-Y)", "/[a-z0-9?=/%.]{0,12}", prop::collection::vec(("x-[A-Za-z_.]{1,6}", "[ -~]{0,12}"), 0..4), body);
    prop::collection::vec(request, 1..4).prop_map(|requests| {
        let mut out = String::new();
        for (method, target, fields, body) in requests {
            out.push_str(&format!("{method} {target} HTTP/1.1\r\nHost: example.com\r\n"));
            for (name, value) in fields {
                out.push_str(&format!("{name}: {value}\r\n"));
            }
            out.push_str(&body);
        }
        out.into_bytes()
    })
}

/// A stream with some bytes changed, removed or doubled.
pub(super) fn damaged() -> impl Strategy<Value = Vec<u8>> {
    const BYTES: &[u8] = b"\r\n\t\0 :;,+-0129afGZ\x7f\x80";
    let change = (any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(BYTES));
    (streams(), prop::collection::vec(change, 0..4)).prop_map(|(mut text, changes)| {
        for (at, kind, byte) in changes {
            if text.is_empty() {
                break;
            }
            let at = at.index(text.len());
            match kind {
                0 => text[at] = byte,
                1 => {
                    text.remove(at);
                }
                _ => text.insert(at, byte),
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn arrival_does_not_matter(text in damaged(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let whole = read_all([text.as_slice()]);
        prop_assert_eq!(&read_all(text.chunks(1)), &whole);
        let mut cuts: Vec<_> = cuts.iter().map(|c| c.index(text.len() + 1)).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        let mut from = 0;
        let parts: Vec<_> = cuts.into_iter().map(|to| { let part = &text[from..to]; from = to; part }).collect();
        prop_assert_eq!(&read_all(parts), &whole);
    }

    #[test]
    fn any_bytes_are_survived(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_all([text.as_slice()]);
        let _ = read_all(text.chunks(3));
    }
}
