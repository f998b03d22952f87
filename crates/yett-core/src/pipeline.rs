//! The phases of a request, in order. A table of contents: each phase is a function with a file of its own.
//!
//! Nothing here does input or output: time and randomness come in, and a fact that is missing is asked for with
//! [`Step::Need`]. So the code that decides a live request can be asked by tools.

mod authorize;
mod binding;
mod bots;
mod challenge;
mod connection;
mod cors;
mod events;
mod forwarding;
mod guard;
mod hidden;
mod hygiene;
mod limit;
mod login;
mod prepare;
pub(crate) mod random;
mod receive;
pub(crate) mod recorded;
mod redirect;
mod respond;
mod route;
pub mod trailers;
mod validate;

use crate::exchange::{Answer, Exchange, Now, Phase, Refusal, ResponseHead, Step};
use crate::filters::login_guard::Told;
use crate::filters::rate_limit::Ended;
use crate::providers::authenticate;
use crate::providers::verdict::VerdictCache;
use crate::reason::{Fault, Reason};
use crate::resilience::shed::Level;
use crate::snapshot::{Access, Snapshot};
use random::Random;

/// What one worker keeps between requests.
#[derive(Debug)]
pub struct PipelineState {
    /// This worker's share of verified credentials.
    pub verdicts: VerdictCache,
    /// Which priorities this worker refuses now.
    pub shed: Level,
    random: Random,
}

impl PipelineState {
    /// For one worker, with room for so many verified credentials (its share of `process.verdict_cache`).
    #[must_use]
    pub fn new(verdict_entries: usize) -> Self {
        Self { verdicts: VerdictCache::new(verdict_entries), shed: Level::default(), random: Random::default() }
    }
}

/// Runs the phases from `exchange.phase` on. `Continue` means: forward it.
///
/// After a `Need` the server fetches the fact and calls again; the phase that asked is entered anew.
pub fn run(snapshot: &Snapshot, state: &mut PipelineState, exchange: &mut Exchange, now: Now) -> Step {
    loop {
        let (step, next) = match exchange.phase {
            // Before anything reads the request, so that everyone reads the same one.
            Phase::Receive => (receive::receive(snapshot, state, exchange, now), Phase::Screen),
            // Before a route is looked for, so that probing for paths is charged.
            Phase::Screen => (limit::screen(snapshot, exchange, now), Phase::Route),
            // Events of identity providers come to paths of their own, as do challenges.
            Phase::Route if events::receiver(snapshot, exchange).is_some() => {
                (events::take(snapshot, exchange, now), Phase::Done)
            }
            // What the gateway answers itself around logins comes before the routes, which cannot take it.
            Phase::Route => {
                match challenge::endpoint(snapshot, exchange, now).or_else(|| login::endpoint(snapshot, state, exchange, now)) {
                    Some(step) => (step, Phase::Done),
                    None => (route::route(snapshot, state.shed, exchange, now), Phase::Bots),
                }
            }
            // Before a credential is looked at, and after limits by address, so that trying out what passes is charged.
            Phase::Bots => (bots::judge(snapshot, exchange, now), Phase::Authenticate),
            Phase::Authenticate => (verify(snapshot, state, exchange, now), Phase::Confirm),
            // After the verdict, which may be a remembered one: what was revoked meanwhile, and whose token it is.
            Phase::Confirm => (confirm(snapshot, state, exchange, now), Phase::Authorize),
            // Before any rule, so that a foreign page learns nothing of what its visitor may do.
            Phase::Authorize => (may(snapshot, state, exchange, now), Phase::Limit),
            // After authorize: keyed by a verified caller, and not spent by those who may not call at all.
            Phase::Limit => (limit::limit(snapshot, exchange, now), Phase::Validate),
            // After the limits: reading and judging a body costs more than counting it.
            Phase::Validate => (valid(snapshot, exchange), Phase::AuthorizeBody),
            // On the validated value only.
            Phase::AuthorizeBody => (authorize::authorize_body(snapshot, exchange, now), Phase::Guard),
            // Last, so that only what a service would try counts as an attempt.
            Phase::Guard => (guard::guard(snapshot, state, exchange, now), Phase::Prepare),
            Phase::Prepare => {
                // Before its fields are made those that are forwarded.
                if let Some(records) = snapshot.records.as_ref().filter(|_| exchange.captured.is_none()) {
                    exchange.captured = Some(Box::new(records.capture(snapshot, exchange)));
                }
                (prepare::prepare(snapshot, state, exchange), Phase::Done)
            }
            Phase::Done => return Step::Continue,
        };
        match step {
            Step::Continue => exchange.phase = next,
            other => return hidden::step(snapshot, exchange, other),
        }
    }
}

/// Who is calling. A route without an access decision does not exist; a route that is gone refuses.
fn verify(snapshot: &Snapshot, state: &mut PipelineState, exchange: &mut Exchange, now: Now) -> Step {
    let Some(route) = snapshot.route(exchange.route) else { return Step::Refuse(Reason::Internal.into()) };
    if route.client_certificate
        && let Err(refusal) = connection::certified(exchange)
    {
        return Step::Refuse(refusal);
    }
    match &route.access {
        Access::Public => Step::Continue,
        Access::Authenticated { providers, .. } => match hygiene::credential_in_url(snapshot, exchange.query()) {
            true => Step::Refuse(Reason::CredentialInUrl.into()),
            false => match authenticate(&snapshot.providers, providers, &mut state.verdicts, exchange, now) {
                Step::Continue => match login::renew(snapshot, state, exchange, now) {
                    // After the caller is known, and before anything is decided on it.
                    Step::Continue => match &route.live_check {
                        Some(check) => check.confirm(&snapshot.providers, &snapshot.revocations, exchange, now),
                        None => Step::Continue,
                    },
                    other => other,
                },
                Step::Refuse(refusal) => login::invite(snapshot, state, exchange, providers.providers(), refusal, now),
                other => other,
            },
        },
    }
}

/// What the caller may do from there, from that page, with that login.
fn may(snapshot: &Snapshot, state: &mut PipelineState, exchange: &mut Exchange, now: Now) -> Step {
    let mut step = limit::placed(snapshot, exchange);
    if matches!(step, Step::Continue) {
        step = cors::may_write(snapshot, exchange);
    }
    if matches!(step, Step::Continue) {
        step = login::assured(snapshot, state, exchange, now);
    }
    if matches!(step, Step::Continue) {
        step = authorize::authorize(snapshot, exchange, now);
    }
    step
}

/// What has to be in the body: the token of a session first, where a form has it.
fn valid(snapshot: &Snapshot, exchange: &mut Exchange) -> Step {
    match cors::proven(snapshot, exchange) {
        Step::Continue => validate::validate(snapshot, exchange),
        other => other,
    }
}

/// Whether whoever was vouched for still counts, and has the key that the token is bound to.
fn confirm(snapshot: &Snapshot, state: &mut PipelineState, exchange: &mut Exchange, now: Now) -> Step {
    if exchange.principal.is_none() {
        return Step::Continue;
    }
    match snapshot.revocations.check(exchange, now) {
        Ok(()) => binding::bind(snapshot, exchange, now),
        Err(reason) => login::revoked(snapshot, state, exchange, reason, now),
    }
}

/// Charges what a request costs beyond what it was let in for, once its answer has ended, however it did.
pub fn settle(snapshot: &Snapshot, exchange: &mut Exchange, ended: &Ended<'_>, now: Now) {
    limit::settle(snapshot, exchange, ended, now);
}

/// Says of an attempt to log in what came of it.
pub fn told(snapshot: &Snapshot, exchange: &mut Exchange, asked: bool, told: Option<Told>, now: Now) {
    guard::told(snapshot, exchange, asked, told, now);
}

/// The respond phase, for answers of services: hygiene, edits, RateLimit fields, request id.
///
/// # Errors
/// A refusal in place of the service's answer.
pub fn respond(snapshot: &Snapshot, exchange: &Exchange, response: &mut ResponseHead) -> Result<(), Refusal> {
    respond::respond(snapshot, exchange, response)
}

/// What forwarding refuses, as the client of a hidden route sees it: what is wrong with its request shows no more than in any
/// phase. What a service fails in was asked by a caller whom every check let in, and is said as it is.
#[must_use]
pub fn refused_late(snapshot: &Snapshot, exchange: &mut Exchange, refusal: Refusal) -> Refusal {
    if refusal.reason.fault() == Fault::Client { hidden::refusal(snapshot, exchange, refusal) } else { refusal }
}

/// Whether the client may not learn from time what it does not learn from the answer.
#[must_use]
pub fn is_timeless(snapshot: &Snapshot, exchange: &Exchange, refusal: &Refusal) -> bool {
    hidden::is_timeless(snapshot, exchange, refusal)
}

/// The answer to a refusal at any phase (also before a route is known), with challenges, RateLimit fields and request id.
#[must_use]
pub fn refuse(snapshot: &Snapshot, exchange: Option<&Exchange>, refusal: &Refusal) -> Answer {
    respond::refuse(snapshot, exchange, refusal)
}
