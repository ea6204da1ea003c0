//! The directory: administrators change it, they and auditors read it. Every change is an entry first, with what was before
//! and after; then it is what the next check sees.
//!
//! ```text
//! wish ──► plan (pure: who, what is wrong, what differs) ──► entries ──► snapshot, store
//! ```
//! A plan is made against one snapshot of the people and one revision of the policy. Under the lock of changes it counts only while
//! both are still those in force; otherwise it is made anew. So two administrators never pass a rule together that either would break.
//! What makes somebody watch over others takes two ([`super::guarded`]): the first only asks, the second asks for the same.

mod administrators;
mod check;
mod import;
mod plan;
mod read;

use std::collections::HashMap;
use std::sync::Arc;

pub use import::{ImportFault, ImportOutcome, ImportRow, ImportWish, ImportedPerson};
pub use plan::ChangedField;
pub use read::{PeopleFilter, SeenPeople};

use super::changes::StillWanted;
use super::peer::Peer;
use super::pending::{Approval, Awaited, Decides, Wish};
use super::records::log_holds::Administrator;
use super::{Credentials, Gate, GateError, Violation, entry, guarded};
use crate::decision::rules::RuleSet;
use crate::domain::access::SubjectRef;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::person::Person;
use crate::domain::person::form::FieldFault;
use crate::domain::time::Timestamp;
use crate::log::Receipts;
use crate::policy::shelf::Revision;
use crate::proto::{EntryKind, StoredChange, StoredEntry, StoredGuardedPerson, stored_change};
use crate::store::stored_person;
use plan::{Plan, Refusal};

/// How often a plan is made anew because the people changed meanwhile.
const TRIES: usize = 8;
/// Below what the fields of a person are in a request.
const PERSON: &str = "person.";

const POLICY_CHANGED: GateError =
    GateError::Conflict("another policy was put in force meanwhile: try again");

/// Everybody, as of one moment.
type People = HashMap<Name, Arc<Person>>;

/// What is to be done with a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonSort {
    /// They are new.
    Create,
    /// Fields are set.
    Change {
        /// The revision that was read, where it must still be that.
        expected: Option<LogIndex>,
    },
    /// The account is disabled.
    Disable,
    /// It is enabled again.
    Enable,
    /// The employment ends: at an instant, or now.
    EndEmployment(Option<Timestamp>),
}

impl PersonSort {
    /// The call, as the log names it.
    const fn call(self) -> &'static str {
        match self {
            Self::Create => "CreatePerson",
            Self::Change { .. } => "ChangePerson",
            Self::Disable => "DisablePerson",
            Self::Enable => "EnablePerson",
            Self::EndEmployment(_) => "EndEmployment",
        }
    }

    /// What is done, as the entry of a change names it.
    const fn change(self) -> &'static str {
        match self {
            Self::Create => "create-person",
            Self::Change { .. } => "change-person",
            Self::Disable => "disable-person",
            Self::Enable => "enable-person",
            Self::EndEmployment(_) => "end-employment",
        }
    }
}

/// A person to be changed.
#[derive(Debug, Clone)]
pub struct PersonWish {
    /// What is to be done.
    pub sort: PersonSort,
    /// Who, and the values to set; of a new person all that are not set are as [`Person::new`] has them.
    pub values: Person,
    /// Which of them to set: some of [`crate::domain::person::form::FIELDS`].
    pub fields: Vec<&'static str>,
    /// Ids of the person's own data, where they are to be set; they become pseudonyms at once.
    pub subject_refs: Option<Vec<SubjectRef>>,
    /// The request or decision behind it.
    pub reference: Option<Name>,
    /// Another administrator's request for the same.
    pub approve: Option<LogIndex>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct PersonChanged {
    /// As they are now; `None` for somebody new who was only asked for.
    pub person: Option<Arc<Person>>,
    /// The entry of the change, or of the request for it; `None` when there was nothing to change.
    pub index: Option<LogIndex>,
    /// It takes two, and was only asked for.
    pub awaited: Option<Awaited>,
    /// It took two, and one did it alone.
    pub alone: bool,
    /// Whether every session of theirs was ended.
    pub sessions_ended: bool,
    /// When.
    pub at: Timestamp,
}

impl Gate {
    /// Changes a person. What changes nothing writes no entry.
    ///
    /// # Errors
    /// When nobody who administers asks, there is no such person, a field can't be taken, the person was changed since they
    /// were read, or the entry can't be written.
    pub async fn change_person(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: PersonWish,
    ) -> Result<PersonChanged, GateError> {
        let call = wish.sort.call();
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, call, now)
            .await?;
        let actor = administrator.admitted.person.id.clone();
        let wish = self.with_pseudonyms(wish);
        for _ in 0..TRIES {
            if self.rules.load().revision != rules.revision {
                // Who asks was admitted by the one before.
                let error = POLICY_CHANGED;
                return Err(self.refused(peer, &administrator, call, error, now).await);
            }
            let people = self.newest_people().await?;
            let planned = Plan::of(&rules, &people, &wish, &actor, now)
                .and_then(|plan| plan.checked(&rules, &people, now));
            let plan = match planned {
                Ok(plan) => plan,
                Err(refusal) => {
                    let error = refusal.into_error(wish.sort);
                    return Err(self.refused(peer, &administrator, call, error, now).await);
                }
            };
            if plan.changes.is_empty() {
                return Ok(PersonChanged {
                    person: Some(Arc::new(plan.after)),
                    index: None,
                    awaited: None,
                    alone: false,
                    sessions_ended: false,
                    at: now,
                });
            }
            let what = wish_of([&plan]);
            let takes_two = (&what, plan.takes_two);
            let decides = self
                .who_decides(&rules, takes_two, wish.approve, &actor, now)
                .await?;
            let decides = match decides {
                Ok(decides) => decides,
                Err(violation) => {
                    let error = GateError::Malformed(vec![violation]);
                    return Err(self.refused(peer, &administrator, call, error, now).await);
                }
            };
            if matches!(decides, Decides::Another) {
                let mut entry =
                    self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
                plan.tell(&mut entry);
                if let Some(reference) = &wish.reference {
                    entry::detail(&mut entry, "reference", &**reference);
                }
                let awaited = self.ask_another(entry, &rules, &what, &actor, now).await?;
                return Ok(PersonChanged {
                    person: plan.before,
                    index: Some(awaited.request),
                    awaited: Some(awaited),
                    alone: false,
                    sessions_ended: false,
                    at: now,
                });
            }
            let approval = decides.approval();
            let entry = self.entry_of_change(peer, &administrator, &plan, (&wish, approval), now);
            let sessions_ended = plan.sessions_ended;
            let id = plan.after.id.clone();
            let still = (StillThese::of(people, &rules), approval.cloned());
            let receipts = match self.put_people(vec![plan], vec![entry], still).await {
                Err(GateError::Conflict(_)) => continue,
                other => other?,
            };
            let person = self.person(&id);
            let index = receipts.first().index();
            return Ok(PersonChanged {
                person: Some(person.ok_or(GateError::Internal("a changed person is gone"))?),
                index: Some(index),
                awaited: None,
                alone: approval.is_some_and(|approval| approval.alone),
                sessions_ended,
                at: now,
            });
        }
        let error = GateError::Conflict("other changes came in between: try again");
        Err(self.refused(peer, &administrator, call, error, now).await)
    }

    /// Everybody, as the store has them where others change it too.
    async fn newest_people(&self) -> Result<Arc<People>, GateError> {
        if self.store.has_others() {
            self.follow_once().await?;
        }
        Ok(self.people.load_full())
    }

    fn with_pseudonyms(&self, mut wish: PersonWish) -> PersonWish {
        if let Some(subjects) = wish.subject_refs.take() {
            let pseudonym = |own| self.keyring.pseudonyms.pseudonym(own);
            wish.values.subjects = subjects.iter().map(pseudonym).collect();
            wish.values.subjects.sort_unstable();
            wish.values.subjects.dedup();
        }
        wish
    }

    /// Writes entries, the first of them of these people in their order, and has everybody see them so.
    async fn put_people(
        self: &Arc<Self>,
        plans: Vec<Plan>,
        entries: Vec<StoredEntry>,
        still: (StillThese, Option<Approval>),
    ) -> Result<Receipts, GateError> {
        self.change_all(entries, still, move |gate, receipts| {
            let without = plans.iter().filter(|plan| plan.without_credentials);
            let without: Vec<Name> = without.map(|plan| plan.after.id.clone()).collect();
            let changed: Vec<Arc<Person>> = plans
                .into_iter()
                .zip(receipts.iter())
                .map(|(plan, receipt)| {
                    Arc::new(Person {
                        revision: receipt.index(),
                        ..plan.after
                    })
                })
                .collect();
            gate.people.rcu(|people| {
                let mut people = People::clone(people);
                people.extend(
                    changed
                        .iter()
                        .map(|person| (person.id.clone(), Arc::clone(person))),
                );
                people
            });
            // Their second factor is gone, disabled or not.
            for person in without {
                gate.let_in(&person);
            }
        })
        .await
    }

    fn entry_of_change(
        &self,
        peer: &Peer,
        administrator: &Administrator<'_>,
        plan: &Plan,
        (wish, approval): (&PersonWish, Option<&Approval>),
        now: Timestamp,
    ) -> StoredEntry {
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, administrator, now);
        entry::detail(&mut entry, "change", wish.sort.change());
        plan.tell(&mut entry);
        if let Some(reference) = &wish.reference {
            entry::detail(&mut entry, "reference", &**reference);
        }
        let person = stored_person(&plan.after);
        let kind = match approval.filter(|_| plan.takes_two) {
            None => stored_change::Kind::PutPerson(person),
            Some(approval) => {
                approval.tell(&mut entry);
                stored_change::Kind::PutGuardedPerson(StoredGuardedPerson {
                    person: Some(person),
                    without_credentials: plan.without_credentials,
                    settles: Some(approval.request.0),
                })
            }
        };
        entry.change = Some(StoredChange { kind: Some(kind) });
        entry
    }

    /// Refuses what an administrator asked for, with an entry.
    async fn refused(
        &self,
        peer: &Peer,
        administrator: &Administrator<'_>,
        call: &'static str,
        error: GateError,
        now: Timestamp,
    ) -> GateError {
        let mut entry = self.administrators_entry(EntryKind::RefusedCall, peer, administrator, now);
        if let GateError::Malformed(violations) = &error
            && let Some(first) = violations.first()
        {
            entry::detail(&mut entry, "why", first.description.as_str());
        }
        self.refuse(peer, &administrator.caller, entry, call, error)
            .await
    }
}

/// What two are asked for: the plans that take two, in their order.
fn wish_of<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Wish {
    let plans = plans.into_iter().filter(|plan| plan.takes_two);
    let after: Vec<&Person> = plans.map(|plan| &plan.after).collect();
    Wish::ChangePeople {
        people: after.iter().map(|person| person.id.clone()).collect(),
        digest: guarded::digest(after.into_iter()),
    }
}

impl Refusal {
    fn into_error(self, sort: PersonSort) -> GateError {
        match self {
            Self::Missing => GateError::NotFound("there is no such person"),
            Self::Exists => GateError::AlreadyThere("there is a person of this id already"),
            Self::Stale => GateError::Conflict("the person was changed since: read them again"),
            Self::Faults(faults) => {
                // Calls other than these two have the fields of a person at their top.
                let below = match sort {
                    PersonSort::Create | PersonSort::Change { .. } => PERSON,
                    _ => "",
                };
                GateError::Malformed(violations(faults, below))
            }
        }
    }
}

fn violations(faults: Vec<FieldFault>, below: &str) -> Vec<Violation> {
    faults
        .into_iter()
        .map(|fault| Violation::new(format!("{below}{}", fault.field), fault.what))
        .collect()
}

/// Nobody was changed since the plan was made, and what a role may do is still what it was: whether somebody is left who administers
/// depends on both.
struct StillThese {
    people: Arc<People>,
    revision: Revision,
}

impl StillThese {
    fn of(people: Arc<People>, rules: &RuleSet) -> Self {
        Self {
            people,
            revision: rules.revision,
        }
    }
}

impl StillWanted for StillThese {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        if gate.rules.load().revision != self.revision {
            return Err(POLICY_CHANGED);
        }
        if Arc::ptr_eq(&self.people, &gate.people.load_full()) && gate.knows_the_newest().await? {
            return Ok(());
        }
        Err(GateError::Conflict("people were changed meanwhile"))
    }
}
