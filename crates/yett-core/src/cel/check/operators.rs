//! Operators: what fits between two values, and what comes of it.

use super::{Checked, Checker};
use crate::cel::Fault;
use crate::cel::node::{Arithmetic, Node, Order};
use crate::cel::parse::{Expr, ExprKind};
use crate::cel::types::{Declared, Facts, Field, Type};

impl<S: Clone> Checker<'_, S> {
    /// `"x-region" in request.headers`: the field whose presence that asks for.
    pub(super) fn membership(&self, sign: &str, both: &[Expr; 2]) -> Result<Option<(String, Field<S>)>, Fault> {
        let [left, right] = both;
        let ("in", ExprKind::Text(name)) = (sign, &left.kind) else { return Ok(None) };
        match self.declared(right)? {
            Some((path, declared @ (Declared::Record(_) | Declared::Named(_)))) => {
                match self.below(left.at, &path, declared, name)? {
                    Some((path, Declared::Value(field))) => Ok(Some((path, field))),
                    _ => Self::fault(left.at, format!("`{path}.{name}` is no value by itself")),
                }
            }
            _ => Ok(None),
        }
    }

    pub(super) fn binary(&mut self, at: usize, sign: &str, both: &[Expr; 2], facts: &Facts) -> Checked {
        let [left, right] = both;
        if let Some((path, field)) = self.membership(sign, both)? {
            return Ok((Node::Has(self.source(&path, &field)), Type::Bool));
        }
        let (left_node, left_kind) = self.check(left, facts)?;
        let (right_node, right_kind) = self.check(right, facts)?;
        let nodes = Box::new([left_node, right_node]);
        let describe = || format!("`{sign}` between `{left_kind}` and `{right_kind}` is not possible");
        let order = match sign {
            "==" | "!=" => {
                if !left_kind.meets(&right_kind) {
                    self.mismatch(at, || format!("`{left_kind}` never equals `{right_kind}`"))?;
                }
                return Ok((Node::Equal(sign == "==", nodes), Type::Bool));
            }
            "in" => {
                let fits = match &right_kind {
                    Type::Dyn => true,
                    Type::List(item) => item.meets(&left_kind),
                    Type::Map(key, _) => key.meets(&left_kind),
                    _ => false,
                };
                if !fits {
                    self.mismatch(at, || match &right_kind {
                        Type::List(_) | Type::Map(..) => format!("`{left_kind}` is never in `{right_kind}`"),
                        other => format!("`in` needs a list on its right, and this is `{other}`"),
                    })?;
                }
                return Ok((Node::In(nodes), Type::Bool));
            }
            "<" => Some(Order::Less),
            "<=" => Some(Order::LessOrEqual),
            ">" => Some(Order::Greater),
            ">=" => Some(Order::GreaterOrEqual),
            _ => None,
        };
        if let Some(order) = order {
            let ordered = |kind: &Type| !matches!(kind, Type::List(_) | Type::Map(..) | Type::Null | Type::Type);
            if !left_kind.meets(&right_kind) || !ordered(&left_kind) || !ordered(&right_kind) {
                self.mismatch(at, describe)?;
            }
            return Ok((Node::Order(order, nodes), Type::Bool));
        }
        let operation = match sign {
            "+" => Arithmetic::Add,
            "-" => Arithmetic::Subtract,
            "*" => Arithmetic::Multiply,
            "/" => Arithmetic::Divide,
            _ => Arithmetic::Modulo,
        };
        let Some(kind) = sum(operation, &left_kind, &right_kind) else {
            self.mismatch(at, describe)?;
            return Ok((Node::Arithmetic(operation, nodes), Type::Dyn));
        };
        Ok((Node::Arithmetic(operation, nodes), kind))
    }
}

/// The type of a sum and the like; nothing where there is none.
fn sum(operation: Arithmetic, left: &Type, right: &Type) -> Option<Type> {
    use Arithmetic::{Add, Modulo, Subtract};
    match (operation, left, right) {
        (_, Type::Dyn, _) | (_, _, Type::Dyn) => Some(Type::Dyn),
        (_, Type::Int, Type::Int) => Some(Type::Int),
        (_, Type::Uint, Type::Uint) => Some(Type::Uint),
        (operation, Type::Double, Type::Double) if operation != Modulo => Some(Type::Double),
        (Add, Type::Text, Type::Text) => Some(Type::Text),
        (Add, Type::Bytes, Type::Bytes) => Some(Type::Bytes),
        (Add, Type::List(left), Type::List(right)) => Some(Type::List(Box::new((**left).clone().join(right)))),
        (Add, Type::Time, Type::Span) | (Add, Type::Span, Type::Time) | (Subtract, Type::Time, Type::Span) => Some(Type::Time),
        (Add | Subtract, Type::Span, Type::Span) | (Subtract, Type::Time, Type::Time) => Some(Type::Span),
        _ => None,
    }
}
