//! What is registered of the people whose data are guarded: holds, dates and references, kept in memory for checks, in the store
//! for the next start.

mod import;
mod matching;
mod references;
mod register;
mod who;

use std::sync::Arc;

pub use import::{
    SubjectImport, SubjectImportNews, SubjectImportOutcome, SubjectImportPhase, SubjectImportWish,
    SubjectRow, SubjectRowWhat,
};
pub use matching::{Matched, Matching, Overdue, OverduePage, PSEUDONYMS_MAX, REFS_MAX};
pub use references::{ReferencePage, ReferenceWish};
pub use register::Register;
pub(super) use who::Registrar;

use super::admission::administers;
use super::changes::Always;
use super::peer::{Caller, Peer};
use super::{Credentials, Gate, GateError, Violation, entry};
use crate::decision;
use crate::decision::rules::RuleSet;
use crate::domain::access::SubjectRef;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::subject::{Pseudonym, SubjectState, Word};
use crate::domain::time::Timestamp;
use crate::proto::{StoredChange, StoredDate, StoredEntry, StoredHold, stored_change};

/// A hold to register or to release.
#[derive(Debug)]
pub struct HoldChange {
    /// Whose.
    pub subject: SubjectRef,
    /// Which; checked against the pack here.
    pub hold: Name,
    /// The request or order behind it.
    pub reference: Option<Name>,
}

/// A date to set.
#[derive(Debug)]
pub struct DateSet {
    /// Whose.
    pub subject: SubjectRef,
    /// Which; checked against the pack here.
    pub date: Name,
    /// When.
    pub value: Timestamp,
    /// The request or order behind it.
    pub reference: Option<Name>,
}

/// 1900-01-01 and 2200-12-31: a date outside is a slip of the pen.
const DATES: std::ops::RangeInclusive<i64> = -2_208_988_800..=7_289_654_399;
const NO_SUCH_DATE: &str = "must be from 1900 to 2200";

impl Gate {
    /// Registers a hold; registering it again changes nothing but its reference.
    ///
    /// # Errors
    /// When who asks may not register, the pack has no such hold, or the entry can't be written.
    pub async fn register_hold(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        change: HoldChange,
    ) -> Result<LogIndex, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let registrar = self
            .registrar(&rules, peer, credentials, "RegisterHold", now)
            .await?;
        self.known_hold(
            peer,
            &registrar.caller,
            &rules,
            "RegisterHold",
            &change.hold,
            now,
        )
        .await?;
        let subject = self.keyring.pseudonyms.pseudonym(&change.subject);
        let mut entry = self.registrars_entry(&registrar, peer, now);
        entry::detail(&mut entry, "change", "register-hold");
        entry::detail(&mut entry, "hold", &*change.hold);
        about(&mut entry, subject, change.reference.as_ref());
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::RegisterHold(stored_hold(
                subject, &change,
            ))),
        });
        let hold = Word::from(&*change.hold);
        let receipt = self
            .change(entry, Always, move |gate| {
                gate.subjects.change(subject, |state| state.add_hold(&hold));
            })
            .await?;
        Ok(receipt.index())
    }

    /// Releases a hold; needs an administrator. Releasing one that is not in force changes nothing.
    ///
    /// # Errors
    /// When nobody who administers asks, the pack has no such hold, or the entry can't be written.
    pub async fn release_hold(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        change: HoldChange,
    ) -> Result<LogIndex, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.caller(&rules, peer, now);
        let needs = ("ReleaseHold", "releasing a hold needs an administrator");
        let by = self
            .administering(&rules, peer, caller, credentials, needs, now)
            .await?;
        self.known_hold(peer, &by.caller, &rules, "ReleaseHold", &change.hold, now)
            .await?;
        let subject = self.keyring.pseudonyms.pseudonym(&change.subject);
        let mut entry = self.registrars_entry(&by, peer, now);
        entry::detail(&mut entry, "change", "release-hold");
        entry::detail(&mut entry, "hold", &*change.hold);
        about(&mut entry, subject, change.reference.as_ref());
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::ReleaseHold(stored_hold(
                subject, &change,
            ))),
        });
        let hold = change.hold;
        let receipt = self
            .change(entry, Always, move |gate| {
                gate.subjects
                    .change(subject, |state| state.holds.retain(|held| **held != *hold));
            })
            .await?;
        Ok(receipt.index())
    }

    /// Sets a date; setting it again replaces it.
    ///
    /// # Errors
    /// When who asks may not register, the pack has no such date, or the entry can't be written.
    pub async fn set_date(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        change: DateSet,
    ) -> Result<LogIndex, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let registrar = self
            .registrar(&rules, peer, credentials, "SetDate", now)
            .await?;
        let mut violations = Vec::new();
        if rules.dates.id(&change.date).is_none() {
            violations.push(Violation::new("date", unknown_date(&rules)));
        }
        if !DATES.contains(&change.value.seconds()) {
            violations.push(Violation::new("value", NO_SUCH_DATE));
        }
        if !violations.is_empty() {
            let error = GateError::Malformed(violations);
            let caller = &registrar.caller;
            return Err(self.refuse_call(peer, caller, "SetDate", error, now).await);
        }
        let subject = self.keyring.pseudonyms.pseudonym(&change.subject);
        let mut entry = self.registrars_entry(&registrar, peer, now);
        entry::detail(&mut entry, "change", "set-date");
        entry::detail(&mut entry, "date", &*change.date);
        entry::detail(&mut entry, "value", change.value.to_string());
        about(&mut entry, subject, change.reference.as_ref());
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::SetDate(StoredDate {
                subject: subject.0.to_vec(),
                date: change.date.to_string(),
                value_us: change.value.micros(),
                reference: change.reference.as_deref().unwrap_or("").to_owned(),
            })),
        });
        let (date, value) = (Word::from(&*change.date), change.value);
        let receipt = self
            .change(entry, Always, move |gate| {
                gate.subjects
                    .change(subject, |state| state.set_date(&date, value));
            })
            .await?;
        Ok(receipt.index())
    }

    /// The positions of the subjects under one of the holds; a retention period that is over counts as a hold under its
    /// rule's id. Any service of the pack may ask, since an answer may oblige it to leave these people out, and any administrator.
    ///
    /// # Errors
    /// When who asks is neither, the pack has no such hold, or the entry can't be written.
    pub async fn filter_subjects(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        subjects: &[SubjectRef],
        holds: &[Name],
    ) -> Result<Vec<u32>, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let asking = self
            .asking_of_subjects(&rules, peer, credentials, "FilterSubjects", now)
            .await?;
        let caller = &asking.caller;
        for (position, hold) in holds.iter().enumerate() {
            if rules.holds.id(hold).is_none()
                && !rules.retention.iter().any(|rule| *rule.id == **hold)
                && !rules.keep.iter().any(|rule| *rule.id == **hold)
            {
                let violation = Violation::new(format!("holds[{position}]"), unknown_hold(&rules));
                let error = GateError::Malformed(vec![violation]);
                return Err(self
                    .refuse_call(peer, caller, "FilterSubjects", error, now)
                    .await);
            }
        }
        let is_held = |state: &SubjectState| {
            holds.iter().any(|hold| {
                state.has_hold(hold)
                    || rules.retention.iter().any(|rule| {
                        *rule.id == **hold
                            && decision::retention_over(rule, state, now, rules.utc_offset)
                    })
                    || rules.keep.iter().any(|rule| {
                        *rule.id == **hold
                            && decision::must_be_kept(rule, state, now, rules.utc_offset)
                    })
            })
        };
        let held: Vec<u32> = (0_u32..)
            .zip(subjects)
            .filter(|(_, subject)| {
                let pseudonym = self.keyring.pseudonyms.pseudonym(subject);
                is_held(&self.subjects.state(&pseudonym))
            })
            .map(|(position, _)| position)
            .collect();
        let mut entry = self.registrars_entry(&asking, peer, now);
        entry::detail(&mut entry, "call", "FilterSubjects");
        let names: Vec<&str> = holds.iter().map(|hold| &**hold).collect();
        entry::detail(&mut entry, "holds", names.join(", "));
        entry::detail(&mut entry, "subjects", subjects.len().to_string());
        entry::detail(&mut entry, "held", held.len().to_string());
        self.log.append(std::slice::from_ref(&entry))?.await?;
        Ok(held)
    }

    async fn known_hold(
        &self,
        peer: &Peer,
        caller: &Caller<'_>,
        rules: &RuleSet,
        call: &'static str,
        hold: &str,
        now: Timestamp,
    ) -> Result<(), GateError> {
        if rules.holds.id(hold).is_some() {
            return Ok(());
        }
        let error = GateError::Malformed(vec![Violation::new("hold", unknown_hold(rules))]);
        Err(self.refuse_call(peer, caller, call, error, now).await)
    }
}

fn unknown_hold(rules: &RuleSet) -> String {
    let known: Vec<&str> = rules.holds.iter().map(|(_, name, _)| name).collect();
    format!("the pack has no such hold; it has: {}", known.join(", "))
}

fn unknown_date(rules: &RuleSet) -> String {
    let known: Vec<&str> = rules.dates.iter().map(|(_, name, _)| name).collect();
    format!("the pack has no such date; it has: {}", known.join(", "))
}

fn about(entry: &mut StoredEntry, subject: Pseudonym, reference: Option<&Name>) {
    entry.subjects = vec![subject.0.to_vec()];
    entry.basis_reference = reference.map_or_else(String::new, ToString::to_string);
}

fn stored_hold(subject: Pseudonym, change: &HoldChange) -> StoredHold {
    StoredHold {
        subject: subject.0.to_vec(),
        hold: change.hold.to_string(),
        reference: change.reference.as_deref().unwrap_or("").to_owned(),
    }
}
