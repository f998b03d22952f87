//! Around logins: what the gateway answers itself under a provider's path, who is sent to log in, and what browsers keep.

use std::sync::Arc;

use crate::exchange::{Answer, Exchange, Need, Now, Once, Principal, Refusal, Step, Use};
use crate::pipeline::{PipelineState, hidden, respond};
use crate::providers::Failure;
use crate::providers::oidc::cookie::Fields;
use crate::providers::oidc::login::{Returned, Wanted};
use crate::providers::oidc::places::Action;
use crate::providers::oidc::query::Parameters;
use crate::providers::oidc::seal::RANDOM;
use crate::providers::oidc::session::Session;
use crate::providers::oidc::stored::{Ask, HANDLE, Handle, WRITES};
use crate::providers::oidc::{Oidc, browser, cookie, grants, logout, tokens};
use crate::reason::Reason;
use crate::revocation::Revocation;
use crate::router::{Match, Wanted as Route};
use crate::snapshot::Snapshot;
use crate::store::Key;

/// Bytes of a list of `acr` values in a request to begin a login.
const ACR_BYTES: usize = 512;
/// The body of a provider's form.
const FORM: Need = Need::Body { limit: 16 * 1024, within_ms: 10_000 };

/// An exchange, and what its steps need.
struct Turn<'a> {
    snapshot: &'a Snapshot,
    state: &'a mut PipelineState,
    exchange: &'a mut Exchange,
    now: Now,
}

/// Answers what is asked of the gateway itself; nothing where a route may take it.
pub(super) fn endpoint(snapshot: &Snapshot, state: &mut PipelineState, exchange: &mut Exchange, now: Now) -> Option<Step> {
    if snapshot.logins.is_empty() {
        return None;
    }
    let (provider, action) = snapshot.logins.find(&exchange.connection.listener, &exchange.host, &exchange.path)?;
    let Some(action) = action else { return Some(Step::Refuse(Reason::RouteNotFound.into())) };
    let (method, allow) = action.method();
    if exchange.request.method != method {
        let refusal = Refusal { allow: Some(allow.into()), ..Reason::MethodNotAllowed.into() };
        return Some(Step::Refuse(refusal));
    }
    let Some(oidc) = find(snapshot, provider) else { return Some(Step::Refuse(Reason::Internal.into())) };
    // The phase may run again after a fact came.
    exchange.sessions_mut().cookies.clear();
    let mut turn = Turn { snapshot, state, exchange, now };
    let done = match action {
        Action::Login => turn.login(provider),
        Action::Callback => turn.callback(provider, oidc),
        Action::Logout => turn.logout(oidc),
        Action::Backchannel => turn.backchannel(provider, oidc),
        Action::Frontchannel => turn.frontchannel(oidc),
    };
    Some(done.unwrap_or_else(|stopped| stopped))
}

fn find(snapshot: &Snapshot, provider: u32) -> Option<&Oidc> {
    snapshot.providers.get(usize::try_from(provider).ok()?)?.oidc()
}

/// What stops a turn early: a refusal, or a fact that is needed first.
type Stopped = Step;

fn stop(refusal: impl Into<Refusal>) -> Stopped {
    Step::Refuse(refusal.into())
}

/// The 401 of a route, or the way to the login page for whoever looks at a page and has no session.
pub(super) fn invite(
    snapshot: &Snapshot,
    state: &mut PipelineState,
    exchange: &mut Exchange,
    providers: &[u32],
    refusal: Refusal,
    now: Now,
) -> Step {
    let Some((provider, oidc)) = providers.iter().find_map(|index| Some((*index, find(snapshot, *index)?))) else {
        return Step::Refuse(refusal);
    };
    let without = match refusal.reason {
        // Of several that have to vouch, another one may be missing.
        Reason::CredentialMissing => !cookie::has_session(&exchange.request.headers, oidc.cookie()),
        Reason::SessionInvalid | Reason::SessionExpired => true,
        _ => false,
    };
    // A way to a login would show that there is something to log in for.
    if !without || !browser::is_navigation(exchange) || hidden::is_hidden(snapshot, exchange) {
        return Step::Refuse(refusal);
    }
    Turn { snapshot, state, exchange, now }.begin_here(provider, &Wanted::default())
}

/// The refusal of a caller who was revoked. A session is over then: its cookie goes, and who looks at a page may log in anew.
pub(super) fn revoked(snapshot: &Snapshot, state: &mut PipelineState, exchange: &mut Exchange, reason: Reason, now: Now) -> Step {
    let revoked = |name: &str| {
        let mut own = exchange.principals().filter(|one| *one.provider == *name);
        own.any(|one| snapshot.revocations.is_revoked(one, now))
    };
    let found = snapshot.providers.iter().zip(0_u32..).find_map(|(provider, index)| {
        let oidc = provider.oidc()?;
        revoked(provider.name()).then_some((index, oidc))
    });
    let Some((provider, oidc)) = found.filter(|_| reason == Reason::TokenRevoked) else { return stop(reason) };
    if let Some(key) = oidc.key(exchange)
        && let Some(asked) = exchange.ask(Need::Session(Box::new(Ask::End(key))))
    {
        return asked;
    }
    let fields = oidc.clear(exchange);
    exchange.sessions_mut().cookies = fields;
    invite(snapshot, state, exchange, &[provider], Reason::SessionExpired.into(), now)
}

/// Whether the caller's login is as sure and as recent as the route demands; a person who looks at a page is sent to one
/// that is.
pub(super) fn assured(snapshot: &Snapshot, state: &mut PipelineState, exchange: &mut Exchange, now: Now) -> Step {
    let Some(assurance) = snapshot.route(exchange.route).and_then(|route| route.assurance.as_ref()) else {
        return Step::Continue;
    };
    let Err(refusal) = sure(snapshot, exchange, now) else { return Step::Continue };
    let wanted = &assurance.wanted;
    match exchange.principal.as_deref().and_then(|principal| session(snapshot, principal)) {
        Some((provider, _)) if browser::is_navigation(exchange) && !hidden::is_hidden(snapshot, exchange) => {
            Turn { snapshot, state, exchange, now }.begin_here(provider, wanted)
        }
        _ => Step::Refuse(refusal),
    }
}

/// The provider of a caller's session and its leeway, where a login vouched for the caller.
fn session(snapshot: &Snapshot, principal: &Principal) -> Option<(u32, u64)> {
    snapshot.providers.iter().zip(0_u32..).find_map(|(provider, index)| {
        let own = *provider.name() == principal.provider;
        provider.oidc().filter(|_| own).map(|oidc| (index, oidc.leeway_s()))
    })
}

/// Whether the login is as sure and as recent as the route wants it.
///
/// # Errors
/// `insufficient_user_authentication`
pub(super) fn sure(snapshot: &Snapshot, exchange: &Exchange, now: Now) -> Result<(), Refusal> {
    let Some(assurance) = snapshot.route(exchange.route).and_then(|route| route.assurance.as_ref()) else { return Ok(()) };
    let principal = exchange.principal.as_deref().ok_or(Reason::Internal)?;
    let leeway_s = session(snapshot, principal).map_or(30, |(_, leeway_s)| leeway_s);
    let (acr, at) = (principal.assurance.as_deref(), principal.authenticated_s);
    let insufficient = |refusal| Refusal { assurance: Some(Arc::clone(&assurance.challenge)), ..refusal };
    tokens::assured(&assurance.wanted, acr, at, now.unix_ms / 1000, leeway_s).map_err(insufficient)
}

/// Gives the browser its session anew, or the store, where authenticate said so.
pub(super) fn renew(snapshot: &Snapshot, state: &mut PipelineState, exchange: &mut Exchange, now: Now) -> Step {
    let Some((provider, session)) = exchange.sessions.as_mut().and_then(|sessions| sessions.renewed.take()) else {
        return Step::Continue;
    };
    let Some(oidc) = find(snapshot, provider) else { return stop(Reason::Internal) };
    let Some(random) = state.random.bytes() else { return stop(Reason::Internal) };
    if let Some(key) = oidc.key(exchange) {
        return write(oidc, exchange, key, &session, &random).unwrap_or_else(|stopped| stopped);
    }
    match oidc.keep(exchange, &session, &random, now) {
        Ok(fields) => {
            exchange.sessions_mut().cookies.extend(fields);
            Step::Continue
        }
        Err(refusal) => Step::Refuse(refusal),
    }
}

/// Has the store take a session in place of the one that was read; what is there then is looked at anew.
fn write(oidc: &Oidc, exchange: &mut Exchange, key: Key, session: &Session, random: &[u8; RANDOM]) -> Result<Step, Stopped> {
    let Some(Ok(Some(read))) = exchange.stored(&key).cloned() else { return Err(stop(Reason::StateUnavailable)) };
    let (value, until_ms) = oidc.seal_stored(&key, session, random).map_err(stop)?;
    let writes = &mut exchange.sessions_mut().writes;
    *writes = writes.saturating_add(1);
    if *writes > WRITES {
        return Err(stop(Reason::StateUnavailable));
    }
    // Who it is, and whether it is anybody, is read anew out of what is there then.
    exchange.principal = None;
    exchange.vouched.clear();
    let need = Need::Session(Box::new(Ask::Replace { key, read, value, until_ms }));
    exchange.ask(need).ok_or_else(|| stop(Reason::StateUnavailable))
}

impl Turn<'_> {
    /// Sends the browser to log in, and back to what it asks for now.
    fn begin_here(mut self, provider: u32, wanted: &Wanted) -> Step {
        let target = String::from_utf8_lossy(&self.exchange.request.target).into_owned();
        self.begin(provider, &target, wanted).unwrap_or_else(|stopped| stopped)
    }

    fn begin(&mut self, provider: u32, return_to: &str, wanted: &Wanted) -> Result<Step, Stopped> {
        let oidc = find(self.snapshot, provider).ok_or_else(|| stop(Reason::Internal))?;
        let random = self.state.random.bytes().ok_or_else(|| stop(Reason::Internal))?;
        let begun = oidc.begin(self.exchange, return_to, wanted, &random, self.now);
        let begun = begun.map_err(|refusal| self.without_metadata(provider, refusal))?;
        self.exchange.sessions_mut().cookies.extend(begun.cookies);
        Ok(self.redirect(302, &begun.location))
    }

    /// Asks for the provider's metadata where it is what is missing.
    fn without_metadata(&mut self, provider: u32, refusal: Refusal) -> Stopped {
        match refusal.reason {
            Reason::IdentityProviderUnavailable => self.need(Need::Metadata { provider }, refusal),
            _ => Step::Refuse(refusal),
        }
    }

    fn need(&mut self, need: Need, refusal: Refusal) -> Stopped {
        self.exchange.ask(need).unwrap_or(Step::Refuse(refusal))
    }

    fn redirect(&mut self, status: u16, location: &str) -> Step {
        let fields = [("location", location), ("cache-control", "no-store"), ("referrer-policy", "no-referrer")];
        self.answer(status, &fields)
    }

    fn answer(&mut self, status: u16, fields: &[(&str, &str)]) -> Step {
        let headers = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut answer = Answer { status, headers, body: [].into() };
        respond::own(&mut answer, self.snapshot, self.exchange);
        Step::Answer(answer)
    }

    /// Begins a login for whoever asks, with `return_to`, `acr_values` and `max_age`.
    fn login(&mut self, provider: u32) -> Result<Step, Stopped> {
        let bad = |detail: &str| stop(Refusal { detail: Some(detail.into()), ..Reason::MalformedRequest.into() });
        let query = Parameters::read(self.exchange.query()).ok_or_else(|| bad("the query cannot be read"))?;
        let one = |name| query.one(name).map_err(|_| bad("a parameter stands twice"));
        let return_to = one("return_to")?.unwrap_or("/");
        if return_to != "/" && !self.is_own(return_to) {
            return Err(bad("`return_to` is no path of a route of this host"));
        }
        let acr = one("acr_values")?.unwrap_or_default();
        if acr.len() > ACR_BYTES || !acr.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err(bad("`acr_values` cannot be read"));
        }
        let max_age_s =
            one("max_age")?.map(str::parse::<u32>).transpose().map_err(|_| bad("`max_age` is not a number of seconds"))?;
        let acr = acr.split(' ').filter(|one| !one.is_empty()).map(Into::into).collect();
        self.begin(provider, return_to, &Wanted { acr, max_age_s: max_age_s.map(u64::from) })
    }

    /// Whether a path and query lead to a route of this listener and host that everyone may know of: nothing else is ever
    /// returned to.
    fn is_own(&self, target: &str) -> bool {
        let mut path = crate::path::CanonicalPath::default();
        let (raw, query) = target.split_once('?').unwrap_or((target, ""));
        let visible = target.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'#');
        if !visible || raw.starts_with("//") || path.parse_into(raw.as_bytes()).is_err() {
            return false;
        }
        let wanted = Route {
            host: &self.exchange.host,
            path: &path,
            method: &crate::exchange::Method::Get,
            headers: &self.exchange.request.headers,
            query: query.as_bytes(),
            recorded: None,
        };
        let listener = &self.exchange.connection.listener;
        matches!(self.snapshot.router.find_shown(listener, wanted, &mut Default::default()), Match::Found(_))
    }

    /// The provider sent the browser back: the code becomes tokens, and these a session.
    fn callback(&mut self, provider: u32, oidc: &Oidc) -> Result<Step, Stopped> {
        let returned = oidc.returned(self.exchange, self.now);
        let returned = returned.map_err(|refusal| self.without_metadata(provider, refusal))?;
        self.exchange.sessions_mut().cookies.push(returned.clear.clone());
        if let Some(begun) = self.exchange.sessions_mut().begun.take() {
            return self.begun(oidc, &returned, *begun);
        }
        let code = returned.code.clone().map_err(stop)?;
        let grant = oidc.grant(self.exchange, &returned.pending, &code).map_err(stop)?;
        let body = match self.exchange.tokens(provider, &grant) {
            None => {
                return Err(
                    self.need(Need::Tokens { provider, grant: Box::new(grant) }, Reason::IdentityProviderUnavailable.into())
                );
            }
            Some(Err(grants::Failure::Unavailable(_))) => return Err(stop(Reason::IdentityProviderUnavailable)),
            Some(Err(grants::Failure::Refused(error))) => {
                let detail = format!("the identity provider does not take the code: `{error}`");
                return Err(stop(Refusal { detail: Some(detail.into()), ..Reason::LoginFailed.into() }));
            }
            Some(Ok(body)) => Arc::clone(body),
        };
        let random =
            self.state.random.bytes::<{ crate::providers::oidc::SESSION_RANDOM }>().ok_or_else(|| stop(Reason::Internal))?;
        let (id, rest) = random.split_first_chunk::<16>().ok_or_else(|| stop(Reason::Internal))?;
        let (handle, seal) = rest.split_first_chunk::<HANDLE>().ok_or_else(|| stop(Reason::Internal))?;
        let seal = seal.try_into().map_err(|_| stop(Reason::Internal))?;
        let session = oidc.establish(self.exchange, &returned.pending, &code, &body, id, self.now);
        let session = session.map_err(|failure| match failure {
            Failure::Refused(refusal) => Step::Refuse(refusal),
            Failure::KeysNeeded(refusal) => self.need(Need::Keys { provider }, refusal),
        })?;
        if oidc.is_stored() {
            return self.store(oidc, session, Handle::new(*handle), seal);
        }
        let fields = oidc.keep(self.exchange, &session, seal, self.now).map_err(stop)?;
        self.arrive(oidc, &returned, &session, fields)
    }

    /// Back to the page that the login began at.
    fn arrive(&mut self, oidc: &Oidc, returned: &Returned, session: &Session, fields: Fields) -> Result<Step, Stopped> {
        self.exchange.sessions_mut().cookies.extend(fields);
        self.exchange.principal = oidc.principal(session);
        Ok(self.redirect(303, &returned.pending.return_to))
    }

    /// Has the store take a new session; the browser's one of before goes.
    fn store(&mut self, oidc: &Oidc, session: Session, handle: Handle, random: &[u8; RANDOM]) -> Result<Step, Stopped> {
        let key = handle.key(oidc.name());
        let (value, until_ms) = oidc.seal_stored(&key, &session, random).map_err(stop)?;
        let before = oidc.key(self.exchange);
        self.exchange.sessions_mut().begun = Some(Box::new((session, handle)));
        let need = Need::Session(Box::new(Ask::Begin { key, value, until_ms, before }));
        Err(self.need(need, Reason::StateUnavailable.into()))
    }

    /// The store has it, or the login ended in nothing.
    fn begun(&mut self, oidc: &Oidc, returned: &Returned, begun: (Session, Handle)) -> Result<Step, Stopped> {
        let (session, handle) = begun;
        let Some(Ok(Some(_))) = self.exchange.stored(&handle.key(oidc.name())) else {
            return Err(stop(Reason::StateUnavailable));
        };
        let fields = oidc.hand_over(self.exchange, &session, &handle, self.now).map_err(stop)?;
        self.arrive(oidc, returned, &session, fields)
    }

    /// The session of the request, as it was before this turn ended it.
    fn ending(&mut self, oidc: &Oidc) -> Result<Option<Session>, Stopped> {
        if let Some(found) = self.exchange.sessions_mut().ending.clone() {
            return Ok(found.map(|session| *session));
        }
        let found = oidc.open(self.exchange).map_err(|need| match need {
            Some(need) => self.need(need, Reason::StateUnavailable.into()),
            None => stop(Reason::StateUnavailable),
        })?;
        self.exchange.sessions_mut().ending = Some(found.clone().map(Box::new));
        Ok(found)
    }

    /// Ends a session: everywhere at once, and then in the store.
    fn end(&mut self, oidc: &Oidc, session: &Session) -> Result<(), Stopped> {
        let over = oidc.over(session, self.now).map_err(stop)?;
        self.revoke(over)?;
        let Some(key) = oidc.key(self.exchange) else { return Ok(()) };
        if let Some(asked) = self.exchange.ask(Need::Session(Box::new(Ask::End(key)))) {
            return Err(asked);
        }
        match self.exchange.stored(&key) {
            Some(Ok(None)) => Ok(()),
            _ => Err(stop(Reason::StateUnavailable)),
        }
    }

    /// Ends the session here, and sends a person on to end it at the provider.
    fn logout(&mut self, oidc: &Oidc) -> Result<Step, Stopped> {
        if !browser::is_same_origin(self.exchange) {
            return Err(stop(Reason::CsrfRefused));
        }
        let session = self.ending(oidc)?;
        if let Some(session) = &session {
            self.end(oidc, session)?;
        }
        // Not before: whoever is told that it failed can ask again.
        let fields = oidc.clear(self.exchange);
        self.exchange.sessions_mut().cookies.extend(fields);
        if !browser::is_page(self.exchange) {
            return Ok(self.answer(204, &[("cache-control", "no-store")]));
        }
        let location = oidc.logout_location(self.exchange, session.as_ref());
        Ok(self.redirect(303, &location))
    }

    /// Has it revoked, on every instance; refuses where that is not acknowledged.
    fn revoke(&mut self, over: Box<[Revocation]>) -> Result<(), Stopped> {
        match self.exchange.revoked {
            Some(true) => Ok(()),
            Some(false) => Err(stop(Reason::StateUnavailable)),
            None => Err(self.need(Need::Revoke(over), Reason::StateUnavailable.into())),
        }
    }

    /// The provider says that sessions are over.
    fn backchannel(&mut self, provider: u32, oidc: &Oidc) -> Result<Step, Stopped> {
        let Some(body) = self.exchange.held() else {
            let refusal = Refusal { detail: Some("the form did not arrive".into()), ..Reason::LogoutTokenInvalid.into() };
            return Err(self.need(FORM, refusal));
        };
        let token = logout::token_of(body).map_err(stop)?;
        let ended = oidc.told(&token, self.now).map_err(|failure| match failure {
            Failure::Refused(refusal) => Step::Refuse(refusal),
            Failure::KeysNeeded(refusal) => self.need(Need::Keys { provider }, refusal),
        })?;
        let over = oidc.ended(&ended, self.now).map_err(stop)?;
        // First, so that a token of which nothing came can be sent again.
        self.revoke(over)?;
        let key = oidc.logout_key(&ended);
        match self.exchange.use_of(&key) {
            Some(Use::New) => Ok(self.answer(200, &[("cache-control", "no-store")])),
            Some(Use::Again) => {
                Err(stop(Refusal { detail: Some("it was used already".into()), ..Reason::LogoutTokenInvalid.into() }))
            }
            Some(Use::Unknown) => Err(stop(Reason::StateUnavailable)),
            None => {
                let once = Need::Unused(Box::new(Once { key, until_ms: ended.until_ms }));
                Err(self.need(once, Reason::StateUnavailable.into()))
            }
        }
    }

    /// The provider has this browser say that its session is over. Without that session it says nothing.
    fn frontchannel(&mut self, oidc: &Oidc) -> Result<Step, Stopped> {
        let session = self.ending(oidc)?;
        if let Some(session) = session.filter(|session| logout::is_about(self.exchange.query(), oidc.issuer(), session)) {
            self.end(oidc, &session)?;
            let fields = oidc.clear(self.exchange);
            self.exchange.sessions_mut().cookies.extend(fields);
        }
        Ok(self.answer(200, &[("cache-control", "no-store")]))
    }
}
