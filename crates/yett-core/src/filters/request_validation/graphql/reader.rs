//! Reads a GraphQL document once, without recursion and without a tree: of each operation and fragment what is in it, and
//! which fragments it uses, how deep and how often.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::lexer::{Lexer, NoToken, Token, control};

/// Braces and brackets inside of each other.
pub(super) const MAX_NESTING: usize = 200;

/// What kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Mutation,
    Subscription,
}

/// An operation or a fragment.
#[derive(Debug)]
pub(super) struct Definition<'t> {
    /// Of an operation.
    pub(super) kind: Option<Kind>,
    pub(super) name: Option<&'t str>,
    /// Where it begins.
    pub(super) at: usize,
    /// What is in it by itself.
    pub(super) own: Sums,
    /// Where its deepest field stands.
    pub(super) deepest: usize,
    pub(super) spreads: Vec<Spread<'t>>,
    /// Fields that are not inside of others, and where.
    pub(super) roots: Vec<(&'t str, usize)>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Fields inside of each other.
    pub(super) depth: u64,
    /// Fields, times the sizes of the lists that they are in.
    pub(super) cost: u64,
    pub(super) aliases: u64,
    pub(super) directives: u64,
}

/// A fragment that is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread<'t> {
    pub(super) name: &'t str,
    pub(super) at: usize,
    /// Fields around it.
    pub(super) level: u64,
    /// How often it is answered.
    pub(super) times: u64,
}

/// A document.
#[derive(Debug, Default)]
pub(super) struct Read<'t> {
    pub(super) definitions: Vec<Definition<'t>>,
    /// The first field that asks for the schema.
    pub(super) introspection: Option<usize>,
    /// Sizes that variables have where the request says nothing: the largest.
    pub(super) defaults: HashMap<&'t str, Size>,
}

/// Why a document cannot be read, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// What was expected there.
    Expected(&'static str, usize),
    Nesting(usize),
    /// A size of a list is no integer.
    Size(usize),
}

/// What an argument for the size of a list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Number(u64),
    /// It is left to the service.
    Unsaid,
    Wrong,
}

impl From<NoToken> for Fault {
    fn from(found: NoToken) -> Self {
        Self::Expected("this is no part of GraphQL", found.0)
    }
}

struct Reader<'t, 'a> {
    lexer: Lexer<'t>,
    /// The next token, and where it begins.
    token: Token<'t>,
    at: usize,
    read: Read<'t>,
    sizes: &'a dyn Fn(&str) -> Size,
    arguments: &'a [Box<str>],
}

/// A set of selections that is open.
#[derive(Clone, Copy)]
struct Open {
    level: u64,
    times: u64,
}

enum Value<'t> {
    Integer(&'t str),
    Variable(&'t str),
    Null,
    Other,
}

/// Reads it. `arguments` are those that say how long a list is; `sizes` says what a variable is.
pub(super) fn read<'t>(text: &'t str, arguments: &[Box<str>], sizes: &dyn Fn(&str) -> Size) -> Result<Read<'t>, Fault> {
    if let Some(at) = control(text) {
        return Err(Fault::Expected("this is no part of GraphQL", at));
    }
    let mut reader = Reader { lexer: Lexer::new(text), token: Token::End, at: 0, read: Read::default(), sizes, arguments };
    reader.advance()?;
    while reader.token != Token::End {
        reader.definition()?;
    }
    if reader.read.definitions.iter().all(|one| one.kind.is_none()) {
        return reader.expected("there is no operation");
    }
    Ok(reader.read)
}

impl<'t> Reader<'t, '_> {
    fn expected<T>(&self, what: &'static str) -> Result<T, Fault> {
        Err(Fault::Expected(what, self.at))
    }

    fn advance(&mut self) -> Result<Token<'t>, Fault> {
        let passed = self.token;
        (self.token, self.at) = self.lexer.next()?;
        Ok(passed)
    }

    /// Whether this sign stands here; then it is passed.
    fn takes(&mut self, sign: u8) -> Result<bool, Fault> {
        let here = self.token == Token::Sign(sign);
        if here {
            self.advance()?;
        }
        Ok(here)
    }

    fn sign(&mut self, sign: u8, what: &'static str) -> Result<(), Fault> {
        if self.takes(sign)? { Ok(()) } else { self.expected(what) }
    }

    fn name(&mut self) -> Result<&'t str, Fault> {
        match self.token {
            Token::Name(name) => {
                self.advance()?;
                Ok(name)
            }
            _ => self.expected("a name is missing here"),
        }
    }

    fn definition(&mut self) -> Result<(), Fault> {
        const WHAT: &str = "an operation or a fragment begins here, and nothing else";
        if self.token == Token::Text {
            self.advance()?;
        }
        let (at, mut sums) = (self.at, Sums::default());
        let (mut kind, mut name) = (None, None);
        match self.token {
            Token::Sign(b'{') => kind = Some(Kind::Query),
            Token::Name("fragment") => {
                self.advance()?;
                if self.token == Token::Name("on") {
                    return self.expected("no fragment is named so");
                }
                name = Some(self.name()?);
                if self.token != Token::Name("on") {
                    return self.expected("a fragment is `on` a type");
                }
                self.advance()?;
                self.name()?;
                sums.directives = self.directives()?;
            }
            Token::Name(word) => {
                kind = Some(match word {
                    "query" => Kind::Query,
                    "mutation" => Kind::Mutation,
                    "subscription" => Kind::Subscription,
                    _ => return self.expected(WHAT),
                });
                self.advance()?;
                if matches!(self.token, Token::Name(_)) {
                    name = Some(self.name()?);
                }
                sums.directives = self.variables()? + self.directives()?;
            }
            _ => return self.expected(WHAT),
        }
        let definition = Definition { kind, name, at, own: sums, deepest: at, spreads: Vec::new(), roots: Vec::new() };
        let definition = self.selections(definition)?;
        self.read.definitions.push(definition);
        Ok(())
    }

    /// All that is between the braces of a definition.
    fn selections(&mut self, mut of: Definition<'t>) -> Result<Definition<'t>, Fault> {
        const EMPTY: &str = "a field is missing here";
        self.sign(b'{', "`{` is missing here")?;
        let mut open: SmallVec<[Open; 16]> = SmallVec::new();
        open.push(Open { level: 0, times: 1 });
        // Whether the brace before this place has just been opened.
        let mut fresh = true;
        while let Some(here) = open.last().copied() {
            let at = self.at;
            match self.token {
                Token::Sign(b'}') if !fresh => {
                    self.advance()?;
                    open.pop();
                    continue;
                }
                Token::Spread => {
                    self.advance()?;
                    match self.token {
                        Token::Name(name) if name != "on" => {
                            self.advance()?;
                            of.spreads.push(Spread { name, at, level: here.level, times: here.times });
                            of.own.directives += self.directives()?;
                            fresh = false;
                        }
                        token => {
                            if token == Token::Name("on") {
                                self.advance()?;
                                self.name()?;
                            }
                            of.own.directives += self.directives()?;
                            self.sign(b'{', "`{` is missing here")?;
                            open.push(here);
                            fresh = true;
                        }
                    }
                }
                Token::Name(_) => {
                    let inside = self.field(&mut of, here)?;
                    fresh = self.takes(b'{')?;
                    if fresh {
                        open.push(inside);
                    }
                }
                _ => return self.expected(EMPTY),
            }
            if open.len() > MAX_NESTING {
                return Err(Fault::Nesting(at));
            }
        }
        Ok(of)
    }

    /// A field up to its selections, and what is around those.
    fn field(&mut self, of: &mut Definition<'t>, around: Open) -> Result<Open, Fault> {
        let at = self.at;
        let mut name = self.name()?;
        if self.takes(b':')? {
            of.own.aliases += 1;
            name = self.name()?;
        }
        let level = around.level + 1;
        if level > of.own.depth {
            (of.own.depth, of.deepest) = (level, at);
        }
        of.own.cost = of.own.cost.saturating_add(around.times);
        if around.level == 0 {
            of.roots.push((name, at));
        }
        if matches!(name, "__schema" | "__type") {
            self.read.introspection.get_or_insert(at);
        }
        let times = self.arguments()?;
        of.own.directives += self.directives()?;
        Ok(Open { level, times: around.times.saturating_mul(times) })
    }

    /// Arguments; how many items they ask for.
    fn arguments(&mut self) -> Result<u64, Fault> {
        let mut times = 1_u64;
        if !self.takes(b'(')? {
            return Ok(times);
        }
        loop {
            let name = self.name()?;
            self.sign(b':', "`:` is missing here")?;
            let at = self.at;
            let value = self.value()?;
            if self.arguments.iter().any(|size| **size == *name) {
                let size = match value {
                    Value::Integer(text) => number(text),
                    Value::Variable(name) => (self.sizes)(name),
                    Value::Null => Size::Unsaid,
                    Value::Other => Size::Wrong,
                };
                match size {
                    Size::Number(size) => times = times.max(size),
                    Size::Unsaid => {}
                    Size::Wrong => return Err(Fault::Size(at)),
                }
            }
            if self.takes(b')')? {
                return Ok(times);
            }
        }
    }

    /// A value, of any depth up to the bound.
    fn value(&mut self) -> Result<Value<'t>, Fault> {
        const WHAT: &str = "a value is missing here";
        let mut open: SmallVec<[u8; 16]> = SmallVec::new();
        let mut found = Value::Other;
        loop {
            let at = self.at;
            match self.advance()? {
                Token::Integer(text) => found = Value::Integer(text),
                Token::Sign(b'$') => found = Value::Variable(self.name()?),
                Token::Name("null") => found = Value::Null,
                Token::Float | Token::Text | Token::Name(_) => found = Value::Other,
                Token::Sign(bracket @ (b'[' | b'{')) => {
                    open.push(bracket);
                    if open.len() > MAX_NESTING {
                        return Err(Fault::Nesting(at));
                    }
                }
                _ => return Err(Fault::Expected(WHAT, at)),
            }
            // What is around it goes on, with the next value, or ends.
            loop {
                match (open.last(), self.token) {
                    (None, _) => return Ok(found),
                    (Some(b'['), Token::Sign(b']')) | (Some(b'{'), Token::Sign(b'}')) => {
                        self.advance()?;
                        open.pop();
                        found = Value::Other;
                    }
                    (Some(b'{'), _) => {
                        self.name()?;
                        self.sign(b':', "`:` is missing here")?;
                        break;
                    }
                    _ => break,
                }
            }
        }
    }

    /// Directives; how many.
    fn directives(&mut self) -> Result<u64, Fault> {
        let mut count = 0;
        while self.takes(b'@')? {
            self.name()?;
            self.arguments()?;
            count += 1;
        }
        Ok(count)
    }

    /// Variables of an operation; how many directives they have.
    fn variables(&mut self) -> Result<u64, Fault> {
        let mut directives = 0;
        if !self.takes(b'(')? {
            return Ok(directives);
        }
        loop {
            self.sign(b'$', "a variable is missing here")?;
            let name = self.name()?;
            self.sign(b':', "`:` is missing here")?;
            self.kind()?;
            if self.takes(b'=')? {
                let size = match self.value()? {
                    Value::Integer(text) => number(text),
                    Value::Null => Size::Unsaid,
                    _ => Size::Wrong,
                };
                let known = self.read.defaults.entry(name).or_insert(size);
                *known = larger(*known, size);
            }
            directives += self.directives()?;
            if self.takes(b')')? {
                return Ok(directives);
            }
        }
    }

    /// A type: `Int`, `[Int!]!`.
    fn kind(&mut self) -> Result<(), Fault> {
        let mut open = 0_usize;
        while self.takes(b'[')? {
            open += 1;
            if open > MAX_NESTING {
                return Err(Fault::Nesting(self.at));
            }
        }
        self.name()?;
        self.takes(b'!')?;
        for _ in 0..open {
            self.sign(b']', "`]` is missing here")?;
            self.takes(b'!')?;
        }
        Ok(())
    }
}

fn number(text: &str) -> Size {
    if text.starts_with('-') {
        return Size::Unsaid;
    }
    Size::Number(text.parse().unwrap_or(u64::MAX))
}

/// What costs more, of two definitions of a variable.
fn larger(one: Size, other: Size) -> Size {
    match (one, other) {
        (Size::Wrong, _) | (_, Size::Wrong) => Size::Wrong,
        (Size::Unsaid, size) | (size, Size::Unsaid) => size,
        (Size::Number(one), Size::Number(other)) => Size::Number(one.max(other)),
    }
}
