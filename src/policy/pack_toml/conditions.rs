//! What is asked besides a grant: `[[second_step]]`, `[[break_glass]]`, `[[limit]]`, `[[date]]`, `[[retention]]`, `[[outcome]]`.

use std::collections::HashSet;
use std::time::Duration;

use super::data::{covered, reached};
use super::{Declared, actions_of, chosen, find, id_of, listed};
use crate::decision::rules::{
    BreakGlassRule, Limit, OutcomeRule, RetentionRule, RuleSet, SecondStepRule,
};
use crate::policy::entry::Entry;
use crate::policy::faults::shown;
use crate::policy::kinds::{Kind as Fault, Sort, Words, words as both};

const CATEGORIES_OR_ACTIONS: Words = both(
    "categories, actions or both",
    "categories か actions、または両方",
);
const ACTIONS_OR_BREAK_GLASS: Words = both(
    "actions, break_glass or both",
    "actions か break_glass、または両方",
);

/// The longest window of a limit: what it counts is held in memory.
const WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn dates(declared: &Declared<'_, u32>, rules: &mut RuleSet) {
    for (id, entry) in declared {
        if let Some(line) = rules.dates.get_mut(*id) {
            *line = entry.line;
        }
        entry.finish();
    }
}

pub(super) fn second_steps(root: &Entry<'_>, rules: &mut RuleSet) {
    for entry in root.sections("second_step") {
        entry.require(&["max_age"]);
        if !entry.has("categories") && !entry.has("actions") {
            entry.fault(
                entry.place,
                Fault::RuleWithoutScope,
                &[&CATEGORIES_OR_ACTIONS],
            );
        }
        let categories = reached(&entry, "categories", &rules.categories);
        let actions = actions_of(&entry, "actions");
        if let Some(max_age) = entry.duration("max_age") {
            rules.second_step.push(SecondStepRule {
                categories,
                actions,
                max_age,
                line: entry.line,
            });
        }
        entry.finish();
    }
}

pub(super) fn break_glass(root: &Entry<'_>, rules: &mut RuleSet) {
    for entry in root.sections("break_glass") {
        entry.require(&["roles", "kinds", "categories", "actions"]);
        let rule = BreakGlassRule {
            roles: listed(&entry, "roles", Sort::ROLE, &rules.roles)
                .into_iter()
                .collect(),
            kinds: chosen(&entry, "kinds", Sort::KIND, &rules.kinds),
            categories: covered(&entry, "categories", &rules.categories),
            actions: actions_of(&entry, "actions"),
            line: entry.line,
        };
        rules.break_glass.push(rule);
        entry.finish();
    }
}

/// The id of a rule that nothing refers to within the pack; in the log it must still mean one rule.
pub(super) fn own_id<'a>(entry: &Entry<'a>, taken: &mut HashSet<&'a str>) -> Box<str> {
    let Some(id) = id_of(entry) else {
        return "".into();
    };
    if !taken.insert(id.value) {
        entry.fault(id, Fault::DuplicateId, &[&shown(id.value)]);
    }
    id.value.into()
}

pub(super) fn limits(root: &Entry<'_>, rules: &mut RuleSet) {
    let mut taken = HashSet::new();
    for entry in root.sections("limit") {
        entry.require(&["id", "actions", "people", "window"]);
        let id = own_id(&entry, &mut taken);
        let actions = actions_of(&entry, "actions");
        let people = entry.number("people", 1..=1_000_000);
        let window = entry.duration("window");
        if window.is_some_and(|window| window > WINDOW_MAX) {
            entry.fault(entry.place_of("window"), Fault::WindowTooLong, &[]);
        }
        if let (Some(people), Some(window)) = (people, window) {
            rules.limits.push(Limit {
                id,
                actions,
                people,
                window,
                line: entry.line,
            });
        }
        entry.finish();
    }
}

pub(super) fn retention(root: &Entry<'_>, rules: &mut RuleSet) {
    let mut taken = HashSet::new();
    for entry in root.sections("retention") {
        entry.require(&["id", "kinds", "date", "years"]);
        let id = own_id(&entry, &mut taken);
        let date = entry.text("date");
        if let Some(date) = date {
            find(&entry, Sort::DATE, date, &rules.dates);
        }
        let years = entry
            .number("years", 0..=100)
            .and_then(|years| u16::try_from(years).ok());
        let kinds = chosen(&entry, "kinds", Sort::KIND, &rules.kinds);
        let except_actions = actions_of(&entry, "except_actions");
        let except_purposes = listed(&entry, "except_purposes", Sort::PURPOSE, &rules.purposes);
        if let (Some(date), Some(years)) = (date, years) {
            rules.retention.push(RetentionRule {
                id,
                kinds,
                date: date.value.into(),
                years,
                except_actions,
                except_purposes: except_purposes.into_iter().collect(),
                line: entry.line,
            });
        }
        entry.finish();
    }
}

pub(super) fn outcomes(root: &Entry<'_>, rules: &mut RuleSet) {
    for entry in root.sections("outcome") {
        entry.require(&["within"]);
        let actions = actions_of(&entry, "actions");
        let break_glass = entry.flag("break_glass");
        if !entry.has("actions") && !break_glass {
            entry.fault(
                entry.place,
                Fault::RuleWithoutScope,
                &[&ACTIONS_OR_BREAK_GLASS],
            );
        }
        if let Some(within) = entry.duration("within") {
            rules.outcomes.push(OutcomeRule {
                actions,
                break_glass,
                within,
                line: entry.line,
            });
        }
        entry.finish();
    }
}
