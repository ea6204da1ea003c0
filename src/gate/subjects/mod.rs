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
use crate::decision::rules::RuleSet;
use crate::decision::{self, WITHDRAWN};
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

/// Whom an answer says to leave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// Who is under this hold, or whose data may not be used, or must be kept, by this rule.
    Held(Name),
    /// Who has withdrawn consent for this purpose.
    Withdrawn(Name),
}

/// As an answer has it.
impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held(hold) => f.write_str(hold),
            Self::Withdrawn(purpose) => write!(f, "{WITHDRAWN}{purpose}"),
        }
    }
}

impl LeftOut {
    /// Why the pack can't have said so.
    fn unknown_to(&self, rules: &RuleSet) -> Option<String> {
        match self {
            Self::Held(hold) => {
                let known = rules.holds.id(hold).is_some()
                    || rules.retention.iter().any(|rule| *rule.id == **hold)
                    || rules.keep.iter().any(|rule| *rule.id == **hold);
                (!known).then(|| unknown_hold(rules))
            }
            Self::Withdrawn(purpose) => {
                let known = rules.purposes.id(purpose).is_some();
                (!known).then(|| "the pack has no such purpose".to_owned())
            }
        }
    }

    fn holds(&self, rules: &RuleSet, state: &SubjectState, now: Timestamp) -> bool {
        match self {
            Self::Held(hold) => {
                state.has_hold(hold)
                    || rules.retention.iter().any(|rule| {
                        *rule.id == **hold
                            && decision::retention_over(rule, state, now, rules.utc_offset)
                    })
                    || rules.keep.iter().any(|rule| {
                        *rule.id == **hold
                            && decision::must_be_kept(rule, state, now, rules.utc_offset)
                    })
            }
            Self::Withdrawn(purpose) => state.consent_is_withdrawn(purpose, now),
        }
    }
}

/// After how many people others have their turn.
const FILTERED_AT_ONCE: u32 = 500;

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

    /// The positions of the subjects whom an answer with these holds says to leave out: who is under one, whose retention period is
    /// over or who must be kept, by the rule's id, and who has withdrawn consent for a purpose. Any service of the pack may ask,
    /// since an answer may oblige it to leave these people out, and any administrator.
    ///
    /// # Errors
    /// When who asks is neither, the pack has no such hold, what is registered is incomplete, or the entry can't be written.
    pub async fn filter_subjects(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        subjects: &[SubjectRef],
        holds: &[LeftOut],
    ) -> Result<Vec<u32>, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let asking = self
            .asking_of_subjects(&rules, peer, credentials, "FilterSubjects", now)
            .await?;
        let caller = &asking.caller;
        let unknown: Vec<Violation> = holds
            .iter()
            .enumerate()
            .filter_map(|(position, hold)| {
                let what = hold.unknown_to(&rules)?;
                Some(Violation::new(format!("holds[{position}]"), what))
            })
            .collect();
        if !unknown.is_empty() {
            let error = GateError::Malformed(unknown);
            return Err(self
                .refuse_call(peer, caller, "FilterSubjects", error, now)
                .await);
        }
        if !self.knows_all_subjects() {
            let error = GateError::SubjectsIncomplete;
            return Err(self
                .refuse_call(peer, caller, "FilterSubjects", error, now)
                .await);
        }
        let mut held: Vec<u32> = Vec::new();
        for (position, subject) in (0_u32..).zip(subjects) {
            let pseudonym = self.keyring.pseudonyms.pseudonym(subject);
            let state = self.subjects.state(&pseudonym);
            if holds.iter().any(|hold| hold.holds(&rules, &state, now)) {
                held.push(position);
            }
            if position % FILTERED_AT_ONCE == 0 {
                // Others have their turn.
                tokio::task::yield_now().await;
            }
        }
        let mut entry = self.registrars_entry(&asking, peer, now);
        entry::detail(&mut entry, "call", "FilterSubjects");
        let names: Vec<String> = holds.iter().map(ToString::to_string).collect();
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
