//! What requests have to be, and what answers have to be.

use serde::Deserialize;
use serde_json::Value;

/// What a request has to be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestValidation {
    /// Whether there has to be a body.
    pub body: BodyPresence,
    /// What bodies may be, each with its schema; in order, the first that fits counts.
    pub bodies: Vec<BodyType>,
    /// Bounds of JSON.
    pub json: JsonBounds,
    /// Whether `format` of schemas is checked.
    #[serde(default = "yes")]
    pub formats: bool,
}

/// Whether there has to be a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyPresence {
    /// Always, but for GET and HEAD.
    Required,
    /// As the client likes.
    Optional,
    /// Never.
    Refused,
}

/// A kind of body.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyType {
    /// `type/subtype` or `type/*`, lower case.
    pub content_type: String,
    /// JSON Schema 2020-12 of a JSON body.
    #[serde(default)]
    pub schema: Option<Value>,
}

/// Bounds of a JSON document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonBounds {
    /// Arrays and objects inside of each other; at most 64.
    pub depth: u32,
    /// Names of all objects.
    pub keys: u32,
    /// Items of all arrays.
    pub items: u32,
    /// Bytes of a string or name, as written.
    pub string: u64,
    /// Characters of a number.
    pub number: u32,
}

fn yes() -> bool {
    true
}
