//! What is asked and answered: small messages, held in memory whole.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::fault::Fault;
use crate::providers::json;

/// Bounds of one exchange.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For waiting (at most half of it), name resolution, connection, handshake, request and answer together.
    pub time: std::time::Duration,
    /// Bytes of the answer's body.
    pub bytes: usize,
}

impl Limits {
    /// The time in milliseconds.
    pub(super) fn milliseconds(&self) -> u64 {
        u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for Limits {
    /// 5 seconds, 64 KiB.
    fn default() -> Self {
        Self { time: std::time::Duration::from_secs(5), bytes: 64 * 1024 }
    }
}

/// A request. `Host`, `User-Agent` and `Content-Length` are set by the client.
#[derive(Debug, Clone)]
pub struct Request {
    pub(super) method: Method,
    /// Further fields; `Authorization` is never shown.
    pub headers: HeaderMap,
    pub(super) body: Bytes,
    /// Whether it may be sent again where a kept connection broke before anything was answered.
    pub(super) repeatable: bool,
}

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl Request {
    /// GET, for answers of these types.
    #[must_use]
    pub fn get(accept: &'static str) -> Self {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        Self { method: Method::GET, headers, body: Bytes::new(), repeatable: true }
    }

    /// POST of a form, for a JSON answer.
    #[must_use]
    pub fn post(form: &Form) -> Self {
        let headers = HeaderMap::from_iter([(header::ACCEPT, JSON), (header::CONTENT_TYPE, FORM)]);
        Self { method: Method::POST, headers, body: form.encoded().into(), repeatable: false }
    }

    /// POST of JSON, for a JSON answer.
    #[must_use]
    pub fn post_json(body: &Value) -> Self {
        let headers = HeaderMap::from_iter([(header::ACCEPT, JSON), (header::CONTENT_TYPE, JSON)]);
        Self { method: Method::POST, headers, body: body.to_string().into(), repeatable: false }
    }

    /// Says that sending it twice does no harm: then a kept connection that breaks off before an answer is no failure.
    #[must_use]
    pub const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }
}

/// Fields of a form (`application/x-www-form-urlencoded`), in their order.
#[derive(Clone, Default)]
pub struct Form(Vec<(&'static str, String)>);

impl std::fmt::Debug for Form {
    /// Names only: values are tokens and secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Form {
    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.push(name, value);
        self
    }

    /// Adds a field.
    pub fn push(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    fn encoded(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.0 {
            if !out.is_empty() {
                out.push('&');
            }
            encode(name, &mut out);
            out.push('=');
            encode(value, &mut out);
        }
        out
    }
}

/// As RFC 6749 appendix B wants it.
pub(super) fn encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                let digit = |half: u8| HEX.get(usize::from(half)).copied().map_or('0', char::from);
                out.push('%');
                out.push(digit(byte >> 4));
                out.push(digit(byte & 15));
            }
        }
    }
}

/// An answer of any status but a redirect.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body, within the bound that was asked for.
    pub body: Vec<u8>,
}

impl Response {
    /// The body of a 200.
    ///
    /// # Errors
    /// Any other status.
    pub fn ok(self) -> Result<Vec<u8>, Fault> {
        if self.status == StatusCode::OK { Ok(self.body) } else { Err(Fault::Status(self.status.as_u16())) }
    }

    /// The object of a 200 that is declared as JSON (`application/json`, `application/…+json`).
    ///
    /// # Errors
    /// Any other status, type or content; a name that stands twice at any depth.
    pub fn read_json(&self) -> Result<Map<String, Value>, Fault> {
        if self.status != StatusCode::OK {
            return Err(Fault::Status(self.status.as_u16()));
        }
        self.json_of_any_status()
    }

    /// The object of an answer that is declared as JSON, whatever its status: OAuth errors (RFC 6749 section 5.2).
    ///
    /// # Errors
    /// Any other type or content.
    pub fn json_of_any_status(&self) -> Result<Map<String, Value>, Fault> {
        let mut types = self.headers.get_all(header::CONTENT_TYPE).iter();
        let (Some(kind), None) = (types.next(), types.next()) else { return Err(Fault::NotJson) };
        let kind = kind.to_str().map_err(|_| Fault::NotJson)?.split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        let rest = kind.strip_prefix("application/").ok_or(Fault::NotJson)?;
        if rest != "json" && !rest.ends_with("+json") {
            return Err(Fault::NotJson);
        }
        json::object(&self.body).ok_or(Fault::NotJson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_as_oauth_wants_them() {
        let form = Form::default().with("token", " %&+£€").with("b", "a-z_0.9*~/");
        assert_eq!(form.encoded(), "token=+%25%26%2B%C2%A3%E2%82%AC&b=a-z_0.9*%7E%2F");
        assert_eq!(format!("{form:?}"), r#"["token", "b"]"#);
    }

    fn response(status: u16, types: &[&'static str], body: &str) -> Response {
        let headers = types.iter().map(|kind| (header::CONTENT_TYPE, HeaderValue::from_static(kind))).collect();
        Response { status: StatusCode::from_u16(status).unwrap(), headers, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn json_is_declared_and_has_no_name_twice() {
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/token-introspection+json"] {
            assert!(response(200, &[kind], "{\"a\":1}").read_json().is_ok(), "{kind}");
        }
        for (types, body) in [
            (&[][..], "{}"),
            (&["text/html"][..], "{}"),
            (&["application/json", "text/html"][..], "{}"),
            (&["application/jsonp"][..], "{}"),
            (&["application/json"][..], "[]"),
            (&["application/json"][..], "{\"active\":false,\"active\":true}"),
            (&["application/json"][..], "{} {}"),
        ] {
            assert_eq!(response(200, types, body).read_json(), Err(Fault::NotJson), "{types:?} {body}");
        }
        assert_eq!(response(400, &["application/json"], "{}").read_json(), Err(Fault::Status(400)));
        assert!(response(400, &["application/json"], "{}").json_of_any_status().is_ok());
        assert_eq!(response(204, &[], "").ok(), Err(Fault::Status(204)));
    }
}
