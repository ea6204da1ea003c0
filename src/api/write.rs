//! From the domain, and from the stored form of an entry, to the wire.

use crate::domain::ids::{DecisionId, LogIndex};
use crate::domain::reason::ReasonCode;
use crate::domain::subject::Pseudonym;
use crate::gate::{Answer, ReadEntry};
use crate::proto;

/// An instant on the wire; `None` for 0, which stands for none.
pub(super) fn instant(micros: i64) -> Option<prost_types::Timestamp> {
    (micros != 0).then(|| prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0) * 1_000,
    })
}

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

fn reason(stored: &proto::StoredReason) -> proto::Reason {
    let code = ReasonCode::from_number(stored.code);
    proto::Reason {
        code: stored.code,
        message: code.map_or("", ReasonCode::message).to_owned(),
        message_ja: code.map_or("", ReasonCode::message_ja).to_owned(),
        about: stored.about.clone(),
    }
}

fn uuid_text(bytes: &[u8]) -> String {
    DecisionId::from_bytes(bytes).map_or_else(String::new, |id| id.to_string())
}

fn obligation(stored: &proto::StoredObligation) -> proto::Obligation {
    use proto::obligation::Kind;
    let kind = if !stored.mask.is_empty() {
        Some(Kind::Mask(proto::MaskCategories {
            categories: stored.mask.clone(),
        }))
    } else if !stored.provision_record_id.is_empty() {
        Some(Kind::ProvisionRecord(proto::ProvisionRecord {
            record_id: uuid_text(&stored.provision_record_id),
            keep_until: instant(stored.provision_keep_until_us),
        }))
    } else if stored.report_outcome_by_us != 0 {
        instant(stored.report_outcome_by_us).map(Kind::ReportOutcomeBy)
    } else if stored.notify_within_seconds != 0 {
        Some(Kind::NotifySubject(proto::NotifySubject {
            within: Some(seconds(stored.notify_within_seconds)),
        }))
    } else if !stored.exclude_held.is_empty() {
        Some(Kind::ExcludeHeld(proto::ExcludeHeldSubjects {
            holds: stored.exclude_held.clone(),
        }))
    } else {
        None
    };
    proto::Obligation {
        id: stored.id.clone(),
        kind,
    }
}

fn withheld_category(
    withheld: &proto::StoredWithheldCategory,
    categories: &[String],
) -> proto::WithheldCategory {
    let position = usize::try_from(withheld.index).unwrap_or(usize::MAX);
    let category = categories.get(position).cloned().unwrap_or_default();
    let reason = withheld.reason.as_ref().map(reason).map(|mut reason| {
        if reason.about.is_empty() {
            reason.about.clone_from(&category);
        }
        reason
    });
    proto::WithheldCategory { category, reason }
}

/// In the order of the request.
fn withheld_subjects(groups: &[proto::StoredWithheldSubjects]) -> Vec<proto::WithheldSubject> {
    let mut withheld: Vec<proto::WithheldSubject> = groups
        .iter()
        .flat_map(|group| {
            group.indexes.iter().map(|index| proto::WithheldSubject {
                index: *index,
                reason: group.reason.as_ref().map(reason),
            })
        })
        .collect();
    withheld.sort_unstable_by_key(|withheld| withheld.index);
    withheld
}

/// The answer to a check, read from its entry.
pub(super) fn check_response(answer: &Answer, log: &str) -> proto::CheckResponse {
    let entry = &answer.entry;
    proto::CheckResponse {
        decision: entry.decision,
        reasons: entry.reasons.iter().map(reason).collect(),
        obligations: entry.obligations.iter().map(obligation).collect(),
        decision_id: uuid_text(&entry.decision_id),
        log_index: answer.index.0,
        step_up: entry.step_up.as_ref().map(|step_up| proto::StepUp {
            max_age: Some(seconds(step_up.max_age_seconds)),
            amr: step_up.amr.clone(),
        }),
        policy_revision: data_encoding::HEXLOWER.encode(&entry.policy_revision),
        decided_at: instant(entry.time_us),
        valid_until: instant(entry.valid_until_us),
        log: log.to_owned(),
        withheld_categories: entry
            .withheld_categories
            .iter()
            .map(|withheld| withheld_category(withheld, &entry.categories))
            .collect(),
        withheld_subjects: withheld_subjects(&entry.withheld_subjects),
        renewed_ticket: answer
            .renewed_ticket
            .as_ref()
            .map_or_else(String::new, |ticket| ticket.expose().to_owned()),
    }
}

/// An entry as reviewers read it.
pub(super) fn entry(read: ReadEntry, log: &str) -> proto::Entry {
    let ReadEntry {
        index,
        entry: stored,
        leaf_hash,
        records_accessed,
        ..
    } = read;
    let second_step_age_seconds = match stored.second_step_us {
        0 => 0,
        at => u64::try_from(stored.time_us.saturating_sub(at) / 1_000_000).unwrap_or(0),
    };
    let mut details: std::collections::HashMap<String, String> = stored
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
    proto::Entry {
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
        break_glass_reason: stored.free_text,
        records_accessed: records_accessed.unwrap_or(stored.records_accessed),
        relation: stored.relation,
        details,
        leaf_hash: leaf_hash.to_vec(),
    }
}

/// A position as a page token.
pub(super) fn page_token(at: LogIndex) -> String {
    format!("from-{}", at.0)
}
