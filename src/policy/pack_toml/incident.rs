//! Incidents (漏えい等): `[incident]` and `[[incident_clock]]`.

use std::collections::HashSet;

use super::conditions::own_id;
use super::data::covered;
use super::{COUNTRY, chosen, listed, name};
use crate::decision::rules::{ClockKind, IncidentClock, IncidentRules, RuleSet, Within};
use crate::policy::entry::Entry;
use crate::policy::faults::shown;
use crate::policy::kinds::{Kind as Fault, Sort, Words, words as both};
use crate::policy::words;

/// How many clocks there may be.
const CLOCKS_MAX: usize = 64;
const WITHIN: Words = both(
    "a length of time like \"30d\" or \"72h\", at most 366d",
    "\"30d\"、\"72h\" のような期間(366d まで)",
);

pub(super) fn incident(root: &Entry<'_>, rules: &mut RuleSet) {
    let mut told = IncidentRules::default();
    if let Some(section) = root.section("incident") {
        told.closed_days = section.dates("closed_days").into_iter().collect();
        if section.has("property_damage") {
            told.property_damage = covered(&section, "property_damage", &rules.categories);
        }
        told.line = section.line;
        section.finish();
    }
    let entries = root.sections("incident_clock");
    if let Some(first_over) = entries.get(CLOCKS_MAX) {
        let values = (CLOCKS_MAX, "incident_clock");
        root.fault(
            first_over.place,
            Fault::TooManySections,
            &[&values.0, &values.1],
        );
    }
    if !entries.is_empty() {
        let mut taken = HashSet::new();
        let clocks = entries.iter().filter_map(|entry| {
            let clock = clock(entry, &mut taken, rules);
            entry.finish();
            clock
        });
        told.clocks = clocks.collect();
    }
    rules.incident = told;
}

fn clock<'a>(
    entry: &Entry<'a>,
    taken: &mut HashSet<&'a str>,
    rules: &RuleSet,
) -> Option<IncidentClock> {
    entry.require(&["id", "kind", "addressee", "addressee_ja"]);
    let id = own_id(entry, taken);
    let kind = kind(entry);
    let addressee = name(entry, "addressee");
    let addressee_ja = name(entry, "addressee_ja");
    let within = within(entry, "within");
    let within_malicious = self::within(entry, "within_malicious");
    if within_malicious.is_some() && !entry.has("within") {
        let why = both("goes with within", "within とともに書きます");
        entry.refuse("within_malicious", why);
    }
    let moves = entry.flag("moves");
    let in_days = |within: Option<Within>| matches!(within, Some(Within::Days(_)));
    let read = within.is_some() || !entry.has("within");
    if moves && read && !in_days(within) && !in_days(within_malicious) {
        let why = both(
            "is for a within in days: no closed day moves the end of hours",
            "日数の within に付けるものです。時間で定めた期限は休日で延びません",
        );
        entry.refuse("moves", why);
    }
    let countries = entry.words("origin_countries").into_iter().map(|word| {
        if !words::is_country(word.value) {
            entry.wrong_word("origin_countries", word, COUNTRY);
        }
        word.value.into()
    });
    let origin_countries = countries.collect();
    let systems = listed(entry, "systems", Sort::SYSTEM, &rules.systems);
    let always = entry.flag("always");
    let kinds = entry
        .has("kinds")
        .then(|| chosen(entry, "kinds", Sort::KIND, &rules.kinds));
    let categories = entry
        .has("categories")
        .then(|| covered(entry, "categories", &rules.categories));
    Some(IncidentClock {
        id,
        kind: kind?,
        addressee,
        addressee_ja,
        within,
        within_malicious,
        moves,
        always,
        kinds,
        categories,
        systems,
        origin_countries,
        line: entry.line,
    })
}

fn kind(entry: &Entry<'_>) -> Option<ClockKind> {
    let word = entry.text("kind")?;
    let found = ClockKind::ALL
        .into_iter()
        .find(|kind| kind.name() == word.value);
    if found.is_none() {
        let known = ClockKind::ALL.into_iter().map(ClockKind::name);
        entry.unknown(Sort::CLOCK, word, known);
    }
    found
}

fn within(entry: &Entry<'_>, key: &'static str) -> Option<Within> {
    let text = entry.text(key)?;
    let within = Within::parse(text.value);
    if within.is_none() {
        let found = shown(text.value);
        entry.fault(text, Fault::Expected, &[&key, &WITHIN, &found]);
    }
    within
}
