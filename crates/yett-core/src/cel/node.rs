//! What a condition is compiled to: names resolved, patterns and constants made.

use ipnet::IpNet;
use regex::Regex;

use super::time::{Part, Zone};
use super::value::Value;

/// A part of a compiled condition.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Value<'static>),
    /// A declared value, by its place among the sources.
    Field(usize),
    /// Whether a declared value is there.
    Has(usize),
    /// The variable of the loop around it, counted from the outermost.
    Local(usize),
    Select(Box<Node>, Box<str>),
    /// Whether a map has that key.
    HasKey(Box<Node>, Box<str>),
    Index(Box<[Node; 2]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Conditional(Box<[Node; 3]>),
    /// `==`, or `!=` where it is false.
    Equal(bool, Box<[Node; 2]>),
    Order(Order, Box<[Node; 2]>),
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    In(Box<[Node; 2]>),
    List(Box<[Node]>),
    Map(Box<[(Node, Node)]>),
    Call(Function, Box<Node>),
    Texts(TextTest, Box<[Node; 2]>),
    Matches(Regex, Box<Node>),
    Part(Part, Option<Zone>, Box<Node>),
    Inside(IpNet, Box<Node>),
    Loop(Box<Loop>),
}

/// A macro over a list or the keys of a map.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) range: Node,
    pub(super) test: Option<Node>,
    /// What `map` makes of an item.
    pub(super) transform: Option<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    /// Both `map` and `filter`.
    Collect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextTest {
    Contains,
    StartsWith,
    EndsWith,
}

/// Functions of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Bool,
    Time,
    Span,
    Dyn,
    Type,
}

impl Function {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "size" => Self::Size,
            "int" => Self::Int,
            "uint" => Self::Uint,
            "double" => Self::Double,
            "string" => Self::Text,
            "bytes" => Self::Bytes,
            "bool" => Self::Bool,
            "timestamp" => Self::Time,
            "duration" => Self::Span,
            "dyn" => Self::Dyn,
            "type" => Self::Type,
            _ => return None,
        })
    }
}
