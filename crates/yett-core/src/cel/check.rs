//! The type checker: from a tree to what is evaluated. Names have to be declared, types have to fit, loops are bounded.

use super::node::{Arithmetic, Function, Loop, LoopKind, Node, Order, TextTest};
use super::parse::{Expr, ExprKind, qualified};
use super::time::{Part, zone};
use super::types::{Declared, Environment, Facts, Field, Type};
use super::value::{Bytes, List, Map, Text, Value};
use super::{Fault, eval, names};

/// Bytes of a compiled pattern.
const PATTERN_BYTES: usize = 1 << 20;
const MACROS: [&str; 6] = ["all", "exists", "exists_one", "existsOne", "map", "filter"];

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

    /// `"x-region" in request.headers`: the field whose presence that asks for.
    fn membership(&self, sign: &str, both: &[Expr; 2]) -> Result<Option<(String, Field<S>)>, Fault> {
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

    fn binary(&mut self, at: usize, sign: &str, both: &[Expr; 2], facts: &Facts) -> Checked {
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

    // calls

    fn call(&mut self, at: usize, target: Option<&Expr>, name: &str, arguments: &[Expr], facts: &Facts) -> Checked {
        match (target, arguments) {
            (None, [argument]) if name == "has" => return self.has(argument, facts),
            (None, _) if name == "has" => return Self::fault(at, "`has` takes one field, such as `has(principal.tenant)`"),
            (Some(target), _) if MACROS.contains(&name) && matches!(arguments.len(), 2 | 3) => {
                return self.looped(at, target, name, arguments, facts);
            }
            (Some(target), [argument]) if name == "containsIP" => return self.inside(at, target, argument, facts),
            (Some(target), _) if Part::of(name).is_some() => return self.part(at, target, name, arguments, facts),
            (Some(text), [argument]) | (None, [text, argument]) if name == "matches" => {
                return self.matches(text, argument, facts);
            }
            (Some(text), [argument]) if ["contains", "startsWith", "endsWith"].contains(&name) => {
                return self.text_test(name, text, argument, facts);
            }
            _ => {}
        }
        let operand = match (target, arguments) {
            (Some(target), []) if name == "size" => Some(target),
            (None, [argument]) => Some(argument),
            _ => None,
        };
        match (operand, Function::of(name)) {
            (Some(operand), Some(function)) => self.function(at, name, function, operand, facts),
            _ => self.no_function(at, target.is_some(), name, arguments.len()),
        }
    }

    fn no_function(&self, at: usize, method: bool, name: &str, arguments: usize) -> Checked {
        let functions = ["has", "size", "int", "uint", "double", "string", "bytes", "bool", "timestamp", "duration"];
        let methods = [
            "size",
            "contains",
            "startsWith",
            "endsWith",
            "matches",
            "all",
            "exists",
            "exists_one",
            "map",
            "filter",
            "getFullYear",
            "getMonth",
            "getDate",
            "getDayOfMonth",
            "getDayOfWeek",
            "getDayOfYear",
            "getHours",
            "getMinutes",
            "getSeconds",
            "getMilliseconds",
            "containsIP",
        ];
        let known: &[&str] = if method { &methods } else { &functions };
        if known.contains(&name) {
            return Self::fault(at, format!("`{name}` does not take {arguments} values"));
        }
        let what = if method { "method" } else { "function" };
        Self::fault(at, format!("there is no {what} `{name}`{}", names::nearest(name, known.iter().copied())))
    }

    fn function(&mut self, at: usize, name: &str, function: Function, operand: &Expr, facts: &Facts) -> Checked {
        let strict = self.environment.strict;
        if strict && matches!(function, Function::Dyn | Function::Type) {
            return Self::fault(at, format!("`{name}` is off here: every value has a type"));
        }
        let (node, kind) = self.check(operand, facts)?;
        let (takes, gives): (&[Type], Type) = match function {
            Function::Size => (&[Type::Text, Type::Bytes], Type::Int),
            Function::Int => (&[Type::Int, Type::Uint, Type::Double, Type::Text, Type::Time], Type::Int),
            Function::Uint => (&[Type::Int, Type::Uint, Type::Double, Type::Text], Type::Uint),
            Function::Double => (&[Type::Int, Type::Uint, Type::Double, Type::Text], Type::Double),
            Function::Text => {
                (&[Type::Text, Type::Bool, Type::Int, Type::Uint, Type::Double, Type::Bytes, Type::Time, Type::Span], Type::Text)
            }
            Function::Bytes => (&[Type::Bytes, Type::Text], Type::Bytes),
            Function::Bool => (&[Type::Bool, Type::Text], Type::Bool),
            Function::Time => (&[Type::Time, Type::Text, Type::Int], Type::Time),
            Function::Span => (&[Type::Span, Type::Text], Type::Span),
            Function::Dyn => (&[], Type::Dyn),
            Function::Type => (&[], Type::Type),
        };
        let sized = function == Function::Size && matches!(kind, Type::List(_) | Type::Map(..));
        if !takes.is_empty() && kind != Type::Dyn && !takes.contains(&kind) && !sized {
            self.mismatch(operand.at, || format!("`{name}` does not take `{kind}`"))?;
        }
        let node = Node::Call(function, Box::new(node));
        if strict
            && matches!(&node, Node::Call(_, operand) if matches!(**operand, Node::Constant(_)))
            && let Err(failure) = eval::constant(&node)
        {
            return Self::fault(operand.at, format!("`{name}` of this: {}", failure.as_str()));
        }
        Ok((self.folded(node), gives))
    }

    fn of_type(&mut self, expr: &Expr, wanted: &Type, facts: &Facts) -> Result<Node, Fault> {
        let (node, kind) = self.check(expr, facts)?;
        if !kind.is(wanted) {
            self.mismatch(expr.at, || format!("`{wanted}` is needed here, and this is `{kind}`"))?;
        }
        Ok(node)
    }

    fn text_test(&mut self, name: &str, text: &Expr, part: &Expr, facts: &Facts) -> Checked {
        let both = Box::new([self.of_type(text, &Type::Text, facts)?, self.of_type(part, &Type::Text, facts)?]);
        let test = match name {
            "contains" => TextTest::Contains,
            "startsWith" => TextTest::StartsWith,
            _ => TextTest::EndsWith,
        };
        Ok((Node::Texts(test, both), Type::Bool))
    }

    /// The pattern is compiled here, so that a request never pays for it; a text that is matched costs time in proportion to
    /// its length.
    fn matches(&mut self, text: &Expr, pattern: &Expr, facts: &Facts) -> Checked {
        let text = self.of_type(text, &Type::Text, facts)?;
        let ExprKind::Text(source) = &pattern.kind else {
            return Self::fault(
                pattern.at,
                "the pattern of `matches` has to be a text as it stands, so that it can be compiled at load",
            );
        };
        match regex::RegexBuilder::new(source).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build() {
            Ok(compiled) => Ok((Node::Matches(compiled, Box::new(text)), Type::Bool)),
            Err(regex::Error::CompiledTooBig(_)) => Self::fault(pattern.at, "the pattern is too large; use fewer repetitions"),
            Err(_) => {
                Self::fault(pattern.at, format!("`{source}` is not a pattern (RE2 syntax, without references and look-around)"))
            }
        }
    }

    fn inside(&mut self, at: usize, target: &Expr, address: &Expr, facts: &Facts) -> Checked {
        let ExprKind::Call { target: None, name, arguments, .. } = &target.kind else {
            return Self::fault(at, "`containsIP` is asked of a network: `cidr(\"10.0.0.0/8\").containsIP(connection.address)`");
        };
        let text = match arguments.as_slice() {
            [Expr { kind: ExprKind::Text(text), .. }] if name == "cidr" => text,
            _ => return Self::fault(target.at, "a network is a text as it stands: `cidr(\"10.0.0.0/8\")`"),
        };
        let network = match text.parse::<ipnet::IpNet>() {
            Ok(network) if network.trunc() == network => network,
            _ => return Self::fault(target.at, format!("`{text}` is not a network; write one such as `10.0.0.0/8`")),
        };
        let address = self.of_type(address, &Type::Text, facts)?;
        Ok((Node::Inside(network, Box::new(address)), Type::Bool))
    }

    fn part(&mut self, at: usize, target: &Expr, name: &str, arguments: &[Expr], facts: &Facts) -> Checked {
        let Some(part) = Part::of(name) else { return Self::fault(at, "no such part of a time") };
        let (node, kind) = self.check(target, facts)?;
        let fits = kind.is(&Type::Time) || (kind == Type::Span && part.is_of_spans() && arguments.is_empty());
        if !fits {
            self.mismatch(target.at, || format!("`{kind}` has no `{name}`"))?;
        }
        let zone = match arguments {
            [] => None,
            [Expr { kind: ExprKind::Text(text), at }] => match zone(text) {
                Ok(zone) => Some(zone),
                Err(_) => return Self::fault(*at, format!("there is no time zone `{text}`; write one such as `Europe/Berlin`")),
            },
            _ => return Self::fault(at, format!("`{name}` takes the name of a time zone as it stands, or nothing")),
        };
        Ok((Node::Part(part, zone, Box::new(node)), Type::Int))
    }

    /// Loops run over lists only, which are as long as the request's credential or the condition lets them be, and not in
    /// each other.
    fn looped(&mut self, at: usize, target: &Expr, name: &str, arguments: &[Expr], facts: &Facts) -> Checked {
        let strict = self.environment.strict;
        let (variable, test, transform) = match (name, arguments) {
            ("map", [variable, transform]) => (variable, None, Some(transform)),
            ("map", [variable, test, transform]) => (variable, Some(test), Some(transform)),
            (_, [variable, test]) => (variable, Some(test), None),
            _ => return Self::fault(at, format!("`{name}` takes a variable and a condition")),
        };
        let ExprKind::Name { name: variable_name, absolute: false } = &variable.kind else {
            return Self::fault(variable.at, format!("`{name}` needs the name of a variable first: `{name}(item, …)`"));
        };
        if strict && !self.locals.is_empty() {
            return Self::fault(at, "a loop inside of a loop is off here; split the condition into several rules");
        }
        if strict && self.environment.roots.contains_key(variable_name) {
            return Self::fault(variable.at, format!("`{variable_name}` has a meaning already; give the variable another name"));
        }
        let (range, kind) = self.check(target, facts)?;
        let item = match kind {
            Type::List(item) => *item,
            Type::Map(key, _) if !strict => *key,
            Type::Dyn if !strict => Type::Dyn,
            other => {
                self.mismatch(target.at, || format!("`{name}` goes over a list, and this is `{other}`"))?;
                Type::Dyn
            }
        };
        self.locals.push((variable_name.clone(), item.clone()));
        let inner = self.inner(name, test, transform, facts);
        self.locals.pop();
        let (test, transformed) = inner?;
        let (kind, gives) = match name {
            "all" => (LoopKind::All, Type::Bool),
            "exists" => (LoopKind::Exists, Type::Bool),
            "map" | "filter" => {
                let item = transformed.as_ref().map_or(item, |(_, kind)| kind.clone());
                (LoopKind::Collect, Type::List(Box::new(item)))
            }
            _ => (LoopKind::ExistsOne, Type::Bool),
        };
        let parts = Loop { kind, range, test, transform: transformed.map(|(node, _)| node) };
        Ok((Node::Loop(Box::new(parts)), gives))
    }

    #[expect(clippy::type_complexity, reason = "the two parts of a loop")]
    fn inner(
        &mut self,
        name: &str,
        test: Option<&Expr>,
        transform: Option<&Expr>,
        facts: &Facts,
    ) -> Result<(Option<Node>, Option<(Node, Type)>), Fault> {
        let test = test.map(|test| self.boolean(test, name, facts)).transpose()?;
        Ok((test, transform.map(|transform| self.check(transform, facts)).transpose()?))
    }

    // names

    /// A declared value, a variable of a loop, a field of a value, or the name of a type.
    fn path(&mut self, expr: &Expr, facts: &Facts) -> Checked {
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
    fn declared(&self, expr: &Expr) -> Result<Option<(String, Declared<S>)>, Fault> {
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
    fn below(&self, at: usize, path: &str, declared: Declared<S>, field: &str) -> Result<Option<(String, Declared<S>)>, Fault> {
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

    fn source(&mut self, path: &str, field: &Field<S>) -> usize {
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

    fn has(&mut self, expr: &Expr, facts: &Facts) -> Checked {
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

    fn index(&mut self, expr: &Expr, operand: &Expr, index: &Expr, facts: &Facts) -> Checked {
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

    // what follows from a condition

    fn facts(&self, expr: &Expr, holds: bool) -> Facts {
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
