//! Spellings that some services take for one account: whoever gets in with all of them has got in with one.

/// Characters for which Unicode has plainer ones, and marks that may be a part of the letter before them: in how many ways they
/// write one name has no bound, so all names with one of them are alike.
const FANCY: [(char, char); 24] = [
    ('\u{aa}', '\u{aa}'),
    ('\u{b2}', '\u{b3}'),
    ('\u{b9}', '\u{ba}'),
    ('\u{132}', '\u{133}'),
    ('\u{13f}', '\u{140}'),
    ('\u{17f}', '\u{17f}'),
    ('\u{1c4}', '\u{1cc}'),
    ('\u{1f1}', '\u{1f3}'),
    ('\u{2b0}', '\u{2b8}'),
    ('\u{2e0}', '\u{2e4}'),
    ('\u{300}', '\u{36f}'),
    ('\u{1d2c}', '\u{1d6a}'),
    ('\u{1d78}', '\u{1dff}'),
    ('\u{2070}', '\u{20ff}'),
    ('\u{2100}', '\u{218f}'),
    ('\u{2460}', '\u{24ff}'),
    ('\u{2c7c}', '\u{2c7d}'),
    ('\u{3200}', '\u{33ff}'),
    ('\u{f900}', '\u{faff}'),
    ('\u{fb00}', '\u{fb4f}'),
    ('\u{fe20}', '\u{fe6f}'),
    ('\u{ffa0}', '\u{ffee}'),
    ('\u{1d400}', '\u{1d7ff}'),
    ('\u{1ee00}', '\u{1f2ff}'),
];

/// A name in lower case as one that reads like it: without dots, dashes and other signs, without what follows `+` and without zeros
/// before a number; of an address all that before its `@`. Never to tell accounts apart: two people may have one.
#[must_use]
pub fn alike(name: &str) -> String {
    let plain: String = name.chars().map(narrow).flat_map(char::to_lowercase).collect();
    let (own, host) = plain.rsplit_once('@').map_or((&*plain, None), |(own, host)| (own, Some(host)));
    let mut out = own_part(own);
    if let Some(host) = host {
        out.push('@');
        out.extend(host.trim_end_matches('.').chars().filter(|c| c.is_alphanumeric() || matches!(c, '.' | '-')));
    }
    out
}

fn own_part(own: &str) -> String {
    if own.chars().any(|c| FANCY.iter().any(|(first, last)| (*first..=*last).contains(&c))) {
        return "*".to_owned();
    }
    let begin = own.split(['+', '(']).next().unwrap_or_default();
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let found = Some(letters(begin)).filter(|found| !found.is_empty()).unwrap_or_else(|| letters(own));
    if found.bytes().all(|byte| byte.is_ascii_digit()) { found.trim_start_matches('0').to_owned() } else { found }
}

/// Letters that are as wide as Chinese ones, as those that they stand for.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => u32::from(c).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(c),
        '\u{3002}' | '\u{ff61}' => '.',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::alike;

    #[test]
    fn spellings_of_one_account_are_alike() {
        for (spellings, expected) in [
            (&["bob", "b.ob", "b-o_b", "bob+x", "bob+", "b\u{200b}ob", "\u{ff42}ob", "bob(work)", "b ob"][..], "bob"),
            (
                &["bob@a.example", "b.ob+x@a.example", "bob@a.example.", "bob\u{ff20}a\u{3002}example", "\"bob\"@a.example"],
                "bob@a.example",
            ),
            (&["7", "007", "0000000007", "0-07"], "7"),
            (&["\u{1d41b}ob", "b\u{24de}b", "bo\u{301}b", "\u{17f}"], "*"),
            (&["+49 170 1234567", "49-1701234567"], "491701234567"),
        ] {
            for spelling in spellings {
                assert_eq!(alike(spelling), expected, "{spelling}");
            }
        }
    }

    #[test]
    fn other_accounts_are_others() {
        let names = ["bob", "rob", "bob@a.example", "bob@b.example", "bob7", "bob07", "josé", "李", "王", "", "0"];
        let mut found: Vec<String> = names.iter().map(|name| alike(name)).collect();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), names.len() - 1, "nothing and zero");
    }
}
