//! From the intermediate representation to a snapshot: every reference resolved, every error named.

mod decision;
mod listeners;
mod places;
mod references;
mod routes;
mod screen;
mod services;

use std::fmt::Write;
use std::sync::Arc;

use super::identity;
use super::{LoadError, Secrets, Snapshot};
use crate::decisions::Records;
use crate::filters::login_guard::doors::Doors;
use crate::filters::security_headers::SecurityHeaders;
use crate::geo::Geo;
use crate::ir::{self, Ir};
use crate::protected_resource::ProtectedResources;
use crate::providers::Provider;
use crate::providers::dpop::Dpop;
use crate::router::Router;
use crate::shared::Shared;

/// Collects errors with their place in the document.
struct Errors(Vec<LoadError>);

impl Errors {
    fn add(&mut self, pointer: String, message: impl Into<String>) {
        self.0.push(LoadError { pointer, message: message.into() });
    }

    fn take<T>(&mut self, pointer: impl FnOnce() -> String, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(pointer(), message)).ok()
    }

    /// Of what finds several errors at one place.
    fn take_all<T>(&mut self, pointer: impl Fn() -> String, result: Result<T, Vec<String>>) -> Option<T> {
        result.map_err(|messages| messages.into_iter().for_each(|message| self.add(pointer(), message))).ok()
    }
}

pub(super) fn build(bytes: &[u8], secrets: &Secrets, shared: &Arc<Shared>) -> Result<Snapshot, Vec<LoadError>> {
    let ir = read(bytes).map_err(|error| vec![error])?;
    let mut errors = Errors(Vec::new());
    references::names(&ir, &mut errors);
    listeners::client_certificate(&ir, &mut errors);
    listeners::redirects(&ir, &mut errors);
    listeners::passthroughs(&ir, &mut errors);
    services::endpoints(&ir, &mut errors);
    for (name, _) in ir.secrets.iter().filter(|(name, _)| !secrets.contains_key(*name)) {
        errors.add(format!("/secrets/{name}"), format!("the secret `{name}` was not passed along"));
    }
    let mut providers = Vec::with_capacity(ir.providers.len());
    for (index, provider) in ir.providers.iter().enumerate() {
        providers.extend(errors.take(|| format!("/providers/{index}"), Provider::build(provider, secrets, shared)));
    }
    let service_tokens = services::service_tokens(&ir, secrets, shared, &mut errors);
    let lists = screen::address_lists(&ir, shared);
    let listeners = listeners::listeners(&ir, &lists, shared, &mut errors);
    let security = security_headers(ir.security_headers.as_ref(), || "/security_headers".to_owned(), &mut errors);
    let routes = if providers.len() == ir.providers.len() {
        routes::routes(&ir, &providers, &lists, (secrets, shared), &mut errors)
    } else {
        Vec::new()
    };
    let revision = revision(bytes);
    let assertions = identity::build(&ir, secrets, &revision).map_err(|found| errors.0.extend(found)).unwrap_or_default();
    let router = Router::build(&ir.routes).map_err(|found| errors.0.extend(found)).unwrap_or_default();
    let secret = ir.dpop.nonce_secret.as_ref().and_then(|name| secrets.get(name)).map(|secret| secret.as_slice());
    let dpop = errors.take(|| "/dpop".to_owned(), Dpop::build(&ir.dpop, secret, &shared.seed));
    let events = places::events(&ir, &providers, secrets, &mut errors);
    let logins = places::logins(&ir, &providers, &mut errors);
    let doors = errors.take(|| "/routes".to_owned(), Doors::build(&ir.routes)).unwrap_or_default();
    let records = ir.decision_log.as_ref().map(|spec| {
        let built = Records::build(spec, bytes, &ir, &routes, secrets);
        errors.take(|| "/decision_log/key".to_owned(), built)
    });
    if !errors.0.is_empty() {
        return Err(errors.0);
    }
    let dpop = dpop.ok_or_else(Vec::new);
    Ok(Snapshot {
        revision,
        records: records.flatten(),
        claim_headers: identity::claim_headers(&assertions),
        assertions,
        protected: ProtectedResources::build(&ir, |name| {
            let provider = providers.iter().find(|provider| **provider.name() == *name);
            provider.map(Provider::issuers).unwrap_or_default()
        }),
        challenges: ir.challenges.then(|| Arc::clone(&shared.challenges)),
        geo: ir.geo.as_ref().map(|spec| Geo::build(spec, shared)),
        ir: Arc::new(ir),
        routes,
        key_headers: key_headers(&providers),
        providers,
        service_tokens,
        listeners,
        security_headers: security.flatten(),
        router,
        revocations: Arc::clone(&shared.revocations),
        dpop: dpop?,
        events,
        remembered_since: shared.stores.remembered_since(),
        logins,
        doors,
    })
}

/// Fields other than Authorization that carry a credential of any of them.
fn key_headers(providers: &[Provider]) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = providers.iter().flat_map(|one| one.credential_headers().iter().cloned()).collect();
    names.retain(|name| &**name != "authorization");
    if providers.iter().any(Provider::takes_tokens) {
        names.push("dpop".into());
    }
    names.sort();
    names.dedup();
    names
}

fn read(bytes: &[u8]) -> Result<Ir, LoadError> {
    // To know the path all the way costs time: it is asked for where something is wrong.
    let ir = serde_json::from_slice(bytes).or_else(|_| read_with_path(bytes))?;
    if ir.version == ir::IR_VERSION {
        Ok(ir)
    } else {
        let message = format!("version {} of the document is not known; this build reads {}", ir.version, ir::IR_VERSION);
        Err(LoadError { pointer: "/version".to_owned(), message })
    }
}

fn read_with_path(bytes: &[u8]) -> Result<Ir, LoadError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let ir: Ir = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = error.path().iter().fold(String::new(), |mut out, segment| {
            let _ = write!(out, "/{}", segment.to_string().trim_matches(['[', ']']));
            out
        });
        LoadError { pointer, message: error.inner().to_string() }
    })?;
    json.end().map_err(|error| LoadError { pointer: String::new(), message: error.to_string() })?;
    Ok(ir)
}

fn revision(bytes: &[u8]) -> Arc<str> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .fold(String::with_capacity(64), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
        .into()
}

fn security_headers(
    spec: Option<&ir::SecurityHeaders>,
    pointer: impl FnOnce() -> String,
    errors: &mut Errors,
) -> Option<Option<SecurityHeaders>> {
    errors.take(pointer, spec.map(SecurityHeaders::build).transpose())
}
