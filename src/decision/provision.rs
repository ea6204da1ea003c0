//! Stage `provision`: data leave the company: to whom, on which route, and are its conditions met?

use super::facts::Facts;
use super::rules::{Recipient, Route, RuleSet};
use super::scope::Scope;
use super::verdict::RuleLine;
use super::{Failure, Outcome};
use crate::domain::access::Action;
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::time::Timestamp;

pub(super) fn stage(rules: &RuleSet, facts: &Facts<'_>, scope: &mut Scope) -> Outcome {
    if facts.request.action != Action::Provide {
        return Outcome::Passed;
    }
    if !scope.is_anything_left() {
        return Outcome::NotEvaluated;
    }
    check(rules, facts, scope).into()
}

/// In the order of packs/README: recipient, its row (items, then purposes), contract, inspection, its own purpose, stop
/// request, consent, abroad.
fn check(rules: &RuleSet, facts: &Facts<'_>, scope: &mut Scope) -> Result<(), Failure> {
    let request = facts.request;
    let name = request.provision.recipient.as_deref().unwrap_or("");
    let Some(recipient) = rules
        .recipients
        .id(name)
        .and_then(|id| rules.recipients.get(id))
    else {
        return Err(Failure::of(Reason::new(ReasonCode::RecipientUnknown, name)));
    };
    scope.route = Some(recipient.route);
    let fail = |code, about: &str| {
        Err(Failure::by(
            Reason::new(code, about),
            RuleLine::Pack(recipient.line),
        ))
    };
    let in_force = |until: Option<Timestamp>| until.is_some_and(|until| facts.now <= until);

    scope.check_categories(|position, id| {
        if id.is_some_and(|id| recipient.items.contains(id)) {
            return Ok(());
        }
        let about = request
            .categories
            .get(position)
            .map_or("", |category| category);
        fail(item_not_listed(recipient.route), about)
    })?;
    let purpose = request.purpose.as_deref().unwrap_or("");
    if !rules
        .purposes
        .id(purpose)
        .is_some_and(|id| recipient.purposes.contains(id))
    {
        return fail(purpose_not_listed(recipient.route), purpose);
    }
    if recipient.route == Route::Outsourcing {
        if !in_force(recipient.contract_until) {
            return fail(ReasonCode::OutsourceeNoContract, name);
        }
        if !in_force(recipient.inspected_until) {
            return fail(ReasonCode::OutsourceeInspectionOverdue, name);
        }
        if request.provision.own_purpose {
            return fail(ReasonCode::OutsourcingBeyondScope, name);
        }
    }
    if let Some(hold) = stopping_hold(recipient) {
        // There is a state for each subject named; were there none, nothing is known, and that is no allowance.
        scope.check_subjects(|position| match facts.subjects.get(position) {
            Some(state) if !state.has_hold(hold) => Ok(()),
            _ => fail(ReasonCode::ProvisionStopped, hold),
        })?;
    }
    if recipient.route == Route::ThirdPartyConsent && !request.basis.consent.is_prior() {
        return fail(ReasonCode::ThirdPartyConsentRequired, name);
    }
    if recipient.abroad {
        match recipient.equivalent_until {
            Some(until) if facts.now > until => {
                return fail(ReasonCode::EquivalentMeasuresReviewOverdue, name);
            }
            None if !request.basis.consent.is_prior() => {
                return fail(ReasonCode::ForeignConsentRequired, name);
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// The hold that stops provision to a recipient on request of the person.
pub(super) fn stopping_hold(recipient: &Recipient) -> Option<&str> {
    (recipient.route == Route::ThirdPartyStopsOnRequest)
        .then_some(recipient.stopped_by.as_deref())
        .flatten()
}

const fn item_not_listed(route: Route) -> ReasonCode {
    match route {
        Route::SharedUse => ReasonCode::SharedUseItemNotListed,
        Route::Outsourcing => ReasonCode::OutsourcingBeyondScope,
        Route::ThirdPartyConsent | Route::ThirdPartyStopsOnRequest | Route::ThirdPartyByLaw => {
            ReasonCode::ItemNotListed
        }
    }
}

const fn purpose_not_listed(route: Route) -> ReasonCode {
    match route {
        Route::SharedUse => ReasonCode::SharedUsePurposeNotListed,
        Route::Outsourcing => ReasonCode::OutsourcingBeyondScope,
        Route::ThirdPartyConsent | Route::ThirdPartyStopsOnRequest | Route::ThirdPartyByLaw => {
            ReasonCode::ItemNotListed
        }
    }
}
