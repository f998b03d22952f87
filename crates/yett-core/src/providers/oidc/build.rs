//! From the document to a provider.

use std::sync::Arc;

use super::grants::{BOUNDS, TokenEndpoint};
use super::seal::KeyRing;
use super::session::Lifetimes;
use super::{Addresses, Endpoints, Oidc, cookie};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::outbound::{OauthClient, Target, Transport};
use crate::providers::claims::Mapping;
use crate::providers::discovery;
use crate::providers::endpoint::{Discovered, Endpoint, Which};
use crate::providers::jwk::{Algorithm, sha256};
use crate::providers::jwt::Keys;
use crate::shared::Shared;
use crate::snapshot::Secrets;

impl Oidc {
    /// Builds it; an unreachable provider is no error.
    ///
    /// # Errors
    /// What of it can never work.
    pub(in crate::providers) fn build(spec: &ir::OidcProvider, secrets: &Secrets, shared: &Arc<Shared>) -> Result<Self, String> {
        let named = |error: String| format!("provider `{}`: {error}", spec.name);
        let texts = spec.session.keys.iter().map(|name| {
            let found = secrets.get(name).map(|bytes| bytes.as_slice());
            found.ok_or_else(|| format!("the secret `{name}` was not passed along"))
        });
        let texts: Vec<&[u8]> = texts.collect::<Result<_, _>>().map_err(named)?;
        let ring = KeyRing::new(texts).map_err(named)?;
        let session = &spec.session;
        if session.idle_s == 0 || session.absolute_s < session.idle_s {
            return Err(named("`idle` has to be above 0 and at most `absolute`".to_owned()));
        }
        let algorithms: Vec<Algorithm> = spec.algorithms.iter().filter_map(|name| Algorithm::parse(name)).collect();
        if algorithms.is_empty() || algorithms.len() != spec.algorithms.len() {
            return Err(named(format!("an algorithm is not known; choose among {}", Algorithm::NAMES)));
        }
        let own = OauthClient::certificate(&spec.client, secrets).map_err(named)?;
        let certificate = own.is_some();
        let client = OauthClient::build(&spec.client, secrets).map_err(named)?;
        let issuer: Arc<str> = spec.issuer.as_str().into();
        let loopback = spec.plaintext || crate::outbound::address::names_this_machine(&issuer);
        let transport = Transport::new(spec.ca.as_deref(), own, spec.plaintext, loopback).map_err(named)?;
        let (places, address) = addresses(spec, &transport, certificate, shared).map_err(named)?;
        Ok(Self {
            name: spec.name.as_str().into(),
            client: spec.client.id.as_str().into(),
            scope: spec.scope.as_str().into(),
            parameters: spec.parameters.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect(),
            ring,
            policy: policy(spec),
            store: session.store,
            lifetimes: Lifetimes { idle_s: session.idle_s, absolute_s: session.absolute_s },
            leeway_s: spec.leeway_s,
            keys: Keys::build(&spec.name, &spec.jwks, &issuer, &algorithms, |settings| Keys::fetched(settings, shared))?,
            algorithms,
            mapping: Mapping::new(&spec.name, &spec.claims, &KeyedHash::new(&shared.seed)),
            hash: KeyedHash::new(&shared.seed),
            base: spec.base.as_str().into(),
            after_logout: spec.after_logout.as_str().into(),
            cookie: cookie::session_name(&spec.name).into(),
            places,
            endpoint: Arc::new(TokenEndpoint::new(address, client, Arc::clone(&issuer))),
            issuer,
        })
    }
}

/// Where the endpoints are: given, or said by the provider.
fn addresses(
    spec: &ir::OidcProvider,
    transport: &Arc<Transport>,
    certificate: bool,
    shared: &Arc<Shared>,
) -> Result<(Addresses, Endpoint), String> {
    match (&spec.endpoints, &spec.discovery) {
        (Some(given), None) => {
            let endpoints = Endpoints {
                authorization: given.authorization.as_str().into(),
                end_session: given.end_session.as_deref().map(Into::into),
                names_issuer: given.names_issuer,
            };
            let target = Target::new(&given.token, transport)?.bounded(BOUNDS.0, BOUNDS.1);
            Ok((Addresses::Given(endpoints), Endpoint::Given(Arc::new(target))))
        }
        (None, Some(discovery)) => {
            let discovery = discovery::discovery(discovery, shared)?;
            let (own, way) = (Arc::clone(&discovery), Arc::clone(transport));
            let address = Endpoint::Discovered(Discovered::new(own, way, Which::Token, certificate, BOUNDS));
            Ok((Addresses::Discovered(discovery), address))
        }
        _ => Err("either `endpoints` or `discovery` says where it is".to_owned()),
    }
}

/// What a session stands on: where a person logged in, as which client, and what is read out of the login. A change of it
/// ends all sessions.
fn policy(spec: &ir::OidcProvider) -> [u8; 32] {
    let text = format!("{:?}", (&spec.name, &spec.issuer, &spec.client.id, &spec.scope, &spec.claims, &spec.algorithms));
    sha256(text.as_bytes())
}
