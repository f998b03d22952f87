//! Sender-constrained tokens: whoever sends a token that is bound to a key has to have that key.
//!
//! A token that is bound is never taken without its proof, whatever the route demands; a route or a provider may demand
//! that tokens are bound.

use std::sync::atomic::Ordering;

use crate::exchange::{AuthenticationMethod, Confirmation, Exchange, Need, Now, Once, Principal, Refusal, Step, Use};
use crate::headers::Known;
use crate::ir::SenderConstrained;
use crate::providers::dpop::Proved;
use crate::providers::refuse;
use crate::reason::Reason;
use crate::snapshot::Snapshot;
use crate::store::Space;

/// How a token was presented.
#[derive(Clone, Copy)]
enum Scheme<'a> {
    /// RFC 6750, or none of a token.
    Bearer,
    /// RFC 9449 section 7.1, with the token.
    Dpop(&'a [u8]),
}

fn scheme(exchange: &Exchange) -> Scheme<'_> {
    let value = exchange.request.headers.get(Known::Authorization).unwrap_or_default();
    match value.split_at_checked(5) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"dpop ") => Scheme::Dpop(token),
        _ => Scheme::Bearer,
    }
}

/// Checks bindings and proofs. Of a proof that holds the store is asked once whether it is new.
pub(super) fn bind(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    // Resumed: what was proved is known already, and whether it was proved before is answered.
    if let Some((_, answer)) = exchange.uses.iter().find(|(key, _)| key.space() == Space::Proof) {
        return match answer {
            Use::New => Step::Continue,
            Use::Again => Step::Refuse(Reason::ProofReplayed.into()),
            Use::Unknown => Step::Refuse(Reason::StateUnavailable.into()),
        };
    }
    let outcome = check(snapshot, exchange, now);
    if !matches!(outcome, Ok(None)) {
        give_nonce(snapshot, exchange, &outcome, now);
    }
    match outcome {
        Ok(None) => Step::Continue,
        Ok(Some(Proved { key, until_ms, .. })) => {
            let once = Need::Unused(Box::new(Once { key, until_ms }));
            exchange.ask(once).unwrap_or_else(|| Step::Refuse(Reason::StateUnavailable.into()))
        }
        Err(refusal) => Step::Refuse(refusal),
    }
}

/// A nonce for the next proof: where one is missing, or about to end (RFC 9449 sections 8.1 and 8.2).
fn give_nonce(snapshot: &Snapshot, exchange: &mut Exchange, outcome: &Result<Option<Proved>, Refusal>, now: Now) {
    let wanted = match outcome {
        Ok(Some(proved)) => proved.renew,
        Ok(None) => false,
        Err(refusal) => matches!(refusal.reason, Reason::ProofMissing | Reason::ProofNonce | Reason::ProofInvalid),
    };
    if wanted {
        exchange.dpop_nonce = snapshot.dpop.nonce(now);
    }
}

/// The proof that has to be new, if there is one.
fn check(snapshot: &Snapshot, exchange: &Exchange, now: Now) -> Result<Option<Proved>, Refusal> {
    let route = snapshot.route(exchange.route).ok_or(Reason::Internal)?;
    let mut proved = None;
    let mut bound = false;
    for principal in exchange.principals() {
        let provider = snapshot.providers.iter().find(|provider| *provider.name() == principal.provider);
        let demands = [route.sender_constrained, provider.and_then(|provider| provider.sender_constrained())];
        match principal.method {
            AuthenticationMethod::Jwt | AuthenticationMethod::Introspection => {
                if let Some(demand) = demands.into_iter().flatten().find(|demand| !satisfies(principal, *demand)) {
                    return Err(missing(demand));
                }
                proved = token(snapshot, exchange, principal, now)?.or(proved);
                bound |= principal.confirmation.is_some();
            }
            // Nothing is sent that somebody else could use.
            AuthenticationMethod::Mtls => bound |= route.sender_constrained != Some(SenderConstrained::Dpop),
            AuthenticationMethod::SignedRequest => bound |= route.sender_constrained == Some(SenderConstrained::Any),
            // Bound to no key, so that it is sent as `Bearer`.
            AuthenticationMethod::ClientAssertion => token(snapshot, exchange, principal, now).map(drop)?,
            AuthenticationMethod::ApiKey | AuthenticationMethod::Oidc => {}
        }
    }
    match route.sender_constrained {
        Some(demand) if !bound => Err(missing(demand)),
        _ => Ok(proved),
    }
}

fn satisfies(principal: &Principal, demand: SenderConstrained) -> bool {
    matches!(
        (demand, principal.confirmation),
        (SenderConstrained::Dpop | SenderConstrained::Any, Some(Confirmation::Jkt(_)))
            | (SenderConstrained::Mtls | SenderConstrained::Any, Some(Confirmation::X5t(_)))
    )
}

/// A token that would have to be bound and is not.
fn missing(demand: SenderConstrained) -> Refusal {
    let what = match demand {
        SenderConstrained::Dpop => "a token that is bound to a key (DPoP) is needed",
        SenderConstrained::Mtls => "a token that is bound to the client's certificate is needed",
        SenderConstrained::Any => "a token that is bound to a key or to the client's certificate is needed",
    };
    refuse(Reason::NotBound, what)
}

/// What the token itself is bound to.
fn token(snapshot: &Snapshot, exchange: &Exchange, principal: &Principal, now: Now) -> Result<Option<Proved>, Refusal> {
    match (principal.confirmation, scheme(exchange)) {
        (None, Scheme::Bearer) => Ok(None),
        (None, Scheme::Dpop(_)) => Err(refuse(Reason::NotBound, "the token is bound to no key; send it as `Bearer`")),
        // "MUST NOT" be accepted as a bearer token (RFC 9449 section 7.2).
        (Some(Confirmation::Jkt(_)), Scheme::Bearer)
            if exchange.assumed.iter().any(|one| one.proved() && *one.provider() == *principal.provider) =>
        {
            Ok(None)
        }
        (Some(Confirmation::Jkt(_)), Scheme::Bearer) => {
            Err(refuse(Reason::ProofMissing, "the token is bound to a key; send it as `DPoP`, with a proof"))
        }
        (Some(Confirmation::Jkt(jkt)), Scheme::Dpop(token)) => {
            let since_ms = snapshot.remembered_since.load(Ordering::Acquire);
            snapshot.dpop.check(exchange, token, &jkt, since_ms, now).map(Some)
        }
        (Some(Confirmation::X5t(_)), Scheme::Dpop(_)) => {
            Err(refuse(Reason::NotBound, "the token is bound to a certificate; send it as `Bearer` over a connection with it"))
        }
        (Some(Confirmation::X5t(thumbprint)), Scheme::Bearer) => {
            let shown = exchange.connection.client_certificate.as_ref();
            if shown.is_some_and(|shown| *shown.fingerprint == *crate::revocation::hex(&thumbprint)) {
                return Ok(None);
            }
            Err(refuse(Reason::NotBound, "the token is bound to another certificate than that of the connection"))
        }
    }
}
