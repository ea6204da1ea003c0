//! Rows of policy.csv to rules that hold ids, and the inheritance of roles.

use std::collections::{HashMap, VecDeque};

use super::errors::{Faults, FileFaults, PackFile, shown};
use super::rows::{ALL, Effect, PairRow, Rows, RuleRow};
use crate::decision::rules::{
    Category, GrantCondition, Id, IdSet, Kind, Purpose, Role, RuleSet, Table,
};
use crate::domain::access::Action;

/// The most steps from a role to one that it inherits: casbin's role manager looks no further than nine links, and silently.
const STEPS_MAX: usize = 9;

/// A rule of policy.csv.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) line: u32,
    pub(super) role: Id<Role>,
    /// `None` for all.
    pub(super) kind: Option<Id<Kind>>,
    /// `None` for all.
    pub(super) category: Option<Id<Category>>,
    pub(super) action: Action,
    pub(super) purpose: Id<Purpose>,
    pub(super) condition: GrantCondition,
    pub(super) effect: Effect,
}

/// Resolves the rules and fills in the closures of the roles. Complete only when no fault was told.
pub(super) fn resolve(rows: &Rows<'_>, rules: &mut RuleSet, faults: &Faults) -> Vec<Rule> {
    names_are_apart(rules, faults.of(PackFile::Pack));
    categories_agree(&rows.covered_by, rules, faults);
    let of_file = faults.of(PackFile::Policy);
    inheritance(&rows.inherits, &mut rules.roles, of_file);
    no_role_contradicts_itself(rules, faults.of(PackFile::Pack));
    rows.rules
        .iter()
        .filter_map(|row| rule(row, rules, of_file))
        .collect()
}

/// casbin keeps the links of g and g2 in one graph: a role and a category of one name would lend each other their links.
fn names_are_apart(rules: &RuleSet, faults: FileFaults<'_>) {
    for (_, name, role) in rules.roles.iter() {
        if rules.categories.id(name).is_some() {
            faults.tell(role.line, || {
                format!("role {}: there is a category of this id", shown(name))
            });
        }
    }
}

/// A role that inherits two roles that nobody may have together could be given to nobody.
fn no_role_contradicts_itself(rules: &RuleSet, faults: FileFaults<'_>) {
    for rule in &rules.incompatible_roles {
        if let Some(role) = rules.contradiction(rule) {
            faults.tell(rule.line, || {
                let role = shown(rules.roles.name(role));
                format!("incompatible_roles: role {role} has two of them by itself")
            });
        }
    }
}

fn find<T>(
    line: u32,
    sort: &str,
    word: &str,
    table: &Table<T>,
    faults: FileFaults<'_>,
) -> Option<Id<T>> {
    let id = table.id(word);
    if id.is_none() {
        faults.unknown(line, "", sort, word, table.iter().map(|(_, name, _)| name));
    }
    id
}

fn find_or_all<T>(
    line: u32,
    sort: &str,
    word: &str,
    table: &Table<T>,
    faults: FileFaults<'_>,
) -> Option<Option<Id<T>>> {
    if word == ALL {
        return Some(None);
    }
    find(line, sort, word, table, faults).map(Some)
}

fn rule(row: &RuleRow<'_>, rules: &RuleSet, faults: FileFaults<'_>) -> Option<Rule> {
    let line = row.line;
    let [role, kind, category, _, purpose, _, _] = row.fields;
    let role = find(line, "role", role, &rules.roles, faults);
    let kind = find_or_all(line, "kind", kind, &rules.kinds, faults);
    let category = find_or_all(line, "category", category, &rules.categories, faults);
    let purpose = find(line, "purpose", purpose, &rules.purposes, faults);
    Some(Rule {
        line,
        role: role?,
        kind: kind?,
        category: category?,
        action: row.action,
        purpose: purpose?,
        condition: row.condition,
        effect: row.effect,
    })
}

/// The hierarchy of categories is pack.toml's; policy.csv repeats it for casbin's own tools, and must not say anything else.
fn categories_agree(rows: &[PairRow<'_>], rules: &RuleSet, faults: &Faults) {
    let said: HashMap<(&str, &str), u32> = rows
        .iter()
        .map(|row| ((row.inner, row.outer), row.line))
        .collect();
    let mut meant = HashMap::new();
    for (_, name, category) in rules.categories.iter() {
        let Some(parent) = category.parent else {
            continue;
        };
        let parent = rules.categories.name(parent);
        meant.insert((name, parent), category.line);
        if !said.contains_key(&(name, parent)) {
            faults.of(PackFile::Pack).tell(category.line, || {
                format!(
                    "item {}: policy.csv has no line \"g2, {name}, {parent}\"",
                    shown(name)
                )
            });
        }
    }
    let of_file = faults.of(PackFile::Policy);
    for row in rows {
        let inner = find(row.line, "category", row.inner, &rules.categories, of_file);
        let outer = find(row.line, "category", row.outer, &rules.categories, of_file);
        if inner.is_some() && outer.is_some() && !meant.contains_key(&(row.inner, row.outer)) {
            of_file.tell(row.line, || {
                let (inner, outer) = (shown(row.inner), shown(row.outer));
                format!("pack.toml doesn't say that {outer} covers {inner}")
            });
        }
    }
}

fn inheritance(rows: &[PairRow<'_>], roles: &mut Table<Role>, faults: FileFaults<'_>) {
    let mut inherited: HashMap<Id<Role>, Vec<Id<Role>>> = HashMap::new();
    let mut links = Vec::new();
    for row in rows {
        let inner = find(row.line, "role", row.inner, roles, faults);
        let outer = find(row.line, "role", row.outer, roles, faults);
        if let (Some(inner), Some(outer)) = (inner, outer) {
            inherited.entry(inner).or_default().push(outer);
            links.push((row.line, inner, outer));
        }
    }
    let ids: Vec<Id<Role>> = roles.iter().map(|(id, _, _)| id).collect();
    for id in ids {
        let (closure, steps) = closure_of(id, &inherited);
        if steps > STEPS_MAX {
            let line = links
                .iter()
                .find(|(_, inner, _)| *inner == id)
                .map_or(0, |(line, _, _)| *line);
            let name = shown(roles.name(id));
            faults.tell(line, || {
                format!("role {name} inherits over {steps} steps: casbin sees {STEPS_MAX}")
            });
        }
        if let Some(role) = roles.get_mut(id) {
            role.closure = closure;
        }
    }
    for (line, inner, outer) in links {
        let circular = roles
            .get(outer)
            .is_some_and(|role| role.closure.contains(&inner));
        if circular {
            faults.tell(line, || {
                let (inner, outer) = (shown(roles.name(inner)), shown(roles.name(outer)));
                format!("role {inner} inherits from itself, through {outer}")
            });
        }
    }
}

/// The role and all that it inherits, nearest first, and how many steps away the last is.
fn closure_of(
    from: Id<Role>,
    inherited: &HashMap<Id<Role>, Vec<Id<Role>>>,
) -> (Vec<Id<Role>>, usize) {
    let mut seen: IdSet<Role> = std::iter::once(from).collect();
    let mut queue = VecDeque::from([(from, 0)]);
    let mut closure = Vec::new();
    let mut furthest = 0;
    while let Some((role, steps)) = queue.pop_front() {
        closure.push(role);
        furthest = steps;
        for outer in inherited.get(&role).into_iter().flatten() {
            if !seen.contains(*outer) {
                seen.insert(*outer);
                queue.push_back((*outer, steps + 1));
            }
        }
    }
    (closure, furthest)
}
