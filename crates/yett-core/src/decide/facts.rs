//! Facts that phases ask for: fetched as a gateway would, where the question says nothing of them and nobody is troubled.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::question::{External, Question};
use crate::exchange::{Exchange, Need, Use};
use crate::filters::external_authorization::Verdict;
use crate::providers::introspection::Introspected;
use crate::providers::{Provider, bearer_of};
use crate::service_tokens::Token;

/// How long one fact is waited for.
const FACT: Duration = Duration::from_secs(10);

impl Engine {
    /// Any outcome: the pipeline decides, and refuses if the fact is still missing.
    pub(super) fn fetch(&self, need: &Need, question: &Question, exchange: &mut Exchange) {
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

    fn provider(&self, index: u32) -> Option<&Provider> {
        self.snapshot.providers.get(usize::try_from(index).ok()?)
    }
}
