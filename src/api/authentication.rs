//! `AuthenticationService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::read::Fields;
use super::write;
use super::{errors, peer, taken, to_its_end};
use crate::gate::{
    Credentials, EnrollmentConfirmation, Gate, LoginRequest, PasswordChange, RecoveryCodes, Shown,
    StepUpRequest, TicketGiven,
};
use crate::identity::password::Secret;
use crate::proto::authentication_service_server::AuthenticationService;
use crate::proto::change_password_request::Factor as ChangeFactor;
use crate::proto::{
    BeginStepUpRequest, BeginStepUpResponse, ChangePasswordRequest, ChangePasswordResponse,
    ConfirmEnrollmentRequest, ConfirmEnrollmentResponse, EndSessionRequest, EndSessionResponse,
    ExchangeTicketRequest, ExchangeTicketResponse, MonitoringNotice,
    RegenerateRecoveryCodesRequest, RegenerateRecoveryCodesResponse, StartEnrollmentRequest,
    StartEnrollmentResponse, VerifyPasswordRequest, VerifyPasswordResponse,
    VerifySecondFactorRequest, VerifySecondFactorResponse, verify_second_factor_request::Factor,
};

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

fn owned(methods: &[&str]) -> Vec<String> {
    methods.iter().map(|method| (*method).to_owned()).collect()
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
            methods: owned(&accepted.methods),
            challenge_id: accepted.challenge,
            expires_at: write::instant(accepted.expires.micros()),
            enrollment_required: accepted.enrollment_required,
            password_change_required: accepted.password_change_required,
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
        let shown = match request.factor {
            Some(Factor::Totp(code)) => Some(Shown::Code(code.into())),
            Some(Factor::RecoveryCode(code)) => Some(Shown::RecoveryCode(code.into())),
            None => {
                fields.wrong("totp", "is missing");
                None
            }
        };
        let (challenge, shown) = taken(
            &self.gate,
            &peer,
            "VerifySecondFactor",
            fields.finish(challenge.zip(shown)),
        )
        .await?;
        let gate = Arc::clone(&self.gate);
        let given =
            to_its_end(async move { gate.verify_second_step(&peer, &challenge, &shown).await })
                .await
                .map_err(errors::status)?;
        let TicketGiven {
            ticket,
            authenticated_at,
            expires,
            methods,
            recovery_codes_left,
        } = given;
        Ok(Response::new(VerifySecondFactorResponse {
            session_ticket: ticket.expose().to_owned(),
            authenticated_at: write::instant(authenticated_at.micros()),
            expires_at: write::instant(expires.micros()),
            amr: methods
                .iter()
                .map(|method| method.amr().to_owned())
                .collect(),
            recovery_codes_left: recovery_codes_left.unwrap_or(0),
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
            methods: owned(&accepted.methods),
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
        const CALL: &str = "ChangePassword";
        let peer = peer::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let challenge = fields.required("challenge_id", &request.challenge_id);
        let typed = zeroize::Zeroizing::new(request.new_password);
        let new_password = match Secret::parse(&typed) {
            Ok(password) => Some(password),
            Err(error) => {
                fields.wrong("new_password", error.to_string());
                None
            }
        };
        let shown = request.factor.map(|factor| match factor {
            ChangeFactor::Totp(code) => Shown::Code(code.into()),
            ChangeFactor::RecoveryCode(code) => Shown::RecoveryCode(code.into()),
        });
        let change = challenge
            .zip(new_password)
            .map(|(challenge, new_password)| PasswordChange {
                challenge,
                new_password,
                shown,
            });
        let change = taken(&self.gate, &peer, CALL, fields.finish(change)).await?;
        let gate = Arc::clone(&self.gate);
        let ticket = to_its_end(async move { gate.change_password(&peer, change).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(ChangePasswordResponse {
            session_ticket: ticket.map_or_else(String::new, |ticket| ticket.expose().to_owned()),
        }))
    }

    async fn start_enrollment(
        &self,
        request: Request<StartEnrollmentRequest>,
    ) -> Result<Response<StartEnrollmentResponse>, Status> {
        const CALL: &str = "StartEnrollment";
        let peer = peer::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let challenge = fields.required("challenge_id", &request.challenge_id);
        let challenge = taken(&self.gate, &peer, CALL, fields.finish(challenge)).await?;
        let code = zeroize::Zeroizing::new(request.enrollment_code);
        let gate = Arc::clone(&self.gate);
        let begun =
            to_its_end(async move { gate.start_enrollment(&peer, &challenge, &code).await })
                .await
                .map_err(errors::status)?;
        Ok(Response::new(StartEnrollmentResponse {
            enrollment_id: begun.id,
            otpauth_uri: begun.otpauth_uri.to_string(),
            qr_png: begun.qr_png.to_vec(),
            expires_at: write::instant(begun.expires.micros()),
            notice: Some(MonitoringNotice {
                en: begun.notice.english,
                ja: begun.notice.japanese,
                digest: begun.notice.digest,
            }),
        }))
    }

    async fn confirm_enrollment(
        &self,
        request: Request<ConfirmEnrollmentRequest>,
    ) -> Result<Response<ConfirmEnrollmentResponse>, Status> {
        const CALL: &str = "ConfirmEnrollment";
        let peer = peer::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let id = fields.required("enrollment_id", &request.enrollment_id);
        let id = taken(&self.gate, &peer, CALL, fields.finish(id)).await?;
        let confirmation = EnrollmentConfirmation {
            id,
            code: request.totp.into(),
            acknowledged_notice: request.acknowledged_notice,
        };
        let gate = Arc::clone(&self.gate);
        let codes = to_its_end(async move { gate.confirm_enrollment(&peer, confirmation).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(ConfirmEnrollmentResponse {
            recovery_codes: in_clear(&codes),
        }))
    }

    async fn regenerate_recovery_codes(
        &self,
        request: Request<RegenerateRecoveryCodesRequest>,
    ) -> Result<Response<RegenerateRecoveryCodesResponse>, Status> {
        const CALL: &str = "RegenerateRecoveryCodes";
        let peer = peer::of(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let challenge = fields.required("challenge_id", &request.challenge_id);
        let challenge = taken(&self.gate, &peer, CALL, fields.finish(challenge)).await?;
        let shown = (!request.totp.is_empty()).then(|| Shown::Code(request.totp.into()));
        let gate = Arc::clone(&self.gate);
        let codes = to_its_end(async move {
            gate.regenerate_recovery_codes(&peer, &challenge, shown)
                .await
        })
        .await
        .map_err(errors::status)?;
        Ok(Response::new(RegenerateRecoveryCodesResponse {
            recovery_codes: in_clear(&codes),
        }))
    }
}

/// For their owner, once.
fn in_clear(codes: &RecoveryCodes) -> Vec<String> {
    codes.iter().map(|code| code.to_string()).collect()
}
