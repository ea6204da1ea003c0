//! The register of who has access to what.

use std::sync::Arc;

use crate::domain::ids::LogIndex;
use crate::gate::peer::Peer;
use crate::gate::{Credentials, Gate, GateError};
use crate::log::Receipt;
use crate::report::Register;

/// The register, and the entry of the call.
#[derive(Debug)]
pub struct RegisterSeen {
    /// As of the call.
    pub register: Register,
    receipt: Receipt,
}

impl RegisterSeen {
    /// The entry of the call.
    #[must_use]
    pub fn index(&self) -> LogIndex {
        self.receipt.index()
    }
}

impl Gate {
    /// The register as of now.
    ///
    /// # Errors
    /// When nobody asks who administers, audits or reviews everything, or the call can't be logged.
    pub async fn register_of_access(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
    ) -> Result<RegisterSeen, GateError> {
        const CALL: &str = "GetRegister";
        let rules = self.rules.load_full();
        let now = self.now();
        let explainer = self.explainer(&rules, peer, credentials, CALL, now).await?;
        if !explainer.may_know_subjects() {
            let why = "this needs somebody who administers, audits or reviews everything";
            return Err(self.refuse_explainer(peer, explainer, CALL, why, now).await);
        }
        let mut entry = self.explainers_entry(peer, &explainer, CALL, now);
        entry.policy_revision = rules.revision.to_vec();
        let receipt = self.logged(entry).await?;
        drop(explainer);
        let gate = Arc::clone(self);
        let register = tokio::task::spawn_blocking(move || {
            let people = gate.people.load();
            let people = people.values().map(Arc::as_ref);
            Register::of(&rules, people, |person| gate.is_locked_out(&person.id), now)
        })
        .await
        .map_err(|_| GateError::Internal("the register ended early"))?;
        Ok(RegisterSeen { register, receipt })
    }
}
