//! Guesses at logins: what failed is counted by address, account, password and kind of client, and answered by a score.
//!
//! An attempt is counted as failed before the service is asked, so that many at once are no way around; what the service
//! answers takes it back. An address from which an account has succeeded before is never refused for what strangers do to
//! that account, nor banned for what others behind it do. Names and passwords are kept as keyed hashes only ([`book`]).

mod alike;
pub mod altcha;
pub mod answers;
pub mod bans;
pub mod book;
pub mod challenge;
pub mod credentials;
pub mod desk;
pub mod doors;
mod fingerprint;
pub mod page;
mod pointer;
pub mod proofs;
pub mod score;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use self::answers::Answers;
use self::bans::{Ban, Bans};
use self::book::{Book, Key, Known as Remembered};
use self::challenge::Challenge;
use self::credentials::{Credentials, Reader};
use self::proofs::Proofs;
use self::score::{BAN, Counted, LIMIT, SLOW, Score, Trend};
use self::work::Work;
use crate::exchange::{Exchange, Framing, Method, Need, Now, Refusal, ResponseHead, Step};
use crate::filters::authorize::shadow::{Outcome, Record, Registry, Verdict};
use crate::filters::keyed_hash::KeyedHash;
use crate::filters::limit_table::mix;
use crate::ir::{self, LoginKind};
use crate::reason::Reason;
use crate::shared::{Counter, Shared};

/// Keys where nothing else is configured.
pub const DEFAULT_KEYS: u32 = 100_000;
/// Attempts that wait at once, of the whole process. Beyond it they are refused.
pub const WAITING: usize = 1_000;
/// Bytes of a body with an account in it.
pub const BODY: u64 = 64 * 1024;
/// How long such a body may take to come.
const BODY_MS: u64 = 10_000;
/// No bound of the guard's: the listener's hold.
const DAY_MS: u64 = 86_400_000;

/// What guarded logins count, remember and ban, for the whole process.
#[derive(Debug, Default)]
pub struct Logins {
    /// Attempts.
    pub book: Book,
    /// Bans.
    pub bans: Bans,
    /// Work that was done in place of waiting.
    pub proofs: Proofs,
    known: Remembered,
    waiting: Arc<AtomicUsize>,
    watches: Mutex<BTreeMap<Box<str>, Weak<Watch>>>,
}

/// What came of attempts on one route; it outlives a reload.
#[derive(Debug)]
pub struct Watch {
    /// The route.
    pub route: Arc<str>,
    trend: Mutex<Trend>,
    counts: [Counter; ANSWERS.len()],
}

/// What is counted of attempts.
pub const ANSWERS: [&str; 9] =
    ["passed", "failed", "unanswered", "slowed", "limited", "banned", "unreadable", "challenged", "proved"];

impl Logins {
    /// Room for as many keys as it says, and at most for so many, where logins are guarded; none otherwise.
    pub fn configure(&self, ir: &ir::Ir, most: u32) {
        let guarded = ir.routes.iter().any(|route| route.login_guard.is_some());
        self.set_keys(if guarded { ir.process.login_keys.min(most) } else { 0 });
    }

    /// Room for so many.
    pub fn set_keys(&self, keys: u32) {
        self.book.set_keys(keys);
        self.known.set_keys(keys);
    }

    /// Forgets everything: for tools, whose questions say nothing of each other.
    pub fn forget(&self) {
        self.book.forget();
        self.known.forget();
        self.bans.forget();
        self.proofs.forget();
        for watch in self.watches() {
            *watch.trend.lock().unwrap_or_else(PoisonError::into_inner) = Trend::default();
        }
    }

    /// Attempts that wait now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// What came of attempts, by route.
    #[must_use]
    pub fn watches(&self) -> Vec<Arc<Watch>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect()
    }

    fn watch(&self, scope: &str, route: &str) -> Arc<Watch> {
        let mut all = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(scope).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, watch| watch.strong_count() > 0);
        let made = Arc::new(Watch { route: route.into(), trend: Mutex::default(), counts: Default::default() });
        all.insert(scope.into(), Arc::downgrade(&made));
        made
    }

    fn wait(&self) -> Option<Place> {
        let place = Place(Arc::clone(&self.waiting));
        // Taken before it is known whether there is one: given back when it is dropped.
        (self.waiting.fetch_add(1, Ordering::Relaxed) < WAITING).then_some(place)
    }
}

impl Watch {
    fn count(&self, what: &str) {
        if let Some((_, counter)) = ANSWERS.iter().zip(&self.counts).find(|(name, _)| **name == what) {
            counter.increment();
        }
    }

    /// How many there were of each of [`ANSWERS`].
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        ANSWERS.into_iter().zip(self.counts.iter().map(Counter::get))
    }
}

/// A place among the attempts that wait.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

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

/// One attempt on its way.
#[derive(Debug)]
pub struct Attempt {
    keys: Keys,
    account: u64,
    /// Whether the account has succeeded from this address before.
    known: bool,
    /// What it added to the accounts of its address.
    first: f32,
    /// Its account, and all that are spelled alike.
    alike: u64,
    new: New,
    /// Why it was answered so.
    pub score: Score,
    /// What was done about it: one of [`ANSWERS`], or `passed` until it is known.
    pub answer: &'static str,
    /// What came of it: one of [`ANSWERS`].
    pub outcome: Option<&'static str>,
    /// Of its kind of client, for the log.
    pub fingerprint: u64,
    place: Option<Place>,
    refused: bool,
    /// Whether its method only asks: an answer to it is no success.
    asks: bool,
}

/// Whether the method only asks for a page.
fn only_asks(exchange: &Exchange) -> bool {
    matches!(exchange.request.method, Method::Get | Method::Head | Method::Options)
}

impl Attempt {
    /// The account's hash, for the log: the same for the same account until the gateway is started again.
    #[must_use]
    pub fn account(&self) -> u64 {
        mix(self.account)
    }
}

/// To whom of those that others are judged by its account was new.
#[derive(Debug, Clone, Copy, Default)]
struct New {
    kind: bool,
    password: bool,
    asn: bool,
}

#[derive(Debug, Clone, Copy)]
struct Keys {
    address: Key,
    pair: Key,
    /// Where the success of the pair is counted: that of all spellings.
    alike: Key,
    account: Key,
    kind: Key,
    password: Option<Key>,
    asn: Option<Key>,
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

    /// Counts it as failed, and says what was counted before; and whether its address shares its count with others.
    fn count(&self, attempt: &mut Attempt, now_ms: u64) -> (Counted, bool) {
        let (book, window_ms, keys) = (&self.logins.book, self.window_ms, attempt.keys);
        let mut counted = Counted::default();
        (counted.guesses, attempt.first) = book.with(keys.pair, window_ms, now_ms, |entry, shared| {
            // What is shared says nothing of this account.
            let before = if shared { 0.0 } else { entry.failed };
            let first = if shared { 1.0 } else { (1.0 - entry.accounts).max(0.0) };
            entry.failed += 1.0;
            entry.accounts += first;
            (before, first)
        });
        if attempt.known {
            return (counted, false);
        }
        let (address, crowded) = book.with(keys.address, window_ms, now_ms, |entry, shared| {
            let before = [entry.accounts, entry.failed, entry.good];
            entry.failed += 1.0;
            entry.accounts += attempt.first;
            (before, shared)
        });
        counted.address = address;
        counted.account = book.with(keys.account, window_ms, now_ms, |entry, _| {
            entry.failed += 1.0;
            // What others did.
            entry.failed - 1.0 - counted.guesses
        });
        (counted.fingerprint, attempt.new.kind) =
            book.with(keys.kind, window_ms, now_ms, |entry, _| ([entry.accounts, entry.good], entry.fail_for(attempt.account)));
        counted.kind_known = self.logins.known.has(mix(keys.kind.own), now_ms);
        if let Some(password) = keys.password {
            (counted.password, attempt.new.password) =
                book.with(password, window_ms, now_ms, |entry, _| (entry.accounts, entry.fail_for(attempt.account)));
        }
        if let Some(asn) = keys.asn {
            (counted.asn, attempt.new.asn) =
                book.with(asn, window_ms, now_ms, |entry, _| ([entry.accounts, entry.good], entry.fail_for(attempt.account)));
        }
        counted.route = self.trend().excess(window_ms, now_ms);
        (counted, crowded)
    }

    fn trend(&self) -> std::sync::MutexGuard<'_, Trend> {
        self.watch.trend.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What others are judged by, too, loses it again: what is refused says nothing of them.
    fn take_back_shared(&self, attempt: &Attempt, failed: f32, now_ms: u64) {
        if attempt.known {
            return;
        }
        let (book, window_ms, keys) = (&self.logins.book, self.window_ms, attempt.keys);
        book.with(keys.account, window_ms, now_ms, |entry, _| entry.take_back(failed, 0.0));
        let New { kind, password, asn } = attempt.new;
        for (key, new) in [(Some(keys.kind), kind), (keys.password, password), (keys.asn, asn)] {
            if let Some(key) = key.filter(|_| new) {
                book.with(key, window_ms, now_ms, |entry, _| entry.take_back_for(attempt.account));
            }
        }
    }

    /// What the address itself did is taken back as well, but for what a success has taken back already; how much it was.
    fn take_back_own(&self, attempt: &Attempt, now_ms: u64) -> f32 {
        let (book, window_ms, keys) = (&self.logins.book, self.window_ms, attempt.keys);
        let (failed, accounts) = book.with(keys.pair, window_ms, now_ms, |entry, shared| {
            if shared { (1.0, attempt.first) } else { entry.take_back(1.0, attempt.first) }
        });
        if !attempt.known {
            book.with(keys.address, window_ms, now_ms, |entry, _| entry.take_back(failed, accounts));
        }
        failed
    }

    fn refuse(&self, exchange: &mut Exchange, mut attempt: Attempt, answer: &'static str, refusal: Refusal, now_ms: u64) -> Step {
        attempt.answer = answer;
        self.watch.count(answer);
        if self.shadow.is_some() {
            exchange.attempt = Some(Box::new(attempt));
            return self.tried(exchange, Err(refusal));
        }
        if attempt.score != Score::default() {
            self.take_back_shared(&attempt, 1.0, now_ms);
        }
        attempt.refused = true;
        exchange.attempt = Some(Box::new(attempt));
        Step::Refuse(refusal)
    }

    fn tried(&self, exchange: &mut Exchange, result: Result<(), Refusal>) -> Step {
        if let Some(record) = &self.shadow {
            exchange.shadow.push(Verdict { record: Arc::clone(record), outcome: Outcome::of(result) });
        }
        Step::Continue
    }

    fn begin(&self, attempt: &Attempt, client: IpAddr, now_ms: u64) -> bool {
        if self.shadow.is_some() {
            return true;
        }
        let ban = Ban {
            address: bans::network(client),
            route: Arc::clone(&self.watch.route),
            why: attempt.score.text().into(),
            since_ms: now_ms,
            until_ms: now_ms.saturating_add(self.ban_ms),
            refused: 1,
            counted: attempt.keys.address.own,
        };
        let (address, why, seconds) = (bans::text(ban.address), ban.why.clone(), (self.ban_ms / 1000).to_string());
        let begun = self.logins.bans.begin(ban);
        if begun && let Some(shared) = self.shared.upgrade() {
            let fields =
                [("address", address.as_str()), ("route", &*self.watch.route), ("why", &*why), ("seconds", seconds.as_str())];
            shared.events.push("warning", "login_banned", &fields);
        }
        begun
    }

    /// Seconds until a score has faded below a limit, if nothing more is tried: all parts fade alike.
    fn fades_s(&self, score: u32, limit: u32) -> u64 {
        let below = limit.saturating_sub(1).max(1);
        let over = (score.max(below) as f32 / below as f32).ln();
        (over * self.window_ms as f32 / 1_000.0).ceil().max(1.0) as u64
    }

    fn banned(&self, left_ms: u64) -> Refusal {
        let seconds = left_ms.div_ceil(1000).max(1);
        let detail = format!(
            "come back in {}; accounts that have been used from here before get in meanwhile, and so does every other network",
            lasting(seconds)
        );
        Refusal { retry_after_s: Some(Refusal::pause(seconds)), detail: Some(detail.into()), ..Reason::LoginBanned.into() }
    }

    fn limited(&self, attempt: &Attempt, total: u32, limit: u32) -> Refusal {
        let seconds = self.fades_s(total.max(limit), limit);
        let advice = match self.kind {
            LoginKind::Login => "if you do not remember the password, reset it in place of guessing",
            LoginKind::SignUp => "one account is enough",
            LoginKind::Other => "every further attempt before that makes it longer",
        };
        Refusal {
            retry_after_s: Some(Refusal::pause(seconds)),
            detail: Some(format!("try again in {}; {advice}", lasting(seconds)).into()),
            rule: Some(attempt.score.heaviest().as_str().into()),
            ..Reason::LoginLimited.into()
        }
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

    /// Once the answer has ended: `asked` is whether a service was, and `told` what it said.
    pub fn settle(&self, attempt: &mut Attempt, asked: bool, told: Option<Told>, now: Now) {
        attempt.place = None;
        if attempt.refused || attempt.outcome.is_some() {
            return;
        }
        let now_ms = now.monotonic_ns / 1_000_000;
        let outcome = match (asked, told) {
            (true, Some(Told::Passed)) if !attempt.asks => {
                self.succeed(attempt, now_ms);
                "passed"
            }
            (true, Some(Told::Failed)) => {
                self.trend().count(true, self.window_ms, now_ms);
                "failed"
            }
            // A client that leaves before the answer may have had it tried nevertheless: it stays counted.
            (true, None | Some(Told::InBody)) => "unanswered",
            _ => {
                let failed = self.take_back_own(attempt, now_ms);
                self.take_back_shared(attempt, failed, now_ms);
                "unanswered"
            }
        };
        attempt.outcome = Some(outcome);
        self.watch.count(outcome);
    }

    fn succeed(&self, attempt: &Attempt, now_ms: u64) {
        let (book, window_ms, keys) = (&self.logins.book, self.window_ms, attempt.keys);
        self.trend().count(false, window_ms, now_ms);
        if self.kind == LoginKind::SignUp {
            self.take_back_shared(attempt, 1.0, now_ms);
        } else {
            // What this address failed for this account was somebody who mistyped; nothing else of it is forgiven.
            let (failed, accounts) = book.with(keys.pair, window_ms, now_ms, |entry, shared| {
                if shared {
                    (1.0, attempt.first)
                } else {
                    (std::mem::take(&mut entry.failed), std::mem::take(&mut entry.accounts))
                }
            });
            // Whoever gets in with many spellings of one account has got in once.
            let new = book.with(keys.alike, window_ms, now_ms, |entry, shared| {
                if shared { 1.0 } else { (1.0 - std::mem::replace(&mut entry.good, 1.0)).max(0.0) }
            });
            book.with(keys.address, window_ms, now_ms, |entry, _| {
                if !attempt.known {
                    entry.take_back(failed, accounts);
                }
                entry.good += new;
            });
            self.take_back_shared(attempt, failed, now_ms);
        }
        for key in [Some(keys.kind), keys.asn].into_iter().flatten() {
            book.with(key, window_ms, now_ms, |entry, _| entry.succeed_for(attempt.alike));
        }
        if self.kind == LoginKind::Login {
            self.logins.known.add(keys.pair.own, now_ms);
            self.logins.known.add(mix(keys.address.own), now_ms);
            self.logins.known.add(mix(keys.kind.own), now_ms);
        }
    }

    /// The mark of an address from which somebody has got in.
    fn place(&self, client: IpAddr) -> u64 {
        mix(self.key(b"address", self.hash.address(client)).own)
    }

    fn key(&self, kind: &[u8; 7], value: u64) -> Key {
        let others = self.hash.parts(&[kind, &self.scope.to_le_bytes()]);
        Key { own: mix(others ^ mix(value)), others }
    }

    fn keys(&self, exchange: &Exchange, credentials: Credentials, fingerprint: u64) -> Keys {
        let address = self.hash.address(exchange.client);
        let pair = |account: u64| self.key(b"pair   ", mix(address).rotate_left(21) ^ account);
        let asn = exchange.geo.and_then(|geo| geo.asn.known());
        Keys {
            address: self.key(b"address", address),
            pair: pair(credentials.account),
            alike: pair(credentials.alike),
            account: self.key(b"account", credentials.account),
            kind: self.key(b"client ", fingerprint),
            password: credentials.password.map(|password| self.key(b"passwd ", password)),
            asn: asn.map(|asn| self.key(b"asn    ", asn.into())),
        }
    }
}

const UNREADABLE: &str = "one account has to be named, once, in the form or JSON that is expected here";

/// `12 seconds`, `15 minutes`
fn lasting(seconds: u64) -> String {
    match seconds {
        1 => "a second".to_owned(),
        2..120 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}
