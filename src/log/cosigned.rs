//! The newest checkpoint that witnesses have signed too, kept beside the log: it goes on proving what they saw when they are
//! gone.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::durable::{self, Disk};
use super::error::ReadError;
use super::keeper::{self, KeeperError, Signed};
use super::note::{NoteError, VerifierKey};
use super::{AccessLog, Checkpoint};
use crate::domain::time::Timestamp;

/// The file in the log's directory.
pub(super) const FILE: &str = "checkpoint.cosigned";

/// Why a cosignature was not kept.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    /// The witness's mistake: it is none, or not by its key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The operator's: it counts, but could not be written.
    #[error("the cosigned checkpoint can't be kept: {0}")]
    Disk(String),
}

/// What was gathered.
#[derive(Debug)]
pub(super) struct Cosigned {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    newest: Mutex<Option<Arc<Signed>>>,
}

impl Cosigned {
    pub(super) fn new(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        Self {
            disk,
            directory: directory.to_owned(),
            newest: Mutex::new(None),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }
}

impl AccessLog {
    /// The newest checkpoint that a witness has signed, with every cosignature gathered for it. None before
    /// [`Self::read_cosigned`] or [`Self::add_cosignature`] found one.
    #[must_use]
    pub fn cosigned(&self) -> Option<Arc<Signed>> {
        let newest = &self.shared.evidence.cosigned.newest;
        newest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Where the cosigned checkpoint is kept.
    #[must_use]
    pub fn cosigned_path(&self) -> PathBuf {
        self.shared.evidence.cosigned.path()
    }

    /// Takes up the cosigned checkpoint that was kept, and tells what it commits to; `None` when there is none. Whether that
    /// is what the log holds is the caller's to find out.
    ///
    /// # Errors
    /// When it can't be read, or is not a checkpoint signed by this log's key.
    pub fn read_cosigned(&self) -> Result<Option<Checkpoint>, ReadError> {
        let cosigned = &self.shared.evidence.cosigned;
        let path = cosigned.path();
        let damaged = |what: String| ReadError::Damaged {
            path: path.clone(),
            offset: 0,
            what,
        };
        let note = match keeper::read_note(&path) {
            Ok(Some(note)) => note,
            Ok(None) => return Ok(None),
            Err(KeeperError::Disk(error)) => {
                return Err(ReadError::Io {
                    path: error.path,
                    source: error.source,
                });
            }
            Err(KeeperError::Read(error)) => return Err(error),
            Err(KeeperError::Damaged { what, .. }) => return Err(damaged(what)),
        };
        let checkpoint = note
            .checkpoint(self.verifier_key())
            .map_err(|error| damaged(error.to_string()))?;
        let kept = Signed {
            checkpoint: checkpoint.clone(),
            note,
        };
        *cosigned
            .newest
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(kept));
        Ok(Some(checkpoint))
    }

    /// Adds what a witness answered for `signed`, a checkpoint of this log, and keeps the newest one durably with all
    /// cosignatures that it has. A late answer for an older checkpoint than that is verified, and let go. Blocks on the disk.
    ///
    /// # Errors
    /// When the lines hold no cosignature by the witness's key, or the file can't be written.
    pub fn add_cosignature(
        &self,
        signed: &Signed,
        lines: &str,
        witness: &VerifierKey,
    ) -> Result<Timestamp, CosignError> {
        let cosigned = &self.shared.evidence.cosigned;
        let mut newest = cosigned
            .newest
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let same = newest
            .as_ref()
            .filter(|newest| newest.checkpoint == signed.checkpoint);
        let mut note = same.map_or_else(|| signed.note.clone(), |newest| newest.note.clone());
        let time = note.add_cosignature(lines, witness)?;
        if newest
            .as_ref()
            .is_some_and(|newest| newest.checkpoint.size > signed.checkpoint.size)
        {
            return Ok(time);
        }
        durable::replace(
            &*cosigned.disk,
            &cosigned.directory,
            &cosigned.path(),
            note.to_string().as_bytes(),
        )
        .map_err(|error| CosignError::Disk(error.to_string()))?;
        *newest = Some(Arc::new(Signed {
            checkpoint: signed.checkpoint.clone(),
            note,
        }));
        Ok(time)
    }
}
