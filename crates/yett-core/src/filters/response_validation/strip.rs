//! Takes out of a value what its schema does not know, and nothing else.

use serde_json::Value;

use crate::filters::request_validation::schema::Schema;

/// Rounds: unknown properties are taken out from the inside, a level at a time.
const ROUNDS: usize = 64;

/// Makes the value fit by removing unknown properties; false where that is not enough.
pub(super) fn strip(schema: &Schema, value: &mut Value) -> bool {
    for _ in 0..ROUNDS {
        let Some(unknown) = schema.unknown(value) else { return false };
        if unknown.is_empty() {
            return true;
        }
        // The innermost first: around something that does not fit yet, more may look unknown than is.
        let depth = |pointer: &str| pointer.bytes().filter(|byte| *byte == b'/').count();
        let deepest = unknown.iter().map(|(pointer, _)| depth(pointer)).max().unwrap_or(0);
        for (pointer, name) in unknown.iter().filter(|(pointer, _)| depth(pointer) == deepest) {
            if let Some(Value::Object(fields)) = value.pointer_mut(pointer) {
                fields.remove(name);
            }
        }
        if schema.fits(value) {
            return true;
        }
    }
    false
}
