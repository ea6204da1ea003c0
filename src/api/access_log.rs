//! `AccessLogService`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::read::{self, Fields};
use super::{errors, peer, taken};
use super::{retention, write};
use crate::domain::access::{Action, SubjectRef};
use crate::domain::ids::LogIndex;
use crate::domain::network::{parse_address, parse_block};
use crate::domain::reason::ReasonCode;
use crate::gate::{EntryFilter, Gate, Page, ReadEntry, Told};
use crate::proto::access_log_service_server::AccessLogService;
use crate::proto::{
    Decision, DisposeRequest, DisposeResponse, EntryKind, GetCheckpointRequest,
    GetCheckpointResponse, GetEntryRequest, GetEntryResponse, GetInclusionProofRequest,
    GetInclusionProofResponse, ListLogHoldsRequest, ListLogHoldsResponse, PlaceLogHoldRequest,
    PlaceLogHoldResponse, ReleaseLogHoldRequest, ReleaseLogHoldResponse, SearchRequest,
    SearchResponse, TailRequest, TailResponse, get_entry_request::By,
};

const PAGE_SIZE: i32 = 100;
const PAGE_SIZE_MAX: i32 = 1_000;

/// The access log, for the people who review it.
#[derive(Debug, Clone)]
pub struct Logs {
    gate: Arc<Gate>,
}

impl Logs {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

/// What was found, as messages of the stream.
pub struct FoundStream<T> {
    found: Told<(ReadEntry, Option<LogIndex>)>,
    to_message: Box<dyn Fn(ReadEntry, Option<LogIndex>) -> T + Send>,
}

impl<T> std::fmt::Debug for FoundStream<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundStream").finish_non_exhaustive()
    }
}

impl<T> Stream for FoundStream<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let found = std::task::ready!(Pin::new(&mut self.found).poll_next(context));
        Poll::Ready(found.map(|found| match found {
            Ok((entry, next)) => Ok((self.to_message)(entry, next)),
            Err(error) => Err(errors::status(error)),
        }))
    }
}

fn filter(fields: &mut Fields, request: &SearchRequest) -> EntryFilter {
    let mut number = |field: &str, number: i32, known: bool| {
        if number != 0 && !known {
            fields.wrong(field, format!("has no value {number}"));
        }
        (number != 0 && known).then_some(number)
    };
    let decision = number(
        "decision",
        request.decision,
        Decision::try_from(request.decision).is_ok(),
    );
    let kind = number(
        "kind",
        request.kind,
        EntryKind::try_from(request.kind).is_ok(),
    );
    let reason = number(
        "reason",
        request.reason,
        ReasonCode::from_number(request.reason).is_some(),
    );
    let action = Action::from_number(request.action);
    if action.is_none() && request.action != 0 {
        fields.wrong("action", format!("has no value {}", request.action));
    }
    let client_ip = match request.client_ip.trim() {
        "" => None,
        text => {
            let block = parse_block(text).or_else(|_| parse_address(text).map(ipnet::IpNet::from));
            if block.is_err() {
                fields.wrong(
                    "client_ip",
                    "is neither an address nor a block without host bits",
                );
            }
            block.ok()
        }
    };
    EntryFilter {
        from: fields.instant("from", request.from.as_ref()),
        until: fields.instant("until", request.until.as_ref()),
        person: fields.name("person", &request.person),
        subject: fields
            .name("subject_ref", &request.subject_ref)
            .map(|name| SubjectRef::new(&name)),
        category: fields.name("category", &request.category),
        purpose: fields.name("purpose", &request.purpose),
        action,
        decision,
        reason,
        caller: fields.name("caller", &request.caller),
        client_ip,
        break_glass_only: request.break_glass_only,
        kind,
        system: fields.name("system", &request.system),
        subject_kind: fields.name("subject_kind", &request.subject_kind),
        department: fields.name("department", &request.department),
        recipient: fields.name("recipient", &request.recipient),
        case_ref: fields.name("case_ref", &request.case_ref),
    }
}

#[tonic::async_trait]
impl AccessLogService for Logs {
    type SearchStream = FoundStream<SearchResponse>;
    type TailStream = FoundStream<TailResponse>;

    async fn search(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<Self::SearchStream>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let filter = filter(&mut fields, &request);
        let size = match request.page_size {
            0 => PAGE_SIZE,
            size => size,
        };
        if !(1..=PAGE_SIZE_MAX).contains(&size) {
            fields.wrong("page_size", "must be from 1 to 1,000");
        }
        let page = Page {
            oldest_first: request.oldest_first,
            size: usize::try_from(size).unwrap_or(1),
            start: read::page_start(&mut fields, &request.page_token),
            whole: request.whole,
        };
        let (filter, page) = taken(
            &self.gate,
            &peer,
            "Search",
            fields.finish(Some((filter, page))),
        )
        .await?;
        let found = self
            .gate
            .search(&peer, &credentials, filter, page)
            .await
            .map_err(errors::status)?;
        let log = self.gate.log().name().to_owned();
        Ok(Response::new(FoundStream {
            found,
            to_message: Box::new(move |entry, next| SearchResponse {
                entry: Some(write::entry(entry, &log)),
                next_page_token: next.map_or_else(String::new, write::page_token),
            }),
        }))
    }

    async fn get_entry(
        &self,
        request: Request<GetEntryRequest>,
    ) -> Result<Response<GetEntryResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let by = match request.by {
            Some(By::LogIndex(index)) => Some(Ok(LogIndex(index))),
            Some(By::DecisionId(id)) => fields.decision_id("decision_id", &id).map(Err),
            None => {
                fields.wrong("log_index", "is missing, and so is decision_id");
                None
            }
        };
        let by = taken(&self.gate, &peer, "GetEntry", fields.finish(by)).await?;
        let mut read = self
            .gate
            .get_entry(&peer, &credentials, by, &request.log)
            .await
            .map_err(errors::status)?;
        let stored = std::mem::take(&mut read.stored);
        Ok(Response::new(GetEntryResponse {
            entry: Some(write::entry(read, self.gate.log().name())),
            stored,
        }))
    }

    async fn tail(
        &self,
        request: Request<TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let wanted = request.into_inner().filter.unwrap_or_default();
        fields.below("filter.".to_owned());
        let paging = [
            ("page_size", wanted.page_size != 0),
            ("page_token", !wanted.page_token.is_empty()),
            ("oldest_first", wanted.oldest_first),
            ("whole", wanted.whole),
        ];
        for (field, set) in paging {
            if set {
                fields.wrong(field, "has no meaning for what is yet to come");
            }
        }
        let filter = filter(&mut fields, &wanted);
        let filter = taken(&self.gate, &peer, "Tail", fields.finish(Some(filter))).await?;
        let found = self
            .gate
            .tail(&peer, &credentials, filter)
            .await
            .map_err(errors::status)?;
        let log = self.gate.log().name().to_owned();
        Ok(Response::new(FoundStream {
            found,
            to_message: Box::new(move |entry, _| TailResponse {
                entry: Some(write::entry(entry, &log)),
            }),
        }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<GetInclusionProofRequest>,
    ) -> Result<Response<GetInclusionProofResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let index = LogIndex(request.into_inner().log_index);
        let index = fields.finish(Some(index));
        let index = taken(&self.gate, &peer, "GetInclusionProof", index).await?;
        let proof = self
            .gate
            .inclusion_proof(&peer, &credentials, index)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(GetInclusionProofResponse { proof }))
    }

    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        let peer = peer::of(&request)?;
        let proof = self
            .gate
            .checkpoint(&peer, request.into_inner().old_size)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(GetCheckpointResponse {
            checkpoint: proof.signed.note.to_string(),
            consistency_proof: proof.path.iter().map(|hash| hash.to_vec()).collect(),
            cosigned_checkpoint: self
                .gate
                .log()
                .cosigned()
                .map_or_else(String::new, |cosigned| cosigned.note.to_string()),
        }))
    }

    async fn dispose(
        &self,
        request: Request<DisposeRequest>,
    ) -> Result<Response<DisposeResponse>, Status> {
        retention::dispose(&self.gate, request).await
    }

    async fn place_log_hold(
        &self,
        request: Request<PlaceLogHoldRequest>,
    ) -> Result<Response<PlaceLogHoldResponse>, Status> {
        retention::place_log_hold(&self.gate, request).await
    }

    async fn release_log_hold(
        &self,
        request: Request<ReleaseLogHoldRequest>,
    ) -> Result<Response<ReleaseLogHoldResponse>, Status> {
        retention::release_log_hold(&self.gate, request).await
    }

    async fn list_log_holds(
        &self,
        request: Request<ListLogHoldsRequest>,
    ) -> Result<Response<ListLogHoldsResponse>, Status> {
        retention::list_log_holds(&self.gate, request).await
    }
}
