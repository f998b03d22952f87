//! Frames of the client (RFC 9113 section 6).

use super::allowance::LATE;
use super::frame::{self, Code, Head, MOST_WINDOW, flag, setting};
use super::head::{Fault, Reader};
use super::session::{Block, Data, Leaving, STREAM_WINDOW, Session, most_block};
use super::streams::{Found, Incoming, Input, Past};

impl Session {
    /// HEADERS (RFC 9113 section 6.2).
    pub(super) fn headers(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if head.stream.is_multiple_of(2) {
            return Err(Code::ProtocolError);
        }
        let mut rest = unpad(head, payload)?;
        let mut faulty = false;
        if head.has(flag::PRIORITY) {
            let (priority, after) = rest.split_first_chunk::<5>().ok_or(Code::FrameSizeError)?;
            faulty = depends_on(priority) == head.stream;
            rest = after;
        }
        let ends = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.list(head.stream, ends, faulty, rest);
        }
        self.block = Some(Block { stream: head.stream, ends, faulty, bytes: rest.to_vec() });
        Ok(())
    }

    /// CONTINUATION (RFC 9113 section 6.10).
    pub(super) fn continuation(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        let most = most_block(&self.limits);
        let block = self.block.as_mut().ok_or(Code::ProtocolError)?;
        if block.bytes.len().saturating_add(payload.len()) > most {
            return Err(Code::EnhanceYourCalm);
        }
        block.bytes.extend_from_slice(payload);
        if !head.has(flag::END_HEADERS) {
            return Ok(());
        }
        match self.block.take() {
            Some(block) => self.list(block.stream, block.ends, block.faulty, &block.bytes),
            None => Err(Code::ProtocolError),
        }
    }

    /// A whole header block.
    fn list(&mut self, id: u32, ends: bool, faulty: bool, block: &[u8]) -> Result<(), Code> {
        match self.streams.find(id) {
            Found::Open(at) => return self.trailers(at, id, ends, faulty, block),
            Found::Over(Past::Ended) => return Err(Code::StreamClosed),
            Found::Over(past) => {
                self.decode(block, |_| {})?;
                self.pay(LATE)?;
                // What was on its way when we reset the stream is ignored.
                return if past == Past::ByUs { Ok(()) } else { self.fault(id, Code::StreamClosed) };
            }
            Found::Forgotten => return Err(Code::ProtocolError),
            Found::Idle => {}
        }
        self.streams.last = id;
        let (limits, tls) = (self.limits, self.tls);
        let mut head = self.take_head();
        let mut reader = Reader::new(&mut head, &limits, tls);
        self.decode(block, |entry| reader.take(entry))?;
        let read = reader.finish(ends);
        // Slots end what was reset a little later than the stream.
        let full = self.open >= self.most_streams || self.active() >= self.most_streams.saturating_mul(2);
        if full || self.leaving == Leaving::Final {
            self.give_head(head);
            self.streams.remember(id, Past::ByUs);
            frame::reset(&mut self.out, id, Code::RefusedStream);
            return self.pay(LATE);
        }
        if faulty {
            self.give_head(head);
            self.streams.remember(id, Past::ByUs);
            return self.fault(id, Code::ProtocolError);
        }
        if read == Err(Fault::Malformed) {
            self.blame()?;
        }
        let output_window = i64::from(self.first_window);
        let Some((at, stream)) = self.streams.open(id) else { return Err(Code::InternalError) };
        stream.input = if ends { Input::Ended } else { Input::Open };
        stream.announced = read.ok().and_then(|read| read.length);
        stream.incoming = Some(Incoming { head, read });
        (stream.input_window, stream.output_window) = (STREAM_WINDOW, output_window);
        stream.counted = true;
        self.open = self.open.saturating_add(1);
        self.wake(at);
        Ok(())
    }

    fn trailers(&mut self, at: usize, id: u32, ends: bool, faulty: bool, block: &[u8]) -> Result<(), Code> {
        let trailers = self.decode_trailers(block)?;
        let Some(stream) = self.streams.get(at) else { return Ok(()) };
        match stream.input {
            Input::Ended => return self.fault(id, Code::StreamClosed),
            // The client reset it itself, and our side has not ended yet.
            Input::Reset if stream.past == Past::ByClient => return self.fault(id, Code::StreamClosed),
            Input::Reset => return self.pay(LATE),
            Input::Open => {}
        }
        match trailers {
            Some(trailers) if ends && !faulty => {
                stream.trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
                self.end_input(at, id)
            }
            Some(_) | None => self.fault(id, Code::ProtocolError),
        }
    }

    /// The client has ended its side.
    fn end_input(&mut self, at: usize, id: u32) -> Result<(), Code> {
        let Some(stream) = self.streams.get(at) else { return Ok(()) };
        if stream.announced.is_some_and(|left| left > 0) {
            return self.fault(id, Code::ProtocolError);
        }
        stream.input = Input::Ended;
        if stream.answered {
            self.uncount(at);
        }
        self.wake(at);
        Ok(())
    }

    /// The head of DATA (RFC 9113 section 6.1), with the length of its padding where it is padded.
    pub(super) fn begin_data(&mut self, head: Head, padding: Option<u8>) -> Result<(), Code> {
        let inside = head.length.saturating_sub(usize::from(padding.is_some()));
        let padded = usize::from(padding.unwrap_or(0));
        if head.stream == 0 || padded > inside || (head.has(flag::PADDED) && padding.is_none()) {
            return Err(Code::ProtocolError);
        }
        let length = u32::try_from(head.length).map_err(|_| Code::FrameSizeError)?;
        // Padding, and what nobody will read, counts as well.
        self.input_window = self.input_window.checked_sub(length).ok_or(Code::FlowControlError)?;
        let body = inside.saturating_sub(padded);
        if body == 0 && length > 0 {
            self.pay(LATE)?;
        }
        let around = length.saturating_sub(u32::try_from(body).unwrap_or(length));
        self.give_back(around);
        self.data = Some(Data { stream: head.stream, left: body, padding: padded, ends: head.has(flag::END_STREAM) });
        let at = match self.streams.find(head.stream) {
            Found::Open(at) => at,
            Found::Idle => return Err(Code::ProtocolError),
            Found::Over(Past::Ended) => return Err(Code::StreamClosed),
            Found::Over(Past::ByClient) => return self.fault(head.stream, Code::StreamClosed),
            Found::Over(Past::ByUs) | Found::Forgotten => return self.pay(LATE),
        };
        let Some(stream) = self.streams.get(at) else { return Ok(()) };
        match stream.input {
            Input::Ended => return self.fault(head.stream, Code::StreamClosed),
            Input::Reset if stream.past == Past::ByClient => return self.fault(head.stream, Code::StreamClosed),
            Input::Reset => return self.pay(LATE),
            Input::Open => {}
        }
        let Some(window) = stream.input_window.checked_sub(length) else {
            return self.fault(head.stream, Code::FlowControlError);
        };
        stream.input_window = window;
        if let Some(left) = &mut stream.announced {
            match left.checked_sub(body as u64) {
                Some(less) => *left = less,
                None => return self.fault(head.stream, Code::ProtocolError),
            }
        }
        self.credit(at, around);
        Ok(())
    }

    /// What came of the DATA frame under way; gives back what follows it.
    pub(super) fn data<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Code> {
        let Some(mut data) = self.data.take() else { return Ok(bytes) };
        let (body, rest) = bytes.split_at_checked(data.left.min(bytes.len())).unwrap_or_default();
        data.left = data.left.saturating_sub(body.len());
        let found = self.streams.find(data.stream);
        if !body.is_empty() {
            match found {
                Found::Open(at) if self.streams.get(at).is_some_and(|stream| stream.input == Input::Open) => {
                    if let Some(stream) = self.streams.get(at) {
                        stream.body.extend(body);
                    }
                    self.wake(at);
                }
                _ => self.give_back(u32::try_from(body.len()).unwrap_or(u32::MAX)),
            }
        }
        let (padding, rest) = rest.split_at_checked(data.padding.min(rest.len())).unwrap_or_default();
        data.padding = data.padding.saturating_sub(padding.len());
        if data.left > 0 || data.padding > 0 {
            self.data = Some(data);
            return Ok(rest);
        }
        if data.ends
            && let Found::Open(at) = found
            && self.streams.get(at).is_some_and(|stream| stream.input == Input::Open)
        {
            self.end_input(at, data.stream)?;
        }
        Ok(rest)
    }

    /// PRIORITY (RFC 9113 section 6.3), which says nothing any more.
    pub(super) fn priority(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if head.stream == 0 {
            return Err(Code::ProtocolError);
        }
        let code = match payload.first_chunk::<5>() {
            Some(priority) if payload.len() == 5 && depends_on(priority) != head.stream => return Ok(()),
            Some(_) if payload.len() == 5 => Code::ProtocolError,
            Some(_) | None => Code::FrameSizeError,
        };
        // A stream that was not begun cannot be reset.
        if self.streams.find(head.stream) == Found::Idle { Err(code) } else { self.fault(head.stream, code) }
    }

    /// RST_STREAM (RFC 9113 section 6.4).
    pub(super) fn reset_by_client(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if payload.len() != 4 {
            return Err(Code::FrameSizeError);
        }
        match self.streams.find(head.stream) {
            Found::Idle => Err(Code::ProtocolError),
            Found::Open(at) => {
                self.lose(at, Past::ByClient);
                Ok(())
            }
            Found::Over(_) => {
                self.streams.reset_as_well(head.stream);
                Ok(())
            }
            Found::Forgotten => Ok(()),
        }
    }

    /// SETTINGS (RFC 9113 section 6.5).
    pub(super) fn settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if head.stream != 0 {
            return Err(Code::ProtocolError);
        }
        if head.has(flag::ACK) {
            return if payload.is_empty() { Ok(()) } else { Err(Code::FrameSizeError) };
        }
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Code::FrameSizeError);
        }
        let mut window = self.first_window;
        for [a, b, value @ ..] in settings {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*a, *b]) {
                setting::HEADER_TABLE_SIZE => self.encoder.resize(usize::try_from(value).unwrap_or(usize::MAX)),
                setting::ENABLE_PUSH if value > 1 => return Err(Code::ProtocolError),
                setting::INITIAL_WINDOW_SIZE if value > MOST_WINDOW => return Err(Code::FlowControlError),
                setting::INITIAL_WINDOW_SIZE => window = value,
                setting::MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => return Err(Code::ProtocolError),
                _ => {}
            }
        }
        frame::write(&mut self.out, frame::kind::SETTINGS, flag::ACK, 0, &[]);
        // Once for each frame, whatever stands in it: streams are gone through.
        let change = i64::from(window).saturating_sub(i64::from(self.first_window));
        self.first_window = window;
        if change != 0 {
            let mut wake = Vec::new();
            for (at, stream) in self.streams.iter() {
                stream.widen(change).map_err(|()| Code::FlowControlError)?;
                wake.push(at);
            }
            wake.into_iter().for_each(|at| self.wake(at));
        }
        Ok(())
    }

    /// GOAWAY (RFC 9113 section 6.8).
    pub(super) fn goaway(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        if head.stream != 0 {
            return Err(Code::ProtocolError);
        }
        if payload.len() < 8 {
            return Err(Code::FrameSizeError);
        }
        self.left = true;
        Ok(())
    }

    /// WINDOW_UPDATE (RFC 9113 section 6.9).
    pub(super) fn window_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Code> {
        let increment: [u8; 4] = payload.try_into().map_err(|_| Code::FrameSizeError)?;
        let increment = i64::from(u32::from_be_bytes(increment) & MOST_WINDOW);
        if head.stream == 0 {
            if increment == 0 {
                return Err(Code::ProtocolError);
            }
            self.output_window = self.output_window.saturating_add(increment);
            return if self.output_window > i64::from(MOST_WINDOW) { Err(Code::FlowControlError) } else { Ok(()) };
        }
        let at = match self.streams.find(head.stream) {
            Found::Open(at) => at,
            Found::Idle => return Err(Code::ProtocolError),
            Found::Over(_) | Found::Forgotten => return Ok(()),
        };
        if increment == 0 {
            return self.fault(head.stream, Code::ProtocolError);
        }
        let widened = self.streams.get(at).map_or(Ok(()), |stream| stream.widen(increment));
        if widened.is_err() {
            return self.fault(head.stream, Code::FlowControlError);
        }
        self.wake(at);
        Ok(())
    }
}

/// The payload of HEADERS without its padding.
fn unpad(head: Head, payload: &[u8]) -> Result<&[u8], Code> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let (padding, rest) = payload.split_first().ok_or(Code::ProtocolError)?;
    let length = rest.len().checked_sub(usize::from(*padding)).ok_or(Code::ProtocolError)?;
    Ok(rest.get(..length).unwrap_or_default())
}

/// The stream that a priority names (RFC 7540 section 5.3.1).
fn depends_on(priority: &[u8; 5]) -> u32 {
    let [a, b, c, d, _] = *priority;
    u32::from_be_bytes([a, b, c, d]) & MOST_WINDOW
}
