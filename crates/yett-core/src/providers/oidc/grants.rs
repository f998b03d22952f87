//! Asking the token endpoint: a code for tokens, and a refresh token for fresh ones, once for each session.
//!
//! A browser sends several requests at once with the same cookie. Whoever comes with the same refresh token waits for one
//! answer, and gets it again for a while: a second use of a token that rotates looks like theft to the provider.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::token::Token;
use crate::outbound::{Fault, Flights, Form, Limits, OauthClient, Response};
use crate::providers::endpoint::Endpoint;
use crate::providers::jwk::sha256;

/// For one request to the token endpoint.
const TIME: Duration = Duration::from_secs(8);
/// Bytes of an answer.
const BYTES: usize = 64 * 1024;
/// How long a success or a refusal is given again: long enough for requests that a browser sent before it had the new cookie.
const REMEMBERED: Duration = Duration::from_secs(30);
/// How long a failure is: so that each request of each session does not ask again.
const FAILED: Duration = Duration::from_secs(5);
/// Answers that are remembered, of one provider.
const ANSWERS: usize = 4096;
/// Requests to the token endpoint at once, and waiting.
pub const BOUNDS: (usize, usize) = (32, 256);

/// What tokens are asked for with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A code that a login brought (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
    Code {
        /// It.
        code: Token,
        /// `code_verifier`
        verifier: Token,
        /// As at the beginning of the login.
        redirect_uri: Box<str>,
    },
    /// A refresh token (RFC 6749 section 6).
    Refresh(Token),
}

/// Why there are no tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The provider refused: its `error`, if that is a word of letters.
    Refused(Box<str>),
    /// The provider cannot be asked: why, for the log.
    Unavailable(Box<str>),
}

/// The body of a successful answer.
pub type Outcome = Result<Arc<[u8]>, Failure>;

type Digest = [u8; 32];

/// The token endpoint of one provider, and what it answered lately.
#[derive(Debug)]
pub struct TokenEndpoint {
    /// Where it is.
    pub address: Endpoint,
    /// Who asks.
    pub client: OauthClient,
    /// The provider's issuer: the audience of the client's assertions.
    pub issuer: Arc<str>,
    flights: Arc<Flights<Digest, Outcome>>,
    answers: Mutex<VecDeque<(Instant, Digest, Outcome)>>,
}

impl TokenEndpoint {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(address: Endpoint, client: OauthClient, issuer: Arc<str>) -> Self {
        Self { address, client, issuer, flights: Arc::default(), answers: Mutex::default() }
    }

    /// Asks, on the service runtime. One answer for all that come with one refresh token; a code is asked for once by
    /// nature.
    pub async fn tokens(self: Arc<Self>, grant: Grant, runtime: Handle) -> Outcome {
        let started = Instant::now();
        let Grant::Refresh(token) = &grant else {
            let asked = runtime.spawn(async move { self.ask(&grant).await });
            return asked.await.unwrap_or_else(|_| Err(Failure::Unavailable("a bug of the gateway".into())));
        };
        let key = sha256(token.0.as_bytes());
        if let Some(known) = self.remembered(&key, started) {
            return known;
        }
        let own = Arc::clone(&self);
        let ask = || async move {
            // Whoever was slower than the flight before looks again.
            if let Some(known) = own.remembered(&key, Instant::now()) {
                return known;
            }
            let outcome = own.ask(&grant).await;
            own.remember(key, &outcome, Instant::now());
            outcome
        };
        // Whenever it began: the same token is never used twice.
        let long_ago = started.checked_sub(TIME * 4).unwrap_or(started);
        let found = self.flights.join(key, long_ago, &runtime, ask).await;
        found.unwrap_or_else(|| Err(Failure::Unavailable("a bug of the gateway".into())))
    }

    fn remembered(&self, key: &Digest, now: Instant) -> Option<Outcome> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().rev().find(|(until, known, _)| known == key && *until > now).map(|(_, _, outcome)| outcome.clone())
    }

    fn remember(&self, key: Digest, outcome: &Outcome, now: Instant) {
        let keep = if matches!(outcome, Err(Failure::Unavailable(_))) { FAILED } else { REMEMBERED };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|(until, _, _)| *until > now);
        if answers.len() >= ANSWERS {
            answers.pop_front();
        }
        answers.push_back((now + keep, key, outcome.clone()));
    }

    async fn ask(&self, grant: &Grant) -> Outcome {
        let unavailable = |why: String| Failure::Unavailable(why.into());
        let target = self.address.target().await.map_err(|fault| unavailable(fault.to_string()))?;
        let form = match grant {
            Grant::Code { code, verifier, redirect_uri } => Form::default()
                .with("grant_type", "authorization_code")
                .with("code", code.0.as_str())
                .with("redirect_uri", &**redirect_uri)
                .with("code_verifier", verifier.0.as_str()),
            Grant::Refresh(token) => Form::default().with("grant_type", "refresh_token").with("refresh_token", token.0.as_str()),
        };
        let now_s = crate::server::clock::now().unix_ms / 1000;
        let request = self.client.post(form, &self.issuer, now_s).map_err(|fault| unavailable(fault.to_string()))?;
        let answer = target.send(&request, Limits { time: TIME, bytes: BYTES }).await;
        read(answer.map_err(|fault| unavailable(fault.to_string()))?)
    }
}

/// A success, or what kind of failure it is (RFC 6749 section 5.2).
fn read(answer: Response) -> Outcome {
    let status = answer.status;
    let object = answer.json_of_any_status();
    if status == http::StatusCode::OK {
        return match object {
            Ok(_) => Ok(answer.body.into()),
            Err(fault) => Err(Failure::Unavailable(fault.to_string().into())),
        };
    }
    let error = object.as_ref().ok().and_then(|object| object.get("error")).and_then(Value::as_str).unwrap_or_default();
    let word = (1..=64).contains(&error.len()) && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    // A client that is refused as such is a fault of the configuration, and no verdict on the session.
    let client = matches!(error, "invalid_client" | "unauthorized_client" | "temporarily_unavailable" | "server_error");
    if status.is_client_error() && status != http::StatusCode::TOO_MANY_REQUESTS && word && !client {
        return Err(Failure::Refused(error.into()));
    }
    let what =
        if word { format!("{}: `{error}`", Fault::Status(status.as_u16())) } else { Fault::Status(status.as_u16()).to_string() };
    Err(Failure::Unavailable(what.into()))
}
