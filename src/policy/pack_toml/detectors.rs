//! What the detectors of the periodic review go by, where it is not their default: `[[detector]]`.

use std::collections::HashSet;

use super::{Choice, find};
use crate::decision::rules::{DetectorRule, Id, IdSet, Role, RuleSet};
use crate::domain::detector::Detector;
use crate::policy::entry::Entry;
use crate::policy::faults::shown;
use crate::policy::kinds::{Kind as Fault, Sort, Words, words as both};

/// The most that a detector may ask for at least.
const LEAST_MAX: u64 = 1_000_000;

const OFF: Words = both(
    "is looked for whatever a pack says",
    "はパックの定めによらず必ず確認します",
);
const NOT_BY_IT: Words = both("this detector doesn't go by it", "この検出では使いません");
const NO_USE: Words = both(
    "has no effect beside off = true",
    "off = true のときは効果がありません",
);

/// Who has a rule of a detector already: everybody else, or people with a role.
type Taken = HashSet<(Detector, Option<Id<Role>>)>;

pub(super) fn detectors(root: &Entry<'_>, rules: &mut RuleSet) {
    let mut taken = Taken::new();
    for entry in root.sections("detector") {
        entry.require(&["id"]);
        let detector = detector(&entry);
        let roles = roles(&entry, rules);
        let off = entry.flag("off");
        let score = entry.tenths("score", 10..=1_000);
        let least = entry.number("least", 1..=LEAST_MAX);
        let within = entry.duration("within");
        if let Some(detector) = detector {
            let defaults = detector.defaults();
            for (key, is_used) in [
                ("score", defaults.score.is_some()),
                ("least", defaults.least.is_some()),
                ("within", defaults.within.is_some()),
            ] {
                if !is_used {
                    entry.refuse(key, NOT_BY_IT);
                } else if off {
                    entry.refuse(key, NO_USE);
                }
            }
            if !detector.may_be_off() {
                entry.refuse("off", OFF);
            }
            if !["off", "score", "least", "within"]
                .map(|key| entry.has(key))
                .contains(&true)
            {
                let what = both(
                    "off, score, least, within or several of them",
                    "off、score、least、within のうち一つ以上",
                );
                entry.fault(entry.place, Fault::RuleWithoutScope, &[&what]);
            }
            is_the_only_one(&entry, detector, roles.as_deref(), &mut taken);
            rules.detectors.push(DetectorRule {
                detector,
                roles: roles.map(|roles| roles.into_iter().collect::<IdSet<Role>>()),
                off,
                score,
                least,
                within,
                line: entry.line,
            });
        }
        entry.finish();
    }
}

fn detector(entry: &Entry<'_>) -> Option<Detector> {
    let word = entry.text("id")?;
    let detector = Detector::parse(word.value);
    if detector.is_none() {
        let known = Detector::ALL.into_iter().map(Detector::word);
        entry.unknown(Sort::DETECTOR, word, known);
    }
    detector
}

/// For whom; `None` for whoever is in no other rule.
fn roles(entry: &Entry<'_>, rules: &RuleSet) -> Option<Vec<Id<Role>>> {
    match entry.choice("roles")? {
        Choice::All => None,
        Choice::These(words) => Some(
            words
                .into_iter()
                .filter_map(|word| find(entry, Sort::ROLE, word, &rules.roles))
                .collect(),
        ),
    }
}

/// Of two rules for the same people one would have no effect.
fn is_the_only_one(
    entry: &Entry<'_>,
    detector: Detector,
    roles: Option<&[Id<Role>]>,
    taken: &mut Taken,
) {
    let whom = match roles {
        None => vec![None],
        Some(roles) => roles.iter().copied().map(Some).collect(),
    };
    let again = whom
        .into_iter()
        .filter(|whom| !taken.insert((detector, *whom)))
        .count();
    if again > 0 {
        let place = entry.place_of(if roles.is_some() { "roles" } else { "id" });
        entry.fault(place, Fault::DuplicateId, &[&shown(detector.word())]);
    }
}
