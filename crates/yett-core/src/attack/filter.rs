//! Who is told what is found: only of classes that somebody asked for.

use super::Findings;
use super::class::{Class, Classes};

pub(super) struct Filter<'a> {
    pub(super) classes: Classes,
    pub(super) findings: &'a mut Findings,
}

impl Filter<'_> {
    /// Whether it would say more than what is known.
    pub(super) fn wants(&self, class: Class, score: u8) -> bool {
        self.classes.has(class) && self.findings.0.iter().all(|one| one.class != class || one.score < score)
    }

    pub(super) fn add(&mut self, class: Class, rule: &'static str, score: u8) {
        if self.classes.has(class) {
            self.findings.add(class, rule, score);
        }
    }
}
