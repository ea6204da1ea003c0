//! people.csv: samples for trying a pack out, without passwords or secrets.

use std::collections::{HashMap, HashSet};

use super::csv::{self, Line};
use super::faults::{FileFaults, Place, shown};
use super::kinds::{Kind, Said, Sort};
use super::rows::place;
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
                let (one, two) = (shown(&one.role), shown(&two.role));
                faults.tell(*line, Kind::Incompatible, &[&one, &two, &rule.why]);
            }
        }
    }
}

/// Reads the people. Their roles are looked up in `pack`, where that could be read. Complete only when no fault was told.
pub(super) fn read(text: &str, pack: Option<&RuleSet>, faults: FileFaults<'_>) -> People {
    let mut people = People::default();
    let lines = csv::lines(text, faults);
    let Some((header, lines)) = lines.split_first() else {
        faults.tell(1, Kind::NoHeader, &[]);
        return people;
    };
    if !header_is_known(header, faults) {
        return people;
    }
    let mut seen = HashSet::new();
    let mut looks: HashMap<String, Name> = HashMap::new();
    for line in lines {
        if line.fields.len() != header.fields.len() {
            let values: [&dyn Said; 2] = [&header.fields.len(), &line.fields.len()];
            faults.tell(line.number, Kind::WrongPersonColumns, &values);
            continue;
        }
        if people.all.len() >= PEOPLE_MAX {
            faults.tell(line.number, Kind::TooManyPeople, &[&PEOPLE_MAX]);
            break;
        }
        let Some((person, second_factor)) = person(header, line, pack, faults) else {
            continue;
        };
        if !seen.insert(person.id.clone()) {
            let at = first_place(line, faults);
            faults.tell(at, Kind::DuplicateId, &[&shown(&person.id)]);
        } else if let Some(other) = looks.insert(id::look(&person.id), person.id.clone()) {
            let (id, other) = (shown(&person.id), shown(&other));
            faults.tell(first_place(line, faults), Kind::LooksLike, &[&id, &other]);
        }
        if !second_factor {
            people.without_second_factor.push(person.id.clone());
        }
        people.all.push(person);
        people.lines.push(line.number);
    }
    people
}

/// Where the first field of a line is.
fn first_place(line: &Line<'_>, faults: FileFaults<'_>) -> Place {
    let first = line.fields.first().copied().unwrap_or_default();
    place(first, line.number, faults)
}

fn header_is_known(header: &Line<'_>, faults: FileFaults<'_>) -> bool {
    let (first, further) = header
        .fields
        .split_at(COLUMNS.len().min(header.fields.len()));
    if first != COLUMNS {
        faults.tell(header.number, Kind::WrongHeader, &[&COLUMNS.join(",")]);
        return false;
    }
    let mut known = true;
    for (position, column) in further.iter().enumerate() {
        if !FURTHER_COLUMNS.contains(column) {
            let at = place(column, header.number, faults);
            let columns = FURTHER_COLUMNS.into_iter();
            faults.unknown(at, "", Sort::COLUMN, column, columns);
            known = false;
        } else if further.iter().take(position).any(|other| other == column) {
            let at = place(column, header.number, faults);
            faults.tell(at, Kind::ColumnTwice, &[&shown(column)]);
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
        faults.tell(place(id, number, faults), Kind::BadId, &[&"id", &shown(id)]);
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
        let column = fault.field.split(['[', '.']).next().unwrap_or_default();
        let named = header.fields.iter().position(|name| *name == column);
        let field = named.and_then(|position| line.fields.get(position));
        let at = place(field.copied().unwrap_or_default(), number, faults);
        faults.tell(at, Kind::BadPerson, &[&fault.field, &fault.what]);
    }
    for role in &person.roles {
        if let Some(pack) = pack
            && pack.roles.id(&role.role).is_none()
        {
            let known = pack.roles.iter().map(|(_, name, _)| name);
            let named = |field: &&&str| field.split([';', '|']).any(|one| one == &*role.role);
            let at = line.fields.iter().find(named).and_then(|field| {
                let start = field.find(&*role.role)?;
                faults.place_of(field.get(start..)?.get(..role.role.len())?)
            });
            let at = at.unwrap_or(Place::Line(number));
            faults.unknown(at, "", Sort::ROLE, &role.role, known);
        }
    }
    if told.is_empty() {
        Some((person, second_factor?))
    } else {
        None
    }
}
