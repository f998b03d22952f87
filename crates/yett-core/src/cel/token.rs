//! Tokens of the language, and what literals stand for (the lexis of the CEL specification).

use super::Fault;

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Name(String),
    /// A name in backquotes; a field only.
    Quoted(String),
    Int(i64),
    /// 9223372036854775808, which is a number only behind a minus.
    LeastInt,
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// A token and where it begins, in bytes.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: usize,
}

/// Signs, the longer ones first.
const SIGNS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "?", ":", "<", ">", "+", "-", "*", "/", "%", "!", ".", ",", "(", ")", "[", "]", "{", "}",
    "=",
];

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

/// All tokens of a source; the last one is the end.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, Fault> {
    let mut lexer = Lexer { source, at: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip();
        let at = lexer.at;
        let kind = lexer.next()?;
        let end = kind == Kind::End;
        found.push(Token { kind, at });
        if end {
            return Ok(found);
        }
    }
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn fault<T>(&self, at: usize, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault { at, message: message.into() })
    }

    /// Blanks and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']).len();
            let comment = match rest.get(blank..) {
                Some(comment) if comment.starts_with("//") => comment.find('\n').unwrap_or(comment.len()),
                _ => 0,
            };
            if blank + comment == 0 {
                return;
            }
            self.at += blank + comment;
        }
    }

    fn next(&mut self) -> Result<Kind, Fault> {
        let rest = self.rest();
        let mut characters = rest.chars();
        let Some(first) = characters.next() else { return Ok(Kind::End) };
        let second = characters.next();
        if let Some((prefix, raw, bytes)) = literal_prefix(rest) {
            return self.text(prefix, raw, bytes);
        }
        if first.is_ascii_digit() || (first == '.' && second.is_some_and(|c| c.is_ascii_digit())) {
            return self.number();
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            self.at += length;
            return Ok(Kind::Name(rest.get(..length).unwrap_or_default().to_owned()));
        }
        if first == '`' {
            let inner = rest.get(1..).unwrap_or_default();
            let length = inner.find('`').unwrap_or(0);
            let name = inner.get(..length).unwrap_or_default();
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/ ".contains(c)) {
                return self.fault(self.at, "a name in backquotes ends with one, and has letters, digits and `_.-/ ` in it");
            }
            self.at += length + 2;
            return Ok(Kind::Quoted(name.to_owned()));
        }
        match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            Some(sign) => {
                self.at += sign.len();
                Ok(Kind::Sign(sign))
            }
            None => self.fault(self.at, format!("`{first}` has no meaning here")),
        }
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        let (rest, begin) = (self.rest(), self.at);
        let digits = |text: &str, test: fn(&char) -> bool| text.chars().take_while(test).count();
        let hex = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"));
        let (value, mut length) = if let Some(hex) = hex {
            let length = digits(hex, char::is_ascii_hexdigit);
            (u64::from_str_radix(hex.get(..length).unwrap_or_default(), 16).ok(), length + 2)
        } else {
            let whole = digits(rest, char::is_ascii_digit);
            let after = rest.get(whole..).unwrap_or_default();
            let fraction = after.strip_prefix('.').map_or(0, |text| digits(text, char::is_ascii_digit));
            let mut length = whole + if fraction > 0 { fraction + 1 } else { 0 };
            let exponent = rest.get(length..).and_then(|text| text.strip_prefix(['e', 'E'])).map_or(0, |text| {
                let sign = usize::from(text.starts_with(['+', '-']));
                match digits(text.get(sign..).unwrap_or_default(), char::is_ascii_digit) {
                    0 => 0,
                    digits => 1 + sign + digits,
                }
            });
            length += exponent;
            if fraction > 0 || exponent > 0 {
                self.at += length;
                let text = rest.get(..length).unwrap_or_default();
                return text.parse().map(Kind::Double).or_else(|_| self.fault(begin, format!("`{text}` is no number")));
            }
            (rest.get(..whole).and_then(|text| text.parse().ok()), whole)
        };
        let unsigned = rest.get(length..).is_some_and(|text| text.starts_with(['u', 'U']));
        length += usize::from(unsigned);
        self.at += length;
        let text = rest.get(..length).unwrap_or_default();
        if self.rest().starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return self.fault(begin, format!("`{text}` runs into what follows"));
        }
        match value {
            Some(value) if unsigned => Ok(Kind::Uint(value)),
            Some(value) if value == 1 << 63 => Ok(Kind::LeastInt),
            Some(value) => i64::try_from(value).map(Kind::Int).or_else(|_| self.fault(begin, format!("`{text}` is too large"))),
            None => self.fault(begin, format!("`{text}` is too large")),
        }
    }

    /// A text or bytes: between single or double quotes, or three of them.
    fn text(&mut self, prefix: usize, raw: bool, bytes: bool) -> Result<Kind, Fault> {
        let begin = self.at;
        self.at += prefix;
        let rest = self.rest();
        let quote = if rest.starts_with('"') { '"' } else { '\'' };
        let triple = if quote == '"' { "\"\"\"" } else { "'''" };
        let long = rest.starts_with(triple);
        self.at += if long { 3 } else { 1 };
        let mut out = Vec::new();
        loop {
            let rest = self.rest();
            let Some(character) = rest.chars().next() else { return self.fault(begin, "the text has no end; close its quotes") };
            if long && rest.starts_with(triple) {
                self.at += 3;
                break;
            }
            if !long && character == quote {
                self.at += 1;
                break;
            }
            if !long && (character == '\n' || character == '\r') {
                return self.fault(begin, "the text has no end on its line; close its quotes");
            }
            self.at += character.len_utf8();
            if character == '\r' {
                // Line ends are the same on all systems.
                if !self.rest().starts_with('\n') {
                    out.push(b'\n');
                }
            } else if character != '\\' {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            } else if raw {
                out.push(b'\\');
            } else {
                self.escape(bytes, &mut out)?;
            }
        }
        if bytes {
            return Ok(Kind::Bytes(out));
        }
        String::from_utf8(out).map(Kind::Text).or_else(|_| self.fault(begin, "the text is not valid Unicode"))
    }

    fn escape(&mut self, bytes: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
        let at = self.at.saturating_sub(1);
        let rest = self.rest();
        let Some(kind) = rest.chars().next() else { return self.fault(at, "nothing follows `\\`") };
        self.at += kind.len_utf8();
        let plain = match kind {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' | '\'' | '"' | '`' | '?' => u8::try_from(kind).unwrap_or(b'?'),
            'x' | 'X' => return self.number_escape(2, 16, bytes, at, out),
            'u' if !bytes => return self.number_escape(4, 16, bytes, at, out),
            'U' if !bytes => return self.number_escape(8, 16, bytes, at, out),
            '0'..='3' => {
                self.at -= 1;
                return self.number_escape(3, 8, bytes, at, out);
            }
            _ => {
                return self
                    .fault(at, format!("`\\{kind}` has no meaning; write `\\\\` for a backslash, or r\"…\" for a raw text"));
            }
        };
        out.push(plain);
        Ok(())
    }

    fn number_escape(&mut self, digits: usize, base: u32, bytes: bool, at: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        let text = self.rest().get(..digits).filter(|text| text.chars().all(|c| c.is_digit(base)));
        let code = text.and_then(|text| u32::from_str_radix(text, base).ok());
        self.at += digits;
        match code {
            Some(code) if bytes => out.push(u8::try_from(code).or_else(|_| self.fault(at, "that is no byte"))?),
            Some(code) => match char::from_u32(code) {
                Some(character) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                None => return self.fault(at, "that is no character of Unicode"),
            },
            None => return self.fault(at, format!("{digits} digits have to follow here")),
        }
        Ok(())
    }
}

/// Length of what stands before the quotes, whether it is raw, and whether it is bytes.
fn literal_prefix(rest: &str) -> Option<(usize, bool, bool)> {
    let letters = rest.find(['"', '\''])?;
    let prefix = rest.get(..letters)?;
    match prefix.to_ascii_lowercase().as_str() {
        "" => Some((0, false, false)),
        "r" => Some((1, true, false)),
        "b" => Some((1, false, true)),
        "br" | "rb" => Some((2, true, true)),
        _ => None,
    }
}
