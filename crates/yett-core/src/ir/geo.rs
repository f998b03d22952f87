//! Databases that say where addresses are, and filters that ask them.

use serde::Deserialize;

use super::Callers;

/// Databases in MaxMind's format.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geo {
    /// Absolute path of one with countries.
    #[serde(default)]
    pub country: Option<String>,
    /// Absolute path of one with autonomous systems.
    #[serde(default)]
    pub asn: Option<String>,
    /// Absolute path of one with hosting providers.
    #[serde(default)]
    pub anonymous: Option<String>,
    /// Autonomous systems of who rents out machines.
    #[serde(default)]
    pub hosting_asns: Vec<u32>,
    /// Age of a database beyond which it is reported, seconds.
    pub max_age_s: u64,
    /// What a database is that was never read.
    #[serde(default)]
    pub unavailable: GeoUnavailable,
}

impl Geo {
    /// What of an address its databases know, as conditions call it.
    #[must_use]
    pub fn readable(&self) -> Vec<String> {
        let country = self.country.iter().flat_map(|_| ["country", "continent"]);
        country.chain(self.asn.iter().map(|_| "asn")).map(str::to_owned).collect()
    }
}

/// What a database is that was never read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeoUnavailable {
    /// Whoever it would decide about is refused.
    #[default]
    Refuse,
    /// One that knows nothing: the filter says what becomes of whom nothing is known.
    Unknown,
}

/// Who may come in by place.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeoFilter {
    /// Where it stands: `listener public`, `group billing`, `route read-invoice`.
    pub source: String,
    /// Countries.
    #[serde(default)]
    pub countries: Option<Choice<String>>,
    /// Autonomous systems.
    #[serde(default)]
    pub asns: Option<Choice<u32>>,
    /// Whether who rents out machines is kept out.
    #[serde(default)]
    pub hosting: bool,
    /// Whether somebody of whom that is not known may come in.
    #[serde(default)]
    pub unknown: bool,
    /// Whether an address of no public network may come in.
    #[serde(default)]
    pub private: bool,
    /// Address lists whose members it does not concern.
    #[serde(default)]
    pub except_addresses: Vec<String>,
    /// Callers whom it does not concern.
    #[serde(default)]
    pub except_callers: Option<Callers>,
}

/// Those that may, or those that may not.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Choice<T> {
    /// Only these.
    Allow(Vec<T>),
    /// All but these.
    Deny(Vec<T>),
}
