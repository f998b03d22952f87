//! What it costs to look at a JSON body of 1 KiB: scanned, parsed, held against a schema, and searched for leaks. With
//! `cargo run --release --example validation_cost`; the figures mean nothing without optimisation.
#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use serde_json::json;
use yett_core::filters::response_validation::{Look, ResponseValidation};
use yett_core::ir;

const ROUNDS: u32 = 20_000;

fn validation(schema: bool, leaks: &[&str]) -> Result<ResponseValidation, Box<dyn Error>> {
    let line = json!({
        "type": "object", "required": ["sku", "quantity", "price"], "additionalProperties": false,
        "properties": {
            "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
            "quantity": {"type": "integer", "minimum": 1, "maximum": 1000},
            "price": {"type": "number", "exclusiveMinimum": 0},
            "note": {"type": "string", "maxLength": 80}
        }
    });
    let order = json!({
        "type": "object", "required": ["id", "lines"], "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "at": {"type": "string", "format": "date-time"},
            "status": {"enum": ["new", "paid", "sent"]},
            "lines": {"type": "array", "minItems": 1, "maxItems": 100, "items": {"$ref": "#/$defs/line"}}
        },
        "$defs": {"line": line}
    });
    let body = if schema {
        json!({"content_type": "application/json", "schema": order})
    } else {
        json!({"content_type": "application/json"})
    };
    let spec: ir::ResponseValidation = serde_json::from_value(json!({
        "mode": "enforce", "answers": [{"status": "200", "bodies": [body]}], "size": 1_048_576, "leaks": leaks,
        "json": {"depth": 32, "keys": 10_000, "items": 100_000, "string": 65_536, "number": 40}
    }))?;
    Ok(ResponseValidation::build(&spec)?)
}

fn order() -> Result<Vec<u8>, serde_json::Error> {
    let line = |number: u32| json!({"sku": format!("ABC-{number:04}"), "quantity": number + 1, "price": 19.5, "note": "wrapped as a present"});
    let lines: Vec<_> = (0..11).map(line).collect();
    serde_json::to_vec(
        &json!({"id": "0198a5c2-4b17-7111-8111-0123456789ab", "at": "2026-11-29T08:00:00Z", "status": "paid", "lines": lines}),
    )
}

fn main() -> Result<(), Box<dyn Error>> {
    let body = order()?;
    let all = ["cards", "private_keys", "stack_traces", "tokens"];
    for (what, schema, leaks) in
        [("JSON", false, &[][..]), ("JSON and schema", true, &[]), ("JSON and leaks", false, &all), ("all of it", true, &all)]
    {
        let validation = validation(schema, leaks)?;
        let look = Look::Body { json: true, schema: schema.then_some((0, 0)) };
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            black_box(validation.body(look, black_box(&body))).map_err(|reason| reason.code())?;
        }
        println!("{what}: {:.2} µs for {} bytes", begun.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS), body.len());
    }
    Ok(())
}
