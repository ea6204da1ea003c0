//! What came of an allowed access: reported once, by the service that asked.

use super::counters::Charge;
use super::peer::Peer;
use super::{Gate, GateError, Violation, entry};
use crate::domain::access::SubjectRef;
use crate::domain::ids::{DecisionId, LogIndex};
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::proto::{
    Decision, EntryKind, StoredChange, StoredCharge, StoredEntry, StoredOutcome, stored_change,
};

/// A report.
#[derive(Debug)]
pub struct OutcomeReport {
    /// Of which decision.
    pub decision: DecisionId,
    /// How many people's records were really read.
    pub records_accessed: u64,
    /// Ids of obligations that were carried out.
    pub fulfilled: Vec<String>,
    /// The access did not happen after all.
    pub abandoned: bool,
    /// Whose data were read.
    pub subjects: Vec<SubjectRef>,
}

impl Gate {
    /// Takes a report. What was read beyond the decision is charged to the person's counts; nothing is given back.
    ///
    /// # Errors
    /// When there is no such allowance of this service, or it was reported already.
    pub async fn report_outcome(
        &self,
        peer: &Peer,
        report: OutcomeReport,
    ) -> Result<LogIndex, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self
            .caller_at_home(&rules, peer, "ReportOutcome", now)
            .await?;
        let found = self.find_decision(report.decision).await?;
        let decision = match found {
            Some((_, decision)) if decision.caller == caller.id => decision,
            _ => {
                let entry = entry::event(EntryKind::RefusedCall, now, &caller, peer);
                let error = GateError::NotFound("this service has no decision of this id");
                return Err(self.refused_entry(entry, "ReportOutcome", error).await);
            }
        };
        let mut violations = Vec::new();
        if decision.decision != i32::from(Decision::Allow) {
            violations.push(Violation::new(
                "decision_id",
                "was a denial: nothing came of it",
            ));
        }
        if report.abandoned && (report.records_accessed > 0 || !report.subjects.is_empty()) {
            violations.push(Violation::new(
                "abandoned",
                "contradicts records_accessed or subject_refs",
            ));
        }
        for (position, id) in report.fulfilled.iter().enumerate() {
            if !decision
                .obligations
                .iter()
                .any(|obligation| obligation.id == *id)
            {
                violations.push(Violation::new(
                    format!("fulfilled_obligations[{position}]"),
                    "is no obligation of this decision",
                ));
            }
        }
        if !violations.is_empty() {
            return Err(self
                .malformed_of(peer, &caller, "ReportOutcome", violations, now)
                .await);
        }
        let pseudonyms: Vec<Pseudonym> = report
            .subjects
            .iter()
            .map(|subject| self.keyring.pseudonyms.pseudonym(subject))
            .collect();
        let beyond = beyond(&decision, report.records_accessed, &pseudonyms);
        let charges: Vec<Charge> = decision
            .charges
            .iter()
            .filter(|_| beyond > 0)
            .map(|charge| Charge {
                limit: charge.limit.as_str().into(),
                unnamed: beyond,
                named: Vec::new(),
            })
            .collect();
        let mut entry = entry::event(EntryKind::Outcome, now, &caller, peer);
        entry.decision_id = report.decision.to_bytes();
        entry.person.clone_from(&decision.person);
        entry.department.clone_from(&decision.department);
        entry.roles.clone_from(&decision.roles);
        entry.action = decision.action;
        entry.system.clone_from(&decision.system);
        entry.subject_kind.clone_from(&decision.subject_kind);
        entry.categories.clone_from(&decision.categories);
        entry.purpose.clone_from(&decision.purpose);
        entry.subjects = pseudonyms
            .iter()
            .map(|subject| subject.0.to_vec())
            .collect();
        entry.record_count = decision.record_count;
        entry.records_accessed = report.records_accessed;
        entry.abandoned = report.abandoned;
        entry.fulfilled_obligations = report.fulfilled;
        entry.charges = charges
            .iter()
            .map(|charge| StoredCharge {
                limit: charge.limit.to_string(),
                unnamed: charge.unnamed,
                named: Vec::new(),
            })
            .collect();
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::Outcome(StoredOutcome {
                decision_id: report.decision.to_bytes(),
            })),
        });
        let not_yet = async |gate: &Self| match gate.store.outcome_of(report.decision).await? {
            Some(_) => Err(GateError::AlreadyReported),
            None => Ok(()),
        };
        let receipt = self
            .change(entry, not_yet, |gate, ()| {
                gate.counters.add(&decision.person, &charges, now);
            })
            .await?;
        Ok(receipt.index())
    }
}

/// How many people's records were read beyond those decided.
fn beyond(decision: &StoredEntry, records_accessed: u64, subjects: &[Pseudonym]) -> u64 {
    let withheld = &decision.withheld_subjects;
    let decided: Vec<&[u8]> = (0_u32..)
        .zip(&decision.subjects)
        .filter(|(position, _)| withheld.iter().all(|one| one.index != *position))
        .map(|(_, subject)| subject.as_slice())
        .collect();
    // As it was charged: records of people who were withheld were not to be read.
    let records = decision.record_count.saturating_sub(count(withheld));
    let decided = people(decided).max(records).max(1);
    let read = records_accessed.max(people(subjects.to_vec()));
    read.saturating_sub(decided)
}

fn count<T>(all: &[T]) -> u64 {
    u64::try_from(all.len()).unwrap_or(u64::MAX)
}

/// How many different ones there are.
fn people<T: Ord>(mut subjects: Vec<T>) -> u64 {
    subjects.sort_unstable();
    subjects.dedup();
    count(&subjects)
}

/// Counts again what an entry says was counted.
pub(super) fn recount(counters: &super::counters::Counters, entry: &StoredEntry) {
    if entry.charges.is_empty() || entry.person.is_empty() {
        return;
    }
    let charges: Vec<Charge> = entry
        .charges
        .iter()
        .map(|charge| Charge {
            limit: charge.limit.as_str().into(),
            unnamed: charge.unnamed,
            named: charge
                .named
                .iter()
                .filter_map(|position| entry.subjects.get(usize::try_from(*position).ok()?))
                .filter_map(|subject| Pseudonym::from_bytes(subject))
                .collect(),
        })
        .collect();
    counters.add(
        &entry.person,
        &charges,
        Timestamp::from_micros(entry.time_us),
    );
}
