//! The authenticate phase: which credential counts, which provider judges it, and who the caller is.
//!
//! One credential: where a route accepts any of several providers, exactly one has to be presented, and its kind says
//! which provider judges it. Where every one of several has to vouch, each takes its own, and none may be left over.

use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

use super::api_key::{ApiKeys, WellFormed};
use super::jwk::sha256;
use super::jwt::{Failure, TOKEN_BYTES, Unverified};
use super::present::{self, Presented};
use super::verdict::{Credential, VerdictCache};
use super::{Provider, refuse};
use crate::exchange::{Exchange, Need, Now, Principal, Refusal, Step};
use crate::reason::Reason;

/// Which providers a route accepts: indices of the snapshot's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepts {
    /// One of them has to vouch.
    AnyOf(Vec<u32>),
    /// Each of them has to vouch; the caller is whom the first one vouches for.
    AllOf(Vec<u32>),
}

impl Accepts {
    /// The providers.
    #[must_use]
    pub fn providers(&self) -> &[u32] {
        match self {
            Self::AnyOf(list) | Self::AllOf(list) => list,
        }
    }

    /// What one request can never satisfy.
    ///
    /// # Errors
    /// Two providers of `all_of` read the same place.
    pub fn check(&self, providers: &[Provider]) -> Result<(), String> {
        let Self::AllOf(list) = self else { return Ok(()) };
        let chosen: Vec<&Provider> = list.iter().filter_map(|index| providers.get(usize::try_from(*index).ok()?)).collect();
        for (position, one) in chosen.iter().enumerate() {
            let clash =
                chosen.iter().skip(position + 1).find(|other| one.headers.iter().any(|name| other.headers.contains(name)));
            if let Some(other) = clash {
                return Err(format!("`{}` and `{}` read the same header, so no request satisfies both", one.name, other.name));
            }
        }
        Ok(())
    }
}

type Caller = Rc<Principal>;

/// Why there is no caller (yet).
enum Undecided {
    Refused(Refusal),
    /// A fact is missing. The refusal is for whoever has already asked for it.
    Needs(Need, Refusal),
}

impl From<Refusal> for Undecided {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Reason> for Undecided {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason.into())
    }
}

/// The authenticate phase for a route that accepts these of `providers`: sets `exchange.principal` and `exchange.vouched`.
///
/// Asks for each missing fact once (`exchange.ask`); when it is still missing then, it refuses.
pub fn authenticate(
    providers: &[Provider],
    accepts: &Accepts,
    verdicts: &mut VerdictCache,
    exchange: &mut Exchange,
    now: Now,
) -> Step {
    let outcome =
        present::explicit(providers, &exchange.request).map_err(Undecided::Refused).and_then(|presented| match accepts {
            Accepts::AnyOf(list) => any_of(providers, list, &presented, verdicts, now),
            Accepts::AllOf(list) => all_of(providers, list, &presented, verdicts, now),
        });
    match outcome {
        Ok(callers) => {
            let mut callers = callers.into_iter();
            exchange.principal = callers.next();
            exchange.vouched = callers.collect();
            Step::Continue
        }
        Err(Undecided::Refused(refusal)) => Step::Refuse(attributed(providers, accepts, refusal)),
        Err(Undecided::Needs(need, refusal)) => {
            exchange.ask(need).unwrap_or_else(|| Step::Refuse(attributed(providers, accepts, refusal)))
        }
    }
}

/// Names the provider where there is only one that it can have been.
fn attributed(providers: &[Provider], accepts: &Accepts, mut refusal: Refusal) -> Refusal {
    if let ([only], None) = (accepts.providers(), &refusal.provider) {
        let provider = usize::try_from(*only).ok().and_then(|index| providers.get(index));
        refusal.provider = provider.map(|provider| Arc::clone(&provider.name));
    }
    refusal
}

/// The same refusal, of this provider's credential.
fn of(provider: &Provider, mut refusal: Refusal) -> Refusal {
    refusal.provider = Some(Arc::clone(&provider.name));
    refusal
}

type Callers = SmallVec<[Caller; 2]>;

fn any_of(
    providers: &[Provider],
    list: &[u32],
    presented: &[Presented<'_>],
    verdicts: &mut VerdictCache,
    now: Now,
) -> Result<Callers, Undecided> {
    match presented {
        [] => Err(Reason::CredentialMissing.into()),
        [one] => Ok(SmallVec::from_iter([judge(providers, list, one, verdicts, now)?])),
        _ => Err(Reason::CredentialAmbiguous.into()),
    }
}

fn all_of(
    providers: &[Provider],
    list: &[u32],
    presented: &[Presented<'_>],
    verdicts: &mut VerdictCache,
    now: Now,
) -> Result<Callers, Undecided> {
    let mut callers = Callers::new();
    for index in list {
        let provider = usize::try_from(*index).ok().and_then(|index| providers.get(index)).ok_or(Reason::Internal)?;
        let own = presented
            .iter()
            .find(|presented| provider.takes(presented))
            .ok_or_else(|| refuse(Reason::CredentialMissing, format!("a credential of `{}` is needed, too", provider.name)))?;
        callers.push(judge(providers, std::slice::from_ref(index), own, verdicts, now)?);
    }
    // Whatever nobody judged is not passed over.
    if presented.len() > callers.len() {
        return Err(Reason::CredentialAmbiguous.into());
    }
    Ok(callers)
}

/// The caller of one credential, by the provider of the list whose kind it is.
fn judge(
    providers: &[Provider],
    list: &[u32],
    presented: &Presented<'_>,
    verdicts: &mut VerdictCache,
    now: Now,
) -> Result<Caller, Undecided> {
    let accepted = || list.iter().filter_map(|index| Some((*index, providers.get(usize::try_from(*index).ok()?)?)));
    match *presented {
        Presented::Authorization(value) => bearer(accepted, verdicts, value, now),
        Presented::ApiKey(header, value) => Ok(api_key(accepted, verdicts, header, value, now)?),
    }
}

fn bearer<'p, I: Iterator<Item = (u32, &'p Provider)>>(
    accepted: impl Fn() -> I,
    verdicts: &mut VerdictCache,
    value: &[u8],
    now: Now,
) -> Result<Caller, Undecided> {
    let token = bearer_token(value)?;
    let jwts = || accepted().filter_map(|(index, provider)| Some((index, provider, provider.jwt()?)));
    if jwts().next().is_none() {
        return Err(Refusal::from(Reason::ProviderNotAccepted).into());
    }
    if token.len() > TOKEN_BYTES {
        return Err(Refusal::from(Reason::TokenTooLarge).into());
    }
    let digest = sha256(token);
    for (_, provider, jwt) in jwts() {
        let credential = Credential { digest, provider: provider.identity };
        if let Some(principal) = verdicts.get(&credential, jwt.keys.revision(), now) {
            return Ok(principal);
        }
    }
    let explained = |refusal| jwts().fold(refusal, |refusal, (_, _, jwt)| jwt.explained(refusal));
    let token = Unverified::parse(token).map_err(explained)?;
    let issuer = token.issuer()?;
    let (index, provider, jwt) =
        jwts().find(|(_, _, jwt)| jwt.issues(issuer).is_some()).ok_or_else(|| Refusal::from(Reason::TokenIssuerUnknown))?;
    let verdict = jwt.verify(&token, now).map_err(|failure| match failure {
        Failure::Refused(refusal) => Undecided::Refused(of(provider, refusal)),
        Failure::KeysNeeded(refusal) => Undecided::Needs(Need::Keys { provider: index }, of(provider, refusal)),
    })?;
    let principal = Rc::clone(&verdict.principal);
    verdicts.insert(Credential { digest, provider: provider.identity }, verdict);
    Ok(principal)
}

/// Whether all bytes are those of `token68` (RFC 9110 section 11.2).
pub(super) fn is_token68(token: &[u8]) -> bool {
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
    let verdict = keys.verify(&key, now).map_err(|refusal| of(provider, refusal))?;
    let principal = Rc::clone(&verdict.principal);
    verdicts.insert(credential, verdict);
    Ok(principal)
}
