//! Stage `person`: is the account enabled, the person still employed, trained and pledged?

use super::facts::Facts;
use super::rules::RuleSet;
use super::verdict::RuleLine;
use super::{Failure, Outcome};
use crate::domain::access::Proof;
use crate::domain::person::Person;
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::time::Timestamp;

pub(super) fn stage(rules: &RuleSet, facts: &Facts<'_>) -> Outcome {
    let failed = if facts.request.proof == Proof::Workload {
        let service = match facts.caller.service {
            Some(service) => service,
            None => return Outcome::NotEvaluated,
        };
        service
            .workload_role
            .is_none()
            .then_some(ReasonCode::WorkloadNotAllowed)
    } else {
        let Some(person) = facts.person else {
            return Outcome::NotEvaluated;
        };
        standing(rules, person, facts.locked, facts.now)
    };
    match failed {
        Some(code) => {
            let reason = Reason::new(code, "");
            Outcome::Failed(match rule(rules, facts, code) {
                Some(rule) => Failure::by(reason, rule),
                None => Failure::of(reason),
            })
        }
        None => Outcome::Passed,
    }
}

/// The rule that asks for what is missing; being enabled and employed is asked of everybody, by no rule of a pack.
fn rule(rules: &RuleSet, facts: &Facts<'_>, code: ReasonCode) -> Option<RuleLine> {
    match code {
        ReasonCode::TrainingNotCurrent | ReasonCode::ConfidentialityPledgeMissing => {
            Some(RuleLine::Pack(rules.standing.line))
        }
        ReasonCode::WorkloadNotAllowed => facts
            .caller
            .service
            .map(|service| RuleLine::Pack(service.line)),
        _ => None,
    }
}

/// What is wrong with the person's standing at `now`, by the numbers of the reason codes. A leave is told as a disabled
/// account: that somebody is on leave is no business of the service that asks.
pub(super) fn standing(
    rules: &RuleSet,
    person: &Person,
    locked: bool,
    now: Timestamp,
) -> Option<ReasonCode> {
    if person.disabled || person.is_on_leave(now) {
        Some(ReasonCode::AccountDisabled)
    } else if locked {
        Some(ReasonCode::AccountLocked)
    } else if person.has_ended(now) {
        Some(ReasonCode::EmploymentEnded)
    } else if rules.standing.training && person.trained_until.is_none_or(|until| now > until) {
        Some(ReasonCode::TrainingNotCurrent)
    } else if rules.standing.pledge && !person.pledge.is_given(now) {
        Some(ReasonCode::ConfidentialityPledgeMissing)
    } else {
        None
    }
}
