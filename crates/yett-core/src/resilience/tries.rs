//! One request's tries: which endpoint may be asked, what its answer says of it, and whether to try again.

use super::Guard;
use super::breaker::{Change, Pass};
use crate::exchange::{Framing, Method};
use crate::ir::RetryOn;
use crate::reason::Reason;
use crate::server::clock::monotonic_ns;
use crate::server::deadline::after;
use crate::shared::Shared;
use crate::upstream::Endpoint;

/// Answers up to so many bytes are held until they are whole where the request could be tried again.
pub const HELD_ANSWER: u64 = 16 * 1024;
/// The first pause is at most so many milliseconds, and each further one at most twice as long.
const PAUSE_MS: u64 = 25;
/// Longest pause.
const MAX_PAUSE_MS: u64 = 250;

/// One request's tries.
#[derive(Debug)]
pub struct Tries<'a> {
    guard: &'a Guard,
    shared: &'a Shared,
    endpoint: Option<std::sync::Arc<str>>,
    pass: Option<Pass>,
    /// Retries left, and those made.
    left: u32,
    made: u32,
    /// Whether it may be sent again after it was sent: an idempotent method, and no body or one that is held.
    repeatable: bool,
    /// Ends the last pause, monotonic nanoseconds.
    resume: u64,
    /// The end of the whole request.
    total: u64,
    /// When the first of the open circuits may let something through.
    reopens: u64,
}

impl<'a> Tries<'a> {
    /// No try yet. `total` is when the request's time is over.
    #[must_use]
    pub fn new(guard: &'a Guard, shared: &'a Shared, total: u64) -> Self {
        let left = guard.retry.as_ref().map_or(0, |retry| retry.retries);
        Self { guard, shared, endpoint: None, pass: None, left, made: 0, repeatable: false, resume: 0, total, reopens: u64::MAX }
    }

    /// Says what is to be sent; returns the bytes of its body where they have to be held, to be sent again.
    pub fn request(&mut self, method: &Method, framing: Framing, now: u64) -> Option<u64> {
        let retry = self.guard.retry.as_ref()?;
        self.guard.state.budget.request(now);
        let sent_again = retry.on.iter().any(|on| *on != RetryOn::Connect);
        if !sent_again || !is_idempotent(method) {
            return None;
        }
        let held = match framing {
            Framing::Empty => None,
            Framing::Length(length) if length <= retry.body => Some(length),
            _ => return None,
        };
        self.repeatable = true;
        held
    }

    /// Whether the endpoint may be asked, for an `upload` whose body the client still sends or for another request. Every try is
    /// reported, or says nothing of the endpoint.
    pub fn enter(&mut self, endpoint: &Endpoint, now: u64, upload: bool) -> bool {
        self.pass = None;
        if !self.guard.breaker {
            return true;
        }
        let Some(breaker) = endpoint.breaker() else { return true };
        match breaker.admit(now) {
            Ok(pass) => {
                self.pass = Some(if upload { pass.uploading() } else { pass });
                self.endpoint = Some(endpoint.label.clone());
                true
            }
            Err(until) => {
                self.reopens = self.reopens.min(until);
                false
            }
        }
    }

    /// Whether an endpoint was passed over because its circuit is open.
    #[must_use]
    pub fn met_open_circuit(&self) -> bool {
        self.reopens != u64::MAX
    }

    /// Whole seconds, at least one, until an open circuit may let something through.
    #[must_use]
    pub fn reopens_s(&self, now: u64) -> u64 {
        self.reopens.saturating_sub(now).div_ceil(1_000_000_000).clamp(1, 3600)
    }

    /// The answer's head is there: says whether the answer is dropped, and the request tried again.
    pub fn rejects(&mut self, status: u16) -> bool {
        if !matches!(status, 502..=504) {
            if let Some(change) = self.pass.as_mut().filter(|pass| pass.is_probe()).and_then(Pass::proven) {
                self.tell(change);
            }
            return false;
        }
        self.failed();
        let on = match status {
            502 => RetryOn::BadGateway,
            503 => RetryOn::Unavailable,
            _ => RetryOn::GatewayTimeout,
        };
        self.repeatable && self.again(on)
    }

    /// Whether an answer with a body of so many bytes is held until it is whole.
    #[must_use]
    pub fn holds(&self, length: u64) -> bool {
        length <= HELD_ANSWER && self.left > 0 && self.repeatable && self.wants(RetryOn::Reset)
    }

    /// The service closed or reset the connection before anything was sent to the client.
    pub fn again_after_reset(&mut self) -> bool {
        self.repeatable && self.again(RetryOn::Reset)
    }

    /// No endpoint could be reached.
    pub fn again_after_connect(&mut self, reason: Reason) -> bool {
        matches!(reason, Reason::ServiceUnreachable | Reason::ServiceConnectTimeout) && self.again(RetryOn::Connect)
    }

    /// When the pause before the next try is over, monotonic nanoseconds.
    #[must_use]
    pub fn resume(&self) -> u64 {
        self.resume
    }

    fn wants(&self, on: RetryOn) -> bool {
        self.guard.retry.as_ref().is_some_and(|retry| retry.on.contains(&on))
    }

    fn again(&mut self, on: RetryOn) -> bool {
        let Some(retry) = self.guard.retry.as_ref().filter(|retry| self.left > 0 && retry.on.contains(&on)) else {
            return false;
        };
        let now = monotonic_ns();
        self.resume = after(now, pause_ms(self.made));
        if self.resume >= self.total {
            return false;
        }
        if !self.guard.state.budget.take(now, retry.budget) {
            self.guard.state.refused.increment();
            return false;
        }
        self.guard.state.retries.increment();
        self.left -= 1;
        self.made += 1;
        true
    }

    /// The endpoint did what it should.
    pub fn succeeded(&mut self) {
        if let Some(change) = self.pass.take().and_then(Pass::succeeded) {
            self.tell(change);
        }
    }

    /// The endpoint failed.
    pub fn failed(&mut self) {
        if let Some(change) = self.pass.take().and_then(|pass| pass.failed(monotonic_ns())) {
            self.tell(change);
        }
    }

    fn tell(&self, change: Change) {
        let (level, event) = match change {
            Change::Opened => ("warning", "circuit_opened"),
            // Every few seconds for as long as an endpoint is down; it is counted.
            Change::Reopened => return,
            Change::Closed => ("info", "circuit_closed"),
        };
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        self.shared.events.push(level, event, &[("service", &self.guard.state.service), ("endpoint", endpoint)]);
    }
}

/// Whether a failure is the endpoint's. One that a client can bring about alone is not, or any client could open the
/// circuit for all others.
#[must_use]
pub fn is_endpoint_failure(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ServiceUnreachable
            | Reason::ServiceConnectTimeout
            | Reason::ServiceTlsFailed
            | Reason::ServiceReset
            | Reason::ServiceResponseInvalid
            | Reason::ServiceTimeout
    )
}

/// Methods whose requests may be sent twice (RFC 9110 section 9.2.2).
#[must_use]
pub fn is_idempotent(method: &Method) -> bool {
    matches!(method, Method::Get | Method::Head | Method::Options | Method::Trace | Method::Put | Method::Delete)
}

/// A random pause, so that requests that failed together do not come back together.
fn pause_ms(made: u32) -> u64 {
    let most = PAUSE_MS.saturating_mul(1 << made.min(8)).min(MAX_PAUSE_MS);
    let mut random = [0; 2];
    match aws_lc_rs::rand::fill(&mut random) {
        Ok(()) => u64::from(u16::from_be_bytes(random)) * most / u64::from(u16::MAX),
        Err(_) => most,
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PAUSE_MS, PAUSE_MS, pause_ms};

    #[test]
    fn pauses_are_spread_and_bounded() {
        let first: std::collections::HashSet<u64> = (0..200).map(|_| pause_ms(0)).collect();
        assert!(first.len() > 5 && first.iter().all(|ms| *ms <= PAUSE_MS), "{first:?}");
        assert!((0..200).all(|made| pause_ms(made) <= MAX_PAUSE_MS));
    }
}
