//! What attempts add to what is counted, and what is taken back of it once it is known what came of them.

use std::sync::{MutexGuard, PoisonError};

use super::attempt::{Attempt, New};
use super::score::{Counted, Trend};
use super::{LoginGuard, Told};
use crate::exchange::Now;
use crate::filters::limit_table::mix;
use crate::ir::LoginKind;

impl LoginGuard {
    /// Counts it as failed, and says what was counted before; and whether its address shares its count with others.
    pub(super) fn count(&self, attempt: &mut Attempt, now_ms: u64) -> (Counted, bool) {
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

    pub(super) fn trend(&self) -> MutexGuard<'_, Trend> {
        self.watch.trend.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What others are judged by, too, loses it again: what is refused says nothing of them.
    pub(super) fn take_back_shared(&self, attempt: &Attempt, failed: f32, now_ms: u64) {
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
    pub(super) fn take_back_own(&self, attempt: &Attempt, now_ms: u64) -> f32 {
        let (book, window_ms, keys) = (&self.logins.book, self.window_ms, attempt.keys);
        let (failed, accounts) = book.with(keys.pair, window_ms, now_ms, |entry, shared| {
            if shared { (1.0, attempt.first) } else { entry.take_back(1.0, attempt.first) }
        });
        if !attempt.known {
            book.with(keys.address, window_ms, now_ms, |entry, _| entry.take_back(failed, accounts));
        }
        failed
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
}
