//! Fuzzing: framing against hyper, heads however they are cut, and what is written is what was read.

use super::oracle::{hyper_reads, sorted};
use super::{End, LIMITS, empty_head, read_all};
use crate::exchange::ResponseHead;
use crate::fuzz::run;
use crate::http1::request::RequestParser;
use crate::http1::{response, write};

const REQUESTS: [&[u8]; 5] = [
    b"GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: b\r\n\r\n",
    b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD * HTTP/1.0\r\nHost: a:80\r\nConnection: close, keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
];
const WORDS: [&[u8]; 16] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 03\r\n",
    b"0\r\n\r\n",
    b"3;a=b\r\nabc\r\n",
    b"Host: b\r\n",
    b" HTTP/1.1",
    b"Connection: close\r\n",
    b"identity",
    b", chunked",
    b"+3",
    b" ",
];

#[test]
fn framing() {
    run("framing", &REQUESTS, &WORDS, |data| {
        let (mut ours, end) = read_all([data]);
        let middle = data.len() / 2;
        assert_eq!(read_all([&data[..middle], &data[middle..]]), (ours.clone(), end), "cut in the middle");
        let bytes: Vec<&[u8]> = data.chunks(1).collect();
        assert_eq!(read_all(bytes), (ours.clone(), end), "byte by byte");
        // Other forms of targets are refused after the codec; hyper refuses some of them before.
        let origin_form = ours.iter().take_while(|m| m.is_origin_form()).count();
        ours.truncate(origin_form);
        let theirs = hyper_reads(data);
        assert!(theirs.len() >= ours.len(), "we read {ours:?}, hyper {theirs:?}");
        let far = !ours.is_empty();
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            assert_eq!(sorted(ours), sorted(theirs));
        }
        far || end == End::Incomplete
    });
}

#[test]
fn request_head() {
    run("request_head", &REQUESTS, &WORDS, |data| {
        let mut head = empty_head();
        let Ok(Some(complete)) = RequestParser::default().advance(data, &mut head, &LIMITS) else { return false };
        assert!(complete.bytes <= data.len());
        for cut in 0..=complete.bytes {
            let (mut parser, mut early) = (RequestParser::default(), empty_head());
            let read = parser.advance(&data[..cut], &mut early, &LIMITS).expect("a part of what is accepted is no fault");
            assert_eq!(read.is_some(), cut == complete.bytes, "{cut} of {} bytes", complete.bytes);
            let rest = if read.is_some() { read } else { parser.advance(data, &mut early, &LIMITS).expect("it goes on") };
            assert_eq!((rest, format!("{early:?}")), (Some(complete), format!("{head:?}")), "cut at {cut}");
        }
        let fields = |head: &crate::exchange::RequestHead| -> Vec<(Vec<u8>, Vec<u8>)> {
            head.headers.iter().filter(|f| !write::is_ours(f.0)).map(|(_, n, v)| (n.to_vec(), v.to_vec())).collect()
        };
        let kept = fields(&head);
        let mut out = Vec::new();
        write::request(&mut out, head.method.as_str(), &head.target, b"h", &head.headers, head.framing);
        let mut again = empty_head();
        let read = RequestParser::default().advance(&out, &mut again, &LIMITS);
        let complete = read.expect("what we write is valid").expect("and whole");
        assert_eq!(complete.bytes, out.len());
        assert_eq!((again.method.as_str(), &again.target, again.framing), (head.method.as_str(), &head.target, head.framing));
        assert_eq!(fields(&again), kept);
        true
    });
}

#[test]
fn response_head() {
    let seeds: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: x\r\n\r\nhello",
        b"HTTP/1.0 302 \r\nLocation: /a\r\nConnection: keep-alive\r\n\r\n",
        b"HTTP/1.1 204\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    run("response_head", &seeds, &WORDS, |data| {
        let mut head = ResponseHead::default();
        let whole = response::parse(data, &mut 0, false, &mut head);
        // However it arrives, it comes to the same; a fault may show earlier.
        let mut scanned = 0;
        let mut other = ResponseHead::default();
        let pieces = (0..=data.len()).find_map(|end| match response::parse(&data[..end], &mut scanned, false, &mut other) {
            Ok(None) => None,
            done => Some(done),
        });
        match (whole, pieces) {
            (Ok(Some(whole)), Some(Ok(Some(pieces)))) => {
                assert_eq!(whole, pieces);
                assert_eq!(head.status, other.status);
                assert!(whole.bytes <= data.len() && (100..600).contains(&head.status) && head.status != 101);
                true
            }
            (Ok(None), None) | (Err(_), Some(Err(_))) => false,
            (whole, pieces) => panic!("whole {whole:?}, in pieces {pieces:?}"),
        }
    });
}
