//! What looks for what stands out in the access log (要確認事項).

use std::time::Duration;

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

/// The numbers that a detector goes by. It takes those that its defaults have, and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// From which robust z-score on, in tenths.
    pub score: Option<u16>,
    /// From how many on: records, persons, subjects or times, as the detector counts.
    pub least: Option<u64>,
    /// Within how long, or for how long.
    pub within: Option<Duration>,
}

/// 0.6745·(x − median) / MAD from which a value counts as an outlier (Iglewicz and Hoaglin, 1993).
const OUTLIER: u16 = 35;
const MINUTES: u64 = 60;
const DAYS: u64 = 86_400;

impl Detector {
    /// What it goes by where a pack says nothing.
    #[must_use]
    pub const fn defaults(self) -> Thresholds {
        let (score, least, within) = match self {
            Self::VolumeAboveOwn => (Some(OUTLIER), Some(20), None),
            Self::VolumeAboveRole | Self::ExportBurst => (Some(OUTLIER), Some(30), None),
            Self::SubjectSeenByMany => (None, Some(10), None),
            Self::ManySubjects => (Some(OUTLIER), Some(40), None),
            Self::MachinePace => (None, Some(30), Some(2)),
            Self::ChangedAfterDenial => (None, Some(3), Some(15 * MINUTES)),
            Self::DormantReturns => (None, None, Some(60 * DAYS)),
            Self::NotAssigned => (Some(OUTLIER), Some(5), None),
            Self::TwoPlaces => (None, Some(3), Some(10 * MINUTES)),
            Self::OneAddress => (None, Some(10), None),
            Self::RarePurpose => (None, Some(5), None),
            Self::NoOutcome => (None, Some(3), None),
            Self::OutOfHours
            | Self::NewAddress
            | Self::BreakGlass
            | Self::OwnRecord
            | Self::ColleaguesRecord
            | Self::OutcomeLarger
            | Self::DoneAlone
            | Self::ReviewOverdue
            | Self::AttestationOverdue => (None, None, None),
        };
        Thresholds {
            score,
            least,
            within: match within {
                Some(seconds) => Some(Duration::from_secs(seconds)),
                None => None,
            },
        }
    }

    /// Whether a pack may say that it isn't to look: not of what is reviewed in any case.
    #[must_use]
    pub const fn may_be_off(self) -> bool {
        !matches!(
            self,
            Self::BreakGlass | Self::DoneAlone | Self::ReviewOverdue | Self::AttestationOverdue
        )
    }
}
