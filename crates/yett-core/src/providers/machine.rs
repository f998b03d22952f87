//! A machine that was recognized becomes a caller.

use crate::exchange::{AuthenticationMethod, Principal, PrincipalKind};
use crate::filters::keyed_hash::KeyedHash;
use crate::ir::{Machine, MachineKind};

/// The caller of a provider for machines; never a user.
#[derive(Debug, Clone)]
pub(super) struct Maker {
    /// The provider.
    pub provider: std::sync::Arc<str>,
    /// For the key of limits.
    pub seed: KeyedHash,
}

impl Maker {
    /// Whom `name` was recognized as.
    pub(super) fn principal(&self, method: AuthenticationMethod, name: &str, machine: &Machine) -> Principal {
        let texts = |list: &[String]| list.iter().map(|text| text.as_str().into()).collect();
        let client = machine.client.as_deref().unwrap_or(name);
        Principal {
            subject: name.into(),
            client: Some(client.into()),
            kind: kind(machine.kind),
            scopes: texts(&machine.scopes),
            roles: texts(&machine.roles),
            tenant: machine.tenant.as_deref().map(Into::into),
            partner: machine.partner.as_deref().map(Into::into),
            // By client and tenant: keys and certificates of one client share its limits.
            key: self.seed.parts(&[
                self.provider.as_bytes(),
                client.as_bytes(),
                machine.tenant.as_deref().unwrap_or_default().as_bytes(),
            ]),
            ..Principal::blank(self.provider.clone(), method)
        }
    }
}

/// What it is.
pub(super) fn kind(kind: MachineKind) -> PrincipalKind {
    match kind {
        MachineKind::Service => PrincipalKind::Service,
        MachineKind::Device => PrincipalKind::Device,
    }
}
