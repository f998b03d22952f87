//! Words of a shell, as it puts them together: `c'a't`, `c\at` and `cat$IFS/etc/passwd` are `cat` and `cat /etc/passwd`.

/// The value with its words put together; nothing where there is nothing to put together, or no command could begin.
pub(super) fn joined(text: &[u8]) -> Option<Vec<u8>> {
    let begins = |byte: &u8| matches!(byte, b';' | b'|' | b'&' | b'`' | b'$' | b'\n');
    if text.len() > 512 || !text.iter().any(begins) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(byte) = rest.first().copied() {
        let inside = out.last().is_some_and(u8::is_ascii_alphanumeric);
        let letter = |at: usize| rest.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let taken = match byte {
            b'$' if rest.starts_with(b"${ifs}") => {
                out.push(b' ');
                6
            }
            b'$' if rest.starts_with(b"$ifs$9") => {
                out.push(b' ');
                6
            }
            b'$' if rest.starts_with(b"$ifs") => {
                out.push(b' ');
                4
            }
            b'$' if rest.starts_with(b"$@") && inside => 2,
            // `{cat,/etc/passwd}`
            b'{' if letter(1) => 1,
            b',' if inside && matches!(rest.get(1), Some(b'/' | b'-' | b'.')) => {
                out.push(b' ');
                1
            }
            b'\'' | b'"' | b'\\' | b'^' if inside && letter(1) => 1,
            b'\'' | b'"' if !inside && letter(1) && matches!(rest.get(2), Some(b'\'' | b'"')) => 1,
            b'\'' | b'"' if inside && matches!(rest.get(1), Some(b'\'' | b'"')) && letter(2) => 2,
            other => {
                out.push(other);
                1
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    (out != text).then_some(out)
}
