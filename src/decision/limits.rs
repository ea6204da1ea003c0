//! Stage `limits`: would this person pass the number of people's records they may reach within a window?

use super::facts::Facts;
use super::rules::RuleSet;
use super::scope::Scope;
use super::verdict::RuleLine;
use super::{Failure, Outcome};
use crate::domain::access::{AccessRequest, Proof};
use crate::domain::reason::{Reason, ReasonCode};

/// What an access adds to a person's counts, if it is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Positions in `RuleSet::limits` of the counts that the action is charged to.
    pub limits: Vec<usize>,
    /// Positions in the request of the subjects that are left.
    pub subjects: Vec<usize>,
    /// People's records in all: at least as many as different people are left.
    pub records: u64,
}

/// What the counters say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitOutcome {
    /// It fits; where everything before passed, it is reserved.
    Within,
    /// It would pass the limit at this position of `RuleSet::limits`.
    Exceeded(usize),
}

pub(super) fn stage(
    rules: &RuleSet,
    facts: &Facts<'_>,
    scope: &Scope,
    ask: impl FnOnce(&Demand) -> LimitOutcome,
) -> (Outcome, Option<Demand>) {
    let request = facts.request;
    if request.proof == Proof::Workload {
        return (Outcome::Passed, None);
    }
    let limits: Vec<usize> = rules
        .limits
        .iter()
        .enumerate()
        .filter(|(_, limit)| limit.actions.contains(request.action))
        .map(|(position, _)| position)
        .collect();
    if limits.is_empty() {
        return (Outcome::Passed, None);
    }
    if facts.person.is_none() || !scope.is_anything_left() {
        return (Outcome::NotEvaluated, None);
    }
    let demand = Demand {
        limits,
        subjects: scope.subjects.clone(),
        records: allowed_records(request, scope),
    };
    match ask(&demand) {
        LimitOutcome::Within => (Outcome::Passed, Some(demand)),
        LimitOutcome::Exceeded(position) => {
            let failure = match rules.limits.get(position) {
                Some(limit) => Failure::by(
                    Reason::new(ReasonCode::BulkLimitExceeded, &limit.id),
                    RuleLine::Pack(limit.line),
                ),
                None => Failure::of(Reason::new(ReasonCode::BulkLimitExceeded, "")),
            };
            (Outcome::Failed(failure), None)
        }
    }
}

/// How many people's records are left to be read: only what is allowed counts, and one who is named twice is one person.
pub(super) fn allowed_records(request: &AccessRequest, scope: &Scope) -> u64 {
    let positions = scope
        .withheld_subjects
        .iter()
        .map(|withheld| withheld.position);
    let withheld = request.subjects.people(positions);
    request
        .record_count
        .max(request.subjects.all_people())
        .saturating_sub(withheld)
        .max(1)
}
