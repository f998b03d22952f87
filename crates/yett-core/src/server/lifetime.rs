//! How long an answer without a known end may go on: to the end of what let it begin.
//!
//! A stream ends when the caller's credential expires or is revoked, when its route goes or decides otherwise after a reload, shortly
//! before the deadline of a drain, and after `timeouts.total`. Streams that last are woken by a reload and by a revocation; short ones are
//! not even registered for that.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tokio::sync::futures::Notified;

use super::clock;
use super::deadline::{NEVER, Timer, after};
use super::forward::Job;
use super::worker::{View, Worker};
use crate::exchange::{AuthenticationMethod, Exchange, Now, Principal};
use crate::ir;
use crate::reason::Reason;
use crate::snapshot::{Route, Snapshot};

/// An answer that has not ended after so long asks to be told of reloads.
const SHORT_MS: u64 = 1_000;

/// How long one stream may go on.
#[derive(Debug)]
pub struct Lifetime<'a> {
    worker: &'a Worker,
    view: &'a View,
    route: &'a Route,
    listener: Arc<str>,
    /// Everyone who was vouched for: none of them may be revoked.
    principals: SmallVec<[Rc<Principal>; 1]>,
    /// Provider and id of the API key that was used.
    key: Option<(Arc<str>, Box<str>)>,
    /// Monotonic nanoseconds, and what it means when they have passed.
    until: u64,
    reason: Reason,
    /// When to look whether the configuration changed; 0 is now.
    look: u64,
    told: Option<Pin<Box<Notified<'a>>>>,
}

impl<'a> Lifetime<'a> {
    /// Of a request that begins to be answered.
    #[must_use]
    pub fn new(job: Job<'a>, exchange: &Exchange) -> Self {
        let expiry = expiry(job.route, exchange).map_or(NEVER, |ends| moment(job.started, ends));
        let total = job.route.timeouts.total_ms;
        let total = if total == 0 { NEVER } else { after(job.started.monotonic_ns, total) };
        let (until, reason) = if expiry <= total { (expiry, Reason::CredentialExpired) } else { (total, Reason::TotalTimeout) };
        let key = exchange.principals().find(|principal| principal.method == AuthenticationMethod::ApiKey);
        Self {
            worker: job.worker,
            view: job.view,
            route: job.route,
            listener: Arc::clone(&exchange.connection.listener),
            key: key.and_then(|principal| Some((Arc::clone(&principal.provider), principal.token_id.clone()?))),
            principals: exchange.principals().map(Rc::clone).collect(),
            until,
            reason,
            look: after(job.started.monotonic_ns, SHORT_MS),
            told: None,
        }
    }

    /// Ready when the stream has to end, for its own reason or because `due` has passed; with what that means.
    pub fn poll<T: From<Reason>>(&mut self, cx: &mut Context<'_>, timer: &mut Timer, due: (u64, T)) -> Poll<T> {
        if self.told.as_mut().is_some_and(|told| told.as_mut().poll(cx).is_ready()) {
            self.look = 0;
        }
        loop {
            let end = self.until.min(due.0);
            if self.look >= end {
                let own = self.until < due.0;
                return timer.poll(cx, end).map(|()| if own { self.reason.into() } else { due.1 });
            }
            if self.look > 0 && timer.poll(cx, self.look).is_pending() {
                return Poll::Pending;
            }
            if let Some(reason) = self.look(cx) {
                return Poll::Ready(reason.into());
            }
        }
    }

    /// Asks to be told of the next change, then looks at what there is now.
    fn look(&mut self, cx: &mut Context<'_>) -> Option<Reason> {
        let mut told = Box::pin(self.worker.streams.notified());
        // Fresh: it only registers.
        let _ = told.as_mut().poll(cx);
        self.told = Some(told);
        self.look = NEVER;
        if self.worker.draining.get() && self.worker.cut_at.get() < self.until {
            (self.until, self.reason) = (self.worker.cut_at.get(), Reason::ShuttingDown);
        }
        if !self.principals.is_empty() {
            let (known, now) = (&self.worker.shared.revocations, clock::now());
            let revoked = self.principals.iter().find_map(|principal| known.check_one(principal, now).err());
            if revoked.is_some() {
                return revoked;
            }
        }
        (!self.stands()).then_some(Reason::RouteChanged)
    }

    /// Whether the current configuration would decide on the same grounds.
    fn stands(&self) -> bool {
        let now = self.worker.view.borrow();
        if std::ptr::eq(Rc::as_ptr(&now), self.view) {
            return true;
        }
        let Some(route) = now.snapshot.routes.iter().find(|route| route.name == self.route.name) else { return false };
        let listed = |route: &str| {
            let spec = now.snapshot.ir.routes.iter().find(|spec| spec.name == route);
            spec.is_some_and(|spec| spec.listeners.iter().any(|name| **name == *self.listener))
        };
        route.decision == self.route.decision
            && listed(&route.name)
            && self.key.as_ref().is_none_or(|(provider, id)| {
                let (old, new) = (key(&self.view.snapshot, provider, id), key(&now.snapshot, provider, id));
                old.is_some() && old == new
            })
    }
}

/// What the configuration says of an API key.
fn key<'a>(snapshot: &'a Snapshot, provider: &str, id: &str) -> Option<&'a ir::ApiKey> {
    snapshot.ir.providers.iter().find_map(|one| match one {
        ir::Provider::ApiKey(keys) if keys.name == provider => keys.keys.iter().find(|key| key.id == id),
        _ => None,
    })
}

/// When what let the request in ends, in milliseconds since 1970.
fn expiry(route: &Route, exchange: &Exchange) -> Option<u64> {
    let certificate = exchange.connection.client_certificate.as_ref().filter(|_| route.client_certificate);
    let credentials = exchange.principals().filter_map(|principal| principal.expires_ms);
    credentials.chain(certificate.map(|one| one.not_after_ms)).min()
}

/// A time of day on the monotonic clock, as both stood at `now`.
fn moment(now: Now, unix_ms: u64) -> u64 {
    after(now.monotonic_ns, unix_ms.saturating_sub(now.unix_ms))
}
