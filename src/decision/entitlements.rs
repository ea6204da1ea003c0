//! What the grants come to, without a request: who could be allowed something, and what somebody could be allowed. A request may
//! still be denied for all that a stage asks besides: consent, holds, limits, from where it comes.

use std::collections::{BTreeMap, HashMap};

use super::grant::granted_to;
use super::person;
use super::rules::{Category, Id, Kind, Purpose, Role, RuleSet};
use crate::domain::access::Action;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;

/// Use of one category of one kind of person, for one purpose, by one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Use {
    /// Whose data.
    pub kind: Id<Kind>,
    /// Which data.
    pub category: Id<Category>,
    /// What for.
    pub purpose: Id<Purpose>,
    /// How.
    pub action: Action,
}

/// By which row something could be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByRow {
    /// Line in policy.csv.
    pub line: u32,
    /// Only at the request of the person the data are about.
    pub on_request: bool,
}

/// The row by which one of these roles could be allowed this, not by break glass. `None` too where the purpose doesn't extend to it.
#[must_use]
pub fn could_be_allowed(rules: &RuleSet, roles: &[Id<Role>], wanted: Use) -> Option<ByRow> {
    if !extends(rules, wanted) {
        return None;
    }
    let by = |on_request| {
        let line = granted_to(rules, roles, wanted, on_request)?;
        Some(ByRow { line, on_request })
    };
    by(false).or_else(|| by(true))
}

/// Everything that one of these roles could be allowed, of one kind or of all, by kind, category, action and purpose in the order
/// of their names; `None` where that is more than `most`, which is found out as soon as there is one more. Takes time with the
/// number of tuples that the pack resolves to: 4 million at most, about half a second.
#[must_use]
pub fn all_allowed(
    rules: &RuleSet,
    roles: &[Id<Role>],
    kind: Option<Id<Kind>>,
    most: usize,
) -> Option<Vec<(Use, ByRow)>> {
    let mut found = BTreeMap::new();
    for granting in rules.grants.iter() {
        let key = granting.key;
        if !roles.contains(&key.role) || kind.is_some_and(|kind| kind != key.kind) {
            continue;
        }
        let wanted = Use {
            kind: key.kind,
            category: key.category,
            purpose: key.purpose,
            action: granting.action,
        };
        let name = names(rules, wanted);
        if !found.contains_key(&name)
            && let Some(by) = could_be_allowed(rules, roles, wanted)
        {
            if found.len() == most {
                return None;
            }
            found.insert(name, (wanted, by));
        }
    }
    Some(found.into_values().collect())
}

/// What each role alone could be allowed, in no order.
#[must_use]
pub fn allowed_by_role(rules: &RuleSet) -> HashMap<Id<Role>, Vec<(Use, ByRow)>> {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for granting in rules.grants.iter() {
        let key = granting.key;
        let wanted = Use {
            kind: key.kind,
            category: key.category,
            purpose: key.purpose,
            action: granting.action,
        };
        if extends(rules, wanted) {
            let by = ByRow {
                line: granting.line,
                on_request: granting.on_request,
            };
            found.entry(key.role).or_default().push((wanted, by));
        }
    }
    found
}

/// Whether a purpose extends to what is wanted for it; nothing is allowed where it doesn't.
#[must_use]
pub fn extends(rules: &RuleSet, wanted: Use) -> bool {
    rules.purposes.get(wanted.purpose).is_some_and(|purpose| {
        purpose.kinds.contains(wanted.kind) && purpose.categories.contains(wanted.category)
    })
}

/// What it is called, in the order in which uses are listed.
#[must_use]
pub fn names(rules: &RuleSet, used: Use) -> (&str, &str, Action, &str) {
    (
        rules.kinds.name(used.kind),
        rules.categories.name(used.category),
        used.action,
        rules.purposes.name(used.purpose),
    )
}

/// The roles of a person that count at `now` and that the pack has; none for one who may not work: disabled, on leave, no longer
/// employed, locked out, or without the training or pledge that the pack asks for.
#[must_use]
pub fn working_roles(
    rules: &RuleSet,
    person: &Person,
    locked: bool,
    now: Timestamp,
) -> Vec<Id<Role>> {
    if person::standing(rules, person, locked, now).is_some() {
        return Vec::new();
    }
    super::facts::roles_of(rules, person, now)
}

/// By what somebody could be allowed all of some uses: the row of the first, and those of the roles by which any is.
#[must_use]
pub fn could_be_allowed_all(
    rules: &RuleSet,
    roles: &[Id<Role>],
    wanted: &[Use],
) -> Option<(ByRow, Vec<Id<Role>>)> {
    let mut rows = Vec::with_capacity(wanted.len());
    for used in wanted {
        rows.push(could_be_allowed(rules, roles, *used)?);
    }
    let first = *rows.first()?;
    let by = ByRow {
        on_request: rows.iter().any(|row| row.on_request),
        ..first
    };
    let counting = roles.iter().copied().filter(|role| {
        let mut wanted = wanted.iter();
        wanted.any(|used| could_be_allowed(rules, &[*role], *used).is_some())
    });
    Some((by, counting.collect()))
}
