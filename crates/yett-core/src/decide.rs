//! The same decision without a socket: what policy tools ask, of the code that decides live requests.
//!
//! A question is a request head and what the connection would have known; it is read by the same parser, and runs through
//! the same phases. Nothing is forwarded and nothing listens. Facts that phases ask for are fetched as a gateway would.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

mod assumed;
mod brief;
mod trace;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

pub use assumed::{Assumed, AssumedSpec};
pub use brief::Answer;

use crate::body::{Body, FieldError};
use crate::certificate::ClientCertificate;
use crate::exchange::{ClaimValue, ConnectionInfo, Exchange, Framing, Need, Now, Phase, Principal, Refusal, Step, Use};
use crate::filters::external_authorization::Verdict;
use crate::http1::request::{HeadLimits, RequestParser};
use crate::ir;
use crate::pipeline::{self, PipelineState};
use crate::providers::introspection::Introspected;
use crate::providers::{Provider, bearer_of};
use crate::reason::{Reason, Retry};
use crate::server::signals;
use crate::server::tls::ja4;
use crate::service_tokens::Token;
use crate::shared::Shared;
use crate::snapshot::{LoadError, Secrets, Snapshot};

/// Facts that one question may ask for, as for a request.
const MAX_NEEDS: u32 = 8;
/// How often one question may be asked in a row.
const MAX_TIMES: u32 = 100_000;
/// How long one fact is waited for.
const FACT: Duration = Duration::from_secs(10);

/// A configuration that answers questions.
#[derive(Debug)]
pub struct Engine {
    snapshot: Snapshot,
    shared: Arc<Shared>,
    /// Tasks of a gateway run only while a fact is waited for.
    runtime: Runtime,
    /// Whether nobody is asked for facts.
    offline: bool,
    /// After so long every limit is as if nobody had called, nanoseconds.
    rest_ns: u64,
    /// Questions that were asked as if each were the only one.
    asked: AtomicU64,
}

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Name of the listener.
    pub listener: String,
    /// As in the request line.
    pub method: String,
    /// Path and query, as in the request line.
    pub target: String,
    /// Fields in order, `Host` among them; each character is one byte (ISO 8859-1).
    pub headers: Vec<(String, String)>,
    /// The other end of the connection.
    pub address: IpAddr,
    /// The name that the client asked for in the handshake; only on listeners with TLS.
    #[serde(default)]
    pub server_name: Option<String>,
    /// What the client's hello says of its program (JA4); only on listeners with TLS, where nothing is known of it if it is absent.
    #[serde(default)]
    pub ja4: Option<String>,
    /// DER of a client certificate that is taken as verified by the handshake, as hexadecimal text.
    #[serde(default)]
    pub certificate: Option<String>,
    /// Milliseconds since 1970; now where it is absent.
    #[serde(default)]
    pub time_ms: Option<u64>,
    /// The body as hexadecimal text; none where it is absent.
    #[serde(default)]
    pub body: Option<String>,
    /// Callers that are taken as verified; more than one where every one of several providers has to vouch.
    #[serde(default)]
    pub principals: Vec<AssumedSpec>,
    /// Which of the callers of a [`Batch`] ask, in the place of `principals`.
    #[serde(default)]
    pub callers: Option<usize>,
    /// How often it is asked in a row; the last answer counts. Once where it is absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// Whether the answer says what each rule comes to.
    #[serde(default)]
    pub trace: bool,
    /// Whether the answer says no more than what was decided, and of a refusal by what.
    #[serde(default)]
    pub brief: bool,
    /// What the route's external check is taken to say, which nobody asks for a question; nothing to rely on where it is absent.
    #[serde(default)]
    pub external: Option<External>,
}

/// Many questions, and the callers that several of them share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Each of them as `principals` of a question.
    #[serde(default)]
    pub callers: Vec<Vec<AssumedSpec>>,
    /// What is asked, in order.
    pub questions: Vec<Question>,
}

/// What an external check is taken to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the answer of its name")]
pub enum External {
    Allow,
    Deny,
}

impl Question {
    /// The body, where it is known: given, or none at all by the head.
    fn body(&self, limit: u64, framing: Framing) -> Option<Result<Body, Reason>> {
        let bytes = match (&self.body, framing) {
            (Some(text), _) => unhex(text)?,
            (None, Framing::Empty) => Vec::new(),
            (None, _) => return None,
        };
        Some(if bytes.len() as u64 > limit { Err(Reason::BodyTooLarge) } else { Ok(Body::Given(bytes.into())) })
    }
}

/// What would become of the request.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It would be forwarded.
    Allow,
    /// It would be refused.
    Refuse,
    /// The gateway would answer it by itself.
    Answer,
}

/// The answer to a question. Holds no credential.
#[derive(Debug, Serialize)]
pub struct Decision {
    outcome: Outcome,
    /// The phase that decided, or `forward`.
    phase: &'static str,
    /// The status of the refusal or answer.
    status: Option<u16>,
    refusal: Option<Value>,
    route: Option<String>,
    service: Option<String>,
    host: String,
    path: String,
    /// The client after trusted proxies.
    client: IpAddr,
    /// What databases say of its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    geo: Option<Value>,
    request_id: String,
    principal: Option<Value>,
    /// Whom further providers of `all_of` vouched for.
    vouched: Vec<Value>,
    /// What the service would see.
    forward: Option<Value>,
    limits: Vec<Value>,
    /// How suspicious an attempt to log in is, where that is guarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<Value>,
    /// What it was taken for, where that is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    bot: Option<Value>,
    time_ms: u64,
    /// Whether the route's external check would be asked, after everything before it agreed. It was not.
    external: bool,
    /// What rules in shadow would have done, as far as the request got.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadow: Vec<Value>,
    /// What looked like an attack, as far as the request got.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attack: Vec<Value>,
    /// What each rule comes to, where that was asked and a caller was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<Value>>,
}

impl Engine {
    /// Builds the configuration; nothing listens. `offline`: nobody is asked for facts, and what needs one refuses.
    ///
    /// # Errors
    /// As `Gateway.apply`.
    pub fn build(ir: &[u8], secrets: &Secrets, offline: bool) -> Result<Self, Vec<LoadError>> {
        let failed = |message: String| vec![LoadError { pointer: String::new(), message }];
        let runtime = tokio::runtime::Builder::new_current_thread()
            .thread_name("yett-engine")
            .on_thread_start(signals::block)
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| failed(format!("the runtime does not start: {error}")))?;
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| failed("the system gives no randomness".to_owned()))?;
        let shared = Arc::new(Shared::new(runtime.handle().clone(), seed));
        // What was used before a question was asked says nothing about the question.
        shared.stores.remembered_since().store(0, Ordering::Release);
        let snapshot = Snapshot::build(ir, secrets, &shared)?;
        // A question is one attempt, or some; and what they left is forgotten before the next one.
        shared.logins.configure(&snapshot.ir, 1_000);
        let rest_ns = rest_ns(&snapshot.ir);
        Ok(Self { snapshot, shared, runtime, offline, rest_ns, asked: AtomicU64::new(0) })
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The revision of the configuration.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.snapshot.revision
    }

    /// Decides as a gateway with this configuration would, limits of this engine included.
    ///
    /// # Errors
    /// A question that no connection could bring, in words.
    pub fn decide(&self, question: &Question) -> Result<Answer, String> {
        self.answer(question, &[], &mut fresh(), moment(question.time_ms))
    }

    /// Decides each as if it were the only one that was ever asked; one that no connection could bring is an `Answer::Not`.
    pub fn decide_many(&self, batch: &Batch) -> Vec<Answer> {
        let mut state = fresh();
        let callers: Vec<Box<[Assumed]>> = batch.callers.iter().map(|some| assumed::all(some)).collect();
        let mut alone = |question: &Question| {
            let before = self.asked.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            let mut now = moment(question.time_ms);
            self.shared.quotas.forget();
            self.shared.logins.forget();
            now.monotonic_ns = now.monotonic_ns.saturating_add(before.saturating_mul(self.rest_ns));
            self.answer(question, &callers, &mut state, now).unwrap_or_else(|error| Answer::Not { error })
        };
        batch.questions.iter().map(&mut alone).collect()
    }

    /// As [`Self::decide_many`], of the JSON of a [`Batch`]; a JSON list of decisions, or `{"error": …}`, in their order.
    ///
    /// # Errors
    /// It is none.
    pub fn decide_json(&self, batch: &[u8]) -> Result<Vec<u8>, String> {
        let batch: Batch = serde_json::from_slice(batch).map_err(|error| format!("the questions are not valid: {error}"))?;
        serde_json::to_vec(&self.decide_many(&batch)).map_err(|error| error.to_string())
    }

    /// `callers` are those of the batch that the question stands in.
    fn answer(
        &self,
        question: &Question,
        callers: &[Box<[Assumed]>],
        state: &mut PipelineState,
        now: Now,
    ) -> Result<Answer, String> {
        let listener = self.snapshot.ir.listeners.iter().find(|listener| *listener.name == *question.listener);
        let listener = listener.ok_or_else(|| {
            let known: Vec<&str> = self.snapshot.ir.listeners.iter().map(|listener| &*listener.name).collect();
            format!("there is no listener `{}`; known here: {}", question.listener, known.join(", "))
        })?;
        if question.body.as_deref().is_some_and(|text| unhex(text).is_none()) {
            return Err("`body` is not hexadecimal text".to_owned());
        }
        let assumed = match question.callers {
            None => assumed::all(&question.principals),
            Some(_) if !question.principals.is_empty() => {
                return Err("`callers` and `principals` are two ways to say who asks".to_owned());
            }
            Some(at) => callers.get(at).ok_or_else(|| format!("there are no callers {at}"))?.clone(),
        };
        if let Some(one) = assumed.iter().find(|one| !self.snapshot.providers.iter().any(|own| **own.name() == *one.provider())) {
            return Err(format!("there is no identity provider `{}`", one.provider()));
        }
        let connection = Rc::new(self.connection(question, listener)?);
        let times = question.times.unwrap_or(1).clamp(1, MAX_TIMES);
        let mut exchange = Exchange::new(connection);
        let mut once = || {
            exchange.reset();
            exchange.assumed.clone_from(&assumed);
            exchange.unnamed = !question.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent"));
            match read(question, listener, &mut exchange) {
                Ok(()) => self.run(question, state, &mut exchange, now),
                Err(reason) => Step::Refuse(reason.into()),
            }
        };
        for _ in 1..times {
            once();
        }
        let step = once();
        if question.brief {
            return Ok(Answer::Brief(self.brief(&exchange, &step)));
        }
        let mut decision = self.decision(&exchange, &step, now);
        decision.rules = question.trace.then(|| trace::rules(&self.snapshot, &exchange, now)).flatten();
        Ok(Answer::Whole(Box::new(decision)))
    }

    fn connection(&self, question: &Question, listener: &ir::Listener) -> Result<ConnectionInfo, String> {
        let certificate = question.certificate.as_ref().map(|text| {
            let der = unhex(text).ok_or("`certificate` is not hexadecimal text of DER")?;
            let trust = self.snapshot.listener(&listener.name).and_then(|listener| listener.client_certificates);
            let trust = trust.ok_or_else(|| format!("listener `{}` asks clients for no certificate", listener.name))?.trust;
            ClientCertificate::read(&der, trust).map(Arc::new).map_err(str::to_owned)
        });
        let ja4 = question.ja4.as_ref().map(|text| {
            if listener.tls.is_none() {
                return Err(format!("listener `{}` has no TLS, so there is no `ja4`", listener.name));
            }
            ja4::read(text).ok_or_else(|| "that is no JA4; write one such as `t13d1516h2_8daaf6152771_e5627efa2ab1`".to_owned())
        });
        Ok(ConnectionInfo {
            peer: SocketAddr::new(question.address, 0),
            listener: listener.name.as_str().into(),
            tls: listener.tls.is_some(),
            sni: question.server_name.as_ref().map(|name| name.to_ascii_lowercase().into()),
            client_certificate: certificate.transpose()?,
            ja4: ja4.transpose()?,
        })
    }

    fn run(&self, question: &Question, state: &mut PipelineState, exchange: &mut Exchange, now: Now) -> Step {
        for _ in 0..MAX_NEEDS {
            let step = pipeline::run(&self.snapshot, state, exchange, now);
            let Step::Need(need) = step else { return step };
            self.fetch(&need, question, exchange);
        }
        Step::Refuse(Reason::Internal.into())
    }

    fn provider(&self, index: u32) -> Option<&Provider> {
        self.snapshot.providers.get(usize::try_from(index).ok()?)
    }

    /// Any outcome: the pipeline decides, and refuses if the fact is still missing.
    fn fetch(&self, need: &Need, question: &Question, exchange: &mut Exchange) {
        match *need {
            // A question of a tool asks nobody about an address.
            Need::Crawler { .. } => {}
            Need::Keys { .. } | Need::Introspection { .. } | Need::Metadata { .. } if self.offline => {}
            // A question of a tool is no request: nobody outside is asked about it.
            Need::External { .. } => {
                exchange.external = question.external.map(|taken| match taken {
                    External::Allow => Verdict::Allowed(Vec::new()),
                    External::Deny => Verdict::Denied,
                });
            }
            Need::Keys { provider } => {
                let Some(provider) = self.provider(provider) else { return };
                let _ = self.runtime.block_on(async { tokio::time::timeout(FACT, provider.refresh_keys()).await });
            }
            // A question spends no nonce, and knows none.
            Need::SignatureNonce => {
                if let Some(signed) = &mut exchange.signed {
                    signed.answer(Ok(true));
                }
            }
            Need::Introspection { provider, max_age_ms } => {
                let Some(source) = self.provider(provider).and_then(Provider::source) else { return };
                let Some(token) = bearer_of(&exchange.request) else { return };
                let asked = source.ask(token, Duration::from_millis(max_age_ms));
                let answer = self.runtime.block_on(async { tokio::time::timeout(FACT, asked).await });
                exchange.introspected = answer.ok().map(|answer| Introspected { provider, max_age_ms, answer });
            }
            // None is got for a question: who asks would see it, and nobody would use it.
            Need::ServiceToken { .. } => exchange.service_token = Some(Ok(Arc::new(Token::stand_in()))),
            // Nor anything of what instances share: it is counted in the memory of the tool.
            Need::Limits(ref asked) => {
                exchange.limits_answered = Some(Box::new(asked.here()));
            }
            // A question uses nothing up.
            Need::Unused(ref once) => exchange.uses.push((once.key, Use::New)),
            // None changes anything.
            Need::Revoke(_) => {}
            // Nor waits.
            Need::Pause { .. } => {}
            // Given with the question.
            Need::Body { limit, .. } => exchange.body = question.body(limit, exchange.request.framing),
            // A question spends no code and no refresh token.
            Need::Tokens { .. } => {}
            // What instances keep of sessions is theirs: a question reads none of it.
            Need::Session(_) => {}
            // Nor of what they revoked, here or on any other route.
            Need::Revocations => exchange.sessions_mut().caught_up = Some(true),
            Need::Metadata { provider } => {
                let Some(oidc) = self.provider(provider).and_then(Provider::oidc) else { return };
                let _ = self.runtime.block_on(async { tokio::time::timeout(FACT, oidc.refreshed()).await });
            }
        }
    }

    fn decision(&self, exchange: &Exchange, step: &Step, now: Now) -> Decision {
        let (outcome, status, refused) = outcome(step);
        let forward = matches!(outcome, Outcome::Allow).then(|| forwarded(exchange));
        Decision {
            outcome,
            phase: phase(exchange.phase),
            status,
            refusal: refused.map(|refused| refusal(refused, &exchange.errors)),
            route: self.snapshot.route(exchange.route).map(|route| route.name.to_string()),
            service: self.snapshot.service(exchange.service).map(|service| service.name.clone()),
            host: exchange.host.clone(),
            path: String::from_utf8_lossy(exchange.path.raw()).into_owned(),
            client: exchange.client,
            geo: exchange.geo.map(|geo| geo.shown()),
            request_id: String::from_utf8_lossy(&exchange.request_id).into_owned(),
            principal: exchange.principal.as_deref().map(principal),
            vouched: exchange.vouched.iter().map(|one| principal(one)).collect(),
            forward,
            limits: exchange
                .limits
                .iter()
                .map(|limit| json!({"name": &*limit.name, "remaining": limit.remaining, "reset_s": limit.reset_s}))
                .collect(),
            login: exchange.attempt.as_deref().map(trace::login),
            bot: exchange.bot.as_ref().map(trace::bot),
            time_ms: now.unix_ms,
            external: exchange.asked.iter().any(|need| matches!(need, Need::External { .. })),
            shadow: exchange.shadow.iter().map(trace::tried).collect(),
            attack: exchange.attack.iter().flat_map(|suspicion| suspicion.found.iter().map(trace::suspected)).collect(),
            rules: None,
        }
    }

    /// Events that building and deciding left, as JSON lines.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        self.shared.events.take(Duration::ZERO)
    }
}

/// Remembers no verdict: each question is judged anew.
fn fresh() -> PipelineState {
    PipelineState::new(0)
}

/// After so long the slowest of all limits is full again.
fn rest_ns(ir: &ir::Ir) -> u64 {
    let listeners = ir.listeners.iter().flat_map(|listener| &listener.address_limits);
    let routes = ir.routes.iter().flat_map(|route| route.address_limits.iter().chain(&route.rate_limits));
    let tried = ir.listeners.iter().map(|one| &one.shadow_limits).chain(ir.routes.iter().map(|one| &one.shadow_limits));
    let tried = tried.flatten().flat_map(ir::ShadowLimit::rates);
    let full = |limit: &ir::RateLimit| {
        let interval_ns = limit.period_ms.saturating_mul(1_000_000) / limit.count.max(1);
        interval_ns.saturating_add(1).saturating_mul(limit.burst)
    };
    listeners.chain(routes).chain(tried).map(full).max().unwrap_or(0).saturating_add(1_000_000_000)
}

fn moment(time_ms: Option<u64>) -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let unix_ms = time_ms.unwrap_or_else(|| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    Now { monotonic_ns: crate::server::clock::monotonic_ns(), unix_ms }
}

/// Reads the head with the parser of HTTP/1.1 connections, within the listener's bounds.
fn read(question: &Question, listener: &ir::Listener, exchange: &mut Exchange) -> Result<(), Reason> {
    let mut head = Vec::new();
    let mut put = |text: &str| {
        text.chars().try_for_each(|character| {
            head.push(u8::try_from(u32::from(character)).map_err(|_| Reason::MalformedRequest)?);
            Ok(())
        })
    };
    put(&format!("{} {} HTTP/1.1\r\n", question.method, question.target))?;
    for (name, value) in &question.headers {
        put(&format!("{name}: {value}\r\n"))?;
    }
    put("\r\n")?;
    let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    let limits = &listener.limits;
    let limits = HeadLimits { line: size(limits.request_line), bytes: size(limits.header_bytes), fields: size(limits.headers) };
    match RequestParser::default().advance(&head, &mut exchange.request, &limits)? {
        // A field with a line end in it would be another request.
        Some(complete) if complete.bytes == head.len() => {
            if let Some(text) = &question.body {
                let length = text.len() as u64 / 2;
                exchange.request.framing = if length == 0 { Framing::Empty } else { Framing::Length(length) };
            }
            Ok(())
        }
        _ => Err(Reason::MalformedRequest),
    }
}

/// What came of it, with the status and the refusal that there may be.
fn outcome(step: &Step) -> (Outcome, Option<u16>, Option<&Refusal>) {
    match step {
        Step::Continue => (Outcome::Allow, None, None),
        Step::Answer(answer) => (Outcome::Answer, Some(answer.status), None),
        Step::Refuse(refusal) => (Outcome::Refuse, Some(refusal.status()), Some(refusal)),
        // `run` never leaves one.
        Step::Need(_) => (Outcome::Refuse, Some(Reason::Internal.status()), None),
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Receive => "receive",
        Phase::Screen => "screen",
        Phase::Route => "route",
        Phase::Bots => "bots",
        Phase::Authenticate | Phase::Confirm => "authenticate",
        Phase::Authorize => "authorize",
        Phase::Limit => "limit",
        Phase::Validate => "validate",
        Phase::AuthorizeBody => "authorize_body",
        Phase::Guard => "guard",
        Phase::Prepare => "prepare",
        Phase::Done => "forward",
    }
}

fn refusal(refusal: &Refusal, errors: &[FieldError]) -> Value {
    let reason = refusal.reason;
    json!({
        "reason": reason.code(),
        "title": reason.title(),
        "fault": reason.fault().as_str(),
        "retry": reason.retry() == Retry::Later,
        "detail": refusal.detail,
        "rule": refusal.rule,
        "scope": refusal.scope,
        "allow": refusal.allow,
        "retry_after_s": refusal.retry_after_s,
        "hidden": refusal.hidden.is_some(),
        "errors": errors.iter().map(FieldError::document).collect::<Vec<_>>(),
    })
}

/// What rules may read of a caller, and nothing that is a credential.
fn principal(principal: &Principal) -> Value {
    let claims: Map<String, Value> = principal.claims.iter().map(|(name, value)| (name.to_string(), claim(value))).collect();
    json!({
        "provider": &*principal.provider,
        "authentication": principal.method.as_str(),
        "issuer": &*principal.issuer,
        "subject": principal.subject,
        "client": principal.client,
        "kind": principal.kind.as_str(),
        "scopes": principal.scopes,
        "roles": principal.roles,
        "tenant": principal.tenant,
        "partner": principal.partner,
        "claims": claims,
        "token_id": principal.token_id,
        "session": principal.session,
        "assurance": principal.assurance,
        "authenticated_s": principal.authenticated_s,
        "expires_ms": principal.expires_ms,
    })
}

fn claim(value: &ClaimValue) -> Value {
    match value {
        ClaimValue::String(text) => json!(text),
        ClaimValue::Int(number) => json!(number),
        ClaimValue::Bool(truth) => json!(truth),
        ClaimValue::StringList(texts) => json!(texts),
    }
}

fn forwarded(exchange: &Exchange) -> Value {
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let headers: Vec<(String, String)> =
        exchange.request.headers.iter().map(|(_, name, value)| (text(name), text(value))).collect();
    json!({"target": text(&exchange.forward_target), "headers": headers})
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
