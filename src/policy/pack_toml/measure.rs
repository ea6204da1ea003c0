//! Safety-management measures: `[[measure]]`.

use std::collections::HashSet;

use super::conditions::own_id;
use super::{find, name};
use crate::decision::rules::{Measure, MeasureKind, Mechanism, RuleSet};
use crate::domain::calendar::Period;
use crate::policy::entry::Entry;
use crate::policy::faults::shown;
use crate::policy::kinds::{Both, Kind as Fault, Sort, words as both};

/// How many there may be: a register is read by people.
const MEASURES_MAX: usize = 500;

pub(super) fn measures(root: &Entry<'_>, rules: &mut RuleSet) {
    let entries = root.sections("measure");
    if let Some(first_over) = entries.get(MEASURES_MAX) {
        let values = (MEASURES_MAX, "measure");
        root.fault(
            first_over.place,
            Fault::TooManySections,
            &[&values.0, &values.1],
        );
    }
    let mut taken = HashSet::new();
    let mut measures = Vec::new();
    for entry in entries {
        entry.require(&["id", "promise", "promise_ja", "owner", "kind"]);
        let id = own_id(&entry, &mut taken);
        let owner = entry
            .text("owner")
            .and_then(|word| find(&entry, Sort::ROLE, word, &rules.roles));
        let by = mechanism(&entry);
        let every = period(&entry);
        let asked_for = name(&entry, "reference");
        let asked_for_ja = name(&entry, "reference_ja");
        let kind = kind(&entry, rules, by, every, (asked_for, asked_for_ja));
        if let (Some(owner), Some(kind)) = (owner, kind) {
            measures.push(Measure {
                id,
                owner,
                kind,
                line: entry.line,
            });
        }
        entry.finish();
    }
    rules.measures = measures;
}

fn kind(
    entry: &Entry<'_>,
    rules: &RuleSet,
    by: Option<Mechanism>,
    every: Option<Period>,
    (asked_for, asked_for_ja): (Box<str>, Box<str>),
) -> Option<MeasureKind> {
    const ATTESTED: [&str; 3] = ["every", "reference", "reference_ja"];
    let word = entry.text("kind")?;
    let is_derived = matches!(word.value, "enforced" | "recorded");
    if !MeasureKind::NAMES.contains(&word.value) {
        entry.unknown(Sort::MEASURE, word, MeasureKind::NAMES.into_iter());
        return None;
    }
    if is_derived {
        entry.require(&["by"]);
    } else {
        let why = both(
            "is for what is enforced or recorded",
            "enforced か recorded の措置に付けるものです",
        );
        entry.refuse("by", why);
    }
    if word.value == "attested" {
        entry.require(&ATTESTED);
    } else {
        for key in ATTESTED {
            let why = both("is for what is attested", "attested の措置に付けるものです");
            entry.refuse(key, why);
        }
    }
    match word.value {
        "enforced" => {
            let by = by?;
            if !is_there(by, rules) {
                let why = both(
                    "is nothing that this pack enforces",
                    "このパックが実施していないものです",
                );
                entry.refuse("by", why);
            }
            Some(MeasureKind::Enforced(by))
        }
        "recorded" => Some(MeasureKind::Recorded(by?)),
        "attested" => Some(MeasureKind::Attested {
            every: every?,
            asked_for,
            asked_for_ja,
        }),
        _ => Some(MeasureKind::Outside),
    }
}

/// Whether the pack has rules of that sort: a register must not promise more than there is.
fn is_there(by: Mechanism, rules: &RuleSet) -> bool {
    match by {
        Mechanism::Limits => !rules.limits.is_empty(),
        Mechanism::Standing => rules.standing.training || rules.standing.pledge,
        // Whatever a pack says.
        Mechanism::Networks | Mechanism::TwoStep | Mechanism::Categories | Mechanism::Log => true,
    }
}

fn mechanism(entry: &Entry<'_>) -> Option<Mechanism> {
    let word = entry.text("by")?;
    let mut all = Mechanism::ALL.into_iter();
    let found = all.find(|one| one.name() == word.value);
    if found.is_none() {
        let known = Mechanism::ALL.into_iter().map(Mechanism::name);
        entry.unknown(Sort::MECHANISM, word, known);
    }
    found
}

fn period(entry: &Entry<'_>) -> Option<Period> {
    let text = entry.text("every")?;
    let period = Period::parse(text.value);
    if period.is_none() {
        let (days, years) = (Period::DAYS_MIN, Period::YEARS_MAX);
        let expected = Both {
            en: format!(
                "a period like \"1y\", \"6mo\" or \"90d\", from {days} days to {years} years"
            ),
            ja: format!("\"1y\"、\"6mo\"、\"90d\" のような {days} 日から {years} 年までの期間"),
        };
        let found = shown(text.value);
        entry.fault(text, Fault::Expected, &[&"every", &expected, &found]);
    }
    period
}
