//! What `ProvisionRecordService` tells: records, the parts of a report, and the end that says it is whole.

use prost_types::Timestamp as Instant;
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

use super::write::instant;
use super::{errors, explain};
use crate::domain::time::Timestamp;
use crate::export::uuid_text;
use crate::gate::{LogSeen, ReadEntry, RecordSeen, ReportHead, Told};
use crate::proto;
use crate::proto::{DisclosedAccess, DisclosedRecord, DisclosureReportRequest};

/// A moment.
pub(super) fn at(at: Timestamp) -> Option<Instant> {
    instant(at.micros())
}

/// A record as the API tells it.
pub(super) fn record(seen: RecordSeen) -> proto::Record {
    let undecided = seen.undecided().len();
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
        route: kept.route,
        people: u32::try_from(kept.people).unwrap_or(u32::MAX),
        closed_index: kept.closed.map_or(0, |index| index.0),
        unreadable: unreadable.unwrap_or_default(),
        people_undecided: u32::try_from(undecided).unwrap_or(u32::MAX),
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
        told.basis_reference_standing = entry.basis_reference_standing;
        told.purpose = entry.purpose;
        told.subject_kind = entry.subject_kind;
        if let Some(of_record) = entry.record {
            told.name = of_record.name;
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
pub(super) fn disclosed_record(seen: RecordSeen, undecided: bool) -> DisclosedRecord {
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
        basis_reference_standing: told.basis_reference_standing,
        undecided,
        purpose: told.purpose,
        acquisition: told.acquisition,
        record_id: told.record_id,
        unreadable: told.unreadable,
    }
}

pub(super) fn disclosed_access(read: ReadEntry) -> DisclosedAccess {
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

pub(super) fn disclosure_head(
    head: ReportHead,
    log: Option<LogSeen>,
    request: DisclosureReportRequest,
) -> proto::DisclosureHead {
    let (title, title_ja) = head.titles;
    let without_names = |mut system: proto::RegisterSystem| {
        system.responsible.clear();
        system.responsible_ja.clear();
        system
    };
    let systems = head.systems.into_iter().map(explain::system);
    proto::DisclosureHead {
        title,
        title_ja,
        made_at: at(head.made_at),
        scope: request.scope,
        subject_ref: request.subject_ref,
        from: request.from,
        until: request.until,
        utc_offset_seconds: head.utc_offset.whole_seconds(),
        systems: systems.map(without_names).collect(),
        log: log.map(|log| proto::DisclosedLog {
            name: log.name,
            first_index: log.first.map_or(0, |(first, _)| first.0),
            first_at: log.first.and_then(|(_, written)| at(written)),
            last_at: log.last.and_then(at),
            size: log.size,
            root: log.root.to_vec(),
        }),
    }
}

pub(super) fn records_head(head: ReportHead) -> proto::RecordsHead {
    let (title, title_ja) = head.titles;
    proto::RecordsHead {
        title,
        title_ja,
        made_at: at(head.made_at),
        utc_offset_seconds: head.utc_offset.whole_seconds(),
        systems: head.systems.into_iter().map(explain::system).collect(),
    }
}

/// How many of each were told.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) records: u64,
    pub(super) accesses: u64,
}

/// The head, what is told as parts, and the end: that one only where all was told.
pub(super) fn whole<T: Send + 'static, P: Send + 'static>(
    head: P,
    told: Told<T>,
    part: impl Fn(T, &mut Counts) -> P + Send + 'static,
    end: impl Fn(&Counts) -> P + Send + 'static,
) -> impl Stream<Item = Result<P, Status>> + Send + 'static {
    let mut counts = Counts::default();
    let mut failed = false;
    let parts = told.map(Some).chain(tokio_stream::once(None));
    let parts = parts.filter_map(move |found| match found {
        Some(Ok(found)) => Some(Ok(part(found, &mut counts))),
        Some(Err(error)) => {
            failed = true;
            Some(Err(errors::status(error)))
        }
        None => (!failed).then(|| Ok(end(&counts))),
    });
    tokio_stream::once(Ok(head)).chain(parts)
}
