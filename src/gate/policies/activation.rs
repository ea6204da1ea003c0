//! Putting a revision in force: it is kept, its keys are made ready, its entry is written, and then all checks that begin decide by
//! it. Those under way end by the one they began with.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedMutexGuard;

use crate::decision::rules::RuleSet;
use crate::domain::ids::LogIndex;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::gate::accounts::sessions::changing;
use crate::gate::admission::administers;
use crate::gate::changes::StillWanted;
use crate::gate::peer::Peer;
use crate::gate::pending::{Approval, Decides, Guarded, Wish};
use crate::gate::policies::looking::TakingUp;
use crate::gate::policies::source::Loaded;
use crate::gate::policies::{KEPT, PolicyError, PolicySource};
use crate::gate::records::log_holds::reason_violations;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::policy::shelf::{InForce, Revision, written};
use crate::proto::stored_change::Kind;
use crate::proto::{EntryKind, StoredActivation, StoredEntry};

const CALL: &str = "ActivatePolicy";

/// What is asked for.
#[derive(Debug)]
pub struct PolicyWish {
    /// Of a kept pack.
    pub revision: Revision,
    /// Why.
    pub reason: String,
    /// Another administrator's request for the same.
    pub approve: Option<LogIndex>,
}

impl Gate {
    /// Puts a kept revision in force; where that takes two, the first call only asks for it.
    ///
    /// # Errors
    /// When nobody who administers asks, a field can't be taken, or the entry can't be written; [`GateError::PolicyRefused`] when the
    /// revision can't be in force any more. What is in force stays so.
    pub async fn activate_policy(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: PolicyWish,
    ) -> Result<Guarded<LogIndex>, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let person = administrator.admitted.person.id.clone();
        let mut violations = reason_violations(&wish.reason);
        let (loaded, refused) = match self.kept_policy(wish.revision).await? {
            Ok(loaded) => (loaded, None),
            Err(why) => (None, Some(why)),
        };
        if wish.revision == rules.revision {
            violations.push(Violation::new("revision", "is in force already"));
        } else if loaded.is_none() && refused.is_none() {
            let what = "is not among the kept revisions: ListRevisions tells them";
            violations.push(Violation::new("revision", what));
        }
        let asked = Wish::ActivatePolicy {
            revision: wish.revision,
        };
        let takes_two = self.policies.needs_two();
        let decides = self
            .who_decides(&rules, (&asked, takes_two), wish.approve, &person, now)
            .await?;
        let (Ok(decides), true) = (
            decides.map_err(|violation| violations.push(violation)),
            violations.is_empty(),
        ) else {
            return Err(self
                .refuse_administrator(peer, &administrator, CALL, violations, now)
                .await);
        };
        let mut entry =
            self.administrators_entry(EntryKind::PolicyChange, peer, &administrator, now);
        entry.free_text = wish.reason;
        let (Some(source), Some(loaded)) = (self.policies.source.clone(), loaded) else {
            let why = refused.map_or_else(Vec::new, |why| why.lines());
            return Err(self.not_in_force(entry, why).await?);
        };
        if matches!(decides, Decides::Another) {
            entry.kind = EntryKind::Administration.into();
            entry::detail(&mut entry, "revision", written(&wish.revision));
            let awaited = self
                .ask_another(entry, &rules, &asked, &person, now)
                .await?;
            return Ok(Guarded::Awaited(awaited));
        }
        let approval = decides.approval().cloned();
        if let Some(approval) = &approval {
            approval.tell(&mut entry);
        }
        let turn = Arc::clone(&self.policies.turn).lock_owned().await;
        let folder = self
            .policies
            .state()
            .folder
            .as_ref()
            .map(|held| held.revision());
        let put = self
            .put_in_force(Putting {
                source,
                loaded: Arc::new(loaded),
                folder,
                entry,
                approval,
                turn,
            })
            .await;
        match put {
            Ok(index) => Ok(decides.done(index)),
            Err(TakingUp::Failed(error)) => Err(error),
            Err(TakingUp::Refused(why, entry)) => {
                Err(self.not_in_force(*entry, why.lines()).await?)
            }
        }
    }

    /// Writes that an administrator wanted what can't be.
    async fn not_in_force(
        &self,
        mut entry: StoredEntry,
        why: Vec<String>,
    ) -> Result<GateError, GateError> {
        entry.kind = EntryKind::RefusedCall.into();
        entry::detail(&mut entry, "call", CALL);
        for line in why.iter().take(8) {
            entry::detail(&mut entry, "why", line.as_str());
        }
        self.logged(entry).await?;
        Ok(GateError::PolicyRefused(why))
    }

    async fn kept_policy(
        &self,
        revision: Revision,
    ) -> Result<Result<Option<Loaded>, PolicyError>, GateError> {
        let Some(source) = self.policies.source.clone() else {
            return Ok(Ok(None));
        };
        tokio::task::spawn_blocking(move || source.load_kept(&revision))
            .await
            .map_err(|_| GateError::Internal("loading a pack ended early"))
    }

    /// Puts a pack in force.
    pub(super) async fn put_in_force(
        self: &Arc<Self>,
        putting: Putting,
    ) -> Result<LogIndex, TakingUp> {
        let Putting {
            source,
            loaded,
            folder,
            mut entry,
            approval,
            turn,
        } = putting;
        // Decisions that were made while others had the turn come before it.
        let now = self.now();
        entry.time_us = now.micros();
        let next = Arc::clone(&loaded.rules);
        let before = self.rules.load().revision;
        if before == next.revision {
            return Err(CHANGED_MEANWHILE.into());
        }
        if self.leaves_nobody(&next, now) {
            let why = PolicyError::NobodyAdministers(next.pack.to_string());
            return Err(TakingUp::Refused(why, Box::new(entry)));
        }
        let in_force = InForce {
            revision: next.revision,
            folder,
            since: now,
            by: entry.person.clone(),
        };
        // Before anything says that it is about to be: how long it takes is up to the log.
        self.count_for(&next).await?;
        self.make_ready(&source, &loaded, &in_force, now).await?;
        entry::detail(&mut entry, "change", "activate");
        entry::detail(&mut entry, "pack", &*next.pack);
        entry::detail(&mut entry, "replaces", written(&before));
        if !loaded.signed_by.is_empty() {
            entry::detail(&mut entry, "signed_by", loaded.signed_by.join(" "));
        }
        entry.policy_revision = next.revision.to_vec();
        entry.change = changing(Kind::ActivatePolicy(StoredActivation {
            revision: next.revision.to_vec(),
            replaces: before.to_vec(),
            settles: approval.as_ref().map(|approval| approval.request.0),
        }));
        let still = StillFits {
            approval,
            before,
            next: Arc::clone(&next),
        };
        let is_folder = folder == Some(next.revision);
        // Kept until it is made, whether or not somebody waits: what the folder holds then is what it holds now.
        let turn = Arc::new(turn);
        let held = Arc::clone(&turn);
        let apply = move |gate: &Self| {
            let mut state = gate.policies.state();
            gate.rules.store(Arc::clone(&next));
            state.in_force = in_force;
            state.signed_by.clone_from(&loaded.signed_by);
            if is_folder {
                state.faults.clear();
                state.told = (Vec::new(), folder);
                state.folder = Some(loaded);
            }
            let waits = state.candidate(gate.policies.by_hand());
            state.shadow = waits.map(|candidate| gate.shadow_of(candidate, None, now));
            gate.policies.activated.fetch_add(1, Ordering::Relaxed);
            drop(held);
        };
        let index = match self.change(entry, still, apply).await {
            Ok(receipt) => receipt.index(),
            Err(error) => {
                // Something else may have been put in force by somebody who did not wait for it.
                self.note_policy_now().await;
                return Err(error.into());
            }
        };
        tracing::info!(entry = index.0, revision = %written(&self.rules.load().revision), "another policy is in force");
        self.note_policy_now().await;
        drop(turn);
        Ok(index)
    }

    /// What has to be there when a pack is put in force: its files, its keys, and what a start has to know wherever this ends.
    async fn make_ready(
        &self,
        source: &Arc<PolicySource>,
        loaded: &Arc<Loaded>,
        in_force: &InForce,
        now: Timestamp,
    ) -> Result<(), GateError> {
        let (source, loaded, in_force) = (Arc::clone(source), Arc::clone(loaded), in_force.clone());
        let ledger = self.log.clone();
        let making = tokio::task::spawn_blocking(move || {
            let pack = &loaded.rules.pack;
            let shelf = &source.shelf;
            shelf
                .keep(&in_force.revision, pack, &loaded.files, now)
                .map_err(|error| error.to_string())?;
            // What its classes have to be sealed would be refused until the keys are there.
            ledger
                .prepare(&loaded.rules, now)
                .map_err(|error| error.to_string())?;
            shelf
                .activate(&in_force, LogIndex(ledger.len()))
                .map_err(|error| error.to_string())
        });
        match making.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => {
                tracing::error!(%why, "a policy can't be made ready");
                Err(GateError::Unready(
                    "the policy's files can't be kept, or its keys can't be made ready",
                ))
            }
            Err(_) => Err(GateError::Internal("keeping a pack ended early")),
        }
    }

    fn leaves_nobody(&self, next: &RuleSet, now: Timestamp) -> bool {
        let people = self.people.load();
        let people = people.values().map(AsRef::as_ref);
        leaves_nobody(&self.rules.load(), next, people, now)
    }

    /// At a start, whose pack the folder's took the place of what was in force: stays by that, when under the folder's pack nobody would
    /// administer. The same rule as for a reload; what is wrong with the folder's pack is returned, and told.
    pub(in crate::gate) async fn stay_by(
        self: &Arc<Self>,
        last: Option<(Arc<Loaded>, InForce)>,
        now: Timestamp,
    ) -> Result<Option<String>, GateError> {
        let Some((last, in_force)) = last else {
            return Ok(None);
        };
        let next = self.rules.load_full();
        let people = self.people.load();
        let everybody = people.values().map(AsRef::as_ref);
        if !leaves_nobody(&last.rules, &next, everybody, now) {
            return Ok(None);
        }
        let why = PolicyError::NobodyAdministers(next.pack.to_string());
        tracing::error!(%why, "the pack in the policy's folder is refused, and what was in force stays so");
        // Counted so far for the other.
        self.count_for(&last.rules).await?;
        self.rules.store(Arc::clone(&last.rules));
        let mut state = self.policies.state();
        state.in_force = in_force;
        state.signed_by.clone_from(&last.signed_by);
        state.folder = None;
        state.faults = why.lines();
        Ok(Some(why.to_string()))
    }

    /// Tells the shelf what is in force, where it could not be told before.
    pub(in crate::gate) async fn note_policy(self: &Arc<Self>) {
        let is_told = {
            let state = self.policies.state();
            state.noted.as_ref() == Some(&state.in_force) && state.undone.is_none()
        };
        if !is_told {
            let _one_at_a_time = self.policies.turn.lock().await;
            self.note_policy_now().await;
        }
    }

    /// Notes since when there is a candidate, or that there is none, for the next start to go on from. Where that fails, it begins
    /// anew there, which it tells.
    pub(super) async fn note_candidate(&self, source: &Arc<PolicySource>) {
        let begun = {
            let state = self.policies.state();
            state.shadow.as_ref().map(|shadow| shadow.begun.clone())
        };
        let source = Arc::clone(source);
        let noting =
            tokio::task::spawn_blocking(move || source.shelf.note_candidate(begun.as_ref()));
        match noting.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "since when there is a candidate could not be noted");
            }
            Err(error) => tracing::warn!(%error, "noting the candidate ended early"),
        }
    }

    /// As [`Self::note_policy`], with the turn of policies.
    pub(super) async fn note_policy_now(self: &Arc<Self>) {
        let Some(source) = self.policies.source.clone() else {
            return;
        };
        self.note_candidate(&source).await;
        let (in_force, used) = {
            let state = self.policies.state();
            (state.in_force.clone(), state.used())
        };
        let noting = in_force.clone();
        let noted = tokio::task::spawn_blocking(move || {
            source
                .shelf
                .put_in_force(&noting)
                .map_err(|error| error.to_string())?;
            Ok(source.shelf.let_go(KEPT, &used).err())
        });
        let outcome = noted
            .await
            .unwrap_or_else(|_| Err("it ended early".to_owned()));
        let one_line = |why: String| why.replace('\n', " ");
        let mut state = self.policies.state();
        state.undone = match outcome {
            Ok(tidied) => {
                state.noted = Some(in_force);
                tidied.map(|why| {
                    let why = one_line(why.to_string());
                    format!("old revisions of the policy can't be let go: {why}")
                })
            }
            Err(why) => {
                tracing::error!(%why, "what is in force could not be noted");
                let why = one_line(why);
                Some(format!(
                    "which policy is in force can't be noted, and a start would put another in force: {why}"
                ))
            }
        };
    }
}

/// A pack that is to be put in force.
pub(super) struct Putting {
    pub(super) source: Arc<PolicySource>,
    pub(super) loaded: Arc<Loaded>,
    /// What the pack's folder holds then.
    pub(super) folder: Option<Revision>,
    /// Who does it.
    pub(super) entry: StoredEntry,
    pub(super) approval: Option<Approval>,
    pub(super) turn: OwnedMutexGuard<()>,
}

const CHANGED_MEANWHILE: GateError =
    GateError::Conflict("another policy was put in force meanwhile");

impl super::Policies {
    fn needs_two(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|source| source.settings.needs_two)
    }
}

/// Nothing else was put in force meanwhile, somebody administers then, and who approved still may.
struct StillFits {
    approval: Option<Approval>,
    before: Revision,
    next: Arc<RuleSet>,
}

impl StillWanted for StillFits {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        if gate.rules.load().revision != self.before {
            return Err(CHANGED_MEANWHILE);
        }
        if gate.leaves_nobody(&self.next, gate.now()) {
            let why = PolicyError::NobodyAdministers(self.next.pack.to_string());
            return Err(GateError::PolicyRefused(why.lines()));
        }
        self.approval.look(gate).await
    }
}

/// Whether somebody administers now, and nobody would under `next`.
fn leaves_nobody<'a>(
    rules: &RuleSet,
    next: &RuleSet,
    people: impl Iterator<Item = &'a Person>,
    now: Timestamp,
) -> bool {
    let (mut one, mut other) = (false, false);
    for person in people.filter(|person| person.is_active(now)) {
        one |= administers(rules, person, now);
        other |= administers(next, person, now);
    }
    one && !other
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::ids::Name;
    use crate::domain::person::RoleAssignment;

    #[test]
    fn somebody_who_administers_is_always_left() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
        let mut rules = crate::policy::load(&folder).unwrap().rules;
        let next = rules.clone();
        let name = |text| Name::parse(text).unwrap();
        let with = |role| {
            let mut person = Person::new(name("p"), name("d"));
            person.roles = vec![RoleAssignment::for_good(name(role))];
            person
        };
        let now = Timestamp::from_seconds(1_800_000_000);
        let legal = rules.roles.id("legal").unwrap();
        rules.roles.get_mut(legal).unwrap().administers = true;
        let (one, other) = (with("legal"), with("administrator"));
        assert!(leaves_nobody(&rules, &next, [&one].into_iter(), now));
        assert!(!leaves_nobody(
            &rules,
            &next,
            [&one, &other].into_iter(),
            now
        ));
        // Nobody administers as it is: nothing is lost.
        assert!(!leaves_nobody(&next, &next, [&one].into_iter(), now));
        let disabled = Person {
            disabled: true,
            ..other
        };
        assert!(leaves_nobody(
            &rules,
            &next,
            [&one, &disabled].into_iter(),
            now
        ));
    }
}
