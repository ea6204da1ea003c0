//! Campaigns and their items at a terminal, or as JSON with the names that grpcurl shows.

use serde_json::{Value, json};

use super::sessions::time;
use super::table::{Cell, Column, Tone, drawn};
use super::words::{Language, Word};
use crate::proto::{
    MyQuestion, RedrawSampleResponse, Review, ReviewItem, ReviewItemState, ReviewKind,
    ReviewPopulation,
};

fn kind(review: &Review) -> ReviewKind {
    ReviewKind::try_from(review.kind).unwrap_or_default()
}

/// As filters and entries have it.
fn state(item: &ReviewItem) -> String {
    let state = ReviewItemState::try_from(item.state).unwrap_or_default();
    let name = state.as_str_name();
    let word = name.strip_prefix("REVIEW_ITEM_STATE_").unwrap_or(name);
    word.to_ascii_lowercase().replace('_', "-")
}

fn population(stratum: &ReviewPopulation) -> Value {
    json!({
        "workloads": stratum.workloads,
        "stratum": stratum.stratum,
        "population": stratum.population,
        "drawn": stratum.drawn,
    })
}

pub(super) fn review_json(review: &Review) -> Value {
    json!({
        "review": review.review.to_string(),
        "kind": kind(review).as_str_name(),
        "schedule": review.schedule,
        "fromDay": review.from_day,
        "untilDay": review.until_day,
        "departments": review.departments,
        "logSize": review.log_size.to_string(),
        "rootHash": review.root_hash,
        "openedBy": review.opened_by,
        "openedAt": time(review.opened_at.as_ref()),
        "dueAt": time(review.due_at.as_ref()),
        "items": review.items,
        "openItems": review.open_items,
        "overdue": review.overdue,
        "decisions": review.decisions.to_string(),
        "populations": review.populations.iter().map(population).collect::<Vec<_>>(),
        "confidencePercent": review.confidence_percent,
        "ratePercent": review.rate_percent,
        "signedBy": review.signed_by,
        "signedAt": time(review.signed_at.as_ref()),
        "signedLogIndex": review.signed_log_index.to_string(),
        "reportDigest": review.report_digest,
    })
}

pub(super) fn reviews(reviews: &[Review], language: Language) -> Vec<String> {
    let column = |head, least| Column::of(head, least, language);
    let columns = [
        column(Word::ReviewHeadNumber, 6),
        column(Word::ReviewHeadKind, 5),
        column(Word::ReviewHeadDays, 10),
        column(Word::ReviewHeadItems, 5),
        column(Word::ReviewHeadOpen, 5),
        column(Word::ReviewHeadDue, 10),
        column(Word::ReviewHeadSigned, 6),
    ];
    let rows: Vec<Vec<Cell>> = reviews
        .iter()
        .map(|review| {
            let tone = if review.overdue {
                Tone::Warning
            } else {
                Tone::Plain
            };
            let plain = |text: &str| Cell::new(text, Tone::Plain);
            let due = time(review.due_at.as_ref()).unwrap_or_default();
            vec![
                plain(&review.review.to_string()),
                plain(kind_words(review, language)),
                plain(&format!("{}/{}", review.from_day, review.until_day)),
                plain(&review.items.to_string()),
                plain(&review.open_items.to_string()),
                Cell::new(&due, tone),
                plain(&review.signed_by),
            ]
        })
        .collect();
    drawn(&columns, &rows)
}

fn kind_words(review: &Review, language: Language) -> &'static str {
    match kind(review) {
        ReviewKind::Entitlement => Word::ReviewKindRoles.text(language),
        ReviewKind::Access | ReviewKind::Unspecified => Word::ReviewKindAccess.text(language),
    }
}

fn fill(word: Word, language: Language, values: &[String]) -> String {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    word.fill(language, &values)
}

fn strata(populations: &[ReviewPopulation], language: Language) -> impl Iterator<Item = String> {
    populations.iter().map(move |stratum| {
        let values = [
            stratum.stratum.clone(),
            stratum.drawn.to_string(),
            stratum.population.to_string(),
        ];
        format!("  {}", fill(Word::ReviewStratum, language, &values))
    })
}

pub(super) fn review(review: &Review, language: Language) -> Vec<String> {
    let mut lines = vec![format!(
        "{} {}",
        review.review,
        kind_words(review, language)
    )];
    let scope = [
        review.from_day.clone(),
        review.until_day.clone(),
        review.decisions.to_string(),
        review.log_size.to_string(),
        review.root_hash.clone(),
    ];
    lines.push(fill(Word::ReviewScope, language, &scope));
    if !review.departments.is_empty() {
        lines.push(review.departments.join(", "));
    }
    let stands = [
        review.items.to_string(),
        review.open_items.to_string(),
        review.opened_by.clone(),
        time(review.due_at.as_ref()).unwrap_or_default(),
    ];
    lines.push(fill(Word::ReviewStands, language, &stands));
    lines.extend(strata(&review.populations, language));
    if review.overdue {
        lines.push(Word::ReviewIsOverdue.text(language).to_owned());
    }
    lines.push(if review.signed_by.is_empty() {
        Word::ReviewDraft.text(language).to_owned()
    } else {
        let signed = [
            review.signed_by.clone(),
            time(review.signed_at.as_ref()).unwrap_or_default(),
            review.signed_log_index.to_string(),
            review.report_digest.clone(),
        ];
        fill(Word::ReviewSignedBy, language, &signed)
    });
    lines
}

pub(super) fn item_json(item: &ReviewItem) -> Value {
    let case = item.case.clone().unwrap_or_default();
    json!({
        "review": item.review.to_string(),
        "item": item.item,
        "state": state(item),
        "person": case.person,
        "workload": case.workload,
        "department": case.department,
        "day": case.day,
        "findings": case.findings.iter().map(|finding| json!({
            "detector": finding.detector,
            "sentence": finding.sentence,
            "sentenceJa": finding.sentence_ja,
            "logIndexes": finding.log_indexes.iter().map(u64::to_string).collect::<Vec<_>>(),
            "entries": finding.entries.to_string(),
        })).collect::<Vec<_>>(),
        "sampled": item.sampled,
        "reviewer": item.reviewer,
        "escalated": item.escalated,
        "entitlement": item.entitlement.as_ref().map(|role| json!({
            "role": role.role,
            "approvedBy": role.approved_by,
            "request": role.request,
            "lastUse": time(role.last_use.as_ref()),
            "validUntil": time(role.valid_until.as_ref()),
            "employmentEnd": time(role.employment_end.as_ref()),
            "disabled": role.disabled,
            "disabledAt": time(role.disabled_at.as_ref()),
        })),
        "question": item.question,
        "questionLogIndex": item.question_log_index.to_string(),
        "answer": item.answer,
        "answerLogIndex": item.answer_log_index.to_string(),
        "judgedBy": item.judged_by,
        "judgedAt": time(item.judged_at.as_ref()),
        "why": item.why,
        "judgementLogIndex": item.judgement_log_index.to_string(),
        "dueAt": time(item.due_at.as_ref()),
        "overdue": item.overdue,
    })
}

/// What stood out, or the role, in short.
fn what(item: &ReviewItem, language: Language) -> String {
    if let Some(role) = &item.entitlement {
        return role.role.clone();
    }
    let findings = item.case.iter().flat_map(|case| &case.findings);
    let words: Vec<&str> = findings.map(|finding| &*finding.detector).collect();
    if words.is_empty() {
        Word::ReviewDrawn.text(language).to_owned()
    } else {
        words.join(", ")
    }
}

fn whose(item: &ReviewItem) -> String {
    let case = item.case.clone().unwrap_or_default();
    if case.person.is_empty() {
        case.workload
    } else {
        case.person
    }
}

pub(super) fn items(items: &[ReviewItem], language: Language) -> Vec<String> {
    let column = |head, least| Column::of(head, least, language);
    let columns = [
        column(Word::ReviewHeadNumber, 4),
        column(Word::ReviewHeadState, 6),
        column(Word::ReviewHeadWhose, 8),
        column(Word::ReviewHeadDay, 10),
        column(Word::ReviewHeadReviewer, 8),
        column(Word::ReviewHeadWhat, 12),
    ];
    let rows: Vec<Vec<Cell>> = items
        .iter()
        .map(|item| {
            let plain = |text: &str| Cell::new(text, Tone::Plain);
            let state = state(item);
            let tone = match ReviewItemState::try_from(item.state) {
                Ok(ReviewItemState::Misuse) => Tone::Bad,
                Ok(ReviewItemState::Justified | ReviewItemState::Keep) => Tone::Good,
                _ if item.overdue => Tone::Warning,
                _ => Tone::Plain,
            };
            let day = item.case.as_ref().map_or("", |case| &*case.day);
            vec![
                plain(&item.item.to_string()),
                Cell::new(&state, tone),
                plain(&whose(item)),
                plain(day),
                plain(&item.reviewer),
                plain(&what(item, language)),
            ]
        })
        .collect();
    drawn(&columns, &rows)
}

pub(super) fn item(item: &ReviewItem, language: Language) -> Vec<String> {
    let case = item.case.clone().unwrap_or_default();
    let mut lines = vec![format!(
        "{}/{} {} {} {} {}",
        item.review,
        item.item,
        state(item),
        whose(item),
        case.department,
        case.day
    )];
    for finding in &case.findings {
        lines.push(format!(
            "{}: {}",
            finding.detector,
            match language {
                Language::English => &finding.sentence,
                Language::Japanese => &finding.sentence_ja,
            }
        ));
        let indexes = finding.log_indexes.iter();
        let indexes: Vec<String> = indexes.map(ToString::to_string).collect();
        let entries = [indexes.join(", "), finding.entries.to_string()];
        lines.push(fill(Word::ReviewLabelEntries, language, &entries));
    }
    if item.sampled {
        lines.push(Word::ReviewDrawn.text(language).to_owned());
    }
    if let Some(role) = &item.entitlement {
        let values = [
            role.role.clone(),
            role.approved_by.clone(),
            role.request.clone(),
        ];
        lines.push(fill(Word::ReviewLabelRole, language, &values));
        let last = time(role.last_use.as_ref()).unwrap_or_else(|| "-".to_owned());
        lines.push(fill(Word::ReviewLabelLastUse, language, &[last]));
        if role.disabled || role.employment_end.is_some() {
            let values = [
                time(role.employment_end.as_ref()).unwrap_or_else(|| "-".to_owned()),
                role.disabled.to_string(),
                time(role.disabled_at.as_ref()).unwrap_or_default(),
            ];
            lines.push(fill(Word::ReviewLabelLeaver, language, &values));
        }
    }
    lines.push(if item.reviewer.is_empty() {
        Word::ReviewNobody.text(language).to_owned()
    } else {
        Word::ReviewLabelReviewer.fill(language, &[&item.reviewer])
    });
    for (word, index, text) in [
        (
            Word::ReviewLabelQuestion,
            item.question_log_index,
            &item.question,
        ),
        (Word::ReviewLabelAnswer, item.answer_log_index, &item.answer),
    ] {
        if index > 0 {
            lines.push(fill(word, language, &[index.to_string(), text.clone()]));
        }
    }
    if item.judgement_log_index > 0 {
        let values = [
            item.judged_by.clone(),
            time(item.judged_at.as_ref()).unwrap_or_default(),
            item.judgement_log_index.to_string(),
            item.why.clone(),
        ];
        lines.push(fill(Word::ReviewLabelJudged, language, &values));
    }
    lines
}

pub(super) fn question_json(question: &MyQuestion) -> Value {
    json!({
        "review": question.review.to_string(),
        "item": question.item,
        "questionLogIndex": question.question_log_index.to_string(),
        "question": question.question,
        "askedAt": time(question.asked_at.as_ref()),
        "day": question.day,
        "role": question.role,
    })
}

pub(super) fn question(question: &MyQuestion, language: Language) -> String {
    let about = if question.role.is_empty() {
        question.day.clone()
    } else {
        question.role.clone()
    };
    let values = [
        question.review.to_string(),
        question.item.to_string(),
        about,
        question.question_log_index.to_string(),
        question.question.clone(),
    ];
    fill(Word::ReviewQuestionOf, language, &values)
}

pub(super) fn redrawn_json(drawn: &RedrawSampleResponse) -> Value {
    json!({
        "logSize": drawn.log_size.to_string(),
        "rootHash": drawn.root_hash,
        "populations": drawn.populations.iter().map(population).collect::<Vec<_>>(),
        "drawn": drawn.drawn.iter().map(|one| json!({
            "workload": one.workload,
            "stratum": one.stratum,
            "actor": one.actor,
            "day": one.day,
        })).collect::<Vec<_>>(),
        "same": drawn.same,
        "difference": drawn.difference,
    })
}

pub(super) fn redrawn(drawn: &RedrawSampleResponse, language: Language) -> Vec<String> {
    let mut lines: Vec<String> = strata(&drawn.populations, language).collect();
    lines.extend(
        drawn
            .drawn
            .iter()
            .map(|one| format!("  {} {} {}", one.stratum, one.actor, one.day)),
    );
    lines.push(if drawn.same {
        let values = [
            drawn.drawn.len().to_string(),
            drawn.root_hash.clone(),
            drawn.log_size.to_string(),
        ];
        fill(Word::ReviewSame, language, &values)
    } else {
        Word::ReviewNotSame.fill(language, &[&drawn.difference])
    });
    lines
}
