//! Checkpoints and proofs, for those who don't trust the daemon.

use std::sync::Arc;

use tokio::sync::watch;

use super::AccessLog;
use super::cosigned::Cosigned;
use super::error::ReadError;
use super::keeper::Signed;
use super::note::VerifierKey;
use super::proof::{self, InclusionProof};
use super::tree::TreeReader;
use crate::domain::ids::LogIndex;

/// What proofs are made of.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) signed: watch::Receiver<Arc<Signed>>,
    pub(super) nodes: TreeReader,
    pub(super) key: VerifierKey,
    pub(super) cosigned: Cosigned,
}

/// That an older state of the log is a prefix of a newer one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The newer one.
    pub signed: Arc<Signed>,
    /// RFC 6962, section 2.1.2; empty when the older one is empty, or the same.
    pub path: Vec<[u8; 32]>,
}

impl AccessLog {
    /// The newest checkpoint, and each that follows. It lags the durable end by a second at most.
    #[must_use]
    pub fn checkpoints(&self) -> watch::Receiver<Arc<Signed>> {
        self.shared.evidence.signed.clone()
    }

    /// The key that verifies them.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.shared.evidence.key
    }

    /// The proof that the entry at `index` is one of those that the newest checkpoint commits to, as text (C2SP `tlog-proof`).
    /// Blocks on the disk for some reads. `None` when no checkpoint commits to it yet.
    ///
    /// # Errors
    /// When the tree's hashes can't be read, or are not those of the checkpoint.
    pub fn inclusion_proof(&self, index: LogIndex) -> Result<Option<String>, ReadError> {
        let signed = Arc::clone(&self.shared.evidence.signed.borrow());
        if index.0 >= signed.checkpoint.size {
            return Ok(None);
        }
        let nodes = &self.shared.evidence.nodes;
        let proof = InclusionProof {
            index: index.0,
            path: proof::inclusion(nodes, index.0, signed.checkpoint.size)?,
            checkpoint: signed.note.clone(),
        };
        Ok(Some(proof.to_string()))
    }

    /// The newest checkpoint, and the proof that the log of `old_size` entries is a prefix of it (RFC 6962, section 2.1.2).
    /// Blocks on the disk for some reads. `None` when `old_size` is more than the checkpoint commits to.
    ///
    /// # Errors
    /// When the tree's hashes can't be read.
    pub fn consistency_proof(&self, old_size: u64) -> Result<Option<ConsistencyProof>, ReadError> {
        let signed = Arc::clone(&self.shared.evidence.signed.borrow());
        if old_size > signed.checkpoint.size {
            return Ok(None);
        }
        let nodes = &self.shared.evidence.nodes;
        let path = proof::consistency(nodes, old_size, signed.checkpoint.size)?;
        Ok(Some(ConsistencyProof { signed, path }))
    }

    /// As [`Self::consistency_proof`], up to `new_size` entries, which needn't be all: the path alone. `None` when `old_size`
    /// is more than `new_size`, or that more than the newest checkpoint commits to.
    ///
    /// # Errors
    /// When the tree's hashes can't be read.
    pub fn consistency_path(
        &self,
        old_size: u64,
        new_size: u64,
    ) -> Result<Option<Vec<[u8; 32]>>, ReadError> {
        let evidence = &self.shared.evidence;
        if old_size > new_size || new_size > evidence.signed.borrow().checkpoint.size {
            return Ok(None);
        }
        proof::consistency(&evidence.nodes, old_size, new_size).map(Some)
    }

    /// The root of the tree of the first `size` entries; `None` when no checkpoint commits to so many. Blocks on the disk for
    /// some reads.
    ///
    /// # Errors
    /// When the tree's hashes can't be read.
    pub fn root_at(&self, size: u64) -> Result<Option<[u8; 32]>, ReadError> {
        let evidence = &self.shared.evidence;
        if size > evidence.signed.borrow().checkpoint.size {
            return Ok(None);
        }
        Ok(Some(evidence.nodes.compact_range(size)?.root()))
    }
}
