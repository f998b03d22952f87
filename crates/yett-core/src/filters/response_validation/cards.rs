//! Numbers of payment cards in a text (ISO/IEC 7812-1): by issuer, length, check digit and the way in which they are written.

/// Digits of the longest number.
const LONGEST: usize = 19;
/// How digits stand in groups, where they do: all of them with the same blank or hyphen between.
const GROUPED: [&[usize]; 4] = [&[4, 4, 4, 4], &[4, 4, 4, 4, 3], &[4, 6, 5], &[4, 6, 4]];

/// Whether one stands in the text by itself, and not as a part of something longer.
pub(super) fn found(text: &[u8]) -> bool {
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)).map(|found| at + found) {
        let rest = text.get(start..).unwrap_or_default();
        if begins(text.get(..start).unwrap_or_default()) && number(rest) {
            return true;
        }
        at = start + rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    }
    false
}

/// Whether a number may begin after this: not within a word, a decimal fraction, an identifier with hyphens or a telephone number.
fn begins(before: &[u8]) -> bool {
    match before {
        [.., last, b'-' | b'.'] => !is_word(*last),
        [.., b'+'] => false,
        [.., last] => !is_word(*last),
        [] => true,
    }
}

fn ends(after: &[u8]) -> bool {
    match after {
        [b'.', next, ..] => !next.is_ascii_digit(),
        [next, ..] => !is_word(*next),
        [] => true,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether the text begins with the number of a card.
fn number(text: &[u8]) -> bool {
    let length = text.iter().take(LONGEST + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if length > 6 {
        return text.split_at_checked(length).is_some_and(|(digits, after)| ends(after) && is_card(digits.iter().copied()));
    }
    // The shortest of its kind is enough: what follows may be an expiry date.
    GROUPED.iter().any(|groups| grouped(text, groups))
}

fn grouped(text: &[u8], groups: &[usize]) -> bool {
    let Some(separator @ (b' ' | b'-')) = groups.first().and_then(|first| text.get(*first)).copied() else { return false };
    let mut rest = text;
    for (index, length) in groups.iter().enumerate() {
        if index > 0 {
            match rest {
                [first, after @ ..] if *first == separator => rest = after,
                _ => return false,
            }
        }
        match rest.split_at_checked(*length) {
            Some((group, after)) if group.iter().all(u8::is_ascii_digit) => rest = after,
            _ => return false,
        }
    }
    let written = text.get(..text.len() - rest.len()).unwrap_or_default();
    ends(rest) && is_card(written.iter().copied().filter(u8::is_ascii_digit))
}

/// An issuer's prefix with its lengths, and the check digit (annex B).
fn is_card(digits: impl DoubleEndedIterator<Item = u8> + Clone) -> bool {
    let prefix = |count: usize| digits.clone().take(count).fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let known = match digits.clone().count() {
        14 => matches!(prefix(2), 36 | 38 | 39) || matches!(prefix(3), 300..=305),
        15 => matches!(prefix(2), 34 | 37),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 51..=55 | 62 | 65)
                || matches!(prefix(4), 2221..=2720 | 6011 | 3528..=3589)
                || matches!(prefix(3), 644..=649)
        }
        19 if prefix(1) == 4 => true,
        17..=19 => prefix(2) == 62,
        _ => false,
    };
    known && luhn(digits)
}

fn luhn(digits: impl DoubleEndedIterator<Item = u8>) -> bool {
    let sum = digits.rev().enumerate().fold(0_u32, |sum, (at, digit)| {
        let twice = u32::from(digit - b'0') * if at % 2 == 1 { 2 } else { 1 };
        sum + if twice > 9 { twice - 9 } else { twice }
    });
    sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{found, luhn};

    #[test]
    fn numbers_in_all_the_ways_in_which_they_are_written() {
        for number in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111 1111 1111 1111 12/27",
            "2024 4111 1111 1111 1111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "3782 822463 10005",
            "6011111111111117",
            "3530111333300000",
            "38520000023237",
            "3852 000002 3237",
            "6205500000000000004",
            "4111111111111111.",
            "-4111111111111111",
        ] {
            for text in [format!("{{\"pan\":\"{number}\",\"x\":1}}"), format!("{{\"pan\":{number}}}"), number.to_owned()] {
                assert!(found(text.as_bytes()), "{text}");
            }
        }
    }

    #[test]
    fn numbers_that_are_none() {
        for other in [
            "4111111111111112",
            "1764374400000",
            "1764374400000000000",
            "94111111111111111",
            "41111111111111110",
            "411111111111111100000000",
            "a4111111111111111",
            "4111111111111111a",
            "0.4111111111111111",
            "4111111111111111.25",
            "9111111111111111",
            "4111",
            "4111 1111 1111",
            "4111  1111 1111 1111",
            "4111 1111-1111 1111",
            "41 1111 1111 1111 11",
            "0198a5c2-4111-7111-8111-111111111111",
            "7e1f4111-1111-1111-1111-11aa11111111",
            "+4915112345678",
            "",
        ] {
            assert!(!found(format!("{{\"id\":\"{other}\"}}").as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn one_wrong_digit_is_noticed(at in 0_usize..16, more in 1_u8..10) {
            let mut digits = *b"4111111111111111";
            digits[at] = b'0' + (digits[at] - b'0' + more) % 10;
            prop_assert!(!luhn(digits.iter().copied()));
        }

        #[test]
        fn any_bytes(text in proptest::collection::vec(prop_oneof![Just(b' '), Just(b'-'), b'0'..=b'9', any::<u8>()], 0..200)) {
            let _ = found(&text);
        }
    }
}
