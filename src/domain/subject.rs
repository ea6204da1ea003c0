//! What the daemon knows of a person whose data are guarded (本人): holds and dates, under a pseudonym.

use std::fmt;

use super::ids::Name;
use super::time::Timestamp;

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
    pub holds: Vec<Name>,
    /// Dates, by their id in the pack.
    pub dates: Vec<(Name, Timestamp)>,
}

impl SubjectState {
    /// Whether `hold` is in force.
    #[must_use]
    pub fn has_hold(&self, hold: &str) -> bool {
        self.holds.iter().any(|held| &**held == hold)
    }

    /// The date `date`, where it is registered.
    #[must_use]
    pub fn date(&self, date: &str) -> Option<Timestamp> {
        self.dates
            .iter()
            .find(|(name, _)| &**name == date)
            .map(|(_, at)| *at)
    }

    /// Whether nothing is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.dates.is_empty()
    }
}
