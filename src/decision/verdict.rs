//! The verdict: a permit or a denial, with the trace that the log keeps.

use std::time::Duration;

use ipnet::IpNet;

use super::limits::Demand;
use super::rules::{Id, Network, Party, Route};
use crate::domain::reason::{Reason, Stage};
use crate::domain::time::Timestamp;

/// A line of the pack that settled something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleLine {
    /// Of pack.toml.
    Pack(u32),
    /// Of policy.csv.
    Grants(u32),
}

impl std::fmt::Display for RuleLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pack(line) => write!(f, "pack.toml:{line}"),
            Self::Grants(line) => write!(f, "policy.csv:{line}"),
        }
    }
}

/// What one stage said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageVerdict {
    /// Which stage.
    pub stage: Stage,
    /// `None` where it could not be evaluated.
    pub passed: Option<bool>,
    /// Why it failed.
    pub reasons: Vec<Reason>,
    /// The rule that settled it.
    pub rule: Option<RuleLine>,
}

/// A category or subject that is left out of a partial allowance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// Position in the request.
    pub position: usize,
    /// Why.
    pub reason: Reason,
}

/// The record of a provision, beside what the request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionRecord {
    /// How many years it is kept.
    pub years: u16,
    /// Until when that is.
    pub keep_until: Timestamp,
    /// To whom.
    pub party: Party,
    /// Where that is, ISO 3166-1 alpha-2.
    pub country: Box<str>,
}

/// What an allowance obliges to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObligationKind {
    /// Show these categories masked.
    Mask(Vec<Box<str>>),
    /// Keep a record of the provision (APPI Art. 29).
    ProvisionRecord(ProvisionRecord),
    /// Report what came of it.
    ReportOutcomeBy(Timestamp),
    /// Leave out people under these holds.
    ExcludeHeld(Vec<Box<str>>),
}

/// A fresh second step would change the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepUp {
    /// Not older than this.
    pub max_age: Duration,
}

/// What grants a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// Position of the category in the request.
    pub position: usize,
    /// The line that grants it.
    pub rule: RuleLine,
    /// It passed over a missing grant.
    pub by_break_glass: bool,
}

/// What the stages found on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// All eight, in order.
    pub stages: Vec<StageVerdict>,
    /// The network that admitted the device.
    pub network: Option<Id<Network>>,
    /// Or the block of a person's exception that did.
    pub network_exception: Option<IpNet>,
    /// On which ground data would go out.
    pub route: Option<Route>,
    /// The rule that settled the decision.
    pub rule: Option<RuleLine>,
    /// Whether break glass passed over a missing grant.
    pub break_glass: bool,
    /// What grants each category that was looked at; empty where the stage did not come so far.
    pub granted: Vec<Granted>,
}

/// Only this room can make one, and so a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::decision) struct ByDecision(pub(in crate::decision) ());

/// An allowance. Only `decision` can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// Remarks, e.g. that break glass was used.
    pub remarks: Vec<Reason>,
    /// What it obliges to.
    pub obligations: Vec<ObligationKind>,
    /// Until when it holds.
    pub valid_until: Timestamp,
    /// Categories left out.
    pub withheld_categories: Vec<Withheld>,
    /// Subjects left out.
    pub withheld_subjects: Vec<Withheld>,
    /// How many people's records it is for.
    pub allowed_records: u64,
    /// What was reserved on the person's counts, for who wants to follow them.
    pub demand: Option<Demand>,
    /// How it came about.
    pub trace: Trace,
    pub(in crate::decision) made: ByDecision,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Of the first stage that failed; at least one.
    pub reasons: Vec<Reason>,
    /// Of the stages after it.
    pub further_reasons: Vec<Reason>,
    /// Whether a fresh second step would change the answer.
    pub step_up: Option<StepUp>,
    /// How it came about.
    pub trace: Trace,
}

/// Allowed or denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed.
    Allow(Permit),
    /// Denied.
    Deny(Denial),
}

impl Verdict {
    /// How it came about.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        match self {
            Self::Allow(permit) => &permit.trace,
            Self::Deny(denial) => &denial.trace,
        }
    }

    /// Whether it is an allowance.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }
}
