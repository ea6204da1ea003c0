//! `AccessService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::read::Fields;
use super::write;
use super::{errors, peer, taken, to_its_end};
use crate::domain::access::SUBJECTS_MAX;
use crate::gate::{Gate, OutcomeReport, OwnAccess, Violation};
use crate::proto::access_service_server::AccessService;
use crate::proto::{
    BatchCheckRequest, BatchCheckResponse, CheckRequest, CheckResponse, ListMyAccessRequest,
    ListMyAccessResponse, ReportOutcomeRequest, ReportOutcomeResponse,
};

/// The most people a batch may name in all its lists together.
const BATCH_PEOPLE_MAX: usize = 20_000;
/// The most obligations a report may name.
const OBLIGATIONS_MAX: usize = 64;

/// What an internal system asks before it touches personal data.
#[derive(Debug, Clone)]
pub struct Access {
    gate: Arc<Gate>,
}

impl Access {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

#[tonic::async_trait]
impl AccessService for Access {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let access = fields.access(request.into_inner(), None);
        let access = taken(&self.gate, &peer, "Check", fields.finish(access)).await?;
        let answer = self
            .gate
            .check(&peer, access)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(write::check_response(
            &answer,
            self.gate.log().name(),
        )))
    }

    async fn batch_check(
        &self,
        request: Request<BatchCheckRequest>,
    ) -> Result<Response<BatchCheckResponse>, Status> {
        let peer = peer::of(&request)?;
        let batch = request.into_inner();
        let accesses = taken(&self.gate, &peer, "BatchCheck", read_batch(batch)).await?;
        let answers = self
            .gate
            .check_batch(&peer, accesses)
            .await
            .map_err(errors::status)?;
        let log = self.gate.log().name();
        Ok(Response::new(BatchCheckResponse {
            items: answers
                .iter()
                .map(|answer| write::check_response(answer, log))
                .collect(),
        }))
    }

    async fn list_my_access(
        &self,
        request: Request<ListMyAccessRequest>,
    ) -> Result<Response<ListMyAccessResponse>, Status> {
        let peer = peer::of(&request)?;
        let asked = request.into_inner();
        let mut fields = Fields::default();
        let actor = fields.actor(&asked.actor.unwrap_or_default());
        let wish = OwnAccess {
            proof: actor.proof,
            client_ip: actor.client_ip,
            session_ref: actor.session_ref,
            subject_kind: fields.name("subject_kind", &asked.subject_kind),
        };
        let wish = taken(&self.gate, &peer, "ListMyAccess", fields.finish(Some(wish))).await?;
        let accesses = self
            .gate
            .own_access(&peer, wish)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(ListMyAccessResponse {
            accesses: accesses.iter().map(super::explain::access).collect(),
        }))
    }

    async fn report_outcome(
        &self,
        request: Request<ReportOutcomeRequest>,
    ) -> Result<Response<ReportOutcomeResponse>, Status> {
        let peer = peer::of(&request)?;
        let report = request.into_inner();
        let mut fields = Fields::default();
        let decision = fields.decision_id("decision_id", &report.decision_id);
        let subjects = fields.subjects("subject_refs", &report.subject_refs, SUBJECTS_MAX);
        if report.fulfilled_obligations.len() > OBLIGATIONS_MAX {
            fields.wrong("fulfilled_obligations", "names more than 64");
        }
        let report = decision.map(|decision| OutcomeReport {
            decision,
            records_accessed: report.records_accessed,
            fulfilled: report.fulfilled_obligations,
            abandoned: report.abandoned,
            subjects,
        });
        let report = taken(&self.gate, &peer, "ReportOutcome", fields.finish(report)).await?;
        let gate = Arc::clone(&self.gate);
        let index = to_its_end(async move { gate.report_outcome(&peer, report).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(ReportOutcomeResponse { log_index: index.0 }))
    }
}

fn people_of(item: &CheckRequest) -> usize {
    item.data.as_ref().map_or(0, |data| data.subject_refs.len())
}

fn read_batch(
    batch: BatchCheckRequest,
) -> Result<Vec<crate::domain::access::AccessRequest>, Vec<Violation>> {
    let mut fields = Fields::default();
    let count = batch.items.len();
    if count == 0 {
        fields.wrong("items", "is empty");
    }
    if count > SUBJECTS_MAX {
        fields.wrong(
            "items",
            format!("has {count} items; at most {SUBJECTS_MAX} are taken"),
        );
        return Err(fields.finish::<()>(None).err().unwrap_or_default());
    }
    let people: usize = batch.items.iter().map(people_of).sum();
    if people > BATCH_PEOPLE_MAX {
        fields.wrong(
            "items",
            format!("name {people} people in all; at most {BATCH_PEOPLE_MAX} are taken"),
        );
        return Err(fields.finish::<()>(None).err().unwrap_or_default());
    }
    let actor = batch.actor.as_ref().map(|actor| fields.actor(actor));
    let mut accesses = Vec::with_capacity(count);
    let mut ids = std::collections::HashMap::new();
    for (position, item) in batch.items.into_iter().enumerate() {
        fields.below(format!("items[{position}]."));
        if !item.request_id.is_empty()
            && let Some(earlier) = ids.insert(item.request_id.clone(), position)
        {
            fields.wrong("request_id", format!("is that of items[{earlier}] too"));
        }
        accesses.extend(fields.access(item, actor.clone()));
    }
    let whole = accesses.len() == count;
    fields.finish(whole.then_some(accesses))
}
