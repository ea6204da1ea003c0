//! `ReviewService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::findings::{self, CaseStream, CasesStream};
use crate::gate::Gate;
use crate::proto::review_service_server::ReviewService;
use crate::proto::{ExplainFindingRequest, ListFindingsRequest};

/// The periodic review of the log.
#[derive(Debug, Clone)]
pub struct Reviews {
    gate: Arc<Gate>,
}

impl Reviews {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

#[tonic::async_trait]
impl ReviewService for Reviews {
    type ListFindingsStream = CasesStream;
    type ExplainFindingStream = CaseStream;

    async fn list_findings(
        &self,
        request: Request<ListFindingsRequest>,
    ) -> Result<Response<Self::ListFindingsStream>, Status> {
        findings::list(&self.gate, request).await
    }

    async fn explain_finding(
        &self,
        request: Request<ExplainFindingRequest>,
    ) -> Result<Response<Self::ExplainFindingStream>, Status> {
        findings::explain(&self.gate, request).await
    }
}
