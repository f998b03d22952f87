//! WebSocket frames (RFC 6455 section 5) as they pass: their heads are followed, their payload is not looked into.
//!
//! So that a message has a bound, what is no WebSocket does not pass, and a connection that the gateway ends can end with
//! a Close frame.

/// Longest head: two bytes, a length of eight, a key of four.
const HEAD: usize = 14;
const MOST_CONTROL: u64 = 125;

/// What a sender may not do, as the code of the Close frame (RFC 6455 section 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 1002: a frame that breaks the protocol.
    Protocol,
    /// 1009: a message larger than allowed.
    TooLarge,
}

/// Follows the frames of one side.
#[derive(Debug)]
pub struct Frames {
    /// The client's frames are masked, the service's are not.
    masked: bool,
    /// An extension was agreed, so that the first reserved bit may be set.
    extended: bool,
    /// Bytes of a message.
    limit: u64,
    head: [u8; HEAD],
    known: usize,
    /// Payload bytes of this frame to come.
    left: u64,
    /// Bytes of the message under way; `None` between messages.
    message: Option<u64>,
    closed: bool,
    /// Bytes so far, and as they were when the last whole frame ended.
    seen: u64,
    boundary: u64,
}

impl Frames {
    /// Before the first frame.
    #[must_use]
    pub fn new(masked: bool, extended: bool, limit: u64) -> Self {
        Self { masked, extended, limit, head: [0; HEAD], known: 0, left: 0, message: None, closed: false, seen: 0, boundary: 0 }
    }

    /// Bytes up to which whole frames came, and whether a Close frame was among them.
    #[must_use]
    pub fn whole(&self) -> (u64, bool) {
        (self.boundary, self.closed && self.left == 0)
    }

    /// Goes on with what was read.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn advance(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        loop {
            let payload = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= payload as u64;
            self.seen = self.seen.saturating_add(payload as u64);
            if self.known == 0 && self.left == 0 {
                self.boundary = self.seen;
            }
            bytes = bytes.get(payload..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else { return Ok(()) };
            self.seen = self.seen.saturating_add(1);
            if self.closed {
                return Err(Fault::Protocol);
            }
            if let Some(slot) = self.head.get_mut(self.known) {
                *slot = *byte;
            }
            self.known += 1;
            bytes = rest;
            if self.known == 1 {
                self.first(*byte)?;
            } else if self.known == self.wanted() {
                self.begin()?;
            }
        }
    }

    /// Length of this frame's head; known from its second byte on.
    fn wanted(&self) -> usize {
        let [_, second, ..] = self.head;
        let length = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if second & 0x80 == 0 { 0 } else { 4 }
    }

    fn first(&self, byte: u8) -> Result<(), Fault> {
        let (last, reserved, opcode) = (byte & 0x80 != 0, byte & 0x70, byte & 0x0f);
        let reserved_is_fine = reserved == 0 || (reserved == 0x40 && self.extended && matches!(opcode, 1 | 2));
        let fits = match opcode {
            0 => self.message.is_some(),
            1 | 2 => self.message.is_none(),
            8..=10 => last,
            _ => false,
        };
        if reserved_is_fine && fits { Ok(()) } else { Err(Fault::Protocol) }
    }

    fn begin(&mut self) -> Result<(), Fault> {
        let [first, second, rest @ ..] = self.head;
        self.known = 0;
        if (second & 0x80 != 0) != self.masked {
            return Err(Fault::Protocol);
        }
        let [a, b, c, d, e, f, g, h, ..] = rest;
        // Each length has one encoding, the shortest.
        let length = match second & 0x7f {
            126 => Some(u64::from(u16::from_be_bytes([a, b]))).filter(|length| *length > MOST_CONTROL),
            127 => Some(u64::from_be_bytes([a, b, c, d, e, f, g, h])).filter(|length| (1 << 16..1 << 63).contains(length)),
            short => Some(u64::from(short)),
        };
        let length = length.ok_or(Fault::Protocol)?;
        if first & 0x08 != 0 {
            self.closed = first & 0x0f == 8;
            self.left = length;
            return if length <= MOST_CONTROL { Ok(()) } else { Err(Fault::Protocol) };
        }
        let message = self.message.unwrap_or(0).saturating_add(length);
        if message > self.limit {
            return Err(Fault::TooLarge);
        }
        self.message = (first & 0x80 == 0).then_some(message);
        self.left = length;
        Ok(())
    }
}

/// A Close frame with this code; `key` masks it, towards the service.
#[must_use]
pub fn close(code: u16, key: Option<[u8; 4]>) -> Vec<u8> {
    let [a, b] = code.to_be_bytes();
    match key {
        None => vec![0x88, 2, a, b],
        Some([k, l, m, n]) => vec![0x88, 0x82, k, l, m, n, a ^ k, b ^ l],
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Frames, close};

    fn all(bytes: &[u8], masked: bool, step: usize) -> Result<bool, Fault> {
        let mut frames = Frames::new(masked, false, 1000);
        for part in bytes.chunks(step) {
            frames.advance(part)?;
        }
        let (whole, closed) = frames.whole();
        Ok(whole == bytes.len() as u64 && !closed)
    }

    fn each(bytes: &[u8], masked: bool) -> Result<bool, Fault> {
        let whole = all(bytes, masked, bytes.len().max(1));
        for step in 1..8 {
            assert_eq!(all(bytes, masked, step), whole, "{step}");
        }
        whole
    }

    #[test]
    fn whole_frames_leave_room_for_another() {
        assert_eq!(each(b"\x81\x05hello", false), Ok(true));
        assert_eq!(each(b"\x81\x85abcdhello", true), Ok(true));
        assert_eq!(each(b"\x81\x05hell", false), Ok(false));
        assert_eq!(each(b"\x01\x02he\x89\x00\x80\x03llo\x82\x00", false), Ok(true));
        let long = [&b"\x82\x7e\x01\x00"[..], &[0; 256]].concat();
        assert_eq!(each(&long, false), Ok(true));
        assert_eq!(each(&close(1001, None), false), Ok(false));
        assert_eq!(each(&close(1001, Some(*b"abcd")), true), Ok(false));
    }

    #[test]
    fn what_breaks_the_protocol() {
        for bad in [
            &b"\x81\x85abcdhello"[..],
            b"\x83\x00",
            b"\x80\x00",
            b"\x01\x00\x01\x00",
            b"\x09\x00",
            b"\xc1\x00",
            b"\xa1\x00",
            b"\x82\x7e\x00\x7d",
            b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff",
            b"\x82\x7f\x80\x00\x00\x00\x00\x01\x00\x00",
            b"\x89\x7e\x00\x7e",
            b"\x88\x00\x81\x00",
        ] {
            assert_eq!(each(bad, false), Err(Fault::Protocol), "{bad:x?}");
        }
        assert_eq!(each(b"\x81\x05hello", true), Err(Fault::Protocol));
    }

    #[test]
    fn a_message_is_bounded_over_its_fragments() {
        let frame = |first: u8, length: u16| {
            let mut frame = vec![first, 0x7e];
            frame.extend_from_slice(&length.to_be_bytes());
            frame.resize(4 + usize::from(length), 0);
            frame
        };
        assert_eq!(each(&frame(0x82, 1000), false), Ok(true));
        assert_eq!(each(&frame(0x82, 1001), false), Err(Fault::TooLarge));
        assert_eq!(each(&[frame(0x02, 600), frame(0x80, 400), frame(0x82, 1000)].concat(), false), Ok(true));
        assert_eq!(each(&[frame(0x02, 600), frame(0x00, 300), frame(0x80, 126)].concat(), false), Err(Fault::TooLarge));
    }

    #[test]
    fn compressed_messages_where_that_was_agreed() {
        let mut frames = Frames::new(false, true, 10);
        assert_eq!(frames.advance(b"\xc1\x01a\x41\x01a"), Ok(()));
        assert_eq!(frames.advance(b"\xc0\x01a"), Err(Fault::Protocol));
    }
}
