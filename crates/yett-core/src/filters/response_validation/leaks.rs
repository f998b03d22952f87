//! What should not leave: numbers of payment cards, private keys, tokens, stack traces. Patterns are matched in linear time.

use regex::bytes::{Regex, RegexBuilder};

use crate::ir::Leak;

/// Bytes of a compiled pattern.
const PATTERN_BYTES: usize = 4 << 20;

/// What is looked for.
#[derive(Debug)]
pub struct Leaks(Box<[(Leak, Regex)]>);

/// A card number's shape (ISO/IEC 7812), in one piece or in groups; whether it is one is Luhn's to say.
const CARDS: &str = r"[2-6][0-9](?:[ -]?[0-9]){11,17}";
const PRIVATE_KEYS: &str = r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----";
const TOKENS: &str = concat!(
    r"\b(?:eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16,}",
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"|gh[pousr]_[A-Za-z0-9]{36}",
    r"|github_pat_[A-Za-z0-9_]{40,}",
    r"|glpat-[A-Za-z0-9_-]{20,}",
    r"|xox[abeprs]-[A-Za-z0-9-]{10,}",
    r"|AIza[0-9A-Za-z_-]{35}",
    r"|[rs]k_live_[0-9A-Za-z]{16,})",
);
/// The line end of a trace, as it is or as JSON writes it.
const STACK_TRACES: &str = concat!(
    r"Traceback \(most recent call last\):",
    r"|(?:\n|\\n)(?:[ \t]|\\t)*at [^\n]{1,200}?\((?:[^()\n]{1,200}\.(?:java|kt|scala|cs)|[^()\n]{1,200}:[0-9]+):[0-9]+\)",
    r"|(?:\n|\\n)(?:[ \t]|\\t)*at [^\n]{1,300}? in [^\n]{1,300}?:line [0-9]+",
    r"|goroutine [0-9]+ \[[a-z ]{1,40}\]:",
    r"|thread '[^'\n]{1,100}' panicked at ",
    r"|(?:\n|\\n)#[0-9]+ [^\n]{1,200}\.php\([0-9]+\)",
    r"|[^\s:]{1,200}\.rb:[0-9]+:in [`'][^\n]{1,100}'",
    r"|\b(?:ORA-[0-9]{5}|SQLSTATE\[[0-9A-Z]{5}\])",
);

impl Leaks {
    /// Looks for these.
    ///
    /// # Errors
    /// A pattern does not compile: a bug.
    pub fn build(kinds: &[Leak]) -> Result<Self, String> {
        let compiled = kinds.iter().map(|kind| {
            let pattern = match kind {
                Leak::Cards => CARDS,
                Leak::PrivateKeys => PRIVATE_KEYS,
                Leak::Tokens => TOKENS,
                Leak::StackTraces => STACK_TRACES,
            };
            let regex = RegexBuilder::new(pattern).unicode(false).size_limit(PATTERN_BYTES).build();
            regex.map(|regex| (*kind, regex)).map_err(|error| error.to_string())
        });
        Ok(Self(compiled.collect::<Result<_, _>>()?))
    }

    /// The first kind that is in it.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Option<Leak> {
        let has = |(kind, regex): &&(Leak, Regex)| match kind {
            Leak::Cards => card(regex, text),
            _ => regex.is_match(text),
        };
        self.0.iter().find(has).map(|(kind, _)| *kind)
    }
}

/// Whether a number of a card stands in the text by itself.
fn card(shape: &Regex, text: &[u8]) -> bool {
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| shape.find(rest)) {
        let (start, end) = (from + found.start(), from + found.end());
        let joined = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let decimal = start.checked_sub(1).and_then(|at| text.get(at)) == Some(&b'.');
        let alone = !decimal && !joined(start.checked_sub(1).and_then(|at| text.get(at))) && !joined(text.get(end));
        let digits: Vec<u8> = found.as_bytes().iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0').collect();
        if alone && is_card(&digits) {
            return true;
        }
        // Past this run of digits: what stands inside of it is not by itself.
        from = end.max(start + 1);
        while text.get(from).is_some_and(u8::is_ascii_digit) {
            from += 1;
        }
    }
    false
}

/// An issuer's prefix with its lengths, and the check digit (ISO/IEC 7812-1 annex B).
fn is_card(digits: &[u8]) -> bool {
    let prefix = |count: usize| digits.iter().take(count).fold(0_u32, |sum, digit| sum * 10 + u32::from(*digit));
    let known = match digits.len() {
        13 | 19 if prefix(1) == 4 => true,
        14 => matches!(prefix(2), 36 | 38 | 39) || matches!(prefix(3), 300..=305),
        15 => matches!(prefix(2), 34 | 37),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 51..=55 | 62 | 65)
                || matches!(prefix(4), 2221..=2720 | 6011 | 3528..=3589)
                || matches!(prefix(3), 644..=649)
        }
        17..=19 => prefix(2) == 62,
        _ => false,
    };
    let sum = digits.iter().rev().enumerate().fold(0_u32, |sum, (at, digit)| {
        let twice = u32::from(*digit) * if at % 2 == 1 { 2 } else { 1 };
        sum + if twice > 9 { twice - 9 } else { twice }
    });
    known && sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::Leaks;
    use crate::ir::Leak;

    fn find(text: &str) -> Option<Leak> {
        Leaks::build(&[Leak::Cards, Leak::PrivateKeys, Leak::Tokens, Leak::StackTraces]).unwrap().find(text.as_bytes())
    }

    #[test]
    fn numbers_of_cards() {
        for number in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "6011111111111117",
            "3530111333300000",
            "38520000023237",
        ] {
            assert_eq!(find(&format!("{{\"pan\":\"{number}\",\"x\":1}}")), Some(Leak::Cards), "{number}");
        }
        for other in [
            "4111111111111112",
            "1764374400000",
            "1764374400000000000",
            "94111111111111111",
            "41111111111111110",
            "a4111111111111111",
            "0.4111111111111111",
            "9111111111111111",
            "4111",
            "0198a5c2-4111-7111-8111-111111111111",
        ] {
            assert_eq!(find(&format!("{{\"id\":\"{other}\"}}")), None, "{other}");
        }
    }

    #[test]
    fn keys_tokens_and_traces() {
        let trace = "java.lang.NullPointerException\\n\\tat com.shop.Orders.find(Orders.java:42)";
        for (text, kind) in [
            ("-----BEGIN PRIVATE KEY-----", Leak::PrivateKeys),
            ("-----BEGIN RSA PRIVATE KEY-----\\nMII", Leak::PrivateKeys),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", Leak::PrivateKeys),
            ("\"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlc2lnbmF0dXJl\"", Leak::Tokens),
            ("key=AKIAABCDEFGHIJKLMNOP", Leak::Tokens),
            ("Traceback (most recent call last):\n  File", Leak::StackTraces),
            (trace, Leak::StackTraces),
            ("Error: x\n    at find (/srv/app/orders.js:10:5)", Leak::StackTraces),
            ("at\n   at Shop.Orders.Find() in C:\\\\app\\\\Orders.cs:line 12", Leak::StackTraces),
            ("panic: x\n\ngoroutine 1 [running]:", Leak::StackTraces),
            ("SQLSTATE[42S02]: Base table", Leak::StackTraces),
        ] {
            assert_eq!(find(text), Some(kind), "{text}");
        }
        for text in ["-----BEGIN CERTIFICATE-----", "meet me at noon (bring 3:00 tea)", "eyJhbGciOiJFUzI1NiJ9", "look at this: it is fine"] {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
