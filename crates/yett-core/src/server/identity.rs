//! The assertion of identity of each attempt.

use super::client::Client;
use super::clock::now;
use super::forward::Job;
use super::lane::Lane;
use crate::exchange::Exchange;
use crate::filters::identity_assertion::{Call, HEADER, IdentityAssertion, Minter, Unminted};
use crate::headers::Headers;
use crate::reason::Reason;

/// Puts a fresh assertion to the fields, in place of the one of an earlier attempt.
pub(super) fn assert(
    assertion: &IdentityAssertion,
    call: &Call<'_>,
    minter: &mut Minter,
    headers: &mut Headers,
) -> Result<(), Reason> {
    let mut text = minter.take_text();
    let minted = assertion.mint(call, now().unix_ms, minter, &mut text);
    let set = minted.and_then(|()| headers.set(HEADER, &text).map_err(|_| Unminted));
    minter.put_text(text);
    set.map_err(|Unminted| Reason::AssertionFailed)
}

impl<C: Client> Lane<C> {
    /// For the attempt that comes next, where the service is told who calls.
    pub(super) fn assert_identity(&mut self, job: &Job<'_>) -> Result<(), Reason> {
        let Some(assertion) = job.view.snapshot.assertion(self.exchange.service) else { return Ok(()) };
        let exchange = &mut *self.exchange;
        let call = Call {
            principal: exchange.principal.as_ref(),
            method: exchange.request.method.as_str(),
            target: &exchange.forward_target,
            request_id: &exchange.request_id,
            body: exchange.body_digest.as_ref(),
        };
        assert(assertion, &call, &mut job.worker.minter.borrow_mut(), &mut exchange.request.headers)
    }
}

/// The fields of a request that is sent once more within an attempt, where the service is told who calls: whatever it says of
/// not having looked at the request, the assertion of the first time may be used up.
pub(super) fn anew(job: &Job<'_>, exchange: &Exchange) -> Result<Option<Headers>, Reason> {
    let Some(assertion) = job.view.snapshot.assertion(exchange.service) else { return Ok(None) };
    let call = Call {
        principal: exchange.principal.as_ref(),
        method: exchange.request.method.as_str(),
        target: &exchange.forward_target,
        request_id: &exchange.request_id,
        body: exchange.body_digest.as_ref(),
    };
    let mut headers = exchange.request.headers.clone();
    assert(assertion, &call, &mut job.worker.minter.borrow_mut(), &mut headers)?;
    Ok(Some(headers))
}
