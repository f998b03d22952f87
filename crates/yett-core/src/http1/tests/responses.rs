//! Answers of services: what is accepted and how their bodies end.

use proptest::prelude::*;

use super::super::Malformed;
use super::super::response::{Complete, parse};
use crate::exchange::{Framing, ResponseHead};

fn read(text: &[u8], head_request: bool) -> Result<Option<(u16, Complete)>, Malformed> {
    let mut head = ResponseHead::default();
    Ok(parse(text, &mut 0, head_request, &mut head)?.map(|complete| (head.status, complete)))
}

fn framing(text: &str) -> (Framing, bool) {
    let (_, complete) = read(text.as_bytes(), false).unwrap().unwrap();
    (complete.framing, complete.keep_alive)
}

#[test]
fn bodies_end_as_announced() {
    assert_eq!(framing("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"), (Framing::Length(5), true));
    assert_eq!(framing("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n"), (Framing::Empty, true));
    assert_eq!(framing("HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n"), (Framing::Chunked, true));
    assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n"), (Framing::Close, false));
    assert_eq!(framing("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n"), (Framing::Length(5), false));
    assert_eq!(framing("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n"), (Framing::Length(5), false));
    assert_eq!(framing("HTTP/1.1 204 No Content\r\n\r\n"), (Framing::Empty, true));
    assert_eq!(framing("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n"), (Framing::Empty, false));
    assert_eq!(framing("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"), (Framing::Empty, true));
    assert_eq!(framing("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"), (Framing::Empty, true));
    let (_, complete) = read(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", true).unwrap().unwrap();
    assert_eq!((complete.framing, complete.length), (Framing::Empty, Some(5)));
}

#[test]
fn faults_are_refused() {
    for text in [
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 099 X\r\n\r\n",
        "HTTP/1.1 600 X\r\n\r\n",
        "HTTP/1.1 2000 X\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 200 OK\nx: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: y\r\n z\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        assert_eq!(read(text.as_bytes(), false), Err(Malformed), "{text:?}");
    }
    assert_eq!(read(format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(70_000)).as_bytes(), false), Err(Malformed));
    assert_eq!(read(format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(300)).as_bytes(), false), Err(Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn arrival_does_not_matter(fields in "([a-z]{1,4}: ?[ -~]{0,6}\r?\n){0,3}", rest in "[a-z]{0,5}") {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n{rest}");
        let mut head = ResponseHead::default();
        let mut scanned = 0;
        let mut found = Ok(None);
        for end in 1..=text.len() {
            found = parse(&text.as_bytes()[..end], &mut scanned, false, &mut head).map(|c| c.map(|c| (head.status, c)));
            if found != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(found, read(text.as_bytes(), false));
    }

    #[test]
    fn any_bytes_are_survived(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&text, false);
        let with_line = [b"HTTP/1.1 200 OK\r\n".as_slice(), &text, b"\r\n\r\n"].concat();
        let _ = read(&with_line, true);
    }
}
