//! The record of a provision (APPI Art. 29(1)): when it is asked for, and what it needs.
//!
//! None is asked for what leaves no hands (Art. 27(5): outsourcing, shared use; the same legal entity), nor under an exception of
//! Art. 27(1). Abroad, outsourcing and shared use are such only where the country, or the recipient's system, is equivalent;
//! anywhere else they rest on the person's consent and are recorded like any provision (Art. 29(1) in brackets, Art. 28(1);
//! Guidelines on confirmation and recording, 2-1-2). How long is the pack's to say (Art. 29(2)): three years in general, one year
//! where a contract or the like stands for the record (Rules of the Commission Art. 19(3)). Nor is one asked for what goes to a public
//! body (Art. 29(1) and 16(2)) and the like: then the pack gives that reason in place of the years.

use super::Failure;
use super::facts::Facts;
use super::provision::Provision;
use super::rules::{Party, Recipient, Route, RuleSet};
use super::scope::Scope;
use super::verdict::{ProvisionRecord, RuleLine};
use crate::domain::access::{AccessRequest, Action};
use crate::domain::ids::Name;
use crate::domain::reason::{Reason, ReasonCode};

/// What a request must say of a recipient that it names itself.
const NAME: &str = "provision.recipient_name";
const ADDRESS: &str = "provision.recipient_address";
const REPRESENTATIVE: &str = "provision.recipient_representative";
/// Whose data a record is of.
const PEOPLE: &str = "data.subject_refs";

/// Who the recipient is, by the pack or by the request.
fn party(recipient: &Recipient, request: &AccessRequest) -> Party {
    if !recipient.named_by_request {
        return recipient.party.clone();
    }
    let text = |name: &Option<Name>| name.as_deref().map(Box::from);
    let told = &request.provision.unlisted;
    Party {
        name: text(&told.name),
        address: text(&told.address),
        representative: text(&told.representative),
    }
}

impl Provision<'_> {
    /// How many years the record of this provision is kept, where one is asked for.
    fn record_years(&self) -> Option<u16> {
        let recipient = self.recipient;
        let is_asked = match self.route {
            Route::SameLegalEntity | Route::ThirdPartyByLaw => false,
            Route::ThirdPartyStopsOnRequest | Route::ThirdPartySaleOrSharing => true,
            Route::ThirdPartyConsent => !self.falls_under_exception(),
            Route::SharedUse | Route::Outsourcing => {
                let equivalent = recipient
                    .equivalent_until
                    .is_some_and(|until| self.facts.now <= until);
                recipient.abroad
                    && !recipient.adequate
                    && !equivalent
                    && !self.falls_under_exception()
            }
        };
        recipient.record_years.filter(|_| is_asked)
    }

    /// Whether it falls under an exception of Art. 27(1) that lets the data go without consent: then none is asked for, whatever
    /// consent there is besides (Art. 29(1)). One that the pack doesn't let stand in for consent changes nothing.
    fn falls_under_exception(&self) -> bool {
        self.exception().is_some() && !self.withdrawal_counts()
    }

    /// Last of the stage: nothing goes out whose record would lack an item (Rules of the Commission Art. 20(1)).
    pub(super) fn recorded(&self, scope: &Scope) -> Result<(), Failure> {
        let request = self.facts.request;
        let recipient = self.recipient;
        let is_recorded = self.record_years().is_some();
        let mut missing = Vec::new();
        if is_recorded || recipient.named_by_request {
            let party = party(recipient, request);
            let of_record = |item: &Option<Box<str>>| is_recorded && item.is_none();
            let needs_representative = !recipient.individual;
            missing.extend(party.name.is_none().then_some(NAME));
            missing.extend(of_record(&party.address).then_some(ADDRESS));
            missing.extend(
                (needs_representative && of_record(&party.representative))
                    .then_some(REPRESENTATIVE),
            );
        }
        // Whoever is not named can't be told of it later, nor found by a request for disclosure.
        let all_named = request.subjects.all_people() >= request.record_count;
        if is_recorded && (scope.subjects.is_empty() || !all_named) {
            missing.push(PEOPLE);
        }
        if missing.is_empty() {
            return Ok(());
        }
        let code = ReasonCode::RecordFieldsMissing;
        Err(Failure {
            reasons: missing
                .into_iter()
                .map(|about| Reason::new(code, about))
                .collect(),
            rule: Some(RuleLine::Pack(recipient.line)),
        })
    }
}

/// The record that an allowance of this request opens.
pub(super) fn of(rules: &RuleSet, facts: &Facts<'_>) -> Option<ProvisionRecord> {
    if facts.request.action != Action::Provide {
        return None;
    }
    let provision = Provision::find(rules, facts)?;
    let years = provision.record_years()?;
    Some(ProvisionRecord {
        years,
        keep_until: facts.now.plus_years(years, rules.utc_offset),
        party: party(provision.recipient, facts.request),
        country: provision.recipient.country.clone(),
    })
}
