//! The dynamic table of a decoder (RFC 7541 section 2.3.2): what was looked at when it came in is not looked at again.

use std::collections::VecDeque;

use super::Pseudo;
use super::statics;
use crate::headers::{Known, is_lower_token, is_value};

/// What the name of a field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A pseudo-header field of requests.
    Pseudo(Pseudo),
    /// A field with a name in lower case.
    Regular(Known),
    /// No name that a request's field may have (RFC 9113 sections 8.2.1 and 8.3).
    Bad,
}

impl Kind {
    /// Of this name.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Pseudo(Pseudo::Method),
            b":scheme" => Self::Pseudo(Pseudo::Scheme),
            b":authority" => Self::Pseudo(Pseudo::Authority),
            b":path" => Self::Pseudo(Pseudo::Path),
            _ if is_lower_token(name) => Self::Regular(Known::of(name)),
            _ => Self::Bad,
        }
    }
}

/// One field of a header list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// As it came.
    pub name: &'a [u8],
    /// As it came.
    pub value: &'a [u8],
    /// What the name says.
    pub kind: Kind,
    /// The value may be one: no control characters, no blanks around it.
    pub clean: bool,
}

impl<'a> Entry<'a> {
    /// Of this name and value.
    #[must_use]
    pub fn new(name: &'a [u8], value: &'a [u8], kind: Kind) -> Self {
        Self { name, value, kind, clean: is_value(value) }
    }
}

/// What an entry counts beside its bytes (RFC 7541 section 4.1).
pub const OVERHEAD: usize = 32;

#[derive(Debug)]
struct Kept {
    /// Name, then value.
    bytes: Box<[u8]>,
    name: usize,
    kind: Kind,
    clean: bool,
}

/// The table, newest entry first.
#[derive(Debug)]
pub struct Table {
    entries: VecDeque<Kept>,
    size: usize,
    most: usize,
}

impl Table {
    /// An empty one of at most so many bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), size: 0, most }
    }

    /// Changes the size.
    pub fn resize(&mut self, most: usize) {
        self.most = most;
        self.evict(0);
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// Static entries are 1 to 61, then come those of this table. `None` beyond them, and for 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Entry<'_>> {
        let index = index.checked_sub(1)?;
        if let Some(entry) = statics::ENTRIES.get(index) {
            return Some(*entry);
        }
        let kept = self.entries.get(index.checked_sub(statics::ENTRIES.len())?)?;
        let (name, value) = kept.bytes.split_at_checked(kept.name)?;
        Some(Entry { name, value, kind: kept.kind, clean: kept.clean })
    }

    /// Adds an entry in front. One that is too large for the table empties it (RFC 7541 section 4.4).
    pub fn insert(&mut self, entry: &Entry<'_>) {
        let length = entry.name.len().saturating_add(entry.value.len());
        let size = length.saturating_add(OVERHEAD);
        self.evict(size);
        if size > self.most {
            return;
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(entry.name);
        bytes.extend_from_slice(entry.value);
        let kept = Kept { bytes: bytes.into(), name: entry.name.len(), kind: entry.kind, clean: entry.clean };
        self.entries.push_front(kept);
        self.size = self.size.saturating_add(size);
    }

    /// Makes room for `size`.
    fn evict(&mut self, size: usize) {
        while self.size.saturating_add(size) > self.most {
            let Some(last) = self.entries.pop_back() else { return };
            self.size = self.size.saturating_sub(last.bytes.len().saturating_add(OVERHEAD));
        }
    }
}
