//! What a client's frames cost (RFC 9113 section 10.5): frames that ask for nothing are paid from an allowance.
//!
//! The library bounds what a connection may hold; this bounds how often a client may make it work for nothing. Every
//! frame but HEADERS and DATA costs; time gives an allowance back, and so does every byte of an answer, so that a busy
//! client never runs out and one that only resets, pings or updates windows does.

use crate::server::deadline::NEVER;

const PREFACE: u8 = 24;
const HEAD: usize = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

/// Most that can be saved up, in bytes of answers.
const MOST: u64 = 64 * 1000;
/// What a second gives back.
const A_SECOND: u64 = 64 * 200;

/// Follows the frames that a client sends.
#[derive(Debug)]
pub struct Watch {
    preface: u8,
    head: [u8; HEAD],
    known: usize,
    /// Payload bytes to come.
    left: usize,
    /// A header block has begun and not ended, or a control frame is under way.
    block: bool,
    partial: bool,
    allowance: u64,
    refilled: u64,
    flooded: bool,
}

impl Watch {
    /// For a connection that begins at `now` (monotonic nanoseconds).
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self {
            preface: PREFACE,
            head: [0; HEAD],
            known: 0,
            left: 0,
            block: false,
            partial: false,
            allowance: MOST,
            refilled: now,
            flooded: false,
        }
    }

    /// Follows what was read. `now` is asked only when the allowance runs out.
    pub fn read(&mut self, mut bytes: &[u8], now: impl Fn() -> u64) {
        let skip = usize::from(self.preface).min(bytes.len());
        self.preface -= u8::try_from(skip).unwrap_or(self.preface);
        bytes = bytes.get(skip..).unwrap_or_default();
        loop {
            let payload = self.left.min(bytes.len());
            self.left -= payload;
            bytes = bytes.get(payload..).unwrap_or_default();
            if self.left == 0 {
                self.partial = false;
            }
            if bytes.is_empty() {
                return;
            }
            let wanted = (HEAD - self.known).min(bytes.len());
            let (part, rest) = bytes.split_at_checked(wanted).unwrap_or_default();
            if let Some(room) = self.head.get_mut(self.known..self.known + part.len()) {
                room.copy_from_slice(part);
            }
            self.known += part.len();
            bytes = rest;
            if self.known == HEAD {
                self.known = 0;
                self.frame(&now);
            }
        }
    }

    /// Counts an answer's bytes in.
    pub fn wrote(&mut self, bytes: usize) {
        self.allowance = MOST.min(self.allowance.saturating_add(bytes as u64));
    }

    /// Whether the client has made more work than it may.
    #[must_use]
    pub fn is_flooded(&self) -> bool {
        self.flooded
    }

    /// Whether the client is inside something that has to end soon: the preface, a header block, a control frame.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        self.preface > 0 || self.block || self.partial
    }

    fn frame(&mut self, now: &impl Fn() -> u64) {
        let [a, b, c, kind, flags, ..] = self.head;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.partial = self.left > 0 && kind != DATA;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.block = flags & END_HEADERS == 0;
        }
        let cost = match kind {
            DATA if self.left == 0 && flags & END_STREAM == 0 => 640,
            CONTINUATION if self.left == 0 => 640,
            DATA | HEADERS => return,
            RST_STREAM => 320,
            SETTINGS | GOAWAY => 640,
            PING => 128,
            _ => 64,
        };
        if self.allowance < cost {
            let now = now();
            let waited = now.saturating_sub(self.refilled).min(NEVER / A_SECOND);
            self.refilled = now;
            self.allowance = MOST.min(self.allowance + waited * A_SECOND / 1_000_000_000);
        }
        match self.allowance.checked_sub(cost) {
            Some(left) => self.allowance = left,
            None => self.flooded = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HEAD, Watch};

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, 1];
        out.extend_from_slice(payload);
        out
    }

    fn begun() -> Watch {
        let mut watch = Watch::new(0);
        watch.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", || 0);
        watch
    }

    #[test]
    fn resets_run_out_and_come_back_with_time() {
        let mut watch = begun();
        let reset = frame(3, 0, &[0; 4]);
        for _ in 0..200 {
            watch.read(&reset, || 0);
        }
        assert!(!watch.is_flooded());
        // Ten seconds later a burst is there again.
        for _ in 0..200 {
            watch.read(&reset, || 10_000_000_000);
        }
        assert!(!watch.is_flooded());
        watch.read(&reset, || 10_000_000_000);
        assert!(watch.is_flooded());
    }

    #[test]
    fn answers_pay_for_what_reading_them_takes() {
        let mut watch = begun();
        for _ in 0..100_000 {
            watch.wrote(16_384);
            watch.read(&frame(8, 0, &[0, 0, 0, 1]), || 0);
            watch.read(&frame(8, 0, &[0, 0, 0, 1]), || 0);
        }
        assert!(!watch.is_flooded());
    }

    #[test]
    fn requests_and_bodies_are_free_and_boundaries_do_not_matter() {
        let mut watch = begun();
        let mut bytes = Vec::new();
        for _ in 0..5_000 {
            bytes.extend(frame(1, 4, b"abc"));
            bytes.extend(frame(0, 1, b"0123456789"));
        }
        for part in bytes.chunks(7) {
            watch.read(part, || 0);
        }
        assert!(!watch.is_flooded() && !watch.is_inside());
        assert_eq!(watch.allowance, super::MOST);
    }

    #[test]
    fn an_unfinished_block_is_seen() {
        let mut watch = Watch::new(0);
        assert!(watch.is_inside(), "the preface is missing");
        watch.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", || 0);
        assert!(!watch.is_inside());
        watch.read(&frame(1, 0, b"abc"), || 0);
        assert!(watch.is_inside());
        watch.read(&frame(9, 4, b"abc"), || 0);
        assert!(!watch.is_inside());
        let ping = frame(6, 0, &[0; 8]);
        watch.read(&ping[..HEAD + 2], || 0);
        assert!(watch.is_inside());
        watch.read(&ping[HEAD + 2..], || 0);
        assert!(!watch.is_inside());
        watch.read(&frame(0, 0, b"0123456789")[..12], || 0);
        assert!(!watch.is_inside(), "a body may be slow");
    }

    /// What the frames after the preface cost, and whether the last one leaves something open.
    fn plainly(data: &[u8]) -> (u64, bool) {
        let Some(mut rest) = data.get(24..) else { return (0, true) };
        let (mut cost, mut block, mut partial) = (0, false, false);
        while let Some((head, payload)) = rest.split_first_chunk::<9>() {
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            cost += match (head[3], head[4]) {
                (0, flags) if length == 0 && flags & 1 == 0 => 640,
                (9, _) if length == 0 => 640,
                (0 | 1 | 9, _) => 0,
                (3, _) => 320,
                (4 | 7, _) => 640,
                (6, _) => 128,
                _ => 64,
            };
            if matches!(head[3], 1 | 9) {
                block = head[4] & 4 == 0;
            }
            partial = head[3] != 0 && payload.len() < length;
            rest = payload.get(length..).unwrap_or_default();
        }
        (cost, block || partial)
    }

    #[test]
    fn fuzz_frames_cost_the_same_however_they_arrive() {
        let mut seed = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for (kind, flags, payload) in [(4, 0, &[0; 6][..]), (1, 4, b"abc"), (0, 1, b"0123456789"), (6, 0, &[0; 8]), (9, 4, b"")] {
            seed.extend(frame(kind, flags, payload));
        }
        let words: [&[u8]; 4] = [&frame(3, 0, &[0; 4]), &frame(4, 0, b""), &frame(0, 0, b""), &frame(9, 0, b"")];
        crate::fuzz::run("http2_watch", &[&seed], &words, |data| {
            let mut whole = Watch::new(0);
            whole.read(data, || 0);
            let mut pieces = Watch::new(0);
            for piece in data.chunks(3) {
                pieces.read(piece, || 0);
            }
            let state = |watch: &Watch| (watch.allowance, watch.is_flooded(), watch.is_inside());
            assert_eq!(state(&whole), state(&pieces));
            assert!(whole.allowance <= super::MOST);
            let (cost, inside) = plainly(data);
            assert_eq!((whole.is_flooded(), whole.is_inside()), (cost > super::MOST, inside), "{cost}");
            data.len() > seed.len()
        });
    }
}
