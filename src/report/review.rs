//! What a campaign of review is signed with: its content, whose digest the signature has, and what is told of it. `review_text` writes
//! it as a page, as CSV and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::SystemRow;
use crate::domain::time::Timestamp;
use crate::proto::{ReviewPopulation, StoredReview, StoredReviewItem};
use crate::review::campaign::{CampaignKind, ItemState, Pace, pace};
use crate::review::sample::needed;

/// A report.
#[derive(Debug, Clone)]
pub struct ReviewReport {
    /// What the pack is called, in English and in Japanese.
    pub titles: (String, String),
    /// When it was made.
    pub made_at: Timestamp,
    /// The systems that hold personal data, as the pack in force has them.
    pub systems: Vec<SystemRow>,
    /// What is signed.
    pub content: ReviewContent,
    /// By whom; `None` while it is not.
    pub signature: Option<ReviewSignature>,
}

/// What a signature is of: all that a campaign came to. Nothing in it changes once every item is judged.
#[derive(Debug, Clone)]
pub struct ReviewContent {
    /// The campaign's number.
    pub review: u64,
    /// The name of the log.
    pub log: String,
    /// Its scope.
    pub opened: StoredReview,
    /// By number.
    pub items: Vec<ReportedItem>,
}

/// One item.
#[derive(Debug, Clone)]
pub struct ReportedItem {
    /// As it was opened.
    pub item: StoredReviewItem,
    /// Where it stands.
    pub state: ItemState,
    /// Who looks at it; empty for nobody.
    pub reviewer: String,
    /// It went up to them.
    pub escalated: bool,
    /// What was asked.
    pub question: Option<Said>,
    /// What was answered.
    pub answer: Option<Said>,
    /// What was judged, and why.
    pub judgement: Option<Said>,
}

/// What somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its entry.
    pub index: u64,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewSignature {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Its entry.
    pub index: u64,
    /// Of the content as it was signed.
    pub digest: [u8; 32],
}

/// One population, over all its strata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Total {
    pub(super) population: u32,
    pub(super) drawn: u32,
}

impl Total {
    pub(super) fn of(populations: &[ReviewPopulation], workloads: bool) -> Self {
        let of = populations.iter();
        let of = of.filter(|stratum| stratum.workloads == workloads);
        of.fold(Self::default(), |sum, stratum| Self {
            population: sum.population.saturating_add(stratum.population),
            drawn: sum.drawn.saturating_add(stratum.drawn),
        })
    }
}

impl ReviewContent {
    /// SHA-256 of the content as JSON: keys in order, no white space. `jq -cjS .content report.json | sha256sum` tells the same.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.json().to_string()).into()
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let opened = &self.opened;
        let at = |micros: i64| Timestamp::from_micros(micros).to_string();
        sorted(json!({
            "review": self.review,
            "kind": if self.is_of_roles() { "entitlement" } else { "access" },
            "schedule": opened.schedule,
            "fromDay": opened.from_day,
            "untilDay": opened.until_day,
            "departments": opened.departments,
            "utcOffsetSeconds": opened.utc_offset_seconds,
            "log": self.log,
            "logSize": opened.log_size,
            "rootHash": data_encoding::HEXLOWER.encode(&opened.root),
            "checkpoint": opened.checkpoint,
            "openedBy": opened.by,
            "openedAt": at(opened.opened_us),
            "dueAt": at(opened.due_us),
            "decisions": opened.decisions,
            "confidencePercent": opened.confidence_percent,
            "ratePercent": opened.rate_percent,
            "needed": needed(opened.confidence_percent, opened.rate_percent),
            "populations": opened.populations.iter().map(|stratum| json!({
                "of": if stratum.workloads { "workload" } else { "person" },
                "stratum": stratum.stratum,
                "population": stratum.population,
                "drawn": stratum.drawn,
            })).collect::<Vec<_>>(),
            "items": self.items.iter().map(ReportedItem::json).collect::<Vec<_>>(),
            "pace": self.paces().iter().map(|(who, pace)| json!({
                "reviewer": who,
                "items": pace.items,
                "decisions": pace.decisions,
                "tooFast": pace.too_fast,
                "mostInAMinute": pace.most_in_a_minute,
            })).collect::<Vec<_>>(),
        }))
    }

    pub(super) fn is_of_roles(&self) -> bool {
        self.opened.kind == CampaignKind::Entitlement.number()
    }

    /// How fast each judged, by who.
    pub(super) fn paces(&self) -> Vec<(String, Pace)> {
        let mut decisions: BTreeMap<&str, BTreeMap<u64, (i64, u32)>> = BTreeMap::new();
        for said in self.items.iter().filter_map(|item| item.judgement.as_ref()) {
            let of = decisions.entry(&said.by).or_default();
            let (_, items) = of.entry(said.index).or_insert((said.at.micros(), 0));
            *items = items.saturating_add(1);
        }
        decisions
            .into_iter()
            .map(|(who, of)| {
                let of: Vec<(i64, u32)> = of.into_values().collect();
                (who.to_owned(), pace(&of))
            })
            .collect()
    }

    /// How many items are in a state.
    pub(super) fn count(&self, state: ItemState) -> usize {
        self.items.iter().filter(|item| item.state == state).count()
    }
}

impl Said {
    fn json(&self) -> Value {
        json!({
            "logIndex": self.index,
            "by": self.by,
            "at": self.at.to_string(),
            "text": self.text,
        })
    }
}

impl ReportedItem {
    /// Words of the detectors that found something.
    pub(super) fn detectors(&self) -> Vec<&str> {
        let findings = self.item.case.iter().flat_map(|case| &case.findings);
        findings.map(|finding| &*finding.detector).collect()
    }

    fn json(&self) -> Value {
        let case = self.item.case.clone().unwrap_or_default();
        let said = |said: &Option<Said>| said.as_ref().map(Said::json);
        let mut value = json!({
            "item": self.item.item,
            "person": case.person,
            "workload": case.workload,
            "department": case.department,
            "day": case.day,
            "sampled": self.item.sampled,
            "findings": case.findings.iter().map(|finding| json!({
                "detector": finding.detector,
                "facts": finding.facts.iter().map(|fact| json!({
                    "name": fact.name, "value": fact.value,
                })).collect::<Vec<_>>(),
                "logIndexes": finding.log_indexes,
                "entries": finding.entries,
            })).collect::<Vec<_>>(),
            "reviewer": self.reviewer,
            "escalated": self.escalated,
            "state": self.state.word(),
            "question": said(&self.question),
            "answer": said(&self.answer),
            "judgement": said(&self.judgement),
        });
        if let (Some(role), Some(fields)) = (&self.item.entitlement, value.as_object_mut()) {
            let at = |micros: Option<i64>| {
                micros.map(|micros| Timestamp::from_micros(micros).to_string())
            };
            fields.insert(
                "entitlement".to_owned(),
                json!({
                    "role": role.role,
                    "approvedBy": role.approved_by,
                    "request": role.request,
                    "lastUse": at(role.last_use_us),
                    "lastUseLogIndex": role.last_use_index,
                    "validUntil": at(role.valid_until_us),
                    "employmentEnd": at(role.employment_end_us),
                    "disabled": role.disabled,
                    "disabledAt": at(role.disabled_us),
                }),
            );
        }
        value
    }
}

/// With the keys of every object in order, whatever map they come in.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<String, Value> = fields.into_iter().collect();
            let fields = fields.into_iter();
            Value::Object(fields.map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}
