//! A person between the wire and the domain.

use time::UtcOffset;

use super::read::Fields;
use crate::domain::access::SubjectRef;
use crate::domain::ids::Name;
use crate::domain::person::form::{self, Edge, FIELDS, Form, RoleTexts};
use crate::domain::person::{EmploymentKind, Person};
use crate::domain::time::Timestamp;
use crate::proto;

/// Where the fields of a person are in a request.
const PERSON: &str = "person";
/// The most paths of a mask that are looked at.
const PATHS_MAX: usize = 64;

/// What a request says of a person.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) values: Person,
    pub(super) subject_refs: Option<Vec<SubjectRef>>,
}

/// Reads a person; `None` only after a field was told.
pub(super) fn given(
    fields: &mut Fields,
    person: Option<&proto::Person>,
    offset: UtcOffset,
) -> Option<Given> {
    let Some(person) = person else {
        fields.wrong(PERSON, "is missing");
        return None;
    };
    let mut form = Form::new(offset);
    let values = values(&mut form, person);
    let subject_refs = subject_refs(&mut form, &person.subject_refs);
    tell(fields, form, "person.");
    Some(Given {
        values: values?,
        subject_refs,
    })
}

/// The id of a person whom a request names.
pub(super) fn id(fields: &mut Fields, text: &str) -> Option<Name> {
    let mut form = Form::new(UtcOffset::UTC);
    let id = form.id("id", text);
    tell(fields, form, "");
    id
}

/// Moves what a form found to the fields of the request.
pub(super) fn tell(fields: &mut Fields, form: Form, below: &str) {
    for fault in form.finish() {
        fields.wrong(&format!("{below}{}", fault.field), fault.what);
    }
}

fn values(form: &mut Form, person: &proto::Person) -> Option<Person> {
    let id = form.id("id", &person.id);
    // Without a good id the other fields are read all the same, so that all that is wrong is told at once.
    let stand_in = id.clone().or_else(|| Name::parse("-").ok())?;
    let mut values = Person::new(stand_in.clone(), stand_in);
    values.display_name = form.display_name(&person.display_name);
    values.departments = form.departments(person.departments.iter().map(String::as_str));
    values.employment_kind = match person.employment_kind {
        0 => EmploymentKind::default(),
        number => EmploymentKind::from_number(number).unwrap_or_else(|| {
            form.wrong("employment_kind", format!("has no value {number}"));
            EmploymentKind::default()
        }),
    };
    values.employer = form.name("employer", &person.employer);
    values.employment_end = form.instant("employment_end", &person.employment_end, Edge::End);
    values.leave = person
        .leave
        .as_ref()
        .and_then(|leave| form.leave(&leave.from, &leave.until));
    values.roles = person
        .roles
        .iter()
        .enumerate()
        .filter_map(|(position, role)| {
            let texts = RoleTexts {
                role: &role.role,
                valid_from: &role.valid_from,
                valid_until: &role.valid_until,
                approved_by: &role.approved_by,
                request: &role.request,
            };
            form.role(&format!("roles[{position}]"), texts)
        })
        .collect();
    values.network_exceptions = person
        .network_exceptions
        .iter()
        .enumerate()
        .filter_map(|(position, exception)| {
            let texts = [&*exception.block, &*exception.until, &*exception.why];
            form.network_exception(&format!("network_exceptions[{position}]"), texts)
        })
        .collect();
    values.trained_until = form.instant("trained_until", &person.trained_until, Edge::End);
    values.pledge = form.pledge(&person.pledge);
    id.map(|_| values)
}

fn subject_refs(form: &mut Form, texts: &[String]) -> Option<Vec<SubjectRef>> {
    let mut refs = Vec::with_capacity(texts.len());
    for (position, text) in texts.iter().enumerate() {
        // Never shown: it is somebody's id.
        match Name::parse(text) {
            Ok(name) => refs.push(SubjectRef::new(&name)),
            Err(error) => form.wrong(format!("subject_refs[{position}]"), error),
        }
    }
    Some(refs)
}

/// The fields that a mask names.
pub(super) fn masked(fields: &mut Fields, paths: &[String]) -> Vec<&'static str> {
    if paths.is_empty() {
        fields.wrong("update_mask", "is missing: it names the fields to set");
    }
    let mut named = Vec::new();
    for path in paths.iter().take(PATHS_MAX) {
        let field = match path.as_str() {
            "subject_refs" => Some("subject_pseudonyms"),
            "disabled" => {
                let what = "disabled: DisablePerson and EnablePerson set it";
                fields.wrong("update_mask", what);
                continue;
            }
            // Pseudonyms are what becomes of subject_refs.
            "subject_pseudonyms" => None,
            path => FIELDS.into_iter().find(|field| *field == path),
        };
        match field {
            Some(field) if named.contains(&field) => {}
            Some(field) => named.push(field),
            None => {
                let shown: String = path.chars().take(80).collect();
                fields.wrong("update_mask", format!("{shown:?} is no field to set"));
            }
        }
    }
    named
}

/// A person as an answer has them.
pub(super) fn person(person: &Person, at: Timestamp, offset: UtcOffset) -> proto::Person {
    let text = |name: Option<&Name>| name.map_or_else(String::new, ToString::to_string);
    proto::Person {
        id: person.id.to_string(),
        display_name: person
            .display_name
            .as_deref()
            .unwrap_or_default()
            .to_owned(),
        departments: person.departments.iter().map(ToString::to_string).collect(),
        employment_kind: person.employment_kind.number(),
        employer: text(person.employer.as_ref()),
        employment_end: form::optional(person.employment_end, Edge::End, offset),
        leave: person.leave.map(|leave| proto::Leave {
            from: form::instant_text(leave.from, Edge::Beginning, offset),
            until: form::optional(leave.until, Edge::End, offset),
        }),
        roles: person
            .roles
            .iter()
            .map(|role| {
                let [role, valid_from, valid_until, approved_by, request] =
                    form::role_texts(role, offset);
                proto::RoleAssignment {
                    role,
                    valid_from,
                    valid_until,
                    approved_by,
                    request,
                }
            })
            .collect(),
        network_exceptions: person
            .network_exceptions
            .iter()
            .map(|exception| {
                let [block, until, why] = form::exception_texts(exception, offset);
                proto::NetworkException { block, until, why }
            })
            .collect(),
        trained_until: form::optional(person.trained_until, Edge::End, offset),
        pledge: form::pledge_text(person.pledge, offset),
        subject_refs: Vec::new(),
        subject_pseudonyms: person.subjects.iter().map(ToString::to_string).collect(),
        disabled: person.disabled,
        revision: person.revision.0,
        active: person.is_active(at),
    }
}
