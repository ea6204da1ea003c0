//! The decision: facts and a rule set in, a verdict out. Nothing else: no socket, no file, no clock, no randomness, and a
//! test in this file says so. Only this room can make a [`Permit`].
//!
//! ```text
//! caller ► network ► two_step ► person ► grant ► subject ► provision ► limits
//! ```
//! Every stage that can be evaluated is evaluated, so that the log tells all that was wrong; the answer gives the reasons
//! of the first that failed.

pub mod entitlements;
pub mod facts;
pub mod rules;
pub mod verdict;

mod caller;
mod conclude;
mod grant;
mod limits;
mod network;
mod obligations;
mod passed;
mod person;
mod provision;
mod record;
mod references;
mod scope;
mod subject;
mod two_step;

pub use caller::is_from_its_blocks;
pub use facts::{CallerFacts, Facts, GenuineTicket, TicketFacts};
pub use limits::{Demand, LimitOutcome};
pub use obligations::{WITHDRAWN, must_be_kept, retention_over};
pub use passed::passed_by;
pub use verdict::{
    Denial, Granted, ObligationKind, Permit, ProvisionRecord, RuleLine, StageVerdict, StepUp,
    Trace, Verdict, Withheld,
};

use crate::domain::reason::{Reason, ReasonCode, Stage};
use facts::Actor;
use rules::RuleSet;
use scope::Scope;

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed(Failure),
    /// What it asks about isn't known, because an earlier stage failed.
    NotEvaluated,
}

/// Why a stage failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The first is the one to act on.
    reasons: Vec<Reason>,
    /// The rule that settled it.
    rule: Option<RuleLine>,
}

impl Failure {
    fn of(reason: Reason) -> Self {
        Self {
            reasons: vec![reason],
            rule: None,
        }
    }

    fn by(reason: Reason, rule: RuleLine) -> Self {
        Self {
            reasons: vec![reason],
            rule: Some(rule),
        }
    }
}

impl From<Result<(), Failure>> for Outcome {
    fn from(result: Result<(), Failure>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(failure) => Self::Failed(failure),
        }
    }
}

/// Decides one access.
///
/// `limit` is asked once, after the other stages: with the demand on the person's counts and whether everything before
/// passed. When it did, `limit` MUST reserve the demand atomically before it says [`LimitOutcome::Within`], so that
/// parallel requests don't pass a limit together; otherwise it MUST only look.
pub fn decide(
    rules: &RuleSet,
    facts: &Facts<'_>,
    limit: impl FnOnce(&Demand, bool) -> LimitOutcome,
) -> Verdict {
    let actor = Actor::of(rules, facts);
    let mut scope = Scope::of(rules, facts.request);
    let mut stages = vec![
        (Stage::Caller, caller::stage(facts)),
        (Stage::Network, network::stage(rules, facts, &mut scope)),
        (Stage::TwoStep, two_step::stage(rules, facts)),
        (Stage::Person, person::stage(rules, facts)),
        (Stage::Grant, grant::stage(rules, facts, &actor, &mut scope)),
        (Stage::Subject, subject::stage(rules, facts, &mut scope)),
        (Stage::Provision, provision::stage(rules, facts, &mut scope)),
    ];
    let passed = stages
        .iter()
        .all(|(_, outcome)| *outcome == Outcome::Passed)
        && scope.is_anything_left();
    let (outcome, demand) = limits::stage(rules, facts, &scope, |demand| limit(demand, passed));
    stages.push((Stage::Limits, outcome));
    conclude::conclude(rules, facts, &actor, scope, stages, demand)
}

/// Whether a person may come in at all, to read the log or to administer: stages `caller` (any system), `network`,
/// `two_step` (the session's own limit) and `person`. `device_admitted` passes the network stage, for a device that the
/// operator admits otherwise.
///
/// # Errors
/// The reason of the first stage that failed.
pub fn admit(rules: &RuleSet, facts: &Facts<'_>, device_admitted: bool) -> Result<(), Reason> {
    let caller = caller::identity(facts).map(|_| ());
    let outcomes = [
        Outcome::from(caller),
        if device_admitted {
            Outcome::Passed
        } else {
            network::stage(rules, facts, &mut Scope::of(rules, facts.request))
        },
        two_step::stage(rules, facts),
        person::stage(rules, facts),
    ];
    for outcome in outcomes {
        match outcome {
            Outcome::Passed => {}
            Outcome::Failed(failure) => {
                let unknown = || Reason::new(ReasonCode::CallerUnknown, "");
                return Err(failure.reasons.into_iter().next().unwrap_or_else(unknown));
            }
            Outcome::NotEvaluated => return Err(Reason::new(ReasonCode::TicketInvalid, "")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_decision_imports_no_runtime_no_wire_no_files_and_no_clock() {
        let room = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/decision");
        let mut folders = vec![room];
        let mut paths = Vec::new();
        while let Some(folder) = folders.pop() {
            for found in std::fs::read_dir(folder).unwrap() {
                let path = found.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    paths.push(path);
                }
            }
        }
        let mut files = 0;
        for path in paths {
            let text = std::fs::read_to_string(&path).unwrap();
            files += 1;
            for word in [
                "tokio",
                "tonic",
                "std::fs",
                "std::net::Tcp",
                "SystemTime",
                "Instant::",
                "getrandom",
                "casbin",
                "crate::proto",
                "crate::log",
                "crate::store",
                "crate::gate",
            ] {
                let found = text
                    .split("#[cfg(test)]") // this very test names them all
                    .next()
                    .unwrap_or_default()
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .any(|line| line.contains(word));
                assert!(!found, "{} speaks of {word}", path.display());
            }
        }
        assert!(files > 10);
    }
}
