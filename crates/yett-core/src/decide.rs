//! The same decision without a socket: what policy tools ask, of the code that decides live requests.
//!
//! A question is a request head and what the connection would have known; it is read by the same parser, and runs through
//! the same phases. Nothing is forwarded and nothing listens. Facts that phases ask for are fetched as a gateway would.

mod assumed;
mod brief;
mod decision;
mod facts;
mod question;
mod trace;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;

pub use assumed::{Assumed, AssumedSpec};
pub use brief::Answer;
pub use decision::{Decision, Outcome};
pub use question::{Batch, External, Question};

use self::question::{read, unhex};
use crate::exchange::{Exchange, Now, Step};
use crate::ir;
use crate::pipeline::{self, PipelineState};
use crate::reason::Reason;
use crate::server::signals;
use crate::shared::Shared;
use crate::snapshot::{LoadError, Secrets, Snapshot};

/// Facts that one question may ask for, as for a request.
const MAX_NEEDS: u32 = 8;
/// How often one question may be asked in a row.
const MAX_TIMES: u32 = 100_000;

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

    fn run(&self, question: &Question, state: &mut PipelineState, exchange: &mut Exchange, now: Now) -> Step {
        for _ in 0..MAX_NEEDS {
            let step = pipeline::run(&self.snapshot, state, exchange, now);
            let Step::Need(need) = step else { return step };
            self.fetch(&need, question, exchange);
        }
        Step::Refuse(Reason::Internal.into())
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
