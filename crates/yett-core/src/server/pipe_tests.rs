//! Bodies pass unchanged whatever the sizes of chunks, sockets and blocks.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::buffers::{BufferPool, ReadBuffer};
use super::pipe::{Fault, Pipe, Wait};
use crate::exchange::Framing;
use crate::http1::body::{Decoder, Piece};
use crate::shared::Shared;

/// Sends `input` through a pipe in pieces, with sockets of `room` bytes; what came out, and how it ended.
fn pass(
    input: Vec<u8>,
    framing: Framing,
    chunked: bool,
    limit: u64,
    room: usize,
    rest: &mut Vec<u8>,
) -> (Vec<u8>, Result<(), Fault>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let shared = Arc::new(Shared::new(tokio::runtime::Handle::current(), [0; 32]));
        let pool = Rc::new(BufferPool::new(shared.clone()));
        let (mut sender, mut reader) = tokio::io::duplex(room);
        let (mut writer, mut receiver) = tokio::io::duplex(room.div_ceil(2));
        let mut buffer = ReadBuffer::new(pool);
        let mut pipe = Pipe::default();
        pipe.start(framing, chunked, limit).extend_from_slice(b"head:");
        let run = async {
            let ended = poll_fn(|cx| match pipe.poll(cx, &mut reader, &mut buffer, &mut writer) {
                Ok(Wait::Done) => Poll::Ready(Ok(())),
                Ok(Wait::Read | Wait::Write) => Poll::Pending,
                Err(fault) => Poll::Ready(Err(fault)),
            })
            .await;
            drop(writer);
            rest.extend_from_slice(buffer.data());
            let _ = reader.read_to_end(rest).await;
            ended
        };
        let send = async {
            let _ = sender.write_all(&input).await;
            drop(sender);
        };
        let mut out = Vec::new();
        let receive = receiver.read_to_end(&mut out);
        let (ended, (), received) = tokio::join!(run, send, receive);
        received.unwrap();
        drop(buffer);
        assert_eq!(shared.buffers.used(), 0, "all blocks are given back");
        (out, ended)
    })
}

fn chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for part in body.chunks(size) {
        out.extend_from_slice(format!("{:X}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\nx: y\r\n\r\n");
    out
}

/// Reads a chunked body; it has to end exactly at the end.
fn unchunk(mut text: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new(Framing::Chunked);
    let mut out = Vec::new();
    loop {
        match decoder.next(text).unwrap() {
            Piece::Data { skip, data } => {
                out.extend_from_slice(&text[skip..skip + data]);
                text = &text[skip + data..];
            }
            Piece::End { skip } => {
                assert_eq!(skip, text.len());
                return out;
            }
            Piece::More { .. } => panic!("the body does not end"),
        }
    }
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]
    #[test]
    fn bodies_pass_unchanged(length in prop_oneof![0..20_usize, 4000..4200_usize, 0..300_000_usize], size in prop_oneof![1..9_usize, 4000..70_000_usize],
                             room in prop_oneof![1..40_usize, 1000..200_000_usize], known in any::<bool>(), chunked in any::<bool>()) {
        let length = if size < 9 || room < 40 { length % 5000 } else { length };
        let body = body(length);
        let (framing, chunked) = match (known, length as u64) {
            (true, 0) => (Framing::Empty, false),
            (true, length) => (Framing::Length(length), chunked),
            (false, _) => (Framing::Chunked, chunked),
        };
        let mut input = if known { body.clone() } else { chunks(&body, size) };
        input.extend_from_slice(b"GET /next");
        let mut rest = Vec::new();
        let (out, ended) = pass(input, framing, chunked, length as u64, room, &mut rest);
        prop_assert_eq!(ended, Ok(()));
        prop_assert_eq!(&rest[..], b"GET /next");
        let out = out.strip_prefix(b"head:").unwrap();
        if chunked { prop_assert_eq!(unchunk(out), body) } else { prop_assert_eq!(out, &body[..]) }
    }
}

#[test]
fn faults_are_told_apart() {
    let fault = |input: &[u8], framing, limit| pass(input.to_vec(), framing, true, limit, 100, &mut Vec::new()).1;
    assert_eq!(fault(b"abc", Framing::Length(4), 10), Err(Fault::Eof));
    assert_eq!(fault(b"3\r\nabc\r\n", Framing::Chunked, 10), Err(Fault::Eof));
    assert_eq!(fault(b"3\r\nabcd\r\n", Framing::Chunked, 10), Err(Fault::Malformed));
    assert_eq!(fault(b"3\r\nabc\r\n0\r\n\r\n", Framing::Chunked, 2), Err(Fault::TooLarge));
    assert_eq!(fault(b"ffffffff\r\n", Framing::Chunked, 10), Err(Fault::TooLarge));
    assert_eq!(fault(b"abc", Framing::Close, 10), Ok(()));
}

#[test]
fn nothing_ends_a_cut_body() {
    let (out, ended) = pass(b"3\r\nabc\r\n".to_vec(), Framing::Chunked, true, 10, 100, &mut Vec::new());
    assert_eq!((out.as_slice(), ended), (&b"head:3\r\nabc\r\n"[..], Err(Fault::Eof)));
}
