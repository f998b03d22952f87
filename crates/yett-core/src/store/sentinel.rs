//! Where the Redis is: its address, the Sentinels that know which one is the master now, or the nodes of a cluster.
//!
//! Sentinels are asked before every connection, one after the other until one answers; whom they name is asked for its role, so
//! that a Sentinel that is behind does not lead to a replica. One that answered is asked first the next time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError,
    TlsCertificates, Value,
};

use super::cluster::{Address, Seeds};
use crate::ir;

/// Time for a Sentinel to answer.
const ASK: Duration = Duration::from_millis(500);

/// How the Redis is found.
pub(super) struct Place {
    tls: bool,
    ca: Option<Vec<u8>>,
    settings: RedisConnectionInfo,
    /// Its address, or that of a Sentinel.
    first: Client,
    sentinels: Option<Sentinels>,
    cluster: Option<Seeds>,
}

/// What opens the Redis, and what its Sentinels: never one in place of the other.
#[derive(Clone, Copy, Default)]
pub struct Passwords<'a> {
    /// Of the Redis.
    pub redis: Option<&'a [u8]>,
    /// Of the Sentinels.
    pub sentinel: Option<&'a [u8]>,
}

impl std::fmt::Debug for Passwords<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

struct Sentinels {
    master: String,
    further: Vec<Client>,
    /// Which one answered last.
    last: AtomicUsize,
}

impl Place {
    /// # Errors
    /// In words: what cannot be an address.
    pub(super) fn build(spec: &ir::Redis, passwords: Passwords<'_>) -> Result<Self, String> {
        let settings = settings_of(spec.username.as_deref(), passwords.redis)?.set_db(spec.database.into());
        let ca = spec.ca.as_ref().map(|pem| pem.clone().into_bytes());
        let theirs = spec.sentinel.as_ref().and_then(|sentinel| sentinel.username.as_deref());
        let theirs = settings_of(theirs, passwords.sentinel)?;
        let sentinels = match &spec.sentinel {
            None => None,
            Some(sentinel) => {
                let client = |one: &ir::SentinelAddress| client(&one.host, one.port, spec.tls, ca.as_deref(), theirs.clone());
                let further = sentinel.further.iter().map(client).collect::<Result<_, _>>()?;
                Some(Sentinels { master: sentinel.master.clone(), further, last: AtomicUsize::new(0) })
            }
        };
        let own = if sentinels.is_some() { theirs } else { settings.clone() };
        let first = client(&spec.host, spec.port, spec.tls, ca.as_deref(), own)?;
        let cluster = spec.cluster.as_ref().map(|further| seeds(spec, further, &settings, ca.as_deref())).transpose()?;
        Ok(Self { tls: spec.tls, ca, settings, first, sentinels, cluster })
    }

    /// The cluster, where it is one.
    pub(super) fn cluster(&self) -> Option<&Seeds> {
        self.cluster.as_ref()
    }

    /// A connection: to the master where there are Sentinels, to that which has the log in a cluster.
    pub(super) async fn connect(&self, config: &AsyncConnectionConfig) -> Option<MultiplexedConnection> {
        if let Some(cluster) = &self.cluster {
            return cluster.log().await?.get_multiplexed_async_connection_with_config(config).await.ok();
        }
        let Some(sentinels) = &self.sentinels else {
            return self.first.get_multiplexed_async_connection_with_config(config).await.ok();
        };
        let (host, port) = sentinels.ask(&self.first).await?;
        let client = client(&host, port, self.tls, self.ca.as_deref(), self.settings.clone()).ok()?;
        let mut connection = client.get_multiplexed_async_connection_with_config(config).await.ok()?;
        let role = tokio::time::timeout(ASK, redis::cmd("ROLE").query_async::<Vec<Value>>(&mut connection)).await;
        matches!(role.ok()?.ok()?.first()?, Value::BulkString(role) if role.as_slice() == b"master").then_some(connection)
    }
}

impl Sentinels {
    async fn ask(&self, first: &Client) -> Option<(String, u16)> {
        let all: Vec<&Client> = std::iter::once(first).chain(&self.further).collect();
        let last = self.last.load(Ordering::Relaxed);
        for (at, sentinel) in all.iter().enumerate().cycle().skip(last).take(all.len()) {
            if let Ok(Some(found)) = tokio::time::timeout(ASK, self.ask_one(sentinel)).await {
                self.last.store(at, Ordering::Relaxed);
                return Some(found);
            }
        }
        None
    }

    async fn ask_one(&self, sentinel: &Client) -> Option<(String, u16)> {
        let mut connection = sentinel.get_multiplexed_async_connection().await.ok()?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
        command.query_async(&mut connection).await.ok()?
    }
}

fn seeds(
    spec: &ir::Redis,
    further: &[ir::SentinelAddress],
    settings: &RedisConnectionInfo,
    ca: Option<&[u8]>,
) -> Result<Seeds, String> {
    let (tls, settings, ca) = (spec.tls, settings.clone(), ca.map(<[u8]>::to_vec));
    let made = move |(host, port): &Address| client(host, *port, tls, ca.as_deref(), settings.clone());
    let own = (spec.host.clone(), spec.port);
    let all = std::iter::once(own).chain(further.iter().map(|one| (one.host.clone(), one.port)));
    let seeds = all.map(|address| made(&address).map(|client| (address, client))).collect::<Result<_, _>>()?;
    Ok(Seeds { seeds, client: Box::new(move |address| made(address).ok()) })
}

fn settings_of(username: Option<&str>, password: Option<&[u8]>) -> Result<RedisConnectionInfo, String> {
    let mut settings = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    if let Some(username) = username {
        settings = settings.set_username(username);
    }
    if let Some(password) = password {
        let password = std::str::from_utf8(password).map_err(|_| "the password of Redis is not text in UTF-8".to_owned())?;
        settings = settings.set_password(password);
    }
    Ok(settings)
}

fn client(host: &str, port: u16, tls: bool, ca: Option<&[u8]>, settings: RedisConnectionInfo) -> Result<Client, String> {
    let address = match tls {
        true => ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None },
        false => ConnectionAddr::Tcp(host.to_owned(), port),
    };
    let info = address.into_connection_info().map_err(words)?.set_redis_settings(settings);
    let made = match tls {
        false => Client::open(info),
        true => Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: ca.map(<[u8]>::to_vec) }),
    };
    made.map_err(words)
}

/// What went wrong, without what was configured.
fn words(error: RedisError) -> String {
    format!("Redis cannot be used: {}", error.category())
}
