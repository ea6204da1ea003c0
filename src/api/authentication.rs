//! `AuthenticationService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::read::Fields;
use super::write;
use super::{errors, not_supported_yet, peer, taken, to_its_end};
use crate::gate::{ChallengeOpened, Credentials, Gate, LoginRequest, StepUpRequest, TicketGiven};
use crate::identity::password::Secret;
use crate::proto::authentication_service_server::AuthenticationService;
use crate::proto::{
    BeginStepUpRequest, BeginStepUpResponse, ChangePasswordRequest, ChangePasswordResponse,
    ConfirmEnrollmentRequest, ConfirmEnrollmentResponse, EndSessionRequest, EndSessionResponse,
    ExchangeTicketRequest, ExchangeTicketResponse, RegenerateRecoveryCodesRequest,
    RegenerateRecoveryCodesResponse, StartEnrollmentRequest, StartEnrollmentResponse,
    VerifyPasswordRequest, VerifyPasswordResponse, VerifySecondFactorRequest,
    VerifySecondFactorResponse, verify_second_factor_request::Factor,
};

/// The methods of the second step that there are.
const METHODS: [&str; 1] = ["totp"];

/// The two steps, on behalf of a person at a service's login page.
#[derive(Debug, Clone)]
pub struct Authentication {
    gate: Arc<Gate>,
}

impl Authentication {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

fn methods(accepted: &ChallengeOpened) -> Vec<String> {
    if accepted.enrollment_required {
        Vec::new()
    } else {
        METHODS.map(str::to_owned).to_vec()
    }
}

#[tonic::async_trait]
impl AuthenticationService for Authentication {
    async fn verify_password(
        &self,
        request: Request<VerifyPasswordRequest>,
    ) -> Result<Response<VerifyPasswordResponse>, Status> {
        let peer = peer::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let person = fields.required("person", &request.person);
        let client_ip = fields.address("client_ip", &request.client_ip);
        let session_ref = fields.name("session_ref", &request.session_ref);
        let password = match Secret::parse(&request.password) {
            Ok(password) => Some(password),
            Err(error) => {
                fields.wrong("password", error.to_string());
                None
            }
        };
        let login = person.zip(password).map(|(person, password)| LoginRequest {
            person,
            password,
            client_ip,
            session_ref,
        });
        let login = taken(&self.gate, &peer, "VerifyPassword", fields.finish(login)).await?;
        let gate = Arc::clone(&self.gate);
        let accepted = to_its_end(async move { gate.verify_password(&peer, login).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(VerifyPasswordResponse {
            methods: methods(&accepted),
            challenge_id: accepted.challenge,
            expires_at: write::instant(accepted.expires.micros()),
            enrollment_required: accepted.enrollment_required,
            password_change_required: false,
        }))
    }

    async fn verify_second_factor(
        &self,
        request: Request<VerifySecondFactorRequest>,
    ) -> Result<Response<VerifySecondFactorResponse>, Status> {
        let peer = peer::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let challenge = fields.required("challenge_id", &request.challenge_id);
        let code = match request.factor {
            Some(Factor::Totp(code)) => Some(zeroize::Zeroizing::new(code)),
            Some(Factor::RecoveryCode(_)) => {
                fields.wrong("recovery_code", "not supported yet");
                None
            }
            None => {
                fields.wrong("totp", "is missing");
                None
            }
        };
        let (challenge, code) = taken(
            &self.gate,
            &peer,
            "VerifySecondFactor",
            fields.finish(challenge.zip(code)),
        )
        .await?;
        let gate = Arc::clone(&self.gate);
        let given =
            to_its_end(async move { gate.verify_second_factor(&peer, &challenge, &code).await })
                .await
                .map_err(errors::status)?;
        let TicketGiven {
            ticket,
            authenticated_at,
            expires,
            methods,
        } = given;
        Ok(Response::new(VerifySecondFactorResponse {
            session_ticket: ticket.expose().to_owned(),
            authenticated_at: write::instant(authenticated_at.micros()),
            expires_at: write::instant(expires.micros()),
            amr: methods
                .iter()
                .map(|method| method.amr().to_owned())
                .collect(),
            recovery_codes_left: 0,
        }))
    }

    async fn begin_step_up(
        &self,
        request: Request<BeginStepUpRequest>,
    ) -> Result<Response<BeginStepUpResponse>, Status> {
        let peer = peer::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let credentials = Credentials {
            ticket: fields.ticket("session_ticket", &request.session_ticket),
            client_ip: fields.address("client_ip", &request.client_ip),
            session_ref: fields.name("session_ref", &request.session_ref),
        };
        let credentials = taken(
            &self.gate,
            &peer,
            "BeginStepUp",
            fields.finish(Some(credentials)),
        )
        .await?;
        let gate = Arc::clone(&self.gate);
        let accepted = to_its_end(async move {
            gate.begin_step_up(&peer, StepUpRequest { credentials })
                .await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(BeginStepUpResponse {
            methods: methods(&accepted),
            challenge_id: accepted.challenge,
            expires_at: write::instant(accepted.expires.micros()),
        }))
    }

    async fn end_session(
        &self,
        request: Request<EndSessionRequest>,
    ) -> Result<Response<EndSessionResponse>, Status> {
        let peer = peer::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let ticket = fields.ticket("session_ticket", &request.session_ticket);
        if ticket.is_none() && request.session_ticket.trim().is_empty() {
            fields.wrong("session_ticket", "is missing");
        }
        let ticket = taken(&self.gate, &peer, "EndSession", fields.finish(ticket)).await?;
        let gate = Arc::clone(&self.gate);
        to_its_end(async move { gate.end_session(&peer, &ticket).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(EndSessionResponse {}))
    }

    async fn exchange_ticket(
        &self,
        request: Request<ExchangeTicketRequest>,
    ) -> Result<Response<ExchangeTicketResponse>, Status> {
        let peer = peer::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let credentials = Credentials {
            ticket: fields.ticket("session_ticket", &request.session_ticket),
            client_ip: fields.address("client_ip", &request.client_ip),
            session_ref: fields.name("session_ref", &request.session_ref),
        };
        let new_session_ref = fields.name("new_session_ref", &request.new_session_ref);
        let credentials = taken(
            &self.gate,
            &peer,
            "ExchangeTicket",
            fields.finish(Some(credentials)),
        )
        .await?;
        let gate = Arc::clone(&self.gate);
        let given = to_its_end(async move {
            gate.exchange_ticket(&peer, &credentials, new_session_ref)
                .await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(ExchangeTicketResponse {
            session_ticket: given.ticket.expose().to_owned(),
            expires_at: write::instant(given.expires.micros()),
        }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        Err(not_supported_yet(&self.gate, &request, "ChangePassword").await)
    }

    async fn start_enrollment(
        &self,
        request: Request<StartEnrollmentRequest>,
    ) -> Result<Response<StartEnrollmentResponse>, Status> {
        Err(not_supported_yet(&self.gate, &request, "StartEnrollment").await)
    }

    async fn confirm_enrollment(
        &self,
        request: Request<ConfirmEnrollmentRequest>,
    ) -> Result<Response<ConfirmEnrollmentResponse>, Status> {
        Err(not_supported_yet(&self.gate, &request, "ConfirmEnrollment").await)
    }

    async fn regenerate_recovery_codes(
        &self,
        request: Request<RegenerateRecoveryCodesRequest>,
    ) -> Result<Response<RegenerateRecoveryCodesResponse>, Status> {
        Err(not_supported_yet(&self.gate, &request, "RegenerateRecoveryCodes").await)
    }
}
