//! Fetches the facts that the pipeline asks for: the only place where a decision waits.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::client::Client;
use super::clock::now;
use super::deadline::after;
use super::lane::Lane;
use super::worker::{View, Worker};
use crate::exchange::{Need, Now, Once, Use};
use crate::filters::rate_limit::note;
use crate::providers::introspection::Introspected;
use crate::providers::oidc::grants::Grant;
use crate::providers::{Provider, bearer_of};
use crate::store::Unavailable;

/// How long a fresh key set is waited for.
const KEYS_MS: u64 = 10_000;
/// How long the store is waited for; it has a deadline of its own.
const STORE_MS: u64 = 10_000;
/// How long an answer about a token is waited for; its endpoint has a limit of its own, which is shorter.
const INTROSPECTION_MS: u64 = 15_000;
/// How long it is waited for whether a client is a crawler; who finds that out has a bound of his own, which is shorter.
const CRAWLER_MS: u64 = 10_000;
/// The same for a service's token.
const TOKEN_MS: u64 = 15_000;
/// How long tokens are waited for.
const TOKENS_MS: u64 = 10_000;

impl<C: Client> Lane<C> {
    /// Fetches one fact, within its time. A fact that does not come is simply not there afterwards.
    pub(super) async fn fetch(&mut self, worker: &Worker, view: &View, need: &Need, started: Now) {
        let provider = |index: u32| -> Option<&Provider> { view.snapshot.providers.get(usize::try_from(index).ok()?) };
        match *need {
            Need::External { route } => {
                let Some(route) = view.snapshot.route(Some(route)) else { return };
                let Some(external) = &route.external else { return };
                let deadline = after(started.monotonic_ns, external.patience_ms().saturating_add(KEYS_MS));
                let asked = external.ask(&route.name, &self.exchange);
                self.exchange.external = self.timer.within(deadline, asked).await;
            }
            Need::Keys { provider: index } => {
                let Some(provider) = provider(index) else { return };
                let deadline = after(started.monotonic_ns, KEYS_MS);
                let _ = self.timer.within(deadline, provider.refresh_keys()).await;
            }
            Need::Crawler { route, index } => {
                let Some(filter) = view.snapshot.route(Some(route)).and_then(|route| route.bot_filter.as_ref()) else { return };
                if !filter.waits() {
                    filter.begin(index, self.exchange.client, &worker.shared.service_runtime);
                    return;
                }
                let asked = filter.verify(index, self.exchange.client, &worker.shared.service_runtime);
                let deadline = after(started.monotonic_ns, CRAWLER_MS);
                self.exchange.crawler = self.timer.within(deadline, Box::pin(asked)).await.map(|verdict| (index, verdict));
            }
            Need::SignatureNonce => self.nonce(worker, after(started.monotonic_ns, STORE_MS)).await,
            Need::Unused(ref once) => {
                let Once { key, until_ms } = **once;
                let store = worker.shared.stores.main();
                let answer = match store.insert_if_absent(key, until_ms).await {
                    Ok(true) => Use::New,
                    Ok(false) => Use::Again,
                    Err(why) => {
                        worker.shared.store_failures.count(why);
                        Use::Unknown
                    }
                };
                self.exchange.uses.push((key, answer));
            }
            Need::Limits(ref asked) => {
                let answer = worker.shared.stores.main().charge(&asked.charges, &asked.uses).await;
                note(&worker.shared, answer.as_ref().map(drop).map_err(|why| *why), now());
                self.exchange.limits_answered = Some(Box::new(asked.answered(answer)));
            }
            // Done by `Lane::decide`: nobody may be left to answer.
            Need::Body { .. } | Need::Pause { .. } => {}
            Need::Revoke(ref revocations) => {
                let mut acknowledged = true;
                for one in revocations {
                    acknowledged &= worker.shared.revocations.revoke(one.clone()).await.is_ok();
                }
                self.exchange.revoked = Some(acknowledged);
            }
            Need::Revocations => {
                let heard = worker.shared.revocations.caught_up().await;
                if let Err(why) = heard {
                    worker.shared.store_failures.count(why);
                }
                self.exchange.sessions_mut().caught_up = Some(heard.is_ok());
            }
            Need::ServiceToken { service } => {
                let Some(source) = view.snapshot.token_source(Some(service)) else { return };
                let ends = self.exchange.principals().filter_map(|principal| principal.expires_ms).min();
                let asked = source.ask(bearer_of(&self.exchange.request), ends);
                let deadline = after(now().monotonic_ns, TOKEN_MS);
                self.exchange.service_token = self.timer.within(deadline, Box::pin(asked)).await;
            }
            Need::Introspection { provider, max_age_ms } => {
                let found = usize::try_from(provider).ok().and_then(|index| view.snapshot.providers.get(index));
                let Some(source) = found.and_then(|provider| provider.source()) else { return };
                let Some(token) = bearer_of(&self.exchange.request) else { return };
                let asked = source.ask(token, Duration::from_millis(max_age_ms));
                let deadline = after(started.monotonic_ns, INTROSPECTION_MS);
                if let Some(answer) = self.timer.within(deadline, Box::pin(asked)).await {
                    self.exchange.introspected = Some(Introspected { provider, max_age_ms, answer });
                }
            }
            Need::Metadata { provider: index } => {
                let Some(oidc) = provider(index).and_then(Provider::oidc) else { return };
                let _ = self.timer.within(after(started.monotonic_ns, KEYS_MS), oidc.refreshed()).await;
            }
            Need::Tokens { provider: index, ref grant } => {
                let Some(oidc) = provider(index).and_then(Provider::oidc) else { return };
                let asked = oidc.tokens(Grant::clone(grant), worker.shared.service_runtime.clone());
                let outcome = self.timer.within(after(started.monotonic_ns, TOKENS_MS), Box::pin(asked)).await;
                if let Some(outcome) = outcome {
                    self.exchange.sessions_mut().tokens = Some((index, Grant::clone(grant), outcome));
                }
            }
            Need::Session(ref ask) => {
                let key = *ask.key();
                let answer = ask.as_ref().clone().of(worker.shared.stores.main()).await;
                if let Err(why) = answer {
                    worker.shared.store_failures.count(why);
                }
                self.exchange.set_stored(key, answer);
            }
        }
    }

    /// Whether the nonce of a signature is new, in all instances that share a store.
    async fn nonce(&mut self, worker: &Worker, deadline: u64) {
        let Some(question) = self.exchange.signed.as_ref().and_then(|signed| signed.question()) else { return };
        let store = worker.shared.stores.main();
        // What was used before a start, or before another store took over, is forgotten: those from before it may have been used.
        let since_ms = worker.shared.stores.remembered_since().load(Ordering::Acquire);
        let answer = match question.created_ms / 1000 < since_ms / 1000 {
            true => Ok(false),
            false => {
                let asked = store.insert_if_absent(question.key, question.until_ms);
                self.timer.within(deadline, asked).await.unwrap_or(Err(Unavailable::Slow))
            }
        };
        if let Some(signed) = &mut self.exchange.signed {
            signed.answer(answer);
        }
    }
}
