//! What the log proves: checkpoints for everybody who is known, proofs for those who may read the entry.

use crate::domain::ids::LogIndex;
use crate::gate::peer::Peer;
use crate::gate::records::read_log::unreadable;
use crate::gate::{Credentials, Gate, GateError, Violation};
use crate::log::ConsistencyProof;

impl Gate {
    /// The newest checkpoint, and the hashes that prove the log of `old_size` entries to be a prefix of it; none for 0. Any
    /// service that is known may ask, and it is not logged: it tells nothing about anybody.
    ///
    /// # Errors
    /// When nobody asks who is known, when `old_size` is more than the checkpoint commits to, or when the hashes can't be
    /// read.
    pub async fn checkpoint(
        &self,
        peer: &Peer,
        old_size: u64,
    ) -> Result<ConsistencyProof, GateError> {
        let rules = self.rules.load_full();
        self.caller_at_home(&rules, peer, "GetCheckpoint", self.now())
            .await?;
        let log = self.log.clone();
        let proof = tokio::task::spawn_blocking(move || log.consistency_proof(old_size))
            .await
            .map_err(|_| GateError::Internal("reading ended early"))?
            .map_err(unreadable)?;
        proof.ok_or_else(|| {
            let size = self.log.checkpoints().borrow().checkpoint.size;
            GateError::Malformed(vec![Violation::new(
                "old_size",
                format!("is more than the newest checkpoint commits to, which is {size}"),
            )])
        })
    }

    /// The proof that an entry is among those that the newest checkpoint commits to (C2SP `tlog-proof`).
    ///
    /// # Errors
    /// When nobody who reviews asks, the call can't be logged, or there is no such entry that they may see or that a
    /// checkpoint commits to yet: the next one is signed within a second.
    pub async fn inclusion_proof(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        index: LogIndex,
    ) -> Result<String, GateError> {
        self.entry_for(peer, credentials, "GetInclusionProof", Ok(index), "")
            .await?;
        let log = self.log.clone();
        tokio::task::spawn_blocking(move || log.inclusion_proof(index))
            .await
            .map_err(|_| GateError::Internal("reading ended early"))?
            .map_err(unreadable)?
            .ok_or(GateError::NotFound(
                "no checkpoint commits to this entry yet; ask again in a second",
            ))
    }
}
