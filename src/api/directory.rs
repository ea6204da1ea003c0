//! `DirectoryService`.

use std::pin::Pin;
use std::sync::Arc;

use prost::Message as _;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::read::{AFTER, Fields, after_person, page_size};
use super::requests::{approved, awaited};
use super::{errors, peer, people, people_csv, taken, to_its_end};
use crate::domain::ids::{LogIndex, Name};
use crate::domain::person::Person;
use crate::domain::person::form::{Edge, FIELDS, Form};
use crate::gate::{
    Credentials, Gate, ImportOutcome, ImportWish, Peer, PeopleFilter, PersonChanged, PersonSort,
    PersonWish,
};
use crate::proto;
use crate::proto::directory_service_server::DirectoryService;
use crate::proto::import_people_response::What;
use crate::proto::{
    ChangePersonRequest, ChangePersonResponse, CreatePersonRequest, CreatePersonResponse,
    DisablePersonRequest, EnablePersonRequest, EndEmploymentRequest, ExportPeopleRequest,
    ExportPeopleResponse, GetPersonRequest, GetPersonResponse, ImportPeopleRequest,
    ImportPeopleResponse, ListPeopleRequest, ListPeopleResponse,
};

/// Clients take 4 MiB unless told otherwise; one person has about 16 KiB at most.
const PAGE_MAX_BYTES: usize = 2 * 1024 * 1024;
/// About how much of an export goes in one message.
const PIECE_BYTES: usize = 64 * 1024;

type Pieces<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn pieces<T: Send + 'static>(all: Vec<T>) -> Pieces<T> {
    Box::pin(tokio_stream::iter(all.into_iter().map(Ok)))
}

/// The people who work with the data.
#[derive(Debug, Clone)]
pub struct Directory {
    gate: Arc<Gate>,
}

impl Directory {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }

    async fn change(
        &self,
        peer: Peer,
        credentials: Credentials,
        wish: PersonWish,
    ) -> Result<PersonChanged, Status> {
        let gate = Arc::clone(&self.gate);
        to_its_end(async move { gate.change_person(&peer, &credentials, wish).await })
            .await
            .map_err(errors::status)
    }

    fn changed(&self, changed: &PersonChanged) -> ChangePersonResponse {
        let (pending, pending_until, effective_at) = awaited(changed.awaited);
        ChangePersonResponse {
            person: self.person(changed),
            log_index: changed.index.map_or(0, |index| index.0),
            unchanged: changed.index.is_none(),
            sessions_ended: changed.sessions_ended,
            pending,
            pending_until,
            effective_at,
            alone: changed.alone,
        }
    }

    fn person(&self, changed: &PersonChanged) -> Option<proto::Person> {
        let offset = self.gate.rules().utc_offset;
        let person = changed.person.as_deref();
        person.map(|person| people::person(person, changed.at, offset))
    }

    /// A change that says no more than whose account it is.
    async fn by_id<T>(
        &self,
        request: &Request<T>,
        (call, sort): (&'static str, PersonSort),
        (id, reference, approve): (&str, &str, u64),
        mut fields: Fields,
    ) -> Result<Response<ChangePersonResponse>, Status> {
        let peer = peer::of(request)?;
        let credentials = fields.credentials(request.metadata());
        let id = people::id(&mut fields, id);
        let reference = name(&mut fields, "reference", reference);
        let wish = id.map(|id| PersonWish {
            sort,
            values: Person::new(id.clone(), id),
            fields: Vec::new(),
            subject_refs: None,
            reference,
            approve: approved(approve),
        });
        let wish = taken(&self.gate, &peer, call, fields.finish(wish)).await?;
        let changed = self.change(peer, credentials, wish).await?;
        Ok(Response::new(self.changed(&changed)))
    }
}

/// A name that may be missing, fit to be shown to people.
fn name(fields: &mut Fields, field: &str, text: &str) -> Option<Name> {
    let mut form = Form::new(time::UtcOffset::UTC);
    let name = form.name(field, text);
    people::tell(fields, form, "");
    name
}

#[tonic::async_trait]
impl DirectoryService for Directory {
    type ImportPeopleStream = Pieces<ImportPeopleResponse>;
    type ExportPeopleStream = Pieces<ExportPeopleResponse>;

    async fn create_person(
        &self,
        request: Request<CreatePersonRequest>,
    ) -> Result<Response<CreatePersonResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let offset = self.gate.rules().utc_offset;
        let given = people::given(&mut fields, request.person.as_ref(), offset);
        if let Some(person) = &request.person {
            for (field, is_set) in [
                (
                    "person.subject_pseudonyms",
                    !person.subject_pseudonyms.is_empty(),
                ),
                ("person.disabled", person.disabled),
            ] {
                if is_set {
                    fields.wrong(field, "is only ever answered");
                }
            }
        }
        let reference = name(&mut fields, "reference", &request.reference);
        let wish = given.map(|given| PersonWish {
            sort: PersonSort::Create,
            values: given.values,
            fields: FIELDS.to_vec(),
            subject_refs: given.subject_refs,
            reference,
            approve: approved(request.approve),
        });
        let wish = taken(&self.gate, &peer, "CreatePerson", fields.finish(wish)).await?;
        let changed = self.change(peer, credentials, wish).await?;
        let ChangePersonResponse {
            person,
            log_index,
            pending,
            pending_until,
            effective_at,
            alone,
            ..
        } = self.changed(&changed);
        Ok(Response::new(CreatePersonResponse {
            person,
            log_index,
            pending,
            pending_until,
            effective_at,
            alone,
        }))
    }

    async fn change_person(
        &self,
        request: Request<ChangePersonRequest>,
    ) -> Result<Response<ChangePersonResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let offset = self.gate.rules().utc_offset;
        let given = people::given(&mut fields, request.person.as_ref(), offset);
        let masked = people::masked(&mut fields, &request.update_mask);
        let reference = name(&mut fields, "reference", &request.reference);
        let expected = request.expected_revision.map(LogIndex);
        let wish = given.map(|given| PersonWish {
            sort: PersonSort::Change { expected },
            values: given.values,
            fields: masked,
            subject_refs: given.subject_refs,
            reference,
            approve: approved(request.approve),
        });
        let wish = taken(&self.gate, &peer, "ChangePerson", fields.finish(wish)).await?;
        let changed = self.change(peer, credentials, wish).await?;
        Ok(Response::new(self.changed(&changed)))
    }

    async fn disable_person(
        &self,
        request: Request<DisablePersonRequest>,
    ) -> Result<Response<ChangePersonResponse>, Status> {
        let asked = request.get_ref();
        let whose = (asked.id.as_str(), asked.reference.as_str(), 0);
        let what = ("DisablePerson", PersonSort::Disable);
        self.by_id(&request, what, whose, Fields::default()).await
    }

    async fn enable_person(
        &self,
        request: Request<EnablePersonRequest>,
    ) -> Result<Response<ChangePersonResponse>, Status> {
        let asked = request.get_ref();
        let whose = (asked.id.as_str(), asked.reference.as_str(), asked.approve);
        let what = ("EnablePerson", PersonSort::Enable);
        self.by_id(&request, what, whose, Fields::default()).await
    }

    async fn end_employment(
        &self,
        request: Request<EndEmploymentRequest>,
    ) -> Result<Response<ChangePersonResponse>, Status> {
        let asked = request.get_ref();
        let mut fields = Fields::default();
        let mut form = Form::new(self.gate.rules().utc_offset);
        let at = form.instant("employment_end", &asked.employment_end, Edge::End);
        people::tell(&mut fields, form, "");
        let whose = (asked.id.as_str(), asked.reference.as_str(), asked.approve);
        let what = ("EndEmployment", PersonSort::EndEmployment(at));
        self.by_id(&request, what, whose, fields).await
    }

    async fn get_person(
        &self,
        request: Request<GetPersonRequest>,
    ) -> Result<Response<GetPersonResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let id = people::id(&mut fields, &request.get_ref().id);
        let id = taken(&self.gate, &peer, "GetPerson", fields.finish(id)).await?;
        let seen = self
            .gate
            .get_person(&peer, &credentials, &id)
            .await
            .map_err(errors::status)?;
        let person = seen.people.first();
        Ok(Response::new(GetPersonResponse {
            person: person.map(|person| people::person(person, seen.at, seen.offset)),
        }))
    }

    async fn list_people(
        &self,
        request: Request<ListPeopleRequest>,
    ) -> Result<Response<ListPeopleResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let page_size = page_size(&mut fields, request.page_size);
        let after = after_person(&mut fields, &request.page_token);
        let filter = PeopleFilter {
            department: fields.name("department", &request.department),
            role: fields.name("role", &request.role),
            active_only: request.active_only,
            after,
        };
        let filter = taken(&self.gate, &peer, "ListPeople", fields.finish(Some(filter))).await?;
        let seen = self
            .gate
            .list_people(&peer, &credentials, "ListPeople", &filter)
            .await
            .map_err(errors::status)?;
        let mut page = Vec::new();
        let mut bytes = 0_usize;
        for person in seen.people.iter().take(page_size) {
            let person = people::person(person, seen.at, seen.offset);
            bytes = bytes.saturating_add(person.encoded_len());
            if bytes > PAGE_MAX_BYTES && !page.is_empty() {
                break;
            }
            page.push(person);
        }
        let more = page.len() < seen.people.len();
        let last = page.last().filter(|_| more);
        let next_page_token = last.map_or_else(String::new, |last| format!("{AFTER}{}", last.id));
        Ok(Response::new(ListPeopleResponse {
            people: page,
            next_page_token,
        }))
    }

    async fn import_people(
        &self,
        request: Request<ImportPeopleRequest>,
    ) -> Result<Response<Self::ImportPeopleStream>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let reference = name(&mut fields, "reference", &request.reference);
        if request.csv.is_empty() {
            fields.wrong("csv", "is missing");
        }
        let reference = taken(
            &self.gate,
            &peer,
            "ImportPeople",
            fields.finish(Some(reference)),
        )
        .await?;
        let gate = Arc::clone(&self.gate);
        let outcome = to_its_end(async move {
            let offset = gate.rules().utc_offset;
            let (csv, by) = (request.csv, reference.clone());
            let read =
                tokio::task::spawn_blocking(move || people_csv::read(&csv, by.as_ref(), offset))
                    .await
                    .map_err(|_| crate::gate::GateError::Internal("reading a file ended early"))?;
            let wish = ImportWish {
                reference,
                dry_run: request.dry_run,
                approve: approved(request.approve),
            };
            gate.import_people(&peer, &credentials, read, wish).await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(pieces(told(outcome))))
    }

    async fn export_people(
        &self,
        request: Request<ExportPeopleRequest>,
    ) -> Result<Response<Self::ExportPeopleStream>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        taken(&self.gate, &peer, "ExportPeople", fields.finish(Some(()))).await?;
        let everybody = PeopleFilter::default();
        let seen = self
            .gate
            .list_people(&peer, &credentials, "ExportPeople", &everybody)
            .await
            .map_err(errors::status)?;
        let offset = seen.offset;
        let mut head = Some(people_csv::head());
        let mut people = seen.people.into_iter();
        // Made piece by piece, as they are taken.
        let pieces = std::iter::from_fn(move || {
            let mut piece = head.take().unwrap_or_default();
            for person in people.by_ref() {
                piece.push_str(&people_csv::row_of(&person, offset));
                if piece.len() >= PIECE_BYTES {
                    break;
                }
            }
            (!piece.is_empty()).then(|| {
                Ok(ExportPeopleResponse {
                    csv: piece.into_bytes(),
                })
            })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }
}

/// What an import came to, message by message.
fn told(outcome: ImportOutcome) -> Vec<ImportPeopleResponse> {
    let count = |all: usize| u32::try_from(all).unwrap_or(u32::MAX);
    let created = outcome
        .people
        .iter()
        .filter(|person| person.created)
        .count();
    let (pending, pending_until, effective_at) = awaited(outcome.awaited);
    let summary = proto::ImportSummary {
        created: count(created),
        changed: count(outcome.people.len().saturating_sub(created)),
        unchanged: count(outcome.unchanged),
        errors: count(outcome.faults.len()),
        log_index: outcome.index.map_or(0, |index| index.0),
        pending,
        pending_until,
        effective_at,
        alone: outcome.alone,
    };
    let people = outcome.people.into_iter().map(|person| {
        What::Person(proto::ImportedPerson {
            line: person.line,
            id: person.id.to_string(),
            created: person.created,
            changes: person
                .changes
                .into_iter()
                .map(|change| proto::FieldChange {
                    field: change.field.to_owned(),
                    before: change.before.join(";"),
                    after: change.after.join(";"),
                })
                .collect(),
            sessions_ended: person.sessions_ended,
            takes_two: person.takes_two,
        })
    });
    let faults = outcome.faults.into_iter().map(|fault| {
        What::Error(proto::ImportError {
            line: fault.line,
            field: fault.field,
            description: fault.what,
        })
    });
    people
        .chain(faults)
        .chain([What::Summary(summary)])
        .map(|what| ImportPeopleResponse { what: Some(what) })
        .collect()
}
