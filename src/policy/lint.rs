//! What is in order and yet can't be meant so, told as warnings: rules that allow nothing because of what pack.toml says, rules that
//! decide nothing because others do (`shadowed`), purposes that no rule is for. The pack is used all the same. To take such a rule out
//! changes nothing; but it may be the trace of a mistake that does open a door: a rule that denies nothing may have been meant to
//! deny what is allowed under another word. One mistake is an error, since its door stands open: `care`.

use std::collections::{HashMap, HashSet};

use super::accepted::{self, Warnings};
use super::care;
use super::faults::{Faults, PackFile, shown};
use super::kinds::Kind as Fault;
use super::pack_toml::PackToml;
use super::resolve::Rule;
use super::rows::{ALL, Effect, Rows};
use super::shadowed::{self, Board};
use crate::decision::rules::{Category, Id, Purpose, Recipient, Route, RuleSet};
use crate::domain::access::Action;

/// Looks at what could be read, as far as what it rests on could be.
pub(super) fn look(rules: &[Rule], rows: &Rows<'_>, read: &PackToml, faults: &Faults<'_>) {
    if faults.is_lossy() || !read.broken.none_of(&["category", "item"]) {
        return;
    }
    let (pack, broken) = (&read.rules, &read.broken);
    let of_pack = faults.of(PackFile::Pack);
    let of_policy = faults.of(PackFile::Policy);
    // A line that could not be read may be the one that is missed.
    let complete = of_policy.none() && rules.len() == rows.rules.len();
    let covered = Covered::of(pack);
    let board = Board::of(rules, pack, &covered);
    let warnings = Warnings {
        accepted: &read.accepted,
        faults: of_policy,
    };
    if broken.none_of(&["purpose"]) {
        let recipients = broken.none_of(&["recipient", "confidential"]);
        let mut takers = HashMap::new();
        for rule in rules.iter().filter(|rule| rule.effect == Effect::Allow) {
            if rule.action != Action::Provide || recipients {
                reachable(rule, pack, &covered, &mut takers, &warnings);
            }
        }
        shadowed::look(rules, &board, complete, &warnings);
        if broken.none_of(&["consent"]) {
            care::look(rules, pack, &covered, &board, faults);
        }
    }
    if complete {
        let warnings = Warnings {
            faults: of_pack,
            ..warnings
        };
        unused_purposes(rules, read, &warnings);
        if broken.none_of(&["purpose", "recipient", "confidential", "accept_warning"]) {
            accepted::unused(&read.accepted, of_pack);
        }
    }
}

/// By category: itself and what it covers.
pub(super) struct Covered {
    by_category: HashMap<Id<Category>, Vec<Id<Category>>>,
    all: Vec<Id<Category>>,
}

impl Covered {
    fn of(pack: &RuleSet) -> Self {
        let mut by_category: HashMap<_, Vec<_>> = HashMap::new();
        for (inner, _, _) in pack.categories.iter() {
            for outer in outwards(inner, pack) {
                by_category.entry(outer).or_default().push(inner);
            }
        }
        let all = pack.categories.iter().map(|(id, _, _)| id).collect();
        Self { by_category, all }
    }

    pub(super) fn by(&self, category: Option<Id<Category>>) -> &[Id<Category>] {
        match category {
            None => &self.all,
            Some(category) => self.by_category.get(&category).map_or(&[], Vec::as_slice),
        }
    }
}

/// A category and those that cover it.
pub(super) fn outwards(
    from: Id<Category>,
    pack: &RuleSet,
) -> impl Iterator<Item = Id<Category>> + Clone + '_ {
    std::iter::successors(Some(from), |id| {
        let parent = pack
            .categories
            .get(*id)
            .and_then(|category| category.parent);
        parent.filter(|parent| parent < id)
    })
}

/// By purpose: who takes anything for it. Found once for each, since there may be many rules and many recipients.
type Takers<'p> = HashMap<Id<Purpose>, Vec<&'p Recipient>>;

/// That a rule allows something: that its purpose is for its kind and for a category it covers, and that what may be provided has
/// somebody to go to.
fn reachable<'p>(
    rule: &Rule,
    pack: &'p RuleSet,
    covered: &Covered,
    takers: &mut Takers<'p>,
    warnings: &Warnings<'_>,
) {
    let Some(purpose) = pack.purposes.get(rule.purpose) else {
        return;
    };
    let name = shown(pack.purposes.name(rule.purpose));
    if let Some(kind) = rule.kind.filter(|kind| !purpose.kinds.contains(*kind)) {
        let kind = shown(pack.kinds.name(kind));
        warnings.tell(
            rule.line,
            rule.purpose,
            Fault::UnreachableSubject,
            &[&name, &kind],
        );
        return;
    }
    let category = rule.category.map_or(ALL, |id| pack.categories.name(id));
    let category = shown(category);
    let categories = covered.by(rule.category).iter().copied();
    let mut categories = categories
        .filter(|id| purpose.categories.contains(*id))
        .peekable();
    if categories.peek().is_none() {
        warnings.tell(
            rule.line,
            rule.purpose,
            Fault::UnreachableCategory,
            &[&name, &category],
        );
        return;
    }
    if rule.action != Action::Provide {
        return;
    }
    let takers = takers
        .entry(rule.purpose)
        .or_insert_with(|| takers_for(rule.purpose, pack));
    let goes_out = |id| {
        let takes = |recipient: &&Recipient| {
            recipient.route == Route::SameLegalEntity || recipient.items.contains(id)
        };
        takers.iter().any(takes) && !is_kept(id, rule.purpose, pack)
    };
    if !categories.any(goes_out) {
        warnings.tell(
            rule.line,
            rule.purpose,
            Fault::UnreachableRecipient,
            &[&category, &name],
        );
    }
}

fn takers_for(purpose: Id<Purpose>, pack: &RuleSet) -> Vec<&Recipient> {
    let recipients = pack.recipients.iter().map(|(_, _, recipient)| recipient);
    recipients
        .filter(|recipient| {
            recipient.route == Route::SameLegalEntity || recipient.purposes.contains(purpose)
        })
        .collect()
}

/// Whether a category is confidential, and goes to nobody for this purpose.
fn is_kept(category: Id<Category>, purpose: Id<Purpose>, pack: &RuleSet) -> bool {
    pack.confidential
        .iter()
        .any(|rule| rule.categories.contains(category) && !rule.except_purposes.contains(purpose))
}

fn unused_purposes(rules: &[Rule], read: &PackToml, warnings: &Warnings<'_>) {
    let allows = rules.iter().filter(|rule| rule.effect == Effect::Allow);
    let used: HashSet<_> = allows.map(|rule| rule.purpose).collect();
    for (id, name, purpose) in read.rules.purposes.iter() {
        if !used.contains(&id) {
            let place = read.places.of("purpose", name, purpose.line);
            warnings.tell(place, id, Fault::UnusedPurpose, &[&shown(name)]);
        }
    }
}
