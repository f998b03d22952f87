//! Listening sockets: at least one per worker and address, owned by the gateway and never closed while serving.
//!
//! Sockets may come from outside, as from a gateway that served before. Closing one resets what waits in its queue, so all of them are served, however many
//! there are: with more sockets than workers a worker serves several; with fewer, more are opened, or, where the system
//! refuses that (sockets that another user made, or without `SO_REUSEPORT`), workers share.
//!
//! `SO_REUSEPORT` lets a second process of the same user bind the same port without an error and take half of the
//! connections. So an address is taken in three steps: a lock (an abstract Unix socket, gone with the process), a probe
//! bind without `SO_REUSEPORT` (finds listeners that know nothing of the lock, also wildcard against specific), and
//! only then the sockets themselves.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::spread::Spread;

/// Connections that wait for `accept`, per socket.
const BACKLOG: i32 = 4096;

/// The sockets of one address.
#[derive(Debug)]
pub struct Bound {
    /// The real address: port 0 is resolved.
    pub address: SocketAddr,
    /// Open connections on it, by worker.
    pub spread: Arc<Spread>,
    sockets: Vec<TcpListener>,
    lock: UnixDatagram,
}

/// Descriptors of one address.
#[derive(Debug)]
pub struct Descriptors {
    /// Listening sockets, at least one.
    pub sockets: Vec<OwnedFd>,
    /// The lock of the address, where a gateway holds it.
    pub lock: Option<OwnedFd>,
}

impl Descriptors {
    /// The same, once more.
    pub fn try_clone(&self) -> io::Result<Self> {
        let sockets = self.sockets.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>()?;
        Ok(Self { sockets, lock: self.lock.as_ref().map(OwnedFd::try_clone).transpose()? })
    }
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
        Ok(Self { address: real, spread: Spread::new(workers), sockets, lock })
    }

    /// Takes sockets that are bound already, for so many workers. `address` is the configured one.
    pub fn adopt(address: SocketAddr, given: Descriptors, workers: usize) -> Result<Self, String> {
        let mut sockets: Vec<TcpListener> = Vec::with_capacity(given.sockets.len().max(workers));
        for socket in given.sockets {
            let socket = Socket::from(socket);
            check(&socket, address)?;
            socket.set_nonblocking(true).and_then(|()| socket.set_cloexec(true)).map_err(|error| explain(address, &error))?;
            sockets.push(socket.into());
        }
        let Some(first) = sockets.first() else { return Err(format!("no socket was given for the address `{address}`")) };
        let real = first.local_addr().map_err(|error| explain(address, &error))?;
        if let Some(other) = sockets.iter().find(|socket| !socket.local_addr().is_ok_and(|own| own == real)) {
            return Err(format!("sockets of different addresses were given for `{address}`: {:?}", other.local_addr().ok()));
        }
        let lock = match given.lock {
            Some(given) => check_lock(given, real)?,
            None => lock(real)?,
        };
        let grows = sockets.iter().all(|socket| SockRef::from(socket).reuse_port().unwrap_or(false));
        while grows && sockets.len() < workers {
            let Ok(more) = open(real, true) else { break };
            sockets.push(more);
        }
        Ok(Self { address: real, spread: Spread::new(workers), sockets, lock })
    }

    /// All of it, for a successor.
    pub fn descriptors(&self) -> io::Result<Descriptors> {
        let sockets = self.sockets.iter().map(|socket| socket.try_clone().map(OwnedFd::from)).collect::<io::Result<_>>()?;
        Ok(Descriptors { sockets, lock: Some(self.lock.try_clone()?.into()) })
    }

    /// From here on the kernel queues connections.
    pub fn listen(&self) -> Result<(), String> {
        self.sockets
            .iter()
            .try_for_each(|socket| SockRef::from(socket).listen(BACKLOG).map_err(|error| explain(self.address, &error)))
    }

    /// The sockets that one worker serves, as descriptors of its own. Together the workers serve all.
    pub fn sockets(&self, worker: usize) -> io::Result<Vec<TcpListener>> {
        let (workers, count) = (self.spread.workers(), self.sockets.len());
        let serves = |index: usize| if count >= workers { index % workers == worker } else { index == worker % count.max(1) };
        self.sockets.iter().enumerate().filter(|(index, _)| serves(*index)).map(|(_, socket)| socket.try_clone()).collect()
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

/// A socket from outside has to be what its address says: a bound TCP socket.
fn check(socket: &Socket, address: SocketAddr) -> Result<(), String> {
    if !socket.r#type().is_ok_and(|kind| kind == Type::STREAM) || !socket.protocol().is_ok_and(|it| it == Some(Protocol::TCP)) {
        return Err(format!("the descriptor that was given for `{address}` is no TCP socket"));
    }
    let found = socket.local_addr().ok().and_then(|found| found.as_socket());
    let fits = |found: SocketAddr| found.ip() == address.ip() && (address.port() == 0 || found.port() == address.port());
    match found {
        Some(found) if fits(found) => Ok(()),
        Some(found) => Err(format!("a socket on `{found}` was given for the address `{address}`; write the same in both places")),
        None => Err(format!("the socket that was given for `{address}` is not bound")),
    }
}

fn check_lock(given: OwnedFd, address: SocketAddr) -> Result<UnixDatagram, String> {
    let lock = UnixDatagram::from(given);
    let name = format!("yett/{address}");
    if lock.local_addr().is_ok_and(|found| found.as_abstract_name() == Some(name.as_bytes())) {
        Ok(lock)
    } else {
        Err(format!("the lock that was given for the address `{address}` is another one"))
    }
}

fn explain(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("address `{address}` is already in use; stop what listens there, or choose another port")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "address `{address}` may not be bound by this user; grant CAP_NET_BIND_SERVICE \
                 (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), or choose a port above 1023"
            )
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
        assert!((0..4).all(|w| bound.sockets(w).unwrap().iter().all(|s| s.local_addr().unwrap() == bound.address)));
        assert!((0..4).all(|w| bound.sockets(w).unwrap().len() == 1));
    }

    fn served(bound: &Bound, workers: usize) -> Vec<usize> {
        (0..workers).map(|worker| bound.sockets(worker).unwrap().len()).collect()
    }

    #[test]
    fn a_successor_serves_every_socket_whatever_its_worker_count() {
        let four = Bound::bind(any(), 4, &[]).unwrap();
        four.listen().unwrap();
        let two = Bound::adopt(four.address, four.descriptors().unwrap(), 2).unwrap();
        let address = two.address;
        drop(four);
        assert_eq!(served(&two, 2), [2, 2]);
        let three = Bound::adopt(address, two.descriptors().unwrap(), 3).unwrap();
        assert_eq!(served(&three, 3), [2, 1, 1]);
        drop(two);
        let six = Bound::adopt(address, three.descriptors().unwrap(), 6).unwrap();
        assert_eq!(served(&six, 6), [1; 6]);
        drop(three);
        assert!(Bound::bind(address, 1, &[]).is_err(), "the lock moved along");
        drop(six);
        Bound::bind(address, 1, &[]).unwrap();
    }

    #[test]
    fn workers_share_a_socket_that_cannot_be_doubled() {
        let single = open(any(), false).unwrap();
        let given = Descriptors { sockets: vec![single.into()], lock: None };
        let bound = Bound::adopt(any(), given, 3).unwrap();
        assert_eq!(served(&bound, 3), [1; 3]);
    }

    #[test]
    fn what_is_no_socket_of_the_address_is_refused() {
        let adopt = |fd: OwnedFd| Bound::adopt("127.0.0.2:0".parse().unwrap(), Descriptors { sockets: vec![fd], lock: None }, 1);
        assert!(adopt(std::fs::File::open("/dev/null").unwrap().into()).unwrap_err().contains("no TCP socket"));
        assert!(adopt(std::net::UdpSocket::bind("127.0.0.2:0").unwrap().into()).unwrap_err().contains("no TCP socket"));
        assert!(adopt(open(any(), false).unwrap().into()).unwrap_err().contains("write the same in both places"));
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
