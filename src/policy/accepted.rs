//! Warnings that the pack's own people accept, `[[accept_warning]]`: rules that are kept although they allow nothing, each with why. An
//! error can't be accepted, and accepting what isn't there is a warning itself.

use std::cell::Cell;

use super::entry::Entry;
use super::faults::{FileFaults, Place, shown};
use super::kinds::{Kind as Fault, Said, Sort};
use super::pack_toml;
use crate::decision::rules::{Id, IdSet, Purpose, RuleSet};

/// The codes of what can be accepted.
pub(super) const ACCEPTABLE: [&str; 4] = [
    "unreachable-grant",
    "shadowed-rule",
    "denies-nothing",
    "unused-purpose",
];

/// One `[[accept_warning]]`.
#[derive(Debug)]
pub(super) struct Accepted {
    code: &'static str,
    purposes: IdSet<Purpose>,
    place: Place,
    used: Cell<bool>,
}

/// Reads them.
pub(super) fn read(root: &Entry<'_>, rules: &RuleSet) -> Vec<Accepted> {
    let mut accepted = Vec::new();
    for entry in root.sections("accept_warning") {
        entry.require(&["code", "purposes", "why"]);
        let purposes = pack_toml::chosen(&entry, "purposes", Sort::PURPOSE, &rules.purposes);
        if let Some(why) = entry.text("why").filter(|why| why.value.trim().is_empty()) {
            entry.fault(why, Fault::BlankText, &[&"why"]);
        }
        if let Some(word) = entry.text("code") {
            match ACCEPTABLE.iter().find(|code| **code == word.value) {
                Some(code) => accepted.push(Accepted {
                    code,
                    purposes,
                    place: entry.place,
                    used: Cell::new(false),
                }),
                None => entry.unknown(Sort::WARNING, word, ACCEPTABLE.into_iter()),
            }
        }
        entry.refuse("promise", pack_toml::NO_RULE);
        entry.refuse("promise_ja", pack_toml::NO_RULE);
        entry.finish();
    }
    accepted
}

/// Tells warnings about rules, but for those that are accepted.
pub(super) struct Warnings<'a> {
    pub(super) accepted: &'a [Accepted],
    pub(super) faults: FileFaults<'a>,
}

impl Warnings<'_> {
    pub(super) fn tell(
        &self,
        place: impl Into<Place>,
        purpose: Id<Purpose>,
        kind: Fault,
        values: &[&dyn Said],
    ) {
        let accepts = |one: &&Accepted| one.code == kind.code() && one.purposes.contains(purpose);
        match self.accepted.iter().find(accepts) {
            Some(one) => one.used.set(true),
            None => self.faults.tell(place, kind, values),
        }
    }
}

/// Tells those that accepted nothing.
pub(super) fn unused(accepted: &[Accepted], faults: FileFaults<'_>) {
    for one in accepted.iter().filter(|one| !one.used.get()) {
        faults.tell(one.place, Fault::AcceptsNothing, &[&shown(one.code)]);
    }
}
