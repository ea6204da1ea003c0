//! people.csv: samples for trying a pack out, without passwords or secrets.

use std::collections::{HashMap, HashSet};

use super::csv::{self, Line};
use super::errors::{FileFaults, shown};
use super::words;
use crate::decision::rules::RuleSet;
use crate::domain::ids::Name;
use crate::domain::person::Person;
use crate::domain::person::form::{self, Form};
use crate::domain::person::id;

/// Those that every file has, in this order.
const COLUMNS: [&str; 7] = [
    "id",
    "department",
    "roles",
    "employment_end",
    "trained_until",
    "pledge",
    "second_factor",
];

/// Those that may come after them, as an import has them.
const FURTHER_COLUMNS: [&str; 6] = [
    "display_name",
    "employment_kind",
    "employer",
    "leave",
    "network_exceptions",
    "disabled",
];

/// The most people: samples, not a directory.
const PEOPLE_MAX: usize = 10_000;

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) all: Vec<Person>,
    /// The line of each.
    lines: Vec<u32>,
    /// Those who have enrolled no second factor yet.
    pub(super) without_second_factor: Vec<Name>,
}

impl People {
    /// Checks what can be checked only once it is known which role inherits which.
    pub(super) fn check(&self, pack: &RuleSet, faults: FileFaults<'_>) {
        for (person, line) in self.all.iter().zip(&self.lines) {
            if let Some((one, two, rule)) = pack.incompatible(&person.roles) {
                faults.tell(*line, || {
                    let (one, two) = (shown(&one.role), shown(&two.role));
                    format!("roles: {one} and {two} are incompatible: {}", rule.why)
                });
            }
        }
    }
}

/// Reads the people. Their roles are looked up in `pack`, where that could be read. Complete only when no fault was told.
pub(super) fn read(text: &str, pack: Option<&RuleSet>, faults: FileFaults<'_>) -> People {
    let mut people = People::default();
    let lines = csv::lines(text, faults);
    let Some((header, lines)) = lines.split_first() else {
        faults.tell(1, || "has no header".into());
        return people;
    };
    if !header_is_known(header, faults) {
        return people;
    }
    let mut seen = HashSet::new();
    let mut looks: HashMap<String, Name> = HashMap::new();
    for line in lines {
        if line.fields.len() != header.fields.len() {
            faults.tell(line.number, || {
                let (expected, found) = (header.fields.len(), line.fields.len());
                format!("expected {expected} columns, found {found}")
            });
            continue;
        }
        if people.all.len() >= PEOPLE_MAX {
            faults.tell(line.number, || {
                format!("is one more than the {PEOPLE_MAX} samples that a pack may have")
            });
            break;
        }
        let Some((person, second_factor)) = person(header, line, pack, faults) else {
            continue;
        };
        if !seen.insert(person.id.clone()) {
            faults.tell(line.number, || {
                format!("{} is there already", shown(&person.id))
            });
        } else if let Some(other) = looks.insert(id::look(&person.id), person.id.clone()) {
            faults.tell(line.number, || {
                let (id, other) = (shown(&person.id), shown(&other));
                format!("id {id} looks like {other}")
            });
        }
        if !second_factor {
            people.without_second_factor.push(person.id.clone());
        }
        people.all.push(person);
        people.lines.push(line.number);
    }
    people
}

fn header_is_known(header: &Line<'_>, faults: FileFaults<'_>) -> bool {
    let (first, further) = header
        .fields
        .split_at(COLUMNS.len().min(header.fields.len()));
    if first != COLUMNS {
        faults.tell(header.number, || {
            format!("expected the header {}", COLUMNS.join(","))
        });
        return false;
    }
    let mut known = true;
    for (position, column) in further.iter().enumerate() {
        if !FURTHER_COLUMNS.contains(column) {
            faults.unknown(
                header.number,
                "",
                "column",
                column,
                FURTHER_COLUMNS.into_iter(),
            );
            known = false;
        } else if further.iter().take(position).any(|other| other == column) {
            faults.tell(header.number, || {
                format!("column {} is there twice", shown(column))
            });
            known = false;
        }
    }
    known
}

/// The person of a line, and whether they have enrolled; `None` only after a fault was told.
fn person(
    header: &Line<'_>,
    line: &Line<'_>,
    pack: Option<&RuleSet>,
    faults: FileFaults<'_>,
) -> Option<(Person, bool)> {
    let number = line.number;
    let mut form = Form::new(pack.map_or(::time::UtcOffset::UTC, |pack| pack.utc_offset));
    let mut second_factor = None;
    let id = line.fields.first().copied().unwrap_or_default();
    if !words::is_id(id) {
        faults.tell(number, || format!("id {}: {}", shown(id), words::ID_FORM));
    }
    // Replaced by the columns: what is there before them is never seen.
    let mut person = Person::new(Name::parse(id).ok()?, Name::parse("-").ok()?);
    for (column, text) in header.fields.iter().zip(&line.fields) {
        match *column {
            "id" => {}
            "second_factor" => second_factor = form.yes_or_no("second_factor", text),
            "department" if text.is_empty() => form.wrong("department", "is missing"),
            "roles" if text.is_empty() => {
                form.wrong("roles", "expected roles with ; between them");
            }
            column => form::read_into(&mut form, &mut person, column, text),
        }
    }
    for fault in form::faults_of(&person) {
        form.wrong(fault.field, fault.what);
    }
    let told = form.finish();
    for fault in &told {
        faults.tell(number, || format!("{}: {}", fault.field, fault.what));
    }
    for role in &person.roles {
        if let Some(pack) = pack
            && pack.roles.id(&role.role).is_none()
        {
            let known = pack.roles.iter().map(|(_, name, _)| name);
            faults.unknown(number, "", "role", &role.role, known);
        }
    }
    if told.is_empty() {
        Some((person, second_factor?))
    } else {
        None
    }
}
