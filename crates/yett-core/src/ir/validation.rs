//! What requests have to be, and what answers have to be.

use std::collections::BTreeMap;

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
    /// What parameters have to be.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Names that the query may have; any where it is absent.
    #[serde(default)]
    pub query: Option<Vec<String>>,
    /// Header fields that pass beside those that every request has, lower case; all where it is absent.
    #[serde(default)]
    pub headers: Option<Vec<String>>,
    /// Bounds of forms.
    #[serde(default)]
    pub form: FormBounds,
    /// What GraphQL requests may ask for, where that is what requests are.
    #[serde(default)]
    pub graphql: Option<GraphQl>,
}

/// What GraphQL requests may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphQl {
    /// Fields inside of each other.
    pub depth: u32,
    /// Aliases, fragments counted wherever they are used.
    pub aliases: u32,
    /// Directives, fragments counted wherever they are used.
    pub directives: u32,
    /// Fields, times the sizes of the lists that they are in.
    pub cost: u64,
    /// Arguments that say how long a list is.
    pub list_arguments: Vec<String>,
    /// Requests that may come together.
    pub batch: u32,
    /// Kinds of operations.
    pub operations: Vec<OperationKind>,
    /// Root fields; any where it is absent.
    #[serde(default)]
    pub root_fields: Option<Vec<String>>,
    /// Whether the schema may be asked for.
    #[serde(default)]
    pub introspection: bool,
    /// Documents that the service has, and requests name.
    pub persisted: Persisted,
}

/// A kind of operation of GraphQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the operation of its name")]
pub enum OperationKind {
    Query,
    Mutation,
    Subscription,
}

/// Whether requests may name documents that the service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Persisted {
    /// They may not.
    Refuse,
    /// They may.
    Allow,
    /// They may, and may bring none of their own.
    Only,
}

/// What answers have to be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseValidation {
    /// What becomes of those that do not fit.
    pub mode: ResponseMode,
    /// Those that pass, by status.
    pub answers: Vec<AnswerType>,
    /// Bytes of a body that is looked at.
    pub size: u64,
    /// Bounds of JSON.
    pub json: JsonBounds,
    /// What is looked for in texts.
    pub leaks: Vec<Leak>,
    /// Whether bodies without an end pass.
    #[serde(default)]
    pub streams: bool,
    /// Whether fields that say what a service is made of are taken away.
    #[serde(default = "yes")]
    pub internals: bool,
    /// Whether `format` of schemas is checked.
    #[serde(default = "yes")]
    pub formats: bool,
}

/// What becomes of answers that do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// They are refused.
    Enforce,
    /// They pass, and an event says so.
    Report,
    /// What the schema does not know is taken out; where that is not enough they are refused.
    Strip,
}

/// Answers of some statuses.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerType {
    /// `200`, `2xx` or `default`; the most precise one that fits counts.
    pub status: String,
    /// What bodies may be; anything where it is absent.
    #[serde(default)]
    pub bodies: Option<Vec<BodyType>>,
}

/// What should not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leak {
    /// Where the service is, in fields that lead elsewhere.
    Addresses,
    /// Numbers of payment cards.
    Cards,
    /// Private keys in PEM.
    PrivateKeys,
    /// Tokens and keys of well-known services.
    Tokens,
    /// Stack traces and errors of databases.
    StackTraces,
}

impl RequestValidation {
    /// The schema of every body, where that is one: what rules may read.
    #[must_use]
    pub fn readable(&self) -> Option<&Value> {
        let first = self.bodies.first()?.schema.as_ref()?;
        self.bodies.iter().all(|body| body.schema.as_ref() == Some(first)).then_some(first)
    }
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
    /// JSON Schema 2020-12 of a JSON body, or of the object that the fields of a form make.
    #[serde(default)]
    pub schema: Option<Value>,
    /// Fields of a form, where it is read.
    #[serde(default)]
    pub fields: Option<BTreeMap<String, FormField>>,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Where it stands.
    #[serde(rename = "in")]
    pub place: ParameterPlace,
    /// Its name; of a header field in lower case.
    pub name: String,
    /// Whether it has to be there.
    pub required: bool,
    /// How the items of a list are written; absent for a single value.
    #[serde(default)]
    pub list: Option<ListStyle>,
    /// What its text, or that of an item, is read as: the first that it can be.
    pub types: Vec<ValueKind>,
    /// JSON Schema 2020-12.
    pub schema: Value,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the place of its name")]
pub enum ParameterPlace {
    Path,
    Query,
    Header,
    Cookie,
}

impl ParameterPlace {
    /// As in OpenAPI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }
}

/// How the items of a list are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListStyle {
    /// The parameter stands once for each.
    Repeated,
    /// With commas between them.
    Commas,
}

/// What a text is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the JSON type of its name")]
pub enum ValueKind {
    Integer,
    Number,
    Boolean,
    Null,
    String,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormField {
    /// What its text is read as.
    pub types: Vec<ValueKind>,
    /// Whether it may stand more than once.
    #[serde(default)]
    pub list: bool,
    /// Whether it is a file, which is not looked into.
    #[serde(default)]
    pub file: bool,
    /// Whether it is JSON.
    #[serde(default)]
    pub json: bool,
    /// Content types of a part; any where there is none.
    #[serde(default)]
    pub content_types: Vec<String>,
}

/// Bounds of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormBounds {
    /// Fields and files.
    pub fields: u32,
    /// Bytes of a field.
    pub field: u64,
    /// Bytes of a file.
    pub file: u64,
}

impl Default for FormBounds {
    fn default() -> Self {
        Self { fields: 100, field: 64 * 1024, file: u64::MAX }
    }
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
