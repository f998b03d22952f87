//! Evaluates compiled conditions. Nothing is allocated but for values that are made: joined texts, collected lists.

use std::cell::Cell;
use std::cmp::Ordering;
use std::net::IpAddr;

use super::convert;
use super::node::{Arithmetic, Loop, LoopKind, Node, Order, TextTest};
use super::time;
use super::value::{Bytes, Failure, List, Map, Text, Value};

/// Rounds of loops that one evaluation may take.
const ROUNDS: u32 = 10_000;
/// Items of lists and maps that one evaluation may read or compare, those that it reads again in each round among them.
const ITEMS: u64 = 1_000_000;
/// Bytes of text that count as one item.
const TEXT: usize = 64;

/// Where declared values come from.
pub trait Activation<S> {
    /// The value of a source; nothing where it is absent.
    ///
    /// # Errors
    /// It stands there, and cannot be read.
    fn value<'a>(&'a self, source: &'a S) -> Result<Option<Value<'a>>, Failure>;
}

/// One evaluation.
pub(super) struct Evaluation<'a, S> {
    pub(super) activation: &'a dyn Activation<S>,
    pub(super) sources: &'a [S],
    pub(super) rounds: Cell<u32>,
    pub(super) items: Cell<u64>,
}

/// Variables of the loops around a part, innermost first.
#[derive(Clone, Copy)]
struct Scope<'s, 'a> {
    depth: usize,
    value: &'s Value<'a>,
    outer: Option<&'s Scope<'s, 'a>>,
}

type Evaluated<'a> = Result<Value<'a>, Failure>;

pub(super) fn evaluate<'a, S>(node: &'a Node, activation: &'a dyn Activation<S>, sources: &'a [S]) -> Evaluated<'a> {
    Evaluation { activation, sources, rounds: Cell::new(0), items: Cell::new(0) }.of(node, None)
}

/// The value of a part that reads nothing.
pub(super) fn constant(node: &Node) -> Result<Value<'_>, Failure> {
    struct Nothing;
    impl Activation<()> for Nothing {
        fn value<'a>(&'a self, _: &'a ()) -> Result<Option<Value<'a>>, Failure> {
            Err(Failure::Absent)
        }
    }
    evaluate(node, &Nothing, &[])
}

impl<'a, S> Evaluation<'a, S> {
    fn of(&self, node: &'a Node, scope: Option<&Scope<'_, 'a>>) -> Evaluated<'a> {
        match node {
            Node::Constant(value) => Ok(shared(value)),
            Node::Field(at) => self.field(*at)?.ok_or(Failure::Absent),
            Node::Has(at) => self.field(*at).map(|value| Value::Bool(value.is_some())),
            Node::Local(depth) => local(scope, *depth),
            Node::Select(operand, name) => match self.of(operand, scope)? {
                Value::Map(map) => {
                    self.spend(map.entries().len())?;
                    map.field(name).ok_or(Failure::NoSuchKey)
                }
                _ => Err(Failure::NoOverload),
            },
            Node::HasKey(operand, name) => match self.of(operand, scope)? {
                Value::Map(map) => {
                    self.spend(map.entries().len())?;
                    Ok(Value::Bool(map.field(name).is_some()))
                }
                _ => Err(Failure::NoOverload),
            },
            Node::Index(both) => {
                let [operand, index] = &**both;
                let operand = self.of(operand, scope)?;
                if let Value::Map(map) = &operand {
                    self.spend(map.entries().len())?;
                }
                indexed(&operand, &self.of(index, scope)?)
            }
            Node::Not(operand) => match self.of(operand, scope)? {
                Value::Bool(value) => Ok(Value::Bool(!value)),
                _ => Err(Failure::NoOverload),
            },
            Node::Negate(operand) => match self.of(operand, scope)? {
                Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Failure::Overflow),
                Value::Double(value) => Ok(Value::Double(-value)),
                _ => Err(Failure::NoOverload),
            },
            Node::And(operands) => self.logic(operands, false, scope),
            Node::Or(operands) => self.logic(operands, true, scope),
            Node::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                match self.of(condition, scope)? {
                    Value::Bool(true) => self.of(yes, scope),
                    Value::Bool(false) => self.of(no, scope),
                    _ => Err(Failure::NoOverload),
                }
            }
            Node::Equal(wanted, both) => {
                let [left, right] = &**both;
                Ok(Value::Bool(self.of(left, scope)?.equals(&self.of(right, scope)?) == *wanted))
            }
            Node::Order(order, both) => {
                let [left, right] = &**both;
                Ok(Value::Bool(holds(*order, self.of(left, scope)?.order(&self.of(right, scope)?)?)))
            }
            Node::Arithmetic(operation, both) => {
                let [left, right] = &**both;
                let (left, right) = (self.of(left, scope)?, self.of(right, scope)?);
                self.spend(length(&left).saturating_add(length(&right)))?;
                arithmetic(*operation, left, right)
            }
            Node::In(both) => {
                let [wanted, range] = &**both;
                let wanted = self.of(wanted, scope)?;
                match self.of(range, scope)? {
                    Value::List(list) => {
                        self.spend(list.len())?;
                        Ok(Value::Bool(list.contains(&wanted)))
                    }
                    Value::Map(map) => {
                        self.spend(map.entries().len())?;
                        Ok(Value::Bool(map.get(&wanted).is_some()))
                    }
                    _ => Err(Failure::NoOverload),
                }
            }
            _ => self.made(node, scope),
        }
    }

    /// What is less common.
    fn made(&self, node: &'a Node, scope: Option<&Scope<'_, 'a>>) -> Evaluated<'a> {
        match node {
            Node::List(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| self.of(item, scope)).collect();
                Ok(Value::List(List::Shared(items?.into())))
            }
            Node::Map(entries) => self.map(entries, scope),
            Node::Call(function, operand) => {
                let operand = self.of(operand, scope)?;
                self.spend(length(&operand))?;
                convert::call(*function, operand)
            }
            Node::Texts(test, both) => {
                let [text, part] = &**both;
                let (text, part) = (self.of(text, scope)?, self.of(part, scope)?);
                self.spend(length(&text))?;
                text_test(*test, &text, &part)
            }
            Node::Matches(pattern, text) => match self.of(text, scope)? {
                Value::Text(text) => {
                    self.spend(text.as_str().len() / TEXT)?;
                    Ok(Value::Bool(pattern.is_match(text.as_str())))
                }
                _ => Err(Failure::NoOverload),
            },
            Node::Part(part, zone, operand) => match self.of(operand, scope)? {
                Value::Time(time) => part.of_time(time, *zone).map(Value::Int),
                Value::Span(span) if zone.is_none() => part.of_span(span).map(Value::Int),
                _ => Err(Failure::NoOverload),
            },
            Node::Inside(network, address) => match self.of(address, scope)? {
                Value::Text(text) => {
                    let address: IpAddr = text.as_str().parse().map_err(|_| Failure::Conversion)?;
                    Ok(Value::Bool(network.contains(&address)))
                }
                _ => Err(Failure::NoOverload),
            },
            Node::Loop(parts) => self.round(parts, scope),
            _ => Err(Failure::NoOverload),
        }
    }

    fn field(&self, at: usize) -> Result<Option<Value<'a>>, Failure> {
        let value = self.activation.value(self.sources.get(at).ok_or(Failure::Absent)?)?;
        self.spend(value.as_ref().map_or(0, made))?;
        Ok(value)
    }

    /// Counts what is done beside rounds: a body has lists that a condition may read again in each of them.
    fn spend(&self, items: usize) -> Result<(), Failure> {
        let spent = self.items.get().saturating_add(u64::try_from(items).unwrap_or(u64::MAX));
        self.items.set(spent);
        if spent > ITEMS { Err(Failure::TooMuch) } else { Ok(()) }
    }

    /// `deciding` ends it, wherever it stands: a failure beside it does not matter.
    fn logic(&self, operands: &'a [Node], deciding: bool, scope: Option<&Scope<'_, 'a>>) -> Evaluated<'a> {
        let mut failure = None;
        for operand in operands {
            match self.of(operand, scope) {
                Ok(Value::Bool(value)) if value == deciding => return Ok(Value::Bool(deciding)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => failure = failure.or(Some(Failure::NoOverload)),
                Err(found) => failure = failure.or(Some(found)),
            }
        }
        failure.map_or(Ok(Value::Bool(!deciding)), Err)
    }

    fn map(&self, entries: &'a [(Node, Node)], scope: Option<&Scope<'_, 'a>>) -> Evaluated<'a> {
        let mut found: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.of(key, scope)?;
            if !matches!(key, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Text(_)) {
                return Err(Failure::NoOverload);
            }
            if found.iter().any(|(known, _)| known.equals(&key)) {
                return Err(Failure::RepeatedKey);
            }
            found.push((key, self.of(value, scope)?));
        }
        Ok(Value::Map(Map::Shared(found.into())))
    }

    fn round(&self, parts: &'a Loop, scope: Option<&Scope<'_, 'a>>) -> Evaluated<'a> {
        let range = match self.of(&parts.range, scope)? {
            Value::List(list) => list,
            Value::Map(map) => List::Shared(map.entries().iter().map(|(key, _)| key.clone()).collect()),
            _ => return Err(Failure::NoOverload),
        };
        let mut failure = None;
        let mut count = 0_u32;
        let mut collected = Vec::new();
        for item in range.iter() {
            self.rounds.set(self.rounds.get().saturating_add(1));
            if self.rounds.get() > ROUNDS {
                return Err(Failure::TooMuch);
            }
            let inner = Scope { depth: scope.map_or(0, |outer| outer.depth.saturating_add(1)), value: &item, outer: scope };
            let test = parts.test.as_ref().map_or(Ok(Value::Bool(true)), |test| self.of(test, Some(&inner)));
            match (parts.kind, test) {
                (LoopKind::All, Ok(Value::Bool(false))) => return Ok(Value::Bool(false)),
                (LoopKind::Exists, Ok(Value::Bool(true))) => return Ok(Value::Bool(true)),
                (LoopKind::All | LoopKind::Exists, Ok(Value::Bool(_))) => {}
                (LoopKind::All | LoopKind::Exists, Ok(_)) => failure = failure.or(Some(Failure::NoOverload)),
                // Whatever a later round would say: there is none.
                (_, Err(Failure::TooMuch)) => return Err(Failure::TooMuch),
                (LoopKind::All | LoopKind::Exists, Err(found)) => failure = failure.or(Some(found)),
                (LoopKind::ExistsOne, Ok(Value::Bool(value))) => count = count.saturating_add(u32::from(value)),
                (LoopKind::Collect, Ok(Value::Bool(true))) => {
                    let made = parts.transform.as_ref().map(|transform| self.of(transform, Some(&inner))).transpose()?;
                    collected.push(made.unwrap_or(item));
                }
                (LoopKind::Collect, Ok(Value::Bool(false))) => {}
                (LoopKind::ExistsOne | LoopKind::Collect, Ok(_)) => return Err(Failure::NoOverload),
                (LoopKind::ExistsOne | LoopKind::Collect, Err(found)) => return Err(found),
            }
        }
        match (failure, parts.kind) {
            (Some(failure), _) => Err(failure),
            (None, LoopKind::All) => Ok(Value::Bool(true)),
            (None, LoopKind::Exists) => Ok(Value::Bool(false)),
            (None, LoopKind::ExistsOne) => Ok(Value::Bool(count == 1)),
            (None, LoopKind::Collect) => Ok(Value::List(List::Shared(collected.into()))),
        }
    }
}

/// How many values a value was made of, where it was made for this evaluation.
fn made(value: &Value<'_>) -> usize {
    match value {
        Value::List(List::Shared(items)) => items.iter().fold(items.len(), |sum, item| sum.saturating_add(made(item))),
        Value::Map(Map::Shared(entries)) => entries.iter().fold(entries.len(), |sum, (_, item)| sum.saturating_add(made(item))),
        _ => 0,
    }
}

/// How many items an operation on it goes through.
fn length(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.as_str().len() / TEXT,
        Value::Bytes(bytes) => bytes.as_slice().len() / TEXT,
        Value::List(list) => list.len(),
        _ => 0,
    }
}

/// A constant of the program, without a copy of what it holds.
fn shared<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::Text(text) => Value::Text(Text::Borrowed(text.as_str())),
        Value::Bytes(bytes) => Value::Bytes(Bytes::Borrowed(bytes.as_slice())),
        Value::List(List::Shared(items)) => Value::List(List::Borrowed(items)),
        Value::Map(Map::Shared(entries)) => Value::Map(Map::Borrowed(entries)),
        other => other.clone(),
    }
}

fn local<'a>(scope: Option<&Scope<'_, 'a>>, depth: usize) -> Evaluated<'a> {
    let mut here = scope;
    while let Some(scope) = here {
        if scope.depth == depth {
            return Ok(scope.value.clone());
        }
        here = scope.outer;
    }
    Err(Failure::Absent)
}

fn indexed<'a>(operand: &Value<'a>, index: &Value<'_>) -> Evaluated<'a> {
    match operand {
        Value::Map(map) => map.get(index).ok_or(Failure::NoSuchKey),
        Value::List(list) => {
            let at = match index {
                Value::Int(at) => usize::try_from(*at).map_err(|_| Failure::NoSuchKey)?,
                Value::Uint(at) => usize::try_from(*at).map_err(|_| Failure::NoSuchKey)?,
                Value::Double(_) => convert::whole(index).and_then(|at| usize::try_from(at).ok()).ok_or(Failure::NoSuchKey)?,
                _ => return Err(Failure::NoOverload),
            };
            list.get(at).ok_or(Failure::NoSuchKey)
        }
        _ => Err(Failure::NoOverload),
    }
}

/// Where there is no order (NaN), nothing holds.
fn holds(order: Order, found: Option<Ordering>) -> bool {
    match order {
        Order::Less => found == Some(Ordering::Less),
        Order::LessOrEqual => matches!(found, Some(Ordering::Less | Ordering::Equal)),
        Order::Greater => found == Some(Ordering::Greater),
        Order::GreaterOrEqual => matches!(found, Some(Ordering::Greater | Ordering::Equal)),
    }
}

fn arithmetic<'a>(operation: Arithmetic, left: Value<'a>, right: Value<'a>) -> Evaluated<'a> {
    use Arithmetic::{Add, Divide, Modulo, Multiply, Subtract};
    match (operation, left, right) {
        (Divide | Modulo, Value::Int(_), Value::Int(0)) | (Divide | Modulo, Value::Uint(_), Value::Uint(0)) => {
            Err(Failure::DividedByZero)
        }
        (_, Value::Int(left), Value::Int(right)) => {
            let result = match operation {
                Add => left.checked_add(right),
                Subtract => left.checked_sub(right),
                Multiply => left.checked_mul(right),
                Divide => left.checked_div(right),
                Modulo => left.checked_rem(right),
            };
            result.map(Value::Int).ok_or(Failure::Overflow)
        }
        (_, Value::Uint(left), Value::Uint(right)) => {
            let result = match operation {
                Add => left.checked_add(right),
                Subtract => left.checked_sub(right),
                Multiply => left.checked_mul(right),
                Divide => left.checked_div(right),
                Modulo => left.checked_rem(right),
            };
            result.map(Value::Uint).ok_or(Failure::Overflow)
        }
        (Add, Value::Double(left), Value::Double(right)) => Ok(Value::Double(left + right)),
        (Subtract, Value::Double(left), Value::Double(right)) => Ok(Value::Double(left - right)),
        (Multiply, Value::Double(left), Value::Double(right)) => Ok(Value::Double(left * right)),
        (Divide, Value::Double(left), Value::Double(right)) => Ok(Value::Double(left / right)),
        (Add, Value::Text(left), Value::Text(right)) => {
            Ok(Value::Text(Text::Shared([left.as_str(), right.as_str()].concat().into())))
        }
        (Add, Value::Bytes(left), Value::Bytes(right)) => {
            Ok(Value::Bytes(Bytes::Shared([left.as_slice(), right.as_slice()].concat().into())))
        }
        (Add, Value::List(left), Value::List(right)) => Ok(Value::List(List::Shared(left.iter().chain(right.iter()).collect()))),
        (Add, Value::Time(time), Value::Span(span)) | (Add, Value::Span(span), Value::Time(time)) => {
            time::checked_time(time.checked_add(span)).map(Value::Time)
        }
        (Subtract, Value::Time(time), Value::Span(span)) => time::checked_time(time.checked_sub(span)).map(Value::Time),
        (Subtract, Value::Time(left), Value::Time(right)) => time::checked_span(left.checked_sub(right)).map(Value::Span),
        (Add, Value::Span(left), Value::Span(right)) => time::checked_span(left.checked_add(right)).map(Value::Span),
        (Subtract, Value::Span(left), Value::Span(right)) => time::checked_span(left.checked_sub(right)).map(Value::Span),
        _ => Err(Failure::NoOverload),
    }
}

fn text_test<'a>(test: TextTest, text: &Value<'_>, part: &Value<'_>) -> Evaluated<'a> {
    let (Value::Text(text), Value::Text(part)) = (text, part) else { return Err(Failure::NoOverload) };
    let (text, part) = (text.as_str(), part.as_str());
    Ok(Value::Bool(match test {
        TextTest::Contains => text.contains(part),
        TextTest::StartsWith => text.starts_with(part),
        TextTest::EndsWith => text.ends_with(part),
    }))
}
