//! The intermediate representation: the one document that crosses from Python to the data plane.
//!
//! Everything is resolved: durations are milliseconds, sizes are bytes, groups are merged into their routes, public
//! files are inlined as text, and a secret is only the name of an entry in the secrets passed beside the document.
//! Unknown fields are refused here as well as in Python.

mod actions;
mod addresses;
mod attack_filter;
mod authorize;
mod bot_filter;
mod browsers;
mod decision_log;
mod dpop;
mod geo;
mod identity;
mod introspection;
mod limits;
mod listeners;
mod login_guard;
mod machines;
mod oidc;
mod outbound;
mod process;
mod providers;
mod quota;
mod resilience;
mod routes;
mod security_events;
mod security_headers;
mod service_token;
mod services;
mod shadow_limits;
mod state;
mod validation;
mod websocket;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use actions::*;
pub use addresses::*;
pub use attack_filter::{AttackException, AttackFilter, AttackPlace};
pub use authorize::*;
pub use bot_filter::*;
pub use browsers::*;
pub use decision_log::DecisionLog;
pub use dpop::Dpop;
pub use geo::*;
pub use identity::{Identity, IdentityAssertion, IdentityKey, SigningAlgorithm};
pub use introspection::{IntrospectionEndpoint, IntrospectionProvider, LiveCheck};
pub use limits::*;
pub use listeners::*;
pub use login_guard::*;
pub use machines::*;
pub use oidc::*;
pub use outbound::{ClientAuthentication, OauthClient, OutboundEndpoint, PrivateKeyJwt, TlsClientAuth};
pub use process::{AccessLog, Admin, Certificate, Process};
pub use providers::*;
pub use quota::{Period, Quota, QuotaLoss};
pub use resilience::*;
pub use routes::*;
pub use security_events::SecurityEvents;
pub use security_headers::{CookieAttributes, Hsts, SameSite, SecurityHeaders};
pub use service_token::{ServiceToken, TokenGrant};
pub use services::*;
pub use shadow_limits::{ShadowLimit, TriedLimit, TriedRates};
pub use state::{Redis, Sentinel, SentinelAddress, State, StateLoss};
pub use validation::*;
pub use websocket::{Origins, WebSocket};

/// The version of this document that this build reads.
pub const IR_VERSION: u32 = 1;

/// A whole configuration. Its SHA-256 (of the canonical JSON bytes) is the revision.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ir {
    /// Lists of addresses that filters name.
    #[serde(default)]
    pub address_lists: Vec<AddressList>,
    /// Databases that say where addresses are.
    #[serde(default)]
    pub geo: Option<Geo>,
    /// Always [`IR_VERSION`].
    pub version: u32,
    /// The `environment:` key.
    pub environment: Option<String>,
    /// Bounds of the whole process.
    pub process: Process,
    /// The admin listener for probes and metrics.
    pub admin: Option<Admin>,
    /// Where access log lines go.
    pub access_log: AccessLog,
    /// Where decisions are recorded.
    #[serde(default)]
    pub decision_log: Option<DecisionLog>,
    /// Keyed fingerprints of the secrets, by name; the bytes travel beside the document.
    pub secrets: BTreeMap<String, String>,
    /// What answers carry that belong to no route; absent where nothing is asked for.
    #[serde(default)]
    pub security_headers: Option<SecurityHeaders>,
    /// Sockets that clients reach.
    pub listeners: Vec<Listener>,
    /// What vouches for callers.
    pub providers: Vec<Provider>,
    /// Where this gateway stands; endpoints of the same zone are preferred.
    #[serde(default)]
    pub zone: Option<String>,
    /// What assertions of identity are signed with.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// What requests are forwarded to.
    pub services: Vec<Service>,
    /// Merged routes, sorted by name.
    pub routes: Vec<Route>,
    /// Certificates in use, for their metric; their contents stand where they are used.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// Who pushes security events.
    #[serde(default)]
    pub security_events: Vec<SecurityEvents>,
    /// How proofs of sender-constrained tokens are checked.
    #[serde(default)]
    pub dpop: Dpop,
    /// Where state is kept that outlives the process.
    #[serde(default)]
    pub state: Option<State>,
    /// Whether challenges of certificate authorities (ACME) are answered on plain listeners.
    #[serde(default)]
    pub challenges: bool,
}
