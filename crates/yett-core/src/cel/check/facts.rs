//! What follows for the rest of an expression where a condition holds.

use super::Checker;
use crate::cel::parse::{Expr, ExprKind, qualified};
use crate::cel::types::Facts;

impl<S: Clone> Checker<'_, S> {
    pub(super) fn facts(&self, expr: &Expr, holds: bool) -> Facts {
        match &expr.kind {
            ExprKind::Not(operand) => self.facts(operand, !holds),
            ExprKind::And(operands) | ExprKind::Or(operands) => {
                let every = matches!(expr.kind, ExprKind::And(_)) == holds;
                let mut each = operands.iter().map(|operand| self.facts(operand, holds));
                let first = each.next().unwrap_or_default();
                if every { each.fold(first, Facts::and) } else { each.fold(first, |known, other| known.or(&other)) }
            }
            ExprKind::Call { target: None, name, arguments, .. } if name == "has" && holds => match arguments.as_slice() {
                [argument] => {
                    let path = self.declared(argument).ok().flatten().map(|(path, _)| path);
                    Facts { present: path.into_iter().collect(), vouched: None }
                }
                _ => Facts::default(),
            },
            ExprKind::Binary(sign, both) => match self.membership(sign, both) {
                Ok(Some((path, _))) if holds => Facts { present: [path].into(), vouched: None },
                _ => self.vouched(sign, both, holds),
            },
            _ => Facts::default(),
        }
    }

    fn vouched(&self, sign: &str, both: &[Expr; 2], holds: bool) -> Facts {
        let Some((by, all)) = &self.environment.vouched else { return Facts::default() };
        let [left, right] = both;
        let text = |expr: &Expr| match &expr.kind {
            ExprKind::Text(text) => Some(text.clone()),
            _ => None,
        };
        let named = |one: &Expr, other: &Expr| (qualified(one).as_deref() == Some(by.as_str())).then(|| text(other)).flatten();
        let names: std::collections::BTreeSet<String> = match (sign, &right.kind) {
            ("==" | "!=", _) => named(left, right).or_else(|| named(right, left)).into_iter().collect(),
            ("in", ExprKind::List(items)) if qualified(left).as_deref() == Some(by.as_str()) => {
                items.iter().filter_map(text).collect()
            }
            _ => return Facts::default(),
        };
        if names.is_empty() {
            return Facts::default();
        }
        let inside = (sign != "!=") == holds;
        let vouched = all.iter().filter(|name| names.contains(*name) == inside).cloned().collect();
        Facts { vouched: Some(vouched), ..Facts::default() }
    }
}
