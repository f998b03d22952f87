//! Fetches the facts that the pipeline asks for: the only place where a decision waits.

use super::client::Client;
use super::deadline::after;
use super::lane::Lane;
use super::worker::View;
use crate::exchange::{Need, Now};

/// How long a fresh key set is waited for.
const KEYS_MS: u64 = 10_000;

impl<C: Client> Lane<C> {
    /// Fetches one fact, within its time. A fact that does not come is simply not there afterwards.
    pub(super) async fn fetch(&mut self, view: &View, need: &Need, started: Now) {
        match *need {
            Need::External { route } => {
                let Some(route) = view.snapshot.route(Some(route)) else { return };
                let Some(external) = &route.external else { return };
                let deadline = after(started.monotonic_ns, external.patience_ms().saturating_add(KEYS_MS));
                let asked = external.ask(&route.name, &self.exchange);
                self.exchange.external = self.timer.within(deadline, asked).await;
            }
            Need::Keys { provider } => {
                let provider = usize::try_from(provider).ok().and_then(|index| view.snapshot.providers.get(index));
                let Some(provider) = provider else { return };
                let deadline = after(started.monotonic_ns, KEYS_MS);
                let _ = self.timer.within(deadline, provider.refresh_keys()).await;
            }
        }
    }
}
