//! What is registered, in memory, for checks to look into: compact, since there may be millions of subjects. Words that many
//! have in common are kept once; of a subject there is its pseudonym, a list of numbers and, where it has references, those.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwap;

use crate::domain::ids::Name;
use crate::domain::reference::Reference;
use crate::domain::subject::{Pseudonym, SubjectState, Word, put_reference};
use crate::domain::time::Timestamp;

const SHARDS: usize = 64;

/// A pseudonym is as good as any hash of it, and nobody chooses one without the key. The first bytes choose the shard.
#[derive(Debug, Default)]
struct ByItself(u64);

impl Hasher for ByItself {
    fn write(&mut self, bytes: &[u8]) {
        if let Some((_, rest)) = bytes.split_at_checked(8)
            && let Some(middle) = rest.first_chunk::<8>()
        {
            self.0 = u64::from_le_bytes(*middle);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

type BySubject<T> = HashMap<Pseudonym, T, BuildHasherDefault<ByItself>>;

/// A hold or a date: 16 bytes.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Microseconds since the epoch; 0 for a hold.
    value: i64,
    /// Number of its id.
    word: u32,
    is_date: bool,
}

#[derive(Debug, Default)]
struct Shard {
    marks: BySubject<Box<[Mark]>>,
    references: BySubject<Arc<[Reference]>>,
}

impl Shard {
    fn state(&self, subject: &Pseudonym, words: &[Word]) -> Option<SubjectState> {
        let marks = self.marks.get(subject);
        let references = self.references.get(subject);
        if marks.is_none() && references.is_none() {
            return None;
        }
        let mut state = SubjectState {
            references: references.map(Arc::clone).unwrap_or_default(),
            ..SubjectState::default()
        };
        for mark in marks.into_iter().flatten() {
            let Some(word) = usize::try_from(mark.word).ok().and_then(|at| words.get(at)) else {
                continue;
            };
            if mark.is_date {
                let value = Timestamp::from_micros(mark.value);
                state.dates.push((Arc::clone(word), value));
            } else {
                state.holds.push(Arc::clone(word));
            }
        }
        Some(state)
    }

    fn put(&mut self, subject: Pseudonym, marks: Box<[Mark]>, references: Arc<[Reference]>) {
        if marks.is_empty() {
            self.marks.remove(&subject);
        } else {
            self.marks.insert(subject, marks);
        }
        if references.is_empty() {
            self.references.remove(&subject);
        } else {
            self.references.insert(subject, references);
        }
    }
}

/// Ids of holds and dates with their numbers. There are as many as packs ever had.
#[derive(Debug, Default)]
struct Numbers {
    by_word: Mutex<HashMap<Word, u32>>,
    words: ArcSwap<Vec<Word>>,
}

impl Numbers {
    fn number(&self, word: &Word) -> u32 {
        let mut by_word = self.by_word.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = by_word.get(word) {
            return *known;
        }
        let mut words = Vec::clone(&self.words.load());
        let number = u32::try_from(words.len()).unwrap_or(u32::MAX);
        words.push(Arc::clone(word));
        self.words.store(Arc::new(words));
        by_word.insert(Arc::clone(word), number);
        number
    }
}

/// What is registered for nobody in particular, by what callers say.
type General = HashMap<Name, Vec<Arc<Reference>>>;

/// What is registered, by pseudonym.
#[derive(Debug)]
pub struct Register {
    shards: Vec<RwLock<Shard>>,
    numbers: Numbers,
    general: RwLock<General>,
    nothing: Arc<SubjectState>,
}

impl Default for Register {
    fn default() -> Self {
        Self::new()
    }
}

impl Register {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            numbers: Numbers::default(),
            general: RwLock::default(),
            nothing: Arc::default(),
        }
    }

    fn shard(&self, subject: &Pseudonym) -> Option<&RwLock<Shard>> {
        let first = subject.0.first().copied().unwrap_or(0);
        self.shards.get(usize::from(first) % SHARDS)
    }

    /// What is registered for a subject now.
    #[must_use]
    pub fn state(&self, subject: &Pseudonym) -> Arc<SubjectState> {
        let found = self.shard(subject).and_then(|shard| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.state(subject, &self.numbers.words.load())
        });
        found.map_or_else(|| Arc::clone(&self.nothing), Arc::new)
    }

    /// What is registered for nobody in particular under what a caller says.
    #[must_use]
    pub fn general(&self, said: &str) -> Vec<Arc<Reference>> {
        let general = self.general.read().unwrap_or_else(PoisonError::into_inner);
        general.get(said).cloned().unwrap_or_default()
    }

    /// How many references are for nobody in particular.
    pub(in crate::gate) fn general_count(&self) -> usize {
        let general = self.general.read().unwrap_or_else(PoisonError::into_inner);
        general.values().map(Vec::len).sum()
    }

    /// Puts all that is registered for a subject in the place of what was.
    pub fn put(&self, subject: Pseudonym, state: &SubjectState) {
        let marks = self.marks(state);
        if let Some(shard) = self.shard(&subject) {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.put(subject, marks, Arc::clone(&state.references));
        }
    }

    /// Puts all that is registered for nobody in particular under one id in the place of what was.
    pub fn put_general(&self, id: &Name, references: Vec<Reference>) {
        let mut general = self.general.write().unwrap_or_else(PoisonError::into_inner);
        if references.is_empty() {
            general.remove(id);
        } else {
            let all = references.into_iter().map(Arc::new).collect();
            general.insert(id.clone(), all);
        }
    }

    /// Registers or withdraws one that is for nobody in particular.
    pub(in crate::gate) fn change_general(&self, reference: Reference) {
        let id = reference.id.clone();
        let known = self.general(&id);
        let mut known: Vec<Reference> = known.iter().map(|one| Reference::clone(one)).collect();
        put_reference(&mut known, reference);
        self.put_general(&id, known);
    }

    /// Takes over what another holds, a part at a time.
    pub(in crate::gate) fn replace(&self, anew: &Self) {
        let words = anew.numbers.words.load();
        for (shard, anew) in self.shards.iter().zip(&anew.shards) {
            let mut anew = anew.write().unwrap_or_else(PoisonError::into_inner);
            let mut anew = std::mem::take(&mut *anew);
            // The other has numbers of its own.
            for mark in anew.marks.values_mut().flatten() {
                let at = usize::try_from(mark.word).unwrap_or(usize::MAX);
                if let Some(word) = words.get(at) {
                    mark.word = self.numbers.number(word);
                }
            }
            *shard.write().unwrap_or_else(PoisonError::into_inner) = anew;
        }
        let mut general = anew.general.write().unwrap_or_else(PoisonError::into_inner);
        *self.general.write().unwrap_or_else(PoisonError::into_inner) =
            std::mem::take(&mut *general);
    }

    /// Changes what is registered for a subject.
    pub fn change(&self, subject: Pseudonym, change: impl FnOnce(&mut SubjectState)) {
        if let Some(shard) = self.shard(&subject) {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            let words = self.numbers.words.load();
            let mut state = shard.state(&subject, &words).unwrap_or_default();
            drop(words);
            change(&mut state);
            let marks = self.marks(&state);
            shard.put(subject, marks, state.references);
        }
    }

    fn marks(&self, state: &SubjectState) -> Box<[Mark]> {
        let holds = state.holds.iter().map(|hold| Mark {
            value: 0,
            word: self.numbers.number(hold),
            is_date: false,
        });
        let dates = state.dates.iter().map(|(date, value)| Mark {
            value: value.micros(),
            word: self.numbers.number(date),
            is_date: true,
        });
        holds.chain(dates).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reference::ReferenceKind;

    fn pseudonym(first: u8, middle: u8) -> Pseudonym {
        let mut bytes = [first; 32];
        bytes[8] = middle;
        Pseudonym(bytes)
    }

    fn reference(id: &str) -> Reference {
        Reference {
            kind: ReferenceKind::Notice,
            id: Name::parse(id).unwrap(),
            purposes: [Word::from("p")].into(),
            until: None,
            since: Timestamp::from_seconds(1),
            given: None,
            withdrawn: false,
        }
    }

    fn state() -> SubjectState {
        SubjectState {
            holds: vec!["stop".into(), "same".into()],
            dates: vec![("same".into(), Timestamp::from_seconds(-5))],
            references: [reference("r")].into(),
        }
    }

    #[test]
    fn what_is_put_is_what_is_found_and_nothing_is_left_of_what_went() {
        let register = Register::new();
        let (one, other) = (pseudonym(1, 1), pseudonym(1, 2));
        assert!(register.state(&one).is_empty());
        register.put(one, &state());
        assert_eq!(*register.state(&one), state());
        assert!(register.state(&other).is_empty());
        register.change(other, |state| state.add_hold(&"stop".into()));
        register.change(one, |state| *state = SubjectState::default());
        assert!(register.state(&one).is_empty());
        assert!(register.state(&other).has_hold("stop"));
        let shard = register.shard(&one).unwrap().read().unwrap();
        assert_eq!((shard.marks.len(), shard.references.len()), (1, 0));
    }

    #[test]
    fn what_another_holds_is_taken_over_whatever_it_numbers_its_words() {
        let register = Register::new();
        register.put(pseudonym(9, 9), &state());
        register.put_general(&Name::parse("old").unwrap(), vec![reference("old")]);
        let anew = Register::new();
        let other = SubjectState {
            holds: vec!["same".into()],
            dates: vec![("stop".into(), Timestamp::from_seconds(7))],
            ..SubjectState::default()
        };
        anew.put(pseudonym(1, 1), &other);
        anew.change_general(reference("new"));
        register.replace(&anew);
        assert_eq!(*register.state(&pseudonym(1, 1)), other);
        assert!(register.state(&pseudonym(9, 9)).is_empty());
        assert!(register.general("old").is_empty());
        assert_eq!(register.general("new").len(), 1);
    }
}
