//! The register of safety-management measures: what shows each now, and what people attest.

use std::sync::Arc;
use std::time::Duration;

use super::admission::{administers, reviews, reviews_all};
use super::incidents::text_violation;
use super::peer::Peer;
use super::records::log_holds::Administrator;
use super::{Credentials, Gate, GateError, Violation, entry};
use crate::decision::rules::{Measure, MeasureKind, Reviews, RuleSet};
use crate::domain::access::TEXT_MAX_BYTES;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::gate::changes::Always;
use crate::proto::stored_change::Kind;
use crate::proto::{EntryKind, StoredAttestation, StoredChange};
use crate::report::SystemRow;
use crate::review::incident::Told;
use crate::review::measures::{LogFacts, due, evidence};
use crate::store::Attested;

/// How long ago something may have been done.
const DONE_MAX: Duration = Duration::from_hours(24 * 366 * 10);

/// A measure as of an instant.
#[derive(Debug, Clone)]
pub struct MeasureSeen {
    /// As the pack has it.
    pub measure: Measure,
    /// The role that answers for it.
    pub owner: String,
    /// What it promises.
    pub promise: Told,
    /// What there is for it.
    pub evidence: Vec<Told>,
    /// What was attested last.
    pub attested: Option<Attested>,
    /// Until when it is to be done again.
    pub next: Option<Timestamp>,
    /// It was never attested, or not in time.
    pub overdue: bool,
}

/// The register.
#[derive(Debug, Clone)]
pub struct MeasuresSeen {
    /// By which rules.
    pub rules: Arc<RuleSet>,
    /// As of when.
    pub at: Timestamp,
    /// The systems that hold personal data, each with its coverage.
    pub systems: Vec<SystemRow>,
    /// In the order of the pack.
    pub measures: Vec<MeasureSeen>,
}

/// An attestation that is overdue: who answers for it, and since when; `None` where it was never given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverdueAttestation {
    /// The measure's id.
    pub measure: String,
    /// The role that answers for it.
    pub owner: String,
    /// Until when it counted.
    pub counted_until: Option<Timestamp>,
}

/// What is attested.
#[derive(Debug)]
pub struct AttestWish {
    /// The measure's id.
    pub measure: Name,
    /// When it was done.
    pub done: Timestamp,
    /// The document behind it.
    pub reference: Name,
    /// Sealed in the log.
    pub note: String,
}

impl Gate {
    /// The register as it is now.
    ///
    /// # Errors
    /// When nobody who reviews everything, audits or administers asks, or the call can't be logged.
    pub async fn measures(
        &self,
        peer: &Peer,
        credentials: &Credentials,
    ) -> Result<MeasuresSeen, GateError> {
        const CALL: &str = "GetMeasures";
        let rules = self.rules.load_full();
        let now = self.now();
        let may = |person: &Person| {
            reviews(&rules, person, now) == Reviews::Everything || administers(&rules, person, now)
        };
        let otherwise = "measures are for who reviews everything, audits or administers";
        let caller = self.caller(&rules, peer, now);
        let (admitted, ()) = self
            .admitted_or_refused(
                &rules,
                (peer, &caller),
                credentials,
                (CALL, otherwise),
                now,
                |person| may(person).then_some(()),
            )
            .await?;
        let who = Administrator { caller, admitted };
        let mut entry = self.administrators_entry(EntryKind::LogRead, peer, &who, now);
        entry::detail(&mut entry, "call", CALL);
        self.log.append(std::slice::from_ref(&entry))?.await?;
        let measures = self.measures_at(&rules, now).await?;
        Ok(MeasuresSeen {
            systems: SystemRow::all(&rules),
            at: now,
            measures,
            rules: Arc::clone(&rules),
        })
    }

    async fn measures_at(
        &self,
        rules: &RuleSet,
        now: Timestamp,
    ) -> Result<Vec<MeasureSeen>, GateError> {
        let attested = self.store.attested().await?;
        let log = LogFacts {
            entries: self.log.len(),
            signed: self.log.checkpoints().borrow().checkpoint.size,
            witnessed: self.log.cosigned().map(|signed| signed.checkpoint.size),
        };
        let measures = rules.measures.iter().map(|measure| {
            let promise = rules.promises.at(measure.line);
            let promise = promise.map_or_else(
                || Told::new("", ""),
                |promise| Told::new(promise.text(), promise.text_ja()),
            );
            let mut seen = MeasureSeen {
                owner: rules.roles.name(measure.owner).to_owned(),
                promise,
                evidence: evidence(&measure.kind, rules, log),
                attested: None,
                next: None,
                overdue: false,
                measure: measure.clone(),
            };
            if let MeasureKind::Attested { every, .. } = &measure.kind {
                let found = attested.iter().find(|one| *one.measure == *measure.id);
                let last = found.map(|one| one.done);
                (seen.next, seen.overdue) = due(last, *every, now, rules.utc_offset);
                seen.attested = found.cloned();
            }
            seen
        });
        Ok(measures.collect())
    }

    /// What people should have attested by `now`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn overdue_attestations(
        &self,
        now: Timestamp,
    ) -> Result<Vec<OverdueAttestation>, GateError> {
        let rules = self.rules.load_full();
        let measures = self.measures_at(&rules, now).await?;
        let overdue = measures.into_iter().filter(|measure| measure.overdue);
        Ok(overdue
            .map(|measure| OverdueAttestation {
                measure: measure.measure.id.to_string(),
                owner: measure.owner,
                counted_until: measure.next,
            })
            .collect())
    }

    /// Attests that a measure was taken; until when it is to be taken again.
    ///
    /// # Errors
    /// When nobody who has the owner's role or reviews everything asks, a field can't be taken, or the entry can't be written.
    pub async fn attest(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: AttestWish,
    ) -> Result<(LogIndex, Timestamp), GateError> {
        const CALL: &str = "Attest";
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.caller(&rules, peer, now);
        if !self.is_fresh() {
            return Err(self
                .refuse_call(peer, &caller, CALL, GateError::Stale, now)
                .await);
        }
        let measure = rules.measures.iter().find(|one| *one.id == *wish.measure);
        let owner = measure.map(|measure| rules.roles.name(measure.owner));
        let may = |person: &Person| {
            let owns = owner.is_some_and(|owner| person.roles_at(now).any(|role| **role == *owner));
            owns || reviews_all(&rules, person, now)
        };
        let otherwise = "a measure is attested by who has its owner's role, or reviews everything";
        let (admitted, ()) = self
            .admitted_or_refused(
                &rules,
                (peer, &caller),
                credentials,
                (CALL, otherwise),
                now,
                |person| may(person).then_some(()),
            )
            .await?;
        let who = Administrator { caller, admitted };
        let mut violations: Vec<Violation> = text_violation("note", &wish.note, TEXT_MAX_BYTES)
            .into_iter()
            .collect();
        let every = match measure.map(|measure| &measure.kind) {
            Some(MeasureKind::Attested { every, .. }) => Some(*every),
            Some(_) => {
                let what = "is not one that is attested";
                violations.push(Violation::new("measure", what));
                None
            }
            None => {
                let what = "is no measure of the pack in force";
                violations.push(Violation::new("measure", what));
                None
            }
        };
        if wish.done > now {
            violations.push(Violation::new("done_at", "is after now"));
        } else if now.since(wish.done) > DONE_MAX {
            violations.push(Violation::new("done_at", "is more than ten years ago"));
        }
        let Some(every) = every.filter(|_| violations.is_empty()) else {
            return Err(self
                .refuse_administrator(peer, &who, CALL, violations, now)
                .await);
        };
        let mut entry = self.administrators_entry(EntryKind::Review, peer, &who, now);
        entry::detail(&mut entry, "change", "attest");
        entry::detail(&mut entry, "measure", &*wish.measure);
        entry::detail(&mut entry, "done", wish.done.to_string());
        entry::detail(&mut entry, "reference", &*wish.reference);
        entry.free_text = wish.note;
        entry.change = Some(StoredChange {
            kind: Some(Kind::Attest(StoredAttestation {
                measure: wish.measure.to_string(),
                by: who.admitted.person.id.to_string(),
                done_us: wish.done.micros(),
                reference: wish.reference.to_string(),
            })),
        });
        let receipt = self.change(entry, Always, |_| ()).await?;
        self.look_at_incidents().await;
        Ok((receipt.index(), every.after(wish.done, rules.utc_offset)))
    }
}
