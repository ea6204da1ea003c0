//! What somebody else knows of the log, against the log itself.

use std::path::PathBuf;

use tokio::task::JoinError;

use crate::log::{AccessLog, Checkpoint, ReadError};

/// Two statements about one log of which only one can be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// Somebody has seen more entries than there are.
    #[error(
        "{witness} knows {size} entries of this log, and here it has {log}: it was rolled back to an older copy"
    )]
    KnowsMore {
        /// Who.
        witness: String,
        /// How many entries they know.
        size: u64,
        /// How many there are.
        log: u64,
    },
    /// Somebody has seen other entries.
    #[error(
        "{witness} knows other first {size} entries of this log than it has here: it was replaced or rewritten"
    )]
    OtherHistory {
        /// Who.
        witness: String,
        /// Up to where.
        size: u64,
    },
    /// A kept file is not what it should be.
    #[error("{}: is no checkpoint of this log: {what}", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// Why a witness has not got a checkpoint.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What it knows and the log don't go together.
    Contradiction(Contradiction),
    /// What it knows is a state that a declared gap names as lost: it takes nothing of the log that goes on from the backup, until
    /// its operator does what is said here.
    BeforeGap(String),
    /// Anything else: told, and tried again.
    Fault(String),
}

impl Contradiction {
    /// Up to where somebody knows the log, where that is told.
    pub(super) const fn size(&self) -> Option<u64> {
        match self {
            Self::KnowsMore { size, .. } | Self::OtherHistory { size, .. } => Some(*size),
            Self::NotOurs { .. } => None,
        }
    }
}

impl Trouble {
    /// Somebody holds a state of `size` entries that a gap names; `then` is what is to be done.
    pub(super) fn before_gap(size: u64, then: &str) -> Self {
        Self::BeforeGap(format!(
            "holds a state of {size} entries from before a declared gap, and takes no checkpoint: {then}"
        ))
    }
}

impl From<Contradiction> for Trouble {
    fn from(found: Contradiction) -> Self {
        Self::Contradiction(found)
    }
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Self::Fault(error.to_string())
    }
}

impl From<JoinError> for Trouble {
    fn from(_: JoinError) -> Self {
        Self::Fault("the work on it ended early".to_owned())
    }
}

/// Compares a checkpoint, signed by the log's key and kept by `witness`, with the log. Blocks on the disk for some reads.
///
/// # Errors
/// When the log's hashes can't be read.
pub(super) fn compare(
    log: &AccessLog,
    witness: &str,
    kept: &Checkpoint,
) -> Result<Option<Contradiction>, ReadError> {
    let (witness, size, here) = (witness.to_owned(), kept.size, log.len());
    Ok(match log.root_at(size)? {
        Some(root) if root == kept.root => None,
        Some(_) => Some(Contradiction::OtherHistory { witness, size }),
        None if size > here => Some(Contradiction::KnowsMore {
            witness,
            size,
            log: here,
        }),
        // Entries that no checkpoint commits to yet, although the log's key has signed them.
        None => Some(Contradiction::OtherHistory { witness, size }),
    })
}
