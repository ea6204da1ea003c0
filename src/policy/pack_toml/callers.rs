//! Who calls and from where: `[[network]]`, `[[role]]`, `[[incompatible_roles]]`, `[[service]]`.

use std::collections::HashMap;

use ipnet::IpNet;

use super::{ADMINISTRATOR, Declared, RESERVED_SERVICES, find, listed, systems};
use crate::decision::rules::{Id, IncompatibleRoles, Network, Reviews, Role, RuleSet, Service};
use crate::domain::ids::Name;
use crate::domain::network::parse_block;
use crate::policy::entry::Entry;
use crate::policy::errors::shown;
use crate::policy::words;

pub(super) fn networks(declared: &Declared<'_, Network>, rules: &mut RuleSet) {
    for (id, entry) in declared {
        entry.require(&["blocks"]);
        let network = Network {
            blocks: blocks(entry, "blocks"),
            line: entry.line,
        };
        put(rules.networks.get_mut(*id), network);
        entry.finish();
    }
}

pub(super) fn roles(declared: &Declared<'_, Role>, rules: &mut RuleSet) {
    for (id, entry) in declared {
        let built_in = rules.roles.name(*id) == ADMINISTRATOR;
        let administers = entry.flag("administers");
        if built_in && entry.has("administers") && !administers {
            entry.fault(entry.line, || "always administers".into());
        }
        let mut role = Role {
            networks: listed(entry, "networks", "network", &rules.networks),
            closure: Vec::new(),
            reviews: reviews(entry),
            administers: administers || built_in,
            audits: entry.flag("audits"),
            line: entry.line,
        };
        if built_in && !entry.has("networks") {
            role.networks = all_networks(rules);
        }
        put(rules.roles.get_mut(*id), role);
        entry.finish();
    }
    let administrator = Role {
        networks: all_networks(rules),
        administers: true,
        ..Role::default()
    };
    // It is there already where the pack declares it, to say from where it may work.
    let _ = rules.roles.add(ADMINISTRATOR, administrator);
}

/// `[[incompatible_roles]]`; that no role has two of them by itself is seen once inheritance is known.
pub(super) fn incompatible_roles(root: &Entry<'_>, rules: &mut RuleSet) {
    for entry in root.sections("incompatible_roles") {
        entry.require(&["roles", "why"]);
        let named = entry.words("roles").len();
        if entry.has("roles") && named == 1 {
            entry.fault(entry.line, || "roles: names one role: it takes two".into());
        }
        let why = entry.text("why").map_or("", |why| {
            if let Err(error) = Name::parse(why.value) {
                entry.fault(why.line, || format!("why {error}"));
            }
            why.value
        });
        let rule = IncompatibleRoles {
            roles: listed(&entry, "roles", "role", &rules.roles),
            why: why.into(),
            line: entry.line,
        };
        rules.incompatible_roles.push(rule);
        entry.finish();
    }
}

fn all_networks(rules: &RuleSet) -> Vec<Id<Network>> {
    rules.networks.iter().map(|(id, _, _)| id).collect()
}

fn reviews(entry: &Entry<'_>) -> Reviews {
    let Some(word) = entry.text("reviews") else {
        return Reviews::Nothing;
    };
    match word.value {
        "everything" => Reviews::Everything,
        "department" => Reviews::Department,
        _ => {
            entry.unknown(
                "extent of reviews",
                word,
                ["everything", "department"].into_iter(),
            );
            Reviews::Nothing
        }
    }
}

pub(super) fn services(declared: &Declared<'_, Service>, rules: &mut RuleSet) {
    let mut dns_names: HashMap<&str, &str> = HashMap::new();
    for (id, entry) in declared {
        entry.require(&["blocks", "systems"]);
        if rules.services.name(*id).starts_with(RESERVED_SERVICES) {
            entry.fault(entry.line, || {
                format!("ids that begin with {RESERVED_SERVICES:?} are reserved")
            });
        }
        let service = Service {
            blocks: blocks(entry, "blocks"),
            proxies: blocks(entry, "proxies"),
            systems: systems(entry, rules),
            dns_names: dns(entry, &mut dns_names),
            acts_for_people: entry.flag("acts_for_people"),
            workload_role: workload_role(entry, rules),
            registers_subjects: entry.flag("registers_subjects"),
            exchanges_with: listed(entry, "exchanges_with", "service", &rules.services),
            line: entry.line,
        };
        if !service.acts_for_people && !service.registers_subjects && !entry.has("workload_role") {
            entry.fault(entry.line, || {
                "may do nothing: it needs acts_for_people, workload_role or registers_subjects"
                    .into()
            });
        }
        if service.exchanges_with.contains(id) {
            entry.fault(entry.line, || "exchanges tickets with itself".into());
        }
        if !service.exchanges_with.is_empty() && !service.acts_for_people {
            entry.fault(entry.line, || {
                "exchanges tickets, which are people's, but doesn't act for people".into()
            });
        }
        put(rules.services.get_mut(*id), service);
        entry.finish();
    }
}

fn workload_role(entry: &Entry<'_>, rules: &RuleSet) -> Option<Id<Role>> {
    let word = entry.text("workload_role")?;
    if word.value == ADMINISTRATOR {
        entry.fault(word.line, || {
            format!("workload_role: {ADMINISTRATOR:?} is for people only")
        });
    }
    find(entry, "role", word, &rules.roles)
}

fn systems(entry: &Entry<'_>, rules: &RuleSet) -> Vec<Box<str>> {
    let named = entry.words("systems");
    for word in &named {
        if words::is_id(word.value) {
            systems::known(entry, *word, rules);
        } else {
            entry.fault(word.line, || {
                format!("system {}: {}", shown(word.value), words::ID_FORM)
            });
        }
    }
    named.into_iter().map(|word| word.value.into()).collect()
}

/// A name in a certificate must mean one service.
fn dns<'a>(entry: &Entry<'a>, taken: &mut HashMap<&'a str, &'a str>) -> Vec<Box<str>> {
    let service = entry.text("id").map_or("", |id| id.value);
    let named = entry.words("dns_names");
    for word in &named {
        if !words::is_dns_name(word.value) {
            entry.fault(word.line, || {
                let found = shown(word.value);
                format!("dns_names: {found} is not a DNS name in lower case without wildcard")
            });
        }
        if let Some(other) = taken.insert(word.value, service) {
            entry.fault(word.line, || {
                let (name, other) = (shown(word.value), shown(other));
                format!("dns_names: {name} stands for service {other} already")
            });
        }
    }
    named.into_iter().map(|word| word.value.into()).collect()
}

fn blocks(entry: &Entry<'_>, key: &'static str) -> Vec<IpNet> {
    let mut read = Vec::new();
    for word in entry.words(key) {
        match parse_block(word.value) {
            Ok(block) => read.push(block),
            Err(error) => entry.fault(word.line, || {
                format!("{key}: {} {error}", shown(word.value))
            }),
        }
    }
    read
}

/// A role without networks is a workload's: a person with it alone could work from nowhere.
pub(super) fn every_person_works_from_somewhere(declared: &Declared<'_, Role>, rules: &RuleSet) {
    for (id, entry) in declared {
        let nowhere = rules
            .roles
            .get(*id)
            .is_some_and(|role| role.networks.is_empty());
        let workload = rules
            .services
            .iter()
            .any(|(_, _, service)| service.workload_role == Some(*id));
        if nowhere && !workload && !entry.has("networks") {
            entry.fault(entry.line, || {
                "networks is missing: only the workload_role of a service may be without".into()
            });
        }
    }
}

fn put<T>(place: Option<&mut T>, row: T) {
    if let Some(place) = place {
        *place = row;
    }
}
