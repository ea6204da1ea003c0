//! To whom data may go: `[[recipient]]`, and the `[[hold]]`s that stop it.

use time::Date;

use super::basis::countries;
use super::data::covered;
use super::{COUNTRY, Declared, chosen, find};
use crate::decision::rules::{Exceptions, IdSet, NoRecord, Party, Recipient, Route, RuleSet};
use crate::domain::calendar::Period;
use crate::domain::ids::NAME_MAX_BYTES;
use crate::domain::time::Timestamp;
use crate::policy::entry::{At, Entry};
use crate::policy::faults::shown;
use crate::policy::kinds::{Kind as Fault, Sort, Words, words as both};
use crate::policy::words;

/// The longest that a record is kept, as for any other retention of the log.
const RECORD_YEARS_MAX: u64 = Period::YEARS_MAX as u64;
/// Where no transfer abroad is.
const HOME: &str = "JP";

pub(in crate::policy) const ROUTES: [Route; 7] = [
    Route::SharedUse,
    Route::Outsourcing,
    Route::ThirdPartyConsent,
    Route::ThirdPartyStopsOnRequest,
    Route::ThirdPartyByLaw,
    Route::ThirdPartySaleOrSharing,
    Route::SameLegalEntity,
];

const FOR_OUTSOURCING: Words = both(
    "is for the route \"outsourcing\"",
    "\"outsourcing\" のためのものです",
);
const FOR_THE_REQUEST: Words = both(
    "is for the request to say: named_by_request = true",
    "named_by_request = true なので、要求のほうで示します",
);

pub(super) fn blank(line: u32) -> Recipient {
    Recipient {
        // Of all routes the one that is let through least, should a fault go untold.
        route: Route::Outsourcing,
        own_purpose_route: None,
        country: "".into(),
        abroad: true,
        adequate: false,
        items: IdSet::default(),
        purposes: IdSet::default(),
        contract_until: None,
        inspected_until: None,
        equivalent_until: None,
        lapsed_counts_as_none: false,
        record_years: None,
        no_record: None,
        party: Party::default(),
        individual: false,
        named_by_request: false,
        stopped_by: None,
        line,
    }
}

pub(super) fn holds(declared: &Declared<'_, u32>, rules: &mut RuleSet) {
    for (id, entry) in declared {
        if let Some(line) = rules.holds.get_mut(*id) {
            *line = entry.line;
        }
        entry.finish();
    }
}

/// `[abroad]`.
#[derive(Debug, Default)]
pub(super) struct Abroad {
    /// Countries that protect personal data as Japan does (APPI Art. 28(1)).
    adequate: Vec<Box<str>>,
    /// A conforming system whose check has lapsed is none.
    lapsed_counts_as_none: bool,
}

pub(super) fn abroad(root: &Entry<'_>) -> Abroad {
    let Some(section) = root.section("abroad") else {
        return Abroad::default();
    };
    let abroad = Abroad {
        adequate: countries(&section, "adequate_countries"),
        lapsed_counts_as_none: section.flag("lapsed_counts_as_none"),
    };
    section.finish();
    abroad
}

pub(super) fn recipients(declared: &Declared<'_, Recipient>, abroad: &Abroad, rules: &mut RuleSet) {
    for (id, entry) in declared {
        entry.require(&["route", "country", "items", "purposes"]);
        let mut recipient = blank(entry.line);
        recipient.items = covered(entry, "items", &rules.categories);
        recipient.purposes = chosen(entry, "purposes", Sort::PURPOSE, &rules.purposes);
        if let Some(country) = country(entry) {
            recipient.country = country.value.into();
            recipient.abroad = country.value != HOME;
            recipient.adequate = abroad.adequate.iter().any(|one| **one == *country.value);
            recipient.lapsed_counts_as_none = abroad.lapsed_counts_as_none;
            if recipient.abroad {
                // A day that can't be read is told as that, not as one that is missing: it is one long past.
                let day = entry.date("equivalent_until");
                let lapsed = || entry.has("equivalent_until").then_some(Date::MIN);
                recipient.equivalent_until = end_of(day.or_else(lapsed), rules);
            } else {
                entry.refuse(
                    "equivalent_until",
                    both("is for recipients abroad", "外国の提供先のためのものです"),
                );
            }
        } else {
            entry.has("equivalent_until");
        }
        match entry.text("route").and_then(|word| route_of(entry, word)) {
            Some(route) => {
                recipient.route = route;
                conditions_of_route(entry, rules, &mut recipient);
            }
            None => {
                for key in [
                    "contract_until",
                    "inspected_until",
                    "record_years",
                    "no_record",
                    "stopped_by",
                    "own_purpose_route",
                ] {
                    entry.has(key);
                }
            }
        }
        who(entry, &mut recipient);
        if let Some(place) = rules.recipients.get_mut(*id) {
            *place = recipient;
        }
        entry.finish();
    }
}

/// What one route needs has no meaning on another: it would be a promise that nobody keeps.
fn conditions_of_route(entry: &Entry<'_>, rules: &RuleSet, recipient: &mut Recipient) {
    match recipient.route {
        Route::Outsourcing => {
            // APPI Art. 25: whoever outsources supervises.
            entry.require(&["contract_until", "inspected_until"]);
            recipient.contract_until = end_of(entry.date("contract_until"), rules);
            recipient.inspected_until = end_of(entry.date("inspected_until"), rules);
        }
        _ => {
            entry.refuse("contract_until", FOR_OUTSOURCING);
            entry.refuse("inspected_until", FOR_OUTSOURCING);
        }
    }
    match recipient.route {
        Route::ThirdPartyStopsOnRequest | Route::ThirdPartySaleOrSharing => {
            entry.require(&["stopped_by"]);
            if let Some(hold) = entry.text("stopped_by") {
                find(entry, Sort::HOLD, hold, &rules.holds);
                recipient.stopped_by = Some(hold.value.into());
            }
        }
        _ => {
            let why = both(
                "is for the routes \"third-party-stops-on-request\" and \"third-party-sale-or-sharing\"",
                "\"third-party-stops-on-request\" と \"third-party-sale-or-sharing\" のためのものです",
            );
            entry.refuse("stopped_by", why);
        }
    }
    if recipient.route == Route::Outsourcing {
        let word = entry.text("own_purpose_route");
        recipient.own_purpose_route = word.and_then(|word| route_of(entry, word));
        if recipient.own_purpose_route.is_some_and(|route| {
            !matches!(route, Route::ThirdPartyConsent | Route::ThirdPartyByLaw)
        }) {
            let place = entry.place_of("own_purpose_route");
            entry.fault(place, Fault::OwnPurposeRoute, &[]);
        }
    } else {
        let why = both(
            "is for the route \"outsourcing\": any other recipient has its own purpose",
            "\"outsourcing\" のためのものです。ほかの提供先はもともと自らの目的で使います",
        );
        entry.refuse("own_purpose_route", why);
    }
    if may_be_recorded(recipient) {
        record(entry, rules, recipient);
    } else {
        let why = both(
            "APPI Art. 29(1) asks for no record on this route: it is for a third party, by consent or until they ask to stop, and for outsourcing and shared use that rest on consent in a country that is not adequate",
            "この方法では個人情報保護法第 29 条第 1 項の記録は要りません。同意または本人の求めによる停止を伴う第三者提供と、十分性のない外国への、同意に基づく委託・共同利用のためのものです",
        );
        entry.refuse("record_years", why);
        entry.refuse("no_record", why);
    }
}

/// How long the record of a provision is kept, or why there is none: one of both has to be said.
fn record(entry: &Entry<'_>, rules: &RuleSet, recipient: &mut Recipient) {
    recipient.record_years = entry
        .number("record_years", 1..=RECORD_YEARS_MAX)
        .and_then(|years| u16::try_from(years).ok());
    let Some(word) = entry.text("no_record") else {
        // Where the country can't be read, that is what is told: whether the law asks may depend on it.
        if !entry.has("record_years") && !recipient.country.is_empty() {
            let reasons = NoRecord::ALL.map(NoRecord::name).join(", ");
            entry.fault(entry.place, Fault::RecordMissing, &[&reasons]);
        }
        return;
    };
    let mut reasons = NoRecord::ALL.into_iter();
    recipient.no_record = reasons.find(|reason| reason.name() == word.value);
    match recipient.no_record {
        None => entry.unknown(
            Sort::REASON,
            word,
            NoRecord::ALL.into_iter().map(NoRecord::name),
        ),
        Some(_) if entry.has("record_years") => {
            let why = both(
                "record_years says that there is one",
                "record_years により記録があることになっています",
            );
            entry.refuse("no_record", why);
        }
        Some(NoRecord::LegalException) => {
            let without = rules.purposes.iter().find(|(id, _, purpose)| {
                recipient.purposes.contains(*id) && purpose.needs_exception == Exceptions::default()
            });
            if let Some((_, purpose, _)) = without {
                entry.fault(word, Fault::NeedsNoException, &[&shown(purpose)]);
            }
        }
        Some(_) => {}
    }
}

/// Whether the law asks for a record on one of a recipient's routes (APPI Art. 29(1), 28(1), 27(5)).
fn may_be_recorded(recipient: &Recipient) -> bool {
    // Where a check of equivalent measures that has lapsed stops the provision, it never comes to rest on consent.
    let stops = recipient.equivalent_until.is_some() && !recipient.lapsed_counts_as_none;
    let own_purpose = recipient.own_purpose_route;
    [Some(recipient.route), own_purpose]
        .into_iter()
        .flatten()
        .any(|route| match route {
            Route::SharedUse | Route::Outsourcing => {
                recipient.abroad && !recipient.adequate && !stops
            }
            Route::ThirdPartyByLaw | Route::SameLegalEntity => false,
            Route::ThirdPartyConsent
            | Route::ThirdPartyStopsOnRequest
            | Route::ThirdPartySaleOrSharing => true,
        })
}

/// Who it is: what the record of a provision needs (Rules of the Commission Art. 20(1)), unless the request says it.
fn who(entry: &Entry<'_>, recipient: &mut Recipient) {
    recipient.named_by_request = entry.flag("named_by_request");
    recipient.individual = entry.flag("individual");
    let text = |key, max: usize| {
        let text = entry.text(key)?;
        if text.value.trim().is_empty() || text.value.len() > max || text.value.contains('\0') {
            entry.fault(text, Fault::BadText, &[&key, &max]);
        }
        Some(Box::from(text.value))
    };
    recipient.party = Party {
        name: text("name", NAME_MAX_BYTES),
        address: text("address", Party::ADDRESS_MAX_BYTES),
        representative: text("representative", NAME_MAX_BYTES),
    };
    if recipient.named_by_request {
        for key in ["name", "address", "representative"] {
            entry.refuse(key, FOR_THE_REQUEST);
        }
        return;
    }
    if recipient.individual {
        let why = both("nobody represents an individual", "個人に代表者はいません");
        entry.refuse("representative", why);
    }
    if recipient.record_years.is_none() {
        return;
    }
    let mut needed = vec!["name", "address"];
    needed.extend((!recipient.individual).then_some("representative"));
    for key in needed {
        if !entry.has(key) {
            entry.fault(entry.place, Fault::RecordNeeds, &[&key]);
        }
    }
}

pub(super) fn route_of(entry: &Entry<'_>, word: At<&str>) -> Option<Route> {
    let route = ROUTES.into_iter().find(|route| route.name() == word.value);
    if route.is_none() {
        entry.unknown(Sort::ROUTE, word, ROUTES.iter().map(|route| route.name()));
    }
    route
}

fn country<'a>(entry: &Entry<'a>) -> Option<At<&'a str>> {
    let word = entry.text("country")?;
    if !words::is_country(word.value) {
        entry.wrong_word("country", word, COUNTRY);
        return None;
    }
    Some(word)
}

/// A day counts until it ends, where the pack's clock is.
fn end_of(date: Option<Date>, rules: &RuleSet) -> Option<Timestamp> {
    date.map(|date| Timestamp::end_of(date, rules.utc_offset))
}
