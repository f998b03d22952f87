//! Rules in shadow: judged as enforced ones are, after them, on requests that were allowed so far; reported, never enforced.
//!
//! They stand in a list of their own from the document on, so that nothing that enforces ever sees one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use smallvec::SmallVec;

use super::body::BodyField;
use super::condition::Readable;
use super::rule::Rule;
use super::{Ask, Policy};
use crate::exchange::{Exchange, Now, Refusal};
use crate::ir;
use crate::reason::Reason;
use crate::shared::Counter;

/// The rules of a route that are tried out.
#[derive(Debug)]
pub struct Shadow {
    deny: Box<[Tried]>,
    rules: Box<[Tried]>,
}

/// A rule and what came of it.
#[derive(Debug)]
struct Tried {
    rule: Rule,
    record: Arc<Record>,
}

/// What a rule would have done to one request.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The rule's counts.
    pub record: Arc<Record>,
    /// What it would have done.
    pub outcome: Outcome,
}

/// What a rule would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It would have agreed.
    Allow,
    /// It would have refused, with this reason.
    Deny(Reason),
    /// It could not be decided, and would have refused for that.
    Error(Reason),
}

impl Outcome {
    pub(in crate::filters) fn of(result: Result<(), Refusal>) -> Self {
        match result {
            Ok(()) => Self::Allow,
            Err(refusal) if matches!(refusal.reason, Reason::PolicyError | Reason::LimitUndecided) => Self::Error(refusal.reason),
            Err(refusal) => Self::Deny(refusal.reason),
        }
    }

    /// As it is counted and logged.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny(_) => "deny",
            Self::Error(_) => "error",
        }
    }

    /// The reason of the refusal that it would have been.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Allow => None,
            Self::Deny(reason) | Self::Error(reason) => Some(reason),
        }
    }
}

/// What came of one rule or limit on one route; for the whole process.
#[derive(Debug)]
pub struct Record {
    /// Name of the route; empty where it is a listener's.
    pub route: Box<str>,
    /// Where the rule stands, as in a refusal of an enforced one.
    pub source: Box<str>,
    allowed: Counter,
    denied: Counter,
    failed: Counter,
}

impl Record {
    /// Counts one request.
    pub fn count(&self, outcome: Outcome) {
        match outcome {
            Outcome::Allow => self.allowed.increment(),
            Outcome::Deny(_) => self.denied.increment(),
            Outcome::Error(_) => self.failed.increment(),
        }
    }

    /// Requests by outcome.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        [("allow", self.allowed.get()), ("deny", self.denied.get()), ("error", self.failed.get())]
    }
}

/// Route and source.
type Place = (Box<str>, Box<str>);

/// Every rule in shadow of the process, by place: counts outlive a reload.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<Place, Weak<Record>>>);

impl Registry {
    pub(in crate::filters) fn of(&self, route: &str, source: &str) -> Arc<Record> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key: Place = (route.into(), source.into());
        if let Some(known) = all.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, record| record.strong_count() > 0);
        let record = Arc::new(Record {
            route: route.into(),
            source: source.into(),
            allowed: Counter::default(),
            denied: Counter::default(),
            failed: Counter::default(),
        });
        all.insert(key, Arc::downgrade(&record));
        record
    }

    /// Those in use, by route and source.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect()
    }
}

impl Shadow {
    fn tried(&self) -> impl Iterator<Item = &Rule> {
        self.deny.iter().chain(&self.rules).map(|tried| &tried.rule)
    }

    /// Parameters of the query that its rules read.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.tried().flat_map(Rule::parameters)
    }

    /// Fields of the body that its rules read.
    pub fn body_fields(&self) -> impl Iterator<Item = &BodyField> {
        self.tried().flat_map(Rule::body_fields)
    }

    /// Fields of requests that its rules read, lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.tried().flat_map(Rule::headers)
    }

    /// Compiles the rules of a route.
    ///
    /// # Errors
    /// Each rule that cannot be compiled: its place below the route, and what is wrong.
    pub fn build(
        spec: &ir::Shadow,
        route: &str,
        readable: &Readable,
        registry: &Registry,
    ) -> Result<Self, Vec<(String, String)>> {
        let mut errors = Vec::new();
        let mut all = |kind: &str, specs: &[ir::AuthorizeRule]| -> Box<[Tried]> {
            let built = specs.iter().enumerate().filter_map(|(at, spec)| match Rule::build(spec, readable) {
                Ok(rule) => Some(Tried { rule, record: registry.of(route, &spec.source) }),
                Err(message) => {
                    errors.push((format!("shadow/{kind}/{at}"), message));
                    None
                }
            });
            built.collect()
        };
        let (deny, rules) = (all("deny", &spec.deny), all("rules", &spec.rules));
        if errors.is_empty() { Ok(Self { deny, rules }) } else { Err(errors) }
    }

    /// Whether one of them is decided on the validated body.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.deny.iter().chain(&self.rules).any(|tried| tried.rule.reads_body())
    }

    /// Judges each by itself, and leaves what it would have done: those that read the validated body, or the others.
    pub fn judge(&self, policy: &Policy, exchange: &mut Exchange, now: Now, body: bool) {
        let Some(principal) = exchange.principal.as_deref() else { return };
        let ask = Ask { principal, exchange, route: &policy.route, now };
        let due = |tried: &&Tried| tried.rule.reads_body() == body;
        let deny = self.deny.iter().filter(due).map(|tried| {
            let result = tried.rule.deny(&ask).and_then(|()| tried.rule.deny_body(&ask));
            (&tried.record, result)
        });
        let rules = self.rules.iter().filter(due).map(|tried| {
            let result = tried.rule.permit(&ask).and_then(|()| tried.rule.permit_body(&ask));
            (&tried.record, result)
        });
        let verdicts: SmallVec<[Verdict; 4]> = deny
            .chain(rules)
            .map(|(record, result)| Verdict { record: Arc::clone(record), outcome: Outcome::of(result) })
            .collect();
        exchange.shadow.extend(verdicts);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::super::tests::{NOW, exchange, user};
    use super::*;

    fn rule(source: &str, when: &str) -> ir::AuthorizeRule {
        ir::AuthorizeRule { source: source.into(), when: Some(when.into()), ..ir::AuthorizeRule::default() }
    }

    #[test]
    fn each_rule_is_judged_by_itself() {
        let spec = ir::Shadow {
            deny: vec![rule("a", "principal.subject == 'ann'"), rule("b", "1 / 0 == 1"), rule("c", "principal.subject == 'bob'")],
            rules: vec![
                rule("d", "principal.subject == 'bob'"),
                rule("e", "1 / 0 == 1"),
                rule("f", "principal.subject == 'ann'"),
            ],
        };
        let registry = Registry::default();
        let shadow = Shadow::build(&spec, "route", &Readable::default(), &registry).unwrap();
        let mut exchange = exchange();
        shadow.judge(&Policy::default(), &mut exchange, NOW, false);
        assert!(exchange.shadow.is_empty(), "nobody was verified");
        exchange.principal = Some(Rc::new(user()));
        shadow.judge(&Policy::default(), &mut exchange, NOW, true);
        assert!(exchange.shadow.is_empty(), "none reads the body");
        shadow.judge(&Policy::default(), &mut exchange, NOW, false);
        let found: Vec<_> = exchange.shadow.iter().map(|one| (&*one.record.source, one.outcome)).collect();
        let (denied, failed) = (Outcome::Deny(Reason::PolicyDenied), Outcome::Error(Reason::PolicyError));
        let allowed = Outcome::Allow;
        assert_eq!(found, [("a", denied), ("b", failed), ("c", allowed), ("d", denied), ("e", failed), ("f", allowed)]);
        exchange.reset();
        assert!(exchange.shadow.is_empty());
    }

    #[test]
    fn counts_outlive_a_reload_and_no_more() {
        let registry = Registry::default();
        let first = registry.of("route", "group g");
        first.count(Outcome::Deny(Reason::ScopeMissing));
        first.count(Outcome::Error(Reason::PolicyError));
        let (again, other) = (registry.of("route", "group g"), registry.of("other", "group g"));
        drop(first);
        assert_eq!(again.counts(), [("allow", 0), ("deny", 1), ("error", 1)]);
        assert_eq!(other.counts(), [("allow", 0), ("deny", 0), ("error", 0)]);
        drop((again, other));
        assert!(registry.all().is_empty());
    }
}
