//! What a request costs once its answer has ended: by a field of the answer, its bytes, or the service's time.
//!
//! A request is let in for what it costs beforehand. The rest is owed: it is charged whether there is room or not, and
//! whoever owes waits longer.

use smallvec::SmallVec;

use crate::headers::{Headers, is_lower_token};
use crate::ir;

/// What the fields of an answer say, one for each field that costs are read from.
pub type Declared = SmallVec<[Said; 1]>;
/// What one request still owes.
pub type Owing = SmallVec<[Owed; 1]>;

/// What one field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// There is none.
    Nothing,
    /// It stands there more than once, or is no whole number.
    Nonsense,
    /// So many requests.
    Cost(u64),
}

/// A request that was let in, and whose cost is not known yet.
#[derive(Debug, Clone, Copy)]
pub struct Owed {
    /// Which limit of the route.
    pub(super) limit: u32,
    /// Whose bucket.
    pub(super) bucket: u64,
    /// Requests that were charged for it already.
    pub(super) charged: u64,
}

/// What is known of a request that has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// Whether a service was asked.
    pub asked: bool,
    /// What its answer says; nothing where there was none.
    pub declared: &'a [Said],
    /// Bytes of its body that were passed on.
    pub bytes: u64,
    /// Nanoseconds that it took.
    pub service_ns: u64,
}

/// A field of answers that costs are read from.
#[derive(Debug)]
pub(super) struct Field {
    name: Box<[u8]>,
    /// Whether clients see it.
    keep: bool,
}

/// All of them, of one route.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<Field>);

impl Fields {
    /// The place of a field.
    fn place(&mut self, name: &str, keep: bool) -> usize {
        if let Some(at) = self.0.iter().position(|field| *field.name == *name.as_bytes()) {
            if let Some(field) = self.0.get_mut(at) {
                field.keep |= keep;
            }
            return at;
        }
        self.0.push(Field { name: name.as_bytes().into(), keep });
        self.0.len().saturating_sub(1)
    }

    /// Reads them, and takes away what clients do not see.
    pub(super) fn read(&self, headers: &mut Headers) -> Declared {
        let said = self.0.iter().map(|field| said(headers, &field.name)).collect();
        if self.0.iter().any(|field| !field.keep) {
            headers.retain(|_, name, _| !self.0.iter().any(|field| !field.keep && *name == *field.name));
        }
        said
    }
}

fn said(headers: &Headers, name: &[u8]) -> Said {
    let mut values = headers.named(name);
    match (values.next(), values.next()) {
        (None, _) => Said::Nothing,
        (Some(value), None) if (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit) => {
            Said::Cost(value.iter().fold(0, |cost, digit| cost * 10 + u64::from(digit - b'0')))
        }
        _ => Said::Nonsense,
    }
}

/// How the cost is found.
#[derive(Debug)]
enum Measure {
    Field { at: usize, missing: u64 },
    Bytes(u64),
    Time { ns: u64 },
}

/// What is charged afterwards.
#[derive(Debug)]
pub(super) struct After {
    measure: Measure,
    most: u64,
}

impl After {
    /// Compiles one; its field is noted in `fields`.
    pub(super) fn build(spec: &ir::CostAfter, burst: u64, fields: &mut Fields) -> Result<Self, String> {
        let measure = match (&spec.header, spec.bytes, spec.time_ms) {
            (Some(name), None, None) if is_lower_token(name.as_bytes()) && spec.missing > 0 => {
                Measure::Field { at: fields.place(name, spec.keep), missing: spec.missing }
            }
            (None, Some(bytes), None) if bytes > 0 => Measure::Bytes(bytes),
            (None, None, Some(ms)) if ms > 0 => Measure::Time { ns: ms.saturating_mul(1_000_000) },
            _ => return Err("a cost after the answer has one of `header`, `bytes` and `time_ms`, above 0".to_owned()),
        };
        Ok(Self { measure, most: spec.most.unwrap_or(burst).max(1) })
    }

    /// Whether it asks for the service's time.
    pub(super) fn is_timed(&self) -> bool {
        matches!(self.measure, Measure::Time { .. })
    }

    /// In requests, beside those that were charged already.
    pub(super) fn rest(&self, ended: &Ended<'_>, charged: u64) -> u64 {
        let cost = match self.measure {
            _ if !ended.asked => 0,
            Measure::Field { at, missing } => match ended.declared.get(at) {
                None | Some(Said::Nothing) => missing,
                // What cannot be read may be anything.
                Some(Said::Nonsense) => self.most,
                Some(Said::Cost(cost)) => *cost,
            },
            Measure::Bytes(unit) => ended.bytes.div_ceil(unit),
            Measure::Time { ns } => ended.service_ns.div_ceil(ns),
        };
        cost.min(self.most).saturating_sub(charged)
    }
}

#[cfg(test)]
mod tests {
    use super::{After, Ended, Fields, Said};
    use crate::headers::tests::headers;
    use crate::ir::CostAfter;

    fn by_header(name: &str, keep: bool) -> CostAfter {
        CostAfter { header: Some(name.into()), missing: 3, keep, ..CostAfter::default() }
    }

    #[test]
    fn a_field_is_read_and_does_not_reach_the_client() {
        let mut fields = Fields::default();
        After::build(&by_header("x-cost", false), 10, &mut fields).unwrap();
        After::build(&by_header("x-kept", true), 10, &mut fields).unwrap();
        let mut answer = headers(&[("x-cost", "7"), ("x-kept", "9"), ("x-other", "1")]);
        assert_eq!(fields.read(&mut answer).as_slice(), [Said::Cost(7), Said::Cost(9)]);
        let left: Vec<_> = answer.iter().map(|(_, name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(left, ["x-kept", "x-other"]);
        for nonsense in ["", "-1", "+1", "1.5", "0x10", "1,2", "1 2", "\u{661}", "9999999999999999999", "NaN"] {
            assert_eq!(fields.read(&mut headers(&[("x-cost", nonsense)]))[0], Said::Nonsense, "{nonsense}");
        }
        assert_eq!(fields.read(&mut headers(&[("x-cost", "1"), ("x-cost", "1")]))[0], Said::Nonsense);
        assert_eq!(fields.read(&mut headers(&[]))[0], Said::Nothing);
        assert_eq!(fields.read(&mut headers(&[("x-cost", "007")]))[0], Said::Cost(7));
    }

    #[test]
    fn the_rest_is_what_it_cost_beyond_what_was_charged() {
        let mut fields = Fields::default();
        let after = After::build(&CostAfter { most: Some(50), ..by_header("x-cost", false) }, 10, &mut fields).unwrap();
        fn ended(declared: &[Said]) -> Ended<'_> {
            Ended { asked: true, declared, bytes: 1_025, service_ns: 2_000_001 }
        }
        for (said, charged, rest) in [
            (Said::Cost(7), 1, 6),
            (Said::Cost(7), 10, 0),
            (Said::Cost(u64::MAX), 1, 49),
            (Said::Cost(0), 1, 0),
            (Said::Nonsense, 1, 49),
            (Said::Nothing, 1, 2),
        ] {
            assert_eq!(after.rest(&ended(&[said]), charged), rest, "{said:?}");
        }
        assert_eq!(after.rest(&ended(&[]), 1), 2, "there was no answer");
        assert_eq!(after.rest(&Ended { asked: false, ..ended(&[]) }, 1), 0, "nobody was asked");
        let bytes = CostAfter { bytes: Some(1_024), ..CostAfter::default() };
        assert_eq!(After::build(&bytes, 10, &mut fields).unwrap().rest(&ended(&[]), 1), 1, "begun ones count");
        let time = CostAfter { time_ms: Some(1), ..CostAfter::default() };
        assert_eq!(After::build(&time, 10, &mut fields).unwrap().rest(&ended(&[]), 1), 2);
        assert_eq!(After::build(&time, 2, &mut fields).unwrap().rest(&ended(&[]), 1), 1, "the burst is the most");
    }

    #[test]
    fn nonsense_does_not_load() {
        let mut fields = Fields::default();
        let mut bad = |spec: CostAfter| After::build(&spec, 10, &mut fields).is_err();
        assert!(bad(CostAfter::default()));
        assert!(bad(CostAfter { bytes: Some(0), ..CostAfter::default() }));
        assert!(bad(CostAfter { time_ms: Some(0), ..CostAfter::default() }));
        assert!(bad(CostAfter { bytes: Some(1), time_ms: Some(1), ..CostAfter::default() }));
        assert!(bad(CostAfter { bytes: Some(1), ..by_header("x-cost", false) }));
        assert!(bad(CostAfter { missing: 0, ..by_header("x-cost", false) }));
        assert!(bad(by_header("X-Cost", false)));
    }
}
