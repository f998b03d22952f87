//! What protects the routes of a host (RFC 9728): a document for clients that got a 401 and know nothing yet.
//!
//! It is made per listener and host, of routes that a client could find anyway: those that accept tokens, ask for no client
//! certificate, and are neither hidden nor said to be unlisted. It names whole hosts, never a route, and is the same for every
//! path below its place, so that asking for one says nothing about what is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::json;

use crate::exchange::{Answer, Exchange, Method};
use crate::ir;

/// Where the document is; a path after it is that of the resource (RFC 9728 section 3.1).
pub const PREFIX: &str = "/.well-known/oauth-protected-resource";

/// What the routes of one host pattern accept.
#[derive(Debug, Default, Clone)]
struct Accepted {
    issuers: BTreeSet<Arc<str>>,
    scopes: BTreeSet<Arc<str>>,
}

/// The routes of one listener, by host pattern.
#[derive(Debug, Default)]
struct Hosts {
    exact: HashMap<String, Accepted>,
    /// By the suffix of `*.example.com`, with its dot.
    wild: HashMap<String, Accepted>,
    any: Option<Accepted>,
}

/// All listeners.
#[derive(Debug, Default)]
pub struct ProtectedResources {
    listeners: BTreeMap<String, Hosts>,
}

impl ProtectedResources {
    /// Of a document; `issuers`: those of a provider that takes tokens, none for one that does not.
    #[must_use]
    pub fn build<'a>(ir: &'a ir::Ir, issuers: impl Fn(&'a str) -> Vec<Arc<str>>) -> Self {
        let mut all = Self::default();
        for route in &ir.routes {
            let ir::Access::Authenticated(access) = &route.access else { continue };
            let found: BTreeSet<Arc<str>> = access.providers.iter().flat_map(|name| issuers(name)).collect();
            if found.is_empty() || route.client_certificate || route.unlisted || route.hidden {
                continue;
            }
            let scopes: BTreeSet<Arc<str>> = scopes(access).into_iter().map(Into::into).collect();
            for listener in &route.listeners {
                all.listeners.entry(listener.clone()).or_default().add(route.matches.hosts.as_deref(), &found, &scopes);
            }
        }
        all
    }

    /// Whether the host has a document.
    #[must_use]
    pub fn has(&self, exchange: &Exchange) -> bool {
        self.of(exchange).next().is_some()
    }

    fn of(&self, exchange: &Exchange) -> impl Iterator<Item = &Accepted> {
        let hosts = self.listeners.get(&*exchange.connection.listener);
        let host = exchange.host.as_str();
        let suffixes = host.match_indices('.').filter_map(move |(at, _)| host.get(at..));
        hosts.into_iter().flat_map(move |hosts| {
            let wild = suffixes.clone().filter_map(|suffix| hosts.wild.get(suffix));
            hosts.exact.get(host).into_iter().chain(wild).chain(hosts.any.as_ref())
        })
    }

    /// The document, for a GET or HEAD of its place.
    #[must_use]
    pub fn answer(&self, exchange: &Exchange) -> Option<Answer> {
        if !matches!(exchange.request.method, Method::Get | Method::Head) {
            return None;
        }
        let path = exchange.path.raw().strip_prefix(PREFIX.as_bytes())?;
        let path = std::str::from_utf8(path).ok().filter(|path| path.is_empty() || path.starts_with('/'))?;
        let mut all = Accepted::default();
        let mut found = false;
        for accepted in self.of(exchange) {
            found = true;
            all.issuers.extend(accepted.issuers.iter().cloned());
            all.scopes.extend(accepted.scopes.iter().cloned());
        }
        if !found {
            return None;
        }
        let text = |set: &BTreeSet<Arc<str>>| set.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        let mut document = json!({
            "resource": format!("{}{path}", origin(exchange)),
            "authorization_servers": text(&all.issuers),
            "bearer_methods_supported": ["header"],
        });
        if let Some(fields) = document.as_object_mut().filter(|_| !all.scopes.is_empty()) {
            fields.insert("scopes_supported".to_owned(), json!(text(&all.scopes)));
        }
        let headers = [
            ("content-type", "application/json"),
            ("cache-control", "max-age=300"),
            ("access-control-allow-origin", "*"),
            ("x-content-type-options", "nosniff"),
        ];
        Some(Answer {
            status: 200,
            headers: headers.map(|(name, value)| (name.into(), value.into())).to_vec(),
            body: document.to_string().into_bytes().into(),
        })
    }
}

impl Hosts {
    fn add(&mut self, hosts: Option<&[String]>, issuers: &BTreeSet<Arc<str>>, scopes: &BTreeSet<Arc<str>>) {
        let put = |accepted: &mut Accepted| {
            accepted.issuers.extend(issuers.iter().cloned());
            accepted.scopes.extend(scopes.iter().cloned());
        };
        match hosts {
            None => put(self.any.get_or_insert_default()),
            Some(hosts) => {
                for host in hosts {
                    match host.strip_prefix('*') {
                        Some(suffix) => put(self.wild.entry(suffix.to_owned()).or_default()),
                        None => put(self.exact.entry(host.clone()).or_default()),
                    }
                }
            }
        }
    }
}

/// Every scope that a rule names.
#[must_use]
pub fn scopes(access: &ir::Authenticated) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for rule in &access.rules {
        let named: Vec<&String> = match &rule.scopes {
            None => Vec::new(),
            Some(ir::Scopes::AnyOf(scopes) | ir::Scopes::AllOf(scopes)) => scopes.iter().collect(),
            Some(ir::Scopes::Methods(methods)) => methods.values().flat_map(listed).collect(),
        };
        for scope in named {
            if !found.contains(&scope.as_str()) {
                found.push(scope);
            }
        }
    }
    found
}

fn listed(quantified: &ir::Quantified) -> &Vec<String> {
    match quantified {
        ir::Quantified::AnyOf(list) | ir::Quantified::AllOf(list) => list,
    }
}

/// `https://host[:port]` as the client wrote it.
fn origin(exchange: &Exchange) -> String {
    let scheme = if exchange.https { "https" } else { "http" };
    format!("{scheme}://{}", String::from_utf8_lossy(&exchange.authority).to_ascii_lowercase())
}

/// Where the document of the host is, for a challenge (RFC 9728 section 5.1).
#[must_use]
pub fn place(exchange: &Exchange) -> String {
    format!("{}{PREFIX}", origin(exchange))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ConnectionInfo;

    fn hosts(list: &[(Option<&[&str]>, &str)]) -> ProtectedResources {
        let mut all = ProtectedResources::default();
        for (names, scope) in list {
            let names: Option<Vec<String>> = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            let one = |text: &str| BTreeSet::from([Arc::from(text)]);
            let hosts = all.listeners.entry("l".to_owned()).or_default();
            hosts.add(names.as_deref(), &one(&format!("https://{scope}.example")), &one(scope));
        }
        all
    }

    fn asked(host: &str, path: &str, method: Method) -> Exchange {
        let peer = "192.0.2.1:1".parse().unwrap();
        let connection = ConnectionInfo { peer, listener: "l".into(), tls: true, sni: None, client_certificate: None, ja4: None };
        let mut exchange = Exchange::new(std::rc::Rc::new(connection));
        exchange.request.method = method;
        exchange.host = host.to_owned();
        exchange.authority = format!("{}:8443", host.to_ascii_uppercase()).into_bytes();
        let _ = exchange.path.parse_into(path.as_bytes());
        exchange
    }

    fn document(all: &ProtectedResources, host: &str, path: &str) -> Option<serde_json::Value> {
        let answer = all.answer(&asked(host, path, Method::Get))?;
        Some(serde_json::from_slice(&answer.body).unwrap())
    }

    #[test]
    fn each_host_names_what_its_own_routes_accept() {
        let all = hosts(&[(Some(&["a.example"]), "a"), (Some(&["*.example"]), "wild"), (Some(&["b.test"]), "b")]);
        let scopes = |host: &str| document(&all, host, PREFIX).map(|found| found["scopes_supported"].clone());
        assert_eq!(scopes("a.example"), Some(json!(["a", "wild"])));
        assert_eq!(scopes("x.y.example"), Some(json!(["wild"])));
        assert_eq!(scopes("b.test"), Some(json!(["b"])));
        assert_eq!(scopes("example"), None);
        assert_eq!(scopes("c.test"), None);
        assert!(all.has(&asked("a.example", "/", Method::Get)) && !all.has(&asked("c.test", "/", Method::Get)));
        let found = document(&all, "b.test", &format!("{PREFIX}/orders/1")).unwrap();
        assert_eq!(found["resource"], "https://b.test:8443/orders/1");
        assert_eq!(found["authorization_servers"], json!(["https://b.example"]));
    }

    #[test]
    fn nothing_else_is_answered() {
        let all = hosts(&[(None, "a")]);
        for path in ["/", "/.well-known/oauth-protected-resources", "/.well-known/other"] {
            assert!(document(&all, "b.test", path).is_none(), "{path}");
        }
        assert!(document(&all, "b.test", PREFIX).is_some());
        assert!(all.answer(&asked("b.test", PREFIX, Method::Post)).is_none());
    }
}
