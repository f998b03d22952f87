//! Use on the disk of this machine: SQLite with a write-ahead log, on a thread of its own that writes once a second.
//!
//! What is written is what was added since, so several processes may have the same file, as during a takeover: each adds its
//! own and reads what the others did. Each row has a sum, so that a damaged file is seen and not counted on.

use std::path::Path;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::book::Book;
use super::entry::{Entry, Id, Names, Row};
use super::period::Span;
use crate::providers::jwk::sha256;
use crate::server::{clock, signals};
use crate::shared::Shared;
use crate::store::sqlite::{open_database, private_directory, private_file};

/// How often what was used is written.
pub const EVERY: Duration = Duration::from_secs(1);
/// How often what has ended is dropped.
const SWEEP: Duration = Duration::from_secs(10);
/// How long an operator waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long rows stay after their period, at most: a clock that went ahead may come back.
const KEPT_S: u64 = 86_400;
/// So far the clock may go off in a second before it is said to jump, seconds.
const JUMP_S: u64 = 60;
/// How long nothing is dropped after a start or a jump: the clock may be wrong, and come back.
const HELD: Duration = Duration::from_secs(3600);
/// Pages of 4 KiB that the file may have: 4 GiB.
const MAX_PAGES: u32 = 1_048_576;
/// What the file says of its own form.
const FORM: i64 = 2;

const SCHEMA: &str = "
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS used (id BLOB PRIMARY KEY NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
        whose TEXT NOT NULL, start_s INTEGER NOT NULL, end_s INTEGER NOT NULL, used INTEGER NOT NULL,
        version INTEGER NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS used_version ON used (version);
    CREATE INDEX IF NOT EXISTS used_end ON used (end_s);
    CREATE TABLE IF NOT EXISTS last (version INTEGER NOT NULL);
    INSERT INTO last SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM last);
    PRAGMA user_version = 2;
    COMMIT;";
/// Rows of which nobody asks any more: a day after their period, or two periods if that is less.
const ENDED: &str = "DELETE FROM used WHERE end_s <= ?1 AND (end_s <= ?2 OR end_s + 2 * (end_s - start_s) <= ?1)";
const COLUMNS: &str = "id, scope, name, kind, whose, start_s, end_s, used, sum, version";

enum Job {
    Begin(SyncSender<()>),
    Reset(Id, Span, SyncSender<Result<(), String>>),
}

/// The file and the thread that writes it.
pub struct Disk {
    /// There until it is dropped.
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Drop for Disk {
    /// What was used is written, and the file is closed.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl Disk {
    /// Opens or makes `quotas.db` in a directory and reads all of it once.
    ///
    /// # Errors
    /// In words: it cannot be opened, or is damaged.
    pub fn open(directory: &Path, shared: Weak<Shared>) -> Result<Self, String> {
        private_directory(directory)?;
        let file = directory.join("quotas.db");
        let connection = connect(&file).map_err(|error| format!("the quotas in `{}` {error}", file.display()))?;
        let (queue, jobs) = sync_channel(16);
        let thread = std::thread::Builder::new()
            .name("yett-quotas".to_owned())
            .spawn(move || {
                signals::block();
                Desk { connection, shared, version: 0, data_version: 0, failing: false }.run(&jobs);
            })
            .map_err(|error| format!("the thread of quotas does not start: {error}"))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Takes what is on it into memory, and writes from now on.
    ///
    /// False where that has not happened within the time: what is used is not known then.
    #[must_use]
    pub fn begin(&self) -> bool {
        let (answer, answered) = sync_channel(1);
        self.send(Job::Begin(answer)) && answered.recv_timeout(PATIENCE).is_ok()
    }

    /// Gives a key its whole quota of a period again, on disk first.
    ///
    /// # Errors
    /// In words: it did not happen.
    pub fn reset(&self, id: Id, span: Span) -> Result<(), String> {
        let (answer, answered) = sync_channel(1);
        if !self.send(Job::Reset(id, span, answer)) {
            return Err("the disk has too much to do; try again".to_owned());
        }
        answered.recv_timeout(PATIENCE).unwrap_or_else(|_| Err("the disk does not answer; look at `yett quota` again".to_owned()))
    }

    fn send(&self, job: Job) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.try_send(job).is_ok())
    }
}

fn connect(file: &Path) -> Result<Connection, String> {
    if is_empty(file) {
        return Err(damaged("the file is empty"));
    }
    private_file(file)?;
    let connection = open_database(file, MAX_PAGES).map_err(damaged)?;
    let form: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(damaged)?;
    if form > FORM {
        return Err(
            "were written by a newer version of yett; run that, or move the file away: then every quota begins anew".to_owned()
        );
    }
    let checked = || -> rusqlite::Result<String> {
        if form == 1 {
            // Its keys did not know the periods.
            connection.execute_batch("DROP TABLE used")?;
        }
        if form != FORM {
            connection.execute_batch(SCHEMA)?;
        }
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
    };
    match checked() {
        Ok(found) if found == "ok" => {}
        Ok(found) => return Err(damaged(found)),
        Err(error) => return Err(damaged(error)),
    }
    each(&connection, -1, |_| ()).map_err(damaged)?;
    Ok(connection)
}

fn damaged(what: impl std::fmt::Display) -> String {
    format!("cannot be counted on: {what}; put back a copy, or move the file away: then every quota begins anew")
}

/// Whether there is a file without anything in it. Another process that makes it just now writes its first page at once.
fn is_empty(file: &Path) -> bool {
    (0..20).all(|_| {
        let empty = std::fs::metadata(file).is_ok_and(|file| file.len() == 0);
        if empty {
            std::thread::sleep(Duration::from_millis(50));
        }
        empty
    })
}

/// Compares the clock of the machine with one that nobody sets.
#[derive(Debug)]
pub(super) struct Watch {
    wall_s: u64,
    at: Instant,
}

impl Watch {
    pub(super) fn new(wall_s: u64, at: Instant) -> Self {
        Self { wall_s, at }
    }

    /// Seconds by which it has jumped since it was looked at last, if it has.
    pub(super) fn jumped(&mut self, wall_s: u64, at: Instant) -> Option<i64> {
        let expected = self.wall_s.saturating_add(at.saturating_duration_since(self.at).as_secs());
        let by_s = i64::try_from(wall_s).ok()?.checked_sub(i64::try_from(expected).ok()?)?;
        (self.wall_s, self.at) = (wall_s, at);
        (by_s.unsigned_abs() > JUMP_S).then_some(by_s)
    }
}

/// The thread's side.
struct Desk {
    connection: Connection,
    shared: Weak<Shared>,
    /// The last version of rows that was read.
    version: i64,
    /// `data_version` when they were read: another process changes it.
    data_version: i64,
    failing: bool,
}

impl Desk {
    fn run(mut self, jobs: &Receiver<Job>) {
        let (mut began, mut swept, mut next) = (false, Instant::now(), Instant::now());
        let (mut watch, mut held) = (Watch::new(now_s(), Instant::now()), Instant::now() + HELD);
        loop {
            let job = jobs.recv_timeout(next.saturating_duration_since(Instant::now()));
            let Some(shared) = self.shared.upgrade() else { return };
            match job {
                Ok(Job::Begin(answer)) => {
                    began = true;
                    self.begin(&shared);
                    let _ = answer.send(());
                }
                Ok(Job::Reset(id, span, answer)) => {
                    let _ = answer.send(self.reset(&shared.quotas, id, span));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    if began {
                        self.write(&shared);
                        told(&shared);
                    }
                    return;
                }
            }
            if next <= Instant::now() {
                next = Instant::now() + EVERY;
                if began {
                    self.write(&shared);
                    told(&shared);
                }
            }
            if let Some(by_s) = watch.jumped(now_s(), Instant::now()) {
                held = Instant::now() + HELD;
                shared.quotas.hold_until(held);
                shared.events.push("warning", "clock_jumped", &[("by_s", &by_s.to_string())]);
            }
            if began && swept.elapsed() >= SWEEP {
                swept = Instant::now();
                let now_s = now_s();
                shared.quotas.sweep(now_s);
                if held <= Instant::now() {
                    // What cannot be deleted now is deleted later; it counts no more.
                    let (now, old) = (number(now_s), number(now_s.saturating_sub(KEPT_S)));
                    let _ = self.connection.execute(ENDED, [now, old]);
                }
            }
        }
    }

    /// What is there counts; what is in memory and not there is to be written.
    fn begin(&mut self, shared: &Shared) {
        match rows(&self.connection, -1) {
            Ok((found, version)) => {
                self.version = version;
                shared.quotas.move_to(found, now_s());
            }
            Err(error) => self.failed(shared, &error),
        }
    }

    /// Adds what was used since, and reads what other processes added.
    fn write(&mut self, shared: &Shared) {
        let now_s = now_s();
        let unwritten = shared.quotas.unwritten();
        if !unwritten.is_empty() {
            shared.quotas.set_unwritten(Some(clock::monotonic_ns() / 1_000_000));
        }
        match self.exchange(&unwritten) {
            Ok(found) => {
                shared.quotas.written(&unwritten);
                shared.quotas.read(found, now_s);
                shared.quotas.set_unwritten(None);
                if std::mem::take(&mut self.failing) {
                    shared.events.push("info", "quotas_written_again", &[]);
                }
            }
            Err(error) => {
                shared.quotas.not_written(&unwritten);
                self.failed(shared, &error);
            }
        }
    }

    fn failed(&mut self, shared: &Shared, error: &Failed) {
        shared.quotas.set_unwritten(Some(clock::monotonic_ns() / 1_000_000));
        if !std::mem::replace(&mut self.failing, true) {
            shared.events.push("error", "quotas_not_written", &[("detail", &error.to_string())]);
        }
    }

    fn exchange(&mut self, unwritten: &[Row]) -> Result<Vec<Row>, Failed> {
        let data_version = self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        if unwritten.is_empty() && self.data_version == data_version {
            return Ok(Vec::new());
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !unwritten.is_empty() {
            let version = next_version(&transaction)?;
            for row in unwritten {
                add(&transaction, row, version)?;
            }
        }
        let (found, version) = rows(&transaction, self.version)?;
        transaction.commit()?;
        self.version = version;
        self.data_version = data_version;
        Ok(found)
    }

    fn reset(&mut self, book: &Book, id: Id, span: Span) -> Result<(), String> {
        let unwritten = book.unwritten();
        let refuse = |error: Failed| format!("it cannot be written, so nothing was reset: {error}");
        match self.exchange(&unwritten) {
            Ok(found) => {
                book.written(&unwritten);
                book.read(found, now_s());
            }
            Err(error) => {
                book.not_written(&unwritten);
                return Err(refuse(error));
            }
        }
        self.zero(id, span).map_err(refuse)?;
        book.reset(id, span);
        Ok(())
    }

    fn zero(&mut self, id: Id, span: Span) -> Result<(), Failed> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = next_version(&transaction)?;
        if let Some(mut row) = find(&transaction, id, span)? {
            row.entry.used = 0;
            put(&transaction, &row, version)?;
        }
        Ok(transaction.commit()?)
    }
}

/// Why the file is no help.
#[derive(Debug)]
enum Failed {
    Sqlite(rusqlite::Error),
    /// A row does not fit its sum.
    Damaged,
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Damaged => f.write_str("a row does not fit its sum"),
        }
    }
}

/// Logs the thresholds that were passed.
pub(super) fn told(shared: &Shared) {
    for one in shared.quotas.warnings() {
        let (used, amount) = one.used;
        let fields: [(&'static str, &str); 8] = [
            ("quota", &one.names.name),
            ("scope", &one.names.scope),
            ("by", &one.by),
            ("key", &one.whose),
            ("threshold_percent", &one.percent.to_string()),
            ("used", &used.to_string()),
            ("amount", &amount.to_string()),
            ("period_ends_s", &one.end_s.to_string()),
        ];
        shared.events.push("warning", "quota_threshold", &fields);
    }
}

fn now_s() -> u64 {
    clock::now().unix_ms / 1000
}

/// SQLite's integers are signed; the end of time is the same in both.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn next_version(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction.query_row("UPDATE last SET version = version + 1 RETURNING version", [], |row| row.get(0))
}

/// Adds what a row has to be written to what is there of its period.
fn add(transaction: &Transaction<'_>, row: &Row, version: i64) -> Result<(), Failed> {
    let added = row.entry.pending;
    let fresh = || {
        let mut entry = row.entry.clone();
        entry.used = u64::try_from(added).unwrap_or(0);
        Row { id: row.id, entry }
    };
    let whole = match find(transaction, row.id, row.entry.span)? {
        None => fresh(),
        Some(mut there) => {
            there.entry.pending = 0;
            there.entry.used = there.entry.used.saturating_add_signed(added);
            there
        }
    };
    Ok(put(transaction, &whole, version)?)
}

fn put(transaction: &Transaction<'_>, row: &Row, version: i64) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO used (id, scope, name, kind, whose, start_s, end_s, used, sum, version)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let Entry { names, by, whose, span, used, .. } = &row.entry;
    let (start, end, used) = (number(span.start_s), number(span.end_s), number(*used));
    let id = stored(row.id, span.start_s).to_be_bytes();
    let sum = sum(&id, [&names.scope, &names.name, by, whose], [start, end, used]);
    let values = params![&id[..], &*names.scope, &*names.name, &**by, &**whose, start, end, used, sum, version];
    transaction.prepare(sql)?.execute(values).map(drop)
}

/// A key has a row for each of its periods.
fn stored(id: Id, start_s: u64) -> Id {
    id.wrapping_add(start_s.into())
}

fn find(connection: &Connection, id: Id, span: Span) -> Result<Option<Row>, Failed> {
    let id = stored(id, span.start_s);
    let sql = format!("SELECT {COLUMNS} FROM used WHERE id = ?1");
    let found = connection.prepare(&sql)?.query_row([&id.to_be_bytes()[..]], |row| Ok(read(row))).optional()?;
    found.map(|row| row.map(|(row, _)| row)).transpose()
}

/// Rows that are newer than a version, and the newest version.
fn rows(connection: &Connection, version: i64) -> Result<(Vec<Row>, i64), Failed> {
    let mut found = Vec::new();
    let newest = each(connection, version, |row| found.push(row))?;
    Ok((found, newest))
}

/// Each row that is newer than a version, one at a time; the newest version.
fn each(connection: &Connection, version: i64, mut take: impl FnMut(Row)) -> Result<i64, Failed> {
    let sql = format!("SELECT {COLUMNS} FROM used WHERE version > ?1");
    let mut statement = connection.prepare(&sql)?;
    let mut newest = version.max(0);
    let mut all = statement.query([version])?;
    while let Some(row) = all.next()? {
        let (row, version) = read(row)?;
        newest = newest.max(version);
        take(row);
    }
    Ok(newest)
}

fn read(row: &rusqlite::Row<'_>) -> Result<(Row, i64), Failed> {
    let id: Vec<u8> = row.get(0)?;
    let texts: [String; 4] = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
    let numbers: [i64; 3] = [row.get(5)?, row.get(6)?, row.get(7)?];
    let id: [u8; 16] = id.try_into().map_err(|_| Failed::Damaged)?;
    if sum(&id, texts.each_ref().map(String::as_str), numbers) != row.get::<_, i64>(8)? {
        return Err(Failed::Damaged);
    }
    let [start_s, end_s, used] = numbers.map(|value| u64::try_from(value).unwrap_or(0));
    let [scope, name, by, whose] = texts;
    let names = Names { scope: scope.into(), name: name.into() };
    let entry = Entry {
        names,
        by: by.into(),
        whose: whose.into(),
        span: Span { start_s, end_s },
        used,
        pending: 0,
        kept: true,
        others: Vec::new(),
    };
    let id = Id::from_be_bytes(id).wrapping_sub(start_s.into());
    Ok((Row { id, entry }, row.get(9)?))
}

fn sum(id: &[u8; 16], texts: [&str; 4], numbers: [i64; 3]) -> i64 {
    let mut bytes = id.to_vec();
    for text in texts {
        bytes.extend_from_slice(&number(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    numbers.iter().for_each(|one| bytes.extend_from_slice(&one.to_be_bytes()));
    let [a, b, c, d, e, f, g, h, ..] = sha256(&bytes);
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}
