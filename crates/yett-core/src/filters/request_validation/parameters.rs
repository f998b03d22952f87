//! Parameters: read as OpenAPI has it (styles `simple` and `form`), then judged by their schemas.

use serde_json::{Number, Value};

use super::json;
use super::schema::Schema;
use crate::body::{FieldError, MAX_ERRORS};
use crate::exchange::Exchange;
use crate::headers::Known;
use crate::ir::{self, JsonBounds, ListStyle, ParameterPlace, ValueKind};
use crate::path::{decode_query, query_values};

/// Items of a list.
const MAX_ITEMS: usize = 1000;
/// A number in a parameter is written as in JSON.
const NUMBER: JsonBounds = JsonBounds { depth: 1, keys: 0, items: 0, string: 0, number: 40 };

/// What parameters have to be.
#[derive(Debug)]
pub struct Parameters {
    list: Box<[Parameter]>,
    /// Names that the query may have; any where it is absent.
    query: Option<Box<[Box<str>]>>,
}

/// What is wrong with parameters.
#[derive(Debug)]
pub enum Fault {
    /// One that nobody asked for.
    Unknown(Vec<FieldError>),
    /// One is missing, or not what it has to be.
    Invalid(Vec<FieldError>),
}

#[derive(Debug)]
struct Parameter {
    place: ParameterPlace,
    name: Box<str>,
    /// Its place among the path's variables.
    variable: usize,
    required: bool,
    list: Option<ListStyle>,
    types: Box<[ValueKind]>,
    schema: Schema,
}

impl Parameters {
    /// Compiles them. `variables` are those of the route's path.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub fn build(spec: &ir::RequestValidation, variables: &[&str]) -> Result<Self, String> {
        let mut list = Vec::with_capacity(spec.parameters.len());
        for one in &spec.parameters {
            let variable = variables.iter().position(|name| *name == one.name);
            if one.place == ParameterPlace::Path && variable.is_none() {
                return Err(format!("the route's path has no `{{{}}}`", one.name));
            }
            if one.types.is_empty() {
                return Err(format!("the parameter `{}` has no type", one.name));
            }
            let schema = Schema::build(&one.schema, spec.formats)
                .map_err(|fault| format!("the schema of the parameter `{}`, `{}`: {}", one.name, fault.pointer, fault.message))?;
            list.push(Parameter {
                place: one.place,
                name: one.name.as_str().into(),
                variable: variable.unwrap_or(0),
                required: one.required,
                list: one.list,
                types: one.types.as_slice().into(),
                schema,
            });
        }
        let query = spec.query.as_ref().map(|names| names.iter().map(|name| name.as_str().into()).collect());
        Ok(Self { list: list.into(), query })
    }

    /// Header fields that are read, lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter(|one| one.place == ParameterPlace::Header).map(|one| &*one.name)
    }

    /// Whether a request has those that it has to have, each as it has to be, and no others.
    ///
    /// # Errors
    /// Which do not fit.
    pub fn check(&self, exchange: &Exchange) -> Result<(), Fault> {
        if let Some(known) = &self.query {
            let unknown = unknown(exchange.query(), known);
            if !unknown.is_empty() {
                return Err(Fault::Unknown(unknown));
            }
        }
        let errors: Vec<FieldError> =
            self.list.iter().filter_map(|one| one.check(exchange).err()).flatten().take(MAX_ERRORS).collect();
        if errors.is_empty() { Ok(()) } else { Err(Fault::Invalid(errors)) }
    }
}

/// Names of a query that are not known.
fn unknown(query: &[u8], known: &[Box<str>]) -> Vec<FieldError> {
    let pairs = query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    let strange = pairs.filter_map(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        match decode_query(name) {
            Some(name) if known.iter().any(|known| **known == *name) => None,
            Some(name) => Some(FieldError::of("query", &name, "is not known here")),
            None => Some(FieldError::of("query", "", "a name cannot be read")),
        }
    });
    strange.take(MAX_ERRORS).collect()
}

impl Parameter {
    fn check(&self, exchange: &Exchange) -> Result<(), Vec<FieldError>> {
        let error = |detail: &str| vec![FieldError::of(self.place.as_str(), &self.name, detail)];
        let texts = self.texts(exchange).map_err(error)?;
        let Some(first) = texts.first() else {
            return if self.required { Err(error("is missing")) } else { Ok(()) };
        };
        if texts.len() > MAX_ITEMS {
            return Err(error("has too many items"));
        }
        let judged = match self.list {
            None if texts.len() > 1 => return Err(error("stands more than once")),
            None => any(&self.types, first, |value| self.schema.check(value, first.len())),
            Some(_) => {
                let items = texts.iter().map(|text| read(&self.types, text)).collect();
                self.schema.check(&Value::Array(items), 0)
            }
        };
        judged.map_err(|errors| {
            errors.iter().map(|found| FieldError::of(self.place.as_str(), &self.name, &*found.detail)).collect()
        })
    }

    /// Its values, decoded, one for each item of a list.
    fn texts(&self, exchange: &Exchange) -> Result<Vec<String>, &'static str> {
        const UNREADABLE: &str = "cannot be read";
        let headers = &exchange.request.headers;
        let utf8 = |value: &[u8]| std::str::from_utf8(value).map(str::to_owned).map_err(|_| UNREADABLE);
        match self.place {
            ParameterPlace::Path => {
                let value = exchange.variables.get(self.variable).ok_or("is missing")?;
                Ok(self.cut(value.to_owned()))
            }
            ParameterPlace::Query if self.list == Some(ListStyle::Commas) => self.commas(exchange.query()).ok_or(UNREADABLE),
            ParameterPlace::Query => query_values(exchange.query(), &self.name).map(|value| value.ok_or(UNREADABLE)).collect(),
            ParameterPlace::Header => {
                let values: Result<Vec<String>, _> = headers.named(self.name.as_bytes()).map(utf8).collect();
                Ok(values?.into_iter().flat_map(|value| self.cut(value)).collect())
            }
            ParameterPlace::Cookie => {
                let pairs = headers.get_all(Known::Cookie).flat_map(|field| field.split(|byte| *byte == b';'));
                let named = pairs.filter_map(|pair| {
                    let pair = pair.trim_ascii();
                    let at = memchr::memchr(b'=', pair)?;
                    (pair.get(..at)? == self.name.as_bytes()).then(|| pair.get(at.saturating_add(1)..).unwrap_or_default())
                });
                let values: Result<Vec<String>, _> = named.map(utf8).collect();
                Ok(values?.into_iter().flat_map(|value| self.cut(value)).collect())
            }
        }
    }

    /// The items of a list that is written with commas.
    fn cut(&self, value: String) -> Vec<String> {
        match self.list {
            Some(ListStyle::Commas) => value.split(',').map(|item| item.trim_matches([' ', '\t']).to_owned()).collect(),
            _ => vec![value],
        }
    }

    /// Cut before it is decoded: an encoded comma is a part of an item.
    fn commas(&self, query: &[u8]) -> Option<Vec<String>> {
        let mut found = Vec::new();
        for pair in query.split(|byte| *byte == b'&') {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            if decode_query(parts.next().unwrap_or_default()).as_deref() != Some(&*self.name) {
                continue;
            }
            for item in parts.next().unwrap_or_default().split(|byte| *byte == b',') {
                found.push(decode_query(item)?);
            }
        }
        Some(found)
    }
}

/// The text as a value of the first of these types that it can be.
pub(super) fn read(types: &[ValueKind], text: &str) -> Value {
    types.iter().find_map(|kind| of(*kind, text)).unwrap_or_else(|| text.into())
}

/// Judges the text as each type that it can be; the first that passes is enough.
fn any<E>(types: &[ValueKind], text: &str, judge: impl Fn(&Value) -> Result<(), E>) -> Result<(), E> {
    let mut first = None;
    for value in types.iter().filter_map(|kind| of(*kind, text)) {
        match judge(&value) {
            Ok(()) => return Ok(()),
            Err(error) => first = first.or(Some(error)),
        }
    }
    // As it stands, so that the schema says what it would have to be.
    first.map_or_else(|| judge(&text.into()), Err)
}

fn of(kind: ValueKind, text: &str) -> Option<Value> {
    match kind {
        ValueKind::String => Some(text.into()),
        ValueKind::Boolean => text.parse().ok().map(Value::Bool),
        ValueKind::Null => text.is_empty().then_some(Value::Null),
        ValueKind::Integer | ValueKind::Number => {
            let begins = text.bytes().next().is_some_and(|byte| byte == b'-' || byte.is_ascii_digit());
            if !begins || text.ends_with([' ', '\t', '\n', '\r']) || json::scan(text.as_bytes(), &NUMBER).is_err() {
                return None;
            }
            let number: Number = serde_json::from_str(text).ok()?;
            (kind == ValueKind::Number || text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()))
                .then_some(Value::Number(number))
        }
    }
}
