//! From the domain, and from the stored form of an entry, to the wire.

use crate::domain::ids::LogIndex;
use crate::domain::reason::ReasonCode;
pub(super) use crate::export::instant;
use crate::export::{reading, uuid_text};
use crate::gate::{Answer, ReadEntry};
use crate::proto;

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

pub(super) fn reason(stored: &proto::StoredReason) -> proto::Reason {
    let code = ReasonCode::from_number(stored.code);
    proto::Reason {
        code: stored.code,
        message: code.map_or("", ReasonCode::message).to_owned(),
        message_ja: code.map_or("", ReasonCode::message_ja).to_owned(),
        about: stored.about.clone(),
    }
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
    let mut opened = read.entry;
    let reason = std::mem::take(&mut opened.free_text);
    let mut entry = reading(opened, read.index, &read.leaf_hash, log);
    entry.break_glass_reason = reason;
    if let Some(records) = read.records_accessed {
        entry.records_accessed = records;
    }
    entry
}

/// A position as a page token.
pub(super) fn page_token(at: LogIndex) -> String {
    format!("from-{}", at.0)
}
