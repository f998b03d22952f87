//! Guesses at logins: what failed is counted by address, account, password and kind of client, and answered by a score.
//!
//! An attempt is counted as failed before the service is asked, so that many at once are no way around; what the service
//! answers takes it back. An address from which an account has succeeded before is never refused for what strangers do to
//! that account, nor banned for what others behind it do. Names and passwords are kept as keyed hashes only ([`book`]).

mod alike;
pub mod altcha;
pub mod answers;
mod attempt;
pub mod bans;
pub mod book;
pub mod challenge;
mod counting;
pub mod credentials;
pub mod desk;
pub mod doors;
mod fingerprint;
mod logins;
pub mod page;
mod pointer;
pub mod proofs;
mod refusals;
pub mod score;
#[cfg(test)]
mod tests;
mod work;

use std::net::IpAddr;
use std::sync::{Arc, Weak};

use self::answers::Answers;
use self::attempt::{New, only_asks};
use self::challenge::Challenge;
use self::credentials::{Credentials, Reader};
use self::score::{BAN, LIMIT, SLOW, Score};
use self::work::Work;
use crate::exchange::{Exchange, Framing, Need, Now, Refusal, ResponseHead, Step};
use crate::filters::authorize::shadow::{Record, Registry};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir::{self, LoginKind};
use crate::reason::Reason;
use crate::shared::Shared;

pub use self::attempt::Attempt;
pub use self::logins::{ANSWERS, DEFAULT_KEYS, Logins, WAITING, Watch};

/// Bytes of a body with an account in it.
pub const BODY: u64 = 64 * 1024;
/// How long such a body may take to come.
const BODY_MS: u64 = 10_000;
/// No bound of the guard's: the listener's hold.
const DAY_MS: u64 = 86_400_000;

/// What a service says of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It succeeded.
    Passed,
    /// It failed.
    Failed,
    /// The service failed, not the attempt.
    Broken,
    /// A value in its body says it.
    InBody,
}

/// A compiled guard.
#[derive(Debug)]
pub struct LoginGuard {
    kind: LoginKind,
    reader: Reader,
    answers: Answers,
    window_ms: u64,
    thresholds: ir::LoginThresholds,
    slow_ms: u64,
    ban_ms: u64,
    except: Box<[ipnet::IpNet]>,
    challenge: Option<Challenge>,
    shadow: Option<Arc<Record>>,
    hash: KeyedHash,
    scope: u64,
    watch: Arc<Watch>,
    logins: Arc<Logins>,
    shared: Weak<Shared>,
}

const UNREADABLE: &str = "one account has to be named, once, in the form or JSON that is expected here";

impl LoginGuard {
    /// Compiles it; `secret` is the one that its challenges are signed with, where instances share it.
    ///
    /// # Errors
    /// What of it cannot be.
    pub fn build(spec: &ir::LoginGuard, route: &str, secret: Option<&[u8]>, shared: &Arc<Shared>) -> Result<Self, String> {
        let registry: &Registry = &shared.shadow;
        let ir::LoginThresholds { accounts, failures, guesses, per_account, per_fingerprint, per_password, per_asn } =
            spec.thresholds;
        if [accounts, failures, guesses, per_account, per_fingerprint, per_password, per_asn.unwrap_or(1)].contains(&0) {
            return Err("a threshold of a guarded login is at least 1".to_owned());
        }
        if spec.window_ms == 0 || spec.slow_ms > 30_000 {
            return Err("a guarded login has a window, and slows attempts down by at most 30 seconds".to_owned());
        }
        let hash = KeyedHash::new(&shared.seed);
        let challenge = spec.challenge.as_ref().map(|one| Challenge::build(one, route, secret, &shared.seed));
        // What is tried out counts apart from what is enforced.
        let scope = format!("{} {route}", if spec.shadow { "shadow" } else { "route" });
        Ok(Self {
            kind: spec.kind,
            reader: Reader::build(&spec.account, spec.password.as_ref(), hash)?,
            answers: Answers::build(&spec.failed, spec.passed.as_ref())?,
            window_ms: spec.window_ms,
            thresholds: spec.thresholds,
            slow_ms: spec.slow_ms,
            ban_ms: spec.ban_ms,
            except: spec.except.clone().into(),
            challenge: challenge.transpose()?,
            shadow: spec.shadow.then(|| registry.of(route, &format!("route {route}: login_guard"))),
            hash,
            scope: hash.parts(&[b"scope", scope.as_bytes()]),
            watch: shared.logins.watch(&scope, route),
            logins: Arc::clone(&shared.logins),
            shared: Arc::downgrade(shared),
        })
    }

    /// Fields of requests that it reads, lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.reader.headers()
    }

    fn excepts(&self, client: IpAddr) -> bool {
        self.except.iter().any(|network| network.contains(&client))
    }

    /// Whether a request is an attempt: not where it only asks for the page.
    fn is_attempt(&self, exchange: &Exchange) -> bool {
        let names = || self.headers().any(|name| exchange.request.headers.named(name.as_bytes()).next().is_some());
        !only_asks(exchange) || self.is_odd(exchange) || names()
    }

    /// Whether a request that should only ask for the page tries something: some services read bodies and parameters with any
    /// method, and what they answer to the others says nothing of an attempt.
    fn is_odd(&self, exchange: &Exchange) -> bool {
        only_asks(exchange) && (exchange.request.framing != Framing::Empty || self.reader.is_in_query(exchange))
    }

    /// As soon as the route is known: nobody reads a body from a banned address from which nobody has ever got in.
    ///
    /// # Errors
    /// `login_banned`
    pub fn screen(&self, exchange: &Exchange, now: Now) -> Result<(), Refusal> {
        if self.shadow.is_some() || self.excepts(exchange.client) || !self.is_attempt(exchange) {
            return Ok(());
        }
        let now_ms = now.monotonic_ns / 1_000_000;
        if self.logins.known.has(self.place(exchange.client), now_ms) {
            return Ok(());
        }
        match self.logins.bans.meets(exchange.client, now_ms) {
            Some(until_ms) => {
                self.watch.count("banned");
                Err(self.banned(until_ms.saturating_sub(now_ms)))
            }
            None => Ok(()),
        }
    }

    /// After all checks, before the service is asked.
    pub fn judge(&self, exchange: &mut Exchange, now: Now) -> Step {
        if let Some(attempt) = &mut exchange.attempt {
            // It has waited.
            attempt.place = None;
            return Step::Continue;
        }
        if self.excepts(exchange.client) || !self.is_attempt(exchange) {
            return Step::Continue;
        }
        if self.is_odd(exchange) {
            return self.unreadable(exchange);
        }
        if self.reader.needs_body() {
            match &exchange.body {
                // What is tried out refuses nobody: neither for a body that is too long nor for one that is slow.
                None if self.shadow.is_some()
                    && !matches!(exchange.request.framing, Framing::Length(length) if length <= BODY) =>
                {
                    return self.unreadable(exchange);
                }
                None => {
                    let within_ms = if self.shadow.is_some() { DAY_MS } else { BODY_MS };
                    let need = Need::Body { limit: BODY, within_ms };
                    return exchange.ask(need).unwrap_or_else(|| Step::Refuse(Reason::BodyMalformed.into()));
                }
                Some(Err(reason)) => return Step::Refuse((*reason).into()),
                Some(Ok(_)) => {}
            }
        }
        let Some(credentials) = self.reader.read(exchange) else { return self.unreadable(exchange) };
        self.answer(exchange, credentials, now)
    }

    fn unreadable(&self, exchange: &mut Exchange) -> Step {
        self.watch.count("unreadable");
        let refusal = Refusal { detail: Some(UNREADABLE.into()), ..Reason::LoginUnreadable.into() };
        match &self.shadow {
            Some(_) => self.tried(exchange, Err(refusal)),
            None => Step::Refuse(refusal),
        }
    }

    fn answer(&self, exchange: &mut Exchange, credentials: Credentials, now: Now) -> Step {
        let now_ms = now.monotonic_ns / 1_000_000;
        let fingerprint = fingerprint::of(exchange, &self.hash);
        let keys = self.keys(exchange, credentials, fingerprint);
        let known = self.logins.known.has(keys.pair.own, now_ms);
        let ban = if known || self.shadow.is_some() { None } else { self.logins.bans.meets(exchange.client, now_ms) };
        let mut attempt = Attempt {
            keys,
            account: credentials.account,
            alike: credentials.alike,
            known,
            first: 0.0,
            new: New::default(),
            score: Score::default(),
            answer: "passed",
            outcome: None,
            fingerprint,
            place: None,
            refused: false,
            asks: only_asks(exchange),
        };
        if let Some(until_ms) = ban {
            return self.refuse(exchange, attempt, "banned", self.banned(until_ms.saturating_sub(now_ms)), now_ms);
        }
        let (mut counted, crowded) = self.count(&mut attempt, now_ms);
        counted.hosting = exchange.geo.is_some_and(|geo| geo.hosting.known() == Some(true));
        attempt.score = Score::of(&counted, &self.thresholds, known);
        let total = attempt.score.total();
        if attempt.score.own() >= BAN && self.ban_ms > 0 && !crowded && self.begin(&attempt, exchange.client, now_ms) {
            return self.refuse(exchange, attempt, "banned", self.banned(self.ban_ms), now_ms);
        }
        let work = self.work(exchange, &attempt.score, now);
        // What was never tried does not count for its address where strangers may be why: pages are bounded otherwise, and who is
        // refused goes on counting from an address that did enough itself.
        let innocent = self.challenge.as_ref().is_some_and(|one| !one.is_due(attempt.score.own()));
        if self.shadow.is_none() && (work == Work::Wanted || (work == Work::Impossible && innocent)) {
            self.take_back_own(&attempt, now_ms);
        }
        if work == Work::Wanted {
            return self.refuse(exchange, attempt, "challenged", Reason::LoginChallenge.into(), now_ms);
        }
        if work == Work::Done {
            attempt.answer = "proved";
            self.watch.count("proved");
            exchange.attempt = Some(Box::new(attempt));
            return Step::Continue;
        }
        if total >= LIMIT || work == Work::Impossible {
            // Whoever is refused from `at` on comes back when the score is below that.
            let below = self.challenge.as_ref().filter(|_| work == Work::Impossible).map_or(LIMIT, Challenge::at);
            let refusal = self.limited(&attempt, total, below);
            return self.refuse(exchange, attempt, "limited", refusal, now_ms);
        }
        if total >= SLOW && self.slow_ms > 0 && self.shadow.is_none() {
            attempt.place = self.logins.wait();
            // Where there is no place, strangers may have taken them all: who did nothing of that goes on.
            if attempt.place.is_none() && !attempt.score.is_own_doing() {
                exchange.attempt = Some(Box::new(attempt));
                return Step::Continue;
            }
            if attempt.place.is_none() {
                let refusal = self.limited(&attempt, total, LIMIT);
                return self.refuse(exchange, attempt, "limited", refusal, now_ms);
            }
            attempt.answer = "slowed";
            self.watch.count("slowed");
            exchange.attempt = Some(Box::new(attempt));
            return Step::Need(Need::Pause { ms: self.slow_ms });
        }
        exchange.attempt = Some(Box::new(attempt));
        if self.shadow.is_some() { self.tried(exchange, Ok(())) } else { Step::Continue }
    }

    /// What an answer's head says of an attempt.
    #[must_use]
    pub fn told(&self, answer: &ResponseHead) -> Told {
        self.answers.told(answer)
    }

    /// What its whole body says, where the head leaves that open.
    #[must_use]
    pub fn read(&self, body: &[u8]) -> Told {
        self.answers.read(body)
    }

    /// Whether bodies of answers are read.
    #[must_use]
    pub fn reads_answers(&self) -> bool {
        self.answers.reads_body()
    }
}
