//! Attributes of the caller: declared claims, and what is known of the device.

use super::Truth;
use super::sets::texts;
use crate::exchange::{Exchange, Now};
use crate::ir;
use crate::principal::{ClaimValue, Principal};
use crate::reason::Reason;

/// How far ahead of our clock the time of a check may be, seconds.
const AHEAD_S: i64 = 60;

/// A declared claim and what it has to be.
#[derive(Debug)]
pub(super) struct ClaimRule {
    name: Box<str>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    AnyOf(Box<[Box<str>]>),
    NoneOf(Box<[Box<str>]>),
    HasAny(Box<[Box<str>]>),
    HasAll(Box<[Box<str>]>),
    HasNone(Box<[Box<str>]>),
    Is(bool),
    Numbers(Box<[i64]>),
    Range(i64, i64),
}

impl ClaimRule {
    pub(super) fn build(spec: &ir::ClaimRule) -> Result<Self, String> {
        let what = &spec.name;
        let test = match &spec.test {
            ir::ClaimTest::AnyOf(values) => Test::AnyOf(texts(values, what)?),
            ir::ClaimTest::NoneOf(values) => Test::NoneOf(texts(values, what)?),
            ir::ClaimTest::HasAny(values) => Test::HasAny(texts(values, what)?),
            ir::ClaimTest::HasAll(values) => Test::HasAll(texts(values, what)?),
            ir::ClaimTest::HasNone(values) => Test::HasNone(texts(values, what)?),
            ir::ClaimTest::Is(wanted) => Test::Is(*wanted),
            ir::ClaimTest::Numbers(values) if values.is_empty() => return Err(format!("`{what}` is an empty list")),
            ir::ClaimTest::Numbers(values) => Test::Numbers(values.as_slice().into()),
            ir::ClaimTest::Range(range) => {
                let (least, most) = (range.at_least.unwrap_or(i64::MIN), range.at_most.unwrap_or(i64::MAX));
                if least > most || (range.at_least.is_none() && range.at_most.is_none()) {
                    return Err(format!("the range of `{what}` holds no number, or every number"));
                }
                Test::Range(least, most)
            }
        };
        Ok(Self { name: what.as_str().into(), test })
    }

    /// Of the claim.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// An absent claim, and one of another type, leave it open.
    pub(super) fn judge(&self, principal: &Principal, exchange: &Exchange) -> Truth {
        needs(exchange, principal, &self.name);
        let holds = match (principal.claim(&self.name), &self.test) {
            (Some(ClaimValue::String(value)), Test::AnyOf(values)) => values.contains(value),
            (Some(ClaimValue::String(value)), Test::NoneOf(values)) => !values.contains(value),
            (Some(ClaimValue::StringList(list)), Test::HasAny(values)) => values.iter().any(|value| list.contains(value)),
            (Some(ClaimValue::StringList(list)), Test::HasAll(values)) => values.iter().all(|value| list.contains(value)),
            (Some(ClaimValue::StringList(list)), Test::HasNone(values)) => !values.iter().any(|value| list.contains(value)),
            (Some(ClaimValue::Bool(value)), Test::Is(wanted)) => value == wanted,
            (Some(ClaimValue::Int(value)), Test::Numbers(values)) => values.contains(value),
            (Some(ClaimValue::Int(value)), Test::Range(least, most)) => (least..=most).contains(&value),
            _ => return Truth::Open(Reason::AttributeMismatch),
        };
        Truth::of(holds, Reason::AttributeMismatch)
    }
}

/// Notes it where a record lacks the claim.
fn needs(exchange: &Exchange, principal: &Principal, claim: &str) {
    if let Some(recorded) = &exchange.recorded {
        recorded.claim(&principal.provider, claim);
    }
}

/// What is known of the device.
#[derive(Debug)]
pub(super) struct Device {
    posture: Box<[Box<str>]>,
    age_s: Option<i64>,
    certificate: bool,
}

/// What the claims of a device begin with.
pub(super) const DEVICE: &str = "device_";
/// The claim in which a provider names the posture of the device.
pub(super) const POSTURE: &str = "device_posture";
/// The claim that says when it was checked, seconds since 1970.
pub(super) const CHECKED: &str = "device_checked";

impl Device {
    pub(super) fn build(spec: &ir::DeviceRule) -> Result<Self, String> {
        if spec.posture.is_empty() && spec.age_ms.is_none() && !spec.certificate {
            return Err("`device` asks for nothing; name `posture`, `age` or `certificate`".to_owned());
        }
        let posture = if spec.posture.is_empty() { Box::default() } else { texts(&spec.posture, "device.posture")? };
        let age_s = spec.age_ms.map(|ms| i64::try_from(ms.div_euclid(1000)).unwrap_or(i64::MAX));
        Ok(Self { posture, age_s, certificate: spec.certificate })
    }

    pub(super) fn judge(&self, principal: &Principal, exchange: &Exchange, now: Now) -> Truth {
        let reason = Reason::DeviceNotAllowed;
        if !self.posture.is_empty() {
            needs(exchange, principal, POSTURE);
        }
        if self.age_s.is_some() {
            needs(exchange, principal, CHECKED);
        }
        let posture = || match (self.posture.is_empty(), principal.claim(POSTURE)) {
            (true, _) => Truth::Holds,
            (false, Some(ClaimValue::String(value))) => Truth::of(self.posture.contains(value), reason),
            (false, _) => Truth::Open(reason),
        };
        let age = || match (self.age_s, principal.claim(CHECKED)) {
            (None, _) => Truth::Holds,
            (Some(most), Some(ClaimValue::Int(checked))) => {
                let now_s = i64::try_from(now.unix_ms / 1000).unwrap_or(i64::MAX);
                let age = now_s.saturating_sub(*checked);
                // A check in the future was not made by this clock: nothing follows from it.
                if age < -AHEAD_S { Truth::Open(reason) } else { Truth::of(age <= most, reason) }
            }
            (Some(_), _) => Truth::Open(reason),
        };
        let certificate = || Truth::of(!self.certificate || exchange.connection.client_certificate.is_some(), reason);
        posture().and(age).and(certificate)
    }
}
