//! The same judgement without a gateway: what a service asks of requests that reach it, by the description that the gateway has.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use serde_json::{Value, json};

use super::{Rejected, RequestValidation, Verdict};
use crate::body::{Body, FieldError};
use crate::exchange::{ConnectionInfo, Exchange, Framing, Method};
use crate::reason::Reason;

/// What the requests of one operation have to be.
#[derive(Debug)]
pub struct Contract(RequestValidation);

/// A request, as a service sees it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a str,
    /// The query as it was sent, without `?`.
    pub query: &'a [u8],
    /// Values of the path's variables, decoded, in the order of their names.
    pub variables: &'a [String],
    /// Its fields.
    pub headers: &'a [(Vec<u8>, Vec<u8>)],
    /// The whole body.
    pub body: &'a [u8],
}

impl Contract {
    /// Compiles the `request_validation` of an intermediate representation, as JSON. `variables` are those of the path.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub fn build(document: &[u8], variables: &[String]) -> Result<Self, String> {
        let spec = serde_json::from_slice(document).map_err(|error| format!("the contract is not valid: {error}"))?;
        let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
        RequestValidation::build(&spec, &variables).map(Self)
    }

    /// Whether a request is what it has to be: nothing, or the refusal as JSON (`reason`, `status`, `title`, `detail` and
    /// `errors`, which hold no value of the request).
    #[must_use]
    pub fn refusal(&self, asked: &Asked<'_>) -> Option<String> {
        let judged = match exchange(asked) {
            Ok(exchange) => match self.0.head(&exchange) {
                Ok(Verdict::Passes) => Ok(()),
                Ok(Verdict::Body(index)) => self.0.body(index, &exchange, false).map(|_| ()),
                Err(rejected) => Err(rejected),
            },
            Err(reason) => Err(super::refuse(reason)),
        };
        judged.err().map(|rejected| told(&rejected).to_string())
    }
}

fn told(rejected: &Rejected) -> Value {
    let refusal = &rejected.refusal;
    json!({
        "reason": refusal.reason.code(),
        "status": refusal.reason.status(),
        "title": refusal.reason.title(),
        "detail": refusal.detail,
        "errors": rejected.errors.iter().map(FieldError::document).collect::<Vec<_>>(),
    })
}

/// The request as the phases of a gateway have it.
fn exchange(asked: &Asked<'_>) -> Result<Exchange, Reason> {
    let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let connection =
        ConnectionInfo { peer: nobody, listener: "".into(), tls: false, sni: None, client_certificate: None, ja4: None };
    let mut exchange = Exchange::new(Rc::new(connection));
    exchange.request.method = Method::parse(asked.method.as_bytes()).ok_or(Reason::MethodNotSupported)?;
    exchange.request.target = [b"/?".as_slice(), asked.query].concat();
    for (name, value) in asked.headers {
        exchange.request.headers.push(name, value).map_err(|_| Reason::HeaderInvalid)?;
    }
    for value in asked.variables {
        exchange.variables.push([value.as_str()]);
    }
    if !asked.body.is_empty() {
        exchange.request.framing = Framing::Length(asked.body.len() as u64);
        exchange.body = Some(Ok(Body::Given(asked.body.into())));
    }
    Ok(exchange)
}

#[cfg(test)]
mod tests {
    use super::{Asked, Contract};

    const DOCUMENT: &str = r#"{
        "body": "required",
        "bodies": [{"content_type": "application/json", "schema": {"type": "object", "required": ["amount"]}}],
        "json": {"depth": 8, "keys": 10, "items": 10, "string": 100, "number": 20},
        "parameters": [
            {"in": "path", "name": "id", "required": true, "types": ["integer"], "schema": {"type": "integer"}},
            {"in": "query", "name": "page", "required": false, "types": ["integer"], "schema": {"type": "integer", "minimum": 1}}
        ],
        "query": ["page"]
    }"#;

    fn reason(id: &str, query: &str, kind: &str, body: &str) -> Option<String> {
        let contract = Contract::build(DOCUMENT.as_bytes(), &["id".to_owned()]).unwrap();
        let headers = [(b"Content-Type".to_vec(), kind.as_bytes().to_vec())];
        let variables = [id.to_owned()];
        let (query, body) = (query.as_bytes(), body.as_bytes());
        let told = contract.refusal(&Asked { method: "POST", query, variables: &variables, headers: &headers, body })?;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        Some(told["reason"].as_str().unwrap().to_owned())
    }

    #[test]
    fn it_is_judged_as_by_a_gateway() {
        let json = "application/json";
        assert_eq!(reason("7", "page=2", json, r#"{"amount": 1}"#), None);
        for (id, query, kind, body, code) in [
            ("x", "", json, r#"{"amount": 1}"#, "parameter_invalid"),
            ("7", "page=0", json, r#"{"amount": 1}"#, "parameter_invalid"),
            ("7", "all=1", json, r#"{"amount": 1}"#, "parameter_unknown"),
            ("7", "", "text/plain", r#"{"amount": 1}"#, "content_type_unsupported"),
            ("7", "", json, "{", "json_malformed"),
            ("7", "", json, r#"{"amount": 1, "amount": 2}"#, "json_duplicate_name"),
            ("7", "", json, "{}", "schema_mismatch"),
            ("7", "", json, "", "body_missing"),
            ("7", "", "a\r\nb", "{}", "header_invalid"),
        ] {
            assert_eq!(reason(id, query, kind, body).as_deref(), Some(code), "{code}");
        }
    }

    #[test]
    fn what_is_no_contract_says_so() {
        assert!(Contract::build(b"{}", &[]).unwrap_err().contains("not valid"));
        assert!(Contract::build(DOCUMENT.as_bytes(), &[]).unwrap_err().contains("{id}"));
    }
}
