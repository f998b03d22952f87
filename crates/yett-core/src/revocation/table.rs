//! What is known, by what it is about.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{LOGOUT, Revocation, What};
use crate::principal::{AuthenticationMethod, Principal};

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Record {
    /// Something is revoked.
    Revoke(Revocation),
    /// A revocation does not count any more; kept as long as it would have counted.
    Undo {
        /// Its id.
        id: Box<str>,
        /// Milliseconds since 1970.
        until_ms: u64,
    },
}

impl Record {
    fn id(&self) -> &str {
        match self {
            Self::Revoke(one) => &one.id,
            Self::Undo { id, .. } => id,
        }
    }

    fn is_logout(&self) -> bool {
        matches!(self, Self::Revoke(one) if *one.by == *LOGOUT)
    }

    pub(super) fn until_ms(&self) -> u64 {
        match self {
            Self::Revoke(one) => one.until_ms,
            Self::Undo { until_ms, .. } => *until_ms,
        }
    }
}

/// Kinds that are looked for, each with names of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Token,
    Digest,
    Subject,
    Session,
    Client,
    Key,
    Issuer,
    Provider,
}

/// Revocations by what they are about, and by their id.
#[derive(Debug)]
pub(super) struct Table {
    room: usize,
    /// By kind and name; issuers are compared there, so that "any issuer" needs no second look-up.
    by_name: HashMap<Kind, HashMap<Box<str>, Vec<Arc<Revocation>>>>,
    by_id: HashMap<Box<str>, Record>,
    ends: BTreeSet<(u64, Box<str>)>,
    /// How many of them logouts made.
    logouts: usize,
    /// Until then something is not known that should be, milliseconds since 1970: another instance had more than there is
    /// room for here, or wrote what cannot be read.
    incomplete_until: u64,
}

impl What {
    /// Every name in it.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let (_, name, limit) = self.parts();
        std::iter::once(name).chain(limit)
    }

    /// Kind, name, and the issuer or provider that it is limited to.
    fn parts(&self) -> (Kind, &str, Option<&str>) {
        match self {
            Self::Token { issuer, id } => (Kind::Token, id, issuer.as_deref()),
            Self::TokenDigest { sha256 } => (Kind::Digest, sha256, None),
            Self::Subject { issuer, id } => (Kind::Subject, id, issuer.as_deref()),
            Self::Session { issuer, id } => (Kind::Session, id, issuer.as_deref()),
            Self::Client { issuer, id } => (Kind::Client, id, issuer.as_deref()),
            Self::Key { provider, id } => (Kind::Key, id, provider.as_deref()),
            Self::Issuer { id } => (Kind::Issuer, id, None),
            Self::Provider { id } => (Kind::Provider, id, None),
        }
    }
}

impl Table {
    pub(super) fn new(room: u32) -> Self {
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        Self { room, by_name: HashMap::new(), by_id: HashMap::new(), ends: BTreeSet::new(), logouts: 0, incomplete_until: 0 }
    }

    pub(super) fn set_room(&mut self, room: u32) {
        self.room = usize::try_from(room).unwrap_or(usize::MAX);
    }

    pub(super) fn room(&self) -> usize {
        self.room
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is room for one more. Whoever can log in can log out, again and again: logouts take half of it at most,
    /// so that operators and identity providers find room.
    pub(super) fn has_room(&self, record: &Record) -> bool {
        self.len() < self.room && (!record.is_logout() || self.logouts < self.room.div_ceil(2))
    }

    pub(super) fn is_incomplete(&self, unix_ms: u64) -> bool {
        self.incomplete_until > unix_ms
    }

    pub(super) fn unreadable(&mut self, until_ms: u64) {
        self.incomplete_until = self.incomplete_until.max(until_ms);
    }

    pub(super) fn knows(&self, record: &Record) -> bool {
        matches!((self.by_id.get(record.id()), record), (Some(Record::Undo { .. }), _) | (Some(_), Record::Revoke(_)))
    }

    /// Whether something that counts is about this caller.
    pub(super) fn revokes(&self, who: &Principal, unix_ms: u64) -> bool {
        let digests = self.by_name.get(&Kind::Digest).is_some_and(|all| !all.is_empty());
        let digest = who.credential.as_ref().filter(|_| digests).map(|digest| hex(digest));
        let key = who.token_id.as_deref().filter(|_| who.method == AuthenticationMethod::ApiKey);
        let names = [
            (Kind::Token, who.token_id.as_deref()),
            (Kind::Digest, digest.as_deref()),
            (Kind::Subject, Some(&*who.subject)),
            (Kind::Session, who.session.as_deref()),
            (Kind::Client, who.client.as_deref()),
            (Kind::Key, key),
            (Kind::Issuer, Some(&*who.issuer)),
            (Kind::Provider, Some(&*who.provider)),
        ];
        names.into_iter().any(|(kind, name)| {
            let found = name.and_then(|name| self.by_name.get(&kind)?.get(name));
            found.is_some_and(|all| all.iter().any(|one| is_about(one, kind, who, unix_ms)))
        })
    }

    /// Takes a line of the log; whether it is new.
    pub(super) fn take(&mut self, record: Record, unix_ms: u64) -> bool {
        self.expire(unix_ms);
        if record.until_ms() <= unix_ms {
            return false;
        }
        match self.by_id.get(record.id()) {
            // An undone revocation stays undone, in whatever order they are heard.
            Some(Record::Undo { .. }) => return false,
            Some(Record::Revoke(_)) if matches!(record, Record::Revoke(_)) => return false,
            Some(Record::Revoke(_)) => self.remove(record.id()),
            None if self.by_id.len() >= self.room => {
                self.incomplete_until = self.incomplete_until.max(record.until_ms());
                return false;
            }
            None => {}
        }
        let id: Box<str> = record.id().into();
        self.ends.insert((record.until_ms(), id.clone()));
        self.logouts = self.logouts.saturating_add(usize::from(record.is_logout()));
        if let Record::Revoke(one) = &record {
            let (kind, name, _) = one.what.parts();
            let names = self.by_name.entry(kind).or_default();
            names.entry(name.into()).or_default().push(Arc::new(one.clone()));
        }
        self.by_id.insert(id, record);
        true
    }

    fn remove(&mut self, id: &str) {
        let Some(record) = self.by_id.remove(id) else { return };
        self.ends.remove(&(record.until_ms(), id.into()));
        self.logouts = self.logouts.saturating_sub(usize::from(record.is_logout()));
        let Record::Revoke(one) = record else { return };
        let (kind, name, _) = one.what.parts();
        if let Some(names) = self.by_name.get_mut(&kind)
            && let Some(all) = names.get_mut(name)
        {
            all.retain(|other| *other.id != *id);
            if all.is_empty() {
                names.remove(name);
            }
        }
    }

    /// Forgets what has passed.
    pub(super) fn expire(&mut self, unix_ms: u64) {
        while let Some((_, id)) = self.ends.first().filter(|(until, _)| *until <= unix_ms).cloned() {
            self.remove(&id);
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<&Record> {
        self.by_id.get(id)
    }

    pub(super) fn list(&self, unix_ms: u64) -> Vec<Revocation> {
        let all = self.by_id.values().filter_map(|record| match record {
            Record::Revoke(one) if one.until_ms > unix_ms => Some(one.clone()),
            _ => None,
        });
        let mut all: Vec<_> = all.collect();
        all.sort_by(|one, other| (one.made_ms, &one.id).cmp(&(other.made_ms, &other.id)));
        all
    }

    pub(super) fn records(&self) -> Vec<Record> {
        self.by_id.values().cloned().collect()
    }
}

fn is_about(one: &Revocation, kind: Kind, who: &Principal, unix_ms: u64) -> bool {
    let (_, _, limited) = one.what.parts();
    let from = if kind == Kind::Key { &who.provider } else { &who.issuer };
    // An introspection endpoint need not say who issued a token, and nothing else does: it may be the one that is meant.
    let unknown = from.is_empty() && who.method == AuthenticationMethod::Introspection;
    one.until_ms > unix_ms
        && limited.is_none_or(|limited| unknown || *limited == **from)
        // What does not say when it was issued may have been issued before.
        && one.before_ms.is_none_or(|before| who.issued_ms.is_none_or(|issued| issued < before))
}

/// Hexadecimal, lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
