//! One line of the decision log.

use serde_json::{Value, json};

use super::capture::{Captured, Values};
use super::{Records, VERSION, terms};
use crate::certificate::SubjectName;
use crate::exchange::{Exchange, Phase, Refusal, Upgrade};
use crate::observe::Record;
use crate::observe::line::{Clock, flag, key, number, some, text, without_credentials};
use crate::principal::{ClaimValue, Principal};
use crate::reason::{Fault, Reason};
use crate::snapshot::{Access, Snapshot};

/// What a decision came to.
enum Verdict<'a> {
    Allow,
    Deny(Option<&'a Refusal>),
}

/// Whether a refusal says that no route takes the request.
fn is_nowhere(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::RouteNotFound
            | Reason::MethodNotAllowed
            | Reason::PathNotCanonical
            | Reason::HeaderInvalid
            | Reason::MalformedRequest
    )
}

/// Whether the request's access was decided, and how. What ended before that, or for another reason, is no decision.
fn verdict<'a>(snapshot: &Snapshot, exchange: &Exchange, refusal: Option<&'a Refusal>) -> Option<Verdict<'a>> {
    let judged = |refusal: &Refusal| matches!(refusal.reason.fault(), Fault::Client | Fault::Policy);
    let reads_body = || match snapshot.route(exchange.route).map(|route| &route.access) {
        Some(Access::Authenticated { policy, .. }) => policy.reads_body(),
        _ => false,
    };
    match (exchange.phase, refusal) {
        (Phase::Receive | Phase::Screen | Phase::Bots, _) | (Phase::Route, None) => None,
        // A limit by address, too much load, a foreign page, or a login that the gateway answers itself.
        (Phase::Route, Some(one)) if exchange.route.is_some() || !is_nowhere(one.reason) => None,
        // From whose page and from where it came is not recorded.
        (Phase::Authenticate | Phase::Confirm | Phase::Authorize, Some(one)) if is_elsewhere(one.reason) => None,
        (Phase::Authenticate | Phase::Confirm | Phase::Authorize | Phase::AuthorizeBody, Some(one)) if !judged(one) => None,
        (Phase::Route | Phase::Authenticate | Phase::Confirm | Phase::Authorize | Phase::AuthorizeBody, refusal) => {
            Some(Verdict::Deny(refusal))
        }
        (Phase::Limit | Phase::Validate, _) if reads_body() => None,
        (Phase::Limit | Phase::Validate | Phase::Guard | Phase::Prepare | Phase::Done, _) => Some(Verdict::Allow),
    }
}

/// Whether a refusal stands on something that no record has.
fn is_elsewhere(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::CsrfRefused
            | Reason::CsrfTokenInvalid
            | Reason::GeoFiltered
            | Reason::GeoUnknown
            | Reason::GeoUnavailable
            // A body that was waited for before anything was decided.
            | Reason::BodyTooLarge
            | Reason::BodyMalformed
            | Reason::RequestTimeout
    )
}

/// Writes the record of a finished request; false where its access was not decided.
pub(crate) fn write(out: &mut Vec<u8>, clock: &mut Clock, records: &Records, snapshot: &Snapshot, record: &Record<'_>) -> bool {
    let Some(exchange) = record.exchange else { return false };
    let Some(verdict) = verdict(snapshot, exchange, record.refusal) else { return false };
    out.extend_from_slice(b"{\"v\":");
    out.extend_from_slice(itoa::Buffer::new().format(VERSION).as_bytes());
    key(out, "time");
    out.push(b'"');
    clock.write(out, if exchange.judged_ms > 0 { exchange.judged_ms } else { record.started.unix_ms });
    out.push(b'"');
    text(out, "revision", record.revision.as_bytes().get(..12).unwrap_or(record.revision.as_bytes()));
    text(out, "key", records.hasher.id().as_bytes());
    request(out, records, snapshot, record, exchange);
    match &verdict {
        Verdict::Allow => {
            text(out, "decision", b"allow");
            if let Some(refusal) = record.refusal {
                text(out, "ended", refusal.reason.code().as_bytes());
            }
        }
        Verdict::Deny(refusal) => {
            text(out, "decision", b"deny");
            // A login that was begun is told apart from a refusal by nothing but its answer.
            let reason = refusal.map_or(Reason::CredentialMissing, |refusal| refusal.reason);
            text(out, "reason", reason.code().as_bytes());
            if let Some(rule) = refusal.and_then(|refusal| refusal.rule.as_ref()) {
                text(out, "rule", rule.as_bytes());
            }
        }
    }
    let captured = exchange.captured.as_deref();
    let own = captured.is_none().then(|| records.capture(snapshot, exchange));
    let Some(captured) = captured.or(own.as_ref()) else { return false };
    caller(out, records, record, exchange, captured);
    values(out, "headers", &captured.headers);
    values(out, "query", &captured.query);
    if let Some(body) = &captured.body {
        key(out, "body");
        let _ = serde_json::to_writer(&mut *out, body);
    }
    out.extend_from_slice(b"}\n");
    true
}

fn request(out: &mut Vec<u8>, records: &Records, snapshot: &Snapshot, record: &Record<'_>, exchange: &Exchange) {
    some(out, "request_id", &exchange.request_id);
    let listener = &record.connection.listener;
    text(out, "listener", listener.as_bytes());
    some(out, "origin", records.terms.origin(listener).unwrap_or_default().as_bytes());
    let client = exchange.client.to_string();
    if records.hash_addresses {
        text(out, "client", records.hashed(&client).as_bytes());
    } else {
        text(out, "client", client.as_bytes());
    }
    flag(out, "tls", record.connection.tls);
    flag(out, "https", exchange.https);
    some(out, "server_name", record.connection.sni.as_deref().unwrap_or_default().as_bytes());
    let taken = snapshot.route(exchange.route).is_some_and(|route| route.websocket.is_some());
    // Whoever got beyond its route phase asked as a route for WebSocket connections wants it.
    let websocket: &[u8] = if taken {
        b"opened"
    } else if exchange.upgrade == Upgrade::None {
        b"none"
    } else {
        b"asked"
    };
    text(out, "websocket", websocket);
    some(out, "ja4", record.connection.ja4.as_ref().map_or(&b""[..], |ja4| ja4));
    text(out, "method", exchange.request.method.as_str().as_bytes());
    text(out, "host", exchange.host.as_bytes());
    let raw = exchange.path.raw();
    // A path with something like a credential in it is not written down, and not judged by what would be left of it.
    if *without_credentials(raw) == *raw {
        text(out, "path", raw);
    }
    if let Some(size) = exchange.request.framing.length() {
        number(out, "size", size);
    }
    if let Some(route) = record.route {
        text(out, "route", route.as_bytes());
    }
}

fn caller(out: &mut Vec<u8>, records: &Records, record: &Record<'_>, exchange: &Exchange, captured: &Captured) {
    let route = exchange.route.and_then(|index| records.terms.route(index));
    let verified = exchange.principal.is_some() && exchange.phase > Phase::Confirm;
    let asked = route.is_some_and(|route| route.accepts.is_some());
    let credential = match (verified, captured.presented) {
        (true, _) => "verified",
        (false, false) => "none",
        (false, true) if asked => "refused",
        (false, true) => "ignored",
    };
    text(out, "credential", credential.as_bytes());
    text(out, "places", records.terms.places.as_bytes());
    if let Some(route) = route {
        for (name, value) in [("accepts", &route.accepts), ("binding", &route.binding)] {
            some(out, name, value.as_deref().unwrap_or_default().as_bytes());
        }
        // What was said outside is known where everything before it had agreed.
        if exchange.asked.iter().any(|need| matches!(need, crate::exchange::Need::External { .. })) {
            some(out, "external", route.external.as_deref().unwrap_or_default().as_bytes());
        }
    }
    if let Some(certificate) = &record.connection.client_certificate {
        let spiffe = certificate.names.iter().find_map(|name| match name {
            SubjectName::Uri(uri) if uri.starts_with("spiffe://") => Some(uri),
            _ => None,
        });
        let parts = json!({
            "trust": records.terms.certificates(&record.connection.listener),
            "subject": records.hashed(&certificate.subject),
            "serial": records.hashed(&certificate.serial),
            "fingerprint": records.hashed(&certificate.fingerprint),
            "spiffe": spiffe,
            "expires_ms": certificate.not_after_ms,
        });
        key(out, "certificate");
        let _ = serde_json::to_writer(&mut *out, &parts);
    }
    if verified {
        let all: Vec<Value> = exchange.principals().map(|one| principal(records, one)).collect();
        key(out, "principals");
        let _ = serde_json::to_writer(&mut *out, &all);
    }
}

/// Names of machines stand in configurations and are plain; people are hashes.
fn principal(records: &Records, principal: &Principal) -> Value {
    let hashed = |text: Option<&str>| text.map(|text| records.hashed(text));
    let provider = &*principal.provider;
    let claims = records.terms.all_declared(provider).map(|(name, how)| {
        let value = principal.claim(name).map_or(Value::Null, |value| match value {
            ClaimValue::String(text) => json!(records.hashed(text)),
            ClaimValue::Int(number) => json!(number),
            ClaimValue::Bool(truth) => json!(truth),
            ClaimValue::StringList(items) => items.iter().map(|item| json!(records.hashed(item))).collect(),
        });
        (name.to_owned(), json!([how, value]))
    });
    let entry = terms::entry(principal);
    let subject =
        if entry.is_empty() { json!(records.hashed(&principal.subject)) } else { json!(format!("={}", principal.subject)) };
    json!({
        "provider": provider,
        "trust": records.terms.trust(provider, entry),
        "entry": entry,
        "method": principal.method.as_str(),
        "kind": principal.kind.as_str(),
        "issuer": &*principal.issuer,
        "subject": subject,
        "client": hashed(principal.client.as_deref()),
        "tenant": hashed(principal.tenant.as_deref()),
        "partner": hashed(principal.partner.as_deref()),
        "scopes": principal.scopes,
        "roles": principal.roles,
        "assurance": principal.assurance,
        "authenticated_s": principal.authenticated_s,
        "issued_ms": principal.issued_ms,
        "expires_ms": principal.expires_ms,
        "claims": claims.collect::<serde_json::Map<_, _>>(),
    })
}

fn values(out: &mut Vec<u8>, name: &str, values: &Values) {
    if values.is_empty() {
        return;
    }
    key(out, name);
    let all: serde_json::Map<String, Value> = values.iter().map(|(name, values)| (name.to_string(), json!(values))).collect();
    let _ = serde_json::to_writer(&mut *out, &all);
}
