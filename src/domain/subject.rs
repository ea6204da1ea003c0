//! What the daemon knows of a person whose data are guarded (本人): holds, dates and references, under a pseudonym.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::reference::{Reference, consent_is_withdrawn};
use super::time::Timestamp;

/// A name that many subjects have in common: the id of a hold, a date or a purpose. Kept once, however many have it.
pub type Word = Arc<str>;

/// Words that were met, each once.
#[derive(Debug, Default)]
pub struct Words(HashSet<Word>);

impl Words {
    /// The one word that is this text.
    pub fn word(&mut self, text: &str) -> Word {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let word = Word::from(text);
        self.0.insert(Arc::clone(&word));
        word
    }
}

/// Keyed pseudonym of a subject: HMAC-SHA-256 of the company-wide id, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym(pub [u8; 32]);

impl Pseudonym {
    /// Reads 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl Pseudonym {
    /// Reads 64 hexadecimal digits, as the log shows them.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes());
        Self::from_bytes(&bytes.ok()?)
    }
}

/// Lower-case hex.
impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is registered for one subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubjectState {
    /// Holds in force, by their id in the pack.
    pub holds: Vec<Word>,
    /// Dates, by their id in the pack.
    pub dates: Vec<(Word, Timestamp)>,
    /// References that are for this subject, withdrawn and ended ones too.
    pub references: Arc<[Reference]>,
}

impl SubjectState {
    /// Whether `hold` is in force.
    #[must_use]
    pub fn has_hold(&self, hold: &str) -> bool {
        self.holds.iter().any(|held| **held == *hold)
    }

    /// The date `date`, where it is registered.
    #[must_use]
    pub fn date(&self, date: &str) -> Option<Timestamp> {
        self.dates
            .iter()
            .find(|(name, _)| **name == *date)
            .map(|(_, at)| *at)
    }

    /// Whether the subject withdrew consent for a purpose, and has not given it anew.
    #[must_use]
    pub fn consent_is_withdrawn(&self, purpose: &str, now: Timestamp) -> bool {
        !self.references.is_empty() && consent_is_withdrawn(&self.references, purpose, now)
    }

    /// Whether nothing is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.dates.is_empty() && self.references.is_empty()
    }

    /// Registers a hold.
    pub fn add_hold(&mut self, hold: &Word) {
        if !self.has_hold(hold) {
            self.holds.push(Arc::clone(hold));
        }
    }

    /// Sets a date, in place of an earlier one.
    pub fn set_date(&mut self, date: &Word, value: Timestamp) {
        self.dates.retain(|(name, _)| *name != *date);
        self.dates.push((Arc::clone(date), value));
    }

    /// Registers a reference or withdraws it, in place of what it was; one that is withdrawn stays so.
    pub fn put_reference(&mut self, reference: Reference) {
        let mut all = self.references.to_vec();
        put_reference(&mut all, reference);
        self.references = all.into();
    }
}

/// Puts a reference in the place of the one of its kind and id; one that is withdrawn stays as it is.
pub fn put_reference(all: &mut Vec<Reference>, reference: Reference) {
    let known = all
        .iter_mut()
        .find(|known| known.kind == reference.kind && known.id == reference.id);
    match known {
        Some(known) if known.withdrawn => {}
        Some(known) if reference.withdrawn => {
            // What it was for is what is withdrawn.
            known.withdrawn = true;
            known.since = reference.since;
        }
        // Registered again it is no newer consent than it was: only another one is.
        Some(known) => {
            *known = Reference {
                since: known.since,
                given: Reference::given_of(known.given, reference.given),
                ..reference
            }
        }
        None => all.push(reference),
    }
}
