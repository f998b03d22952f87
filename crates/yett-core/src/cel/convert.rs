//! Functions of one value: sizes and conversions between types.

use super::node::Function;
use super::time;
use super::value::{Bytes, Failure, Text, Value};

/// A double that is a whole number, as such.
#[expect(clippy::cast_possible_truncation, reason = "the double is whole and within 2^63 here")]
pub(super) fn whole(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Double(double) if double.trunc() == *double && double.abs() < 9.2e18 => Some(*double as i64),
        _ => None,
    }
}

/// The result of a function.
///
/// # Errors
/// Types for which it does not exist, and values that cannot be converted.
pub(super) fn call(function: Function, value: Value<'_>) -> Result<Value<'_>, Failure> {
    match function {
        Function::Size => size(&value),
        Function::Int => int(&value),
        Function::Uint => uint(&value),
        Function::Double => double(&value),
        Function::Text => text(value),
        Function::Bytes => match value {
            Value::Bytes(_) => Ok(value),
            Value::Text(Text::Borrowed(text)) => Ok(Value::Bytes(Bytes::Borrowed(text.as_bytes()))),
            Value::Text(Text::Shared(text)) => Ok(Value::Bytes(Bytes::Shared(text.as_bytes().into()))),
            Value::Text(opaque) => Ok(Value::Bytes(Bytes::Shared(opaque.as_str().as_bytes().into()))),
            _ => Err(Failure::NoOverload),
        },
        Function::Bool => match &value {
            Value::Bool(_) => Ok(value),
            Value::Text(text) => match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
                _ => Err(Failure::Conversion),
            },
            _ => Err(Failure::NoOverload),
        },
        Function::Time => match &value {
            Value::Time(_) => Ok(value),
            Value::Text(text) => time::parse_time(text.as_str()).map(Value::Time),
            Value::Int(seconds) => time::from_seconds(*seconds).map(Value::Time),
            _ => Err(Failure::NoOverload),
        },
        Function::Span => match &value {
            Value::Span(_) => Ok(value),
            Value::Text(text) => time::parse_span(text.as_str()).map(Value::Span),
            _ => Err(Failure::NoOverload),
        },
        Function::Dyn => Ok(value),
        Function::Type => Ok(Value::Type(value.type_name())),
    }
}

fn size<'a>(value: &Value<'_>) -> Result<Value<'a>, Failure> {
    let size = match value {
        Value::Text(text) => text.as_str().chars().count(),
        Value::Bytes(bytes) => bytes.as_slice().len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.entries().len(),
        _ => return Err(Failure::NoOverload),
    };
    i64::try_from(size).map(Value::Int).map_err(|_| Failure::Overflow)
}

#[expect(clippy::cast_possible_truncation, reason = "within the range of the type here")]
fn int<'a>(value: &Value<'_>) -> Result<Value<'a>, Failure> {
    Ok(Value::Int(match value {
        Value::Int(value) => *value,
        Value::Uint(value) => i64::try_from(*value).map_err(|_| Failure::Overflow)?,
        // The bounds themselves are not exact as doubles.
        Value::Double(value) if *value > -9_223_372_036_854_775_808.0 && *value < 9_223_372_036_854_775_808.0 => {
            value.trunc() as i64
        }
        Value::Double(_) => return Err(Failure::Overflow),
        Value::Text(text) => text.as_str().parse().map_err(|_| Failure::Conversion)?,
        Value::Time(time) => time::to_seconds(*time),
        _ => return Err(Failure::NoOverload),
    }))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range of the type here")]
fn uint<'a>(value: &Value<'_>) -> Result<Value<'a>, Failure> {
    Ok(Value::Uint(match value {
        Value::Uint(value) => *value,
        Value::Int(value) => u64::try_from(*value).map_err(|_| Failure::Overflow)?,
        Value::Double(value) if *value >= 0.0 && *value < 18_446_744_073_709_551_616.0 => value.trunc() as u64,
        Value::Double(_) => return Err(Failure::Overflow),
        Value::Text(text) => text.as_str().parse().map_err(|_| Failure::Conversion)?,
        _ => return Err(Failure::NoOverload),
    }))
}

#[expect(clippy::cast_precision_loss, reason = "that is what the conversion is")]
fn double<'a>(value: &Value<'_>) -> Result<Value<'a>, Failure> {
    Ok(Value::Double(match value {
        Value::Double(value) => *value,
        Value::Int(value) => *value as f64,
        Value::Uint(value) => *value as f64,
        Value::Text(text) => text.as_str().parse().map_err(|_| Failure::Conversion)?,
        _ => return Err(Failure::NoOverload),
    }))
}

fn text(value: Value<'_>) -> Result<Value<'_>, Failure> {
    let made = match &value {
        Value::Text(_) => return Ok(value),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => shown_double(*value),
        Value::Bytes(bytes) => std::str::from_utf8(bytes.as_slice()).map_err(|_| Failure::Conversion)?.to_owned(),
        Value::Time(time) => time::show_time(*time)?,
        Value::Span(span) => time::show_span(*span),
        _ => return Err(Failure::NoOverload),
    };
    Ok(Value::made(&made))
}

/// As Go shows it (`%g`): an exponent below 1e-4 and from 1e21 on.
fn shown_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if value != 0.0 && !(1e-4..1e21).contains(&value.abs()) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    value.to_string()
}
