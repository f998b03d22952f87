//! What every store promises, asked of all three; Redis is a real one.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::memory::Memory;
use super::sqlite::Sqlite;
use super::{Entry, Follower, Key, MAX_VALUE, Space, Store, Survives, Unavailable, redis, unix_ms};
use crate::ir;

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("yett-store-{}-{number}", std::process::id()));
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A Redis of Debian's package `redis-server`.
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
}

impl Server {
    pub(super) fn start(port: Option<u16>) -> Self {
        let port = port.unwrap_or_else(|| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is needed: apt-get install redis-server");
        Self { child, port }
    }

    /// Empty, in place of one that is killed.
    pub(super) fn start_after(before: Self, port: u16) -> Self {
        drop(before);
        Self::start(Some(port))
    }

    pub(super) fn spec(&self, prefix: &str) -> ir::Redis {
        ir::Redis {
            host: "127.0.0.1".into(),
            port: self.port,
            tls: false,
            database: 0,
            username: None,
            password: None,
            ca: None,
            deadline_ms: 2000,
            prefix: prefix.into(),
            stale_ms: 1000,
            state_loss: ir::StateLoss::Refuse,
            sentinel: None,
            cluster: None,
        }
    }

    pub(super) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub(super) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn key(name: &str) -> Key {
    Key::new(Space::Session, &[name.as_bytes()])
}

#[derive(Default)]
struct Heard {
    entries: Mutex<Vec<Entry>>,
    current: Mutex<Option<bool>>,
}

impl Heard {
    fn texts(&self) -> Vec<String> {
        let mut out = Vec::new();
        for entry in &*self.entries.lock().unwrap() {
            let text = String::from_utf8(entry.bytes.clone()).unwrap();
            if !out.contains(&text) {
                out.push(text);
            }
        }
        out
    }
}

impl Follower for Heard {
    fn hear(&self, entries: &[Entry]) {
        self.entries.lock().unwrap().extend_from_slice(entries);
    }
    fn known(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }
    fn current(&self, yes: bool) {
        *self.current.lock().unwrap() = Some(yes);
    }
}

/// Waits until a store that has to connect first is there.
async fn there(store: &dyn Store) {
    let end = Instant::now() + Duration::from_secs(20);
    while store.get(key("nothing")).await.is_err() {
        assert!(Instant::now() < end, "the store never answers");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn contract(store: &dyn Store) {
    let (now, later) = (unix_ms(), unix_ms() + 60_000);
    // at most once
    assert_eq!(store.insert_if_absent(key("once"), later).await, Ok(true));
    assert_eq!(store.insert_if_absent(key("once"), later).await, Ok(false));
    assert_eq!(store.insert_if_absent(Key::new(Space::Proof, &[b"once"]), later).await, Ok(true));
    assert_eq!(store.insert_if_absent(key("past"), now - 1).await, Ok(false));
    let turn = |name: &str| Key::new(Space::SessionIndex, &[name.as_bytes()]);
    assert_eq!(store.insert_if_absent(turn("mine"), later).await, Ok(true));
    assert_eq!(store.insert_if_absent(turn("mine"), later).await, Ok(false));
    assert_eq!(store.insert_if_absent(turn("past"), now - 1).await, Ok(false));
    // values
    assert_eq!(store.get(key("a")).await, Ok(None));
    assert_eq!(store.put(key("a"), b"one\0\xff".to_vec(), later).await, Ok(()));
    assert_eq!(store.get(key("a")).await, Ok(Some(b"one\0\xff".to_vec())));
    assert_eq!(store.replace(key("a"), b"other".to_vec(), b"two".to_vec(), later).await, Ok(false));
    assert_eq!(store.replace(key("a"), b"one\0\xff".to_vec(), b"two".to_vec(), later).await, Ok(true));
    assert_eq!(store.replace(key("b"), Vec::new(), b"two".to_vec(), later).await, Ok(false));
    assert_eq!(store.get(key("b")).await, Ok(None));
    assert_eq!(store.take(key("a")).await, Ok(Some(b"two".to_vec())));
    assert_eq!(store.take(key("a")).await, Ok(None));
    assert_eq!(store.put(key("c"), b"three".to_vec(), later).await, Ok(()));
    assert_eq!(store.delete(key("c")).await, Ok(true));
    assert_eq!(store.delete(key("c")).await, Ok(false));
    assert_eq!(store.put(key("d"), vec![0; MAX_VALUE + 1], later).await, Err(Unavailable::Full));
    // what has passed is gone
    assert_eq!(store.put(key("e"), b"soon".to_vec(), unix_ms() + 30).await, Ok(()));
    assert_eq!(store.insert_if_absent(key("f"), unix_ms() + 30).await, Ok(true));
    let end = Instant::now() + Duration::from_secs(10);
    while store.get(key("e")).await != Ok(None) || store.insert_if_absent(key("f"), later).await != Ok(true) {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // the log
    let heard = Arc::new(Heard::default());
    assert_eq!(store.follow(Arc::clone(&heard) as Arc<dyn Follower>).await, Ok(()));
    let first = store.append(Entry { bytes: b"x".to_vec(), until_ms: later }).await.unwrap();
    let second = store.append(Entry { bytes: b"y:\xc3\xa9".to_vec(), until_ms: later }).await.unwrap();
    assert!(second > first);
    // answered means heard
    assert_eq!(heard.texts(), ["x", "y:é"]);
    assert_eq!(*heard.current.lock().unwrap(), Some(true));
}

#[test]
fn of_two_processes_with_one_directory_one_gets_the_turn() {
    let scratch = Scratch::new();
    let (one, other) = (Sqlite::open(&scratch.0).unwrap(), Sqlite::open(&scratch.0).unwrap());
    let turn = Key::new(Space::SessionIndex, &[b"refresh"]);
    runtime().block_on(async {
        let later = unix_ms() + 60_000;
        let answers = tokio::join!(one.insert_if_absent(turn, later), other.insert_if_absent(turn, later));
        assert!(matches!(answers, (Ok(true), Ok(false)) | (Ok(false), Ok(true))), "{answers:?}");
        assert_eq!(other.insert_if_absent(turn, later).await, Ok(false));
    });
}

/// Of many that ask at once, one is told that it is the first.
async fn race(store: Arc<dyn Store>) {
    let later = unix_ms() + 60_000;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.insert_if_absent(key("race"), later).await });
    }
    let firsts = tasks.join_all().await.into_iter().filter(|one| *one == Ok(true)).count();
    assert_eq!(firsts, 1);
}

#[test]
fn memory_keeps_the_contract_and_its_bound() {
    let runtime = runtime();
    let store = Arc::new(Memory::default());
    runtime.block_on(contract(&*store));
    runtime.block_on(race(store));
    let small = Memory::bounded(16, 1024);
    let (now, later) = (1_000, 2_000);
    let results: Vec<_> = (0..100u32).map(|n| small.remember(key(&n.to_string()), later, now)).collect();
    assert!(small.len() <= 16 && results.contains(&Err(Unavailable::Full)), "{results:?}");
    // what counts is never dropped for something new, and what has passed makes room
    assert!((0..100u32).filter(|n| small.remember(key(&n.to_string()), later, now) == Ok(true)).count() == 0);
    assert_eq!(small.remember(key("new"), 4_000, 3_000), Ok(true));
}

#[test]
fn sqlite_keeps_the_contract_and_everything_over_a_restart() {
    let (runtime, scratch) = (runtime(), Scratch::new());
    let directory = scratch.0.join("a/b");
    let store = Arc::new(Sqlite::open(&directory).unwrap());
    runtime.block_on(contract(&*store));
    runtime.block_on(race(Arc::clone(&store) as Arc<dyn Store>));
    let kept = runtime.block_on(store.put(key("kept"), b"v".to_vec(), unix_ms() + 60_000));
    assert_eq!(kept, Ok(()));
    assert_eq!((store.values_survive(), store.replay_survives()), (Survives::Disk, Survives::No));
    drop(store);
    let again = Sqlite::open(&directory).unwrap();
    assert_eq!(runtime.block_on(again.get(key("kept"))), Ok(Some(b"v".to_vec())));
    let heard = Arc::new(Heard::default());
    assert_eq!(runtime.block_on(again.follow(Arc::clone(&heard) as Arc<dyn Follower>)), Ok(()));
    assert_eq!(heard.texts(), ["x", "y:é"]);
}

#[test]
fn two_processes_with_one_file_hear_each_other() {
    let (runtime, scratch) = (runtime(), Scratch::new());
    let (one, two) = (Sqlite::open(&scratch.0).unwrap(), Sqlite::open(&scratch.0).unwrap());
    let heard = Arc::new(Heard::default());
    assert_eq!(runtime.block_on(two.follow(Arc::clone(&heard) as Arc<dyn Follower>)), Ok(()));
    runtime.block_on(one.append(Entry { bytes: b"x".to_vec(), until_ms: unix_ms() + 60_000 })).unwrap();
    eventually("the other one hears it", || heard.texts() == ["x"]);
}

#[test]
fn a_file_that_is_open_to_others_or_damaged_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    drop(Sqlite::open(&scratch.0).unwrap());
    let file = scratch.0.join("state.db");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(Sqlite::open(&scratch.0).unwrap_err().contains("chmod 600"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, vec![7; 8192]).unwrap();
    assert!(Sqlite::open(&scratch.0).unwrap_err().contains("damaged"));
    std::fs::set_permissions(&scratch.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Sqlite::open(&scratch.0).unwrap_err().contains("chmod 700"));
}

#[test]
fn redis_keeps_the_contract_and_instances_hear_each_other() {
    let (runtime, server) = (runtime(), Server::start(None));
    let open =
        |prefix: &str| Arc::new(redis::Redis::open(&server.spec(prefix), redis::Passwords::default(), runtime.handle()).unwrap());
    let (one, two, other) = (open("a"), open("a"), open("b"));
    runtime.block_on(there(&*one));
    runtime.block_on(contract(&*one));
    runtime.block_on(race(Arc::clone(&one) as Arc<dyn Store>));
    let heard = Arc::new(Heard::default());
    assert_eq!(runtime.block_on(two.follow(Arc::clone(&heard) as Arc<dyn Follower>)), Ok(()));
    eventually("the other instance hears what was there", || heard.texts() == ["x", "y:é"]);
    runtime.block_on(one.append(Entry { bytes: b"z".to_vec(), until_ms: unix_ms() + 60_000 })).unwrap();
    eventually("the other instance hears what is new", || heard.texts().contains(&"z".to_owned()));
    // another prefix is another installation
    runtime.block_on(there(&*other));
    assert_eq!(runtime.block_on(other.insert_if_absent(key("once"), unix_ms() + 60_000)), Ok(true));
}

#[test]
fn a_redis_that_is_dead_or_hangs_is_no_answer_and_comes_back() {
    let (runtime, server) = (runtime(), Server::start(None));
    let spec = ir::Redis { deadline_ms: 50, ..server.spec("a") };
    let store = redis::Redis::open(&spec, redis::Passwords::default(), runtime.handle()).unwrap();
    runtime.block_on(there(&store));
    let heard = Arc::new(Heard::default());
    assert_eq!(runtime.block_on(store.follow(Arc::clone(&heard) as Arc<dyn Follower>)), Ok(()));
    runtime.block_on(store.append(Entry { bytes: b"x".to_vec(), until_ms: unix_ms() + 60_000 })).unwrap();
    server.signal("-STOP");
    // it would hang for as long as the server is stopped
    let answer = runtime.block_on(store.get(key("a")));
    assert!(answer.is_err(), "{answer:?}");
    eventually("it is known to be gone", || *heard.current.lock().unwrap() == Some(false));
    server.signal("-CONT");
    eventually("it is back", || runtime.block_on(store.get(key("a"))).is_ok());
    eventually("and current", || *heard.current.lock().unwrap() == Some(true));
    // it restarts and has lost everything: what is known is written again
    let port = server.port;
    drop(server);
    eventually("it is gone", || runtime.block_on(store.get(key("a"))).is_err());
    let server = Server::start(Some(port));
    let second = redis::Redis::open(&spec, redis::Passwords::default(), runtime.handle()).unwrap();
    let theirs = Arc::new(Heard::default());
    drop(second.follow(Arc::clone(&theirs) as Arc<dyn Follower>));
    eventually("another instance hears what the server had lost", || theirs.texts() == ["x"]);
    drop(server);
}

#[test]
fn keys_are_told_apart() {
    let one = |space, parts: &[&[u8]]| Key::new(space, parts);
    assert_ne!(one(Space::Proof, &[b"ab", b"c"]), one(Space::Proof, &[b"a", b"bc"]));
    assert_ne!(one(Space::Proof, &[b"a"]), one(Space::Session, &[b"a"]));
    assert_eq!(one(Space::Proof, &[b"a"]), one(Space::Proof, &[b"a"]));
    assert_eq!(format!("{:?}", one(Space::Proof, &[b"a"])), "Key { space: Proof, .. }");
}
