//! The authenticate phase: which credential counts, which provider judges it, and who the caller is.
//!
//! One credential: where a route accepts any of several providers, exactly one has to be presented, and its kind says
//! which provider judges it. Where every one of several has to vouch, each takes its own, and none may be left over.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

use super::ambient::{self, Notes, Verdict as Ambient};
use super::api_key::{ApiKeys, WellFormed};
use super::assumed;
use super::client_assertion::ClientAssertions;
use super::introspection::{self, Introspected, Introspection};
use super::jwk::sha256;
use super::jwt::{Failure, TOKEN_BYTES, Unverified};
use super::machine::Maker;
use super::present::{self, Presented};
use super::signed_request::SignedRequest;
use super::verdict::{Credential, Verdict, VerdictCache};
use super::{Provider, refuse};
use crate::exchange::{Exchange, Need, Now, Principal, Refusal, RequestHead, Step, Use};
use crate::headers::Known;
use crate::reason::Reason;
use crate::revocation::credential_digest;

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

pub(super) type Caller = Rc<Principal>;

/// Why there is no caller (yet).
pub(super) enum Undecided {
    Refused(Refusal),
    /// A fact is missing. The refusal is for whoever has already asked for it.
    Needs(Box<(Need, Refusal)>),
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
    let mut notes = Notes::default();
    let outcome = present::explicit(providers, &exchange.request).map_err(Undecided::Refused).and_then(|mut presented| {
        assumed::present(providers, accepts, &exchange.assumed, &mut presented);
        match accepts {
            Accepts::AnyOf(list) => any_of(providers, list, &presented, exchange, verdicts, &mut notes, now),
            Accepts::AllOf(list) => all_of(providers, list, &presented, exchange, verdicts, &mut notes, now),
        }
    });
    follow(notes, providers, exchange);
    match outcome {
        Ok(callers) => {
            let mut callers = callers.into_iter();
            exchange.principal = callers.next();
            exchange.vouched = callers.collect();
            Step::Continue
        }
        Err(Undecided::Refused(refusal)) => Step::Refuse(attributed(providers, accepts, refusal)),
        Err(Undecided::Needs(missing)) => {
            let (need, refusal) = *missing;
            exchange.ask(need).unwrap_or_else(|| Step::Refuse(attributed(providers, accepts, refusal)))
        }
    }
}

/// Leaves what is to be said to the browser. The phase may run again, so nothing stays of the last time.
fn follow(notes: Notes, providers: &[Provider], exchange: &mut Exchange) {
    if let Some(sessions) = &mut exchange.sessions {
        sessions.cookies.clear();
    }
    for oidc in notes.over.iter().filter_map(|index| providers.get(usize::try_from(*index).ok()?)?.oidc()) {
        let fields = oidc.clear(exchange);
        exchange.sessions_mut().cookies.extend(fields);
    }
    if notes.renewed.is_some() {
        exchange.sessions_mut().renewed = notes.renewed;
    }
    if notes.signed.is_some() {
        exchange.signed = notes.signed;
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
pub(super) fn of(provider: &Provider, mut refusal: Refusal) -> Refusal {
    refusal.provider = Some(Arc::clone(&provider.name));
    refusal
}

type Callers = SmallVec<[Caller; 2]>;

fn any_of(
    providers: &[Provider],
    list: &[u32],
    presented: &[Presented<'_>],
    exchange: &Exchange,
    verdicts: &mut VerdictCache,
    notes: &mut Notes,
    now: Now,
) -> Result<Callers, Undecided> {
    match presented {
        [] => match ambient::any_session(providers, list, exchange, verdicts, notes, now) {
            // A certificate may be there for many reasons: it counts where nothing else was said.
            Ambient::Absent => Ok(SmallVec::from_iter([certificate(providers, list, exchange, verdicts, now)?])),
            Ambient::Caller(caller) => Ok(SmallVec::from_iter([caller])),
            Ambient::Needs(need, refusal) => Err(Undecided::Needs(Box::new((need, refusal)))),
            Ambient::Refused(refusal) => Err(refusal.into()),
        },
        [one] => Ok(SmallVec::from_iter([judge(providers, list, one, exchange, verdicts, &mut notes.signed, now)?])),
        _ => Err(Reason::CredentialAmbiguous.into()),
    }
}

fn all_of(
    providers: &[Provider],
    list: &[u32],
    presented: &[Presented<'_>],
    exchange: &Exchange,
    verdicts: &mut VerdictCache,
    notes: &mut Notes,
    now: Now,
) -> Result<Callers, Undecided> {
    let mut callers = Callers::new();
    let mut used = 0;
    for index in list {
        let provider = usize::try_from(*index).ok().and_then(|index| providers.get(index)).ok_or(Reason::Internal)?;
        if let Some(own) = presented.iter().find(|one| matches!(one, Presented::Assumed(_)) && provider.takes(one)) {
            callers.push(judge(providers, std::slice::from_ref(index), own, exchange, verdicts, &mut notes.signed, now)?);
            used += 1;
            continue;
        }
        if provider.mtls().is_some() {
            callers.push(certificate(providers, std::slice::from_ref(index), exchange, verdicts, now)?);
            continue;
        }
        match ambient::session(provider, *index, exchange, verdicts, notes, now) {
            Ambient::Absent => {}
            Ambient::Caller(caller) => {
                callers.push(caller);
                continue;
            }
            Ambient::Needs(need, refusal) => return Err(Undecided::Needs(Box::new((need, refusal)))),
            Ambient::Refused(refusal) => return Err(refusal.into()),
        }
        let own = presented
            .iter()
            .find(|presented| provider.takes(presented))
            .ok_or_else(|| refuse(Reason::CredentialMissing, format!("a credential of `{}` is needed, too", provider.name)))?;
        callers.push(judge(providers, std::slice::from_ref(index), own, exchange, verdicts, &mut notes.signed, now)?);
        used += 1;
    }
    // Whatever nobody judged is not passed over.
    if presented.len() > used {
        return Err(Reason::CredentialAmbiguous.into());
    }
    Ok(callers)
}

/// The caller of one credential, by the provider of the list whose kind it is.
fn judge(
    providers: &[Provider],
    list: &[u32],
    presented: &Presented<'_>,
    exchange: &Exchange,
    verdicts: &mut VerdictCache,
    signed: &mut Option<Box<SignedRequest>>,
    now: Now,
) -> Result<Caller, Undecided> {
    let accepted = || list.iter().filter_map(|index| Some((*index, providers.get(usize::try_from(*index).ok()?)?)));
    match *presented {
        Presented::Authorization(value) => bearer(accepted, verdicts, value, exchange, now),
        Presented::ApiKey(header, value) => Ok(api_key(accepted, verdicts, header, value, exchange.client, now)?),
        Presented::Signature => signature(accepted, exchange, signed, now),
        Presented::Assumed(one) => Ok(assumed::judge(providers, list, one, exchange, now)?),
    }
}

/// The one `mtls` provider of the list that knows the connection's certificate, which counts where nothing else is shown.
fn certificate(
    providers: &[Provider],
    list: &[u32],
    exchange: &Exchange,
    verdicts: &mut VerdictCache,
    now: Now,
) -> Result<Caller, Refusal> {
    let accepted = || list.iter().filter_map(|index| providers.get(usize::try_from(*index).ok()?));
    let others = accepted().any(|provider| provider.mtls().is_none());
    let mut refused = None;
    let mut found = None;
    for (provider, (mtls, maker)) in accepted().filter_map(|provider| Some((provider, provider.mtls()?))) {
        let Some(shown) = exchange.connection.client_certificate.as_deref() else {
            refused = (!others).then(|| Refusal::from(Reason::ClientCertificateRequired));
            break;
        };
        let credential = Credential { digest: sha256(shown.fingerprint.as_bytes()), provider: provider.identity };
        let caller = match verdicts.get(&credential, 0, now) {
            Some(caller) => caller,
            None => match mtls.caller(maker, shown) {
                Ok(principal) => {
                    let verdict = Verdict {
                        principal: Rc::new(principal),
                        trust_revision: 0,
                        from_ms: 0,
                        until_ms: shown.not_after_ms.saturating_add(1),
                    };
                    let caller = Rc::clone(&verdict.principal);
                    verdicts.insert(credential, verdict);
                    caller
                }
                Err(refusal) => {
                    refused = Some(refusal);
                    continue;
                }
            },
        };
        if found.replace(caller).is_some() {
            return Err(refuse(Reason::CredentialAmbiguous, "several providers know the client certificate"));
        }
    }
    found.ok_or_else(|| refused.unwrap_or_else(|| Reason::CredentialMissing.into()))
}

/// Verified once: whoever comes again brings what became of the nonce.
fn signature<'p, I: Iterator<Item = (u32, &'p Provider)>>(
    accepted: impl Fn() -> I,
    exchange: &Exchange,
    signed: &mut Option<Box<SignedRequest>>,
    now: Now,
) -> Result<Caller, Undecided> {
    let mut verifiers = accepted().filter_map(|(_, provider)| Some((provider, provider.signed_requests()?)));
    let (provider, (requests, maker)) = verifiers.next().ok_or_else(|| Refusal::from(Reason::ProviderNotAccepted))?;
    if let Some(known) = exchange.signed.as_deref().filter(|known| known.caller.provider == provider.name) {
        return known.decide();
    }
    if verifiers.next().is_some() {
        return Err(refuse(Reason::CredentialAmbiguous, "several providers read signatures here").into());
    }
    let found = requests.verify(exchange, now)?;
    let request = signed.insert(Box::new(SignedRequest::new(found, maker)));
    request.decide()
}

fn bearer<'p, I: Iterator<Item = (u32, &'p Provider)>>(
    accepted: impl Fn() -> I,
    verdicts: &mut VerdictCache,
    value: &[u8],
    exchange: &Exchange,
    now: Now,
) -> Result<Caller, Undecided> {
    let token = of_scheme(value)?;
    // What is remembered was looked at when it first came: a token is the longest value of most requests.
    let unless_malformed = |reason: Reason| if is_token68(token) { reason.into() } else { malformed() };
    let said = exchange.introspected.as_ref();
    let jwts = || accepted().filter_map(|(index, provider)| Some((index, provider, provider.jwt()?)));
    let asked = || accepted().find_map(|(index, provider)| Some((index, provider, provider.introspection()?)));
    let asserted = || accepted().filter_map(|(_, provider)| Some((provider, provider.client_assertions()?)));
    if jwts().next().is_none() && asked().is_none() && asserted().next().is_none() {
        return Err(unless_malformed(Reason::ProviderNotAccepted).into());
    }
    if token.len() > TOKEN_BYTES {
        return Err(unless_malformed(Reason::TokenTooLarge).into());
    }
    let digest = verdicts.digests.of(token);
    for (_, provider, jwt) in jwts() {
        let credential = Credential { digest, provider: provider.identity };
        if let Some(principal) = verdicts.get(&credential, jwt.keys.revision(), now) {
            verdicts.digests.keep(token, digest);
            return Ok(principal);
        }
    }
    if !is_token68(token) {
        return Err(malformed().into());
    }
    // Who signs about itself names itself: nobody else judges that, also if it fails there.
    let issuer = asserted().next().and_then(|_| introspection::issuer_of(token));
    if let Some(issuer) = &issuer
        && let Some((provider, judge)) = asserted().find(|(_, (assertions, _))| assertions.knows(issuer))
    {
        return assertion(provider, judge, token, verdicts, exchange, now);
    }
    if let Some((index, provider, introspection)) = asked() {
        // A signed token of an accepted issuer is for its provider to judge, also if it fails there.
        let issuer = jwts().next().and_then(|_| introspection::issuer_of(token));
        if !issuer.as_deref().is_some_and(|issuer| jwts().any(|(_, _, jwt)| jwt.issues(issuer).is_some())) {
            let credential = Credential { digest, provider: provider.identity };
            return opaque((index, introspection), token, credential, verdicts, said, now).map_err(|why| match why {
                Undecided::Refused(refusal) => Undecided::Refused(of(provider, refusal)),
                Undecided::Needs(missing) => Undecided::Needs(Box::new((missing.0, of(provider, missing.1)))),
            });
        }
    }
    let whole = token;
    let explained = |refusal| jwts().fold(refusal, |refusal, (_, _, jwt)| jwt.explained(refusal));
    let token = Unverified::parse(token).map_err(explained)?;
    let issuer = token.issuer()?;
    let (index, provider, jwt) =
        jwts().find(|(_, _, jwt)| jwt.issues(issuer).is_some()).ok_or_else(|| Refusal::from(Reason::TokenIssuerUnknown))?;
    let mut verdict = jwt.verify(&token, now).map_err(|failure| match failure {
        Failure::Refused(refusal) => Undecided::Refused(of(provider, refusal)),
        Failure::KeysNeeded(refusal) => Undecided::Needs(Box::new((Need::Keys { provider: index }, of(provider, refusal)))),
    })?;
    name(&mut verdict, whole);
    let principal = Rc::clone(&verdict.principal);
    verdicts.insert(Credential { digest, provider: provider.identity }, verdict);
    Ok(principal)
}

/// A client that signed about itself: verified once, and good for this request where the store knows nothing of it.
fn assertion(
    provider: &Provider,
    (assertions, maker): (&ClientAssertions, &Maker),
    token: &[u8],
    verdicts: &mut VerdictCache,
    exchange: &Exchange,
    now: Now,
) -> Result<Caller, Undecided> {
    let credential = Credential { digest: sha256(token), provider: provider.identity };
    let principal = match verdicts.get(&credential, 0, now) {
        Some(principal) => principal,
        None => {
            let verdict = assertions.verify(token, maker, now).map_err(|refusal| of(provider, refusal))?;
            let principal = Rc::clone(&verdict.principal);
            verdicts.insert(credential, verdict);
            principal
        }
    };
    let once = assertions.once(&principal).map_err(|refusal| of(provider, refusal))?;
    match exchange.use_of(&once.key) {
        Some(Use::New) => Ok(principal),
        Some(Use::Again) => Err(of(provider, Reason::AssertionReplayed.into()).into()),
        Some(Use::Unknown) => Err(of(provider, Reason::StateUnavailable.into()).into()),
        None => {
            let need = Need::Unused(Box::new(once));
            Err(Undecided::Needs(Box::new((need, of(provider, Reason::StateUnavailable.into())))))
        }
    }
}

/// A token whose issuer is asked, unless it was asked already and the answer counts.
fn opaque(
    (index, introspection): (u32, &Introspection),
    token: &[u8],
    credential: Credential,
    verdicts: &mut VerdictCache,
    said: Option<&Introspected>,
    now: Now,
) -> Result<Caller, Undecided> {
    if let Some(principal) = verdicts.get(&credential, 0, now) {
        return Ok(principal);
    }
    let answer = match said.filter(|said| said.provider == index) {
        Some(said) => said.answer.clone().map_err(|unanswered| unanswered.refusal())?,
        None => introspection.known(credential.digest).ok_or_else(|| {
            let need = Need::Introspection { provider: index, max_age_ms: introspection.max_age_ms() };
            Undecided::Needs(Box::new((need, Reason::IdentityProviderUnavailable.into())))
        })?,
    };
    let mut verdict = introspection.judge(&answer, now)?;
    // Whoever revokes it has the token, and cannot read an id in it.
    if let Some(principal) = Rc::get_mut(&mut verdict.principal) {
        principal.credential = Some(credential_digest(token));
        // Where it is a JWT, it is revoked by the id in it, whether its issuer repeats that or not.
        principal.token_id = principal.token_id.take().or_else(|| introspection::id_of(token).map(Into::into));
    }
    let principal = Rc::clone(&verdict.principal);
    if verdict.until_ms > now.unix_ms {
        verdicts.insert(credential, verdict);
    }
    Ok(principal)
}

/// The bearer token of a request whose credentials were found to be well-formed.
#[must_use]
pub fn bearer_of(request: &RequestHead) -> Option<&str> {
    let value = request.headers.get(Known::Authorization)?;
    std::str::from_utf8(bearer_token(value).ok()?).ok()
}

/// A token without an id of its own is revoked by its digest.
fn name(verdict: &mut Verdict, token: &[u8]) {
    if let Some(principal) = Rc::get_mut(&mut verdict.principal).filter(|principal| principal.token_id.is_none()) {
        principal.credential = Some(credential_digest(token));
    }
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

/// The token of `Bearer <token>` (RFC 6750 section 2.1) or `DPoP <token>` (RFC 9449 section 7.1); the scheme in any case
/// (RFC 9110 section 11.1). Which of the two has to stand there is decided by `pipeline::binding`.
fn bearer_token(value: &[u8]) -> Result<&[u8], Refusal> {
    of_scheme(value).and_then(|token| if is_token68(token) { Ok(token) } else { Err(malformed()) })
}

/// As [`bearer_token`], whatever the token is made of.
fn of_scheme(value: &[u8]) -> Result<&[u8], Refusal> {
    let space = value.iter().position(|b| *b == b' ').ok_or_else(malformed)?;
    let (scheme, token) = value.split_at_checked(space + 1).ok_or_else(malformed)?;
    let known = scheme.eq_ignore_ascii_case(b"bearer ") || scheme.eq_ignore_ascii_case(b"dpop ");
    if known && !token.is_empty() { Ok(token) } else { Err(malformed()) }
}

fn malformed() -> Refusal {
    refuse(Reason::CredentialMalformed, "the authorization is not of the form `Bearer <token>`")
}

fn api_key<'p, I: Iterator<Item = (u32, &'p Provider)>>(
    accepted: impl Fn() -> I,
    verdicts: &mut VerdictCache,
    header: &[u8],
    value: &[u8],
    client: IpAddr,
    now: Now,
) -> Result<Caller, Refusal> {
    let stores = || {
        let of_header = |keys: &&ApiKeys| keys.header.as_bytes() == header;
        accepted().filter_map(move |(_, provider)| Some((provider, provider.api_keys().filter(of_header)?)))
    };
    let (first, keys) = stores().next().ok_or(Reason::ProviderNotAccepted)?;
    let key = WellFormed::parse(value)?;
    // Several stores may share a header: the id says which one it is.
    let (provider, keys) = stores().find(|(_, keys)| keys.stored(&key).is_some()).unwrap_or((first, keys));
    let credential = Credential { digest: sha256(value), provider: provider.identity };
    let principal = match verdicts.get(&credential, 0, now) {
        Some(principal) => principal,
        None => {
            let verdict = keys.verify(&key, now).map_err(|refusal| of(provider, refusal))?;
            let principal = Rc::clone(&verdict.principal);
            verdicts.insert(credential, verdict);
            principal
        }
    };
    // Good for whoever has it; where it may be used from is asked for each request.
    keys.stored(&key).ok_or(Reason::ApiKeyUnknown)?.used_from(client, now)?;
    Ok(principal)
}
