//! The clocks, read once per event. [owner: datapath]
use crate::exchange::Now;
/// Reads both clocks.
#[must_use]
pub fn now() -> Now { todo!() }
