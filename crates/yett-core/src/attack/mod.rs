//! Finds attacks in values: injection, traversal, forged requests to internal hosts, scanner probes.
//!
//! A second net, never the first: what a value may be is said by a schema. Each value is judged by itself, as it came and as
//! it reads once it is decoded, up to three times. What decides is whether a value *leaves its place* (a quote that ends, a
//! tag that opens, a command behind a separator), not whether it holds words that attacks hold as well.
//!
//! Everything is linear in the bytes of a value: one search for literals, then only the expressions that one of them belongs
//! to (without look-around and back-references), and readers of tokens that stop after a bounded number.

mod address;
mod base64;
mod class;
#[cfg(test)]
mod corpus;
mod filter;
mod ldap;
mod rules;
mod shell;
mod sql;
mod sql_tokens;
#[cfg(test)]
mod tests;
mod view;

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use regex::bytes::{Regex, RegexBuilder};

pub use class::{Class, Classes, Finding, Kind};
use filter::Filter;
use rules::{Rule, rules};

/// Bytes of a compiled expression, and of what it remembers while it runs, for each thread.
const EXPRESSION_BYTES: usize = 512 * 1024;

/// What finds attacks; one for a process, built when the first configuration asks for it.
#[derive(Debug)]
pub struct Engine {
    literals: AhoCorasick,
    /// Which rules a literal belongs to.
    of_literal: Box<[Set]>,
    rules: Box<[Compiled]>,
}

#[derive(Debug)]
struct Compiled {
    rule: Rule,
    expression: Regex,
}

/// Places in the list of rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Set([u64; 4]);

impl Set {
    const MAX: usize = 256;

    fn add(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    fn join(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own |= other);
    }

    fn indices(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(place, mut word)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                word &= word.wrapping_sub(1);
                (bit < 64).then_some(place * 64 + bit)
            })
        })
    }
}

/// Where findings of one value go: the one of the highest score of each class.
#[derive(Debug, Default)]
pub struct Findings(pub smallvec::SmallVec<[Finding; 4]>);

impl Findings {
    fn add(&mut self, class: Class, rule: &'static str, score: u8) {
        match self.0.iter_mut().find(|one| one.class == class) {
            Some(one) if one.score < score => *one = Finding { class, rule, score },
            Some(_) => {}
            None => self.0.push(Finding { class, rule, score }),
        }
    }
}

impl Engine {
    /// Compiles the rules.
    ///
    /// # Errors
    /// A rule that is none: a bug, which tests find.
    pub fn build() -> Result<Self, String> {
        let all = rules();
        if all.len() > Set::MAX {
            return Err("there are too many rules".to_owned());
        }
        let (mut names, mut of_literal): (Vec<&'static str>, Vec<Set>) = Default::default();
        let mut compiled = Vec::with_capacity(all.len());
        for (index, rule) in all.into_iter().enumerate() {
            for literal in rule.literals {
                let place = names.iter().position(|known| known == literal).unwrap_or_else(|| {
                    names.push(literal);
                    of_literal.push(Set::default());
                    names.len() - 1
                });
                if let Some(set) = of_literal.get_mut(place) {
                    set.add(index);
                }
            }
            let expression = RegexBuilder::new(&rule.pattern)
                .unicode(false)
                .dot_matches_new_line(true)
                .size_limit(EXPRESSION_BYTES)
                .dfa_size_limit(EXPRESSION_BYTES)
                .build()
                .map_err(|error| format!("the rule `{}`: {error}", rule.id))?;
            compiled.push(Compiled { rule, expression });
        }
        let literals = AhoCorasick::new(&names).map_err(|error| error.to_string())?;
        Ok(Self { literals, of_literal: of_literal.into(), rules: compiled.into() })
    }

    /// The one of this process.
    ///
    /// # Errors
    /// See [`Engine::build`].
    pub fn shared() -> Result<&'static Self, String> {
        static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
        ENGINE.get_or_init(Self::build).as_ref().map_err(Clone::clone)
    }

    /// What there is in a value of this kind.
    pub fn examine(&self, value: &[u8], kind: Kind, classes: Classes, findings: &mut Findings) {
        // A word: no quote, blank or separator, and too short for an object.
        if kind == Kind::Value && value.len() < base64::FEWEST && view::is_word(value) {
            return;
        }
        // Words of which only SQL could be made, or an object that is written as one.
        let several = value.len() < base64::FEWEST || memchr::memchr2(b' ', b',', value).is_some();
        if kind == Kind::Value && several && view::is_words(value) {
            return sql::examine(&view::begin(value), &mut Filter { classes, findings });
        }
        self.piece(value, kind, classes, findings);
    }

    fn piece(&self, value: &[u8], kind: Kind, classes: Classes, findings: &mut Findings) {
        self.readings(value, kind, classes, findings);
        if let Some(inner) = base64::decoded(value) {
            if let Some(rule) = base64::marker(&inner)
                && classes.has(Class::Deserialisation)
            {
                findings.add(Class::Deserialisation, rule, 5);
            }
            if base64::is_text(&inner) {
                self.readings(&inner, kind, classes, findings);
            }
        }
    }

    /// As it came, and each time that it is decoded.
    fn readings(&self, value: &[u8], kind: Kind, classes: Classes, findings: &mut Findings) {
        let mut text = view::begin(value);
        for round in 0..=view::ROUNDS {
            self.view(&text, kind, Filter { classes, findings });
            match view::decode(&text) {
                Some(next) if round < view::ROUNDS => text = next,
                _ => return,
            }
        }
    }

    fn view(&self, text: &[u8], kind: Kind, mut filter: Filter<'_>) {
        let mut asked = Set::default();
        for found in self.literals.find_overlapping_iter(text) {
            asked.join(self.of_literal.get(found.pattern().as_usize()).copied().unwrap_or_default());
        }
        for one in asked.indices().filter_map(|index| self.rules.get(index)) {
            let rule = &one.rule;
            if rule.kinds.contains(&kind) && filter.wants(rule.class, rule.score) && one.expression.is_match(text) {
                filter.add(rule.class, rule.id, rule.score);
            }
        }
        if !matches!(kind, Kind::Value | Kind::File | Kind::Referer | Kind::Agent) {
            return;
        }
        // `java` and `script` on two lines are one word to a browser, and so are the halves around a NUL.
        if text.iter().any(u8::is_ascii_control) && memchr::memchr2(b'<', b':', text).is_some() {
            let joined: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_control()).collect();
            self.run(&joined, Class::Xss, &mut filter);
        }
        sql::examine(text, &mut filter);
        ldap::examine(text, &mut filter);
        if let Some(joined) = shell::joined(text) {
            self.run(&joined, Class::Command, &mut filter);
        }
        address::examine(text, kind, &mut filter);
    }

    /// All expressions of a class, for a text that was put together.
    fn run(&self, text: &[u8], class: Class, filter: &mut Filter<'_>) {
        for one in self.rules.iter().filter(|one| one.rule.class == class) {
            if filter.wants(class, one.rule.score) && one.expression.is_match(text) {
                filter.add(class, one.rule.id, one.rule.score);
            }
        }
    }
}
