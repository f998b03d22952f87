//! Conditions (`when:`) about a request: what they may read, and where it comes from.

mod environment;
mod live;
mod source;

use std::collections::BTreeMap;

use serde::Deserialize;

pub(super) use self::source::Source;

use self::environment::environment;
use super::Ask;
use super::body::BodyField;
use crate::cel::{self, BOUNDS, Failure, Fault, Type, Value};
use crate::ir::ClaimType;

/// What a condition may read beside what every request has: of its route, its providers and its rule.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readable {
    /// Declared claims and their types, by provider; all providers whose callers the rule is about.
    pub claims: BTreeMap<String, BTreeMap<String, ClaimType>>,
    /// Header fields, lower case.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Variables of the path, in order.
    #[serde(default)]
    pub variables: Vec<String>,
    /// What databases know of addresses: `country`, `continent`, `asn`.
    #[serde(default)]
    pub geo: Vec<String>,
    /// JSON Schema of the body, where bodies are validated before they are read.
    #[serde(default)]
    pub body: Option<serde_json::Value>,
}

/// What is known of a route when its rules are compiled.
#[derive(Debug, Clone, Default)]
pub struct RouteFacts {
    /// Its name.
    pub name: Box<str>,
    /// Its group.
    pub group: Option<Box<str>>,
    /// How sensitive its data is.
    pub classification: Option<Box<str>>,
}

/// Checks a condition without keeping it: for tools, which show the place of a fault.
///
/// # Errors
/// The first fault.
pub fn check(source: &str, readable: &Readable) -> Result<(), Fault> {
    cel::Program::compile(source, &environment(readable), BOUNDS).map(|_| ())
}

/// A compiled condition.
#[derive(Debug)]
pub(super) struct Condition {
    program: cel::Program<Source>,
    headers: Vec<Box<str>>,
}

impl Condition {
    pub(super) fn build(source: &str, readable: &Readable) -> Result<Self, String> {
        let program = cel::Program::compile(source, &environment(readable), BOUNDS)
            .map_err(|fault| format!("`when`, at byte {}: {}", fault.at, fault.message))?;
        let header = |source: &Source| match source {
            Source::Header(name) => Some(name.clone()),
            _ => None,
        };
        let headers = program.sources().iter().filter_map(header).collect();
        Ok(Self { program, headers })
    }

    /// Fields that it reads, lower case.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|name| &**name)
    }

    /// Parameters of the query that it reads.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.program.sources().iter().filter_map(|source| match source {
            Source::Query(name) => Some(&**name),
            _ => None,
        })
    }

    /// Fields of the body that it reads.
    pub(super) fn body_fields(&self) -> impl Iterator<Item = &BodyField> {
        self.program.sources().iter().filter_map(|source| match source {
            Source::Body(field) => Some(field),
            _ => None,
        })
    }

    /// Whether it reads the body, which is there only once it has been validated.
    pub(super) fn reads_body(&self) -> bool {
        self.program.sources().iter().any(|source| matches!(source, Source::Body(_)))
    }

    pub(super) fn holds(&self, ask: &Ask<'_>) -> Result<bool, Failure> {
        self.program.holds(ask)
    }
}

/// A compiled expression that comes to a value, of what is known before the body is read.
#[derive(Debug)]
pub struct Expression {
    program: cel::Program<Source>,
}

impl Expression {
    /// Compiles one that comes to a value of this type.
    ///
    /// # Errors
    /// The first fault of it; reading the body is one.
    pub fn build(source: &str, readable: &Readable, wanted: &Type) -> Result<Self, String> {
        let program = cel::Program::compile_as(source, &environment(readable), BOUNDS, wanted)
            .map_err(|fault| format!("`{source}`, at byte {}: {}", fault.at, fault.message))?;
        if program.sources().iter().any(|source| matches!(source, Source::Body(_))) {
            return Err(format!("`{source}` reads the body, which is not there yet when limits are charged"));
        }
        Ok(Self { program })
    }

    /// What it comes to.
    ///
    /// # Errors
    /// Why it has no value.
    pub fn value<'a>(&'a self, ask: &'a Ask<'_>) -> Result<Value<'a>, Failure> {
        self.program.evaluate(ask)
    }
}
