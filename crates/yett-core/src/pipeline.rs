//! The phases of a request, in order. A table of contents. [owner: core]

use crate::exchange::{Exchange, Now, Refusal, ResponseHead, Step};
use crate::providers::verdict::VerdictCache;
use crate::snapshot::Snapshot;

/// What one worker keeps between requests.
#[derive(Debug)]
pub struct PipelineState {
    /// This worker's share of verified credentials.
    pub verdicts: VerdictCache,
    // core adds: buffered randomness for request ids and splits, …
}

impl PipelineState {
    /// For one worker, with its share of the verdict cache.
    #[must_use]
    pub fn new(verdict_entries: usize) -> Self { let _ = verdict_entries; todo!() }
}

/// Runs the phases from `exchange.phase` on. `Continue` means: forward it.
pub fn run(snapshot: &Snapshot, state: &mut PipelineState, exchange: &mut Exchange, now: Now) -> Step {
    let _ = (snapshot, state, exchange, now);
    todo!()
}

/// The respond phase, for answers of services: hygiene, edits, RateLimit fields, request id.
pub fn respond(snapshot: &Snapshot, exchange: &Exchange, response: &mut ResponseHead) -> Result<(), Refusal> {
    let _ = (snapshot, exchange, response);
    todo!()
}

/// The answer to a refusal at any phase (also before a route is known), with challenges, RateLimit fields and request id.
#[must_use]
pub fn refuse(snapshot: &Snapshot, exchange: Option<&Exchange>, refusal: &Refusal) -> crate::exchange::Answer {
    let _ = (snapshot, exchange, refusal);
    todo!()
}
