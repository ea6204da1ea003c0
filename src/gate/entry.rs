//! Builds entries of the access log. What is answered is what is logged: the answer to a decision is read from its entry.

use uuid::Uuid;

use super::peer::{Caller, Peer};
use crate::decision::rules::RuleSet;
use crate::decision::{ObligationKind, ProvisionRecord, Verdict, Withheld};
use crate::domain::access::{AccessRequest, Action, LegalException, Relation};
use crate::domain::ids::{DecisionId, Name};
use crate::domain::person::Person;
use crate::domain::reason::Reason;
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::identity::certificate::ClaimedName;
use crate::identity::ticket::Ticket;
use crate::proto::{
    Decision, EntryKind, StoredCharge, StoredDetail, StoredEntry, StoredObligation, StoredReason,
    StoredRecord, StoredRecordKind, StoredStepUp, StoredWithheldCategory, StoredWithheldSubjects,
};

/// The key of a detail, and what it tells of a ticket that is of a time to come.
pub(super) const CLOCK: &str = "clock";
pub(super) const SET_BACK: &str =
    "was set back: it is behind the ticket's moments, so their age is not known";

/// Methods of the second step that would do (RFC 8176).
const STEP_UP_METHODS: [&str; 1] = ["otp"];

/// A UUIDv7 whose time is `now`, so that its entry is found by time.
pub(super) fn new_id(now: Timestamp) -> DecisionId {
    let micros = u64::try_from(now.micros()).unwrap_or(0);
    let nanos = u32::try_from(micros % 1_000_000)
        .unwrap_or(0)
        .saturating_mul(1_000);
    let at = uuid::Timestamp::from_unix(uuid::NoContext, micros / 1_000_000, nanos);
    DecisionId(Uuid::new_v7(at))
}

/// An entry of some kind with who called from where.
pub(super) fn event(
    kind: EntryKind,
    now: Timestamp,
    caller: &Caller<'_>,
    peer: &Peer,
) -> StoredEntry {
    let mut entry = StoredEntry {
        time_us: now.micros(),
        kind: kind.into(),
        caller: caller.id.to_owned(),
        caller_ip: caller.address.to_string(),
        ..StoredEntry::default()
    };
    if caller.service.is_none() {
        let claims = match &peer.certificate.name {
            ClaimedName::Spiffe {
                trust_domain,
                service,
            } => format!("spiffe://{trust_domain}/service/{service}"),
            ClaimedName::Dns(names) => names.first().map_or_else(String::new, ToString::to_string),
            ClaimedName::None(why) => (*why).to_owned(),
        };
        detail(&mut entry, "certificate_name", claims);
        let fingerprint = data_encoding::HEXLOWER.encode(&peer.certificate.fingerprint);
        detail(&mut entry, "certificate_sha256", fingerprint);
    }
    entry
}

/// Adds a flat fact, at most 1,024 bytes; details stay sorted by key.
pub(super) fn detail(entry: &mut StoredEntry, key: &str, value: impl Into<String>) {
    let mut value: String = value.into();
    if value.len() > 1_024 {
        let end = (0..=1_024).rev().find(|end| value.is_char_boundary(*end));
        value.truncate(end.unwrap_or(0));
    }
    let position = entry
        .details
        .partition_point(|detail| detail.key.as_str() <= key);
    entry.details.insert(
        position,
        StoredDetail {
            key: key.to_owned(),
            value,
        },
    );
}

/// Says which person acted, with the roles that count at the entry's time.
pub(super) fn acted_by(entry: &mut StoredEntry, person: &Person) {
    entry.person = person.id.to_string();
    let at = Timestamp::from_micros(entry.time_us);
    let mut departments = person.departments.iter().map(ToString::to_string);
    entry.department = departments.next().unwrap_or_default();
    entry.further_departments = departments.collect();
    entry.roles = person.roles_at(at).map(ToString::to_string).collect();
}

/// Says in which login.
pub(super) fn in_session(entry: &mut StoredEntry, ticket: &Ticket) {
    entry.session = ticket.session.to_bytes();
    entry.second_step_us = ticket.second_step.micros();
    entry.amr = ticket
        .methods
        .iter()
        .map(|method| method.amr().to_owned())
        .collect();
}

/// Says what was asked. Takes the request: its names become the entry's.
pub(super) fn asked(entry: &mut StoredEntry, request: AccessRequest, subjects: &[Pseudonym]) {
    let text = |name: Option<Name>| name.map_or_else(String::new, String::from);
    entry.request_id = text(request.request_id);
    entry.client_ip = request
        .client_ip
        .map_or_else(String::new, |address| address.to_string());
    entry.action = request.action.number();
    entry.system = text(request.system);
    entry.subject_kind = text(request.subject_kind);
    entry.subjects = subjects.iter().map(|subject| subject.0.to_vec()).collect();
    entry.categories = request.categories.into_iter().map(String::from).collect();
    entry.record_count = request.record_count;
    entry.purpose = text(request.purpose);
    entry.case_ref = text(request.case_ref);
    entry.consent = request.basis.consent.number();
    entry.exception = request.basis.exception.map_or(0, LegalException::number);
    entry.basis_reference = text(request.basis.reference);
    entry.subject_request = request.basis.subject_request;
    entry.consent_difficult = request.basis.consent_difficult;
    entry.collected_via = text(request.collected_via);
    entry.origin_country = text(request.origin_country);
    if request.action == Action::Provide {
        entry.recipient = text(request.provision.recipient);
        entry.safeguard = text(request.provision.safeguard);
        entry.recipient_own_purpose = request.provision.own_purpose;
    }
    entry.automated_decision = request.automated_decision;
    entry.allow_partial = request.allow_partial;
    entry.relation = request.relation.map_or(0, Relation::number);
}

/// Says what was decided. Takes the verdict: it becomes the entry.
pub(super) fn decided(
    entry: &mut StoredEntry,
    rules: &RuleSet,
    verdict: Verdict,
    charges: Vec<StoredCharge>,
    now: Timestamp,
) {
    let trace = verdict.trace();
    entry.network = match (trace.network, trace.network_exception) {
        (Some(network), _) => rules.networks.name(network).to_owned(),
        (None, Some(block)) => format!("exception {block}"),
        (None, None) => String::new(),
    };
    entry.provision_route = trace
        .route
        .map_or_else(String::new, |route| route.name().to_owned());
    entry.rule = trace.rule.map_or_else(String::new, |rule| rule.to_string());
    entry.break_glass = trace.break_glass;
    entry.policy_revision = rules.revision.to_vec();
    match verdict {
        Verdict::Allow(permit) => {
            entry.decision = Decision::Allow.into();
            entry.reasons = permit.remarks.into_iter().map(stored_reason).collect();
            for obligation in permit.obligations {
                let stored = stored_obligation(&obligation, now);
                if let ObligationKind::ProvisionRecord(record) = obligation {
                    entry.record = Some(opened_record(record, &stored));
                }
                entry.obligations.push(stored);
            }
            entry.valid_until_us = permit.valid_until.micros();
            entry.allowed_records = permit.allowed_records;
            entry.withheld_categories = withheld_categories(permit.withheld_categories, entry);
            entry.withheld_subjects = withheld_subjects(permit.withheld_subjects);
            entry.charges = charges;
        }
        Verdict::Deny(denial) => {
            entry.decision = Decision::Deny.into();
            entry.reasons = denial.reasons.into_iter().map(stored_reason).collect();
            entry.further_reasons = denial
                .further_reasons
                .into_iter()
                .map(stored_reason)
                .collect();
            entry.step_up = denial.step_up.map(|step_up| StoredStepUp {
                max_age_seconds: i64::try_from(step_up.max_age.as_secs()).unwrap_or(i64::MAX),
                amr: STEP_UP_METHODS.map(str::to_owned).to_vec(),
            });
        }
    }
}

fn stored_reason(reason: Reason) -> StoredReason {
    StoredReason {
        code: reason.code.number(),
        about: reason.about.into(),
    }
}

fn position(withheld: &Withheld) -> u32 {
    u32::try_from(withheld.position).unwrap_or(u32::MAX)
}

fn withheld_categories(
    withheld: Vec<Withheld>,
    entry: &StoredEntry,
) -> Vec<StoredWithheldCategory> {
    withheld
        .into_iter()
        .map(|withheld| {
            let index = position(&withheld);
            let mut reason = stored_reason(withheld.reason);
            if entry.categories.get(withheld.position) == Some(&reason.about) {
                reason.about.clear();
            }
            StoredWithheldCategory {
                index,
                reason: Some(reason),
            }
        })
        .collect()
}

fn withheld_subjects(withheld: Vec<Withheld>) -> Vec<StoredWithheldSubjects> {
    let mut groups: Vec<StoredWithheldSubjects> = Vec::new();
    for withheld in withheld {
        let index = position(&withheld);
        let reason = Some(stored_reason(withheld.reason));
        match groups.iter_mut().find(|group| group.reason == reason) {
            Some(group) => group.indexes.push(index),
            None => groups.push(StoredWithheldSubjects {
                reason,
                indexes: vec![index],
            }),
        }
    }
    groups
}

/// An obligation's id is its kind's name: an answer never has two of one kind.
fn stored_obligation(obligation: &ObligationKind, now: Timestamp) -> StoredObligation {
    let owned = |names: &[Box<str>]| names.iter().map(ToString::to_string).collect();
    let mut stored = StoredObligation::default();
    stored.id = match obligation {
        ObligationKind::Mask(categories) => {
            stored.mask = owned(categories);
            "mask"
        }
        ObligationKind::ProvisionRecord(record) => {
            stored.provision_record_id = new_id(now).to_bytes();
            stored.provision_keep_until_us = record.keep_until.micros();
            "provision-record"
        }
        ObligationKind::ReportOutcomeBy(by) => {
            stored.report_outcome_by_us = by.micros();
            "report-outcome"
        }
        ObligationKind::ExcludeHeld(holds) => {
            stored.exclude_held = owned(holds);
            "exclude-held"
        }
    }
    .to_owned();
    stored
}

/// The record that an allowance opens; whose data it is of is told by who gathered the request.
fn opened_record(record: ProvisionRecord, obligation: &StoredObligation) -> StoredRecord {
    let text = |item: Option<Box<str>>| item.map_or_else(String::new, String::from);
    StoredRecord {
        record_id: obligation.provision_record_id.clone(),
        kind: StoredRecordKind::Provision.into(),
        years: record.years.into(),
        keep_until_us: obligation.provision_keep_until_us,
        country: record.country.into(),
        name: text(record.party.name),
        address: text(record.party.address),
        representative: text(record.party.representative),
        ..StoredRecord::default()
    }
}
