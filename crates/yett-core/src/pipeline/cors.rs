//! Pages of other origins: preflights are answered before anybody is asked who they are, other requests looked at by origin;
//! and whose pages may write.

use crate::exchange::{AuthenticationMethod, Exchange, Now, Refusal, Step, Variables};
use crate::filters::cors::{Cors, preflight_method};
use crate::filters::csrf::{self, Passes};
use crate::origin::Named;
use crate::pipeline::{limit, respond, route};
use crate::providers::oidc::Oidc;
use crate::providers::oidc::csrf::SessionId;
use crate::reason::Reason;
use crate::resilience::shed::Level;
use crate::router::{Match, Wanted};
use crate::snapshot::{Route, Snapshot};

/// The answer to a preflight, where a route with `cors` takes the method that it asks for; nothing where none does, and it is
/// a request as any other.
///
/// A hidden route is looked for by nobody here: it has no `cors`, and what stands beside it answers as if it were not there.
pub(super) fn preflight(snapshot: &Snapshot, shed: Level, exchange: &mut Exchange, now: Now) -> Option<Step> {
    let method = preflight_method(exchange)?;
    let mut variables = Variables::default();
    let wanted = Wanted { method: &method, ..route::wanted(exchange) };
    let Match::Found(index) = snapshot.router.find_shown(&exchange.connection.listener, wanted, &mut variables) else {
        return None;
    };
    let route = route::taken(snapshot, exchange, index).ok()?;
    let cors = route.cors.as_ref()?;
    exchange.route = Some(index);
    exchange.variables = variables;
    exchange.granted = cors.granted(exchange);
    if shed.refuses(route.priority) {
        return Some(Step::Refuse(Reason::Overloaded.into()));
    }
    match limit::admit_to(route, exchange, now) {
        Step::Continue => {}
        other => return Some(other),
    }
    Some(match cors.preflight(exchange, &method) {
        Ok(mut answer) => {
            respond::common(&mut answer, route, exchange);
            Step::Answer(answer)
        }
        Err(refusal) => Step::Refuse(refusal),
    })
}

/// Notes whose page asks, so that it can read whatever is answered, and a session knows whether it counts for that page.
pub(super) fn note(route: &Route, exchange: &mut Exchange) {
    if let Some(cors) = &route.cors {
        exchange.granted = cors.granted(exchange);
    }
    if let Some(csrf) = &route.csrf {
        exchange.page = Some(csrf.promised(exchange));
    }
}

/// Before authenticate, so that a foreign page learns nothing about the caller.
pub(super) fn check(route: &Route, exchange: &Exchange) -> Step {
    match route.cors.as_ref().map_or(Ok(()), |cors| cors.check(exchange)) {
        Ok(()) => Step::Continue,
        Err(refusal) => Step::Refuse(refusal),
    }
}

/// Whether a request that may change something comes from a page that may send it, where the route asks. A form whose token has
/// to tell is read later, see [`proven`].
pub(super) fn may_write(snapshot: &Snapshot, exchange: &mut Exchange) -> Step {
    match written(snapshot, exchange) {
        Ok(Passes::WithBody) => exchange.unproven = true,
        Ok(Passes::Now) => {}
        Err(refusal) => return Step::Refuse(refusal),
    }
    Step::Continue
}

/// Whether the form has the token, where that has to tell. After the limits: reading it costs more than counting it.
pub(super) fn proven(snapshot: &Snapshot, exchange: &mut Exchange) -> Step {
    if !exchange.unproven {
        return Step::Continue;
    }
    match written(snapshot, exchange) {
        Ok(Passes::WithBody) => {
            let limit = snapshot.route(exchange.route).map_or(0, |route| route.body_limit);
            return exchange.ask(csrf::form_of(limit)).unwrap_or_else(|| Step::Refuse(Reason::BodyMalformed.into()));
        }
        Ok(Passes::Now) => exchange.unproven = false,
        Err(refusal) => return Step::Refuse(refusal),
    }
    Step::Continue
}

fn written(snapshot: &Snapshot, exchange: &mut Exchange) -> Result<Passes, Refusal> {
    let route = snapshot.route(exchange.route).ok_or(Reason::Internal)?;
    let Some(csrf) = &route.csrf else { return Ok(Passes::Now) };
    let session = csrf.takes_tokens().then(|| session(snapshot, exchange)).flatten();
    let passes = csrf.check(exchange, session)?;
    if passes == Passes::Now
        && let Some(field) = session.and_then(|(oidc, id)| oidc.csrf_cookie(&exchange.request.headers, id))
        && !exchange.cookies().contains(&field)
    {
        exchange.sessions_mut().cookies.push(field);
    }
    Ok(passes)
}

/// What the service writes into its forms: the token of the caller's session, where the route has it in forms.
pub(super) fn told(snapshot: &Snapshot, route: &Route, exchange: &Exchange) -> Option<String> {
    route.csrf.as_ref().filter(|csrf| csrf.tells())?;
    session(snapshot, exchange).and_then(|(oidc, id)| oidc.csrf_token(id))
}

/// The session that vouched for a caller: its provider, and its id.
fn session<'a>(snapshot: &'a Snapshot, exchange: &Exchange) -> Option<(&'a Oidc, SessionId)> {
    let principal = exchange.principals().find(|one| one.method == AuthenticationMethod::Oidc)?;
    let provider = snapshot.providers.iter().find(|provider| *provider.name() == principal.provider)?;
    Some((provider.oidc()?, SessionId::of(principal)?))
}

/// What a listener's limit refuses is refused before a route is known; a page that may read the route's answers may read that.
pub(super) fn unrouted<'s>(snapshot: &'s Snapshot, exchange: &Exchange) -> Option<(&'s Cors, Option<Named>)> {
    let listener = &exchange.connection.listener;
    match snapshot.router.find_shown(listener, route::wanted(exchange), &mut Variables::default()) {
        Match::Found(index) => {
            let cors = snapshot.route(Some(index))?.cors.as_ref()?;
            Some((cors, cors.granted(exchange)))
        }
        _ => None,
    }
}
