//! On what the verified outcome of a request stood: digests of those parts of a configuration that a record is judged by.
//!
//! Credentials are not verified again. So a record counts for another configuration only as far as what verified it is the
//! same there; digests say so, and nothing else of them.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::principal::{AuthenticationMethod, Principal};
use crate::providers::jwk::sha256;

/// Digests of a configuration.
#[derive(Debug, Default)]
pub struct Terms {
    providers: HashMap<Box<str>, Trust>,
    routes: Vec<RouteTerms>,
    origins: HashMap<Box<str>, Box<str>>,
    certificates: HashMap<Box<str>, Box<str>>,
    /// Where credentials are looked for.
    pub places: Box<str>,
}

/// What a provider's vouching stands on.
#[derive(Debug, Default)]
struct Trust {
    /// All of it but declared claims and entries.
    base: Box<str>,
    /// With the entry of one caller, where callers are listed in the configuration.
    entries: HashMap<Box<str>, Box<str>>,
    /// How each declared claim is read.
    declared: HashMap<Box<str>, Box<str>>,
}

/// The part of a route.
#[derive(Debug, Default)]
pub struct RouteTerms {
    /// Whom it believes and how; nothing where it is public.
    pub accepts: Option<Box<str>>,
    /// What a credential has to be beside verified: confirmed by its issuer, bound to a key.
    pub binding: Option<Box<str>>,
    /// Who is asked outside.
    pub external: Option<Box<str>>,
    /// Whether every one of several providers has to vouch.
    pub all_of: bool,
}

/// Where a provider lists its callers, and the name of each.
fn entries(kind: &str) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        "api_key" => ("keys", "id"),
        "mtls" => ("identities", "name"),
        "signed_request" => ("keys", "id"),
        "client_assertion" => ("clients", "id"),
        _ => return None,
    })
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn digest(value: &Value) -> Box<str> {
    URL_SAFE_NO_PAD.encode(sha256(value.to_string().as_bytes()).get(..6).unwrap_or_default()).into()
}

impl Terms {
    /// Of a document that loads.
    #[must_use]
    pub fn of(document: &Value) -> Self {
        let providers = list(document, "providers");
        let mut places: Vec<Value> = providers
            .iter()
            .map(|one| {
                json!([text(one, "type"), text(one, "header"), if text(one, "type") == "oidc" { text(one, "name") } else { "" }])
            })
            .collect();
        places.sort_by_key(Value::to_string);
        places.dedup();
        let named = |name: &str| providers.iter().find(|one| text(one, "name") == name);
        Self {
            providers: providers.iter().map(|one| (text(one, "name").into(), Trust::of(one, document))).collect(),
            routes: list(document, "routes").iter().map(|route| RouteTerms::of(route, named)).collect(),
            origins: list(document, "listeners").iter().map(|one| (text(one, "name").into(), origin(one))).collect(),
            certificates: list(document, "listeners").iter().map(|one| (text(one, "name").into(), clients(one))).collect(),
            places: digest(&Value::Array(places)),
        }
    }

    /// Of a route, by its index.
    #[must_use]
    pub fn route(&self, index: u32) -> Option<&RouteTerms> {
        self.routes.get(usize::try_from(index).ok()?)
    }

    /// How a listener comes to know its clients' addresses.
    #[must_use]
    pub fn origin(&self, listener: &str) -> Option<&str> {
        self.origins.get(listener).map(|found| &**found)
    }

    /// How a listener verifies its clients' certificates.
    #[must_use]
    pub fn certificates(&self, listener: &str) -> Option<&str> {
        self.certificates.get(listener).map(|found| &**found)
    }

    /// On what its provider's word for a caller stands. `entry` is how the provider names the caller.
    #[must_use]
    pub fn trust(&self, provider: &str, entry: &str) -> Option<&str> {
        let trust = self.providers.get(provider)?;
        Some(trust.entries.get(entry).unwrap_or(&trust.base))
    }

    /// How a declared claim is read.
    #[must_use]
    pub fn declared(&self, provider: &str, claim: &str) -> Option<&str> {
        self.providers.get(provider)?.declared.get(claim).map(|found| &**found)
    }

    /// Every declared claim of a provider, and how it is read.
    pub fn all_declared(&self, provider: &str) -> impl Iterator<Item = (&str, &str)> {
        self.providers.get(provider).into_iter().flat_map(|trust| trust.declared.iter().map(|(name, how)| (&**name, &**how)))
    }
}

/// How its provider names a caller.
#[must_use]
pub fn entry(principal: &Principal) -> &str {
    match principal.method {
        AuthenticationMethod::ApiKey | AuthenticationMethod::SignedRequest => {
            principal.token_id.as_deref().unwrap_or(&principal.subject)
        }
        AuthenticationMethod::Mtls | AuthenticationMethod::ClientAssertion => &principal.subject,
        AuthenticationMethod::Jwt | AuthenticationMethod::Introspection | AuthenticationMethod::Oidc => "",
    }
}

impl Trust {
    fn of(provider: &Value, document: &Value) -> Self {
        let mut base = provider.clone();
        let mut declared = Map::new();
        if let Some(claims) = base.get_mut("claims").and_then(Value::as_object_mut)
            && let Some(Value::Object(found)) = claims.remove("declared")
        {
            declared = found;
        }
        let listed = entries(text(provider, "type"));
        let callers = listed.map(|(key, _)| list(provider, key)).unwrap_or_default();
        let whole = digest(&with_secrets(&base, document));
        if let (Some((key, _)), Some(fields)) = (listed, base.as_object_mut()) {
            fields.remove(key);
        }
        let bare = with_secrets(&base, document);
        let entry = |one: &Value| {
            let (_, name) = listed?;
            Some((text(one, name).into(), digest(&json!([bare, with_secrets(one, document)]))))
        };
        Self {
            base: whole,
            entries: callers.iter().filter_map(entry).collect(),
            declared: declared.iter().map(|(name, how)| (name.as_str().into(), digest(how))).collect(),
        }
    }
}

/// A part of a document, and the fingerprints of the secrets that it names.
fn with_secrets(part: &Value, document: &Value) -> Value {
    let mut names = Vec::new();
    texts(part, &mut |text| {
        if let Some(found) = document.get("secrets").and_then(|secrets| secrets.get(text)) {
            names.push(found.clone());
        }
    });
    json!([part, names])
}

/// Every text of a document.
pub fn texts<'v>(value: &'v Value, each: &mut impl FnMut(&'v str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, each)),
        Value::Object(fields) => fields.values().for_each(|item| texts(item, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn origin(listener: &Value) -> Box<str> {
    let none = &Value::Null;
    let part = |key: &str| listener.get(key).unwrap_or(none).clone();
    digest(&json!([part("trusted_proxies"), part("proxy_protocol")]))
}

fn clients(listener: &Value) -> Box<str> {
    digest(listener.get("tls").and_then(|tls| tls.get("client_certificates")).unwrap_or(&Value::Null))
}

impl RouteTerms {
    fn of<'p>(route: &Value, named: impl Fn(&str) -> Option<&'p Value>) -> Self {
        let external = route.get("external_authorization").filter(|one| !one.is_null()).map(digest);
        let part = |key: &str| route.get(key).filter(|one| !one.is_null()).cloned();
        let Some(access) = route.get("access").and_then(|access| access.get("authenticated")) else {
            return Self { external, ..Self::default() };
        };
        let mut access = access.clone();
        if let Some(fields) = access.as_object_mut() {
            fields.remove("rules");
        }
        let believed: Vec<&Value> = list(&access, "providers").iter().filter_map(|name| named(name.as_str()?)).collect();
        let binding = match (part("live_check"), part("sender_constrained")) {
            (None, None) => None,
            (live, bound) => Some(digest(&json!([live, bound]))),
        };
        let accepts = digest(&json!([access, believed, binding, part("client_certificate")]));
        let all_of = access.get("all_of").is_some_and(|all| all.as_bool() == Some(true));
        Self { accepts: Some(accepts), binding, external, all_of }
    }
}
