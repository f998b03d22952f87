//! One path: the form that router, policy, log and service all see. [owner: core]

use crate::ir::PathAllow;

/// A path in canonical form.
#[derive(Debug, Default, Clone)]
pub struct CanonicalPath {
    // core: raw bytes, decoded segments as spans into an arena, reused from request to request
    raw: Vec<u8>,
}

/// Which exceptions a path makes use of; a route has to allow each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathUse { /// `%2f`
    pub encoded_slash: bool, /// `;`
    pub semicolon: bool, /// `//`
    pub empty_segment: bool }

impl CanonicalPath {
    /// Parses the path part of a target (no query). Refuses what DESIGN.md lists; notes the three exceptions.
    pub fn parse_into(&mut self, raw: &[u8]) -> Result<PathUse, ()> { let _ = raw; todo!() }
    /// As it came, and as it is forwarded.
    #[must_use]
    pub fn raw(&self) -> &[u8] { &self.raw }
    /// Segments, decoded once. The path `/` has none... core decides and documents how a trailing slash is shown.
    pub fn segments(&self) -> impl Iterator<Item = &str> { std::iter::empty() }
}

const _: Option<PathAllow> = None;
