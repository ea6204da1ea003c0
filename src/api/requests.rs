//! `RequestService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::read::Fields;
use super::write::instant;
use super::{errors, peer, taken, to_its_end};
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::gate::{Awaited, Gate, RequestKind, RequestSeen, Which};
use crate::proto;
use crate::proto::request_service_server::RequestService;
use crate::proto::{
    DeclineRequestRequest, DeclineRequestResponse, ListRequestsRequest, ListRequestsResponse,
    ReviewRequestRequest, ReviewRequestResponse,
};

/// What waits for a second administrator.
#[derive(Debug, Clone)]
pub struct Requests {
    gate: Arc<Gate>,
}

impl Requests {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

/// The number of the request that is approved; `None` for 0.
pub(super) fn approved(number: u64) -> Option<LogIndex> {
    (number != 0).then_some(LogIndex(number))
}

/// What was only asked for, as answers have it: its number, until when and from when it can be approved.
pub(super) fn awaited(
    awaited: Option<Awaited>,
) -> (
    u64,
    Option<prost_types::Timestamp>,
    Option<prost_types::Timestamp>,
) {
    awaited.map_or((0, None, None), |awaited| {
        let until = instant(awaited.until.micros());
        let effective = awaited.effective.map(Timestamp::micros);
        (awaited.request.0, until, effective.and_then(instant))
    })
}

#[tonic::async_trait]
impl RequestService for Requests {
    async fn list_requests(
        &self,
        request: Request<ListRequestsRequest>,
    ) -> Result<Response<ListRequestsResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        taken(&self.gate, &peer, "ListRequests", fields.finish(Some(()))).await?;
        let which = which("ListRequests", "");
        let seen = self
            .gate
            .list_requests(&peer, &credentials, which)
            .await
            .map_err(errors::status)?;
        let requests = seen.into_iter().map(told).collect();
        Ok(Response::new(ListRequestsResponse { requests }))
    }

    async fn decline_request(
        &self,
        request: Request<DeclineRequestRequest>,
    ) -> Result<Response<DeclineRequestResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        taken(&self.gate, &peer, "DeclineRequest", fields.finish(Some(()))).await?;
        let gate = Arc::clone(&self.gate);
        let index = to_its_end(async move {
            let what = (LogIndex(request.pending), request.reason);
            let which = which("DeclineRequest", "decline-request");
            gate.decline_request(&peer, &credentials, which, what).await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(DeclineRequestResponse { log_index: index.0 }))
    }

    async fn review_request(
        &self,
        request: Request<ReviewRequestRequest>,
    ) -> Result<Response<ReviewRequestResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        taken(&self.gate, &peer, "ReviewRequest", fields.finish(Some(()))).await?;
        let gate = Arc::clone(&self.gate);
        let index = to_its_end(async move {
            let what = (LogIndex(request.pending), request.finding);
            let which = which("ReviewRequest", "review-request");
            gate.review_request(&peer, &credentials, which, what).await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(ReviewRequestResponse { log_index: index.0 }))
    }
}

const fn which(call: &'static str, change: &'static str) -> Which {
    Which {
        call,
        change,
        only: None,
    }
}

const fn kind(kind: RequestKind) -> proto::RequestKind {
    match kind {
        RequestKind::Dispose => proto::RequestKind::Dispose,
        RequestKind::ReleaseLogHold => proto::RequestKind::ReleaseLogHold,
        RequestKind::ResetSecondFactor => proto::RequestKind::ResetSecondFactor,
        RequestKind::ChangePeople => proto::RequestKind::ChangePeople,
        RequestKind::SetPassword => proto::RequestKind::SetPassword,
        RequestKind::IssueEnrollmentCode => proto::RequestKind::IssueEnrollmentCode,
        RequestKind::AssignToken => proto::RequestKind::AssignToken,
        RequestKind::ActivatePolicy => proto::RequestKind::ActivatePolicy,
    }
}

fn told(seen: RequestSeen) -> proto::RequestSeen {
    proto::RequestSeen {
        pending: seen.index.0,
        kind: kind(seen.kind).into(),
        people: seen.people.iter().map(ToString::to_string).collect(),
        asked_by: seen.asked_by.to_string(),
        asked_at: instant(seen.asked_at.micros()),
        pending_until: seen.until.map(Timestamp::micros).and_then(instant),
        effective_at: seen.effective.map(Timestamp::micros).and_then(instant),
        alone: seen.effective.is_some(),
        done: seen.done,
    }
}
