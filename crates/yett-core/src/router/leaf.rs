//! The routes of one template: method, header and query conditions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Sight, Wanted};
use crate::exchange::{Method, RouteIndex};
use crate::ir;
use crate::path::query_values;

/// What the routes of a template say.
#[derive(Debug)]
pub(super) enum Choice {
    Route(RouteIndex),
    Method(Arc<str>),
    Condition,
    /// A condition reads a field or parameter of which services could read another value.
    Ambiguous(Source),
}

/// Where a condition reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A header field.
    Header,
    /// A parameter of the query.
    Query,
}

/// The routes of one template, the most precise first.
#[derive(Debug)]
pub(super) struct Leaf {
    entries: Vec<Entry>,
    /// The value of `Allow`.
    allow: Arc<str>,
}

impl Default for Leaf {
    fn default() -> Self {
        Self { entries: Vec::new(), allow: "".into() }
    }
}

#[derive(Debug)]
struct Entry {
    route: RouteIndex,
    /// Shows in no `Allow`, and in no other answer than that of a path that is not there.
    hidden: bool,
    methods: Methods,
    headers: BTreeMap<Box<str>, Box<str>>,
    query: BTreeMap<Box<str>, Box<str>>,
}

/// A set of methods: one bit for each that has a name of its own in [`Method`].
#[derive(Debug, Default)]
struct Methods {
    known: u16,
    others: Vec<Box<str>>,
}

impl Methods {
    fn of(names: &[String]) -> Result<Self, String> {
        let mut set = Self::default();
        for name in names {
            match Method::parse(name.as_bytes()) {
                None | Some(Method::Connect | Method::Trace) => {
                    return Err(format!("the method `{name}` cannot be routed"));
                }
                Some(Method::Other(other)) => set.others.push(other),
                Some(Method::Get) => set.known |= bit(&Method::Get) | bit(&Method::Head),
                Some(method) => set.known |= bit(&method),
            }
        }
        if set.known == 0 && set.others.is_empty() {
            return Err("a route needs at least one method".to_owned());
        }
        Ok(set)
    }

    fn contains(&self, method: &Method) -> bool {
        match method {
            Method::Other(name) => self.others.contains(name),
            known => self.known & bit(known) != 0,
        }
    }

    fn meets(&self, other: &Self) -> bool {
        self.known & other.known != 0 || self.others.iter().any(|m| other.others.contains(m))
    }
}

const fn bit(method: &Method) -> u16 {
    match method {
        Method::Get => 1,
        Method::Head => 2,
        Method::Post => 4,
        Method::Put => 8,
        Method::Patch => 16,
        Method::Delete => 32,
        Method::Options => 64,
        Method::Trace => 128,
        Method::Connect => 256,
        Method::Other(_) => 0,
    }
}

const NAMED: [Method; 7] = [Method::Delete, Method::Get, Method::Head, Method::Options, Method::Patch, Method::Post, Method::Put];

impl Leaf {
    pub(super) fn is_empty(&self, sight: Sight) -> bool {
        self.seen(sight).next().is_none()
    }

    pub(super) fn insert<'n>(
        &mut self,
        route: RouteIndex,
        matches: &ir::Match,
        hidden: bool,
        name_of: impl Fn(RouteIndex) -> &'n str,
    ) -> Result<(), String> {
        let boxed = |map: &BTreeMap<String, String>| map.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect();
        let entry = Entry {
            route,
            hidden,
            methods: Methods::of(&matches.methods)?,
            headers: boxed(&matches.headers),
            query: boxed(&matches.query),
        };
        if let Some(twin) = self.entries.iter().find(|other| other.is_ambiguous_with(&entry)) {
            return Err(format!(
                "`{}` and `{}` could both take the same request with equal precedence: give one of them another path, \
                 method, header or query condition",
                name_of(twin.route),
                name_of(route)
            ));
        }
        self.entries.push(entry);
        self.entries.sort_by_key(|e| std::cmp::Reverse(e.precedence()));
        self.allow = self.methods().into();
        Ok(())
    }

    fn methods(&self) -> String {
        let named = NAMED.iter().filter(|m| self.shown().any(|e| e.methods.contains(m))).map(Method::as_str);
        let mut names: Vec<&str> = named.collect();
        names.extend(self.shown().flat_map(|e| e.methods.others.iter().map(|m| &**m)));
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }

    fn shown(&self) -> impl Iterator<Item = &Entry> {
        self.seen(Sight::Shown)
    }

    fn seen(&self, sight: Sight) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| sight == Sight::All || !entry.hidden)
    }

    pub(super) fn choose(&self, wanted: Wanted<'_>, sight: Sight) -> Choice {
        let mut method_is_there = false;
        for entry in self.seen(sight).filter(|e| e.methods.contains(wanted.method)) {
            method_is_there = true;
            if let Some(recorded) = wanted.recorded {
                entry.headers.keys().for_each(|name| recorded.listed(name));
                entry.query.keys().for_each(|name| recorded.parameter(name));
            }
            // Never on to a laxer route with what the service may read as the stricter one's (CVE-2026-31838).
            if let Some(source) = entry.is_unclear(wanted) {
                return if entry.hidden { Choice::Condition } else { Choice::Ambiguous(source) };
            }
            if entry.conditions_hold(wanted) {
                return Choice::Route(entry.route);
            }
        }
        if method_is_there || self.allow.is_empty() { Choice::Condition } else { Choice::Method(Arc::clone(&self.allow)) }
    }
}

impl Entry {
    /// Gateway API: more header conditions first, then more query conditions.
    fn precedence(&self) -> (usize, usize) {
        (self.headers.len(), self.query.len())
    }

    fn is_ambiguous_with(&self, other: &Self) -> bool {
        let apart = |a: &BTreeMap<Box<str>, Box<str>>, b: &BTreeMap<Box<str>, Box<str>>| {
            a.iter().any(|(name, value)| b.get(name).is_some_and(|v| v != value))
        };
        self.precedence() == other.precedence()
            && self.methods.meets(&other.methods)
            && !apart(&self.headers, &other.headers)
            && !apart(&self.query, &other.query)
    }

    /// Whether what a condition reads stands twice, or is a list with the wanted value in it: which one a service takes
    /// is unknown.
    fn is_unclear(&self, wanted: Wanted<'_>) -> Option<Source> {
        let header = |(name, value): (&str, &str)| {
            let mut values = wanted.headers.named(name.as_bytes());
            let first = values.next();
            let listed = |text: &[u8]| {
                text.contains(&b',')
                    && text != value.as_bytes()
                    && text.split(|b| *b == b',').any(|item| item.trim_ascii() == value.as_bytes())
            };
            values.next().is_some() || first.is_some_and(listed)
        };
        if self.headers.iter().any(|(name, value)| header((name, value))) {
            return Some(Source::Header);
        }
        let twice = |name: &str| query_values(wanted.query, name).nth(1).is_some();
        self.query.iter().any(|(name, _)| twice(name)).then_some(Source::Query)
    }

    /// Asked after `is_unclear`; a header or parameter that stands twice would hold no condition here either.
    fn conditions_hold(&self, wanted: Wanted<'_>) -> bool {
        let header = |name: &str, value: &str| {
            let mut values = wanted.headers.named(name.as_bytes());
            values.next() == Some(value.as_bytes()) && values.next().is_none()
        };
        let query = |name: &str, value: &str| {
            let mut values = query_values(wanted.query, name);
            values.next() == Some(Some(value.to_owned())) && values.next().is_none()
        };
        self.headers.iter().all(|(name, value)| header(name, value)) && self.query.iter().all(|(name, value)| query(name, value))
    }
}
