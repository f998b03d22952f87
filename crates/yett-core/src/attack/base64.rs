//! Values that are wholly Base64 (RFC 4648), of either alphabet.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Shorter ones are words.
pub(super) const FEWEST: usize = 12;
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// What it says, if it is Base64.
pub(super) fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    if value.len() < FEWEST {
        return None;
    }
    let url = value.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let body = value.iter().rposition(|byte| *byte != b'=').map_or(0, |at| at + 1);
    let body = value.get(..body)?;
    let ours = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    if !body.iter().all(ours) {
        return None;
    }
    // The last pieces of some letters say nothing.
    let whole = body.get(..body.len() - usize::from(body.len() % 4 == 1))?;
    if url { URL.decode(whole).ok() } else { PLAIN.decode(whole).ok() }
}

/// Whether it is text that people or programs read.
pub(super) fn is_text(inner: &[u8]) -> bool {
    std::str::from_utf8(inner).is_ok_and(|text| !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\0')))
}

/// Whether it begins as serialised objects do.
pub(super) fn marker(inner: &[u8]) -> Option<&'static str> {
    const MARKERS: [(&[u8], &str); 8] = [
        (b"\xac\xed\x00\x05", "deserialisation-java"),
        (b"\x00\x01\x00\x00\x00\xff\xff\xff\xff", "deserialisation-dotnet"),
        (b"\x80\x02c", "deserialisation-pickle"),
        (b"\x80\x03", "deserialisation-pickle"),
        (b"\x80\x04\x95", "deserialisation-pickle"),
        (b"\x80\x05\x95", "deserialisation-pickle"),
        (b"\x04\x08o:", "deserialisation-ruby"),
        (b"\x04\x08[", "deserialisation-ruby"),
    ];
    MARKERS.iter().find(|(begin, _)| inner.starts_with(begin)).map(|(_, rule)| *rule)
}
