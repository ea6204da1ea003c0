//! For whom of some people a change makes a difference.

use std::collections::HashMap;

use super::grants::GrantChanges;
use crate::decision::entitlements::{Use, could_be_allowed, working_roles};
use crate::decision::rules::{Actions, Id, Role, RuleSet};
use crate::domain::access::Action;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;

/// So many of what somebody gains or loses are told in words.
const SHOWN_MAX: usize = 3;

/// A person as they are before the change and after it; `None` where they are only there on the other side.
#[derive(Debug, Clone, Copy)]
pub struct PersonBefore<'a> {
    /// Under the old pack.
    pub old: Option<&'a Person>,
    /// Under the new one.
    pub new: Option<&'a Person>,
}

/// What a change means for one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// Their id.
    pub person: String,
    /// Their roles that count under the old pack, those it doesn't know left out; none for one who may not work.
    pub old_roles: Vec<String>,
    /// The same under the new one.
    pub new_roles: Vec<String>,
    /// How many of (kind, category, action, purpose) they could be allowed that they could not.
    pub gains: u64,
    /// How many they could not be allowed any more.
    pub loses: u64,
    /// The first of what they gain, widest first: kind, category, action, purpose.
    pub gained: Vec<Named>,
    /// The first of what they lose.
    pub lost: Vec<Named>,
}

/// Kind, category, action, purpose.
type Named = (String, String, Action, String);

/// What a set of roles gains and loses.
#[derive(Debug, Clone, Default)]
struct Difference {
    gains: u64,
    loses: u64,
    gained: Vec<Named>,
    lost: Vec<Named>,
}

/// Those for whom it makes a difference, by id. Of what somebody could be allowed only what differs between the packs is looked at:
/// one whose roles are others in the new pack's people is told for that, and with what differs of them.
#[must_use]
pub fn affected<'a>(
    changes: &GrantChanges<'_>,
    people: impl Iterator<Item = PersonBefore<'a>>,
    now: Timestamp,
) -> Vec<Affected> {
    let mut by_role: HashMap<&str, Vec<usize>> = HashMap::new();
    for (position, delta) in changes.deltas.iter().enumerate() {
        let role = changes.roles.name(delta.tuple.role);
        by_role.entry(role).or_default().push(position);
    }
    let mut known: HashMap<(Vec<String>, Vec<String>), Difference> = HashMap::new();
    let mut found = Vec::new();
    for person in people {
        let Some(id) = person
            .old
            .or(person.new)
            .map(|person| person.id.to_string())
        else {
            continue;
        };
        let old = roles(changes.old, person.old, now);
        let new = roles(changes.new, person.new, now);
        let key = (names(changes.old, &old), names(changes.new, &new));
        let difference = known
            .entry(key.clone())
            .or_insert_with(|| differs(changes, &by_role, (&old, &new), &key));
        let (old_roles, new_roles) = key;
        if difference.gains == 0 && difference.loses == 0 && old_roles == new_roles {
            continue;
        }
        found.push(Affected {
            person: id,
            old_roles,
            new_roles,
            gains: difference.gains,
            loses: difference.loses,
            gained: difference.gained.clone(),
            lost: difference.lost.clone(),
        });
    }
    found.sort_by(|one, other| one.person.cmp(&other.person));
    found
}

fn roles(rules: &RuleSet, person: Option<&Person>, now: Timestamp) -> Vec<Id<Role>> {
    person.map_or_else(Vec::new, |person| working_roles(rules, person, false, now))
}

fn names(rules: &RuleSet, roles: &[Id<Role>]) -> Vec<String> {
    let names = roles.iter().map(|role| rules.roles.name(*role).to_owned());
    names.collect()
}

fn differs(
    changes: &GrantChanges<'_>,
    by_role: &HashMap<&str, Vec<usize>>,
    (old, new): (&[Id<Role>], &[Id<Role>]),
    (old_names, new_names): &(Vec<String>, Vec<String>),
) -> Difference {
    let mut positions: Vec<usize> = old_names
        .iter()
        .chain(new_names)
        .filter_map(|role| by_role.get(role.as_str()))
        .flatten()
        .copied()
        .collect();
    // What two of the roles have in common counts once: by what is used, whichever role it is.
    let used = |position: &usize| {
        let tuple = changes.deltas.get(*position).map(|delta| delta.tuple);
        tuple.map(|tuple| (tuple.kind, tuple.purpose, tuple.category))
    };
    positions.sort_by_key(used);
    let mut difference = Difference::default();
    for alike in positions.chunk_by(|one, other| used(one) == used(other)) {
        let deltas = || alike.iter().filter_map(|at| changes.deltas.get(*at));
        let Some(tuple) = deltas().next().map(|delta| delta.tuple) else {
            continue;
        };
        let actions = deltas().fold(Actions::default(), |all, delta| all.or(delta.actions()));
        let could = |rules, roles: &[Id<Role>], wanted: Option<Use>| {
            wanted.is_some_and(|wanted| could_be_allowed(rules, roles, wanted).is_some())
        };
        for action in actions.iter() {
            let was = could(changes.old, old, changes.old_use(tuple, action));
            let is = could(changes.new, new, changes.new_use(tuple, action));
            let (count, shown) = match (was, is) {
                (false, true) => (&mut difference.gains, &mut difference.gained),
                (true, false) => (&mut difference.loses, &mut difference.lost),
                _ => continue,
            };
            *count = count.saturating_add(1);
            if shown.len() < SHOWN_MAX {
                shown.push((
                    changes.kinds.name(tuple.kind).to_owned(),
                    changes.categories.name(tuple.category).to_owned(),
                    action,
                    changes.purposes.name(tuple.purpose).to_owned(),
                ));
            }
        }
    }
    difference
}
