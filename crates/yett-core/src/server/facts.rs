//! Fetches the facts that the pipeline asks for: the only place where a decision waits.

use std::future::poll_fn;
use std::task::Poll;

use super::client::Client;
use super::deadline::after;
use super::lane::Lane;
use super::pipe::Wait;
use super::worker::View;
use super::worker::Worker;
use crate::exchange::{Framing, Need, Now};
use crate::providers::Provider;
use crate::providers::oidc::grants::Grant;

/// How long a fresh key set is waited for.
const KEYS_MS: u64 = 10_000;
/// How long tokens are waited for.
const TOKENS_MS: u64 = 10_000;
/// How long the body of a form is waited for, and its bytes.
const FORM_MS: u64 = 10_000;
const FORM_BYTES: u64 = 16 * 1024;

impl<C: Client> Lane<C> {
    /// Fetches one fact, within its time. A fact that does not come is simply not there afterwards.
    pub(super) async fn fetch(&mut self, worker: &Worker, view: &View, need: &Need, started: Now) {
        let provider = |index: u32| -> Option<&Provider> { view.snapshot.providers.get(usize::try_from(index).ok()?) };
        match need {
            Need::Keys { provider: index } => {
                let Some(provider) = provider(*index) else { return };
                let deadline = after(started.monotonic_ns, KEYS_MS);
                let _ = self.timer.within(deadline, provider.refresh_keys()).await;
            }
            Need::Tokens { provider: index, grant } => {
                let Some(oidc) = provider(*index).and_then(Provider::oidc) else { return };
                let asked = oidc.tokens(Grant::clone(grant), worker.shared.service_runtime.clone());
                let outcome = self.timer.within(after(started.monotonic_ns, TOKENS_MS), Box::pin(asked)).await;
                if let Some(outcome) = outcome {
                    self.exchange.sessions_mut().tokens = Some((*index, Grant::clone(grant), outcome));
                }
            }
            Need::Form => {
                if let Some(form) = self.read_form(after(started.monotonic_ns, FORM_MS)).await {
                    self.exchange.sessions_mut().form = Some(form);
                }
            }
        }
    }

    /// The whole body of the request, if it is small and comes in time.
    async fn read_form(&mut self, deadline: u64) -> Option<Vec<u8>> {
        let framing = self.exchange.request.framing;
        if matches!(framing, Framing::Length(length) if length > FORM_BYTES) {
            return None;
        }
        let mut form = Vec::new();
        if framing == Framing::Empty {
            return Some(form);
        }
        let framing = self.client.body_framing(framing);
        self.body_taken = true;
        let Self { client, buffer, up, timer, .. } = self;
        up.start(framing, false, FORM_BYTES);
        let read = poll_fn(|cx| match up.poll(cx, client, buffer, &mut form) {
            Ok(Wait::Done) => Poll::Ready(true),
            Ok(Wait::Read | Wait::Write) => Poll::Pending,
            Err(_) => Poll::Ready(false),
        });
        timer.within(deadline, read).await.unwrap_or(false).then_some(form)
    }
}
