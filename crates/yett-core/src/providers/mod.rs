//! What vouches for callers: one file per type.

pub mod api_key;
mod authenticate;
#[cfg(test)]
mod authenticate_tests;
mod claims;
#[cfg(test)]
mod claims_tests;
pub mod discovery;
pub mod hyper_io;
pub(crate) mod json;
pub mod jwk;
pub mod jwks;
#[cfg(test)]
mod jwks_tests;
pub mod jwt;
#[cfg(test)]
mod jwt_tests;
pub mod kept;
mod present;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod vectors_tests;
pub mod verdict;

use std::sync::Arc;

pub use authenticate::{Accepts, authenticate};

use crate::exchange::Refusal;
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::reason::Reason;
use crate::shared::Shared;
use crate::snapshot::{Challenge, Secrets};
use api_key::ApiKeys;
use jwk::sha256;
use jwt::{Jwt, Keys};
use present::Presented;

/// A compiled provider.
#[derive(Debug)]
pub struct Provider {
    name: Arc<str>,
    /// Hash over all that is configured, so that no verdict outlives a change of it.
    identity: u128,
    headers: [Arc<str>; 1],
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Jwt(Box<Jwt>),
    ApiKey(Box<ApiKeys>),
}

fn refuse(reason: Reason, detail: impl Into<Box<str>>) -> Refusal {
    let mut refusal = Refusal::from(reason);
    refusal.detail = Some(detail.into());
    refusal
}

/// A URL without its query, which might hold a key.
fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// Where documents that are kept fresh report to: counted, and logged where somebody should know.
pub fn sink(shared: &Arc<Shared>) -> kept::Sink {
    let shared = Arc::downgrade(shared);
    Box::new(move |level, event, fields: &[(&'static str, &str)]| {
        let Some(shared) = shared.upgrade() else { return };
        let counters = &shared.counters;
        match event {
            "jwks_fetched" => counters.jwks_fetches.increment(),
            "jwks_fetch_failed" => {
                counters.jwks_fetches.increment();
                counters.jwks_fetch_failures.increment();
            }
            "discovery_fetched" => counters.discovery_fetches.increment(),
            "discovery_failed" => {
                counters.discovery_fetches.increment();
                counters.discovery_failures.increment();
            }
            _ => {}
        }
        if level != "debug" {
            shared.events.push(level, event, fields);
        }
    })
}

impl Provider {
    /// Builds it; an unreachable JWKS URL is no error, a broken inline set is.
    pub fn build(provider: &ir::Provider, secrets: &Secrets, shared: &Arc<Shared>) -> Result<Self, String> {
        let (name, kind) = match provider {
            ir::Provider::Jwt(spec) => (&spec.name, Kind::Jwt(Box::new(Jwt::build(spec, secrets, shared)?))),
            ir::Provider::ApiKey(spec) => {
                (&spec.name, Kind::ApiKey(Box::new(ApiKeys::build(spec, secrets, &KeyedHash::new(&shared.seed))?)))
            }
        };
        Ok(Self::assemble(name, provider, secrets, kind))
    }

    fn assemble(name: &str, provider: &ir::Provider, secrets: &Secrets, kind: Kind) -> Self {
        let header = match &kind {
            Kind::Jwt(_) => "authorization".into(),
            Kind::ApiKey(keys) => Arc::clone(&keys.header),
        };
        let mut text = format!("{provider:?}").into_bytes();
        let secret = match provider {
            ir::Provider::ApiKey(ir::ApiKeyProvider { pepper, .. }) => pepper.as_ref(),
            ir::Provider::Jwt(ir::JwtProvider { jwks: ir::Jwks::SharedSecret(secret), .. }) => Some(secret),
            ir::Provider::Jwt(_) => None,
        };
        text.extend_from_slice(secret.and_then(|name| secrets.get(name)).map_or(&[], |bytes| bytes.as_slice()));
        let identity = sha256(&text).iter().take(16).fold(0, |acc, b| (acc << 8) | u128::from(*b));
        Self { name: name.into(), identity, headers: [header], kind }
    }

    /// Name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whose tokens it takes; none where it takes other credentials.
    #[must_use]
    pub fn issuers(&self) -> Vec<Arc<str>> {
        self.jwt().map(Jwt::issuers).unwrap_or_default()
    }

    /// For WWW-Authenticate.
    #[must_use]
    pub fn challenge(&self) -> Challenge {
        match &self.kind {
            Kind::Jwt(_) => Challenge::Bearer(Arc::clone(&self.name)),
            Kind::ApiKey(keys) => Challenge::ApiKey(Arc::clone(&self.name), Arc::clone(&keys.header)),
        }
    }

    /// Header names (lower case) that carry its credential: removed before forwarding unless `forward_credential`.
    #[must_use]
    pub fn credential_headers(&self) -> &[Arc<str>] {
        &self.headers
    }

    /// Waits (process-wide single flight, on the service runtime) for a fresh key set. Any outcome: the caller runs the
    /// pipeline again, which refuses if the key is still missing.
    pub fn refresh_keys(&self) -> impl Future<Output = ()> + 'static {
        let waiting = match &self.kind {
            Kind::Jwt(jwt) => match &jwt.keys {
                Keys::Fetched(source) => Some(source.refreshed()),
                Keys::Fixed(_) => None,
            },
            Kind::ApiKey(_) => None,
        };
        async move {
            if let Some(waiting) = waiting {
                waiting.await;
            }
        }
    }

    fn jwt(&self) -> Option<&Jwt> {
        match &self.kind {
            Kind::Jwt(jwt) => Some(jwt),
            Kind::ApiKey(_) => None,
        }
    }

    fn api_keys(&self) -> Option<&ApiKeys> {
        match &self.kind {
            Kind::Jwt(_) => None,
            Kind::ApiKey(keys) => Some(keys),
        }
    }

    /// Whether this is where its credential stands.
    fn takes(&self, presented: &Presented<'_>) -> bool {
        match (presented, &self.kind) {
            (Presented::Authorization(_), Kind::Jwt(_)) => true,
            (Presented::ApiKey(header, _), Kind::ApiKey(keys)) => keys.header.as_bytes() == *header,
            _ => false,
        }
    }
}
