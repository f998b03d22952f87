//! Fetches the facts that the pipeline asks for: the only place where a decision waits.

use super::client::Client;
use super::deadline::after;
use super::lane::Lane;
use super::worker::{View, Worker};
use crate::exchange::{Need, Now, Once, Use};

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
        }
    }
}
