//! Tokens of SQL, as databases of several makes read them: comments are blanks, `/*!50000union*/` is `union`.

/// A token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// `1`, `0x1f`, `1.5e3`
    Number,
    /// `'text'`, also one that does not end.
    Text,
    /// A name or keyword, lower case; names with dots are one.
    Word(&'t [u8]),
    /// `@name`, `@@name`
    Variable,
    /// `=`, `<>`, `<=>`, `!=`, …
    Compare,
    /// `&&`, `||`
    Logic,
    /// `+`, `-`, `*`, …
    Math(u8),
    Comma,
    Open,
    Close,
    Semicolon,
    /// One that nothing follows but what it hides; so many bytes.
    Comment(usize),
    /// Anything else.
    Other,
}

/// Reads tokens until the text ends.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'t> {
    rest: &'t [u8],
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { rest: text }
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'t [u8] {
        let end = self.rest.iter().position(|byte| !keep(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, b""));
        self.rest = rest;
        taken
    }

    /// Blanks and comments; the last comment, where nothing follows it.
    fn blanks(&mut self) -> Option<Token<'t>> {
        loop {
            match self.rest {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0xa0 | 0, ..] => self.skip(1),
                [b'/', b'*', b'!', ..] => {
                    self.skip(3);
                    self.take_while(|byte| byte.is_ascii_digit());
                }
                [b'/', b'*', ..] => {
                    let end = memchr::memmem::find(self.rest.get(2..).unwrap_or_default(), b"*/");
                    let Some(end) = end else { return Some(self.last()) };
                    self.skip(end + 4);
                }
                [b'*', b'/', ..] => self.skip(2),
                [b'#', ..] | [b'-', b'-', ..] => match memchr::memchr2(b'\n', b'\r', self.rest) {
                    // A long one is a sentence, and so is what stands on the next line.
                    Some(end) if end > 24 => return Some(self.last()),
                    Some(end) => self.skip(end),
                    None => return Some(self.last()),
                },
                _ => return None,
            }
        }
    }

    fn last(&mut self) -> Token<'t> {
        let marker = if self.rest.starts_with(b"#") { 1 } else { 2 };
        let hidden = self.rest.get(marker..).unwrap_or_default();
        let said = hidden.iter().filter(|byte| !matches!(byte, b' ' | b'-' | b'+' | 0)).count();
        self.rest = b"";
        Token::Comment(said)
    }

    fn quoted(&mut self, quote: u8) {
        self.skip(1);
        loop {
            match self.rest {
                [] => return,
                [b'\\', _, ..] => self.skip(2),
                [one, two, ..] if *one == quote && *two == quote => self.skip(2),
                [one, ..] if *one == quote => return self.skip(1),
                _ => self.skip(1),
            }
        }
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        if let Some(comment) = self.blanks() {
            return Some(comment);
        }
        let (token, length) = match *self.rest {
            [] => return None,
            [quote @ (b'\'' | b'"'), ..] => {
                self.quoted(quote);
                return Some(Token::Text);
            }
            [b'0'..=b'9', ..] => {
                self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
                return Some(Token::Number);
            }
            [b'a'..=b'z' | b'_' | b'$' | b'`' | 0x80.., ..] => {
                let word = self
                    .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.' | b'`') || byte >= 0x80);
                return Some(Token::Word(word));
            }
            [b'[', b'a'..=b'z', ..] => (Token::Other, 1),
            [b'@', ..] => {
                self.take_while(|byte| byte == b'@');
                self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
                return Some(Token::Variable);
            }
            [b'&', b'&', ..] | [b'|', b'|', ..] => (Token::Logic, 2),
            [b'<', b'=', b'>', ..] => (Token::Compare, 3),
            [b'<', b'=' | b'>', ..] | [b'>' | b'!' | b'=', b'=', ..] | [b':', b'=', ..] => (Token::Compare, 2),
            [b'=' | b'<' | b'>', ..] => (Token::Compare, 1),
            [b',', ..] => (Token::Comma, 1),
            [b'(', ..] => (Token::Open, 1),
            [b')', ..] => (Token::Close, 1),
            [b';', ..] => (Token::Semicolon, 1),
            [byte @ (b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'|' | b'&' | b'~' | b'!'), ..] => (Token::Math(byte), 1),
            _ => (Token::Other, 1),
        };
        self.skip(length);
        Some(token)
    }
}
