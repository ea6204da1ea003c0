//! What an actor may at all, so that a menu need not probe. By the actor's own proof: no role is hard-coded anywhere.

use std::net::IpAddr;

use super::who::{Access, accesses};
use crate::decision::entitlements::working_roles;
use crate::domain::access::Proof;
use crate::domain::ids::Name;
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::gate::peer::{Caller, Peer};
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::{EntryKind, StoredEntry};

const CALL: &str = "ListMyAccess";
/// More don't fit into one answer.
const ACCESSES_MAX: usize = 10_000;

/// Whose access is wanted.
#[derive(Debug)]
pub struct OwnAccess {
    /// Their proof.
    pub proof: Proof,
    /// The person's device.
    pub client_ip: Option<IpAddr>,
    /// The service's own session.
    pub session_ref: Option<Name>,
    /// Only of this kind.
    pub subject_kind: Option<Name>,
}

impl Gate {
    /// What the actor could be allowed. No use of their session: a menu is drawn by a program.
    ///
    /// # Errors
    /// When the actor would not pass the stages caller (whatever the system), network, two_step and person, the pack has no such
    /// kind, there is too much for one answer, or the call can't be logged.
    pub async fn own_access(&self, peer: &Peer, wish: OwnAccess) -> Result<Vec<Access>, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.caller_at_home(&rules, peer, CALL, now).await?;
        let (roles, mut entry) = match wish.proof {
            Proof::Workload => {
                let role = caller.service.and_then(|service| service.workload_role);
                let Some(role) = role else {
                    let error = GateError::Refused(ReasonCode::WorkloadNotAllowed);
                    return Err(self.refuse_call(peer, &caller, CALL, error, now).await);
                };
                let mut entry = entry::event(EntryKind::Administration, now, &caller, peer);
                entry.roles = vec![rules.roles.name(role).to_owned()];
                (vec![role], entry)
            }
            Proof::Missing | Proof::Ticket(_) => {
                if !caller
                    .service
                    .is_some_and(|service| service.acts_for_people)
                {
                    let error = GateError::Refused(ReasonCode::CallerMayNotActForPeople);
                    return Err(self.refuse_call(peer, &caller, CALL, error, now).await);
                }
                let credentials = Credentials {
                    ticket: match wish.proof {
                        Proof::Ticket(ticket) => Some(ticket),
                        Proof::Missing | Proof::Workload => None,
                    },
                    client_ip: wish.client_ip,
                    session_ref: wish.session_ref,
                };
                let admitted = match self.admit(&rules, &caller, &credentials, now) {
                    Ok(admitted) => admitted,
                    Err(refused) => {
                        let error = refused.for_own_session();
                        return Err(self
                            .refuse_person(peer, &caller, CALL, refused, error, now)
                            .await);
                    }
                };
                let mut entry = entry::event(EntryKind::Administration, now, &caller, peer);
                entry::acted_by(&mut entry, &admitted.person);
                entry::in_session(&mut entry, &admitted.ticket);
                entry.client_ip = admitted.client_ip.to_string();
                // They were admitted: not locked out.
                (working_roles(&rules, &admitted.person, false, now), entry)
            }
        };
        let mut only = None;
        if let Some(kind) = &wish.subject_kind {
            only = rules.kinds.id(kind);
            if only.is_none() {
                return Err(self.no_such_kind(peer, &caller, entry, now).await);
            }
            entry.subject_kind = kind.to_string();
        }
        entry::detail(&mut entry, "call", CALL);
        entry.policy_revision = rules.revision.to_vec();
        self.logged(entry).await?;
        let all = accesses(rules, roles, only, ACCESSES_MAX).await?;
        all.ok_or_else(|| {
            let what = format!("there are more than {ACCESSES_MAX}: name a subject_kind");
            GateError::TooLarge(what)
        })
    }

    async fn no_such_kind(
        &self,
        peer: &Peer,
        caller: &Caller<'_>,
        mut entry: StoredEntry,
        now: Timestamp,
    ) -> GateError {
        entry.kind = EntryKind::RefusedCall.into();
        entry.time_us = now.micros();
        let what = "the pack has none of that name";
        let error = GateError::Malformed(vec![Violation::new("subject_kind", what)]);
        self.refuse(peer, caller, entry, CALL, error).await
    }
}
