//! What is kept of a request for its record before it is made ready to be forwarded, which changes its fields.

use serde_json::{Map, Value, json};

use super::{MAX_VALUES, Records};
use crate::exchange::Exchange;
use crate::headers::Known;
use crate::path::query_values;
use crate::snapshot::{Access, Snapshot};

/// Values of a field or parameter, hashed; no text for one that cannot be read.
pub(super) type Values = Vec<(Box<str>, Vec<Option<Box<str>>>)>;

/// What is kept.
#[derive(Debug)]
pub struct Captured {
    pub(super) headers: Values,
    pub(super) query: Values,
    pub(super) body: Option<Map<String, Value>>,
    /// Whether something was there that may have been a credential.
    pub(super) presented: bool,
}

impl Records {
    /// A value as it stands in a record.
    pub(super) fn hashed(&self, value: &str) -> Box<str> {
        let digest = self.hasher.digest(value.as_bytes());
        let mut text = String::with_capacity(digest.len().saturating_add(2));
        text.push('#');
        text.push_str(std::str::from_utf8(&digest).unwrap_or_default());
        if value.contains(',') {
            // Such a field may be a list to some readers.
            text.push(',');
        }
        text.into()
    }

    /// What rules read of this request, hashed.
    #[must_use]
    pub fn capture(&self, snapshot: &Snapshot, exchange: &Exchange) -> Captured {
        let fields = &exchange.request.headers;
        let hash = |text: Option<&str>| text.map(|text| self.hashed(text));
        let headers = self.headers.iter().map(|name| {
            let values = fields.named(name.as_bytes()).take(MAX_VALUES);
            (name.clone(), values.map(|value| hash(std::str::from_utf8(value).ok())).collect())
        });
        let query = self.query.iter().map(|name| {
            let values = query_values(exchange.query(), name).take(MAX_VALUES);
            (name.clone(), values.map(|value| hash(value.as_deref())).collect())
        });
        let there = |known: Known| fields.count(known) > 0;
        let signed =
            || crate::providers::signed_request::HEADERS.iter().any(|name| fields.named(name.as_bytes()).next().is_some());
        let presented = there(Known::Authorization)
            || snapshot.key_headers.iter().any(|name| fields.named(name.as_bytes()).next().is_some())
            || (self.sessions && there(Known::Cookie))
            || (self.signatures && signed())
            || exchange.connection.client_certificate.is_some();
        Captured { headers: headers.collect(), query: query.collect(), body: self.body(snapshot, exchange), presented }
    }

    /// The fields of a validated body that rules of the route read; absent ones are null.
    fn body(&self, snapshot: &Snapshot, exchange: &Exchange) -> Option<Map<String, Value>> {
        let route = snapshot.route(exchange.route)?;
        let Access::Authenticated { policy, .. } = &route.access else { return None };
        let body = exchange.validated.as_deref()?;
        let tried = route.shadow.iter().flat_map(|shadow| shadow.body_fields());
        let fields = policy.body_fields().chain(tried).filter_map(|field| {
            let value = field.find(body).map_or(Some(Value::Null), |value| self.scalar(value));
            Some((field.pointer().to_owned(), value?))
        });
        let fields: Map<String, Value> = fields.collect();
        (!fields.is_empty()).then_some(fields)
    }

    /// Texts hashed, also in lists; objects are not recorded, as their names may be anything.
    fn scalar(&self, value: &Value) -> Option<Value> {
        Some(match value {
            Value::String(text) => json!(self.hashed(text)),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.scalar(item)).collect::<Option<_>>()?),
            Value::Object(_) => return None,
            other => other.clone(),
        })
    }
}
