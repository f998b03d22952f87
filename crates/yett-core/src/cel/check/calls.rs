//! Functions, methods and loops.

use super::{Checked, Checker};
use crate::cel::node::{Function, Loop, LoopKind, Node, TextTest};
use crate::cel::parse::{Expr, ExprKind};
use crate::cel::time::{Part, zone};
use crate::cel::types::{Facts, Type};
use crate::cel::{Fault, eval, names};

/// Bytes of a compiled pattern.
const PATTERN_BYTES: usize = 1 << 20;
const MACROS: [&str; 6] = ["all", "exists", "exists_one", "existsOne", "map", "filter"];

impl<S: Clone> Checker<'_, S> {
    pub(super) fn call(&mut self, at: usize, target: Option<&Expr>, name: &str, arguments: &[Expr], facts: &Facts) -> Checked {
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
}
