//! What introspection endpoints said, remembered for the whole process within a bound.

use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::outbound::Halves;
use crate::providers::json;
use crate::providers::verdict::DigestHasher;
use crate::reason::Reason;

/// Answers before the first configuration says otherwise.
const DEFAULT_ENTRIES: u32 = 10_000;

/// What is asked: SHA-256 of the token, and the number of the source within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// Which source; numbers never come again.
    pub source: u64,
}

impl std::hash::Hash for Question {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(&self.digest);
    }
}

/// What a source said of a token.
#[derive(Debug, Clone)]
pub enum Said {
    /// `"active": true`, with everything else that stood there: as text, which takes a fraction of what it is read to.
    Active(Arc<[u8]>),
    /// `"active": false`
    Inactive,
}

/// An answer, and when its question was sent.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was said.
    pub said: Said,
    /// When it was asked: it may have been revoked since.
    pub asked: Instant,
}

impl Answer {
    /// What an issuer says of an active token.
    ///
    /// # Errors
    /// `token_inactive`; `internal` where the text cannot be read any more.
    pub fn claims(&self) -> Result<Map<String, Value>, Reason> {
        match &self.said {
            Said::Inactive => Err(Reason::TokenInactive),
            Said::Active(text) => json::object(text).ok_or(Reason::Internal),
        }
    }

    fn bytes(&self) -> usize {
        match &self.said {
            Said::Inactive => 0,
            Said::Active(text) => text.len(),
        }
    }
}

type Kept = Halves<Question, Answer, BuildHasherDefault<DigestHasher>>;

/// Answers of all sources. Those that deny have a part of their own, so that invented tokens push out no real one.
#[derive(Debug)]
pub struct Answers {
    active: Mutex<Kept>,
    inactive: Mutex<Kept>,
    entries: std::sync::atomic::AtomicU32,
}

impl Default for Answers {
    fn default() -> Self {
        Self { active: Mutex::default(), inactive: Mutex::default(), entries: DEFAULT_ENTRIES.into() }
    }
}

impl Answers {
    /// Entries of each part from now on, about 2 KiB each at most; what is there beyond it goes as new ones come.
    pub fn set_entries(&self, entries: u32) {
        self.entries.store(entries, std::sync::atomic::Ordering::Relaxed);
    }

    /// An answer whose question is at most so old.
    #[must_use]
    pub fn get(&self, question: &Question, active_max_age: Duration, inactive_max_age: Duration) -> Option<Answer> {
        let fresh = |part: &Mutex<Kept>, max_age: Duration| {
            let found = part.lock().unwrap_or_else(PoisonError::into_inner).get(question).cloned()?;
            (found.asked.elapsed() < max_age).then_some(found)
        };
        // of two answers the denying one counts: `insert` leaves only the younger one, but not at one moment
        fresh(&self.inactive, inactive_max_age).or_else(|| fresh(&self.active, active_max_age))
    }

    /// Remembers an answer, unless a younger question was answered already.
    pub fn insert(&self, question: Question, answer: &Answer) {
        let entries = self.entries.load(std::sync::atomic::Ordering::Relaxed) as usize;
        let outdates = |part: &Mutex<Kept>| -> bool {
            let mut kept = part.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.get(&question).is_some_and(|other| other.asked > answer.asked) {
                return false;
            }
            kept.remove(&question);
            true
        };
        if !outdates(&self.active) || !outdates(&self.inactive) {
            return;
        }
        let part = if matches!(answer.said, Said::Active(_)) { &self.active } else { &self.inactive };
        part.lock().unwrap_or_else(PoisonError::into_inner).insert(question, answer.clone(), answer.bytes(), entries);
    }

    /// Entries held: active, inactive.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        let count = |part: &Mutex<Kept>| part.lock().unwrap_or_else(PoisonError::into_inner).len();
        (count(&self.active), count(&self.inactive))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn question(number: u64) -> Question {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        Question { digest, source: 1 }
    }

    fn answer(active: bool, asked: Instant, bytes: usize) -> Answer {
        Answer { said: if active { Said::Active(vec![b' '; bytes].into()) } else { Said::Inactive }, asked }
    }

    fn found(answers: &Answers, number: u64) -> Option<bool> {
        answers.get(&question(number), LONG, LONG).map(|answer| matches!(answer.said, Said::Active(_)))
    }

    #[test]
    fn the_younger_answer_counts_whichever_comes_first() {
        let (answers, now) = (Answers::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        answers.insert(question(1), &answer(true, now, 9));
        assert_eq!(found(&answers, 1), Some(true));
        answers.insert(question(1), &answer(false, later, 9));
        answers.insert(question(1), &answer(true, now, 9));
        assert_eq!(found(&answers, 1), Some(false));
        assert_eq!(answers.len(), (0, 1));
        assert_eq!(found(&answers, 2), None);
        assert!(answers.get(&Question { source: 2, ..question(1) }, LONG, LONG).is_none());
    }

    #[test]
    fn an_answer_counts_for_its_time() {
        let answers = Answers::default();
        let past = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        answers.insert(question(1), &answer(true, past, 9));
        let get = |seconds| answers.get(&question(1), Duration::from_secs(seconds), Duration::ZERO);
        assert!(get(11).is_some() && get(10).is_none() && get(0).is_none());
        answers.insert(question(2), &answer(true, Instant::now(), 9));
        assert!(answers.get(&question(2), Duration::ZERO, Duration::ZERO).is_none(), "nothing is fresh enough for 0 s");
    }

    #[test]
    fn entries_and_bytes_are_bounded_and_junk_pushes_out_no_real_one() {
        let answers = Answers::default();
        answers.set_entries(10);
        answers.insert(question(0), &answer(true, Instant::now(), 9));
        for number in 1..1000 {
            answers.insert(question(number), &answer(false, Instant::now(), 20));
        }
        assert_eq!(answers.len().0, 1);
        assert!(answers.len().1 <= 10 && found(&answers, 999) == Some(false) && found(&answers, 1).is_none());
        assert_eq!(found(&answers, 0), Some(true));
        for number in 0..100 {
            answers.insert(question(number), &answer(true, Instant::now(), 8192));
        }
        assert!(answers.len().0 <= 2, "{:?}", answers.len());
        answers.set_entries(0);
        answers.insert(question(2000), &answer(true, Instant::now(), 1));
        assert_eq!(found(&answers, 2000), None);
    }
}
