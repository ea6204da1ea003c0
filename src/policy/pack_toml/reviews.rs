//! When campaigns of review are opened: `[[review]]`.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::conditions::own_id;
use super::name_error;
use crate::decision::rules::{Every, ReviewSchedule, RuleSet};
use crate::domain::ids::Name;
use crate::policy::entry::Entry;
use crate::policy::kinds::{Kind as Fault, Sort};

/// More is nobody's plan.
const SCHEDULES_MAX: usize = 100;

pub(super) fn reviews(root: &Entry<'_>, rules: &mut RuleSet) {
    let mut taken = HashSet::new();
    let entries = root.sections("review");
    if let Some(first_over) = entries.get(SCHEDULES_MAX) {
        let values = (SCHEDULES_MAX, "review");
        root.fault(
            first_over.place,
            Fault::TooManySections,
            &[&values.0, &values.1],
        );
    }
    for entry in entries {
        entry.require(&["id", "every"]);
        let id = own_id(&entry, &mut taken);
        let every = every(&entry);
        let number = |key, range: RangeInclusive<u32>, usual| {
            let range = u64::from(*range.start())..=u64::from(*range.end());
            let given = entry.number(key, range);
            given
                .and_then(|given| u32::try_from(given).ok())
                .unwrap_or(usual)
        };
        let schedule = ReviewSchedule {
            id,
            every: every.unwrap_or(Every::Monthly),
            roles: entry.flag("roles"),
            departments: departments(&entry),
            due_in_days: number(
                "due_in_days",
                ReviewSchedule::DUE_DAYS,
                ReviewSchedule::USUAL_DUE_DAYS,
            ),
            confidence_percent: number(
                "confidence_percent",
                ReviewSchedule::CONFIDENCE,
                ReviewSchedule::USUAL_CONFIDENCE,
            ),
            rate_percent: number(
                "rate_percent",
                ReviewSchedule::RATE,
                ReviewSchedule::USUAL_RATE,
            ),
            line: entry.line,
        };
        rules.review_schedules.push(schedule);
        entry.finish();
    }
}

fn every(entry: &Entry<'_>) -> Option<Every> {
    let word = entry.text("every")?;
    let found = Every::ALL.into_iter().find(|one| one.name() == word.value);
    if found.is_none() {
        entry.unknown(Sort::EVERY, word, Every::ALL.map(Every::name).into_iter());
    }
    found
}

/// Departments are the directory's: a pack names them, and knows none.
fn departments(entry: &Entry<'_>) -> Vec<Box<str>> {
    let words = entry.words("departments").into_iter();
    words
        .map(|word| {
            if let Err(error) = Name::parse(word.value) {
                entry.fault(word, Fault::BadName, &[&"departments", &name_error(error)]);
            }
            word.value.into()
        })
        .collect()
}
