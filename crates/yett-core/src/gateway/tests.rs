//! Tests from inside.
