//! An endpoint of an identity provider: at an address of the configuration, or where the issuer's metadata says.

use std::sync::{Arc, Mutex, PoisonError};

use super::discovery::{Discovery, Endpoint as Said, Metadata};
use crate::ir;
use crate::outbound::{Fault, OwnCertificate, Target, Transport, address};

/// Which endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Where codes, credentials and other tokens become tokens.
    Token,
    /// Where opaque tokens are asked about (RFC 7662).
    Introspection,
}

impl Which {
    /// Its address; `certificate`: for a client that shows one, which may have endpoints of its own (RFC 8705 section 5). An
    /// alias that may not be used is not passed over: the other endpoint is not the one that asks for certificates.
    fn of(self, metadata: &Metadata, certificate: bool) -> Result<&str, String> {
        let (plain, mutual, name) = match self {
            Self::Token => (&metadata.token, &metadata.mtls_token, "token_endpoint"),
            Self::Introspection => (&metadata.introspection, &metadata.mtls_introspection, "introspection_endpoint"),
        };
        match certificate && *mutual != Said::Absent {
            true => mutual.url(&format!("mtls_endpoint_aliases.{name}")),
            false => plain.url(name),
        }
    }
}

/// How an endpoint is found.
#[derive(Debug)]
pub enum Endpoint {
    /// Said by the configuration.
    Given(Arc<Target>),
    /// Said by the provider.
    Discovered(Discovered),
}

/// An endpoint that the provider says.
#[derive(Debug)]
pub struct Discovered {
    /// What it says.
    pub discovery: Arc<Discovery>,
    /// How it is reached.
    pub transport: Arc<Transport>,
    /// Which one of its endpoints.
    pub which: Which,
    /// Whether the gateway shows a certificate there.
    pub certificate: bool,
    /// Requests at once, and waiting.
    pub bounds: (usize, usize),
    last: Mutex<Option<(Box<str>, Arc<Target>)>>,
}

impl Discovered {
    /// Nothing is known of it yet.
    #[must_use]
    pub fn new(
        discovery: Arc<Discovery>,
        transport: Arc<Transport>,
        which: Which,
        certificate: bool,
        bounds: (usize, usize),
    ) -> Self {
        Self { discovery, transport, which, certificate, bounds, last: Mutex::default() }
    }

    fn target(&self) -> Result<Arc<Target>, String> {
        let metadata = self.discovery.metadata().ok_or("the provider's metadata is not there")?;
        let url = self.which.of(&metadata, self.certificate)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, target)) = last.as_ref()
            && **known == *url
        {
            return Ok(Arc::clone(target));
        }
        let (under_way, waiting) = self.bounds;
        let target = Arc::new(Target::new(url, &self.transport)?.bounded(under_way, waiting));
        *last = Some((url.into(), Arc::clone(&target)));
        Ok(target)
    }
}

impl Endpoint {
    /// At an address of the configuration. `named` is what says whether addresses of this machine are fine; `own` the
    /// certificate that the gateway shows; `bounds` are requests at once, and waiting.
    ///
    /// # Errors
    /// An address or a certificate that cannot be used.
    pub fn given(
        spec: &ir::OutboundEndpoint,
        named: &str,
        own: Option<OwnCertificate<'_>>,
        which: Which,
        bounds: (usize, usize),
    ) -> Result<Self, String> {
        let loopback = spec.plaintext || address::names_this_machine(named);
        let transport = Transport::new(spec.ca.as_deref(), own, spec.plaintext, loopback)?;
        let what = match which {
            Which::Token => "token",
            Which::Introspection => "introspection",
        };
        let target = Target::new(&spec.url, &transport).map_err(|why| format!("the {what} endpoint: {why}"))?;
        Ok(Self::Given(Arc::new(target.bounded(bounds.0, bounds.1))))
    }

    /// Where the issuer's metadata says.
    ///
    /// # Errors
    /// A certificate that cannot be used.
    pub fn discovered(
        spec: &ir::Discovery,
        discovery: Arc<Discovery>,
        own: Option<OwnCertificate<'_>>,
        which: Which,
        bounds: (usize, usize),
    ) -> Result<Self, String> {
        let loopback = spec.plaintext || address::names_this_machine(&spec.issuer);
        let transport = Transport::new(spec.ca.as_deref(), own, spec.plaintext, loopback)?;
        Ok(Self::Discovered(Discovered::new(discovery, transport, which, own.is_some(), bounds)))
    }

    /// Where to send to now. Where the provider has not said it yet, it is asked first.
    ///
    /// # Errors
    /// [`Fault::Undiscovered`]
    pub async fn target(&self) -> Result<Arc<Target>, Fault> {
        match self {
            Self::Given(target) => Ok(Arc::clone(target)),
            Self::Discovered(found) => {
                if found.discovery.metadata().is_none() {
                    found.discovery.refreshed().await;
                }
                found.target().map_err(Fault::Undiscovered)
            }
        }
    }
}
