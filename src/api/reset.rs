//! `ResetService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::read::Fields;
use super::write::instant;
use super::{errors, peer, taken, to_its_end};
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::gate::{Gate, HostResetWish, RequestKind, RequestSeen, ResetOutcome, ResetWish, Which};
use crate::proto;
use crate::proto::reset_service_server::ResetService;
use crate::proto::{
    DeclineResetRequest, DeclineResetResponse, ListResetsRequest, ListResetsResponse,
    ResetOnHostRequest, ResetSecondFactorRequest, ResetSecondFactorResponse, ReviewResetRequest,
    ReviewResetResponse,
};

/// Taking second factors away.
#[derive(Debug, Clone)]
pub struct Resets {
    gate: Arc<Gate>,
}

impl Resets {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

fn told(outcome: ResetOutcome) -> ResetSecondFactorResponse {
    ResetSecondFactorResponse {
        log_index: outcome.index.0,
        pending: outcome.pending_until.map_or(0, |_| outcome.index.0),
        pending_until: outcome
            .pending_until
            .map(Timestamp::micros)
            .and_then(instant),
        effective_at: outcome.effective.map(Timestamp::micros).and_then(instant),
    }
}

#[tonic::async_trait]
impl ResetService for Resets {
    async fn reset_second_factor(
        &self,
        request: Request<ResetSecondFactorRequest>,
    ) -> Result<Response<ResetSecondFactorResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let wish = fields
            .required("person", &request.person)
            .map(|person| ResetWish {
                person,
                reason: request.reason,
                approve: (request.approve != 0).then_some(LogIndex(request.approve)),
            });
        let wish = taken(&self.gate, &peer, "ResetSecondFactor", fields.finish(wish)).await?;
        let gate = Arc::clone(&self.gate);
        to_its_end(async move { gate.reset_second_factor(&peer, &credentials, wish).await })
            .await
            .map(|outcome| Response::new(told(outcome)))
            .map_err(errors::status)
    }

    async fn reset_on_host(
        &self,
        request: Request<ResetOnHostRequest>,
    ) -> Result<Response<ResetSecondFactorResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let request = request.into_inner();
        let person = fields.required("person", &request.person);
        let at = fields.instant("at", request.at.as_ref());
        if request.at.is_none() {
            fields.wrong("at", "is missing");
        }
        let wish = person.zip(at).map(|(person, at)| HostResetWish {
            person,
            reason: request.reason,
            at,
            proof: request.proof,
        });
        let wish = taken(&self.gate, &peer, "ResetOnHost", fields.finish(wish)).await?;
        let gate = Arc::clone(&self.gate);
        to_its_end(async move { gate.reset_on_host(&peer, wish).await })
            .await
            .map(|outcome| Response::new(told(outcome)))
            .map_err(errors::status)
    }

    async fn decline_reset(
        &self,
        request: Request<DeclineResetRequest>,
    ) -> Result<Response<DeclineResetResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        taken(&self.gate, &peer, "DeclineReset", fields.finish(Some(()))).await?;
        let gate = Arc::clone(&self.gate);
        let index = to_its_end(async move {
            let what = (LogIndex(request.pending), request.reason);
            let which = which("DeclineReset", "decline-reset");
            gate.decline_request(&peer, &credentials, which, what).await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(DeclineResetResponse { log_index: index.0 }))
    }

    async fn review_reset(
        &self,
        request: Request<ReviewResetRequest>,
    ) -> Result<Response<ReviewResetResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        taken(&self.gate, &peer, "ReviewReset", fields.finish(Some(()))).await?;
        let gate = Arc::clone(&self.gate);
        let index = to_its_end(async move {
            let what = (LogIndex(request.pending), request.finding);
            let which = which("ReviewReset", "review-reset");
            gate.review_request(&peer, &credentials, which, what).await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(ReviewResetResponse { log_index: index.0 }))
    }

    async fn list_resets(
        &self,
        request: Request<ListResetsRequest>,
    ) -> Result<Response<ListResetsResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        taken(&self.gate, &peer, "ListResets", fields.finish(Some(()))).await?;
        let seen = self
            .gate
            .list_requests(&peer, &credentials, which("ListResets", ""))
            .await
            .map_err(errors::status)?;
        let resets = seen.into_iter().map(reset).collect();
        Ok(Response::new(ListResetsResponse { resets }))
    }
}

/// Of what waits, the resets only.
const fn which(call: &'static str, change: &'static str) -> Which {
    Which {
        call,
        change,
        only: Some(RequestKind::ResetSecondFactor),
    }
}

fn reset(seen: RequestSeen) -> proto::ResetSeen {
    proto::ResetSeen {
        pending: seen.index.0,
        person: seen
            .people
            .first()
            .map_or_else(String::new, ToString::to_string),
        asked_by: seen.asked_by.to_string(),
        asked_at: instant(seen.asked_at.micros()),
        pending_until: seen.until.map(Timestamp::micros).and_then(instant),
        effective_at: seen.effective.map(Timestamp::micros).and_then(instant),
        alone: seen.effective.is_some(),
        done: seen.done,
    }
}
