//! JSON Schema 2020-12: compiled at load, without the network and with a linear regex engine; errors without values.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::json::{Json, SerdeJson};
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::body::{FieldError, MAX_ERRORS, step};

/// Bytes that one compiled pattern may take.
const PATTERN_BYTES: usize = 1 << 20;
/// Bytes of a document up to which all of its faults are looked for, and not only the first.
const THOROUGH_BYTES: usize = 16 * 1024;

/// Unknown properties of one document that are named.
const MAX_UNKNOWN: usize = 10_000;

/// A compiled schema, of values in a representation: [`Documents`](super::json::document::Documents) that are read where they stand,
/// or those of `serde_json`.
pub struct Schema<F: Json = SerdeJson>(Validator<F>);

impl<F: Json> std::fmt::Debug for Schema<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Schema").field(&self.0).finish()
    }
}

/// Why a schema does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFault {
    /// Where in the schema (RFC 6901).
    pub pointer: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl<F: Json> Schema<F> {
    /// Compiles it. `formats` says whether `format` is checked, or a remark only.
    ///
    /// # Errors
    /// It is no schema, or refers to another document, or has a pattern that cannot be matched in linear time.
    pub fn build(schema: &Value, formats: bool) -> Result<Self, SchemaFault> {
        let options = jsonschema::options_for::<F>()
            .with_draft(Draft::Draft202012)
            .offline()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES))
            .should_validate_formats(formats);
        options.build(schema).map(Self).map_err(|error| fault(&error))
    }

    /// Whether a value is what the schema asks for.
    #[must_use]
    pub fn fits(&self, value: F::Node<'_>) -> bool {
        self.0.is_valid(value)
    }

    /// Properties that it does not know, or that it forbids by name: where their object stands, and their names. `None` where
    /// something else is wrong, too, or so many that nobody would look at all of them.
    #[must_use]
    pub fn unknown<'a>(&'a self, value: F::Node<'a>) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        for error in self.0.iter_errors(value) {
            match error.kind() {
                Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                    found.extend(unexpected.iter().map(|name| (error.instance_path().to_string(), name.clone())));
                }
                Kind::FalseSchema => {
                    let (at, schema) = (error.instance_path().to_string(), error.schema_path().to_string());
                    let (object, name) = at.rsplit_once('/')?;
                    schema.strip_suffix(name)?.strip_suffix("/properties/")?;
                    found.push((object.to_owned(), name.replace("~1", "/").replace("~0", "~")));
                }
                _ => return None,
            }
            if found.len() > MAX_UNKNOWN {
                return None;
            }
        }
        Some(found)
    }

    /// Whether a value is what the schema asks for; `bytes` is how long it was as text.
    ///
    /// # Errors
    /// What is wrong, at most [`MAX_ERRORS`] parts. Of a long document the first one only: looking for all of them
    /// would cost more than the document.
    pub fn check<'a>(&'a self, value: F::Node<'a>, bytes: usize) -> Result<(), Box<[FieldError]>> {
        if self.0.is_valid(value.clone()) {
            return Ok(());
        }
        let errors: Vec<FieldError> = if bytes <= THOROUGH_BYTES {
            self.0.iter_errors(value).take(MAX_ERRORS).map(|error| part(&error)).collect()
        } else {
            self.0.validate(value).err().iter().map(part).collect()
        };
        Err(errors.into())
    }
}

/// Whether a schema, given as JSON text, compiles.
///
/// # Errors
/// See [`Schema::build`].
pub fn check(text: &[u8], formats: bool) -> Result<(), SchemaFault> {
    let schema: Value = serde_json::from_slice(text)
        .map_err(|_| SchemaFault { pointer: String::new(), message: "this is no JSON".to_owned() })?;
    Schema::<SerdeJson>::build(&schema, formats).map(|_| ())
}

fn fault(error: &ValidationError<'_>) -> SchemaFault {
    let pointer = error.instance_path().to_string();
    let message = match error.kind() {
        Kind::Format { format } if format == "regex" => {
            "the pattern cannot be matched in linear time; write it without look-around and back references".to_owned()
        }
        Kind::Referencing(error) => format!("the reference leads nowhere in this document ({error}); write what it means here"),
        _ if pointer.ends_with("/type") => {
            "there is no such type; write array, boolean, integer, null, number, object or string".to_owned()
        }
        kind => format!("this is no JSON Schema: {}", detail(kind)),
    };
    SchemaFault { pointer, message }
}

fn part(error: &ValidationError<'_>) -> FieldError {
    let mut pointer = error.instance_path().to_string();
    let name = match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unexpected.first().map(String::as_str)
        }
        Kind::Required { property } => property.as_str(),
        _ => None,
    };
    if let Some(name) = name {
        pointer.push_str(&step(name));
    }
    FieldError::at(&pointer, detail(error.kind()))
}

/// What the schema asks for, in words; never what the value is.
fn detail(kind: &Kind) -> String {
    match kind {
        Kind::Type { kind: TypeKind::Single(one) } => format!("has to be of type {one}"),
        Kind::Type { kind: TypeKind::Multiple(several) } => {
            let names: Vec<&str> = several.iter().map(|one| one.as_str()).collect();
            format!("has to be of one of the types {}", names.join(", "))
        }
        Kind::Required { .. } => "is missing".to_owned(),
        Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. } => "is not known here".to_owned(),
        Kind::Maximum { limit } => format!("has to be at most {limit}"),
        Kind::Minimum { limit } => format!("has to be at least {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("has to be less than {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("has to be more than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("has to be a multiple of {multiple_of}"),
        Kind::MaxLength { limit } => format!("has to have at most {limit} characters"),
        Kind::MinLength { limit } => format!("has to have at least {limit} characters"),
        Kind::MaxItems { limit } => format!("has to have at most {limit} items"),
        Kind::MinItems { limit } => format!("has to have at least {limit} items"),
        Kind::AdditionalItems { limit } => format!("has to have at most {limit} items"),
        Kind::UnevaluatedItems { .. } => "has more items than are known here".to_owned(),
        Kind::MaxProperties { limit } => format!("has to have at most {limit} properties"),
        Kind::MinProperties { limit } => format!("has to have at least {limit} properties"),
        Kind::Pattern { .. } => "does not have the form that is asked for".to_owned(),
        Kind::Format { format } => format!("has to be in the format {format}"),
        Kind::Enum { .. } => "is none of the values that are accepted".to_owned(),
        Kind::Constant { .. } => "is not the value that is accepted".to_owned(),
        Kind::UniqueItems => "has to have no item twice".to_owned(),
        Kind::Contains => "lacks an item that it has to contain".to_owned(),
        Kind::PropertyNames { .. } => "has a property with a name that is not accepted".to_owned(),
        Kind::AnyOf { .. } => "is none of what is accepted here".to_owned(),
        Kind::OneOfNotValid { .. } => "is none of what is accepted here".to_owned(),
        Kind::OneOfMultipleValid { .. } => "is more than one of what is accepted here".to_owned(),
        Kind::Not { .. } | Kind::FalseSchema => "is not accepted here".to_owned(),
        _ => "is not what the schema asks for".to_owned(),
    }
}
