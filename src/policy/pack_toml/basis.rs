//! What makes a use lawful besides a grant: `[[consent]]`, `[[suspension]]`, `[[keep]]`, `[[never_together]]`, `[[collected]]`,
//! `[[confidential]]`, `[[safeguard]]`.

use std::collections::HashSet;

use super::conditions::own_id;
use super::data::{covered, reached};
use super::recipients::route_of;
use super::{COUNTRY, actions_of, chosen, exception_of, find, listed};
use crate::decision::rules::{
    CollectedRule, ConfidentialRule, ConsentRule, Exceptions, KeepRule, LeastConsent,
    NeverTogether, Route, RuleSet, SafeguardRule, SuspensionRule, When,
};
use crate::domain::reason::ReasonCode;
use crate::policy::entry::{At, Choice, Entry};
use crate::policy::faults::shown;
use crate::policy::kinds::{Kind as Fault, Sort, words as both};
use crate::policy::words;

/// What a denial for want of consent may say.
pub(in crate::policy) const CONSENT_DENIALS: [ReasonCode; 6] = [
    ReasonCode::SpecialCareConsentRequired,
    ReasonCode::ConsentRequired,
    ReasonCode::ConsentWithdrawn,
    ReasonCode::AutomatedDecisionForbidden,
    ReasonCode::ThirdPartyConsentRequired,
    ReasonCode::ForeignConsentRequired,
];
/// What it may say instead where consent was withdrawn.
pub(in crate::policy) const WITHDRAWN_DENIALS: [ReasonCode; 1] = [ReasonCode::ConsentWithdrawn];
pub(in crate::policy) const SUSPENSION_DENIALS: [ReasonCode; 2] =
    [ReasonCode::UseSuspended, ReasonCode::LegalHold];

pub(super) fn consents(root: &Entry<'_>, rules: &mut RuleSet) {
    for entry in root.sections("consent") {
        entry.require(&["denial", "least"]);
        let denial = denial(&entry, "denial", &CONSENT_DENIALS);
        let denial_if_withdrawn = denial_if_withdrawn(&entry, denial);
        let special_care = entry.flag("special_care");
        let rule = ConsentRule {
            when: when(&entry, rules),
            special_care,
            routes: routes(&entry),
            // What is not said is not enough.
            least: least(&entry).unwrap_or(LeastConsent::Never),
            denial: denial.unwrap_or(ReasonCode::ConsentRequired),
            denial_if_withdrawn: denial_if_withdrawn.unwrap_or(ReasonCode::ConsentRequired),
            exceptions: exceptions(&entry, rules),
            exceptions_for: entry
                .has("exceptions_for")
                .then(|| actions_of(&entry, "exceptions_for")),
            line: entry.line,
        };
        if let Some(denial) = denial {
            fits(&entry, denial, &rule);
        }
        rules.consents.push(rule);
        entry.finish();
    }
    let asked = |code| rules.consents.iter().any(|rule| rule.denial == code);
    // Which use of them each row of policy.csv allows is seen with those: `care`.
    if !rules.consents.iter().any(|rule| rule.special_care) {
        let special = rules.categories.iter();
        for (_, name, category) in
            special.filter(|(_, _, category)| category.special_care && category.parent.is_none())
        {
            let place = root.place_of_id("category", name, category.line);
            root.fault(place, Fault::SpecialCareWithoutConsent, &[&shown(name)]);
        }
    }
    let unfit = rules.recipients.iter().filter(|(_, _, recipient)| {
        // Where the country can't be read, that is told.
        recipient.abroad
            && !recipient.country.is_empty()
            && !recipient.adequate
            && recipient.equivalent_until.is_none()
            && recipient.route != Route::SameLegalEntity
    });
    for (_, name, recipient) in unfit {
        if asked(ReasonCode::ForeignConsentRequired) {
            break;
        }
        let values = (shown(name), ReasonCode::ForeignConsentRequired);
        let place = root.place_of_id("recipient", name, recipient.line);
        let fault = Fault::AbroadWithoutConsent;
        root.fault(place, fault, &[&values.0, &values.1]);
    }
    let needs_consent = rules.recipients.iter().filter(|(_, _, recipient)| {
        recipient.route == Route::ThirdPartyConsent
            || recipient.own_purpose_route == Some(Route::ThirdPartyConsent)
    });
    for (_, name, recipient) in needs_consent {
        if asked(ReasonCode::ThirdPartyConsentRequired) {
            break;
        }
        let values = (shown(name), ReasonCode::ThirdPartyConsentRequired);
        let place = root.place_of_id("recipient", name, recipient.line);
        let fault = Fault::RecipientWithoutConsent;
        root.fault(place, fault, &[&values.0, &values.1]);
    }
}

/// A key that says nothing where it stands would be a promise that nobody keeps.
fn fits(entry: &Entry<'_>, denial: ReasonCode, rule: &ConsentRule) {
    let provision = denial.stage() == crate::domain::reason::Stage::Provision;
    if rule.special_care != (denial == ReasonCode::SpecialCareConsentRequired) {
        let values = ("special_care", ReasonCode::SpecialCareConsentRequired);
        entry.fault(entry.place, Fault::GoTogether, &[&values.0, &values.1]);
    }
    if !provision && entry.has("routes") {
        let why = both(
            "is for denials of a provision",
            "提供についての拒否理由のためのものです",
        );
        entry.refuse("routes", why);
    }
    if rule.when.automated_decision != (denial == ReasonCode::AutomatedDecisionForbidden) {
        let values = ("automated_decision", ReasonCode::AutomatedDecisionForbidden);
        entry.fault(entry.place, Fault::GoTogether, &[&values.0, &values.1]);
    }
    if entry.has("exceptions_for") && rule.exceptions.is_empty() {
        let why = both("there are no exceptions", "exceptions がありません");
        entry.refuse("exceptions_for", why);
    }
}

/// For which requests a rule counts.
pub(super) fn when(entry: &Entry<'_>, rules: &RuleSet) -> When {
    When {
        kinds: entry
            .has("kinds")
            .then(|| chosen(entry, "kinds", Sort::KIND, &rules.kinds)),
        purposes: entry
            .has("purposes")
            .then(|| chosen(entry, "purposes", Sort::PURPOSE, &rules.purposes)),
        except_purposes: listed(entry, "except_purposes", Sort::PURPOSE, &rules.purposes)
            .into_iter()
            .collect(),
        actions: entry.has("actions").then(|| actions_of(entry, "actions")),
        except_actions: actions_of(entry, "except_actions"),
        collected_via: texts(entry, "collected_via"),
        automated_decision: entry.flag("automated_decision"),
    }
}

fn texts(entry: &Entry<'_>, key: &'static str) -> Vec<Box<str>> {
    let named = entry.words(key);
    for word in named.iter().filter(|word| word.value.trim().is_empty()) {
        entry.fault(*word, Fault::BlankText, &[&key]);
    }
    named.into_iter().map(|word| word.value.into()).collect()
}

fn denial(entry: &Entry<'_>, key: &'static str, among: &[ReasonCode]) -> Option<ReasonCode> {
    let word = entry.text(key)?;
    let code = among.iter().find(|code| code.name() == word.value);
    if code.is_none() {
        entry.unknown(Sort::DENIAL, word, among.iter().map(|code| code.name()));
    }
    code.copied()
}

fn denial_if_withdrawn(entry: &Entry<'_>, denial: Option<ReasonCode>) -> Option<ReasonCode> {
    if !entry.has("denial_if_withdrawn") {
        return denial;
    }
    self::denial(entry, "denial_if_withdrawn", &WITHDRAWN_DENIALS)
}

fn least(entry: &Entry<'_>) -> Option<LeastConsent> {
    let word = entry.text("least")?;
    let least = LeastConsent::ALL
        .iter()
        .find(|(_, name)| *name == word.value);
    if least.is_none() {
        let known = LeastConsent::ALL.iter().map(|(_, name)| *name);
        entry.unknown(Sort::CONSENT, word, known);
    }
    least.map(|(least, _)| *least)
}

pub(super) fn routes(entry: &Entry<'_>) -> Vec<Route> {
    entry
        .words("routes")
        .into_iter()
        .filter_map(|word| route_of(entry, word))
        .collect()
}

pub(super) fn exceptions(entry: &Entry<'_>, rules: &RuleSet) -> Exceptions {
    let key = "exceptions";
    let accepted = rules.exceptions.accepted;
    match entry.choice(key) {
        None => Exceptions::default(),
        Some(Choice::All) => accepted,
        Some(Choice::These(words)) => words
            .into_iter()
            .filter_map(|word| exception_of(entry, key, word, Some(accepted)))
            .collect(),
    }
}

pub(super) fn suspensions(root: &Entry<'_>, rules: &mut RuleSet) {
    for entry in root.sections("suspension") {
        entry.require(&["hold", "denial"]);
        let hold = entry.text("hold");
        if let Some(hold) = hold {
            find(&entry, Sort::HOLD, hold, &rules.holds);
        }
        let denial = denial(&entry, "denial", &SUSPENSION_DENIALS);
        let when = when(&entry, rules);
        if let (Some(hold), Some(denial)) = (hold, denial) {
            rules.suspensions.push(SuspensionRule {
                hold: hold.value.into(),
                when,
                denial,
                line: entry.line,
            });
        }
        entry.finish();
    }
}

pub(super) fn keep(root: &Entry<'_>, rules: &mut RuleSet) {
    let mut taken: HashSet<&str> = HashSet::new();
    for entry in root.sections("keep") {
        entry.require(&["id", "date", "years", "actions"]);
        let id = own_id(&entry, &mut taken);
        if rules.retention.iter().any(|rule| rule.id == id) {
            let values = (shown(&id), "retention");
            entry.fault(
                entry.place_of("id"),
                Fault::IdOfAnother,
                &[&values.0, &values.1],
            );
        }
        let date = entry.text("date");
        if let Some(date) = date {
            find(&entry, Sort::DATE, date, &rules.dates);
        }
        let years = entry
            .number("years", 0..=100)
            .and_then(|years| u16::try_from(years).ok());
        let when = when(&entry, rules);
        if let (Some(date), Some(years)) = (date, years) {
            rules.keep.push(KeepRule {
                id,
                date: date.value.into(),
                years,
                when,
                line: entry.line,
            });
        }
        entry.finish();
    }
}

pub(super) fn never_together(root: &Entry<'_>, rules: &mut RuleSet) {
    for entry in root.sections("never_together") {
        entry.require(&["categories"]);
        let categories = covered(&entry, "categories", &rules.categories);
        rules.never_together.push(NeverTogether {
            categories,
            line: entry.line,
        });
        entry.finish();
    }
}

pub(super) fn collected(root: &Entry<'_>, rules: &mut RuleSet) {
    for entry in root.sections("collected") {
        entry.require(&["via", "categories", "purposes"]);
        let via = entry.text("via");
        let categories = covered(&entry, "categories", &rules.categories);
        let purposes = chosen(&entry, "purposes", Sort::PURPOSE, &rules.purposes);
        if let Some(via) = via {
            if via.value.trim().is_empty() {
                entry.fault(via, Fault::BlankText, &[&"via"]);
            }
            rules.collected.push(CollectedRule {
                via: via.value.into(),
                categories,
                purposes,
                line: entry.line,
            });
        }
        entry.finish();
    }
}

pub(super) fn confidential(root: &Entry<'_>, rules: &mut RuleSet) {
    for entry in root.sections("confidential") {
        entry.require(&["categories"]);
        let categories = reached(&entry, "categories", &rules.categories);
        let except_purposes = listed(&entry, "except_purposes", Sort::PURPOSE, &rules.purposes);
        rules.confidential.push(ConfidentialRule {
            categories,
            except_purposes: except_purposes.into_iter().collect(),
            line: entry.line,
        });
        entry.finish();
    }
}

pub(super) fn safeguards(root: &Entry<'_>, rules: &mut RuleSet) {
    for entry in root.sections("safeguard") {
        entry.require(&["from", "free_to", "safeguards"]);
        let rule = SafeguardRule {
            from: countries(&entry, "from"),
            free_to: countries(&entry, "free_to"),
            safeguards: texts(&entry, "safeguards"),
            needs_reference: entry.flag("needs_reference"),
            line: entry.line,
        };
        rules.safeguards.push(rule);
        entry.finish();
    }
}

/// Countries by ISO 3166-1 alpha-2.
pub(super) fn countries(entry: &Entry<'_>, key: &'static str) -> Vec<Box<str>> {
    let named = entry.words(key);
    let wrong = |word: &&At<&str>| !words::is_country(word.value);
    for word in named.iter().filter(wrong) {
        entry.wrong_word(key, *word, COUNTRY);
    }
    named.into_iter().map(|word| word.value.into()).collect()
}
