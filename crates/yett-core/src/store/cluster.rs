//! Redis Cluster: which master has which keys, and how that is found out.
//!
//! Keys of one kind are in one slot (`PREFIX:{limit}:…`), so that all that a script touches is on one master. The map of slots is asked
//! of any node that answers, and again when a node says that a slot has moved, when one fails, and every few seconds. A slot whose
//! master does not answer has none until another one has it.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Value};

use super::Space;

/// Time for a node to answer what it is asked of the cluster.
pub(super) const ASK: Duration = Duration::from_millis(500);
/// Masters that are kept connections to.
const MOST: usize = 64;
const SLOTS: u16 = 16_384;

/// Name and port.
pub(super) type Address = (String, u16);

/// Connections to the masters, and which one has which kind of keys.
#[derive(Default)]
pub(super) struct Masters {
    nodes: Vec<(Address, MultiplexedConnection)>,
    /// By [`Space`].
    of: [Option<usize>; Space::ALL.len()],
}

impl Masters {
    /// The master of a kind of keys, if it answers.
    pub(super) fn of(&self, space: Space) -> Option<MultiplexedConnection> {
        let at = (*self.of.get(usize::from(space.code().0).checked_sub(1)?)?)?;
        self.nodes.get(at).map(|(_, connection)| connection.clone())
    }

    /// A node by its address, `host:port`.
    pub(super) fn at(&self, address: &str) -> Option<MultiplexedConnection> {
        let (host, port) = address.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        self.nodes.iter().find(|((name, number), _)| name == host && *number == port).map(|(_, connection)| connection.clone())
    }

    /// Whether every kind of keys has a master.
    pub(super) fn is_whole(&self) -> bool {
        self.of.iter().all(Option::is_some)
    }

    fn nodes(&self) -> impl Iterator<Item = (&Address, MultiplexedConnection)> {
        self.nodes.iter().map(|(address, connection)| (address, connection.clone()))
    }
}

/// Makes a client for a node.
pub(super) type Making = Box<dyn Fn(&Address) -> Option<redis::Client> + Send + Sync>;

/// What the cluster is reached by.
pub(super) struct Seeds {
    /// Addresses, with a client for each.
    pub(super) seeds: Vec<(Address, redis::Client)>,
    /// Makes a client for a node.
    pub(super) client: Making,
}

impl Seeds {
    /// The master that has the log.
    pub(super) async fn log(&self) -> Option<redis::Client> {
        let map = self.map(&Masters::default()).await?;
        (self.client)(owner(&map, slot("log"))?)
    }

    /// Connections to all masters, those that are there and answer kept; each is asked `greeting` first.
    pub(super) async fn masters(&self, config: &AsyncConnectionConfig, old: &Arc<Masters>, greeting: &Cmd) -> Masters {
        let mut found = Masters::default();
        let Some(map) = self.map(old).await else { return found };
        let mut addresses: Vec<&Address> = map.iter().map(|range| &range.master).collect();
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses.into_iter().take(MOST) {
            let kept = old.nodes().find(|(known, _)| *known == address).map(|(_, connection)| connection);
            let kept = match kept {
                Some(connection) => greeted(connection, greeting).await,
                None => None,
            };
            let connection = match kept {
                Some(connection) => Some(connection),
                None => match self.connect(address, config).await {
                    Some(connection) => greeted(connection, greeting).await,
                    None => None,
                },
            };
            found.nodes.extend(connection.map(|connection| (address.clone(), connection)));
        }
        for (place, space) in found.of.iter_mut().zip(Space::ALL) {
            let owner = owner(&map, slot(space.code().1));
            *place = owner.and_then(|owner| found.nodes.iter().position(|(address, _)| address == owner));
        }
        found
    }

    async fn connect(&self, address: &Address, config: &AsyncConnectionConfig) -> Option<MultiplexedConnection> {
        let client = (self.client)(address)?;
        client.get_multiplexed_async_connection_with_config(config).await.ok()
    }

    /// As the first node tells it that answers.
    async fn map(&self, old: &Masters) -> Option<Vec<Range>> {
        for (address, connection) in old.nodes() {
            if let Ok(Some(map)) = tokio::time::timeout(ASK, ask(connection, &address.0)).await {
                return Some(map);
            }
        }
        for (address, client) in &self.seeds {
            let asked = async { ask(client.get_multiplexed_async_connection().await.ok()?, &address.0).await };
            if let Ok(Some(map)) = tokio::time::timeout(ASK, asked).await {
                return Some(map);
            }
        }
        None
    }
}

/// Slots that one master has.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    master: Address,
}

/// The same connection, where somebody answers on it, whatever the answer is.
async fn greeted(mut connection: MultiplexedConnection, greeting: &Cmd) -> Option<MultiplexedConnection> {
    let answer = tokio::time::timeout(ASK, greeting.query_async::<Value>(&mut connection)).await.ok()?;
    answer.map_or_else(|error| error.code().is_some(), |_| true).then_some(connection)
}

async fn ask(mut connection: MultiplexedConnection, host: &str) -> Option<Vec<Range>> {
    let answer: Value = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await.ok()?;
    let Value::Array(ranges) = answer else { return None };
    let found: Vec<Range> = ranges.iter().filter_map(|range| read(range, host)).collect();
    (!found.is_empty()).then_some(found)
}

/// One part of the answer to CLUSTER SLOTS; a node that does not say its own name is the one that was asked.
fn read(range: &Value, host: &str) -> Option<Range> {
    let Value::Array(parts) = range else { return None };
    let number = |value: &Value| match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    };
    let Value::Array(master) = parts.get(2)? else { return None };
    let name = match master.first()? {
        Value::BulkString(name) => std::str::from_utf8(name).ok()?.to_owned(),
        Value::Nil => String::new(),
        _ => return None,
    };
    let name = if name.is_empty() { host.to_owned() } else { name };
    let range = Range { first: number(parts.first()?)?, last: number(parts.get(1)?)?, master: (name, number(master.get(1)?)?) };
    (range.first <= range.last && range.last < SLOTS).then_some(range)
}

fn owner(map: &[Range], slot: u16) -> Option<&Address> {
    map.iter().find(|range| (range.first..=range.last).contains(&slot)).map(|range| &range.master)
}

/// The slot of all keys with this tag: CRC-16/XMODEM of it (Redis Cluster Specification, "Key distribution model").
fn slot(tag: &str) -> u16 {
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::{Range, owner, read, slot};

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!((slot("123456789"), slot("foo"), slot("")), (0x31c3, 12_182, 0));
    }

    #[test]
    fn a_map_is_read_as_it_comes() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let node = |name: Value, port| Value::Array(vec![name, Value::Int(port), text("id"), Value::Array(vec![])]);
        let part =
            |first, last, master| Value::Array(vec![Value::Int(first), Value::Int(last), master, node(text("replica"), 1)]);
        let ranges = [part(0, 99, node(text("10.0.0.1"), 7000)), part(100, 16_383, node(Value::Nil, 7001))];
        let map: Vec<Range> = ranges.iter().filter_map(|range| read(range, "seed")).collect();
        assert_eq!(owner(&map, 99), Some(&("10.0.0.1".to_owned(), 7000)));
        assert_eq!(owner(&map, 100), Some(&("seed".to_owned(), 7001)));
        for bad in [
            Value::Nil,
            part(5, 4, node(text("a"), 1)),
            part(0, 16_384, node(text("a"), 1)),
            part(0, 1, node(Value::Int(1), 1)),
            part(0, 1, node(text("a"), 70_000)),
            Value::Array(vec![Value::Int(1), Value::Int(2)]),
        ] {
            assert_eq!(read(&bad, "seed"), None, "{bad:?}");
        }
        assert_eq!(owner(&map[..1], 100), None);
    }
}
