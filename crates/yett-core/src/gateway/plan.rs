//! What an apply prepares before anything changes: everything that can fail happens here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::adopt::{self, Adopted, Given};
use super::error;
use crate::filters::quota::disk::Disk;
use crate::ir;
use crate::observe::access_log::Target;
use crate::observe::admin::{Admin, Probe, Token};
use crate::observe::metrics::Labels;
use crate::server::accept::Settings;
use crate::server::passthrough::Passthrough;
use crate::server::per_address::PerAddress;
use crate::server::proxy_protocol::ProxyProtocol;
use crate::server::seat::Installed;
use crate::server::tls::ServerTls;
use crate::server::tls::handshake::{Gate, Terms};
use crate::shared::Shared;
use crate::snapshot::{LoadError, Secrets, Snapshot};
use crate::store::Opened;
use crate::upstream::{Health, Tls};

/// What serves now, as far as the next apply has to know it.
#[derive(Debug, Default)]
pub(super) struct Control {
    listeners: Vec<Known>,
    admin: Option<(SocketAddr, Admin)>,
    access_log: Option<ir::AccessLog>,
    decision_log: Option<String>,
    labels: Arc<Labels>,
    /// Sockets from outside, until the first configuration serves.
    adopted: Vec<Adopted>,
    /// No more applies.
    pub(super) stopped: bool,
}

impl Control {
    /// Before the first configuration.
    pub(super) fn adopting(adopted: Vec<Adopted>) -> Self {
        Self { adopted, ..Self::default() }
    }

    /// Every listening socket, once more.
    pub(super) fn give(&self) -> Result<Vec<Given>, String> {
        let admin = self.admin.iter().map(|(address, admin)| adopt::give(None, *address, admin.bound()));
        let give = |known: &Known| adopt::give(Some(&known.settings.name), known.address, &known.settings.bound);
        let all = self.listeners.iter().map(give).chain(admin).collect::<Result<_, _>>()?;
        Ok(adopt::document(all))
    }

    /// Lets go of the admin listener.
    pub(super) fn release_admin(&mut self) {
        self.admin = None;
    }

    /// After a stop: nothing is held any more.
    pub(super) fn stopped() -> Self {
        Self { stopped: true, ..Self::default() }
    }

    /// Lets go of the listening sockets; workers may still have theirs.
    pub(super) fn release_listeners(&mut self) {
        self.listeners.clear();
    }

    pub(super) fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(_, admin)| admin.address())
    }
}

/// A listener with what it was configured as.
#[derive(Debug)]
struct Known {
    /// As configured: port 0 is kept apart from the port that it became.
    address: SocketAddr,
    tls: Option<ServerTls>,
    proxy: Option<ir::ProxyProtocol>,
    passthrough: Option<ir::Passthrough>,
    settings: Arc<Settings>,
}

/// A configuration that is ready in every part.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) snapshot: Arc<Snapshot>,
    tls: Arc<Tls>,
    listeners: Vec<Known>,
    admin: AdminPlan,
    logs: Targets,
    stores: Opened,
    quotas: Option<(PathBuf, Arc<Disk>)>,
}

/// Where logs go from now on, where that changed.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) access: Option<Target>,
    pub(super) decisions: Option<Target>,
}

#[derive(Debug)]
enum AdminPlan {
    None,
    Keep(Option<Token>),
    New(SocketAddr, Box<Admin>),
}

impl Plan {
    /// Builds everything, or says everything that is wrong. What it bound is let go again in that case.
    pub(super) fn prepare(
        control: &Control,
        bytes: &[u8],
        secrets: &Secrets,
        shared: &Arc<Shared>,
        workers: usize,
        probe: Arc<dyn Probe>,
    ) -> Result<Self, Vec<LoadError>> {
        let snapshot = Arc::new(Snapshot::build(bytes, secrets, shared)?);
        let ir = &snapshot.ir;
        let mut errors = Vec::new();
        let tls = Tls::build(ir, secrets).map_err(|more| errors.extend(more)).ok();
        let listeners = listeners(control, ir, secrets, workers, &mut errors);
        let admin = admin(control, ir, secrets, &mut errors);
        let access = access_log(control, ir, &mut errors);
        let logs = Targets { access, decisions: decision_log(control, ir, &mut errors) };
        let stores = shared.stores.opened().change(ir.state.as_ref(), secrets, &shared.service_runtime);
        let stores = stores.map_err(|(key, message)| errors.push(error(&format!("/state/{key}"), &message))).ok();
        let quotas = quotas(ir, shared).map_err(|message| errors.push(error("/state/directory", &message))).ok();
        // Nothing listens before all of it can be served.
        if errors.is_empty() {
            for (index, known) in listeners.iter().enumerate() {
                if let Err(message) = known.settings.bound.listen() {
                    errors.push(error(&format!("/listeners/{index}/address"), &message));
                }
            }
        }
        let (Some(tls), Some(stores), Some(quotas), true) = (tls, stores, quotas, errors.is_empty()) else { return Err(errors) };
        let admin = match admin {
            AdminPlan::New(address, mut admin) => {
                admin.serve(probe, &shared.service_runtime).map_err(|message| vec![error("/admin/address", &message)])?;
                AdminPlan::New(address, admin)
            }
            other => other,
        };
        Ok(Self { snapshot, tls: Arc::new(tls), listeners, admin, logs, stores, quotas })
    }

    /// Every address that is ours, so that no service resolves to one.
    pub(super) fn own_addresses(&self, control: &Control) -> Vec<SocketAddr> {
        let admin = match &self.admin {
            AdminPlan::New(_, admin) => Some(admin.address()),
            AdminPlan::Keep(_) => control.admin_address(),
            AdminPlan::None => None,
        };
        self.listeners.iter().map(|known| known.settings.bound.address).chain(admin).collect()
    }

    /// Replaces what `control` remembers; gives what the workers take, and where logs go.
    pub(super) fn install(self, control: &mut Control, workers: usize, shared: &Arc<Shared>) -> (Arc<Installed>, Targets) {
        let names = self.listeners.iter().map(|known| Arc::clone(&known.settings.name)).collect();
        let routes = self.snapshot.routes.iter().map(|route| Arc::clone(&route.name)).collect();
        let labels = Arc::new(Labels::new(Arc::clone(&self.snapshot.revision), names, routes, &control.labels));
        match self.admin {
            AdminPlan::None => control.admin = None,
            AdminPlan::New(address, admin) => control.admin = Some((address, *admin)),
            AdminPlan::Keep(token) => {
                if let Some((_, admin)) = &control.admin {
                    admin.set_token(token);
                }
            }
        }
        // What is revoked is known before anything is served. Redis may come later: until then nobody is believed.
        shared.revocations.follow(&self.stores, &shared.service_runtime);
        shared.stores.set(self.stores);
        crate::filters::rate_limit::Sharing::serve(shared);
        let ir = &self.snapshot.ir;
        shared.quotas.configure(ir);
        crate::filters::quota::serve(shared);
        shared.logins.configure(ir, u32::MAX);
        if let Some((directory, disk)) = &self.quotas {
            shared.quotas.keep(directory, disk);
        }
        shared.revocations.configure(ir.process.revocations, ir.state.as_ref().and_then(|state| state.redis.as_ref()));
        let entries = usize::try_from(self.snapshot.ir.process.verdict_cache).unwrap_or(usize::MAX);
        let installed = Arc::new(Installed {
            listeners: self.listeners.iter().map(|known| Arc::clone(&known.settings)).collect(),
            labels: Arc::clone(&labels),
            health: Health::build(&self.snapshot, &self.tls, shared),
            tls: self.tls,
            verdict_entries: entries.div_ceil(workers.max(1)),
            snapshot: Arc::clone(&self.snapshot),
        });
        control.listeners = self.listeners;
        control.adopted.clear();
        control.labels = labels;
        control.access_log = Some(self.snapshot.ir.access_log.clone());
        control.decision_log = self.snapshot.ir.decision_log.as_ref().map(|log| log.file.clone());
        (installed, self.logs)
    }
}

/// Where use is kept, if there are quotas.
fn quotas(ir: &ir::Ir, shared: &Arc<Shared>) -> Result<Option<(PathBuf, Arc<Disk>)>, String> {
    if ir.routes.iter().all(|route| route.quotas.iter().all(|quota| quota.shared)) {
        return Ok(None);
    }
    let directory = ir.state.as_ref().and_then(|state| state.directory.as_ref());
    let directory = Path::new(directory.ok_or("a quota needs a directory, in which it survives a restart, or `state.redis`")?);
    let disk = shared.quotas.open(directory, Arc::downgrade(shared))?;
    Ok(Some((directory.to_owned(), disk)))
}

fn listeners(control: &Control, ir: &ir::Ir, secrets: &Secrets, workers: usize, errors: &mut Vec<LoadError>) -> Vec<Known> {
    let ours: Vec<SocketAddr> = control.listeners.iter().map(|known| known.settings.bound.address).collect();
    let drain = Duration::from_millis(ir.process.drain_ms);
    let mut all: Vec<Known> = Vec::with_capacity(ir.listeners.len());
    for (index, listener) in ir.listeners.iter().enumerate() {
        let pointer = format!("/listeners/{index}");
        let old = control.listeners.iter().find(|old| {
            old.address == listener.address && (listener.address.port() != 0 || *old.settings.name == *listener.name)
        });
        let tls = listener
            .tls
            .as_ref()
            .map(|tls| ServerTls::build(tls, secrets, &format!("{pointer}/tls"), old.and_then(|old| old.tls.as_ref())));
        let tls = match tls.transpose() {
            Ok(tls) => tls,
            Err(more) => {
                errors.extend(more);
                continue;
            }
        };
        let bound = match old {
            Some(old) => Ok(Arc::clone(&old.settings.bound)),
            None => adopt::bind(&control.adopted, Some(&listener.name), listener.address, workers, &ours).map(Arc::new),
        };
        match bound {
            Err(message) => errors.push(error(&format!("{pointer}/address"), &message)),
            Ok(bound) if all.iter().any(|known| Arc::ptr_eq(&known.settings.bound, &bound)) => {
                let message = format!("two listeners have the address `{}`; give each its own", listener.address);
                errors.push(error(&format!("{pointer}/address"), &message));
            }
            Ok(bound) => {
                let told = if tls.is_some() { hellos(ir, &listener.name) } else { Hellos::Unread };
                let settings = Arc::new(Settings {
                    name: name(old, listener, tls.as_ref(), told),
                    bound,
                    tls: tls.clone().map(|tls| terms(old, listener, tls, told)),
                    passthrough: listener
                        .passthrough
                        .as_ref()
                        .map(|spec| Arc::new(Passthrough::new(spec, Duration::from_millis(listener.timeouts.handshake_ms)))),
                    proxy: listener.proxy_protocol.as_ref().map(|spec| Arc::new(ProxyProtocol::build(spec))),
                    unread: Duration::from_millis(listener.passthrough.as_ref().map_or(listener.timeouts.body_ms, |p| p.idle_ms)),
                    per_address: per_address(old, listener),
                    handshake: Duration::from_millis(listener.timeouts.handshake_ms),
                    connections: usize::try_from(listener.limits.connections).unwrap_or(usize::MAX),
                    drain,
                });
                all.push(Known {
                    address: listener.address,
                    tls,
                    proxy: listener.proxy_protocol.clone(),
                    passthrough: listener.passthrough.clone(),
                    settings,
                });
            }
        }
    }
    all
}

/// The same, with the same tickets, offering HTTP/1.1 alone.
fn http1_only(config: &Arc<rustls::ServerConfig>) -> Arc<rustls::ServerConfig> {
    let mut config = rustls::ServerConfig::clone(config);
    config.alpn_protocols.retain(|protocol| protocol != b"h2");
    Arc::new(config)
}

/// The same without tickets: the hello of a resumed session is another one, so whoever is refused by the first would come in
/// by the second.
fn unresumed(config: &Arc<rustls::ServerConfig>) -> Arc<rustls::ServerConfig> {
    let mut config = rustls::ServerConfig::clone(config);
    config.send_tls13_tickets = 0;
    config.ticketer = Arc::new(NoTickets);
    Arc::new(config)
}

#[derive(Debug)]
struct NoTickets;

impl rustls::server::ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Those that are open count on, also under another limit.
fn per_address(old: Option<&Known>, listener: &ir::Listener) -> Option<Arc<PerAddress>> {
    let limit = listener.limits.connections_per_address?;
    let old = old.and_then(|old| old.settings.per_address.as_ref());
    let table = old.map_or_else(Arc::default, |old| Arc::clone(&old.table));
    let exempt = listener.trusted_proxies.as_ref().map(|proxies| proxies.addresses.clone()).unwrap_or_default();
    Some(Arc::new(PerAddress { limit, table, exempt }))
}

/// Who asks what a client's hello says of its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hellos {
    Unread,
    /// A guard of logins or a filter of bots, to which it says something where it is there.
    Counted,
    /// A condition, which refuses where it is not.
    Judged,
}

fn hellos(ir: &ir::Ir, listener: &str) -> Hellos {
    let routes = || ir.routes.iter().filter(|route| route.listeners.iter().any(|name| name == listener));
    if routes().any(|route| may_read(route, "ja4")) {
        Hellos::Judged
    } else if routes().any(|route| route.login_guard.is_some() || route.bot_filter.is_some()) {
        Hellos::Counted
    } else {
        Hellos::Unread
    }
}

/// Whether a condition or key of a route has this name in it, wherever those stand. A name of CEL has one spelling; a text that has it
/// by chance costs a little work in each handshake.
fn may_read(route: &ir::Route, name: &str) -> bool {
    let rules = (&route.access, &route.deny, &route.tenants, &route.shadow, &route.limit_classes);
    let limits = (&route.rate_limits, &route.concurrency_limits, &route.quotas, &route.shadow_limits);
    format!("{rules:?}{limits:?}").contains(name)
}

/// What handshakes are done with; those under way count on.
fn terms(old: Option<&Known>, listener: &ir::Listener, mut tls: ServerTls, told: Hellos) -> Terms {
    if !listener.http2.enabled {
        tls.config = http1_only(&tls.config);
    }
    let judged = told == Hellos::Judged;
    if judged {
        tls.config = unresumed(&tls.config);
    }
    let fingerprints = told != Hellos::Unread;
    let limit = listener.limits.handshakes;
    let old = old.and_then(|old| old.settings.tls.as_ref()).filter(|old| old.gate.is(limit));
    let gate = old.map_or_else(|| Arc::new(Gate::new(limit)), |old| Arc::clone(&old.gate));
    Terms { tls, gate, time: Duration::from_millis(listener.timeouts.handshake_ms), fingerprints, judged }
}

/// The old name itself, so that connections made before stay; a new one where they have to go: the listener is another one,
/// or what its connections were trusted for or are asked about has changed.
fn name(old: Option<&Known>, listener: &ir::Listener, tls: Option<&ServerTls>, told: Hellos) -> Arc<str> {
    let trust = |tls: &ServerTls| tls.trust;
    let stays = |old: &&Known| {
        *old.settings.name == *listener.name
            && old.tls.as_ref().map(trust) == tls.map(trust)
            && old.proxy == listener.proxy_protocol
            && old.passthrough == listener.passthrough
            // Of connections from before, the hello was not read, or was that of a resumed session.
            && (told != Hellos::Judged || old.settings.tls.as_ref().is_some_and(|terms| terms.judged))
    };
    old.filter(stays).map_or_else(|| listener.name.as_str().into(), |old| Arc::clone(&old.settings.name))
}

fn admin(control: &Control, ir: &ir::Ir, secrets: &Secrets, errors: &mut Vec<LoadError>) -> AdminPlan {
    let Some(spec) = &ir.admin else { return AdminPlan::None };
    let token = match &spec.token {
        None if !spec.address.ip().is_loopback() => {
            let message =
                format!("the admin address `{}` can be reached from other machines; set `token`, or use 127.0.0.1", spec.address);
            errors.push(error("/admin/address", &message));
            return AdminPlan::None;
        }
        None => None,
        Some(name) => match secrets.get(name).filter(|token| !token.is_empty()) {
            Some(token) => Some(Token::new(token)),
            None => {
                errors.push(error("/admin/token", &format!("the secret `{name}` is missing or empty")));
                return AdminPlan::None;
            }
        },
    };
    if control.admin.as_ref().is_some_and(|(address, _)| *address == spec.address) {
        return AdminPlan::Keep(token);
    }
    match adopt::bind(&control.adopted, None, spec.address, 1, &[]) {
        Ok(bound) => AdminPlan::New(spec.address, Box::new(Admin::new(bound, token))),
        Err(message) => {
            errors.push(error("/admin/address", &message));
            AdminPlan::None
        }
    }
}

fn access_log(control: &Control, ir: &ir::Ir, errors: &mut Vec<LoadError>) -> Option<Target> {
    if control.access_log.as_ref() == Some(&ir.access_log) {
        return None;
    }
    Target::open(&ir.access_log)
        .map_err(|failure| {
            let message = match &ir.access_log {
                ir::AccessLog::File(path) => format!("the access log `{path}` cannot be opened: {failure}"),
                _ => format!("the access log cannot be opened: {failure}"),
            };
            errors.push(error("/access_log", &message));
        })
        .ok()
}

fn decision_log(control: &Control, ir: &ir::Ir, errors: &mut Vec<LoadError>) -> Option<Target> {
    let wanted = ir.decision_log.as_ref();
    if control.decision_log.as_deref() == wanted.map(|log| log.file.as_str()) {
        return None;
    }
    let failed = |failure| {
        let file = wanted.map(|log| log.file.as_str()).unwrap_or_default();
        errors.push(error("/decision_log/file", &format!("the decision log `{file}` cannot be opened: {failure}")));
    };
    Target::decisions(wanted).map_err(failed).ok()
}
