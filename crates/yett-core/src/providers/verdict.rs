//! Verified credentials, remembered per worker.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use super::digests::Digests;
use crate::exchange::{Now, Principal};

/// What a verdict is found by: SHA-256 of the whole credential, and the provider as it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential {
    /// SHA-256 of the credential.
    pub digest: [u8; 32],
    /// Hash over everything that is configured about the provider.
    pub provider: u128,
}

impl std::hash::Hash for Credential {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.digest);
    }
}

/// A success, and for how long it counts.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Who it was.
    pub principal: Rc<Principal>,
    /// The keys that vouched; a verdict under any other revision is gone.
    pub trust_revision: u64,
    /// First moment, milliseconds since 1970.
    pub from_ms: u64,
    /// First moment after, milliseconds since 1970.
    pub until_ms: u64,
}

/// Takes the first bytes of a digest, which is spread already. Only successes are stored, so nobody can choose slots.
#[derive(Debug, Default)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().take(8).fold(0, |acc, b| (acc << 8) | u64::from(*b));
    }
}

type Half = HashMap<Credential, Verdict, BuildHasherDefault<DigestHasher>>;

/// Successes only. Two halves: what was used since the halves last changed places, and what was used before.
#[derive(Debug)]
pub struct VerdictCache {
    /// Of the credentials that were verified.
    pub(super) digests: Digests,
    half: usize,
    young: Half,
    old: Half,
}

impl VerdictCache {
    /// At most `entries` (rounded up to an even number; about 120 bytes each beside the principals).
    #[must_use]
    pub fn new(entries: usize) -> Self {
        let half = entries.div_ceil(2);
        let make = || Half::with_capacity_and_hasher(half, BuildHasherDefault::default());
        Self { digests: Digests::default(), half, young: make(), old: make() }
    }

    /// The principal, if this credential was verified under the same keys and still counts. Allocates nothing.
    pub fn get(&mut self, credential: &Credential, trust_revision: u64, now: Now) -> Option<Rc<Principal>> {
        if let Some(verdict) = self.young.get(credential) {
            if verdict.counts(trust_revision, now) {
                return Some(Rc::clone(&verdict.principal));
            }
            self.young.remove(credential);
            return None;
        }
        let verdict = self.old.remove(credential).filter(|verdict| verdict.counts(trust_revision, now))?;
        let principal = Rc::clone(&verdict.principal);
        self.insert(*credential, verdict);
        Some(principal)
    }

    /// Remembers a success.
    pub fn insert(&mut self, credential: Credential, verdict: Verdict) {
        if self.half == 0 {
            return;
        }
        if self.young.len() >= self.half {
            self.old.clear();
            std::mem::swap(&mut self.young, &mut self.old);
        }
        self.young.insert(credential, verdict);
    }

    /// Entries held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Verdict {
    fn counts(&self, trust_revision: u64, now: Now) -> bool {
        self.trust_revision == trust_revision && (self.from_ms..self.until_ms).contains(&now.unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::{Credential, Verdict, VerdictCache};
    use crate::exchange::{AuthenticationMethod, Now, Principal};
    use crate::providers::jwk::sha256;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::rc::Rc;

    fn verdict(subject: &str, trust_revision: u64, from_ms: u64, until_ms: u64) -> Verdict {
        let principal =
            Rc::new(Principal { subject: subject.into(), ..Principal::blank("id".into(), AuthenticationMethod::Jwt) });
        Verdict { principal, trust_revision, from_ms, until_ms }
    }

    fn credential(text: &str, provider: u128) -> Credential {
        Credential { digest: sha256(text.as_bytes()), provider }
    }

    fn at(unix_ms: u64) -> Now {
        Now { monotonic_ns: 0, unix_ms }
    }

    #[test]
    fn time_revision_and_provider_cut_a_verdict() {
        let mut cache = VerdictCache::new(10);
        let token = credential("t", 1);
        let hit = |cache: &mut VerdictCache, c: &Credential, revision, ms| {
            cache.insert(token, verdict("ann", 5, 100, 200));
            cache.get(c, revision, at(ms)).is_some()
        };
        assert!(hit(&mut cache, &token, 5, 100) && hit(&mut cache, &token, 5, 199));
        assert!(!hit(&mut cache, &token, 5, 200) && !hit(&mut cache, &token, 5, 99));
        assert!(!hit(&mut cache, &token, 6, 150) && !hit(&mut cache, &token, 4, 150));
        assert!(!hit(&mut cache, &credential("t", 2), 5, 150));
        assert!(!hit(&mut cache, &credential("u", 1), 5, 150));
    }

    #[test]
    fn no_entries_means_no_entries() {
        let mut cache = VerdictCache::new(0);
        cache.insert(credential("t", 1), verdict("ann", 1, 0, 9));
        assert!(cache.is_empty() && cache.get(&credential("t", 1), 1, at(1)).is_none());
    }

    proptest! {
        #[test]
        fn never_beyond_the_bound_and_never_another_ones_verdict(
            steps in prop::collection::vec((0u32..40, any::<bool>()), 1..300), half in 1usize..8,
        ) {
            let mut cache = VerdictCache::new(half * 2);
            let mut model = HashMap::new();
            for (token, insert) in steps {
                let text = token.to_string();
                let key = credential(&text, 1);
                if insert {
                    cache.insert(key, verdict(&text, 1, 0, 10));
                    model.insert(token, ());
                    prop_assert!(cache.get(&key, 1, at(5)).is_some());
                } else if let Some(found) = cache.get(&key, 1, at(5)) {
                    prop_assert!(model.contains_key(&token));
                    prop_assert_eq!(&*found.subject, text.as_str());
                }
                prop_assert!(cache.len() <= half * 2);
            }
        }
    }
}
