//! What vouches for callers: one file per type.

mod ambient;
pub mod api_key;
mod assumed;
mod authenticate;
#[cfg(test)]
mod authenticate_tests;
mod claims;
#[cfg(test)]
mod claims_tests;
mod client_assertion;
mod digests;
pub mod discovery;
pub mod dpop;
#[cfg(test)]
mod dpop_tests;
pub mod endpoint;
pub mod event;
pub mod hyper_io;
pub mod introspection;
pub(crate) mod json;
pub mod jwk;
pub mod jwks;
#[cfg(test)]
mod jwks_tests;
pub mod jwt;
#[cfg(test)]
mod jwt_tests;
pub mod kept;
pub mod key_uses;
pub mod live_check;
mod machine;
mod mtls;
mod nonce;
pub mod oidc;
mod present;
pub mod signed_request;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod vectors_tests;
pub mod verdict;

use std::sync::Arc;

use smallvec::SmallVec;

pub use authenticate::{Accepts, authenticate, bearer_of};

use crate::exchange::Refusal;
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::reason::Reason;
use crate::shared::Shared;
use crate::snapshot::{Challenge, Secrets};
use api_key::ApiKeys;
use client_assertion::ClientAssertions;
use introspection::Introspection;
use introspection::source::Source;
use jwk::sha256;
pub use jwt::Failure;
use jwt::{Jwt, Keys};
use machine::Maker;
use mtls::Mtls;
use oidc::Oidc;
use present::Presented;
use signed_request::SignedRequests;

/// A compiled provider.
#[derive(Debug)]
pub struct Provider {
    name: Arc<str>,
    /// Hash over all that is configured, so that no verdict outlives a change of it.
    identity: u128,
    headers: SmallVec<[Arc<str>; 1]>,
    sender_constrained: Option<ir::SenderConstrained>,
    kind: Kind,
    /// Whom live checks ask about tokens that are verified without asking.
    live: Option<Arc<Source>>,
}

#[derive(Debug)]
enum Kind {
    Jwt(Box<Jwt>),
    ApiKey(Box<ApiKeys>),
    Mtls(Box<Mtls>, Maker),
    SignedRequest(Box<SignedRequests>, Maker),
    ClientAssertion(Box<ClientAssertions>, Maker),
    Introspection(Box<Introspection>),
    Oidc(Box<Oidc>),
}

pub(crate) fn refuse(reason: Reason, detail: impl Into<Box<str>>) -> Refusal {
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
    pub fn build(provider_spec: &ir::Provider, secrets: &Secrets, shared: &Arc<Shared>) -> Result<Self, String> {
        let maker = |name: &str| Maker { provider: name.into(), seed: KeyedHash::new(&shared.seed) };
        let (name, kind) = match provider_spec {
            ir::Provider::Jwt(spec) => (&spec.name, Kind::Jwt(Box::new(Jwt::build(spec, secrets, shared)?))),
            ir::Provider::Oidc(spec) => (&spec.name, Kind::Oidc(Box::new(Oidc::build(spec, secrets, shared)?))),
            ir::Provider::ApiKey(spec) => (&spec.name, Kind::ApiKey(Box::new(ApiKeys::build(spec, secrets, shared)?))),
            ir::Provider::Mtls(spec) => (&spec.name, Kind::Mtls(Box::new(Mtls::build(spec)?), maker(&spec.name))),
            ir::Provider::SignedRequest(spec) => {
                (&spec.name, Kind::SignedRequest(Box::new(SignedRequests::build(spec, secrets)?), maker(&spec.name)))
            }
            ir::Provider::ClientAssertion(spec) => {
                let built = ClientAssertions::build(spec, shared.stores.remembered_since())?;
                (&spec.name, Kind::ClientAssertion(Box::new(built), maker(&spec.name)))
            }
            ir::Provider::Introspection(spec) => {
                (&spec.name, Kind::Introspection(Box::new(Introspection::build(spec, secrets, shared)?)))
            }
        };
        let mut provider = Self::assemble(name, provider_spec, secrets, kind);
        if let ir::Provider::Jwt(spec) = provider_spec
            && let Some(endpoint) = &spec.introspection
        {
            provider.live = Some(introspection::source(&spec.name, endpoint, Some(&spec.issuer), secrets, shared)?);
        }
        Ok(provider)
    }

    fn assemble(name: &str, provider: &ir::Provider, secrets: &Secrets, kind: Kind) -> Self {
        let headers = match &kind {
            Kind::Jwt(_) | Kind::Introspection(_) | Kind::ClientAssertion(..) => SmallVec::from_iter(["authorization".into()]),
            Kind::ApiKey(keys) => SmallVec::from_iter([Arc::clone(&keys.header)]),
            // The handshake is no header; a session is a cookie among others, and never a header of its own.
            Kind::Mtls(..) | Kind::Oidc(_) => SmallVec::new(),
            Kind::SignedRequest(..) => SmallVec::from_iter(signed_request::HEADERS.map(Arc::from)),
        };
        let mut text = format!("{provider:?}").into_bytes();
        let secret = match provider {
            ir::Provider::ApiKey(ir::ApiKeyProvider { pepper, .. }) => pepper.as_ref(),
            ir::Provider::Jwt(ir::JwtProvider { jwks: ir::Jwks::SharedSecret(secret), .. }) => Some(secret),
            _ => None,
        };
        text.extend_from_slice(secret.and_then(|name| secrets.get(name)).map_or(&[], |bytes| bytes.as_slice()));
        if let ir::Provider::Introspection(spec) = provider {
            for name in spec.introspection.client.secrets() {
                text.extend_from_slice(secrets.get(name).map_or(&[], |bytes| bytes.as_slice()));
            }
        }
        if let ir::Provider::Oidc(spec) = provider {
            for name in &spec.session.keys {
                text.extend_from_slice(secrets.get(name).map_or(&[], |bytes| bytes.as_slice()));
            }
        }
        let identity = sha256(&text).iter().take(16).fold(0, |acc, b| (acc << 8) | u128::from(*b));
        let sender_constrained = provider.sender_constrained();
        Self { name: name.into(), identity, headers, sender_constrained, kind, live: None }
    }

    /// Whether it reads what a connection or a browser brings by itself.
    #[must_use]
    pub fn is_ambient(&self) -> bool {
        matches!(self.kind, Kind::Mtls(..) | Kind::Oidc(_))
    }

    /// Name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The authorization servers of the tokens that it takes; none where it takes other credentials.
    #[must_use]
    pub fn issuers(&self) -> Vec<Arc<str>> {
        match &self.kind {
            Kind::Jwt(jwt) => jwt.issuers(),
            Kind::Introspection(introspection) => introspection.issuer().cloned().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// For WWW-Authenticate.
    #[must_use]
    pub fn challenge(&self) -> Challenge {
        match &self.kind {
            Kind::Jwt(_) | Kind::Introspection(_) | Kind::ClientAssertion(..) => Challenge::Bearer(Arc::clone(&self.name)),
            Kind::ApiKey(keys) => Challenge::ApiKey(Arc::clone(&self.name), Arc::clone(&keys.header)),
            Kind::Mtls(..) => Challenge::Certificate(Arc::clone(&self.name)),
            Kind::SignedRequest(signed, _) => Challenge::Signature(Arc::clone(&self.name), signed.components().into()),
            Kind::Oidc(oidc) => Challenge::Session(Arc::clone(&self.name), oidc.login_path().into()),
        }
    }

    /// What its tokens have to be bound to.
    #[must_use]
    pub fn sender_constrained(&self) -> Option<ir::SenderConstrained> {
        self.sender_constrained
    }

    /// Whether its credentials are access tokens in `Authorization`, which may be bound to a key.
    #[must_use]
    pub fn takes_tokens(&self) -> bool {
        matches!(self.kind, Kind::Jwt(_) | Kind::Introspection(_))
    }

    /// Whether it vouches for what is signed with keys of its own, which events of it are signed with, too.
    #[must_use]
    pub fn signs_tokens(&self) -> bool {
        self.jwt().is_some()
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
            _ => None,
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
            _ => None,
        }
    }

    fn introspection(&self) -> Option<&Introspection> {
        match &self.kind {
            Kind::Introspection(introspection) => Some(introspection),
            _ => None,
        }
    }

    /// Whom to ask about its tokens.
    #[must_use]
    pub fn source(&self) -> Option<&Arc<Source>> {
        self.introspection().map(|introspection| &introspection.source).or(self.live.as_ref())
    }

    fn api_keys(&self) -> Option<&ApiKeys> {
        match &self.kind {
            Kind::ApiKey(keys) => Some(keys),
            _ => None,
        }
    }

    fn mtls(&self) -> Option<(&Mtls, &Maker)> {
        match &self.kind {
            Kind::Mtls(mtls, maker) => Some((mtls, maker)),
            _ => None,
        }
    }

    fn signed_requests(&self) -> Option<(&SignedRequests, &Maker)> {
        match &self.kind {
            Kind::SignedRequest(signed, maker) => Some((signed, maker)),
            _ => None,
        }
    }

    fn client_assertions(&self) -> Option<(&ClientAssertions, &Maker)> {
        match &self.kind {
            Kind::ClientAssertion(assertions, maker) => Some((assertions, maker)),
            _ => None,
        }
    }

    /// Where people log in, if it is that.
    #[must_use]
    pub fn oidc(&self) -> Option<&Oidc> {
        match &self.kind {
            Kind::Oidc(oidc) => Some(oidc),
            _ => None,
        }
    }

    /// Whether this is where its credential stands.
    fn takes(&self, presented: &Presented<'_>) -> bool {
        match (presented, &self.kind) {
            (Presented::Authorization(_), Kind::Jwt(_) | Kind::Introspection(_) | Kind::ClientAssertion(..)) => true,
            (Presented::ApiKey(header, _), Kind::ApiKey(keys)) => keys.header.as_bytes() == *header,
            (Presented::Signature, Kind::SignedRequest(..)) => true,
            (Presented::Assumed(assumed), _) => *self.name == *assumed.provider(),
            _ => false,
        }
    }
}
