//! Thresholds of quotas that were passed.

use std::collections::BTreeMap;

use super::book::{Book, lock};
use super::entry::Names;

/// Warnings that wait to be logged; the counters have all of them.
const WARNINGS: usize = 1024;

/// A threshold that was passed.
#[derive(Debug)]
pub struct Warning {
    /// The quota.
    pub names: Names,
    /// What the key is.
    pub by: Box<str>,
    /// Whose.
    pub whose: Box<str>,
    /// The threshold, percent.
    pub percent: u8,
    /// Use and amount then.
    pub used: (u64, u64),
    /// When the period ends.
    pub end_s: u64,
}

#[derive(Debug, Default)]
pub(super) struct Warnings {
    waiting: Vec<Warning>,
    counts: BTreeMap<(Names, u8), u64>,
}

impl Book {
    /// Says that a threshold was passed.
    pub fn warn(&self, warning: Warning) {
        let mut warnings = lock(&self.warnings);
        let count = warnings.counts.entry((warning.names.clone(), warning.percent)).or_default();
        *count = count.saturating_add(1);
        if warnings.waiting.len() < WARNINGS {
            warnings.waiting.push(warning);
        }
    }

    /// Takes the warnings that wait.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut lock(&self.warnings).waiting)
    }

    /// How often each threshold was passed, since start.
    #[must_use]
    pub fn warned(&self) -> Vec<(Names, u8, u64)> {
        lock(&self.warnings).counts.iter().map(|((names, percent), count)| (names.clone(), *percent, *count)).collect()
    }
}
