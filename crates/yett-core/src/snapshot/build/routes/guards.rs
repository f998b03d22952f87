//! Against abuse: guarded logins, and programs that pretend.

use std::sync::Arc;

use super::super::Errors;
use super::Draft;
use crate::filters::bot_filter::BotFilter;
use crate::filters::login_guard::LoginGuard;
use crate::ir;
use crate::shared::Shared;
use crate::snapshot::Secrets;

pub(super) struct Guards {
    pub(super) login: Option<LoginGuard>,
    pub(super) bots: Option<BotFilter>,
}

impl Draft<'_> {
    pub(super) fn guards(&self, errors: &mut Errors) -> Option<Guards> {
        let (spec, context) = (self.spec, self.context);
        let login = spec.login_guard.as_ref();
        let login = login.map(|one| login_guard(one, &spec.name, context.secrets, context.shared)).transpose();
        let login = errors.take(|| self.at("login_guard"), login);
        if spec.login_guard.is_some() && (spec.websocket.is_some() || !matches!(&spec.action, ir::Action::Forward(_))) {
            errors.add(self.at("login_guard"), "a guarded login needs a service that says whether it succeeded");
        }
        let systems = context.ir.geo.as_ref().is_some_and(|geo| geo.asn.is_some());
        if spec.login_guard.as_ref().is_some_and(|guard| guard.thresholds.per_asn.is_some()) && !systems {
            let message = "no database knows the autonomous systems that a guarded login counts";
            errors.add(self.at("login_guard"), message);
        }
        let bots = spec.bot_filter.as_ref().map(|one| BotFilter::build(one, &spec.name, context.shared)).transpose();
        let bots = errors.take(|| self.at("bot_filter"), bots);
        Some(Guards { login: login?, bots: bots? })
    }
}

/// Where people log in, with the secret of its challenges.
fn login_guard(spec: &ir::LoginGuard, route: &str, secrets: &Secrets, shared: &Arc<Shared>) -> Result<LoginGuard, String> {
    let name = spec.challenge.as_ref().and_then(|challenge| challenge.secret.as_ref());
    let secret = name.map(|name| secrets.get(name).ok_or_else(|| format!("the secret `{name}` is missing"))).transpose()?;
    LoginGuard::build(spec, route, secret.map(|secret| secret.as_slice()), shared)
}
