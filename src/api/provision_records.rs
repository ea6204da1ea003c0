//! `ProvisionRecordService`.

use std::pin::Pin;
use std::sync::Arc;

use prost_types::Timestamp as Instant;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use super::provision_parts::{
    Counts, at, disclosed_access, disclosed_record, disclosure_head, record, records_head, whole,
};
use super::read::Fields;
use super::{errors, peer, taken, to_its_end};
use crate::decision::rules::Party;
use crate::domain::access::{CATEGORIES_MAX, SUBJECTS_MAX, SubjectRef};
use crate::domain::ids::{LogIndex, RecordId};
use crate::domain::record::{ReceiptBasis, RecordKind, RecordStatus};
use crate::domain::time::Timestamp;
use crate::gate::{Disclosed, DisclosureWish, Gate, ReceiptWish, RecordFilter};
use crate::proto;
use crate::proto::disclosure_report_response::Part;
use crate::proto::export_records_response::Part as ExportPart;
use crate::proto::provision_record_service_server::ProvisionRecordService;
use crate::proto::{
    DisclosureEnd, DisclosureReportRequest, DisclosureReportResponse, DisclosureScope,
    ExportRecordsRequest, ExportRecordsResponse, GetRecordRequest, GetRecordResponse,
    ListRecordsRequest, ListRecordsResponse, RecordsEnd, RegisterReceiptRequest,
    RegisterReceiptResponse,
};
use crate::store::RecordPlace;

/// The largest page of a list: each record is read from the log.
const PAGE_MAX: u32 = 100;
/// The longest text on how a provider acquired the data.
const ACQUISITION_MAX_BYTES: usize = 1_024;

/// Records of provision and of receipt.
#[derive(Debug, Clone)]
pub struct ProvisionRecords {
    gate: Arc<Gate>,
}

impl ProvisionRecords {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

fn record_id(fields: &mut Fields, text: &str) -> Option<RecordId> {
    let id = uuid::Uuid::try_parse(text).ok().map(RecordId);
    if id.is_none() {
        fields.wrong("record_id", "is not a record's id (a UUID)");
    }
    id
}

fn filter(fields: &mut Fields, wanted: Option<proto::RecordFilter>) -> RecordFilter {
    let wanted = wanted.unwrap_or_default();
    let at = |fields: &mut Fields, field: &str, at: Option<&Instant>| fields.instant(field, at);
    let filter = RecordFilter {
        party: fields.name("filter.party", &wanted.party),
        subject: fields
            .name("filter.subject_ref", &wanted.subject_ref)
            .map(|name| SubjectRef::new(&name)),
        from: at(fields, "filter.from", wanted.from.as_ref()),
        until: at(fields, "filter.until", wanted.until.as_ref()),
        status: fields.known("filter.status", wanted.status, RecordStatus::from_number),
        kind: fields.known("filter.kind", wanted.kind, RecordKind::from_number),
        route: fields.name("filter.route", &wanted.route),
    };
    if let (Some(from), Some(until)) = (filter.from, filter.until)
        && from >= until
    {
        fields.wrong("filter.until", "is not after filter.from");
    }
    filter
}

fn page_size(fields: &mut Fields, size: i32) -> u32 {
    match u32::try_from(size) {
        Ok(0) => PAGE_MAX,
        Ok(size @ 1..=PAGE_MAX) => size,
        _ => {
            fields.wrong("page_size", "must be from 1 to 100, or 0 for 100");
            PAGE_MAX
        }
    }
}

/// `after-<micros>-<log>-<index>`.
fn page_token(place: RecordPlace) -> String {
    format!("after_{}_{}_{}", place.at.micros(), place.log, place.index)
}

fn page_start(fields: &mut Fields, token: &str) -> Option<RecordPlace> {
    if token.is_empty() {
        return None;
    }
    let read = || {
        let mut parts = token.strip_prefix("after_")?.split('_');
        let place = RecordPlace {
            at: Timestamp::from_micros(parts.next()?.parse().ok()?),
            log: parts.next()?.parse().ok().filter(in_store)?,
            index: LogIndex(parts.next()?.parse().ok().filter(in_store)?),
        };
        parts.next().is_none().then_some(place)
    };
    let place = read();
    if place.is_none() {
        fields.wrong("page_token", "is no token that a page gave");
    }
    place
}

/// The store counts with a sign.
fn in_store(number: &u64) -> bool {
    i64::try_from(*number).is_ok()
}

fn receipt(fields: &mut Fields, request: RegisterReceiptRequest) -> Option<ReceiptWish> {
    let request_id = fields.name("request_id", &request.request_id);
    let provider_name = fields.required("provider_name", &request.provider_name);
    let mut text = |field: &str, text: String, max: usize| {
        let text = text.trim();
        if text.is_empty() || text.len() > max || text.contains('\0') {
            fields.wrong(field, format!("must be of 1 to {max} bytes, without NUL"));
        }
        text.to_owned()
    };
    let provider_address = text(
        "provider_address",
        request.provider_address,
        Party::ADDRESS_MAX_BYTES,
    );
    let acquisition = text("acquisition", request.acquisition, ACQUISITION_MAX_BYTES);
    let representative = fields.name("provider_representative", &request.provider_representative);
    match (request.provider_is_individual, &representative) {
        (true, Some(_)) => fields.wrong(
            "provider_representative",
            "nobody represents an individual: leave it out, or provider_is_individual",
        ),
        (false, None) => fields.wrong(
            "provider_representative",
            "is missing: needed unless provider_is_individual",
        ),
        _ => {}
    }
    let country = request.provider_country;
    let is_country = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
    if !country.is_empty() && !is_country {
        fields.wrong(
            "provider_country",
            "must be two capital letters (ISO 3166-1 alpha-2)",
        );
    }
    if request.subject_refs.is_empty() {
        fields.wrong("subject_refs", "is missing");
    }
    let subjects = fields.subjects("subject_refs", &request.subject_refs, SUBJECTS_MAX);
    if request.categories.is_empty() || request.categories.len() > CATEGORIES_MAX {
        fields.wrong(
            "categories",
            format!("must name 1 to {CATEGORIES_MAX} categories"),
        );
    }
    let categories = request
        .categories
        .iter()
        .take(CATEGORIES_MAX)
        .enumerate()
        .filter_map(|(position, text)| fields.required(&format!("categories[{position}]"), text))
        .collect();
    let subject_kind = fields.required("subject_kind", &request.subject_kind);
    if request.received_at.is_none() {
        fields.wrong("received_at", "is missing");
    }
    let received = fields.instant("received_at", request.received_at.as_ref());
    if request.basis == 0 {
        fields.wrong("basis", "is missing");
    }
    let basis = fields.known("basis", request.basis, ReceiptBasis::from_number);
    let basis_reference = fields.name("basis_reference", &request.basis_reference);
    Some(ReceiptWish {
        request_id,
        provider_name: provider_name?,
        provider_address,
        provider_representative: representative.map_or_else(String::new, String::from),
        provider_country: country,
        acquisition,
        subjects,
        subject_kind: subject_kind?,
        categories,
        received: received?,
        basis: basis?,
        basis_reference,
    })
}

fn disclosure(fields: &mut Fields, request: &DisclosureReportRequest) -> Option<DisclosureWish> {
    let subject = fields.required("subject_ref", &request.subject_ref);
    let scope = match DisclosureScope::try_from(request.scope) {
        Ok(DisclosureScope::Unspecified) => {
            fields.wrong("scope", "is missing");
            None
        }
        Ok(scope) => Some(scope),
        Err(_) => {
            fields.wrong("scope", format!("has no value {}", request.scope));
            None
        }
    };
    let from = fields.instant("from", request.from.as_ref());
    let until = fields.instant("until", request.until.as_ref());
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        fields.wrong("until", "is not after from");
    }
    Some(DisclosureWish {
        subject: SubjectRef::new(&subject?),
        accesses: scope? == DisclosureScope::All,
        from,
        until,
    })
}

type Reported = Pin<Box<dyn Stream<Item = Result<DisclosureReportResponse, Status>> + Send>>;
type Exported = Pin<Box<dyn Stream<Item = Result<ExportRecordsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ProvisionRecordService for ProvisionRecords {
    async fn list_records(
        &self,
        request: Request<ListRecordsRequest>,
    ) -> Result<Response<ListRecordsResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let filter = filter(&mut fields, request.filter);
        let size = page_size(&mut fields, request.page_size);
        let after = page_start(&mut fields, &request.page_token);
        let wanted = Some((filter, (size, after)));
        let (filter, page) = taken(&self.gate, &peer, "ListRecords", fields.finish(wanted)).await?;
        let (found, next) = self
            .gate
            .list_records(&peer, &credentials, filter, page)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(ListRecordsResponse {
            records: found.into_iter().map(record).collect(),
            next_page_token: next.map_or_else(String::new, page_token),
        }))
    }

    async fn get_record(
        &self,
        request: Request<GetRecordRequest>,
    ) -> Result<Response<GetRecordResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let id = record_id(&mut fields, &request.get_ref().record_id);
        let id = taken(&self.gate, &peer, "GetRecord", fields.finish(id)).await?;
        let seen = self
            .gate
            .get_record(&peer, &credentials, id)
            .await
            .map_err(errors::status)?;
        Ok(Response::new(GetRecordResponse {
            record: Some(record(seen)),
        }))
    }

    type ExportRecordsStream = Exported;

    async fn export_records(
        &self,
        request: Request<ExportRecordsRequest>,
    ) -> Result<Response<Exported>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let filter = filter(&mut fields, request.into_inner().filter);
        let wanted = fields.finish(Some(filter));
        let filter = taken(&self.gate, &peer, "ExportRecords", wanted).await?;
        let (head, found) = self
            .gate
            .export_records(&peer, &credentials, filter)
            .await
            .map_err(errors::status)?;
        let head = ExportPart::Head(records_head(head));
        let end = |counts: &Counts| {
            ExportPart::End(RecordsEnd {
                records: counts.records,
            })
        };
        let part = |seen, counts: &mut Counts| {
            counts.records = counts.records.saturating_add(1);
            ExportPart::Record(record(seen))
        };
        let told = whole(head, found, part, end);
        let told = told.map(|part| part.map(|part| ExportRecordsResponse { part: Some(part) }));
        Ok(Response::new(Box::pin(told)))
    }

    async fn register_receipt(
        &self,
        request: Request<RegisterReceiptRequest>,
    ) -> Result<Response<RegisterReceiptResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let wish = receipt(&mut fields, request.into_inner());
        let wish = taken(&self.gate, &peer, "RegisterReceipt", fields.finish(wish)).await?;
        let gate = Arc::clone(&self.gate);
        let registered =
            to_its_end(async move { gate.register_receipt(&peer, &credentials, wish).await })
                .await
                .map_err(errors::status)?;
        Ok(Response::new(RegisterReceiptResponse {
            record_id: registered.id.to_string(),
            log_index: registered.index.0,
            keep_until: at(registered.keep_until),
        }))
    }

    type DisclosureReportStream = Reported;

    async fn disclosure_report(
        &self,
        request: Request<DisclosureReportRequest>,
    ) -> Result<Response<Reported>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let wish = disclosure(&mut fields, &request);
        let wish = taken(&self.gate, &peer, "DisclosureReport", fields.finish(wish)).await?;
        let (head, log, found) = self
            .gate
            .disclosure(&peer, &credentials, wish)
            .await
            .map_err(errors::status)?;
        let head = Part::Head(disclosure_head(head, log, request));
        let part = |found, counts: &mut Counts| match found {
            Disclosed::Record { record, undecided } => {
                counts.records = counts.records.saturating_add(1);
                Part::Record(disclosed_record(*record, undecided))
            }
            Disclosed::Access(read) => {
                counts.accesses = counts.accesses.saturating_add(1);
                Part::Access(disclosed_access(*read))
            }
        };
        let end = |counts: &Counts| {
            Part::End(DisclosureEnd {
                records: counts.records,
                accesses: counts.accesses,
            })
        };
        let told = whole(head, found, part, end);
        let told = told.map(|part| part.map(|part| DisclosureReportResponse { part: Some(part) }));
        Ok(Response::new(Box::pin(told)))
    }
}
