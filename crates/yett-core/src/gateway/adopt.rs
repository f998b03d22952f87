//! Sockets that come from outside and go to a successor: the document that names them by descriptor.

use std::net::SocketAddr;
use std::os::fd::{IntoRawFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::server::descriptors;
use crate::server::sockets::{Bound, Descriptors};

/// The sockets of one listener, by number.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// The listener's name; the admin listener has none.
    pub listener: Option<String>,
    /// As configured: port 0 stays port 0.
    pub address: SocketAddr,
    /// Listening sockets; whoever names them gives them up.
    pub sockets: Vec<i32>,
    /// The lock of the address.
    #[serde(default)]
    pub lock: Option<i32>,
}

/// What is to be bound before a gateway starts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    workers: u32,
    listeners: Vec<WantedListener>,
    /// Addresses that are held already: no foreign listener.
    held: Vec<SocketAddr>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedListener {
    listener: Option<String>,
    address: SocketAddr,
}

/// Sockets that no configuration has taken yet.
#[derive(Debug)]
pub(super) struct Adopted {
    listener: Option<String>,
    address: SocketAddr,
    descriptors: Descriptors,
}

impl Adopted {
    /// Takes the descriptors over.
    pub(super) fn take(given: &Given) -> Result<Self, String> {
        let take = |number: i32| {
            descriptors::take(number)
                .map_err(|error| format!("descriptor {number} for `{}` is not usable: {error}", given.address))
        };
        let sockets = given.sockets.iter().map(|number| take(*number)).collect::<Result<_, _>>()?;
        let lock = given.lock.map(take).transpose()?;
        Ok(Self { listener: given.listener.clone(), address: given.address, descriptors: Descriptors { sockets, lock } })
    }

    /// Whether it is meant for this listener; the rule by which a reload keeps a socket.
    fn is_for(&self, listener: Option<&str>, address: SocketAddr) -> bool {
        self.address == address
            && self.listener.is_none() == listener.is_none()
            && (address.port() != 0 || self.listener.as_deref() == listener)
    }
}

/// Binds an address, or uses what was given for it.
pub(super) fn bind(
    adopted: &[Adopted],
    listener: Option<&str>,
    address: SocketAddr,
    workers: usize,
    ours: &[SocketAddr],
) -> Result<Bound, String> {
    if let Some(found) = adopted.iter().find(|one| one.is_for(listener, address)) {
        let again =
            found.descriptors.try_clone().map_err(|error| format!("the sockets of `{address}` cannot be used: {error}"))?;
        return Bound::adopt(address, again, workers);
    }
    let held = adopted.iter().filter_map(|one| {
        let socket = one.descriptors.sockets.first()?.try_clone().ok()?;
        socket2::Socket::from(socket).local_addr().ok()?.as_socket()
    });
    Bound::bind(address, workers, &ours.iter().copied().chain(held).collect::<Vec<_>>())
}

/// The descriptors of one listener, once more.
pub(super) fn give(listener: Option<&str>, address: SocketAddr, bound: &Bound) -> Result<Adopted, String> {
    let descriptors =
        bound.descriptors().map_err(|error| format!("the sockets of `{address}` cannot be handed over: {error}"))?;
    Ok(Adopted { listener: listener.map(str::to_owned), address, descriptors })
}

/// As numbers, which are whoever's reads them. Nothing can fail once the first is one.
pub(super) fn document(all: Vec<Adopted>) -> Vec<Given> {
    let number = |one: Adopted| Given {
        listener: one.listener,
        address: one.address,
        sockets: one.descriptors.sockets.into_iter().map(IntoRawFd::into_raw_fd).collect(),
        lock: one.descriptors.lock.map(OwnedFd::into_raw_fd),
    };
    all.into_iter().map(number).collect()
}

/// Binds listeners without serving them, for a process that gives up the right to do so before it starts threads.
/// Takes `{workers, listeners: [{listener, address}], held: [address]}`; gives a list of [`Given`].
pub fn bind_early(wanted: &[u8]) -> Result<Vec<u8>, String> {
    let wanted: Wanted = serde_json::from_slice(wanted).map_err(|error| format!("the listeners are not valid: {error}"))?;
    let workers = usize::try_from(wanted.workers).unwrap_or(1);
    let mut bound = Vec::with_capacity(wanted.listeners.len());
    for one in &wanted.listeners {
        let workers = if one.listener.is_some() { workers } else { 1 };
        bound.push((one, Bound::bind(one.address, workers, &wanted.held)?));
    }
    let given = bound.iter().map(|(one, bound)| give(one.listener.as_deref(), one.address, bound)).collect::<Result<_, _>>()?;
    serde_json::to_vec(&document(given)).map_err(|error| error.to_string())
}
