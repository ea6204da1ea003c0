//! What an allowance obliges the caller to do.

use time::UtcOffset;

use super::facts::{Actor, Facts};
use super::provision::stopping_hold;
use super::rules::Id;
use super::rules::{KeepRule, RetentionRule, Role, RuleSet};
use super::scope::Scope;
use super::verdict::ObligationKind;
use super::{record, references};
use crate::domain::access::Action;
use crate::domain::subject::SubjectState;
use crate::domain::time::Timestamp;

/// Whether a retention rule's period is over for a subject.
#[must_use]
pub fn retention_over(
    rule: &RetentionRule,
    subject: &SubjectState,
    now: Timestamp,
    utc_offset: UtcOffset,
) -> bool {
    subject
        .date(&rule.date)
        .is_some_and(|from| now > from.plus_years(rule.years, utc_offset))
}

/// Whether a subject's data must still be kept by a rule.
#[must_use]
pub fn must_be_kept(
    rule: &KeepRule,
    subject: &SubjectState,
    now: Timestamp,
    utc_offset: UtcOffset,
) -> bool {
    subject
        .date(&rule.date)
        .is_some_and(|from| now < from.plus_years(rule.years, utc_offset))
}

pub(super) fn of(
    rules: &RuleSet,
    facts: &Facts<'_>,
    actor: &Actor,
    scope: &Scope,
) -> Vec<ObligationKind> {
    let request = facts.request;
    let mut obligations = Vec::new();
    let masked = masked_categories(rules, facts, actor, scope);
    if !masked.is_empty() {
        obligations.push(ObligationKind::Mask(masked));
    }
    if let Some(record) = record::of(rules, facts) {
        obligations.push(ObligationKind::ProvisionRecord(record));
    }
    let broke_glass = scope
        .granted_by()
        .is_some_and(|granted| granted.by_break_glass);
    let within = rules
        .outcomes
        .iter()
        .filter(|rule| rule.actions.contains(request.action) || (rule.break_glass && broke_glass))
        .map(|rule| rule.within)
        .min();
    if let Some(within) = within {
        obligations.push(ObligationKind::ReportOutcomeBy(facts.now.plus(within)));
    }
    if request.subjects.all_people() < request.record_count {
        let held = people_to_leave_out(rules, facts, scope);
        if !held.is_empty() {
            obligations.push(ObligationKind::ExcludeHeld(held));
        }
    }
    obligations
}

/// Items that the actor sees masked, where data are shown to them or taken out.
fn masked_categories(
    rules: &RuleSet,
    facts: &Facts<'_>,
    actor: &Actor,
    scope: &Scope,
) -> Vec<Box<str>> {
    if !matches!(
        facts.request.action,
        Action::Read | Action::Search | Action::Export
    ) {
        return Vec::new();
    }
    let effective: Vec<Id<Role>> = actor
        .roles()
        .unwrap_or_default()
        .iter()
        .filter_map(|role| rules.roles.get(*role))
        .flat_map(|role| role.closure.iter().copied())
        .collect();
    let mut masked: Vec<Box<str>> = scope
        .known_categories()
        .filter_map(|category| rules.categories.get(category))
        .flat_map(|category| &category.masks)
        .filter(|mask| !effective.iter().any(|role| mask.except_to.contains(*role)))
        .map(|mask| rules.categories.name(mask.category).into())
        .collect();
    masked.sort_unstable();
    masked.dedup();
    masked
}

/// Before the purpose, of people who have withdrawn consent for it. No id of a pack has a colon in it.
pub const WITHDRAWN: &str = "withdrawn:";

/// What would refuse this request for a person it doesn't name: holds, retention periods that are over, a consent that was withdrawn.
pub(super) fn people_to_leave_out(
    rules: &RuleSet,
    facts: &Facts<'_>,
    scope: &Scope,
) -> Vec<Box<str>> {
    let request = facts.request;
    let stopped_by = (request.action == Action::Provide)
        .then_some(request.provision.recipient.as_deref())
        .flatten()
        .and_then(|name| rules.recipients.id(name))
        .and_then(|id| rules.recipients.get(id))
        .and_then(|recipient| stopping_hold(recipient, request));
    let kind = request
        .subject_kind
        .as_deref()
        .and_then(|kind| rules.kinds.id(kind));
    let purpose = request
        .purpose
        .as_deref()
        .and_then(|purpose| rules.purposes.id(purpose));
    let retention = rules
        .retention
        .iter()
        .filter(|rule| kind.is_some_and(|kind| rule.kinds.contains(kind)))
        .filter(|rule| {
            !rule.except_actions.contains(request.action)
                && !purpose.is_some_and(|purpose| rule.except_purposes.contains(purpose))
        })
        .map(|rule| rule.id.clone());
    let concerned = |when: &super::rules::When| {
        kind.zip(purpose)
            .is_some_and(|(kind, purpose)| when.is(request, kind, purpose))
    };
    let suspended = rules
        .suspensions
        .iter()
        .filter(|rule| concerned(&rule.when))
        .map(|rule| rule.hold.clone());
    let kept = rules
        .keep
        .iter()
        .filter(|rule| concerned(&rule.when))
        .map(|rule| rule.id.clone());
    let withdrawn = kind.zip(purpose).and_then(|(kind, purpose)| {
        let name = rules.purposes.name(purpose);
        references::withdrawal_counts(rules, facts, scope, (kind, purpose))
            .then(|| format!("{WITHDRAWN}{name}").into_boxed_str())
    });
    let mut held: Vec<Box<str>> = Vec::new();
    for one in stopped_by
        .map(Box::from)
        .into_iter()
        .chain(suspended)
        .chain(retention)
        .chain(kept)
        .chain(withdrawn)
    {
        if !held.contains(&one) {
            held.push(one);
        }
    }
    held
}
