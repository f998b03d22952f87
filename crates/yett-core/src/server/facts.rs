//! Fetches the facts that the pipeline asks for: the only place where a decision waits.

use std::future::poll_fn;
use std::task::Poll;

use super::client::Client;
use super::deadline::after;
use super::lane::Lane;
use super::pipe::Wait;
use super::worker::{View, Worker};
use crate::exchange::{Framing, Need, Now, Once, Use};

/// Bytes of a body that is read whole, and how long it may take.
const BODY_BYTES: u64 = 64 * 1024;
const BODY_MS: u64 = 10_000;
/// How long a fresh key set is waited for.
const KEYS_MS: u64 = 10_000;

impl<C: Client> Lane<C> {
    /// Fetches one fact, within its time. A fact that does not come is simply not there afterwards.
    pub(super) async fn fetch(&mut self, worker: &Worker, view: &View, need: &Need, started: Now) {
        match *need {
            Need::Keys { provider } => {
                let provider = usize::try_from(provider).ok().and_then(|index| view.snapshot.providers.get(index));
                let Some(provider) = provider else { return };
                let deadline = after(started.monotonic_ns, KEYS_MS);
                let _ = self.timer.within(deadline, provider.refresh_keys()).await;
            }
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
            Need::Body => {
                let body = self.read_body(after(started.monotonic_ns, BODY_MS)).await;
                self.exchange.body = body.map(Into::into);
            }
            Need::Revoke(ref revocations) => {
                let mut acknowledged = true;
                for one in revocations {
                    acknowledged &= worker.shared.revocations.revoke(one.clone()).await.is_ok();
                }
                self.exchange.revoked = Some(acknowledged);
            }
        }
    }

    /// The whole body of the request, if it is small and comes in time.
    async fn read_body(&mut self, deadline: u64) -> Option<Vec<u8>> {
        let framing = self.exchange.request.framing;
        if matches!(framing, Framing::Length(length) if length > BODY_BYTES) {
            return None;
        }
        let mut body = Vec::new();
        if framing == Framing::Empty {
            return Some(body);
        }
        let framing = self.client.body_framing(framing);
        self.body_taken = true;
        let Self { client, buffer, up, timer, .. } = self;
        up.start(framing, false, BODY_BYTES);
        let read = poll_fn(|cx| match up.poll(cx, client, buffer, &mut body) {
            Ok(Wait::Done) => Poll::Ready(true),
            Ok(Wait::Read | Wait::Write) => Poll::Pending,
            Err(_) => Poll::Ready(false),
        });
        timer.within(deadline, read).await.unwrap_or(false).then_some(body)
    }
}
