//! The verdict: a permit or a denial, with the trace that the log keeps.

use std::time::Duration;

use super::facts::{Actor, Facts, TicketFacts};
use super::limits::Demand;
use super::rules::{Id, Network, Route, RuleSet};
use super::scope::Scope;
use super::{Failure, Outcome, obligations, two_step};
use crate::domain::reason::{Reason, ReasonCode, Stage};
use crate::domain::time::Timestamp;

/// The longest an allowance holds.
pub const VALIDITY_MAX: Duration = Duration::from_secs(60);

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

/// What an allowance obliges to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObligationKind {
    /// Show these categories masked.
    Mask(Vec<Box<str>>),
    /// Keep a record of the provision (APPI Art. 29).
    ProvisionRecord {
        /// For at least so long.
        keep_until: Timestamp,
    },
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

/// What the stages found on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// All eight, in order.
    pub stages: Vec<StageVerdict>,
    /// The network that admitted the device.
    pub network: Option<Id<Network>>,
    /// On which ground data would go out.
    pub route: Option<Route>,
    /// The rule that settled the decision.
    pub rule: Option<RuleLine>,
    /// Whether break glass passed over a missing grant.
    pub break_glass: bool,
}

/// Only this file can make one, so only a decision makes a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decision(());

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
    /// What was reserved on the person's counts.
    pub demand: Option<Demand>,
    /// How it came about.
    pub trace: Trace,
    made_by: Decision,
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

/// Allowed when every stage passed and something is left; denied otherwise, whatever happened.
pub(super) fn conclude(
    rules: &RuleSet,
    facts: &Facts<'_>,
    actor: &Actor,
    scope: Scope,
    stages: Vec<(Stage, Outcome)>,
    demand: Option<Demand>,
) -> Verdict {
    let allowed = scope.is_anything_left()
        && stages.len() == Stage::ALL.len()
        && stages
            .iter()
            .all(|(_, outcome)| *outcome == Outcome::Passed);
    let failures: Vec<&Failure> = stages
        .iter()
        .filter_map(|(_, outcome)| match outcome {
            Outcome::Failed(failure) => Some(failure),
            Outcome::Passed | Outcome::NotEvaluated => None,
        })
        .collect();
    let rule = match failures.first() {
        Some(failure) => failure.rule,
        None => scope.rule,
    };
    let denial = (!allowed).then(|| {
        let mut by_stage = failures.iter().map(|failure| failure.reasons.clone());
        let first = by_stage.next();
        let further = by_stage.flatten().collect();
        (first, further)
    });
    let step_up = step_up(rules, facts, &stages);
    let trace = Trace {
        stages: stages
            .iter()
            .map(|(stage, outcome)| stage_verdict(*stage, outcome))
            .collect(),
        network: scope.network,
        route: scope.route,
        rule,
        break_glass: scope.break_glass,
    };
    if let Some((first, further_reasons)) = denial {
        return Verdict::Deny(Denial {
            // A stage that can't be evaluated is behind one that failed; were it not so, nobody is known to be allowed.
            reasons: first.unwrap_or_else(|| vec![Reason::new(ReasonCode::CallerUnknown, "")]),
            further_reasons,
            step_up,
            trace,
        });
    }
    let remarks = scope
        .break_glass
        .then(|| Reason::new(ReasonCode::BreakGlassUsed, ""))
        .into_iter()
        .collect();
    Verdict::Allow(Permit {
        remarks,
        obligations: obligations::of(rules, facts, actor, &scope),
        valid_until: valid_until(rules, facts),
        withheld_categories: scope.withheld_categories,
        withheld_subjects: scope.withheld_subjects,
        demand,
        trace,
        made_by: Decision(()),
    })
}

fn stage_verdict(stage: Stage, outcome: &Outcome) -> StageVerdict {
    let (passed, reasons, rule) = match outcome {
        Outcome::Passed => (Some(true), Vec::new(), None),
        Outcome::Failed(failure) => (Some(false), failure.reasons.clone(), failure.rule),
        Outcome::NotEvaluated => (None, Vec::new(), None),
    };
    StageVerdict {
        stage,
        passed,
        reasons,
        rule,
    }
}

/// At most 60 s, never past the session or the freshness of the second step.
fn valid_until(rules: &RuleSet, facts: &Facts<'_>) -> Timestamp {
    let mut until = facts.now.plus(VALIDITY_MAX);
    if let TicketFacts::Genuine(ticket) = facts.ticket {
        until = until.min(ticket.expires);
        let freshness = two_step::freshness(rules, facts.request);
        if let (Some((max_age, _)), Some(second_step)) = (freshness, ticket.second_step) {
            until = until.min(second_step.plus(max_age));
        }
    }
    until
}

/// Present when the second step is all that is missing.
fn step_up(rules: &RuleSet, facts: &Facts<'_>, stages: &[(Stage, Outcome)]) -> Option<StepUp> {
    let mut cured = false;
    for (stage, outcome) in stages {
        if let Outcome::Failed(failure) = outcome {
            let by_step_up = *stage == Stage::TwoStep
                && match failure.reasons.first().map(|reason| reason.code) {
                    Some(ReasonCode::StepUpRequired | ReasonCode::SecondStepRequired) => true,
                    Some(ReasonCode::TicketExpired) => {
                        facts.ticket == TicketFacts::Expired { may_step_up: true }
                    }
                    _ => false,
                };
            if !by_step_up {
                return None;
            }
            cured = true;
        }
    }
    let max_age = two_step::freshness(rules, facts.request)
        .map_or(rules.session.absolute, |(max_age, _)| max_age);
    cured.then_some(StepUp { max_age })
}
