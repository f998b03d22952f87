//! What a replay counts. Everything in it is bounded; what does not fit is counted by itself.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::callers::Callers;
use super::record::{Decided, Line};
use super::replay::Outcome;

/// Groups of flips, and kinds of what is undecidable, that are told apart.
const GROUPS: usize = 10_000;
/// Examples of a group.
const EXAMPLES: usize = 3;
/// Damaged lines that are shown.
const DAMAGED: usize = 100;

/// Everything that was counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Lines that were read.
    pub(super) lines: u64,
    allowed: u64,
    denied: u64,
    /// Refused then and now, for another reason.
    otherwise: u64,
    flips: [u64; 2],
    undecidable: u64,
    damaged: u64,
    /// Let in, and ended by a limit, by validation or by a service.
    ended: u64,
    groups: HashMap<Key, Group>,
    why: HashMap<String, (u64, u64)>,
    faults: Vec<(u64, String)>,
    /// Flips and reasons that no group had room for.
    uncounted: u64,
    first: Option<String>,
    last: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    before: Decided,
    route: Option<Box<str>>,
    now_route: Option<Box<str>>,
    caller: Box<str>,
    reason: &'static str,
    rule: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct Group {
    count: u64,
    /// Why it was refused then, or is now.
    before: Option<Box<str>>,
    examples: Vec<Value>,
}

impl Tally {
    pub(super) fn damaged(&mut self, what: String) {
        self.damaged += 1;
        if self.faults.len() < DAMAGED {
            self.faults.push((self.lines, what));
        }
    }

    pub(super) fn count(&mut self, line: &Line<'_>, outcome: Outcome, route: Option<&str>, callers: &Callers) {
        let (reason, rule) = match outcome {
            Outcome::Damaged(what) => return self.damaged(what),
            Outcome::Undecidable(why) => {
                self.undecidable += 1;
                let lines = self.lines;
                if self.why.len() < GROUPS || self.why.contains_key(&why) {
                    self.why.entry(why).or_insert((0, lines)).0 += 1;
                } else {
                    self.uncounted += 1;
                }
                return self.span(line);
            }
            Outcome::Allow => ("", None),
            Outcome::Deny { reason, rule } => (reason.code(), rule),
        };
        self.span(line);
        self.ended += u64::from(line.ended.is_some());
        match (line.decision, reason) {
            (Decided::Allow, "") => self.allowed += 1,
            (Decided::Deny, code) if !code.is_empty() => {
                self.denied += 1;
                self.otherwise += u64::from(line.reason.as_deref() != Some(code));
            }
            (before, reason) => self.flip(line, before, reason, rule, route, callers),
        }
    }

    fn span(&mut self, line: &Line<'_>) {
        if self.first.as_deref().is_none_or(|first| *line.time < *first) {
            (*line.time).clone_into(self.first.get_or_insert_default());
        }
        if self.last.as_deref().is_none_or(|last| *line.time > *last) {
            (*line.time).clone_into(self.last.get_or_insert_default());
        }
    }

    fn flip(
        &mut self,
        line: &Line<'_>,
        before: Decided,
        reason: &'static str,
        rule: Option<Arc<str>>,
        route: Option<&str>,
        callers: &Callers,
    ) {
        if let Some(count) = self.flips.get_mut(usize::from(before == Decided::Deny)) {
            *count += 1;
        }
        let key = Key {
            before,
            route: line.route.as_deref().map(Into::into),
            now_route: route.map(Into::into),
            caller: callers.label.clone(),
            reason,
            rule,
        };
        if self.groups.len() >= GROUPS && !self.groups.contains_key(&key) {
            self.uncounted += 1;
            return;
        }
        let group = self.groups.entry(key).or_default();
        group.count += 1;
        if group.examples.len() < EXAMPLES {
            group.before = line.reason.as_deref().map(Into::into);
            group.examples.push(json!({
                "line": self.lines,
                "time": &*line.time,
                "request_id": line.request_id.as_deref(),
                "method": &*line.method,
                "host": &*line.host,
                "path": line.path.as_deref(),
            }));
        }
    }

    pub(super) fn document(&self, revision: &str) -> Value {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by(|(one, a), (other, b)| {
            let by = |key: &Key| (key.before == Decided::Allow, key.route.clone(), key.now_route.clone(), key.caller.clone());
            b.count.cmp(&a.count).then_with(|| by(one).cmp(&by(other)))
        });
        let mut why: Vec<_> = self.why.iter().collect();
        why.sort_by(|(one, (a, _)), (other, (b, _))| b.cmp(a).then_with(|| one.cmp(other)));
        let [closed, opened] = self.flips;
        json!({
            "revision": revision,
            "lines": self.lines,
            "from": self.first,
            "to": self.last,
            "same": {"allow": self.allowed, "deny": self.denied, "other_reason": self.otherwise},
            "flips": {"allow_to_deny": closed, "deny_to_allow": opened},
            "undecidable": self.undecidable,
            "damaged": self.damaged,
            "ended": self.ended,
            "not_grouped": self.uncounted,
            "groups": groups.iter().map(|(key, group)| json!({
                "flip": if key.before == Decided::Allow { "allow_to_deny" } else { "deny_to_allow" },
                "route": key.route,
                "route_now": key.now_route,
                "caller": key.caller,
                "reason": if key.reason.is_empty() { group.before.as_deref() } else { Some(key.reason) },
                "rule": key.rule.as_deref(),
                "count": group.count,
                "examples": group.examples,
            })).collect::<Vec<_>>(),
            "why": why.iter().map(|(what, (count, line))| json!({"lacks": what, "count": count, "line": line})).collect::<Vec<_>>(),
            "damage": self.faults.iter().map(|(line, what)| json!({"line": line, "what": what})).collect::<Vec<_>>(),
        })
    }
}
