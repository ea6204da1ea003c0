//! What came of a decision, in the words by which two are compared.

use crate::decision::{ObligationKind, Verdict, Withheld};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;

/// What came of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it was allowed.
    pub allowed: bool,
    /// The first reason of a denial, or the remark of an allowance.
    pub reason: Option<ReasonCode>,
    /// The rule that settled it, `file:line`; empty for none. Lines move: two that differ in it alone are alike.
    pub rule: Box<str>,
    /// Of an allowance: what it obliges to and what it leaves out, sorted.
    pub terms: Vec<Box<str>>,
}

/// How two outcomes differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Denied, and would be allowed.
    Allowed,
    /// Allowed, and would be denied.
    Denied,
    /// Allowed both times, by other terms: obligations, what is withheld, emergency access.
    OtherTerms,
    /// Denied both times, for another first reason.
    OtherReason,
}

impl Change {
    /// All, the gravest first.
    pub const ALL: [Self; 4] = [
        Self::Allowed,
        Self::Denied,
        Self::OtherTerms,
        Self::OtherReason,
    ];

    /// As programs read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::OtherTerms => "other-terms",
            Self::OtherReason => "other-reason",
        }
    }
}

impl Outcome {
    /// Of a verdict that was given at `at`.
    #[must_use]
    pub fn of(verdict: &Verdict, at: Timestamp) -> Self {
        let rule = verdict.trace().rule;
        let rule = rule
            .map_or_else(String::new, |rule| rule.to_string())
            .into();
        match verdict {
            Verdict::Deny(denial) => Self {
                allowed: false,
                reason: denial.reasons.first().map(|reason| reason.code),
                rule,
                terms: Vec::new(),
            },
            Verdict::Allow(permit) => {
                let obligations = permit.obligations.iter();
                let mut terms: Vec<Box<str>> = obligations
                    .map(|kind| obligation(kind, at).into())
                    .collect();
                let withheld = |sort: &str, all: &[Withheld]| {
                    let told = all.iter().map(|one| {
                        format!("without {sort} {}: {}", one.position, one.reason.code).into()
                    });
                    told.collect::<Vec<Box<str>>>()
                };
                terms.extend(withheld("category", &permit.withheld_categories));
                terms.extend(withheld("subject", &permit.withheld_subjects));
                terms.sort_unstable();
                Self {
                    allowed: true,
                    reason: permit.remarks.first().map(|reason| reason.code),
                    rule,
                    terms,
                }
            }
        }
    }

    /// How `new` differs from this one.
    #[must_use]
    pub fn change_to(&self, new: &Self) -> Option<Change> {
        match (self.allowed, new.allowed) {
            (false, true) => Some(Change::Allowed),
            (true, false) => Some(Change::Denied),
            (false, false) => (self.reason != new.reason).then_some(Change::OtherReason),
            (true, true) => {
                (self.reason != new.reason || self.terms != new.terms).then_some(Change::OtherTerms)
            }
        }
    }

    /// Whether this is what the log recorded, which tells no terms.
    pub(super) fn is_recorded_as(&self, recorded: &Self) -> bool {
        (self.allowed, self.reason) == (recorded.allowed, recorded.reason)
    }
}

fn obligation(kind: &ObligationKind, at: Timestamp) -> String {
    match kind {
        ObligationKind::Mask(items) => format!("mask {}", items.join(",")),
        ObligationKind::ProvisionRecord(record) => format!("provision-record {}y", record.years),
        ObligationKind::ReportOutcomeBy(by) => {
            format!("report-outcome within {}s", by.since(at).as_secs())
        }
        ObligationKind::ExcludeHeld(holds) => format!("exclude-held {}", holds.join(",")),
    }
}
