//! Attacks that are looked for in requests: refused, or reported. A second net behind `request_validation`, never the first.

mod walk;

use std::sync::Arc;

use smallvec::SmallVec;

use self::walk::{Reading, Site};
use crate::attack::{Class, Classes, Engine, Finding, Findings, Kind};
use crate::body::{FieldError, Place};
use crate::exchange::{Exchange, Framing, Refusal, Upgrade};
use crate::filters::request_validation::Rejected;
use crate::ir::{self, AttackPlace};
use crate::reason::Reason;
use crate::shared::Counter;

/// Findings of one request that are kept.
const MOST: usize = 8;
/// Exceptions of one route.
const MAX_EXCEPTIONS: usize = 100;

/// What is looked for, and what becomes of it.
#[derive(Debug)]
pub struct AttackFilter {
    engine: &'static Engine,
    enforce: bool,
    threshold: u8,
    classes: Classes,
    exceptions: Box<[Exception]>,
    examined: usize,
    beyond_passes: bool,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Exception {
    place: AttackPlace,
    name: Box<str>,
    classes: Classes,
}

/// What looked like an attack, and where.
#[derive(Debug, Clone)]
pub struct Suspected {
    /// What.
    pub finding: Finding,
    /// Where.
    pub place: Place,
}

impl Suspected {
    /// As a part of the request that is wrong; never with what it was.
    #[must_use]
    pub fn error(&self) -> FieldError {
        let Finding { class, rule, score } = self.finding;
        let detail = format!("looks like an attack of class `{}` (rule `{rule}`, score {score})", class.code());
        FieldError { place: self.place.clone(), detail: detail.into() }
    }
}

/// What a request came to.
#[derive(Debug)]
pub struct Suspicion {
    /// What looked like an attack.
    pub found: SmallVec<[Suspected; 1]>,
    /// Why not all of it could be looked at.
    pub undecided: Option<&'static str>,
    enforce: bool,
    counts: Arc<Counts>,
}

impl Suspicion {
    /// Counts it, each class once.
    pub fn count(&self) {
        for class in Class::ALL {
            if self.found.iter().any(|one| one.finding.class == class) {
                self.counts.add(self.enforce, class as usize);
            }
        }
        if self.undecided.is_some() {
            self.counts.add(self.enforce, UNDECIDED);
        }
    }
}

const UNDECIDED: usize = Class::ALL.len();
/// Bytes that a value counts for at least: a short one takes as long.
const LEAST: usize = 16;

/// How many requests looked like attacks: refused, and reported only; by class, and those that could not be looked through.
#[derive(Debug, Default)]
pub struct Counts([[Counter; UNDECIDED + 1]; 2]);

impl Counts {
    fn add(&self, enforced: bool, place: usize) {
        if let Some(counter) = self.0.get(usize::from(enforced)).and_then(|of| of.get(place)) {
            counter.increment();
        }
    }

    /// Outcome, class and count of each.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let names = || Class::ALL.iter().map(|class| class.code()).chain(["undecided"]);
        let of = move |(outcome, counters): (&'static str, &'_ [Counter; UNDECIDED + 1])| {
            let counts: Vec<u64> = counters.iter().map(Counter::get).collect();
            names().zip(counts).map(move |(name, count)| (outcome, name, count))
        };
        ["reported", "refused"].into_iter().zip(&self.0).flat_map(of)
    }
}

impl AttackFilter {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub fn build(spec: &ir::AttackFilter, counts: &Arc<Counts>) -> Result<Self, String> {
        if !(1..=5).contains(&spec.threshold) {
            return Err("`threshold` has to be between 1 and 5".to_owned());
        }
        if spec.classes.is_empty() || spec.exceptions.iter().any(|one| one.classes.is_empty()) {
            return Err("at least one class has to be named".to_owned());
        }
        if spec.exceptions.len() > MAX_EXCEPTIONS {
            return Err(format!("there may be at most {MAX_EXCEPTIONS} exceptions"));
        }
        let exception = |one: &ir::AttackException| {
            let name = if one.place == AttackPlace::Header { one.name.to_ascii_lowercase() } else { one.name.clone() };
            Exception { place: one.place, name: name.into(), classes: Classes::of(&one.classes) }
        };
        Ok(Self {
            engine: Engine::shared()?,
            enforce: spec.enforce,
            threshold: spec.threshold,
            classes: Classes::of(&spec.classes),
            exceptions: spec.exceptions.iter().map(exception).collect(),
            examined: usize::try_from(spec.examined).unwrap_or(usize::MAX),
            beyond_passes: spec.beyond_passes,
            counts: Arc::clone(counts),
        })
    }

    /// Whether there is a body that is looked at, by the head alone.
    #[must_use]
    pub fn reads_body(&self, exchange: &Exchange) -> bool {
        let empty = exchange.body.is_none() && exchange.request.framing == Framing::Empty;
        !empty && exchange.upgrade != Upgrade::Taken && walk::is_read(exchange)
    }

    /// Looks through a request whose body, where it is one that is read, is held.
    ///
    /// # Errors
    /// What was found, or why it could not be looked through, where that refuses.
    pub fn judge(&self, exchange: &mut Exchange) -> Result<(), Box<Rejected>> {
        let mut search = Search { filter: self, left: self.examined, found: SmallVec::new(), undecided: None };
        walk::head(exchange, &mut search);
        if self.reads_body(exchange) {
            walk::body(exchange, &mut search);
        }
        let Search { found, undecided, .. } = search;
        if found.is_empty() && undecided.is_none() {
            return Ok(());
        }
        let rule = found.first().map(|one| one.finding.rule);
        let errors: Vec<FieldError> = found.iter().map(Suspected::error).collect();
        let counts = Arc::clone(&self.counts);
        exchange.attack = Some(Box::new(Suspicion { found, undecided, enforce: self.enforce, counts }));
        if !self.enforce {
            return Ok(());
        }
        let refusal = match (rule, undecided) {
            (Some(rule), _) => Refusal { rule: Some(rule.into()), ..Reason::AttackSuspected.into() },
            (None, why) => Refusal { detail: why.map(Into::into), ..Reason::AttackUndecided.into() },
        };
        Err(Box::new(Rejected { refusal, errors }))
    }
}

/// A request that is being looked through.
struct Search<'f> {
    filter: &'f AttackFilter,
    left: usize,
    found: SmallVec<[Suspected; 1]>,
    undecided: Option<&'static str>,
}

impl Reading for Search<'_> {
    fn value(&mut self, value: &[u8], kind: Kind, site: &Site<'_>) {
        let filter = self.filter;
        let value = match value.get(..self.left) {
            Some(first) if value.len() > self.left => {
                self.undecided("there is more of it than is looked through");
                first
            }
            _ => value,
        };
        self.left = self.left.saturating_sub(value.len().max(LEAST));
        if value.is_empty() || self.found.len() >= MOST {
            return;
        }
        let mut findings = Findings::default();
        filter.engine.examine(value, kind, filter.classes, &mut findings);
        findings.0.retain(|one| one.score >= filter.threshold);
        if findings.0.is_empty() {
            return;
        }
        let place = site.place();
        for finding in findings.0 {
            if self.found.len() < MOST && !self.excepted(&place, site.part(), finding, value) {
                self.found.push(Suspected { finding, place: place.clone() });
            }
        }
    }

    fn undecided(&mut self, why: &'static str) {
        if !self.filter.beyond_passes {
            self.undecided.get_or_insert(why);
        }
    }
}

impl Search<'_> {
    fn excepted(&self, place: &Place, part: AttackPlace, finding: Finding, value: &[u8]) -> bool {
        let name = match place {
            Place::Body(name) | Place::Parameter(_, name) => &**name,
        };
        let own = self.filter.exceptions.iter().any(|one| {
            one.place == part
                && one.classes.has(finding.class)
                && if part == AttackPlace::Body { fits(&one.name, name) } else { *one.name == *name }
        });
        own || (is_redirect(name, finding) && is_loopback(value))
    }
}

/// A URL of the machine that asks, and of nothing beside it.
fn is_loopback(value: &[u8]) -> bool {
    let hosts = [&b"http://127.0.0.1"[..], b"http://[::1]", b"http://localhost"];
    let rest = hosts.iter().find_map(|host| {
        let (start, rest) = value.split_at_checked(host.len())?;
        start.eq_ignore_ascii_case(host).then_some(rest)
    });
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b':' | b'/')) && !rest.contains(&b'@'))
}

/// Programs on a person's machine are sent back to themselves (RFC 8252 section 7.3).
fn is_redirect(name: &str, finding: Finding) -> bool {
    let name = name.rsplit('/').find(|step| !step.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or(name);
    matches!(finding.rule, "ssrf-internal-address" | "ssrf-internal-host")
        && matches!(name, "redirect_uri" | "redirect_uris" | "post_logout_redirect_uri" | "post_logout_redirect_uris")
}

/// Whether a JSON Pointer is the one that is named, where `*` is any step.
fn fits(named: &str, pointer: &str) -> bool {
    let (mut named, mut steps) = (named.split('/'), pointer.split('/'));
    loop {
        match (named.next(), steps.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests;
