//! What stands out (要確認事項): a finding is one detector's, a case gathers those of one person and day.

use time::Date;

pub use crate::domain::detector::Detector;
use crate::domain::ids::{LogIndex, Name};

/// How many entries a finding names at most; `Finding::entries_in_all` says how many there are.
pub const ENTRIES_NAMED_MAX: usize = 50;

/// What one detector found about one person, or service, on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose finding it is.
    pub detector: Detector,
    /// The numbers and words its sentence tells, by name, in the order in which it tells them: the same for the same
    /// entries, so that a finding can be made anew.
    pub facts: Vec<(&'static str, String)>,
    /// The first of the entries it rests on, ascending, at most [`ENTRIES_NAMED_MAX`].
    pub entries: Vec<LogIndex>,
    /// How many entries it rests on.
    pub entries_in_all: u64,
}

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// A person.
    Person(Name),
    /// A service acting for nobody.
    Workload(Name),
}

/// All that stood out about one person, or service, on one day: what a reviewer opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Who acted.
    pub actor: Actor,
    /// The department at the time, of the first of its entries; empty for a service.
    pub department: String,
    /// The day by the pack's clock.
    pub day: Date,
    /// In the order of [`Detector::ALL`]; at least one.
    pub findings: Vec<Finding>,
}
