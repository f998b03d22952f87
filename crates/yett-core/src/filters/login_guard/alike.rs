//! Spellings that some services take for one account: whoever gets in with all of them has got in with one.

/// The plain letters of U+00C0 to U+024F: what Unicode decomposes them to (NFKD) without marks; `*` where that is no one letter
/// from a to z. Beside those, letters with a stroke and the like, which collations take for the plain ones (`ø`, `ß`, `æ`).
const LATIN: &str = concat!(
    "aaaaaaaceeeeiiiidnooooo*ouuuuy*saaaaaaaceeeeiiiidnooooo*ouuuuy*yaaaaaaccccccccddddeeeeeeeeeegggggggg",
    "hhhhiiiiiiiiii**jjkk*llllll**llnnnnnn***oooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs********",
    "************************oo*************uu****************************aaiioouuuuuuuuuu*aaaa****ggkkoo",
    "oo**j***gg**nnaa****aaaaeeeeiiiioooorrrruuuusstt**hh******aaeeooooooooyy****************************",
);
/// The same of U+1E00 to U+1EFF.
const LATIN_MORE: &str = concat!(
    "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrrrrrrssss",
    "ssssssttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwy*s**s*aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeeeeeeeeeee",
    "iiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy******",
);

/// A name as one that reads like it: in lower case, without accents, dots, dashes and other signs, without what follows `+` and
/// without zeros before a number; of an address all that before its `@`. In how many ways other characters write one name has no
/// bound, so all names with one of them are alike. Never to tell accounts apart: two people may have one.
#[must_use]
pub fn alike(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for c in name.chars() {
        match narrow(c) {
            '\u{300}'..='\u{36f}' => {}
            c if c.is_ascii() => plain.push(c.to_ascii_lowercase()),
            c => match latin(c) {
                Some(letter) => plain.push(letter),
                None => return "*".to_owned(),
            },
        }
    }
    let (own, host) = plain.rsplit_once('@').map_or((&*plain, None), |(own, host)| (own, Some(host)));
    let mut out = own_part(own);
    if let Some(host) = host {
        out.push('@');
        let host = host.trim_end_matches('.').chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        spell(host, &mut out);
    }
    out
}

fn own_part(own: &str) -> String {
    let begin = own.split(['+', '(']).next().unwrap_or_default();
    let letters = |text: &str| {
        let mut out = String::with_capacity(text.len());
        spell(text.chars().filter(char::is_ascii_alphanumeric), &mut out);
        out
    };
    let found = Some(letters(begin)).filter(|found| !found.is_empty()).unwrap_or_else(|| letters(own));
    if found.bytes().all(|byte| byte.is_ascii_digit()) { found.trim_start_matches('0').to_owned() } else { found }
}

/// Letters once that stand twice, and no `e` after a, o and u: `ss` for `ß`, `aa` for `å`, `ue` for `ü`.
fn spell(text: impl Iterator<Item = char>, out: &mut String) {
    let mut last = None;
    for c in text {
        let again = c.is_ascii_alphabetic() && last == Some(c);
        let umlaut = c == 'e' && matches!(last, Some('a' | 'o' | 'u'));
        if !(again || umlaut) {
            out.push(c);
            last = Some(c);
        }
    }
}

/// Letters that are as wide as Chinese ones, as those that they stand for.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => u32::from(c).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(c),
        '\u{3002}' | '\u{ff61}' => '.',
        '\u{212a}' => 'k',
        '\u{212b}' => 'a',
        other => other,
    }
}

/// The plain letter of one with an accent, from the tables.
fn latin(c: char) -> Option<char> {
    let (table, first) = match c {
        '\u{c0}'..='\u{24f}' => (LATIN, 0xc0),
        '\u{1e00}'..='\u{1eff}' => (LATIN_MORE, 0x1e00),
        _ => return None,
    };
    let at = usize::try_from(u32::from(c).checked_sub(first)?).ok()?;
    table.as_bytes().get(at).map(|byte| char::from(*byte)).filter(char::is_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::{LATIN, LATIN_MORE, alike};

    #[test]
    fn spellings_of_one_account_are_alike() {
        for (spellings, expected) in [
            (&["bob", "b.ob", "b-o_b", "bob+x", "bob+", "\u{ff42}ob", "bob(work)", "b ob"][..], "bob"),
            (
                &["bob@a.example", "b.ob+x@a.example", "bob@a.example.", "bob\u{ff20}a\u{3002}example", "\"bob\"@a.example"],
                "bob@a.example",
            ),
            (&["7", "007", "0000000007", "0-07"], "7"),
            (&["jose", "josé", "jose\u{301}", "JOSÉ", "jøsè", "j\u{1ecd}s\u{1ebd}"], "jose"),
            (&["strasse", "straße", "strase", "STRAẞE"], "strase"),
            (&["mueller@a.example", "müller@a.example", "muller@\u{e4}.example"], "muler@a.example"),
            (&["\u{1d41b}ob", "b\u{24de}b", "b\u{200b}ob", "李", "bob李", "b\u{1fbf1}", "b\u{a7f2}", "b\u{107a5}", "й"], "*"),
            (&["+49 170 1234567", "49-1701234567"], "491701234567"),
        ] {
            for spelling in spellings {
                assert_eq!(alike(spelling), expected, "{spelling}");
            }
        }
    }

    #[test]
    fn other_accounts_are_others() {
        let names = ["bob", "rob", "bob@a.example", "bob@b.example", "bob7", "bob07", "josé", "李", "", "0"];
        let mut found: Vec<String> = names.iter().map(|name| alike(name)).collect();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), names.len() - 1, "nothing and zero");
    }

    /// So one account counts twice at most: as its plain letters, and as `*`.
    #[test]
    fn no_character_but_plain_ones_is_left() {
        for c in ('\u{80}'..=char::MAX).filter(|c| !c.is_ascii()) {
            let found = alike(&format!("b{c}"));
            assert!(found.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'@')), "{c:?} {found}");
        }
        assert_eq!((LATIN.len(), LATIN_MORE.len()), (0x250 - 0xc0, 0x100));
    }
}
