//! Integers of HPACK (RFC 7541 section 5.1).

use super::Malformed;

/// Reads an integer whose first byte is `first`, of which the lowest `prefix` bits belong to it (1 to 8); the others follow in
/// `rest`, which is moved on.
///
/// # Errors
/// It is cut off, or above 2^28: nothing that it can mean is as large.
#[inline]
pub fn decode(first: u8, prefix: u32, rest: &mut &[u8]) -> Result<usize, Malformed> {
    let most = u32::from(u8::MAX >> (8 - prefix));
    let low = u32::from(first) & most;
    if low < most {
        return usize::try_from(low).map_err(|_| Malformed);
    }
    let mut value = 0_u32;
    for shift in [0, 7, 14, 21] {
        let (byte, more) = rest.split_first().ok_or(Malformed)?;
        *rest = more;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(value.saturating_add(most)).map_err(|_| Malformed);
        }
    }
    Err(Malformed)
}

/// Appends `value`, the bits above its prefix being those of `pattern`.
pub fn encode(value: usize, prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    let most = u8::MAX >> (8 - prefix);
    let Some(mut left) = value.checked_sub(usize::from(most)) else {
        out.push(pattern | u8::try_from(value).unwrap_or(most));
        return;
    };
    out.push(pattern | most);
    while left >= 0x80 {
        out.push(0x80 | u8::try_from(left & 0x7f).unwrap_or(0));
        left >>= 7;
    }
    out.push(u8::try_from(left).unwrap_or(0));
}
