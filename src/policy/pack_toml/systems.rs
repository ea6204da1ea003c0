//! The systems that hold personal data: `[[system]]`.

use super::{COUNTRY, Declared, find, name};
use crate::decision::rules::{Coverage, RuleSet, System};
use crate::policy::entry::{At, Entry};
use crate::policy::faults::shown;
use crate::policy::kinds::{Kind as Fault, Sort};
use crate::policy::words;

pub(super) fn systems(declared: &Declared<'_, System>, rules: &mut RuleSet) {
    for (id, entry) in declared {
        entry.require(&[
            "title",
            "title_ja",
            "responsible",
            "department",
            "country",
            "coverage",
        ]);
        let responsible = name(entry, "responsible");
        let system = System {
            title: name(entry, "title"),
            title_ja: name(entry, "title_ja"),
            responsible_ja: match name(entry, "responsible_ja") {
                none if none.is_empty() => responsible.clone(),
                given => given,
            },
            responsible,
            department: name(entry, "department"),
            country: country(entry),
            coverage: coverage(entry),
            line: entry.line,
        };
        if let Some(place) = rules.systems.get_mut(*id) {
            *place = system;
        }
        entry.finish();
    }
}

fn country(entry: &Entry<'_>) -> Box<str> {
    let Some(word) = entry.text("country") else {
        return "".into();
    };
    if !words::is_country(word.value) {
        entry.wrong_word("country", word, COUNTRY);
    }
    word.value.into()
}

fn coverage(entry: &Entry<'_>) -> Coverage {
    let Some(word) = entry.text("coverage") else {
        return Coverage::Uncovered;
    };
    let known = Coverage::ALL.into_iter();
    let found = known.clone().find(|coverage| coverage.name() == word.value);
    if found.is_none() {
        entry.unknown(Sort::COVERAGE, word, known.map(Coverage::name));
    }
    found.unwrap_or_default()
}

/// That a service's system is one of those that the pack lists, once it lists any.
pub(super) fn known(entry: &Entry<'_>, word: At<&str>, rules: &RuleSet) {
    if !rules.systems.is_empty() {
        find(entry, Sort::SYSTEM, word, &rules.systems);
    }
}

/// What is said of a system's coverage and which services ask about it go together: the first page of every report must not
/// promise more than there is.
pub(super) fn coverage_is_true(declared: &Declared<'_, System>, rules: &RuleSet) {
    for (id, entry) in declared {
        let name = rules.systems.name(*id);
        let said = entry.peek("coverage");
        if !Coverage::ALL.iter().any(|one| said == Some(one.name())) {
            // Told already.
            continue;
        }
        let asking = rules
            .services
            .iter()
            .find(|(_, _, service)| service.systems.iter().any(|system| **system == *name));
        let uncovered = rules
            .systems
            .get(*id)
            .is_some_and(|system| system.coverage == Coverage::Uncovered);
        match (uncovered, asking) {
            (true, Some((_, service, _))) => {
                let place = entry.place_of("coverage");
                entry.fault(place, Fault::CoverageUntrue, &[&shown(service)]);
            }
            (false, None) => {
                entry.fault(entry.place_of("coverage"), Fault::CoverageUnused, &[]);
            }
            _ => {}
        }
    }
}
