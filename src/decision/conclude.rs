//! From what the stages said to the verdict. The only place that makes a permit.

use std::time::Duration;

use super::facts::{Actor, Facts, TicketFacts};
use super::limits::{self, Demand};
use super::rules::RuleSet;
use super::scope::Scope;
use super::verdict::{ByDecision, Denial, Permit, StageVerdict, StepUp, Trace, Verdict};
use super::{Failure, Outcome, obligations, two_step};
use crate::domain::reason::{Reason, ReasonCode, Stage};
use crate::domain::time::Timestamp;

/// The longest an allowance holds.
pub(super) const VALIDITY_MAX: Duration = Duration::from_secs(60);

/// Allowed when every stage passed and something is left; denied otherwise, whatever happened.
pub(super) fn conclude(
    rules: &RuleSet,
    facts: &Facts<'_>,
    actor: &Actor,
    mut scope: Scope,
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
        None => scope.granted_by().map(|granted| granted.rule),
    };
    let break_glass = scope
        .granted_by()
        .is_some_and(|granted| granted.by_break_glass);
    let denial = (!allowed).then(|| {
        let mut by_stage = failures.iter().map(|failure| failure.reasons.clone());
        let first = by_stage.next();
        let further = by_stage.flatten().collect();
        (first, further)
    });
    let step_up = step_up(rules, facts, &stages);
    let obligations = allowed.then(|| obligations::of(rules, facts, actor, &scope));
    let trace = Trace {
        stages: stages
            .iter()
            .map(|(stage, outcome)| stage_verdict(*stage, outcome))
            .collect(),
        network: scope.network,
        network_exception: scope.network_exception,
        route: scope.route,
        rule,
        break_glass,
        granted: std::mem::take(&mut scope.granted),
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
    let allowed_records = limits::allowed_records(facts.request, &scope);
    let remarks = break_glass
        .then(|| Reason::new(ReasonCode::BreakGlassUsed, ""))
        .into_iter()
        .collect();
    Verdict::Allow(Permit {
        remarks,
        obligations: obligations.unwrap_or_default(),
        valid_until: valid_until(rules, facts, &scope),
        withheld_categories: scope.withheld_categories,
        withheld_subjects: scope.withheld_subjects,
        allowed_records,
        demand,
        trace,
        made: ByDecision(()),
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

/// At most 60 s, never past the session, the freshness of the second step, an end that is noted for the person, or a registered
/// reference that the pack asks for.
fn valid_until(rules: &RuleSet, facts: &Facts<'_>, scope: &Scope) -> Timestamp {
    let mut until = facts.now.plus(VALIDITY_MAX);
    if let TicketFacts::Genuine(ticket) = facts.ticket {
        until = until.min(ticket.expires);
        let freshness = two_step::freshness(rules, facts.request);
        if let (Some((max_age, _)), Some(second_step)) = (freshness, ticket.second_step) {
            until = until.min(second_step.plus(max_age));
        }
    }
    if let Some(person) = facts.person {
        until = until.min(person.unchanged_until(facts.now));
    }
    if let Some(end) = scope.references_until {
        until = until.min(end);
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
