//! Types, and what a condition may read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A type of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the type of its name in CEL")]
pub enum Type {
    /// Known only when it is evaluated.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Time,
    Span,
    Type,
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dyn => "dyn",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::Time => "timestamp",
            Self::Span => "duration",
            Self::Type => "type",
            Self::List(item) => return write!(f, "list({item})"),
            Self::Map(key, value) => return write!(f, "map({key}, {value})"),
        })
    }
}

impl Type {
    /// Whether values of the two can be equal.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(left), Self::List(right)) => left.meets(right),
            (Self::Map(key, value), Self::Map(other_key, other_value)) => key.meets(other_key) && value.meets(other_value),
            _ => self == other,
        }
    }

    /// One type for both; `dyn` where they differ.
    #[must_use]
    pub fn join(self, other: &Self) -> Self {
        if self == *other { self } else { Self::Dyn }
    }

    pub(super) fn is(&self, wanted: &Self) -> bool {
        *self == Self::Dyn || self == wanted
    }
}

/// A value that a condition may read. `S` is where it comes from.
#[derive(Debug, Clone)]
pub struct Field<S> {
    /// Its type, by who vouches for it: one that is for everybody has an empty name.
    pub kinds: Vec<(String, Type)>,
    /// Where it comes from.
    pub source: S,
}

impl<S> Field<S> {
    /// A value of this type, whoever calls.
    #[must_use]
    pub fn new(kind: Type, source: S) -> Self {
        Self { kinds: vec![(String::new(), kind)], source }
    }
}

/// What stands behind a name.
#[derive(Debug, Clone)]
pub enum Declared<S> {
    /// A value.
    Value(Field<S>),
    /// Names below it.
    Record(BTreeMap<String, Declared<S>>),
    /// Any name below it, made on demand.
    Named(fn(&str) -> Field<S>),
}

/// Everything that a condition may read.
#[derive(Debug, Clone)]
pub struct Environment<S> {
    /// By name.
    pub roots: BTreeMap<String, Declared<S>>,
    /// Names with a message of their own: why they cannot be read here.
    pub refused: BTreeMap<String, String>,
    /// The path of the value that says who vouches, such as `principal.provider`, and all that it can be.
    pub vouched: Option<(String, BTreeSet<String>)>,
    /// Whether types are checked; only tests of the language itself do without.
    pub strict: bool,
}

/// What is known where a part of a condition is evaluated, from what stands before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// Paths for which `has` was true.
    pub(super) present: BTreeSet<String>,
    /// Who can have vouched; anyone where it is absent.
    pub(super) vouched: Option<BTreeSet<String>>,
}

impl Facts {
    /// Both hold.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.present.extend(other.present);
        self.vouched = match (self.vouched, other.vouched) {
            (Some(left), Some(right)) => Some(left.intersection(&right).cloned().collect()),
            (left, right) => left.or(right),
        };
        self
    }

    /// One of the two holds.
    pub(super) fn or(mut self, other: &Self) -> Self {
        self.present.retain(|path| other.present.contains(path));
        self.vouched = match (self.vouched, &other.vouched) {
            (Some(left), Some(right)) => Some(left.union(right).cloned().collect()),
            _ => None,
        };
        self
    }
}
