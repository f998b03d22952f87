//! Names: what is declared under a path, and who has to have vouched for it.

use super::{Checked, Checker};
use crate::cel::node::Node;
use crate::cel::parse::{Expr, ExprKind, qualified};
use crate::cel::types::{Declared, Facts, Field, Type};
use crate::cel::value::Value;
use crate::cel::{Fault, names};

impl<S: Clone> Checker<'_, S> {
    /// A declared value, a variable of a loop, a field of a value, or the name of a type.
    pub(super) fn path(&mut self, expr: &Expr, facts: &Facts) -> Checked {
        if let ExprKind::Name { name, absolute } = &expr.kind {
            if !absolute && let Some(depth) = self.locals.iter().rposition(|(known, _)| known == name) {
                let kind = self.locals.get(depth).map_or(Type::Dyn, |(_, kind)| kind.clone());
                return Ok((Node::Local(depth), kind));
            }
            if let (false, Some(name)) = (self.environment.strict, type_name(name)) {
                return Ok((Node::Constant(Value::Type(name)), Type::Type));
            }
        }
        if let (false, Some(name)) = (self.environment.strict, qualified(expr).as_deref().and_then(type_name)) {
            return Ok((Node::Constant(Value::Type(name)), Type::Type));
        }
        match self.declared(expr)? {
            Some((path, Declared::Value(field))) => self.read(expr.at, &path, field, facts),
            Some((path, Declared::Record(fields))) => {
                let example = fields.keys().next().map_or(String::new(), |name| format!(", such as `{path}.{name}`"));
                Self::fault(expr.at, format!("`{path}` is no value by itself; name a field of it{example}"))
            }
            Some((path, Declared::Named(_))) => {
                Self::fault(expr.at, format!("`{path}` is no value by itself; name one: `{path}.NAME`"))
            }
            None => match &expr.kind {
                ExprKind::Select(operand, field) => {
                    let (node, kind) = self.check(operand, facts)?;
                    let value = self.field_of(expr.at, &kind, field)?;
                    Ok((Node::Select(Box::new(node), field.as_str().into()), value))
                }
                _ => Self::fault(expr.at, "this is no value"),
            },
        }
    }

    fn field_of(&self, at: usize, kind: &Type, field: &str) -> Result<Type, Fault> {
        match kind {
            Type::Map(key, value) if key.is(&Type::Text) => Ok((**value).clone()),
            Type::Dyn => Ok(Type::Dyn),
            other => {
                self.mismatch(at, || format!("`{other}` has no field `{field}`"))?;
                Ok(Type::Dyn)
            }
        }
    }

    /// What is declared under a path, where it begins with a declared name.
    pub(super) fn declared(&self, expr: &Expr) -> Result<Option<(String, Declared<S>)>, Fault> {
        let (operand, field) = match &expr.kind {
            ExprKind::Name { name, absolute } => {
                if !absolute && self.locals.iter().any(|(known, _)| known == name) {
                    return Ok(None);
                }
                return self.root(expr.at, name).map(Some);
            }
            ExprKind::Select(operand, field) => (operand, field),
            ExprKind::Index(operand, index) => match &index.kind {
                ExprKind::Text(field) => (operand, field),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Some((path, declared)) = self.declared(operand)? else { return Ok(None) };
        self.below(expr.at, &path, declared, field)
    }

    /// What is declared under a name below a path.
    pub(super) fn below(
        &self,
        at: usize,
        path: &str,
        declared: Declared<S>,
        field: &str,
    ) -> Result<Option<(String, Declared<S>)>, Fault> {
        let plain = field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let full = if plain { format!("{path}.{field}") } else { format!("{path}[\"{field}\"]") };
        match declared {
            Declared::Value(_) => Ok(None),
            Declared::Named(make) => Ok(Some((full, Declared::Value(make(field))))),
            Declared::Record(mut fields) => {
                if let Some(found) = fields.remove(field) {
                    return Ok(Some((full, found)));
                }
                if let Some(message) = self.environment.refused.get(&full) {
                    return Self::fault(at, message.clone());
                }
                let none = match self.environment.refused.get(&format!("{path}.*")) {
                    Some(message) => format!("; {message}"),
                    None if fields.is_empty() => "; it has none".to_owned(),
                    None => format!("; it has {}", names::listed(fields.keys().map(String::as_str))),
                };
                let near = names::nearest(field, fields.keys().map(String::as_str));
                let hint = if near.is_empty() { none } else { near };
                Self::fault(at, format!("`{path}` has no `{field}`{hint}"))
            }
        }
    }

    fn root(&self, at: usize, name: &str) -> Result<(String, Declared<S>), Fault> {
        if let Some(found) = self.environment.roots.get(name) {
            return Ok((name.to_owned(), found.clone()));
        }
        if let Some(message) = self.environment.refused.get(name) {
            return Self::fault(at, message.clone());
        }
        let roots = self.environment.roots.keys().map(String::as_str);
        let locals = self.locals.iter().map(|(known, _)| known.as_str());
        let near = names::nearest(name, roots.clone().chain(locals));
        let hint = if near.is_empty() { format!("; there are {}", names::listed(roots)) } else { near };
        Self::fault(at, format!("there is no `{name}`{hint}"))
    }

    pub(super) fn source(&mut self, path: &str, field: &Field<S>) -> usize {
        if let Some(at) = self.paths.iter().position(|known| known == path) {
            return at;
        }
        self.paths.push(path.to_owned());
        self.sources.push(field.source.clone());
        self.sources.len().saturating_sub(1)
    }

    /// Reads a declared value: of those who can have vouched here, all have to say the same of it.
    fn read(&mut self, at: usize, path: &str, field: Field<S>, facts: &Facts) -> Checked {
        let slot = self.source(path, &field);
        let [first, ..] = field.kinds.as_slice() else {
            return Self::fault(at, format!("no identity provider of the route declares `{path}`"));
        };
        if first.0.is_empty() {
            return Ok((Node::Field(slot), first.1.clone()));
        }
        let all = self.environment.vouched.as_ref().map(|(_, all)| all.clone()).unwrap_or_default();
        let who = facts.vouched.as_ref().unwrap_or(&all);
        let known: Vec<&(String, Type)> = field.kinds.iter().filter(|(name, _)| who.contains(name)).collect();
        let by = self.environment.vouched.as_ref().map_or("", |(by, _)| by.as_str());
        let Some((_, kind)) = known.first() else {
            return Self::fault(at, format!("{} does not declare `{path}`", names::listed(who.iter().map(String::as_str))));
        };
        if let Some((other, another)) = known.iter().find(|(_, other)| other != kind) {
            let (name, _) = known.first().map_or(("", kind), |(name, kind)| (name.as_str(), kind));
            return Self::fault(
                at,
                format!("`{path}` is `{kind}` of `{name}` and `{another}` of `{other}`; ask `{by} == \"{name}\" && …` first"),
            );
        }
        let missing: Vec<&str> =
            who.iter().filter(|name| !known.iter().any(|(known, _)| known == *name)).map(String::as_str).collect();
        if !missing.is_empty() && !facts.present.contains(path) {
            return Self::fault(
                at,
                format!(
                    "{} does not declare `{path}`; ask `has({path}) && …` first, or declare it there",
                    names::listed(missing)
                ),
            );
        }
        Ok((Node::Field(slot), kind.clone()))
    }

    pub(super) fn has(&mut self, expr: &Expr, facts: &Facts) -> Checked {
        if let (ExprKind::Select(..), Some((path, Declared::Value(field)))) = (&expr.kind, self.declared(expr)?) {
            let slot = self.source(&path, &field);
            return Ok((Node::Has(slot), Type::Bool));
        }
        match &expr.kind {
            ExprKind::Select(operand, field) => {
                if self.declared(expr)?.is_some() {
                    return Self::fault(expr.at, "`has` asks for a value; name a field of this");
                }
                let (node, kind) = self.check(operand, facts)?;
                self.field_of(expr.at, &kind, field)?;
                Ok((Node::HasKey(Box::new(node), field.as_str().into()), Type::Bool))
            }
            _ => Self::fault(expr.at, "`has` takes one field, such as `has(principal.tenant)`"),
        }
    }

    pub(super) fn index(&mut self, expr: &Expr, operand: &Expr, index: &Expr, facts: &Facts) -> Checked {
        if let Some((path, Declared::Value(field))) = self.declared(expr)? {
            return self.read(expr.at, &path, field, facts);
        }
        let (operand_node, kind) = self.check(operand, facts)?;
        let (index_node, index_kind) = self.check(index, facts)?;
        let gives = match &kind {
            Type::List(item) if index_kind.is(&Type::Int) => (**item).clone(),
            Type::Map(key, value) if key.meets(&index_kind) => (**value).clone(),
            Type::Dyn => Type::Dyn,
            _ => {
                self.mismatch(index.at, || format!("`{kind}` has no item with `{index_kind}`"))?;
                Type::Dyn
            }
        };
        Ok((Node::Index(Box::new([operand_node, index_node])), gives))
    }
}

fn type_name(name: &str) -> Option<&'static str> {
    let known = [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
    ];
    known.into_iter().find(|known| *known == name)
}
