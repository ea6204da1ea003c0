//! What is in order and yet can't be meant so, told as warnings: rules that allow nothing because of what pack.toml says, rules that
//! decide nothing because another one does, purposes that no rule is for. The pack is used all the same: none of it opens a door.

use std::collections::{HashMap, HashSet};

use super::faults::{Faults, FileFaults, PackFile, shown};
use super::kinds::Kind as Fault;
use super::resolve::Rule;
use super::rows::{ALL, Effect, Rows};
use crate::decision::rules::{
    Category, GrantCondition, Id, Kind, Purpose, Recipient, Role, Route, RuleSet,
};
use crate::domain::access::Action;

/// Looks at what could be read. Where pack.toml has errors nothing is said, because most of it would follow from them.
pub(super) fn look(rules: &[Rule], rows: &Rows<'_>, pack: &RuleSet, faults: &Faults<'_>) {
    let of_pack = faults.of(PackFile::Pack);
    if !of_pack.none() {
        return;
    }
    let of_policy = faults.of(PackFile::Policy);
    let covered = Covered::of(pack);
    let mut takers = HashMap::new();
    for rule in rules.iter().filter(|rule| rule.effect == Effect::Allow) {
        reachable(rule, pack, &covered, &mut takers, of_policy);
    }
    shadowed(rules, pack, of_policy);
    // A line that could not be read may be the one for it.
    if of_policy.none() && rules.len() == rows.rules.len() {
        unused_purposes(rules, pack, of_pack);
    }
}

/// By category: itself and what it covers.
struct Covered {
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

    fn by(&self, category: Option<Id<Category>>) -> &[Id<Category>] {
        match category {
            None => &self.all,
            Some(category) => self.by_category.get(&category).map_or(&[], Vec::as_slice),
        }
    }
}

/// A category and those that cover it.
fn outwards(from: Id<Category>, pack: &RuleSet) -> impl Iterator<Item = Id<Category>> + '_ {
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
    faults: FileFaults<'_>,
) {
    let Some(purpose) = pack.purposes.get(rule.purpose) else {
        return;
    };
    let name = shown(pack.purposes.name(rule.purpose));
    if let Some(kind) = rule.kind.filter(|kind| !purpose.kinds.contains(*kind)) {
        let kind = shown(pack.kinds.name(kind));
        faults.tell(rule.line, Fault::UnreachableSubject, &[&name, &kind]);
        return;
    }
    let category = rule.category.map_or(ALL, |id| pack.categories.name(id));
    let category = shown(category);
    let categories = covered.by(rule.category).iter().copied();
    let mut categories = categories
        .filter(|id| purpose.categories.contains(*id))
        .peekable();
    if categories.peek().is_none() {
        faults.tell(rule.line, Fault::UnreachableCategory, &[&name, &category]);
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
        faults.tell(rule.line, Fault::UnreachableRecipient, &[&category, &name]);
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

/// What one rule is about.
type Scope = (
    Id<Role>,
    Option<Id<Kind>>,
    Option<Id<Category>>,
    Action,
    Id<Purpose>,
);

/// That no other rule decides all that a rule decides: one of an inherited role, for all kinds, for a category that covers its own.
fn shadowed(rules: &[Rule], pack: &RuleSet, faults: FileFaults<'_>) {
    let mut there: HashMap<Scope, Vec<&Rule>> = HashMap::new();
    for rule in rules {
        there.entry(scope(rule)).or_default().push(rule);
    }
    for rule in rules {
        let mut denied_by = None;
        let mut decided_by = None;
        for other in wider(rule, pack)
            .filter_map(|scope| there.get(&scope))
            .flatten()
        {
            if other.line == rule.line {
                continue;
            }
            match (other.effect, rule.effect) {
                (Effect::Deny, Effect::Allow) => denied_by = denied_by.or(Some(other.line)),
                (Effect::Deny, Effect::Deny) => decided_by = decided_by.or(Some(other.line)),
                (Effect::Allow, Effect::Allow)
                    if other.condition == GrantCondition::Always
                        || other.condition == rule.condition =>
                {
                    decided_by = decided_by.or(Some(other.line));
                }
                (Effect::Allow, _) => {}
            }
        }
        if let Some(line) = denied_by {
            faults.tell(rule.line, Fault::DeniedRule, &[&line]);
        } else if let Some(line) = decided_by {
            faults.tell(rule.line, Fault::ShadowedRule, &[&line]);
        }
    }
}

const fn scope(rule: &Rule) -> Scope {
    (
        rule.role,
        rule.kind,
        rule.category,
        rule.action,
        rule.purpose,
    )
}

/// The scopes that hold all of a rule's, its own among them.
fn wider<'p>(rule: &'p Rule, pack: &'p RuleSet) -> impl Iterator<Item = Scope> + 'p {
    let roles = pack.roles.get(rule.role).into_iter();
    let roles = roles.flat_map(|role| role.closure.iter().copied());
    roles.flat_map(move |role| {
        let kinds = [rule.kind, None];
        let kinds = kinds.into_iter().take(1 + usize::from(rule.kind.is_some()));
        kinds.flat_map(move |kind| {
            let named = rule.category.into_iter();
            let named = named
                .flat_map(|category| outwards(category, pack))
                .map(Some);
            named
                .chain([None])
                .map(move |category| (role, kind, category, rule.action, rule.purpose))
        })
    })
}

fn unused_purposes(rules: &[Rule], pack: &RuleSet, faults: FileFaults<'_>) {
    let allows = rules.iter().filter(|rule| rule.effect == Effect::Allow);
    let used: HashSet<_> = allows.map(|rule| rule.purpose).collect();
    for (id, name, purpose) in pack.purposes.iter() {
        if !used.contains(&id) {
            faults.tell(purpose.line, Fault::UnusedPurpose, &[&shown(name)]);
        }
    }
}
