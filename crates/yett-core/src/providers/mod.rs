//! What vouches for callers: one file per type.

mod ambient;
pub mod api_key;
mod authenticate;
#[cfg(test)]
mod authenticate_tests;
mod claims;
pub mod hyper_io;
pub(crate) mod json;
pub mod jwk;
pub mod jwks;
#[cfg(test)]
mod jwks_tests;
pub mod jwt;
#[cfg(test)]
mod jwt_tests;
pub mod oidc;
mod present;
#[cfg(test)]
mod testing;
pub mod verdict;

use std::sync::Arc;

use smallvec::SmallVec;

pub use authenticate::{Accepts, authenticate};

use crate::exchange::Refusal;
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::reason::Reason;
use crate::shared::Shared;
use crate::snapshot::{Challenge, Secrets};
use api_key::ApiKeys;
use jwk::sha256;
pub use jwt::Failure;
use jwt::{Jwt, Keys};
use oidc::Oidc;
use present::Presented;

/// A compiled provider.
#[derive(Debug)]
pub struct Provider {
    name: Arc<str>,
    /// Hash over all that is configured, so that no verdict outlives a change of it.
    identity: u128,
    headers: SmallVec<[Arc<str>; 1]>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Jwt(Box<Jwt>),
    ApiKey(Box<ApiKeys>),
    Oidc(Box<Oidc>),
}

fn refuse(reason: Reason, detail: impl Into<Box<str>>) -> Refusal {
    let mut refusal = Refusal::from(reason);
    refusal.detail = Some(detail.into());
    refusal
}

impl Provider {
    /// Builds it; an unreachable JWKS URL is no error, a broken inline set is.
    pub fn build(provider: &ir::Provider, secrets: &Secrets, shared: &Arc<Shared>) -> Result<Self, String> {
        let (name, kind) = match provider {
            ir::Provider::Jwt(spec) => (&spec.name, Kind::Jwt(Box::new(Jwt::build(spec, shared)?))),
            ir::Provider::Oidc(spec) => (&spec.name, Kind::Oidc(Box::new(Oidc::build(spec, secrets, shared)?))),
            ir::Provider::ApiKey(spec) => {
                (&spec.name, Kind::ApiKey(Box::new(ApiKeys::build(spec, secrets, &KeyedHash::new(&shared.seed))?)))
            }
        };
        Ok(Self::assemble(name, provider, secrets, kind))
    }

    fn assemble(name: &str, provider: &ir::Provider, secrets: &Secrets, kind: Kind) -> Self {
        let headers = match &kind {
            Kind::Jwt(_) => SmallVec::from_iter(["authorization".into()]),
            Kind::ApiKey(keys) => SmallVec::from_iter([Arc::clone(&keys.header)]),
            // A cookie among others: never a header of its own.
            Kind::Oidc(_) => SmallVec::new(),
        };
        let mut text = format!("{provider:?}").into_bytes();
        if let ir::Provider::ApiKey(ir::ApiKeyProvider { pepper: Some(pepper), .. }) = provider {
            text.extend_from_slice(secrets.get(pepper).map_or(&[], |bytes| bytes.as_slice()));
        }
        if let ir::Provider::Oidc(spec) = provider {
            for name in &spec.session.keys {
                text.extend_from_slice(secrets.get(name).map_or(&[], |bytes| bytes.as_slice()));
            }
        }
        let identity = sha256(&text).iter().take(16).fold(0, |acc, b| (acc << 8) | u128::from(*b));
        Self { name: name.into(), identity, headers, kind }
    }

    /// Name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// For WWW-Authenticate.
    #[must_use]
    pub fn challenge(&self) -> Challenge {
        match &self.kind {
            Kind::Jwt(_) => Challenge::Bearer(Arc::clone(&self.name)),
            Kind::ApiKey(keys) => Challenge::ApiKey(Arc::clone(&self.name), Arc::clone(&keys.header)),
            Kind::Oidc(oidc) => Challenge::Session(Arc::clone(&self.name), oidc.login_path().into()),
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
            Kind::Jwt(jwt) => Some(&jwt.keys),
            Kind::Oidc(oidc) => Some(oidc.keys()),
            Kind::ApiKey(_) => None,
        };
        let waiting = waiting.and_then(|keys| match keys {
            Keys::Fetched(source) => Some(source.refreshed()),
            Keys::Fixed(_) => None,
        });
        async move {
            if let Some(waiting) = waiting {
                waiting.await;
            }
        }
    }

    fn jwt(&self) -> Option<&Jwt> {
        match &self.kind {
            Kind::Jwt(jwt) => Some(jwt),
            Kind::ApiKey(_) | Kind::Oidc(_) => None,
        }
    }

    fn api_keys(&self) -> Option<&ApiKeys> {
        match &self.kind {
            Kind::Jwt(_) | Kind::Oidc(_) => None,
            Kind::ApiKey(keys) => Some(keys),
        }
    }

    /// Where people log in, if it is that.
    #[must_use]
    pub fn oidc(&self) -> Option<&Oidc> {
        match &self.kind {
            Kind::Oidc(oidc) => Some(oidc),
            Kind::Jwt(_) | Kind::ApiKey(_) => None,
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
