//! What a recorded request would come to: the phases that decide its access, with the verified outcome of its credential
//! given, and whether its address may come in. Limits, validation of bodies and what services do are not asked.

use std::rc::Rc;

use smallvec::SmallVec;

use super::{authorize, login, route};
use crate::decisions::record::Opening;
use crate::exchange::{Exchange, Now, Principal, Refusal};
use crate::filters::address_filter::AddressFilter;
use crate::reason::Reason;
use crate::snapshot::{Access, Route, Snapshot};

/// What a record knows of a caller.
pub enum Vouched {
    /// Verified callers, the first one first.
    Callers(SmallVec<[Rc<Principal>; 1]>),
    /// Refused, and so it would be again.
    Refused(Reason),
    /// Not to be told, and why.
    Unknown(String),
}

/// The decision, or why it cannot be made. What else it lacked is noted in `exchange.recorded`.
///
/// # Errors
/// What is not known.
pub fn decide(
    snapshot: &Snapshot,
    exchange: &mut Exchange,
    now: Now,
    vouched: impl FnOnce(u32, &Route) -> Vouched,
    external: impl FnOnce(u32) -> Result<Option<Reason>, String>,
) -> Result<Result<(), Refusal>, String> {
    if let Some(listener) = snapshot.listener(&exchange.connection.listener)
        && let Some(refusal) = kept_out(&listener.address_filters, exchange)?
    {
        return Ok(Err(refusal));
    }
    let (index, route) = match route::place(snapshot, exchange) {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    exchange.route = Some(index);
    if let Some(refusal) = kept_out(&route.address_filters, exchange)? {
        return Ok(Err(refusal));
    }
    if route.websocket.is_some() {
        match exchange.recorded.as_ref().and_then(|recorded| recorded.websocket) {
            Some(Opening::Opened) => {}
            Some(Opening::None) => return Ok(Err(Reason::UpgradeRequired.into())),
            Some(Opening::Asked) | None => return Err("whether it opens a WebSocket connection".to_owned()),
        }
    }
    if let Access::Authenticated { .. } = &route.access {
        if route.client_certificate && exchange.connection.client_certificate.is_none() {
            return Ok(Err(Reason::ClientCertificateRequired.into()));
        }
        let mut callers = match vouched(index, route) {
            Vouched::Callers(callers) => callers.into_iter(),
            Vouched::Refused(reason) => return Ok(Err(reason.into())),
            Vouched::Unknown(why) => return Err(why),
        };
        exchange.principal = callers.next();
        exchange.vouched = callers.collect();
        if let Err(refusal) = login::sure(snapshot, exchange, now) {
            return Ok(Err(refusal));
        }
    }
    match authorize::decided(snapshot, exchange, now) {
        Ok(()) => {}
        Err(refusal) => return Ok(Err(refusal)),
    }
    if route.external.is_some()
        && let Some(reason) = external(index)?
    {
        return Ok(Err(reason.into()));
    }
    Ok(authorize::decided_body(snapshot, exchange, now))
}

/// Whether an address may not come in.
///
/// # Errors
/// It is not known, or what stands in a list is not.
fn kept_out(filters: &[AddressFilter], exchange: &Exchange) -> Result<Option<Refusal>, String> {
    if filters.is_empty() {
        return Ok(None);
    }
    if exchange.recorded.as_ref().is_some_and(|recorded| !recorded.client) {
        return Err("the address of the client".to_owned());
    }
    match filters.iter().find_map(|filter| filter.check(exchange.client).err()) {
        Some(Refusal { reason: Reason::AddressListUnavailable, rule, .. }) => {
            Err(format!("what stands in the list of `{}`", rule.unwrap_or_default()))
        }
        refused => Ok(refused),
    }
}
