//! Filters of LDAP (RFC 4515) whose parenthesis is closed by the value and another one opened.

use super::class::Class;
use super::filter::Filter;

/// A closing parenthesis that nothing opened, and what follows it.
pub(super) fn examine(text: &[u8], filter: &mut Filter<'_>) {
    if memchr::memchr(b')', text).is_none() || memchr::memchr(b'(', text).is_none() && memchr::memchr(0, text).is_none() {
        return;
    }
    let mut depth = 0_u32;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            b')' => {
                let rest = text.get(at + 1..).unwrap_or_default();
                if opens(rest) {
                    filter.add(Class::Ldap, "ldap-filter", 5);
                }
                return;
            }
            _ => {}
        }
    }
}

/// `(attribute=`, `(&`, `(|`, `(!(`, further closing ones before it, or the end that a NUL makes.
fn opens(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    let closing = rest.iter().take_while(|byte| **byte == b')').count();
    let rest = rest.get(closing..).unwrap_or_default().trim_ascii_start();
    if rest.starts_with(b"\0") || rest.starts_with(b"\\00") {
        return true;
    }
    let Some(inner) = rest.strip_prefix(b"(") else { return false };
    let parens = inner.iter().take_while(|byte| **byte == b'(').count();
    let inner = inner.get(parens..).unwrap_or_default();
    match inner.first() {
        Some(b'&' | b'|') => match inner.get(1) {
            Some(b'(' | b')') | None => true,
            Some(other) => parens > 0 && other.is_ascii_alphabetic(),
        },
        Some(b'!') => inner.get(1) == Some(&b'('),
        _ => {
            let name = inner.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')).count();
            let after = inner.get(name..).unwrap_or_default();
            name > 1 && (after.starts_with(b"=") && !after.starts_with(b"==") || matches!(after, [b'~' | b'<' | b'>', b'=', ..]))
        }
    }
}
