//! A listener that only says where HTTPS is: 308 with the same host, path and query.
//!
//! Its answer may be kept by caches, so the host in it is one that a route of the other listener names; `hosts: any`
//! names none, since whoever writes the Host field would decide where others are sent.

use crate::exchange::{Answer, Exchange, Step};
use crate::snapshot::Snapshot;

/// The answer of a listener with `redirect`, for a canonical path; `None` for other listeners and for hosts that are not
/// served there, which get the 404 of any unknown host.
pub(super) fn to_https(snapshot: &Snapshot, exchange: &Exchange) -> Option<Step> {
    let target = snapshot.listener(&exchange.connection.listener)?.redirect.as_ref()?;
    if !snapshot.router.names(&target.listener, &exchange.host) {
        return None;
    }
    let mut location = format!("https://{}", exchange.host);
    if target.port != 443 {
        location.push(':');
        location.push_str(itoa::Buffer::new().format(target.port));
    }
    // A canonical path and a query of visible characters: both ASCII.
    location.push_str(&String::from_utf8_lossy(exchange.path.raw()));
    if exchange.request.target.contains(&b'?') {
        location.push('?');
        location.push_str(&String::from_utf8_lossy(exchange.query()));
    }
    let mut answer = Answer { status: 308, headers: vec![("location".into(), location.into())], body: [].into() };
    if let Some(security) = &snapshot.security_headers {
        security.finish(&mut answer, exchange.https);
    }
    let id = String::from_utf8_lossy(&exchange.request_id).into();
    answer.headers.push(("x-request-id".into(), id));
    Some(Step::Answer(answer))
}
