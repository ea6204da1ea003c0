//! people.csv: samples for trying a pack out, without passwords or secrets.

use std::collections::HashSet;

use super::csv::{self, Line};
use super::errors::{FileFaults, shown};
use super::words;
use crate::decision::rules::RuleSet;
use crate::domain::ids::Name;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;

const COLUMNS: [&str; 7] = [
    "id",
    "department",
    "roles",
    "employment_end",
    "trained_until",
    "pledge",
    "second_factor",
];

/// The most people: samples, not a directory.
const PEOPLE_MAX: usize = 10_000;

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) all: Vec<Person>,
    /// Those who have enrolled no second factor yet.
    pub(super) without_second_factor: Vec<Name>,
}

/// Reads the people. Their roles are looked up in `pack`, where that could be read. Complete only when no fault was told.
pub(super) fn read(text: &str, pack: Option<&RuleSet>, faults: FileFaults<'_>) -> People {
    let mut people = People::default();
    let lines = csv::lines(text, faults);
    let Some((header, lines)) = lines.split_first() else {
        faults.tell(1, || "has no header".into());
        return people;
    };
    if header.fields != COLUMNS {
        faults.tell(header.number, || {
            format!("expected the header {}", COLUMNS.join(","))
        });
        return people;
    }
    let mut seen = HashSet::new();
    for line in lines {
        let Ok(fields) = <[&str; 7]>::try_from(line.fields.as_slice()) else {
            faults.tell(line.number, || {
                let (expected, found) = (COLUMNS.len(), line.fields.len());
                format!("expected {expected} columns, found {found}")
            });
            continue;
        };
        if people.all.len() >= PEOPLE_MAX {
            faults.tell(line.number, || {
                format!("is one more than the {PEOPLE_MAX} samples that a pack may have")
            });
            break;
        }
        let Some((person, second_factor)) = person(line, fields, pack, faults) else {
            continue;
        };
        if !seen.insert(person.id.clone()) {
            faults.tell(line.number, || {
                format!("{} is there already", shown(&person.id))
            });
        }
        if !second_factor {
            people.without_second_factor.push(person.id.clone());
        }
        people.all.push(person);
    }
    people
}

fn person(
    line: &Line<'_>,
    [
        id,
        department,
        roles,
        employment_end,
        trained_until,
        pledge,
        second_factor,
    ]: [&str; 7],
    pack: Option<&RuleSet>,
    faults: FileFaults<'_>,
) -> Option<(Person, bool)> {
    let number = line.number;
    if !words::is_id(id) {
        faults.tell(number, || format!("id {}: {}", shown(id), words::ID_FORM));
    }
    let name = |column: &str, text: &str| match Name::parse(text) {
        Ok(name) => Some(name),
        Err(error) => {
            faults.tell(number, || format!("{column} {error}"));
            None
        }
    };
    let id_name = Name::parse(id).ok();
    let department = name("department", department);
    let roles = roles_of(number, roles, pack, faults);
    let employment_end = day(number, "employment_end", employment_end, pack, faults);
    let trained_until = day(number, "trained_until", trained_until, pack, faults);
    let pledge = yes_or_no(number, "pledge", pledge, faults);
    let second_factor = yes_or_no(number, "second_factor", second_factor, faults);
    let person = Person {
        id: id_name?,
        department: department?,
        roles,
        disabled: false,
        employment_end: employment_end?,
        trained_until: trained_until?,
        pledge: pledge?,
        epoch: 0,
    };
    Some((person, second_factor?))
}

fn roles_of(line: u32, text: &str, pack: Option<&RuleSet>, faults: FileFaults<'_>) -> Vec<Name> {
    let mut roles: Vec<Name> = Vec::new();
    for word in text.split(';').map(str::trim) {
        let Ok(role) = Name::parse(word) else {
            faults.tell(line, || "roles: expected roles with ; between them".into());
            continue;
        };
        if roles.contains(&role) {
            faults.tell(line, || format!("roles: {} is there twice", shown(word)));
            continue;
        }
        if let Some(pack) = pack
            && pack.roles.id(word).is_none()
        {
            let known = pack.roles.iter().map(|(_, name, _)| name);
            faults.unknown(line, "", "role", word, known);
        }
        roles.push(role);
    }
    roles
}

/// The last instant of a day, where the pack's clock is; an empty field is none. `None` when a fault was told.
fn day(
    line: u32,
    column: &str,
    text: &str,
    pack: Option<&RuleSet>,
    faults: FileFaults<'_>,
) -> Option<Option<Timestamp>> {
    if text.is_empty() {
        return Some(None);
    }
    let Some(date) = words::date(text) else {
        faults.tell(line, || {
            format!(
                "{column}: expected a day like 2099-12-31, found {}",
                shown(text)
            )
        });
        return None;
    };
    Some(pack.map(|pack| Timestamp::end_of(date, pack.utc_offset)))
}

fn yes_or_no(line: u32, column: &str, text: &str, faults: FileFaults<'_>) -> Option<bool> {
    match text {
        "yes" => Some(true),
        "no" => Some(false),
        _ => {
            faults.tell(line, || {
                format!("{column}: expected yes or no, found {}", shown(text))
            });
            None
        }
    }
}
