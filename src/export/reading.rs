//! From the stored form of an entry to the one that people read: the same for the API, for exports and for streams.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use uuid::Uuid;

use crate::domain::ids::{DecisionId, LogIndex};
use crate::domain::reason::ReasonCode;
use crate::domain::subject::Pseudonym;
use crate::proto::{Entry, EntryKind, StoredEntry, StoredReason};

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
        allow_partial: stored.allow_partial,
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

/// The way back, as far as it goes: a decision as it was stored, without what a reading doesn't tell (what a reason is about, what was
/// withheld, the terms of obligations, the time of the second step below the second).
#[must_use]
pub fn decision_read(entry: &Entry) -> StoredEntry {
    let time_us = entry.time.as_ref().map_or(0, |at| {
        let seconds = at.seconds.saturating_mul(1_000_000);
        seconds.saturating_add(i64::from(at.nanos / 1_000))
    });
    let uuid = |text: &str| {
        Uuid::try_parse(text).map_or_else(|_| Vec::new(), |id| id.into_bytes().to_vec())
    };
    let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap_or_default();
    let reason = |code: i32| StoredReason {
        code,
        about: String::new(),
    };
    let further = entry.details.get("further_reasons");
    let further = further.into_iter().flat_map(|names| names.split(", "));
    let age = i64::try_from(entry.second_step_age_seconds).unwrap_or(i64::MAX);
    let entered = entry.kind == i32::from(EntryKind::Decision) && !entry.session.is_empty();
    StoredEntry {
        time_us,
        kind: entry.kind,
        decision_id: uuid(&entry.decision_id),
        repeat_of: entry
            .details
            .get("repeat_of")
            .map_or_else(Vec::new, |id| uuid(id)),
        caller: entry.caller.clone(),
        caller_ip: entry.caller_ip.clone(),
        person: entry.person.clone(),
        roles: entry.roles.clone(),
        department: entry.department.clone(),
        further_departments: entry.further_departments.clone(),
        client_ip: entry.client_ip.clone(),
        amr: entry.amr.clone(),
        second_step_us: if entered {
            time_us.saturating_sub(age.saturating_mul(1_000_000))
        } else {
            0
        },
        network: entry.network.clone(),
        session: uuid(&entry.session),
        action: entry.action,
        system: entry.system.clone(),
        subject_kind: entry.subject_kind.clone(),
        subjects: entry
            .subject_pseudonyms
            .iter()
            .map(|subject| hex(subject))
            .collect(),
        categories: entry.categories.clone(),
        record_count: entry.record_count,
        purpose: entry.purpose.clone(),
        case_ref: entry.case_ref.clone(),
        consent: entry.consent,
        exception: entry.exception,
        recipient: entry.recipient.clone(),
        provision_route: entry.provision_route.clone(),
        basis_reference: entry.basis_reference.clone(),
        basis_reference_standing: entry.basis_reference_standing,
        case_ref_standing: entry.case_ref_standing,
        subject_request: entry.subject_request,
        consent_difficult: entry.consent_difficult,
        collected_via: entry.collected_via.clone(),
        origin_country: entry.origin_country.clone(),
        safeguard: entry.safeguard.clone(),
        recipient_own_purpose: entry.recipient_own_purpose,
        automated_decision: entry.automated_decision,
        allow_partial: entry.allow_partial,
        relation: entry.relation,
        decision: entry.decision,
        reasons: entry.reasons.iter().map(|code| reason(*code)).collect(),
        further_reasons: further
            .filter_map(|name| ReasonCode::ALL.iter().find(|code| code.name() == name))
            .map(|code| reason(code.number()))
            .collect(),
        policy_revision: hex(&entry.policy_revision),
        rule: entry.rule.clone(),
        break_glass: entry.break_glass,
        free_text: entry.break_glass_reason.clone(),
        ..StoredEntry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fields::tests::full;

    #[test]
    fn a_decision_that_was_read_reads_as_it_did() {
        let entry = Entry {
            decision_id: "0197a5b2-7c1e-7cc0-8a5e-3f0f6a0f2b11".into(),
            session: "0197a5b2-7c1e-7cc0-8a5e-3f0f6a0f2b12".into(),
            subject_pseudonyms: vec!["ab".repeat(32)],
            reasons: vec![ReasonCode::IpNotAllowed.number()],
            details: HashMap::from([(
                "further_reasons".to_owned(),
                "PURPOSE_MISSING, BULK_LIMIT_EXCEEDED".to_owned(),
            )]),
            // What is not told of a decision, or not by its stored form.
            request_id: String::new(),
            obligations: Vec::new(),
            records_accessed: 0,
            ..full()
        };
        let stored = decision_read(&entry);
        let hash: [u8; 32] = [0; 32];
        let again = reading(stored, LogIndex(entry.log_index), &hash, &entry.log);
        let expected = Entry {
            break_glass_reason: String::new(),
            leaf_hash: hash.to_vec(),
            ..entry
        };
        assert_eq!(again, expected);
    }
}
