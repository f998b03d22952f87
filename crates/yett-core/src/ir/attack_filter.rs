//! Attacks that are looked for in requests.

use serde::Deserialize;

/// Attacks that are looked for in the requests of a route.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackFilter {
    /// Whether what is found is refused; otherwise it is reported, and passes.
    pub enforce: bool,
    /// A value whose score is at least this looks like an attack.
    pub threshold: u8,
    /// Which are looked for.
    pub classes: Vec<crate::attack::Class>,
    /// Where some of them are in order.
    #[serde(default)]
    pub exceptions: Vec<AttackException>,
    /// Bytes of all values that are looked at.
    pub examined: u64,
    /// Whether a request with more passes, looked at so far.
    #[serde(default)]
    pub beyond_passes: bool,
}

/// Where some classes of attacks are in order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackException {
    /// `path`, `query`, `header`, `cookie`, `form` or `body`.
    #[serde(rename = "in")]
    pub place: AttackPlace,
    /// The name; in a body a JSON Pointer, in which `*` is any step. Nothing for a path.
    #[serde(default)]
    pub name: String,
    /// Which.
    pub classes: Vec<crate::attack::Class>,
}

/// Where a value of a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the part of its name")]
pub enum AttackPlace {
    Path,
    Query,
    Header,
    Cookie,
    Form,
    Body,
}
