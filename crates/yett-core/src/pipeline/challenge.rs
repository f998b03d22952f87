//! Solutions of challenges at logins: taken at a path of the gateway's own, from the page that it made itself.

use crate::exchange::{Answer, Exchange, Method, Need, Now, Refusal, Step};
use crate::filters::login_guard::altcha::Payload;
use crate::filters::login_guard::challenge::refused;
use crate::filters::request_validation::content::ContentType;
use crate::headers::Known;
use crate::pipeline::respond;
use crate::providers::oidc::browser;
use crate::reason::Reason;
use crate::snapshot::Snapshot;

/// The body: a challenge and its solution take less than 1 KiB.
const BODY: Need = Need::Body { limit: 4 * 1024, within_ms: 10_000 };

/// Answers what is sent to that path; nothing where a route may take it.
pub(super) fn endpoint(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Option<Step> {
    if snapshot.doors.is_empty() {
        return None;
    }
    let mut routes = snapshot.doors.at(&exchange.connection.listener, &exchange.host, &exchange.path).peekable();
    routes.peek()?;
    let routes: Vec<u32> = routes.collect();
    Some(take(snapshot, exchange, &routes, now).unwrap_or_else(|stopped| stopped))
}

fn take(snapshot: &Snapshot, exchange: &mut Exchange, routes: &[u32], now: Now) -> Result<Step, Step> {
    let stop = |refusal: Refusal| Step::Refuse(refusal);
    if exchange.request.method != Method::Post {
        return Err(stop(Refusal { allow: Some("POST".into()), ..Reason::MethodNotAllowed.into() }));
    }
    if !exchange.https {
        return Err(stop(Reason::LoginInsecure.into()));
    }
    // A foreign page could have its visitor's browser work for somebody else.
    if !browser::is_same_origin(exchange) {
        return Err(stop(Reason::CsrfRefused.into()));
    }
    let kind = exchange.request.headers.get(Known::ContentType).and_then(|value| ContentType::parse(value).ok());
    if kind.is_none_or(|kind| &*kind.essence != "application/json") {
        return Err(stop(Reason::ContentTypeUnsupported.into()));
    }
    let body = match &exchange.body {
        None => return Err(exchange.ask(BODY).unwrap_or_else(|| stop(Reason::BodyMalformed.into()))),
        Some(Err(reason)) => return Err(stop((*reason).into())),
        Some(Ok(body)) => body.data(),
    };
    let payload: Payload = serde_json::from_slice(body).map_err(|_| stop(Reason::JsonMalformed.into()))?;
    let guards = routes.iter().filter_map(|index| snapshot.route(Some(*index))?.login_guard.as_ref());
    let proved = guards.filter_map(|guard| guard.prove(&payload, exchange, now)).next();
    let elsewhere = || Err(refused("binding", "the check was made for another page, network or browser; load the page anew"));
    let cookie = proved.unwrap_or_else(elsewhere).map_err(stop)?;
    exchange.sessions_mut().cookies.push(cookie);
    let headers = vec![("cache-control".into(), "no-store".into())];
    let mut answer = Answer { status: 204, headers, body: [].into() };
    respond::own(&mut answer, snapshot, exchange);
    Ok(Step::Answer(answer))
}
