//! The register of who has access to what (個人データの取扱状況を確認する手段): the systems that hold personal data with their coverage, access by
//! role, and recipients.

use std::collections::{BTreeMap, BTreeSet};

use time::UtcOffset;

use crate::decision::RuleLine;
use crate::decision::entitlements::{ByRow, Use, allowed_by_role, working_roles};
use crate::decision::rules::{Category, Id, IdSet, Kind, Promise, Purpose, Role, RuleSet, Table};
use crate::domain::access::Action;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;

/// The register as of an instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Register {
    /// Id of the pack.
    pub pack: String,
    /// What it is called, in English.
    pub title: String,
    /// What it is called, in Japanese.
    pub title_ja: String,
    /// Its digest, lower-case hex.
    pub revision: String,
    /// As of when, RFC 3339 in UTC.
    pub at: String,
    /// Systems, in the pack's order.
    pub systems: Vec<SystemRow>,
    /// Roles that somebody or something has or could have.
    pub roles: Vec<RoleRow>,
    /// Access by role.
    pub access: Vec<AccessRow>,
    /// Recipients, in the pack's order.
    pub recipients: Vec<RecipientRow>,
}

/// A system that holds personal data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemRow {
    /// Its id.
    pub id: String,
    /// What it is called, in English.
    pub title: String,
    /// What it is called, in Japanese.
    pub title_ja: String,
    /// Who answers for it.
    pub responsible: String,
    /// The same in Japanese.
    pub responsible_ja: String,
    /// Where that one works.
    pub department: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// `enforced`, `recorded` or `uncovered`.
    pub coverage: String,
    /// Services that ask about it.
    pub services: Vec<String>,
}

/// A role, and who has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleRow {
    /// Its id.
    pub role: String,
    /// People who have it and may work now, by id.
    pub people: Vec<String>,
    /// Services that act by themselves in it.
    pub services: Vec<String>,
}

/// What a role could be allowed: its own grants and those that it inherits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessRow {
    /// The role.
    pub role: String,
    /// Whose data.
    pub subject_kind: String,
    /// Which data; each covers its items.
    pub categories: Vec<String>,
    /// How.
    pub actions: Vec<Action>,
    /// What for.
    pub purpose: String,
    /// Only at the request of the person the data are about.
    pub on_request: bool,
    /// Rows of policy.csv, as file:line or file:first-last.
    pub rules: Vec<String>,
    /// The promise that it keeps, in English and in Japanese.
    pub promise: Option<(String, String)>,
}

/// To whom data may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecipientRow {
    /// Its id.
    pub id: String,
    /// On which ground, as the pack names it.
    pub route: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// What goes there; each covers its items.
    pub items: Vec<String>,
    /// What for.
    pub purposes: Vec<String>,
    /// The last day of the contract; empty for none.
    pub contract_until: String,
    /// The last day on which the inspection counts; empty for none.
    pub inspected_until: String,
    /// The last day on which the check of equivalent measures counts; empty for none.
    pub equivalent_until: String,
    /// How many years the record of a provision is kept; 0 where the law asks for none.
    pub record_years: u32,
    /// Why there is none, where the route alone would ask for one.
    pub no_record: String,
    /// Where it stands, as file:line.
    pub rule: String,
    /// The promise that it keeps, in English and in Japanese.
    pub promise: Option<(String, String)>,
}

/// A promise in both languages.
fn told(promise: Option<&Promise>) -> Option<(String, String)> {
    let promise = promise?;
    Some((promise.text().to_owned(), promise.text_ja().to_owned()))
}

impl Register {
    /// By the rules and people of an instant; `locked` says whose second factor is disabled. Goes through all
    /// tuples that the pack resolves to once: 4 million at most.
    pub fn of<'a>(
        rules: &RuleSet,
        people: impl IntoIterator<Item = &'a Person>,
        locked: impl Fn(&Person) -> bool,
        now: Timestamp,
    ) -> Self {
        let mut by_role: BTreeMap<Id<Role>, Vec<String>> = BTreeMap::new();
        for person in people {
            for role in working_roles(rules, person, locked(person), now) {
                by_role.entry(role).or_default().push(person.id.to_string());
            }
        }
        let mut register = Self {
            pack: rules.pack.to_string(),
            title: rules.words.title.to_string(),
            title_ja: rules.words.title_ja.to_string(),
            revision: data_encoding::HEXLOWER.encode(&rules.revision),
            at: now.to_string(),
            systems: SystemRow::all(rules),
            recipients: recipients(rules),
            ..Self::default()
        };
        let mut allowed = allowed_by_role(rules);
        for (id, role, _) in rules.roles.iter() {
            let mut people = by_role.remove(&id).unwrap_or_default();
            people.sort_unstable();
            let services = rules.services.iter();
            let services = services.filter(|(_, _, service)| service.workload_role == Some(id));
            register.roles.push(RoleRow {
                role: role.to_owned(),
                people,
                services: services.map(|(_, service, _)| service.to_owned()).collect(),
            });
            let allowed = allowed.remove(&id).unwrap_or_default();
            register.access.extend(access(rules, id, allowed));
        }
        register
    }
}

impl SystemRow {
    /// Those of a pack, in its order.
    #[must_use]
    pub fn all(rules: &RuleSet) -> Vec<Self> {
        let services = |system: &str| -> Vec<String> {
            let asks = |systems: &[Box<str>]| systems.iter().any(|own| **own == *system);
            let services = rules.services.iter();
            let services = services.filter(|(_, _, service)| asks(&service.systems));
            services.map(|(_, id, _)| id.to_owned()).collect()
        };
        rules
            .systems
            .iter()
            .map(|(_, id, system)| Self {
                id: id.to_owned(),
                title: system.title.to_string(),
                title_ja: system.title_ja.to_string(),
                responsible: system.responsible.to_string(),
                responsible_ja: system.responsible_ja.to_string(),
                department: system.department.to_string(),
                country: system.country.to_string(),
                coverage: system.coverage.name().to_owned(),
                services: services(id),
            })
            .collect()
    }
}

/// Actions, each with its row.
type Actions = BTreeMap<Action, ByRow>;
type ByCategory = BTreeMap<Id<Category>, Actions>;

/// What a role could be allowed, a row for each kind and purpose; categories of which the same can be done stand together, and what a
/// category covers is left out where the whole can be had in the same way.
fn access(rules: &RuleSet, role: Id<Role>, allowed: Vec<(Use, ByRow)>) -> Vec<AccessRow> {
    let mut by_use: BTreeMap<(Id<Kind>, Id<Purpose>), ByCategory> = BTreeMap::new();
    for (used, by) in allowed {
        let Use {
            kind,
            category,
            purpose,
            action,
        } = used;
        let categories = by_use.entry((kind, purpose)).or_default();
        categories.entry(category).or_default().insert(action, by);
    }
    let mut rows = Vec::new();
    for ((kind, purpose), categories) in by_use {
        for on_request in [false, true] {
            let of = |actions: &Actions| -> Actions {
                let actions = actions.iter().filter(|(_, by)| by.on_request == on_request);
                actions.map(|(action, by)| (*action, *by)).collect()
            };
            let whole = |category: &Id<Category>| {
                let parent = rules.categories.get(*category)?.parent?;
                Some(of(categories.get(&parent)?))
            };
            let mut together: Vec<(Actions, Vec<Id<Category>>)> = Vec::new();
            for (category, actions) in &categories {
                let actions = of(actions);
                if actions.is_empty() || whole(category).as_ref() == Some(&actions) {
                    continue;
                }
                let same = |other: &Actions| other.keys().eq(actions.keys());
                match together.iter_mut().find(|(other, _)| same(other)) {
                    Some((_, alike)) => alike.push(*category),
                    None => together.push((actions, vec![*category])),
                }
            }
            for (actions, alike) in together {
                let lines = alike
                    .iter()
                    .filter_map(|category| categories.get(category))
                    .flat_map(|all| of(all).into_values())
                    .map(|by| by.line)
                    .collect();
                rows.push(AccessRow {
                    role: rules.roles.name(role).to_owned(),
                    subject_kind: rules.kinds.name(kind).to_owned(),
                    categories: alike
                        .iter()
                        .map(|category| rules.categories.name(*category).to_owned())
                        .collect(),
                    actions: actions.into_keys().collect(),
                    purpose: rules.purposes.name(purpose).to_owned(),
                    on_request,
                    rules: spans(lines),
                    promise: told(rules.promise_of_grant(Some(role), purpose)),
                });
            }
        }
    }
    rows
}

/// Rows of policy.csv; those that stand below each other together, as file:first-last.
fn spans(lines: BTreeSet<u32>) -> Vec<String> {
    let lines: Vec<u32> = lines.into_iter().collect();
    let together = lines.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    together
        .filter_map(|lines| {
            let (first, last) = (lines.first()?, lines.last()?);
            let first_rule = RuleLine::Grants(*first);
            Some(if first == last {
                first_rule.to_string()
            } else {
                format!("{first_rule}-{last}")
            })
        })
        .collect()
}

fn recipients(rules: &RuleSet) -> Vec<RecipientRow> {
    let day = |until: Option<Timestamp>| {
        until.map_or_else(String::new, |until| last_day(until, rules.utc_offset))
    };
    rules
        .recipients
        .iter()
        .map(|(_, id, recipient)| RecipientRow {
            id: id.to_owned(),
            route: recipient.route.name().to_owned(),
            country: recipient.country.to_string(),
            items: wholes(rules, &recipient.items),
            purposes: all(&recipient.purposes, &rules.purposes),
            contract_until: day(recipient.contract_until),
            inspected_until: day(recipient.inspected_until),
            equivalent_until: day(recipient.equivalent_until),
            record_years: recipient.record_years.map_or(0, u32::from),
            no_record: recipient
                .no_record
                .map_or_else(String::new, |reason| reason.name().to_owned()),
            rule: RuleLine::Pack(recipient.line).to_string(),
            promise: told(rules.promises.at(recipient.line)),
        })
        .collect()
}

fn all<T>(set: &IdSet<T>, table: &Table<T>) -> Vec<String> {
    let of = table.iter().filter(|(id, _, _)| set.contains(*id));
    of.map(|(_, name, _)| name.to_owned()).collect()
}

/// The categories of a set without what others of it cover.
fn wholes(rules: &RuleSet, set: &IdSet<Category>) -> Vec<String> {
    let categories = rules.categories.iter();
    let outermost = categories.filter(|(id, _, category)| {
        set.contains(*id) && !category.parent.is_some_and(|parent| set.contains(parent))
    });
    outermost.map(|(_, name, _)| name.to_owned()).collect()
}

/// The day that an instant is the last of, where the pack's days are.
fn last_day(until: Timestamp, offset: UtcOffset) -> String {
    until
        .to_utc()
        .map_or_else(String::new, |at| at.to_offset(offset).date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_stand_below_each_other_are_told_together() {
        let told = |lines: &[u32]| spans(lines.iter().copied().collect());
        assert_eq!(told(&[]), [""; 0]);
        assert_eq!(
            told(&[9, 8, 10, 12, 14, 15]),
            ["policy.csv:8-10", "policy.csv:12", "policy.csv:14-15"]
        );
    }
}
