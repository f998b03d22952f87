//! People in browsers: login at an OpenID provider (code flow with PKCE), and a session in a sealed cookie or in the store.
//!
//! Nothing is remembered for a login under way: all of it is sealed into a cookie of the browser that began it
//! ([`login`]), and so is the session that it ends in ([`session`]), or its handle ([`stored`]). So any instance with the
//! keys serves any browser.

pub mod browser;
mod caller;
pub mod cookie;
pub mod csrf;
pub mod grants;
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

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::claims::Mapping;
use super::discovery::{self, Discovery};
use super::endpoint::{Discovered, Endpoint, Which};
use super::jwk::{Algorithm, sha256};
use super::jwt::{Failure, Keys, Unverified};
use super::refuse;
use crate::exchange::{Exchange, Need, Now, Principal, Refusal};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::outbound::{OauthClient, Target, Transport};
use crate::reason::Reason;
use crate::revocation::{LOGOUT, Revocation, What, hex};
use crate::shared::Shared;
use crate::snapshot::Secrets;
use crate::store::{Key, MAX_VALUE, Space};
use cookie::Fields;
use grants::{BOUNDS, Grant, Outcome, TokenEndpoint};
use login::{BEGIN_RANDOM, Begun, Client, Pending, Start, Wanted};
use seal::{Bound, KeyRing, Purpose, RANDOM};
use session::{Lifetimes, Session, Who};
use stored::{Ask, HANDLE, Handle};
use token::Token;
use tokens::{Expected, Tokens};

/// Random bytes of a session's name.
const ID: usize = 16;
/// Random bytes that a new session takes.
pub const SESSION_RANDOM: usize = ID + HANDLE + RANDOM;
/// How long the store keeps a session after its end, seconds: clocks of instances differ.
const KEPT_S: u64 = 60;

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

    /// Begins a login that ends at `return_to`, a path and query of a route of this host.
    ///
    /// # Errors
    /// `login_insecure`, `identity_provider_unavailable`.
    pub fn begin(
        &self,
        exchange: &Exchange,
        return_to: &str,
        wanted: &Wanted,
        random: &[u8; BEGIN_RANDOM],
        now: Now,
    ) -> Result<Begun, Refusal> {
        if !exchange.https {
            return Err(Reason::LoginInsecure.into());
        }
        let endpoints = self.endpoints().ok_or(Reason::IdentityProviderUnavailable)?;
        let host = authority(exchange)?;
        let start = Start {
            headers: &exchange.request.headers,
            host: &host,
            redirect_uri: &self.redirect_uri(&host),
            return_to,
            wanted,
            now_s: now.unix_ms / 1000,
        };
        login::begin(&self.client(&endpoints), &start, random).ok_or_else(|| Reason::Internal.into())
    }

    /// Finds the login that a request to the callback belongs to.
    ///
    /// # Errors
    /// `login_insecure`, `identity_provider_unavailable`, `login_state_invalid`.
    pub fn returned(&self, exchange: &Exchange, now: Now) -> Result<login::Returned, Refusal> {
        if !exchange.https {
            return Err(Reason::LoginInsecure.into());
        }
        let endpoints = self.endpoints().ok_or(Reason::IdentityProviderUnavailable)?;
        let answered = login::Answered {
            headers: &exchange.request.headers,
            host: &authority(exchange)?,
            query: exchange.query(),
            issuer: &self.issuer,
            names_issuer: endpoints.names_issuer,
            now_s: now.unix_ms / 1000,
        };
        login::returned(&self.client(&endpoints), &answered)
    }

    /// What the token endpoint is to be asked with for this login.
    ///
    /// # Errors
    /// `host_invalid`
    pub fn grant(&self, exchange: &Exchange, pending: &Pending, code: &Token) -> Result<Grant, Refusal> {
        let redirect_uri = self.redirect_uri(&authority(exchange)?).into();
        Ok(Grant::Code { code: code.clone(), verifier: pending.verifier.clone(), redirect_uri })
    }

    /// The session that a login ends in: with a name of its own, whatever the browser brought.
    ///
    /// # Errors
    /// `login_failed`, `insufficient_user_authentication`; or a key that has to be fetched.
    pub fn establish(
        &self,
        exchange: &Exchange,
        pending: &Pending,
        code: &Token,
        body: &[u8],
        id: &[u8; ID],
        now: Now,
    ) -> Result<Session, Failure> {
        let tokens = Tokens::read(body)?;
        let wanted = pending.wanted();
        let id_token = tokens.id_token.as_ref().ok_or_else(|| refuse(Reason::LoginFailed, "the provider gave no ID token"))?;
        let who = self.identify(id_token, &tokens, Some(&pending.nonce), Some(code), &wanted, now)?;
        let now_s = now.unix_ms / 1000;
        let refresh = tokens.refresh_token.clone();
        Ok(Session {
            id: URL_SAFE_NO_PAD.encode(id),
            host: authority(exchange)?,
            created_s: now_s,
            seen_s: now_s,
            access_s: tokens.expires_in.map(|seconds| (now_s, now_s.saturating_add(seconds))),
            refresh,
            id_token: Some(id_token.clone()),
            over_s: None,
            failed_s: None,
            who,
        })
    }

    /// Who an ID token names: its signature, then its claims.
    fn identify(
        &self,
        id_token: &Token,
        tokens: &Tokens,
        nonce: Option<&Token>,
        code: Option<&Token>,
        wanted: &Wanted,
        now: Now,
    ) -> Result<Who, Failure> {
        let token = Unverified::parse_id_token(id_token.0.as_bytes()).map_err(no_fit)?;
        token.check(&self.algorithms, &self.keys).map_err(|failure| match failure {
            Failure::Refused(refusal) => Failure::Refused(no_fit(refusal)),
            needed @ Failure::KeysNeeded(_) => needed,
        })?;
        let expected = Expected {
            issuer: &self.issuer,
            client: &self.client,
            nonce: nonce.map(|nonce| nonce.0.as_str()),
            access_token: &tokens.access_token.0,
            code: code.map(|code| code.0.as_str()),
            wanted,
            leeway_s: self.leeway_s,
            algorithm: token.algorithm(),
        };
        tokens::judge(token.claims(), &expected, now)?;
        let mut who = Who::of(&self.mapping.principal(token.claims(), &self.issuer, u64::MAX).map_err(no_fit)?);
        if who.scopes.is_empty() {
            let granted = tokens.scope.as_deref().unwrap_or(&self.scope);
            who.scopes = granted.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
        }
        Ok(who)
    }

    /// What a logout token says (OpenID Connect Back-Channel Logout section 2.6).
    ///
    /// # Errors
    /// `logout_token_invalid`; or a key that has to be fetched.
    pub fn told(&self, token: &str, now: Now) -> Result<logout::Ended, Failure> {
        let wrong = |refusal: Refusal| refuse(Reason::LogoutTokenInvalid, refusal.reason.title());
        let token = Unverified::parse_logout_token(token.as_bytes()).map_err(wrong)?;
        token.check(&self.algorithms, &self.keys).map_err(|failure| match failure {
            Failure::Refused(refusal) => Failure::Refused(wrong(refusal)),
            needed @ Failure::KeysNeeded(_) => needed,
        })?;
        Ok(logout::judge(token.claims(), &self.issuer, &self.client, self.leeway_s, now)?)
    }

    /// Where a person goes on to after a logout: to the provider, where it has a page for that.
    #[must_use]
    pub fn logout_location(&self, exchange: &Exchange, session: Option<&Session>) -> String {
        let end_session = self.endpoints().and_then(|endpoints| endpoints.end_session);
        match (end_session, authority(exchange)) {
            (Some(end_session), Ok(host)) => {
                let back = format!("https://{host}{}", self.after_logout);
                logout::location(&end_session, &self.client, &back, session)
            }
            _ => self.after_logout.to_string(),
        }
    }

    /// What a logout revokes: this session, for as long as it could have lasted, wherever its cookie is.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn over(&self, session: &Session, now: Now) -> Result<Box<[Revocation]>, Refusal> {
        let until_s = session.created_s.saturating_add(self.lifetimes.absolute_s);
        let what = What::Token { issuer: Some((&*self.issuer).into()), id: session.id.as_str().into() };
        self.revocation(what, None, until_s, now).map(|one| [one].into())
    }

    /// What a logout token revokes: the session that it names, or all of a person that began before it was made. The same
    /// token is the same revocation, however often it comes.
    ///
    /// # Errors
    /// `logout_token_invalid` for a name that is none.
    pub fn ended(&self, ended: &logout::Ended, now: Now) -> Result<Box<[Revocation]>, Refusal> {
        let issuer = Some((&*self.issuer).into());
        let (what, before_ms) = match (&ended.sid, &ended.sub) {
            (Some(sid), _) => (What::Session { issuer, id: sid.clone() }, None),
            (None, Some(sub)) => {
                let before_s = ended.issued_s.saturating_add(self.leeway_s).saturating_add(1);
                (What::Subject { issuer, id: sub.clone() }, Some(before_s.saturating_mul(1000)))
            }
            (None, None) => return Err(Reason::LogoutTokenInvalid.into()),
        };
        let until_s = ended.issued_s.max(now.unix_ms / 1000).saturating_add(self.lifetimes.absolute_s);
        let mut one = self.revocation(what, before_ms, until_s, now)?;
        one.id = hex(self.logout_key(ended).id().get(..16).unwrap_or_default()).into();
        Ok([one].into())
    }

    fn revocation(&self, what: What, before_ms: Option<u64>, until_s: u64, now: Now) -> Result<Revocation, Refusal> {
        let until_ms = until_s.saturating_add(60).saturating_mul(1000);
        Revocation::new(what, before_ms, until_ms, LOGOUT, now.unix_ms).map_err(|_| Reason::Internal.into())
    }

    /// What a logout token is remembered by: it counts once.
    #[must_use]
    pub fn logout_key(&self, ended: &logout::Ended) -> Key {
        Key::new(Space::Event, &[b"logout", self.issuer.as_bytes(), ended.jti.as_bytes()])
    }

    /// Whether its sessions are in the store.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.store == ir::SessionStore::Server
    }

    /// The session of a request, whatever it is worth now; for a logout.
    ///
    /// # Errors
    /// What the store has to be asked first; or, without a question, `state_unavailable`.
    pub fn open(&self, exchange: &Exchange) -> Result<Option<Session>, Option<Need>> {
        let Some(text) = cookie::read_session(&exchange.request.headers, &self.cookie) else { return Ok(None) };
        let session = match self.place(&text) {
            None if self.is_stored() => None,
            None => self.unseal(&text),
            Some(key) => match exchange.stored(&key) {
                None => return Err(Some(Need::Session(Box::new(Ask::Read(key))))),
                Some(Err(_)) => return Err(None),
                Some(Ok(sealed)) => sealed.as_ref().and_then(|sealed| self.unseal_stored(&key, sealed)),
            },
        };
        Ok(session.filter(|session| authority(exchange).is_ok_and(|host| session.host == host)))
    }

    /// Where the store has the session of a request, if it has it.
    #[must_use]
    pub fn key(&self, exchange: &Exchange) -> Option<Key> {
        self.place(&cookie::read_session(&exchange.request.headers, &self.cookie)?)
    }

    fn unseal(&self, text: &[u8]) -> Option<Session> {
        Session::read(&self.ring.open(&self.bound(Purpose::Session), text)?)
    }

    fn unseal_stored(&self, key: &Key, text: &[u8]) -> Option<Session> {
        let own = self.bound(Purpose::Stored);
        let policy = stored::policy(&own, key);
        Session::read(&self.ring.open(&stored::bound(&own, &policy), text)?)
    }

    /// A session as the store keeps it at this place, and until when, milliseconds since 1970.
    ///
    /// # Errors
    /// `session_too_large`
    pub fn seal_stored(&self, key: &Key, session: &Session, random: &[u8; RANDOM]) -> Result<(Arc<[u8]>, u64), Refusal> {
        let own = self.bound(Purpose::Stored);
        let policy = stored::policy(&own, key);
        let write = |session: &Session| {
            let plain = Zeroizing::new(session.write()?);
            let sealed = self.ring.seal(&stored::bound(&own, &policy), &plain, random)?;
            (sealed.len() <= MAX_VALUE).then(|| sealed.into_bytes().into())
        };
        let until_ms = session.end_s(&self.lifetimes).saturating_add(KEPT_S).saturating_mul(1000);
        // As with cookies: the hint of a logout is what it can do without.
        let value = write(session).or_else(|| write(&Session { id_token: None, ..session.clone() }));
        Ok((value.ok_or(Reason::SessionTooLarge)?, until_ms))
    }

    /// The cookie that gives a browser the handle of its session, for as long as the session can last.
    ///
    /// # Errors
    /// Never: a handle fits into one cookie.
    pub fn hand_over(&self, exchange: &Exchange, session: &Session, handle: &Handle, now: Now) -> Result<Fields, Refusal> {
        let end_s = session.created_s.saturating_add(self.lifetimes.absolute_s);
        let left = end_s.saturating_sub(now.unix_ms / 1000);
        let fields = cookie::write_session(&exchange.request.headers, &self.cookie, &handle.text(), left);
        fields.ok_or_else(|| Reason::SessionTooLarge.into())
    }

    /// The cookies that keep a session.
    ///
    /// # Errors
    /// `session_too_large`
    pub fn keep(&self, exchange: &Exchange, session: &Session, random: &[u8; RANDOM], now: Now) -> Result<Fields, Refusal> {
        let left = session.end_s(&self.lifetimes).saturating_sub(now.unix_ms / 1000);
        let write = |session: &Session| {
            let plain = Zeroizing::new(session.write()?);
            let sealed = self.ring.seal(&self.bound(Purpose::Session), &plain, random)?;
            cookie::write_session(&exchange.request.headers, &self.cookie, &sealed, left)
        };
        if let Some(fields) = write(session) {
            return Ok(fields);
        }
        // The hint of a logout is the one thing that it can do without. The random bytes sealed nothing that was sent.
        let smaller = Session { id_token: None, ..session.clone() };
        write(&smaller).ok_or_else(|| Reason::SessionTooLarge.into())
    }

    /// Takes the session's cookies away.
    #[must_use]
    pub fn clear(&self, exchange: &Exchange) -> Fields {
        cookie::clear_session(&exchange.request.headers, &self.cookie)
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

impl Oidc {
    /// Builds it; an unreachable provider is no error.
    ///
    /// # Errors
    /// What of it can never work.
    pub(super) fn build(spec: &ir::OidcProvider, secrets: &Secrets, shared: &Arc<Shared>) -> Result<Self, String> {
        let named = |error: String| format!("provider `{}`: {error}", spec.name);
        let texts = spec.session.keys.iter().map(|name| {
            let found = secrets.get(name).map(|bytes| bytes.as_slice());
            found.ok_or_else(|| format!("the secret `{name}` was not passed along"))
        });
        let texts: Vec<&[u8]> = texts.collect::<Result<_, _>>().map_err(named)?;
        let ring = KeyRing::new(texts).map_err(named)?;
        let session = &spec.session;
        if session.idle_s == 0 || session.absolute_s < session.idle_s {
            return Err(named("`idle` has to be above 0 and at most `absolute`".to_owned()));
        }
        let algorithms: Vec<Algorithm> = spec.algorithms.iter().filter_map(|name| Algorithm::parse(name)).collect();
        if algorithms.is_empty() || algorithms.len() != spec.algorithms.len() {
            return Err(named(format!("an algorithm is not known; choose among {}", Algorithm::NAMES)));
        }
        let own = OauthClient::certificate(&spec.client, secrets).map_err(named)?;
        let certificate = own.is_some();
        let client = OauthClient::build(&spec.client, secrets).map_err(named)?;
        let issuer: Arc<str> = spec.issuer.as_str().into();
        let loopback = spec.plaintext || crate::outbound::address::names_this_machine(&issuer);
        let transport = Transport::new(spec.ca.as_deref(), own, spec.plaintext, loopback).map_err(named)?;
        let (places, address) = addresses(spec, &transport, certificate, shared).map_err(named)?;
        Ok(Self {
            name: spec.name.as_str().into(),
            client: spec.client.id.as_str().into(),
            scope: spec.scope.as_str().into(),
            parameters: spec.parameters.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect(),
            ring,
            policy: policy(spec),
            store: session.store,
            lifetimes: Lifetimes { idle_s: session.idle_s, absolute_s: session.absolute_s },
            leeway_s: spec.leeway_s,
            keys: Keys::build(&spec.name, &spec.jwks, &issuer, &algorithms, |settings| Keys::fetched(settings, shared))?,
            algorithms,
            mapping: Mapping::new(&spec.name, &spec.claims, &KeyedHash::new(&shared.seed)),
            hash: KeyedHash::new(&shared.seed),
            base: spec.base.as_str().into(),
            after_logout: spec.after_logout.as_str().into(),
            cookie: cookie::session_name(&spec.name).into(),
            places,
            endpoint: Arc::new(TokenEndpoint::new(address, client, Arc::clone(&issuer))),
            issuer,
        })
    }
}

/// Where the endpoints are: given, or said by the provider.
fn addresses(
    spec: &ir::OidcProvider,
    transport: &Arc<Transport>,
    certificate: bool,
    shared: &Arc<Shared>,
) -> Result<(Addresses, Endpoint), String> {
    match (&spec.endpoints, &spec.discovery) {
        (Some(given), None) => {
            let endpoints = Endpoints {
                authorization: given.authorization.as_str().into(),
                end_session: given.end_session.as_deref().map(Into::into),
                names_issuer: given.names_issuer,
            };
            let target = Target::new(&given.token, transport)?.bounded(BOUNDS.0, BOUNDS.1);
            Ok((Addresses::Given(endpoints), Endpoint::Given(Arc::new(target))))
        }
        (None, Some(discovery)) => {
            let discovery = discovery::discovery(discovery, shared)?;
            let (own, way) = (Arc::clone(&discovery), Arc::clone(transport));
            let address = Endpoint::Discovered(Discovered::new(own, way, Which::Token, certificate, BOUNDS));
            Ok((Addresses::Discovered(discovery), address))
        }
        _ => Err("either `endpoints` or `discovery` says where it is".to_owned()),
    }
}

/// What a session stands on: where a person logged in, as which client, and what is read out of the login. A change of it
/// ends all sessions.
fn policy(spec: &ir::OidcProvider) -> [u8; 32] {
    let text = format!("{:?}", (&spec.name, &spec.issuer, &spec.client.id, &spec.scope, &spec.claims, &spec.algorithms));
    sha256(text.as_bytes())
}
