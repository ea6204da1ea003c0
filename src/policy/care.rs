//! Special care-required information (APPI Art. 2(3)) is taken only with the person's prior consent (Art. 20(2)): no row of policy.csv
//! and no `[[break_glass]]` reaches it for a use that no `[[consent]]` asks it for. At run time such a use would simply be allowed.
//!
//! Nobody's consent is needed where the person asks for the use themself, where a legal exception is needed instead (Art. 20(2)(i) to
//! (viii)), and to delete.

use std::collections::HashSet;

use super::faults::{Faults, PackFile, shown};
use super::kinds::Kind as Fault;
use super::lint::Covered;
use super::resolve::Rule;
use super::rows::Effect;
use super::shadowed::Board;
use crate::decision::rules::{
    Category, ConsentRule, GrantCondition, Id, Kind, LeastConsent, Purpose, RuleSet, Table,
};
use crate::domain::access::Action;

/// So many words are named of a list.
const NAMED_MAX: usize = 5;

/// Tells every row that reaches special care-required information without consent. Where the pack asks for it nowhere, that was told
/// of each category.
pub(super) fn look(
    rules: &[Rule],
    pack: &RuleSet,
    covered: &Covered,
    board: &Board<'_>,
    faults: &Faults<'_>,
) {
    let asking: Vec<&ConsentRule> = pack.consents.iter().filter(|rule| asks(rule)).collect();
    if !pack.consents.iter().any(|rule| rule.special_care) {
        return;
    }
    let needs = |purpose: Id<Purpose>, kind: Id<Kind>, action: Action| {
        let asked = |rule: &&ConsentRule| rule.when.is_for(action, kind, purpose);
        action != Action::Delete
            && pack.purposes.get(purpose).is_some_and(|purpose| {
                purpose.kinds.contains(kind)
                    && !purpose.needs_subject_request
                    && purpose.needs_exception.is_empty()
            })
            && !asking.iter().any(asked)
    };
    let special = |purpose: Id<Purpose>, category: Id<Category>| {
        let category_is = pack.categories.get(category);
        category_is.is_some_and(|category| category.special_care)
            && pack
                .purposes
                .get(purpose)
                .is_some_and(|purpose| purpose.categories.contains(category))
    };
    let all_kinds: Vec<Id<Kind>> = pack.kinds.iter().map(|(id, _, _)| id).collect();
    let none = HashSet::new();
    for rule in rules {
        if rule.effect == Effect::Deny || rule.condition == GrantCondition::OnRequest {
            continue;
        }
        let within = covered.by(rule.category).iter().copied();
        let categories: Vec<_> = within
            .filter(|category| special(rule.purpose, *category))
            .collect();
        if categories.is_empty() {
            continue;
        }
        let own = rule.kind.as_ref().map_or(&*all_kinds, std::slice::from_ref);
        let bare = own.iter().copied().filter(|kind| {
            needs(rule.purpose, *kind, rule.action)
                && categories
                    .iter()
                    .any(|category| board.denier(rule, *kind, *category, &none).is_none())
        });
        let bare = named(bare, &pack.kinds);
        if let Some(kinds) = bare {
            let categories = outermost(&categories, pack);
            let purpose = shown(pack.purposes.name(rule.purpose));
            let action = rule.action.name();
            faults.of(PackFile::Policy).tell(
                rule.line,
                Fault::RowWithoutConsent,
                &[&categories, &kinds, &action, &purpose],
            );
        }
    }
    for rule in &pack.break_glass {
        for action in Action::ALL
            .iter()
            .filter(|one| rule.actions.contains(**one))
        {
            for (purpose, name, _) in pack.purposes.iter() {
                let categories: Vec<_> = covered
                    .by(None)
                    .iter()
                    .copied()
                    .filter(|id| rule.categories.contains(*id) && special(purpose, *id))
                    .collect();
                let kinds = all_kinds.iter().copied();
                let kinds = kinds.filter(|kind| rule.kinds.contains(*kind));
                let bare = kinds.filter(|kind| needs(purpose, *kind, *action));
                if let (false, Some(kinds)) = (categories.is_empty(), named(bare, &pack.kinds)) {
                    let categories = outermost(&categories, pack);
                    faults.of(PackFile::Pack).tell(
                        rule.line,
                        Fault::RowWithoutConsent,
                        &[&categories, &kinds, &action.name(), &shown(name)],
                    );
                }
            }
        }
    }
}

/// Whether a rule asks for consent in every request that it counts for.
fn asks(rule: &ConsentRule) -> bool {
    rule.special_care
        && rule.least != LeastConsent::NotWithdrawn
        && rule.when.collected_via.is_empty()
        && !rule.when.automated_decision
}

/// The first few of these.
fn named<T>(ids: impl Iterator<Item = Id<T>>, table: &Table<T>) -> Option<String> {
    let mut named: Vec<String> = ids
        .take(NAMED_MAX + 1)
        .map(|id| shown(table.name(id)).to_string())
        .collect();
    if let Some(over) = named.get_mut(NAMED_MAX) {
        "...".clone_into(over);
    }
    (!named.is_empty()).then(|| named.join(", "))
}

/// Those that no other of them covers.
fn outermost(categories: &[Id<Category>], pack: &RuleSet) -> String {
    let covered_too = |id: &Id<Category>| {
        let parent = pack.categories.get(*id).and_then(|one| one.parent);
        parent.is_some_and(|parent| categories.contains(&parent))
    };
    let outer = categories.iter().filter(|id| !covered_too(id));
    named(outer.copied(), &pack.categories).unwrap_or_default()
}
