//! Lists of addresses: written in the configuration or read from a file, and read anew when that changes.
//!
//! A file that is damaged, or gone, changes nothing: what was read before goes on to count.

mod ranges;

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::BufReader;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, UNIX_EPOCH};

pub use ranges::{MAX_ENTRIES, Ranges};

use crate::ir;
use crate::shared::{Counter, Shared};

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Largest file.
const MAX_FILE: u64 = 256 << 20;

/// One list.
#[derive(Debug)]
pub struct List {
    own: Ranges,
    file: Option<Arc<ListFile>>,
    /// Whether a file that was never read is a list with nobody on it.
    empty: bool,
}

impl List {
    /// Reads its file, where no snapshot has it already, and has it watched from then on.
    #[must_use]
    pub fn build(spec: &ir::AddressList, shared: &Arc<Shared>) -> Self {
        let own = Ranges::of(&spec.networks);
        let file = spec.file.as_ref().map(|path| shared.address_lists.file(path, shared));
        Self { own, file, empty: spec.unavailable == ir::ListUnavailable::Empty }
    }

    /// Whether an address is on it; nothing where that is not known, since its file was never read.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> Option<bool> {
        if self.own.has(address) {
            return Some(true);
        }
        let Some(file) = &self.file else { return Some(false) };
        match &*file.current.read().unwrap_or_else(PoisonError::into_inner) {
            Some(current) => Some(current.ranges.has(address)),
            None => self.empty.then_some(false),
        }
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

/// What was read.
#[derive(Debug)]
struct Content {
    ranges: Ranges,
    modified_ms: u64,
}

/// The file of a list.
#[derive(Debug)]
pub struct ListFile {
    path: PathBuf,
    current: RwLock<Option<Content>>,
    /// What was looked at last, and what was wrong with it.
    seen: Mutex<(Option<Stamp>, Option<String>)>,
    failures: Counter,
}

/// What is known of a file of addresses.
#[derive(Debug)]
pub struct ListStatus {
    /// Its path.
    pub path: String,
    /// Ranges that count, adjoining ones as one.
    pub entries: usize,
    /// Bytes of memory that they take.
    pub bytes: usize,
    /// When what counts was written, milliseconds since 1970; nothing where nothing was ever read.
    pub modified_ms: Option<u64>,
    /// Whether what counts is what the file says now.
    pub current: bool,
    /// Times that it could not be read.
    pub failures: u64,
}

impl ListFile {
    fn new(path: &str) -> Self {
        Self { path: PathBuf::from(path), current: RwLock::default(), seen: Mutex::default(), failures: Counter::default() }
    }

    fn seen(&self) -> MutexGuard<'_, (Option<Stamp>, Option<String>)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads it, if it is another one than was read last.
    fn refresh(&self, shared: &Shared) {
        let stamp = std::fs::metadata(&self.path).map(|found| Stamp::of(&found)).ok();
        let mut seen = self.seen();
        if seen.0 == stamp && stamp.is_some() {
            return;
        }
        let path = self.path.to_string_lossy();
        match read(&self.path) {
            Ok((ranges, stamp)) => {
                let entries = ranges.len().to_string();
                let modified_ms = u64::try_from(stamp.modified_ns.0).unwrap_or(0).saturating_mul(1000);
                let old = {
                    let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                    current.replace(Content { ranges, modified_ms })
                };
                // Nobody waits while millions of entries go.
                drop(old);
                *seen = (Some(stamp), None);
                shared.events.push("info", "address_list_read", &[("file", &path), ("entries", &entries)]);
            }
            Err(Fault { what, lasts }) => {
                // Told once; a file that is not there, or could not be opened, is tried again each second.
                if seen.1.as_ref() != Some(&what) || lasts {
                    self.failures.increment();
                    let kept = if self.is_known() { "what was read before goes on to count" } else { "nothing was read before" };
                    shared.events.push("warning", "address_list_failed", &[("file", &path), ("fault", &what), ("kept", kept)]);
                }
                *seen = (stamp.filter(|_| lasts), Some(what));
            }
        }
    }

    fn is_known(&self) -> bool {
        self.current.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn status(&self) -> ListStatus {
        let current = self.seen().1.is_none();
        let content = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let ranges = content.as_ref().map(|content| &content.ranges);
        ListStatus {
            path: self.path.to_string_lossy().into_owned(),
            entries: ranges.map_or(0, Ranges::len),
            bytes: ranges.map_or(0, Ranges::bytes),
            modified_ms: content.as_ref().map(|content| content.modified_ms),
            current: current && content.is_some(),
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

/// A whole file, as it was at one moment.
fn read(path: &Path) -> Result<(Ranges, Stamp), Fault> {
    let lasting = |what: String| Fault { what, lasts: true };
    let passing = |what: &str| Fault { what: what.to_owned(), lasts: false };
    let fault = |error: std::io::Error| {
        passing(match error.kind() {
            std::io::ErrorKind::NotFound => "it does not exist",
            std::io::ErrorKind::PermissionDenied => "it may not be read",
            _ => "it cannot be read",
        })
    };
    if !std::fs::metadata(path).map_err(fault)?.is_file() {
        return Err(passing("it is no file"));
    }
    let file = File::open(path).map_err(fault)?;
    let before = Stamp::of(&file.metadata().map_err(fault)?);
    if before.length > MAX_FILE {
        return Err(lasting(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    let ranges = Ranges::read(BufReader::with_capacity(1 << 16, file)).map_err(lasting)?;
    if Stamp::of(&std::fs::metadata(path).map_err(fault)?) != before {
        return Err(passing("it changed while it was read"));
    }
    Ok((ranges, before))
}

/// Files of lists, by path; what was read of one outlives a reload.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<String, Weak<ListFile>>>);

impl Registry {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Weak<ListFile>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, path: &str, shared: &Arc<Shared>) -> Arc<ListFile> {
        let mut all = self.lock();
        all.retain(|_, file| file.strong_count() > 0);
        if let Some(file) = all.get(path).and_then(Weak::upgrade) {
            return file;
        }
        let file = Arc::new(ListFile::new(path));
        all.insert(path.to_owned(), Arc::downgrade(&file));
        drop(all);
        file.refresh(shared);
        let (watched, shared) = (Arc::downgrade(&file), Arc::downgrade(shared));
        if let Some(strong) = shared.upgrade() {
            strong.service_runtime.spawn(watch(watched, shared));
        }
        file
    }

    /// Those that are in use.
    #[must_use]
    pub fn all(&self) -> Vec<ListStatus> {
        let files: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        files.iter().map(|file| file.status()).collect()
    }
}

/// Looks at a file until no snapshot has it any more.
async fn watch(file: Weak<ListFile>, shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let (Some(file), Some(shared)) = (file.upgrade(), shared.upgrade()) else { return };
        let events = Arc::clone(&shared);
        let looked = tokio::task::spawn_blocking(move || file.refresh(&shared)).await;
        match looked {
            Err(error) if error.is_cancelled() => return,
            Err(_) => events.events.push("error", "address_list_failed", &[("fault", "a bug in the gateway; it is tried again")]),
            Ok(()) => {}
        }
    }
}

/// Seconds since something was written.
#[must_use]
pub fn age_s(modified_ms: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    now.saturating_sub(modified_ms / 1000)
}
