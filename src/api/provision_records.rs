//! `ProvisionRecordService`.

use std::pin::Pin;
use std::sync::Arc;

use prost_types::Timestamp as Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use super::read::Fields;
use super::write::instant;
use super::{errors, peer, taken, to_its_end};
use crate::decision::rules::Party;
use crate::domain::access::{CATEGORIES_MAX, SUBJECTS_MAX, SubjectRef};
use crate::domain::ids::{LogIndex, RecordId};
use crate::domain::record::{ReceiptBasis, RecordKind, RecordStatus};
use crate::domain::time::Timestamp;
use crate::export::uuid_text;
use crate::gate::{
    Disclosed, DisclosureHead, DisclosureWish, Gate, ReadEntry, ReceiptWish, RecordFilter,
    RecordSeen,
};
use crate::proto;
use crate::proto::disclosure_report_response::Part;
use crate::proto::provision_record_service_server::ProvisionRecordService;
use crate::proto::{
    DisclosedAccess, DisclosedRecord, DisclosureReportRequest, DisclosureReportResponse,
    DisclosureScope, ExportRecordsRequest, ExportRecordsResponse, GetRecordRequest,
    GetRecordResponse, ListRecordsRequest, ListRecordsResponse, RegisterReceiptRequest,
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

fn at(at: Timestamp) -> Option<Instant> {
    instant(at.micros())
}

/// A record as the API tells it.
fn record(seen: RecordSeen) -> proto::Record {
    let RecordSeen {
        kept,
        opened,
        closed,
        people,
        unreadable,
    } = seen;
    let mut told = proto::Record {
        record_id: kept.id.to_string(),
        kind: kept.kind.number(),
        status: kept.status.number(),
        log_index: kept.place.index.0,
        log: kept.log.0,
        at: at(kept.place.at),
        keep_until: at(kept.keep_until),
        recipient: kept.party,
        name: kept.name,
        route: kept.route,
        people: u32::try_from(kept.people).unwrap_or(u32::MAX),
        closed_index: kept.closed.map_or(0, |index| index.0),
        unreadable: unreadable.unwrap_or_default(),
        ..proto::Record::default()
    };
    for (pseudonym, id) in people {
        told.subject_pseudonyms.push(pseudonym.to_string());
        told.subject_refs.push(id.unwrap_or_default());
    }
    if told.subject_refs.iter().all(String::is_empty) {
        told.subject_refs.clear();
    }
    if let Some(entry) = opened {
        told.decision_id = uuid_text(&entry.decision_id);
        told.consent = entry.consent;
        told.categories = allowed_categories(&entry);
        told.basis_reference = entry.basis_reference;
        told.purpose = entry.purpose;
        told.subject_kind = entry.subject_kind;
        if let Some(of_record) = entry.record {
            told.address = of_record.address;
            told.representative = of_record.representative;
            told.country = of_record.country;
            told.receipt_basis = of_record.basis;
            told.acquisition = of_record.acquisition;
        }
    }
    if let Some(entry) = closed {
        told.closed_at = instant(entry.time_us);
        told.records_provided = entry.records_accessed;
    }
    told
}

/// Those of a decision that were not withheld.
fn allowed_categories(entry: &proto::StoredEntry) -> Vec<String> {
    let is_withheld = |position: u32| {
        let mut withheld = entry.withheld_categories.iter();
        withheld.any(|withheld| withheld.index == position)
    };
    (0_u32..)
        .zip(&entry.categories)
        .filter(|(position, _)| !is_withheld(*position))
        .map(|(_, category)| category.clone())
        .collect()
}

/// What a person is told of a record.
fn disclosed_record(seen: RecordSeen) -> DisclosedRecord {
    let told = record(seen);
    DisclosedRecord {
        kind: told.kind,
        status: told.status,
        at: told.at,
        name: told.name,
        address: told.address,
        representative: told.representative,
        country: told.country,
        categories: told.categories,
        route: told.route,
        receipt_basis: told.receipt_basis,
        consent: told.consent,
        basis_reference: told.basis_reference,
        purpose: told.purpose,
        acquisition: told.acquisition,
        record_id: told.record_id,
        unreadable: told.unreadable,
    }
}

fn disclosed_access(read: ReadEntry) -> DisclosedAccess {
    let categories = allowed_categories(&read.entry);
    let entry = read.entry;
    DisclosedAccess {
        at: instant(entry.time_us),
        action: entry.action,
        system: entry.system,
        categories,
        purpose: entry.purpose,
        recipient: entry.recipient,
        log_index: read.index.0,
    }
}

fn disclosure_head(
    head: DisclosureHead,
    request: DisclosureReportRequest,
) -> proto::DisclosureHead {
    let (title, title_ja) = head.titles;
    proto::DisclosureHead {
        title,
        title_ja,
        made_at: at(head.made_at),
        scope: request.scope,
        subject_ref: request.subject_ref,
        from: request.from,
        until: request.until,
        utc_offset_seconds: head.utc_offset.whole_seconds(),
    }
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
        let found = self
            .gate
            .export_records(&peer, &credentials, filter)
            .await
            .map_err(errors::status)?;
        let told = ReceiverStream::new(found).map(|found| match found {
            Ok(seen) => Ok(ExportRecordsResponse {
                record: Some(record(seen)),
            }),
            Err(error) => Err(errors::status(error)),
        });
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
        let (head, found) = self
            .gate
            .disclosure(&peer, &credentials, wish)
            .await
            .map_err(errors::status)?;
        let head = Part::Head(disclosure_head(head, request));
        let parts = ReceiverStream::new(found).map(|found| match found {
            Ok(Disclosed::Record(seen)) => Ok(Part::Record(disclosed_record(*seen))),
            Ok(Disclosed::Access(read)) => Ok(Part::Access(disclosed_access(*read))),
            Err(error) => Err(errors::status(error)),
        });
        let told = tokio_stream::once(Ok(head)).chain(parts);
        let told = told.map(|part| part.map(|part| DisclosureReportResponse { part: Some(part) }));
        Ok(Response::new(Box::pin(told)))
    }
}
