//! Use of one key of a quota: in the period that is asked of, and in a few beside it.

use std::sync::Arc;

use super::period::Span;

/// Periods of a key that are remembered beside the one that is asked of.
const PERIODS: usize = 3;

/// A quota and whose use it is: the first half of a SHA-256.
pub type Id = u128;

/// A quota: `group:billing`, `per-partner`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Names {
    /// Where it stands.
    pub scope: Arc<str>,
    /// What it is called.
    pub name: Arc<str>,
}

/// Use in a period beside the one that is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// The period.
    pub span: Span,
    /// All that was used in it.
    pub used: u64,
    /// What of that is not written yet.
    pub pending: i64,
}

/// Use of one key.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The quota.
    pub names: Names,
    /// What the key is: `partner`, `tenant` …; `others` for the one that is shared.
    pub by: Box<str>,
    /// Whose it is, for people.
    pub whose: Box<str>,
    /// The period that it was used in.
    pub span: Span,
    /// All that was used in it.
    pub used: u64,
    /// What of that is not written yet.
    pub pending: i64,
    /// Whether it is written at all: what instances share is not.
    pub kept: bool,
    /// The periods before, or later ones where the clock went back: at most three.
    pub others: Vec<Used>,
}

/// What is written, or was read.
#[derive(Debug, Clone)]
pub struct Row {
    /// Whose.
    pub id: Id,
    /// As in memory. Where it is to be written `used` does not count, where it was read `pending` does not.
    pub entry: Entry,
}

impl Entry {
    /// Goes over to a period: a new one, in which nothing is used yet, or one that is known, with what was used in it: so a clock
    /// that goes back and forth gives nothing again. In one of the past that is not known, what was used last counts.
    pub fn enter(&mut self, span: Span) {
        if self.span.start_s == span.start_s {
            return;
        }
        let before = Used { span: self.span, used: self.used, pending: self.pending };
        (self.used, self.pending) = match self.others.iter().position(|other| other.span.start_s == span.start_s) {
            Some(at) => {
                let known = self.others.swap_remove(at);
                (known.used, known.pending)
            }
            None if span.start_s > before.span.start_s => (0, 0),
            None => (before.used, if self.kept { i64::try_from(before.used).unwrap_or(i64::MAX) } else { 0 }),
        };
        self.span = span;
        self.know(before);
    }

    /// Remembers a period beside the one that is asked of; the oldest gives way.
    pub(super) fn know(&mut self, period: Used) {
        self.others.push(period);
        if self.others.len() > PERIODS {
            let oldest = self.others.iter().enumerate().min_by_key(|(_, other)| other.span.start_s);
            if let Some(at) = oldest.map(|(at, _)| at) {
                self.others.swap_remove(at);
            }
        }
    }

    /// What is not written yet of a period, if it is known.
    pub(super) fn pending_of(&mut self, start_s: u64) -> Option<&mut i64> {
        if self.span.start_s == start_s {
            return Some(&mut self.pending);
        }
        self.others.iter_mut().find(|other| other.span.start_s == start_s).map(|other| &mut other.pending)
    }

    /// All periods, each as an entry.
    pub(super) fn periods(&self) -> impl Iterator<Item = Self> {
        let current = Used { span: self.span, used: self.used, pending: self.pending };
        std::iter::once(current).chain(self.others.iter().copied()).map(|one| Self {
            names: self.names.clone(),
            by: self.by.clone(),
            whose: self.whose.clone(),
            span: one.span,
            used: one.used,
            pending: one.pending,
            kept: self.kept,
            others: Vec::new(),
        })
    }

    pub(super) fn charge(&mut self, span: Span, cost: u64, amount: u64) -> Result<u64, u64> {
        self.enter(span);
        if cost == 0 {
            return Ok(self.used);
        }
        let used = self.used.checked_add(cost).filter(|used| *used <= amount).ok_or(self.used)?;
        self.used = used;
        if self.kept {
            self.pending = self.pending.saturating_add_unsigned(cost);
        }
        Ok(used)
    }
}

/// Whose use is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its own entry.
    pub id: Id,
    /// The one that keys without a place share.
    pub others: Id,
    /// The quota.
    pub names: &'a Names,
    /// Whether its use is written down.
    pub kept: bool,
}
