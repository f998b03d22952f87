//! A value as it reads: lower case, and with one more layer of encoding taken off. Each layer is taken off everywhere at once.

/// Layers at most.
pub(super) const ROUNDS: usize = 3;

/// Whether it is letters, digits, and what they are joined by.
pub(super) fn is_word(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Whether it is such words, and blanks and commas between them.
pub(super) fn is_words(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' ' | b','))
}

/// In lower case.
pub(super) fn begin(value: &[u8]) -> Vec<u8> {
    value.to_ascii_lowercase()
}

/// One layer less; nothing where there was none.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let plus = memchr::memchr(b' ', text).is_none();
    let special = |byte: u8| matches!(byte, b'%' | b'&' | b'\\') || byte >= 0xc0 || byte == b'+' && plus;
    let first = text.iter().position(|byte| special(*byte))?;
    let mut out = Vec::with_capacity(text.len());
    let (mut rest, mut changed) = (text.get(first..).unwrap_or_default(), false);
    out.extend_from_slice(text.get(..first).unwrap_or_default());
    while let Some(byte) = rest.first().copied() {
        if byte == b'+' && plus {
            out.push(b' ');
            changed = true;
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let found = match byte {
            b'%' => percent(rest),
            b'&' => entity(rest),
            b'\\' => escape(rest),
            0xc0.. => folded(rest),
            _ => None,
        };
        let taken = match found {
            Some((what, length)) => {
                changed = true;
                push(&mut out, what);
                length
            }
            None => {
                let next = rest.iter().skip(1).position(|byte| special(*byte)).map_or(rest.len(), |at| at + 1);
                out.extend_from_slice(rest.get(..next).unwrap_or_default());
                next
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    if !changed || out == text {
        return None;
    }
    out.make_ascii_lowercase();
    Some(out)
}

/// What stands for something else: a byte, a character, or nothing at all.
#[derive(Clone, Copy)]
enum Said {
    Byte(u8),
    Char(char),
    Nothing,
}

fn push(out: &mut Vec<u8>, what: Said) {
    match what {
        Said::Byte(byte) => out.push(byte),
        Said::Char(character) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        Said::Nothing => {}
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
}

fn character(code: u32) -> Said {
    match char::from_u32(code) {
        Some(c) if c.is_ascii() => Said::Byte(c as u8),
        Some(c) => Said::Char(c),
        None => Said::Nothing,
    }
}

/// `%27`, `%u0027`.
fn percent(rest: &[u8]) -> Option<(Said, usize)> {
    if rest.get(1) == Some(&b'u') {
        return Some((character(hex(rest.get(2..6)?)?), 6));
    }
    let byte = hex(rest.get(1..3)?)?;
    Some((Said::Byte(u8::try_from(byte).ok()?), 3))
}

/// `&#39;`, `&#x27`, `&apos;`.
fn entity(rest: &[u8]) -> Option<(Said, usize)> {
    const NAMED: [(&[u8], u8); 44] = [
        (b"lt", b'<'),
        (b"gt", b'>'),
        (b"amp", b'&'),
        (b"quot", b'"'),
        (b"apos", b'\''),
        (b"nbsp", b' '),
        (b"colon", b':'),
        (b"lpar", b'('),
        (b"rpar", b')'),
        (b"tab", b'\t'),
        (b"newline", b'\n'),
        (b"sol", b'/'),
        (b"bsol", b'\\'),
        (b"lbrace", b'{'),
        (b"rbrace", b'}'),
        (b"lcub", b'{'),
        (b"rcub", b'}'),
        (b"dollar", b'$'),
        (b"num", b'#'),
        (b"percnt", b'%'),
        (b"comma", b','),
        (b"period", b'.'),
        (b"semi", b';'),
        (b"equals", b'='),
        (b"grave", b'`'),
        (b"excl", b'!'),
        (b"ast", b'*'),
        (b"midast", b'*'),
        (b"lowbar", b'_'),
        (b"quest", b'?'),
        (b"commat", b'@'),
        (b"plus", b'+'),
        (b"hyphen", b'-'),
        (b"dash", b'-'),
        (b"lsqb", b'['),
        (b"lbrack", b'['),
        (b"rsqb", b']'),
        (b"rbrack", b']'),
        (b"verbar", b'|'),
        (b"vert", b'|'),
        (b"hat", b'^'),
        (b"ampersand", b'&'),
        (b"diacriticalgrave", b'`'),
        (b"backslash", b'\\'),
    ];
    let inner = rest.get(1..rest.len().min(40))?;
    if inner.first() != Some(&b'#') {
        let end = inner.iter().position(|byte| !byte.is_ascii_alphanumeric())?;
        let name = inner.get(..end).filter(|_| inner.get(end) == Some(&b';'))?;
        let (_, byte) = NAMED.iter().find(|(known, _)| *known == name)?;
        return Some((Said::Byte(*byte), end + 2));
    }
    let (digits, radix, skipped) = match inner.get(1) {
        Some(b'x') => (inner.get(2..)?, 16, 3),
        _ => (inner.get(1..)?, 10, 2),
    };
    let count = digits.iter().take_while(|digit| char::from(**digit).is_digit(radix)).count();
    if count == 0 {
        return None;
    }
    let code = digits
        .iter()
        .take(count)
        .try_fold(0_u32, |sum, digit| sum.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?))?;
    let end = skipped + count;
    Some((character(code), end + usize::from(rest.get(end) == Some(&b';'))))
}

/// `\u0027`, `\u{27}`, `\x27`, and `\/` and `\"`, which say what stands behind.
fn escape(rest: &[u8]) -> Option<(Said, usize)> {
    match rest.get(1)? {
        b'u' if rest.get(2) == Some(&b'{') => {
            let end = rest.iter().take(12).position(|byte| *byte == b'}')?;
            Some((character(hex(rest.get(3..end)?)?), end + 1))
        }
        b'u' => Some((character(hex(rest.get(2..6)?)?), 6)),
        b'x' => Some((Said::Byte(u8::try_from(hex(rest.get(2..4)?)?).ok()?), 4)),
        _ => None,
    }
}

/// Characters that are read as others: overlong forms, full width, circled, fractions, invisible ones.
fn folded(rest: &[u8]) -> Option<(Said, usize)> {
    if let [first @ (0xc0 | 0xc1), second, ..] = rest {
        let byte = (first & 1) << 6 | second & 0x3f;
        return Some((Said::Byte(byte & 0x7f), 2));
    }
    let length = match rest.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    let text = std::str::from_utf8(rest.get(..length)?).ok()?;
    let code = u32::from(text.chars().next()?);
    let byte = |offset: u32, base: u8| u8::try_from(code - offset).ok().and_then(|more| base.checked_add(more));
    let said = match code {
        0xff01..=0xff5e => Said::Byte(byte(0xff01, b'!')?),
        0x2460..=0x2468 => Said::Byte(byte(0x2460, b'1')?),
        0x24ea => Said::Byte(b'0'),
        0x24b6..=0x24cf => Said::Byte(byte(0x24b6, b'a')?),
        0x24d0..=0x24e9 => Said::Byte(byte(0x24d0, b'a')?),
        0x2044 | 0x2215 | 0x29f8 => Said::Byte(b'/'),
        0x2216 | 0xfe68 | 0x29f9 => Said::Byte(b'\\'),
        0x02b9 | 0x02bc => Said::Byte(b'\''),
        0xfe64 => Said::Byte(b'<'),
        0xfe65 => Said::Byte(b'>'),
        0x3002 | 0xff61 => Said::Byte(b'.'),
        0x560a => Said::Byte(b'\n'),
        0x560d => Said::Byte(b'\r'),
        0x00a0 | 0x2000..=0x200a | 0x3000 => Said::Byte(b' '),
        0x200b..=0x200d | 0xfeff | 0x00ad => Said::Nothing,
        _ => return None,
    };
    Some((said, length))
}
