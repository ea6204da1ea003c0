//! Whose access is looked at: the samples of both packs, a file, or the daemon's directory.

use std::collections::BTreeMap;
use std::path::Path;

use ::time::UtcOffset;

use super::DiffArgs;
use crate::api::people_of_csv;
use crate::cli::client::{Asking, Connection, read_public};
use crate::cli::error::{CliError, Fault};
use crate::cli::words::{Language, Word};
use crate::domain::ids::Name;
use crate::domain::person::Person;
use crate::domain::person::form::{Edge, Form, RoleTexts};
use crate::policy::Pack;
use crate::policy::diff::PersonBefore;
use crate::proto::directory_service_client::DirectoryServiceClient;
use crate::proto::{self, ListPeopleRequest};

/// People that are asked for at once.
const PAGE: i32 = 500;
/// So many errors of a file are told.
const FAULTS_MAX: usize = 20;

/// The people, by id, as they are under each pack.
pub(super) struct LookedAt(BTreeMap<Name, (Option<Person>, Option<Person>)>);

impl LookedAt {
    fn alike(people: Vec<Person>) -> Self {
        let all = people.into_iter();
        Self(
            all.map(|person| (person.id.clone(), (Some(person.clone()), Some(person))))
                .collect(),
        )
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = PersonBefore<'_>> {
        self.0.values().map(|(old, new)| PersonBefore {
            old: old.as_ref(),
            new: new.as_ref(),
        })
    }
}

pub(super) async fn looked_at(
    args: &DiffArgs,
    old: &Pack,
    new: &Pack,
) -> Result<LookedAt, CliError> {
    let language = args.connection.language();
    if let Some(file) = &args.people {
        return of_file(file, new.rules.utc_offset, language).map(LookedAt::alike);
    }
    if args.directory {
        let people = of_daemon(&args.connection, new.rules.utc_offset).await?;
        return Ok(LookedAt::alike(people));
    }
    let mut all = BTreeMap::new();
    for person in &old.people {
        all.insert(person.id.clone(), (Some(person.clone()), None));
    }
    for person in &new.people {
        let (_, new) = all.entry(person.id.clone()).or_default();
        *new = Some(person.clone());
    }
    Ok(LookedAt(all))
}

fn of_file(file: &Path, offset: UtcOffset, language: Language) -> Result<Vec<Person>, CliError> {
    people_of_csv(&read_public(file, language)?, offset).map_err(|faults| {
        let mut told: Vec<String> = faults
            .iter()
            .take(FAULTS_MAX)
            .map(|fault| format!("{}: {} {}", fault.line, fault.field, fault.what))
            .collect();
        if let Some(more) = faults
            .len()
            .checked_sub(FAULTS_MAX)
            .filter(|more| *more > 0)
        {
            told.push(format!("(+{more})"));
        }
        let values = [&*file.to_string_lossy(), &*told.join("; ")];
        CliError::new(Fault::Usage, Word::CantRead, language, &values)
    })
}

async fn of_daemon(connection: &Connection, offset: UtcOffset) -> Result<Vec<Person>, CliError> {
    let mut asking = Asking::open(connection, DirectoryServiceClient::new).await?;
    let mut wanted = ListPeopleRequest {
        page_size: PAGE,
        ..ListPeopleRequest::default()
    };
    let mut people = Vec::new();
    loop {
        let request = asking.request(wanted.clone())?;
        let page = asking.service.list_people(request);
        let page = asking.target.answer(page).await?.into_inner();
        people.extend(page.people.iter().filter_map(|told| person(told, offset)));
        if page.next_page_token.is_empty() {
            return Ok(people);
        }
        wanted.page_token = page.next_page_token;
    }
}

/// As much of a person as says which of their roles count. The daemon's own days are read as it wrote them: in its pack's time zone.
fn person(told: &proto::Person, offset: UtcOffset) -> Option<Person> {
    let mut form = Form::new(offset);
    let department = form.departments(told.departments.iter().map(String::as_str));
    let stand_in = Name::parse("-").ok()?;
    let mut person = Person::new(Name::parse(&told.id).ok()?, stand_in);
    person.departments = department;
    person.employment_end = form.instant("employment_end", &told.employment_end, Edge::End);
    let leave = told.leave.as_ref();
    person.leave = leave.and_then(|leave| form.leave(&leave.from, &leave.until));
    person.roles = told
        .roles
        .iter()
        .filter_map(|role| {
            let texts = RoleTexts {
                role: &role.role,
                valid_from: &role.valid_from,
                valid_until: &role.valid_until,
                ..RoleTexts::default()
            };
            form.role("roles", texts)
        })
        .collect();
    person.trained_until = form.instant("trained_until", &told.trained_until, Edge::End);
    person.pledge = form.pledge(&told.pledge);
    person.disabled = told.disabled;
    Some(person)
}
