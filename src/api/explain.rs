//! `ExplainService`: not there yet, and it says so.

use tonic::{Request, Response, Status};

use super::errors;
use crate::proto::explain_service_server::ExplainService;
use crate::proto::{
    ExplainRequest, ExplainResponse, ListAllowedAccessRequest, ListAllowedAccessResponse,
    ListAllowedActorsRequest, ListAllowedActorsResponse,
};

/// Tells why a decision is what it is.
#[derive(Debug, Clone, Copy)]
pub struct Explanations;

#[tonic::async_trait]
impl ExplainService for Explanations {
    async fn explain(
        &self,
        _: Request<ExplainRequest>,
    ) -> Result<Response<ExplainResponse>, Status> {
        Err(errors::not_supported_yet("Explain"))
    }

    async fn list_allowed_actors(
        &self,
        _: Request<ListAllowedActorsRequest>,
    ) -> Result<Response<ListAllowedActorsResponse>, Status> {
        Err(errors::not_supported_yet("ListAllowedActors"))
    }

    async fn list_allowed_access(
        &self,
        _: Request<ListAllowedAccessRequest>,
    ) -> Result<Response<ListAllowedAccessResponse>, Status> {
        Err(errors::not_supported_yet("ListAllowedAccess"))
    }
}
