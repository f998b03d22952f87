//! How suspicious an attempt is: named parts of at most 100 each, and what they come to.

use std::fmt::Write;

use crate::ir;

/// From here on an attempt is slowed down.
pub const SLOW: u32 = 30;
/// From here on it is refused.
pub const LIMIT: u32 = 60;
/// From here on nobody new may log in from its address for a while.
pub const BAN: u32 = 100;
/// What of its own an attempt needs before the doings of strangers can have it refused.
const OWN_DOING: u32 = 15;
/// Attempts in a window without which a route's ratio says nothing.
const ENOUGH: f32 = 30.0;
/// Accounts of one autonomous system where nothing else is configured.
const PER_ASN: u32 = 100;
/// So far above the usual ratio it is an attack.
const UNUSUAL: f32 = 0.25;

/// What a score is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Accounts that the address failed for: stuffing.
    Accounts,
    /// Attempts of the address that failed.
    Failures,
    /// Attempts of the address for this account that failed.
    Guesses,
    /// Accounts that this password failed for: spraying.
    Password,
    /// Accounts that this kind of client failed for.
    Fingerprint,
    /// Accounts that the autonomous system of the address failed for.
    Asn,
    /// Attempts for this account that failed, by others.
    Account,
    /// How much more often than usual the route fails.
    Route,
}

/// All of them, those first that an attempt's own source did.
pub const PARTS: [Part; 8] =
    [Part::Accounts, Part::Failures, Part::Guesses, Part::Password, Part::Fingerprint, Part::Asn, Part::Account, Part::Route];

impl Part {
    /// Its word in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Failures => "failures",
            Self::Guesses => "guesses",
            Self::Password => "password",
            Self::Fingerprint => "fingerprint",
            Self::Asn => "asn",
            Self::Account => "account",
            Self::Route => "route",
        }
    }
}

/// What was counted before an attempt.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    /// Accounts, attempts and successes of the address.
    pub address: [f32; 3],
    /// Attempts of the address for the account.
    pub guesses: f32,
    /// Accounts of the password.
    pub password: f32,
    /// Accounts and successes of the fingerprint.
    pub fingerprint: [f32; 2],
    /// Whether somebody got in with this kind of client in the last 30 days.
    pub kind_known: bool,
    /// Accounts and successes of the autonomous system.
    pub asn: [f32; 2],
    /// Whether it belongs to who rents out machines, from which few people log in.
    pub hosting: bool,
    /// Attempts for the account.
    pub account: f32,
    /// By how much the route's ratio is above the usual one; 0 where it is not.
    pub route: f32,
}

/// A score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    parts: [u32; PARTS.len()],
    /// Whether people get in with this kind of client.
    common: bool,
}

/// So many of those that have an attempt refused, as points.
fn points(counted: f32, threshold: u32, most: u32) -> u32 {
    let points = (counted.max(0.0) * LIMIT as f32 / threshold.max(1) as f32).round();
    if points >= most as f32 { most } else { points as u32 }
}

/// What failed, less by what part of it all succeeded.
fn weighed(failed: f32, accounts: f32, good: f32) -> f32 {
    if accounts <= 0.0 { 0.0 } else { failed * accounts / (accounts + good.max(0.0)) }
}

impl Score {
    /// Of an address that may be new to the account; one from which it has succeeded answers for its own guesses alone.
    #[must_use]
    pub fn of(counted: &Counted, thresholds: &ir::LoginThresholds, known: bool) -> Self {
        let guesses = points(counted.guesses, thresholds.guesses, 99);
        if known {
            return Self { parts: [0, 0, guesses, 0, 0, 0, 0, 0], common: true };
        }
        let [accounts, failures, good] = counted.address;
        let [kinds, kinds_good] = counted.fingerprint;
        let [system, system_good] = counted.asn;
        let twice = if counted.hosting { 2.0 } else { 1.0 };
        // Whoever shares a kind of client with people who get in is not refused for it.
        let common = kinds_good >= 0.5 || counted.kind_known;
        let most = if common { SLOW + 10 } else { 90 };
        let route = if counted.route > 0.0 { SLOW + points(counted.route, 2, 20) } else { 0 };
        Self {
            parts: [
                points(weighed(accounts, accounts, good), thresholds.accounts, 200),
                points(weighed(failures, failures, good), thresholds.failures, 200),
                guesses,
                points(counted.password, thresholds.per_password, 90),
                points(weighed(kinds, kinds, kinds_good), thresholds.per_fingerprint, most),
                // Millions may share one: it slows down, and is never more.
                points(twice * weighed(system, system, system_good), thresholds.per_asn.unwrap_or(PER_ASN), SLOW),
                points(counted.account, thresholds.per_account, SLOW + 20),
                route,
            ],
            common,
        }
    }

    fn part(&self, part: Part) -> u32 {
        PARTS.iter().zip(self.parts).find(|(one, _)| **one == part).map_or(0, |(_, points)| points)
    }

    /// Whether work may stand in for a refusal: never for a ban, nor for guesses at one account or with one password, nor for a kind of
    /// client with which many accounts were tried and nobody got in.
    #[must_use]
    pub fn is_provable(&self) -> bool {
        let odd = !self.common && self.part(Part::Fingerprint) >= LIMIT;
        self.own() < BAN && self.part(Part::Guesses) < LIMIT && self.part(Part::Password) < LIMIT && !odd
    }

    /// What the address itself did, whoever else does what.
    #[must_use]
    pub fn own(&self) -> u32 {
        [Part::Accounts, Part::Failures, Part::Guesses].map(|part| self.part(part)).into_iter().max().unwrap_or(0)
    }

    /// All of it. What strangers do only slows down an attempt that did nothing of its own: nobody is locked out by them.
    #[must_use]
    pub fn total(&self) -> u32 {
        let vague = if self.common { self.part(Part::Fingerprint) } else { 0 };
        // One attack by many addresses is seen from both sides, and counts once.
        let strangers = (self.part(Part::Account) + self.part(Part::Route)).max(self.part(Part::Asn));
        let all = self.strong() + vague + strangers;
        if self.is_own_doing() { all } else { all.min(LIMIT - 1) }
    }

    /// What speaks against this attempt, and not only against others like it.
    fn strong(&self) -> u32 {
        let sure = if self.common { 0 } else { self.part(Part::Fingerprint) };
        self.own().max(self.part(Part::Password)).max(sure)
    }

    /// Whether it did enough of its own to be refused.
    #[must_use]
    pub fn is_own_doing(&self) -> bool {
        self.strong() >= OWN_DOING
    }

    /// The part that weighs most.
    #[must_use]
    pub fn heaviest(&self) -> Part {
        let found = PARTS.iter().zip(self.parts).rev().max_by_key(|(_, points)| *points);
        found.map_or(Part::Accounts, |(part, _)| *part)
    }

    /// Those above 0, with their points.
    pub fn parts(&self) -> impl Iterator<Item = (Part, u32)> {
        PARTS.into_iter().zip(self.parts).filter(|(_, points)| *points > 0)
    }

    /// `accounts 60, route 12`
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (part, points) in self.parts() {
            let _ = write!(out, "{}{} {points}", if out.is_empty() { "" } else { ", " }, part.as_str());
        }
        out
    }
}

/// How often a route fails, now and usually; a fifth is usual before anything is known.
#[derive(Debug, Clone, Copy)]
pub struct Trend {
    at_ms: u64,
    now: [f32; 2],
    usual: [f32; 2],
}

/// Windows in which what is usual fades to a third: a day, of ten minutes.
const LONG: u64 = 144;
/// How much an attempt changes what is usual; and one while the route fails more often than that, which may be an attack.
const LEARNS: [f32; 2] = [0.02, 0.002];

impl Default for Trend {
    fn default() -> Self {
        Self { at_ms: 0, now: [0.0; 2], usual: [ENOUGH * 0.2, ENOUGH] }
    }
}

impl Trend {
    fn fade(&mut self, window_ms: u64, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.at_ms);
        if passed > 0 {
            self.at_ms = now_ms;
            let (short, long) = (super::book::left(passed, window_ms), super::book::left(passed, window_ms.saturating_mul(LONG)));
            self.now = self.now.map(|count| count * short);
            let [failed, all] = self.usual.map(|count| count * long);
            // Never less than what it began with: a quiet night is no reason to believe the next three attempts.
            let lacks = (ENOUGH - all).max(0.0);
            self.usual = [failed + lacks * 0.2, all + lacks];
        }
    }

    /// By how much it fails more often than usual.
    pub fn excess(&mut self, window_ms: u64, now_ms: u64) -> f32 {
        self.fade(window_ms, now_ms);
        let [failed, all] = self.now;
        let [usual_failed, usual] = self.usual;
        if all < ENOUGH { 0.0 } else { (failed / all - usual_failed / usual - UNUSUAL).max(0.0) }
    }

    /// Counts an answer. What is unusual becomes usual slowly.
    pub fn count(&mut self, failed: bool, window_ms: u64, now_ms: u64) {
        let unusual = self.excess(window_ms, now_ms) > 0.0;
        let [learns, hardly] = LEARNS;
        let add = |[bad, all]: [f32; 2], one: f32| [bad + if failed { one } else { 0.0 }, all + one];
        self.now = add(self.now, 1.0);
        self.usual = add(self.usual, if unusual { hardly } else { learns });
    }
}

#[cfg(test)]
mod tests {
    use super::{BAN, Counted, LIMIT, Part, SLOW, Score, Trend};
    use crate::ir::LoginThresholds;

    pub const THRESHOLDS: LoginThresholds = LoginThresholds {
        accounts: 10,
        failures: 20,
        guesses: 10,
        per_account: 30,
        per_fingerprint: 30,
        per_password: 10,
        per_asn: None,
    };

    fn of(counted: Counted) -> Score {
        Score::of(&counted, &THRESHOLDS, false)
    }

    #[test]
    fn no_work_makes_up_for_a_kind_of_client_that_only_fails() {
        let score =
            |fingerprint, kind_known| Score::of(&Counted { fingerprint, kind_known, ..Counted::default() }, &THRESHOLDS, false);
        assert!(score([29.0, 0.0], false).is_provable() && !score([30.0, 0.0], false).is_provable());
        assert!(score([300.0, 1.0], false).is_provable() && score([300.0, 0.0], true).is_provable(), "people use it, too");
    }

    #[test]
    fn half_a_threshold_slows_one_refuses_and_more_bans() {
        let accounts = |count: f32| of(Counted { address: [count, count, 0.0], ..Counted::default() });
        assert_eq!(accounts(0.0).total(), 0);
        assert_eq!(accounts(5.0).total(), SLOW);
        assert_eq!((accounts(10.0).total(), accounts(10.0).heaviest()), (LIMIT, Part::Accounts));
        assert!(accounts(17.0).own() >= BAN && accounts(16.0).own() < BAN);
        assert_eq!(accounts(10.0).text(), "accounts 60, failures 30");
    }

    #[test]
    fn successes_of_others_at_the_address_lower_it() {
        let office = of(Counted { address: [10.0, 14.0, 90.0], ..Counted::default() });
        assert!(office.total() < SLOW, "{}", office.text());
        let attack = of(Counted { address: [120.0, 130.0, 90.0], ..Counted::default() });
        assert!(attack.own() >= BAN, "{}", attack.text());
    }

    #[test]
    fn whatever_strangers_do_the_first_attempts_are_slowed_and_not_refused() {
        let all = Counted { account: 1e6, route: 0.7, fingerprint: [1e6, 1e6], ..Counted::default() };
        assert_eq!(of(all).total(), LIMIT - 1);
        assert_eq!(of(Counted { address: [1.0, 2.0, 0.0], guesses: 2.0, ..all }).total(), LIMIT - 1);
        assert!(of(Counted { address: [1.0, 3.0, 0.0], guesses: 3.0, ..all }).total() >= LIMIT);
        assert!(of(Counted { account: 1e6, route: 0.7, ..Counted::default() }).own() == 0);
    }

    #[test]
    fn an_address_that_the_account_knows_answers_for_its_guesses_alone() {
        let all = Counted {
            address: [1e6, 1e6, 0.0],
            guesses: 1e6,
            password: 1e6,
            fingerprint: [1e6, 0.0],
            kind_known: false,
            asn: [1e6, 0.0],
            hosting: true,
            account: 1e6,
            route: 0.7,
        };
        let score = Score::of(&all, &THRESHOLDS, true);
        assert_eq!((score.total(), score.text().as_str()), (99, "guesses 99"), "refused, and never banned");
        assert_eq!(Score::of(&Counted { guesses: 0.0, ..all }, &THRESHOLDS, true).total(), 0);
    }

    #[test]
    fn a_kind_of_client_that_nobody_gets_in_with_is_refused_and_a_common_one_slowed() {
        let kind = |counts| of(Counted { fingerprint: counts, ..Counted::default() }).total();
        assert!(kind([30.0, 0.0]) >= LIMIT);
        assert!((SLOW..LIMIT).contains(&kind([1e6, 5.0])));
        assert!(kind([30.0, 300.0]) < SLOW);
        let remembered = of(Counted { fingerprint: [1e6, 0.0], kind_known: true, ..Counted::default() });
        assert!((SLOW..LIMIT).contains(&remembered.total()) && !remembered.is_own_doing());
    }

    #[test]
    fn a_system_that_fails_slows_down_and_never_more() {
        let system = |asn, hosting| of(Counted { asn, hosting, ..Counted::default() });
        assert_eq!(system([49.0, 0.0], false).total(), 29);
        assert_eq!((system([50.0, 0.0], false).total(), system([25.0, 0.0], true).total()), (SLOW, SLOW));
        let most = system([1e6, 0.0], true);
        assert_eq!((most.total(), most.own(), most.is_own_doing()), (SLOW, 0, false));
        assert!(system([50.0, 500.0], false).total() < 5, "people get in from there");
        let beside = of(Counted { asn: [1e6, 0.0], address: [4.0, 4.0, 0.0], ..Counted::default() });
        assert!(beside.total() < LIMIT, "{}", beside.text());
        let both = Counted { asn: [1e6, 0.0], account: 1e6, ..Counted::default() };
        assert_eq!(of(both).total(), of(Counted { asn: [0.0; 2], ..both }).total(), "one attack counts once");
    }

    #[test]
    fn a_sprayed_password_is_refused() {
        assert!(of(Counted { password: 10.0, ..Counted::default() }).total() >= LIMIT);
        assert!(of(Counted { password: 1e6, ..Counted::default() }).own() < BAN, "and bans nobody");
    }

    #[test]
    fn a_route_that_fails_more_often_than_usual() {
        let (mut trend, window, mut now) = (Trend::default(), 600_000, 1);
        for attempt in 0..400 {
            now += 1_000;
            trend.count(attempt % 10 == 0, window, now);
        }
        assert!(trend.excess(window, now) == 0.0);
        for _ in 0..400 {
            now += 100;
            trend.count(true, window, now);
        }
        let high = trend.excess(window, now);
        assert!(high > 0.05, "{high}");
        for _ in 0..3_000 {
            now += 1_000;
            trend.count(true, window, now);
        }
        assert!(trend.excess(window, now) > 0.25, "and a long attack does not become usual");
        assert!(trend.excess(window, now + 20 * window) == 0.0, "few attempts say nothing");
    }
}
