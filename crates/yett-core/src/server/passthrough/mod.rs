//! Passthrough: TLS is forwarded unopened, by the name that the client asks for.
//!
//! The gateway sees the first message and then only how many bytes go each way. Who may connect is decided by address.
//! Whatever is unclear closes the connection: no TLS, no name, a name that is not listed.

mod hello;
mod relay;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::relay::Relay;
use super::clock::{monotonic_ns, now};
use super::worker::{View, Worker};
use crate::exchange::ConnectionInfo;
use crate::ir;
use crate::observe::PassthroughRecord;
use crate::reason::Reason;
use crate::shared::Counter;
use crate::upstream::{Active, Report, Tried};

/// Endpoints that are tried for one connection.
const ATTEMPTS: usize = 3;
/// `unrecognized_name` (RFC 6066 section 3), fatal, in a record of its own.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

macro_rules! ends {
    ($($variant:ident $code:literal $doc:literal;)*) => {
        /// How a connection that was passed on, or was not, ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum End {
            $(#[doc = $doc] $variant,)*
        }

        impl End {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As in the access log and the metric.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }
    };
}

ends! {
    Complete "complete" "both sides said that they are done";
    ClientClosed "client_closed" "the client broke the connection off";
    ServiceClosed "service_closed" "the service broke the connection off";
    Idle "idle" "no byte moved for `idle`";
    Reloaded "reloaded" "a reload changed the listener";
    AddressDenied "address_denied" "the client's address is not allowed";
    Timeout "timeout" "no whole client hello within `timeouts.handshake`";
    NotTls "not_tls" "what came is no client hello";
    HelloTooLong "hello_too_long" "the client hello is longer than 16 KiB";
    NoName "no_name" "the client asks for no name";
    UnknownName "unknown_name" "nothing is listed for the name";
    Unreachable "service_unreachable" "no endpoint could be reached";
    AddressForbidden "service_address_forbidden" "an endpoint has an address that no service may have";
    BufferExhausted "buffer_exhausted" "`process.buffered_bytes` are in use";
}

/// How many ended how, in the process.
#[derive(Debug)]
pub struct Ends([Counter; End::ALL.len()]);

impl Default for Ends {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Ends {
    fn count(&self, end: End) {
        if let Some(counter) = self.0.get(usize::from(end as u8)) {
            counter.increment();
        }
    }

    /// How many so far.
    #[must_use]
    pub fn get(&self, end: End) -> u64 {
        self.0.get(usize::from(end as u8)).map_or(0, Counter::get)
    }
}

/// A listener's `passthrough`.
#[derive(Debug)]
pub struct Passthrough {
    spec: ir::Passthrough,
    /// For the client hello.
    time: Duration,
}

impl Passthrough {
    /// From the document; `time` is for the client hello.
    #[must_use]
    pub fn new(spec: &ir::Passthrough, time: Duration) -> Self {
        Self { spec: spec.clone(), time }
    }

    fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let within = |networks: &[ipnet::IpNet]| networks.iter().any(|network| network.contains(&address));
        !within(&self.spec.deny) && (self.spec.allow.is_empty() || within(&self.spec.allow))
    }

    /// The service of a lower-case name: exact, then the longest `*.`.
    fn service(&self, name: &str) -> Option<&str> {
        let suffixes = name.match_indices('.').filter_map(|(at, _)| name.get(at..));
        let wildcard = |suffix: &str| self.spec.hosts.get(&format!("*{suffix}"));
        let found = self.spec.hosts.get(name).or_else(|| suffixes.into_iter().find_map(wildcard));
        found.map(String::as_str)
    }

    /// Passes a connection on until it ends, and records it.
    pub async fn serve(&self, worker: &Rc<Worker>, stream: TcpStream, info: &ConnectionInfo) {
        let mut passed = Passed { host: None, service: None, active: None, bytes: (0, 0) };
        let started = now();
        let view = worker.view();
        let revision = Arc::clone(&view.snapshot.revision);
        let end = match self.open(worker, view, stream, info, &mut passed).await {
            Err(end) => end,
            Ok(mut relay) => {
                let end = relay.run(worker, info, self.spec.idle_ms).await;
                passed.bytes = relay.bytes();
                end
            }
        };
        let shared = &worker.shared;
        shared.passthrough.count(end);
        shared.counters.passthrough_bytes_in.add(passed.bytes.0);
        shared.counters.passthrough_bytes_out.add(passed.bytes.1);
        worker.recorder.record_passthrough(&PassthroughRecord {
            connection: info,
            host: passed.host.as_deref(),
            service: passed.service.as_deref(),
            endpoint: passed.active.as_ref().map(|active| &*active.endpoint().label),
            end: end.code(),
            revision: &revision,
            bytes_in: passed.bytes.0,
            bytes_out: passed.bytes.1,
            started,
            ended: now(),
        });
    }

    async fn open(
        &self,
        worker: &Rc<Worker>,
        view: Rc<View>,
        mut stream: TcpStream,
        info: &ConnectionInfo,
        passed: &mut Passed,
    ) -> Result<Relay, End> {
        if !self.admits(info.peer.ip()) {
            return Err(End::AddressDenied);
        }
        let hello = match timeout(self.time, hello::read(&mut stream)).await {
            Err(_) => return Err(End::Timeout),
            Ok(Err(End::NoName)) => {
                refuse(&mut stream).await;
                return Err(End::NoName);
            }
            Ok(Err(end)) => return Err(end),
            Ok(Ok(hello)) => hello,
        };
        let Some(name) = self.service(&hello.name) else {
            passed.host = Some(hello.name);
            refuse(&mut stream).await;
            return Err(End::UnknownName);
        };
        passed.service = Some(name.into());
        passed.host = Some(hello.name);
        let (service, active) = self.connect(worker, &view, name).await?;
        passed.active = Some(active);
        Ok(Relay::new(stream, service, hello.bytes, view.pools.buffers()))
    }

    /// To one endpoint after the other, with the same checks of addresses as for requests.
    async fn connect(&self, worker: &Worker, view: &View, name: &str) -> Result<(TcpStream, Active), End> {
        let index = view.snapshot.ir.services.iter().position(|service| service.name == name);
        let service = index.and_then(|index| view.pools.service(u32::try_from(index).ok()?)).ok_or(End::Unreachable)?;
        let mut tried = Tried::default();
        let mut end = End::Unreachable;
        for _ in 0..ATTEMPTS {
            let Some(endpoint) = service.choose(None, monotonic_ns(), &mut tried) else { break };
            let active = endpoint.enter();
            worker.shared.counters.upstream_connects.increment();
            match timeout(Duration::from_millis(self.spec.connect_ms), endpoint.connect_tcp(&worker.shared)).await {
                Ok(Ok(stream)) => {
                    endpoint.report(Report::Connected, monotonic_ns());
                    return Ok((stream, active));
                }
                Ok(Err(Reason::ServiceAddressForbidden)) => end = End::AddressForbidden,
                Ok(Err(_)) | Err(_) => {}
            }
            worker.shared.counters.upstream_connect_failures.increment();
            endpoint.report(Report::ConnectFailed, monotonic_ns());
        }
        Err(end)
    }
}

/// What is known of a connection, for its record.
struct Passed {
    host: Option<Box<str>>,
    service: Option<Box<str>>,
    active: Option<Active>,
    bytes: (u64, u64),
}

/// Says that the name leads nowhere; the hello was read whole, so the close is no reset.
async fn refuse(stream: &mut TcpStream) {
    // A fresh socket's send buffer takes it at once.
    if stream.write_all(&UNRECOGNIZED_NAME).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passthrough(hosts: &[(&str, &str)], allow: &[&str], deny: &[&str]) -> Passthrough {
        let networks = |list: &[&str]| list.iter().map(|network| network.parse().unwrap()).collect();
        let hosts = hosts.iter().map(|(name, service)| ((*name).to_owned(), (*service).to_owned())).collect();
        let spec = ir::Passthrough { hosts, allow: networks(allow), deny: networks(deny), connect_ms: 1, idle_ms: 1 };
        Passthrough::new(&spec, Duration::from_secs(1))
    }

    #[test]
    fn exact_beats_the_longest_wildcard() {
        let one = passthrough(&[("a.b.test", "exact"), ("*.b.test", "near"), ("*.test", "far")], &[], &[]);
        for (name, service) in
            [("a.b.test", "exact"), ("c.b.test", "near"), ("d.c.b.test", "near"), ("b.test", "far"), ("c.test", "far")]
        {
            assert_eq!(one.service(name), Some(service), "{name}");
        }
        assert_eq!(one.service("test"), None);
        assert_eq!(one.service("*.b.test.evil"), None);
    }

    #[test]
    fn deny_beats_allow_and_mapped_addresses_are_what_they_map() {
        let one = passthrough(&[], &["10.0.0.0/8"], &["10.1.0.0/16"]);
        for (address, admitted) in [("10.0.0.1", true), ("::ffff:10.0.0.1", true), ("10.1.0.1", false), ("192.0.2.1", false)] {
            assert_eq!(one.admits(address.parse().unwrap()), admitted, "{address}");
        }
        assert!(passthrough(&[], &[], &["10.0.0.0/8"]).admits("192.0.2.1".parse().unwrap()));
        assert!(!passthrough(&[], &[], &["10.0.0.0/8"]).admits("::ffff:10.9.9.9".parse().unwrap()));
    }
}
