//! Incidents with personal data (漏えい等): opened, scoped by the log, judged, told, closed. Each step is an entry first, then made in
//! the store; what people write is sealed in the entry and is nowhere else.
//!
//! | file | job |
//! |---|---|
//! | `reading` | lists, one incident, the draft of its report |
//! | `scope` | what is affected, looked for in the log, and made anew |
//! | `steps` | everything that people do about one |
//! | `overdue` | clocks that ran out, for operators |
//!
//! What this room never does: file anything; let somebody judge or close an incident that they are part of.

mod overdue;
mod reading;
mod scope;
mod steps;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Semaphore;

pub use overdue::OverdueClocks;
pub use reading::IncidentSeen;
pub use scope::{ANY_OF_MAX, Affected, Scoping};
pub(super) use steps::text_violation;
pub use steps::{Doing, OpenWish, StepWish};

use crate::decision::rules::{Reviews, RuleSet};
use crate::domain::ids::{LogIndex, Name};
use crate::domain::person::Person;
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::gate::admission::{administers, reviews, reviews_all};
use crate::gate::peer::Peer;
use crate::gate::records::log_holds::{Administrator, FRESH};
use crate::gate::{Credentials, Gate, GateError};
use crate::proto::EntryKind;
use crate::review::incident::Incident;
use crate::store::KeptIncident;

/// The longest text of an item, a note or a summary.
const TEXT_MAX_BYTES: usize = 8 * 1_024;
/// How many steps one incident takes: each is read when it is shown.
const STEPS_MAX: usize = 1_000;
/// How many are open at once: each is looked at every minute.
const OPEN_MAX: u64 = 1_000;
/// How many scopes are looked for at once: each remembers up to a million people.
const SCOPING_AT_ONCE: usize = 1;

const NOT_THERE: &str = "there is no such incident, or it is not for this person";

/// What the gate keeps about incidents.
#[derive(Debug)]
pub(super) struct Incidents {
    pub(super) overdue: Arc<OverdueClocks>,
    scoping: Arc<Semaphore>,
}

impl Default for Incidents {
    fn default() -> Self {
        Self {
            overdue: Arc::default(),
            scoping: Arc::new(Semaphore::new(SCOPING_AT_ONCE)),
        }
    }
}

/// What somebody wants of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    /// To see it.
    Read,
    /// To do something about it.
    Work,
    /// To close it: with a fresh second step.
    Close,
}

/// Who was admitted, and of which departments; `None` for all incidents.
struct Worker<'a> {
    who: Administrator<'a>,
    departments: Option<Vec<Name>>,
}

impl Worker<'_> {
    fn may_see(&self, incident: &Incident) -> bool {
        let of = &incident.opened.department;
        self.departments
            .as_ref()
            .is_none_or(|own| own.iter().any(|own| **own == **of))
    }

    fn id(&self) -> &Name {
        &self.who.admitted.person.id
    }
}

/// Of which departments somebody may do what is wanted; `None` within for all, without for none.
fn extent(
    rules: &RuleSet,
    person: &Person,
    wants: Wants,
    now: Timestamp,
) -> Option<Option<Vec<Name>>> {
    let everything = match wants {
        Wants::Read => {
            reviews(rules, person, now) == Reviews::Everything || administers(rules, person, now)
        }
        Wants::Work | Wants::Close => reviews_all(rules, person, now),
    };
    if everything {
        return Some(None);
    }
    let of_department = person
        .roles_at(now)
        .filter_map(|role| rules.roles.get(rules.roles.id(role)?))
        .any(|role| role.reviews == Reviews::Department);
    of_department.then(|| Some(person.departments.clone()))
}

impl Gate {
    /// What operators should know of incidents.
    #[must_use]
    pub fn overdue_clocks(&self) -> Arc<OverdueClocks> {
        Arc::clone(&self.incidents.overdue)
    }

    async fn incident_worker<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        credentials: &Credentials,
        (call, wants): (&'static str, Wants),
        now: Timestamp,
    ) -> Result<Worker<'a>, GateError> {
        let caller = self.caller(rules, peer, now);
        if !self.is_fresh() {
            return Err(self
                .refuse_call(peer, &caller, call, GateError::Stale, now)
                .await);
        }
        let otherwise = match wants {
            Wants::Read => "incidents are for who reviews, audits or administers",
            Wants::Work | Wants::Close => "incidents are worked on by who reviews the access log",
        };
        let (admitted, departments) = self
            .admitted_or_refused(
                rules,
                (peer, &caller),
                credentials,
                (call, otherwise),
                now,
                |person| extent(rules, person, wants, now),
            )
            .await?;
        let age = now.age_of(admitted.ticket.second_step);
        if wants == Wants::Close && age.is_none_or(|age| age > FRESH) {
            let code = ReasonCode::StepUpRequired;
            let (refused, error) = (admitted.refused(code), GateError::Refused(code));
            return Err(self
                .refuse_person(peer, &caller, call, refused, error, now)
                .await);
        }
        Ok(Worker {
            who: Administrator { caller, admitted },
            departments,
        })
    }

    /// Refuses somebody who was admitted, for another reason than a field.
    async fn refuse_worker(
        &self,
        peer: &Peer,
        worker: &Worker<'_>,
        call: &str,
        error: GateError,
        now: Timestamp,
    ) -> GateError {
        let entry = self.administrators_entry(EntryKind::RefusedCall, peer, &worker.who, now);
        self.refuse(peer, &worker.who.caller, entry, call, error)
            .await
    }

    /// The incident, where there is one that this person may see; they are refused otherwise.
    async fn incident_for(
        &self,
        peer: &Peer,
        worker: &Worker<'_>,
        call: &str,
        id: LogIndex,
        now: Timestamp,
    ) -> Result<Incident, GateError> {
        let found = self.store.incident(id).await?.map(folded);
        match found.filter(|incident| worker.may_see(incident)) {
            Some(incident) => Ok(incident),
            None => {
                let error = GateError::NotFound(NOT_THERE);
                Err(self.refuse_worker(peer, worker, call, error, now).await)
            }
        }
    }

    /// Whether somebody is among the people of an incident: named when it was opened, or among those whose accesses any of its scopes
    /// has. Where a scope lists no all of them, the log is asked.
    async fn is_part_of(
        self: &Arc<Self>,
        incident: &Incident,
        person: &Name,
    ) -> Result<bool, GateError> {
        if incident.opened.about.iter().any(|one| **one == **person) {
            return Ok(true);
        }
        for (_, scope) in incident.scopes() {
            if scope.persons.iter().any(|one| *one.id == **person) {
                return Ok(true);
            }
            let listed = u64::try_from(scope.persons.len()).unwrap_or(u64::MAX);
            if scope.persons_in_all > listed && self.accessed_within(scope, person).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn folded(kept: KeptIncident) -> Incident {
    Incident::new(kept.id, kept.opened, kept.steps)
}

/// Ids of those whom an incident names, each once.
fn named(about: &[Name]) -> BTreeSet<&Name> {
    about.iter().collect()
}
