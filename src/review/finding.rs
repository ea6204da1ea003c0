//! What stands out (要確認事項): a finding is one detector's, a case gathers those of one person and day.

use time::Date;

use crate::domain::ids::{LogIndex, Name};

/// What looks for something. The words are in packs, entries and reports, so they stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detector {
    /// More people's records in a day than the person's own past days would let expect.
    VolumeAboveOwn,
    /// More people's records in a day than those of the same role.
    VolumeAboveRole,
    /// One subject seen by many persons.
    SubjectSeenByMany,
    /// Many subjects seen by one person.
    ManySubjects,
    /// Subject after subject at a machine's pace.
    MachinePace,
    /// A denial, then an allowance for the same subject after changing the purpose or the category.
    ChangedAfterDenial,
    /// At an hour or on a day at which the person doesn't work.
    OutOfHours,
    /// From an address block that the person wasn't seen at.
    NewAddress,
    /// An account that wasn't used for long.
    DormantReturns,
    /// Break glass. Always reviewed, whatever a pack sets.
    BreakGlass,
    /// An item whose review is overdue.
    ReviewOverdue,
    /// Exports in a burst.
    ExportBurst,
    /// Somebody whom the person isn't assigned to (担当外).
    NotAssigned,
    /// Their own record.
    OwnRecord,
    /// The record of a colleague.
    ColleaguesRecord,
    /// One account in two places at once.
    TwoPlaces,
    /// All people of a service come from one address.
    OneAddress,
    /// A purpose that is rare for the role.
    RarePurpose,
    /// An allowance whose outcome was never reported.
    NoOutcome,
    /// More was read than had been allowed.
    OutcomeLarger,
    /// What takes two was done by one alone.
    DoneAlone,
    /// What a person attests is overdue.
    AttestationOverdue,
}

impl Detector {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 22] = [
        Self::BreakGlass,
        Self::VolumeAboveOwn,
        Self::VolumeAboveRole,
        Self::SubjectSeenByMany,
        Self::ManySubjects,
        Self::MachinePace,
        Self::ChangedAfterDenial,
        Self::OutOfHours,
        Self::NewAddress,
        Self::DormantReturns,
        Self::ExportBurst,
        Self::NotAssigned,
        Self::OwnRecord,
        Self::ColleaguesRecord,
        Self::TwoPlaces,
        Self::OneAddress,
        Self::RarePurpose,
        Self::NoOutcome,
        Self::OutcomeLarger,
        Self::DoneAlone,
        Self::ReviewOverdue,
        Self::AttestationOverdue,
    ];

    /// Its word in packs, entries and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::VolumeAboveOwn => "volume-above-own",
            Self::VolumeAboveRole => "volume-above-role",
            Self::SubjectSeenByMany => "subject-seen-by-many",
            Self::ManySubjects => "many-subjects",
            Self::MachinePace => "machine-pace",
            Self::ChangedAfterDenial => "changed-after-denial",
            Self::OutOfHours => "out-of-hours",
            Self::NewAddress => "new-address",
            Self::DormantReturns => "dormant-returns",
            Self::BreakGlass => "break-glass",
            Self::ReviewOverdue => "review-overdue",
            Self::ExportBurst => "export-burst",
            Self::NotAssigned => "not-assigned",
            Self::OwnRecord => "own-record",
            Self::ColleaguesRecord => "colleagues-record",
            Self::TwoPlaces => "two-places",
            Self::OneAddress => "one-address",
            Self::RarePurpose => "rare-purpose",
            Self::NoOutcome => "no-outcome",
            Self::OutcomeLarger => "outcome-larger",
            Self::DoneAlone => "done-alone",
            Self::AttestationOverdue => "attestation-overdue",
        }
    }

    /// The detector of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }
}

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
