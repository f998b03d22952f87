//! One access log line. Every byte that a client or a service chose is escaped: nothing that it sends can start a
//! line, close a string or move a terminal's cursor.

use std::borrow::Cow;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::body::Place;
use crate::exchange::{Exchange, Now};
use crate::principal::Principal;
use crate::words;

use super::{PassthroughRecord, Record};

/// `,"name":` in one copy: a name of the code is known with what stands around it.
macro_rules! key {
    ($out:expr, $name:literal) => {
        $out.extend_from_slice(concat!(",\"", $name, "\":").as_bytes())
    };
}

macro_rules! text {
    ($out:expr, $name:literal, $value:expr) => {{
        $out.extend_from_slice(concat!(",\"", $name, "\":\"").as_bytes());
        escape($out, $value);
        $out.push(b'"');
    }};
}

macro_rules! some {
    ($out:expr, $name:literal, $value:expr) => {{
        let value: &[u8] = $value;
        if !value.is_empty() {
            text!($out, $name, value);
        }
    }};
}

macro_rules! number {
    ($out:expr, $name:literal, $value:expr) => {{
        key!($out, $name);
        $out.extend_from_slice(itoa::Buffer::new().format::<u64>($value).as_bytes());
    }};
}

macro_rules! flag {
    ($out:expr, $name:literal, $value:expr) => {
        $out.extend_from_slice(if $value {
            concat!(",\"", $name, "\":true").as_bytes()
        } else {
            concat!(",\"", $name, "\":false").as_bytes()
        })
    };
}

/// Fields in the order of the documentation; absent ones are left out.
pub(super) fn write(out: &mut Vec<u8>, clock: &mut Clock, record: &Record<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    clock.write(out, record.ended.unix_ms);
    out.push(b'"');
    request(out, record);
    outcome(out, record);
    upstream(out, record);
    text!(out, "revision", record.revision.as_bytes().get(..12).unwrap_or(record.revision.as_bytes()));
    flag!(out, "tls", record.connection.tls);
    if let Some(ja4) = &record.connection.ja4 {
        text!(out, "ja4", ja4);
    }
    if record.truncated {
        flag!(out, "truncated", true);
    }
    out.extend_from_slice(b"}\n");
}

/// A connection that was passed on; it has no status, but an end.
pub(super) fn passthrough(out: &mut Vec<u8>, clock: &mut Clock, record: &PassthroughRecord<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    clock.write(out, record.ended.unix_ms);
    out.push(b'"');
    text!(out, "listener", record.connection.listener.as_bytes());
    key!(out, "client");
    let _ = std::io::Write::write_fmt(out, format_args!("\"{}\"", record.connection.peer.ip().to_canonical()));
    flag!(out, "passthrough", true);
    for (name, value) in [("host", record.host), ("service", record.service), ("endpoint", record.endpoint)] {
        some(out, name, value.unwrap_or_default().as_bytes());
    }
    text!(out, "end", record.end.as_bytes());
    number!(out, "bytes_in", record.bytes_in);
    number!(out, "bytes_out", record.bytes_out);
    number!(out, "duration_us", duration_ns(record.started, record.ended) / 1000);
    text!(out, "revision", record.revision.as_bytes().get(..12).unwrap_or(record.revision.as_bytes()));
    out.extend_from_slice(b"}\n");
}

fn request(out: &mut Vec<u8>, record: &Record<'_>) {
    if let Some(exchange) = record.exchange {
        some!(out, "request_id", &exchange.request_id);
        // Zeros until there is one.
        if let Some(trace) = exchange.traceparent.get(3..35).filter(|trace| trace.first() != Some(&0)) {
            text!(out, "trace_id", trace);
        }
    }
    text!(out, "listener", record.connection.listener.as_bytes());
    key!(out, "client");
    out.push(b'"');
    let client = record.exchange.map_or_else(|| record.connection.peer.ip().to_canonical(), |exchange| exchange.client);
    address(out, client);
    out.push(b'"');
    if let Some(geo) = record.exchange.and_then(|exchange| exchange.geo) {
        if let Some(country) = geo.country.known() {
            text!(out, "country", country.as_str().as_bytes());
        }
        if let Some(asn) = geo.asn.known() {
            number!(out, "asn", u64::from(asn));
        }
    }
    if let Some(exchange) = record.exchange {
        text!(out, "method", exchange.request.method.as_str().as_bytes());
        some!(out, "host", exchange.host.as_bytes());
        some!(out, "path", &without_credentials(exchange.path.raw()));
    }
    if let Some(route) = record.route {
        text!(out, "route", route.as_bytes());
    }
}

static SIGNED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"eyJ"));
static OURS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"yett_"));

/// A path in which segments that look like a signed token or one of our API keys are not shown.
pub(crate) fn without_credentials(path: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'y', path).is_none() || (SIGNED.find(path).is_none() && OURS.find(path).is_none()) {
        return Cow::Borrowed(path);
    }
    let token = |part: &[u8]| part.starts_with(b"eyJ") && part.len() > 40 && memchr::memchr_iter(b'.', part).count() >= 2;
    let key = |part: &[u8]| part.starts_with(b"yett_") && part.len() > 40;
    let parts: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .map(|part| if token(part) || key(part) { b"[redacted]".as_slice() } else { part })
        .collect();
    Cow::Owned(parts.join(&b'/'))
}

fn outcome(out: &mut Vec<u8>, record: &Record<'_>) {
    number!(out, "status", u64::from(record.status));
    if let Some(refusal) = record.refusal {
        text!(out, "reason", refusal.reason.code().as_bytes());
        text!(out, "fault", refusal.reason.fault().as_str().as_bytes());
        if let Some(rule) = &refusal.rule {
            text!(out, "rule", rule.as_bytes());
        }
    }
    if let Some(exchange) = record.exchange {
        if let Some(claim) = exchange.repeat.as_ref().and_then(|repeat| repeat.claim()) {
            number!(out, "repeat", claim.number.into());
        }
        shadow(out, exchange);
        attack(out, exchange);
        login(out, exchange);
        bot(out, exchange);
    }
    if let Some(principal) = record.exchange.and_then(|exchange| exchange.principal.as_ref()) {
        // One that nobody else has is gone after this.
        if Rc::strong_count(principal) > 1 {
            out.extend_from_slice(principal.shown.get_or_write(|out| caller(out, principal)));
        } else {
            caller(out, principal);
        }
    }
    if let Some(certificate) = &record.connection.client_certificate {
        text!(out, "client_certificate", certificate.fingerprint.as_bytes());
        text!(out, "client_certificate_serial", certificate.serial.as_bytes());
        text!(out, "client_certificate_subject", certificate.subject.as_bytes());
    }
    number!(out, "bytes_in", record.bytes_in);
    number!(out, "bytes_out", record.bytes_out);
    number!(out, "duration_us", duration_ns(record.started, record.ended) / 1000);
}

/// Who called. Written once for a caller that is remembered.
fn caller(out: &mut Vec<u8>, principal: &Principal) {
    text!(out, "provider", principal.provider.as_bytes());
    text!(out, "subject", principal.subject.as_bytes());
    text!(out, "kind", principal.kind.as_str().as_bytes());
    text!(out, "authentication", principal.method.as_str().as_bytes());
    for (name, value) in [
        ("client_id", &principal.client),
        ("tenant", &principal.tenant),
        ("partner", &principal.partner),
        ("token_id", &principal.token_id),
        ("session", &principal.session),
    ] {
        if let Some(value) = value {
            text(out, name, value.as_bytes());
        }
    }
}

/// What rules in shadow would have refused.
fn shadow(out: &mut Vec<u8>, exchange: &Exchange) {
    let mut begun = false;
    for verdict in &exchange.shadow {
        let Some(reason) = verdict.outcome.reason() else { continue };
        if begun {
            out.push(b',');
        } else {
            key!(out, "shadow");
            out.push(b'[');
            begun = true;
        }
        out.extend_from_slice(b"{\"outcome\":\"");
        out.extend_from_slice(verdict.outcome.as_str().as_bytes());
        out.push(b'"');
        text!(out, "rule", verdict.record.source.as_bytes());
        text!(out, "reason", reason.code().as_bytes());
        out.push(b'}');
    }
    if begun {
        out.push(b']');
    }
}

/// What looked like an attack: where, and of which class, never what it was.
fn attack(out: &mut Vec<u8>, exchange: &Exchange) {
    let Some(suspicion) = &exchange.attack else { return };
    key!(out, "attack");
    out.push(b'[');
    for (index, found) in suspicion.found.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",{" } else { b"{" });
        out.extend_from_slice(b"\"class\":\"");
        out.extend_from_slice(found.finding.class.code().as_bytes());
        out.push(b'"');
        text!(out, "rule", found.finding.rule.as_bytes());
        number!(out, "score", u64::from(found.finding.score));
        match &found.place {
            Place::Body(pointer) => {
                text!(out, "in", b"body");
                text!(out, "pointer", pointer.as_bytes());
            }
            Place::Parameter(kind, name) => {
                text!(out, "in", kind.as_bytes());
                some!(out, "parameter", name.as_bytes());
            }
        }
        out.push(b'}');
    }
    out.push(b']');
    some!(out, "attack_undecided", suspicion.undecided.unwrap_or_default().as_bytes());
}

/// An attempt to log in: how suspicious it was, and what came of it. Of account and client hashes only.
fn login(out: &mut Vec<u8>, exchange: &Exchange) {
    let Some(attempt) = &exchange.attempt else { return };
    key!(out, "login");
    out.extend_from_slice(b"{\"answer\":\"");
    out.extend_from_slice(attempt.answer.as_bytes());
    out.push(b'"');
    if let Some(outcome) = attempt.outcome {
        text!(out, "outcome", outcome.as_bytes());
    }
    number!(out, "score", u64::from(attempt.score.total()));
    for (part, points) in attempt.score.parts() {
        number(out, part.as_str(), u64::from(points));
    }
    let _ = std::io::Write::write_fmt(
        out,
        format_args!(",\"account_hash\":\"{:016x}\",\"client_hash\":\"{:016x}\"}}", attempt.account(), attempt.fingerprint),
    );
}

/// What a request was taken for, and every signal with its points.
fn bot(out: &mut Vec<u8>, exchange: &Exchange) {
    let Some(sighting) = &exchange.bot else { return };
    key!(out, "bot");
    out.extend_from_slice(b"{\"kind\":\"");
    out.extend_from_slice(sighting.kind.as_str().as_bytes());
    out.push(b'"');
    text!(out, "outcome", sighting.outcome.as_str().as_bytes());
    some!(out, "crawler", sighting.crawler.as_deref().unwrap_or_default().as_bytes());
    number!(out, "score", u64::from(sighting.score));
    for signal in sighting.signals.iter() {
        number(out, signal.code(), u64::from(signal.points()));
    }
    out.push(b'}');
}

fn upstream(out: &mut Vec<u8>, record: &Record<'_>) {
    let Some(upstream) = &record.upstream else { return };
    text!(out, "service", upstream.service.as_bytes());
    some!(out, "endpoint", upstream.endpoint.as_bytes());
    number!(out, "attempts", u64::from(upstream.attempts));
    number!(out, "upstream_us", upstream.first_byte_ns / 1000);
    flag!(out, "reused", upstream.reused);
}

pub(super) fn duration_ns(started: Now, ended: Now) -> u64 {
    ended.monotonic_ns.saturating_sub(started.monotonic_ns)
}

/// An address as text, without allocation.
pub(crate) fn address(out: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        let _ = std::io::Write::write_fmt(out, format_args!("{address}"));
        return;
    };
    let [a, b, c, d] = address.octets();
    out.extend_from_slice(itoa::Buffer::new().format(a).as_bytes());
    for octet in [b, c, d] {
        out.push(b'.');
        out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
    }
}

// Inlined: the names are known, and so are the lengths that are copied.
#[inline(always)]
pub(crate) fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

#[inline(always)]
pub(crate) fn text(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    key(out, name);
    out.push(b'"');
    escape(out, value);
    out.push(b'"');
}

#[inline(always)]
pub(crate) fn some(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !value.is_empty() {
        text(out, name, value);
    }
}

#[inline(always)]
pub(crate) fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    key(out, name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[inline(always)]
pub(crate) fn flag(out: &mut Vec<u8>, name: &str, value: bool) {
    key(out, name);
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// JSON string content: quotes, backslashes and controls (C0, DEL, C1), line separators and bidirectional controls
/// as `\uXXXX`; bytes that are no UTF-8 as U+FFFD.
pub(super) fn escape(out: &mut Vec<u8>, value: &[u8]) {
    let plain = |word: u64| {
        let special = words::any_is(word, b'"') | words::any_is(word, b'\\') | words::any_is(word, 0x7f);
        !(words::any_high(word) | words::any_below(word, 0x20) | special)
    };
    let plain_byte = |byte: u8| (0x20..0x7f).contains(&byte) & (byte != b'"') & (byte != b'\\');
    if words::all(value, b'a', plain, plain_byte) {
        out.extend_from_slice(value);
        return;
    }
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    unicode(out, c)
                }
                c if c.is_control() => unicode(out, c),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn unicode(out: &mut Vec<u8>, c: char) {
    let _ = std::io::Write::write_fmt(out, format_args!("\\u{:04x}", u32::from(c)));
}

/// RFC 3339 times; the second's text is kept, since most lines share it.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    second: Option<u64>,
    text: Vec<u8>,
}

impl Clock {
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, unix_ms: u64) {
        let second = unix_ms / 1000;
        if self.second != Some(second) {
            self.second = Some(second);
            self.text.clear();
            let (year, month, day) = civil(second / 86_400);
            let (hour, minute, rest) = (second / 3600 % 24, second / 60 % 60, second % 60);
            let _ = std::io::Write::write_fmt(
                &mut self.text,
                format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{rest:02}."),
            );
        }
        out.extend_from_slice(&self.text);
        let millis = unix_ms % 1000;
        for digit in [millis / 100, millis / 10 % 10, millis % 10] {
            out.push(b'0' + u8::try_from(digit).unwrap_or(0));
        }
        out.push(b'Z');
    }
}

/// Year, month and day of a day since 1970 (proleptic Gregorian; eras of 400 years that begin in March).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times() {
        let mut clock = Clock::default();
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_795_478_399_999, "2026-11-23T23:59:59.999Z"),
            (1_795_478_400_001, "2026-11-24T00:00:00.001Z"),
        ] {
            let mut out = Vec::new();
            clock.write(&mut out, ms);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_stays_one_json_string(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut out = vec![b'"'];
            escape(&mut out, &value);
            out.push(b'"');
            let text = String::from_utf8(out).unwrap();
            prop_assert!(!text.chars().any(char::is_control));
            let back: String = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back, String::from_utf8_lossy(&value).into_owned());
        }
    }

    #[test]
    fn terminals_are_left_alone() {
        let mut out = Vec::new();
        escape(&mut out, "a\x1b[31m\u{9b}0m\u{202e}\r\n".as_bytes());
        assert_eq!(String::from_utf8(out).unwrap(), "a\\u001b[31m\\u009b0m\\u202e\\u000d\\u000a");
    }
}
