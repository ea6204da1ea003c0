//! How long the access log is kept: `[[log_retention]]`.

use std::collections::HashSet;

use super::chosen;
use super::conditions::own_id;
use super::data::covered;
use crate::decision::rules::{LogClass, LogRetention, LoggedKind, RuleSet};
use crate::domain::calendar::Period;
use crate::policy::entry::Entry;
use crate::policy::faults::shown;
use crate::policy::kinds::{Both, Kind as Fault, Sort, words as both};

/// How many classes there may be: each has a key for each month.
const CLASSES_MAX: usize = 32;

pub(super) fn log_retention(root: &Entry<'_>, rules: &mut RuleSet) {
    let mut taken = HashSet::new();
    let mut default = LogRetention::default().default;
    let mut classes = Vec::new();
    let entries = root.sections("log_retention");
    if let Some(first_over) = entries.get(CLASSES_MAX) {
        let values = (CLASSES_MAX, "log_retention");
        root.fault(
            first_over.place,
            Fault::TooManySections,
            &[&values.0, &values.1],
        );
    }
    for entry in entries {
        entry.require(&["id", "period"]);
        let id = own_id(&entry, &mut taken);
        if LogRetention::is_of_records(&id) {
            entry.fault(entry.place_of("id"), Fault::ClassOfRecords, &[&shown(&id)]);
        }
        let period = period(&entry);
        if *id == *LogRetention::DEFAULT {
            for key in ["categories", "kinds", "entries"] {
                let why = both(
                    "the class \"default\" is what belongs to no other",
                    "\"default\" はほかのどの区分にも当たらないもののための区分です",
                );
                entry.refuse(key, why);
            }
            default = period.unwrap_or(default);
        } else {
            if !["categories", "kinds", "entries"]
                .map(|key| entry.has(key))
                .contains(&true)
            {
                let what = both(
                    "categories, kinds, entries or several of them",
                    "categories、kinds、entries のうち一つ以上",
                );
                entry.fault(entry.place, Fault::RuleWithoutScope, &[&what]);
            }
            let class = LogClass {
                id,
                period: period.unwrap_or(default),
                categories: entry
                    .has("categories")
                    .then(|| covered(&entry, "categories", &rules.categories)),
                kinds: entry
                    .has("kinds")
                    .then(|| chosen(&entry, "kinds", Sort::KIND, &rules.kinds)),
                entries: logged_kinds(&entry),
                line: entry.line,
            };
            classes.push(class);
        }
        entry.finish();
    }
    rules.log_retention = LogRetention::new(default, classes);
    let recipients = rules.recipients.iter();
    let years = recipients.filter_map(|(_, _, recipient)| recipient.record_years);
    rules.log_retention.keep_records(years);
}

fn period(entry: &Entry<'_>) -> Option<Period> {
    let text = entry.text("period")?;
    let period = Period::parse(text.value);
    if period.is_none() {
        let (days, years) = (Period::DAYS_MIN, Period::YEARS_MAX);
        let expected = Both {
            en: format!(
                "a period like \"3y\", \"18mo\" or \"90d\", from {days} days to {years} years"
            ),
            ja: format!("\"3y\"、\"18mo\"、\"90d\" のような {days} 日から {years} 年までの期間"),
        };
        let found = shown(text.value);
        entry.fault(text, Fault::Expected, &[&"period", &expected, &found]);
    }
    period
}

fn logged_kinds(entry: &Entry<'_>) -> Vec<LoggedKind> {
    entry
        .words("entries")
        .into_iter()
        .filter_map(|word| {
            let kind = LoggedKind::from_name(word.value);
            if kind.is_none() {
                let known = LoggedKind::ALL.iter().map(|kind| kind.name());
                entry.unknown(Sort::ENTRY, word, known);
            }
            kind
        })
        .collect()
}
