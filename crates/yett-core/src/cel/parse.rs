//! From a source to its tree, by the grammar of the CEL specification. Bounded in size and depth.

use super::token::{Kind, Token, tokens};
use super::{Bounds, Fault};

/// A part of an expression, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Expr {
    pub(super) at: usize,
    pub(super) kind: ExprKind,
}

#[derive(Debug, Clone)]
pub(super) enum ExprKind {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// A name; `absolute` has a dot before it.
    Name {
        name: String,
        absolute: bool,
    },
    Select(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    /// A function, or a method of `target`.
    Call {
        target: Option<Box<Expr>>,
        name: String,
        arguments: Vec<Expr>,
    },
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    /// A message of that type; never compiles.
    Message(String),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Conditional(Box<[Expr; 3]>),
    Binary(&'static str, Box<[Expr; 2]>),
}

const KEYWORDS: [&str; 4] = ["in", "true", "false", "null"];
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];
const RELATIONS: [&str; 6] = ["<=", ">=", "==", "!=", "<", ">"];

struct Parser {
    tokens: std::vec::IntoIter<Token>,
    token: Token,
    depth: usize,
    nodes: usize,
    bounds: Bounds,
}

type Parsed = Result<Expr, Fault>;

/// The tree of a source.
///
/// # Errors
/// The first fault, with its place.
pub(super) fn parse(source: &str, bounds: Bounds) -> Parsed {
    if source.len() > bounds.bytes {
        let message = format!("the condition has {} bytes; at most {} are read", source.len(), bounds.bytes);
        return Err(Fault { at: 0, message });
    }
    let mut parser = Parser {
        tokens: tokens(source)?.into_iter(),
        token: Token { kind: Kind::End, at: source.len() },
        depth: 0,
        nodes: 0,
        bounds,
    };
    parser.advance();
    if parser.token.kind == Kind::End {
        return Err(Fault { at: 0, message: "the condition is empty".to_owned() });
    }
    let expr = parser.expression()?;
    match parser.token.kind {
        Kind::End => Ok(expr),
        _ => parser.unexpected("an operator, or the end"),
    }
}

impl Parser {
    fn advance(&mut self) -> Token {
        let next = self.tokens.next().unwrap_or(Token { kind: Kind::End, at: self.token.at });
        std::mem::replace(&mut self.token, next)
    }

    fn fault<T>(&self, at: usize, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault { at, message: message.into() })
    }

    fn unexpected<T>(&self, wanted: &str) -> Result<T, Fault> {
        let found = match &self.token.kind {
            Kind::End => "the end".to_owned(),
            Kind::Name(name) | Kind::Quoted(name) => format!("`{name}`"),
            Kind::Sign(sign) => format!("`{sign}`"),
            Kind::Int(_) | Kind::LeastInt | Kind::Uint(_) | Kind::Double(_) => "a number".to_owned(),
            Kind::Text(_) | Kind::Bytes(_) => "a text".to_owned(),
        };
        let hint = match &self.token.kind {
            Kind::Sign("=") => "; `==` compares",
            Kind::Name(name) if matches!(name.as_str(), "and" | "or" | "not") => "; write `&&`, `||` or `!`",
            _ => "",
        };
        self.fault(self.token.at, format!("{found} stands where {wanted} is expected{hint}"))
    }

    fn is(&self, sign: &str) -> bool {
        matches!(&self.token.kind, Kind::Sign(found) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Fault> {
        if self.take(sign) { Ok(()) } else { self.unexpected(&format!("`{sign}`")) }
    }

    fn node(&mut self, at: usize, kind: ExprKind) -> Parsed {
        self.nodes += 1;
        if self.nodes > self.bounds.nodes {
            return self
                .fault(at, format!("the condition has more than {} parts; split it into several rules", self.bounds.nodes));
        }
        Ok(Expr { at, kind })
    }

    /// One level deeper.
    fn deeper(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        self.depth += 1;
        if self.depth > self.bounds.depth {
            return self.fault(self.token.at, format!("the condition is nested deeper than {} levels", self.bounds.depth));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn expression(&mut self) -> Parsed {
        self.deeper(|parser| {
            let condition = parser.or()?;
            let at = parser.token.at;
            if !parser.take("?") {
                return Ok(condition);
            }
            let yes = parser.or()?;
            parser.expect(":")?;
            let no = parser.expression()?;
            parser.node(at, ExprKind::Conditional(Box::new([condition, yes, no])))
        })
    }

    fn or(&mut self) -> Parsed {
        let first = self.and()?;
        self.chain("||", first, Self::and, ExprKind::Or)
    }

    fn and(&mut self) -> Parsed {
        let first = self.relation()?;
        self.chain("&&", first, Self::relation, ExprKind::And)
    }

    fn chain(&mut self, sign: &str, first: Expr, parse: fn(&mut Self) -> Parsed, kind: fn(Vec<Expr>) -> ExprKind) -> Parsed {
        let at = self.token.at;
        if !self.is(sign) {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.take(sign) {
            operands.push(parse(self)?);
        }
        self.node(at, kind(operands))
    }

    fn relation(&mut self) -> Parsed {
        let mut left = self.sum()?;
        let mut chained = 0;
        loop {
            let at = self.token.at;
            let sign = match &self.token.kind {
                Kind::Sign(sign) => RELATIONS.iter().find(|known| *known == sign).copied(),
                Kind::Name(name) if name == "in" => Some("in"),
                _ => None,
            };
            let Some(sign) = sign else { return Ok(left) };
            self.advance();
            let right = self.sum()?;
            left = self.binary(at, sign, left, right, &mut chained)?;
        }
    }

    fn binary(&mut self, at: usize, sign: &'static str, left: Expr, right: Expr, chained: &mut usize) -> Parsed {
        *chained += 1;
        if *chained > self.bounds.depth {
            return self.fault(at, format!("more than {} operators follow each other; use parentheses", self.bounds.depth));
        }
        self.node(at, ExprKind::Binary(sign, Box::new([left, right])))
    }

    fn sum(&mut self) -> Parsed {
        let first = self.product()?;
        self.left(&["+", "-"], first, Self::product)
    }

    fn product(&mut self) -> Parsed {
        let first = self.unary()?;
        self.left(&["*", "/", "%"], first, Self::unary)
    }

    fn left(&mut self, signs: &[&'static str], first: Expr, parse: fn(&mut Self) -> Parsed) -> Parsed {
        let mut left = first;
        let mut chained = 0;
        loop {
            let at = self.token.at;
            let Some(sign) = signs.iter().find(|sign| self.is(sign)).copied() else { return Ok(left) };
            self.advance();
            let right = parse(self)?;
            left = self.binary(at, sign, left, right, &mut chained)?;
        }
    }

    fn unary(&mut self) -> Parsed {
        let at = self.token.at;
        if self.take("!") {
            let operand = self.deeper(Self::unary)?;
            return self.node(at, ExprKind::Not(Box::new(operand)));
        }
        if !self.take("-") {
            return self.member();
        }
        // A minus before a number belongs to it, so that the least number can be written.
        match self.token.kind {
            Kind::LeastInt => {
                self.advance();
                let number = self.node(at, ExprKind::Int(i64::MIN))?;
                self.members(number)
            }
            Kind::Int(value) => {
                self.advance();
                let number = self.node(at, ExprKind::Int(value.wrapping_neg()))?;
                self.members(number)
            }
            Kind::Double(value) => {
                self.advance();
                let number = self.node(at, ExprKind::Double(-value))?;
                self.members(number)
            }
            _ => {
                let operand = self.deeper(Self::unary)?;
                self.node(at, ExprKind::Negate(Box::new(operand)))
            }
        }
    }

    fn member(&mut self) -> Parsed {
        let primary = self.primary()?;
        self.members(primary)
    }

    fn members(&mut self, primary: Expr) -> Parsed {
        let mut operand = primary;
        let mut chained = 0;
        loop {
            chained += 1;
            if chained > self.bounds.depth {
                return self.fault(self.token.at, format!("more than {} fields follow each other", self.bounds.depth));
            }
            if self.take(".") {
                let at = self.token.at;
                let (name, quoted) = match self.token.kind.clone() {
                    Kind::Name(name) if !KEYWORDS.contains(&name.as_str()) => (name, false),
                    Kind::Quoted(name) => (name, true),
                    _ => return self.unexpected("the name of a field"),
                };
                self.advance();
                operand = if !quoted && self.take("(") {
                    let arguments = self.list(")")?;
                    self.node(at, ExprKind::Call { target: Some(Box::new(operand)), name, arguments })?
                } else {
                    self.node(at, ExprKind::Select(Box::new(operand), name))?
                };
            } else if self.is("[") {
                let at = self.token.at;
                self.advance();
                let index = self.expression()?;
                self.expect("]")?;
                operand = self.node(at, ExprKind::Index(Box::new(operand), Box::new(index)))?;
            } else if self.is("{") {
                let Some(name) = qualified(&operand) else { return Ok(operand) };
                let at = operand.at;
                self.advance();
                self.message()?;
                operand = self.node(at, ExprKind::Message(name))?;
            } else {
                return Ok(operand);
            }
        }
    }

    /// The fields of a message: read, so that the fault that is told is the one that matters.
    fn message(&mut self) -> Result<(), Fault> {
        while !self.take("}") {
            match self.advance().kind {
                Kind::Name(_) | Kind::Quoted(_) => {}
                _ => return self.unexpected("the name of a field"),
            }
            self.expect(":")?;
            self.expression()?;
            if !self.take(",") {
                return self.expect("}");
            }
        }
        Ok(())
    }

    fn primary(&mut self) -> Parsed {
        let at = self.token.at;
        let absolute = self.take(".");
        let kind = match self.advance().kind {
            Kind::Name(name) if !KEYWORDS.contains(&name.as_str()) => return self.name(at, name, absolute),
            _ if absolute => return self.fault(at, "a name has to follow the dot"),
            Kind::Name(name) if name == "true" => ExprKind::Bool(true),
            Kind::Name(name) if name == "false" => ExprKind::Bool(false),
            Kind::Name(name) if name == "null" => ExprKind::Null,
            Kind::Int(value) => ExprKind::Int(value),
            Kind::LeastInt => return self.fault(at, "`9223372036854775808` is too large"),
            Kind::Uint(value) => ExprKind::Uint(value),
            Kind::Double(value) => ExprKind::Double(value),
            Kind::Text(text) => ExprKind::Text(text),
            Kind::Bytes(bytes) => ExprKind::Bytes(bytes),
            Kind::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Kind::Sign("[") => ExprKind::List(self.list("]")?),
            Kind::Sign("{") => ExprKind::Map(self.entries()?),
            kind => {
                let token = Token { kind, at };
                let after = std::mem::replace(&mut self.token, token);
                let fault = self.unexpected("a value");
                self.token = after;
                return fault;
            }
        };
        self.node(at, kind)
    }

    fn name(&mut self, at: usize, name: String, absolute: bool) -> Parsed {
        if RESERVED.contains(&name.as_str()) {
            return self.fault(at, format!("`{name}` is reserved for the language"));
        }
        if self.take("(") {
            let arguments = self.list(")")?;
            return self.node(at, ExprKind::Call { target: None, name, arguments });
        }
        self.node(at, ExprKind::Name { name, absolute })
    }

    /// Values up to the bracket that closes; a comma may stand before that of a list.
    fn list(&mut self, close: &str) -> Result<Vec<Expr>, Fault> {
        let mut items = Vec::new();
        while !self.take(close) {
            items.push(self.expression()?);
            if !self.take(",") {
                self.expect(close)?;
                break;
            }
            if close == ")" && self.is(close) {
                return self.unexpected("a value");
            }
        }
        Ok(items)
    }

    fn entries(&mut self) -> Result<Vec<(Expr, Expr)>, Fault> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }
}

/// `a.b.c`, where the expression is such a name.
pub(super) fn qualified(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Name { name, .. } => Some(name.clone()),
        ExprKind::Select(operand, field) => Some(format!("{}.{field}", qualified(operand)?)),
        _ => None,
    }
}
