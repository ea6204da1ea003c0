//! `PolicyService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::read::Fields;
use super::requests::{approved, awaited};
use super::write::instant;
use super::{errors, peer, taken, to_its_end};
use crate::domain::time::Timestamp;
use crate::gate::{FolderStands, Gate, Guarded, PolicySeen, PolicyWish, RevisionSeen, ShadowSeen};
use crate::policy::replay::{Group, GroupKey, NotExactly};
use crate::policy::shelf::{read_revision, written};
use crate::proto::policy_service_server::PolicyService;
use crate::proto::{
    ActivatePolicyRequest, ActivatePolicyResponse, GetPolicyRequest, GetPolicyResponse,
    GetShadowRequest, GetShadowResponse, ListRevisionsRequest, ListRevisionsResponse, PolicyFolder,
    PolicyRevision, ReloadPolicyRequest, ReloadPolicyResponse, ShadowDifference, ShadowInexact,
};

/// How many groups of differences are told.
const DIFFERENCES_MAX: usize = 200;
/// How many faults are told: the first show how.
const FAULTS_MAX: usize = 100;

/// The life of the policy.
#[derive(Debug, Clone)]
pub struct Policies {
    gate: Arc<Gate>,
}

impl Policies {
    /// Asks `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

#[tonic::async_trait]
impl PolicyService for Policies {
    async fn get_policy(
        &self,
        request: Request<GetPolicyRequest>,
    ) -> Result<Response<GetPolicyResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        taken(&self.gate, &peer, "GetPolicy", fields.finish(Some(()))).await?;
        let seen = self.gate.get_policy(&peer, &credentials).await;
        Ok(Response::new(told(seen.map_err(errors::status)?)))
    }

    async fn list_revisions(
        &self,
        request: Request<ListRevisionsRequest>,
    ) -> Result<Response<ListRevisionsResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        taken(&self.gate, &peer, "ListRevisions", fields.finish(Some(()))).await?;
        let seen = self.gate.list_revisions(&peer, &credentials).await;
        let revisions = seen.map_err(errors::status)?;
        let revisions = revisions.into_iter().map(revision).collect();
        Ok(Response::new(ListRevisionsResponse { revisions }))
    }

    async fn reload_policy(
        &self,
        request: Request<ReloadPolicyRequest>,
    ) -> Result<Response<ReloadPolicyResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        taken(&self.gate, &peer, "ReloadPolicy", fields.finish(Some(()))).await?;
        let gate = Arc::clone(&self.gate);
        let stands = to_its_end(async move { gate.reload_policy(&peer, &credentials).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(ReloadPolicyResponse {
            folder: folder(&stands).into(),
            revision: written(&self.gate.rules().revision),
        }))
    }

    async fn activate_policy(
        &self,
        request: Request<ActivatePolicyRequest>,
    ) -> Result<Response<ActivatePolicyResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        let request = request.into_inner();
        let revision = read_revision(&request.revision);
        if revision.is_none() {
            let what = "is not the SHA-256 of a revision: 64 lower-case hexadecimal digits";
            fields.wrong("revision", what);
        }
        let wish = revision.map(|revision| PolicyWish {
            revision,
            reason: request.reason,
            approve: approved(request.approve),
        });
        let wish = taken(&self.gate, &peer, "ActivatePolicy", fields.finish(wish)).await?;
        let gate = Arc::clone(&self.gate);
        let done = to_its_end(async move { gate.activate_policy(&peer, &credentials, wish).await })
            .await
            .map_err(errors::status)?;
        Ok(Response::new(match done {
            Guarded::Done { what, alone } => ActivatePolicyResponse {
                log_index: what.0,
                alone,
                ..ActivatePolicyResponse::default()
            },
            Guarded::Awaited(asked) => {
                let (pending, pending_until, effective_at) = awaited(Some(asked));
                ActivatePolicyResponse {
                    log_index: pending,
                    pending,
                    pending_until,
                    effective_at,
                    alone: false,
                }
            }
        }))
    }

    async fn get_shadow(
        &self,
        request: Request<GetShadowRequest>,
    ) -> Result<Response<GetShadowResponse>, Status> {
        let peer = peer::of(&request)?;
        let mut fields = Fields::default();
        let credentials = fields.credentials(request.metadata());
        taken(&self.gate, &peer, "GetShadow", fields.finish(Some(()))).await?;
        let seen = self.gate.get_shadow(&peer, &credentials).await;
        let seen = seen.map_err(errors::status)?;
        Ok(Response::new(
            seen.map_or_else(GetShadowResponse::default, shadow),
        ))
    }
}

const fn folder(stands: &FolderStands) -> PolicyFolder {
    match stands {
        FolderStands::InForce => PolicyFolder::InForce,
        FolderStands::Candidate => PolicyFolder::Candidate,
        FolderStands::SetAside => PolicyFolder::SetAside,
        FolderStands::Refused(_) => PolicyFolder::Refused,
    }
}

fn revision(seen: RevisionSeen) -> PolicyRevision {
    PolicyRevision {
        revision: written(&seen.revision),
        pack: seen.pack,
        loaded_at: seen.loaded.map(Timestamp::micros).and_then(instant),
        in_force: seen.in_force,
        candidate: seen.candidate,
        signed_by: seen.signed_by,
    }
}

fn told(seen: PolicySeen) -> GetPolicyResponse {
    let stands = folder(&seen.folder).into();
    let mut faults = match seen.folder {
        FolderStands::Refused(faults) => faults,
        FolderStands::InForce | FolderStands::Candidate | FolderStands::SetAside => Vec::new(),
    };
    let fault_count = u32::try_from(faults.len()).unwrap_or(u32::MAX);
    faults.truncate(FAULTS_MAX);
    GetPolicyResponse {
        fault_count,
        in_force: Some(revision(seen.in_force)),
        in_force_since: instant(seen.since.micros()),
        activated_by: seen.by,
        folder: stands,
        candidate: seen.candidate.map(revision),
        faults,
        by_hand: seen.by_hand,
        needs_two: seen.needs_two,
        signature_required: seen.signature_required,
    }
}

fn shadow(seen: ShadowSeen) -> GetShadowResponse {
    let tally = seen.tally;
    let mut groups: Vec<_> = tally.groups.iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
    let untold = groups.split_off(groups.len().min(DIFFERENCES_MAX));
    let untold = untold.iter().map(|(_, group)| group.count);
    let ungrouped = untold.fold(tally.ungrouped, u64::saturating_add);
    let told = |(key, group): (&GroupKey, &Group)| ShadowDifference {
        change: key.change.name().to_owned(),
        roles: key.roles.clone(),
        subject_kind: key.kind.clone(),
        categories: key.categories.clone(),
        action: key.action.name().to_owned(),
        purpose: key.purpose.clone(),
        in_force: key.old_reason.map_or(0, |code| code.number()),
        candidate: key.new_reason.map_or(0, |code| code.number()),
        in_force_rule: group.rules.0.to_string(),
        candidate_rule: group.rules.1.to_string(),
        count: group.count,
        entries: group.samples.iter().map(|index| index.0).collect(),
    };
    let inexact = |(lacking, count): (&NotExactly, &u64)| ShadowInexact {
        lacking: lacking.name().to_owned(),
        count: *count,
    };
    GetShadowResponse {
        revision: written(&seen.candidate),
        in_force: written(&seen.in_force),
        since: instant(seen.since.micros()),
        decided: tally.decisions(),
        differing: tally.differ(),
        not_exactly: tally.not_exactly.iter().map(inexact).collect(),
        differences: groups.into_iter().map(told).collect(),
        ungrouped,
        unreadable: tally.unreadable,
        not_shown: seen
            .not_shown
            .iter()
            .map(|one| one.name().to_owned())
            .collect(),
        from_log_index: seen.from.0,
        next_log_index: seen.next.0,
    }
}
