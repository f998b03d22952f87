//! People in browsers: login at an OpenID provider (code flow with PKCE), and a session in a sealed cookie.
//!
//! Nothing is remembered for a login under way: all of it is sealed into a cookie of the browser that began it
//! ([`login`]), and so is the session that it ends in ([`session`]). So any instance with the keys serves any browser.

pub mod browser;
pub mod cookie;
pub mod grants;
pub mod login;
pub mod logout;
pub mod places;
pub mod query;
pub mod seal;
pub mod session;
pub mod state;
pub mod token;
pub mod tokens;

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::claims::Mapping;
use super::discovery::{self, Discovery};
use super::jwk::{Algorithm, sha256};
use super::jwt::{Failure, Keys, Unverified};
use super::refuse;
use super::verdict::{Credential, Verdict, VerdictCache};
use crate::exchange::{Exchange, Need, Now, Principal, Refusal, Upgrade};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir;
use crate::outbound::{OauthClient, Target, Transport};
use crate::reason::Reason;
use crate::revocation::{Revocation, What, hex};
use crate::shared::Shared;
use crate::snapshot::Secrets;
use crate::store::{Key, Space};
use cookie::Fields;
use grants::{Address, Failure as NoTokens, Grant, Outcome, TokenEndpoint};
use login::{BEGIN_RANDOM, Begun, Client, Pending, Start, Wanted};
use seal::{Bound, KeyRing, Purpose, RANDOM};
use session::{Lifetimes, Session, Standing, Who};
use token::Token;
use tokens::{Expected, Tokens};

/// Random bytes of a session's name.
const ID: usize = 16;
/// Random bytes that a new session takes.
pub const SESSION_RANDOM: usize = ID + RANDOM;

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
        Revocation::new(what, before_ms, until_ms, "logout", now.unix_ms).map_err(|_| Reason::Internal.into())
    }

    /// What a logout token is remembered by: it counts once.
    #[must_use]
    pub fn logout_key(&self, ended: &logout::Ended) -> Key {
        Key::new(Space::Event, &[b"logout", self.issuer.as_bytes(), ended.jti.as_bytes()])
    }

    /// The session of a request, whatever it is worth now; for a logout.
    #[must_use]
    pub fn open(&self, exchange: &Exchange) -> Option<Session> {
        let text = cookie::read_session(&exchange.request.headers, &self.cookie)?;
        let session = Session::read(&self.ring.open(&self.bound(Purpose::Session), &text)?)?;
        (session.host == authority(exchange).ok()?).then_some(session)
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

    /// The caller that the session cookie of a request stands for. `provider` is the index of this provider,
    /// `identity` that of its configuration.
    pub fn caller(&self, provider: u32, identity: u128, exchange: &Exchange, verdicts: &mut VerdictCache, now: Now) -> Found {
        let refused = |reason: Reason, clear| Found::Refused(reason.into(), clear);
        if self.forged(exchange) {
            return refused(Reason::CsrfRefused, false);
        }
        let Some(text) = cookie::read_session(&exchange.request.headers, &self.cookie) else {
            return refused(Reason::SessionInvalid, false);
        };
        let Ok(host) = authority(exchange) else { return refused(Reason::HostInvalid, false) };
        let credential = Credential { digest: sha256(&[host.as_bytes(), b"\0", &text].concat()), provider: identity };
        let now_s = now.unix_ms / 1000;
        if let Some(principal) = verdicts.get(&credential, 0, now) {
            return Found::Caller(principal, None);
        }
        let opened = self.ring.open(&self.bound(Purpose::Session), &text).and_then(|plain| Session::read(&plain));
        let Some(session) = opened.filter(|session| session.host == host) else {
            return refused(Reason::SessionInvalid, false);
        };
        match session.standing(&self.lifetimes, now_s) {
            Standing::Ended => refused(Reason::SessionExpired, true),
            Standing::Live { until_s } => match self.principal(&session) {
                None => refused(Reason::SessionInvalid, false),
                Some(principal) => {
                    let until_ms = until_s.saturating_mul(1000);
                    let verdict = Verdict { principal: Rc::clone(&principal), trust_revision: 0, from_ms: 0, until_ms };
                    verdicts.insert(credential, verdict);
                    Found::Caller(principal, None)
                }
            },
            Standing::Renew => self.renewed(Session { seen_s: now_s, ..session }),
            Standing::Refresh { until_s } => {
                let Some(token) = session.refresh.clone() else { return refused(Reason::Internal, false) };
                let grant = Grant::Refresh(token);
                match exchange.tokens(provider, &grant) {
                    Some(outcome) => self.refresh(provider, &session, outcome, until_s, now),
                    // Asked for once, and not answered in time.
                    None if exchange.was_asked(&Need::Tokens { provider, grant: Box::new(grant.clone()) }) => {
                        self.refresh(provider, &session, &Err(NoTokens::Unavailable("no answer in time".into())), until_s, now)
                    }
                    None => Found::Needs(
                        Need::Tokens { provider, grant: Box::new(grant) },
                        Reason::IdentityProviderUnavailable.into(),
                    ),
                }
            }
        }
    }

    /// What a session is after its refresh, or after the attempt.
    fn refresh(&self, provider: u32, session: &Session, outcome: &Outcome, until_s: u64, now: Now) -> Found {
        let now_s = now.unix_ms / 1000;
        let fresh = match outcome {
            Ok(body) => self.merged(session, body, now),
            Err(NoTokens::Refused(_)) => Err(Refusal::from(Reason::SessionExpired).into()),
            Err(NoTokens::Unavailable(_)) => Err(Refusal::from(Reason::IdentityProviderUnavailable).into()),
        };
        match fresh {
            Ok(session) => self.renewed(session),
            Err(Failure::KeysNeeded(refusal)) => Found::Needs(Need::Keys { provider }, refusal),
            // To the end of its access, and no longer; nothing is remembered, so that it is tried again.
            Err(Failure::Refused(_)) if now_s < until_s => self.lasting(session),
            Err(Failure::Refused(refusal)) => {
                let over = refusal.reason != Reason::IdentityProviderUnavailable;
                let reason = if over { Reason::SessionExpired } else { refusal.reason };
                Found::Refused(Refusal { reason, ..refusal }, over)
            }
        }
    }

    /// A session with fresh tokens (OpenID Connect Core section 12.2).
    fn merged(&self, session: &Session, body: &[u8], now: Now) -> Result<Session, Failure> {
        let tokens = Tokens::read(body)?;
        let now_s = now.unix_ms / 1000;
        let mut who = session.who.clone();
        if let Some(id_token) = &tokens.id_token {
            who = self.identify(id_token, &tokens, None, None, &Wanted::default(), now)?;
            let moved = who.auth_time.is_some() && session.who.auth_time.is_some() && who.auth_time != session.who.auth_time;
            if who.subject != session.who.subject || moved {
                return Err(refuse(Reason::LoginFailed, "the fresh ID token is another login's").into());
            }
            // What says how the person logged in, and in which session, does not change by a refresh.
            who.sid = who.sid.or_else(|| session.who.sid.clone());
            who.acr = session.who.acr.clone();
            who.auth_time = session.who.auth_time;
        }
        let refresh = tokens.refresh_token.clone().or_else(|| session.refresh.clone());
        Ok(Session {
            seen_s: now_s,
            access_s: tokens.expires_in.map(|seconds| (now_s, now_s.saturating_add(seconds))),
            refresh,
            id_token: tokens.id_token.clone().or_else(|| session.id_token.clone()),
            who,
            ..session.clone()
        })
    }

    fn renewed(&self, session: Session) -> Found {
        match self.principal(&session) {
            Some(principal) => Found::Caller(principal, Some(Box::new(session))),
            None => Found::Refused(Reason::SessionInvalid.into(), false),
        }
    }

    fn lasting(&self, session: &Session) -> Found {
        match self.principal(session) {
            Some(principal) => Found::Caller(principal, None),
            None => Found::Refused(Reason::SessionInvalid.into(), false),
        }
    }

    /// The caller that a session stands for.
    #[must_use]
    pub fn principal(&self, session: &Session) -> Option<Rc<Principal>> {
        session.principal(&self.name, &self.issuer, &self.hash, &self.lifetimes).map(Rc::new)
    }

    /// Whether a request may have been sent by a foreign page, with the cookie that the browser adds by itself.
    fn forged(&self, exchange: &Exchange) -> bool {
        if exchange.upgrade != Upgrade::None {
            // From which origins is decided with the route; a page of another site never with a session.
            return exchange.request.headers.named(b"sec-fetch-site").any(|site| site == b"cross-site")
                || exchange.request.headers.get(crate::headers::Known::Origin).is_none();
        }
        !browser::is_safe(&exchange.request.method) && !browser::is_same_origin(exchange)
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
) -> Result<(Addresses, Address), String> {
    match (&spec.endpoints, &spec.discovery) {
        (Some(given), None) => {
            let endpoints = Endpoints {
                authorization: given.authorization.as_str().into(),
                end_session: given.end_session.as_deref().map(Into::into),
                names_issuer: given.names_issuer,
            };
            let target = Address::bounded(Target::new(&given.token, transport)?);
            Ok((Addresses::Given(endpoints), Address::Given(target)))
        }
        (None, Some(discovery)) => {
            let discovery = discovery::discovery(discovery, shared)?;
            let address = Address::Discovered {
                discovery: Arc::clone(&discovery),
                transport: Arc::clone(transport),
                last: Mutex::default(),
                certificate,
            };
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
