//! How surely, and how lately, a person has to have logged in (RFC 9470).

use std::fmt::Write;
use std::sync::Arc;

use crate::ir;
use crate::providers::oidc::login::Wanted;

/// Compiled `assurance`.
#[derive(Debug)]
pub struct Assurance {
    /// What is demanded.
    pub wanted: Wanted,
    /// The same as parameters of a challenge (RFC 9470 section 3).
    pub challenge: Arc<str>,
}

impl Assurance {
    /// Checks that something is demanded, in words that a challenge can carry.
    ///
    /// # Errors
    /// Nothing is; a value that is no word.
    pub fn build(spec: &ir::Assurance) -> Result<Self, String> {
        if spec.acr.is_empty() && spec.max_age_s.is_none() {
            return Err("`assurance` demands nothing; write `acr`, `max_age`, or both".to_owned());
        }
        let word = |text: &String| !text.is_empty() && text.bytes().all(|b| (0x21..0x7f).contains(&b) && !b"\"\\".contains(&b));
        if let Some(bad) = spec.acr.iter().find(|acr| !word(acr)) {
            return Err(format!("`{bad}` is no value of `acr`; each is one word without blanks and quotes"));
        }
        let mut challenge = String::new();
        if !spec.acr.is_empty() {
            let _ = write!(challenge, ", acr_values=\"{}\"", spec.acr.join(" "));
        }
        if let Some(seconds) = spec.max_age_s {
            let _ = write!(challenge, ", max_age=\"{seconds}\"");
        }
        let wanted = Wanted { acr: spec.acr.iter().map(|acr| acr.as_str().into()).collect(), max_age_s: spec.max_age_s };
        Ok(Self { wanted, challenge: challenge.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::Assurance;
    use crate::ir;

    #[test]
    fn what_a_challenge_says() {
        let build = |acr: &[&str], max_age_s| {
            Assurance::build(&ir::Assurance { acr: acr.iter().map(|one| (*one).to_owned()).collect(), max_age_s })
        };
        assert_eq!(&*build(&["gold", "silver"], Some(300)).unwrap().challenge, ", acr_values=\"gold silver\", max_age=\"300\"");
        assert_eq!(&*build(&[], Some(0)).unwrap().challenge, ", max_age=\"0\"");
        assert!(build(&[], None).is_err());
        for bad in ["", "a b", "a\"b", "a\\b", "a\r\nb", "é"] {
            assert!(build(&[bad], None).is_err(), "{bad}");
        }
    }
}
