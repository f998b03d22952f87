//! A look over the bytes of a JSON document before anything else reads them (RFC 8259, strictly): one value, no name
//! twice, within bounds. Builds nothing: what it remembers are the places of the names of open objects.

pub mod document;

use std::borrow::Cow;

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

/// A string as written: its bytes between the quotes, whether there is an escape in it, and what it was called by whoever is told.
#[derive(Debug, Clone, Copy)]
struct Text {
    start: usize,
    end: usize,
    escaped: bool,
    called: u32,
}

/// A value that is neither array nor object.
#[derive(Debug, Clone, Copy)]
enum Scalar {
    Null,
    True,
    False,
    /// Whether it is written without a fraction and without an exponent.
    Number(bool),
}

/// Who is told what a scan finds, in the order of the text.
trait Listener {
    /// An array or object begins at this byte.
    fn opened(&mut self, at: usize, object: bool);
    /// The innermost one ends before this byte; its names in their order (of bytes) where they were sorted.
    fn closed(&mut self, end: usize, sorted: &[Text]);
    /// A string, and whether it is a name; how to call it.
    fn string(&mut self, text: Text, name: bool) -> u32;
    /// Another scalar, from byte to byte.
    fn scalar(&mut self, kind: Scalar, start: usize, end: usize);
}

/// Nobody.
impl Listener for () {
    fn opened(&mut self, _at: usize, _object: bool) {}
    fn closed(&mut self, _end: usize, _sorted: &[Text]) {}
    fn string(&mut self, _text: Text, _name: bool) -> u32 {
        0
    }
    fn scalar(&mut self, _kind: Scalar, _start: usize, _end: usize) {}
}

/// What is open.
#[derive(Debug, Clone, Copy)]
enum Open {
    /// An object, and how many names stood before its own.
    Object(usize),
    /// An array.
    Array,
}

struct Scanner<'a, L> {
    listener: L,
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
    listen(utf8(text)?, bounds, ())
}

/// Each string of a document, unescaped, with where it stands and whether it is a name.
///
/// # Errors
/// The first fault; strings before it were heard.
pub fn strings(text: &[u8], bounds: &JsonBounds, heard: impl FnMut(&str, &Way<'_>, bool)) -> Result<(), Fault> {
    let text = utf8(text)?;
    listen(text, bounds, Strings { way: Way { text, steps: SmallVec::new() }, heard }).map(drop)
}

/// The way to what is heard.
#[derive(Debug)]
pub struct Way<'t> {
    text: &'t str,
    steps: SmallVec<[Step; 16]>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// So many items were begun.
    Items(usize),
    /// The last name of an object, where it has had one.
    Name(Option<Text>),
}

impl<'t> Way<'t> {
    /// As a JSON Pointer (RFC 6901).
    #[must_use]
    pub fn pointer(&self) -> String {
        let each = |one: &Step| match one {
            Step::Items(count) => format!("/{}", count.saturating_sub(1)),
            Step::Name(Some(name)) => step(&self.said(*name)),
            Step::Name(None) => String::new(),
        };
        self.steps.iter().map(each).collect()
    }

    fn said(&self, text: Text) -> Cow<'t, str> {
        let said = self.text.get(text.start..text.end).unwrap_or_default();
        if text.escaped { Cow::Owned(unescaped(said.as_bytes())) } else { Cow::Borrowed(said) }
    }

    /// A value begins.
    fn begin(&mut self) {
        if let Some(Step::Items(count)) = self.steps.last_mut() {
            *count += 1;
        }
    }
}

struct Strings<'t, F> {
    way: Way<'t>,
    heard: F,
}

impl<F: FnMut(&str, &Way<'_>, bool)> Listener for Strings<'_, F> {
    fn opened(&mut self, _at: usize, object: bool) {
        self.way.begin();
        self.way.steps.push(if object { Step::Name(None) } else { Step::Items(0) });
    }
    fn closed(&mut self, _end: usize, _sorted: &[Text]) {
        self.way.steps.pop();
    }
    fn string(&mut self, text: Text, name: bool) -> u32 {
        match self.way.steps.last_mut().filter(|_| name) {
            Some(last) => *last = Step::Name(Some(text)),
            None => self.way.begin(),
        }
        (self.heard)(&self.way.said(text), &self.way, name);
        0
    }
    fn scalar(&mut self, _kind: Scalar, _start: usize, _end: usize) {
        self.way.begin();
    }
}

fn utf8(text: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(text).map_err(|error| Fault { wrong: Wrong::Malformed, at: error.valid_up_to() })
}

/// The same, with somebody who hears what there is; the last thing that is heard may be wrong.
fn listen<L: Listener>(text: &str, bounds: &JsonBounds, listener: L) -> Result<L, Fault> {
    let (names, open) = (SmallVec::new(), SmallVec::new());
    let mut scanner = Scanner { listener, text: text.as_bytes(), at: 0, bounds, keys: 0, items: 0, names, open };
    scanner.document()?;
    Ok(scanner.listener)
}

impl<L: Listener> Scanner<'_, L> {
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
                    let names = self.names.get(first..).filter(|names| names.len() > FEW).unwrap_or_default();
                    self.listener.closed(self.at, names);
                    self.names.truncate(first);
                }
                (Open::Array, Some(b']')) => {
                    self.at += 1;
                    self.open.pop();
                    self.listener.closed(self.at, &[]);
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
                    self.listener.opened(self.at, true);
                    self.enter(Open::Object(self.names.len()))?;
                    if self.skip() == Some(b'}') {
                        return Ok(());
                    }
                    self.name()?;
                }
                Some(b'[') => {
                    self.listener.opened(self.at, false);
                    self.enter(Open::Array)?;
                    if self.skip() == Some(b']') {
                        return Ok(());
                    }
                    self.item()?;
                }
                Some(b'"') => return self.string(false).map(|_| ()),
                Some(b'-' | b'0'..=b'9') => return self.number(),
                Some(b't') => return self.word(b"true", Scalar::True),
                Some(b'f') => return self.word(b"false", Scalar::False),
                Some(b'n') => return self.word(b"null", Scalar::Null),
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
        let name = self.string(true)?;
        self.names.push(name);
        if self.skip() != Some(b':') {
            return self.fault(Wrong::Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self, name: bool) -> Result<Text, Fault> {
        let begin = self.at;
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain(self.text.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return self.fault(Wrong::Malformed),
            }
        }
        let mut text = Text { start, end: self.at, escaped, called: 0 };
        if (self.at - start) as u64 > self.bounds.string {
            return Err(Fault { wrong: Wrong::String, at: begin });
        }
        self.at += 1;
        text.called = self.listener.string(text, name);
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
        let exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if exponent {
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
            // Below 10^300.
            false if !exponent && text.len() <= 300 => true,
            false => text.parse::<f64>().is_ok_and(f64::is_finite),
        };
        if text.len() > self.bounds.number as usize || !fits {
            return Err(Fault { wrong: Wrong::Number, at: start });
        }
        self.listener.scalar(Scalar::Number(whole), start, self.at);
        Ok(())
    }

    fn word(&mut self, word: &[u8], kind: Scalar) -> Result<(), Fault> {
        let start = self.at;
        if self.text.get(start..start + word.len()) != Some(word) {
            return self.fault(Wrong::Malformed);
        }
        self.at += word.len();
        self.listener.scalar(kind, start, self.at);
        Ok(())
    }

    /// No name of the object that ends here stands twice. More than a few are sorted then.
    fn once(&mut self, first: usize) -> Result<(), Fault> {
        let text = self.text;
        let names = self.names.get_mut(first..).unwrap_or_default();
        let of = |name: &Text| text.get(name.start..name.end).unwrap_or_default();
        let twice = if names.iter().any(|name| name.escaped) {
            let mut read: Vec<(String, Text)> = names.iter().map(|name| (unescaped(of(name)), *name)).collect();
            read.sort_unstable_by(|one, other| one.0.cmp(&other.0).then(one.1.start.cmp(&other.1.start)));
            names.iter_mut().zip(&read).for_each(|(name, (_, sorted))| *name = *sorted);
            read.windows(2).find_map(|pair| match pair {
                [one, other] if one.0 == other.0 => Some(other.1.start),
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
        Ok(())
    }
}

/// How many bytes from the first on are neither a quote nor a backslash nor a control character.
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    // Bit 7 of each byte of `word` that is below `bound`, the lowest one exactly: a borrow only passes beyond it.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES.wrapping_mul(bound)) & !word & HIGHS;
    let (words, rest) = text.as_chunks::<8>();
    let mut count = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ ONES.wrapping_mul(u64::from(b'"'));
        let backslash = word ^ ONES.wrapping_mul(u64::from(b'\\'));
        let found = below(word, 0x20) | below(quote, 1) | below(backslash, 1);
        if found != 0 {
            return count + found.trailing_zeros() as usize / 8;
        }
        count += 8;
    }
    count + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len())
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
