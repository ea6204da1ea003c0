//! Who calls and from where: `[[network]]`, `[[role]]`, `[[incompatible_roles]]`, `[[service]]`.

use std::collections::HashMap;

use ipnet::IpNet;

use super::{ADMINISTRATOR, Declared, RESERVED_SERVICES, find, listed, name_error, systems};
use crate::decision::rules::{Id, IncompatibleRoles, Network, Reviews, Role, RuleSet, Service};
use crate::domain::ids::Name;
use crate::domain::network::{NetworkError, parse_block};
use crate::policy::entry::Entry;
use crate::policy::faults::shown;
use crate::policy::kinds::{Kind as Fault, Said, Sort};
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
            let place = entry.place_of("administers");
            entry.fault(place, Fault::AlwaysAdministers, &[]);
        }
        let mut role = Role {
            networks: listed(entry, "networks", Sort::NETWORK, &rules.networks),
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
            entry.fault(entry.place_of("roles"), Fault::OneRole, &[]);
        }
        let why = entry.text("why").map_or("", |why| {
            if let Err(error) = Name::parse(why.value) {
                entry.fault(why, Fault::BadName, &[&"why", &name_error(error)]);
            }
            why.value
        });
        let rule = IncompatibleRoles {
            roles: listed(&entry, "roles", Sort::ROLE, &rules.roles),
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

const EVERYTHING: &str = "everything";
const DEPARTMENT: &str = "department";
/// What `reviews` takes.
pub(in crate::policy) const REVIEWS: [&str; 2] = [EVERYTHING, DEPARTMENT];

fn reviews(entry: &Entry<'_>) -> Reviews {
    let Some(word) = entry.text("reviews") else {
        return Reviews::Nothing;
    };
    match word.value {
        EVERYTHING => Reviews::Everything,
        DEPARTMENT => Reviews::Department,
        _ => {
            entry.unknown(Sort::REVIEWS, word, REVIEWS.into_iter());
            Reviews::Nothing
        }
    }
}

pub(super) fn services(declared: &Declared<'_, Service>, rules: &mut RuleSet) {
    let mut dns_names: HashMap<&str, &str> = HashMap::new();
    for (id, entry) in declared {
        entry.require(&["blocks", "systems"]);
        if rules.services.name(*id).starts_with(RESERVED_SERVICES) {
            entry.fault(
                entry.place_of("id"),
                Fault::ReservedId,
                &[&RESERVED_SERVICES],
            );
        }
        let service = Service {
            blocks: blocks(entry, "blocks"),
            proxies: blocks(entry, "proxies"),
            systems: systems(entry, rules),
            dns_names: dns(entry, &mut dns_names),
            acts_for_people: entry.flag("acts_for_people"),
            workload_role: workload_role(entry, rules),
            registers_subjects: entry.flag("registers_subjects"),
            exchanges_with: listed(entry, "exchanges_with", Sort::SERVICE, &rules.services),
            line: entry.line,
        };
        if !service.acts_for_people && !service.registers_subjects && !entry.has("workload_role") {
            entry.fault(entry.place, Fault::ServiceWithoutUse, &[]);
        }
        if service.exchanges_with.contains(id) {
            let place = entry.place_of("exchanges_with");
            entry.fault(place, Fault::ExchangesWithItself, &[]);
        }
        if !service.exchanges_with.is_empty() && !service.acts_for_people {
            let place = entry.place_of("exchanges_with");
            entry.fault(place, Fault::ExchangesWithoutPeople, &[]);
        }
        put(rules.services.get_mut(*id), service);
        entry.finish();
    }
}

fn workload_role(entry: &Entry<'_>, rules: &RuleSet) -> Option<Id<Role>> {
    let word = entry.text("workload_role")?;
    if word.value == ADMINISTRATOR {
        entry.fault(word, Fault::WorkloadAdministrator, &[&ADMINISTRATOR]);
    }
    find(entry, Sort::ROLE, word, &rules.roles)
}

fn systems(entry: &Entry<'_>, rules: &RuleSet) -> Vec<Box<str>> {
    let named = entry.words("systems");
    for word in &named {
        if words::is_id(word.value) {
            systems::known(entry, *word, rules);
        } else {
            entry.fault(*word, Fault::BadId, &[&"system", &shown(word.value)]);
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
            entry.fault(*word, Fault::BadDnsName, &[&shown(word.value)]);
        }
        if let Some(other) = taken.insert(word.value, service) {
            let values = (shown(word.value), shown(other));
            entry.fault(*word, Fault::DuplicateDnsName, &[&values.0, &values.1]);
        }
    }
    named.into_iter().map(|word| word.value.into()).collect()
}

fn blocks(entry: &Entry<'_>, key: &'static str) -> Vec<IpNet> {
    let mut read = Vec::new();
    for word in entry.words(key) {
        match parse_block(word.value) {
            Ok(block) => read.push(block),
            Err(NetworkError::HostBits(network)) => {
                let values: [&dyn Said; 3] = [&key, &shown(word.value), &network];
                let meant = || Some(network.to_string());
                entry.fault_near(word, Fault::HostBits, &values, meant);
            }
            Err(NetworkError::Address | NetworkError::Block) => {
                entry.fault(word, Fault::BadBlock, &[&key, &shown(word.value)]);
            }
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
            entry.fault(entry.place, Fault::RoleWithoutNetwork, &[]);
        }
    }
}

fn put<T>(place: Option<&mut T>, row: T) {
    if let Some(place) = place {
        *place = row;
    }
}
