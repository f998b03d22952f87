//! Listeners, and what has to fit together on them.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Errors;
use super::screen::{Lists, ScreenSpec, shadow_limits};
use crate::ir::{self, Ir};
use crate::server::tls::names::Names;
use crate::server::tls::trust;
use crate::shared::Shared;
use crate::snapshot::{ClientCertificates, Listener};

pub(super) fn listeners(ir: &Ir, lists: &Lists, shared: &Arc<Shared>, errors: &mut Errors) -> Vec<Listener> {
    let mut out = Vec::with_capacity(ir.listeners.len());
    for (index, spec) in ir.listeners.iter().enumerate() {
        let at = |part: &str| format!("/listeners/{index}/{part}");
        let screen = ScreenSpec {
            address_filters: &spec.address_filters,
            geo_filters: &spec.geo_filters,
            address_limits: &spec.address_limits,
        };
        let screen = screen.build(ir.geo.as_ref(), lists, shared, at, errors);
        let tried = shadow_limits(&spec.shadow_limits, "", None, shared, || at("shadow_limits"), errors);
        out.push(Listener {
            name: spec.name.as_str().into(),
            address_filters: screen.address_filters,
            geo_filters: screen.geo_filters,
            address_limits: screen.address_limits,
            shadow_limits: tried,
            trusted_proxies: spec.trusted_proxies.clone(),
            certificates: spec.tls.as_ref().and_then(certificates),
            client_certificates: spec.tls.as_ref().and_then(client_certificates),
            redirect: spec.redirect.clone(),
            hides: ir.routes.iter().any(|route| route.hidden && route.listeners.contains(&spec.name)),
        });
    }
    out
}

/// Only where a name can lead to another certificate. What cannot be read is an error of the listener's TLS.
fn certificates(tls: &ir::ListenerTls) -> Option<Names> {
    if tls.certificates.len() < 2 {
        return None;
    }
    let mut names = Names::default();
    for (index, pair) in tls.certificates.iter().enumerate() {
        if let Ok(leaf) = CertificateDer::from_pem_slice(pair.chain.as_bytes()) {
            names.add(u32::try_from(index).unwrap_or(u32::MAX), &leaf);
        }
    }
    Some(names)
}

fn client_certificates(tls: &ir::ListenerTls) -> Option<ClientCertificates> {
    let required = tls.client_certificates.as_ref()?.mode == ir::ClientCertificateMode::Required;
    Some(ClientCertificates { required, trust: trust(tls) })
}

/// A route that requires a certificate stands on no listener that does not ask for one.
pub(super) fn client_certificate(ir: &Ir, errors: &mut Errors) {
    let asks = |name: &str| {
        let listener = ir.listeners.iter().find(|listener| listener.name == name);
        listener.and_then(|listener| listener.tls.as_ref()).is_some_and(|tls| tls.client_certificates.is_some())
    };
    for (index, route) in ir.routes.iter().enumerate().filter(|(_, route)| route.client_certificate) {
        for name in route.listeners.iter().filter(|name| !asks(name)) {
            let message = format!("the route requires a client certificate, and the listener `{name}` asks for none");
            errors.add(format!("/routes/{index}/client_certificate"), message);
        }
    }
}

/// A listener that redirects has nothing else, and leads to TLS.
pub(super) fn redirects(ir: &Ir, errors: &mut Errors) {
    for (index, listener) in ir.listeners.iter().enumerate() {
        let Some(redirect) = &listener.redirect else { continue };
        let target = ir.listeners.iter().find(|other| other.name == redirect.listener);
        let message = if ir.routes.iter().any(|route| route.listeners.contains(&listener.name)) {
            format!("the listener `{}` redirects and takes no routes", listener.name)
        } else if listener.tls.is_some() {
            format!("the listener `{}` speaks TLS already", listener.name)
        } else if target.is_none_or(|target| target.tls.is_none()) {
            format!("there is no listener `{}` with TLS to redirect to", redirect.listener)
        } else {
            continue;
        };
        errors.add(format!("/listeners/{index}/redirect"), message);
    }
}

/// A listener that passes TLS on has nothing that would need to read it, and leads to services that speak it.
pub(super) fn passthroughs(ir: &Ir, errors: &mut Errors) {
    for (index, listener) in ir.listeners.iter().enumerate() {
        let Some(passthrough) = &listener.passthrough else { continue };
        let mut fault = |message: String| {
            errors.add(format!("/listeners/{index}/passthrough"), message);
        };
        let name = &listener.name;
        if ir.routes.iter().any(|route| route.listeners.contains(name)) {
            fault(format!("the listener `{name}` passes TLS on unopened and takes no routes"));
        }
        if listener.tls.is_some() || listener.redirect.is_some() || listener.trusted_proxies.is_some() {
            fault(format!(
                "the listener `{name}` passes TLS on unopened; `tls`, `redirect` and `trusted_proxies` have no place there"
            ));
        }
        let limits = !listener.address_limits.is_empty() || !listener.shadow_limits.is_empty();
        if limits || listener.http2 != ir::Http2::default() {
            fault(format!("the listener `{name}` passes TLS on unopened; it cannot limit or read requests"));
        }
        for service in passthrough.hosts.values() {
            match ir.services.iter().find(|known| known.name == *service) {
                None => fault(format!("there is no service `{service}`")),
                Some(known) if known.endpoints.iter().any(|endpoint| !endpoint.tls) => {
                    fault(format!("an endpoint of `{service}` speaks no TLS"));
                }
                Some(_) => {}
            }
        }
    }
}
