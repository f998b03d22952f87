//! What is done with an allowed request, and what is changed of it on the way.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What is done with an allowed request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Forwarded to services, shared by weight (parts of 10,000, sum 10,000; one service has them all).
    Forward(Vec<WeightedService>),
    /// Answered with a redirect.
    Redirect(Redirect),
    /// Answered with a fixed response.
    Respond(Respond),
}

/// A service and its share.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedService {
    /// Name of the service.
    pub service: String,
    /// Parts of 10,000.
    pub weight: u32,
}

/// A second service for copies of a share of the requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Name of the service.
    pub service: String,
    /// Parts of 10,000.
    pub share: u32,
}

/// A redirect. Exactly one of `location` and `scheme`/`host`/`path` parts is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// 301, 302, 303, 307, 308.
    pub status: u16,
    /// Fixed target; `None` builds one from the parts below and the request.
    pub location: Option<String>,
    /// Scheme of a built target.
    pub scheme: Option<String>,
    /// Authority of a built target.
    pub host: Option<String>,
    /// Path template of a built target, with `{name}` of the route's variables; the request's path otherwise.
    pub path: Option<String>,
}

/// A fixed response.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// Content-Type.
    pub content_type: String,
    /// Body text.
    pub body: String,
}

/// Change of the path before forwarding. Canonical again afterwards.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// Path template with `{name}` and `{name...}` of the route's variables.
    pub path: String,
}

/// Changes of headers, in this order. Names are lower case and never ones that the gateway owns (checked in Python).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderEdits {
    /// Removed, in any folding.
    pub remove: Vec<String>,
    /// Replaced or added.
    pub set: BTreeMap<String, String>,
    /// Added beside what is there.
    pub add: BTreeMap<String, String>,
}
