//! Header blocks of clients (RFC 7541 section 6).

use super::table::{Entry, Kind, Table};
use super::{huffman, integer};

use crate::headers::is_value;

/// A header block that cannot be decoded. The table is out of step from now on, so that the connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Shortest and longest code words that are remembered: shorter ones are quickly decoded, longer ones are rare.
const REMEMBER: std::ops::RangeInclusive<usize> = 64..=4096;

/// The value of the last literal that was not indexed, with the code words that it came in: clients send their
/// credentials so, again and again.
#[derive(Debug, Default)]
struct Last {
    words: Vec<u8>,
    value: Vec<u8>,
    clean: bool,
}

/// A connection's decoder.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// What the table may be resized to.
    most: usize,
    last: Last,
}

/// A string as it stands in a block.
#[derive(Clone, Copy)]
enum Text<'a> {
    Plain(&'a [u8]),
    Huffman(&'a [u8]),
}

impl Decoder {
    /// With a table of at most so many bytes, as our SETTINGS say.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { table: Table::new(most), most, last: Last::default() }
    }

    /// Hands each field of a whole block to `take`. `scratch` is for what has to be decoded first.
    ///
    /// # Errors
    /// See [`Malformed`]. Some fields may have been handed out.
    pub fn decode(&mut self, mut block: &[u8], scratch: &mut Vec<u8>, mut take: impl FnMut(&Entry<'_>)) -> Result<(), Malformed> {
        let rest = &mut block;
        let mut begun = false;
        while let Some((first, more)) = rest.split_first() {
            *rest = more;
            match *first {
                0x80.. => {
                    let index = integer::decode(*first, 7, rest)?;
                    take(&self.table.get(index).ok_or(Malformed)?);
                }
                0x40.. => self.literal(*first, 6, true, rest, scratch, &mut take)?,
                // Only at the beginning of a block (RFC 7541 section 4.2).
                0x20.. if !begun => {
                    let size = integer::decode(*first, 5, rest)?;
                    if size > self.most {
                        return Err(Malformed);
                    }
                    self.table.resize(size);
                    continue;
                }
                0x20.. => return Err(Malformed),
                _ => self.literal(*first, 4, false, rest, scratch, &mut take)?,
            }
            begun = true;
        }
        Ok(())
    }

    fn literal(
        &mut self,
        first: u8,
        prefix: u32,
        index: bool,
        rest: &mut &[u8],
        scratch: &mut Vec<u8>,
        take: &mut impl FnMut(&Entry<'_>),
    ) -> Result<(), Malformed> {
        scratch.clear();
        let named = integer::decode(first, prefix, rest)?;
        let kind = if named == 0 {
            text(rest)?.decode(scratch)?;
            Kind::of(scratch)
        } else {
            let entry = self.table.get(named).ok_or(Malformed)?;
            // With an index the table changes under the name.
            if index {
                scratch.extend_from_slice(entry.name);
            }
            entry.kind
        };
        let name = scratch.len();
        let value = text(rest)?;
        if !index
            && let Text::Huffman(words) = value
            && REMEMBER.contains(&words.len())
        {
            self.remember(words)?;
            let name = if named == 0 { scratch.as_slice() } else { self.table.get(named).ok_or(Malformed)?.name };
            take(&Entry { name, value: &self.last.value, kind, clean: self.last.clean });
            return Ok(());
        }
        let value = match value {
            // Straight out of the block.
            Text::Plain(value) => value,
            huffman @ Text::Huffman(_) => {
                huffman.decode(scratch)?;
                scratch.get(name..).unwrap_or_default()
            }
        };
        let spelt = scratch.get(..name).unwrap_or_default();
        if index {
            let entry = Entry::new(spelt, value, kind);
            take(&entry);
            self.table.insert(&entry);
        } else {
            let name = if named == 0 { spelt } else { self.table.get(named).ok_or(Malformed)?.name };
            take(&Entry::new(name, value, kind));
        }
        Ok(())
    }

    /// Leaves in `last` what `words` say. Takes as long for a value that differs early as for one that differs late.
    fn remember(&mut self, words: &[u8]) -> Result<(), Malformed> {
        let last = &mut self.last;
        let differ = |known: &[u8]| known.iter().zip(words).fold(0, |sum, (a, b)| sum | (a ^ b)) != 0;
        if last.words.len() == words.len() && !differ(&last.words) {
            return Ok(());
        }
        last.words.clear();
        last.value.clear();
        huffman::decode(words, &mut last.value)?;
        last.clean = is_value(&last.value);
        // Last, so that words that say nothing are never taken for known ones.
        last.words.extend_from_slice(words);
        Ok(())
    }
}

/// A string literal (RFC 7541 section 5.2).
fn text<'a>(rest: &mut &'a [u8]) -> Result<Text<'a>, Malformed> {
    let (first, more) = rest.split_first().ok_or(Malformed)?;
    *rest = more;
    let length = integer::decode(*first, 7, rest)?;
    let (text, more) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = more;
    Ok(if first & 0x80 == 0 { Text::Plain(text) } else { Text::Huffman(text) })
}

impl Text<'_> {
    /// Appends what it says to `out`.
    fn decode(self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self {
            Self::Plain(text) => out.extend_from_slice(text),
            Self::Huffman(words) => huffman::decode(words, out)?,
        }
        Ok(())
    }
}
