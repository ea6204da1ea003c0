//! Stage `subject`: may these data of this person be used at all: a claimed exception, consent, what the person asked for, holds,
//! retention? Within it the order is that of the codes' numbers, after what a claimed exception lacks.

use super::facts::Facts;
use super::obligations::{must_be_kept, people_to_leave_out, retention_over};
use super::references::{self, Withdrawn};
use super::rules::RuleSet;
use super::scope::Scope;
use super::verdict::RuleLine;
use super::{Failure, Outcome};
use crate::domain::access::LegalException;
use crate::domain::reason::{Reason, ReasonCode, Stage};

pub(super) fn stage(rules: &RuleSet, facts: &Facts<'_>, scope: &mut Scope) -> Outcome {
    let request = facts.request;
    let kind = request
        .subject_kind
        .as_deref()
        .and_then(|kind| rules.kinds.id(kind));
    let purpose = request
        .purpose
        .as_deref()
        .and_then(|purpose| rules.purposes.id(purpose));
    match (kind, purpose) {
        (Some(kind), Some(purpose)) if scope.is_anything_left() => {
            check(rules, facts, scope, (kind, purpose)).into()
        }
        _ => Outcome::NotEvaluated,
    }
}

type KindAndPurpose = (
    super::rules::Id<super::rules::Kind>,
    super::rules::Id<super::rules::Purpose>,
);

fn check(
    rules: &RuleSet,
    facts: &Facts<'_>,
    scope: &mut Scope,
    (kind, purpose_id): KindAndPurpose,
) -> Result<(), Failure> {
    let request = facts.request;
    let exception = valid_exception(rules, facts)?;
    all_is_known(rules, facts, scope, (kind, purpose_id))?;
    let purpose_name = rules.purposes.name(purpose_id);
    let withdrawn = Withdrawn::of(facts, purpose_name);
    let counting = || {
        rules
            .consents
            .iter()
            .filter(move |rule| rule.when.is(request, kind, purpose_id))
    };

    let is_special = |id: Option<super::rules::Id<super::rules::Category>>| {
        id.and_then(|id| rules.categories.get(id))
            .is_some_and(|category| category.special_care)
    };
    let given = withdrawn.consent(facts, scope);
    scope.check_categories(|position, id| {
        let special = is_special(id);
        let denial = counting()
            .filter(|rule| special && rule.special_care)
            .find_map(|rule| Some((rule.denies(request, given, exception)?, rule.line)));
        match denial {
            Some((code, line)) => Err(Failure::by(
                Reason::new(
                    code,
                    request.categories.get(position).map_or("", |name| name),
                ),
                RuleLine::Pack(line),
            )),
            None => Ok(()),
        }
    })?;

    let mut left = scope.categories.iter().copied();
    let special = left.find(|(_, id)| is_special(*id));
    if let Some((position, _)) = special {
        let about = request.categories.get(position).map_or("", |name| name);
        let rules = counting().filter(|rule| rule.special_care);
        withdrawn.check(facts, scope, exception, (rules, |_| true), about)?;
    }

    let consent = |scope: &mut Scope, asked: ReasonCode| {
        let of_stage = || {
            counting().filter(|rule| !rule.special_care && rule.denial.stage() == Stage::Subject)
        };
        let given = withdrawn.consent(facts, scope);
        let denial = of_stage().find(|rule| rule.denies(request, given, exception) == Some(asked));
        if let Some(rule) = denial {
            return Err(Failure::by(
                Reason::new(asked, purpose_name),
                RuleLine::Pack(rule.line),
            ));
        }
        let rules = (of_stage(), |code| code == asked);
        withdrawn.check(facts, scope, exception, rules, purpose_name)
    };
    consent(scope, ReasonCode::ConsentRequired)?;
    consent(scope, ReasonCode::ConsentWithdrawn)?;

    let purpose = rules.purposes.get(purpose_id);
    if let Some(purpose) = purpose {
        let needed = purpose.needs_exception;
        let met =
            needed.is_empty() || exception.is_some_and(|exception| needed.contains(exception));
        if !met {
            return Err(Failure::by(
                Reason::new(ReasonCode::LegalBasisRefRequired, purpose_name),
                RuleLine::Pack(purpose.line),
            ));
        }
    }

    suspended(
        rules,
        facts,
        scope,
        (kind, purpose_id),
        ReasonCode::UseSuspended,
    )?;
    retention(rules, facts, scope, (kind, purpose_id))?;
    suspended(
        rules,
        facts,
        scope,
        (kind, purpose_id),
        ReasonCode::LegalHold,
    )?;
    consent(scope, ReasonCode::AutomatedDecisionForbidden)?;

    if let Some(purpose) = purpose {
        let verified = (!purpose.needs_subject_request || request.basis.subject_request)
            && (!purpose.needs_reference || request.basis.reference.is_some());
        if !verified {
            return Err(Failure::by(
                Reason::new(ReasonCode::SubjectUnverified, purpose_name),
                RuleLine::Pack(purpose.line),
            ));
        }
    }
    references::registered(rules, facts, scope, (kind, purpose_id))
}

/// Whether all is known that this use depends on: what was lost may have refused it.
fn all_is_known(
    rules: &RuleSet,
    facts: &Facts<'_>,
    scope: &Scope,
    ids: KindAndPurpose,
) -> Result<(), Failure> {
    let depends = || {
        !people_to_leave_out(rules, facts, scope).is_empty()
            || references::are_asked(rules, facts, scope, ids)
    };
    if facts.all_known || !depends() {
        return Ok(());
    }
    Err(Failure::of(Reason::new(ReasonCode::SubjectsIncomplete, "")))
}

/// Registered holds that stop this use.
fn suspended(
    rules: &RuleSet,
    facts: &Facts<'_>,
    scope: &mut Scope,
    (kind, purpose): KindAndPurpose,
    denial: ReasonCode,
) -> Result<(), Failure> {
    let counting: Vec<_> = rules
        .suspensions
        .iter()
        .filter(|rule| rule.denial == denial && rule.when.is(facts.request, kind, purpose))
        .collect();
    if counting.is_empty() {
        return Ok(());
    }
    scope.check_subjects(|position| {
        // There is a state for each subject named; were there none, nothing is known, and that is no allowance.
        let Some(state) = facts.subjects.get(position) else {
            return Err(Failure::of(Reason::new(denial, "")));
        };
        match counting.iter().find(|rule| state.has_hold(&rule.hold)) {
            Some(rule) => Err(Failure::by(
                Reason::new(denial, &rule.hold),
                RuleLine::Pack(rule.line),
            )),
            None => Ok(()),
        }
    })
}

/// Registered dates: what is over may not be used any more, what must be kept may not go yet.
fn retention(
    rules: &RuleSet,
    facts: &Facts<'_>,
    scope: &mut Scope,
    (kind, purpose): KindAndPurpose,
) -> Result<(), Failure> {
    let request = facts.request;
    scope.check_subjects(|position| {
        let Some(state) = facts.subjects.get(position) else {
            return Err(Failure::of(Reason::new(ReasonCode::RetentionExpired, "")));
        };
        let over = rules
            .retention
            .iter()
            .filter(|rule| rule.kinds.contains(kind))
            .filter(|rule| {
                !rule.except_actions.contains(request.action)
                    && !rule.except_purposes.contains(purpose)
            })
            .find(|rule| retention_over(rule, state, facts.now, rules.utc_offset));
        match over {
            Some(rule) => Err(Failure::by(
                Reason::new(ReasonCode::RetentionExpired, &rule.id),
                RuleLine::Pack(rule.line),
            )),
            None => Ok(()),
        }
    })?;
    scope.check_subjects(|position| {
        let Some(state) = facts.subjects.get(position) else {
            return Err(Failure::of(Reason::new(ReasonCode::RetentionRequired, "")));
        };
        let kept = rules
            .keep
            .iter()
            .filter(|rule| rule.when.is(request, kind, purpose))
            .find(|rule| must_be_kept(rule, state, facts.now, rules.utc_offset));
        match kept {
            Some(rule) => Err(Failure::by(
                Reason::new(ReasonCode::RetentionRequired, &rule.id),
                RuleLine::Pack(rule.line),
            )),
            None => Ok(()),
        }
    })
}

/// The exception that is claimed, once it has all it takes; one that the pack doesn't accept counts as none.
pub(super) fn valid_exception(
    rules: &RuleSet,
    facts: &Facts<'_>,
) -> Result<Option<LegalException>, Failure> {
    let basis = &facts.request.basis;
    let Some(exception) = basis
        .exception
        .filter(|exception| rules.exceptions.accepted.contains(*exception))
    else {
        return Ok(None);
    };
    let rule = RuleLine::Pack(rules.exceptions.line);
    let fail = |code| Err(Failure::by(Reason::new(code, exception.name()), rule));
    if rules.exceptions.consent_difficult.contains(exception) && !basis.consent_difficult {
        return fail(ReasonCode::ConsentObtainable);
    }
    if basis.reference.is_none() {
        return fail(ReasonCode::LegalBasisRefRequired);
    }
    Ok(Some(exception))
}
