//! Fields whose values are words with an order from lax to strict.

/// How a browser reads the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Words in any case; every one of them counts.
    All,
    /// Words in any case; the last one that is known counts (Referrer Policy section 8.1).
    Last,
    /// One word in its exact case, once, perhaps with parameters (RFC 9651 section 3.3).
    Item,
}

/// A field and the words for it, the laxest first.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    shape: Shape,
    words: &'static [&'static str],
}

pub(super) const CONTENT_TYPE_OPTIONS: Kind = Kind { name: "x-content-type-options", shape: Shape::All, words: &["nosniff"] };
pub(super) const FRAME_OPTIONS: Kind = Kind { name: "x-frame-options", shape: Shape::All, words: &["SAMEORIGIN", "DENY"] };
/// What other sites learn counts first, then what the own site learns.
pub(super) const REFERRER_POLICY: Kind = Kind {
    name: "referrer-policy",
    shape: Shape::Last,
    words: &[
        "unsafe-url",
        "no-referrer-when-downgrade",
        "origin-when-cross-origin",
        "origin",
        "strict-origin-when-cross-origin",
        "strict-origin",
        "same-origin",
        "no-referrer",
    ],
};
pub(super) const OPENER_POLICY: Kind = Kind {
    name: "cross-origin-opener-policy",
    shape: Shape::Item,
    words: &["unsafe-none", "same-origin-allow-popups", "noopener-allow-popups", "same-origin"],
};
pub(super) const EMBEDDER_POLICY: Kind =
    Kind { name: "cross-origin-embedder-policy", shape: Shape::Item, words: &["unsafe-none", "credentialless", "require-corp"] };
pub(super) const RESOURCE_POLICY: Kind =
    Kind { name: "cross-origin-resource-policy", shape: Shape::Item, words: &["cross-origin", "same-site", "same-origin"] };

impl Kind {
    fn rank(&self, word: &[u8]) -> Option<usize> {
        let word = word.trim_ascii();
        self.words.iter().position(|known| match self.shape {
            Shape::Item => known.as_bytes() == word,
            Shape::All | Shape::Last => known.as_bytes().eq_ignore_ascii_case(word),
        })
    }
}

/// The least that we ask for.
#[derive(Debug)]
pub(super) struct Ranked {
    kind: &'static Kind,
    rank: usize,
}

impl Ranked {
    pub(super) fn build(kind: &'static Kind, value: &str) -> Result<Self, String> {
        match kind.rank(value.as_bytes()) {
            Some(rank) => Ok(Self { kind, rank }),
            None => Err(format!("`{value}` is no value of `{}`; write one of {}", kind.name, kind.words.join(", "))),
        }
    }

    pub(super) fn text(&self) -> &'static str {
        self.kind.words.get(self.rank).copied().unwrap_or_default()
    }

    /// Whether the service's fields, as a browser reads them, are at least as strict.
    pub(super) fn is_met<'a>(&self, mut values: impl Iterator<Item = &'a [u8]> + Clone) -> bool {
        let words = values.clone().flat_map(|value| value.split(|b| *b == b','));
        match self.kind.shape {
            Shape::All => words.map(|word| self.kind.rank(word)).all(|rank| rank >= Some(self.rank)),
            Shape::Last => words.filter_map(|word| self.kind.rank(word)).last() >= Some(self.rank),
            Shape::Item => {
                let item = values.next().and_then(|value| value.split(|b| *b == b';').next());
                values.next().is_none() && item.and_then(|word| self.kind.rank(word)) >= Some(self.rank)
            }
        }
    }
}
