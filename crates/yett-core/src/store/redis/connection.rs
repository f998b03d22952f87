//! The one connection: kept by a task, from its beginning to its end; and whom commands go to in a cluster.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, PushKind, RedisError, ServerErrorKind, Value};
use tokio::sync::Notify;

use super::super::{Space, Unavailable};
use super::{CONNECT, Inner, READ, lock};

/// How often the log is looked at, whatever was announced.
const LOOK: Duration = Duration::from_millis(400);
/// How often a cluster is asked who has which keys, whatever nodes say.
const MAP: Duration = Duration::from_secs(5);
/// Pauses between attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(1000));

/// Learns again and again who has which keys, as long as the store is there.
pub(super) async fn map(inner: Weak<Inner>, moved: Arc<Notify>) {
    loop {
        let Some(here) = inner.upgrade() else { return };
        let Some(cluster) = here.place.cluster() else { return };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(READ.max(here.deadline)));
        let old = Arc::clone(&lock(&here.masters));
        let found = cluster.masters(&config, &old, &here.limit_script.load()).await;
        let pause = if found.is_whole() { MAP } else { LOOK };
        *lock(&here.masters) = Arc::new(found);
        drop(here);
        let _ = tokio::time::timeout(pause, moved.notified()).await;
        // Whatever comes in between is learnt of at once.
        tokio::time::sleep(PAUSES.0).await;
    }
}

/// Connects again and again, as long as the store is there.
pub(super) async fn keep(inner: Weak<Inner>, look: Arc<Notify>) {
    let (first, most) = PAUSES;
    let mut pause = first;
    loop {
        let Some(here) = inner.upgrade() else { return };
        let reached = here.session(&inner, &look).await;
        *lock(&here.connection) = None;
        lock(&here.waiting).clear();
        here.tell(false);
        drop(here);
        pause = if reached { first } else { most.min(pause * 2) };
        tokio::time::sleep(pause).await;
    }
}

impl Inner {
    /// One connection, from its beginning to its end; whether it was good for anything.
    async fn session(self: &Arc<Self>, weak: &Weak<Self>, look: &Arc<Notify>) -> bool {
        let told = Arc::clone(look);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(READ.max(self.deadline)))
            .set_push_sender(move |push: redis::PushInfo| {
                if matches!(push.kind, PushKind::Message | PushKind::Disconnection) {
                    told.notify_one();
                }
                Ok::<(), ()>(())
            });
        let Some(mut connection) = self.place.connect(&config).await else { return false };
        self.demoted.store(false, Ordering::Release);
        let channel = self.channel();
        if !matches!(tokio::time::timeout(READ, connection.subscribe(&channel)).await, Ok(Ok(()))) {
            return false;
        }
        // So that the first requests send a name; where it is refused, they send the script.
        let load = self.limit_script.load();
        if tokio::time::timeout(READ, load.query_async::<Value>(&mut connection)).await.is_err() {
            return false;
        }
        // Before operations go through, so that nobody is served by an instance that knows less than it could.
        if !self.read_log(&mut connection).await {
            return false;
        }
        *lock(&self.connection) = Some(connection.clone());
        loop {
            let _ = tokio::time::timeout(LOOK, look.notified()).await;
            // Only this task and its own `Arc` are left: the store was dropped.
            if weak.strong_count() <= 1 || self.demoted.load(Ordering::Acquire) || !self.read_log(&mut connection).await {
                return true;
            }
        }
    }

    /// The connection to whoever has keys of this kind.
    pub(super) fn connection_of(&self, space: Space) -> Option<MultiplexedConnection> {
        match self.place.cluster() {
            Some(_) => lock(&self.masters).of(space),
            None => lock(&self.connection).clone(),
        }
    }

    /// One command. Where a node of a cluster says that another one has the keys by now, that one is asked.
    pub(super) async fn send<T: FromRedisValue>(
        &self,
        connection: &MultiplexedConnection,
        command: &Cmd,
    ) -> Result<T, RedisError> {
        let answer = command.query_async(&mut connection.clone()).await;
        let Err(error) = &answer else { return answer };
        let Some((address, _)) = error.redirect_node().filter(|_| self.place.cluster().is_some()) else { return answer };
        self.moved.notify_one();
        let Some(mut other) = lock(&self.masters).at(address) else { return answer };
        if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) {
            let mut both = redis::pipe();
            both.cmd("ASKING").ignore().add_command(command.clone());
            return both.query_async::<(T,)>(&mut other).await.map(|(value,)| value);
        }
        command.query_async(&mut other).await
    }

    /// There was no answer in time.
    pub(super) fn late(&self) -> Unavailable {
        self.moved.notify_one();
        Unavailable::Slow
    }

    /// What an error is. Who is a replica by now takes no writes: the connection is given up at once.
    pub(super) fn failed(&self, error: &RedisError) -> Unavailable {
        if error.code() == Some("READONLY") {
            self.demoted.store(true, Ordering::Release);
            self.look.notify_one();
        }
        self.moved.notify_one();
        if error.is_timeout() { Unavailable::Slow } else { Unavailable::Failed }
    }
}
