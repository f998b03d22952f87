//! A service of yours is asked whether a request may pass, after everything else has agreed; doubt denies.

mod envoy;
pub mod record;

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use self::record::Record;
use crate::exchange::{Exchange, Need, Refusal, RouteIndex, Step};
use crate::headers::{is_token, is_value};
use crate::ir;
use crate::outbound::{Fault, Grpc, Limits, Request, Response, Target, Transport, address};
use crate::reason::Reason;
use crate::server::clock::monotonic_ns;
use crate::shared::Shared;

/// Bytes of an answer.
const ANSWER_BYTES: usize = 64 * 1024;
/// The longest time that a check may take, milliseconds.
const MOST_MS: u64 = 10_000;

/// A listed field of an answer cannot be set.
const UNREADABLE: Verdict =
    Verdict::Failed(Fault::Unexpected("has a listed field twice, or with a value that no field can hold"));

/// A compiled check.
#[derive(Debug)]
pub struct ExternalAuthorization {
    source: Arc<str>,
    record: Arc<Record>,
    shared: Weak<Shared>,
    peer: Peer,
    limits: Limits,
    runtime: Handle,
    /// Fields of the request that the check sees, lower case.
    headers: Box<[Box<str>]>,
    /// Fields that its answer may set for the service, lower case.
    to_service: Box<[Box<str>]>,
}

/// Who is asked, and in which form.
#[derive(Debug, Clone)]
enum Peer {
    /// POST of a JSON document.
    Http(Arc<Target>),
    /// Envoy's `ext_authz` over gRPC.
    Grpc(Arc<Grpc>),
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass, with these fields for the service.
    Allowed(Vec<(Box<str>, Box<str>)>),
    /// It may not.
    Denied,
    /// Nothing that can be relied on: why.
    Failed(Fault),
}

impl ExternalAuthorization {
    /// Compiles one. Nothing is asked yet: a check that cannot be reached stops no start.
    ///
    /// # Errors
    /// What is wrong with its address, its time or its names of fields.
    pub fn build(spec: &ir::ExternalAuthorization, shared: &Arc<Shared>) -> Result<Self, String> {
        let endpoint = &spec.endpoint;
        let loopback = endpoint.plaintext || address::names_this_machine(&endpoint.url);
        let transport = Transport::new(endpoint.ca.as_deref(), None, endpoint.plaintext, loopback)?;
        if spec.timeout_ms == 0 || spec.timeout_ms > MOST_MS {
            return Err(format!("the check may take up to {MOST_MS} ms, and more than none"));
        }
        let names = |names: &[String]| -> Result<Box<[Box<str>]>, String> {
            let name = |name: &String| {
                is_token(name.as_bytes()).then(|| name.to_ascii_lowercase().into()).ok_or_else(|| format!("`{name}` is no field"))
            };
            names.iter().map(name).collect()
        };
        let target = Target::new(&endpoint.url, &transport)?;
        Ok(Self {
            source: spec.source.as_str().into(),
            record: shared.external_checks.of(&spec.source),
            shared: Arc::downgrade(shared),
            peer: match spec.protocol {
                ir::ExternalProtocol::Http => Peer::Http(Arc::new(target)),
                ir::ExternalProtocol::Grpc => Peer::Grpc(Arc::new(Grpc::new(target))),
            },
            limits: Limits { time: Duration::from_millis(spec.timeout_ms), bytes: ANSWER_BYTES },
            runtime: shared.service_runtime.clone(),
            headers: names(&spec.headers)?,
            to_service: names(&spec.to_service)?,
        })
    }

    /// Fields that it reads or sets, lower case: other spellings of them never reach a service.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().chain(&self.to_service).map(|name| &**name)
    }

    /// Whether clients may not send this field, because the check sets it.
    #[must_use]
    pub fn sets(&self, name: &[u8]) -> bool {
        self.to_service.iter().any(|own| own.as_bytes() == name)
    }

    /// Asks for the verdict, or goes by it.
    pub fn check(&self, route: RouteIndex, exchange: &mut Exchange) -> Step {
        let reason = match &exchange.external {
            Some(Verdict::Allowed(_)) => return Step::Continue,
            Some(Verdict::Denied) => Reason::ExternalDenied,
            Some(Verdict::Failed(_)) => Reason::ExternalUnavailable,
            None => match exchange.ask(Need::External { route }) {
                Some(step) => return step,
                None => Reason::ExternalUnavailable,
            },
        };
        let mut refusal = Refusal::from(reason);
        refusal.rule = Some(Arc::clone(&self.source));
        Step::Refuse(refusal)
    }

    /// Asks it, on the service runtime, within its time.
    pub fn ask(&self, route: &str, exchange: &Exchange) -> impl Future<Output = Verdict> + use<> {
        let (limits, to_service) = (self.limits, self.to_service.clone());
        let asking = match &self.peer {
            Peer::Http(target) => {
                let request = Request::post_json(&question(route, exchange, &self.headers)).repeatable();
                let target = Arc::clone(target);
                self.runtime.spawn(async move { verdict(target.send(&request, limits).await, &to_service) })
            }
            Peer::Grpc(grpc) => {
                let message = envoy::question(route, exchange, &self.headers);
                let grpc = Arc::clone(grpc);
                self.runtime.spawn(async move {
                    let Some(message) = message else { return Verdict::Failed(Fault::Unsendable) };
                    let answer = grpc.call(envoy::PATH, &message, limits).await;
                    answer.map_or_else(Verdict::Failed, |answer| envoy::verdict(&answer, &to_service))
                })
            }
        };
        let (record, shared) = (Arc::clone(&self.record), Weak::clone(&self.shared));
        async move {
            let verdict = asking.await.unwrap_or(Verdict::Failed(Fault::Broken));
            if let Some(shared) = shared.upgrade() {
                record.note(&verdict, &shared.events, monotonic_ns());
            }
            verdict
        }
    }

    /// How long a verdict is waited for, milliseconds.
    #[must_use]
    pub fn patience_ms(&self) -> u64 {
        u64::try_from(self.limits.time.as_millis()).unwrap_or(MOST_MS)
    }
}

/// Fields that the check sees and the request has, with all their values.
fn fields_of<'a>(exchange: &'a Exchange, listed: &'a [Box<str>]) -> impl Iterator<Item = (String, Vec<String>)> + 'a {
    let values = |name: &str| -> Vec<String> {
        exchange.request.headers.named(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    };
    listed.iter().map(move |name| (name.to_string(), values(name))).filter(|(_, values)| !values.is_empty())
}

/// What the check is told. A field that stands more than once comes as a list.
fn question(route: &str, exchange: &Exchange, listed: &[Box<str>]) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let one_or_list =
        |mut values: Vec<String>| -> Value { if values.len() == 1 { values.remove(0).into() } else { values.into() } };
    let headers: Map<String, Value> = fields_of(exchange, listed).map(|(name, values)| (name, one_or_list(values))).collect();
    let principal = exchange.principal.as_ref().map(|principal| {
        json!({
            "provider": &*principal.provider, "method": principal.method.as_str(), "kind": principal.kind.as_str(),
            "issuer": &*principal.issuer, "subject": &*principal.subject, "client": principal.client, "tenant": principal.tenant,
            "scopes": principal.scopes, "roles": principal.roles,
        })
    });
    json!({
        "request": {
            "id": text(&exchange.request_id), "method": exchange.request.method.as_str(), "host": exchange.host,
            "path": text(exchange.path.raw()), "query": text(exchange.query()), "headers": headers,
            "scheme": if exchange.https { "https" } else { "http" },
        },
        "connection": {"address": exchange.client.to_string(), "listener": &*exchange.connection.listener},
        "principal": principal,
        "route": route,
    })
}

/// Only an object with `allow` in it that is true or false is an answer; anything else is none.
fn verdict(answer: Result<Response, Fault>, to_service: &[Box<str>]) -> Verdict {
    let object = match answer.and_then(|response| response.read_json()) {
        Ok(object) => object,
        Err(fault) => return Verdict::Failed(fault),
    };
    match object.get("allow") {
        Some(Value::Bool(true)) => fields(object.get("headers"), to_service).map_or(UNREADABLE, Verdict::Allowed),
        Some(Value::Bool(false)) => Verdict::Denied,
        _ => Verdict::Failed(Fault::Unexpected("has no `allow` that is true or false")),
    }
}

/// The fields that are listed; others are none of its business. A listed one that no field can hold is no answer.
fn fields(given: Option<&Value>, to_service: &[Box<str>]) -> Option<Vec<(Box<str>, Box<str>)>> {
    let given = match given {
        None => return Some(Vec::new()),
        Some(given) => given.as_object()?,
    };
    let mut found = Vec::new();
    for name in to_service {
        let mut named = given.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        match (named.next(), named.next()) {
            (None, _) => {}
            (Some((_, Value::String(value))), None) if is_value(value.as_bytes()) => {
                found.push((name.clone(), value.as_str().into()))
            }
            _ => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::{Verdict, verdict};
    use crate::outbound::{Fault, Response};

    fn failed(verdict: &Verdict, code: &str) -> bool {
        matches!(verdict, Verdict::Failed(fault) if fault.code() == code)
    }

    fn answer(status: u16, kind: &str, body: &str) -> Verdict {
        let headers = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, kind.parse().unwrap())]);
        let response = Response { status: status.try_into().unwrap(), headers, body: body.as_bytes().to_vec() };
        verdict(Ok(response), &["x-level".into()])
    }

    #[test]
    fn only_a_clear_answer_is_one() {
        let allowed =
            |fields: &[(&str, &str)]| Verdict::Allowed(fields.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect());
        assert_eq!(answer(200, "application/json", r#"{"allow": true}"#), allowed(&[]));
        let with = r#"{"allow": true, "headers": {"X-Level": "3", "x-other": "1"}}"#;
        assert_eq!(answer(200, "application/json", with), allowed(&[("x-level", "3")]));
        assert_eq!(answer(200, "application/json", r#"{"allow": false}"#), Verdict::Denied);
        for (body, code) in [
            ("", "not_json"),
            ("true", "not_json"),
            ("{}", "unexpected"),
            (r#"{"allow": "true"}"#, "unexpected"),
            (r#"{"allow": 1}"#, "unexpected"),
            (r#"{"allow": null}"#, "unexpected"),
            (r#"{"allow": false, "allow": true}"#, "not_json"),
            (r#"{"allow": true, "headers": {"x-level": 3}}"#, "unexpected"),
            (r#"{"allow": true, "headers": {"x-level": "a\r\nx-admin: 1"}}"#, "unexpected"),
            (r#"{"allow": true, "headers": {"x-level": "1", "X-Level": "2"}}"#, "unexpected"),
            (r#"{"allow": true, "headers": []}"#, "unexpected"),
        ] {
            assert!(failed(&answer(200, "application/json", body), code), "{body}");
        }
        for (status, kind, code) in [
            (200, "text/html", "not_json"),
            (201, "application/json", "status"),
            (403, "application/json", "status"),
            (500, "application/json", "status"),
        ] {
            assert!(failed(&answer(status, kind, r#"{"allow": true}"#), code), "{status} {kind}");
        }
        assert!(failed(&verdict(Err(Fault::Timeout(1)), &[]), "timeout"));
    }
}
