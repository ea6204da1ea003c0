//! `CredentialService`: what administrators do for other people's passwords and second factors.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use super::read::Fields;
use super::requests::{approved, awaited};
use super::{errors, peer, taken, to_its_end, write};
use crate::gate::{Gate, Guarded, TokenFile, TokenWish};
use crate::proto::credential_service_server::CredentialService;
use crate::proto::import_tokens_request::File;
use crate::proto::{
    AssignTokenRequest, AssignTokenResponse, ImportTokensRequest, ImportTokensResponse,
    IssueEnrollmentCodeRequest, IssueEnrollmentCodeResponse, SetPasswordRequest,
    SetPasswordResponse,
};

/// What people prove themselves with, as administrators see to it.
#[derive(Debug, Clone)]
pub struct CredentialCalls {
    gate: Arc<Gate>,
}

impl CredentialCalls {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

#[tonic::async_trait]
impl CredentialService for CredentialCalls {
    async fn set_password(
        &self,
        request: Request<SetPasswordRequest>,
    ) -> Result<Response<SetPasswordResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let person = fields.required("person", &request.person);
        let person = taken(&self.gate, &peer, "SetPassword", fields.finish(person)).await?;
        let gate = Arc::clone(&self.gate);
        let approve = approved(request.approve);
        let set = to_its_end(async move {
            gate.set_password(&peer, &credentials, &person, approve)
                .await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(match set {
            Guarded::Done { what, alone } => SetPasswordResponse {
                password: what.password.expose().to_owned(),
                log_index: what.index.0,
                alone,
                ..SetPasswordResponse::default()
            },
            Guarded::Awaited(asked) => {
                let (pending, pending_until, effective_at) = awaited(Some(asked));
                SetPasswordResponse {
                    log_index: pending,
                    pending,
                    pending_until,
                    effective_at,
                    ..SetPasswordResponse::default()
                }
            }
        }))
    }

    async fn issue_enrollment_code(
        &self,
        request: Request<IssueEnrollmentCodeRequest>,
    ) -> Result<Response<IssueEnrollmentCodeResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let person = fields.required("person", &request.person);
        let person = taken(
            &self.gate,
            &peer,
            "IssueEnrollmentCode",
            fields.finish(person),
        )
        .await?;
        let gate = Arc::clone(&self.gate);
        let issued = to_its_end(async move {
            let approve = approved(request.approve);
            gate.issue_enrollment_code(&peer, &credentials, &person, request.valid_days, approve)
                .await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(match issued {
            Guarded::Done { what, alone } => IssueEnrollmentCodeResponse {
                enrollment_code: what.code.to_string(),
                expires_at: write::instant(what.ends.micros()),
                log_index: what.index.0,
                alone,
                ..IssueEnrollmentCodeResponse::default()
            },
            Guarded::Awaited(asked) => {
                let (pending, pending_until, effective_at) = awaited(Some(asked));
                IssueEnrollmentCodeResponse {
                    log_index: pending,
                    pending,
                    pending_until,
                    effective_at,
                    ..IssueEnrollmentCodeResponse::default()
                }
            }
        }))
    }

    async fn import_tokens(
        &self,
        request: Request<ImportTokensRequest>,
    ) -> Result<Response<ImportTokensResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let file = match request.file {
            Some(File::Csv(text)) => Some(TokenFile::Csv(Zeroizing::new(text))),
            Some(File::Pskc(text)) => Some(TokenFile::Pskc(Zeroizing::new(text))),
            None => {
                fields.wrong("csv", "is missing, and so is pskc");
                None
            }
        };
        let file = taken(&self.gate, &peer, "ImportTokens", fields.finish(file)).await?;
        let gate = Arc::clone(&self.gate);
        let imported = to_its_end(async move {
            gate.import_tokens(&peer, &credentials, file, request.dry_run)
                .await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(ImportTokensResponse {
            serials: imported.serials,
            log_index: imported.index.map_or(0, |index| index.0),
        }))
    }

    async fn assign_token(
        &self,
        request: Request<AssignTokenRequest>,
    ) -> Result<Response<AssignTokenResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let person = fields.required("person", &request.person);
        let serial = fields.required("serial", &request.serial);
        let both = person.zip(serial);
        let (person, serial) = taken(&self.gate, &peer, "AssignToken", fields.finish(both)).await?;
        let wish = TokenWish {
            person,
            serial,
            code: Zeroizing::new(request.totp),
        };
        let approve = approved(request.approve);
        let gate = Arc::clone(&self.gate);
        let assigned =
            to_its_end(async move { gate.assign_token(&peer, &credentials, wish, approve).await })
                .await
                .map_err(errors::status)?;
        Ok(Response::new(match assigned {
            Guarded::Done { what, alone } => AssignTokenResponse {
                log_index: what.0,
                alone,
                ..AssignTokenResponse::default()
            },
            Guarded::Awaited(asked) => {
                let (pending, pending_until, effective_at) = awaited(Some(asked));
                AssignTokenResponse {
                    log_index: pending,
                    pending,
                    pending_until,
                    effective_at,
                    ..AssignTokenResponse::default()
                }
            }
        }))
    }
}
