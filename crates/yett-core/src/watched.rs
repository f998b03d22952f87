//! Files of data beside a configuration: read whole or not at all, and read anew when they change.
//!
//! A file that is damaged, or gone, changes nothing: what was read before goes on to count.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{File, Metadata};
use std::io::BufReader;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::shared::{Counter, Shared};

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What a file says once it has been read.
pub trait Content: Debug + Send + Sync + Sized + 'static {
    /// What it is read as, beside its path.
    type How: Copy + Ord + Debug + Send + Sync + 'static;
    /// The event of one that was read.
    const READ: &'static str;
    /// The event of one that could not be.
    const FAILED: &'static str;
    /// Largest file in bytes.
    const MAX_FILE: u64;

    /// Reads it, `length` bytes long.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read(file: BufReader<File>, length: u64, how: Self::How) -> Result<Self, String>;

    /// How much it is.
    fn entries(&self) -> usize;

    /// Bytes of memory that it takes.
    fn bytes(&self) -> usize;

    /// An event about what counts, and its details, told once for each content; now is in seconds since 1970.
    fn complaint(&self, _how: Self::How, _now_s: u64) -> Option<(&'static str, String)> {
        None
    }
}

/// What tells one content of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified_ns: (i64, i64),
    changed_ns: (i64, i64),
    length: u64,
    inode: u64,
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            modified_ns: (found.mtime(), found.mtime_nsec()),
            changed_ns: (found.ctime(), found.ctime_nsec()),
            length: found.len(),
            inode: found.ino(),
        }
    }
}

/// What was looked at last.
#[derive(Debug, Default)]
struct Seen {
    stamp: Option<Stamp>,
    /// What was wrong with it.
    fault: Option<String>,
    /// Whether somebody was told that what counts is not as it should be.
    complained: bool,
}

/// A file.
#[derive(Debug)]
pub struct Watched<T: Content> {
    path: PathBuf,
    how: T::How,
    current: RwLock<Option<(T, u64)>>,
    seen: Mutex<Seen>,
    /// Whether something is wrong with it; apart, so that who asks does not wait while it is read.
    faulty: AtomicBool,
    failures: Counter,
}

/// What is known of a file.
#[derive(Debug)]
pub struct Status {
    /// Its path.
    pub path: String,
    /// How much of it counts.
    pub entries: usize,
    /// Bytes of memory that it takes.
    pub bytes: usize,
    /// When what counts was written, milliseconds since 1970; nothing where nothing was ever read.
    pub modified_ms: Option<u64>,
    /// Whether what counts is what the file says now.
    pub current: bool,
    /// Times that it could not be read.
    pub failures: u64,
}

impl<T: Content> Watched<T> {
    fn new(path: &str, how: T::How) -> Self {
        let (current, seen) = (RwLock::default(), Mutex::default());
        Self { path: PathBuf::from(path), how, current, seen, faulty: AtomicBool::new(false), failures: Counter::default() }
    }

    /// What it says, as far as it was ever read.
    pub fn ask<A>(&self, ask: impl FnOnce(Option<&T>) -> A) -> A {
        ask(self.current.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(content, _)| content))
    }

    /// What it is read as.
    pub fn how(&self) -> T::How {
        self.how
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads it, if it is another one than was read last.
    fn refresh(&self, shared: &Shared) {
        let stamp = std::fs::metadata(&self.path).map(|found| Stamp::of(&found)).ok();
        let mut seen = self.seen();
        if seen.stamp != stamp || stamp.is_none() {
            self.renew(&mut seen, stamp, shared);
        }
        if !seen.complained
            && let Some((event, detail)) = self.ask(|content| content?.complaint(self.how, now_s()))
        {
            seen.complained = true;
            shared.events.push("warning", event, &[("file", &self.path.to_string_lossy()), ("detail", &detail)]);
        }
    }

    fn renew(&self, seen: &mut Seen, stamp: Option<Stamp>, shared: &Shared) {
        let path = self.path.to_string_lossy();
        match self.read() {
            Ok((content, stamp)) => {
                let entries = content.entries().to_string();
                let modified_ms = u64::try_from(stamp.modified_ns.0).unwrap_or(0).saturating_mul(1000);
                let old = self.current.write().unwrap_or_else(PoisonError::into_inner).replace((content, modified_ms));
                // Nobody waits while millions of entries go.
                drop(old);
                *seen = Seen { stamp: Some(stamp), fault: None, complained: false };
                self.faulty.store(false, Ordering::Relaxed);
                shared.events.push("info", T::READ, &[("file", &path), ("entries", &entries)]);
            }
            Err(Fault { what, lasts }) => {
                // Told once; a file that is not there, or could not be opened, is tried again each second.
                if seen.fault.as_ref() != Some(&what) || lasts {
                    self.failures.increment();
                    let known = self.ask(|content| content.is_some());
                    let kept = if known { "what was read before goes on to count" } else { "nothing was read before" };
                    shared.events.push("warning", T::FAILED, &[("file", &path), ("fault", &what), ("kept", kept)]);
                }
                seen.stamp = stamp.filter(|_| lasts);
                seen.fault = Some(what);
                self.faulty.store(true, Ordering::Relaxed);
            }
        }
    }

    /// A whole file, as it was at one moment.
    fn read(&self) -> Result<(T, Stamp), Fault> {
        let lasting = |what: String| Fault { what, lasts: true };
        let passing = |what: &str| Fault { what: what.to_owned(), lasts: false };
        let fault = |error: std::io::Error| {
            passing(match error.kind() {
                std::io::ErrorKind::NotFound => "it does not exist",
                std::io::ErrorKind::PermissionDenied => "it may not be read",
                _ => "it cannot be read",
            })
        };
        let path: &Path = &self.path;
        if !std::fs::metadata(path).map_err(fault)?.is_file() {
            return Err(passing("it is no file"));
        }
        let file = File::open(path).map_err(fault)?;
        let before = Stamp::of(&file.metadata().map_err(fault)?);
        if before.length > T::MAX_FILE {
            return Err(lasting(format!("it is larger than {} MiB", T::MAX_FILE >> 20)));
        }
        let file = BufReader::with_capacity(1 << 16, file);
        // Whatever a damaged file does to who reads it, it ends here.
        let read = catch_unwind(AssertUnwindSafe(|| T::read(file, before.length, self.how)));
        let content = read.unwrap_or_else(|_| Err("it makes no sense".to_owned())).map_err(lasting)?;
        if Stamp::of(&std::fs::metadata(path).map_err(fault)?) != before {
            return Err(passing("it changed while it was read"));
        }
        Ok((content, before))
    }

    /// What is known of it.
    pub fn status(&self) -> Status {
        let fine = !self.faulty.load(Ordering::Relaxed);
        let content = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let found = content.as_ref();
        Status {
            path: self.path.to_string_lossy().into_owned(),
            entries: found.map_or(0, |(content, _)| content.entries()),
            bytes: found.map_or(0, |(content, _)| content.bytes()),
            modified_ms: found.map(|(_, modified_ms)| *modified_ms),
            current: fine && found.is_some(),
            failures: self.failures.get(),
        }
    }
}

/// Why a file was not taken.
struct Fault {
    what: String,
    /// It is what the file contains: reading it again says the same.
    lasts: bool,
}

/// Files by what they are read as and their paths.
type Files<T> = BTreeMap<(<T as Content>::How, String), Weak<Watched<T>>>;

/// Files; what was read of one outlives a reload.
#[derive(Debug)]
pub struct Registry<T: Content>(Mutex<Files<T>>);

impl<T: Content> Default for Registry<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Content> Registry<T> {
    fn lock(&self) -> MutexGuard<'_, Files<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file, which is read here where nobody has it yet, and watched from then on.
    pub fn file(&self, path: &str, how: T::How, shared: &Arc<Shared>) -> Arc<Watched<T>> {
        let key = (how, path.to_owned());
        let mut all = self.lock();
        all.retain(|_, file| file.strong_count() > 0);
        if let Some(file) = all.get(&key).and_then(Weak::upgrade) {
            return file;
        }
        let file = Arc::new(Watched::new(path, how));
        all.insert(key, Arc::downgrade(&file));
        drop(all);
        file.refresh(shared);
        shared.service_runtime.spawn(watch(Arc::downgrade(&file), Arc::downgrade(shared)));
        file
    }

    /// Those that are in use.
    #[must_use]
    pub fn files(&self) -> Vec<Arc<Watched<T>>> {
        self.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// What is known of those that are in use.
    #[must_use]
    pub fn all(&self) -> Vec<Status> {
        self.files().iter().map(|file| file.status()).collect()
    }
}

/// Looks at a file until no snapshot has it any more.
async fn watch<T: Content>(file: Weak<Watched<T>>, shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let (Some(file), Some(shared)) = (file.upgrade(), shared.upgrade()) else { return };
        let events = Arc::clone(&shared);
        let looked = tokio::task::spawn_blocking(move || file.refresh(&shared)).await;
        match looked {
            Err(error) if error.is_cancelled() => return,
            Err(_) => events.events.push("error", T::FAILED, &[("fault", "a bug in the gateway; it is tried again")]),
            Ok(()) => {}
        }
    }
}

/// Seconds since something was written.
#[must_use]
pub fn age_s(modified_ms: u64) -> u64 {
    now_s().saturating_sub(modified_ms / 1000)
}

/// Seconds since 1970.
#[must_use]
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
