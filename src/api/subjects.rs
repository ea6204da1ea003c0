//! `SubjectService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::read::Fields;
use super::{errors, peer, taken, to_its_end};
use crate::domain::access::SubjectRef;
use crate::gate::{DateSet, Gate, HoldChange};
use crate::proto::subject_service_server::SubjectService;
use crate::proto::{
    FilterSubjectsRequest, FilterSubjectsResponse, RegisterHoldRequest, RegisterHoldResponse,
    ReleaseHoldRequest, ReleaseHoldResponse, SetDateRequest, SetDateResponse,
};

/// The most people one `FilterSubjects` may name.
const FILTER_MAX: usize = 10_000;
/// The most holds one `FilterSubjects` may name.
const HOLDS_MAX: usize = 64;

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

#[tonic::async_trait]
impl SubjectService for Subjects {
    async fn register_hold(
        &self,
        request: Request<RegisterHoldRequest>,
    ) -> Result<Response<RegisterHoldResponse>, Status> {
        let peer = peer::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let change = hold_change(
            &mut fields,
            &request.subject_ref,
            &request.hold,
            &request.reference,
        );
        let change = taken(&self.gate, &peer, "RegisterHold", fields.finish(change)).await?;
        let gate = Arc::clone(&self.gate);
        let index = to_its_end(async move { gate.register_hold(&peer, change).await })
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
        let request = request.into_inner();
        let mut fields = Fields::default();
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
        let index = to_its_end(async move { gate.set_date(&peer, change).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(SetDateResponse { log_index: index.0 }))
    }

    async fn filter_subjects(
        &self,
        request: Request<FilterSubjectsRequest>,
    ) -> Result<Response<FilterSubjectsResponse>, Status> {
        let peer = peer::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
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
            .filter_map(|(position, hold)| fields.required(&format!("holds[{position}]"), hold))
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
            .filter_subjects(&peer, &subjects, &holds)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(FilterSubjectsResponse { held }))
    }
}
