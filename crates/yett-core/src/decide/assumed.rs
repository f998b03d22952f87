//! A caller that a policy tool takes as verified, so that rules can be asked about callers whose credentials nobody has.
//!
//! Only [`crate::decide`] makes one, from a question: nothing that a connection brings can become one.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

/// How a question names one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssumedSpec {
    /// Name of the provider that is taken to have verified it.
    provider: String,
    /// Claims, where it verifies tokens or logins. Those that a good token has anyway are filled in.
    #[serde(default)]
    claims: Map<String, Value>,
    /// Name of a key, name in a certificate or id of a signing key, where it verifies those.
    #[serde(default)]
    name: Option<String>,
    /// Whether a proof of the key that the token is bound to is taken as given (RFC 9449).
    #[serde(default)]
    proved: bool,
}

/// A caller that is taken as verified. What its provider asks of claims, and everything after that, is asked all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumed(Rc<Caller>);

#[derive(Debug, PartialEq, Eq)]
struct Caller {
    provider: Box<str>,
    claims: Map<String, Value>,
    name: Option<Box<str>>,
    proved: bool,
}

/// The callers of one question.
pub(super) fn all(specs: &[AssumedSpec]) -> Box<[Assumed]> {
    specs.iter().map(Assumed::new).collect()
}

impl Assumed {
    fn new(spec: &AssumedSpec) -> Self {
        Self(Rc::new(Caller {
            provider: spec.provider.as_str().into(),
            claims: spec.claims.clone(),
            name: spec.name.as_deref().map(Into::into),
            proved: spec.proved,
        }))
    }

    /// Who is taken to have verified it.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.0.provider
    }

    /// What the token or the login says.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.0.claims
    }

    /// Which key or certificate it is.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name.as_deref().unwrap_or_default()
    }

    /// Whether a proof of its key is taken as given.
    #[must_use]
    pub fn proved(&self) -> bool {
        self.0.proved
    }
}
