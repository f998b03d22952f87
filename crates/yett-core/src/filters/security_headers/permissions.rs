//! Permissions-Policy: for each feature that we name the narrower list wins; what a service says of others stays.
//!
//! The field is a dictionary (RFC 9651 section 3.2) of which a fault makes browsers forget all; such a one is replaced.

use std::collections::BTreeMap;

use super::{Merged, Verdict};

pub(super) const NAME: &str = "permissions-policy";

/// Our lists by feature.
#[derive(Debug)]
pub(super) struct Permissions {
    features: Vec<Feature>,
}

#[derive(Debug)]
struct Feature {
    name: Box<[u8]>,
    list: Box<[u8]>,
}

/// A member of the dictionary: its name and the list as written.
type Member<'a> = (&'a [u8], &'a [u8]);

impl Permissions {
    pub(super) fn build(spec: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut features = Vec::with_capacity(spec.len());
        for (name, list) in spec {
            let member = format!("{name}={list}");
            if members(member.as_bytes()).next() != Some(Some((name.as_bytes(), list.as_bytes()))) {
                return Err(format!("`{list}` is no list for the feature `{name}`"));
            }
            features.push(Feature { name: name.as_bytes().into(), list: list.as_bytes().into() });
        }
        Ok(Self { features })
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.merged(std::iter::empty())).into_owned()
    }

    pub(super) fn judge<'a>(&self, values: impl Iterator<Item = &'a [u8]> + Clone) -> Verdict {
        let theirs = values.flat_map(members);
        if !theirs.clone().all(|member| member.is_some()) {
            return Verdict::Replace;
        }
        Verdict::Merge(self.merged(theirs.flatten()))
    }

    /// Ours, each with the narrower list, then theirs. The last one of a name counts, as for browsers.
    fn merged<'a>(&self, theirs: impl Iterator<Item = Member<'a>> + Clone) -> Merged {
        let mut out = Merged::new();
        let mut write = |name: &[u8], list: &[u8]| {
            if !out.is_empty() {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(name);
            out.push(b'=');
            out.extend_from_slice(list);
        };
        for feature in &self.features {
            let given = theirs.clone().filter(|(name, _)| *name == &*feature.name).last().map(|(_, list)| list);
            write(&feature.name, given.filter(|list| is_within(list, &feature.list)).unwrap_or(&feature.list));
        }
        let others = theirs.filter(|(_, list)| !list.is_empty());
        for (name, list) in others.filter(|(name, _)| !self.features.iter().any(|feature| *feature.name == **name)) {
            write(name, list);
        }
        out
    }
}

/// Whether everyone in `inner` is in `outer`.
fn is_within(inner: &[u8], outer: &[u8]) -> bool {
    !inner.is_empty()
        && (items(outer).any(|item| item == b"*") || items(inner).all(|item| items(outer).any(|other| other == item)))
}

/// A list without its parameters.
fn bare(list: &[u8]) -> &[u8] {
    list.split(|b| *b == b';').next().unwrap_or_default().trim_ascii_end()
}

/// The items of `*`, `self`, `()` or `(self "https://a.example")`.
fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let list = bare(list);
    let inside = list.strip_prefix(b"(").and_then(|rest| rest.strip_suffix(b")")).unwrap_or(list);
    inside.split(|b| *b == b' ').filter(|item| !item.is_empty())
}

/// The members of a field; `None` for what is none, after which nothing comes.
fn members(value: &[u8]) -> impl Iterator<Item = Option<Member<'_>>> + Clone {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let now = rest.take()?;
        let (part, after) = match now.iter().position(|b| *b == b',') {
            // no comma stands inside: neither in our lists nor in an origin
            Some(at) => (now.get(..at)?, now.get(at.saturating_add(1)..)),
            None => (now, None),
        };
        let member = member(part.trim_ascii());
        rest = after.filter(|_| member.is_some());
        Some(member)
    })
}

/// One without a list is a truth value, which browsers skip.
fn member(part: &[u8]) -> Option<Member<'_>> {
    let at = part.iter().position(|b| *b == b'=').unwrap_or(part.len());
    let (name, list) = (part.get(..at)?, part.get(at.saturating_add(1)..).unwrap_or_default());
    let (first, others) = name.split_first()?;
    let name_is_fine = (first.is_ascii_lowercase() || *first == b'*')
        && others.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(b));
    let item = |item: &[u8]| {
        let quoted = item.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let origin = |text: &[u8]| text.iter().all(|b| (0x21..=0x7e).contains(b) && !b"\"\\,;()".contains(b));
        matches!(item, b"*" | b"self" | b"src") || quoted.is_some_and(origin)
    };
    let list_is_fine = match bare(list).strip_prefix(b"(") {
        Some(rest) => rest.strip_suffix(b")").is_some() && items(list).all(item),
        None => at == part.len() || item(bare(list)),
    };
    (name_is_fine && list_is_fine).then_some((name, list))
}
