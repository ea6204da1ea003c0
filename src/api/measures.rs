//! `MeasureService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::explain::system;
use super::read::Fields;
use super::write::instant;
use super::{errors, peer, taken, to_its_end};
use crate::decision::rules::{MeasureKind, Mechanism};
use crate::gate::{AttestWish, Gate, MeasureSeen};
use crate::proto::measure_service_server::MeasureService;
use crate::proto::{
    AttestRequest, AttestResponse, GetMeasuresRequest, GetMeasuresResponse, Measure,
};

/// Safety-management measures.
#[derive(Debug, Clone)]
pub struct Measures {
    gate: Arc<Gate>,
}

impl Measures {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

fn measure(seen: MeasureSeen) -> Measure {
    let (every, asked_for, asked_for_ja) = match &seen.measure.kind {
        MeasureKind::Attested {
            every,
            asked_for,
            asked_for_ja,
        } => (
            every.to_string(),
            asked_for.to_string(),
            asked_for_ja.to_string(),
        ),
        _ => Default::default(),
    };
    let by = seen.measure.kind.mechanism().map_or("", Mechanism::name);
    let attested = seen.attested;
    Measure {
        id: seen.measure.id.to_string(),
        promise: seen.promise.en,
        promise_ja: seen.promise.ja,
        owner: seen.owner,
        kind: seen.measure.kind.name().to_owned(),
        by: by.to_owned(),
        evidence: seen.evidence.iter().map(|told| told.en.clone()).collect(),
        evidence_ja: seen.evidence.into_iter().map(|told| told.ja).collect(),
        last: attested.as_ref().and_then(|one| instant(one.done.micros())),
        next: seen.next.and_then(|next| instant(next.micros())),
        overdue: seen.overdue,
        every,
        asked_for,
        asked_for_ja,
        log_index: attested.as_ref().map_or(0, |one| one.index.0),
        attested_by: attested
            .as_ref()
            .map_or_else(String::new, |one| one.by.clone()),
        reference: attested.map_or_else(String::new, |one| one.reference),
    }
}

#[tonic::async_trait]
impl MeasureService for Measures {
    async fn get_measures(
        &self,
        request: Request<GetMeasuresRequest>,
    ) -> Result<Response<GetMeasuresResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        taken(&self.gate, &peer, "GetMeasures", fields.finish(Some(()))).await?;
        let seen = self
            .gate
            .measures(&peer, &credentials)
            .await
            .map_err(errors::status)?;
        let rules = &seen.rules;
        Ok(Response::new(GetMeasuresResponse {
            pack: rules.pack.to_string(),
            title: rules.words.title.to_string(),
            title_ja: rules.words.title_ja.to_string(),
            revision: data_encoding::HEXLOWER.encode(&rules.revision),
            at: instant(seen.at.micros()),
            utc_offset_seconds: rules.utc_offset.whole_seconds(),
            systems: seen.systems.into_iter().map(system).collect(),
            measures: seen.measures.into_iter().map(measure).collect(),
        }))
    }

    async fn attest(
        &self,
        request: Request<AttestRequest>,
    ) -> Result<Response<AttestResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let measure = fields.required("measure", &request.measure);
        if request.done_at.is_none() {
            fields.wrong("done_at", "is missing");
        }
        let done = fields.instant("done_at", request.done_at.as_ref());
        let reference = fields.required("reference", &request.reference);
        let note = request.note;
        let wish = || {
            Some(AttestWish {
                measure: measure?,
                done: done?,
                reference: reference?,
                note,
            })
        };
        let wish = wish();
        let wish = taken(&self.gate, &peer, "Attest", fields.finish(wish)).await?;
        let gate = Arc::clone(&self.gate);
        let (index, next) = to_its_end(async move { gate.attest(&peer, &credentials, wish).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(AttestResponse {
            log_index: index.0,
            next: instant(next.micros()),
        }))
    }
}
