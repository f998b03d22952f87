//! People in browsers: login at an OpenID provider (code flow with PKCE), and a session in a sealed cookie or in the store.
//!
//! Nothing is remembered for a login under way: all of it is sealed into a cookie of the browser that began it
//! ([`login`]), and so is the session that it ends in ([`session`]), or its handle ([`stored`]). So any instance with the
//! keys serves any browser.

pub mod browser;
mod build;
mod caller;
pub mod cookie;
pub mod csrf;
mod ending;
mod flow;
pub mod grants;
mod keeping;
pub mod login;
pub mod logout;
pub mod places;
pub mod query;
pub mod seal;
pub mod session;
pub mod state;
pub mod stored;
pub mod token;
pub mod tokens;

use std::rc::Rc;
use std::sync::Arc;

use grants::{Grant, Outcome, TokenEndpoint};
use login::Client;
use seal::{Bound, KeyRing, Purpose, RANDOM};
use session::{Lifetimes, Session};
use stored::HANDLE;

use super::claims::Mapping;
use super::discovery::Discovery;
use super::jwk::Algorithm;
use super::jwt::Keys;
use super::refuse;
use crate::exchange::{Exchange, Need, Principal, Refusal};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::reason::Reason;

/// Random bytes of a session's name.
const ID: usize = 16;
/// Random bytes that a new session takes.
pub const SESSION_RANDOM: usize = ID + HANDLE + RANDOM;

/// A compiled provider.
pub struct Oidc {
    name: Arc<str>,
    issuer: Arc<str>,
    /// `client_id`
    client: Box<str>,
    scope: Box<str>,
    parameters: Vec<(Box<str>, Box<str>)>,
    ring: KeyRing,
    policy: [u8; 32],
    store: ir::SessionStore,
    lifetimes: Lifetimes,
    leeway_s: u64,
    algorithms: Vec<Algorithm>,
    keys: Keys,
    mapping: Mapping,
    hash: KeyedHash,
    base: Box<str>,
    after_logout: Box<str>,
    cookie: Box<str>,
    places: Addresses,
    endpoint: Arc<TokenEndpoint>,
}

/// Where a provider's endpoints are said.
#[derive(Debug)]
enum Addresses {
    Given(Endpoints),
    Discovered(Arc<Discovery>),
}

/// The endpoints that browsers are sent to.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// To log in.
    pub authorization: Box<str>,
    /// To log out.
    pub end_session: Option<Box<str>>,
    /// Whether answers name the issuer (RFC 9207).
    pub names_issuer: bool,
}

impl std::fmt::Debug for Oidc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oidc").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a request's session comes to.
#[derive(Debug)]
pub enum Found {
    /// The caller; and the session, where the browser has to be given it anew.
    Caller(Rc<Principal>, Option<Box<Session>>),
    /// Something has to be fetched first. The refusal is for whoever has asked already.
    Needs(Need, Refusal),
    /// There is none. Whether its cookie is to be taken away.
    Refused(Refusal, bool),
}

impl Oidc {
    /// Name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The path under which the gateway itself answers.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Its key set.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Where a login can be begun.
    #[must_use]
    pub fn login_path(&self) -> String {
        format!("{}/login", self.base)
    }

    /// The name of its session cookie.
    #[must_use]
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// The provider's issuer.
    #[must_use]
    pub fn issuer(&self) -> &Arc<str> {
        &self.issuer
    }

    /// Seconds that clocks may differ.
    #[must_use]
    pub fn leeway_s(&self) -> u64 {
        self.leeway_s
    }

    /// The endpoints for browsers; `None` while the provider has not said them.
    #[must_use]
    pub fn endpoints(&self) -> Option<Endpoints> {
        match &self.places {
            Addresses::Given(endpoints) => Some(endpoints.clone()),
            Addresses::Discovered(discovery) => {
                let metadata = discovery.metadata()?;
                Some(Endpoints {
                    authorization: metadata.authorization.url("authorization_endpoint").ok()?.into(),
                    end_session: metadata.end_session.url("end_session_endpoint").ok().map(Into::into),
                    names_issuer: metadata.names_issuer_in_answers,
                })
            }
        }
    }

    /// Asks the provider again what it says of itself.
    pub fn refreshed(&self) -> impl Future<Output = ()> + Send + 'static {
        let waiting = match &self.places {
            Addresses::Given(_) => None,
            Addresses::Discovered(discovery) => Some(discovery.refreshed()),
        };
        async move {
            if let Some(waiting) = waiting {
                waiting.await;
            }
        }
    }

    /// Asks for tokens, on the service runtime.
    pub fn tokens(&self, grant: Grant, runtime: tokio::runtime::Handle) -> impl Future<Output = Outcome> + 'static {
        Arc::clone(&self.endpoint).tokens(grant, runtime)
    }

    fn bound(&self, purpose: Purpose) -> Bound<'_> {
        Bound { purpose, provider: &self.name, policy: &self.policy }
    }

    fn client<'a>(&'a self, endpoints: &'a Endpoints) -> Client<'a> {
        Client {
            ring: &self.ring,
            bound: self.bound(Purpose::Login),
            authorization: &endpoints.authorization,
            client: &self.client,
            scope: &self.scope,
            parameters: &self.parameters,
        }
    }

    fn redirect_uri(&self, host: &str) -> String {
        format!("https://{host}{}/callback", self.base)
    }
}

/// A fault of an ID token: what its own checks say of it, under the login's reason.
fn no_fit(refusal: Refusal) -> Refusal {
    let title = refusal.reason.title();
    let detail = refusal.detail.as_deref().map_or_else(|| title.to_owned(), |detail| format!("{title}: {detail}"));
    refuse(Reason::LoginFailed, format!("ID token: {detail}"))
}

/// The authority that the request names, in one spelling.
fn authority(exchange: &Exchange) -> Result<String, Refusal> {
    let text = std::str::from_utf8(&exchange.authority).map_err(|_| Reason::HostInvalid)?.to_ascii_lowercase();
    Ok(text.strip_suffix(":443").map_or(text.clone(), str::to_owned))
}
