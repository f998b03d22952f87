//! What a request presents to prove who is calling.
//!
//! Explicit credentials are those that a client puts into a request on purpose: they are judged, never passed over, also
//! where the route accepts none of their kind, so that a wrong one never counts as none.

use smallvec::SmallVec;

use super::Provider;
use crate::decide::Assumed;
use crate::exchange::{Refusal, RequestHead};
use crate::headers::Known;
use crate::reason::Reason;

/// An explicit credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    /// `Authorization`, whatever its scheme.
    Authorization(&'a [u8]),
    /// A header that carries API keys, lower case, and its value.
    ApiKey(&'a [u8], &'a [u8]),
    /// `Signature-Input` or `Signature` (RFC 9421), however many lines they have.
    Signature,
    /// None: a policy tool takes the caller as verified.
    Assumed(&'a Assumed),
}

impl Presented<'_> {
    /// Whether both are said in the same place, so that one of them is one too many in any case.
    fn clashes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Authorization(_), Self::Authorization(_)) => true,
            (Self::ApiKey(one, _), Self::ApiKey(other, _)) => one == other,
            _ => false,
        }
    }
}

/// All explicit credentials of a request; headers of providers that the route does not accept count too.
///
/// # Errors
/// `credential_ambiguous`: one place says it twice.
pub(super) fn explicit<'a>(providers: &[Provider], request: &'a RequestHead) -> Result<SmallVec<[Presented<'a>; 2]>, Refusal> {
    let mut found: SmallVec<[Presented<'a>; 2]> = SmallVec::new();
    for (known, name, value) in request.headers.iter() {
        let next = if known == Known::Authorization {
            Presented::Authorization(value)
        } else if super::signed_request::HEADERS.iter().any(|own| own.as_bytes() == name) {
            // Where no provider reads them, they are between the client and the service.
            if !providers.iter().any(|provider| provider.signed_requests().is_some()) || found.contains(&Presented::Signature) {
                continue;
            }
            Presented::Signature
        } else if providers.iter().filter_map(Provider::api_keys).any(|keys| keys.header.as_bytes() == name) {
            Presented::ApiKey(name, value)
        } else {
            continue;
        };
        if found.iter().any(|one| one.clashes(&next)) {
            return Err(Reason::CredentialAmbiguous.into());
        }
        found.push(next);
    }
    Ok(found)
}
