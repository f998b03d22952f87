//! Listening sockets: one per worker and address, owned by the gateway and never closed while serving.
//!
//! `SO_REUSEPORT` lets a second process of the same user bind the same port without an error and take half of the
//! connections. So an address is taken in three steps: a lock (an abstract Unix socket, gone with the process), a probe
//! bind without `SO_REUSEPORT` (finds listeners that know nothing of the lock, also wildcard against specific), and
//! only then the sockets themselves.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait for `accept`, per socket.
const BACKLOG: i32 = 4096;

/// The sockets of one address.
#[derive(Debug)]
pub struct Bound {
    /// The real address: port 0 is resolved.
    pub address: SocketAddr,
    /// Open connections on it, over all workers.
    pub open: Arc<AtomicUsize>,
    sockets: Vec<TcpListener>,
    _lock: UnixDatagram,
}

impl Bound {
    /// Takes `address` for `workers` sockets, or says why not. Nothing is accepted before [`Bound::listen`]. `ours` are
    /// the addresses that this gateway holds already; one that overlaps is no foreign listener.
    pub fn bind(address: SocketAddr, workers: usize, ours: &[SocketAddr]) -> Result<Self, String> {
        if address.port() != 0 && !ours.iter().any(|own| overlaps(*own, address)) {
            probe(address).map_err(|error| explain(address, &error))?;
        }
        let first = open(address, true).map_err(|error| explain(address, &error))?;
        let real = first.local_addr().map_err(|error| explain(address, &error))?;
        let lock = lock(real)?;
        let mut sockets = vec![first];
        while sockets.len() < workers.max(1) {
            sockets.push(open(real, true).map_err(|error| explain(real, &error))?);
        }
        Ok(Self { address: real, open: Arc::default(), sockets, _lock: lock })
    }

    /// From here on the kernel queues connections.
    pub fn listen(&self) -> Result<(), String> {
        self.sockets
            .iter()
            .try_for_each(|socket| socket2::SockRef::from(socket).listen(BACKLOG).map_err(|error| explain(self.address, &error)))
    }

    /// The socket of one worker, as a descriptor of its own.
    pub fn socket(&self, worker: usize) -> io::Result<TcpListener> {
        let socket = self.sockets.get(worker).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        socket.try_clone()
    }
}

fn overlaps(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Binding without `SO_REUSEPORT` fails while anyone listens there; connections that are closing do not count.
fn probe(address: SocketAddr) -> io::Result<()> {
    open(address, false).map(drop)
}

fn lock(address: SocketAddr) -> Result<UnixDatagram, String> {
    UnixAddr::from_abstract_name(format!("yett/{address}"))
        .and_then(|name| UnixDatagram::bind_addr(&name))
        .map_err(|error| explain(address, &error))
}

fn explain(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("address `{address}` is already in use; stop what listens there, or choose another port")
        }
        io::ErrorKind::PermissionDenied => {
            format!("address `{address}` may not be bound; choose a port above 1023, or grant CAP_NET_BIND_SERVICE")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("address `{address}` belongs to no interface of this machine; use one that does, or `0.0.0.0`")
        }
        _ => format!("address `{address}` cannot be bound: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn port_0_is_shared_by_all_sockets() {
        let bound = Bound::bind(any(), 4, &[]).unwrap();
        assert_ne!(bound.address.port(), 0);
        assert!((0..4).all(|w| bound.socket(w).unwrap().local_addr().unwrap() == bound.address));
        assert!(bound.socket(4).is_err());
    }

    #[test]
    fn a_second_bind_is_refused() {
        let bound = Bound::bind(any(), 2, &[]).unwrap();
        bound.listen().unwrap();
        let error = Bound::bind(bound.address, 2, &[]).unwrap_err();
        assert!(error.contains("already in use"), "{error}");
        let wildcard = SocketAddr::new("0.0.0.0".parse().unwrap(), bound.address.port());
        assert!(Bound::bind(wildcard, 1, &[]).unwrap_err().contains("already in use"));
    }

    #[test]
    fn a_foreign_listener_with_reuseport_is_found() {
        let foreign = open(any(), true).unwrap();
        socket2::SockRef::from(&foreign).listen(1).unwrap();
        let error = Bound::bind(foreign.local_addr().unwrap(), 1, &[]).unwrap_err();
        assert!(error.contains("already in use"), "{error}");
    }

    #[test]
    fn the_lock_goes_with_the_sockets() {
        let address = Bound::bind(any(), 1, &[]).unwrap().address;
        Bound::bind(address, 1, &[]).unwrap();
    }
}
