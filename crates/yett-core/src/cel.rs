//! Conditions in CEL, the Common Expression Language: read, checked and compiled at load, evaluated for requests.
//!
//! The language is that of the CEL specification without messages, `dyn` and a few more things (docs/concepts/authorization.md
//! lists them). What is known before a request comes is done before: names are places, patterns are compiled, constants
//! are made. An evaluation borrows what it reads.

mod check;
mod convert;
mod eval;
mod names;
mod node;
mod parse;
#[cfg(test)]
mod tests;
mod time;
mod token;
mod types;
mod value;

pub use eval::Activation;
pub use types::{Declared, Environment, Field, Type};
pub use value::{Bytes, Failure, List, Map, Text, Value};

use check::Checker;
use node::Node;
use types::Facts;

/// What is wrong with a condition, and where: bytes from its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Bytes from the beginning.
    pub at: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// How large a condition may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of its source.
    pub bytes: usize,
    /// Parts: names, values, operators.
    pub nodes: usize,
    /// Levels of nesting, and operators of one kind in a row.
    pub depth: usize,
}

/// The bounds of conditions in a configuration.
pub const BOUNDS: Bounds = Bounds { bytes: 4096, nodes: 512, depth: 48 };

/// A compiled condition. `S` is where the values come from that it reads.
#[derive(Debug)]
pub struct Program<S> {
    node: Node,
    sources: Vec<S>,
}

impl<S: Clone> Program<S> {
    /// Reads, checks and compiles a condition.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub fn compile(source: &str, environment: &Environment<S>, bounds: Bounds) -> Result<Self, Fault> {
        let expr = parse::parse(source, bounds)?;
        let mut checker = Checker::new(environment);
        let (node, kind) = checker.check(&expr, &Facts::default())?;
        if environment.strict && kind != Type::Bool {
            return Err(Fault {
                at: 0,
                message: format!("a condition is true or false, and this is a {kind}; compare it with something"),
            });
        }
        Ok(Self { node, sources: checker.sources })
    }

    /// The same for an expression that comes to a value of this type.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub fn compile_as(source: &str, environment: &Environment<S>, bounds: Bounds, wanted: &Type) -> Result<Self, Fault> {
        let expr = parse::parse(source, bounds)?;
        let mut checker = Checker::new(environment);
        let (node, kind) = checker.check(&expr, &Facts::default())?;
        if kind != *wanted {
            return Err(Fault { at: 0, message: format!("this has to come to a {wanted}, and it is a {kind}") });
        }
        Ok(Self { node, sources: checker.sources })
    }
}

impl<S> Program<S> {
    /// Where its values come from.
    #[must_use]
    pub fn sources(&self) -> &[S] {
        &self.sources
    }

    /// The value of the condition.
    ///
    /// # Errors
    /// Why it has none.
    pub fn evaluate<'a>(&'a self, activation: &'a dyn Activation<S>) -> Result<Value<'a>, Failure> {
        eval::evaluate(&self.node, activation, &self.sources)
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// Why that cannot be decided.
    pub fn holds(&self, activation: &dyn Activation<S>) -> Result<bool, Failure> {
        match self.evaluate(activation)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Failure::NoOverload),
        }
    }
}
