//! When a suspicious attempt is asked for work, and what becomes of it then.

use super::LoginGuard;
use super::altcha::Payload;
use super::attempt::only_asks;
use super::book::Key;
use super::challenge::{RANDOM, is_person};
use super::proofs::May;
use super::refusals::lasting;
use super::score::{BAN, Counted, Score};
use crate::exchange::{Exchange, Method, Now, Refusal};
use crate::reason::Reason;

/// What a score means for an attempt on a route with a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// None is asked for, or none would help.
    None,
    /// It was done: the attempt neither waits nor is refused.
    Done,
    /// A browser has to do it first.
    Wanted,
    /// It would have to be done, and whoever asks is no browser.
    Impossible,
}

impl LoginGuard {
    /// Whether an attempt with this score has to have done work.
    pub(super) fn work(&self, exchange: &Exchange, score: &Score, now: Now) -> Work {
        let Some(challenge) = self.challenge.as_ref().filter(|one| one.is_due(score.total()) && score.is_provable()) else {
            return Work::None;
        };
        // What is tried out makes no pages, so there is nothing to be proved.
        if self.shadow.is_none() && challenge.is_met(exchange, true, &self.logins.proofs, now) {
            return Work::Done;
        }
        let others = if challenge.refuses_others { Work::Impossible } else { Work::None };
        // Without HTTPS a browser neither calculates nor keeps the cookie.
        if !exchange.https || !is_person(exchange) {
            return others;
        }
        match self.may_make(exchange, now) {
            May::Make => Work::Wanted,
            May::NotHere => others,
            // Others used up what there is: as if there were no challenge.
            May::NotNow => Work::None,
        }
    }

    fn may_make(&self, exchange: &Exchange, now: Now) -> May {
        match self.shadow {
            Some(_) => May::Make,
            None => self.logins.proofs.may_make(self.hash.address(exchange.client), now.unix_ms),
        }
    }

    /// The score for which a browser that asks for the page has to do work before somebody types a password there: by what its
    /// address did, and by how often the route fails; not from an address from which somebody has got in.
    #[must_use]
    pub fn approach(&self, exchange: &Exchange, now: Now) -> Option<u32> {
        let challenge = self.challenge.as_ref().filter(|_| self.shadow.is_none() && exchange.https)?;
        if exchange.request.method != Method::Get
            || !is_person(exchange)
            || self.excepts(exchange.client)
            || self.is_attempt(exchange)
        {
            return None;
        }
        let now_ms = now.monotonic_ns / 1_000_000;
        if self.logins.known.has(self.place(exchange.client), now_ms) || self.logins.bans.holds(exchange.client, now_ms) {
            return None;
        }
        let Key { own, .. } = self.key(b"address", self.hash.address(exchange.client));
        let counted = Counted {
            address: self.logins.book.look(own, now_ms),
            route: self.trend().excess(self.window_ms, now_ms),
            ..Counted::default()
        };
        let score = Score::of(&counted, &self.thresholds, false);
        let due = challenge.is_due(score.total()) && score.own() < BAN;
        let due = due && !challenge.is_met(exchange, false, &self.logins.proofs, now);
        (due && self.may_make(exchange, now) == May::Make).then(|| score.total())
    }

    /// The refusal that comes with the page for such a score, which is left for the answer. Without one, which cannot be, an attempt
    /// is refused, and whoever only asks for the service's page gets it: nothing is tried by that.
    #[must_use]
    pub fn page(&self, exchange: &mut Exchange, score: u32, random: &[u8; RANDOM], now: Now) -> Option<Refusal> {
        let challenge = self.challenge.as_ref()?;
        let later = lasting(self.fades_s(score, challenge.at()));
        let page = challenge.page(exchange, score, &later, random, now);
        if page.is_some() {
            if only_asks(exchange) {
                self.watch.count("challenged");
            }
            exchange.sessions_mut().page = page;
            return Some(Reason::LoginChallenge.into());
        }
        (!only_asks(exchange)).then(|| Reason::Internal.into())
    }

    /// Takes a solution, if the challenge was made by this guard for who sends it: the cookie that proves it.
    #[must_use]
    pub fn prove(&self, payload: &Payload, exchange: &Exchange, now: Now) -> Option<Result<Box<str>, Refusal>> {
        let challenge = self.challenge.as_ref().filter(|_| self.shadow.is_none())?;
        challenge.is_for(payload, exchange).then(|| challenge.prove(payload, exchange, &self.logins.proofs, now))
    }
}

#[cfg(test)]
mod tests;
