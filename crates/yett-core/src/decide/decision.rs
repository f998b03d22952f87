//! The answer to a question: what would become of the request, and why.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Engine, trace};
use crate::body::FieldError;
use crate::exchange::{ClaimValue, Exchange, Need, Now, Phase, Principal, Refusal, Step};
use crate::reason::{Reason, Retry};

/// What would become of the request.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It would be forwarded.
    Allow,
    /// It would be refused.
    Refuse,
    /// The gateway would answer it by itself.
    Answer,
}

/// The answer to a question. Holds no credential.
#[derive(Debug, Serialize)]
pub struct Decision {
    outcome: Outcome,
    /// The phase that decided, or `forward`.
    phase: &'static str,
    /// The status of the refusal or answer.
    status: Option<u16>,
    refusal: Option<Value>,
    route: Option<String>,
    service: Option<String>,
    host: String,
    path: String,
    /// The client after trusted proxies.
    client: IpAddr,
    /// What databases say of its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    geo: Option<Value>,
    request_id: String,
    principal: Option<Value>,
    /// Whom further providers of `all_of` vouched for.
    vouched: Vec<Value>,
    /// What the service would see.
    forward: Option<Value>,
    limits: Vec<Value>,
    /// How suspicious an attempt to log in is, where that is guarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<Value>,
    /// What it was taken for, where that is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    bot: Option<Value>,
    time_ms: u64,
    /// Whether the route's external check would be asked, after everything before it agreed. It was not.
    external: bool,
    /// What rules in shadow would have done, as far as the request got.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadow: Vec<Value>,
    /// What looked like an attack, as far as the request got.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attack: Vec<Value>,
    /// What each rule comes to, where that was asked and a caller was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rules: Option<Vec<Value>>,
}

impl Engine {
    pub(super) fn decision(&self, exchange: &Exchange, step: &Step, now: Now) -> Decision {
        let (outcome, status, refused) = outcome(step);
        let forward = matches!(outcome, Outcome::Allow).then(|| forwarded(exchange));
        Decision {
            outcome,
            phase: phase(exchange.phase),
            status,
            refusal: refused.map(|refused| refusal(refused, &exchange.errors)),
            route: self.snapshot.route(exchange.route).map(|route| route.name.to_string()),
            service: self.snapshot.service(exchange.service).map(|service| service.name.clone()),
            host: exchange.host.clone(),
            path: String::from_utf8_lossy(exchange.path.raw()).into_owned(),
            client: exchange.client,
            geo: exchange.geo.map(|geo| geo.shown()),
            request_id: String::from_utf8_lossy(&exchange.request_id).into_owned(),
            principal: exchange.principal.as_deref().map(principal),
            vouched: exchange.vouched.iter().map(|one| principal(one)).collect(),
            forward,
            limits: exchange
                .limits
                .iter()
                .map(|limit| json!({"name": &*limit.name, "remaining": limit.remaining, "reset_s": limit.reset_s}))
                .collect(),
            login: exchange.attempt.as_deref().map(trace::login),
            bot: exchange.bot.as_ref().map(trace::bot),
            time_ms: now.unix_ms,
            external: exchange.asked.iter().any(|need| matches!(need, Need::External { .. })),
            shadow: exchange.shadow.iter().map(trace::tried).collect(),
            attack: exchange.attack.iter().flat_map(|suspicion| suspicion.found.iter().map(trace::suspected)).collect(),
            rules: None,
        }
    }
}

/// What came of it, with the status and the refusal that there may be.
pub(super) fn outcome(step: &Step) -> (Outcome, Option<u16>, Option<&Refusal>) {
    match step {
        Step::Continue => (Outcome::Allow, None, None),
        Step::Answer(answer) => (Outcome::Answer, Some(answer.status), None),
        Step::Refuse(refusal) => (Outcome::Refuse, Some(refusal.status()), Some(refusal)),
        // `run` never leaves one.
        Step::Need(_) => (Outcome::Refuse, Some(Reason::Internal.status()), None),
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Receive => "receive",
        Phase::Screen => "screen",
        Phase::Route => "route",
        Phase::Bots => "bots",
        Phase::Authenticate | Phase::Confirm => "authenticate",
        Phase::Authorize => "authorize",
        Phase::Limit => "limit",
        Phase::Validate => "validate",
        Phase::AuthorizeBody => "authorize_body",
        Phase::Guard => "guard",
        Phase::Prepare => "prepare",
        Phase::Done => "forward",
    }
}

fn refusal(refusal: &Refusal, errors: &[FieldError]) -> Value {
    let reason = refusal.reason;
    json!({
        "reason": reason.code(),
        "title": reason.title(),
        "fault": reason.fault().as_str(),
        "retry": reason.retry() == Retry::Later,
        "detail": refusal.detail,
        "rule": refusal.rule,
        "scope": refusal.scope,
        "allow": refusal.allow,
        "retry_after_s": refusal.retry_after_s,
        "hidden": refusal.hidden.is_some(),
        "errors": errors.iter().map(FieldError::document).collect::<Vec<_>>(),
    })
}

/// What rules may read of a caller, and nothing that is a credential.
fn principal(principal: &Principal) -> Value {
    let claims: Map<String, Value> = principal.claims.iter().map(|(name, value)| (name.to_string(), claim(value))).collect();
    json!({
        "provider": &*principal.provider,
        "authentication": principal.method.as_str(),
        "issuer": &*principal.issuer,
        "subject": principal.subject,
        "client": principal.client,
        "kind": principal.kind.as_str(),
        "scopes": principal.scopes,
        "roles": principal.roles,
        "tenant": principal.tenant,
        "partner": principal.partner,
        "claims": claims,
        "token_id": principal.token_id,
        "session": principal.session,
        "assurance": principal.assurance,
        "authenticated_s": principal.authenticated_s,
        "expires_ms": principal.expires_ms,
    })
}

fn claim(value: &ClaimValue) -> Value {
    match value {
        ClaimValue::String(text) => json!(text),
        ClaimValue::Int(number) => json!(number),
        ClaimValue::Bool(truth) => json!(truth),
        ClaimValue::StringList(texts) => json!(texts),
    }
}

fn forwarded(exchange: &Exchange) -> Value {
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let headers: Vec<(String, String)> =
        exchange.request.headers.iter().map(|(_, name, value)| (text(name), text(value))).collect();
    json!({"target": text(&exchange.forward_target), "headers": headers})
}
