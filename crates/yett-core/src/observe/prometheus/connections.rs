//! Connections: those that came to nothing, those that were passed on unopened, and the certificates in use.

use std::collections::BTreeMap;

use super::text::Text;
use crate::ir::Certificate;
use crate::server::passthrough::End;
use crate::server::tls::cause::Cause;
use crate::shared::Shared;
use crate::upstream::tls_cause::TlsCause;

pub(super) fn failures(text: &mut Text, shared: &Shared) {
    let help = "TLS handshakes of clients that failed, by cause";
    let causes = Cause::ALL.iter().map(|cause| (cause.code(), shared.handshake_failures.get(*cause)));
    text.counters("yett_tls_handshake_failures_total", help).by_occurred("cause", causes);
    let help = "TLS handshakes with services that failed, by cause";
    let causes = TlsCause::ALL.iter().map(|cause| (cause.code(), shared.service_tls_failures.get(*cause)));
    text.counters("yett_service_tls_failures_total", help).by_occurred("cause", causes);
    let refused = &shared.connections_refused;
    let help = "connections refused because there were too many, by whose bound it was";
    let bounds = [("listener", refused.listener.get()), ("address", refused.address.get())];
    text.counters("yett_connections_refused_total", help).by("cause", bounds);
    let help = "connections passed on unopened, or refused that, by how they ended";
    let ends = End::ALL.iter().map(|end| (end.code(), shared.passthrough.get(*end)));
    text.counters("yett_passthrough_connections_total", help).by_occurred("end", ends);
}

/// When certificates end; nothing where there are none.
pub(super) fn certificates(text: &mut Text, all: &[Certificate]) {
    if all.is_empty() {
        return;
    }
    let mut seen = BTreeMap::new();
    for one in all {
        seen.insert((&*one.purpose, &*one.owner, &*one.serial, &*one.subject), one.not_after_s);
    }
    let help = "when a certificate in use ends, in seconds since 1970";
    let mut family = text.gauges("yett_certificate_expiry_seconds", help);
    for ((purpose, owner, serial, subject), end) in seen {
        family.add(&[("use", purpose), ("owner", owner), ("subject", subject), ("serial", serial)], end);
    }
}
