//! Refusals as HTTP: problem documents (RFC 9457), challenges, Retry-After, Allow. [owner: core]

use crate::exchange::{Answer, Refusal};

/// What an answer to a refusal needs to know of the request; empty where no head was read.
#[derive(Debug, Default)]
pub struct ProblemContext<'a> {
    /// The `Accept` of the request: HTML only where it prefers it.
    pub accept: Option<&'a [u8]>,
    /// The request id, empty before there is one.
    pub request_id: &'a [u8],
    /// WWW-Authenticate challenges are built for these providers' kinds (`bearer`, `api_key`), empty otherwise.
    pub challenges: &'a [crate::snapshot::Challenge],
}

/// The one place where a refusal becomes HTTP.
#[must_use]
pub fn render(refusal: &Refusal, context: &ProblemContext<'_>) -> Answer { let _ = (refusal, context); todo!() }
