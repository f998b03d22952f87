//! What decisions of a route stand on, as a digest: streams that were let in end when it changes.

use std::fmt::Write;

use crate::ir::{self, Ir};

/// Two configurations with the same digest let the same requests of a caller through, as far as that is not a limit's.
pub(super) fn decision(spec: &ir::Route, ir: &Ir) -> [u8; 32] {
    let mut text = format!(
        "{:?}",
        (
            &spec.matches,
            &spec.path_allow,
            spec.client_certificate,
            spec.sender_constrained,
            &spec.access,
            &spec.live_check,
            &spec.websocket,
            &spec.assurance
        )
    );
    let _ = write!(
        text,
        "{:?}",
        (
            &spec.tenants,
            &spec.deny,
            spec.hidden,
            &spec.response_tenant,
            &spec.external_authorization,
            &spec.cors,
            &spec.csrf,
            &spec.address_filters,
            &spec.geo_filters,
            &spec.bot_filter
        )
    );
    if let ir::Access::Authenticated(authenticated) = &spec.access {
        for provider in ir.providers.iter().filter(|one| authenticated.providers.iter().any(|name| name == one.name())) {
            let _ = match provider {
                ir::Provider::Jwt(jwt) => {
                    let secret = match &jwt.jwks {
                        ir::Jwks::SharedSecret(name) => ir.secrets.get(name),
                        _ => None,
                    };
                    write!(text, "{:?}", (jwt, secret))
                }
                ir::Provider::Oidc(oidc) => write!(text, "{oidc:?}"),
                ir::Provider::ApiKey(keys) => {
                    let pepper = keys.pepper.as_ref().map(|name| ir.secrets.get(name));
                    write!(text, "{:?}", (&keys.name, &keys.header, &keys.salt, pepper))
                }
                ir::Provider::Mtls(mtls) => write!(text, "{mtls:?}"),
                ir::Provider::SignedRequest(signed) => {
                    let secrets: Vec<_> = signed.keys.iter().filter_map(|key| ir.secrets.get(key.secret.as_ref()?)).collect();
                    write!(text, "{:?}", (signed, secrets))
                }
                ir::Provider::ClientAssertion(clients) => write!(text, "{clients:?}"),
                ir::Provider::Introspection(spec) => write!(text, "{spec:?}"),
            };
        }
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().unwrap_or_default()
}
