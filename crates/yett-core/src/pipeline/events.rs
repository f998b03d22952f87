//! Security events: an identity provider pushes them (RFC 8935) to a path of a listener, and revocations follow.

use crate::exchange::{Answer, Exchange, Method, Need, Now, Once, Step, Use};
use crate::headers::Known;
use crate::pipeline::respond;
use crate::providers::event::{Fault, Refused, Told};
use crate::reason::Reason;
use crate::snapshot::{Events, Snapshot};

/// The body of an event.
const BODY: Need = Need::Body { limit: 64 * 1024, within_ms: 10_000 };

/// The receiver whose path this is, if it is one's. Before a route is looked for.
pub(super) fn receiver<'a>(snapshot: &'a Snapshot, exchange: &Exchange) -> Option<&'a Events> {
    let own = |events: &&Events| {
        events.path.as_bytes() == exchange.path.raw()
            && events.listeners.iter().any(|name| **name == *exchange.connection.listener)
    };
    snapshot.events.iter().find(own)
}

/// Takes what was pushed: 202 once it counts everywhere; an error as RFC 8935 section 2.3 writes it otherwise.
pub(super) fn take(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    let Some(events) = receiver(snapshot, exchange) else { return Step::Refuse(Reason::Internal.into()) };
    if !matches!(exchange.request.method, Method::Post) {
        let mut refusal = crate::exchange::Refusal::from(Reason::MethodNotAllowed);
        refusal.allow = Some("POST".into());
        return Step::Refuse(refusal);
    }
    if let Some(token) = &events.token
        && !token.is_in(exchange.request.headers.get(Known::Authorization))
    {
        return wrong(exchange, 401, ("authentication_failed", "a bearer token is needed"));
    }
    let kind = exchange.request.headers.get(Known::ContentType).unwrap_or_default();
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    if !kind.eq_ignore_ascii_case(b"application/secevent+jwt") {
        return wrong(exchange, 400, ("invalid_request", "send `application/secevent+jwt`"));
    }
    let Some(body) = exchange.held() else {
        return exchange
            .ask(BODY)
            .unwrap_or_else(|| wrong(exchange, 400, ("invalid_request", "the body is missing or too large")));
    };
    let Some(provider) = usize::try_from(events.provider).ok().and_then(|index| snapshot.providers.get(index)) else {
        return Step::Refuse(Reason::Internal.into());
    };
    let told = match provider.told(body.trim_ascii(), &events.audiences, now) {
        Ok(told) => told,
        Err(Refused::Fault(fault)) => return wrong(exchange, 400, fault),
        Err(Refused::KeysNeeded | Refused::Unavailable) => {
            let unavailable = || Step::Refuse(Reason::IdentityProviderUnavailable.into());
            return exchange.ask(Need::Keys { provider: events.provider }).unwrap_or_else(unavailable);
        }
    };
    settle(exchange, told)
}

/// What came before is acknowledged again and changes nothing: its revocations were made, or it would not be remembered.
fn settle(exchange: &mut Exchange, told: Told) -> Step {
    if !told.revocations.is_empty() {
        match exchange.revoked {
            None => {
                let need = Need::Revoke(told.revocations.into());
                return exchange.ask(need).unwrap_or_else(|| Step::Refuse(Reason::StateUnavailable.into()));
            }
            // The transmitter delivers it again.
            Some(false) => return Step::Refuse(Reason::StateUnavailable.into()),
            Some(true) => {}
        }
    }
    let once = Need::Unused(Box::new(Once { key: told.key, until_ms: told.until_ms }));
    match exchange.use_of(&told.key) {
        None => exchange.ask(once).unwrap_or_else(|| Step::Refuse(Reason::StateUnavailable.into())),
        Some(Use::Unknown) => Step::Refuse(Reason::StateUnavailable.into()),
        Some(Use::New | Use::Again) => Step::Answer(finished(Answer { status: 202, ..Answer::default() }, exchange)),
    }
}

fn wrong(exchange: &Exchange, status: u16, (code, words): Fault) -> Step {
    let body = serde_json::json!({"err": code, "description": words}).to_string();
    let headers = vec![("content-type".into(), "application/json".into()), ("cache-control".into(), "no-store".into())];
    Step::Answer(finished(Answer { status, headers, body: body.into_bytes().into() }, exchange))
}

fn finished(mut answer: Answer, exchange: &Exchange) -> Answer {
    respond::identified(&mut answer, exchange);
    answer
}
