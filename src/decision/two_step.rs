//! Stage `two_step`: is there a valid ticket, bound to this caller, address and session, and is the second step fresh
//! enough for this category and action?

use std::time::Duration;

use super::facts::{Facts, TicketFacts};
use super::rules::RuleSet;
use super::verdict::RuleLine;
use super::{Failure, Outcome};
use crate::domain::access::{AccessRequest, Proof};
use crate::domain::reason::{Reason, ReasonCode};

pub(super) fn stage(rules: &RuleSet, facts: &Facts<'_>) -> Outcome {
    if facts.request.proof == Proof::Workload {
        return Outcome::Passed; // known by its certificate alone
    }
    check(rules, facts).into()
}

fn check(rules: &RuleSet, facts: &Facts<'_>) -> Result<(), Failure> {
    // What a pack says of logins stands where it says how long they last.
    let rule = RuleLine::Pack(rules.session.line);
    let fail = |code| Err(Failure::by(Reason::new(code, ""), rule));
    let ticket = match facts.ticket {
        TicketFacts::Missing => return fail(ReasonCode::TicketMissing),
        TicketFacts::Invalid => return fail(ReasonCode::TicketInvalid),
        TicketFacts::Expired { .. } => return fail(ReasonCode::TicketExpired),
        TicketFacts::Genuine(ticket) => ticket,
    };
    if ticket.revoked || facts.person.is_none() {
        return fail(ReasonCode::TicketRevoked);
    }
    if !ticket.bound {
        return fail(ReasonCode::TicketBindingMismatch);
    }
    let Some(second_step) = ticket.second_step else {
        return fail(ReasonCode::SecondStepRequired);
    };
    match freshness(rules, facts.request) {
        // One that is to come is of no known age.
        Some((max_age, rule))
            if facts
                .now
                .age_of(second_step)
                .is_none_or(|age| age > max_age) =>
        {
            Err(Failure::by(
                Reason::new(ReasonCode::StepUpRequired, ""),
                rule,
            ))
        }
        _ => Ok(()),
    }
}

/// How old the second step may be: the shortest of the rules that apply, and its line. `None` where the session's own
/// limit is all that applies.
pub(super) fn freshness(rules: &RuleSet, request: &AccessRequest) -> Option<(Duration, RuleLine)> {
    rules
        .second_step
        .iter()
        .filter(|rule| rule.actions.is_empty() || rule.actions.contains(request.action))
        .filter(|rule| {
            rule.categories.is_empty()
                || request
                    .categories
                    .iter()
                    .filter_map(|category| rules.categories.id(category))
                    .any(|category| rule.categories.contains(category))
        })
        .min_by_key(|rule| rule.max_age)
        .map(|rule| (rule.max_age, RuleLine::Pack(rule.line)))
}
