//! What callers refer to must be registered beforehand: `[[reference]]`.

use std::collections::HashSet;

use super::basis::{exceptions, routes, when};
use super::conditions::own_id;
use super::data::reached;
use crate::decision::rules::{ReferenceField, ReferenceRule, RuleSet};
use crate::domain::access::{Action, Consent};
use crate::domain::reference::ReferenceKind;
use crate::policy::entry::Entry;
use crate::policy::kinds::{Sort, words as both};

pub(super) fn references(root: &Entry<'_>, rules: &mut RuleSet) {
    let mut taken: HashSet<&str> = HashSet::new();
    for entry in root.sections("reference") {
        entry.require(&["id", "accepts", "field"]);
        let id = own_id(&entry, &mut taken);
        let rule = ReferenceRule {
            id,
            when: when(&entry, rules),
            categories: reached(&entry, "categories", &rules.categories),
            routes: routes(&entry),
            consents: named(&entry, "consents", Sort::CONSENT, Consent::ALL, |one| {
                one.name()
            }),
            exceptions: exceptions(&entry, rules),
            field: field(&entry).unwrap_or(ReferenceField::Basis),
            accepts: named(
                &entry,
                "accepts",
                Sort::REFERENCE,
                ReferenceKind::ALL,
                |one| one.name(),
            ),
            line: entry.line,
        };
        let provides = |actions: crate::decision::rules::Actions| actions.contains(Action::Provide);
        if !rule.routes.is_empty()
            && (provides(rule.when.except_actions)
                || rule.when.actions.is_some_and(|actions| !provides(actions)))
        {
            let why = both(
                "is for PROVIDE, which is not among the actions",
                "PROVIDE のためのものですが、actions に PROVIDE がありません",
            );
            entry.refuse("routes", why);
        }
        rules.references.push(rule);
        entry.finish();
    }
}

/// The values that a list names, by the API's names.
fn named<T: Copy>(
    entry: &Entry<'_>,
    key: &'static str,
    sort: Sort,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Vec<T> {
    let words = entry.words(key).into_iter();
    words
        .filter_map(|word| {
            let found = all.iter().copied().find(|one| name(*one) == word.value);
            if found.is_none() {
                entry.unknown(sort, word, all.iter().map(|one| name(*one)));
            }
            found
        })
        .collect()
}

fn field(entry: &Entry<'_>) -> Option<ReferenceField> {
    let word = entry.text("field")?;
    let known = ReferenceField::ALL;
    let found = known.iter().find(|(_, name)| *name == word.value);
    if found.is_none() {
        entry.unknown(Sort::FIELD, word, known.iter().map(|(_, name)| *name));
    }
    found.map(|(field, _)| *field)
}
