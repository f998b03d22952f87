//! Sessions without sockets: windows, bounds, frames in pieces, and the same reading of requests as the h2 library has.

use std::io::IoSlice;
use std::task::Poll;

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::frame::{self, Code, HEAD, Head, PREFACE, flag, kind};
use super::head::{Fault, Read};
use super::hpack::{Encoder, Indexing};
use super::session::{CONNECTION_WINDOW, ROOM, STREAM_WINDOW, Session};
use crate::exchange::RequestHead;
use crate::http1::request::HeadLimits;
use crate::reason::Reason;

pub(super) const LIMITS: HeadLimits = HeadLimits { line: 8192, bytes: 32_768, fields: 100 };
/// GET https://a/, by indexes.
pub(super) const GET: &[u8] = b"\x82\x87\x84\x41\x01a";
pub(super) const POST: &[u8] = b"\x83\x87\x84\x41\x01a";

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, kind, flags, stream, payload);
    out
}

pub(super) fn hello() -> Vec<u8> {
    [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat()
}

pub(super) fn begun() -> Session {
    let mut session = Session::new(LIMITS, 100, true, || 0);
    session.read(&hello()).unwrap();
    session.out.clear();
    session
}

/// The frames that stand in `out`, which is emptied.
pub(super) fn written(session: &mut Session) -> Vec<(Head, Vec<u8>)> {
    let mut frames = Vec::new();
    let out = std::mem::take(&mut session.out);
    let mut rest = out.as_slice();
    while let Some(head) = Head::read(rest) {
        frames.push((head, rest[HEAD..HEAD + head.length].to_vec()));
        rest = &rest[HEAD + head.length..];
    }
    assert!(rest.is_empty());
    frames
}

pub(super) fn request(session: &mut Session, id: u32, block: &[u8], ends: bool) -> (usize, u32) {
    let flags = flag::END_HEADERS | if ends { flag::END_STREAM } else { 0 };
    session.read(&frame(kind::HEADERS, flags, id, block)).unwrap();
    let at = session.next_ready().unwrap();
    let (key, incoming) = session.begin(at).unwrap();
    session.give_head(incoming.head);
    key
}

pub(super) fn answer(session: &mut Session, key: (usize, u32)) {
    session.head(key, false, |encoder, out| encoder.status(200, out)).unwrap();
}

#[test]
fn answers_keep_to_both_windows_and_to_the_room() {
    let mut session = begun();
    let key = request(&mut session, 1, GET, true);
    answer(&mut session, key);
    let body = vec![b'x'; 200_000];
    let write = |session: &mut Session, key| session.write(key, &[IoSlice::new(&body[..7]), IoSlice::new(&body[7..])], None);
    // The client's windows are those of the protocol.
    assert_eq!(write(&mut session, key), Poll::Ready(Ok((65_535, false))));
    assert_eq!(write(&mut session, key), Poll::Pending);
    let sizes: Vec<_> = written(&mut session).iter().skip(1).map(|(head, _)| head.length).collect();
    assert_eq!(sizes, [16_384, 16_384, 16_384, 16_383]);
    session.read(&frame(kind::WINDOW_UPDATE, 0, 1, &1_000_000_u32.to_be_bytes())).unwrap();
    assert_eq!(session.next_ready(), Some(0));
    assert_eq!(write(&mut session, key), Poll::Pending, "the connection's window");
    assert!(session.next_ready().is_none());
    session.read(&frame(kind::WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes())).unwrap();
    assert_eq!(session.next_ready(), Some(0));
    assert_eq!(write(&mut session, key), Poll::Ready(Ok((ROOM, false))));
    let other = request(&mut session, 3, GET, true);
    answer(&mut session, other);
    // Who has taken the room waits behind others.
    assert_eq!(write(&mut session, other), Poll::Pending);
    assert_eq!(write(&mut session, key), Poll::Pending);
    assert!(session.next_ready().is_none());
    session.out.clear();
    assert_eq!(session.next_ready(), Some(other.0));
    assert!(matches!(write(&mut session, other), Poll::Ready(Ok(_))));
    assert!(session.next_ready().is_none());
    session.out.clear();
    assert_eq!(session.next_ready(), Some(key.0));
}

#[test]
fn the_last_byte_ends_the_stream_and_windows_may_shrink_below_nothing() {
    let mut session = begun();
    let key = request(&mut session, 1, GET, true);
    answer(&mut session, key);
    assert_eq!(session.write(key, &[IoSlice::new(b"ab")], Some(4)), Poll::Ready(Ok((2, false))));
    session.read(&frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).unwrap();
    assert_eq!(session.write(key, &[IoSlice::new(b"cd")], Some(2)), Poll::Pending);
    session.read(&frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 3])).unwrap();
    assert_eq!(session.write(key, &[IoSlice::new(b"cd")], Some(2)), Poll::Ready(Ok((1, false))), "3 less the 2 sent before");
    session.read(&frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 3])).unwrap();
    assert_eq!(session.write(key, &[IoSlice::new(b"d")], Some(1)), Poll::Ready(Ok((1, true))));
    let last = written(&mut session).pop().unwrap();
    assert_eq!((last.0.flags, last.1.as_slice()), (flag::END_STREAM, &b"d"[..]));
    session.forget(key.0);
    assert_eq!((session.active(), session.open), (0, 0));
}

#[test]
fn bodies_are_bounded_by_windows_that_follow_the_reader() {
    let mut session = begun();
    let key = request(&mut session, 1, POST, false);
    let piece = frame(kind::DATA, 0, 1, &[b'x'; 16_384]);
    for _ in 0..STREAM_WINDOW / 16_384 {
        session.read(&piece).unwrap();
    }
    assert!(written(&mut session).is_empty(), "nobody has read");
    let mut sum = 0;
    let mut block = [0; 10_000];
    let mut read = |session: &mut Session| {
        let mut buf = tokio::io::ReadBuf::new(&mut block);
        match session.read_body(key, &mut buf) {
            Poll::Ready(Ok(())) => buf.filled().len(),
            _ => 0,
        }
    };
    for _ in 0..7 {
        sum += read(&mut session);
    }
    let updates: Vec<_> = written(&mut session).into_iter().map(|(head, payload)| (head.stream, payload)).collect();
    assert_eq!(sum, 70_000);
    assert_eq!(updates, [(1, 70_000_u32.to_be_bytes().to_vec())]);
    while read(&mut session) > 0 {}
    assert_eq!(written(&mut session).len(), 1, "the connection's window");
    // More than the window allows is a fault of the stream.
    for _ in 0..4 {
        session.read(&piece).unwrap();
    }
    let (head, payload) = {
        session.read(&piece).unwrap();
        written(&mut session).pop().unwrap()
    };
    assert_eq!((head.kind, payload), (kind::RST_STREAM, vec![0, 0, 0, Code::FlowControlError as u8]));
    assert!(session.is_gone(key));
}

#[test]
fn the_connections_window_is_a_bound_too_and_comes_back() {
    let mut session = begun();
    let keys: Vec<_> = (0..3).map(|number| request(&mut session, 1 + 2 * number, POST, false)).collect();
    let mut sent = 0;
    let mut failed = None;
    for round in 0..20 {
        let id = keys[round % 3].1;
        sent += 16_384;
        if let Err(code) = session.read(&frame(kind::DATA, 0, id, &[b'x'; 16_384])) {
            failed = Some(code);
            break;
        }
    }
    assert_eq!((failed, sent), (Some(Code::FlowControlError), CONNECTION_WINDOW + 16_384));
    // What is left unread of streams that end goes back.
    let mut session = begun();
    for id in (1..200).step_by(2) {
        let key = request(&mut session, id, POST, false);
        session.read(&frame(kind::DATA, 0, id, &[b'x'; 16_384])).unwrap();
        session.release(key, Code::Cancel);
        session.forget(key.0);
    }
}

#[test]
fn padding_and_late_bodies_go_back_to_the_window() {
    let mut session = begun();
    let key = request(&mut session, 1, POST, false);
    let mut padded = vec![255];
    padded.push(b'x');
    padded.extend_from_slice(&[0; 255]);
    for _ in 0..2_000 {
        session.read(&frame(kind::DATA, flag::PADDED, 1, &padded)).unwrap();
        session.out.clear();
    }
    session.release(key, Code::Cancel);
    session.forget(key.0);
    for _ in 0..100 {
        session.read(&frame(kind::DATA, 0, 1, &[b'x'; 16_384])).unwrap();
        session.out.clear();
    }
    assert_eq!(session.read(&frame(kind::DATA, flag::PADDED, 1, &[5, 0, 0])), Err(Code::ProtocolError));
}

#[test]
fn faults_and_frames_that_ask_for_nothing_run_out() {
    // The client's first SETTINGS have been paid for.
    let flood = |block: &dyn Fn(u32) -> Vec<u8>| {
        let mut session = begun();
        (0..20_000).find_map(|number| {
            session.out.clear();
            let failed = session.read(&block(number)).err().map(|code| (number, code));
            while let Some(at) = session.next_ready() {
                session.forget(at);
            }
            failed
        })
    };
    let head = |number: u32| frame(kind::HEADERS, 5, 2 * number + 1, GET);
    let calm = Code::EnhanceYourCalm;
    assert_eq!(flood(&|number| [head(number), frame(kind::RST_STREAM, 0, 2 * number + 1, &[0; 4])].concat()), Some((198, calm)));
    assert_eq!(
        flood(&|number| [head(number), frame(kind::WINDOW_UPDATE, 0, 2 * number + 1, &[0; 4])].concat()),
        Some((100, calm))
    );
    assert_eq!(flood(&|number| frame(kind::HEADERS, 5, 2 * number + 1, b"\x82")), Some((100, calm)), "malformed");
    assert_eq!(flood(&|_| frame(kind::PING, 0, 0, &[0; 8])), Some((495, calm)));
    assert_eq!(flood(&|_| frame(kind::SETTINGS, 0, 0, &[])), Some((99, calm)));
    let blocks = |number| if number == 0 { frame(kind::HEADERS, 1, 1, GET) } else { frame(kind::CONTINUATION, 0, 1, &[0; 1000]) };
    assert!(flood(&blocks).is_some_and(|(number, code)| number < 60 && code == calm));
}

#[test]
fn resets_before_a_slot_has_begun_leave_nothing() {
    let mut session = begun();
    session.read(&frame(kind::HEADERS, 5, 1, GET)).unwrap();
    session.read(&frame(kind::RST_STREAM, 0, 1, &[0; 4])).unwrap();
    assert_eq!((session.next_ready(), session.active(), session.open), (None, 0, 0));
}

#[test]
fn nothing_may_come_on_a_stream_that_the_client_has_reset() {
    // RFC 9113 section 5.1: also while our side runs, and where we had reset it before.
    let late = [frame(kind::DATA, 0, 1, b"x"), frame(kind::HEADERS, 5, 1, GET)];
    for (frame_too_late, ours_first) in late.iter().flat_map(|late| [(late, false), (late, true)]) {
        let mut session = begun();
        let (at, _) = request(&mut session, 1, POST, false);
        if ours_first {
            session.fault(1, Code::Cancel).unwrap();
            session.forget(at);
            session.read(frame_too_late).unwrap();
            assert_eq!(written(&mut session).len(), 1, "what was on its way is ignored");
        }
        session.read(&frame(kind::RST_STREAM, 0, 1, &[0; 4])).unwrap();
        session.out.clear();
        session.read(frame_too_late).unwrap();
        let (head, code) = written(&mut session).pop().unwrap();
        assert_eq!((head.kind, head.stream, code), (kind::RST_STREAM, 1, vec![0, 0, 0, 5]), "STREAM_CLOSED; {ours_first}");
    }
}

#[test]
fn more_streams_than_allowed_are_refused_and_may_come_again() {
    let mut session = Session::new(LIMITS, 2, true, || 0);
    session.read(&hello()).unwrap();
    let keys: Vec<_> = [1, 3].into_iter().map(|id| request(&mut session, id, GET, true)).collect();
    session.out.clear();
    session.read(&frame(kind::HEADERS, 5, 5, GET)).unwrap();
    assert_eq!(written(&mut session)[0].1, [0, 0, 0, Code::RefusedStream as u8]);
    answer(&mut session, keys[0]);
    session.finish(keys[0], None).unwrap();
    session.forget(keys[0].0);
    request(&mut session, 7, GET, true);
}

#[test]
fn the_last_stream_is_named_once_the_client_knows() {
    let mut session = begun();
    session.leave();
    let frames = written(&mut session);
    assert_eq!((frames[0].0.kind, &frames[0].1[..4]), (kind::GOAWAY, &[0x7f, 255, 255, 255][..]));
    let key = request(&mut session, 1, GET, true);
    session.read(&frame(kind::PING, flag::ACK, 0, &frames[1].1)).unwrap();
    assert_eq!(&written(&mut session)[0].1[..4], [0, 0, 0, 1]);
    session.read(&frame(kind::HEADERS, 5, 3, GET)).unwrap();
    assert_eq!(written(&mut session)[0].0.kind, kind::RST_STREAM);
    assert!(!session.has_ended());
    session.finish(key, None).unwrap();
    session.forget(key.0);
    assert!(session.has_ended());
}

#[test]
fn a_long_head_is_continued() {
    let mut session = begun();
    let key = request(&mut session, 1, GET, true);
    let value = "x".repeat(40_000);
    session.head(key, true, |encoder, out| encoder.field(b"x", value.as_bytes(), Indexing::No, out)).unwrap();
    let frames = written(&mut session);
    let seen: Vec<_> = frames.iter().map(|(head, _)| (head.kind, head.flags, head.length <= 16_384)).collect();
    assert_eq!(seen, [(1, 1, true), (9, 0, true), (9, 4, true)]);
    assert_eq!(frames.iter().map(|frame| frame.1.len()).sum::<usize>(), 40_000 + 7);
}

/// All that reading has led to: the code of an error, what is to be written, the requests and how far bodies came.
type Outcome = (Option<Code>, Vec<u8>, Vec<(u32, String, usize)>);

fn outcome(data: &[u8], step: usize) -> Outcome {
    let mut session = Session::new(LIMITS, 100, true, || 0);
    let mut held = Vec::new();
    let mut failed = None;
    let mut seen = Vec::new();
    for piece in data.chunks(step) {
        held.extend_from_slice(piece);
        match session.read(&held) {
            Ok(count) => drop(held.drain(..count)),
            Err(code) => {
                failed = Some(code);
                break;
            }
        }
    }
    while let Some(at) = session.next_ready() {
        if let Some((key, incoming)) = session.begin(at) {
            seen.push((key.1, format!("{:?} {:?}", incoming.read, incoming.head), 0));
            if let Poll::Ready(Some(count)) = session.drop_body(key) {
                seen.last_mut().unwrap().2 = count;
            }
        }
    }
    seen.sort();
    (failed, session.out.clone(), seen)
}

#[test]
fn fuzzed_frames_mean_the_same_however_they_arrive() {
    let mut seed = hello();
    for (kind, flags, stream, payload) in [
        (kind::HEADERS, 4, 1, POST),
        (kind::DATA, 8, 1, &b"\x020123456789\0\0"[..]),
        (kind::DATA, 1, 1, b"0123456789"),
        (kind::HEADERS, 1, 3, &GET[..3]),
        (kind::CONTINUATION, 4, 3, &GET[3..]),
        (kind::PING, 0, 0, &[0; 8]),
        (kind::WINDOW_UPDATE, 0, 3, &[0, 0, 0, 9]),
        (kind::RST_STREAM, 0, 3, &[0; 4]),
        (kind::HEADERS, 0x2d, 5, b"\x01\0\0\0\0\x05\x82\x87\x84\x41\x01a\0"),
    ] {
        seed.extend(frame(kind, flags, stream, payload));
    }
    let words: Vec<Vec<u8>> = vec![
        frame(kind::RST_STREAM, 0, 1, &[0; 4]),
        frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]),
        frame(kind::DATA, 0, 1, b""),
        frame(kind::HEADERS, 5, 7, GET),
        frame(kind::HEADERS, 5, 1, b"\0\x01a\x01b"),
    ];
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    crate::fuzz::run("http2_frames", &[&seed], &words, |data| {
        let whole = outcome(data, usize::MAX);
        assert_eq!(whole, outcome(data, 3));
        assert!(whole.1.len() < 1000 + data.len() * 4);
        data.len() > 60 && whole.2.len() > 1
    });
}

/// What our reading of one request comes to.
fn ours(block: &[u8]) -> (Result<Read, Fault>, RequestHead) {
    let mut session = begun();
    let mut parts = block.chunks(16_000);
    session.read(&frame(kind::HEADERS, flag::END_STREAM, 1, parts.next().unwrap_or_default())).unwrap();
    for part in parts {
        session.read(&frame(kind::CONTINUATION, 0, 1, part)).unwrap();
    }
    session.read(&frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[])).unwrap();
    let at = session.next_ready().unwrap();
    let (_, incoming) = session.begin(at).unwrap();
    (incoming.read, incoming.head)
}

/// Method, target, authority, fields.
type Request = (String, String, Option<String>, Vec<(String, Vec<u8>)>);

/// What the h2 library's reading comes to.
fn theirs(block: &[u8]) -> Option<Request> {
    let bytes = [hello(), frame(kind::HEADERS, 5, 1, block)].concat();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(&bytes).await.unwrap();
        let mut connection = h2::server::handshake(server).await.ok()?;
        // What it refuses it never gives out.
        let accepted = tokio::time::timeout(std::time::Duration::from_secs(10), connection.accept()).await;
        let (request, _) = accepted.ok()??.ok()?;
        let (parts, _) = request.into_parts();
        let mut fields: Vec<_> =
            parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
        fields.sort();
        let target = parts.uri.path_and_query().map_or(String::new(), |target| target.as_str().to_owned());
        Some((parts.method.to_string(), target, parts.uri.authority().map(|authority| authority.as_str().to_owned()), fields))
    })
}

pub(super) fn block(fields: &[(String, String)]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::default(), Vec::new());
    for (name, value) in fields {
        encoder.field(name.as_bytes(), value.as_bytes(), Indexing::Yes, &mut out);
    }
    out
}

pub(super) fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn agree(fields: &[(String, String)]) -> Result<bool, TestCaseError> {
    let block = block(fields);
    let (read, head) = ours(&block);
    if read.is_err() {
        return Ok(false);
    }
    // Whatever we take, the library takes, and as the same.
    let Some((method, target, authority, mut fields)) = theirs(&block) else {
        return Err(TestCaseError::fail("the library refuses it"));
    };
    prop_assert_eq!(head.method.as_str(), method);
    prop_assert_eq!(String::from_utf8_lossy(&head.target), target);
    let mut mine: Vec<_> =
        head.headers.iter().map(|(_, name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect();
    mine.sort();
    let cookies: Vec<_> = fields.iter().filter(|field| field.0 == "cookie").map(|field| field.1.clone()).collect();
    if let Some(authority) = authority {
        fields.retain(|field| field.0 != "host");
        fields.push(("host".to_owned(), authority.into_bytes()));
    }
    if cookies.len() > 1 {
        fields.retain(|field| field.0 != "cookie");
        mine.retain(|field| field.0 != "cookie");
    }
    fields.sort();
    prop_assert_eq!(mine, fields);
    Ok(true)
}

#[test]
fn ordinary_requests_are_read_as_the_library_reads_them() {
    let base = [(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/b?c=d")];
    let with = |more: &[(&str, &str)]| pairs(&[&base[..], more].concat());
    for more in [&[][..], &[("x", "y"), ("te", "trailers"), ("cookie", "a=b")], &[("host", "A.example")]] {
        assert!(agree(&with(more)).unwrap(), "{more:?}");
    }
    let refused = |fields: &[(String, String)]| ours(&block(fields)).0.unwrap_err();
    for more in [
        &[("X", "y")][..],
        &[("te", "gzip")],
        &[("connection", "close")],
        &[("proxy-connection", "close")],
        &[("keep-alive", "1")],
        &[("upgrade", "websocket")],
        &[("transfer-encoding", "chunked")],
        &[("x", " y")],
        &[("x", "a\nb")],
        &[("a b", "")],
        &[("", "")],
        &[(":status", "200")],
        &[(":protocol", "websocket")],
        &[(":path", "/twice")],
        &[("x", "y"), (":extra", "z")],
        &[("content-length", "1")],
        &[("content-length", "0"), ("content-length", "0")],
        &[("content_length", "0")],
    ] {
        assert_eq!(refused(&with(more)), Fault::Malformed, "{more:?}");
    }
    for missing in [0, 1, 3] {
        let mut fields = pairs(&base);
        fields.remove(missing);
        assert_eq!(refused(&fields), Fault::Malformed, "{missing}");
    }
    for (name, value) in [
        (":path", ""),
        (":path", "/a b"),
        (":path", "/a#b"),
        (":path", "/<"),
        (":scheme", "http"),
        (":method", "G T"),
        (":method", "CONNECT"),
    ] {
        let fields: Vec<_> = base.iter().map(|field| if field.0 == name { (name, value) } else { *field }).collect();
        assert_eq!(refused(&pairs(&fields)), Fault::Malformed, "{name}: {value}");
    }
    assert_eq!(refused(&with(&[("host", "b.example")])), Reason::HostInvalid.into());
    assert_eq!(refused(&with(&[("expect", "200-ok")])), Reason::ExpectationFailed.into());
    assert_eq!(refused(&with(&[("cookie", "a=1"); 101])), Reason::HeadersTooLarge.into(), "every crumb counts");
    let large = "x".repeat(20_000);
    assert_eq!(refused(&with(&[("x", &large), ("y", &large)])), Reason::HeadersTooLarge.into());
    let long = format!("/{}", "x".repeat(8_192));
    let fields: Vec<_> = base.iter().map(|field| if field.0 == ":path" { (":path", long.as_str()) } else { *field }).collect();
    assert_eq!(refused(&pairs(&fields)), Reason::RequestLineTooLong.into());
    let mut fields = pairs(&base);
    fields.remove(2);
    assert_eq!(refused(&fields), Reason::HostInvalid.into());
    assert!(agree(&[fields, pairs(&[("host", "a")])].concat()).unwrap());
    let crumbs = ours(&block(&with(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]))).1;
    assert_eq!(crumbs.headers.get(crate::headers::Known::Cookie), Some(&b"a=1; b=2"[..]));
}

fn field() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        4 => "[a-z][a-z0-9-]{0,8}",
        1 => Just("te".to_owned()),
        1 => Just("host".to_owned()),
        1 => Just("cookie".to_owned()),
        1 => Just("content-length".to_owned()),
        1 => Just("connection".to_owned()),
        1 => "[ -~]{1,6}",
        1 => ":[a-z]{1,8}",
    ];
    (name, prop_oneof!["[a-z0-9=/.]{0,12}", "[ -~]{0,12}", Just("a.example".to_owned()), Just("0".to_owned())])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn what_is_taken_is_what_the_library_takes(
        method in "GET|POST|[A-Z]{1,6}",
        path in "/[!$-;=?-_a-~]{0,12}",
        authority in "[a-z.]{1,8}(:80)?",
        more in prop::collection::vec(field(), 0..5),
        swap in 0..20usize,
    ) {
        let mut fields = pairs(&[(":method", &method), (":scheme", "https"), (":authority", &authority), (":path", &path)]);
        fields.extend(more);
        let length = fields.len();
        if swap < 6 {
            fields.swap(swap % length, length - 1);
        }
        agree(&fields)?;
    }
}
