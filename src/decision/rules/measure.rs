//! Safety-management measures (安全管理措置, APPI Art. 23): what a policy promises, who answers for it, and what shows it.

use super::{Id, Role};
use crate::domain::calendar::Period;

/// What enforces or records a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// From where people work and services connect.
    Networks,
    /// Two-step verification.
    TwoStep,
    /// Who sees which categories, for what.
    Categories,
    /// Training and the confidentiality pledge.
    Standing,
    /// How many people's records one person reaches.
    Limits,
    /// The access log.
    Log,
}

impl Mechanism {
    /// All.
    pub const ALL: [Self; 6] = [
        Self::Networks,
        Self::TwoStep,
        Self::Categories,
        Self::Standing,
        Self::Limits,
        Self::Log,
    ];

    /// As pack.toml has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Networks => "networks",
            Self::TwoStep => "two-step",
            Self::Categories => "categories",
            Self::Standing => "standing",
            Self::Limits => "limits",
            Self::Log => "log",
        }
    }
}

/// How it is shown that a measure is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeasureKind {
    /// The rules in force do it.
    Enforced(Mechanism),
    /// It is seen in the log.
    Recorded(Mechanism),
    /// A person attests it.
    Attested {
        /// How often.
        every: Period,
        /// What document is asked for, in English.
        asked_for: Box<str>,
        /// What document is asked for, in Japanese.
        asked_for_ja: Box<str>,
    },
    /// Nothing here knows of it.
    Outside,
}

impl MeasureKind {
    /// As pack.toml has them.
    pub const NAMES: [&'static str; 4] = ["enforced", "recorded", "attested", "outside"];

    /// As pack.toml has it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Enforced(_) => "enforced",
            Self::Recorded(_) => "recorded",
            Self::Attested { .. } => "attested",
            Self::Outside => "outside",
        }
    }

    /// What enforces or records it.
    #[must_use]
    pub const fn mechanism(&self) -> Option<Mechanism> {
        match self {
            Self::Enforced(by) | Self::Recorded(by) => Some(*by),
            Self::Attested { .. } | Self::Outside => None,
        }
    }
}

/// A measure. Its promise is that of its line.
#[derive(Debug, Clone)]
pub struct Measure {
    /// Names it in entries.
    pub id: Box<str>,
    /// Who answers for it.
    pub owner: Id<Role>,
    /// How it is shown.
    pub kind: MeasureKind,
    /// Line in pack.toml.
    pub line: u32,
}
