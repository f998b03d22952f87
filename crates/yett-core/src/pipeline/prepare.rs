//! Prepare: the answer of the gateway itself, or what the service will see.

use std::sync::Arc;

use crate::exchange::{Answer, Exchange, Framing, Step, Upgrade};
use crate::filters::csrf::{Csrf, FIELD};
use crate::filters::external_authorization::Verdict;
use crate::filters::login_guard::LoginGuard;
use crate::filters::mirror::{Mirror, Mirrored};
use crate::headers::{FieldError, Known, folds_to};
use crate::observe::line;
use crate::pipeline::{PipelineState, cors, respond};
use crate::providers::oidc::cookie;
use crate::reason::Reason;
use crate::service_tokens::{self, Token};
use crate::snapshot::{Action, Route, Snapshot};

pub(super) fn prepare(snapshot: &Snapshot, state: &mut PipelineState, exchange: &mut Exchange) -> Step {
    let Some(route) = snapshot.route(exchange.route) else { return Step::Refuse(Reason::Internal.into()) };
    let answer = match &route.action {
        Action::Forward(split) => {
            // Drawn once: a token that was asked for is for that service.
            if exchange.service.is_none() {
                let random = || state.random.bytes().map_or(0, u32::from_le_bytes);
                exchange.service = split.choose(random);
            }
            if let Some((service, source)) = exchange.service.zip(snapshot.token_source(exchange.service)) {
                match service_tokens::prepare(source, service, exchange) {
                    Step::Continue => {}
                    other => return other,
                }
            }
            let random = || state.random.bytes().map(u32::from_le_bytes);
            let drawn = route.mirror.as_ref().filter(|mirror| mirror.draws(random));
            return forward(snapshot, route, drawn, exchange);
        }
        Action::Redirect(redirect) => redirect.answer(exchange),
        Action::Respond(fixed) => fixed.answer(),
    };
    Step::Answer(finished(answer, route, exchange))
}

/// An answer of the gateway itself gets the route's edits, the limits and the id.
fn finished(mut answer: Answer, route: &Route, exchange: &Exchange) -> Answer {
    for (name, value) in route.response_headers.fields() {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into();
        answer.headers.push((text(name), text(value)));
    }
    respond::common(&mut answer, route, exchange);
    answer
}

fn forward(snapshot: &Snapshot, route: &Route, drawn: Option<&Mirror>, exchange: &mut Exchange) -> Step {
    let Some(service) = snapshot.service(exchange.service).filter(|_| !exchange.unproven) else {
        return Step::Refuse(Reason::Internal.into());
    };
    // Which of two the service would believe is unknown, also where the gateway itself believes neither.
    if service.forward_credential && exchange.request.headers.get_all(Known::Authorization).nth(1).is_some() {
        return Step::Refuse(Reason::CredentialAmbiguous.into());
    }
    exchange.forward_target.clear();
    match &route.rewrite {
        None => exchange.forward_target.extend_from_slice(&exchange.request.target),
        Some(rewrite) => {
            if !rewrite.apply(&exchange.variables, &mut exchange.forward_target) {
                return Step::Refuse(Reason::RewriteNotCanonical.into());
            }
            let end = memchr::memchr(b'?', &exchange.request.target).unwrap_or(exchange.request.target.len());
            exchange.forward_target.extend_from_slice(exchange.request.target.get(end..).unwrap_or_default());
        }
    }
    // Before the fields are changed: what each of the two may see is its own.
    exchange.mirror = drawn.map(|mirror| mirrored(snapshot, route, mirror, exchange));
    // A service that is to get a token gets nothing without it.
    let token = match (snapshot.token_source(exchange.service), &exchange.service_token) {
        (None, _) => None,
        (Some(_), Some(Ok(token))) => Some(Arc::clone(token)),
        (Some(_), _) => return Step::Refuse(Reason::Internal.into()),
    };
    let csrf = cors::told(snapshot, route, exchange);
    let written = fields(snapshot, route, service.forward_credential, token.as_deref(), exchange);
    let written = written.and_then(|()| match csrf {
        Some(token) => exchange.request.headers.set_own(Known::Other, FIELD, token.as_bytes()),
        None => Ok(()),
    });
    match written {
        Ok(()) => match tell(snapshot, exchange.service, exchange) {
            Ok(()) => Step::Continue,
            Err(FieldError::Name | FieldError::Value) => Step::Refuse(Reason::AssertionFailed.into()),
        },
        Err(FieldError::Name | FieldError::Value) => Step::Refuse(Reason::Internal.into()),
    }
}

/// The copy of a request. One that cannot be mirrored is counted by who would have sent it.
#[cold]
fn mirrored(snapshot: &Snapshot, route: &Route, mirror: &Mirror, exchange: &mut Exchange) -> Box<Mirrored> {
    let credential = snapshot.service(Some(mirror.service)).is_some_and(|service| service.forward_credential);
    let ambiguous = credential && exchange.request.headers.get_all(Known::Authorization).nth(1).is_some();
    if ambiguous || exchange.request.framing != Framing::Empty || exchange.upgrade == Upgrade::Taken {
        return Box::new(Mirrored { service: mirror.service, headers: None });
    }
    let original = exchange.request.headers.clone();
    let written = fields(snapshot, route, credential, None, exchange);
    let told = tell(snapshot, Some(mirror.service), exchange);
    let headers = std::mem::replace(&mut exchange.request.headers, original);
    Box::new(Mirrored { service: mirror.service, headers: (written.is_ok() && told.is_ok()).then_some(headers) })
}

/// Takes away what a client may not say, then the route's edits, then what the gateway itself says: the last wins.
fn fields(
    snapshot: &Snapshot,
    route: &Route,
    credential: bool,
    token: Option<&Token>,
    exchange: &mut Exchange,
) -> Result<(), FieldError> {
    let keys = &snapshot.key_headers;
    let headers = &mut exchange.request.headers;
    headers.retain(|known, name, _| match known {
        Known::Authorization => credential,
        Known::Forwarded
        | Known::XForwardedFor
        | Known::XForwardedHost
        | Known::XForwardedProto
        | Known::XForwardedPort
        | Known::XForwardedPrefix
        | Known::XForwardedServer
        | Known::XRealIp
        | Known::XRequestId
        | Known::Traceparent
        | Known::YettIdentity
        | Known::Expect => false,
        Known::Other => {
            let is_key = keys.iter().any(|key| folds_to(name, key.as_bytes()));
            let exact = keys.iter().any(|key| key.as_bytes() == name);
            let alias = route.own_headers.iter().any(|own| own.as_bytes() != name && folds_to(name, own.as_bytes()));
            let claimed = snapshot.claim_headers.iter().any(|one| folds_to(name, one.as_bytes()));
            (!is_key || (credential && exact)) && !alias && !claimed
        }
        _ => true,
    });
    if snapshot.has_cookies() {
        cookie::strip(headers);
    }
    if let Some(validation) = &route.request_validation {
        headers.retain(|known, name, _| validation.passes(known, name));
    }
    route.request_headers.apply(headers)?;
    if let Some(external) = &route.external {
        headers.retain(|_, name, _| !external.sets(name));
        if let Some(Verdict::Allowed(given)) = &exchange.external {
            for (name, value) in given {
                headers.set(name.as_bytes(), value.as_bytes())?;
            }
        }
    }
    // Only the gateway says what a service writes into forms.
    if route.csrf.as_ref().is_some_and(Csrf::tells) {
        headers.retain(|_, name, _| name != FIELD);
    }
    headers.set_written(Known::XForwardedFor, b"x-forwarded-for", |out| line::address(out, exchange.client))?;
    headers.set_own(Known::XForwardedProto, b"x-forwarded-proto", if exchange.https { b"https" } else { b"http" })?;
    headers.set_own(Known::XForwardedHost, b"x-forwarded-host", &exchange.authority)?;
    headers.set_own(Known::XRequestId, b"x-request-id", &exchange.request_id)?;
    headers.set_own(Known::Traceparent, b"traceparent", &exchange.traceparent)?;
    // What is compressed, or a part only, could not be looked at.
    if route.response_validation.is_some() || route.login_guard.as_deref().is_some_and(LoginGuard::reads_answers) {
        headers.retain(|_, name, _| name != b"range" && name != b"if-range");
        headers.set_own(Known::Other, b"accept-encoding", b"identity")?;
    }
    token.map_or(Ok(()), |token| headers.set_own(Known::Authorization, b"authorization", token.authorization()))
}

/// The plain headers that say who calls, where the service is told in this way; after the route's edits.
fn tell(snapshot: &Snapshot, service: Option<u32>, exchange: &mut Exchange) -> Result<(), FieldError> {
    match snapshot.assertion(service) {
        Some(assertion) => assertion.headers(exchange.principal.as_deref(), &mut exchange.request.headers),
        None => Ok(()),
    }
}
