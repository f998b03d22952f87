//! A request whose signature fits, on its way: who it is, what its body has to be, and whether its nonce is new.

use std::rc::Rc;

use super::{HeldBody, Signed};
use crate::exchange::{AuthenticationMethod, Need, Principal, Refusal};
use crate::providers::authenticate::{Caller, Undecided};
use crate::providers::machine::Maker;
use crate::providers::refuse;
use crate::reason::Reason;
use crate::store::{Key, Space, Unavailable};

/// What is kept of a verified signature until the request ends.
#[derive(Debug)]
pub struct SignedRequest {
    /// Who signed.
    pub caller: Rc<Principal>,
    /// What its body has to be.
    pub body: Option<HeldBody>,
    nonce: Option<Nonce>,
}

#[derive(Debug)]
struct Nonce {
    question: Question,
    answer: Option<Result<bool, Unavailable>>,
}

/// What the store is asked about a nonce.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// Of key id and nonce.
    pub key: Key,
    /// `created`, milliseconds since 1970.
    pub created_ms: u64,
    /// When the signature is refused anyway, milliseconds since 1970.
    pub until_ms: u64,
}

impl SignedRequest {
    pub(in crate::providers) fn new(found: Signed<'_>, maker: &Maker) -> Self {
        let mut principal = maker.principal(AuthenticationMethod::SignedRequest, &found.key, found.machine);
        principal.token_id = Some(found.key.clone());
        principal.issued_ms = Some(found.created_ms);
        principal.expires_ms = found.expires_ms;
        let question = |nonce: &str| Question {
            // Without the provider: under another name it is the same request.
            key: Key::new(Space::Signature, &[found.key.as_bytes(), nonce.as_bytes()]),
            created_ms: found.created_ms,
            until_ms: found.until_ms,
        };
        let nonce = found.nonce.as_deref().map(|nonce| Nonce { question: question(nonce), answer: None });
        Self { caller: Rc::new(principal), body: found.body, nonce }
    }

    /// The caller, once its nonce turned out to be new.
    pub(in crate::providers) fn decide(&self) -> Result<Caller, Undecided> {
        let unavailable = || Refusal::from(Reason::StateUnavailable);
        match self.nonce.as_ref().map(|nonce| nonce.answer) {
            None | Some(Some(Ok(true))) => Ok(Rc::clone(&self.caller)),
            Some(None) => Err(Undecided::Needs(Box::new((Need::SignatureNonce, unavailable())))),
            Some(Some(Ok(false))) => Err(refuse(Reason::SignatureReplayed, "the nonce was used before, or may have been").into()),
            Some(Some(Err(_))) => Err(unavailable().into()),
        }
    }

    /// What is to be asked about its nonce, if nobody did.
    #[must_use]
    pub fn question(&self) -> Option<Question> {
        self.nonce.as_ref().filter(|nonce| nonce.answer.is_none()).map(|nonce| nonce.question)
    }

    /// What the store said: whether the nonce is new.
    pub fn answer(&mut self, answer: Result<bool, Unavailable>) {
        if let Some(nonce) = &mut self.nonce {
            nonce.answer = Some(answer);
        }
    }
}
