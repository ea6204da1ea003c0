//! Whose data, which data, for what: `[[kind]]`, `[[category]]`, `[[purpose]]`.

use super::{CATEGORIES_MAX, Declared, add, chosen, exception_of, id_of, listed};
use crate::decision::rules::{
    Category, Exceptions, Id, IdSet, Kind, Mask, Purpose, RuleSet, Table,
};
use crate::policy::entry::{Choice, Entry};
use crate::policy::faults::shown;
use crate::policy::kinds::{Kind as Fault, Sort};
use crate::policy::words;

pub(super) fn kinds(declared: &Declared<'_, Kind>, rules: &mut RuleSet) {
    for (id, entry) in declared {
        if let Some(kind) = rules.kinds.get_mut(*id) {
            kind.line = entry.line;
        }
        entry.finish();
    }
}

pub(super) fn categories(root: &Entry<'_>, rules: &mut RuleSet) {
    for entry in root.sections("category") {
        entry.require(&["id", "items"]);
        let Some(id) = id_of(&entry) else { continue };
        entry.declared("category", id);
        let special_care = entry.flag("special_care");
        let category = Category {
            parent: None,
            special_care,
            masks: Vec::new(),
            line: entry.line,
        };
        let Some(parent) = add(&entry, id, &mut rules.categories, category) else {
            continue;
        };
        for (item, details) in entry.ids_or_tables("items") {
            if !words::is_item_of(item.value, id.value) {
                entry.fault(item, Fault::BadItem, &[&shown(item.value), &id.value]);
            }
            let category = Category {
                parent: Some(parent),
                special_care,
                masks: Vec::new(),
                line: item.line,
            };
            entry.declared("category", item);
            let place = add(&entry, item, &mut rules.categories, category);
            if let Some(details) = details {
                if let Some(place) = place {
                    mask(&details, place, rules);
                }
                details.finish();
            }
        }
        entry.finish();
    }
    if rules.categories.len() > CATEGORIES_MAX {
        root.fault(root.place, Fault::TooManyCategories, &[&CATEGORIES_MAX]);
    }
}

/// Puts a mask on the item and on all that cover it: asking for the whole reaches the part.
fn mask(entry: &Entry<'_>, item: Id<Category>, rules: &mut RuleSet) {
    if !entry.has("masked_except_to") {
        return;
    }
    let except_to: IdSet<_> = listed(entry, "masked_except_to", Sort::ROLE, &rules.roles)
        .into_iter()
        .collect();
    let mut at = Some(item);
    while let Some(category) = at.and_then(|id| rules.categories.get_mut(id)) {
        category.masks.push(Mask {
            category: item,
            except_to: except_to.clone(),
        });
        at = category.parent;
    }
}

pub(super) fn purposes(declared: &Declared<'_, Purpose>, rules: &mut RuleSet) {
    for (id, entry) in declared {
        entry.require(&["kinds", "categories"]);
        let purpose = Purpose {
            kinds: chosen(entry, "kinds", Sort::KIND, &rules.kinds),
            categories: covered(entry, "categories", &rules.categories),
            needs_case_ref: entry.flag("needs_case_ref"),
            needs_exception: needed_exceptions(entry, rules),
            needs_subject_request: entry.flag("needs_subject_request"),
            needs_reference: entry.flag("needs_reference"),
            line: entry.line,
        };
        if let Some(place) = rules.purposes.get_mut(*id) {
            *place = purpose;
        }
        entry.finish();
    }
}

fn needed_exceptions(entry: &Entry<'_>, rules: &RuleSet) -> Exceptions {
    let key = "needs_exception";
    let accepted = rules.exceptions.accepted;
    match entry.choice(key) {
        None => Exceptions::default(),
        Some(Choice::These(words)) => words
            .into_iter()
            .filter_map(|word| exception_of(entry, key, word, Some(accepted)))
            .collect(),
        Some(Choice::All) => {
            if accepted.is_empty() {
                // It would be a purpose that needs none.
                entry.fault(entry.place_of(key), Fault::NoExceptionAccepted, &[&key]);
            }
            accepted
        }
    }
}

/// The categories that a list names, or all, with everything that they cover.
pub(super) fn covered(
    entry: &Entry<'_>,
    key: &'static str,
    categories: &Table<Category>,
) -> IdSet<Category> {
    let named = chosen(entry, key, Sort::CATEGORY, categories);
    categories
        .iter()
        .map(|(id, _, _)| id)
        .filter(|id| outwards(*id, categories).any(|outer| named.contains(outer)))
        .collect()
}

/// The categories that a list names, with everything that they cover and everything that covers them.
pub(super) fn reached(
    entry: &Entry<'_>,
    key: &'static str,
    categories: &Table<Category>,
) -> IdSet<Category> {
    let named = listed(entry, key, Sort::CATEGORY, categories);
    let within: IdSet<_> = named.iter().copied().collect();
    let mut reached: IdSet<_> = categories
        .iter()
        .map(|(id, _, _)| id)
        .filter(|id| outwards(*id, categories).any(|outer| within.contains(outer)))
        .collect();
    for id in named {
        for outer in outwards(id, categories) {
            reached.insert(outer);
        }
    }
    reached
}

/// A category and those that cover it. Ends: a parent is always added before its items.
fn outwards(
    from: Id<Category>,
    categories: &Table<Category>,
) -> impl Iterator<Item = Id<Category>> + '_ {
    std::iter::successors(Some(from), |id| {
        categories
            .get(*id)
            .and_then(|category| category.parent)
            .filter(|parent| parent < id)
    })
}
