//! Questions to resolvers, over UDP and, where an answer does not fit, TCP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{Found, Kind, Read, question, read};

/// Resolvers of a list that are asked.
const RESOLVERS: usize = 3;
/// How often each of them is asked.
const ROUNDS: usize = 2;
/// How long one of them is waited for.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Datagrams that answer something else and are passed over.
const FOREIGN: usize = 32;
/// Bytes of an answer over TCP.
const LARGEST: usize = 16 * 1024;
/// Bytes of the system's list of resolvers that are read.
const LIST: u64 = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// A resolver said that it could not find out.
    Failed,
    /// Nobody said anything that could be read.
    Silent,
}

/// Asks resolvers, the first of them first, until one of them answers.
///
/// # Errors
/// None did, or there is no such name to be asked for.
pub async fn lookup(resolvers: &[SocketAddr], name: &str, kind: Kind) -> Result<Found, Unanswered> {
    let mut why = Unanswered::Silent;
    for _ in 0..ROUNDS {
        for resolver in resolvers.iter().take(RESOLVERS) {
            match timeout(PATIENCE, ask(*resolver, name, kind)).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => why = Unanswered::Failed,
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }
    Err(why)
}

fn broken() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// A fresh socket, and so a fresh port, and a fresh id for each question: who does not see it has to guess both.
async fn ask(resolver: SocketAddr, name: &str, kind: Kind) -> io::Result<Found> {
    let mut id = [0; 2];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| broken())?;
    let id = u16::from_be_bytes(id);
    let asked = question(id, name, kind).ok_or_else(broken)?;
    let any: IpAddr = if resolver.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Connected: the system drops what comes from anywhere else.
    socket.connect(resolver).await?;
    socket.send(&asked).await?;
    let mut buffer = [0; 2048];
    for _ in 0..FOREIGN {
        let count = socket.recv(&mut buffer).await?;
        match read(buffer.get(..count).unwrap_or_default(), id, name, kind) {
            Read::Foreign => {}
            Read::Found(found) => return Ok(found),
            Read::Failed => return Err(broken()),
            Read::Truncated => return over_tcp(resolver, &asked, id, name, kind).await,
        }
    }
    Err(broken())
}

async fn over_tcp(resolver: SocketAddr, asked: &[u8], id: u16, name: &str, kind: Kind) -> io::Result<Found> {
    let mut stream = TcpStream::connect(resolver).await?;
    let length = u16::try_from(asked.len()).map_err(|_| broken())?.to_be_bytes();
    stream.write_all(&[&length[..], asked].concat()).await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > LARGEST {
        return Err(broken());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    match read(&answer, id, name, kind) {
        Read::Found(found) => Ok(found),
        _ => Err(broken()),
    }
}

/// The system's resolvers, as `resolv.conf(5)` lists them; none where it cannot be read.
pub async fn of_system() -> Vec<SocketAddr> {
    let text = tokio::task::spawn_blocking(|| {
        let mut text = String::new();
        let file = std::fs::File::open("/etc/resolv.conf")?;
        io::Read::read_to_string(&mut io::Read::take(file, LIST), &mut text)?;
        io::Result::Ok(text)
    });
    match text.await {
        Ok(Ok(text)) => listed(&text),
        _ => Vec::new(),
    }
}

/// `nameserver` lines; an address with a zone is left out.
pub(super) fn listed(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let named = words.next() == Some("nameserver");
        let address: IpAddr = words.next().filter(|_| named)?.parse().ok()?;
        Some(SocketAddr::new(address, 53))
    };
    text.lines().filter_map(address).take(RESOLVERS).collect()
}
