//! Path templates of one host: a tree of segments.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::leaf::{Choice, Leaf, Source};
use super::{Sight, Wanted};
use crate::exchange::{RouteIndex, Variables};
use crate::ir;
use crate::path::CanonicalPath;

/// What a tree found.
#[derive(Debug)]
pub(super) enum Found {
    Route(RouteIndex),
    /// The template is there, the method is not.
    Method(Arc<str>),
    /// Template and method are there, a condition on headers or the query does not hold.
    Condition,
    Ambiguous(Source),
    Nothing,
}

/// A template's segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    /// Compared with the decoded segment.
    Literal(&'a str),
    /// `{name}`: one segment, not empty.
    Variable(&'a str),
    /// `{name...}`: what follows the slash, also nothing.
    Rest(&'a str),
}

/// Reads a template such as `/tenants/{tenant}/files/{rest...}`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn segments(template: &str) -> Result<Vec<Segment<'_>>, String> {
    let rest = template.strip_prefix('/').ok_or_else(|| format!("the path `{template}` has to start with `/`"))?;
    let mut out = Vec::new();
    for part in rest.split('/') {
        if matches!(out.last(), Some(Segment::Rest(_))) {
            return Err(format!("`{{…...}}` has to be the last segment of `{template}`"));
        }
        out.push(match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            Some(name) => {
                let (name, many) = name.strip_suffix("...").map_or((name, false), |n| (n, true));
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                    return Err(format!("the variable `{part}` of `{template}` needs a name of letters, digits and `_`"));
                }
                if many { Segment::Rest(name) } else { Segment::Variable(name) }
            }
            None if part.contains(['{', '}']) => {
                return Err(format!("`{part}` of `{template}` mixes text and a variable: a segment is one or the other"));
            }
            None => Segment::Literal(part),
        });
    }
    Ok(out)
}

/// Names of a template's variables, in order; none where it cannot be read.
#[must_use]
pub(crate) fn variable_names(template: &str) -> Vec<&str> {
    let name = |segment| match segment {
        Segment::Variable(name) | Segment::Rest(name) => Some(name),
        Segment::Literal(_) => None,
    };
    segments(template).unwrap_or_default().into_iter().filter_map(name).collect()
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, u32>,
    variable: Option<u32>,
    leaf: Leaf,
    rest: Leaf,
}

/// Path templates of one host.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

/// How a path went through the tree: which of its segments are values, and where `{rest...}` begins.
#[derive(Debug, Default)]
struct Taken {
    values: SmallVec<[u32; 8]>,
    rest: Option<u32>,
    /// A value would be empty: the most precise template is this one, and it does not take the path.
    empty: bool,
}

impl Tree {
    pub(super) fn insert<'n>(
        &mut self,
        route: RouteIndex,
        matches: &ir::Match,
        hidden: bool,
        name_of: impl Fn(RouteIndex) -> &'n str,
    ) -> Result<(), String> {
        let mut at = 0_usize;
        let mut rest = false;
        for segment in segments(&matches.path)? {
            at = match segment {
                Segment::Rest(_) => {
                    rest = true;
                    at
                }
                Segment::Literal(text) => match self.nodes.get(at).and_then(|n| n.literals.get(text)) {
                    Some(next) => *next as usize,
                    None => {
                        let next = self.add()?;
                        if let Some(node) = self.nodes.get_mut(at) {
                            node.literals.insert(text.into(), next);
                        }
                        next as usize
                    }
                },
                Segment::Variable(_) => match self.nodes.get(at).and_then(|n| n.variable) {
                    Some(next) => next as usize,
                    None => {
                        let next = self.add()?;
                        if let Some(node) = self.nodes.get_mut(at) {
                            node.variable = Some(next);
                        }
                        next as usize
                    }
                },
            };
        }
        let node = self.nodes.get_mut(at).ok_or("the path cannot be placed")?;
        if rest { &mut node.rest } else { &mut node.leaf }.insert(route, matches, hidden, name_of)
    }

    fn add(&mut self) -> Result<u32, String> {
        let next = u32::try_from(self.nodes.len()).map_err(|_| "there are too many paths")?;
        self.nodes.push(Node::default());
        Ok(next)
    }

    pub(super) fn find(&self, wanted: Wanted<'_>, sight: Sight, variables: &mut Variables) -> Found {
        let mut taken = Taken::default();
        let Some(leaf) = self.walk(0, 0, (wanted.path, sight), &mut taken) else { return Found::Nothing };
        if taken.empty {
            return Found::Condition;
        }
        match leaf.choose(wanted, sight) {
            Choice::Route(route) => {
                for value in &taken.values {
                    variables.push(wanted.path.segment(*value as usize));
                }
                if let Some(first) = taken.rest {
                    variables.push((first as usize..wanted.path.len()).filter_map(|i| wanted.path.segment(i)));
                }
                Found::Route(route)
            }
            Choice::Method(allow) => Found::Method(allow),
            Choice::Condition => Found::Condition,
            Choice::Ambiguous(source) => Found::Ambiguous(source),
        }
    }

    /// Depth first, the most precise branch first; a branch without a leaf for the whole path is left again. Never
    /// deeper than the deepest template, never more steps than the tree has nodes. A segment that is empty inside the
    /// path is placed like any other, so that `/admin//x` never falls through to a less precise template that allows it.
    fn walk<'t>(&'t self, at: u32, index: usize, of: (&CanonicalPath, Sight), taken: &mut Taken) -> Option<&'t Leaf> {
        let (path, sight) = of;
        let node = self.nodes.get(at as usize)?;
        let Some(segment) = path.segment(index) else {
            return (!node.leaf.is_empty(sight)).then_some(&node.leaf);
        };
        let next = index.saturating_add(1);
        if let Some(child) = node.literals.get(segment)
            && let Some(leaf) = self.walk(*child, next, of, taken)
        {
            return Some(leaf);
        }
        let empty = segment.is_empty();
        // What follows the last slash may be nothing: `/admin/{rest...}` guards `/admin/` as well.
        let last = empty && next == path.len();
        let number = u32::try_from(index).ok()?;
        if let Some(child) = node.variable.filter(|_| !last) {
            taken.values.push(number);
            if let Some(leaf) = self.walk(child, next, of, taken) {
                taken.empty |= empty;
                return Some(leaf);
            }
            taken.values.pop();
        }
        if node.rest.is_empty(sight) {
            return None;
        }
        taken.rest = Some(number);
        taken.empty |= empty && !last;
        Some(&node.rest)
    }
}
