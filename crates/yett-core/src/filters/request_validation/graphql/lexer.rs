//! Tokens of a GraphQL document (specification of September 2025, section 2.1), one at a time.

/// A token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// One of `! $ & ( ) : = @ [ ] { | }`.
    Sign(u8),
    /// `...`
    Spread,
    Name(&'t str),
    /// As it is written.
    Integer(&'t str),
    Float,
    Text,
    End,
}

/// There is no token at this byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoToken(pub(super) usize);

#[derive(Debug, Clone)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn skip(&mut self, taken: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&taken) {
            self.at += 1;
        }
    }

    /// The next token, and where it begins.
    pub(super) fn next(&mut self) -> Result<(Token<'t>, usize), NoToken> {
        self.ignored();
        let start = self.at;
        let Some(byte) = self.peek(0) else { return Ok((Token::End, start)) };
        let token = match byte {
            b'!' | b'$' | b'&' | b'(' | b')' | b':' | b'=' | b'@' | b'[' | b']' | b'{' | b'|' | b'}' => {
                self.at += 1;
                Token::Sign(byte)
            }
            b'.' if self.peek(1) == Some(b'.') && self.peek(2) == Some(b'.') => {
                self.at += 3;
                Token::Spread
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                self.skip(is_name);
                Token::Name(self.since(start))
            }
            b'-' | b'0'..=b'9' => self.number()?,
            b'"' if self.peek(1) == Some(b'"') && self.peek(2) == Some(b'"') => self.block()?,
            b'"' => self.string()?,
            _ => return Err(NoToken(start)),
        };
        Ok((token, start))
    }

    fn since(&self, start: usize) -> &'t str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Blanks, commas, comments and byte order marks say nothing.
    fn ignored(&mut self) {
        loop {
            self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b','));
            match self.peek(0) {
                // What stands in a comment is held to be text by `control`.
                Some(b'#') => self.skip(|byte| !matches!(byte, b'\n' | b'\r')),
                Some(0xef) if self.peek(1) == Some(0xbb) && self.peek(2) == Some(0xbf) => self.at += 3,
                _ => return,
            }
        }
    }

    fn digits(&mut self) -> Result<(), NoToken> {
        if !self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(NoToken(self.at));
        }
        self.skip(|byte| byte.is_ascii_digit());
        Ok(())
    }

    fn number(&mut self) -> Result<Token<'t>, NoToken> {
        let start = self.at;
        self.at += usize::from(self.peek(0) == Some(b'-'));
        if self.peek(0) == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut token = Token::Integer(self.since(start));
        if self.peek(0) == Some(b'.') {
            self.at += 1;
            self.digits()?;
            token = Token::Float;
        }
        if matches!(self.peek(0), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(0), Some(b'+' | b'-')));
            self.digits()?;
            token = Token::Float;
        }
        // `01`, `1.2.3` and `1a` are no two tokens.
        if self.peek(0).is_some_and(|byte| byte == b'.' || is_name(byte)) { Err(NoToken(self.at)) } else { Ok(token) }
    }

    fn string(&mut self) -> Result<Token<'t>, NoToken> {
        self.at += 1;
        loop {
            match self.peek(0) {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                None | Some(b'\n' | b'\r') => return Err(NoToken(self.at)),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(Token::Text)
    }

    fn escape(&mut self) -> Result<(), NoToken> {
        match (self.peek(1), self.peek(2)) {
            (Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'), _) => self.at += 2,
            (Some(b'u'), Some(b'{')) => {
                let begun = self.at;
                self.at += 3;
                self.skip(|byte| byte.is_ascii_hexdigit());
                if self.peek(0) != Some(b'}') || self.at == begun + 3 {
                    return Err(NoToken(begun));
                }
                self.at += 1;
            }
            (Some(b'u'), _) if (2..6).all(|ahead| self.peek(ahead).is_some_and(|byte| byte.is_ascii_hexdigit())) => {
                self.at += 6;
            }
            _ => return Err(NoToken(self.at)),
        }
        Ok(())
    }

    /// `"""…"""`, in which `\"""` is the only escape.
    fn block(&mut self) -> Result<Token<'t>, NoToken> {
        let start = self.at;
        self.at += 3;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return Err(NoToken(start));
            }
            if rest.starts_with(b"\"\"\"") {
                self.at += 3;
                return Ok(Token::Text);
            }
            self.at += if rest.starts_with(b"\\\"\"\"") { 4 } else { 1 };
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// Where a character stands that is no part of any document, or that ends a line for some readers (graphql-java: U+2028,
/// U+2029) and for others not: a comment would hide from the one what the other carries out.
pub(super) fn control(text: &str) -> Option<usize> {
    let strange = |c: char| match c {
        '\t' | '\n' | '\r' => false,
        '\u{7f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => true,
        other => other < ' ',
    };
    text.char_indices().find(|(_, c)| strange(*c)).map(|(at, _)| at)
}

/// Line and column of a byte, in characters from 1.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let lines = before.bytes().filter(|byte| *byte == b'\n').count();
    let alone = before.as_bytes().windows(2).filter(|pair| matches!(pair, [b'\r', other] if *other != b'\n')).count();
    let alone = alone + usize::from(before.ends_with('\r'));
    let line = before.rfind(['\n', '\r']).map_or(before, |end| before.get(end + 1..).unwrap_or_default());
    (lines + alone + 1, line.chars().count() + 1)
}
