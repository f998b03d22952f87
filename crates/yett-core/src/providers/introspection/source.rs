//! One introspection endpoint (RFC 7662): asked once for each token at a time, within bounds, left alone while it fails.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::answers::{Answer, Answers, Question, Said};
use crate::exchange::Refusal;
use crate::ir;
use crate::outbound::{Circuit, Fault, Flights, Form, Limits, OauthClient};
use crate::providers::discovery::Discovery;
use crate::providers::endpoint::{Endpoint, Which};
use crate::providers::jwk::sha256;
use crate::reason::Reason;
use crate::shared::Counter;
use crate::snapshot::Secrets;

/// Bytes of an answer at most.
const ANSWER_BYTES: usize = 64 * 1024;
/// No question takes longer, whatever is configured.
const LONGEST: Duration = Duration::from_secs(30);

/// Where failures are reported: level, event, fields.
pub(in crate::providers) type Sink = Arc<dyn Fn(&'static str, &'static str, &[(&'static str, &str)]) + Send + Sync>;

/// A question without an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unanswered {
    /// For how long the endpoint is left alone; nothing where it was asked, and failed.
    pub retry_after: Option<Duration>,
}

impl Unanswered {
    /// What the client is told.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let mut refusal = Refusal::from(Reason::IdentityProviderUnavailable);
        refusal.retry_after_s = self.retry_after.map(|rest| Refusal::pause(rest.as_secs().saturating_add(1)));
        refusal
    }
}

/// What is counted of a source.
#[derive(Debug, Default)]
pub struct Counts {
    /// Answers `"active": true`.
    pub active: Counter,
    /// Answers `"active": false`.
    pub inactive: Counter,
    /// Questions that failed.
    pub failed: Counter,
    /// Questions that were not asked, because the circuit was open or too many waited.
    pub refused: Counter,
    /// Answers that were remembered.
    pub cached: Counter,
}

/// Sources by everything that is configured about them; each lives as long as a configuration uses it.
#[derive(Debug, Default)]
pub struct Registry {
    sources: Mutex<HashMap<[u8; 32], Weak<Source>>>,
    numbers: AtomicU64,
    /// What they said.
    pub answers: Arc<Answers>,
}

/// One endpoint.
pub struct Source {
    /// The provider that it belongs to.
    pub name: Arc<str>,
    number: u64,
    endpoint: Endpoint,
    client: OauthClient,
    /// `aud` of assertions: the issuer, or the endpoint where none is known.
    audience: String,
    limits: Limits,
    circuit: Circuit,
    flights: Arc<Flights<Question, Result<Answer, Unanswered>>>,
    answers: Arc<Answers>,
    runtime: Handle,
    sink: Sink,
    /// What is counted of it.
    pub counts: Counts,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// A digest over what is configured, with the bytes of the secrets that it names.
fn identity(name: &str, spec: &ir::IntrospectionEndpoint, issuer: Option<&str>, secrets: &Secrets) -> [u8; 32] {
    let mut text = format!("{:?}", (name, spec, issuer)).into_bytes();
    for secret in spec.client.secrets() {
        text.push(0);
        text.extend_from_slice(&sha256(secrets.get(secret).map_or(&[], |bytes| bytes.as_slice())));
    }
    sha256(&text)
}

impl Registry {
    /// Finds a source, or makes it; beside the endpoint, who says where it is if that is not said there. Nothing is asked yet: an endpoint that cannot be reached is no error.
    pub(in crate::providers) fn source(
        &self,
        name: &str,
        (spec, discovery): (&ir::IntrospectionEndpoint, Option<Arc<Discovery>>),
        issuer: Option<&str>,
        secrets: &Secrets,
        runtime: &Handle,
        sink: Sink,
    ) -> Result<Arc<Source>, String> {
        let identity = identity(name, spec, issuer, secrets);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(&identity).and_then(Weak::upgrade) {
            return Ok(source);
        }
        let own = OauthClient::certificate(&spec.client, secrets)?;
        let number = |figure: u32| usize::try_from(figure).unwrap_or(usize::MAX);
        let bounds = (number(spec.concurrency), number(spec.queue));
        let (endpoint, url) = match (&spec.endpoint, discovery, &spec.discovery) {
            (Some(given), None, None) => {
                (Endpoint::given(given, issuer.unwrap_or(&given.url), own, Which::Introspection, bounds)?, given.url.as_str())
            }
            (None, Some(discovery), Some(said)) => {
                (Endpoint::discovered(said, discovery, own, Which::Introspection, bounds)?, said.issuer.as_str())
            }
            _ => return Err("either an address or the issuer's metadata says where tokens are asked about".to_owned()),
        };
        let time = Duration::from_millis(spec.timeout_ms).min(LONGEST);
        let source = Arc::new(Source {
            name: name.into(),
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            endpoint,
            client: OauthClient::build(&spec.client, secrets)?,
            audience: issuer.unwrap_or(url).to_owned(),
            limits: Limits { time, bytes: ANSWER_BYTES },
            circuit: Circuit::default(),
            flights: Arc::default(),
            answers: Arc::clone(&self.answers),
            runtime: runtime.clone(),
            sink,
            counts: Counts::default(),
        });
        sources.retain(|_, source| source.strong_count() > 0);
        sources.insert(identity, Arc::downgrade(&source));
        Ok(source)
    }

    /// Those in use, for metrics; of two with one name, the one of the younger configuration.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Source>> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = sources.values().filter_map(Weak::upgrade).collect();
        found.sort_by(|one, other| one.name.cmp(&other.name).then(other.number.cmp(&one.number)));
        found.dedup_by(|next, kept| next.name == kept.name);
        found
    }
}

impl Source {
    /// What is known of a token whose SHA-256 this is, if the question is at most so old.
    #[must_use]
    pub fn known(&self, digest: [u8; 32], active_max_age: Duration, inactive_max_age: Duration) -> Option<Answer> {
        let question = Question { digest, source: self.number };
        let found = self.answers.get(&question, active_max_age, inactive_max_age)?;
        self.counts.cached.increment();
        Some(found)
    }

    /// Asks about a token, or joins a question that is at most `max_age` old.
    pub fn ask(
        self: &Arc<Self>,
        token: &str,
        max_age: Duration,
    ) -> impl Future<Output = Result<Answer, Unanswered>> + Send + 'static {
        let question = Question { digest: sha256(token.as_bytes()), source: self.number };
        let now = Instant::now();
        let not_before = now.checked_sub(max_age).unwrap_or(now);
        let (source, token) = (Arc::clone(self), Zeroizing::new(token.to_owned()));
        async move {
            let flights = Arc::clone(&source.flights);
            let runtime = source.runtime.clone();
            let begin = || async move { source.fly(question, &token).await };
            flights.join(question, not_before, &runtime, begin).await.unwrap_or(Err(Unanswered::default()))
        }
    }

    async fn fly(&self, question: Question, token: &str) -> Result<Answer, Unanswered> {
        let pass = self.circuit.enter().map_err(|rest| {
            self.counts.refused.increment();
            Unanswered { retry_after: Some(rest) }
        })?;
        let asked = Instant::now();
        match self.exchange(token).await {
            Ok(said) => {
                pass.succeeded();
                match said {
                    Said::Active(_) => self.counts.active.increment(),
                    Said::Inactive => self.counts.inactive.increment(),
                }
                let answer = Answer { said, asked };
                self.answers.insert(question, &answer);
                Ok(answer)
            }
            Err(Fault::Busy) => {
                // says nothing about the endpoint
                pass.withdraw();
                self.counts.refused.increment();
                Err(Unanswered::default())
            }
            Err(fault) => {
                // One token that the endpoint chokes on says nothing of others, or five invented ones would close it to all.
                if matches!(fault, Fault::Status(status) if (400..500).contains(&status) && ![401, 403, 429].contains(&status)) {
                    pass.withdraw();
                } else {
                    drop(pass);
                }
                self.counts.failed.increment();
                let fields = [("provider", &*self.name), ("cause", fault.code()), ("error", &fault.to_string())];
                (self.sink)("warning", "introspection_failed", &fields);
                Err(Unanswered::default())
            }
        }
    }

    async fn exchange(&self, token: &str) -> Result<Said, Fault> {
        let form = Form::default().with("token", token).with("token_type_hint", "access_token");
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let request = self.client.post(form, &self.audience, now_s)?.repeatable();
        let response = self.endpoint.target().await?.send(&request, self.limits).await?;
        let answer = response.read_json()?;
        match answer.get("active") {
            Some(Value::Bool(true)) => Ok(Said::Active(response.body.into())),
            // nothing else of it is of use
            Some(Value::Bool(false)) => Ok(Said::Inactive),
            _ => Err(Fault::Unexpected("does not say whether the token is active")),
        }
    }

    /// Whether it is left alone now.
    #[must_use]
    pub fn is_left_alone(&self) -> bool {
        self.circuit.is_open()
    }

    /// Questions under way or waiting.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.flights.len()
    }
}
