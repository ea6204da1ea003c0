//! Stage `provision`: data leave the company: to whom, on which route, and are its conditions met?

use super::facts::Facts;
use super::references::Withdrawn;
use super::rules::{ConfidentialRule, ConsentRule, Id, Purpose, Recipient, Route, RuleSet};
use super::scope::Scope;
use super::verdict::RuleLine;
use super::{Failure, Outcome, subject};
use crate::domain::access::{AccessRequest, Action, Consent, LegalException};
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

/// One provision: what is asked and by which row of the pack.
pub(super) struct Provision<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) facts: &'a Facts<'a>,
    /// As the request names it.
    name: &'a str,
    pub(super) recipient: &'a Recipient,
    /// Its own, or the one on which it follows its own purpose.
    pub(super) route: Route,
    purpose: &'a str,
    purpose_id: Option<Id<Purpose>>,
}

impl<'a> Provision<'a> {
    /// `None` where the pack has no such recipient.
    pub(super) fn find(rules: &'a RuleSet, facts: &'a Facts<'a>) -> Option<Self> {
        let request = facts.request;
        let name = request.provision.recipient.as_deref()?;
        let id = rules.recipients.id(name)?;
        let recipient = rules.recipients.get(id)?;
        let purpose = request.purpose.as_deref().unwrap_or("");
        Some(Self {
            rules,
            facts,
            name,
            recipient,
            route: route(recipient, request),
            purpose,
            purpose_id: rules.purposes.id(purpose),
        })
    }
}

/// In the order of packs/README: recipient, what is confidential, its row (items, then purposes), contract, inspection, its own
/// purpose, stop request, consent, abroad, safeguard, opting out of a sale; last, what the record of it needs.
fn check(rules: &RuleSet, facts: &Facts<'_>, scope: &mut Scope) -> Result<(), Failure> {
    let told = &facts.request.provision;
    let unknown = |about: &str| Failure::of(Reason::new(ReasonCode::RecipientUnknown, about));
    let Some(provision) = Provision::find(rules, facts) else {
        return Err(unknown(told.recipient.as_deref().unwrap_or("")));
    };
    let recipient = provision.recipient;
    // Where it is decides what is asked of it: one that is elsewhere is another.
    if recipient.named_by_request
        && let Some(country) = told.unlisted.country.as_deref()
        && *country != *recipient.country
    {
        return Err(unknown(country));
    }
    scope.route = Some(provision.route);
    provision.confidential(scope)?;
    if provision.route != Route::SameLegalEntity {
        provision.row(scope)?;
        provision.outsourcing()?;
        provision.stopped(
            scope,
            Route::ThirdPartyStopsOnRequest,
            ReasonCode::ProvisionStopped,
        )?;
        provision.consent(scope)?;
        provision.abroad(scope)?;
        provision.safeguard()?;
        provision.stopped(
            scope,
            Route::ThirdPartySaleOrSharing,
            ReasonCode::OptedOutOfSaleOrSharing,
        )?;
    }
    provision.recorded(scope)
}

/// On which ground data go to a recipient by this request.
pub(super) fn route(recipient: &Recipient, request: &AccessRequest) -> Route {
    recipient
        .own_purpose_route
        .filter(|_| request.provision.own_purpose)
        .unwrap_or(recipient.route)
}

impl Provision<'_> {
    fn fail<T>(&self, code: ReasonCode, about: &str) -> Result<T, Failure> {
        Err(Failure::by(
            Reason::new(code, about),
            RuleLine::Pack(self.recipient.line),
        ))
    }

    fn category(&self, position: usize) -> &str {
        self.facts
            .request
            .categories
            .get(position)
            .map_or("", |category| category)
    }

    fn confidential(&self, scope: &mut Scope) -> Result<(), Failure> {
        let yields = |rule: &ConfidentialRule| {
            self.purpose_id
                .is_some_and(|purpose| rule.except_purposes.contains(purpose))
        };
        for rule in self.rules.confidential.iter().filter(|rule| !yields(rule)) {
            scope.check_categories(|position, id| {
                if id.is_some_and(|id| !rule.categories.contains(id)) {
                    return Ok(());
                }
                Err(Failure::by(
                    Reason::new(ReasonCode::ConfidentialityDuty, self.category(position)),
                    RuleLine::Pack(rule.line),
                ))
            })?;
        }
        Ok(())
    }

    fn row(&self, scope: &mut Scope) -> Result<(), Failure> {
        scope.check_categories(|position, id| {
            if id.is_some_and(|id| self.recipient.items.contains(id)) {
                return Ok(());
            }
            self.fail(item_not_listed(self.route), self.category(position))
        })?;
        if !self
            .purpose_id
            .is_some_and(|id| self.recipient.purposes.contains(id))
        {
            return self.fail(purpose_not_listed(self.route), self.purpose);
        }
        if self.route != Route::ThirdPartyStopsOnRequest {
            return Ok(());
        }
        // APPI Art. 27(2): nobody may be asked to object to that.
        scope.check_categories(|position, id| {
            let special = id
                .and_then(|id| self.rules.categories.get(id))
                .is_none_or(|category| category.special_care);
            if special {
                let code = ReasonCode::OptOutSpecialCareForbidden;
                return self.fail(code, self.category(position));
            }
            Ok(())
        })
    }

    fn outsourcing(&self) -> Result<(), Failure> {
        if self.route != Route::Outsourcing {
            return Ok(());
        }
        let in_force =
            |until: Option<Timestamp>| until.is_some_and(|until| self.facts.now <= until);
        if !in_force(self.recipient.contract_until) {
            return self.fail(ReasonCode::OutsourceeNoContract, self.name);
        }
        if !in_force(self.recipient.inspected_until) {
            return self.fail(ReasonCode::OutsourceeInspectionOverdue, self.name);
        }
        if self.facts.request.provision.own_purpose {
            return self.fail(ReasonCode::OutsourcingBeyondScope, self.name);
        }
        Ok(())
    }

    fn stopped(&self, scope: &mut Scope, on: Route, code: ReasonCode) -> Result<(), Failure> {
        if self.route != on {
            return Ok(());
        }
        let Some(hold) = self.recipient.stopped_by.as_deref() else {
            // A route that stops on request, and nothing by which: nobody could.
            return self.fail(code, self.name);
        };
        // There is a state for each subject named; were there none, nothing is known, and that is no allowance.
        scope.check_subjects(|position| match self.facts.subjects.get(position) {
            Some(state) if !state.has_hold(hold) => Ok(()),
            _ => self.fail(code, hold),
        })
    }

    /// The legal exception that the request claims, where nothing is missing of it.
    pub(super) fn exception(&self) -> Option<LegalException> {
        subject::valid_exception(self.rules, self.facts)
            .ok()
            .flatten()
    }

    /// The rules that ask consent for this provision.
    fn consents(&self) -> impl Iterator<Item = &ConsentRule> {
        let request = self.facts.request;
        let kind = request
            .subject_kind
            .as_deref()
            .and_then(|kind| self.rules.kinds.id(kind));
        self.rules.consents.iter().filter(move |rule| {
            let for_provisions = matches!(
                rule.denial,
                ReasonCode::ThirdPartyConsentRequired | ReasonCode::ForeignConsentRequired
            );
            for_provisions
                && self.is_of_route(rule)
                && match (kind, self.purpose_id) {
                    (Some(kind), Some(purpose)) => rule.when.is(request, kind, purpose),
                    // Refused before; asked all the same.
                    _ => true,
                }
        })
    }

    fn is_of_route(&self, rule: &ConsentRule) -> bool {
        rule.routes.is_empty() || rule.routes.contains(&self.route)
    }

    /// By every rule that asks for consent with this code on this route; `none` is what there is without any. A withdrawal that is
    /// registered outranks what is claimed.
    fn consent_by(
        &self,
        scope: &mut Scope,
        code: ReasonCode,
        none: Result<(), Failure>,
    ) -> Result<(), Failure> {
        let request = self.facts.request;
        let of_code = |rule: &&ConsentRule| rule.denial == code;
        let mut all = self.rules.consents.iter().filter(of_code);
        if !all.any(|rule| self.is_of_route(rule)) {
            return none;
        }
        let exception = self.exception();
        let asked = || self.consents().filter(of_code);
        let withdrawn = Withdrawn::of(self.facts, self.purpose);
        let given = withdrawn.consent(self.facts, scope);
        for rule in asked() {
            if let Some(denial) = rule.denies(request, given, exception) {
                return Err(Failure::by(
                    Reason::new(denial, self.name),
                    RuleLine::Pack(rule.line),
                ));
            }
        }
        withdrawn.check(self.facts, scope, exception, (asked(), |_| true), self.name)
    }

    fn consent(&self, scope: &mut Scope) -> Result<(), Failure> {
        let code = ReasonCode::ThirdPartyConsentRequired;
        let none = match self.route {
            Route::ThirdPartyConsent => self.fail(code, self.name),
            _ => Ok(()),
        };
        self.consent_by(scope, code, none)
    }

    /// Whether this provision rests on a consent, so that a registered withdrawal refuses it.
    pub(super) fn withdrawal_counts(&self) -> bool {
        if self.route == Route::SameLegalEntity {
            return false;
        }
        let in_date = |until: Timestamp| self.facts.now <= until;
        let abroad = self.recipient.abroad
            && !self.recipient.adequate
            && !self.recipient.equivalent_until.is_some_and(in_date);
        let exception = self.exception();
        self.consents()
            .filter(|rule| abroad || rule.denial != ReasonCode::ForeignConsentRequired)
            .any(|rule| {
                let denial = rule.denies(self.facts.request, Consent::Withdrawn, exception);
                denial.is_some()
            })
    }

    fn abroad(&self, scope: &mut Scope) -> Result<(), Failure> {
        if !self.recipient.abroad || self.recipient.adequate {
            return Ok(());
        }
        let code = ReasonCode::ForeignConsentRequired;
        match self.recipient.equivalent_until {
            Some(until) if self.facts.now > until && !self.recipient.lapsed_counts_as_none => {
                self.fail(ReasonCode::EquivalentMeasuresReviewOverdue, self.name)
            }
            Some(until) if self.facts.now <= until => Ok(()),
            Some(_) | None => self.consent_by(scope, code, self.fail(code, self.name)),
        }
    }

    fn safeguard(&self) -> Result<(), Failure> {
        let request = self.facts.request;
        let is_in =
            |countries: &[Box<str>], country: &str| countries.iter().any(|one| **one == *country);
        let origin = request.origin_country.as_deref().unwrap_or("");
        let given = request.provision.safeguard.as_deref().unwrap_or("");
        for rule in &self.rules.safeguards {
            if !is_in(&rule.from, origin) || is_in(&rule.free_to, &self.recipient.country) {
                continue;
            }
            let documented = !rule.needs_reference || request.basis.reference.is_some();
            if !documented || !is_in(&rule.safeguards, given) {
                return Err(Failure::by(
                    Reason::new(ReasonCode::SafeguardRequired, origin),
                    RuleLine::Pack(rule.line),
                ));
            }
        }
        Ok(())
    }
}

/// The hold that stops provision to a recipient on request of the person, by the route that a request takes.
pub(super) fn stopping_hold<'a>(
    recipient: &'a Recipient,
    request: &AccessRequest,
) -> Option<&'a str> {
    matches!(
        route(recipient, request),
        Route::ThirdPartyStopsOnRequest | Route::ThirdPartySaleOrSharing
    )
    .then_some(recipient.stopped_by.as_deref())
    .flatten()
}

const fn item_not_listed(route: Route) -> ReasonCode {
    match route {
        Route::SharedUse => ReasonCode::SharedUseItemNotListed,
        Route::Outsourcing => ReasonCode::OutsourcingBeyondScope,
        Route::ThirdPartyConsent
        | Route::ThirdPartyStopsOnRequest
        | Route::ThirdPartyByLaw
        | Route::ThirdPartySaleOrSharing
        | Route::SameLegalEntity => ReasonCode::ItemNotListed,
    }
}

const fn purpose_not_listed(route: Route) -> ReasonCode {
    match route {
        Route::SharedUse => ReasonCode::SharedUsePurposeNotListed,
        Route::Outsourcing => ReasonCode::OutsourcingBeyondScope,
        Route::ThirdPartyConsent
        | Route::ThirdPartyStopsOnRequest
        | Route::ThirdPartyByLaw
        | Route::ThirdPartySaleOrSharing
        | Route::SameLegalEntity => ReasonCode::ItemNotListed,
    }
}
