//! Looking at the pack's folder: every two seconds, on SIGHUP, and when an administrator asks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, watch};

use crate::gate::peer::Peer;
use crate::gate::policies::activation::Putting;
use crate::gate::policies::source::{Loaded, Stamp};
use crate::gate::policies::{KEPT, PolicyError, PolicySource};
use crate::gate::running::start::own_entry;
use crate::gate::{Credentials, Gate, GateError, entry};
use crate::policy::shelf::{ShelfError, written};
use crate::proto::{EntryKind, StoredEntry};

/// How often the folder is looked at. A change is loaded once it was the same twice: its files are written one after the other.
const EVERY: Duration = Duration::from_secs(2);

/// How the pack's folder stands to what is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FolderStands {
    /// It holds what is in force.
    InForce,
    /// It waits to be activated.
    Candidate,
    /// It is what was in force before another revision was activated.
    SetAside,
    /// What it holds is refused: what is wrong, a line each.
    Refused(Vec<String>),
}

impl Gate {
    /// Looks at the pack's folder until a stop is asked for.
    pub async fn watch_policy(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let Some(source) = self.policies.source.clone() else {
            return;
        };
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let looking = Arc::clone(&source);
            let Ok(stamp) = tokio::task::spawn_blocking(move || looking.stamp()).await else {
                continue;
            };
            if self.policies.has_settled(&stamp)
                && let Err(error) = self.look_at_policy().await
            {
                tracing::error!(%error, "the policy's folder could not be looked at");
            }
            self.note_policy().await;
        }
    }

    /// Looks at the pack's folder now, and makes of it what the configuration says.
    ///
    /// # Errors
    /// When an entry can't be written: what is in force stays so.
    pub async fn look_at_policy(self: &Arc<Self>) -> Result<FolderStands, GateError> {
        let now = self.now();
        self.look(own_entry(EntryKind::PolicyChange, now)).await
    }

    /// As [`Self::look_at_policy`], for an administrator.
    ///
    /// # Errors
    /// When nobody who administers asks, or an entry can't be written; [`GateError::PolicyRefused`] when what the folder holds is
    /// refused.
    pub async fn reload_policy(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
    ) -> Result<FolderStands, GateError> {
        const CALL: &str = "ReloadPolicy";
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let mut asked =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut asked, "call", CALL);
        self.logged(asked).await?;
        let entry = self.administrators_entry(EntryKind::PolicyChange, peer, &administrator, now);
        match self.look(entry).await? {
            FolderStands::Refused(faults) => Err(GateError::PolicyRefused(faults)),
            stands => Ok(stands),
        }
    }

    async fn look(self: &Arc<Self>, mut entry: StoredEntry) -> Result<FolderStands, GateError> {
        let policies = &self.policies;
        let Some(source) = policies.source.clone() else {
            return Ok(FolderStands::InForce);
        };
        let turn = Arc::clone(&policies.turn).lock_owned().await;
        let looking = Arc::clone(&source);
        let loading = tokio::task::spawn_blocking(move || {
            // Before it is loaded: what is changed meanwhile is seen the next time.
            let stamp = looking.stamp();
            (stamp, looking.load_folder())
        });
        let (stamp, found) = loading
            .await
            .map_err(|_| GateError::Internal("loading a pack ended early"))?;
        entry.time_us = self.now().micros();
        let loaded = match found {
            Ok(loaded) => Arc::new(loaded),
            Err(why) => {
                self.policy_refused(&why, entry).await?;
                policies.looked_at(stamp);
                return Ok(policies.stands());
            }
        };
        match self.take_up_folder(&source, &loaded, entry, turn).await {
            Ok(()) => policies.looked_at(stamp),
            // Not the pack's fault alone: it is tried again.
            Err(TakingUp::Refused(why, entry)) => self.policy_refused(&why, *entry).await?,
            Err(TakingUp::Failed(error)) => return Err(error),
        }
        Ok(policies.stands())
    }

    async fn take_up_folder(
        self: &Arc<Self>,
        source: &Arc<PolicySource>,
        loaded: &Arc<Loaded>,
        mut entry: StoredEntry,
        turn: OwnedMutexGuard<()>,
    ) -> Result<(), TakingUp> {
        let policies = &self.policies;
        let now = self.now();
        let revision = loaded.revision();
        let (in_force, is_known) = {
            let mut state = policies.state();
            if revision == state.in_force.revision {
                // Only now is the folder the same again, or signed by others.
                state.faults.clear();
                state.told = (Vec::new(), Some(revision));
                state.folder = Some(Arc::clone(loaded));
                state.signed_by.clone_from(&loaded.signed_by);
                state.in_force.folder = Some(revision);
                state.shadow = None;
            }
            let is_known = state.told.1 == Some(revision) && state.faults.is_empty();
            (state.in_force.clone(), is_known)
        };
        if revision == in_force.revision {
            self.note_policy_now().await;
            return Ok(());
        }
        if !source.settings.by_hand && in_force.folder != Some(revision) {
            let putting = Putting {
                source: Arc::clone(source),
                loaded: Arc::clone(loaded),
                folder: Some(revision),
                entry,
                approval: None,
                turn,
            };
            return self.put_in_force(putting).await.map(|_| ());
        }
        let (keeping, kept) = (Arc::clone(source), Arc::clone(loaded));
        let mut used = policies.state().used();
        used.push(revision);
        let keep = move || {
            let pack = &kept.rules.pack;
            let shelf = &keeping.shelf;
            shelf.keep(&kept.revision(), pack, &kept.files, now)?;
            // The candidate before goes: nobody put it in force.
            shelf.let_go(KEPT, &used)?;
            Ok::<_, ShelfError>(shelf.candidate().unwrap_or_else(|error| {
                tracing::warn!(%error, "since when there is a candidate is not known");
                None
            }))
        };
        let kept = tokio::task::spawn_blocking(keep).await;
        let noted = match kept {
            Ok(Ok(noted)) => noted,
            Ok(Err(error)) => {
                tracing::error!(%error, "a policy can't be kept");
                return Err(GateError::Unready("the policy's files can't be kept").into());
            }
            Err(_) => return Err(GateError::Internal("keeping a pack ended early").into()),
        };
        if !is_known {
            let what = if source.settings.by_hand {
                "candidate"
            } else {
                "set-aside"
            };
            entry::detail(&mut entry, "change", what);
            entry::detail(&mut entry, "pack", &*loaded.rules.pack);
            entry::detail(&mut entry, "revision", written(&revision));
            entry.policy_revision = in_force.revision.to_vec();
            self.logged(entry).await?;
        }
        let is_another = {
            let mut state = policies.state();
            state.faults.clear();
            state.told = (Vec::new(), Some(revision));
            state.folder = Some(Arc::clone(loaded));
            let shadow = state.shadow.as_ref();
            source.settings.by_hand && shadow.is_none_or(|old| !old.is_of(&revision))
        };
        if is_another {
            let shadow = self.shadow_of(Arc::clone(loaded), noted, now);
            policies.state().shadow = Some(shadow);
            self.note_candidate(source).await;
        }
        Ok(())
    }

    /// What the folder holds is not put in force: an entry says so once for the same faults.
    async fn policy_refused(
        &self,
        why: &PolicyError,
        mut entry: StoredEntry,
    ) -> Result<(), GateError> {
        let faults = why.lines();
        let in_force = {
            let state = self.policies.state();
            if state.told.0 == faults {
                return Ok(());
            }
            state.in_force.revision
        };
        tracing::error!(
            faults = faults.len(),
            why = faults.first(),
            "the pack in the policy's folder is refused"
        );
        entry::detail(&mut entry, "change", "refuse");
        entry::detail(&mut entry, "faults", faults.len().to_string());
        entry::detail(&mut entry, "in_force", written(&in_force));
        for fault in faults.iter().take(8) {
            entry::detail(&mut entry, "why", fault.as_str());
        }
        entry.policy_revision = in_force.to_vec();
        // Operators know at once; the entry is tried again where it can't be written.
        self.policies.state().faults.clone_from(&faults);
        self.logged(entry).await?;
        self.policies.state().told.0 = faults;
        self.policies.refused.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Why a folder was not taken up.
pub(super) enum TakingUp {
    /// The pack's fault; with the entry that says so.
    Refused(PolicyError, Box<StoredEntry>),
    Failed(GateError),
}

impl From<GateError> for TakingUp {
    fn from(error: GateError) -> Self {
        Self::Failed(error)
    }
}

impl super::Policies {
    /// Whether the folder was changed since it was last loaded, and not since the last look.
    fn has_settled(&self, stamp: &Stamp) -> bool {
        let mut state = self.state();
        if state.seen.as_ref() == Some(stamp) {
            state.changing = None;
            return false;
        }
        if state.changing.as_ref() == Some(stamp) {
            return true;
        }
        state.changing = Some(stamp.clone());
        false
    }

    fn looked_at(&self, stamp: Stamp) {
        let mut state = self.state();
        state.changing = None;
        state.seen = Some(stamp);
    }

    pub(super) fn stands(&self) -> FolderStands {
        self.state().stands(self.by_hand())
    }
}
