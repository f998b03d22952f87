//! A JSON document that was scanned and is read where it stands: a list of what it holds, in order, which JSON Schema walks.
//!
//! Nothing is copied but strings with escapes. A value takes 24 bytes, a name as well, and one of a large object four more.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use jsonschema::JsonType;
use jsonschema::json::{self, Json, NodeIdentity};
use jsonschema_value::LazyInstance;
use serde_json::{Number, Value};
use smallvec::SmallVec;

use super::{FEW, Fault, Listener, Scalar, Text, Wrong, listen, utf8};
use crate::ir::JsonBounds;

/// A document.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    /// A value, and behind an array or object what is in it; before each value of an object its name.
    entries: Vec<Entry>,
    /// Of objects with more than [`FEW`] names: their entries, sorted by what they say.
    sorted: Vec<u32>,
    /// What strings with escapes say.
    unescaped: String,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    kind: Kind,
    /// Bytes of the text; of a string those between its quotes.
    start: u32,
    end: u32,
    /// Of an array or object how many values it has. Of a string with escapes where it begins in `unescaped`, and its length.
    count: u32,
    /// Of an object with more than [`FEW`] names where its own are in `sorted`.
    place: u32,
    /// The entry behind it and all that is in it.
    next: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    True,
    False,
    Integer,
    Number,
    String,
    Escaped,
    Array,
    Object,
}

/// Documents, as `jsonschema` knows them: a representation of JSON.
#[derive(Debug)]
pub struct Documents;

/// A value of a document, or a name that is looked at like one.
#[derive(Debug, Clone, Copy)]
pub enum Node<'a> {
    /// The value at an entry.
    At(&'a Document<'a>, u32),
    /// A name.
    Name(&'a str),
}

/// An array or object of a document.
#[derive(Debug, Clone, Copy)]
pub struct Inside<'a> {
    document: &'a Document<'a>,
    entry: Entry,
    first: u32,
}

struct Builder<'t> {
    document: Document<'t>,
    open: SmallVec<[u32; 16]>,
}

impl<'t> Document<'t> {
    /// Reads it.
    ///
    /// # Errors
    /// The first fault; see [`super::scan`].
    pub fn read(text: &'t [u8], bounds: &JsonBounds) -> Result<Self, Fault> {
        let text = utf8(text)?;
        if u32::try_from(text.len()).is_err() {
            return Err(Fault { wrong: Wrong::Items, at: 0 });
        }
        // Most documents have a value or name in eight bytes; long ones may be a few long strings.
        let entries = Vec::with_capacity((text.len() / 8 + 4).min(4096));
        let document = Document { text, entries, sorted: Vec::new(), unescaped: String::new() };
        let builder = listen(text, bounds, Builder { document, open: SmallVec::new() })?;
        Ok(builder.document)
    }

    /// All of it.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::At(self, 0)
    }

    fn entry(&self, index: u32) -> Option<Entry> {
        self.entries.get(index as usize).copied()
    }

    fn slice(&self, range: Range<u32>) -> &str {
        self.text.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// What the string or name at an entry says.
    fn said(&self, entry: Entry) -> &str {
        if entry.kind == Kind::Escaped {
            let from = entry.place as usize;
            return self.unescaped.get(from..from + entry.count as usize).unwrap_or_default();
        }
        self.slice(entry.start..entry.end)
    }

    fn number(&self, entry: Entry) -> Number {
        let text = self.slice(entry.start..entry.end);
        // `-0` is read as the double that it is.
        if entry.kind == Kind::Integer && text.len() <= 18 && text != "-0" {
            let negative = text.starts_with('-');
            let digits = text.bytes().filter(u8::is_ascii_digit);
            let value = digits.fold(0_i64, |sum, digit| sum.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')));
            return if negative { (-value).into() } else { value.into() };
        }
        serde_json::from_str(text).unwrap_or_else(|_| 0.into())
    }
}

impl Builder<'_> {
    fn push(&mut self, kind: Kind, start: usize, end: usize, name: bool) -> u32 {
        let document = &mut self.document;
        let index = document.entries.len() as u32;
        if let Some(parent) = self.open.last().and_then(|parent| document.entries.get_mut(*parent as usize)) {
            parent.count += u32::from(name || parent.kind == Kind::Array);
        }
        document.entries.push(Entry { kind, start: start as u32, end: end as u32, count: 0, place: 0, next: index + 1 });
        index
    }
}

impl Listener for Builder<'_> {
    fn opened(&mut self, at: usize, object: bool) {
        let index = self.push(if object { Kind::Object } else { Kind::Array }, at, at, false);
        self.open.push(index);
    }

    fn closed(&mut self, end: usize, sorted: &[Text]) {
        let document = &mut self.document;
        let next = document.entries.len() as u32;
        let place = document.sorted.len() as u32;
        document.sorted.extend(sorted.iter().map(|name| name.called));
        if let Some(own) = self.open.pop().and_then(|own| document.entries.get_mut(own as usize)) {
            (own.end, own.place, own.next) = (end as u32, place, next);
        }
    }

    fn string(&mut self, text: Text, name: bool) -> u32 {
        let index = self.push(if text.escaped { Kind::Escaped } else { Kind::String }, text.start, text.end, name);
        if text.escaped {
            let document = &mut self.document;
            let from = document.unescaped.len();
            document
                .unescaped
                .push_str(&super::unescaped(document.text.as_bytes().get(text.start..text.end).unwrap_or_default()));
            if let Some(own) = document.entries.get_mut(index as usize) {
                (own.place, own.count) = (from as u32, (document.unescaped.len() - from) as u32);
            }
        }
        index
    }

    fn scalar(&mut self, kind: Scalar, start: usize, end: usize) {
        let kind = match kind {
            Scalar::Null => Kind::Null,
            Scalar::True => Kind::True,
            Scalar::False => Kind::False,
            Scalar::Number(true) => Kind::Integer,
            Scalar::Number(false) => Kind::Number,
        };
        self.push(kind, start, end, false);
    }
}

impl Json for Documents {
    type Node<'a> = Node<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = ();

    const KEYS_PER_LOOKUP: usize = 4;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(Node<'_>) -> T) -> T {
        f(Node::Name(string))
    }
}

impl<'a> Node<'a> {
    fn entry(&self) -> Option<Entry> {
        match self {
            Self::At(document, index) => document.entry(*index),
            Self::Name(_) => None,
        }
    }

    fn kind(&self) -> Kind {
        self.entry().map_or(Kind::String, |entry| entry.kind)
    }

    fn text(&self) -> Option<&'a str> {
        match *self {
            Self::At(document, index) => {
                let entry = document.entry(index).filter(|entry| matches!(entry.kind, Kind::String | Kind::Escaped))?;
                Some(document.said(entry))
            }
            Self::Name(name) => Some(name),
        }
    }

    fn inside(&self, kind: Kind) -> Option<Inside<'a>> {
        let Self::At(document, index) = *self else { return None };
        let entry = document.entry(index).filter(|entry| entry.kind == kind)?;
        Some(Inside { document, entry, first: index + 1 })
    }

    /// As it was written.
    fn written(&self) -> &'a [u8] {
        match *self {
            Self::At(document, index) => document.entry(index).map_or(&[], |entry| {
                let quoted = u32::from(matches!(entry.kind, Kind::String | Kind::Escaped));
                document.slice(entry.start - quoted..entry.end + quoted).as_bytes()
            }),
            Self::Name(name) => name.as_bytes(),
        }
    }
}

fn read(written: &[u8], name: u32) -> Value {
    if name == 1 {
        return String::from_utf8_lossy(written).into();
    }
    serde_json::from_slice(written).unwrap_or_default()
}

impl<'a> json::Node<'a, Documents> for Node<'a> {
    type Object = Inside<'a>;
    type Array = Inside<'a>;
    type Number = Number;

    fn as_object(&self) -> Option<Inside<'a>> {
        self.inside(Kind::Object)
    }

    fn as_array(&self) -> Option<Inside<'a>> {
        self.inside(Kind::Array)
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.text().map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<Number> {
        let Self::At(document, index) = self else { return None };
        let entry = document.entry(*index).filter(|entry| matches!(entry.kind, Kind::Integer | Kind::Number))?;
        Some(document.number(entry))
    }

    fn as_boolean(&self) -> Option<bool> {
        match self.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    fn is_number(&self) -> bool {
        matches!(self.kind(), Kind::Integer | Kind::Number)
    }

    fn json_type(&self) -> JsonType {
        match self.kind() {
            Kind::Null => JsonType::Null,
            Kind::True | Kind::False => JsonType::Boolean,
            Kind::Integer | Kind::Number => JsonType::Number,
            Kind::String | Kind::Escaped => JsonType::String,
            Kind::Array => JsonType::Array,
            Kind::Object => JsonType::Object,
        }
    }

    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let text = self.text()?;
        // A character has one to four bytes.
        let (most, fewest) = (text.len() as u64, (text.len() as u64).div_ceil(4));
        if most < min || fewest > max {
            return Some(false);
        }
        Some((min <= fewest && most <= max) || (min..=max).contains(&(text.chars().count() as u64)))
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match (expected, self.kind()) {
            (Value::String(expected), _) => self.text() == Some(expected.as_str()),
            (Value::Null, kind) => kind == Kind::Null,
            (Value::Bool(expected), kind) => kind == if *expected { Kind::True } else { Kind::False },
            (Value::Number(_), Kind::Integer | Kind::Number) => json::cmp::equal(&self.to_value(), expected),
            // Where they stand: an `enum` of many would read a large value as often.
            (Value::Array(expected), Kind::Array) => self.as_array().is_some_and(|own| {
                json::Array::len(&own) == expected.len() && own.values().zip(expected).all(|(one, other)| one.equals_value(other))
            }),
            (Value::Object(expected), Kind::Object) => self.as_object().is_some_and(|own| {
                let alike = |(name, one): (&str, Node<'a>)| expected.get(name).is_some_and(|other| one.equals_value(other));
                json::Object::len(&own) == expected.len() && Members(own.values()).all(alike)
            }),
            _ => false,
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(read(self.written(), u32::from(matches!(self, Self::Name(_)))))
    }

    fn lazy_value(&self) -> LazyInstance<'a> {
        let tag = u32::from(matches!(self, Self::Name(_)));
        LazyInstance::Deferred { bytes: self.written(), tag, make: read, cell: std::sync::OnceLock::new() }
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(match *self {
            Self::At(document, index) => NodeIdentity::tagged(std::ptr::from_ref(document).addr(), index),
            Self::Name(name) => NodeIdentity::tagged(name.as_ptr().addr(), u32::MAX),
        })
    }
}

/// Values, with their names where they have some.
#[derive(Debug)]
pub struct Values<'a> {
    document: &'a Document<'a>,
    left: u32,
    at: u32,
}

impl<'a> Inside<'a> {
    fn values(&self) -> Values<'a> {
        Values { document: self.document, left: self.entry.count, at: self.first }
    }
}

impl<'a> Values<'a> {
    fn value(&mut self) -> Option<Node<'a>> {
        let at = self.at;
        self.left = self.left.checked_sub(1)?;
        self.at = self.document.entry(at)?.next;
        Some(Node::At(self.document, at))
    }
}

/// Names and values of an object.
#[derive(Debug)]
pub struct Members<'a>(Values<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.document.entry(self.0.at).filter(|_| self.0.left > 0)?;
        self.0.at += 1;
        Some((self.0.document.said(name), self.0.value()?))
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        self.value()
    }
}

impl<'a> json::Object<'a, Documents> for Inside<'a> {
    type Node = Node<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        self.entry.count as usize
    }

    fn get(&self, key: &Box<str>) -> Option<Node<'a>> {
        let (document, count) = (self.document, self.entry.count as usize);
        if count <= FEW {
            return Members(self.values()).find(|(name, _)| *name == &**key).map(|(_, value)| value);
        }
        let from = self.entry.place as usize;
        let sorted = document.sorted.get(from..from + count)?;
        let said = |index: u32| document.entry(index).map(|entry| document.said(entry)).unwrap_or_default();
        let found = sorted.binary_search_by(|index| said(*index).cmp(key)).ok()?;
        Some(Node::At(document, sorted.get(found)? + 1))
    }

    fn members(&self) -> Members<'a> {
        Members(self.values())
    }
}

impl<'a> json::Array<'a, Documents> for Inside<'a> {
    type Node = Node<'a>;
    type ElementsIter = Values<'a>;

    fn len(&self) -> usize {
        self.entry.count as usize
    }

    fn elements(&self) -> Values<'a> {
        self.values()
    }

    // The library's own hashes arrays without where they begin and end: many trees of empty arrays would be compared in pairs.
    fn is_unique(&self) -> bool {
        let mut seen = HashSet::with_capacity(json::Array::len(self));
        self.values().all(|one| {
            let mut text = Vec::new();
            canonical(&json::Node::to_value(&one), &mut text);
            seen.insert(text)
        })
    }
}

/// The same bytes for values that JSON Schema takes for equal (section 4.2.2), and for no others.
fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(true) => out.push(b't'),
        Value::Bool(false) => out.push(b'f'),
        Value::Number(number) => out.extend_from_slice(exact(number).as_bytes()),
        Value::String(text) => said(text, out),
        Value::Array(items) => {
            out.push(b'[');
            items.iter().for_each(|item| canonical(item, out));
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (name, member) in members {
                said(name, out);
                canonical(member, out);
            }
            out.push(b'}');
        }
    }
}

fn said(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// 1 and 1.0 are one number, and so are 0 and -0.0.
fn exact(number: &serde_json::Number) -> String {
    if let Some(whole) = number.as_u64() {
        return format!("#{whole};");
    }
    if let Some(whole) = number.as_i64() {
        return format!("#{whole};");
    }
    let real = number.as_f64().unwrap_or(f64::NAN);
    if real.fract() == 0.0 && real.abs() < 2.0_f64.powi(100) { format!("#{real:.0};") } else { format!("~{:x};", real.to_bits()) }
        .replace("#-0;", "#0;")
}

#[cfg(test)]
mod tests;
