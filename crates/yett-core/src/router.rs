//! Host, path template, method, header and query matching.
//!
//! The most precise wins, and what it says is final: the exact host before the longest `*.` wildcard before `any`; in
//! a path, segment by segment, the literal before the variable before `{rest...}`. Only a host without any template
//! for the path hands over to a less precise one, so that a catch-all never answers for a path that a more precise
//! host knows, and a method that it lacks is 405 there. Among the routes of one template, more conditions on headers,
//! then on the query, win. Two that could both take a request with equal precedence do not load.

mod leaf;
mod tree;

use std::collections::HashMap;
use std::sync::Arc;

use crate::decisions::Recorded;
use crate::exchange::{Method, RouteIndex, Variables};
use crate::headers::Headers;
use crate::ir;
use crate::path::CanonicalPath;
use crate::snapshot::LoadError;
pub use leaf::Source;
use tree::{Found, Tree};

pub(crate) use tree::variable_names;

/// What matching found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// This route.
    Found(RouteIndex),
    /// The path is there, the method is not: the value of `Allow`.
    MethodNotAllowed(Arc<str>),
    /// A condition reads something of which a service could read another value: refuse.
    Ambiguous(Source),
    /// Nothing.
    NotFound,
}

/// The parts of a request that matching reads.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Host without port, lower case, no trailing dot.
    pub host: &'a str,
    /// Canonical path.
    pub path: &'a CanonicalPath,
    /// Method.
    pub method: &'a Method,
    /// Fields as they came.
    pub headers: &'a Headers,
    /// Query without `?`.
    pub query: &'a [u8],
    /// What is known of a recorded request.
    pub recorded: Option<&'a Recorded>,
}

/// Which routes matching sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    All,
    /// Those that are not hidden.
    Shown,
}

/// The routes of all listeners.
#[derive(Debug, Default)]
pub struct Router {
    listeners: Vec<(Arc<str>, Hosts)>,
}

/// The routes of one listener, by host.
#[derive(Debug, Default)]
struct Hosts {
    exact: HashMap<Box<str>, Tree>,
    /// By what follows `*.`.
    wildcards: HashMap<Box<str>, Tree>,
    any: Option<Tree>,
}

impl Router {
    /// Sorts routes into listeners, hosts and templates. `routes` keep their indices.
    ///
    /// # Errors
    /// Every template that cannot be read and every pair of routes of equal precedence.
    pub fn build(routes: &[ir::Route]) -> Result<Self, Vec<LoadError>> {
        let mut router = Self::default();
        let mut errors = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            let Ok(number) = RouteIndex::try_from(index) else { break };
            for listener in &route.listeners {
                for tree in router.hosts(listener).trees(route.matches.hosts.as_deref()) {
                    if let Err(message) = tree.insert(number, &route.matches, route.hidden, |other| name_of(routes, other)) {
                        errors.push(LoadError { pointer: format!("/routes/{index}/match"), message });
                    }
                }
            }
        }
        errors.sort_by(|a, b| (&a.pointer, &a.message).cmp(&(&b.pointer, &b.message)));
        errors.dedup();
        if errors.is_empty() { Ok(router) } else { Err(errors) }
    }

    /// Whether a route of the listener names this host, itself or with a wildcard; `any` names none.
    #[must_use]
    pub fn names(&self, listener: &str, host: &str) -> bool {
        let found = self.listeners.iter().find(|(name, _)| &**name == listener);
        found.is_some_and(|(_, hosts)| hosts.named(host).next().is_some())
    }

    fn hosts(&mut self, listener: &str) -> &mut Hosts {
        let at = match self.listeners.iter().position(|(name, _)| &**name == listener) {
            Some(at) => at,
            None => {
                self.listeners.push((listener.into(), Hosts::default()));
                self.listeners.len().saturating_sub(1)
            }
        };
        #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
        &mut self.listeners[at].1
    }

    /// Finds the route of a request on a listener and fills in the template's variables.
    pub fn find(&self, listener: &str, wanted: Wanted<'_>, variables: &mut Variables) -> Match {
        self.seen(listener, wanted, Sight::All, variables)
    }

    /// As [`Self::find`], but as if hidden routes were not there.
    pub fn find_shown(&self, listener: &str, wanted: Wanted<'_>, variables: &mut Variables) -> Match {
        self.seen(listener, wanted, Sight::Shown, variables)
    }

    fn seen(&self, listener: &str, wanted: Wanted<'_>, sight: Sight, variables: &mut Variables) -> Match {
        variables.clear();
        let Some((_, hosts)) = self.listeners.iter().find(|(name, _)| &**name == listener) else {
            return Match::NotFound;
        };
        for tree in hosts.of(wanted.host) {
            match tree.find(wanted, sight, variables) {
                Found::Route(index) => return Match::Found(index),
                Found::Method(allow) => return Match::MethodNotAllowed(allow),
                Found::Condition => return Match::NotFound,
                Found::Ambiguous(source) => return Match::Ambiguous(source),
                Found::Nothing => {}
            }
        }
        Match::NotFound
    }
}

impl Hosts {
    /// Trees of a host, the most precise first.
    fn of<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Tree> {
        self.named(host).chain(self.any.as_ref())
    }

    /// Those of routes that name the host.
    fn named<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Tree> {
        let suffixes = host.match_indices('.').filter_map(move |(at, _)| host.get(at.saturating_add(1)..));
        // No table of wildcards, no walk over the labels: the usual case.
        let wildcards = (!self.wildcards.is_empty()).then(|| suffixes.filter_map(|suffix| self.wildcards.get(suffix)));
        self.exact.get(host).into_iter().chain(wildcards.into_iter().flatten())
    }

    /// Trees to insert into.
    fn trees(&mut self, hosts: Option<&[String]>) -> Vec<&mut Tree> {
        let Some(hosts) = hosts else { return vec![self.any.get_or_insert_with(Tree::default)] };
        for host in hosts {
            match host.strip_prefix("*.") {
                Some(suffix) => self.wildcards.entry(suffix.into()).or_default(),
                None => self.exact.entry(host.as_str().into()).or_default(),
            };
        }
        let wanted = |name: &str, wildcard: bool| {
            hosts.iter().any(|h| h.strip_prefix("*.").map_or(!wildcard && h == name, |s| wildcard && s == name))
        };
        let exact = self.exact.iter_mut().filter(|(name, _)| wanted(name, false)).map(|(_, tree)| tree);
        let wildcards = self.wildcards.iter_mut().filter(|(name, _)| wanted(name, true)).map(|(_, tree)| tree);
        exact.chain(wildcards).collect()
    }
}

fn name_of(routes: &[ir::Route], index: RouteIndex) -> &str {
    routes.get(index as usize).map_or("", |r| &r.name)
}

#[cfg(test)]
#[path = "router/tests.rs"]
mod tests;
