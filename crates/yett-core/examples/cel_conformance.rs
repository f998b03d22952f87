//! Evaluates expressions of google/cel-spec's conformance tests: JSON lines in, JSON lines out.
//!
//! In: `{"expr": …, "bindings": {name: value}, "check": bool}`. Out: `{"value": …}` or `{"error": …}`. A value is an object with
//! one key, its type: `{"int": "1"}`, `{"list": […]}`, `{"map": [[key, value], …]}`.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use serde_json::{Value as Json, json};
use yett_core::cel::{Activation, Bounds, Bytes, Declared, Environment, Failure, Field, List, Map, Program, Text, Type, Value};

struct Bindings(BTreeMap<String, Value<'static>>);

impl Activation<String> for Bindings {
    fn value<'a>(&'a self, source: &'a String) -> Result<Option<Value<'a>>, Failure> {
        Ok(self.0.get(source).cloned())
    }
}

fn read(value: &Json) -> Result<Value<'static>, String> {
    let (kind, inner) = value.as_object().and_then(|object| object.iter().next()).ok_or("a value is an object")?;
    let text = || inner.as_str().ok_or("a text is needed");
    let number = |error: std::num::ParseIntError| error.to_string();
    Ok(match kind.as_str() {
        "null" => Value::Null,
        "bool" => Value::Bool(inner.as_bool().ok_or("no bool")?),
        "int" => Value::Int(text()?.parse().map_err(number)?),
        "uint" => Value::Uint(text()?.parse().map_err(number)?),
        "double" => Value::Double(text()?.parse().map_err(|error: std::num::ParseFloatError| error.to_string())?),
        "string" => Value::Text(Text::Shared(text()?.into())),
        "bytes" => {
            let bytes = inner.as_array().ok_or("no bytes")?.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok());
            Value::Bytes(Bytes::Shared(bytes.collect()))
        }
        "timestamp" => Value::Time(text()?.parse().map_err(number)?),
        "duration" => Value::Span(text()?.parse().map_err(number)?),
        "list" => Value::List(List::Shared(inner.as_array().ok_or("no list")?.iter().map(read).collect::<Result<_, _>>()?)),
        "map" => {
            let entry =
                |pair: &Json| Ok::<_, String>((read(pair.get(0).ok_or("no key")?)?, read(pair.get(1).ok_or("no value")?)?));
            Value::Map(Map::Shared(inner.as_array().ok_or("no map")?.iter().map(entry).collect::<Result<_, _>>()?))
        }
        other => return Err(format!("no values of type {other}")),
    })
}

fn write(value: &Value<'_>) -> Json {
    match value {
        Value::Null => json!({"null": null}),
        Value::Bool(value) => json!({"bool": value}),
        Value::Int(value) => json!({"int": value.to_string()}),
        Value::Uint(value) => json!({"uint": value.to_string()}),
        Value::Double(value) => json!({"double": value.to_string()}),
        Value::Text(text) => json!({"string": text.as_str()}),
        Value::Bytes(bytes) => json!({"bytes": bytes.as_slice()}),
        Value::List(list) => json!({"list": list.iter().map(|item| write(&item)).collect::<Vec<_>>()}),
        Value::Map(map) => {
            json!({"map": map.entries().iter().map(|(key, value)| json!([write(key), write(value)])).collect::<Vec<_>>()})
        }
        Value::Time(time) => json!({"timestamp": time.to_string()}),
        Value::Span(span) => json!({"duration": span.to_string()}),
        Value::Type(name) => json!({"type": name}),
    }
}

fn evaluate(line: &str) -> Result<Json, String> {
    let case: Json = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let source = case.get("expr").and_then(|expression| expression.as_str()).ok_or("no expression")?;
    let mut bindings = BTreeMap::new();
    for (name, value) in case.get("bindings").and_then(|bindings| bindings.as_object()).into_iter().flatten() {
        bindings.insert(name.clone(), read(value)?);
    }
    let declared = |name: &String| (name.clone(), Declared::Value(Field::new(Type::Dyn, name.clone())));
    let environment =
        Environment { roots: bindings.keys().map(declared).collect(), refused: BTreeMap::new(), vouched: None, strict: false };
    let bounds = Bounds { bytes: 1 << 20, nodes: 1 << 16, depth: 64 };
    let program = match Program::compile(source, &environment, bounds) {
        Ok(program) => program,
        Err(fault) => return Ok(json!({"error": fault.message, "at": fault.at})),
    };
    let bindings = Bindings(bindings);
    Ok(match program.evaluate(&bindings) {
        Ok(value) => json!({"value": write(&value)}),
        Err(failure) => json!({"error": failure.as_str()}),
    })
}

fn main() {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let answer = evaluate(&line).unwrap_or_else(|error| json!({"broken": error}));
        if writeln!(out, "{answer}").is_err() {
            return;
        }
    }
}
