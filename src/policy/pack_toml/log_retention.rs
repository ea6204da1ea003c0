//! How long the access log is kept: `[[log_retention]]`.

use std::collections::HashSet;

use super::chosen;
use super::conditions::own_id;
use super::data::covered;
use crate::decision::rules::{LogClass, LogRetention, LoggedKind, RuleSet};
use crate::domain::calendar::Period;
use crate::policy::entry::Entry;
use crate::policy::errors::shown;

/// How many classes there may be: each has a key for each month.
const CLASSES_MAX: usize = 32;

pub(super) fn log_retention(root: &Entry<'_>, rules: &mut RuleSet) {
    let mut taken = HashSet::new();
    let mut default = LogRetention::default().default;
    let mut classes = Vec::new();
    let entries = root.sections("log_retention");
    if let Some(first_over) = entries.get(CLASSES_MAX) {
        root.fault(first_over.line, || {
            format!("a pack has at most {CLASSES_MAX} sections [[log_retention]]")
        });
    }
    for entry in entries {
        entry.require(&["id", "period"]);
        let id = own_id(&entry, &mut taken);
        if LogRetention::is_of_records(&id) {
            entry.fault(entry.line, || {
                format!(
                    "{} is the class of records that are kept so long: choose another id",
                    shown(&id)
                )
            });
        }
        let period = period(&entry);
        if *id == *LogRetention::DEFAULT {
            for key in ["categories", "kinds", "entries"] {
                entry.refuse(key, "the class \"default\" is what belongs to no other");
            }
            default = period.unwrap_or(default);
        } else {
            if !["categories", "kinds", "entries"]
                .map(|key| entry.has(key))
                .contains(&true)
            {
                entry.fault(entry.line, || {
                    "needs categories, kinds, entries or several of them".into()
                });
            }
            let class = LogClass {
                id,
                period: period.unwrap_or(default),
                categories: entry
                    .has("categories")
                    .then(|| covered(&entry, "categories", &rules.categories)),
                kinds: entry
                    .has("kinds")
                    .then(|| chosen(&entry, "kinds", "kind", &rules.kinds)),
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
        entry.fault(text.line, || {
            format!(
                "period: expected a period like \"3y\", \"18mo\" or \"90d\", from {} days to {} years, found {}",
                Period::DAYS_MIN,
                Period::YEARS_MAX,
                shown(text.value)
            )
        });
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
                entry.unknown("kind of entry", word, known);
            }
            kind
        })
        .collect()
}
