//! A look over the bytes of a JSON document before anything else reads them (RFC 8259, strictly): one value, no name
//! twice, within bounds. Builds nothing: what it remembers are the places of the names of open objects.

use smallvec::SmallVec;

use crate::body::step;
use crate::ir::JsonBounds;

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is no JSON, or more than one value, or not in UTF-8.
    Malformed,
    /// A name stands twice in one object, however it is written.
    Duplicate,
    /// Deeper than the bound.
    Depth,
    /// More names than the bound.
    Keys,
    /// More items than the bound.
    Items,
    /// A string or name is longer than the bound.
    String,
    /// A number is longer than the bound, or an integer beyond 64 bits, or beyond a double.
    Number,
}

/// What is wrong, and where: bytes from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub wrong: Wrong,
    /// Where.
    pub at: usize,
}

/// A string as written: its bytes between the quotes, and whether there is an escape in it.
#[derive(Debug, Clone, Copy)]
struct Text {
    start: usize,
    end: usize,
    escaped: bool,
}

/// What is open.
#[derive(Debug, Clone, Copy)]
enum Open {
    /// An object, and how many names stood before its own.
    Object(usize),
    /// An array.
    Array,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    bounds: &'a JsonBounds,
    keys: u32,
    items: u32,
    names: SmallVec<[Text; 32]>,
    open: SmallVec<[Open; 16]>,
}

/// Names of one object up to which each is compared with each.
const FEW: usize = 8;

/// Whether these bytes are one JSON value within the bounds.
///
/// # Errors
/// The first fault.
pub fn scan(text: &[u8], bounds: &JsonBounds) -> Result<(), Fault> {
    if let Err(error) = std::str::from_utf8(text) {
        return Err(Fault { wrong: Wrong::Malformed, at: error.valid_up_to() });
    }
    let mut scanner = Scanner { text, at: 0, bounds, keys: 0, items: 0, names: SmallVec::new(), open: SmallVec::new() };
    scanner.document()
}

impl Scanner<'_> {
    fn fault<T>(&self, wrong: Wrong) -> Result<T, Fault> {
        Err(Fault { wrong, at: self.at })
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next byte that is no blank.
    fn skip(&mut self) -> Option<u8> {
        while let Some(byte) = self.peek() {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn document(&mut self) -> Result<(), Fault> {
        self.begin()?;
        // After each value: what follows it in whatever is open.
        while let Some(open) = self.open.last().copied() {
            match (open, self.skip()) {
                (Open::Object(_), Some(b',')) => {
                    self.at += 1;
                    self.name()?;
                    self.begin()?;
                }
                (Open::Array, Some(b',')) => {
                    self.at += 1;
                    self.item()?;
                    self.begin()?;
                }
                (Open::Object(first), Some(b'}')) => {
                    self.once(first)?;
                    self.at += 1;
                    self.open.pop();
                }
                (Open::Array, Some(b']')) => {
                    self.at += 1;
                    self.open.pop();
                }
                _ => return self.fault(Wrong::Malformed),
            }
        }
        match self.skip() {
            None => Ok(()),
            Some(_) => self.fault(Wrong::Malformed),
        }
    }

    /// A scalar, or the opening of as many arrays and objects as stand in one another, up to the first scalar or end.
    fn begin(&mut self) -> Result<(), Fault> {
        loop {
            match self.skip() {
                Some(b'{') => {
                    self.enter(Open::Object(self.names.len()))?;
                    if self.skip() == Some(b'}') {
                        return Ok(());
                    }
                    self.name()?;
                }
                Some(b'[') => {
                    self.enter(Open::Array)?;
                    if self.skip() == Some(b']') {
                        return Ok(());
                    }
                    self.item()?;
                }
                Some(b'"') => return self.string().map(|_| ()),
                Some(b'-' | b'0'..=b'9') => return self.number(),
                Some(b't') => return self.word(b"true"),
                Some(b'f') => return self.word(b"false"),
                Some(b'n') => return self.word(b"null"),
                _ => return self.fault(Wrong::Malformed),
            }
        }
    }

    fn enter(&mut self, open: Open) -> Result<(), Fault> {
        if self.open.len() >= self.bounds.depth as usize {
            return self.fault(Wrong::Depth);
        }
        self.open.push(open);
        self.at += 1;
        Ok(())
    }

    fn item(&mut self) -> Result<(), Fault> {
        self.items += 1;
        if self.items > self.bounds.items { self.fault(Wrong::Items) } else { Ok(()) }
    }

    /// A name and its colon.
    fn name(&mut self) -> Result<(), Fault> {
        if self.skip() != Some(b'"') {
            return self.fault(Wrong::Malformed);
        }
        self.keys += 1;
        if self.keys > self.bounds.keys {
            return self.fault(Wrong::Keys);
        }
        let name = self.string()?;
        self.names.push(name);
        if self.skip() != Some(b':') {
            return self.fault(Wrong::Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<Text, Fault> {
        let begin = self.at;
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..=0x1f) | None => return self.fault(Wrong::Malformed),
                Some(_) => self.at += 1,
            }
        }
        let text = Text { start, end: self.at, escaped };
        if (self.at - start) as u64 > self.bounds.string {
            return Err(Fault { wrong: Wrong::String, at: begin });
        }
        self.at += 1;
        Ok(text)
    }

    /// One escape; surrogates in pairs only.
    fn escape(&mut self) -> Result<(), Fault> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match unit(self.text, self.at) {
                Some(0xd800..=0xdbff) => match unit(self.text, self.at + 6) {
                    Some(0xdc00..=0xdfff) => self.at += 12,
                    _ => return self.fault(Wrong::Malformed),
                },
                Some(0xdc00..=0xdfff) | None => return self.fault(Wrong::Malformed),
                Some(_) => self.at += 6,
            },
            _ => return self.fault(Wrong::Malformed),
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let zero = self.peek() == Some(b'0');
        match self.digits() {
            0 => return self.fault(Wrong::Malformed),
            2.. if zero => return Err(Fault { wrong: Wrong::Malformed, at: start }),
            _ => {}
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            if self.digits() == 0 {
                return self.fault(Wrong::Malformed);
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return self.fault(Wrong::Malformed);
            }
        }
        let text = self.text.get(start..self.at).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        let fits = match whole {
            // Always within 64 bits.
            true if text.len() <= 18 => true,
            true => text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok(),
            false => text.parse::<f64>().is_ok_and(f64::is_finite),
        };
        if text.len() > self.bounds.number as usize || !fits {
            return Err(Fault { wrong: Wrong::Number, at: start });
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        if self.text.get(self.at..self.at + word.len()) != Some(word) {
            return self.fault(Wrong::Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    /// No name of the object that ends here stands twice; then its names are forgotten.
    fn once(&mut self, first: usize) -> Result<(), Fault> {
        let text = self.text;
        let names = self.names.get_mut(first..).unwrap_or_default();
        let of = |name: &Text| text.get(name.start..name.end).unwrap_or_default();
        let twice = if names.iter().any(|name| name.escaped) {
            let mut read: Vec<(String, usize)> = names.iter().map(|name| (unescaped(of(name)), name.start)).collect();
            read.sort_unstable();
            read.windows(2).find_map(|pair| match pair {
                [one, other] if one.0 == other.0 => Some(other.1),
                _ => None,
            })
        } else if names.len() <= FEW {
            let repeated = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|one| of(one) == of(name)));
            repeated.map(|(_, name)| name.start)
        } else {
            names.sort_unstable_by(|one, other| of(one).cmp(of(other)).then(one.start.cmp(&other.start)));
            names.windows(2).find_map(|pair| match pair {
                [one, other] if of(one) == of(other) => Some(other.start),
                _ => None,
            })
        };
        if let Some(start) = twice {
            return Err(Fault { wrong: Wrong::Duplicate, at: start.saturating_sub(1) });
        }
        self.names.truncate(first);
        Ok(())
    }
}

/// The 16 bits of `\uXXXX` at this place.
fn unit(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
}

/// What a string that was scanned says.
fn unescaped(text: &[u8]) -> String {
    let quoted = [b"\"", text, b"\""].concat();
    serde_json::from_slice(&quoted).unwrap_or_default()
}

/// The JSON Pointer (RFC 6901) of what stands at this place of a document that is well-formed up to there.
#[must_use]
pub fn pointer(text: &[u8], at: usize) -> String {
    let mut steps: Vec<Option<String>> = Vec::new();
    // Of what is open: its number of items so far, or nothing for an object.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut here = 0;
    while let Some(byte) = text.get(here).copied().filter(|_| here <= at) {
        match byte {
            b'{' | b'[' => {
                open.push((byte == b'[').then_some(0));
                steps.push((byte == b'[').then(|| "0".to_owned()));
            }
            b'}' | b']' => {
                open.pop();
                steps.pop();
            }
            b',' => {
                if let (Some(Some(count)), Some(step)) = (open.last_mut(), steps.last_mut()) {
                    *count += 1;
                    *step = Some(count.to_string());
                }
            }
            b'"' => {
                let start = here + 1;
                here = start;
                while let Some(inner) = text.get(here).copied().filter(|inner| *inner != b'"') {
                    here += if inner == b'\\' { 2 } else { 1 };
                }
                let rest = text.get(here + 1..).unwrap_or_default().trim_ascii_start();
                if let (Some(None), Some(step), Some(b':')) = (open.last(), steps.last_mut(), rest.first()) {
                    *step = Some(unescaped(text.get(start..here).unwrap_or_default()));
                }
            }
            _ => {}
        }
        here += 1;
    }
    // What opens at this place is itself what is meant.
    if at < here && matches!(text.get(at), Some(b'{' | b'[')) {
        steps.pop();
    }
    steps.iter().flatten().map(|name| step(name)).collect()
}

#[cfg(test)]
mod tests;
