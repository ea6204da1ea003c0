//! `IncidentService`.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use super::incident_parts::{drafted, incident, scope};
use super::read::{Fields, page_size};
use super::{errors, peer, taken, to_its_end};
use crate::domain::access::{Action, SubjectRef};
use crate::domain::ids::LogIndex;
use crate::domain::network::{parse_address, parse_block};
use crate::gate::{ANY_OF_MAX, Affected, Doing, EntryFilter, Gate, OpenWish, Scoping, StepWish};
use crate::proto::incident_service_server::IncidentService;
use crate::proto::list_affected_response::What as Listed;
use crate::proto::scope_incident_response::What as Scoped;
use crate::proto::{
    AddTimelineNoteRequest, AffectedEnd, AffectedPerson, CloseIncidentRequest, DraftReportRequest,
    DraftReportResponse, GetIncidentRequest, GetIncidentResponse, IncidentStepResponse,
    JudgeTriggerRequest, ListAffectedRequest, ListAffectedResponse, ListIncidentsRequest,
    ListIncidentsResponse, OpenIncidentRequest, OpenIncidentResponse, RecordFilingRequest,
    RecordNotificationRequest, ScopeFilter, ScopeFound, ScopeIncidentRequest,
    ScopeIncidentResponse, ScopeProgress, UpdateIncidentRequest,
};
use crate::review::incident::Item;
use crate::review::incident::draft::Stage;
use crate::review::incident::triggers::{Trigger, Verdict};

/// How many people an incident may be said to be about.
const ABOUT_MAX: usize = 100;

/// Incidents.
#[derive(Debug, Clone)]
pub struct Incidents {
    gate: Arc<Gate>,
}

impl Incidents {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }

    /// Records a step that `read` reads from the request.
    async fn step<T>(
        &self,
        request: Request<T>,
        call: &'static str,
        read: impl FnOnce(&mut Fields, T) -> Option<StepWish> + Send,
    ) -> Result<Response<IncidentStepResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let wish = read(&mut fields, request.into_inner());
        let wish = taken(&self.gate, &peer, call, fields.finish(wish)).await?;
        let gate = Arc::clone(&self.gate);
        let index = to_its_end(async move { gate.incident_step(&peer, &credentials, wish).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(IncidentStepResponse { log_index: index.0 }))
    }
}

fn needed<T>(
    fields: &mut Fields,
    field: &str,
    number: i32,
    from: fn(i32) -> Option<T>,
) -> Option<T> {
    if number == 0 {
        fields.wrong(field, "is missing");
    }
    fields.known(field, number, from)
}

fn stage_of(number: i32) -> Option<Stage> {
    match number {
        1 => Some(Stage::Preliminary),
        2 => Some(Stage::Final),
        _ => None,
    }
}

fn opened(fields: &mut Fields, request: OpenIncidentRequest) -> OpenWish {
    if request.about.len() > ABOUT_MAX {
        fields.wrong("about", format!("names more than {ABOUT_MAX} people"));
    }
    let about = request.about.iter().take(ABOUT_MAX).enumerate();
    OpenWish {
        aware: fields.instant("aware_at", request.aware_at.as_ref()),
        department: fields.name("department", &request.department),
        about: about
            .filter_map(|(position, id)| fields.required(&format!("about[{position}]"), id))
            .collect(),
        campaign: fields.name("campaign", &request.campaign),
        item: fields.name("item", &request.item),
        case: fields.name("case", &request.case),
        summary: request.summary,
    }
}

fn filter(fields: &mut Fields, wanted: &ScopeFilter) -> EntryFilter {
    let client_ip = match wanted.client_ip.trim() {
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
    let filter = EntryFilter {
        from: fields.instant("from", wanted.from.as_ref()),
        until: fields.instant("until", wanted.until.as_ref()),
        person: fields.name("person", &wanted.person),
        subject: fields
            .name("subject_ref", &wanted.subject_ref)
            .map(|name| SubjectRef::new(&name)),
        category: fields.name("category", &wanted.category),
        purpose: fields.name("purpose", &wanted.purpose),
        action: fields.known("action", wanted.action, Action::from_number),
        caller: fields.name("caller", &wanted.caller),
        client_ip,
        break_glass_only: wanted.break_glass_only,
        system: fields.name("system", &wanted.system),
        subject_kind: fields.name("subject_kind", &wanted.subject_kind),
        department: fields.name("department", &wanted.department),
        recipient: fields.name("recipient", &wanted.recipient),
        case_ref: fields.name("case_ref", &wanted.case_ref),
        ..EntryFilter::default()
    };
    if let (Some(from), Some(until)) = (filter.from, filter.until)
        && from >= until
    {
        fields.wrong("until", "is not after from");
    }
    filter
}

fn filters(fields: &mut Fields, wanted: &[ScopeFilter]) -> Vec<EntryFilter> {
    if wanted.is_empty() {
        fields.wrong("any_of", "is missing");
    }
    if wanted.len() > ANY_OF_MAX {
        fields.wrong("any_of", format!("has more than {ANY_OF_MAX} filters"));
        return Vec::new();
    }
    let read = wanted.iter().enumerate().map(|(position, wanted)| {
        fields.below(format!("any_of[{position}]."));
        filter(fields, wanted)
    });
    let read = read.collect();
    fields.below(String::new());
    read
}

fn filing(fields: &mut Fields, request: RecordFilingRequest) -> Option<StepWish> {
    let clock = fields.required("clock", &request.clock);
    let filed = fields.instant("filed_at", request.filed_at.as_ref());
    let reference = fields.name("reference", &request.reference);
    Some(StepWish {
        incident: LogIndex(request.incident),
        doing: Doing::File {
            clock: clock?,
            filed,
            reference,
            not_required: request.not_required,
        },
        text: request.note,
    })
}

fn before(fields: &mut Fields, token: &str) -> Option<LogIndex> {
    if token.is_empty() {
        return None;
    }
    let read = token.strip_prefix("before-").and_then(|at| at.parse().ok());
    let read = read.filter(|at| i64::try_from(*at).is_ok());
    if read.is_none() {
        fields.wrong("page_token", "is no token that a page gave");
    }
    read.map(LogIndex)
}

fn scoping(told: Scoping, log: &str) -> ScopeIncidentResponse {
    let what = match told {
        Scoping::Progress(accesses) => Scoped::Progress(ScopeProgress { accesses }),
        Scoping::Found(found, index) => Scoped::Found(ScopeFound {
            scope: Some(scope(&found, index.0, log)),
            log_index: index.0,
        }),
    };
    ScopeIncidentResponse { what: Some(what) }
}

fn affected(told: Affected) -> ListAffectedResponse {
    let what = match told {
        Affected::Person(pseudonym, index) => Listed::Person(AffectedPerson {
            pseudonym: pseudonym.to_string(),
            log_index: index.0,
        }),
        Affected::End {
            people,
            accesses,
            same,
        } => Listed::End(AffectedEnd {
            people,
            accesses,
            same,
        }),
    };
    ListAffectedResponse { what: Some(what) }
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl IncidentService for Incidents {
    async fn open_incident(
        &self,
        request: Request<OpenIncidentRequest>,
    ) -> Result<Response<OpenIncidentResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let wish = opened(&mut fields, request.into_inner());
        let wish = taken(&self.gate, &peer, "OpenIncident", fields.finish(Some(wish))).await?;
        let gate = Arc::clone(&self.gate);
        let id = to_its_end(async move { gate.open_incident(&peer, &credentials, wish).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(OpenIncidentResponse { incident: id.0 }))
    }

    async fn list_incidents(
        &self,
        request: Request<ListIncidentsRequest>,
    ) -> Result<Response<ListIncidentsResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let size = page_size(&mut fields, request.page_size);
        let before = before(&mut fields, &request.page_token);
        let page = fields.finish(Some((size, before)));
        let page = taken(&self.gate, &peer, "ListIncidents", page).await?;
        let (found, next) = self
            .gate
            .list_incidents(&peer, &credentials, request.closed, page)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(ListIncidentsResponse {
            incidents: found.iter().map(incident).collect(),
            next_page_token: next.map_or_else(String::new, |next| format!("before-{next}")),
        }))
    }

    async fn get_incident(
        &self,
        request: Request<GetIncidentRequest>,
    ) -> Result<Response<GetIncidentResponse>, Status> {
        const CALL: &str = "GetIncident";
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let id = LogIndex(request.into_inner().incident);
        let id = taken(&self.gate, &peer, CALL, fields.finish(Some(id))).await?;
        let seen = self
            .gate
            .get_incident(&peer, &credentials, CALL, id)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(GetIncidentResponse {
            incident: Some(incident(&seen)),
        }))
    }

    type ScopeIncidentStream = Streamed<ScopeIncidentResponse>;

    async fn scope_incident(
        &self,
        request: Request<ScopeIncidentRequest>,
    ) -> Result<Response<Self::ScopeIncidentStream>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let any_of = filters(&mut fields, &request.any_of);
        let any_of = fields.finish(Some(any_of));
        let any_of = taken(&self.gate, &peer, "ScopeIncident", any_of).await?;
        let told = self
            .gate
            .scope_incident(&peer, &credentials, LogIndex(request.incident), any_of)
            .await
            .map_err(errors::status)?;
        let log = self.gate.log().name().to_owned();
        let told = told.map(move |told| match told {
            Ok(told) => Ok(scoping(told, &log)),
            Err(error) => Err(errors::status(error)),
        });
        Ok(Response::new(Box::pin(told)))
    }

    type ListAffectedStream = Streamed<ListAffectedResponse>;

    async fn list_affected(
        &self,
        request: Request<ListAffectedRequest>,
    ) -> Result<Response<Self::ListAffectedStream>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let id = LogIndex(request.into_inner().incident);
        let id = taken(&self.gate, &peer, "ListAffected", fields.finish(Some(id))).await?;
        let told = self
            .gate
            .list_affected(&peer, &credentials, id)
            .await
            .map_err(errors::status)?;
        let told = told.map(|told| told.map(affected).map_err(errors::status));
        Ok(Response::new(Box::pin(told)))
    }

    async fn update_incident(
        &self,
        request: Request<UpdateIncidentRequest>,
    ) -> Result<Response<IncidentStepResponse>, Status> {
        self.step(request, "UpdateIncident", |fields, request| {
            let item = needed(fields, "item", request.item, Item::from_number);
            Some(StepWish {
                incident: LogIndex(request.incident),
                doing: Doing::Item(item?),
                text: request.text,
            })
        })
        .await
    }

    async fn add_timeline_note(
        &self,
        request: Request<AddTimelineNoteRequest>,
    ) -> Result<Response<IncidentStepResponse>, Status> {
        self.step(request, "AddTimelineNote", |fields, request| {
            if request.at.is_none() {
                fields.wrong("at", "is missing");
            }
            let at = fields.instant("at", request.at.as_ref());
            Some(StepWish {
                incident: LogIndex(request.incident),
                doing: Doing::Note(at?),
                text: request.text,
            })
        })
        .await
    }

    async fn judge_trigger(
        &self,
        request: Request<JudgeTriggerRequest>,
    ) -> Result<Response<IncidentStepResponse>, Status> {
        self.step(request, "JudgeTrigger", |fields, request| {
            let trigger = needed(fields, "trigger", request.trigger, Trigger::from_number);
            let verdict = needed(fields, "verdict", request.verdict, Verdict::from_number);
            Some(StepWish {
                incident: LogIndex(request.incident),
                doing: Doing::Judge(trigger?, verdict?),
                text: request.why,
            })
        })
        .await
    }

    async fn record_filing(
        &self,
        request: Request<RecordFilingRequest>,
    ) -> Result<Response<IncidentStepResponse>, Status> {
        self.step(request, "RecordFiling", filing).await
    }

    async fn record_notification(
        &self,
        request: Request<RecordNotificationRequest>,
    ) -> Result<Response<IncidentStepResponse>, Status> {
        self.step(request, "RecordNotification", |fields, request| {
            if request.notified_at.is_none() {
                fields.wrong("notified_at", "is missing");
            }
            let at = fields.instant("notified_at", request.notified_at.as_ref());
            Some(StepWish {
                incident: LogIndex(request.incident),
                doing: Doing::Notify {
                    at: at?,
                    people: request.people,
                },
                text: request.how,
            })
        })
        .await
    }

    async fn draft_report(
        &self,
        request: Request<DraftReportRequest>,
    ) -> Result<Response<DraftReportResponse>, Status> {
        const CALL: &str = "DraftReport";
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let stage = needed(&mut fields, "stage", request.stage, stage_of);
        let stage = taken(&self.gate, &peer, CALL, fields.finish(stage)).await?;
        let seen = self
            .gate
            .get_incident(&peer, &credentials, CALL, LogIndex(request.incident))
            .await
            .map_err(errors::status)?;
        Ok(Response::new(drafted(&seen, stage)))
    }

    async fn close_incident(
        &self,
        request: Request<CloseIncidentRequest>,
    ) -> Result<Response<IncidentStepResponse>, Status> {
        self.step(request, "CloseIncident", |_, request| {
            Some(StepWish {
                incident: LogIndex(request.incident),
                doing: Doing::Close,
                text: request.conclusion,
            })
        })
        .await
    }
}
