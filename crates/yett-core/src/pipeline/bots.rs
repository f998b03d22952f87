//! Bots: what a request says that it is, and whether it looks like that.

use crate::exchange::{Exchange, Now, Step};
use crate::pipeline::forwarding;
use crate::reason::Reason;
use crate::snapshot::Snapshot;

/// A phase of its own: where somebody has to be asked about a crawler, the limits by address before it are not charged again.
pub(super) fn judge(snapshot: &Snapshot, exchange: &mut Exchange, now: Now) -> Step {
    let Some((index, route)) = exchange.route.zip(snapshot.route(exchange.route)) else {
        return Step::Refuse(Reason::Internal.into());
    };
    let Some(filter) = route.bot_filter.as_ref().filter(|_| !exchange.unnamed) else { return Step::Continue };
    let proxies = snapshot.listener(&exchange.connection.listener).and_then(|listener| listener.trusted_proxies.as_ref());
    let peer = exchange.connection.peer.ip().to_canonical();
    let behind = proxies.is_some_and(|proxies| forwarding::trusts(proxies, peer));
    filter.judge(exchange, index, behind, route.hidden, now)
}
