//! The type checker: from a tree to what is evaluated. Names have to be declared, types have to fit, loops are bounded.

mod calls;
mod facts;
mod operators;
mod paths;

use super::node::Node;
use super::parse::{Expr, ExprKind};
use super::types::{Environment, Facts, Type};
use super::value::{Bytes, List, Map, Text, Value};
use super::{Fault, eval};

pub(super) type Checked = Result<(Node, Type), Fault>;

pub(super) struct Checker<'e, S> {
    pub(super) environment: &'e Environment<S>,
    pub(super) sources: Vec<S>,
    paths: Vec<String>,
    /// Variables of loops, outermost first.
    locals: Vec<(String, Type)>,
}

impl<'e, S: Clone> Checker<'e, S> {
    pub(super) fn new(environment: &'e Environment<S>) -> Self {
        Self { environment, sources: Vec::new(), paths: Vec::new(), locals: Vec::new() }
    }

    fn fault<T>(at: usize, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault { at, message: message.into() })
    }

    /// A wrong type: a fault, but where types are not checked.
    fn mismatch(&self, at: usize, message: impl FnOnce() -> String) -> Result<(), Fault> {
        if self.environment.strict { Self::fault(at, message()) } else { Ok(()) }
    }

    pub(super) fn check(&mut self, expr: &Expr, facts: &Facts) -> Checked {
        let constant = |value, kind| Ok((Node::Constant(value), kind));
        match &expr.kind {
            ExprKind::Null => constant(Value::Null, Type::Null),
            ExprKind::Bool(value) => constant(Value::Bool(*value), Type::Bool),
            ExprKind::Int(value) => constant(Value::Int(*value), Type::Int),
            ExprKind::Uint(value) => constant(Value::Uint(*value), Type::Uint),
            ExprKind::Double(value) => constant(Value::Double(*value), Type::Double),
            ExprKind::Text(text) => constant(Value::Text(Text::Shared(text.as_str().into())), Type::Text),
            ExprKind::Bytes(bytes) => constant(Value::Bytes(Bytes::Shared(bytes.as_slice().into())), Type::Bytes),
            ExprKind::Name { .. } | ExprKind::Select(..) => self.path(expr, facts),
            ExprKind::Index(operand, index) => self.index(expr, operand, index, facts),
            ExprKind::Call { target, name, arguments, .. } => self.call(expr.at, target.as_deref(), name, arguments, facts),
            ExprKind::List(items) => self.list(items, facts),
            ExprKind::Map(entries) => self.map(entries, facts),
            ExprKind::Message(name) => Self::fault(expr.at, format!("`{name}` is no type of which values can be made here")),
            ExprKind::Not(operand) => {
                let operand = self.boolean(operand, "!", facts)?;
                Ok((Node::Not(Box::new(operand)), Type::Bool))
            }
            ExprKind::Negate(operand) => {
                let (node, kind) = self.check(operand, facts)?;
                if ![Type::Int, Type::Double, Type::Dyn].contains(&kind) {
                    self.mismatch(operand.at, || format!("`-` needs a number, and this is `{kind}`"))?;
                }
                Ok((Node::Negate(Box::new(node)), kind))
            }
            ExprKind::And(operands) => self.logic(operands, true, facts),
            ExprKind::Or(operands) => self.logic(operands, false, facts),
            ExprKind::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                let test = self.boolean(condition, "?", facts)?;
                let (yes_node, kind) = self.check(yes, &facts.clone().and(self.facts(condition, true)))?;
                let (no_node, other) = self.check(no, &facts.clone().and(self.facts(condition, false)))?;
                if !kind.meets(&other) {
                    self.mismatch(no.at, || format!("one side of `?:` is `{kind}`, the other `{other}`"))?;
                }
                Ok((Node::Conditional(Box::new([test, yes_node, no_node])), kind.join(&other)))
            }
            ExprKind::Binary(sign, both) => self.binary(expr.at, sign, both, facts),
        }
    }

    fn boolean(&mut self, expr: &Expr, sign: &str, facts: &Facts) -> Result<Node, Fault> {
        let (node, kind) = self.check(expr, facts)?;
        if !kind.is(&Type::Bool) {
            self.mismatch(expr.at, || format!("`{sign}` needs true or false, and this is `{kind}`"))?;
        }
        Ok(node)
    }

    fn logic(&mut self, operands: &[Expr], all: bool, facts: &Facts) -> Checked {
        let mut known = facts.clone();
        let mut nodes = Vec::with_capacity(operands.len());
        for operand in operands {
            nodes.push(self.boolean(operand, if all { "&&" } else { "||" }, &known)?);
            known = known.and(self.facts(operand, all));
        }
        let nodes = nodes.into();
        Ok((if all { Node::And(nodes) } else { Node::Or(nodes) }, Type::Bool))
    }

    fn list(&mut self, items: &[Expr], facts: &Facts) -> Checked {
        let mut nodes = Vec::with_capacity(items.len());
        let mut kind: Option<Type> = None;
        for item in items {
            let (node, found) = self.check(item, facts)?;
            kind = Some(kind.map_or(found.clone(), |kind| kind.join(&found)));
            nodes.push(node);
        }
        let kind = Type::List(Box::new(kind.unwrap_or(Type::Dyn)));
        Ok((self.folded(Node::List(nodes.into())), kind))
    }

    fn map(&mut self, entries: &[(Expr, Expr)], facts: &Facts) -> Checked {
        let mut nodes = Vec::with_capacity(entries.len());
        let mut kind: Option<(Type, Type)> = None;
        for (key, value) in entries {
            let (key_node, key_kind) = self.check(key, facts)?;
            let (value_node, value_kind) = self.check(value, facts)?;
            if ![Type::Bool, Type::Int, Type::Uint, Type::Text, Type::Dyn].contains(&key_kind) {
                self.mismatch(key.at, || format!("`{key_kind}` cannot be the key of a map"))?;
            }
            kind = Some(match kind {
                None => (key_kind, value_kind),
                Some((key, value)) => (key.join(&key_kind), value.join(&value_kind)),
            });
            nodes.push((key_node, value_node));
        }
        let (key, value) = kind.unwrap_or((Type::Dyn, Type::Dyn));
        Ok((self.folded(Node::Map(nodes.into())), Type::Map(Box::new(key), Box::new(value))))
    }

    /// What is made of constants is made once.
    fn folded(&self, node: Node) -> Node {
        let constant = |node: &Node| matches!(node, Node::Constant(_));
        let ready = match &node {
            Node::List(items) => items.iter().all(constant),
            Node::Map(entries) => entries.iter().all(|(key, value)| constant(key) && constant(value)),
            Node::Call(_, operand) => constant(operand),
            _ => false,
        };
        if !ready {
            return node;
        }
        match eval::constant(&node).ok().and_then(owned) {
            Some(value) => Node::Constant(value),
            None => node,
        }
    }

    fn of_type(&mut self, expr: &Expr, wanted: &Type, facts: &Facts) -> Result<Node, Fault> {
        let (node, kind) = self.check(expr, facts)?;
        if !kind.is(wanted) {
            self.mismatch(expr.at, || format!("`{wanted}` is needed here, and this is `{kind}`"))?;
        }
        Ok(node)
    }
}

/// A value that borrows nothing.
fn owned(value: Value<'_>) -> Option<Value<'static>> {
    Some(match value {
        Value::Null => Value::Null,
        Value::Bool(value) => Value::Bool(value),
        Value::Int(value) => Value::Int(value),
        Value::Uint(value) => Value::Uint(value),
        Value::Double(value) => Value::Double(value),
        Value::Text(text) => Value::Text(Text::Shared(text.as_str().into())),
        Value::Bytes(bytes) => Value::Bytes(Bytes::Shared(bytes.as_slice().into())),
        Value::List(list) => Value::List(List::Shared(list.iter().map(owned).collect::<Option<_>>()?)),
        Value::Map(map) => {
            let entries = map.entries().iter().map(|(key, value)| Some((owned(key.clone())?, owned(value.clone())?)));
            Value::Map(Map::Shared(entries.collect::<Option<_>>()?))
        }
        Value::Time(time) => Value::Time(time),
        Value::Span(span) => Value::Span(span),
        Value::Type(name) => Value::Type(name),
    })
}
