//! Part of stage `subject`: what is registered of consents and other documents. What a caller declares is a claim; where a pack
//! asks for it, the document must be registered, and a registered withdrawal outranks every claim.

use super::facts::Facts;
use super::provision::{self, Provision};
use super::rules::{ConsentRule, Id, Kind, Purpose, ReferenceRule, RuleSet};
use super::scope::Scope;
use super::verdict::RuleLine;
use super::{Failure, subject};
use crate::domain::access::{Action, Consent, LegalException};
use crate::domain::reason::{Reason, ReasonCode, Stage};
use crate::domain::reference::Reference;
use crate::domain::time::Timestamp;

/// Whose consent counts as withdrawn, whatever is claimed.
pub(super) struct Withdrawn {
    /// Positions in the request.
    subjects: Vec<usize>,
}

impl Withdrawn {
    pub(super) fn of(facts: &Facts<'_>, purpose: &str) -> Self {
        let withdrew = |position: &usize| {
            facts
                .subjects
                .get(*position)
                .is_some_and(|state| state.consent_is_withdrawn(purpose, facts.now))
        };
        Self {
            subjects: (0..facts.subjects.len()).filter(withdrew).collect(),
        }
    }

    /// What counts for the request as a whole: what is claimed, unless everybody left withdrew it.
    pub(super) fn consent(&self, facts: &Facts<'_>, scope: &Scope) -> Consent {
        let all = !self.subjects.is_empty()
            && !scope.subjects.is_empty()
            && scope.subjects.iter().all(|left| self.is(*left));
        if all {
            Consent::Withdrawn
        } else {
            facts.request.basis.consent
        }
    }

    fn is(&self, position: usize) -> bool {
        self.subjects.binary_search(&position).is_ok()
    }

    /// Withholds those who withdrew, where one of `rules` denies what was withdrawn with a code that is `asked`.
    pub(super) fn check<'a>(
        &self,
        facts: &Facts<'_>,
        scope: &mut Scope,
        exception: Option<LegalException>,
        (mut rules, asked): (
            impl Iterator<Item = &'a ConsentRule>,
            impl Fn(ReasonCode) -> bool,
        ),
        about: &str,
    ) -> Result<(), Failure> {
        if self.subjects.is_empty() {
            return Ok(());
        }
        let denial = rules.find_map(|rule| {
            let code = rule.denies(facts.request, Consent::Withdrawn, exception)?;
            asked(code).then_some((code, rule.line))
        });
        let Some((code, line)) = denial else {
            return Ok(());
        };
        scope.check_subjects(|position| {
            if self.is(position) {
                return Err(Failure::by(Reason::new(code, about), RuleLine::Pack(line)));
            }
            Ok(())
        })
    }
}

/// Whether what is left of the request rests on a consent, so that a registered withdrawal refuses it.
pub(super) fn withdrawal_counts(
    rules: &RuleSet,
    facts: &Facts<'_>,
    scope: &Scope,
    (kind, purpose): (Id<Kind>, Id<Purpose>),
) -> bool {
    let special = scope
        .known_categories()
        .filter_map(|category| rules.categories.get(category))
        .any(|category| category.special_care);
    let exception = subject::valid_exception(rules, facts).ok().flatten();
    let asked = rules
        .consents
        .iter()
        .filter(|rule| rule.when.is(facts.request, kind, purpose))
        .filter(|rule| {
            if rule.special_care {
                special
            } else {
                rule.denial.stage() == Stage::Subject
            }
        })
        .any(|rule| {
            let denial = rule.denies(facts.request, Consent::Withdrawn, exception);
            denial.is_some()
        });
    let provided = || {
        facts.request.action == Action::Provide
            && Provision::find(rules, facts).is_some_and(|provision| provision.withdrawal_counts())
    };
    asked || provided()
}

/// Whether the pack wants something of the request registered.
pub(super) fn are_asked(
    rules: &RuleSet,
    facts: &Facts<'_>,
    scope: &Scope,
    (kind, purpose): (Id<Kind>, Id<Purpose>),
) -> bool {
    rules
        .references
        .iter()
        .any(|rule| rule.when.is(facts.request, kind, purpose) && counts(rules, rule, facts, scope))
}

/// What the pack wants registered.
pub(super) fn registered(
    rules: &RuleSet,
    facts: &Facts<'_>,
    scope: &mut Scope,
    (kind, purpose): (Id<Kind>, Id<Purpose>),
) -> Result<(), Failure> {
    let request = facts.request;
    let purpose_name = rules.purposes.name(purpose);
    let mut ends: Vec<Timestamp> = Vec::new();
    for rule in &rules.references {
        if !rule.when.is(request, kind, purpose) || !counts(rules, rule, facts, scope) {
            continue;
        }
        let fail = || {
            Failure::by(
                Reason::new(ReasonCode::ReferenceUnknown, &rule.id),
                RuleLine::Pack(rule.line),
            )
        };
        let Some(declared) = rule.field.of(request) else {
            return Err(fail());
        };
        let serves = |reference: &Reference| {
            rule.accepts.contains(&reference.kind)
                && reference.serves(declared, purpose_name, facts.now)
        };
        if let Some(general) = facts.references.iter().find(|one| serves(one)) {
            ends.extend(general.until);
            continue;
        }
        // One that is for a subject says nothing of those whom nobody names.
        let people = request.subjects.all_people();
        if people == 0 || people < request.record_count {
            return Err(fail());
        }
        scope.check_subjects(|position| {
            let state = facts.subjects.get(position).ok_or_else(fail)?;
            let found = state.references.iter().find(|one| serves(one));
            ends.extend(found.ok_or_else(fail)?.until);
            Ok(())
        })?;
    }
    scope.references_until = ends.into_iter().min();
    Ok(())
}

/// Whether a rule counts by what is left of the request and by what it claims.
fn counts(rules: &RuleSet, rule: &ReferenceRule, facts: &Facts<'_>, scope: &Scope) -> bool {
    let request = facts.request;
    let of_categories = rule.categories.is_empty()
        || scope
            .known_categories()
            .any(|category| rule.categories.contains(category));
    let of_routes = || {
        let recipient = request.provision.recipient.as_deref();
        let recipient = recipient.and_then(|name| rules.recipients.get(rules.recipients.id(name)?));
        request.action == Action::Provide
            && recipient.is_some_and(|recipient| {
                rule.routes.contains(&provision::route(recipient, request))
            })
    };
    let basis = &request.basis;
    of_categories
        && (rule.routes.is_empty() || of_routes())
        && (rule.consents.is_empty() || rule.consents.contains(&basis.consent))
        && (rule.exceptions.is_empty()
            || basis
                .exception
                .is_some_and(|exception| rule.exceptions.contains(exception)))
}
