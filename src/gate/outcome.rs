//! What came of an allowed access: reported once, by the service that asked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::changes::StillWanted;
use super::counters::{Charge, Counters, Way};
use super::peer::Peer;
use super::provisions::follow::allowed_people;
use super::{Gate, GateError, Violation, entry};
use crate::decision::rules::Limit;
use crate::domain::access::{Action, SubjectRef};
use crate::domain::ids::{DecisionId, LogIndex};
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::log::AppendError;
use crate::proto::{
    Decision, EntryKind, StoredChange, StoredCharge, StoredEntry, StoredOutcome, StoredRecord,
    StoredRecordKind, stored_change,
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
        self: &Arc<Self>,
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
                let error = GateError::NotFound("this service has no decision of this id");
                return Err(self
                    .refuse_call(peer, &caller, "ReportOutcome", error, now)
                    .await);
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
        let pseudonyms: Vec<Pseudonym> = report
            .subjects
            .iter()
            .map(|subject| self.keyring.pseudonyms.pseudonym(subject))
            .collect();
        violations.extend(unrecorded(&decision, &report, &pseudonyms));
        if !violations.is_empty() {
            let error = GateError::Malformed(violations);
            return Err(self
                .refuse_call(peer, &caller, "ReportOutcome", error, now)
                .await);
        }
        let charges = beyond(
            &rules.limits,
            &decision,
            report.records_accessed,
            &pseudonyms,
        );
        let mut entry = entry::event(EntryKind::Outcome, now, &caller, peer);
        entry.decision_id = report.decision.to_bytes();
        entry.person.clone_from(&decision.person);
        entry.department.clone_from(&decision.department);
        entry
            .further_departments
            .clone_from(&decision.further_departments);
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
        entry.record = decision
            .record
            .as_ref()
            .map(|record| closed(record, &report.subjects));
        if entry.record.is_some() {
            let decided: HashSet<Pseudonym> = allowed_people(&decision).into_iter().collect();
            let different: HashSet<&Pseudonym> = pseudonyms.iter().collect();
            let undecided = different.iter().filter(|one| !decided.contains(**one));
            // It is recorded, since it happened; nobody asked whether it may.
            match undecided.count() {
                0 => {}
                count => entry::detail(&mut entry, "people_undecided", count.to_string()),
            }
        }
        entry.charges = charges
            .iter()
            .map(|charge| stored_charge(charge, &pseudonyms))
            .collect();
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::Outcome(StoredOutcome {
                decision_id: report.decision.to_bytes(),
            })),
        });
        let (kept, revision) = (entry.clone(), rules.revision);
        let still = NotYetReported(report.decision);
        let changed = self
            .change_all(vec![entry], still, move |gate, receipts| {
                gate.counters.add(&kept.person, &charges, now);
                gate.count_for_coming(&revision, &kept, receipts.first().index());
            })
            .await;
        match changed {
            Err(error @ GateError::Log(AppendError::TooLarge { .. })) => Err(self
                .refuse_call(peer, &caller, "ReportOutcome", error, now)
                .await),
            changed => Ok(changed?.first().index()),
        }
    }
}

/// What a report must say for the record of the provision that it closes: whose data were really provided.
fn unrecorded(
    decision: &StoredEntry,
    report: &OutcomeReport,
    reported: &[Pseudonym],
) -> Option<Violation> {
    if decision.record.is_none() || report.abandoned {
        return None;
    }
    let people = |people: &[Pseudonym]| {
        let different: HashSet<&Pseudonym> = people.iter().collect();
        u64::try_from(different.len()).unwrap_or(u64::MAX)
    };
    let (named, allowed) = (people(reported), people(&allowed_people(decision)));
    let all_are_known = match named {
        0 => report.records_accessed == allowed,
        named => report.records_accessed <= named,
    };
    (!all_are_known).then(|| {
        let what = format!(
            "must name all whose data were provided: the record of provision is of {allowed} people, records_accessed is {}",
            report.records_accessed
        );
        Violation::new("subject_refs", what)
    })
}

/// What the report of the outcome is for the record.
fn closed(record: &StoredRecord, people: &[SubjectRef]) -> StoredRecord {
    let mut told = HashSet::new();
    StoredRecord {
        record_id: record.record_id.clone(),
        kind: StoredRecordKind::Outcome.into(),
        years: record.years,
        keep_until_us: record.keep_until_us,
        subject_refs: people
            .iter()
            .map(SubjectRef::expose)
            .filter(|id| told.insert(*id))
            .map(str::to_owned)
            .collect(),
        ..StoredRecord::default()
    }
}

struct NotYetReported(DecisionId);

impl StillWanted for NotYetReported {
    /// A decision is reported on to the daemon whose it is.
    const BY_WHAT_OTHERS_CHANGE: bool = false;

    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        match gate.store.outcome_of(self.0).await? {
            Some(_) => Err(GateError::AlreadyReported),
            None => Ok(()),
        }
    }
}

/// What was read beyond the decision, to be counted wherever the decision was. People whom the decision did not name use up
/// what it allowed unnamed; those past it are counted by name, and what is left over unnamed.
fn beyond(
    limits: &[Limit],
    decision: &StoredEntry,
    records_accessed: u64,
    reported: &[Pseudonym],
) -> Vec<Charge> {
    let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    let withheld: HashSet<u32> = decision
        .withheld_subjects
        .iter()
        .flat_map(|group| group.indexes.iter().copied())
        .collect();
    let allowed: HashSet<Pseudonym> = (0_u32..)
        .zip(&decision.subjects)
        .filter(|(position, _)| !withheld.contains(position))
        .filter_map(|(_, subject)| Pseudonym::from_bytes(subject))
        .collect();
    let different: HashSet<Pseudonym> = reported.iter().copied().collect();
    let mut others: Vec<Pseudonym> = different.difference(&allowed).copied().collect();
    others.sort_unstable();
    let allowed_unnamed = decision
        .allowed_records
        .saturating_sub(count(allowed.len()));
    let within = usize::try_from(allowed_unnamed)
        .unwrap_or(usize::MAX)
        .min(others.len());
    let named = others.split_off(within);
    let read = records_accessed.max(count(different.len()));
    let unnamed = read
        .saturating_sub(decision.allowed_records)
        .saturating_sub(count(named.len()));
    if named.is_empty() && unnamed == 0 {
        return Vec::new();
    }
    charges(limits, decision, unnamed, &named)
}

/// What these limits count of an access: nothing of a program's own.
fn charges(limits: &[Limit], of: &StoredEntry, unnamed: u64, named: &[Pseudonym]) -> Vec<Charge> {
    let mut actions = Action::ALL.iter();
    let action = actions.find(|action| action.number() == of.action);
    let (Some(action), false) = (action, of.person.is_empty()) else {
        return Vec::new();
    };
    limits
        .iter()
        .filter(|limit| limit.actions.contains(*action))
        .map(|limit| Charge {
            limit: limit.id.clone(),
            way: Way::of(limit),
            unnamed,
            named: named.to_vec(),
        })
        .collect()
}

/// A charge as the log keeps it, its people as positions among those of the entry.
pub(super) fn stored_charge(charge: &Charge, subjects: &[Pseudonym]) -> StoredCharge {
    // One person is looked for, a list is looked up.
    let positions: HashMap<&Pseudonym, u32> = match subjects.len() {
        0 | 1 => HashMap::new(),
        _ => subjects.iter().zip(0_u32..).collect(),
    };
    let position = |subject: &Pseudonym| match subjects {
        [one] => (one == subject).then_some(0),
        _ => positions.get(subject).copied(),
    };
    StoredCharge {
        limit: charge.limit.to_string(),
        unnamed: charge.unnamed,
        named: charge.named.iter().filter_map(position).collect(),
    }
}

/// Counts on these limits what an entry says was read, whatever limits there were then: so no change of the pack forgives it.
pub(super) fn recount(counters: &Counters, limits: &[Limit], entry: &StoredEntry) {
    let (unnamed, named) = if entry.kind == i32::from(EntryKind::Outcome) {
        // What was beyond the decision is the same for every limit.
        let Some(charge) = entry.charges.first() else {
            return;
        };
        let positions = charge.named.iter();
        let named = positions
            .filter_map(|position| entry.subjects.get(usize::try_from(*position).ok()?))
            .filter_map(|subject| Pseudonym::from_bytes(subject));
        (charge.unnamed, named.collect())
    } else if entry.kind == i32::from(EntryKind::Decision)
        && entry.decision == i32::from(Decision::Allow)
        && entry.repeat_of.is_empty()
    {
        let named = allowed_people(entry);
        let people = u64::try_from(named.len()).unwrap_or(u64::MAX);
        (entry.allowed_records.saturating_sub(people), named)
    } else {
        return;
    };
    let charges = charges(limits, entry, unnamed, &named);
    counters.add(
        &entry.person,
        &charges,
        Timestamp::from_micros(entry.time_us),
    );
}
