//! What one worker keeps for minting: randomness, a buffer, and assertions that may serve again.

use std::rc::Rc;
use std::sync::Arc;

use super::IdentityAssertion;
use super::call::{Call, Digest};
use crate::pipeline::random::Random;
use crate::principal::Principal;

/// Assertions of one worker that may serve again; a newer one takes the place of another with the same slot.
const SLOTS: usize = 1024;

/// What one worker keeps for minting.
#[derive(Debug, Default)]
pub struct Minter {
    pub(super) random: Random,
    pub(super) scratch: Vec<u8>,
    text: Vec<u8>,
    kept: Vec<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    principal: Option<Rc<Principal>>,
    /// What it was made by: a reload makes another.
    fixed: Arc<[u8]>,
    request: Digest,
    until_ms: u64,
    text: Box<[u8]>,
}

impl Kept {
    /// For this very caller (the same verdict on the same credential), service, configuration and request.
    fn serves(&self, assertion: &IdentityAssertion, call: &Call<'_>, request: &Digest, unix_ms: u64) -> bool {
        let same_caller = match (&self.principal, call.principal) {
            (Some(mine), Some(theirs)) => Rc::ptr_eq(mine, theirs),
            (None, None) => true,
            _ => false,
        };
        same_caller
            && unix_ms < self.until_ms
            // A clock that was set back must not make it live longer.
            && self.until_ms - unix_ms <= assertion.reuse_ms.unwrap_or(0)
            && self.request == *request
            && Arc::ptr_eq(&self.fixed, &assertion.fixed)
    }
}

fn slot(call: &Call<'_>, request: &Digest) -> usize {
    let [a, b, c, d, ..] = *request;
    let caller = call.principal.map_or(0, |principal| Rc::as_ptr(principal).addr() >> 4);
    (u32::from_le_bytes([a, b, c, d]) as usize ^ caller) % SLOTS
}

impl Minter {
    /// The buffer for an assertion, to be put back.
    pub fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    /// Gives the buffer back.
    pub fn put_text(&mut self, text: Vec<u8>) {
        self.text = text;
    }

    /// One that may serve again.
    pub(super) fn kept(&self, assertion: &IdentityAssertion, call: &Call<'_>, request: &Digest, unix_ms: u64) -> Option<&[u8]> {
        let kept = self.kept.get(slot(call, request))?.as_ref()?;
        kept.serves(assertion, call, request, unix_ms).then_some(&kept.text)
    }

    pub(super) fn keep(&mut self, assertion: &IdentityAssertion, call: &Call<'_>, request: Digest, until_ms: u64, text: &[u8]) {
        if self.kept.is_empty() {
            self.kept.resize_with(SLOTS, || None);
        }
        if let Some(place) = self.kept.get_mut(slot(call, &request)) {
            let (principal, fixed) = (call.principal.cloned(), Arc::clone(&assertion.fixed));
            *place = Some(Kept { principal, fixed, request, until_ms, text: text.into() });
        }
    }
}
