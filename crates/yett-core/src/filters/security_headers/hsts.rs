//! Strict-Transport-Security (RFC 6797): the longer time and the wider reach win.

use super::{Merged, Verdict};
use crate::ir;

pub(super) const NAME: &str = "strict-transport-security";

/// A policy, ours or what was read of a service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hsts {
    max_age_s: u64,
    include_subdomains: bool,
    preload: bool,
}

impl Hsts {
    pub(super) const fn build(spec: &ir::Hsts) -> Self {
        Self { max_age_s: spec.max_age_s, include_subdomains: spec.include_subdomains, preload: spec.preload }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.merged()).into_owned()
    }

    fn merged(&self) -> Merged {
        let mut number = itoa::Buffer::new();
        let mut out = Merged::from_slice(b"max-age=");
        out.extend_from_slice(number.format(self.max_age_s).as_bytes());
        if self.include_subdomains {
            out.extend_from_slice(b"; includeSubDomains");
        }
        if self.preload {
            out.extend_from_slice(b"; preload");
        }
        out
    }

    /// A browser reads the first field only (RFC 6797 section 8.1).
    pub(super) fn judge<'a>(&self, mut values: impl Iterator<Item = &'a [u8]>) -> Verdict {
        let Some(theirs) = values.next().and_then(read) else { return Verdict::Replace };
        let both = Self {
            max_age_s: self.max_age_s.max(theirs.max_age_s),
            include_subdomains: self.include_subdomains || theirs.include_subdomains,
            preload: self.preload || theirs.preload,
        };
        match (both == theirs && values.next().is_none(), both == *self) {
            (true, _) => Verdict::Keep,
            (false, true) => Verdict::Replace,
            (false, false) => Verdict::Merge(both.merged()),
        }
    }
}

/// RFC 6797 section 6.1; nothing where a directive stands twice or the time is missing or no number.
fn read(value: &[u8]) -> Option<Hsts> {
    let mut max_age_s = None;
    let (mut include_subdomains, mut preload) = (false, false);
    for part in value.split(|b| *b == b';').map(<[u8]>::trim_ascii).filter(|part| !part.is_empty()) {
        let at = part.iter().position(|b| *b == b'=').unwrap_or(part.len());
        let (name, rest) = part.split_at_checked(at)?;
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"max-age") {
            let digits = rest.get(1..)?.trim_ascii();
            let digits = digits.strip_prefix(b"\"").and_then(|d| d.strip_suffix(b"\"")).unwrap_or(digits);
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit.saturating_sub(b'0')));
            let seconds = digits.iter().fold(0, add);
            if max_age_s.replace(seconds).is_some() {
                return None;
            }
        } else if name.eq_ignore_ascii_case(b"includeSubDomains") {
            if std::mem::replace(&mut include_subdomains, true) || !rest.is_empty() {
                return None;
            }
        } else if name.eq_ignore_ascii_case(b"preload") && (std::mem::replace(&mut preload, true) || !rest.is_empty()) {
            return None;
        }
    }
    Some(Hsts { max_age_s: max_age_s?, include_subdomains, preload })
}
