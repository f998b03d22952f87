//! What should not leave: numbers of payment cards, private keys, tokens, stack traces. Patterns are matched in linear time.

use regex::bytes::{Regex, RegexBuilder};

use super::cards;
use crate::ir::Leak;

/// Bytes of a compiled pattern.
const PATTERN_BYTES: usize = 4 << 20;

/// PEM (RFC 7468), OpenPGP's armour, PuTTY's files.
const PRIVATE_KEYS: &str = r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[0-9]+:";
/// Private parts of a JWK (RFC 7517), which make one of a document that names `kty`.
const JWK: &str = r#""(?:d|k)"\s*:\s*"[A-Za-z0-9_-]{16}"#;
const TOKENS: &str = concat!(
    r"\b(?:eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16}",
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"|gh[pousr]_[A-Za-z0-9]{36}",
    r"|github_pat_[A-Za-z0-9_]{40}",
    r"|glpat-[A-Za-z0-9_-]{20}",
    r"|npm_[A-Za-z0-9]{36}",
    r"|pypi-AgE[A-Za-z0-9_-]{40}",
    r"|xox[abeprs]-[A-Za-z0-9-]{10}",
    r"|AIza[0-9A-Za-z_-]{35}",
    r"|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    r"|hvs\.[A-Za-z0-9_-]{24}",
    r"|sk-(?:proj-|ant-[a-z0-9]+-)?[A-Za-z0-9]{32}",
    r"|[rs]k_live_[0-9A-Za-z]{16}",
    r"|(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?)://[^\s/:@]*:[^\s/@]+@)",
);
/// The lines of a trace that nothing else looks like; line ends as they are, or as JSON in JSON writes them.
const STACK_TRACES: &str = concat!(
    r"Traceback \(most recent call last\):",
    r"|\bat [^\s()]+\([^\s()]+\.(?:java|kt|scala|groovy):[0-9]+\)",
    r"|\bat [^\s()]+\((?:Native Method|Unknown Source)\)",
    r"|\bat (?:[^()\n]+ \()?[^\s()]+\.[cm]?[jt]sx?:[0-9]+:[0-9]+",
    r"|\(node:internal/",
    r"|\.(?:cs|vb|fs):line [0-9]+",
    r"|(?:\n|\\n) {3}at [^\n]+?(?:\n|\\n) {3}at ",
    r"|\bgoroutine [0-9]+ \[[a-z ]+\]:",
    r"|panicked at [^\n]*\.rs:[0-9]+",
    r"|#[0-9]+ [^\n]*\.php\([0-9]+\)",
    r"|\.rb:[0-9]+:in [`']",
    r"|\bORA-[0-9]{5}:|\bSQLSTATE\[[0-9A-Z]{5}\]",
);

/// What is looked for.
#[derive(Debug)]
pub struct Leaks {
    cards: bool,
    patterns: Box<[(Leak, Regex)]>,
    jwk: Option<Regex>,
    /// Whether fields may not name where the service is.
    pub addresses: bool,
}

impl Leaks {
    /// Looks for these.
    ///
    /// # Errors
    /// A pattern does not compile: a bug.
    pub fn build(kinds: &[Leak]) -> Result<Self, String> {
        let compile = |pattern: &str| {
            let built = RegexBuilder::new(pattern).unicode(false).size_limit(PATTERN_BYTES).build();
            built.map_err(|error| error.to_string())
        };
        let mut patterns = Vec::new();
        for kind in kinds {
            let pattern = match kind {
                Leak::Addresses | Leak::Cards => continue,
                Leak::PrivateKeys => PRIVATE_KEYS,
                Leak::Tokens => TOKENS,
                Leak::StackTraces => STACK_TRACES,
            };
            patterns.push((*kind, compile(pattern)?));
        }
        let jwk = kinds.contains(&Leak::PrivateKeys).then(|| compile(JWK)).transpose()?;
        let (cards, addresses) = (kinds.contains(&Leak::Cards), kinds.contains(&Leak::Addresses));
        Ok(Self { cards, patterns: patterns.into(), jwk, addresses })
    }

    /// The first kind that is in it. `json` says that escapes of JSON mean what they stand for.
    #[must_use]
    pub fn find(&self, text: &[u8], json: bool) -> Option<Leak> {
        if json && memchr::memchr(b'\\', text).is_some() {
            return self.look(&unescaped(text));
        }
        self.look(text)
    }

    fn look(&self, text: &[u8]) -> Option<Leak> {
        if self.cards && cards::found(text) {
            return Some(Leak::Cards);
        }
        if let Some(jwk) = &self.jwk
            && memchr::memmem::find(text, b"\"kty\"").is_some()
            && jwk.is_match(text)
        {
            return Some(Leak::PrivateKeys);
        }
        self.patterns.iter().find(|(_, pattern)| pattern.is_match(text)).map(|(kind, _)| *kind)
    }
}

/// A document with the characters that its escapes stand for; those beyond ASCII as `?`, which no pattern asks for.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, escape) = rest.split_at(at);
        out.extend_from_slice(before);
        let (byte, taken) = match escape.get(1) {
            Some(b'n') => (b'\n', 2),
            Some(b'r') => (b'\r', 2),
            Some(b't') => (b'\t', 2),
            Some(b'b' | b'f') => (b' ', 2),
            Some(b'u') => {
                let code = escape.get(2..6).and_then(|digits| std::str::from_utf8(digits).ok());
                let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                (code.filter(u8::is_ascii).unwrap_or(b'?'), 6)
            }
            Some(other) => (*other, 2),
            None => (b'?', 1),
        };
        out.push(byte);
        rest = escape.get(taken..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::Leaks;
    use crate::ir::Leak;

    fn leaks() -> Leaks {
        Leaks::build(&[Leak::Cards, Leak::PrivateKeys, Leak::Tokens, Leak::StackTraces]).unwrap()
    }

    #[test]
    fn keys_tokens_and_traces() {
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlc2lnbmF0dXJl";
        for (text, kind) in [
            ("-----BEGIN PRIVATE KEY-----", Leak::PrivateKeys),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII", Leak::PrivateKeys),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", Leak::PrivateKeys),
            ("-----BEGIN PGP PRIVATE KEY BLOCK-----", Leak::PrivateKeys),
            ("{\"kty\":\"EC\",\"d\" : \"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE\"}", Leak::PrivateKeys),
            (token, Leak::Tokens),
            ("key=AKIAABCDEFGHIJKLMNOP", Leak::Tokens),
            ("postgres://shop:hunter2@db.internal/orders", Leak::Tokens),
            ("redis://:hunter2@cache", Leak::Tokens),
            ("Traceback (most recent call last):\n  File", Leak::StackTraces),
            ("java.lang.NullPointerException\n\tat com.shop.Orders.find(Orders.java:42)", Leak::StackTraces),
            ("[\"at com.shop.Orders.find(Orders.java:42)\"]", Leak::StackTraces),
            ("Error: x\n    at find (/srv/app/orders.js:10:5)", Leak::StackTraces),
            ("Error: x\n    at /srv/app/orders.mjs:10:5", Leak::StackTraces),
            ("at\n   at Shop.Orders.Find() in C:\\app\\Orders.cs:line 12", Leak::StackTraces),
            ("Oops\r\n   at Shop.Orders.Find(Int32 id)\r\n   at Shop.Main()", Leak::StackTraces),
            ("panic: x\n\ngoroutine 1 [running]:", Leak::StackTraces),
            ("thread 'main' panicked at src/main.rs:4:5:", Leak::StackTraces),
            ("#0 /srv/app/orders.php(12): find()", Leak::StackTraces),
            ("orders.rb:10:in `find'", Leak::StackTraces),
            ("SQLSTATE[42S02]: Base table", Leak::StackTraces),
        ] {
            assert_eq!(leaks().find(text.as_bytes(), false), Some(kind), "{text}");
            // As a string of JSON, and with every character escaped.
            assert_eq!(leaks().find(serde_json::to_string(text).unwrap().as_bytes(), true), Some(kind), "{text}");
            let escaped: String = text.bytes().map(|byte| format!("\\u{byte:04X}")).collect();
            assert_eq!(leaks().find(format!("\"{escaped}\"").as_bytes(), true), Some(kind), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_it() {
        for text in [
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----",
            "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}",
            "{\"d\":\"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE\"}",
            "meet me at noon (bring 3:00 tea)",
            "eyJhbGciOiJFUzI1NiJ9",
            "look at this: it is fine",
            "look at app.js",
            "task-force and risk-averse-people-who-write-long-identifiers",
            "https://user@example.com/a:b@c",
            "postgres://db.internal/orders",
            "issue #12 in index.php",
        ] {
            assert_eq!(leaks().find(text.as_bytes(), false), None, "{text}");
        }
    }

    #[test]
    fn escapes_that_are_cut() {
        for text in ["\\", "\\u", "\\u00", "\\u00zz", "\\ud83d\\ude00", "\"\\\\n\""] {
            assert_eq!(leaks().find(text.as_bytes(), true), None, "{text}");
        }
        assert_eq!(leaks().find(b"\"\\n4111111111111111\\n\"", true), Some(Leak::Cards));
    }

    #[test]
    fn only_what_is_asked_for() {
        let cards = Leaks::build(&[Leak::Cards]).unwrap();
        assert_eq!(cards.find(b"-----BEGIN PRIVATE KEY-----", false), None);
        assert_eq!(Leaks::build(&[]).unwrap().find(b"4111111111111111", false), None);
    }
}
