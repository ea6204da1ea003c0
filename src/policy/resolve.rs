//! Rows of policy.csv to rules that hold ids, and the inheritance of roles.

use std::collections::{HashMap, HashSet, VecDeque};

use super::entry::Places;
use super::faults::{Faults, FileFaults, PackFile, shown};
use super::kinds::{Kind as Fault, Sort};
use super::rows::{ALL, Effect, PairRow, Rows, RuleRow, place};
use crate::decision::rules::{
    Category, GrantCondition, Id, IdSet, Kind, Purpose, Role, RuleSet, Table,
};
use crate::domain::access::Action;

/// The most steps from a role to one that it inherits: casbin's role manager looks no further than nine links, and silently.
const STEPS_MAX: usize = 9;

/// For so many lines that pack.toml knows nothing of it is told whether they go round in a circle.
const CYCLES_MAX: usize = 100;

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
pub(super) fn resolve(
    rows: &Rows<'_>,
    rules: &mut RuleSet,
    places: &Places,
    faults: &Faults,
) -> Vec<Rule> {
    names_are_apart(rules, places, faults.of(PackFile::Pack));
    categories_agree(&rows.covered_by, rules, places, faults);
    let of_file = faults.of(PackFile::Policy);
    inheritance(&rows.inherits, &mut rules.roles, of_file);
    no_role_contradicts_itself(rules, faults.of(PackFile::Pack));
    rows.rules
        .iter()
        .filter_map(|row| rule(row, rules, of_file))
        .collect()
}

/// casbin keeps the links of g and g2 in one graph: a role and a category of one name would lend each other their links.
fn names_are_apart(rules: &RuleSet, places: &Places, faults: FileFaults<'_>) {
    for (_, name, role) in rules.roles.iter() {
        if rules.categories.id(name).is_some() {
            let place = places.of("role", name, role.line);
            faults.tell(place, Fault::RoleAndCategory, &[&shown(name)]);
        }
    }
}

/// A role that inherits two roles that nobody may have together could be given to nobody.
fn no_role_contradicts_itself(rules: &RuleSet, faults: FileFaults<'_>) {
    for rule in &rules.incompatible_roles {
        if let Some(role) = rules.contradiction(rule) {
            let role = shown(rules.roles.name(role));
            faults.tell(rule.line, Fault::RoleContradictsItself, &[&role]);
        }
    }
}

fn find<T>(
    line: u32,
    sort: Sort,
    word: &str,
    table: &Table<T>,
    faults: FileFaults<'_>,
) -> Option<Id<T>> {
    let id = table.id(word);
    // That a field is empty is told already.
    if id.is_none() && !word.is_empty() {
        let known = table.iter().map(|(_, name, _)| name);
        faults.unknown(place(word, line, faults), "", sort, word, known);
    }
    id
}

fn find_or_all<T>(
    line: u32,
    sort: Sort,
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
    let role = find(line, Sort::ROLE, role, &rules.roles, faults);
    let kind = find_or_all(line, Sort::KIND, kind, &rules.kinds, faults);
    let category = find_or_all(line, Sort::CATEGORY, category, &rules.categories, faults);
    let purpose = find(line, Sort::PURPOSE, purpose, &rules.purposes, faults);
    Some(Rule {
        line,
        role: role?,
        kind: kind?,
        category: category?,
        action: row.action?,
        purpose: purpose?,
        condition: row.condition?,
        effect: row.effect?,
    })
}

/// The hierarchy of categories is pack.toml's; policy.csv repeats it for casbin's own tools, and must not say anything else.
fn categories_agree(rows: &[PairRow<'_>], rules: &RuleSet, places: &Places, faults: &Faults) {
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
            let row = format!("g2, {name}, {parent}");
            let of_pack = faults.of(PackFile::Pack);
            let place = places.of("category", name, category.line);
            of_pack.tell(place, Fault::MissingG2, &[&shown(name), &row]);
        }
    }
    let of_file = faults.of(PackFile::Policy);
    let mut covering: HashMap<&str, Vec<&str>> = HashMap::new();
    for row in rows {
        covering.entry(row.inner).or_default().push(row.outer);
    }
    let mut looked_at = 0;
    for row in rows {
        let inner = find(
            row.line,
            Sort::CATEGORY,
            row.inner,
            &rules.categories,
            of_file,
        );
        let outer = find(
            row.line,
            Sort::CATEGORY,
            row.outer,
            &rules.categories,
            of_file,
        );
        if inner.is_some() && outer.is_some() && !meant.contains_key(&(row.inner, row.outer)) {
            let (inner, outer) = (shown(row.inner), shown(row.outer));
            looked_at += 1;
            if looked_at <= CYCLES_MAX && leads_to(row.outer, row.inner, &covering) {
                of_file.tell(row.line, Fault::CategoryCycle, &[&inner, &outer]);
            } else {
                of_file.tell(row.line, Fault::G2NotInPack, &[&outer, &inner]);
            }
        }
    }
}

/// Whether the rows say, over however many steps, that `outer` covers `inner`.
fn leads_to(inner: &str, outer: &str, covering: &HashMap<&str, Vec<&str>>) -> bool {
    let mut seen = HashSet::from([inner]);
    let mut queue = VecDeque::from([inner]);
    while let Some(at) = queue.pop_front() {
        if at == outer {
            return true;
        }
        let next = covering.get(at).into_iter().flatten();
        queue.extend(next.filter(|outer| seen.insert(outer)));
    }
    false
}

fn inheritance(rows: &[PairRow<'_>], roles: &mut Table<Role>, faults: FileFaults<'_>) {
    let mut inherited: HashMap<Id<Role>, Vec<Id<Role>>> = HashMap::new();
    let mut links = Vec::new();
    for row in rows {
        let inner = find(row.line, Sort::ROLE, row.inner, roles, faults);
        let outer = find(row.line, Sort::ROLE, row.outer, roles, faults);
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
            faults.tell(line, Fault::InheritsTooFar, &[&name, &steps, &STEPS_MAX]);
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
            let (inner, outer) = (shown(roles.name(inner)), shown(roles.name(outer)));
            faults.tell(line, Fault::RoleCycle, &[&inner, &outer]);
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
