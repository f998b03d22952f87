//! State on the disk of this machine: SQLite with a write-ahead log, on a thread of its own.
//!
//! What waits is written in one transaction (group commit), and answered when that is on disk (`synchronous=FULL`). Two
//! processes may have the same file, as during a takeover: each looks for what the other appended. Replay stays in memory:
//! a write to disk for each request would cost more than it is worth, as what is checked by age is refused if it is older
//! than the process.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::memory::Memory;
use super::{Entry, Follower, Key, MAX_ENTRY, MAX_VALUE, QUEUE, Reply, Space, Store, Survives, Unavailable, ready, unix_ms};
use crate::server::signals;

/// Time for an answer. A disk that takes longer is refused like one that fails.
pub const DEADLINE: Duration = Duration::from_secs(2);
/// How long another process may hold the file.
const BUSY: Duration = Duration::from_millis(1000);
/// Operations of one transaction.
const BATCH: usize = 256;
/// How often the log of another process is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often what has passed is deleted.
const SWEEP: Duration = Duration::from_secs(10);
/// Entries of the log that are heard at once.
const PAGE: usize = 1000;
/// Pages of 4 KiB that the file may have: 1 GiB.
const MAX_PAGES: u32 = 262_144;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS value (space INTEGER NOT NULL, id BLOB NOT NULL, value BLOB NOT NULL, until_ms INTEGER NOT NULL,
        PRIMARY KEY (space, id)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS value_end ON value (until_ms);
    CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY AUTOINCREMENT, entry BLOB NOT NULL, until_ms INTEGER NOT NULL);
    CREATE INDEX IF NOT EXISTS log_end ON log (until_ms);";

/// What is sent when a transaction is on disk.
type After = Box<dyn FnOnce() + Send>;
type Work = Box<dyn FnOnce(&Connection) -> rusqlite::Result<After> + Send>;

enum Job {
    Work(Work),
    Follow(Arc<dyn Follower>, oneshot::Sender<()>),
}

/// State on the disk of this machine.
pub struct Sqlite {
    /// There until it is dropped.
    queue: Option<SyncSender<Job>>,
    replay: Memory,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Sqlite {
    /// What was asked for is done, and the file is closed.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sqlite")
    }
}

impl Sqlite {
    /// Opens or makes `state.db` in a directory, which is made with mode 0700 where it is missing.
    ///
    /// # Errors
    /// In words: the directory or the file cannot be used, or is open to others.
    pub fn open(directory: &Path) -> Result<Self, String> {
        let shown = directory.display();
        private_directory(directory)?;
        let connection = connect(&directory.join("state.db")).map_err(|error| format!("the state in `{shown}` {error}"))?;
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("yett-state".to_owned())
            .spawn(move || {
                signals::block();
                Desk { connection, follower: None, heard: 0, version: 0 }.run(&jobs);
            })
            .map_err(|error| format!("the thread of the state does not start: {error}"))?;
        Ok(Self { queue: Some(queue), replay: Memory::default(), thread: Some(thread) })
    }

    /// Whether there was room.
    fn send(&self, job: Job) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.try_send(job).is_ok())
    }

    fn submit<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static) -> Reply<T> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            let value = work(connection)?;
            Ok(Box::new(move || drop(answer.send(value))))
        });
        if !self.send(Job::Work(work)) {
            return ready(Err(Unavailable::Busy));
        }
        within_deadline(answered)
    }
}

fn within_deadline<T: Send + 'static>(answered: oneshot::Receiver<T>) -> Reply<T> {
    Box::pin(async move {
        match tokio::time::timeout(DEADLINE, answered).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(Unavailable::Failed),
            Err(_) => Err(Unavailable::Slow),
        }
    })
}

/// The directory, made with mode 0700 where it is missing.
///
/// # Errors
/// In words: it cannot be used, or others may write in it.
pub(crate) fn private_directory(directory: &Path) -> Result<(), String> {
    let shown = directory.display();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| format!("the directory `{shown}` cannot be made: {error}"))?;
    let mode = std::fs::metadata(directory).map_err(|error| format!("`{shown}` cannot be used: {error}"))?.permissions().mode();
    if mode & 0o022 != 0 {
        return Err(format!("others may write in `{shown}`; take that away with `chmod 700 {shown}`"));
    }
    Ok(())
}

/// The file, made with mode 0600 where it is missing.
///
/// # Errors
/// In words that follow its name: it cannot be opened, or is open to others.
pub(crate) fn private_file(file: &Path) -> Result<(), String> {
    let created = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(file);
    let mode =
        created.and_then(|file| file.metadata()).map_err(|error| format!("cannot be opened: {error}"))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("is open to others; take that away with `chmod 600 {}`", file.display()));
    }
    Ok(())
}

/// A private file that other processes may have open as well: written in whole transactions, on disk before they end, and of at most
/// so many pages.
pub(crate) fn open_database(file: &Path, max_pages: u32) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "max_page_count", max_pages)?;
    Ok(connection)
}

/// The file, readable by its owner only, with its tables.
fn connect(file: &Path) -> Result<Connection, String> {
    private_file(file)?;
    let open = || -> rusqlite::Result<Connection> {
        let connection = open_database(file, MAX_PAGES)?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.execute_batch(SCHEMA)?;
        connection.query_row("SELECT count(*) FROM log WHERE until_ms < 0", [], |_| Ok(()))?;
        Ok(connection)
    };
    open().map_err(|error| {
        format!("cannot be opened: {error}; if the file is damaged, move it away: sessions and revocations in it are lost")
    })
}

/// The thread's side.
struct Desk {
    connection: Connection,
    follower: Option<Arc<dyn Follower>>,
    /// Number of the last entry that was heard.
    heard: i64,
    /// `data_version` when the log was last looked at: another process changes it.
    version: i64,
}

impl Desk {
    fn run(mut self, jobs: &Receiver<Job>) {
        let (mut looked, mut swept) = (Instant::now(), Instant::now());
        loop {
            match jobs.recv_timeout(LOOK) {
                Ok(first) => self.batch(first, jobs),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look();
            }
            if swept.elapsed() >= SWEEP {
                swept = Instant::now();
                let now = number(unix_ms());
                // What cannot be deleted now is deleted later; it is not found any more.
                let _ = self.connection.execute("DELETE FROM value WHERE until_ms <= ?1", [now]);
                let _ = self.connection.execute("DELETE FROM log WHERE until_ms <= ?1", [now]);
            }
        }
    }

    /// One transaction of what waits. If any of it fails, nothing of it happened, and nobody is told that it did.
    fn batch(&mut self, first: Job, jobs: &Receiver<Job>) {
        let mut works = Vec::new();
        let mut follow = None;
        for job in std::iter::once(first).chain(std::iter::from_fn(|| jobs.try_recv().ok())) {
            match job {
                Job::Work(work) => works.push(work),
                Job::Follow(follower, answer) => follow = Some((follower, answer)),
            }
            if works.len() >= BATCH {
                break;
            }
        }
        let done = self.commit(works).unwrap_or_default();
        let answer = follow.map(|(follower, answer)| {
            self.follower = Some(follower);
            self.heard = 0;
            answer
        });
        if self.catch_up()
            && let Some(answer) = answer
        {
            let _ = answer.send(());
        }
        for after in done {
            after();
        }
    }

    fn commit(&mut self, works: Vec<Work>) -> rusqlite::Result<Vec<After>> {
        if works.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = works.into_iter().map(|work| work(&transaction)).collect::<rusqlite::Result<Vec<_>>>()?;
        transaction.commit()?;
        Ok(done)
    }

    /// Another process may have appended.
    fn look(&mut self) {
        let version = self.connection.query_row("PRAGMA data_version", [], |row| row.get(0));
        if version.as_ref().is_ok_and(|version| *version == self.version) {
            return;
        }
        self.version = version.unwrap_or(0);
        self.catch_up();
    }

    fn catch_up(&mut self) -> bool {
        let Some(follower) = self.follower.clone() else { return true };
        loop {
            match self.page() {
                Ok(entries) => {
                    let more = entries.len() == PAGE;
                    let (numbers, entries): (Vec<i64>, Vec<Entry>) = entries.into_iter().unzip();
                    follower.hear(&entries);
                    self.heard = numbers.last().copied().unwrap_or(self.heard);
                    if !more {
                        follower.current(true);
                        return true;
                    }
                }
                Err(_) => {
                    follower.current(false);
                    return false;
                }
            }
        }
    }

    fn page(&self) -> rusqlite::Result<Vec<(i64, Entry)>> {
        let sql = "SELECT number, entry, until_ms FROM log WHERE number > ?1 AND until_ms > ?2 ORDER BY number LIMIT ?3";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map(params![self.heard, number(unix_ms()), number(PAGE as u64)], |row| {
            let entry = Entry { bytes: row.get(1)?, until_ms: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0) };
            Ok((row.get(0)?, entry))
        })?;
        rows.collect()
    }
}

/// SQLite's integers are signed; the end of time is the same in both.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn read(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT value FROM value WHERE space = ?1 AND id = ?2 AND until_ms > ?3";
    let key = params![key.space().code().0, key.id().as_slice(), number(unix_ms())];
    connection.prepare(sql)?.query_row(key, |row| row.get(0)).optional()
}

fn write(connection: &Connection, key: &Key, value: &[u8], until_ms: u64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO value (space, id, value, until_ms) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (space, id) DO UPDATE SET value = excluded.value, until_ms = excluded.until_ms";
    let row = params![key.space().code().0, key.id().as_slice(), value, number(until_ms)];
    connection.prepare(sql)?.execute(row).map(drop)
}

fn remove(connection: &Connection, key: &Key) -> rusqlite::Result<()> {
    let sql = "DELETE FROM value WHERE space = ?1 AND id = ?2";
    connection.prepare(sql)?.execute(params![key.space().code().0, key.id().as_slice()]).map(drop)
}

impl Store for Sqlite {
    fn insert_if_absent(&self, key: Key, until_ms: u64) -> Reply<bool> {
        // Rare, and also for a process that has the same file: only one refreshes a session.
        if key.space() == Space::SessionIndex {
            return self.submit(move |connection| {
                let new = until_ms > unix_ms() && read(connection, &key)?.is_none();
                if new {
                    write(connection, &key, &[], until_ms)?;
                }
                Ok(new)
            });
        }
        self.replay.insert_if_absent(key, until_ms)
    }

    fn get(&self, key: Key) -> Reply<Option<Vec<u8>>> {
        self.submit(move |connection| read(connection, &key))
    }

    fn put(&self, key: Key, value: Vec<u8>, until_ms: u64) -> Reply<()> {
        if value.len() > MAX_VALUE {
            return ready(Err(Unavailable::Full));
        }
        self.submit(move |connection| write(connection, &key, &value, until_ms))
    }

    fn replace(&self, key: Key, expected: Vec<u8>, value: Vec<u8>, until_ms: u64) -> Reply<bool> {
        if value.len() > MAX_VALUE {
            return ready(Err(Unavailable::Full));
        }
        self.submit(move |connection| {
            let same = read(connection, &key)?.is_some_and(|there| there == expected);
            if same {
                write(connection, &key, &value, until_ms)?;
            }
            Ok(same)
        })
    }

    fn take(&self, key: Key) -> Reply<Option<Vec<u8>>> {
        self.submit(move |connection| {
            let value = read(connection, &key)?;
            remove(connection, &key)?;
            Ok(value)
        })
    }

    fn delete(&self, key: Key) -> Reply<bool> {
        self.submit(move |connection| {
            let there = read(connection, &key)?.is_some();
            remove(connection, &key)?;
            Ok(there)
        })
    }

    fn append(&self, entry: Entry) -> Reply<u64> {
        if entry.bytes.len() > MAX_ENTRY {
            return ready(Err(Unavailable::Full));
        }
        self.submit(move |connection| {
            let sql = "INSERT INTO log (entry, until_ms) VALUES (?1, ?2)";
            connection.prepare(sql)?.execute(params![entry.bytes, number(entry.until_ms)])?;
            Ok(u64::try_from(connection.last_insert_rowid()).unwrap_or(0))
        })
    }

    fn follow(&self, follower: Arc<dyn Follower>) -> Reply<()> {
        let (answer, answered) = oneshot::channel();
        if !self.send(Job::Follow(follower, answer)) {
            return ready(Err(Unavailable::Busy));
        }
        within_deadline(answered)
    }

    fn replay_survives(&self) -> Survives {
        Survives::No
    }

    fn values_survive(&self) -> Survives {
        Survives::Disk
    }
}
