//! Header fields in one arena: names in lower case, no allocation per field, reused from request to request.
//!
//! How many fields and bytes there may be is the caller's to bound (`limits` of the listener). Bytes 0x80 to 0xff
//! (obs-text, RFC 9110 section 5.5) are refused in names and passed on in values, since cookies and user agents carry
//! them; no value with such a byte is ever decided on, because what the gateway reads it compares with ASCII.

use crate::words;

/// Names that code asks for, recognised once while parsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the header of its name")]
pub enum Known {
    Other,
    Accept,
    Authorization,
    Connection,
    ContentLength,
    ContentType,
    Cookie,
    Date,
    Expect,
    Forwarded,
    Host,
    KeepAlive,
    Location,
    Origin,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    RetryAfter,
    Server,
    SetCookie,
    Te,
    Traceparent,
    Tracestate,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    Via,
    WwwAuthenticate,
    XForwardedFor,
    XForwardedHost,
    XForwardedProto,
    XForwardedPort,
    XForwardedPrefix,
    XForwardedServer,
    XRealIp,
    XPoweredBy,
    XRequestId,
    YettIdentity,
}

// One bit each in `Headers::seen`.
const _: () = assert!((Known::YettIdentity as u8) < 64);

impl Known {
    const fn bit(self) -> u64 {
        1 << (self as u8)
    }

    /// Recognises a lower case name.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        // by length first: at most three comparisons, and none for most names
        match name.len() {
            2 if name == b"te" => Self::Te,
            3 if name == b"via" => Self::Via,
            4 => match name {
                b"host" => Self::Host,
                b"date" => Self::Date,
                _ => Self::Other,
            },
            6 => match name {
                b"accept" => Self::Accept,
                b"cookie" => Self::Cookie,
                b"expect" => Self::Expect,
                b"origin" => Self::Origin,
                b"server" => Self::Server,
                _ => Self::Other,
            },
            7 => match name {
                b"trailer" => Self::Trailer,
                b"upgrade" => Self::Upgrade,
                _ => Self::Other,
            },
            8 if name == b"location" => Self::Location,
            9 => match name {
                b"forwarded" => Self::Forwarded,
                b"x-real-ip" => Self::XRealIp,
                _ => Self::Other,
            },
            10 => match name {
                b"connection" => Self::Connection,
                b"keep-alive" => Self::KeepAlive,
                b"set-cookie" => Self::SetCookie,
                b"tracestate" => Self::Tracestate,
                b"user-agent" => Self::UserAgent,
                _ => Self::Other,
            },
            11 => match name {
                b"retry-after" => Self::RetryAfter,
                b"traceparent" => Self::Traceparent,
                _ => Self::Other,
            },
            12 => match name {
                b"content-type" => Self::ContentType,
                b"x-powered-by" => Self::XPoweredBy,
                b"x-request-id" => Self::XRequestId,
                _ => Self::Other,
            },
            13 => match name {
                b"authorization" => Self::Authorization,
                b"yett-identity" => Self::YettIdentity,
                _ => Self::Other,
            },
            14 if name == b"content-length" => Self::ContentLength,
            _ => Self::of_long(name),
        }
    }

    fn of_long(name: &[u8]) -> Self {
        match name {
            b"x-forwarded-for" => Self::XForwardedFor,
            b"www-authenticate" => Self::WwwAuthenticate,
            b"proxy-connection" => Self::ProxyConnection,
            b"x-forwarded-host" => Self::XForwardedHost,
            b"x-forwarded-port" => Self::XForwardedPort,
            b"transfer-encoding" => Self::TransferEncoding,
            b"x-forwarded-proto" => Self::XForwardedProto,
            b"proxy-authenticate" => Self::ProxyAuthenticate,
            b"x-forwarded-prefix" => Self::XForwardedPrefix,
            b"x-forwarded-server" => Self::XForwardedServer,
            b"proxy-authorization" => Self::ProxyAuthorization,
            _ => Self::Other,
        }
    }
}

/// Why a field was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldError {
    /// The name is not a token (RFC 9110 section 5.6.2).
    Name,
    /// The value has a control character (RFC 9110 section 5.5), or blanks around it.
    Value,
}

/// Header fields in order.
#[derive(Debug, Default, Clone)]
pub struct Headers {
    arena: Vec<u8>,
    fields: Vec<Field>,
    /// Which names were pushed since it was emptied, a bit each: most that are asked for were not.
    seen: u64,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    known: Known,
    name: Span,
    value: Span,
}

#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of(self, arena: &[u8]) -> &[u8] {
        arena.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// For each byte its lower case form where it may stand in a token, else 0.
const TOKEN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0u8;
    loop {
        let ok = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        if ok {
            #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
            {
                table[byte as usize] = byte.to_ascii_lowercase();
            }
        }
        if byte == 255 {
            break;
        }
        byte += 1;
    }
    table
};

fn token_byte(byte: u8) -> u8 {
    TOKEN.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Whether this is a token (RFC 9110 section 5.6.2).
#[must_use]
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| token_byte(byte) != 0)
}

/// Whether this is a token without upper case letters, as HTTP/2 has names (RFC 9113 section 8.2).
#[must_use]
pub fn is_lower_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| token_byte(byte) == byte && byte != 0)
}

/// Whether this may be a field value: no control character but HTAB, no blanks around it.
#[must_use]
pub fn is_value(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let printable = |word: u64| !words::any_below(word, 0x20) && !words::any_is(word, 0x7f);
    let clean = words::all(value, b'a', printable, |byte| (byte >= 0x20) & (byte != 0x7f))
        || value.iter().all(|&byte| byte >= 0x20 && byte != 0x7f || byte == b'\t');
    clean && !blank(value.first()) && !blank(value.last())
}

/// A byte of a name with case and the three separators folded, as CGI-like services see it.
#[must_use]
pub fn fold(byte: u8) -> u8 {
    match byte {
        b'_' | b'.' => b'-',
        other => other.to_ascii_lowercase(),
    }
}

/// Whether two names are the same to a service that folds case, `-`, `_` and `.`.
#[must_use]
pub fn folds_to(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(&l, &r)| fold(l) == fold(r))
}

/// Appends a token in lower case; says whether it is one.
fn push_lower(arena: &mut Vec<u8>, name: &[u8]) -> bool {
    let mut token = true;
    let mut byte_by_byte = |arena: &mut Vec<u8>, bytes: &[u8]| {
        for &byte in bytes {
            let lower = token_byte(byte);
            token &= lower != 0;
            arena.push(lower);
        }
    };
    arena.reserve(name.len());
    let (words, rest) = name.as_chunks::<8>();
    for word in words {
        match words::lower_name(u64::from_le_bytes(*word)) {
            Some(lower) => arena.extend_from_slice(&lower.to_le_bytes()),
            None => byte_by_byte(arena, word),
        }
    }
    byte_by_byte(arena, rest);
    token
}

impl Headers {
    fn add(&mut self, field: Field) {
        self.seen |= field.known.bit();
        self.fields.push(field);
    }

    /// The fields among which one of that name may be.
    fn among(&self, known: Known) -> &[Field] {
        if self.seen & known.bit() == 0 { &[] } else { &self.fields }
    }

    /// Appends a field. The name is lower-cased; name and value are checked.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        if !is_value(value) {
            return Err(FieldError::Value);
        }
        let start = self.arena.len();
        if name.is_empty() || !push_lower(&mut self.arena, name) {
            self.arena.truncate(start);
            return Err(FieldError::Name);
        }
        let middle = self.arena.len();
        self.arena.extend_from_slice(value);
        let (Ok(start), Ok(middle), Ok(end)) = (u32::try_from(start), u32::try_from(middle), u32::try_from(self.arena.len()))
        else {
            self.arena.truncate(start);
            return Err(FieldError::Value);
        };
        let name = Span { start, end: middle };
        let known = Known::of(name.of(&self.arena));
        self.add(Field { known, name, value: Span { start: middle, end } });
        Ok(())
    }

    /// Appends a field whose name, [`Known`] as this, and value were checked when they were first seen.
    pub fn push_known(&mut self, known: Known, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        debug_assert!(is_lower_token(name) && is_value(value) && Known::of(name) == known);
        let start = self.arena.len();
        let (middle, end) = (start.saturating_add(name.len()), start.saturating_add(name.len()).saturating_add(value.len()));
        let (Ok(start), Ok(middle), Ok(end)) = (u32::try_from(start), u32::try_from(middle), u32::try_from(end)) else {
            return Err(FieldError::Value);
        };
        self.arena.extend_from_slice(name);
        self.arena.extend_from_slice(value);
        self.add(Field { known, name: Span { start, end: middle }, value: Span { start: middle, end } });
        Ok(())
    }

    /// Appends a field whose name, [`Known`] as this and in lower case, stands in the code; `write` appends its value, which
    /// is checked.
    pub fn push_written(
        &mut self,
        known: Known,
        name: &'static [u8],
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), FieldError> {
        debug_assert!(is_lower_token(name) && Known::of(name) == known);
        let start = self.arena.len();
        self.arena.extend_from_slice(name);
        let middle = self.arena.len();
        write(&mut self.arena);
        let spans = (u32::try_from(start), u32::try_from(middle), u32::try_from(self.arena.len()));
        let (Ok(from), Ok(middle), Ok(end), true) = (spans.0, spans.1, spans.2, self.arena.get(middle..).is_some_and(is_value))
        else {
            self.arena.truncate(start);
            return Err(FieldError::Value);
        };
        self.add(Field { known, name: Span { start: from, end: middle }, value: Span { start: middle, end } });
        Ok(())
    }

    /// Replaces all fields of a name that stands in the code, [`Known`] as this and in lower case, by one.
    pub fn set_own(&mut self, known: Known, name: &'static [u8], value: &[u8]) -> Result<(), FieldError> {
        self.set_written(known, name, |out| out.extend_from_slice(value))
    }

    /// As [`Self::set_own`]; `write` appends the value.
    pub fn set_written(&mut self, known: Known, name: &'static [u8], write: impl FnOnce(&mut Vec<u8>)) -> Result<(), FieldError> {
        let first = self.seen & known.bit() == 0;
        self.push_written(known, name, write)?;
        if !first {
            self.keep_last();
        }
        Ok(())
    }

    /// The value of the first field of that name.
    #[must_use]
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        self.among(known).iter().find(|field| field.known == known).map(|field| field.value.of(&self.arena))
    }

    /// The values of all fields of that name.
    pub fn get_all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.among(known).iter().filter(move |field| field.known == known).map(|field| field.value.of(&self.arena))
    }

    /// How many fields of that name.
    #[must_use]
    pub fn count(&self, known: Known) -> usize {
        self.among(known).iter().filter(|field| field.known == known).count()
    }

    /// The values of all fields of that (lower case) name.
    pub fn named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.iter().filter(move |(_, other, _)| *other == name).map(|(_, _, value)| value)
    }

    /// Removes all fields of that name.
    pub fn remove(&mut self, known: Known) {
        if !self.among(known).is_empty() {
            self.fields.retain(|field| field.known != known);
        }
    }

    /// Keeps the fields for which `keep(known, name, value)` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(Known, &[u8], &[u8]) -> bool) {
        let arena = &self.arena;
        self.fields.retain(|field| keep(field.known, field.name.of(arena), field.value.of(arena)));
    }

    /// Replaces all fields of that name by one. Case does not count.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        self.push(name, value)?;
        self.keep_last();
        Ok(())
    }

    /// Removes all other fields of the last one's name.
    fn keep_last(&mut self) {
        let Some(last) = self.fields.pop() else { return };
        let arena = &self.arena;
        let same = |field: &Field| match last.known {
            Known::Other => field.name.of(arena) == last.name.of(arena),
            known => field.known == known,
        };
        self.fields.retain(|field| !same(field));
        self.fields.push(last);
    }

    /// Appends to the value of each field of that name what `more` says. The parts have to be fit for a value.
    pub fn append_to<const N: usize>(&mut self, known: Known, mut more: impl FnMut(&[u8]) -> [&'static str; N]) {
        if self.among(known).is_empty() {
            return;
        }
        for field in self.fields.iter_mut().filter(|field| field.known == known) {
            let parts = more(field.value.of(&self.arena));
            if parts.iter().all(|part| part.is_empty()) {
                continue;
            }
            let (start, old) = (self.arena.len(), field.value);
            self.arena.extend_from_within(old.start as usize..old.end as usize);
            for part in parts {
                self.arena.extend_from_slice(part.as_bytes());
            }
            // Where the arena is full (4 GiB) the field stays as it was.
            if let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(self.arena.len())) {
                field.value = Span { start, end };
            }
        }
    }

    /// All fields in order: known, name, value.
    pub fn iter(&self) -> impl Iterator<Item = (Known, &[u8], &[u8])> + Clone {
        self.fields.iter().map(|field| (field.known, field.name.of(&self.arena), field.value.of(&self.arena)))
    }

    /// How many fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Bytes of all names and values since it was emptied, those of removed fields among them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Empties, keeping the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.fields.clear();
        self.seen = 0;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        headers
    }

    #[test]
    fn names_are_lower_cased_and_known() {
        let headers = headers(&[("Host", "a"), ("X-Request-ID", "1"), ("TE", "trailers"), ("X-Other", "")]);
        assert_eq!(headers.get(Known::Host), Some(&b"a"[..]));
        assert_eq!(headers.get(Known::XRequestId), Some(&b"1"[..]));
        assert_eq!(headers.get(Known::Te), Some(&b"trailers"[..]));
        assert_eq!(headers.named(b"x-other").count(), 1);
        assert_eq!(headers.get(Known::Cookie), None);
    }

    #[test]
    fn every_known_name_is_recognised() {
        for name in [
            "accept",
            "authorization",
            "connection",
            "content-length",
            "content-type",
            "cookie",
            "date",
            "expect",
            "forwarded",
            "host",
            "keep-alive",
            "location",
            "origin",
            "proxy-authenticate",
            "proxy-authorization",
            "proxy-connection",
            "retry-after",
            "server",
            "set-cookie",
            "te",
            "traceparent",
            "tracestate",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "user-agent",
            "via",
            "www-authenticate",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-forwarded-server",
            "x-real-ip",
            "x-powered-by",
            "x-request-id",
        ] {
            let spelt: String = format!("{:?}", Known::of(name.as_bytes())).to_ascii_lowercase();
            assert_eq!(spelt, name.replace('-', ""));
        }
    }

    #[test]
    fn control_characters_and_blanks_are_refused() {
        let mut headers = Headers::default();
        for value in ["a\rb", "a\nb", "a\0b", "a\x7f", " a", "a ", "\ta", "\u{1b}[1m"] {
            assert_eq!(headers.push(b"x", value.as_bytes()), Err(FieldError::Value), "{value:?}");
        }
        for name in ["", "a b", "a:", "a\r", "é", "a\0", "(a)"] {
            assert_eq!(headers.push(name.as_bytes(), b"v"), Err(FieldError::Name), "{name:?}");
        }
        assert!(headers.is_empty());
        headers.push(b"x", "a\tb caf\u{e9}".as_bytes()).unwrap();
    }

    #[test]
    fn set_replaces_every_field_of_the_name() {
        let mut headers = headers(&[("A", "1"), ("b", "2"), ("a", "3")]);
        headers.set(b"A", b"9").unwrap();
        assert_eq!(headers.named(b"a").collect::<Vec<_>>(), [b"9"]);
        assert_eq!(headers.set(b"b", b"\n"), Err(FieldError::Value));
        assert_eq!(headers.named(b"b").collect::<Vec<_>>(), [b"2"]);
    }

    #[test]
    fn names_of_the_code_replace_as_others_do() {
        for (known, name) in [(Known::XRequestId, &b"x-request-id"[..]), (Known::Other, b"ratelimit")] {
            let spelt = String::from_utf8(name.to_ascii_uppercase()).unwrap();
            let mut headers = headers(&[(&spelt, "1"), ("b", "2"), (&spelt, "3")]);
            assert_eq!(headers.set_own(known, name, b"a\nb"), Err(FieldError::Value));
            assert_eq!(headers.set_own(known, name, b" a"), Err(FieldError::Value));
            assert_eq!(headers.named(name).collect::<Vec<_>>(), [b"1", b"3"]);
            headers.set_own(known, name, b"9").unwrap();
            assert_eq!(headers.named(name).collect::<Vec<_>>(), [b"9"]);
            headers.set_written(known, name, |out| out.extend_from_slice(b"10")).unwrap();
            assert_eq!(headers.iter().collect::<Vec<_>>(), [(Known::Other, &b"b"[..], &b"2"[..]), (known, name, b"10")]);
        }
    }

    #[test]
    fn long_names_in_any_spelling() {
        for (name, lower) in [
            ("X-Forwarded-Prefix", "x-forwarded-prefix"),
            ("ACCESS-CONTROL-Allow-Origin", "access-control-allow-origin"),
            ("x_under.Score~Name_2", "x_under.score~name_2"),
        ] {
            let headers = headers(&[(name, "v")]);
            assert_eq!(headers.iter().next().unwrap().1, lower.as_bytes());
        }
        for byte in (0..=u8::MAX).filter(|byte| token_byte(*byte) == 0) {
            for place in 0..20 {
                let mut name = *b"x-forwarded-prefix-1";
                name[place] = byte;
                assert_eq!(Headers::default().push(&name, b"v"), Err(FieldError::Name), "{byte} at {place}");
            }
        }
    }

    #[test]
    fn folding() {
        assert!(folds_to(b"X_User", b"x-user"));
        assert!(folds_to(b"x.user", b"x-user"));
        assert!(!folds_to(b"xuser", b"x-user"));
    }

    proptest! {
        #[test]
        fn what_is_pushed_is_read_back(fields in prop::collection::vec(("[A-Za-z0-9_.!-]{1,20}", "([!-~]([ -~]{0,20}[!-~])?)?"), 0..20)) {
            let mut headers = Headers::default();
            for (name, value) in &fields {
                headers.push(name.as_bytes(), value.as_bytes()).unwrap();
            }
            let read: Vec<_> = headers.iter().map(|(_, n, v)| (n.to_vec(), v.to_vec())).collect();
            let wanted: Vec<_> = fields.iter()
                .map(|(n, v)| (n.to_ascii_lowercase().into_bytes(), v.clone().into_bytes())).collect();
            prop_assert_eq!(read, wanted);
        }

        /// What is not looked for was never there.
        #[test]
        fn whatever_is_done_names_are_found(steps in prop::collection::vec((0..6_u8, 0..4_usize), 0..30)) {
            let names = [(Known::Cookie, &b"cookie"[..]), (Known::Te, b"te"), (Known::YettIdentity, b"yett-identity"), (Known::Other, b"x")];
            let mut headers = Headers::default();
            for (step, which) in steps {
                let (known, name) = names[which];
                match step {
                    0 | 1 => headers.push(name, b"v").unwrap(),
                    2 => headers.set_own(known, name, b"w").unwrap(),
                    3 => headers.remove(known),
                    4 => headers.retain(|other, _, _| other != known),
                    _ if which == 0 => headers.clear(),
                    _ => headers.append_to(known, |_| ["+"]),
                }
                for (known, _) in names {
                    let all: Vec<_> = headers.iter().filter(|(other, _, _)| *other == known).map(|(_, _, value)| value).collect();
                    prop_assert_eq!(headers.get(known), all.first().copied());
                    prop_assert_eq!(headers.count(known), all.len());
                    prop_assert_eq!(headers.get_all(known).collect::<Vec<_>>(), all);
                }
                prop_assert!(step != 2 || headers.named(name).collect::<Vec<_>>() == [b"w"]);
            }
        }

        #[test]
        fn no_accepted_value_breaks_a_line(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut headers = Headers::default();
            if headers.push(b"x", &value).is_ok() {
                prop_assert!(!value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
            }
        }
    }
}
