//! Respond: what a client sees of a service's answer, and the answer to a refusal.

use crate::exchange::{Answer, Exchange, LimitReport, Phase, Refusal, ResponseHead};
use crate::grpc;
use crate::headers::{FieldError, Known};
use crate::pipeline::{cors, hygiene};
use crate::problem::{self, ProblemContext};
use crate::protected_resource::place;
use crate::providers::oidc::cookie;
use crate::reason::Reason;
use crate::snapshot::{Route, Snapshot};

pub(super) fn respond(snapshot: &Snapshot, exchange: &Exchange, response: &mut ResponseHead) -> Result<(), Refusal> {
    let route = snapshot.route(exchange.route).ok_or(Reason::Internal)?;
    if let Some(field) = &route.response_tenant {
        own_tenant(exchange, response, field)?;
    }
    if response.status == 401
        && let (Some(source), Some(Ok(token))) = (snapshot.token_source(exchange.service), &exchange.service_token)
    {
        source.rejected(token);
    }
    let headers = &mut response.headers;
    hygiene::drop_connection_fields(headers);
    headers.retain(|known, _, _| {
        !hygiene::is_hop_by_hop(known)
            && !matches!(known, Known::Server | Known::XPoweredBy | Known::XRequestId | Known::YettIdentity)
    });
    if snapshot.has_cookies() {
        cookie::strip_set(headers);
    }
    if let Some(validation) = &route.response_validation {
        validation.clean(headers);
    }
    let mut edit = || -> Result<(), FieldError> {
        route.response_headers.apply(headers)?;
        // After the edits, so that none of them weakens it.
        if let Some(security) = &route.security_headers {
            security.apply(headers, exchange.https)?;
        }
        if let Some(cors) = &route.cors {
            cors.apply(exchange.granted.as_ref(), headers)?;
        }
        if !exchange.limits.is_empty() {
            headers.set_written(Known::Other, b"ratelimit-policy", |out| policies(&exchange.limits, out))?;
            headers.set_written(Known::Other, b"ratelimit", |out| states(&exchange.limits, out))?;
        }
        if let Some(nonce) = &exchange.dpop_nonce {
            headers.set_own(Known::Other, b"dpop-nonce", nonce.as_bytes())?;
        }
        // Last, so that no edit takes a session away, and no cache keeps one.
        for cookie in exchange.cookies() {
            headers.set_own(Known::Other, b"cache-control", b"no-store")?;
            headers.push(b"set-cookie", cookie.as_bytes())?;
        }
        headers.push_written(Known::XRequestId, b"x-request-id", |out| out.extend_from_slice(&exchange.request_id))
    };
    edit().map_err(|_| Refusal::from(Reason::Internal))
}

pub(super) fn refuse(snapshot: &Snapshot, exchange: Option<&Exchange>, refusal: &Refusal) -> Answer {
    match &refusal.hidden {
        Some(shown) => answer(snapshot, exchange, None, shown, Told::Nothing),
        None => answer(snapshot, exchange, exchange.and_then(|e| snapshot.route(e.route)), refusal, Told::All),
    }
}

/// Whether an answer carries what checks of the request left: cookies, and a nonce for proofs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    All,
    /// Where nothing is, nothing is checked.
    Nothing,
}

/// `route` is the one that the answer may show.
fn answer(snapshot: &Snapshot, exchange: Option<&Exchange>, route: Option<&Route>, refusal: &Refusal, told: Told) -> Answer {
    let left = exchange.filter(|_| told == Told::All);
    let page = left.and_then(|e| e.sessions.as_ref()?.page.as_ref()).filter(|_| refusal.reason == Reason::LoginChallenge);
    let context = ProblemContext {
        accept: exchange.and_then(|e| e.request.headers.get(Known::Accept)),
        request_id: exchange.map(|e| e.request_id.as_slice()).unwrap_or_default(),
        challenges: route.map(|r| r.challenges.as_slice()).unwrap_or_default(),
        dpop_nonce: left.and_then(|e| e.dpop_nonce.as_deref()),
        dpop_algorithms: snapshot.dpop.algorithm_names(),
        scope: route.and_then(|r| r.scope.as_deref()),
        errors: exchange.filter(|_| route.is_some()).map(|e| e.errors.as_slice()).unwrap_or_default(),
        page,
        resource: exchange.filter(|e| matches!(refusal.reason.status(), 401 | 403) && snapshot.protected.has(e)).map(place),
    };
    let mut answer = problem::render(refusal, &context);
    if let Some(exchange) = exchange {
        // Where no route shows, nothing but the listener's limits does.
        let own = snapshot.listener(&exchange.connection.listener).map_or(0, |listener| listener.address_limits.len());
        let shown = if route.is_some() { exchange.limits.len() } else { own.min(exchange.limits.len()) };
        limits(&mut answer, exchange.limits.get(..shown).unwrap_or_default());
    }
    if let Some(exchange) = left {
        keep(&mut answer, exchange);
    }
    let security = match route {
        Some(route) => route.security_headers.as_ref(),
        None => snapshot.security_headers.as_ref(),
    };
    if let Some(security) = security {
        security.finish(&mut answer, exchange.is_some_and(|e| e.https));
    }
    // A policy for the service's pages would keep the script of this one from running; its own allows nothing else.
    if let Some(page) = page {
        answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-security-policy"));
        answer.headers.push(("content-security-policy".into(), (*page.policy).into()));
    }
    readable(&mut answer, snapshot, exchange, route);
    if exchange.is_some_and(grpc::is_grpc) {
        grpc::refuse(&mut answer, refusal);
    }
    answer
}

/// Lets the page of another origin that may use the route read why it may not now.
fn readable(answer: &mut Answer, snapshot: &Snapshot, exchange: Option<&Exchange>, route: Option<&Route>) {
    let Some(exchange) = exchange else { return };
    match route {
        Some(route) => {
            if let Some(cors) = &route.cors {
                cors.finish(exchange.granted.as_ref(), answer);
            }
        }
        None if exchange.phase == Phase::Screen => {
            if let Some((cors, granted)) = cors::unrouted(snapshot, exchange) {
                cors.finish(granted.as_ref(), answer);
            }
        }
        None => {}
    }
}

/// An answer that names a tenant names the caller's; before anything of it is changed.
fn own_tenant(exchange: &Exchange, response: &ResponseHead, field: &str) -> Result<(), Refusal> {
    let held = exchange.principal.as_ref().and_then(|principal| principal.tenant.as_deref());
    let same = |value: &[u8]| held.is_some_and(|held| held.as_bytes() == value);
    if response.headers.named(field.as_bytes()).all(same) { Ok(()) } else { Err(Reason::TenantLeak.into()) }
}

/// The id, for an answer that belongs to no route.
pub(super) fn identified(answer: &mut Answer, exchange: &Exchange) {
    let id = String::from_utf8_lossy(&exchange.request_id).into();
    answer.headers.push(("x-request-id".into(), id));
}

/// The limits, what browsers are told and the id, for an answer of the gateway itself.
pub(super) fn common(answer: &mut Answer, route: &Route, exchange: &Exchange) {
    limits(answer, &exchange.limits);
    if !exchange.cookies().is_empty() {
        answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("cache-control"));
        answer.headers.push(("cache-control".into(), "no-store".into()));
    }
    keep(answer, exchange);
    if let Some(security) = &route.security_headers {
        security.finish(answer, exchange.https);
    }
    if let Some(cors) = &route.cors {
        cors.finish(exchange.granted.as_ref(), answer);
    }
    let id = String::from_utf8_lossy(&exchange.request_id).into();
    answer.headers.push(("x-request-id".into(), id));
}

/// The same for an answer around logins, which is no route's.
pub(super) fn own(answer: &mut Answer, snapshot: &Snapshot, exchange: &Exchange) {
    keep(answer, exchange);
    let route = snapshot.route(exchange.route).map(|route| route.security_headers.as_ref());
    if let Some(security) = route.unwrap_or(snapshot.security_headers.as_ref()) {
        security.finish(answer, exchange.https);
    }
    let id = String::from_utf8_lossy(&exchange.request_id).into();
    answer.headers.push(("x-request-id".into(), id));
}

fn keep(answer: &mut Answer, exchange: &Exchange) {
    let fields = exchange.cookies().iter().map(|cookie| ("set-cookie".into(), cookie.clone()));
    answer.headers.extend(fields);
}

fn limits(answer: &mut Answer, limits: &[LimitReport]) {
    if !limits.is_empty() {
        for (name, write) in [("ratelimit-policy", policies as fn(&[LimitReport], &mut Vec<u8>)), ("ratelimit", states)] {
            let mut line = Vec::with_capacity(160);
            write(limits, &mut line);
            answer.headers.push((name.into(), String::from_utf8_lossy(&line).into()));
        }
    }
}

/// `"per-caller";q=50;w=1` (draft-ietf-httpapi-ratelimit-headers).
fn policies(limits: &[LimitReport], out: &mut Vec<u8>) {
    for (index, limit) in limits.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(limit.policy.as_bytes());
    }
}

/// `"per-caller";r=49;t=1`
fn states(limits: &[LimitReport], out: &mut Vec<u8>) {
    for (index, limit) in limits.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        let mut number = itoa::Buffer::new();
        out.push(b'"');
        out.extend_from_slice(limit.name.as_bytes());
        out.extend_from_slice(b"\";r=");
        out.extend_from_slice(number.format(limit.remaining).as_bytes());
        out.extend_from_slice(b";t=");
        out.extend_from_slice(number.format(limit.reset_s).as_bytes());
    }
}
