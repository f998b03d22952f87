//! What vouches for callers: one file per type.

pub mod api_key;
#[cfg(test)]
mod authenticate_tests;
mod claims;
mod fetch;
pub mod hyper_io;
mod json;
pub mod jwk;
pub mod jwks;
#[cfg(test)]
mod jwks_tests;
pub mod jwt;
#[cfg(test)]
mod jwt_tests;
#[cfg(test)]
mod testing;
pub mod verdict;

use std::sync::Arc;

use crate::exchange::{Exchange, Need, Now, Refusal, RequestHead, Step};
use crate::filters::keyed_hash::KeyedHash;
use crate::headers::Known;
use crate::ir;
use crate::reason::Reason;
use crate::shared::Shared;
use crate::snapshot::{Challenge, Secrets};
use api_key::{ApiKeys, WellFormed};
use jwk::sha256;
use jwt::{Failure, Jwt, Keys, TOKEN_BYTES, Unverified};
use verdict::{Credential, VerdictCache};

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

impl Provider {
    /// Builds it; an unreachable JWKS URL is no error, a broken inline set is.
    pub fn build(provider: &ir::Provider, secrets: &Secrets, shared: &Arc<Shared>) -> Result<Self, String> {
        let (name, kind) = match provider {
            ir::Provider::Jwt(spec) => (&spec.name, Kind::Jwt(Box::new(Jwt::build(spec, shared)?))),
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
        if let ir::Provider::ApiKey(ir::ApiKeyProvider { pepper: Some(pepper), .. }) = provider {
            text.extend_from_slice(secrets.get(pepper).map_or(&[], |bytes| bytes.as_slice()));
        }
        let identity = sha256(&text).iter().take(16).fold(0, |acc, b| (acc << 8) | u128::from(*b));
        Self { name: name.into(), identity, headers: [header], kind }
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
}

/// The one credential of a request.
enum Presented<'a> {
    /// `Authorization`, whatever its scheme.
    Authorization(&'a [u8]),
    /// A header that carries API keys, and its value.
    ApiKey(&'a [u8], &'a [u8]),
}

/// Finds the one credential. Headers of providers that the route does not accept count too: a credential that was
/// presented is judged, never passed over.
fn presented<'a>(providers: &[Provider], request: &'a RequestHead) -> Result<Presented<'a>, Refusal> {
    let mut found = None;
    for (known, name, value) in request.headers.iter() {
        let next = if known == Known::Authorization {
            Presented::Authorization(value)
        } else if providers.iter().filter_map(Provider::api_keys).any(|keys| keys.header.as_bytes() == name) {
            Presented::ApiKey(name, value)
        } else {
            continue;
        };
        if found.replace(next).is_some() {
            return Err(Reason::CredentialAmbiguous.into());
        }
    }
    found.ok_or_else(|| Reason::CredentialMissing.into())
}

/// The authenticate phase for a route that accepts `accepted` of `providers`: sets `exchange.principal`.
///
/// Asks for keys at most once per request (`exchange.asked_for_keys`); when they are still missing then, it refuses.
pub fn authenticate(
    providers: &[Provider],
    accepted: &[u32],
    verdicts: &mut VerdictCache,
    exchange: &mut Exchange,
    now: Now,
) -> Step {
    let accepted = || accepted.iter().filter_map(|index| Some((*index, providers.get(usize::try_from(*index).ok()?)?)));
    let outcome = match presented(providers, &exchange.request) {
        Err(refusal) => Err((0, Failure::Refused(refusal))),
        Ok(Presented::Authorization(value)) => bearer(accepted, verdicts, value, now),
        Ok(Presented::ApiKey(header, value)) => api_key(accepted, verdicts, header, value, now).map_err(|r| (0, r.into())),
    };
    match outcome {
        Ok(principal) => {
            exchange.principal = Some(principal);
            Step::Continue
        }
        Err((provider, Failure::KeysNeeded(_))) if !exchange.asked_for_keys => {
            exchange.asked_for_keys = true;
            Step::Need(Need::Keys { provider })
        }
        Err((_, Failure::KeysNeeded(refusal) | Failure::Refused(refusal))) => Step::Refuse(refusal),
    }
}

type Caller = std::rc::Rc<crate::exchange::Principal>;

fn bearer<'p, I: Iterator<Item = (u32, &'p Provider)>>(
    accepted: impl Fn() -> I,
    verdicts: &mut VerdictCache,
    value: &[u8],
    now: Now,
) -> Result<Caller, (u32, Failure)> {
    let fail = |refusal: Refusal| (0, Failure::Refused(refusal));
    let token = bearer_token(value).map_err(fail)?;
    let jwts = || accepted().filter_map(|(index, provider)| Some((index, provider, provider.jwt()?)));
    if jwts().next().is_none() {
        return Err(fail(Reason::ProviderNotAccepted.into()));
    }
    if token.len() > TOKEN_BYTES {
        return Err(fail(Reason::TokenTooLarge.into()));
    }
    let digest = sha256(token);
    for (_, provider, jwt) in jwts() {
        let credential = Credential { digest, provider: provider.identity };
        if let Some(principal) = verdicts.get(&credential, jwt.keys.revision(), now) {
            return Ok(principal);
        }
    }
    let token = Unverified::parse(token).map_err(fail)?;
    let issuer = token.issuer().map_err(fail)?;
    let (index, provider, jwt) =
        jwts().find(|(_, _, jwt)| &*jwt.issuer == issuer).ok_or_else(|| fail(Reason::TokenIssuerUnknown.into()))?;
    let verdict = jwt.verify(&token, now).map_err(|failure| (index, failure))?;
    let principal = std::rc::Rc::clone(&verdict.principal);
    verdicts.insert(Credential { digest, provider: provider.identity }, verdict);
    Ok(principal)
}

/// Whether all bytes are those of `token68` (RFC 9110 section 11.2).
fn is_token68(token: &[u8]) -> bool {
    // no early exit, so that the compiler can take many bytes at once: tokens are the longest values of a request
    token.iter().fold(true, |fine, &b| {
        let letter = (b | 0x20).wrapping_sub(b'a') < 26;
        let digit = b.wrapping_sub(b'0') < 10;
        let other = (b == b'-') | (b == b'.') | (b == b'_') | (b == b'~') | (b == b'+') | (b == b'/') | (b == b'=');
        fine & (letter | digit | other)
    })
}

/// The token of `Bearer <token>` (RFC 6750 section 2.1); the scheme in any case (RFC 9110 section 11.1).
fn bearer_token(value: &[u8]) -> Result<&[u8], Refusal> {
    let malformed = || refuse(Reason::CredentialMalformed, "the authorization is not of the form `Bearer <token>`");
    let (scheme, token) = value.split_at_checked(7).ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") || token.is_empty() || !is_token68(token) {
        return Err(malformed());
    }
    Ok(token)
}

fn api_key<'p, I: Iterator<Item = (u32, &'p Provider)>>(
    accepted: impl Fn() -> I,
    verdicts: &mut VerdictCache,
    header: &[u8],
    value: &[u8],
    now: Now,
) -> Result<Caller, Refusal> {
    let stores = || {
        let of_header = |keys: &&ApiKeys| keys.header.as_bytes() == header;
        accepted().filter_map(move |(_, provider)| Some((provider, provider.api_keys().filter(of_header)?)))
    };
    let (first, keys) = stores().next().ok_or(Reason::ProviderNotAccepted)?;
    let key = WellFormed::parse(value)?;
    // Several stores may share a header: the id says which one it is.
    let (provider, keys) = stores().find(|(_, keys)| keys.has(&key)).unwrap_or((first, keys));
    let credential = Credential { digest: sha256(value), provider: provider.identity };
    if let Some(principal) = verdicts.get(&credential, 0, now) {
        return Ok(principal);
    }
    let verdict = keys.verify(&key, now)?;
    let principal = std::rc::Rc::clone(&verdict.principal);
    verdicts.insert(credential, verdict);
    Ok(principal)
}
