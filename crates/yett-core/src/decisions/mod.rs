//! Decision records: what a decision stood on, written down so that another configuration can be asked about it.
//!
//! A record holds every input that a rule of its revision reads. Personal values (subjects, clients, tenants, claims, header
//! fields, parameters, fields of bodies) are keyed hashes; scopes, roles, providers and numbers are plain, because they are
//! words of a policy and not of a person. It holds no token, no cookie and no key.

mod callers;
mod capture;
pub mod hidden;
mod line;
pub mod record;
pub mod replay;
mod tally;
pub mod terms;

use std::collections::BTreeSet;

use crate::ir;
use crate::snapshot::{Access, Route, Secrets};

pub use capture::Captured;
pub use hidden::{Hasher, Hidden, Opaque, Recorded};
pub(crate) use line::write;
use terms::Terms;

/// The version of the format.
pub const VERSION: u32 = 1;
/// Values that are recorded of one header field or parameter; more than one is unclear in any case.
const MAX_VALUES: usize = 3;

/// What is recorded of a configuration's decisions.
#[derive(Debug)]
pub struct Records {
    hasher: Hasher,
    terms: Terms,
    hash_addresses: bool,
    /// Header fields, lower case.
    headers: Vec<Box<str>>,
    /// Parameters of queries.
    query: Vec<Box<str>>,
    /// Whether a cookie may be a session.
    sessions: bool,
    /// Whether requests may be signed.
    signatures: bool,
}

impl Records {
    /// `bytes` is the document that `ir` was read from.
    ///
    /// # Errors
    /// There is no key, or too short a one.
    pub fn build(spec: &ir::DecisionLog, bytes: &[u8], ir: &ir::Ir, routes: &[Route], secrets: &Secrets) -> Result<Self, String> {
        let key = secrets.get(&spec.key).ok_or_else(|| format!("the secret `{}` is missing", spec.key))?;
        if key.len() < 16 {
            return Err("the key of decision records is shorter than 16 bytes; write for example 32 random ones".to_owned());
        }
        let document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let mut headers: BTreeSet<Box<str>> = spec.headers.iter().map(|name| name.as_str().into()).collect();
        let mut query: BTreeSet<Box<str>> = spec.query.iter().map(|name| name.as_str().into()).collect();
        for route in &ir.routes {
            headers.extend(route.matches.headers.keys().map(|name| name.as_str().into()));
            query.extend(route.matches.query.keys().map(|name| name.as_str().into()));
        }
        for route in routes {
            if let Access::Authenticated { policy, .. } = &route.access {
                headers.extend(policy.headers().map(Into::into));
                query.extend(policy.parameters().map(Into::into));
            }
            if let Some(shadow) = &route.shadow {
                headers.extend(shadow.headers().map(Into::into));
                query.extend(shadow.parameters().map(Into::into));
            }
        }
        let any = |is: fn(&ir::Provider) -> bool| ir.providers.iter().any(is);
        Ok(Self {
            hasher: Hasher::new(key),
            terms: Terms::of(&document),
            hash_addresses: spec.hash_addresses,
            headers: headers.into_iter().collect(),
            query: query.into_iter().collect(),
            sessions: any(|one| matches!(one, ir::Provider::Oidc(_))),
            signatures: any(|one| matches!(one, ir::Provider::SignedRequest(_))),
        })
    }
}
