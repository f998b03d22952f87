//! Reading decision records: a line is whole and makes sense, or it is damaged; nothing of it is guessed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use serde_json::value::RawValue;

use super::VERSION;

/// A text of a line, copied only where it holds escapes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Str<'a>(pub Cow<'a, str>);

impl std::ops::Deref for Str<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Str<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// A list in a line as it stands there, checked to be JSON and not read yet.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a>(pub &'a str);

impl Default for Part<'_> {
    fn default() -> Self {
        Self("[]")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Part<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(deserializer).map(|raw| Self(raw.get()))
    }
}

/// Whether a request was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the word of its name")]
pub enum Decided {
    Allow,
    Deny,
}

/// What the request presented to prove who is calling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// Its provider vouched.
    Verified,
    /// There was none.
    None,
    /// There was one, and it did not count.
    Refused,
    /// Nobody asked for one, and there may have been one.
    Ignored,
}

/// Whether a request opens a WebSocket connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// It does not ask for one.
    None,
    /// It asks, where nobody looked at how.
    Asked,
    /// On a route for these, which took it.
    Opened,
}

type Values<'a> = BTreeMap<Str<'a>, Vec<Option<Str<'a>>>>;

/// One decision.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "'de: 'a"))]
#[expect(missing_docs, reason = "documented in docs/replay.md")]
pub struct Line<'a> {
    pub v: u32,
    pub time: Str<'a>,
    pub revision: Str<'a>,
    pub key: Str<'a>,
    #[serde(default)]
    pub request_id: Option<Str<'a>>,
    pub listener: Str<'a>,
    #[serde(default)]
    pub origin: Option<Str<'a>>,
    pub client: Str<'a>,
    pub tls: bool,
    pub https: bool,
    #[serde(default)]
    pub server_name: Option<Str<'a>>,
    #[serde(default)]
    pub ja4: Option<Str<'a>>,
    #[serde(default)]
    pub websocket: Option<Opening>,
    pub method: Str<'a>,
    pub host: Str<'a>,
    #[serde(default)]
    pub path: Option<Str<'a>>,
    #[serde(default)]
    pub size: Option<u64>,
    #[serde(default)]
    pub route: Option<Str<'a>>,
    pub decision: Decided,
    #[serde(default)]
    pub ended: Option<Str<'a>>,
    #[serde(default)]
    pub reason: Option<Str<'a>>,
    #[serde(default)]
    pub rule: Option<Str<'a>>,
    pub credential: Credential,
    pub places: Str<'a>,
    #[serde(default)]
    pub accepts: Option<Str<'a>>,
    #[serde(default)]
    pub binding: Option<Str<'a>>,
    #[serde(default)]
    pub external: Option<Str<'a>>,
    #[serde(default)]
    pub certificate: Option<Certificate<'a>>,
    #[serde(default)]
    pub principals: Part<'a>,
    #[serde(default)]
    pub headers: Values<'a>,
    #[serde(default)]
    pub query: Values<'a>,
    #[serde(default)]
    pub body: BTreeMap<Str<'a>, Value>,
}

/// A client's certificate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "'de: 'a"))]
#[expect(missing_docs, reason = "documented in docs/replay.md")]
pub struct Certificate<'a> {
    pub trust: Option<Str<'a>>,
    pub subject: Str<'a>,
    pub serial: Str<'a>,
    pub fingerprint: Str<'a>,
    pub spiffe: Option<Str<'a>>,
    pub expires_ms: u64,
}

/// A verified caller.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "'de: 'a"))]
#[expect(missing_docs, reason = "documented in docs/replay.md")]
pub struct Vouched<'a> {
    pub provider: Str<'a>,
    pub trust: Option<Str<'a>>,
    pub entry: Str<'a>,
    pub method: Str<'a>,
    pub kind: Str<'a>,
    pub issuer: Str<'a>,
    pub subject: Str<'a>,
    pub client: Option<Str<'a>>,
    pub tenant: Option<Str<'a>>,
    pub partner: Option<Str<'a>>,
    pub scopes: Vec<Str<'a>>,
    pub roles: Vec<Str<'a>>,
    pub assurance: Option<Str<'a>>,
    pub authenticated_s: Option<u64>,
    pub issued_ms: Option<u64>,
    pub expires_ms: Option<u64>,
    pub claims: BTreeMap<Str<'a>, (Str<'a>, Claim<'a>)>,
}

/// The value of a declared claim.
#[derive(Debug, Deserialize)]
#[serde(untagged, bound(deserialize = "'de: 'a"))]
#[expect(missing_docs, reason = "each is the JSON type of its name")]
pub enum Claim<'a> {
    Bool(bool),
    Int(i64),
    Text(Str<'a>),
    Texts(Vec<Str<'a>>),
    Absent(()),
}

impl<'a> Line<'a> {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        // A list of the right length would be read by the order of its items.
        if !text.trim_ascii_start().starts_with('{') {
            return Err("it is no JSON object".to_owned());
        }
        let line: Self = serde_json::from_str(text).map_err(|error| said(&error))?;
        if line.v != VERSION {
            return Err(format!("it is of version {}; this build reads {VERSION}", line.v));
        }
        Ok(line)
    }

    /// Its callers, the first one first.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn callers(&self) -> Result<Vec<Vouched<'a>>, String> {
        serde_json::from_str(self.principals.0).map_err(|error| format!("{} of `principals`", said(&error)))
    }
}

/// Without the line number, which is always 1 here.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (what, _) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
    if error.is_eof() { "it ends too early".to_owned() } else { format!("{what}, at character {}", error.column()) }
}

/// Milliseconds since 1970 of `2026-11-28T12:00:00.000Z`.
#[must_use]
pub fn milliseconds(time: &str) -> Option<u64> {
    let bytes: &[u8; 24] = time.as_bytes().try_into().ok()?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
    if !marks.iter().all(|(at, mark)| bytes.get(*at) == Some(mark)) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        bytes.get(range)?.iter().try_fold(0_u64, |all, digit| digit.is_ascii_digit().then(|| all * 10 + u64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second, milli) = (number(11..13)?, number(14..16)?, number(17..19)?, number(20..23)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since 0000-03-01 (proleptic Gregorian; years that begin in March).
    let shifted = if month <= 2 { year.checked_sub(1)? } else { year };
    let month = (month + 9) % 12;
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + (month * 153 + 2) / 5 + day - 1;
    Some(((days.checked_sub(719_468)? * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + milli)
}

#[cfg(test)]
mod tests {
    use super::{Line, milliseconds};

    #[test]
    fn times() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_795_478_399_999, "2026-11-23T23:59:59.999Z"),
        ] {
            assert_eq!(milliseconds(text), Some(ms));
        }
        for text in ["", "2026-11-23", "2026-13-23T23:59:59.999Z", "2026-11-23T23:59:59.999+", "2026-11-23 23:59:59.999Z"] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_record_says_why() {
        for (text, why) in [
            (&b"{\"v\":1"[..], "it ends too early"),
            (b"\xff", "it is not UTF-8"),
            (b"{\"status\":200}", "unknown field `status`"),
            (b"[]", "it is no JSON object"),
            (b"", "it is no JSON object"),
        ] {
            let error = Line::read(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn callers_that_make_no_sense_say_why() {
        let line = |principals: &str| {
            format!(
                r#"{{"v":{},"time":"","revision":"","key":"","listener":"","client":"","tls":false,"https":false,"method":"",
                "host":"","decision":"allow","credential":"none","places":""{principals}}}"#,
                super::VERSION
            )
        };
        assert!(Line::read(line("").as_bytes()).unwrap().callers().unwrap().is_empty());
        for (principals, why) in [
            ("null", "invalid type: null"),
            ("{}", "invalid type: map"),
            ("[{}]", "missing field `provider`"),
            (r#"[{"token":"x"}]"#, "unknown field `token`"),
        ] {
            let text = line(&format!(r#","principals":{principals}"#));
            let error = Line::read(text.as_bytes()).unwrap().callers().unwrap_err();
            assert!(error.contains(why) && error.ends_with("of `principals`"), "{error}");
        }
        for (principals, why) in [("[{", "ends too early"), ("[1 2]", "expected `,` or `]`"), ("[01]", "invalid number")] {
            let text = line(&format!(r#","principals":{principals}"#));
            let error = Line::read(text.trim_end_matches('}').as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
