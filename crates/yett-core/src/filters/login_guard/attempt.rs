//! One attempt on its way: whose it is, and what is known of it.

use std::net::IpAddr;

use super::LoginGuard;
use super::book::Key;
use super::credentials::Credentials;
use super::logins::Place;
use super::score::Score;
use crate::exchange::{Exchange, Method};
use crate::filters::limit_table::mix;

/// One attempt on its way.
#[derive(Debug)]
pub struct Attempt {
    pub(super) keys: Keys,
    pub(super) account: u64,
    /// Whether the account has succeeded from this address before.
    pub(super) known: bool,
    /// What it added to the accounts of its address.
    pub(super) first: f32,
    /// Its account, and all that are spelled alike.
    pub(super) alike: u64,
    pub(super) new: New,
    /// Why it was answered so.
    pub score: Score,
    /// What was done about it: one of [`ANSWERS`](super::ANSWERS), or `passed` until it is known.
    pub answer: &'static str,
    /// What came of it: one of [`ANSWERS`](super::ANSWERS).
    pub outcome: Option<&'static str>,
    /// Of its kind of client, for the log.
    pub fingerprint: u64,
    pub(super) place: Option<Place>,
    pub(super) refused: bool,
    /// Whether its method only asks: an answer to it is no success.
    pub(super) asks: bool,
}

impl Attempt {
    /// The account's hash, for the log: the same for the same account until the gateway is started again.
    #[must_use]
    pub fn account(&self) -> u64 {
        mix(self.account)
    }
}

/// Whether the method only asks for a page.
pub(super) fn only_asks(exchange: &Exchange) -> bool {
    matches!(exchange.request.method, Method::Get | Method::Head | Method::Options)
}

/// To whom of those that others are judged by its account was new.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct New {
    pub(super) kind: bool,
    pub(super) password: bool,
    pub(super) asn: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub(super) address: Key,
    pub(super) pair: Key,
    /// Where the success of the pair is counted: that of all spellings.
    pub(super) alike: Key,
    pub(super) account: Key,
    pub(super) kind: Key,
    pub(super) password: Option<Key>,
    pub(super) asn: Option<Key>,
}

impl LoginGuard {
    /// The mark of an address from which somebody has got in.
    pub(super) fn place(&self, client: IpAddr) -> u64 {
        mix(self.key(b"address", self.hash.address(client)).own)
    }

    pub(super) fn key(&self, kind: &[u8; 7], value: u64) -> Key {
        let others = self.hash.parts(&[kind, &self.scope.to_le_bytes()]);
        Key { own: mix(others ^ mix(value)), others }
    }

    pub(super) fn keys(&self, exchange: &Exchange, credentials: Credentials, fingerprint: u64) -> Keys {
        let address = self.hash.address(exchange.client);
        let pair = |account: u64| self.key(b"pair   ", mix(address).rotate_left(21) ^ account);
        let asn = exchange.geo.and_then(|geo| geo.asn.known());
        Keys {
            address: self.key(b"address", address),
            pair: pair(credentials.account),
            alike: pair(credentials.alike),
            account: self.key(b"account", credentials.account),
            kind: self.key(b"client ", fingerprint),
            password: credentials.password.map(|password| self.key(b"passwd ", password)),
            asn: asn.map(|asn| self.key(b"asn    ", asn.into())),
        }
    }
}
