//! JWK sets (RFC 7517) that are fetched: from a URL, or from where the issuer's metadata says that they are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};

use super::discovery::Discovery;
use super::jwk::{Algorithm, KeySet, SET_BYTES, Trust};
use super::kept::{Fetch, Fetched, Kept, Sink, Timing, etag, max_age};
use crate::ir;
use crate::outbound::address::names_this_machine;
use crate::outbound::{Limits, Request, Target, Transport};

/// For one attempt at a set whose place is known.
const TIME: Duration = Duration::from_millis(2500);
const ACCEPT: &str = "application/jwk-set+json, application/json";

/// Where a set is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    /// At this URL.
    Url { url: String, plaintext: bool, ca: Option<String> },
    /// Where this issuer's metadata says; the settings of its discovery stand for it.
    Discovered(super::discovery::Settings),
}

/// Everything that makes one source differ from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    place: Place,
    /// Whether addresses of this machine may be fetched from.
    loopback: bool,
    timing: Timing,
    algorithms: Vec<Algorithm>,
}

impl Settings {
    pub(super) fn new(spec: &ir::JwksUrl, issuer: &str, algorithms: &[Algorithm]) -> Result<Self, String> {
        let place = Place::Url { url: spec.url.clone(), plaintext: spec.plaintext, ca: spec.ca.clone() };
        let timing = Timing::new(spec.refresh_ms, spec.stale_ms, spec.min_interval_ms)?;
        let loopback = spec.plaintext || names_this_machine(issuer);
        Ok(Self { place, loopback, timing, algorithms: algorithms.to_vec() })
    }

    pub(super) fn discovered(spec: &ir::JwksDiscovered, algorithms: &[Algorithm]) -> Result<Self, String> {
        let place = Place::Discovered(super::discovery::Settings::new(&spec.discovery)?);
        let timing = Timing::new(spec.refresh_ms, spec.stale_ms, spec.min_interval_ms)?;
        Ok(Self { place, loopback: false, timing, algorithms: algorithms.to_vec() })
    }

    /// Whose metadata has to be known first.
    pub(super) fn discovery(&self) -> Option<super::discovery::Settings> {
        match &self.place {
            Place::Url { .. } => None,
            Place::Discovered(settings) => Some(settings.clone()),
        }
    }
}

/// How a set is fetched.
#[derive(Debug)]
pub struct KeyFetch {
    from: From,
    algorithms: Vec<Algorithm>,
}

#[derive(Debug)]
enum From {
    Url {
        url: String,
        target: Target,
    },
    Discovered {
        discovery: Arc<Discovery>,
        transport: Arc<Transport>,
        /// The place that was used last, so that its connections are kept.
        last: Mutex<Option<(Box<str>, Arc<Target>)>>,
    },
}

impl KeyFetch {
    fn new(settings: &Settings, discovery: Option<Arc<Discovery>>) -> Result<Self, String> {
        let from = match (&settings.place, discovery) {
            (Place::Url { url, plaintext, ca }, _) => {
                let transport = Transport::new(ca.as_deref(), None, *plaintext, settings.loopback)?;
                let target = Target::new(url, &transport).map_err(|why| format!("the key set: {why}"))?;
                From::Url { url: url.clone(), target }
            }
            (Place::Discovered(place), Some(discovery)) => {
                From::Discovered { discovery, transport: place.transport()?, last: Mutex::default() }
            }
            (Place::Discovered(_), None) => return Err("the issuer's metadata is not fetched".to_owned()),
        };
        Ok(Self { from, algorithms: settings.algorithms.clone() })
    }

    async fn send(&self, request: &Request) -> Result<crate::outbound::Response, String> {
        let limits = Limits { time: TIME, bytes: SET_BYTES };
        match &self.from {
            From::Url { target, .. } => target.send(request, limits).await.map_err(|fault| fault.to_string()),
            From::Discovered { discovery, transport, last } => {
                if discovery.metadata().is_none() {
                    discovery.refreshed().await;
                }
                let metadata = discovery.metadata().ok_or("the issuer's metadata cannot be had")?;
                let target = target_of(metadata.jwks_uri.url("jwks_uri")?, transport, last)?;
                let answer = target.send(request, limits).await.map_err(|fault| fault.to_string());
                if !answer
                    .as_ref()
                    .is_ok_and(|answer| answer.status == StatusCode::OK || answer.status == StatusCode::NOT_MODIFIED)
                {
                    // The set may have moved. Nobody waits for it: the next attempt looks again.
                    drop(discovery.refreshed());
                }
                answer
            }
        }
    }
}

fn target_of(url: &str, transport: &Transport, last: &Mutex<Option<(Box<str>, Arc<Target>)>>) -> Result<Arc<Target>, String> {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, target)) = &*last
        && **known == *url
    {
        return Ok(Arc::clone(target));
    }
    let target = Arc::new(Target::new(url, transport)?);
    *last = Some((url.into(), Arc::clone(&target)));
    Ok(target)
}

impl Fetch for KeyFetch {
    type Document = KeySet;
    type Settings = Settings;
    const FETCHED: &'static str = "jwks_fetched";
    const CHANGED: &'static str = "jwks_changed";
    const FAILED: &'static str = "jwks_fetch_failed";
    const EXPIRED: &'static str = "jwks_expired";

    fn place(&self) -> String {
        match &self.from {
            From::Url { url, .. } => super::shown(url).to_owned(),
            From::Discovered { discovery, .. } => match discovery.metadata() {
                Some(metadata) => super::shown(metadata.jwks_uri.url("jwks_uri").unwrap_or_default()).to_owned(),
                None => String::new(),
            },
        }
    }

    fn same(one: &KeySet, other: &KeySet) -> bool {
        one.fingerprint == other.fingerprint
    }

    fn size(document: &KeySet) -> usize {
        document.len()
    }

    async fn fetch(&self, known: Option<&str>) -> Result<Fetched<KeySet>, String> {
        let mut request = Request::get(ACCEPT);
        if let Some(value) = known.and_then(|known| HeaderValue::from_str(known).ok()) {
            request.headers.insert(header::IF_NONE_MATCH, value);
        }
        let answer = self.send(&request).await?;
        let (etag, max_age) = (etag(&answer.headers), max_age(&answer.headers));
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(Fetched::Unchanged { max_age });
        }
        let text = answer.ok().map_err(|fault| fault.to_string())?;
        let set = KeySet::parse(&text, &self.algorithms)?;
        if set.is_empty() {
            return Err("the key set has no public key for the provider's algorithms".to_owned());
        }
        Ok(Fetched::New { document: set, etag, max_age })
    }
}

/// One set of keys that is kept fresh.
pub type KeySource = Kept<KeyFetch>;

impl KeySource {
    /// The keys and their revision.
    pub(super) fn trust(&self) -> Trust {
        let held = self.held();
        Trust { set: held.document, revision: held.revision }
    }
}

/// JWK sets by source.
pub type Registry = super::kept::Registry<KeyFetch>;

impl Registry {
    /// Finds a source, or makes it and starts its first fetch without waiting. `discovery`: the metadata that says where
    /// it is, for settings that need it.
    pub(super) fn keys(
        &self,
        settings: Settings,
        discovery: Option<Arc<Discovery>>,
        runtime: &tokio::runtime::Handle,
        sink: Sink,
    ) -> Result<Arc<KeySource>, String> {
        let timing = settings.timing;
        self.source(settings, timing, runtime, sink, |settings| KeyFetch::new(settings, discovery))
    }
}
