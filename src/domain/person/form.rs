//! A person's fields as texts, and back. The API, the sample people of a pack and the files that are imported write them the
//! same way: days are days of the pack's time zone, parts of one value stand between `|`, values of one list between `;`.

use std::fmt;

use ::time::UtcOffset;

use super::{
    DEPARTMENTS_MAX, EXCEPTIONS_MAX, EmploymentKind, Leave, NetworkException, Person, Pledge,
    ROLES_MAX, RoleAssignment, SUBJECTS_MAX, id,
};
use crate::domain::calendar::parse_date;
use crate::domain::ids::Name;
use crate::domain::network::parse_block;
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;

/// The fields, as the API and a header name them, in their order.
pub const FIELDS: [&str; 12] = [
    "display_name",
    "departments",
    "employment_kind",
    "employer",
    "employment_end",
    "leave",
    "roles",
    "network_exceptions",
    "trained_until",
    "pledge",
    "subject_pseudonyms",
    "disabled",
];

/// Between the values of a list.
pub const BETWEEN_VALUES: char = ';';
/// Between the parts of a value.
pub const BETWEEN_PARTS: char = '|';

/// The longest name for people to read, in bytes of UTF-8.
pub const DISPLAY_NAME_MAX_BYTES: usize = 128;
/// 1900-01-01 and 2200-12-31, in seconds since the epoch: a day outside is a slip of the pen.
const DATES: std::ops::RangeInclusive<i64> = -2_208_988_800..=7_289_654_399;
/// The shortest prefixes of a network exception: a wider block would be a network, which the pack has to name.
const PREFIX_MIN_V4: u8 = 16;
const PREFIX_MIN_V6: u8 = 32;
/// A text that can't be taken is shown with at most so many characters.
const SHOWN_MAX: usize = 80;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Its path below the person: `roles[1].valid_until`.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

/// Which instant of a day is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// The first.
    Beginning,
    /// The last.
    End,
}

/// A role that was given, as texts; what is empty isn't said.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoleTexts<'a> {
    /// Id of the role.
    pub role: &'a str,
    /// A day or an instant.
    pub valid_from: &'a str,
    /// A day or an instant.
    pub valid_until: &'a str,
    /// Id of a person.
    pub approved_by: &'a str,
    /// A request.
    pub request: &'a str,
}

/// Reads texts, and collects what is wrong with them.
#[derive(Debug)]
pub struct Form {
    offset: UtcOffset,
    faults: Vec<FieldFault>,
}

impl Form {
    /// Reads days as those of a clock that reads `offset` from UTC.
    #[must_use]
    pub const fn new(offset: UtcOffset) -> Self {
        Self {
            offset,
            faults: Vec::new(),
        }
    }

    /// Tells what is wrong with a field.
    pub fn wrong(&mut self, field: impl Into<String>, what: impl fmt::Display) {
        self.faults.push(FieldFault {
            field: field.into(),
            what: what.to_string(),
        });
    }

    /// What was wrong. What was read is good only when that is nothing.
    #[must_use]
    pub fn finish(self) -> Vec<FieldFault> {
        self.faults
    }

    /// An id that a person may be given.
    pub fn id(&mut self, field: &str, text: &str) -> Option<Name> {
        id::parse(text)
            .map_err(|error| self.wrong(field, error))
            .ok()
    }

    /// A name for people to read.
    pub fn display_name(&mut self, text: &str) -> Option<Box<str>> {
        if text.is_empty() {
            return None;
        }
        let fault = if text.len() > DISPLAY_NAME_MAX_BYTES {
            Some("is over 128 bytes")
        } else {
            unprintable(text)
        };
        if let Some(what) = fault {
            self.wrong("display_name", what);
        }
        Some(text.into())
    }

    /// A name that may be missing.
    pub fn name(&mut self, field: &str, text: &str) -> Option<Name> {
        if text.is_empty() {
            return None;
        }
        match (Name::parse(text), unprintable(text)) {
            (_, Some(what)) => self.wrong(field, what),
            _ if text.contains([BETWEEN_VALUES, BETWEEN_PARTS]) => {
                self.wrong(field, "has ; or |, which stand between values");
            }
            (Err(error), None) => self.wrong(field, error),
            (Ok(name), None) => return Some(name),
        }
        None
    }

    /// Where a person works, the primary department first.
    pub fn departments<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> Vec<Name> {
        let mut all: Vec<Name> = Vec::new();
        for (position, text) in texts.enumerate() {
            let field = format!("departments[{position}]");
            if text.is_empty() {
                self.wrong(field, "is missing");
            } else if let Some(name) = self.name(&field, text) {
                if all.contains(&name) {
                    self.wrong(field, "is there already");
                }
                all.push(name);
            }
        }
        all
    }

    /// How a person is employed; an employee where nothing is said.
    pub fn employment_kind(&mut self, text: &str) -> EmploymentKind {
        if text.is_empty() {
            return EmploymentKind::default();
        }
        EmploymentKind::from_name(text).unwrap_or_else(|| {
            let known: Vec<&str> = EmploymentKind::ALL.map(EmploymentKind::name).to_vec();
            self.wrong(
                "employment_kind",
                format!(
                    "expected one of {}, found {}",
                    known.join(", "),
                    shown(text)
                ),
            );
            EmploymentKind::default()
        })
    }

    /// A day, whose first or last instant is meant, or an instant in RFC 3339; empty is none.
    pub fn instant(&mut self, field: &str, text: &str, edge: Edge) -> Option<Timestamp> {
        if text.is_empty() {
            return None;
        }
        let at = match (parse_date(text), edge) {
            (Some(date), Edge::Beginning) => Some(Timestamp::beginning_of(date, self.offset)),
            (Some(date), Edge::End) => Some(Timestamp::end_of(date, self.offset)),
            (None, _) => Timestamp::parse(text).ok(),
        };
        match at {
            None => self.wrong(
                field,
                format!("expected a day like 2099-12-31, found {}", shown(text)),
            ),
            Some(at) if !DATES.contains(&at.seconds()) => {
                self.wrong(field, "must be from 1900 to 2200");
            }
            Some(at) => return Some(at),
        }
        None
    }

    /// A leave; none where neither is said.
    pub fn leave(&mut self, from: &str, until: &str) -> Option<Leave> {
        let first = self.instant("leave.from", from, Edge::Beginning);
        let last = self.instant("leave.until", until, Edge::End);
        if from.is_empty() && !until.is_empty() {
            self.wrong("leave.from", "is missing");
        }
        let from = first?;
        if last.is_some_and(|last| last < from) {
            self.wrong("leave.until", "is before leave.from");
        }
        Some(Leave { from, until: last })
    }

    /// A role that was given.
    pub fn role(&mut self, field: &str, texts: RoleTexts<'_>) -> Option<RoleAssignment> {
        let below = |name: &str| format!("{field}.{name}");
        let role = self.name(&below("role"), texts.role);
        if texts.role.is_empty() {
            self.wrong(below("role"), "is missing");
        }
        let valid_from = self.instant(&below("valid_from"), texts.valid_from, Edge::Beginning);
        let valid_until = self.instant(&below("valid_until"), texts.valid_until, Edge::End);
        if let (Some(from), Some(until)) = (valid_from, valid_until)
            && until < from
        {
            self.wrong(below("valid_until"), "is before valid_from");
        }
        Some(RoleAssignment {
            role: role?,
            valid_from,
            valid_until,
            approved_by: self.name(&below("approved_by"), texts.approved_by),
            request: self.name(&below("request"), texts.request),
        })
    }

    /// Where else a person may work from, until when, and why.
    pub fn network_exception(
        &mut self,
        field: &str,
        [block, until, why]: [&str; 3],
    ) -> Option<NetworkException> {
        let below = |name: &str| format!("{field}.{name}");
        let read = match parse_block(block) {
            Ok(block) => {
                let least = if block.addr().is_ipv4() {
                    PREFIX_MIN_V4
                } else {
                    PREFIX_MIN_V6
                };
                if block.prefix_len() < least {
                    self.wrong(
                        below("block"),
                        format!("is wider than /{least}: that is a network, for the pack to name"),
                    );
                }
                Some(block)
            }
            Err(error) => {
                self.wrong(below("block"), error);
                None
            }
        };
        if until.is_empty() {
            self.wrong(below("until"), "is missing: an exception ends");
        }
        if why.is_empty() {
            self.wrong(below("why"), "is missing");
        }
        let until = self.instant(&below("until"), until, Edge::End);
        let why = self.name(&below("why"), why);
        Some(NetworkException {
            block: read?,
            until: until?,
            why: why?,
        })
    }

    /// The pledge: the day on which it was given, `yes` where nobody noted the day, `no` or nothing.
    pub fn pledge(&mut self, text: &str) -> Pledge {
        match text {
            "" | "no" => Pledge::NotGiven,
            "yes" => Pledge::Given,
            day => {
                if parse_date(day).is_none() && Timestamp::parse(day).is_err() {
                    self.wrong(
                        "pledge",
                        format!("expected yes or no, or the day, found {}", shown(day)),
                    );
                    return Pledge::NotGiven;
                }
                self.instant("pledge", day, Edge::Beginning)
                    .map_or(Pledge::NotGiven, Pledge::GivenOn)
            }
        }
    }

    /// A pseudonym in hexadecimal.
    pub fn pseudonym(&mut self, field: &str, text: &str) -> Option<Pseudonym> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
        let pseudonym = bytes.and_then(|bytes| Pseudonym::from_bytes(&bytes));
        if pseudonym.is_none() {
            self.wrong(field, "is no pseudonym: 64 hexadecimal digits");
        }
        pseudonym
    }

    /// `yes` or `no`.
    pub fn yes_or_no(&mut self, field: &str, text: &str) -> Option<bool> {
        match text {
            "yes" => Some(true),
            "no" => Some(false),
            _ => {
                self.wrong(field, format!("expected yes or no, found {}", shown(text)));
                None
            }
        }
    }
}

/// What of a text could hide something from whoever reads it.
fn unprintable(text: &str) -> Option<&'static str> {
    let hides = |character: char| {
        character.is_control()
            || matches!(
                character,
                '\u{00ad}' | '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}'
            )
    };
    if text.contains(hides) {
        Some("has a character that is not seen")
    } else if text.trim() != text {
        Some("has white space around it")
    } else {
        None
    }
}

/// A text in quotes, shortened.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// An instant as [`Form::instant`] reads it: the day where it is that edge of one.
#[must_use]
pub fn instant_text(at: Timestamp, edge: Edge, offset: UtcOffset) -> String {
    let local = at.to_utc().and_then(|utc| utc.checked_to_offset(offset));
    if let Some(local) = local {
        let date = local.date();
        let of_date = match edge {
            Edge::Beginning => Timestamp::beginning_of(date, offset),
            Edge::End => Timestamp::end_of(date, offset),
        };
        if of_date == at && (0..=9_999).contains(&date.year()) {
            let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
            return format!("{year:04}-{month:02}-{day:02}");
        }
    }
    at.to_string()
}

/// The texts of a role that was given: role, first and last instant, who approved it, by which request.
#[must_use]
pub fn role_texts(role: &RoleAssignment, offset: UtcOffset) -> [String; 5] {
    let text = |name: &Option<Name>| name.as_deref().unwrap_or_default().to_owned();
    [
        role.role.to_string(),
        optional(role.valid_from, Edge::Beginning, offset),
        optional(role.valid_until, Edge::End, offset),
        text(&role.approved_by),
        text(&role.request),
    ]
}

/// The texts of a network exception: block, last instant, why.
#[must_use]
pub fn exception_texts(exception: &NetworkException, offset: UtcOffset) -> [String; 3] {
    [
        exception.block.to_string(),
        instant_text(exception.until, Edge::End, offset),
        exception.why.to_string(),
    ]
}

/// The text of a pledge.
#[must_use]
pub fn pledge_text(pledge: Pledge, offset: UtcOffset) -> String {
    match pledge {
        Pledge::NotGiven => "no".to_owned(),
        Pledge::Given => "yes".to_owned(),
        Pledge::GivenOn(at) => instant_text(at, Edge::Beginning, offset),
    }
}

/// An instant that may be missing.
#[must_use]
pub fn optional(at: Option<Timestamp>, edge: Edge, offset: UtcOffset) -> String {
    at.map_or_else(String::new, |at| instant_text(at, edge, offset))
}

fn together<const N: usize>(parts: [String; N]) -> String {
    let between = BETWEEN_PARTS.to_string();
    let joined = parts.join(&between);
    joined.trim_end_matches(BETWEEN_PARTS).to_owned()
}

/// The values of each of [`FIELDS`], as an import reads them. A field without a value has none.
#[must_use]
pub fn texts(person: &Person, offset: UtcOffset) -> [(&'static str, Vec<String>); 12] {
    let one = |text: String| {
        if text.is_empty() {
            Vec::new()
        } else {
            vec![text]
        }
    };
    let owned = |text: Option<&str>| one(text.unwrap_or_default().to_owned());
    let leave = person.leave.map_or_else(String::new, |leave| {
        together([
            instant_text(leave.from, Edge::Beginning, offset),
            optional(leave.until, Edge::End, offset),
        ])
    });
    let values = [
        owned(person.display_name.as_deref()),
        person.departments.iter().map(ToString::to_string).collect(),
        one(person.employment_kind.name().to_owned()),
        owned(person.employer.as_deref()),
        one(optional(person.employment_end, Edge::End, offset)),
        one(leave),
        person
            .roles
            .iter()
            .map(|role| together(role_texts(role, offset)))
            .collect(),
        person
            .network_exceptions
            .iter()
            .map(|exception| together(exception_texts(exception, offset)))
            .collect(),
        one(optional(person.trained_until, Edge::End, offset)),
        one(pledge_text(person.pledge, offset)),
        person.subjects.iter().map(ToString::to_string).collect(),
        one(if person.disabled { "yes" } else { "no" }.to_owned()),
    ];
    let mut fields = FIELDS.map(|name| (name, Vec::new()));
    for (field, values) in fields.iter_mut().zip(values) {
        field.1 = values;
    }
    fields
}

/// One field's text of a file, as [`texts`] writes its values with `;` between them, into the person.
pub fn read_into(form: &mut Form, person: &mut Person, field: &str, text: &str) {
    let values = || {
        text.split(BETWEEN_VALUES)
            .map(str::trim)
            .filter(|_| !text.is_empty())
    };
    match field {
        "display_name" => person.display_name = form.display_name(text),
        "department" | "departments" => person.departments = form.departments(values()),
        "employment_kind" => person.employment_kind = form.employment_kind(text),
        "employer" => person.employer = form.name("employer", text),
        "employment_end" => {
            person.employment_end = form.instant("employment_end", text, Edge::End);
        }
        "leave" => {
            let (from, until) = text.split_once(BETWEEN_PARTS).unwrap_or((text, ""));
            person.leave = form.leave(from, until);
        }
        "roles" => {
            person.roles = values()
                .enumerate()
                .filter_map(|(position, value)| {
                    let field = format!("roles[{position}]");
                    let [role, valid_from, valid_until, approved_by, request] =
                        parts(form, &field, value);
                    let texts = RoleTexts {
                        role,
                        valid_from,
                        valid_until,
                        approved_by,
                        request,
                    };
                    form.role(&field, texts)
                })
                .collect();
        }
        "network_exceptions" => {
            person.network_exceptions = values()
                .enumerate()
                .filter_map(|(position, value)| {
                    let field = format!("network_exceptions[{position}]");
                    let texts = parts(form, &field, value);
                    form.network_exception(&field, texts)
                })
                .collect();
        }
        "trained_until" => person.trained_until = form.instant("trained_until", text, Edge::End),
        "pledge" => person.pledge = form.pledge(text),
        "subject_pseudonyms" => {
            person.subjects = values()
                .enumerate()
                .filter_map(|(position, value)| {
                    form.pseudonym(&format!("subject_pseudonyms[{position}]"), value)
                })
                .collect();
        }
        "disabled" => {
            if let Some(disabled) = form.yes_or_no("disabled", text) {
                person.disabled = disabled;
            }
        }
        other => form.wrong(other, "is no field of a person"),
    }
}

/// What is wrong with a person as a whole, whatever the pack: bounds, and what goes only together.
#[must_use]
pub fn faults_of(person: &Person) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    let mut wrong = |field: &str, what: String| {
        faults.push(FieldFault {
            field: field.to_owned(),
            what,
        });
    };
    if person.departments.is_empty() {
        wrong("departments", "is missing".to_owned());
    }
    for (field, has, at_most) in [
        ("departments", person.departments.len(), DEPARTMENTS_MAX),
        ("roles", person.roles.len(), ROLES_MAX),
        (
            "network_exceptions",
            person.network_exceptions.len(),
            EXCEPTIONS_MAX,
        ),
        ("subject_refs", person.subjects.len(), SUBJECTS_MAX),
    ] {
        if has > at_most {
            wrong(
                field,
                format!("has {has} values: at most {at_most} are taken"),
            );
        }
    }
    let kind = person.employment_kind;
    if kind.is_of_another_employer() {
        if person.employer.is_none() {
            wrong(
                "employer",
                format!("is missing: employment_kind is {}", kind.name()),
            );
        }
        if person.employment_end.is_none() {
            let what = format!("is missing: employment_kind is {}", kind.name());
            wrong("employment_end", what);
        }
    } else if person.employer.is_some() {
        let what = format!(
            "is for the dispatched and contractors: employment_kind is {}",
            kind.name()
        );
        wrong("employer", what);
    }
    for (position, role) in person.roles.iter().enumerate() {
        let mut before = person.roles.iter().take(position);
        if before.any(|other| other.role == role.role && other.overlaps(role)) {
            wrong(
                &format!("roles[{position}]"),
                format!("{} is there twice for the same time", shown(&role.role)),
            );
        }
        if role.approved_by.as_ref() == Some(&person.id) {
            wrong(
                &format!("roles[{position}].approved_by"),
                "nobody approves their own role".to_owned(),
            );
        }
    }
    faults
}

/// The parts of a value; those that are not there are empty.
fn parts<'a, const N: usize>(form: &mut Form, field: &str, value: &'a str) -> [&'a str; N] {
    let mut parts = [""; N];
    let mut given = value.split(BETWEEN_PARTS).map(str::trim);
    for part in &mut parts {
        *part = given.next().unwrap_or_default();
    }
    if given.next().is_some() {
        form.wrong(field, format!("has more than {N} parts"));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::time::macros::offset;
    use std::collections::HashMap;

    fn blank() -> Person {
        Person::new(Name::parse("p").unwrap(), Name::parse("d").unwrap())
    }

    fn read(fields: &[(&str, &str)]) -> (Person, HashMap<String, String>) {
        let mut form = Form::new(offset!(+9));
        let mut person = blank();
        for (field, text) in fields {
            read_into(&mut form, &mut person, field, text);
        }
        let faults = form.finish().into_iter();
        (
            person,
            faults.map(|fault| (fault.field, fault.what)).collect(),
        )
    }

    #[test]
    fn what_is_written_reads_as_the_same_person() {
        let pseudonym = "ab".repeat(32);
        let (person, faults) = read(&[
            ("display_name", "山田 太郎"),
            ("departments", "career;人事部"),
            ("employment_kind", "派遣"),
            ("employer", "Staff, Inc."),
            ("employment_end", "2027-03-31"),
            ("leave", "2026-12-01|2026-12-05T12:00:00+09:00"),
            (
                "roles",
                "career-adviser|2026-01-01|2026-12-31|manager-1|R-1;legal;accounting|||manager-1",
            ),
            (
                "network_exceptions",
                "198.51.100.7/32|2026-12-31|R-2;2001:db8:2::/48|2026-01-01|R-3",
            ),
            ("trained_until", "2027-01-31"),
            ("pledge", "2026-04-01"),
            ("subject_pseudonyms", &pseudonym),
            ("disabled", "yes"),
        ]);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(person.departments.len(), 2);
        assert_eq!(person.roles.len(), 3);
        assert_eq!(person.roles[1].valid_from, None);
        assert_eq!(
            person.employment_end,
            Some(Timestamp::parse("2027-03-31T23:59:59.999999+09:00").unwrap())
        );
        let written = texts(&person, offset!(+9));
        let written: Vec<(&str, String)> = written
            .iter()
            .map(|(field, values)| (*field, values.join(";")))
            .collect();
        let again: Vec<(&str, &str)> = written
            .iter()
            .map(|(field, text)| (*field, text.as_str()))
            .collect();
        assert_eq!(read(&again), (person, HashMap::new()));
        assert_eq!(written[2].1, "dispatched");
        assert_eq!(written[5].1, "2026-12-01|2026-12-05T03:00:00Z");
    }

    #[test]
    fn each_fault_names_its_field() {
        for (field, text, named, told) in [
            ("display_name", "a\u{202e}b", "display_name", "not seen"),
            ("display_name", &"x".repeat(129), "display_name", "over 128"),
            ("departments", "a;;b", "departments[1]", "is missing"),
            ("departments", "a;a", "departments[1]", "is there already"),
            ("departments", "a|b", "departments[0]", "; or |"),
            (
                "employment_kind",
                "temp",
                "employment_kind",
                "expected one of employee",
            ),
            ("employer", " x", "employer", "white space"),
            (
                "employment_end",
                "2027-02-30",
                "employment_end",
                "expected a day",
            ),
            (
                "employment_end",
                "1899-12-31",
                "employment_end",
                "from 1900",
            ),
            ("leave", "|2026-01-01", "leave.from", "is missing"),
            ("leave", "2026-01-02|2026-01-01", "leave.until", "before"),
            (
                "roles",
                "a|2026-13-01",
                "roles[0].valid_from",
                "expected a day",
            ),
            (
                "roles",
                "a;b|2026-01-02|2026-01-01",
                "roles[1].valid_until",
                "before",
            ),
            ("roles", "|2026-01-02", "roles[0].role", "is missing"),
            ("roles", "a|||||x", "roles[0]", "more than 5"),
            (
                "network_exceptions",
                "10.0.0.1",
                "network_exceptions[0].block",
                "address/prefix",
            ),
            (
                "network_exceptions",
                "10.0.0.0/8|2026-01-01|x",
                "network_exceptions[0].block",
                "wider",
            ),
            (
                "network_exceptions",
                "10.0.0.0/24",
                "network_exceptions[0].until",
                "is missing",
            ),
            (
                "network_exceptions",
                "10.0.0.0/24|2026-01-01",
                "network_exceptions[0].why",
                "is missing",
            ),
            ("trained_until", "soon", "trained_until", "expected a day"),
            ("pledge", "maybe", "pledge", "expected yes or no"),
            (
                "subject_pseudonyms",
                "candidate-1",
                "subject_pseudonyms[0]",
                "no pseudonym",
            ),
            ("disabled", "", "disabled", "expected yes or no"),
            ("epoch", "9", "epoch", "no field"),
        ] {
            let (_, faults) = read(&[(field, text)]);
            let what = faults.get(named).map_or("", String::as_str);
            assert!(what.contains(told), "{field} {text}: {faults:?}");
        }
    }
}
