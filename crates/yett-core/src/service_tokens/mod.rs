//! Tokens that the gateway gets for a service, so that it sees one that was made for it and not the caller's.
//!
//! By client credentials (RFC 6749 section 4.4) in the gateway's own name, or by token exchange (RFC 8693) in the caller's.
//! A request is never forwarded without the token that its service is to get.

mod answer;
mod faults;
mod source;

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

pub(crate) use faults::faults;
pub use source::{Counts, Registry, TokenSource};

use crate::exchange::{Exchange, Need, Refusal, Step};
use crate::ir;
use crate::providers::bearer_of;
use crate::reason::Reason;

/// A token for a service.
pub struct Token {
    /// SHA-256 of the caller's token that it was got for; zeros where the caller does not matter.
    caller: [u8; 32],
    /// `Bearer …`
    authorization: Zeroizing<Vec<u8>>,
    /// It was got because its predecessor was refused: if it is refused as well, another one would not help.
    replacement: bool,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

impl Token {
    /// In place of one, where it is only asked what would become of a request.
    #[must_use]
    pub fn stand_in() -> Self {
        let authorization = Zeroizing::new(b"Bearer (a token for the service)".to_vec());
        Self { caller: [0; 32], authorization, replacement: true }
    }

    /// The value of `Authorization`.
    #[must_use]
    pub fn authorization(&self) -> &[u8] {
        &self.authorization
    }
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The token endpoint does not answer; it may be left alone for so long.
    Unavailable(Option<Duration>),
    /// It says no, or what it says is no token for us.
    Refused,
}

impl Failure {
    /// What the client is told.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Unavailable(rest) => {
                let mut refusal = Refusal::from(Reason::ServiceTokenUnavailable);
                refusal.retry_after_s = rest.map(|rest| Refusal::pause(rest.as_secs().saturating_add(1)));
                refusal
            }
            Self::Refused => Reason::ServiceTokenRefused.into(),
        }
    }
}

/// The outcome for one request.
pub type Outcome = Result<Arc<Token>, Failure>;

/// Makes sure that `exchange.service_token` holds what its service, of this index, gets; or asks for it once.
pub(crate) fn prepare(source: &TokenSource, service: u32, exchange: &mut Exchange) -> Step {
    if exchange.service_token.is_none() {
        let subject = bearer_of(&exchange.request);
        if subject.is_none() && source.grant() == ir::TokenGrant::TokenExchange {
            // a caller without a token: routes of such do not load
            return Step::Refuse(Reason::Internal.into());
        }
        exchange.service_token = source.known(subject);
    }
    match &exchange.service_token {
        Some(Ok(_)) => Step::Continue,
        Some(Err(failure)) => Step::Refuse(failure.refusal()),
        None => {
            let refusal = Failure::Unavailable(None).refusal();
            exchange.ask(Need::ServiceToken { service }).unwrap_or(Step::Refuse(refusal))
        }
    }
}
