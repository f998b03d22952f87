//! What a client may try on one connection: every fault is answered as RFC 9113 says, and what it can make us hold is bounded.

use std::io::IoSlice;
use std::task::Poll;

use super::frame::{Code, HEAD, Head, PREFACE, flag, kind};
use super::head::Fault;
use super::hpack::{Encoder, Indexing};
use super::session::{CONNECTION_WINDOW, Session};
use super::session_tests::{GET, LIMITS, POST, answer, begun, block, frame, hello, pairs, request, written};
use crate::reason::Reason;

/// RST_STREAM with this code is all that was written.
fn reset(session: &mut Session, code: Code) {
    let frames: Vec<_> = written(session).into_iter().map(|(head, payload)| (head.kind, payload)).collect();
    assert_eq!(frames, [(kind::RST_STREAM, vec![0, 0, 0, code as u8])]);
}

fn update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

#[test]
fn frames_that_end_the_connection() {
    let open = || {
        let mut session = begun();
        request(&mut session, 3, POST, false);
        session
    };
    for (data, code, why) in [
        (frame(kind::PING, 0, 0, &[0; 7]), Code::FrameSizeError, "PING of 7 bytes"),
        (frame(kind::PING, 0, 1, &[0; 8]), Code::ProtocolError, "PING on a stream"),
        (frame(kind::SETTINGS, 0, 0, &[0; 5]), Code::FrameSizeError, "a part of a setting"),
        (frame(kind::SETTINGS, 0, 1, &[]), Code::ProtocolError, "SETTINGS on a stream"),
        (frame(kind::SETTINGS, 1, 0, &[0; 6]), Code::FrameSizeError, "an acknowledgement with settings"),
        (frame(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]), Code::FlowControlError, "a window of 2^31"),
        (frame(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff]), Code::ProtocolError, "a frame size below 16384"),
        (frame(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]), Code::ProtocolError, "ENABLE_PUSH of 2"),
        (frame(kind::RST_STREAM, 0, 3, &[0; 3]), Code::FrameSizeError, "RST_STREAM of 3 bytes"),
        (frame(kind::RST_STREAM, 0, 0, &[0; 4]), Code::ProtocolError, "RST_STREAM of the connection"),
        (frame(kind::RST_STREAM, 0, 5, &[0; 4]), Code::ProtocolError, "RST_STREAM of an idle stream"),
        (frame(kind::WINDOW_UPDATE, 0, 3, &[0; 3]), Code::FrameSizeError, "WINDOW_UPDATE of 3 bytes"),
        (update(0, 0), Code::ProtocolError, "nothing for the connection's window"),
        (update(5, 1), Code::ProtocolError, "WINDOW_UPDATE of an idle stream"),
        (update(0, 0x7fff_ffff), Code::FlowControlError, "the connection's window above 2^31-1"),
        (frame(kind::GOAWAY, 0, 0, &[0; 7]), Code::FrameSizeError, "GOAWAY of 7 bytes"),
        (frame(kind::GOAWAY, 0, 1, &[0; 8]), Code::ProtocolError, "GOAWAY on a stream"),
        (frame(kind::PRIORITY, 0, 0, &[0; 5]), Code::ProtocolError, "PRIORITY of the connection"),
        (frame(kind::PUSH_PROMISE, 4, 3, &[0; 8]), Code::ProtocolError, "a client that pushes"),
        (frame(kind::CONTINUATION, 4, 3, &[]), Code::ProtocolError, "CONTINUATION of nothing"),
        (frame(kind::HEADERS, 5, 4, GET), Code::ProtocolError, "an even number"),
        (frame(kind::HEADERS, 5, 0, GET), Code::ProtocolError, "HEADERS of the connection"),
        (frame(kind::HEADERS, 5, 1, GET), Code::ProtocolError, "a number that was skipped"),
        (frame(kind::HEADERS, 0xd, 5, &[9, 0x82]), Code::ProtocolError, "more padding than HEADERS"),
        (frame(kind::HEADERS, 0xd, 5, &[]), Code::ProtocolError, "no length of padding"),
        (frame(kind::HEADERS, 0x25, 5, &[0; 4]), Code::FrameSizeError, "a part of a priority"),
        (frame(kind::HEADERS, 5, 5, b"\xbf"), Code::CompressionError, "an index that stands for nothing"),
        (frame(kind::HEADERS, 5, 5, b"\x3f\xe2\x1f"), Code::CompressionError, "a table above what we allow"),
        (frame(kind::DATA, 0, 0, b"x"), Code::ProtocolError, "DATA of the connection"),
        (frame(kind::DATA, 0, 5, b"x"), Code::ProtocolError, "DATA of an idle stream"),
        (frame(kind::DATA, 8, 3, &[1]), Code::ProtocolError, "more padding than DATA"),
        (frame(kind::DATA, 8, 3, &[]), Code::ProtocolError, "no length of padding"),
        (frame(kind::DATA, 0, 3, &[0; 16_385]), Code::FrameSizeError, "a frame above 16384 bytes"),
        ([frame(kind::HEADERS, 1, 5, GET), frame(kind::PING, 0, 0, &[0; 8])].concat(), Code::ProtocolError, "inside a block"),
        ([frame(kind::HEADERS, 1, 5, GET), frame(99, 0, 0, &[])].concat(), Code::ProtocolError, "unknown, inside a block"),
        ([frame(kind::HEADERS, 1, 5, GET), frame(kind::CONTINUATION, 4, 7, &[])].concat(), Code::ProtocolError, "of another"),
    ] {
        assert_eq!(open().read(&data), Err(code), "{why}");
    }
    for first in [frame(kind::SETTINGS, flag::ACK, 0, &[]), frame(kind::PING, 0, 0, &[0; 8]), frame(kind::HEADERS, 5, 1, GET)] {
        let mut session = Session::new(LIMITS, 100, true, || 0);
        assert_eq!(session.read(&[PREFACE, &first].concat()), Err(Code::ProtocolError), "{first:?}");
    }
    assert_eq!(Session::new(LIMITS, 100, true, || 0).read(b"PRI * HTTP/2.0\r\n\r\nXX"), Err(Code::ProtocolError));
}

#[test]
fn nothing_counts_after_a_fault() {
    let mut session = begun();
    assert_eq!(session.read(&frame(kind::HEADERS, 5, 1, b"\xbf")), Err(Code::CompressionError));
    session.end(Code::CompressionError);
    session.out.clear();
    // Of headers that are out of step, too.
    let more = [frame(kind::HEADERS, 5, 3, GET), frame(kind::PING, 0, 0, &[0; 8]), vec![0; 5]].concat();
    assert_eq!(session.read(&more), Ok(more.len()));
    assert!(session.next_ready().is_none() && session.active() == 0 && session.out.is_empty());
}

#[test]
fn windows_of_streams_do_not_overflow() {
    let mut session = begun();
    let key = request(&mut session, 1, GET, true);
    session.read(&update(1, 0x7fff_ffff - 65_535)).unwrap();
    assert!(written(&mut session).is_empty());
    session.read(&update(1, 1)).unwrap();
    reset(&mut session, Code::FlowControlError);
    assert!(session.is_gone(key));
    // By SETTINGS it is the connection's fault (RFC 9113 section 6.9.2).
    let mut session = begun();
    request(&mut session, 1, GET, true);
    session.read(&update(1, 0x7fff_ffff - 65_535)).unwrap();
    assert_eq!(session.read(&frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])), Err(Code::FlowControlError));
}

#[test]
fn what_follows_the_end_of_a_stream() {
    for late in [frame(kind::DATA, 0, 1, b"x"), frame(kind::HEADERS, 5, 1, b"\0\x01a\x01b")] {
        // Half-closed: served, and reset.
        let mut session = begun();
        let key = request(&mut session, 1, GET, true);
        session.read(&late).unwrap();
        reset(&mut session, Code::StreamClosed);
        assert!(session.is_gone(key));
        // Answered and over.
        let mut session = begun();
        let key = request(&mut session, 1, GET, true);
        answer(&mut session, key);
        session.finish(key, None).unwrap();
        session.forget(key.0);
        assert_eq!(session.read(&late), Err(Code::StreamClosed));
        // Reset by the client.
        let mut session = begun();
        let key = request(&mut session, 1, POST, false);
        session.read(&frame(kind::RST_STREAM, 0, 1, &[0; 4])).unwrap();
        session.forget(key.0);
        session.read(&late).unwrap();
        reset(&mut session, Code::StreamClosed);
        // Reset by us, which the client may not know.
        let mut session = begun();
        let key = request(&mut session, 1, POST, false);
        session.release(key, Code::Cancel);
        session.forget(key.0);
        session.out.clear();
        for _ in 0..200 {
            session.read(&late).unwrap();
        }
        assert!(written(&mut session).is_empty());
        assert!((0..2_000).any(|_| session.read(&late) == Err(Code::EnhanceYourCalm)), "not for ever");
    }
}

#[test]
fn bodies_are_as_long_as_they_were_announced() {
    let head =
        block(&pairs(&[(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "a"), ("content-length", "3")]));
    let sends = |frames: &[Vec<u8>]| {
        let mut session = begun();
        let key = request(&mut session, 1, &head, false);
        session.read(&frames.concat()).unwrap();
        let frames: Vec<_> = written(&mut session).into_iter().map(|(head, payload)| (head.kind, payload)).collect();
        (frames, session.drop_body(key))
    };
    let data = |flags, bytes: &[u8]| frame(kind::DATA, flags, 1, bytes);
    let trailers = frame(kind::HEADERS, 5, 1, b"\0\x01a\x01b");
    let faulty = (vec![(kind::RST_STREAM, vec![0, 0, 0, Code::ProtocolError as u8])], Poll::Ready(None));
    for frames in [
        &[data(0, b"abcd")][..],
        &[data(0, b"ab"), data(0, b"cd")],
        &[data(1, b"ab")],
        &[data(0, b"ab"), data(1, b"")],
        &[data(0, b"ab"), trailers.clone()],
        std::slice::from_ref(&trailers),
    ] {
        assert_eq!(sends(frames), faulty, "{frames:?}");
    }
    for frames in [&[data(1, b"abc")][..], &[data(0, b"ab"), data(9, b"\x02c\0\0")], &[data(0, b"abc"), trailers.clone()]] {
        assert_eq!(sends(frames), (vec![], Poll::Ready(Some(3))), "{frames:?}");
    }
}

#[test]
fn trailers_end_the_stream_and_are_ordinary_fields() {
    let sends = |flags, block: &[u8]| {
        let mut session = begun();
        let key = request(&mut session, 1, POST, false);
        session.read(&frame(kind::HEADERS, flags, 1, block)).unwrap();
        let faulty = !written(&mut session).is_empty();
        (faulty, session.take_trailers(key).map_or(0, |trailers| trailers.len()))
    };
    assert_eq!(sends(5, b"\0\x01a\x01b"), (false, 1));
    assert_eq!(sends(4, b"\0\x01a\x01b"), (true, 0), "without an end");
    assert_eq!(sends(5, b"\x82"), (true, 0), "a pseudo-header field");
    assert_eq!(sends(5, b"\0\x01A\x01b"), (true, 0), "upper case");
    assert_eq!(sends(5, b"\0\x01a\x02 b"), (true, 0), "blanks");
    assert_eq!(sends(5, b"\0\x0aconnection\x05close"), (true, 0));
    assert_eq!(sends(5, &b"\0\x01a\x01b".repeat(100)), (false, 100));
    assert_eq!(sends(5, &b"\0\x01a\x01b".repeat(101)), (true, 0), "too many");
}

/// A block of indexes that each stand for a field of nearly 4 KiB with this name.
fn bomb(name: &[u8]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::default(), Vec::new());
    for (name, value) in [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a")] {
        encoder.field(name.as_bytes(), value.as_bytes(), Indexing::No, &mut out);
    }
    out.extend_from_slice(name);
    out.extend_from_slice(b"\x7f\xa0\x1e");
    out.extend_from_slice(&[b'y'; 3_999]);
    out.resize(16_000, 0xbe);
    out
}

#[test]
fn indexes_that_stand_for_much_are_not_spelt_out() {
    let mut session = begun();
    // Any name, and crumbs of a cookie.
    for (id, name) in [(1, &b"\x40\x01x"[..]), (3, b"\x60")] {
        session.read(&frame(kind::HEADERS, 5, id, &bomb(name))).unwrap();
        let at = session.next_ready().unwrap();
        let (key, incoming) = session.begin(at).unwrap();
        assert_eq!(incoming.read.unwrap_err(), Fault::from(Reason::HeadersTooLarge));
        let held: usize = incoming.head.headers.iter().map(|(_, name, value)| name.len() + value.len()).sum();
        assert!(held <= LIMITS.bytes, "{held}");
        session.release(key, Code::Cancel);
        session.forget(at);
    }
    // Trailers.
    let key = request(&mut session, 5, POST, false);
    session.out.clear();
    let mut trailers = b"\x40\x01x\x7f\xa0\x1e".to_vec();
    trailers.extend_from_slice(&[b'y'; 3_999]);
    trailers.resize(16_000, 0xbe);
    session.read(&frame(kind::HEADERS, 5, 5, &trailers)).unwrap();
    reset(&mut session, Code::ProtocolError);
    assert!(session.is_gone(key));
}

#[test]
fn memory_for_bodies_follows_what_is_unread() {
    let mut session = begun();
    let keys: Vec<_> = (0..100).map(|number| request(&mut session, 1 + 2 * number, POST, false)).collect();
    let piece = [b'x'; 16_384];
    for key in &keys {
        for _ in 0..7 {
            session.read(&frame(kind::DATA, 0, key.1, &piece)).unwrap();
        }
        // All but the last byte is read.
        let mut block = [0; 7 * 16_384 - 1];
        let mut read = tokio::io::ReadBuf::new(&mut block);
        assert!(session.read_body(*key, &mut read).is_ready() && read.remaining() == 0);
    }
    let held: usize = session.streams.iter().map(|(_, stream)| stream.body.capacity()).sum();
    assert!(held <= usize::try_from(CONNECTION_WINDOW).unwrap() * 6, "{held} bytes for 100 unread ones");
}

#[test]
fn padding_alone_runs_out() {
    let mut session = begun();
    request(&mut session, 1, POST, false);
    let padded = frame(kind::DATA, flag::PADDED, 1, &[2, 0, 0]);
    assert!((0..2_000).any(|_| session.read(&padded) == Err(Code::EnhanceYourCalm)));
    let mut session = begun();
    let key = request(&mut session, 1, POST, false);
    let padded = frame(kind::DATA, flag::PADDED, 1, &[2, b'x', 0, 0]);
    for _ in 0..10_000 {
        session.read(&padded).unwrap();
        assert_eq!(session.drop_body(key), Poll::Ready(Some(1)));
    }
}

/// As clients of gRPC do: for each message a PING and an update of the connection's window.
#[test]
fn small_messages_pay_for_the_pings_they_bring_and_single_bytes_of_windows_do_not() {
    let asks = [frame(kind::PING, 0, 0, &[0; 8]), update(0, 30)].concat();
    let mut session = begun();
    let key = request(&mut session, 1, POST, false);
    answer(&mut session, key);
    for _ in 0..20_000 {
        session.read(&[update(1, 5), asks.clone()].concat()).unwrap();
        assert_eq!(session.write(key, &[IoSlice::new(b"hello")], None), Poll::Ready(Ok((5, false))));
        session.out.clear();
    }
    let mut session = begun();
    for id in (1..40_000).step_by(2) {
        session.read(&asks).unwrap();
        let key = request(&mut session, id, GET, true);
        session.head(key, true, |encoder, out| encoder.status(204, out)).unwrap();
        session.forget(key.0);
        session.out.clear();
    }
    // An answer that the client takes byte by byte (CVE-2019-9511).
    let mut session = begun();
    session.read(&frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).unwrap();
    let key = request(&mut session, 1, GET, true);
    answer(&mut session, key);
    let flooded = (0..5_000).any(|_| {
        let read = session.read(&update(1, 1));
        let _ = session.write(key, &[IoSlice::new(&[0; 1000])], None);
        session.wrote(session.out.len());
        session.out.clear();
        read == Err(Code::EnhanceYourCalm)
    });
    assert!(flooded);
}

#[test]
fn a_client_that_does_not_say_that_it_knows_is_not_asked_for_ever() {
    let mut session = begun();
    session.leave();
    let key = request(&mut session, 1, GET, true);
    session.out.clear();
    assert!(session.is_leaving());
    session.insist();
    assert_eq!(&written(&mut session)[0].1[..4], [0, 0, 0, 1]);
    assert!(!session.is_leaving());
    session.read(&frame(kind::HEADERS, 5, 3, GET)).unwrap();
    reset(&mut session, Code::RefusedStream);
    session.insist();
    assert!(session.out.is_empty(), "said once");
    session.finish(key, None).unwrap();
    session.forget(key.0);
    assert!(session.has_ended());
}

/// What the client allows us to send on the connection, by the frames in `data`.
fn allowed(data: &[u8]) -> u64 {
    let mut rest = data.get(PREFACE.len()..).unwrap_or_default();
    let mut sum = 65_535;
    while let Some(head) = Head::read(rest) {
        let Some(payload) = rest.get(HEAD..HEAD + head.length) else { break };
        if head.kind == kind::WINDOW_UPDATE && head.stream == 0 && payload.len() == 4 {
            sum += u64::from(u32::from_be_bytes(payload.try_into().unwrap()) & 0x7fff_ffff);
        }
        rest = &rest[HEAD + head.length..];
    }
    sum
}

#[test]
fn fuzzed_connections_keep_their_bounds() {
    let mut seed = hello();
    for (kind, flags, stream, payload) in [
        (kind::HEADERS, 5, 1, GET),
        (kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 1, 0][..]),
        (kind::HEADERS, 4, 3, POST),
        (kind::DATA, 1, 3, b"0123456789"),
        (kind::WINDOW_UPDATE, 0, 1, &[0, 0, 9, 0]),
        (kind::WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]),
        (kind::RST_STREAM, 0, 3, &[0; 4]),
        (kind::HEADERS, 5, 5, GET),
        (kind::PING, 1, 0, b"yett bye"),
        (kind::HEADERS, 5, 7, GET),
    ] {
        seed.extend(frame(kind, flags, stream, payload));
    }
    let words: Vec<Vec<u8>> = vec![
        frame(kind::RST_STREAM, 0, 5, &[0; 4]),
        frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]),
        frame(kind::SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]),
        frame(kind::HEADERS, 5, 9, GET),
        frame(kind::HEADERS, 4, 11, POST),
        frame(kind::DATA, 1, 11, b"abc"),
        frame(kind::HEADERS, 5, 11, b"\0\x01a\x01b"),
        update(0, 1_000_000),
        update(9, 70_000),
    ];
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    crate::fuzz::run("http2_connection", &[&seed], &words, |data| {
        let step = 1 + usize::from(data.last().copied().unwrap_or(0));
        serve(data, step)
    });
}

/// Plays a connection whose streams are all answered, some with much; says whether one was answered to its end.
fn serve(data: &[u8], step: usize) -> bool {
    const STREAMS: u32 = 4;
    let mut session = Session::new(LIMITS, STREAMS, true, || 0);
    let (mut held, mut keys, mut sent, mut ends) = (Vec::new(), Vec::new(), 0_u64, 0);
    let body = [b'z'; 100_000];
    for (turn, piece) in data.chunks(step).enumerate() {
        held.extend_from_slice(piece);
        match session.read(&held) {
            Ok(count) => drop(held.drain(..count)),
            Err(code) => session.end(code),
        }
        if turn == 20 {
            session.leave();
        }
        while let Some(at) = session.next_ready() {
            if let Some((key, incoming)) = session.begin(at) {
                session.give_head(incoming.head);
                if session.head(key, false, |encoder, out| encoder.status(200, out)).is_ok() {
                    keys.push((key, 0_usize));
                } else {
                    session.forget(at);
                }
            }
        }
        keys.retain_mut(|(key, written)| {
            let _ = session.drop_body(*key);
            let rest = &body[*written..];
            let over = match session.write(*key, &[IoSlice::new(rest)], Some(rest.len() as u64)) {
                Poll::Ready(Ok((count, end))) => {
                    *written += count;
                    end
                }
                Poll::Ready(Err(_)) => true,
                Poll::Pending => false,
            };
            if over {
                ends += usize::from(*written == body.len());
                session.release(*key, Code::Cancel);
                session.forget(key.0);
            }
            !over
        });
        for (head, payload) in written(&mut session) {
            assert!(head.length <= 16_384);
            sent += if head.kind == kind::DATA { payload.len() as u64 } else { 0 };
        }
        assert!(session.active() <= 2 * STREAMS as usize && session.open <= STREAMS as usize);
        let unread: usize = session.streams.iter().map(|(_, stream)| stream.body.len()).sum();
        assert!(unread <= usize::try_from(CONNECTION_WINDOW).unwrap());
        assert!(session.input_window <= CONNECTION_WINDOW && session.output_window <= 0x7fff_ffff);
        if session.has_ended() {
            break;
        }
    }
    assert!(sent <= allowed(data), "{sent} bytes beyond the client's window");
    ends > 0 || sent > 10_000
}
