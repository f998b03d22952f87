//! Values of decision records of which only a keyed hash is known: equality with a text can be decided, nothing else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::record::Opening;

/// Characters of a hash: 128 bits.
pub const DIGEST: usize = 22;
/// What a hashed value begins with inside of the engine: a character of nobody's, which a header field may hold. A text of someone
/// else's that begins so equals nothing without the key, and whoever reads it is told that it is not known.
pub(crate) const MARK: char = '\u{e000}';
/// Texts whose hashes are remembered.
const MEMO: usize = 1 << 16;

/// A keyed hash of values.
#[derive(Clone)]
pub struct Hasher {
    key: hmac::Key,
    /// Which key it is; says nothing about the key.
    id: Box<str>,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(…)")
    }
}

impl Hasher {
    /// HMAC-SHA-256 (RFC 2104) under this key, of which 128 bits are kept.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let tag = hmac::sign(&key, b"yett decision records: which key");
        let id = URL_SAFE_NO_PAD.encode(tag.as_ref().get(..6).unwrap_or_default());
        Self { key, id: id.into() }
    }

    /// Which key it is.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The hash of a value.
    #[must_use]
    pub fn digest(&self, value: &[u8]) -> [u8; DIGEST] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"v");
        context.update(value);
        let tag = context.sign();
        let mut out = [b'A'; DIGEST];
        let _ = URL_SAFE_NO_PAD.encode_slice(tag.as_ref().get(..16).unwrap_or_default(), &mut out);
        out
    }
}

/// What is known of hidden values, and whether the last decision stood on something that nobody knows.
#[derive(Debug)]
pub struct Hidden {
    hasher: Option<Hasher>,
    /// Texts of a configuration, by their hashes.
    known: HashMap<Box<str>, Box<str>>,
    memo: Mutex<HashMap<Box<str>, Box<str>>>,
    touched: AtomicBool,
    missing: Mutex<Option<String>>,
}

impl Hidden {
    /// `texts` are those of a configuration: whatever equals one of them is read as it.
    pub fn new<'t>(hasher: Option<Hasher>, texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut known = HashMap::new();
        if let Some(hasher) = &hasher {
            known.extend(texts.into_iter().map(|text| (word(&hasher.digest(text.as_bytes())), text.into())));
        }
        Self { hasher, known, memo: Mutex::default(), touched: AtomicBool::new(false), missing: Mutex::default() }
    }

    /// Which key its hashes are made with.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.hasher.as_ref().map(Hasher::id)
    }

    /// The text of a hash, where it is known, else the hash with a mark before it.
    #[must_use]
    pub fn reveal(&self, digest: &str) -> Box<str> {
        match self.known.get(digest) {
            Some(text) => text.clone(),
            None => marked(digest),
        }
    }

    /// Notes that a decision stands on something that is not known. The first thing counts.
    pub fn touch(&self, what: impl FnOnce() -> String) {
        if !self.touched.swap(true, Ordering::Relaxed) {
            *lock(&self.missing) = Some(what());
        }
    }

    /// What the last decision lacked, and forgets it.
    #[must_use]
    pub fn take(&self) -> Option<String> {
        if self.touched.load(Ordering::Relaxed) && self.touched.swap(false, Ordering::Relaxed) {
            lock(&self.missing).take().or(Some(String::new()))
        } else {
            None
        }
    }

    /// Whether two texts are the same, each of them hidden or not.
    #[must_use]
    pub fn same(&self, one: &str, other: &str) -> bool {
        match (one.strip_prefix(MARK), other.strip_prefix(MARK)) {
            (Some(digest), None) => self.is(digest, other),
            (None, Some(digest)) => self.is(digest, one),
            _ => one == other,
        }
    }

    fn is(&self, digest: &str, text: &str) -> bool {
        let Some(hasher) = &self.hasher else {
            self.touch(|| "a hashed value, without the key".to_owned());
            return false;
        };
        let mut memo = lock(&self.memo);
        if let Some(known) = memo.get(text) {
            return **known == *digest;
        }
        if memo.len() >= MEMO {
            memo.clear();
        }
        let found = word(&hasher.digest(text.as_bytes()));
        let same = *found == *digest;
        memo.insert(text.into(), found);
        same
    }
}

/// A text of which only the hash is known.
#[derive(Debug)]
pub struct Opaque {
    marked: Box<str>,
    hidden: Arc<Hidden>,
}

impl Opaque {
    /// With its mark. Whatever comes of it is not known: that is noted.
    #[must_use]
    pub fn read(&self) -> &str {
        self.hidden.touch(|| "a hashed value: only whether it equals something can be told of it".to_owned());
        &self.marked
    }

    /// Whether it is this text.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.hidden.same(&self.marked, text)
    }

    /// With its mark, for comparing.
    #[must_use]
    pub fn marked(&self) -> &str {
        &self.marked
    }
}

/// What a record has of a request; whoever reads something that it lacks notes that.
#[derive(Debug)]
pub struct Recorded {
    /// What is known of hidden values.
    pub hidden: Arc<Hidden>,
    /// Header fields, lower case.
    pub headers: Vec<Box<str>>,
    /// Those with a value that may be a list, of which only the hash is known.
    pub lists: Vec<Box<str>>,
    /// Parameters of the query.
    pub query: Vec<Box<str>>,
    /// Claims, by provider.
    pub claims: Arc<[(Box<str>, Box<str>)]>,
    /// Fields of the body, as JSON pointers.
    pub body: Vec<Box<str>>,
    /// Whether the address and the scheme of the client are known.
    pub client: bool,
    /// Whether it opens a WebSocket connection, where that is known.
    pub websocket: Option<Opening>,
}

impl Recorded {
    fn need(&self, there: bool, what: impl FnOnce() -> String) {
        if !there {
            self.hidden.touch(what);
        }
    }

    /// A header field is read.
    pub fn header(&self, name: &str) {
        self.need(self.headers.iter().any(|own| **own == *name), || format!("header `{name}`"));
    }

    /// A header field is compared with a text, alone or as an item of a list.
    pub fn listed(&self, name: &str) {
        self.header(name);
        self.need(!self.lists.iter().any(|own| **own == *name), || format!("the items of header `{name}`"));
    }

    /// A parameter of the query is read.
    pub fn parameter(&self, name: &str) {
        self.need(self.query.iter().any(|own| **own == *name), || format!("query parameter `{name}`"));
    }

    /// A claim of a provider's caller is read.
    pub fn claim(&self, provider: &str, name: &str) {
        let there = self.claims.iter().any(|(who, own)| **who == *provider && **own == *name);
        self.need(there, || format!("claim `{name}` of `{provider}`"));
    }

    /// A field of the body is read.
    pub fn field(&self, pointer: &str) {
        self.need(self.body.iter().any(|own| **own == *pointer), || format!("body field `{pointer}`"));
    }

    /// The address or the scheme of the client is read.
    pub fn origin(&self) {
        self.need(self.client, || "the address of the client".to_owned());
    }

    /// Where the address of the client is, is read: databases change, and no record has it.
    pub fn place(&self) {
        self.need(false, || "where the address of the client was".to_owned());
    }

    /// What the hello of TLS says of the client's program is read; `there`: it is known, also that there was none.
    pub fn hello(&self, there: bool) {
        self.need(there, || "what the client's hello of TLS says of its program (`ja4`)".to_owned());
    }

    /// An opaque text, if that is one.
    #[must_use]
    pub fn opaque(&self, text: &str) -> Option<Arc<Opaque>> {
        text.starts_with(MARK).then(|| Arc::new(Opaque { marked: text.into(), hidden: Arc::clone(&self.hidden) }))
    }
}

/// A hash with the mark before it.
#[must_use]
pub fn marked(digest: &str) -> Box<str> {
    let mut text = String::with_capacity(digest.len().saturating_add(1));
    text.push(MARK);
    text.push_str(digest);
    text.into()
}

/// What stands in the place of an address that is not known.
pub(crate) const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

fn word(digest: &[u8; DIGEST]) -> Box<str> {
    std::str::from_utf8(digest).unwrap_or_default().into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{Hasher, Hidden, marked};

    #[test]
    fn a_hash_equals_the_text_that_it_was_made_of_and_no_other() {
        let hasher = Hasher::new(b"0123456789abcdef0123456789abcdef");
        let digest = String::from_utf8(hasher.digest(b"alice").to_vec()).unwrap();
        let hidden = Hidden::new(Some(hasher.clone()), ["alice", "bob"]);
        assert_eq!(&*hidden.reveal(&digest), "alice");
        let other = Hidden::new(Some(hasher), []);
        let opaque = other.reveal(&digest);
        assert_eq!(opaque, marked(&digest));
        assert!(other.same(&opaque, "alice") && other.same("alice", &opaque) && !other.same(&opaque, "bob"));
        assert!(other.same(&opaque, &opaque) && other.take().is_none());
        let without = Hidden::new(None, ["alice"]);
        assert!(!without.same(&opaque, "alice"));
        assert!(without.take().is_some() && without.take().is_none());
    }
}
