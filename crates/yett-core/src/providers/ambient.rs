//! Sessions: what a browser sends by itself, and so counts only where nothing was presented on purpose.

use std::rc::Rc;

use super::Provider;
use super::authenticate::of;
use super::oidc::session::Session;
use super::oidc::{Found, cookie};
use super::signed_request::SignedRequest;
use super::verdict::VerdictCache;
use crate::exchange::{Exchange, Need, Now, Principal, Refusal};

/// What the credentials of a request leave to do.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// One that the browser has to be given anew.
    pub renewed: Option<(u32, Box<Session>)>,
    /// Providers whose session is over, so that its cookie goes.
    pub over: Vec<u32>,
    /// What was signed of the request.
    pub signed: Option<Box<SignedRequest>>,
}

/// What a session comes to.
pub(super) enum Verdict {
    /// The provider has none of this request.
    Absent,
    Caller(Rc<Principal>),
    Needs(Need, Refusal),
    Refused(Refusal),
}

/// The caller of the session that the provider of this index has of the request.
pub(super) fn session(
    provider: &Provider,
    index: u32,
    exchange: &Exchange,
    verdicts: &mut VerdictCache,
    notes: &mut Notes,
    now: Now,
) -> Verdict {
    let Some(oidc) = provider.oidc() else { return Verdict::Absent };
    if !cookie::has_session(&exchange.request.headers, oidc.cookie()) {
        return Verdict::Absent;
    }
    match oidc.caller(index, provider.identity, exchange, verdicts, now) {
        Found::Caller(principal, renewed) => {
            if let Some(session) = renewed {
                notes.renewed = Some((index, session));
            }
            Verdict::Caller(principal)
        }
        Found::Needs(need, refusal) => Verdict::Needs(need, of(provider, refusal)),
        Found::Refused(refusal, over) => {
            if over {
                notes.over.push(index);
            }
            Verdict::Refused(of(provider, refusal))
        }
    }
}

/// The caller of the first session that counts, of several providers.
pub(super) fn any_session(
    providers: &[Provider],
    list: &[u32],
    exchange: &Exchange,
    verdicts: &mut VerdictCache,
    notes: &mut Notes,
    now: Now,
) -> Verdict {
    let mut first = Verdict::Absent;
    for index in list {
        let Some(provider) = usize::try_from(*index).ok().and_then(|at| providers.get(at)) else { continue };
        match session(provider, *index, exchange, verdicts, notes, now) {
            Verdict::Absent => {}
            Verdict::Refused(refusal) => {
                if matches!(first, Verdict::Absent) {
                    first = Verdict::Refused(refusal);
                }
            }
            found @ (Verdict::Caller(_) | Verdict::Needs(..)) => return found,
        }
    }
    first
}
