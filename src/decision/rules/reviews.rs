//! When campaigns of review are opened without anybody asking. No decision looks at it.

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// Of the day before.
    Daily,
    /// Of the month before.
    Monthly,
    /// Of the three months before; they begin in January, April, July and October.
    Quarterly,
}

impl Every {
    /// All.
    pub const ALL: [Self; 3] = [Self::Daily, Self::Monthly, Self::Quarterly];

    /// As pack.toml has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Monthly => "monthly",
            Self::Quarterly => "quarterly",
        }
    }
}

/// `[[review]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewSchedule {
    /// Names it in campaigns.
    pub id: Box<str>,
    /// How often.
    pub every: Every,
    /// Of who has which role, instead of accesses.
    pub roles: bool,
    /// Only of these departments; of all where there are none.
    pub departments: Vec<Box<str>>,
    /// In how many days it is due.
    pub due_in_days: u32,
    /// The sample: with this probability …
    pub confidence_percent: u32,
    /// … a misuse in this share of days is in it.
    pub rate_percent: u32,
    /// Line in pack.toml.
    pub line: u32,
}

impl ReviewSchedule {
    /// Bounds of `due_in_days`.
    pub const DUE_DAYS: std::ops::RangeInclusive<u32> = 1..=365;
    /// Bounds of `confidence_percent`.
    pub const CONFIDENCE: std::ops::RangeInclusive<u32> = 50..=99;
    /// Bounds of `rate_percent`.
    pub const RATE: std::ops::RangeInclusive<u32> = 1..=50;
    /// Where nothing is said.
    pub const USUAL_DUE_DAYS: u32 = 14;
    /// Where nothing is said.
    pub const USUAL_CONFIDENCE: u32 = 95;
    /// Where nothing is said.
    pub const USUAL_RATE: u32 = 5;
}
