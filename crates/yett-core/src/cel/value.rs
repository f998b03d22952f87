//! Values: borrowed from the request, the program or each other wherever that is possible.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::decisions::Opaque;

/// Why an evaluation failed. Whoever evaluates a rule denies then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// What is read is not there.
    Absent,
    /// What is read stands more than once, or cannot be read.
    Unclear,
    /// No such key or index.
    NoSuchKey,
    /// The values have types for which the operation does not exist.
    NoOverload,
    /// The result does not fit.
    Overflow,
    /// Division by zero.
    DividedByZero,
    /// The value cannot be converted.
    Conversion,
    /// A key stands twice in a map.
    RepeatedKey,
    /// More work than a condition may do.
    TooMuch,
}

impl Failure {
    /// In words, for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "what it reads is not there",
            Self::Unclear => "what it reads stands more than once or cannot be read",
            Self::NoSuchKey => "no such key or index",
            Self::NoOverload => "no such operation for these types",
            Self::Overflow => "the result is out of range",
            Self::DividedByZero => "division by zero",
            Self::Conversion => "a value cannot be converted",
            Self::RepeatedKey => "a key stands twice",
            Self::TooMuch => "too much work",
        }
    }
}

/// A text.
#[derive(Debug, Clone)]
pub enum Text<'a> {
    /// Of someone else.
    Borrowed(&'a str),
    /// Made by the evaluation.
    Shared(Arc<str>),
    /// Of a decision record, which knows only a hash of it.
    Opaque(Arc<Opaque>),
}

impl Text<'_> {
    /// Its characters. Of an opaque one nobody knows them: it notes that something follows from them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
            Self::Opaque(opaque) => opaque.read(),
        }
    }

    /// Whether two are the same, which can be told of opaque ones as well.
    #[must_use]
    pub fn same(&self, other: &Text<'_>) -> bool {
        match (self, other) {
            (Self::Opaque(one), Text::Opaque(other)) => one.marked() == other.marked(),
            (Self::Opaque(opaque), plain) => opaque.is(plain.as_str()),
            (plain, Text::Opaque(opaque)) => opaque.is(plain.as_str()),
            _ => self.as_str() == other.as_str(),
        }
    }
}

/// Bytes.
#[derive(Debug, Clone)]
pub enum Bytes<'a> {
    /// Of someone else.
    Borrowed(&'a [u8]),
    /// Made by the evaluation.
    Shared(Arc<[u8]>),
}

impl Bytes<'_> {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A list.
#[derive(Debug, Clone)]
pub enum List<'a> {
    /// Texts of someone else.
    Texts(&'a [Box<str>]),
    /// Values of someone else.
    Borrowed(&'a [Value<'a>]),
    /// Made by the evaluation.
    Shared(Arc<[Value<'a>]>),
}

impl<'a> List<'a> {
    /// How many items.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(items) => items.len(),
            Self::Borrowed(items) => items.len(),
            Self::Shared(items) => items.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at this place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Texts(items) => items.get(index).map(|text| Value::Text(Text::Borrowed(text))),
            Self::Borrowed(items) => items.get(index).cloned(),
            Self::Shared(items) => items.get(index).cloned(),
        }
    }

    /// All items.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Whether one equals it.
    #[must_use]
    pub fn contains(&self, wanted: &Value<'_>) -> bool {
        if let (Self::Texts(items), Value::Text(text)) = (self, wanted) {
            return items.iter().any(|item| text.same(&Text::Borrowed(item)));
        }
        match self {
            Self::Texts(_) => false,
            Self::Borrowed(items) => items.iter().any(|item| item.equals(wanted)),
            Self::Shared(items) => items.iter().any(|item| item.equals(wanted)),
        }
    }
}

/// A map; few entries, in the order in which they were written.
#[derive(Debug, Clone)]
pub enum Map<'a> {
    /// Of someone else.
    Borrowed(&'a [(Value<'a>, Value<'a>)]),
    /// Made by the evaluation.
    Shared(Arc<[(Value<'a>, Value<'a>)]>),
}

impl<'a> Map<'a> {
    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[(Value<'a>, Value<'a>)] {
        match self {
            Self::Borrowed(entries) => entries,
            Self::Shared(entries) => entries,
        }
    }

    /// The value of a key; numbers of different types are one key where they are equal.
    #[must_use]
    pub fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        self.entries().iter().find(|(known, _)| known.equals(key)).map(|(_, value)| value.clone())
    }

    /// The value of a text as key.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Value<'a>> {
        let named = |key: &Value<'_>| matches!(key, Value::Text(text) if text.as_str() == name);
        self.entries().iter().find(|(key, _)| named(key)).map(|(_, value)| value.clone())
    }
}

/// A value.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `uint`
    Uint(u64),
    /// `double`
    Double(f64),
    /// `string`
    Text(Text<'a>),
    /// `bytes`
    Bytes(Bytes<'a>),
    /// `list`
    List(List<'a>),
    /// `map`
    Map(Map<'a>),
    /// A timestamp, nanoseconds since 1970.
    Time(i128),
    /// A duration, nanoseconds.
    Span(i128),
    /// A type, by its name.
    Type(&'static str),
}

impl<'a> Value<'a> {
    /// A text that is someone else's.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::Text(Text::Borrowed(text))
    }

    /// A text that was made.
    #[must_use]
    pub fn made(text: &str) -> Self {
        Self::Text(Text::Shared(text.into()))
    }

    /// The name of its type.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Time(_) => "google.protobuf.Timestamp",
            Self::Span(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
        }
    }

    /// Equality: of different types never, but numbers are equal by what they are.
    #[must_use]
    pub fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(left), Value::Bool(right)) => left == right,
            (Self::Text(left), Value::Text(right)) => left.same(right),
            (Self::Bytes(left), Value::Bytes(right)) => left.as_slice() == right.as_slice(),
            (Self::Time(left), Value::Time(right)) | (Self::Span(left), Value::Span(right)) => left == right,
            (Self::Type(left), Value::Type(right)) => left == right,
            (Self::List(left), Value::List(right)) => {
                left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| left.equals(&right))
            }
            (Self::Map(left), Value::Map(right)) => {
                left.entries().len() == right.entries().len()
                    && left.entries().iter().all(|(key, value)| right.get(key).is_some_and(|other| value.equals(&other)))
            }
            _ => self.numeric_order(other, exact) == Some(Some(Ordering::Equal)),
        }
    }

    /// The order of two numbers: nothing where one is none, and no order where one is not a number (NaN).
    #[expect(clippy::cast_precision_loss, reason = "whoever compares decides what it means")]
    fn numeric_order(&self, other: &Value<'_>, mixed: impl Fn(i128, f64, f64) -> Option<Ordering>) -> Option<Option<Ordering>> {
        Some(match (self, other) {
            (Self::Int(left), Value::Int(right)) => Some(left.cmp(right)),
            (Self::Uint(left), Value::Uint(right)) => Some(left.cmp(right)),
            (Self::Double(left), Value::Double(right)) => left.partial_cmp(right),
            (Self::Int(left), Value::Uint(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
            (Self::Uint(left), Value::Int(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
            (Self::Int(left), Value::Double(right)) => mixed(i128::from(*left), *left as f64, *right),
            (Self::Uint(left), Value::Double(right)) => mixed(i128::from(*left), *left as f64, *right),
            (Self::Double(left), Value::Int(right)) => mixed(i128::from(*right), *right as f64, *left).map(Ordering::reverse),
            (Self::Double(left), Value::Uint(right)) => mixed(i128::from(*right), *right as f64, *left).map(Ordering::reverse),
            _ => return None,
        })
    }

    /// The order of two values.
    ///
    /// # Errors
    /// Types that have none.
    pub fn order(&self, other: &Value<'_>) -> Result<Option<Ordering>, Failure> {
        match (self, other) {
            (Self::Bool(left), Value::Bool(right)) => Ok(Some(left.cmp(right))),
            (Self::Text(left), Value::Text(right)) => Ok(Some(left.as_str().cmp(right.as_str()))),
            (Self::Bytes(left), Value::Bytes(right)) => Ok(Some(left.as_slice().cmp(right.as_slice()))),
            (Self::Time(left), Value::Time(right)) | (Self::Span(left), Value::Span(right)) => Ok(Some(left.cmp(right))),
            _ => self.numeric_order(other, approximate).ok_or(Failure::NoOverload),
        }
    }
}

/// As doubles, as far as they reach.
fn approximate(_: i128, approximately: f64, double: f64) -> Option<Ordering> {
    approximately.partial_cmp(&double)
}

/// Exact beyond 2^53 as well, where a double is always whole.
#[expect(clippy::cast_possible_truncation, reason = "the double is whole and within 2^64 here")]
fn exact(whole: i128, approximately: f64, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    if double >= 18_446_744_073_709_551_616.0 {
        return Some(Ordering::Less);
    }
    if double <= -9_223_372_036_854_775_809.0 {
        return Some(Ordering::Greater);
    }
    match approximately.partial_cmp(&double)? {
        Ordering::Equal => Some(whole.cmp(&(double as i128))),
        other => Some(other),
    }
}
