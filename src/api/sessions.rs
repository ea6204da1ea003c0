//! `SessionService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::read::Fields;
use super::write::instant;
use super::{errors, peer, taken, to_its_end};
use crate::domain::ids::SessionId;
use crate::gate::{Gate, Revocation, Revoked, SessionQuery};
use crate::proto;
use crate::proto::session_service_server::SessionService;
use crate::proto::{
    ListSessionsRequest, ListSessionsResponse, RevokePersonRequest, RevokePersonResponse,
    RevokeServiceRequest, RevokeServiceResponse, RevokeSessionRequest, RevokeSessionResponse,
};

/// Who is logged in, and ending that.
#[derive(Debug, Clone)]
pub struct Sessions {
    gate: Arc<Gate>,
}

impl Sessions {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }

    async fn revoke<T>(
        &self,
        request: &Request<T>,
        call: &'static str,
        reason: String,
        read: impl FnOnce(&mut Fields) -> Option<Revocation>,
    ) -> Result<Revoked, Status> {
        let peer = peer::of(request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let what = read(&mut fields);
        let what = taken(&self.gate, &peer, call, fields.finish(what)).await?;
        let gate = Arc::clone(&self.gate);
        to_its_end(async move { gate.revoke(&peer, &credentials, what, reason).await })
            .await
            .map_err(errors::status)
    }
}

fn ended(revoked: &Revoked) -> u32 {
    u32::try_from(revoked.ended).unwrap_or(u32::MAX)
}

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let query = SessionQuery {
            person: fields.name("person", &request.person),
            service: fields.name("service", &request.service),
            page_size: request.page_size,
            page_token: request.page_token,
        };
        let query = taken(
            &self.gate,
            &peer,
            "ListSessions",
            fields.finish(Some(query)),
        )
        .await?;
        let page = self
            .gate
            .list_sessions(&peer, &credentials, query)
            .await
            .map_err(errors::status)?;
        let sessions = page
            .sessions
            .into_iter()
            .map(|(one, used)| proto::LiveSession {
                session_id: one.session.0.to_string(),
                person: one.person.to_string(),
                service: one.caller.to_string(),
                device: one.device.to_string(),
                began_at: instant(one.began.micros()),
                last_used_at: used.and_then(|used| instant(used.micros())),
                expires_at: instant(one.expires.micros()),
            });
        Ok(Response::new(ListSessionsResponse {
            sessions: sessions.collect(),
            next_page_token: page.next,
        }))
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let (id, reason) = (
            request.get_ref().session_id.clone(),
            request.get_ref().reason.clone(),
        );
        let read = |fields: &mut Fields| match Uuid::try_parse(&id) {
            Ok(id) => Some(Revocation::Session(SessionId(id))),
            Err(_) => {
                fields.wrong("session_id", "is no UUID");
                None
            }
        };
        let revoked = self.revoke(&request, "RevokeSession", reason, read).await?;
        Ok(Response::new(RevokeSessionResponse {
            log_index: revoked.index.0,
            ended: ended(&revoked),
        }))
    }

    async fn revoke_person(
        &self,
        request: Request<RevokePersonRequest>,
    ) -> Result<Response<RevokePersonResponse>, Status> {
        let (person, reason) = (
            request.get_ref().person.clone(),
            request.get_ref().reason.clone(),
        );
        let read = |fields: &mut Fields| fields.required("person", &person).map(Revocation::Person);
        let revoked = self.revoke(&request, "RevokePerson", reason, read).await?;
        Ok(Response::new(RevokePersonResponse {
            log_index: revoked.index.0,
            ended: ended(&revoked),
        }))
    }

    async fn revoke_service(
        &self,
        request: Request<RevokeServiceRequest>,
    ) -> Result<Response<RevokeServiceResponse>, Status> {
        let (service, reason) = (
            request.get_ref().service.clone(),
            request.get_ref().reason.clone(),
        );
        let read = |fields: &mut Fields| {
            fields
                .required("service", &service)
                .map(Revocation::Service)
        };
        let revoked = self.revoke(&request, "RevokeService", reason, read).await?;
        Ok(Response::new(RevokeServiceResponse {
            log_index: revoked.index.0,
            ended: ended(&revoked),
        }))
    }
}
