//! From the intermediate representation to a snapshot: every reference resolved, every error named.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::identity;
use super::{Access, Action, BearerToken, Challenge, ClientCertificates, Events, Listener, LoadError, Route, Secrets, Snapshot};
use crate::address_lists::List;
use crate::decisions::Records;
use crate::filters::address_filter::AddressFilter;
use crate::filters::address_limit::AddressLimit;
use crate::filters::assurance::Assurance;
use crate::filters::attack_filter::AttackFilter;
use crate::filters::authorize::Policy;
use crate::filters::authorize::condition::Readable;
use crate::filters::authorize::shadow::Shadow;
use crate::filters::bot_filter::{self, BotFilter};
use crate::filters::concurrency_limit::ConcurrencyLimits;
use crate::filters::cors::Cors;
use crate::filters::csrf::{Csrf, FIELD};
use crate::filters::external_authorization::ExternalAuthorization;
use crate::filters::geo_filter::GeoFilter;
use crate::filters::limit_shadow::{Building, ShadowLimits};
use crate::filters::login_guard::LoginGuard;
use crate::filters::login_guard::doors::Doors;
use crate::filters::mirror::Mirror;
use crate::filters::quota::Quotas;
use crate::filters::rate_limit::{RateLimits, RouteRepeats};
use crate::filters::redirect::Redirect;
use crate::filters::request_headers::RequestHeaders;
use crate::filters::request_validation::RequestValidation;
use crate::filters::respond::Respond;
use crate::filters::response_headers::ResponseHeaders;
use crate::filters::response_validation::ResponseValidation;
use crate::filters::rewrite::Rewrite;
use crate::filters::security_headers::SecurityHeaders;
use crate::filters::split::Split;
use crate::filters::websocket::WebSocket;
use crate::geo::Geo;
use crate::headers::folds_to;
use crate::ir::{self, Ir};
use crate::protected_resource::{PREFIX, ProtectedResources, scopes};
use crate::providers::dpop::Dpop;
use crate::providers::live_check::LiveCheck;
use crate::providers::oidc::places::Places;
use crate::providers::{Accepts, Provider};
use crate::router::{Router, variable_names};
use crate::server::tls::names::Names;
use crate::server::tls::trust;
use crate::service_tokens::TokenSource;
use crate::shared::Shared;
use crate::upstream::balance::MAX_ENDPOINTS;

/// Collects errors with their place in the document.
struct Errors(Vec<LoadError>);

impl Errors {
    fn take<T>(&mut self, pointer: impl FnOnce() -> String, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.0.push(LoadError { pointer: pointer(), message })).ok()
    }
}

pub(super) fn build(bytes: &[u8], secrets: &Secrets, shared: &Arc<Shared>) -> Result<Snapshot, Vec<LoadError>> {
    let ir = read(bytes).map_err(|error| vec![error])?;
    let mut errors = Errors(Vec::new());
    names(&ir, &mut errors);
    client_certificate(&ir, &mut errors);
    redirects(&ir, &mut errors);
    passthroughs(&ir, &mut errors);
    endpoints(&ir, &mut errors);
    for (name, _) in ir.secrets.iter().filter(|(name, _)| !secrets.contains_key(*name)) {
        let message = format!("the secret `{name}` was not passed along");
        errors.0.push(LoadError { pointer: format!("/secrets/{name}"), message });
    }
    let mut providers = Vec::with_capacity(ir.providers.len());
    for (index, provider) in ir.providers.iter().enumerate() {
        providers.extend(errors.take(|| format!("/providers/{index}"), Provider::build(provider, secrets, shared)));
    }
    let service_tokens = service_tokens(&ir, secrets, shared, &mut errors);
    let lists = address_lists(&ir, shared);
    let listeners = listeners(&ir, &lists, shared, &mut errors);
    let security = security_headers(ir.security_headers.as_ref(), || "/security_headers".to_owned(), &mut errors);
    let routes = if providers.len() == ir.providers.len() {
        routes(&ir, &providers, &lists, (secrets, shared), &mut errors)
    } else {
        Vec::new()
    };
    let revision = revision(bytes);
    let assertions = identity::build(&ir, secrets, &revision).map_err(|found| errors.0.extend(found)).unwrap_or_default();
    let router = Router::build(&ir.routes).map_err(|found| errors.0.extend(found)).unwrap_or_default();
    let secret = ir.dpop.nonce_secret.as_ref().and_then(|name| secrets.get(name)).map(|secret| secret.as_slice());
    let dpop = errors.take(|| "/dpop".to_owned(), Dpop::build(&ir.dpop, secret, &shared.seed));
    let events = events(&ir, &providers, secrets, &mut errors);
    let logins = logins(&ir, &providers, &mut errors);
    let doors = errors.take(|| "/routes".to_owned(), Doors::build(&ir.routes)).unwrap_or_default();
    let records = ir.decision_log.as_ref().map(|spec| {
        let built = Records::build(spec, bytes, &ir, &routes, secrets);
        errors.take(|| "/decision_log/key".to_owned(), built)
    });
    if !errors.0.is_empty() {
        return Err(errors.0);
    }
    let dpop = dpop.ok_or_else(Vec::new);
    let mut key_headers: Vec<Arc<str>> = providers.iter().flat_map(|p| p.credential_headers().iter().cloned()).collect();
    key_headers.retain(|name| &**name != "authorization");
    if providers.iter().any(Provider::takes_tokens) {
        key_headers.push("dpop".into());
    }
    key_headers.sort();
    key_headers.dedup();
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
        providers,
        service_tokens,
        listeners,
        security_headers: security.flatten(),
        router,
        key_headers,
        revocations: Arc::clone(&shared.revocations),
        dpop: dpop?,
        events,
        remembered_since: shared.stores.remembered_since(),
        logins,
        doors,
    })
}

/// Receivers of security events, each with a provider of signed tokens, and no route in its place.
fn events(ir: &Ir, providers: &[Provider], secrets: &Secrets, errors: &mut Errors) -> Vec<Events> {
    let mut out = Vec::with_capacity(ir.security_events.len());
    for (index, spec) in ir.security_events.iter().enumerate() {
        let provider = providers.iter().position(|provider| **provider.name() == *spec.provider && provider.signs_tokens());
        let token = match &spec.token {
            None => Ok(None),
            Some(name) => secrets
                .get(name)
                .map(|token| Some(BearerToken::new(token)))
                .ok_or_else(|| format!("the secret `{name}` is missing")),
        };
        let provider = provider.ok_or_else(|| format!("there is no provider `{}` of signed tokens", spec.provider));
        let provider = errors.take(|| format!("/security_events/{index}/provider"), provider);
        let token = errors.take(|| format!("/security_events/{index}/token"), token);
        let (Some(provider), Some(token)) = (provider, token) else { continue };
        out.push(Events {
            listeners: spec.listeners.iter().map(|name| name.as_str().into()).collect(),
            path: spec.path.as_str().into(),
            provider: u32::try_from(provider).unwrap_or(u32::MAX),
            audiences: spec.audiences.clone(),
            token,
        });
    }
    out
}

/// Where the gateway itself answers; not where a route stands.
fn logins(ir: &Ir, providers: &[Provider], errors: &mut Errors) -> Places {
    let mut places = Places::default();
    for (index, provider) in providers.iter().enumerate() {
        let Some(oidc) = provider.oidc() else { continue };
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        errors.take(|| format!("/providers/{index}/base"), places.add(number, provider.name(), oidc.base(), &ir.routes));
    }
    places
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

/// Two configurations with the same digest let the same requests of a caller through, as far as that is not a limit's.
fn decision(spec: &ir::Route, ir: &Ir) -> [u8; 32] {
    let mut text = format!(
        "{:?}",
        (
            &spec.matches,
            &spec.path_allow,
            spec.client_certificate,
            spec.sender_constrained,
            &spec.access,
            &spec.live_check,
            &spec.websocket,
            &spec.assurance
        )
    );
    let _ = write!(
        text,
        "{:?}",
        (
            &spec.tenants,
            &spec.deny,
            spec.hidden,
            &spec.response_tenant,
            &spec.external_authorization,
            &spec.cors,
            &spec.csrf,
            &spec.address_filters,
            &spec.geo_filters,
            &spec.bot_filter
        )
    );
    if let ir::Access::Authenticated(authenticated) = &spec.access {
        for provider in ir.providers.iter().filter(|one| authenticated.providers.iter().any(|name| name == provider_name(one))) {
            let _ = match provider {
                ir::Provider::Jwt(jwt) => {
                    let secret = match &jwt.jwks {
                        ir::Jwks::SharedSecret(name) => ir.secrets.get(name),
                        _ => None,
                    };
                    write!(text, "{:?}", (jwt, secret))
                }
                ir::Provider::Oidc(oidc) => write!(text, "{oidc:?}"),
                ir::Provider::ApiKey(keys) => {
                    let pepper = keys.pepper.as_ref().map(|name| ir.secrets.get(name));
                    write!(text, "{:?}", (&keys.name, &keys.header, &keys.salt, pepper))
                }
                ir::Provider::Mtls(mtls) => write!(text, "{mtls:?}"),
                ir::Provider::SignedRequest(signed) => {
                    let secrets: Vec<_> = signed.keys.iter().filter_map(|key| ir.secrets.get(key.secret.as_ref()?)).collect();
                    write!(text, "{:?}", (signed, secrets))
                }
                ir::Provider::ClientAssertion(clients) => write!(text, "{clients:?}"),
                ir::Provider::Introspection(spec) => write!(text, "{spec:?}"),
            };
        }
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().unwrap_or_default()
}

/// Every name stands once, every listener and service that a route names exists.
fn names(ir: &Ir, errors: &mut Errors) {
    let mut check = |kind: &str, names: &mut dyn Iterator<Item = &str>| {
        let mut seen = HashSet::new();
        for (index, name) in names.enumerate().filter(|(_, name)| !seen.insert(name.to_owned())) {
            let message = format!("`{name}` stands twice");
            errors.0.push(LoadError { pointer: format!("/{kind}/{index}"), message });
        }
    };
    check("address_lists", &mut ir.address_lists.iter().map(|l| l.name.as_str()));
    check("listeners", &mut ir.listeners.iter().map(|l| l.name.as_str()));
    check("services", &mut ir.services.iter().map(|s| s.name.as_str()));
    check("routes", &mut ir.routes.iter().map(|r| r.name.as_str()));
    check("providers", &mut ir.providers.iter().map(provider_name));
    let known: HashSet<&str> = ir.listeners.iter().map(|l| l.name.as_str()).collect();
    for (index, route) in ir.routes.iter().enumerate() {
        if route.listeners.is_empty() {
            let message = "the route stands on no listener".to_owned();
            errors.0.push(LoadError { pointer: format!("/routes/{index}/listeners"), message });
        }
        for name in route.listeners.iter().filter(|name| !known.contains(name.as_str())) {
            let message = format!("there is no listener `{name}`");
            errors.0.push(LoadError { pointer: format!("/routes/{index}/listeners"), message });
        }
    }
}

fn provider_name(provider: &ir::Provider) -> &str {
    match provider {
        ir::Provider::Jwt(jwt) => &jwt.name,
        ir::Provider::Oidc(oidc) => &oidc.name,
        ir::Provider::ApiKey(keys) => &keys.name,
        ir::Provider::Mtls(mtls) => &mtls.name,
        ir::Provider::SignedRequest(signed) => &signed.name,
        ir::Provider::ClientAssertion(clients) => &clients.name,
        ir::Provider::Introspection(spec) => &spec.name,
    }
}

/// Whether a variable can hold what the route's exceptions to canonical paths let in.
fn spans(spec: &ir::Route, variable: &str) -> bool {
    spec.path_allow.iter().any(|allowed| match allowed {
        ir::PathAllow::EncodedSlash | ir::PathAllow::Semicolon => true,
        ir::PathAllow::EmptySegment => spec.matches.path.contains(&format!("{{{variable}...}}")),
    })
}

fn listeners(ir: &Ir, lists: &Lists, shared: &Arc<Shared>, errors: &mut Errors) -> Vec<Listener> {
    let mut out = Vec::with_capacity(ir.listeners.len());
    for (index, spec) in ir.listeners.iter().enumerate() {
        let pointer = || format!("/listeners/{index}/address_limits");
        out.push(Listener {
            name: spec.name.as_str().into(),
            address_filters: address_filters(
                &spec.address_filters,
                lists,
                || format!("/listeners/{index}/address_filters"),
                errors,
            ),
            geo_filters: geo_filters(&spec.geo_filters, ir, lists, || format!("/listeners/{index}/geo_filters"), errors),
            address_limits: address_limits(&spec.address_limits, shared, pointer, errors),
            shadow_limits: shadow_limits(
                &spec.shadow_limits,
                "",
                None,
                shared,
                || format!("/listeners/{index}/shadow_limits"),
                errors,
            ),
            trusted_proxies: spec.trusted_proxies.clone(),
            certificates: spec.tls.as_ref().and_then(certificates),
            client_certificates: spec.tls.as_ref().and_then(client_certificates),
            redirect: spec.redirect.clone(),
            hides: ir.routes.iter().any(|route| route.hidden && route.listeners.contains(&spec.name)),
        });
    }
    out
}

/// Only where a name can lead to another certificate. What cannot be read is an error of the listener's TLS.
fn certificates(tls: &ir::ListenerTls) -> Option<Names> {
    if tls.certificates.len() < 2 {
        return None;
    }
    let mut names = Names::default();
    for (index, pair) in tls.certificates.iter().enumerate() {
        if let Ok(leaf) = CertificateDer::from_pem_slice(pair.chain.as_bytes()) {
            names.add(u32::try_from(index).unwrap_or(u32::MAX), &leaf);
        }
    }
    Some(names)
}

fn client_certificates(tls: &ir::ListenerTls) -> Option<ClientCertificates> {
    let required = tls.client_certificates.as_ref()?.mode == ir::ClientCertificateMode::Required;
    Some(ClientCertificates { required, trust: trust(tls) })
}

/// What a check needs, so that it neither runs without a pause nor never ends.
fn check_is_sound(check: &ir::HealthCheck) -> bool {
    let path = check.protocol != ir::CheckProtocol::Http || (check.path.starts_with('/') && !check.status.is_empty());
    path && check.interval_ms >= 50
        && check.timeout_ms > 0
        && check.healthy > 0
        && check.unhealthy > 0
        && check.service.len() < 126
}

/// A service has at least one endpoint, and at most as many as are told apart.
fn endpoints(ir: &Ir, errors: &mut Errors) {
    for (index, service) in ir.services.iter().enumerate() {
        if service.endpoints.is_empty() || service.endpoints.len() > MAX_ENDPOINTS {
            let message = format!("service `{}` needs 1 to {MAX_ENDPOINTS} endpoints", service.name);
            errors.0.push(LoadError { pointer: format!("/services/{index}/endpoints"), message });
        }
        if service.health_check.as_ref().is_some_and(|check| !check_is_sound(check)) {
            let message = format!("the health check of service `{}` cannot be carried out", service.name);
            errors.0.push(LoadError { pointer: format!("/services/{index}/health_check"), message });
        }
        if service.endpoints.iter().any(|endpoint| endpoint.weight == 0) {
            let message = format!("an endpoint of service `{}` has no weight, so nothing would go there", service.name);
            errors.0.push(LoadError { pointer: format!("/services/{index}/endpoints"), message });
        }
    }
}

/// Where tokens for services come from, and whether every route to such a service can be served with one.
fn service_tokens(ir: &Ir, secrets: &Secrets, shared: &Arc<Shared>, errors: &mut Errors) -> Vec<Option<Arc<TokenSource>>> {
    for fault in crate::service_tokens::faults(ir) {
        errors.0.push(fault);
    }
    let mut out = Vec::with_capacity(ir.services.len());
    for (index, service) in ir.services.iter().enumerate() {
        let source = service.token.as_ref().map(|spec| shared.service_tokens.source(&service.name, spec, secrets, shared));
        out.push(errors.take(|| format!("/services/{index}/token"), source.transpose()).flatten());
    }
    out
}

/// A route that requires a certificate stands on no listener that does not ask for one.
fn client_certificate(ir: &Ir, errors: &mut Errors) {
    let asks = |name: &str| {
        let listener = ir.listeners.iter().find(|listener| listener.name == name);
        listener.and_then(|listener| listener.tls.as_ref()).is_some_and(|tls| tls.client_certificates.is_some())
    };
    for (index, route) in ir.routes.iter().enumerate().filter(|(_, route)| route.client_certificate) {
        for name in route.listeners.iter().filter(|name| !asks(name)) {
            let message = format!("the route requires a client certificate, and the listener `{name}` asks for none");
            errors.0.push(LoadError { pointer: format!("/routes/{index}/client_certificate"), message });
        }
    }
}

/// A listener that redirects has nothing else, and leads to TLS.
fn redirects(ir: &Ir, errors: &mut Errors) {
    for (index, listener) in ir.listeners.iter().enumerate() {
        let Some(redirect) = &listener.redirect else { continue };
        let target = ir.listeners.iter().find(|other| other.name == redirect.listener);
        let message = if ir.routes.iter().any(|route| route.listeners.contains(&listener.name)) {
            format!("the listener `{}` redirects and takes no routes", listener.name)
        } else if listener.tls.is_some() {
            format!("the listener `{}` speaks TLS already", listener.name)
        } else if target.is_none_or(|target| target.tls.is_none()) {
            format!("there is no listener `{}` with TLS to redirect to", redirect.listener)
        } else {
            continue;
        };
        errors.0.push(LoadError { pointer: format!("/listeners/{index}/redirect"), message });
    }
}

/// A listener that passes TLS on has nothing that would need to read it, and leads to services that speak it.
fn passthroughs(ir: &Ir, errors: &mut Errors) {
    for (index, listener) in ir.listeners.iter().enumerate() {
        let Some(passthrough) = &listener.passthrough else { continue };
        let mut fault = |message: String| {
            errors.0.push(LoadError { pointer: format!("/listeners/{index}/passthrough"), message });
        };
        let name = &listener.name;
        if ir.routes.iter().any(|route| route.listeners.contains(name)) {
            fault(format!("the listener `{name}` passes TLS on unopened and takes no routes"));
        }
        if listener.tls.is_some() || listener.redirect.is_some() || listener.trusted_proxies.is_some() {
            fault(format!(
                "the listener `{name}` passes TLS on unopened; `tls`, `redirect` and `trusted_proxies` have no place there"
            ));
        }
        let limits = !listener.address_limits.is_empty() || !listener.shadow_limits.is_empty();
        if limits || listener.http2 != ir::Http2::default() {
            fault(format!("the listener `{name}` passes TLS on unopened; it cannot limit or read requests"));
        }
        for service in passthrough.hosts.values() {
            match ir.services.iter().find(|known| known.name == *service) {
                None => fault(format!("there is no service `{service}`")),
                Some(known) if known.endpoints.iter().any(|endpoint| !endpoint.tls) => {
                    fault(format!("an endpoint of `{service}` speaks no TLS"));
                }
                Some(_) => {}
            }
        }
    }
}

/// Lists of addresses by name.
type Lists = BTreeMap<String, Arc<List>>;

/// Every list; what its file says, where it has one, is read here the first time.
fn address_lists(ir: &Ir, shared: &Arc<Shared>) -> Lists {
    ir.address_lists.iter().map(|spec| (spec.name.clone(), Arc::new(List::build(spec, shared)))).collect()
}

fn address_filters(
    specs: &[ir::AddressFilter],
    lists: &Lists,
    pointer: impl Fn() -> String,
    errors: &mut Errors,
) -> Vec<AddressFilter> {
    specs.iter().filter_map(|spec| errors.take(&pointer, AddressFilter::build(spec, lists))).collect()
}

fn geo_filters(
    specs: &[ir::GeoFilter],
    ir: &Ir,
    lists: &Lists,
    pointer: impl Fn() -> String,
    errors: &mut Errors,
) -> Vec<GeoFilter> {
    specs.iter().filter_map(|spec| errors.take(&pointer, GeoFilter::build(spec, ir.geo.as_ref(), lists))).collect()
}

fn address_limits(
    specs: &[ir::RateLimit],
    shared: &Arc<Shared>,
    pointer: impl Fn() -> String,
    errors: &mut Errors,
) -> Vec<AddressLimit> {
    let build = |spec| AddressLimit::build(spec, &shared.limits, &shared.seed);
    specs.iter().filter_map(|spec| errors.take(&pointer, build(spec))).collect()
}

fn shadow_limits(
    specs: &[ir::ShadowLimit],
    route: &str,
    readable: Option<&Readable>,
    shared: &Arc<Shared>,
    pointer: impl Fn() -> String,
    errors: &mut Errors,
) -> ShadowLimits {
    let building = Building { tables: &shared.shadow_limits, registry: &shared.shadow, seed: &shared.seed, route, readable };
    ShadowLimits::build(specs, &building).unwrap_or_else(|messages| {
        errors.0.extend(messages.into_iter().map(|message| LoadError { pointer: pointer(), message }));
        ShadowLimits::default()
    })
}

fn security_headers(
    spec: Option<&ir::SecurityHeaders>,
    pointer: impl FnOnce() -> String,
    errors: &mut Errors,
) -> Option<Option<SecurityHeaders>> {
    errors.take(pointer, spec.map(SecurityHeaders::build).transpose())
}

fn routes(
    ir: &Ir,
    providers: &[Provider],
    lists: &Lists,
    (secrets, shared): (&Secrets, &Arc<Shared>),
    errors: &mut Errors,
) -> Vec<Route> {
    let index = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let services: HashMap<&str, u32> = ir.services.iter().enumerate().map(|(i, s)| (s.name.as_str(), index(i))).collect();
    let by_name: HashMap<&str, u32> = providers.iter().enumerate().map(|(i, p)| (&**p.name(), index(i))).collect();
    let context = Context { ir, providers, by_name, services, lists, secrets, shared };
    let mut out = Vec::with_capacity(ir.routes.len());
    for (index, spec) in ir.routes.iter().enumerate() {
        out.extend(context.route(spec, index, errors));
    }
    out
}

/// Where people log in, with the secret of its challenges.
fn login_guard(spec: &ir::LoginGuard, route: &str, secrets: &Secrets, shared: &Arc<Shared>) -> Result<LoginGuard, String> {
    let name = spec.challenge.as_ref().and_then(|challenge| challenge.secret.as_ref());
    let secret = name.map(|name| secrets.get(name).ok_or_else(|| format!("the secret `{name}` is missing"))).transpose()?;
    LoginGuard::build(spec, route, secret.map(|secret| secret.as_slice()), shared)
}

/// Pages of other origins, on a route that a preflight can find.
fn cors(spec: &ir::Route) -> Result<Option<Cors>, String> {
    let Some(cors) = &spec.cors else { return Ok(None) };
    if spec.hidden {
        return Err("a preflight carries no credential, so `cors` would show a hidden route".to_owned());
    }
    if spec.websocket.is_some() {
        return Err("`cors` says nothing about WebSocket connections; `websocket` has `origins` of its own".to_owned());
    }
    if !spec.matches.headers.is_empty() {
        return Err("a preflight carries no header fields of the request, so it would not find the route".to_owned());
    }
    Cors::build(cors).map(Some)
}

/// What a client is told to send: a token as it has to be bound, or whatever else the provider takes.
fn challenges(provider: &Provider, spec: &ir::Route, ir: &Ir) -> Vec<Challenge> {
    let demand = spec.sender_constrained.or_else(|| provider.sender_constrained()).filter(|_| provider.takes_tokens());
    let dpop = || Challenge::Dpop(Arc::clone(provider.name()), ir.dpop.algorithms.join(" ").into());
    match demand {
        None | Some(ir::SenderConstrained::Mtls) => vec![provider.challenge()],
        Some(ir::SenderConstrained::Dpop) => vec![dpop()],
        Some(ir::SenderConstrained::Any) => vec![dpop(), provider.challenge()],
    }
}

/// What a client has to ask for, to be let through by every rule.
fn scope(spec: &ir::Route) -> Option<Box<str>> {
    let ir::Access::Authenticated(access) = &spec.access else { return None };
    let scopes = scopes(access);
    (!scopes.is_empty()).then(|| scopes.join(" ").into())
}

struct Context<'a> {
    ir: &'a Ir,
    providers: &'a [Provider],
    by_name: HashMap<&'a str, u32>,
    services: HashMap<&'a str, u32>,
    lists: &'a Lists,
    secrets: &'a Secrets,
    shared: &'a Arc<Shared>,
}

impl Context<'_> {
    fn route(&self, spec: &ir::Route, index: usize, errors: &mut Errors) -> Option<Route> {
        let at = |part: &str| format!("/routes/{index}/{part}");
        let variables = variable_names(&spec.matches.path);
        let access = self.access(spec, &variables, &at, errors);
        let shadow = self.shadow(spec, &variables, &at, errors);
        let live_check = spec.live_check.as_ref();
        let live_check = live_check.map(|check| LiveCheck::build(check, &spec.access, self.providers, &self.by_name)).transpose();
        let live_check = errors.take(|| at("live_check"), live_check);
        let challenges = match &access {
            Some(Access::Authenticated { providers, .. }) => {
                let accepted = providers.providers().iter().filter_map(|index| self.providers.get(*index as usize));
                accepted.flat_map(|provider| challenges(provider, spec, self.ir)).collect()
            }
            _ => Vec::new(),
        };
        let address_filters = address_filters(&spec.address_filters, self.lists, || at("address_filters"), errors);
        let geo_filters = geo_filters(&spec.geo_filters, self.ir, self.lists, || at("geo_filters"), errors);
        let address_limits = address_limits(&spec.address_limits, self.shared, || at("address_limits"), errors);
        let readable = match &spec.access {
            ir::Access::Authenticated(authenticated) => Some(self.readable(spec, authenticated, &variables)),
            ir::Access::Public => None,
        };
        let shared = self.shared;
        if spec.rate_limits.iter().any(|limit| limit.shared.is_some()) && self.ir.state.as_ref().is_none_or(|s| s.redis.is_none())
        {
            let message = "limits that instances share need `state.redis`".to_owned();
            errors.0.push(LoadError { pointer: at("rate_limits"), message });
        }
        let rate_limits =
            RateLimits::build(&spec.rate_limits, &spec.limit_classes, &shared.limits, &shared.seed, readable.as_ref());
        let rate_limits = match rate_limits {
            Ok(limits) => Some(limits),
            Err(messages) => {
                errors.0.extend(messages.into_iter().map(|message| LoadError { pointer: at("rate_limits"), message }));
                None
            }
        };
        let concurrency_limits =
            ConcurrencyLimits::build(&spec.concurrency_limits, &shared.under_way, &shared.seed, readable.as_ref());
        let concurrency_limits = match concurrency_limits {
            Ok(limits) => Some(limits),
            Err(messages) => {
                errors.0.extend(messages.into_iter().map(|message| LoadError { pointer: at("concurrency_limits"), message }));
                None
            }
        };
        if spec.quotas.iter().any(|quota| quota.shared) && self.ir.state.as_ref().is_none_or(|s| s.redis.is_none()) {
            let message = "quotas that instances share need `state.redis`".to_owned();
            errors.0.push(LoadError { pointer: at("quotas"), message });
        }
        let quotas = Quotas::build(&spec.quotas, &spec.limit_classes, &shared.quotas, shared.limits.sharing(), readable.as_ref());
        let quotas = match quotas {
            Ok(quotas) => Some(quotas),
            Err(messages) => {
                errors.0.extend(messages.into_iter().map(|message| LoadError { pointer: at("quotas"), message }));
                None
            }
        };
        let login_guard = spec.login_guard.as_ref().map(|one| login_guard(one, &spec.name, self.secrets, shared)).transpose();
        let login_guard = errors.take(|| at("login_guard"), login_guard);
        if spec.login_guard.is_some() && (spec.websocket.is_some() || !matches!(&spec.action, ir::Action::Forward(_))) {
            let message = "a guarded login needs a service that says whether it succeeded".to_owned();
            errors.0.push(LoadError { pointer: at("login_guard"), message });
        }
        let systems = self.ir.geo.as_ref().is_some_and(|geo| geo.asn.is_some());
        if spec.login_guard.as_ref().is_some_and(|guard| guard.thresholds.per_asn.is_some()) && !systems {
            let message = "no database knows the autonomous systems that a guarded login counts".to_owned();
            errors.0.push(LoadError { pointer: at("login_guard"), message });
        }
        let bot_filter = spec.bot_filter.as_ref().map(|one| BotFilter::build(one, &spec.name, shared)).transpose();
        let bot_filter = errors.take(|| at("bot_filter"), bot_filter);
        let repeats = RouteRepeats::build(spec, shared.limits.repeats(), &shared.seed);
        if repeats.is_some() && matches!(spec.access, ir::Access::Public) {
            let message = "repeats are those of a caller, and a public route has none".to_owned();
            errors.0.push(LoadError { pointer: at("rate_limits"), message });
        }
        let tried = shadow_limits(&spec.shadow_limits, &spec.name, readable.as_ref(), shared, || at("shadow_limits"), errors);
        let action = self.action(spec, &variables, &at, errors);
        let rewrite = spec.rewrite.as_ref().map(|r| Rewrite::build(&r.path, &variables, &spec.path_allow)).transpose();
        let rewrite = errors.take(|| at("rewrite"), rewrite);
        let request_headers = errors.take(|| at("request_headers"), RequestHeaders::build(&spec.request_headers));
        let response_headers = errors.take(|| at("response_headers"), ResponseHeaders::build(&spec.response_headers));
        let security_headers = security_headers(spec.security_headers.as_deref(), || at("security_headers"), errors);
        let websocket = spec.websocket.as_ref().map(|one| WebSocket::build(one, &spec.name, &self.shared.websockets)).transpose();
        let websocket = errors.take(|| at("websocket"), websocket);
        let speaks = |share: &ir::WeightedService| {
            let service = self.ir.services.iter().find(|service| service.name == share.service);
            service.is_some_and(|service| service.speaks.http2().is_none())
        };
        if spec.websocket.is_some() && !matches!(&spec.action, ir::Action::Forward(shares) if shares.iter().all(speaks)) {
            let message = "WebSocket connections need services that are asked over HTTP/1.1".to_owned();
            errors.0.push(LoadError { pointer: at("websocket"), message });
        }
        let cors = errors.take(|| at("cors"), cors(spec));
        let csrf = errors.take(|| at("csrf"), spec.csrf.as_ref().map(Csrf::build).transpose());
        let told = |name: &String| folds_to(name.as_bytes(), FIELD);
        let edits = &spec.request_headers;
        let edited = edits.remove.iter().chain(edits.set.keys()).chain(edits.add.keys()).any(told);
        if edited && csrf.as_ref().is_some_and(|csrf| csrf.as_ref().is_some_and(Csrf::tells)) {
            let message = "what `csrf.form` tells the service in `x-csrf-token` is the gateway's to say".to_owned();
            errors.0.push(LoadError { pointer: at("request_headers"), message });
        }
        let assurance = errors.take(|| at("assurance"), spec.assurance.as_ref().map(Assurance::build).transpose());
        if spec.assurance.is_some() && matches!(spec.access, ir::Access::Public) {
            let message = "`assurance` needs callers; a public route has none".to_owned();
            errors.0.push(LoadError { pointer: at("assurance"), message });
        }
        let mirror = spec.mirror.as_ref().map(|one| Mirror::build(one, spec, &self.services, self.ir)).transpose();
        let mirror = errors.take(|| at("mirror"), mirror);
        let request_validation =
            spec.request_validation.as_ref().map(|one| RequestValidation::build(one, &variables)).transpose();
        let request_validation = errors.take(|| at("request_validation"), request_validation);
        let response_validation = spec.response_validation.as_deref().map(ResponseValidation::build).transpose();
        let response_validation = errors.take(|| at("response_validation"), response_validation);
        let attack_filter = spec.attack_filter.as_ref().map(|one| AttackFilter::build(one, &self.shared.attacks)).transpose();
        let attack_filter = errors.take(|| at("attack_filter"), attack_filter);
        let edits = &spec.request_headers;
        let own = edits.remove.iter().chain(edits.set.keys()).chain(edits.add.keys()).chain(spec.matches.headers.keys());
        let read = match &access {
            Some(Access::Authenticated { policy, .. }) => Some(policy.headers()),
            _ => None,
        };
        let external = spec.external_authorization.as_ref();
        let external = external.map(|one| ExternalAuthorization::build(one, self.shared)).transpose();
        let external = errors.take(|| at("external_authorization"), external);
        let lower = |name: &str| name.to_ascii_lowercase().into();
        let mut own_headers: Vec<Box<str>> = own.map(|name| lower(name)).chain(read.into_iter().flatten().map(lower)).collect();
        let judged = request_validation.iter().flatten().flat_map(RequestValidation::judged_headers);
        own_headers.extend(judged.map(lower));
        own_headers.extend(external.iter().flatten().flat_map(ExternalAuthorization::fields).map(lower));
        own_headers.extend(rate_limits.iter().flat_map(RateLimits::headers).map(lower));
        own_headers.extend(login_guard.iter().flatten().flat_map(LoginGuard::headers).map(lower));
        own_headers.extend(quotas.iter().flat_map(Quotas::headers).map(lower));
        own_headers.extend(concurrency_limits.iter().flat_map(ConcurrencyLimits::headers).map(lower));
        own_headers.extend(csrf.iter().flatten().filter(|csrf| csrf.tells()).map(|_| "x-csrf-token".into()));
        own_headers.extend(bot_filter.iter().flatten().flat_map(|_| bot_filter::READ).map(lower));
        own_headers.extend(repeats.iter().map(|_| lower(RouteRepeats::header())));
        let access_public = matches!(&access, Some(Access::Public));
        if access_public && !(spec.tenants.is_empty() && spec.deny.is_empty() && !spec.hidden && spec.response_tenant.is_none()) {
            let message = "a public route knows no callers; `tenant`, `deny`, `hidden` and `response_tenant` have no place there"
                .to_owned();
            errors.0.push(LoadError { pointer: at("access"), message });
        }
        if access_public && geo_filters.iter().any(GeoFilter::waits) {
            let message = "a public route knows no callers whom `geo_filter` could except".to_owned();
            errors.0.push(LoadError { pointer: at("geo_filters"), message });
        }
        if spec.hidden && spec.csrf.as_ref().is_some_and(|csrf| csrf.form.is_some()) {
            let message = "waiting for a form before anything is decided would show a hidden route".to_owned();
            errors.0.push(LoadError { pointer: at("csrf"), message });
        }
        if spec.hidden && spec.matches.path.starts_with(PREFIX) {
            let message = format!("a hidden route cannot stand at `{PREFIX}`, where the gateway says what protects a host");
            errors.0.push(LoadError { pointer: at("match"), message });
        }
        Some(Route {
            name: spec.name.as_str().into(),
            priority: spec.priority,
            path_allow: spec.path_allow.clone(),
            client_certificate: spec.client_certificate,
            live_check: live_check?,
            sender_constrained: spec.sender_constrained,
            decision: decision(spec, self.ir),
            shadow: shadow?,
            hidden: spec.hidden,
            external: external?.map(Box::new),
            response_tenant: spec.response_tenant.as_deref().map(|name| name.to_ascii_lowercase().into()),
            access: access?,
            assurance: assurance?,
            challenges,
            scope: scope(spec),
            well_known: spec.matches.path.starts_with(PREFIX),
            address_filters,
            geo_filters,
            address_limits,
            rate_limits: rate_limits?,
            concurrency_limits: concurrency_limits?,
            quotas: quotas?,
            login_guard: login_guard?.map(Box::new),
            bot_filter: bot_filter?.map(Box::new),
            repeats,
            shadow_limits: tried,
            action: action?,
            rewrite: rewrite?,
            request_headers: request_headers?,
            own_headers,
            response_headers: response_headers?,
            security_headers: security_headers?,
            early_hints: spec.early_hints,
            websocket: websocket?,
            mirror: mirror?,
            cors: cors?.map(Box::new),
            csrf: csrf?,
            request_validation: request_validation?.map(Box::new),
            response_validation: response_validation?.map(Box::new),
            attack_filter: attack_filter?,
            body_limit: spec.body_limit,
            timeouts: spec.timeouts.clone(),
        })
    }

    fn access(&self, spec: &ir::Route, variables: &[&str], at: &impl Fn(&str) -> String, errors: &mut Errors) -> Option<Access> {
        let ir::Access::Authenticated(authenticated) = &spec.access else { return Some(Access::Public) };
        let mut providers = Vec::with_capacity(authenticated.providers.len());
        for name in &authenticated.providers {
            let found = self.by_name.get(name.as_str()).copied();
            providers.push(errors.take(
                || at("access/authenticated/providers"),
                found.ok_or_else(|| format!("there is no identity provider `{name}`")),
            )?);
        }
        if providers.is_empty() {
            let message = "the route accepts no identity provider, so nobody could use it".to_owned();
            errors.0.push(LoadError { pointer: at("access/authenticated/providers"), message });
            return None;
        }
        let providers = if authenticated.all_of { Accepts::AllOf(providers) } else { Accepts::AnyOf(providers) };
        errors.take(|| at("access/authenticated/providers"), providers.check(self.providers))?;
        let tenants = spec.tenants.iter().filter_map(|tenant| match &tenant.from {
            ir::TenantSource::Path(name) => Some(name),
            _ => None,
        });
        for _ in tenants.filter(|name| spans(spec, name)) {
            let message = "the rule reads a part of the path that `path: {allow: …}` lets services cut elsewhere".to_owned();
            errors.0.push(LoadError { pointer: at("tenants"), message });
        }
        match Policy::build(spec, &authenticated.rules, &self.readable(spec, authenticated, variables)) {
            Ok(policy) => Some(Access::Authenticated { providers, policy: Box::new(policy) }),
            Err(found) => {
                errors.0.extend(found.into_iter().map(|(place, message)| LoadError { pointer: at(&place), message }));
                None
            }
        }
    }

    /// Rules that are tried out; a public route knows no callers to try them on.
    fn shadow(
        &self,
        spec: &ir::Route,
        variables: &[&str],
        at: &impl Fn(&str) -> String,
        errors: &mut Errors,
    ) -> Option<Option<Box<Shadow>>> {
        let Some(shadow) = &spec.shadow else { return Some(None) };
        let ir::Access::Authenticated(authenticated) = &spec.access else {
            let message = "a public route knows no callers; a rule in shadow has no place there".to_owned();
            errors.0.push(LoadError { pointer: at("shadow"), message });
            return None;
        };
        let readable = self.readable(spec, authenticated, variables);
        match Shadow::build(shadow, &spec.name, &readable, &self.shared.shadow) {
            Ok(shadow) => Some(Some(Box::new(shadow))),
            Err(found) => {
                errors.0.extend(found.into_iter().map(|(place, message)| LoadError { pointer: at(&place), message }));
                None
            }
        }
    }

    /// What conditions of a route may read: claims of the providers whose callers its rules are about.
    fn readable(&self, spec: &ir::Route, authenticated: &ir::Authenticated, variables: &[&str]) -> Readable {
        let names =
            if authenticated.all_of { authenticated.providers.get(..1) } else { Some(authenticated.providers.as_slice()) };
        let claims = |name: &String| {
            let provider = self.ir.providers.iter().find(|provider| provider_name(provider) == name)?;
            let declared =
                provider.declared().map(|declared| declared.iter().map(|(name, claim)| (name.clone(), claim.kind)).collect());
            Some((name.clone(), declared.unwrap_or_default()))
        };
        Readable {
            claims: names.unwrap_or_default().iter().filter_map(claims).collect(),
            headers: Vec::new(),
            geo: self.ir.geo.as_ref().map(ir::Geo::readable).unwrap_or_default(),
            body: spec.request_validation.as_deref().and_then(ir::RequestValidation::readable).cloned(),
            variables: variables.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn action(&self, spec: &ir::Route, variables: &[&str], at: &impl Fn(&str) -> String, errors: &mut Errors) -> Option<Action> {
        match &spec.action {
            ir::Action::Forward(shares) => match Split::build(shares, &self.services) {
                Ok(split) => Some(Action::Forward(split)),
                Err(messages) => {
                    let place = |message| LoadError { pointer: at("action/forward"), message };
                    errors.0.extend(messages.into_iter().map(place));
                    None
                }
            },
            ir::Action::Redirect(redirect) => {
                errors.take(|| at("action/redirect"), Redirect::build(redirect, variables)).map(Action::Redirect)
            }
            ir::Action::Respond(respond) => errors.take(|| at("action/respond"), Respond::build(respond)).map(Action::Respond),
        }
    }
}
