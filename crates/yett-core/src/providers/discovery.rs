//! What an identity provider says of itself (OpenID Connect Discovery 1.0, RFC 8414), fetched by the gateway.
//!
//! For whoever needs an endpoint of a provider: `shared.discoveries.source(…)` once at load gives a [`Discovery`], kept
//! fresh in the background. On a request, read [`Discovery::metadata`]; where there is none yet, answer
//! `identity_provider_unavailable` after one [`Kept::refreshed`] on the service runtime. Endpoints: [`Metadata`].
//! A metadata document counts only if its `issuer` is exactly the configured one; an endpoint only if its host is the
//! issuer's or listed, since the document could otherwise lead secrets and tokens anywhere.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::kept::{Fetch, Fetched, Kept, Registry, Sink, Timing, max_age};
use crate::ir;
use crate::outbound::address::names_this_machine;
use crate::outbound::{Fault, Limits, Request, Response, Target, Transport};
use crate::shared::Shared;

/// Bytes of a document at most.
const DOCUMENT_BYTES: usize = 256 * 1024;
/// For one of the two places where a document may be.
const TIME: Duration = Duration::from_millis(2400);
/// Entries of a list, and bytes of a text, that are kept of a document.
const ENTRIES: usize = 256;
const TEXT_BYTES: usize = 2048;

/// The metadata of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// `issuer`, as it was configured.
    pub issuer: Box<str>,
    /// Where its keys are.
    pub jwks_uri: Endpoint,
    /// Where a browser goes to log in.
    pub authorization: Endpoint,
    /// Where codes and credentials become tokens.
    pub token: Endpoint,
    /// Where opaque tokens are asked about (RFC 7662).
    pub introspection: Endpoint,
    /// Where tokens are taken back (RFC 7009).
    pub revocation: Endpoint,
    /// Where a browser goes to log out (OpenID Connect RP-Initiated Logout 1.0).
    pub end_session: Endpoint,
    /// Where claims about a person are.
    pub userinfo: Endpoint,
    /// Endpoints for clients that show a certificate (RFC 8705 section 5), where they differ.
    pub mtls_token: Endpoint,
    /// See `mtls_token`.
    pub mtls_introspection: Endpoint,
    /// Whether answers to the browser name the issuer (RFC 9207 section 3).
    pub names_issuer_in_answers: bool,
    /// `code_challenge_methods_supported` has `S256`; absent where the document does not say.
    pub pkce_s256: Option<bool>,
    /// `acr_values_supported`
    pub acr_values: Vec<Box<str>>,
}

/// An endpoint of the document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Endpoint {
    /// The document names none.
    #[default]
    Absent,
    /// It names one that may not be used: why.
    Refused(Box<str>),
    /// Its URL.
    At(Box<str>),
}

impl Endpoint {
    /// Its URL; or why there is none, for an event. `name`: what it is called in the document.
    ///
    /// # Errors
    /// None is named, or none that may be used.
    pub fn url(&self, name: &str) -> Result<&str, String> {
        match self {
            Self::At(url) => Ok(url),
            Self::Absent => Err(format!("the provider's metadata has no `{name}`")),
            Self::Refused(why) => Err(format!("`{name}` of the provider's metadata {why}")),
        }
    }
}

/// Which endpoints a provider may name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Hosts {
    own: String,
    listed: Vec<String>,
    plaintext: bool,
}

impl Hosts {
    fn endpoint(&self, value: Option<&Value>) -> Endpoint {
        let Some(value) = value else { return Endpoint::Absent };
        match value.as_str().ok_or("is not a text".to_owned()).and_then(|url| self.check(url).map(|()| url)) {
            Ok(url) => Endpoint::At(url.into()),
            Err(why) => Endpoint::Refused(why.into()),
        }
    }

    fn check(&self, url: &str) -> Result<(), String> {
        let plain = url.len() <= TEXT_BYTES && url.bytes().all(|b| (0x21..=0x7e).contains(&b) && !b"\"\\#<>".contains(&b));
        let uri: http::Uri = url.parse().map_err(|_| "is no URL")?;
        let authority = uri.authority().filter(|authority| plain && !authority.as_str().contains('@')).ok_or("is no URL")?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.plaintext => {}
            _ => return Err("is not https".to_owned()),
        }
        let host = authority.host();
        let known = std::iter::once(&self.own).chain(&self.listed).any(|own| own.eq_ignore_ascii_case(host));
        if known {
            Ok(())
        } else {
            Err("is on a host that is not the issuer's; list it in `jwks_hosts` if it is meant".to_owned())
        }
    }
}

/// Everything that makes one provider differ from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    issuer: String,
    places: Vec<String>,
    ca: Option<String>,
    hosts: Hosts,
    timing: Timing,
}

impl Settings {
    /// # Errors
    /// An issuer without a host.
    pub fn new(spec: &ir::Discovery) -> Result<Self, String> {
        let places = match &spec.url {
            Some(url) => vec![url.clone()],
            None => places(&spec.issuer)?,
        };
        // A document that stands elsewhere vouches for endpoints beside it.
        let own = places.first().and_then(|url| host(url)).ok_or("the issuer names no host")?;
        let hosts = Hosts { own, listed: spec.hosts.clone(), plaintext: spec.plaintext };
        let timing = Timing::new(spec.refresh_ms, spec.stale_ms, spec.min_interval_ms)?;
        Ok(Self { issuer: spec.issuer.clone(), places, ca: spec.ca.clone(), hosts, timing })
    }

    /// How whatever the document names is reached.
    ///
    /// # Errors
    /// A `ca` that cannot be used.
    pub fn transport(&self) -> Result<Arc<Transport>, String> {
        let loopback = self.hosts.plaintext || names_this_machine(&self.issuer);
        Transport::new(self.ca.as_deref(), None, self.hosts.plaintext, loopback)
    }
}

fn host(url: &str) -> Option<String> {
    url.parse::<http::Uri>().ok()?.host().map(str::to_owned)
}

/// Where the document of an issuer is: OpenID Connect Discovery 1.0 section 4, then RFC 8414 section 3.
fn places(issuer: &str) -> Result<Vec<String>, String> {
    let bare = issuer.strip_suffix('/').unwrap_or(issuer);
    let start = bare.find("://").map(|at| at.saturating_add(3)).ok_or("the issuer is no URL")?;
    let path = bare.get(start..).and_then(|rest| rest.find('/')).map_or(bare.len(), |at| start.saturating_add(at));
    let (origin, path) = bare.split_at_checked(path).ok_or("the issuer is no URL")?;
    Ok(vec![format!("{bare}/.well-known/openid-configuration"), format!("{origin}/.well-known/oauth-authorization-server{path}")])
}

/// How it is fetched.
#[derive(Debug)]
pub struct MetadataFetch {
    issuer: String,
    hosts: Hosts,
    targets: Vec<(String, Target)>,
}

impl MetadataFetch {
    fn new(settings: &Settings) -> Result<Self, String> {
        let transport = settings.transport()?;
        let target = |url: &String| Ok((url.clone(), Target::new(url, &transport)?));
        let targets = settings.places.iter().map(target).collect::<Result<_, String>>()?;
        Ok(Self { issuer: settings.issuer.clone(), hosts: settings.hosts.clone(), targets })
    }
}

impl Fetch for MetadataFetch {
    type Document = Metadata;
    type Settings = Settings;
    const FETCHED: &'static str = "discovery_fetched";
    const CHANGED: &'static str = "discovery_changed";
    const FAILED: &'static str = "discovery_failed";
    const EXPIRED: &'static str = "discovery_expired";

    fn place(&self) -> String {
        self.targets.first().map_or_else(String::new, |(url, _)| super::shown(url).to_owned())
    }

    fn same(one: &Metadata, other: &Metadata) -> bool {
        one == other
    }

    fn size(_: &Metadata) -> usize {
        1
    }

    async fn fetch(&self, _: Option<&str>) -> Result<Fetched<Metadata>, String> {
        let limits = Limits { time: TIME, bytes: DOCUMENT_BYTES };
        let mut last = "the issuer names no host".to_owned();
        for (url, target) in &self.targets {
            match target.send(&Request::get("application/json"), limits).await {
                // The other kind of metadata may be there.
                Ok(answer) if answer.status.is_client_error() => last = Fault::Status(answer.status.as_u16()).to_string(),
                Ok(answer) => return self.read(answer).map_err(|why| format!("{}: {why}", super::shown(url))),
                Err(fault) => return Err(fault.to_string()),
            }
        }
        Err(last)
    }
}

impl MetadataFetch {
    fn read(&self, answer: Response) -> Result<Fetched<Metadata>, String> {
        let max_age = max_age(&answer.headers);
        let object = answer.read_json().map_err(|fault| fault.to_string())?;
        let document = Metadata::read(&object, &self.issuer, &self.hosts)?;
        Ok(Fetched::New { document, etag: None, max_age })
    }
}

impl Metadata {
    fn read(object: &Map<String, Value>, issuer: &str, hosts: &Hosts) -> Result<Self, String> {
        if object.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err("`issuer` of the provider's metadata is another one than is configured".to_owned());
        }
        let at = |name: &str| hosts.endpoint(object.get(name));
        let aliases = object.get("mtls_endpoint_aliases").and_then(Value::as_object);
        let alias = |name: &str| hosts.endpoint(aliases.and_then(|aliases| aliases.get(name)));
        let list = |name: &str| object.get(name).and_then(Value::as_array);
        let texts = |name: &str| -> Vec<Box<str>> {
            let texts = list(name).into_iter().flatten().filter_map(Value::as_str);
            texts.filter(|text| text.len() <= TEXT_BYTES).take(ENTRIES).map(Into::into).collect()
        };
        Ok(Self {
            issuer: issuer.into(),
            jwks_uri: at("jwks_uri"),
            authorization: at("authorization_endpoint"),
            token: at("token_endpoint"),
            introspection: at("introspection_endpoint"),
            revocation: at("revocation_endpoint"),
            end_session: at("end_session_endpoint"),
            userinfo: at("userinfo_endpoint"),
            mtls_token: alias("token_endpoint"),
            mtls_introspection: alias("introspection_endpoint"),
            names_issuer_in_answers: object.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
            pkce_s256: list("code_challenge_methods_supported")
                .map(|methods| methods.iter().any(|method| method.as_str() == Some("S256"))),
            acr_values: texts("acr_values_supported"),
        })
    }
}

/// The metadata of one provider, kept fresh.
pub type Discovery = Kept<MetadataFetch>;

impl Discovery {
    /// What the provider says of itself; `None` before the first success, and when it is too old.
    pub fn metadata(&self) -> Option<Arc<Metadata>> {
        self.held().document
    }
}

/// Providers' metadata by settings.
pub type Discoveries = Registry<MetadataFetch>;

impl Discoveries {
    /// Finds it, or makes it and starts its first fetch without waiting: an unreachable provider is no error.
    ///
    /// # Errors
    /// Settings that can never work.
    pub fn of(&self, settings: Settings, runtime: &tokio::runtime::Handle, sink: Sink) -> Result<Arc<Discovery>, String> {
        let timing = settings.timing;
        self.source(settings, timing, runtime, sink, MetadataFetch::new)
    }
}

/// The metadata of the provider that `spec` describes.
///
/// # Errors
/// Settings that can never work.
pub fn discovery(spec: &ir::Discovery, shared: &Arc<Shared>) -> Result<Arc<Discovery>, String> {
    shared.discoveries.of(Settings::new(spec)?, &shared.service_runtime, super::sink(shared))
}
