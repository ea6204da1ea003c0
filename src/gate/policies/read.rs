//! Telling what is in force, what is kept, and what the shadow found. Each look is in the log.

use std::sync::Arc;

use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::gate::peer::Peer;
use crate::gate::policies::looking::FolderStands;
use crate::gate::{Credentials, Gate, GateError};
use crate::policy::diff::Section;
use crate::policy::replay::Tally;
use crate::policy::shelf::{Kept, Revision};

/// A revision, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionSeen {
    /// Its name.
    pub revision: Revision,
    /// The pack's id.
    pub pack: String,
    /// When it was first loaded; `None` where it is not kept.
    pub loaded: Option<Timestamp>,
    /// It is in force.
    pub in_force: bool,
    /// It waits to be activated.
    pub candidate: bool,
    /// Names of the configured keys that signed it; of what is in force and of the candidate only.
    pub signed_by: Vec<String>,
}

/// What is in force, and how the folder stands to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySeen {
    /// What decides.
    pub in_force: RevisionSeen,
    /// Since when.
    pub since: Timestamp,
    /// Whose hand it was; empty for the daemon itself.
    pub by: String,
    /// How the folder stands to it.
    pub folder: FolderStands,
    /// What waits to be activated.
    pub candidate: Option<RevisionSeen>,
    /// A changed folder waits.
    pub by_hand: bool,
    /// Activating takes two.
    pub needs_two: bool,
    /// Unsigned packs are refused.
    pub signature_required: bool,
}

/// What the shadow found.
#[derive(Debug, Clone)]
pub struct ShadowSeen {
    /// The candidate.
    pub candidate: Revision,
    /// Beside what.
    pub in_force: Revision,
    /// Since when.
    pub since: Timestamp,
    /// The entry of the log that it began with.
    pub from: LogIndex,
    /// Up to which it was read so far.
    pub next: LogIndex,
    /// What the two have differently and no entry shows.
    pub not_shown: Vec<Section>,
    /// So far.
    pub tally: Tally,
}

impl Gate {
    /// What is in force.
    ///
    /// # Errors
    /// When nobody who administers or reviews everything asks, or the look can't be logged.
    pub async fn get_policy(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
    ) -> Result<PolicySeen, GateError> {
        self.looks(peer, credentials, "GetPolicy").await?;
        let kept = self.kept_revisions().await?;
        let by_hand = self.policies.by_hand();
        let settings = self.policies.source.as_ref().map(|it| &it.settings);
        let state = self.policies.state();
        let candidate = state.candidate(by_hand).map(|candidate| {
            let revision = candidate.revision();
            let loaded = loaded(&kept, &revision);
            RevisionSeen {
                revision,
                pack: candidate.rules.pack.to_string(),
                loaded,
                in_force: false,
                candidate: true,
                signed_by: candidate.signed_by.clone(),
            }
        });
        let revision = state.in_force.revision;
        Ok(PolicySeen {
            in_force: RevisionSeen {
                revision,
                pack: self.rules.load().pack.to_string(),
                loaded: loaded(&kept, &revision),
                in_force: true,
                candidate: false,
                signed_by: state.signed_by.clone(),
            },
            since: state.in_force.since,
            by: state.in_force.by.clone(),
            folder: state.stands(by_hand),
            candidate,
            by_hand,
            needs_two: settings.is_some_and(|settings| settings.needs_two),
            signature_required: settings.is_some_and(|settings| settings.signature_required),
        })
    }

    /// What is kept, the latest loaded first.
    ///
    /// # Errors
    /// As for [`Self::get_policy`], and when what is kept can't be read.
    pub async fn list_revisions(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
    ) -> Result<Vec<RevisionSeen>, GateError> {
        self.looks(peer, credentials, "ListRevisions").await?;
        let kept = self.kept_revisions().await?;
        let state = self.policies.state();
        let candidate = state.candidate(self.policies.by_hand());
        let waits = |revision| {
            let candidate = candidate.as_ref();
            candidate.filter(|candidate| candidate.revision() == revision)
        };
        let seen = kept.into_iter().map(|kept| {
            let in_force = kept.revision == state.in_force.revision;
            let candidate = waits(kept.revision);
            let signed_by = match (in_force, candidate) {
                (true, _) => state.signed_by.clone(),
                (false, Some(candidate)) => candidate.signed_by.clone(),
                (false, None) => Vec::new(),
            };
            RevisionSeen {
                revision: kept.revision,
                pack: kept.pack,
                loaded: Some(kept.loaded),
                in_force,
                candidate: candidate.is_some(),
                signed_by,
            }
        });
        Ok(seen.collect())
    }

    /// What the shadow found so far; `None` where there is no candidate.
    ///
    /// # Errors
    /// As for [`Self::get_policy`].
    pub async fn get_shadow(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
    ) -> Result<Option<ShadowSeen>, GateError> {
        self.looks(peer, credentials, "GetShadow").await?;
        let state = self.policies.state();
        Ok(state.shadow.as_ref().map(|shadow| ShadowSeen {
            candidate: shadow.revision(),
            in_force: state.in_force.revision,
            since: shadow.begun.since,
            from: shadow.begun.from,
            next: shadow.seen_to(),
            not_shown: shadow.not_shown().to_vec(),
            tally: shadow.tally(),
        }))
    }

    /// Admits who administers, audits or reviews everything, and writes that they looked.
    async fn looks(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        call: &'static str,
    ) -> Result<(), GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let explainer = self.explainer(&rules, peer, credentials, call, now).await?;
        if !explainer.may_know_subjects() {
            let why = "this needs somebody who administers, audits or reviews everything";
            return Err(self.refuse_explainer(peer, explainer, call, why, now).await);
        }
        let entry = self.explainers_entry(peer, &explainer, call, now);
        self.logged(entry).await?;
        Ok(())
    }

    async fn kept_revisions(&self) -> Result<Vec<Kept>, GateError> {
        let Some(source) = self.policies.source.clone() else {
            return Ok(Vec::new());
        };
        let listed = tokio::task::spawn_blocking(move || source.shelf.list()).await;
        let listed = listed.map_err(|_| GateError::Internal("reading the shelf ended early"))?;
        listed.map_err(|error| {
            tracing::error!(%error, "the kept policies can't be read");
            GateError::Internal("the kept policies can't be read")
        })
    }
}

fn loaded(kept: &[Kept], revision: &Revision) -> Option<Timestamp> {
    let found = kept.iter().find(|kept| kept.revision == *revision)?;
    Some(found.loaded)
}
