//! One path: the form that router, policy, log and service all see.
//!
//! The raw bytes go to the service as they came. What policy sees are the segments, decoded exactly once. A path
//! for which two readers could disagree is refused (RFC 3986 section 6; DESIGN "One path").

use crate::ir::PathAllow;

/// A path in canonical form. Reused from request to request.
#[derive(Debug, Default, Clone)]
pub struct CanonicalPath {
    raw: Vec<u8>,
    /// All segments, decoded, one after the other.
    decoded: String,
    /// Where each segment ends in `decoded`.
    ends: Vec<u32>,
    used: PathUse,
}

/// Which exceptions a path makes use of; a route has to allow each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathUse {
    /// `%2f` inside a segment.
    pub encoded_slash: bool,
    /// `;`, as it is or encoded.
    pub semicolon: bool,
    /// `//`
    pub empty_segment: bool,
}

impl PathUse {
    /// Whether a route that allows `allowed` takes a path with these.
    #[must_use]
    pub fn is_allowed_by(self, allowed: &[PathAllow]) -> bool {
        (!self.encoded_slash || allowed.contains(&PathAllow::EncodedSlash))
            && (!self.semicolon || allowed.contains(&PathAllow::Semicolon))
            && (!self.empty_segment || allowed.contains(&PathAllow::EmptySegment))
    }

    /// Whether none is used.
    #[must_use]
    pub const fn is_plain(self) -> bool {
        !(self.encoded_slash || self.semicolon || self.empty_segment)
    }
}

/// The path is not canonical; it was not looked at further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotCanonical;

impl CanonicalPath {
    /// Parses the path part of a target (no query), reusing this path's memory. Notes the three exceptions.
    ///
    /// A trailing slash counts: `/a/` has the segments `a` and an empty one; `/` has one empty segment.
    ///
    /// # Errors
    /// [`NotCanonical`] for a path that does not start with `/`, is not ASCII, has an invalid escape, decodes to
    /// something other than UTF-8, holds `\`, a control character, a dot segment in any encoding, or `%25` before
    /// two hex digits that decode to a byte that is refused, however these digits are written.
    pub fn parse_into(&mut self, raw: &[u8]) -> Result<PathUse, NotCanonical> {
        self.clear();
        let Some((b'/', rest)) = raw.split_first() else { return Err(NotCanonical) };
        let mut used = PathUse::default();
        let mut bytes = std::mem::take(&mut self.decoded).into_bytes();
        let outcome = self.decode(rest, &mut bytes, &mut used);
        // The memory comes back whatever the outcome.
        match String::from_utf8(bytes) {
            Ok(text) => self.decoded = text,
            Err(_) => {
                self.clear();
                return Err(NotCanonical);
            }
        }
        if outcome.is_err() || !self.segments_are_whole() {
            self.clear();
            return Err(NotCanonical);
        }
        self.raw.extend_from_slice(raw);
        self.used = used;
        Ok(used)
    }

    fn decode(&mut self, rest: &[u8], out: &mut Vec<u8>, used: &mut PathUse) -> Result<(), NotCanonical> {
        let mut bytes = rest.iter().copied();
        let (mut start, mut percent) = (out.len(), false);
        while let Some(byte) = bytes.next() {
            match byte {
                b'/' => {
                    if out.len() == start {
                        used.empty_segment = true;
                    }
                    self.end_segment(out, start, percent)?;
                    start = out.len();
                }
                b'%' => {
                    let decoded = escape(bytes.next(), bytes.next()).ok_or(NotCanonical)?;
                    match decoded {
                        b'\\' => return Err(NotCanonical),
                        b if is_control(b) => return Err(NotCanonical),
                        b'/' => used.encoded_slash = true,
                        b';' => used.semicolon = true,
                        b'%' => percent = true,
                        _ => {}
                    }
                    out.push(decoded);
                }
                b';' => {
                    used.semicolon = true;
                    out.push(byte);
                }
                b'\\' | b'?' | b'#' => return Err(NotCanonical),
                0x21..=0x7e => out.push(byte),
                _ => return Err(NotCanonical),
            }
        }
        self.end_segment(out, start, percent)
    }

    /// `percent`: there is an encoded percent sign in it, or in one before.
    fn end_segment(&mut self, out: &[u8], start: usize, percent: bool) -> Result<(), NotCanonical> {
        let segment = out.get(start..).unwrap_or_default();
        // A second decoder must not find what the first one refused, however the digits that it reads were written.
        let hides = |three: &[u8]| match three {
            [b'%', high, low] => {
                escape(Some(*high), Some(*low)).is_some_and(|b| is_control(b) || matches!(b, b'\\' | b'/' | b'.' | b'%'))
            }
            _ => false,
        };
        if percent && segment.windows(3).any(hides) {
            return Err(NotCanonical);
        }
        // `..;x` is a dot segment for services that cut parameters, and `a/..` inside one that allows `%2f`.
        let dotted = |part: &[u8]| {
            let name = part.split(|b| *b == b';').next().unwrap_or_default();
            name == b"." || name == b".."
        };
        if segment.split(|b| *b == b'/').any(dotted) {
            return Err(NotCanonical);
        }
        self.ends.push(u32::try_from(out.len()).map_err(|_| NotCanonical)?);
        Ok(())
    }

    /// Whether no character of several bytes spans two segments: the whole was UTF-8, so each end has to be a boundary.
    fn segments_are_whole(&self) -> bool {
        self.ends.iter().all(|end| self.decoded.is_char_boundary(*end as usize))
    }

    /// As it came, and as it is forwarded.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The exceptions that it makes use of.
    #[must_use]
    pub const fn used(&self) -> PathUse {
        self.used
    }

    /// Segments, decoded once.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|index| self.segment(index).unwrap_or_default())
    }

    /// How many segments; at least one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether no path was parsed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One segment, decoded.
    #[must_use]
    pub fn segment(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.decoded.get(start as usize..end as usize)
    }

    /// Empties, keeping the memory.
    pub fn clear(&mut self) {
        self.raw.clear();
        self.decoded.clear();
        self.ends.clear();
        self.used = PathUse::default();
    }
}

const fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

fn escape(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high?)? << 4 | digit(low?)?)
}

/// The value of a query parameter or of a form: `%HH` decoded once and `+` as a blank; `None` where that is not UTF-8.
#[must_use]
pub fn decode_query(raw: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => escape(bytes.next(), bytes.next())?,
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// The decoded values of a query parameter; `None` for one that cannot be decoded.
pub fn query_values<'q>(query: &'q [u8], name: &'q str) -> impl Iterator<Item = Option<String>> + 'q {
    query.split(|b| *b == b'&').filter_map(move |pair| {
        let mut parts = pair.splitn(2, |b| *b == b'=');
        let key = decode_query(parts.next().unwrap_or_default())?;
        (key == name).then(|| decode_query(parts.next().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::{CanonicalPath, PathUse};
    use proptest::prelude::*;

    fn parse(raw: &str) -> Option<(Vec<String>, PathUse)> {
        let mut path = CanonicalPath::default();
        let used = path.parse_into(raw.as_bytes()).ok()?;
        Some((path.segments().map(str::to_owned).collect(), used))
    }

    #[test]
    fn segments_are_decoded_once() {
        let (segments, used) = parse("/a%62c/%C3%A9/x%20y/~%7e").unwrap();
        assert_eq!(segments, ["abc", "é", "x y", "~~"]);
        assert!(used.is_plain());
        assert_eq!(parse("/").unwrap().0, [""]);
        assert_eq!(parse("/a/").unwrap().0, ["a", ""]);
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for raw in [
            "",
            "a",
            "*",
            "/a\\b",
            "/%5c",
            "/%00",
            "/%1f",
            "/%7f",
            "/%0d%0a",
            "/.",
            "/..",
            "/a/../b",
            "/./a",
            "/%2e",
            "/%2E%2e/a",
            "/.%2e/a",
            "/a/%2e./b",
            "/%252e%252e/",
            "/%252f",
            "/%255c",
            "/%2500",
            "/%25250a",
            "/%25%32%65%25%32%65/",
            "/%25%32e",
            "/%252%66",
            "/a%25%35Cb",
            "/%25%31B",
            "/%",
            "/%g1",
            "/%f",
            "/%ff",
            "/é",
            "/a b",
            "/a?b",
            "/a#b",
            "/..;/a",
            "/..;x=1/a",
            "/.%3bx",
            "/%2f..%2f",
            "/a%2f..",
            "/%c3/%a9",
            "/a\u{7f}",
        ] {
            assert!(parse(raw).is_none(), "{raw:?}");
        }
    }

    #[test]
    fn exceptions_are_noted() {
        assert!(parse("/a%2fb").unwrap().1.encoded_slash);
        assert!(parse("/a;b").unwrap().1.semicolon);
        assert!(parse("/a%3Bb").unwrap().1.semicolon);
        assert!(parse("//a").unwrap().1.empty_segment);
        assert!(parse("/a//b").unwrap().1.empty_segment);
        assert!(parse("/a/").unwrap().1.is_plain());
        assert!(parse("/100%25").unwrap().1.is_plain());
        assert!(parse("/100%25zz").unwrap().1.is_plain());
    }

    proptest! {
        #[test]
        fn no_dot_segment_survives(raw in "/([a.%2eE5cf/;]|%2e|%2f|%25){0,12}") {
            if let Some((segments, used)) = parse(&raw) {
                for segment in &segments {
                    prop_assert!(segment != "." && segment != "..");
                    prop_assert!(used.encoded_slash || !segment.contains('/'));
                    prop_assert!(!segment.contains('\\') && !segment.chars().any(char::is_control));
                }
            }
        }

        #[test]
        fn a_second_decoding_finds_nothing_that_was_refused(raw in "/[a%25EefcC0-9.]{0,16}") {
            if let Some((segments, _)) = parse(&raw) {
                let again = format!("/{}", segments.join("/"));
                let mut path = CanonicalPath::default();
                if path.parse_into(again.as_bytes()).is_ok() {
                    prop_assert!(path.segments().all(|s| s != "." && s != ".."));
                }
            }
        }
    }

    /// A decoder that knows of nothing but escapes.
    fn decode(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = text;
        while let [first, more @ ..] = rest {
            match (*first, more) {
                (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    out.push(u8::from_str_radix(&format!("{}{}", char::from(*high), char::from(*low)), 16).unwrap());
                    rest = after;
                }
                _ => {
                    out.push(*first);
                    rest = more;
                }
            }
        }
        out
    }

    #[test]
    fn fuzz_what_is_accepted_means_one_thing() {
        let seeds: [&[u8]; 4] = [b"/a/%62/c%20d/%C3%A9", b"/", b"/a//b;c=d/%2Fe", b"/%25%2e/x"];
        let words: [&[u8]; 14] =
            [b"/", b"//", b"/../", b"/./", b"%2e", b"%2F", b"%5c", b"%00", b"%25", b"%252e", b";", b"%c3", b"%a9", b"\\"];
        crate::fuzz::run("path", &seeds, &words, |data| {
            let mut path = CanonicalPath::default();
            let Ok(used) = path.parse_into(data) else { return false };
            assert_eq!(path.raw(), data, "it is forwarded as it came");
            assert!(data.first() == Some(&b'/') && data.is_ascii() && !data.contains(&b'\\') && !data.contains(&b'?'));
            let segments: Vec<&str> = path.segments().collect();
            for (index, segment) in segments.iter().enumerate() {
                assert!(!segment.chars().any(|c| c.is_ascii_control() || c == '\\'), "{segment:?}");
                assert!(!matches!(*segment, "." | ".."), "{segment:?}");
                let last = index + 1 == segments.len();
                assert!(!segment.is_empty() || last || !used.is_plain(), "an empty segment is an exception");
                assert!(!segment.contains('/') || !used.is_plain(), "an encoded slash is an exception");
            }
            // Who splits first and decodes later, and who decodes first, see the same, but for the exceptions.
            if used.is_plain() {
                let decoded = segments.join("/");
                assert_eq!(decoded.split('/').collect::<Vec<_>>(), segments);
                assert!(!decoded.contains(';') || !data.contains(&b';'));
            }
            let once = format!("/{}", segments.join("/")).into_bytes();
            assert_eq!(once, decode(data), "as another decoder has it");
            // Who decodes twice meets nothing that was refused.
            let twice = decode(&once);
            assert!(!twice.iter().any(|b| b.is_ascii_control() || *b == b'\\'));
            if used.is_plain() {
                assert!(twice.split(|b| *b == b'/').all(|part| part != b"." && part != b".."));
                assert_eq!(twice.iter().filter(|b| **b == b'/').count(), segments.len());
            }
            let mut again = CanonicalPath::default();
            assert_eq!(again.parse_into(path.raw()).ok(), Some(used));
            true
        });
    }
}
