//! A whole configuration, ready to serve: built off the workers, swapped in by one pointer.

mod build;
#[cfg(test)]
mod fuzz_tests;
mod identity;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use zeroize::Zeroizing;

use crate::challenges::Challenges;
use crate::decisions::Records;
use crate::exchange::RouteIndex;
use crate::filters::address_filter::AddressFilter;
use crate::filters::address_limit::AddressLimit;
use crate::filters::assurance::Assurance;
use crate::filters::attack_filter::AttackFilter;
use crate::filters::authorize::Policy;
use crate::filters::authorize::shadow::Shadow;
use crate::filters::bot_filter::BotFilter;
use crate::filters::concurrency_limit::ConcurrencyLimits;
use crate::filters::cors::Cors;
use crate::filters::csrf::Csrf;
use crate::filters::external_authorization::ExternalAuthorization;
use crate::filters::geo_filter::GeoFilter;
use crate::filters::identity_assertion::IdentityAssertion;
use crate::filters::limit_shadow::ShadowLimits;
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
use crate::ir;
use crate::protected_resource::ProtectedResources;
use crate::providers::dpop::Dpop;
use crate::providers::live_check::LiveCheck;
use crate::providers::oidc::places::Places;
use crate::providers::{Accepts, Provider};
use crate::revocation::Revocations;
use crate::router::Router;
use crate::server::tls::names::Names;
use crate::service_tokens::TokenSource;
use crate::shared::Shared;

/// Bytes of secrets by name.
pub type Secrets = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// A reason why a document does not load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// JSON pointer into the IR (RFC 6901).
    pub pointer: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// A challenge for WWW-Authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// `Bearer realm="<provider>"`
    Bearer(Arc<str>),
    /// `DPoP realm="<provider>", algs="<names>"` (RFC 9449 section 7.1)
    Dpop(Arc<str>, Arc<str>),
    /// `ApiKey realm="<provider>", header="<name>"` (no registered scheme exists for keys)
    ApiKey(Arc<str>, Arc<str>),
    /// `Certificate realm="<provider>"` (no registered scheme exists: the handshake asks)
    Certificate(Arc<str>),
    /// `Signature realm="<provider>", components="<what has to be covered>"` (likewise)
    Signature(Arc<str>, Box<str>),
    /// `Cookie realm="<provider>", login="<path>"` (no registered scheme exists for sessions)
    Session(Arc<str>, Arc<str>),
}

impl Challenge {
    /// The provider, where it takes tokens.
    #[must_use]
    pub fn token_realm(&self) -> Option<Arc<str>> {
        match self {
            Self::Bearer(realm) | Self::Dpop(realm, _) => Some(Arc::clone(realm)),
            Self::ApiKey(..) | Self::Certificate(_) | Self::Signature(..) | Self::Session(..) => None,
        }
    }
}

/// A whole configuration, ready to serve.
#[derive(Debug)]
pub struct Snapshot {
    /// SHA-256 of the IR's bytes, hex.
    pub revision: Arc<str>,
    /// The document that it was built from (listeners, services, process, access_log, admin are read from here).
    pub ir: Arc<ir::Ir>,
    /// Compiled routes; `RouteIndex` points here.
    pub routes: Vec<Route>,
    /// Compiled providers, in the IR's order.
    pub providers: Vec<Provider>,
    /// Where tokens for services come from, in the IR's order of services.
    pub service_tokens: Vec<Option<Arc<TokenSource>>>,
    /// Compiled listeners, in the IR's order.
    pub listeners: Vec<Listener>,
    /// What browsers are told where no route was found.
    pub security_headers: Option<SecurityHeaders>,
    /// Finds routes.
    pub router: Router,
    /// Where the gateway itself answers around logins.
    pub logins: Places,
    /// Where solutions of challenges at logins are taken.
    pub doors: Doors,
    /// What protects the routes of each host.
    pub protected: ProtectedResources,
    /// Challenges to answer on plain listeners, where certificates are ordered.
    pub challenges: Option<Arc<Challenges>>,
    /// Where addresses are, where a database says so.
    pub geo: Option<Geo>,
    /// What was revoked.
    pub revocations: Arc<Revocations>,
    /// Who pushes security events, and where to.
    pub events: Vec<Events>,
    /// How proofs of sender-constrained tokens are checked.
    pub dpop: Dpop,
    /// What counts once is remembered since that moment, milliseconds since 1970.
    pub remembered_since: Arc<AtomicU64>,
    /// Headers other than Authorization that carry a credential of any provider, lower case.
    pub key_headers: Vec<Arc<str>>,
    /// What services are told of callers, in the IR's order.
    pub assertions: Vec<Option<IdentityAssertion>>,
    /// What is recorded of decisions, where they are.
    pub records: Option<Records>,
    /// Plain headers that say who calls, lower case.
    pub claim_headers: Vec<Box<str>>,
}

/// A compiled route.
#[derive(Debug)]
pub struct Route {
    /// Name.
    pub name: Arc<str>,
    /// Exceptions to canonical paths.
    pub path_allow: Vec<ir::PathAllow>,
    /// Whether the connection has to carry a verified client certificate.
    pub client_certificate: bool,
    /// Who may use it.
    pub access: Access,
    /// Rules that are tried out: reported, never enforced.
    pub shadow: Option<Box<Shadow>>,
    /// Whether a refused caller sees what there is where nothing is.
    pub hidden: bool,
    /// A service that is asked whether a request may pass.
    pub external: Option<Box<ExternalAuthorization>>,
    /// The field of an answer that names its tenant, lower case.
    pub response_tenant: Option<Box<str>>,
    /// Whether the caller's credential is confirmed by its issuer.
    pub live_check: Option<LiveCheck>,
    /// What its tokens have to be bound to; see also `Provider::sender_constrained`.
    pub sender_constrained: Option<ir::SenderConstrained>,
    /// How surely and how lately the caller has to have logged in.
    pub assurance: Option<Assurance>,
    /// SHA-256 of all on which its decisions stand, but the list of API keys.
    pub decision: [u8; 32],
    /// What a 401 or 403 asks for.
    pub challenges: Vec<Challenge>,
    /// Every scope that its rules name, for the challenge.
    pub scope: Option<Box<str>>,
    /// Whether the place is its own that strangers are told about what protects a host (RFC 9728).
    pub well_known: bool,
    /// Who may come in by address.
    pub address_filters: Vec<AddressFilter>,
    /// Who may come in by place.
    pub geo_filters: Vec<GeoFilter>,
    /// Limits by address.
    pub address_limits: Vec<AddressLimit>,
    /// Limits by caller.
    pub rate_limits: RateLimits,
    /// Programs that pretend, and crawlers.
    pub bot_filter: Option<Box<BotFilter>>,
    /// Requests at once.
    pub concurrency_limits: ConcurrencyLimits,
    /// So much in each period.
    pub quotas: Quotas,
    /// Where people log in.
    pub login_guard: Option<Box<LoginGuard>>,
    /// Repeats that its limits and quotas charge once.
    pub repeats: Option<RouteRepeats>,
    /// Limits that are tried out: counted and reported, never enforced.
    pub shadow_limits: ShadowLimits,
    /// What is done with an allowed request.
    pub action: Action,
    /// How important its requests are when there are too many.
    pub priority: ir::Priority,
    /// Change of the path.
    pub rewrite: Option<Rewrite>,
    /// Changes of request fields.
    pub request_headers: RequestHeaders,
    /// Names that rules and edits of this route name, lower case: other foldings of them never reach a service.
    pub own_headers: Vec<Box<str>>,
    /// Changes of response fields.
    pub response_headers: ResponseHeaders,
    /// What browsers are told.
    pub security_headers: Option<SecurityHeaders>,
    /// Whether early hints of services are passed on.
    pub early_hints: bool,
    /// WebSocket connections, and nothing else.
    pub websocket: Option<WebSocket>,
    /// Pages of other origins.
    pub cors: Option<Box<Cors>>,
    /// From whose pages requests that may change something may come.
    pub csrf: Option<Csrf>,
    /// Copies for a second service.
    pub mirror: Option<Mirror>,
    /// What its requests have to be.
    pub request_validation: Option<Box<RequestValidation>>,
    /// What answers to them have to be.
    pub response_validation: Option<Box<ResponseValidation>>,
    /// What is looked for in its requests.
    pub attack_filter: Option<AttackFilter>,
    /// Bytes of a request body.
    pub body_limit: u64,
    /// Time limits.
    pub timeouts: ir::RouteTimeouts,
}

// A reload makes thousands of these, and is slow by the memory that it touches: what few routes have is boxed.
const _: () = assert!(size_of::<Route>() <= 1536);

/// What is done with an allowed request.
#[derive(Debug)]
pub enum Action {
    /// Forwarded.
    Forward(Split),
    /// Answered with a redirect.
    Redirect(Redirect),
    /// Answered with a fixed response.
    Respond(Respond),
}

/// Who may use a route.
#[derive(Debug)]
pub enum Access {
    /// Anyone.
    Public,
    /// Verified callers of these providers (indices) who pass every rule.
    Authenticated {
        /// Accepted providers.
        providers: Accepts,
        /// Rules: which deny, which have to hold, whose tenant it is.
        policy: Box<Policy>,
    },
}

/// A receiver of security events (RFC 8935).
#[derive(Debug)]
pub struct Events {
    /// Names of its listeners.
    pub listeners: Vec<Box<str>>,
    /// The exact path.
    pub path: Box<str>,
    /// Index of the provider that vouches for the tokens.
    pub provider: u32,
    /// One of these has to be in `aud`.
    pub audiences: Vec<String>,
    /// What the transmitter has to send in `Authorization`.
    pub token: Option<BearerToken>,
}

/// The digest of a bearer token: comparing digests tells nothing about where two tokens differ.
pub struct BearerToken([u8; 32]);

impl BearerToken {
    /// Of these bytes.
    #[must_use]
    pub fn new(token: &[u8]) -> Self {
        Self(crate::providers::jwk::sha256(token))
    }

    /// Whether an `Authorization` carries it.
    #[must_use]
    pub fn is_in(&self, authorization: Option<&[u8]>) -> bool {
        let Some((scheme, token)) = authorization.and_then(|value| value.split_at_checked(7)) else { return false };
        let digest = crate::providers::jwk::sha256(token);
        scheme.eq_ignore_ascii_case(b"bearer ") && aws_lc_rs::constant_time::verify_slices_are_equal(&digest, &self.0).is_ok()
    }
}

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

/// A compiled listener.
#[derive(Debug)]
pub struct Listener {
    /// Name.
    pub name: Arc<str>,
    /// Who may come in by address.
    pub address_filters: Vec<AddressFilter>,
    /// Who may come in by place.
    pub geo_filters: Vec<GeoFilter>,
    /// Limits by address, charged before a route is looked for.
    pub address_limits: Vec<AddressLimit>,
    /// Those that are tried out.
    pub shadow_limits: ShadowLimits,
    /// Whose forwarding header is believed.
    pub trusted_proxies: Option<ir::TrustedProxies>,
    /// Which certificate belongs to a host, where there are several.
    pub certificates: Option<Names>,
    /// What it demands of clients' certificates.
    pub client_certificates: Option<ClientCertificates>,
    /// Where every request is sent; it has no routes then.
    pub redirect: Option<ir::HttpsRedirect>,
    /// Whether it has a hidden route.
    pub hides: bool,
}

/// What a listener demands of clients' certificates.
#[derive(Debug, Clone, Copy)]
pub struct ClientCertificates {
    /// Whether every connection needs one.
    pub required: bool,
    /// What they are verified under now; one that was verified under something else counts for nothing.
    pub trust: [u8; 32],
}

impl Snapshot {
    /// Whether browsers keep cookies of the gateway, which no service may see or set.
    #[must_use]
    pub fn has_cookies(&self) -> bool {
        !self.logins.is_empty() || !self.doors.is_empty()
    }

    /// The route that an exchange took.
    #[must_use]
    pub fn route(&self, index: Option<RouteIndex>) -> Option<&Route> {
        self.routes.get(index? as usize)
    }

    /// The service of this index.
    #[must_use]
    pub fn service(&self, index: Option<u32>) -> Option<&ir::Service> {
        self.ir.services.get(index? as usize)
    }

    /// What the service of this index is told of callers.
    #[must_use]
    pub fn assertion(&self, index: Option<u32>) -> Option<&IdentityAssertion> {
        self.assertions.get(index? as usize)?.as_ref()
    }

    /// Where tokens for the service of this index come from, if it gets any.
    #[must_use]
    pub fn token_source(&self, index: Option<u32>) -> Option<&Arc<TokenSource>> {
        self.service_tokens.get(index? as usize)?.as_ref()
    }

    /// The listener of this name.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<&Listener> {
        self.listeners.iter().find(|l| &*l.name == name)
    }

    /// Builds a snapshot or says everything that is wrong; changes nothing that serves.
    ///
    /// # Errors
    /// A document that does not read, references that lead nowhere, and whatever a part of it refuses.
    pub fn build(ir: &[u8], secrets: &Secrets, shared: &Arc<Shared>) -> Result<Self, Vec<LoadError>> {
        build::build(ir, secrets, shared)
    }
}
