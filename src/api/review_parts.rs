//! Campaigns, items and questions on the wire.

use super::write::instant;
use crate::domain::time::Timestamp;
use crate::gate::{ItemSeen, Question, ReviewSeen, Text};
use crate::proto::{
    self, Case, DrawnDay, MyQuestion, Review, ReviewEntitlement, ReviewItem, StoredEntitlement,
};
use crate::report::Language;
use crate::review::finding::Detector;
use crate::review::sample::{Drawn, Sort};
use crate::review::sentence;

fn at(at: Timestamp) -> Option<prost_types::Timestamp> {
    instant(at.micros())
}

pub(super) fn review(seen: ReviewSeen) -> Review {
    let opened = seen.kept.opened;
    let (signed_by, signed_at) = match seen.signed {
        Some((by, when)) => (by, at(when)),
        None => (String::new(), None),
    };
    let signed = seen.kept.signed;
    Review {
        review: seen.kept.id.0,
        kind: opened.kind,
        schedule: opened.schedule,
        from_day: opened.from_day,
        until_day: opened.until_day,
        departments: opened.departments,
        log_size: opened.log_size,
        root_hash: data_encoding::HEXLOWER.encode(&opened.root),
        opened_by: opened.by,
        opened_at: instant(opened.opened_us),
        due_at: instant(opened.due_us),
        items: opened.items,
        open_items: seen.kept.open_items,
        overdue: seen.overdue,
        decisions: opened.decisions,
        populations: opened.populations,
        confidence_percent: opened.confidence_percent,
        rate_percent: opened.rate_percent,
        signed_by,
        signed_at,
        signed_log_index: signed.map_or(0, |(index, _)| index.0),
        report_digest: signed.map_or_else(String::new, |(_, digest)| {
            data_encoding::HEXLOWER.encode(&digest)
        }),
    }
}

/// With what each finding says.
fn spoken(mut case: Case) -> Case {
    for finding in &mut case.findings {
        let Some(detector) = Detector::parse(&finding.detector) else {
            continue;
        };
        let facts = finding.facts.iter();
        let facts: Vec<(&str, &str)> = facts.map(|fact| (&*fact.name, &*fact.value)).collect();
        let (english, japanese) = (
            sentence(detector, &facts, Language::English),
            sentence(detector, &facts, Language::Japanese),
        );
        finding.sentence = english;
        finding.sentence_ja = japanese;
    }
    case
}

fn entitlement(stored: StoredEntitlement) -> ReviewEntitlement {
    ReviewEntitlement {
        role: stored.role,
        approved_by: stored.approved_by,
        request: stored.request,
        last_use: stored.last_use_us.and_then(instant),
        last_use_log_index: stored.last_use_index,
        valid_until: stored.valid_until_us.and_then(instant),
        employment_end: stored.employment_end_us.and_then(instant),
        disabled: stored.disabled,
        disabled_at: stored.disabled_us.and_then(instant),
    }
}

pub(super) fn item(seen: ItemSeen) -> ReviewItem {
    let kept = seen.kept;
    let text = |said: &Option<Text>| {
        said.as_ref()
            .map_or_else(String::new, |said| said.text.clone())
    };
    let index = |index: Option<crate::domain::ids::LogIndex>| index.map_or(0, |index| index.0);
    ReviewItem {
        review: kept.review.0,
        item: kept.item.item,
        state: kept.state.number(),
        case: kept.item.case.map(spoken),
        sampled: kept.item.sampled,
        reviewer: kept.reviewer.map_or_else(String::new, String::from),
        escalated: kept.escalated,
        entitlement: kept.item.entitlement.map(entitlement),
        question: text(&seen.question),
        question_log_index: index(kept.question),
        answer: text(&seen.answer),
        answer_log_index: index(kept.answer),
        judged_by: seen
            .judgement
            .as_ref()
            .map_or_else(String::new, |said| said.by.clone()),
        why: text(&seen.judgement),
        judgement_log_index: index(kept.judgement),
        judged_at: seen.judgement.as_ref().and_then(|said| at(said.at)),
        due_at: at(seen.due),
        overdue: seen.overdue,
    }
}

pub(super) fn question(asked: Question) -> MyQuestion {
    let item = asked.kept.item;
    MyQuestion {
        review: asked.kept.review.0,
        item: item.item,
        question_log_index: asked.question.index.0,
        question: asked.question.text,
        asked_at: at(asked.question.at),
        day: item.case.map_or_else(String::new, |case| case.day),
        role: item.entitlement.map_or_else(String::new, |role| role.role),
    }
}

pub(super) fn redrawn((sort, drawn): (Sort, Drawn)) -> DrawnDay {
    proto::DrawnDay {
        workload: sort == Sort::Workload,
        stratum: drawn.stratum.into(),
        actor: drawn.actor.into(),
        day: drawn.day.to_string(),
    }
}
