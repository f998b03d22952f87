//! Bodies that are held whole, and what is wrong with parts of a request.

use serde_json::{Value, json};

use crate::server::buffers::ReadBuffer;

/// A body that was read whole before anything of its request left.
#[derive(Debug)]
pub enum Body {
    /// In blocks that count towards `process.buffered_bytes`.
    Held(ReadBuffer),
    /// Without a connection: of a question that a tool asks.
    Given(Box<[u8]>),
}

impl Body {
    /// Its bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        match self {
            Self::Held(buffer) => buffer.data(),
            Self::Given(bytes) => bytes,
        }
    }
}

/// One part of a request that is wrong. Says nothing of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, for people.
    pub detail: Box<str>,
}

/// Where a part of a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the body: a JSON Pointer (RFC 6901).
    Body(Box<str>),
    /// A parameter: where it is sent (`path`, `query`, `header`, `cookie`, `part`), and its name.
    Parameter(&'static str, Box<str>),
}

/// Parts that one answer names.
pub const MAX_ERRORS: usize = 16;
/// Characters of a place that are shown.
pub const MAX_PLACE: usize = 200;

impl FieldError {
    /// In the body.
    #[must_use]
    pub fn at(pointer: &str, detail: impl Into<Box<str>>) -> Self {
        Self { place: Place::Body(shown(pointer)), detail: detail.into() }
    }

    /// A parameter.
    #[must_use]
    pub fn of(kind: &'static str, name: &str, detail: impl Into<Box<str>>) -> Self {
        Self { place: Place::Parameter(kind, shown(name)), detail: detail.into() }
    }
}

impl FieldError {
    /// As it stands in a problem document (RFC 9457 section 3, as in its example).
    #[must_use]
    pub fn document(&self) -> Value {
        match &self.place {
            Place::Body(pointer) => json!({"pointer": pointer, "detail": self.detail}),
            Place::Parameter(kind, name) => json!({"in": kind, "parameter": name, "detail": self.detail}),
        }
    }
}

/// `/name`, as it stands in a JSON Pointer (RFC 6901 section 3).
#[must_use]
pub fn step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The beginning of a name or pointer, which clients choose.
fn shown(text: &str) -> Box<str> {
    match text.char_indices().nth(MAX_PLACE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}
