//! What conditions may read of a body: the fields that its schema names, typed by it; read from the validated value only.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::condition::Source;
use crate::cel::{Declared, Failure, Field, List, Map, Text, Type, Value};

/// Objects inside of each other that conditions can read.
const MAX_DEPTH: usize = 8;
/// References that are followed from one schema to the next.
const MAX_REFERENCES: usize = 32;

/// A field of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyField {
    /// Names from the outermost object on.
    path: Box<[Box<str>]>,
    /// The same as a JSON pointer (RFC 6901).
    pointer: Box<str>,
    kind: Type,
}

/// What a schema declares of a body.
pub(super) fn declared(schema: &Json) -> Option<Declared<Source>> {
    Reader { root: schema }.declare(schema, &mut Vec::new())
}

struct Reader<'s> {
    root: &'s Json,
}

impl<'s> Reader<'s> {
    /// The schema itself, after references inside of the document.
    fn resolved(&self, mut schema: &'s Json) -> Option<&'s Json> {
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = schema.get("$ref").and_then(Json::as_str) else { return Some(schema) };
            let pointer = reference.strip_prefix('#')?.replace("%25", "%");
            schema = self.root.pointer(&pointer)?;
        }
        None
    }

    /// Every schema that has to hold of a value.
    fn all(&self, schema: &'s Json, found: &mut Vec<&'s Json>) {
        let Some(schema) = self.resolved(schema) else { return };
        if found.len() < MAX_REFERENCES {
            found.push(schema);
            for part in schema.get("allOf").and_then(Json::as_array).into_iter().flatten() {
                self.all(part, found);
            }
        }
    }

    fn declare(&self, schema: &'s Json, path: &mut Vec<Box<str>>) -> Option<Declared<Source>> {
        let mut schemas = Vec::new();
        self.all(schema, &mut schemas);
        let kind = self.kind(&schemas);
        if kind.is_some() || path.len() >= MAX_DEPTH {
            return kind.map(|kind| {
                let source = Source::Body(BodyField::new(path, kind.clone()));
                Declared::Value(Field::new(kind, source))
            });
        }
        let named = schemas.iter().filter_map(|schema| schema.get("properties").and_then(Json::as_object));
        let mut fields = BTreeMap::new();
        let mut any = false;
        for (name, part) in named.flatten() {
            any = true;
            path.push(name.as_str().into());
            if let Some(declared) = self.declare(part, path) {
                fields.insert(name.clone(), declared);
            }
            path.pop();
        }
        any.then_some(Declared::Record(fields))
    }

    /// The type of a value that is no object with names of its own.
    fn kind(&self, schemas: &[&'s Json]) -> Option<Type> {
        let scalar = |name: &str| match name {
            "string" => Some(Type::Text),
            "integer" => Some(Type::Int),
            "number" => Some(Type::Double),
            "boolean" => Some(Type::Bool),
            _ => None,
        };
        match self.named(schemas)? {
            "array" => {
                let items = schemas.iter().find_map(|schema| schema.get("items"));
                Some(Type::List(Box::new(items.map_or(Type::Dyn, |items| self.item(items)))))
            }
            "object" if schemas.iter().all(|schema| schema.get("properties").is_none()) => {
                let values = schemas.iter().find_map(|schema| schema.get("additionalProperties"));
                Some(Type::Map(Box::new(Type::Text), Box::new(values.map_or(Type::Dyn, |values| self.item(values)))))
            }
            name => scalar(name),
        }
    }

    /// The type of what is inside of a list or map; objects are maps there.
    fn item(&self, schema: &'s Json) -> Type {
        let mut schemas = Vec::new();
        self.all(schema, &mut schemas);
        match self.named(&schemas) {
            Some("string") => Type::Text,
            Some("integer") => Type::Int,
            Some("number") => Type::Double,
            Some("boolean") => Type::Bool,
            Some("object") => Type::Map(Box::new(Type::Text), Box::new(Type::Dyn)),
            Some("array") => Type::List(Box::new(Type::Dyn)),
            _ => Type::Dyn,
        }
    }

    /// The one type that a value has where it is not null.
    fn named(&self, schemas: &[&'s Json]) -> Option<&'s str> {
        schemas.iter().find_map(|schema| match schema.get("type")? {
            Json::String(name) => Some(name.as_str()),
            Json::Array(names) => {
                let mut names = names.iter().filter_map(Json::as_str).filter(|name| *name != "null");
                names.next().filter(|_| names.next().is_none())
            }
            _ => None,
        })
    }
}

impl BodyField {
    fn new(path: &[Box<str>], kind: Type) -> Self {
        let pointer: String = path.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect();
        Self { path: path.into(), pointer: pointer.into(), kind }
    }

    /// Where it stands, as a JSON pointer (RFC 6901).
    #[must_use]
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What stands there.
    #[must_use]
    pub fn find<'a>(&self, body: &'a Json) -> Option<&'a Json> {
        self.path.iter().try_fold(body, |here, name| here.as_object()?.get(&**name))
    }

    /// The text that a schema declares under names with dots between them.
    pub(super) fn text(schema: Option<&Json>, path: &str) -> Option<Self> {
        let mut here = declared(schema?)?;
        for name in path.split('.') {
            here = match here {
                Declared::Record(mut fields) => fields.remove(name)?,
                _ => return None,
            };
        }
        match here {
            Declared::Value(Field { source: Source::Body(field), .. }) if field.kind == Type::Text => Some(field),
            _ => None,
        }
    }

    /// Its value; nothing where it is absent or null.
    pub(super) fn value<'a>(&self, body: &'a Json) -> Result<Option<Value<'a>>, Failure> {
        match self.find(body) {
            None | Some(Json::Null) => Ok(None),
            Some(value) => read(value, &self.kind).map(Some),
        }
    }
}

/// The value as this type; the schema has made sure that it is.
fn read<'a>(value: &'a Json, kind: &Type) -> Result<Value<'a>, Failure> {
    Ok(match (value, kind) {
        (Json::String(text), Type::Text | Type::Dyn) => Value::Text(Text::Borrowed(text)),
        (Json::Bool(truth), Type::Bool | Type::Dyn) => Value::Bool(*truth),
        (Json::Number(number), Type::Double) => Value::Double(number.as_f64().ok_or(Failure::Overflow)?),
        (Json::Number(number), Type::Int) => Value::Int(whole(number).ok_or(Failure::Overflow)?),
        (Json::Number(number), Type::Dyn) => match whole(number) {
            Some(whole) => Value::Int(whole),
            None => Value::Double(number.as_f64().ok_or(Failure::Overflow)?),
        },
        (Json::Null, _) => Value::Null,
        (Json::Array(items), Type::List(_) | Type::Dyn) => {
            let inner = if let Type::List(inner) = kind { inner } else { &Type::Dyn };
            let items: Result<Arc<[Value<'a>]>, Failure> = items.iter().map(|item| read(item, inner)).collect();
            Value::List(List::Shared(items?))
        }
        (Json::Object(fields), Type::Map(..) | Type::Dyn) => {
            let inner = if let Type::Map(_, inner) = kind { inner } else { &Type::Dyn };
            let entry = |(name, value): (&'a String, &'a Json)| Ok((Value::Text(Text::Borrowed(name)), read(value, inner)?));
            let entries: Result<Arc<[(Value<'a>, Value<'a>)]>, Failure> = fields.iter().map(entry).collect();
            Value::Map(Map::Shared(entries?))
        }
        _ => return Err(Failure::NoOverload),
    })
}

/// An integer, also where it is written as `1.0` (JSON Schema 2020-12, validation, section 6.1.1).
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let double = number.as_f64().filter(|double| double.fract() == 0.0 && double.abs() < 9.0e15)?;
        format!("{double:.0}").parse().ok()
    })
}
