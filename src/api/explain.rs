//! `ExplainService`: not there yet, and it says so.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::not_supported_yet;
use crate::gate::Gate;
use crate::proto::explain_service_server::ExplainService;
use crate::proto::{
    ExplainRequest, ExplainResponse, ListAllowedAccessRequest, ListAllowedAccessResponse,
    ListAllowedActorsRequest, ListAllowedActorsResponse,
};

/// Tells why a decision is what it is.
#[derive(Debug, Clone)]
pub struct Explanations {
    gate: Arc<Gate>,
}

impl Explanations {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

#[tonic::async_trait]
impl ExplainService for Explanations {
    async fn explain(
        &self,
        request: Request<ExplainRequest>,
    ) -> Result<Response<ExplainResponse>, Status> {
        Err(not_supported_yet(&self.gate, &request, "Explain").await)
    }

    async fn list_allowed_actors(
        &self,
        request: Request<ListAllowedActorsRequest>,
    ) -> Result<Response<ListAllowedActorsResponse>, Status> {
        Err(not_supported_yet(&self.gate, &request, "ListAllowedActors").await)
    }

    async fn list_allowed_access(
        &self,
        request: Request<ListAllowedAccessRequest>,
    ) -> Result<Response<ListAllowedAccessResponse>, Status> {
        Err(not_supported_yet(&self.gate, &request, "ListAllowedAccess").await)
    }
}
