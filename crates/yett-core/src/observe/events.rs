//! Things that Python logs: a bounded queue of JSON lines. [owner: lifecycle]
/// A bounded queue; the oldest are dropped and counted when Python does not read.
#[derive(Debug, Default)]
pub struct Events {}
impl Events {
    /// Adds one. `level` is `info`, `warning` or `error`; fields never hold a secret.
    pub fn push(&self, level: &'static str, event: &'static str, fields: &[(&'static str, &str)]) { let _ = (level, event, fields); todo!() }
}
