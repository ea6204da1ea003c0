//! `SubjectService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::read::Fields;
use super::{errors, peer, subjects_import, subjects_match, taken, to_its_end};
use crate::decision::WITHDRAWN;
use crate::domain::access::SubjectRef;
use crate::domain::ids::Name;
use crate::domain::reference::{PURPOSES_MAX, Reference, ReferenceKind};
use crate::gate::{DateSet, Gate, HoldChange, LeftOut, ReferenceWish};
use crate::proto;
use crate::proto::subject_service_server::SubjectService;
use crate::proto::{
    FilterSubjectsRequest, FilterSubjectsResponse, ImportSubjectsRequest, ListOverdueRequest,
    ListOverdueResponse, ListReferencesRequest, ListReferencesResponse, MatchRequest,
    RegisterHoldRequest, RegisterHoldResponse, RegisterReferenceRequest, RegisterReferenceResponse,
    ReleaseHoldRequest, ReleaseHoldResponse, SetDateRequest, SetDateResponse,
    WithdrawReferenceRequest, WithdrawReferenceResponse,
};

/// The most people one `FilterSubjects` may name.
const FILTER_MAX: usize = 10_000;
/// The most holds one `FilterSubjects` may name.
const HOLDS_MAX: usize = 64;
const PAGE_SIZE: usize = 100;
const PAGE_SIZE_MAX: i32 = 1_000;

/// Holds and dates of the people whose data are guarded.
#[derive(Debug, Clone)]
pub struct Subjects {
    gate: Arc<Gate>,
}

impl Subjects {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

fn hold_change(
    fields: &mut Fields,
    subject_ref: &str,
    hold: &str,
    reference: &str,
) -> Option<HoldChange> {
    let subject = fields.required("subject_ref", subject_ref);
    let hold = fields.required("hold", hold);
    let reference = fields.name("reference", reference);
    subject.zip(hold).map(|(subject, hold)| HoldChange {
        subject: SubjectRef::new(&subject),
        hold,
        reference,
    })
}

/// The subject, kind, id and purposes of a reference.
fn reference_wish(
    fields: &mut Fields,
    (subject_ref, kind, reference): (&str, i32, &str),
    purposes: &[String],
    (until, given): (
        Option<&prost_types::Timestamp>,
        Option<&prost_types::Timestamp>,
    ),
) -> Option<ReferenceWish> {
    let subject = fields.name("subject_ref", subject_ref);
    let kind = kind_of(fields, kind);
    let reference = fields.required("reference", reference);
    if purposes.len() > PURPOSES_MAX {
        fields.wrong(
            "purposes",
            format!("names more than {PURPOSES_MAX} purposes"),
        );
    }
    let purposes: Vec<Name> = purposes
        .iter()
        .take(PURPOSES_MAX)
        .enumerate()
        .filter_map(|(position, purpose)| {
            fields.required(&format!("purposes[{position}]"), purpose)
        })
        .collect();
    let until = fields.instant("until", until);
    let given = fields.instant("given", given);
    Some(ReferenceWish {
        subject: subject.map(|subject| SubjectRef::new(&subject)),
        kind: kind?,
        reference: reference?,
        purposes,
        until,
        given,
    })
}

fn kind_of(fields: &mut Fields, kind: i32) -> Option<ReferenceKind> {
    let known = ReferenceKind::from_number(kind);
    if known.is_none() {
        let what = match kind {
            0 => "is missing".to_owned(),
            other => format!("has no value {other}"),
        };
        fields.wrong("kind", what);
    }
    known
}

/// Before the kind and the id after which a page begins.
const TOKEN: &str = "after-";

fn page_token((kind, id): (ReferenceKind, Name)) -> String {
    format!("{TOKEN}{}-{id}", kind.number())
}

fn page_start(fields: &mut Fields, token: &str) -> Option<(ReferenceKind, Name)> {
    let start = token.strip_prefix(TOKEN).and_then(|token| {
        let (kind, id) = token.split_once('-')?;
        let kind = ReferenceKind::from_number(kind.parse().ok()?)?;
        Some((kind, Name::parse(id).ok()?))
    });
    if start.is_none() && !token.is_empty() {
        fields.wrong("page_token", "is no token that a page gave");
    }
    start
}

pub(super) fn page_size(fields: &mut Fields, asked: i32) -> usize {
    match usize::try_from(asked) {
        Ok(0) => PAGE_SIZE,
        Ok(size) if asked <= PAGE_SIZE_MAX => size,
        _ => {
            fields.wrong("page_size", format!("must be from 1 to {PAGE_SIZE_MAX}"));
            PAGE_SIZE
        }
    }
}

fn reference(reference: &Reference) -> proto::Reference {
    proto::Reference {
        kind: reference.kind.number(),
        reference: reference.id.to_string(),
        purposes: reference.purposes.iter().map(ToString::to_string).collect(),
        until: reference.until.map(wire),
        withdrawn: reference.withdrawn,
        since: Some(wire(reference.since)),
        given: reference.given.map(wire),
    }
}

/// Any instant: the epoch is one too.
pub(super) fn wire(at: crate::domain::time::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.seconds(),
        nanos: i32::try_from(at.micros().rem_euclid(1_000_000))
            .unwrap_or(0)
            .saturating_mul(1_000),
    }
}

#[tonic::async_trait]
impl SubjectService for Subjects {
    type ImportStream = subjects_import::Told;
    type MatchStream = subjects_match::Told;

    async fn import(
        &self,
        request: Request<tonic::Streaming<ImportSubjectsRequest>>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        subjects_import::import(&self.gate, request).await
    }

    async fn r#match(
        &self,
        request: Request<tonic::Streaming<MatchRequest>>,
    ) -> Result<Response<Self::MatchStream>, Status> {
        subjects_match::matching(&self.gate, request).await
    }

    async fn list_overdue(
        &self,
        request: Request<ListOverdueRequest>,
    ) -> Result<Response<ListOverdueResponse>, Status> {
        subjects_match::overdue(&self.gate, request).await
    }

    async fn register_hold(
        &self,
        request: Request<RegisterHoldRequest>,
    ) -> Result<Response<RegisterHoldResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let change = hold_change(
            &mut fields,
            &request.subject_ref,
            &request.hold,
            &request.reference,
        );
        let change = taken(&self.gate, &peer, "RegisterHold", fields.finish(change)).await?;
        let gate = Arc::clone(&self.gate);
        let index =
            to_its_end(async move { gate.register_hold(&peer, &credentials, change).await })
                .await
                .map_err(errors::status)?;
        Ok(Response::new(RegisterHoldResponse { log_index: index.0 }))
    }

    async fn release_hold(
        &self,
        request: Request<ReleaseHoldRequest>,
    ) -> Result<Response<ReleaseHoldResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let change = hold_change(
            &mut fields,
            &request.subject_ref,
            &request.hold,
            &request.reference,
        );
        let change = taken(&self.gate, &peer, "ReleaseHold", fields.finish(change)).await?;
        let gate = Arc::clone(&self.gate);
        let index = to_its_end(async move { gate.release_hold(&peer, &credentials, change).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(ReleaseHoldResponse { log_index: index.0 }))
    }

    async fn set_date(
        &self,
        request: Request<SetDateRequest>,
    ) -> Result<Response<SetDateResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let subject = fields.required("subject_ref", &request.subject_ref);
        let date = fields.required("date", &request.date);
        let reference = fields.name("reference", &request.reference);
        if request.value.is_none() {
            fields.wrong("value", "is missing");
        }
        let value = fields.instant("value", request.value.as_ref());
        let change = subject
            .zip(date)
            .zip(value)
            .map(|((subject, date), value)| DateSet {
                subject: SubjectRef::new(&subject),
                date,
                value,
                reference,
            });
        let change = taken(&self.gate, &peer, "SetDate", fields.finish(change)).await?;
        let gate = Arc::clone(&self.gate);
        let index = to_its_end(async move { gate.set_date(&peer, &credentials, change).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(SetDateResponse { log_index: index.0 }))
    }

    async fn filter_subjects(
        &self,
        request: Request<FilterSubjectsRequest>,
    ) -> Result<Response<FilterSubjectsResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        if request.subject_refs.is_empty() {
            fields.wrong("subject_refs", "is missing");
        }
        let subjects = fields.subjects("subject_refs", &request.subject_refs, FILTER_MAX);
        if request.holds.is_empty() || request.holds.len() > HOLDS_MAX {
            fields.wrong("holds", "must name 1 to 64 holds");
        }
        let holds: Vec<_> = request
            .holds
            .iter()
            .take(HOLDS_MAX)
            .enumerate()
            .filter_map(|(position, hold)| {
                let field = format!("holds[{position}]");
                match hold.strip_prefix(WITHDRAWN) {
                    Some(purpose) => fields.required(&field, purpose).map(LeftOut::Withdrawn),
                    None => fields.required(&field, hold).map(LeftOut::Held),
                }
            })
            .collect();
        let (subjects, holds) = taken(
            &self.gate,
            &peer,
            "FilterSubjects",
            fields.finish(Some((subjects, holds))),
        )
        .await?;
        let held = self
            .gate
            .filter_subjects(&peer, &credentials, &subjects, &holds)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(FilterSubjectsResponse { held }))
    }

    async fn register_reference(
        &self,
        request: Request<RegisterReferenceRequest>,
    ) -> Result<Response<RegisterReferenceResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let wish = reference_wish(
            &mut fields,
            (&request.subject_ref, request.kind, &request.reference),
            &request.purposes,
            (request.until.as_ref(), request.given.as_ref()),
        );
        let wish = taken(&self.gate, &peer, "RegisterReference", fields.finish(wish)).await?;
        let gate = Arc::clone(&self.gate);
        let index =
            to_its_end(async move { gate.register_reference(&peer, &credentials, wish).await })
                .await
                .map_err(errors::status)?;
        Ok(Response::new(RegisterReferenceResponse {
            log_index: index.0,
        }))
    }

    async fn withdraw_reference(
        &self,
        request: Request<WithdrawReferenceRequest>,
    ) -> Result<Response<WithdrawReferenceResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let wish = reference_wish(
            &mut fields,
            (&request.subject_ref, request.kind, &request.reference),
            &request.purposes,
            (None, None),
        );
        let wish = taken(&self.gate, &peer, "WithdrawReference", fields.finish(wish)).await?;
        let gate = Arc::clone(&self.gate);
        let index =
            to_its_end(async move { gate.withdraw_reference(&peer, &credentials, wish).await })
                .await
                .map_err(errors::status)?;
        Ok(Response::new(WithdrawReferenceResponse {
            log_index: index.0,
        }))
    }

    async fn list_references(
        &self,
        request: Request<ListReferencesRequest>,
    ) -> Result<Response<ListReferencesResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let subject = fields.name("subject_ref", &request.subject_ref);
        let start = page_start(&mut fields, &request.page_token);
        let size = page_size(&mut fields, request.page_size);
        let read = fields.finish(Some((subject, (size, start))));
        let (subject, page) = taken(&self.gate, &peer, "ListReferences", read).await?;
        let subject = subject.map(|subject| SubjectRef::new(&subject));
        let page = self
            .gate
            .list_references(&peer, &credentials, subject, page)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(ListReferencesResponse {
            references: page.references.iter().map(reference).collect(),
            next_page_token: page.next.map_or_else(String::new, page_token),
        }))
    }
}
