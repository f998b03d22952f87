//! Where an address is, and whose network it belongs to: databases in MaxMind's format, read anew when they change.
//!
//! A database is taken apart when it is read: what is left are sorted beginnings of ranges and a number for each. So a request
//! decodes nothing, and a file that makes no sense is refused before anybody asks it.

mod database;
mod table;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

pub use database::{Database, How, Kind};
use serde_json::{Map, Value, json};

use crate::ir;
use crate::shared::Shared;
use crate::watched::{self, Watched};

/// Files of databases.
pub type Registry = watched::Registry<Database>;

/// Two letters: a country (ISO 3166-1) or a continent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(pub [u8; 2]);

impl Code {
    /// Of two capital letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 2] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    /// Its letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What is known of an address in one respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fact<T> {
    /// No database is asked for it, or the one that is says nothing of the address.
    #[default]
    Unknown,
    /// This.
    Known(T),
    /// The database was never read.
    Unavailable,
}

impl<T: Copy> Fact<T> {
    /// What it is, where that is known.
    #[must_use]
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown | Self::Unavailable => None,
        }
    }

    fn but<U>(self, then: impl FnOnce(T) -> Fact<U>) -> Fact<U> {
        match self {
            Self::Known(value) => then(value),
            Self::Unknown => Fact::Unknown,
            Self::Unavailable => Fact::Unavailable,
        }
    }
}

/// What databases say of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Located {
    /// Its country, ISO 3166-1 alpha-2.
    pub country: Fact<Code>,
    /// Its continent, two letters.
    pub continent: Fact<Code>,
    /// The autonomous system that announces it.
    pub asn: Fact<u32>,
    /// Whether it belongs to who rents out machines.
    pub hosting: Fact<bool>,
}

impl Located {
    /// For people; absent what is not known.
    #[must_use]
    pub fn shown(&self) -> Value {
        let mut shown = Map::new();
        let mut one = |name: &str, unavailable: bool, value: Option<Value>| match value {
            Some(value) => drop(shown.insert(name.to_owned(), value)),
            None if unavailable => drop(shown.insert(name.to_owned(), json!("unavailable"))),
            None => {}
        };
        one("country", self.country == Fact::Unavailable, self.country.known().map(|code| json!(code.as_str())));
        one("continent", self.continent == Fact::Unavailable, self.continent.known().map(|code| json!(code.as_str())));
        one("asn", self.asn == Fact::Unavailable, self.asn.known().map(|asn| json!(asn)));
        one("hosting", self.hosting == Fact::Unavailable, self.hosting.known().map(|yes| json!(yes)));
        Value::Object(shown)
    }
}

/// The databases of a configuration.
#[derive(Debug)]
pub struct Geo {
    country: Option<Arc<Watched<Database>>>,
    asn: Option<Arc<Watched<Database>>>,
    anonymous: Option<Arc<Watched<Database>>>,
    /// Systems of who rents out machines, sorted.
    hosting: Box<[u32]>,
    /// Whether a database that was never read is one that knows nothing.
    empty: bool,
}

impl Geo {
    /// Reads databases that no snapshot has already, and has them watched from then on.
    #[must_use]
    pub fn build(spec: &ir::Geo, shared: &Arc<Shared>) -> Self {
        let open = |path: &Option<String>, kind| {
            let how = How { kind, max_age_s: spec.max_age_s };
            path.as_ref().map(|path| shared.geo.file(path, how, shared))
        };
        let mut hosting = spec.hosting_asns.clone();
        hosting.sort_unstable();
        Self {
            country: open(&spec.country, Kind::Country),
            asn: open(&spec.asn, Kind::Asn),
            anonymous: open(&spec.anonymous, Kind::Anonymous),
            hosting: hosting.into(),
            empty: spec.unavailable == ir::GeoUnavailable::Unknown,
        }
    }

    /// What is known of an address; nothing of one that belongs to nobody's public network.
    #[must_use]
    pub fn locate(&self, address: IpAddr) -> Located {
        if is_private(address) {
            return Located::default();
        }
        let country = self.ask(self.country.as_deref(), address);
        let asn = self.ask(self.asn.as_deref(), address);
        let anonymous = self.ask(self.anonymous.as_deref(), address);
        let code = |from: usize| {
            country.but(move |value| match database::letters(value, from) {
                Some(code) => Fact::Known(code),
                None => Fact::Unknown,
            })
        };
        Located { country: code(0), continent: code(2), asn, hosting: self.rented(asn, anonymous) }
    }

    fn ask(&self, database: Option<&Watched<Database>>, address: IpAddr) -> Fact<u32> {
        let Some(database) = database else { return Fact::Unknown };
        database.ask(|database| match database.map(|database| database.find(address)) {
            Some(0) => Fact::Unknown,
            Some(value) => Fact::Known(value),
            None if self.empty => Fact::Unknown,
            None => Fact::Unavailable,
        })
    }

    fn rented(&self, asn: Fact<u32>, anonymous: Fact<u32>) -> Fact<bool> {
        let listed = match asn {
            Fact::Known(asn) if self.hosting.binary_search(&asn).is_ok() => return Fact::Known(true),
            _ if self.hosting.is_empty() => None,
            Fact::Known(_) => Some(Fact::Known(false)),
            Fact::Unknown => Some(Fact::Unknown),
            Fact::Unavailable => Some(Fact::Unavailable),
        };
        // Such a database lists who is anonymous: who is not in it is not.
        let known = self.anonymous.as_ref().map(|_| match anonymous {
            Fact::Known(value) => Fact::Known(value & database::HOSTING != 0),
            Fact::Unknown => Fact::Known(false),
            Fact::Unavailable => Fact::Unavailable,
        });
        match (known, listed) {
            (Some(Fact::Known(true)), _) => Fact::Known(true),
            (Some(Fact::Unavailable), _) | (_, Some(Fact::Unavailable)) => Fact::Unavailable,
            (Some(Fact::Known(false)), _) | (None, Some(Fact::Known(false))) => Fact::Known(false),
            _ => Fact::Unknown,
        }
    }
}

/// Whether an address is of no public network: private, shared, loopback, link-local or none at all (RFC 6890).
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => {
            let [first, second, ..] = four.octets();
            first == 0
                || four.is_private()
                || four.is_loopback()
                || four.is_link_local()
                || four.is_broadcast()
                || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(six) => six.is_loopback() || six.is_unspecified() || six.is_unique_local() || six.is_unicast_link_local(),
    }
}
