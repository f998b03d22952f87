//! One service's tokens: kept until shortly before they end, asked for once at a time, within bounds.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::answer::{self, Denied};
use super::{Failure, Outcome, Token};
use crate::ir::{self, TokenGrant};
use crate::outbound::{Circuit, Fault, Flights, Form, Halves, Limits, OauthClient};
use crate::providers::discovery::discovery;
use crate::providers::endpoint::{Endpoint, Which};
use crate::providers::jwk::sha256;
use crate::providers::verdict::DigestHasher;
use crate::shared::{Counter, Shared};
use crate::snapshot::Secrets;

/// Tokens of one service that are kept at most, about 2 KiB each.
const ENTRIES: usize = 10_000;
/// How long a refusal counts: who asks again and again does not ask the endpoint.
const REFUSED: Duration = Duration::from_secs(5);
/// No longer than this a token is kept, whatever its lifetime.
const LONGEST: Duration = Duration::from_secs(86_400);
const ANSWER_BYTES: usize = 64 * 1024;
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// SHA-256 of the caller's token; zeros where the caller does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Caller([u8; 32]);

impl std::hash::Hash for Caller {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

#[derive(Debug)]
enum Kept {
    Token(Arc<Token>, Instant),
    Refused(Instant),
    /// The service refused the last one.
    Dropped,
}

/// What is counted of a source.
#[derive(Debug, Default)]
pub struct Counts {
    /// Tokens that were issued.
    pub issued: Counter,
    /// Requests that were given a token that was there.
    pub cached: Counter,
    /// Requests for tokens that failed.
    pub failed: Counter,
    /// Requests for tokens that the endpoint refused, or answered with something unusable.
    pub refused: Counter,
    /// Tokens dropped because the service refused them.
    pub dropped: Counter,
}

/// Sources by everything that is configured about them; each lives as long as a configuration uses it.
#[derive(Debug, Default)]
pub struct Registry(Mutex<HashMap<[u8; 32], Weak<TokenSource>>>);

/// One service's tokens.
pub struct TokenSource {
    /// The service.
    pub service: Arc<str>,
    spec: ir::ServiceToken,
    endpoint: Endpoint,
    /// `aud` of assertions: the issuer, or the endpoint where none is known.
    audience: Box<str>,
    client: OauthClient,
    limits: Limits,
    circuit: Circuit,
    flights: Arc<Flights<Caller, Outcome>>,
    kept: Mutex<Halves<Caller, Kept, BuildHasherDefault<DigestHasher>>>,
    runtime: Handle,
    shared: Weak<Shared>,
    /// What is counted of it.
    pub counts: Counts,
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource").field("service", &self.service).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Registry {
    /// Finds a source, or makes it. Nothing is asked yet.
    ///
    /// # Errors
    /// An address, a key or a certificate that cannot be used.
    pub fn source(
        &self,
        service: &str,
        spec: &ir::ServiceToken,
        secrets: &Secrets,
        shared: &Arc<Shared>,
    ) -> Result<Arc<TokenSource>, String> {
        let mut text = format!("{:?}", (service, spec)).into_bytes();
        for secret in spec.client.secrets() {
            text.extend_from_slice(&sha256(secrets.get(secret).map(|bytes| bytes.as_slice()).unwrap_or_default()));
        }
        let identity = sha256(&text);
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(&identity).and_then(Weak::upgrade) {
            return Ok(source);
        }
        let own = OauthClient::certificate(&spec.client, secrets)?;
        let number = |figure: u32| usize::try_from(figure).unwrap_or(usize::MAX);
        let bounds = (number(spec.concurrency), number(spec.queue));
        let (endpoint, url) = match (&spec.endpoint, &spec.discovery) {
            (Some(given), None) => (Endpoint::given(given, &given.url, own, Which::Token, bounds)?, given.url.as_str()),
            (None, Some(said)) => {
                (Endpoint::discovered(said, discovery(said, shared)?, own, Which::Token, bounds)?, said.issuer.as_str())
            }
            _ => return Err("either an address or the issuer's metadata says where its token is got".to_owned()),
        };
        let source = Arc::new(TokenSource {
            service: service.into(),
            endpoint,
            audience: spec.issuer.as_deref().unwrap_or(url).into(),
            client: OauthClient::build(&spec.client, secrets)?,
            limits: Limits { time: Duration::from_millis(spec.timeout_ms), bytes: ANSWER_BYTES },
            spec: spec.clone(),
            circuit: Circuit::default(),
            flights: Arc::default(),
            kept: Mutex::default(),
            runtime: shared.service_runtime.clone(),
            shared: Arc::downgrade(shared),
            counts: Counts::default(),
        });
        sources.retain(|_, source| source.strong_count() > 0);
        sources.insert(identity, Arc::downgrade(&source));
        Ok(source)
    }

    /// Those in use, for metrics; one for each service.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<TokenSource>> {
        let mut found: Vec<_> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect();
        found.sort_by(|one, other| one.service.cmp(&other.service));
        found.dedup_by(|next, kept| next.service == kept.service);
        found
    }
}

impl TokenSource {
    /// Which grant.
    #[must_use]
    pub fn grant(&self) -> TokenGrant {
        self.spec.grant
    }

    fn caller(&self, subject: Option<&str>) -> Caller {
        match self.spec.grant {
            TokenGrant::ClientCredentials => Caller([0; 32]),
            TokenGrant::TokenExchange => Caller(sha256(subject.unwrap_or_default().as_bytes())),
        }
    }

    /// What is there for a caller with this token.
    #[must_use]
    pub fn known(&self, subject: Option<&str>) -> Option<Outcome> {
        let caller = self.caller(subject);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get(&caller)? {
            Kept::Token(token, until) if *until > Instant::now() => {
                self.counts.cached.increment();
                Some(Ok(Arc::clone(token)))
            }
            Kept::Refused(until) if *until > Instant::now() => Some(Err(Failure::Refused)),
            _ => None,
        }
    }

    /// Gets a token, or joins a request for it. It is kept at most until the caller's credential ends (milliseconds since
    /// 1970).
    pub fn ask(
        self: &Arc<Self>,
        subject: Option<&str>,
        caller_ends_ms: Option<u64>,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let caller = self.caller(subject);
        let (source, subject) = (Arc::clone(self), subject.map(|token| Zeroizing::new(token.to_owned())));
        async move {
            let (flights, runtime) = (Arc::clone(&source.flights), source.runtime.clone());
            let now = Instant::now();
            let begin = || async move { source.fly(caller, subject.as_ref().map(|token| token.as_str()), caller_ends_ms).await };
            let any = now.checked_sub(LONGEST).unwrap_or(now);
            flights.join(caller, any, &runtime, begin).await.unwrap_or(Err(Failure::Unavailable(None)))
        }
    }

    /// The service answered 401 to a token: another one is got for the next request, once.
    pub fn rejected(&self, token: &Arc<Token>) {
        let caller = Caller(token.caller);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let current = matches!(kept.get(&caller), Some(Kept::Token(known, _)) if Arc::ptr_eq(known, token));
        if current && !token.replacement {
            kept.insert(caller, Kept::Dropped, 0, ENTRIES);
            self.counts.dropped.increment();
        }
    }

    async fn fly(&self, caller: Caller, subject: Option<&str>, caller_ends_ms: Option<u64>) -> Outcome {
        let pass = self.circuit.enter().map_err(|rest| Failure::Unavailable(Some(rest)))?;
        let asked = Instant::now();
        let denied = match self.exchange(subject).await {
            Ok(issued) => {
                pass.succeeded();
                self.counts.issued.increment();
                return Ok(self.keep(caller, issued, asked, caller_ends_ms));
            }
            Err(denied) => denied,
        };
        let (cause, error) = match denied {
            Denied::Failed(Fault::Busy) => {
                pass.withdraw();
                self.counts.failed.increment();
                return Err(Failure::Unavailable(None));
            }
            Denied::Failed(fault) => {
                drop(pass);
                self.counts.failed.increment();
                self.tell(fault.code(), &fault.to_string());
                return Err(Failure::Unavailable(None));
            }
            Denied::Refused(code) => ("refused", format!("answered `{code}`")),
            Denied::Unusable(what) => ("unusable", format!("the answer {what}")),
        };
        pass.succeeded();
        self.counts.refused.increment();
        self.tell(cause, &error);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(caller, Kept::Refused(Instant::now() + REFUSED), 0, ENTRIES);
        Err(Failure::Refused)
    }

    async fn exchange(&self, subject: Option<&str>) -> Result<answer::Issued, Denied> {
        let mut form = match self.spec.grant {
            TokenGrant::ClientCredentials => Form::default().with("grant_type", "client_credentials"),
            TokenGrant::TokenExchange => Form::default()
                .with("grant_type", EXCHANGE)
                .with("subject_token", subject.unwrap_or_default())
                .with("subject_token_type", ACCESS_TOKEN)
                .with("requested_token_type", ACCESS_TOKEN),
        };
        for audience in &self.spec.audiences {
            form.push("audience", audience.as_str());
        }
        for resource in &self.spec.resources {
            form.push("resource", resource.as_str());
        }
        if !self.spec.scopes.is_empty() {
            form.push("scope", self.spec.scopes.join(" "));
        }
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let request = self.client.post(form, &self.audience, now_s).map_err(Denied::Failed)?;
        let target = self.endpoint.target().await.map_err(Denied::Failed)?;
        let response = target.send(&request, self.limits).await.map_err(Denied::Failed)?;
        answer::read(&response, self.spec.grant)
    }

    /// Keeps a token for as long as it may be used: not up to its end, nor beyond the caller's credential.
    fn keep(&self, caller: Caller, issued: answer::Issued, asked: Instant, caller_ends_ms: Option<u64>) -> Arc<Token> {
        let bytes = issued.authorization.len();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let replacement = matches!(kept.remove(&caller), Some(Kept::Dropped));
        let token = Arc::new(Token { caller: caller.0, authorization: issued.authorization, replacement });
        let margin = Duration::from_millis(self.spec.margin_ms);
        let mut span = issued.lifetime.unwrap_or_default().saturating_sub(margin).min(LONGEST);
        if let Some(ends_ms) = caller_ends_ms.filter(|_| self.spec.grant == TokenGrant::TokenExchange) {
            let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let rest = ends_ms.saturating_sub(u64::try_from(now_ms).unwrap_or(u64::MAX));
            span = span.min(Duration::from_millis(rest));
        }
        if !span.is_zero() {
            kept.insert(caller, Kept::Token(Arc::clone(&token), asked + span), bytes, ENTRIES);
        }
        token
    }

    fn tell(&self, cause: &str, error: &str) {
        if let Some(shared) = self.shared.upgrade() {
            shared.events.push(
                "warning",
                "service_token_failed",
                &[("service", &self.service), ("cause", cause), ("error", error)],
            );
        }
    }

    /// Whether the endpoint is left alone now.
    #[must_use]
    pub fn is_left_alone(&self) -> bool {
        self.circuit.is_open()
    }

    /// Tokens and refusals that are kept.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
