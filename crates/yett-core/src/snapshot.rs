//! A whole configuration, ready to serve: built off the workers, swapped in by one pointer. [owner: core]

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::filters::{address_limit::AddressLimit, authorize::Rule, rate_limit::RateLimit};
use crate::ir;
use crate::providers::Provider;
use crate::shared::Shared;

/// Bytes of secrets by name.
pub type Secrets = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// A reason why a document does not load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// JSON pointer into the IR (RFC 6901).
    pub pointer: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// A challenge for WWW-Authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// `Bearer realm="<provider>"`
    Bearer(Arc<str>),
    /// `ApiKey realm="<provider>", header="<name>"` (no registered scheme exists for keys)
    ApiKey(Arc<str>, Arc<str>),
}

/// A whole configuration, ready to serve.
#[derive(Debug)]
pub struct Snapshot {
    /// SHA-256 of the IR's bytes, hex.
    pub revision: Arc<str>,
    /// The document that it was built from (listeners, services, process, access_log, admin are read from here).
    pub ir: Arc<ir::Ir>,
    /// Compiled routes; `RouteIndex` points here.
    pub routes: Vec<Route>,
    /// Compiled providers, in the IR's order.
    pub providers: Vec<Provider>,
    /// Compiled listeners, in the IR's order.
    pub listeners: Vec<Listener>,
    // core adds: router, …
}

/// A compiled route.
#[derive(Debug)]
pub struct Route {
    /// Name.
    pub name: Arc<str>,
    /// Who may use it.
    pub access: Access,
    /// Limits by address.
    pub address_limits: Vec<AddressLimit>,
    /// Limits by caller.
    pub rate_limits: Vec<RateLimit>,
    /// Bytes of a request body.
    pub body_limit: u64,
    /// Time limits.
    pub timeouts: ir::RouteTimeouts,
    // core adds the rest: action, rewrite, header edits, challenges, allow list, …
}

/// Who may use a route.
#[derive(Debug)]
pub enum Access {
    /// Anyone.
    Public,
    /// Verified callers of these providers (indices) who pass every rule.
    Authenticated {
        /// Accepted providers.
        providers: Vec<u32>,
        /// Rules; all have to allow.
        rules: Vec<Rule>,
    },
}

/// A compiled listener.
#[derive(Debug)]
pub struct Listener {
    /// Name.
    pub name: Arc<str>,
    /// Limits by address, charged before a route is looked for.
    pub address_limits: Vec<AddressLimit>,
    // core adds trusted proxies, …
}

impl Snapshot {
    /// Builds a snapshot or says everything that is wrong; changes nothing that serves.
    pub fn build(ir: &[u8], secrets: &Secrets, shared: &Arc<Shared>) -> Result<Self, Vec<LoadError>> {
        let _ = (ir, secrets, shared);
        todo!()
    }
}
