//! Whether an identity provider is asked at all: after some failures in a row it is left alone for a while, then one
//! request finds out whether it is back.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which nothing is asked.
const FAILURES: u32 = 5;
/// How long nothing is asked at first; each probe that fails doubles it, up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The circuit of one provider, for the process.
#[derive(Debug, Default)]
pub struct Circuit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Until when nothing is asked, and how long that pause is.
    open: Option<(Instant, Duration)>,
    /// A request is finding out.
    probing: bool,
}

/// The permission for one request. Dropped without a verdict, it counts as a failure.
#[derive(Debug)]
pub struct Pass<'a> {
    circuit: &'a Circuit,
    /// It finds out whether the provider is back.
    probe: bool,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Succeeded,
    Failed,
    None,
}

impl Circuit {
    /// The permission for a request, or how long nothing is asked yet.
    ///
    /// # Errors
    /// The rest of the pause; a second while another request finds out.
    pub fn enter(&self) -> Result<Pass<'_>, Duration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, _)) = state.open {
            let rest = until.saturating_duration_since(Instant::now());
            if !rest.is_zero() {
                return Err(rest);
            }
            if state.probing {
                return Err(PAUSE_FIRST);
            }
            state.probing = true;
        }
        Ok(Pass { circuit: self, probe: state.probing, verdict: Verdict::Failed })
    }

    /// Whether nothing is asked now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open.is_some()
    }

    fn end(&self, verdict: Verdict, probe: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match verdict {
            Verdict::Succeeded => *state = State::default(),
            Verdict::Failed => state.fail(probe),
            // the next one finds out
            Verdict::None => state.probing &= !probe,
        }
    }
}

impl State {
    fn fail(&mut self, probe: bool) {
        self.failures = self.failures.saturating_add(1);
        let pause = match self.open {
            // a request that was under way when it opened says nothing new
            Some(_) if !probe => return,
            Some((_, pause)) => (pause * 2).min(PAUSE_MAX),
            None if self.failures >= FAILURES => PAUSE_FIRST,
            None => return,
        };
        self.probing = false;
        self.open = Some((Instant::now() + pause, pause));
    }
}

impl Pass<'_> {
    /// The provider answered as it should.
    pub fn succeeded(mut self) {
        self.verdict = Verdict::Succeeded;
    }

    /// The provider was not asked after all.
    pub fn withdraw(mut self) {
        self.verdict = Verdict::None;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.circuit.end(self.verdict, self.probe);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets the pause end.
    fn later(circuit: &Circuit) {
        circuit.0.lock().unwrap().open.as_mut().unwrap().0 = Instant::now();
    }

    fn pause(circuit: &Circuit) -> Duration {
        circuit.0.lock().unwrap().open.unwrap().1
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_probe_closes_it() {
        let circuit = Circuit::default();
        for _ in 0..FAILURES - 1 {
            drop(circuit.enter().unwrap());
        }
        circuit.enter().unwrap().succeeded();
        for _ in 0..FAILURES {
            assert!(!circuit.is_open());
            drop(circuit.enter().unwrap());
        }
        assert!(circuit.is_open() && circuit.enter().unwrap_err() <= PAUSE_FIRST);
        later(&circuit);
        let probe = circuit.enter().unwrap();
        assert!(circuit.enter().is_err(), "one request finds out, not all");
        drop(probe);
        assert_eq!(pause(&circuit), PAUSE_FIRST * 2);
        later(&circuit);
        circuit.enter().unwrap().withdraw();
        assert!(circuit.is_open());
        circuit.enter().unwrap().succeeded();
        assert!(!circuit.is_open() && circuit.enter().is_ok());
    }

    #[test]
    fn pauses_are_bounded_and_stragglers_change_nothing() {
        let circuit = Circuit::default();
        let stragglers: Vec<_> = (0..FAILURES + 3).map(|_| circuit.enter().unwrap()).collect();
        drop(stragglers);
        assert_eq!(pause(&circuit), PAUSE_FIRST);
        for _ in 0..10 {
            later(&circuit);
            drop(circuit.enter().unwrap());
        }
        assert_eq!(pause(&circuit), PAUSE_MAX);
    }
}
