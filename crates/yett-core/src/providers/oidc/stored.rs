//! Sessions that the gateway keeps: the browser has a random handle of 256 bits, the store of `state` all the rest.
//!
//! A session is found by a digest of provider and handle, so the store has nothing that a browser could show. What it holds is
//! sealed with the provider's keys, for this one place: who reads the store learns nothing, and who writes there makes no
//! session and turns none into another one.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::seal::{Bound, Purpose};
use super::session::Session;
use crate::exchange::Once;
use crate::providers::jwk::sha256;
use crate::store::{Key, Space, Store, Unavailable};

/// Bytes of a handle.
pub const HANDLE: usize = 32;
/// How long a worker goes by what it read, seconds: what ends a session before reaches it as a revocation.
pub const READ_S: u64 = 5;
/// How long a provider that did not answer is left alone, seconds.
pub const PAUSE_S: u64 = 5;
/// How long nobody else refreshes a session, milliseconds: longer than asking the provider takes.
const REFRESH_MS: u64 = 15_000;
/// How long somebody else's refresh is waited for, and how often it is looked for.
const WAIT: Duration = Duration::from_secs(9);
const LOOK: Duration = Duration::from_millis(50);
/// Times that one request writes, however often others write meanwhile.
pub const WRITES: u8 = 3;

/// What the store said of a session: its sealed text, or that there is none.
pub type Stored = Result<Option<Arc<[u8]>>, Unavailable>;

/// What a browser shows for its session.
#[derive(Clone, PartialEq, Eq)]
pub struct Handle([u8; HANDLE]);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

impl Handle {
    /// From random bytes.
    #[must_use]
    pub const fn new(random: [u8; HANDLE]) -> Self {
        Self(random)
    }

    /// From a cookie.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        Some(Self(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }

    /// As it stands in a cookie.
    #[must_use]
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What the store finds the session by.
    #[must_use]
    pub fn key(&self, provider: &str) -> Key {
        Key::new(Space::Session, &[provider.as_bytes(), &self.0])
    }
}

/// What the text at a place of the store is sealed for.
#[must_use]
pub fn policy(of: &Bound<'_>, key: &Key) -> [u8; 32] {
    sha256(&[of.policy.as_slice(), key.id()].concat())
}

/// What a session in the store is sealed for; `policy` is that of [`policy`].
#[must_use]
pub const fn bound<'a>(of: &Bound<'a>, policy: &'a [u8; 32]) -> Bound<'a> {
    Bound { purpose: Purpose::Stored, provider: of.provider, policy }
}

/// Whoever has this refreshes the session, one of all instances; it is another one after each attempt.
#[must_use]
pub fn turn(key: &Key, session: &Session, now_ms: u64) -> Once {
    let access_end_s = session.access_s.map_or(0, |(_, end_s)| end_s).to_be_bytes();
    let failed_s = session.failed_s.unwrap_or(0).to_be_bytes();
    let key = Key::new(Space::SessionIndex, &[b"refresh", key.id(), &access_end_s, &failed_s]);
    Once { key, until_ms: now_ms.saturating_add(REFRESH_MS) }
}

/// What the store is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// What is there.
    Read(Key),
    /// What is there once it is something else than text of this SHA-256, or when it was waited for long enough.
    Changed(Key, [u8; 32]),
    /// Puts a new session there, and takes the one away that the browser had before.
    Begin {
        /// Where.
        key: Key,
        /// It.
        value: Arc<[u8]>,
        /// Until then, milliseconds since 1970.
        until_ms: u64,
        /// That of before.
        before: Option<Key>,
    },
    /// In place of what was read; where that is not there any more, what is.
    Replace {
        /// Where.
        key: Key,
        /// What was read.
        read: Arc<[u8]>,
        /// The session as it is now.
        value: Arc<[u8]>,
        /// Until then, milliseconds since 1970.
        until_ms: u64,
    },
    /// Takes it away.
    End(Key),
}

impl Ask {
    /// What it is about.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::Read(key) | Self::Changed(key, _) | Self::End(key) => key,
            Self::Begin { key, .. } | Self::Replace { key, .. } => key,
        }
    }

    /// Asks it.
    ///
    /// # Errors
    /// The store gives no answer: nothing is known then.
    pub async fn of(self, store: Arc<dyn Store>) -> Stored {
        match self {
            Self::Read(key) => read(&*store, key).await,
            Self::Changed(key, known) => {
                let began = tokio::time::Instant::now();
                loop {
                    let there = read(&*store, key).await?;
                    if there.as_deref().is_none_or(|text| sha256(text) != known) || began.elapsed() >= WAIT {
                        return Ok(there);
                    }
                    tokio::time::sleep(LOOK).await;
                }
            }
            Self::Begin { key, value, until_ms, before } => {
                store.put(key, value.to_vec(), until_ms).await?;
                if let Some(before) = before {
                    // One that stays ends by itself; nobody has its handle in this browser any more.
                    let _ = store.delete(before).await;
                }
                Ok(Some(value))
            }
            Self::Replace { key, read: expected, value, until_ms } => {
                match store.replace(key, expected.to_vec(), value.to_vec(), until_ms).await? {
                    true => Ok(Some(value)),
                    false => read(&*store, key).await,
                }
            }
            Self::End(key) => store.delete(key).await.map(|_| None),
        }
    }
}

async fn read(store: &dyn Store, key: Key) -> Stored {
    Ok(store.get(key).await?.map(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

    const FAR: u64 = 1 << 52;

    fn key(byte: u8) -> Key {
        Handle::new([byte; HANDLE]).key("staff")
    }

    #[test]
    fn a_handle_is_read_as_it_was_written_and_nothing_else_is_one() {
        let handle = Handle::new([7; HANDLE]);
        let text = handle.text();
        assert_eq!(text.len(), 43);
        assert_eq!(Handle::read(text.as_bytes()), Some(handle.clone()));
        let short = text.strip_suffix('c').unwrap();
        for bad in ["", "A", short, &format!("{text}A"), &format!("{text}="), &text.replace('B', "+"), "\u{e9}"] {
            assert_eq!(Handle::read(bad.as_bytes()), None, "{bad}");
        }
        // 43 characters have two bits more than 32 bytes: another spelling is no handle.
        assert!(Handle::read(format!("{short}d").as_bytes()).is_none());
        assert!(handle.key("staff") != handle.key("other"));
        assert_eq!(format!("{handle:?}"), "Handle");
    }

    #[tokio::test]
    async fn what_was_ended_does_not_come_back_and_what_changed_is_seen() {
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let ask = |ask: Ask| ask.of(Arc::clone(&store));
        let text = |text: &str| -> Arc<[u8]> { text.as_bytes().into() };
        let (old, new) = (key(1), key(2));
        let begin = |key, value, before| Ask::Begin { key, value, until_ms: FAR, before };
        assert_eq!(ask(begin(old, text("a"), None)).await, Ok(Some(text("a"))));
        assert_eq!(ask(begin(new, text("b"), Some(old))).await, Ok(Some(text("b"))));
        assert_eq!(ask(Ask::Read(old)).await, Ok(None));
        let replace = |read, value| Ask::Replace { key: new, read, value, until_ms: FAR };
        assert_eq!(ask(replace(text("b"), text("c"))).await, Ok(Some(text("c"))));
        // Somebody else was quicker: theirs stays.
        assert_eq!(ask(replace(text("b"), text("d"))).await, Ok(Some(text("c"))));
        assert_eq!(ask(Ask::Changed(new, sha256(b"b"))).await, Ok(Some(text("c"))));
        assert_eq!(ask(Ask::End(new)).await, Ok(None));
        assert_eq!(ask(replace(text("c"), text("e"))).await, Ok(None));
        assert_eq!(ask(Ask::Read(new)).await, Ok(None));
        assert_eq!(ask(Ask::Changed(new, sha256(b"c"))).await, Ok(None));
    }

    #[tokio::test]
    async fn a_change_is_waited_for() {
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        store.put(key(1), b"a".to_vec(), FAR).await.unwrap();
        let waiting = tokio::spawn(Ask::Changed(key(1), sha256(b"a")).of(Arc::clone(&store)));
        tokio::task::yield_now().await;
        store.put(key(1), b"b".to_vec(), FAR).await.unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(Some(b"b".as_slice().into())));
    }

    #[test]
    fn a_refresh_is_one_turn_for_each_access() {
        let session = |access_s, failed_s| Session { access_s, failed_s, ..Session::default() };
        let first = turn(&key(1), &session(Some((1, 5)), None), 0);
        assert_eq!(first, turn(&key(1), &session(Some((2, 5)), None), 0));
        assert_eq!(first.until_ms, REFRESH_MS);
        for other in [
            turn(&key(2), &session(Some((1, 5)), None), 0),
            turn(&key(1), &session(Some((1, 6)), None), 0),
            turn(&key(1), &session(Some((1, 5)), Some(4)), 0),
        ] {
            assert!(other.key != first.key);
        }
    }
}
