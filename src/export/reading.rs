//! From the stored form of an entry to the one that people read: the same for the API, for exports and for streams.

use std::collections::HashMap;

use crate::domain::ids::{DecisionId, LogIndex};
use crate::domain::reason::ReasonCode;
use crate::domain::subject::Pseudonym;
use crate::proto::{Entry, StoredEntry};

/// An instant on the wire; `None` for 0, which stands for none.
pub(crate) fn instant(micros: i64) -> Option<prost_types::Timestamp> {
    (micros != 0).then(|| prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0) * 1_000,
    })
}

/// A UUID as text; empty for what is none.
pub(crate) fn uuid_text(bytes: &[u8]) -> String {
    DecisionId::from_bytes(bytes).map_or_else(String::new, |id| id.to_string())
}

/// An entry as people read it. What is sealed in it stays so, and what was reported of it later is not known here.
#[must_use]
pub fn reading(stored: StoredEntry, index: LogIndex, leaf_hash: &[u8; 32], log: &str) -> Entry {
    let second_step_age_seconds = match stored.second_step_us {
        0 => 0,
        at => u64::try_from(stored.time_us.saturating_sub(at) / 1_000_000).unwrap_or(0),
    };
    let mut details: HashMap<String, String> = stored
        .details
        .into_iter()
        .map(|detail| (detail.key, detail.value))
        .collect();
    if !stored.repeat_of.is_empty() {
        details.insert("repeat_of".to_owned(), uuid_text(&stored.repeat_of));
    }
    if stored.sum_of > 1 {
        details.insert("sum_of".to_owned(), stored.sum_of.to_string());
    }
    if stored.abandoned {
        details.insert("abandoned".to_owned(), "true".to_owned());
    }
    let further: Vec<&str> = stored
        .further_reasons
        .iter()
        .filter_map(|reason| ReasonCode::from_number(reason.code))
        .map(ReasonCode::name)
        .collect();
    if !further.is_empty() {
        details.insert("further_reasons".to_owned(), further.join(", "));
    }
    Entry {
        log_index: index.0,
        time: instant(stored.time_us),
        kind: stored.kind,
        decision_id: uuid_text(&stored.decision_id),
        request_id: stored.request_id,
        log: log.to_owned(),
        caller: stored.caller,
        caller_ip: stored.caller_ip,
        person: stored.person,
        roles: stored.roles,
        department: stored.department,
        further_departments: stored.further_departments,
        client_ip: stored.client_ip,
        amr: stored.amr,
        second_step_age_seconds,
        network: stored.network,
        session: uuid_text(&stored.session),
        action: stored.action,
        system: stored.system,
        subject_kind: stored.subject_kind,
        subject_pseudonyms: stored
            .subjects
            .iter()
            .filter_map(|subject| Pseudonym::from_bytes(subject))
            .map(|subject| subject.to_string())
            .collect(),
        categories: stored.categories,
        record_count: stored.record_count,
        purpose: stored.purpose,
        case_ref: stored.case_ref,
        consent: stored.consent,
        exception: stored.exception,
        recipient: stored.recipient,
        provision_route: stored.provision_route,
        basis_reference: stored.basis_reference,
        basis_reference_standing: stored.basis_reference_standing,
        case_ref_standing: stored.case_ref_standing,
        subject_request: stored.subject_request,
        consent_difficult: stored.consent_difficult,
        collected_via: stored.collected_via,
        origin_country: stored.origin_country,
        safeguard: stored.safeguard,
        recipient_own_purpose: stored.recipient_own_purpose,
        automated_decision: stored.automated_decision,
        decision: stored.decision,
        reasons: stored.reasons.iter().map(|reason| reason.code).collect(),
        obligations: if stored.obligations.is_empty() {
            stored.fulfilled_obligations
        } else {
            stored
                .obligations
                .iter()
                .map(|obligation| obligation.id.clone())
                .collect()
        },
        policy_revision: data_encoding::HEXLOWER.encode(&stored.policy_revision),
        rule: stored.rule,
        break_glass: stored.break_glass,
        break_glass_reason: String::new(),
        records_accessed: stored.records_accessed,
        relation: stored.relation,
        details,
        leaf_hash: leaf_hash.to_vec(),
    }
}
