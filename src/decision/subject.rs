//! Stage `subject`: may these data of this person be used at all: special care, a claimed exception, retention?

use super::facts::Facts;
use super::obligations::retention_over;
use super::rules::RuleSet;
use super::scope::Scope;
use super::verdict::RuleLine;
use super::{Failure, Outcome};
use crate::domain::access::LegalException;
use crate::domain::reason::{Reason, ReasonCode};

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

    let stands_in = exception.is_some_and(|exception| {
        rules
            .exceptions
            .instead_of_special_care_consent
            .contains(exception)
    });
    scope.check_categories(|position, id| {
        let special = id
            .and_then(|id| rules.categories.get(id))
            .filter(|category| category.special_care);
        match special {
            Some(category) if !request.basis.consent.is_prior() && !stands_in => Err(Failure::by(
                Reason::new(
                    ReasonCode::SpecialCareConsentRequired,
                    request.categories.get(position).map_or("", |name| name),
                ),
                RuleLine::Pack(category.line),
            )),
            _ => Ok(()),
        }
    })?;

    if let Some(purpose) = rules.purposes.get(purpose_id) {
        let needed = purpose.needs_exception;
        let met =
            needed.is_empty() || exception.is_some_and(|exception| needed.contains(exception));
        if !met {
            return Err(Failure::by(
                Reason::new(
                    ReasonCode::LegalBasisRefRequired,
                    rules.purposes.name(purpose_id),
                ),
                RuleLine::Pack(purpose.line),
            ));
        }
    }

    scope.check_subjects(|position| {
        // There is a state for each subject named; were there none, nothing is known, and that is no allowance.
        let Some(state) = facts.subjects.get(position) else {
            return Err(Failure::of(Reason::new(ReasonCode::RetentionExpired, "")));
        };
        let over = {
            rules
                .retention
                .iter()
                .filter(|rule| rule.kinds.contains(kind))
                .filter(|rule| {
                    !rule.except_actions.contains(request.action)
                        && !rule.except_purposes.contains(purpose_id)
                })
                .find(|rule| retention_over(rule, state, facts.now, rules.utc_offset))
        };
        match over {
            Some(rule) => Err(Failure::by(
                Reason::new(ReasonCode::RetentionExpired, &rule.id),
                RuleLine::Pack(rule.line),
            )),
            None => Ok(()),
        }
    })
}

/// The exception that is claimed, once it has all it takes; one that the pack doesn't accept counts as none.
fn valid_exception(rules: &RuleSet, facts: &Facts<'_>) -> Result<Option<LegalException>, Failure> {
    let basis = &facts.request.basis;
    let Some(exception) = basis
        .exception
        .filter(|exception| rules.exceptions.accepted.contains(*exception))
    else {
        return Ok(None);
    };
    let fail = |code| Err(Failure::of(Reason::new(code, exception.name())));
    if rules.exceptions.consent_difficult.contains(exception) && !basis.consent_difficult {
        return fail(ReasonCode::ConsentObtainable);
    }
    if basis.reference.is_none() {
        return fail(ReasonCode::LegalBasisRefRequired);
    }
    Ok(Some(exception))
}
