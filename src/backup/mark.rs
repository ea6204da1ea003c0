//! The mark of a directory that was restored: `<data>/restored`. It is there from before the first file is written until the
//! daemon has started knowing that something is missing. That a gap was declared is in the log, not here.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::BackupError;
use crate::files::{self, FileError};

const NAME: &str = "restored";
const FORMAT: &str = "sekisho-restored 1";
const MAX_BYTES: u64 = 256 * 1024;

/// What a restored directory says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    format: String,
    /// Whether everything was written and checked.
    pub finished: bool,
    /// When the backup was made, RFC 3339.
    pub backup_made_at: String,
    /// The log's name.
    pub log: String,
    /// How many entries the backup has: what came after is lost.
    pub entries: u64,
    /// The backup's newest checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

impl Mark {
    pub(super) fn new(
        backup_made_at: String,
        log: String,
        entries: u64,
        checkpoint: Option<String>,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            finished: false,
            backup_made_at,
            log,
            entries,
            checkpoint,
        }
    }

    /// Writes it, durably, in place of an earlier one.
    pub(super) fn write(&self, data: &Path) -> Result<(), BackupError> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| BackupError::Manifest(error.to_string()))?;
        Ok(files::write_private(&path(data), &text)?)
    }

    /// Reads the mark of a data directory; `None` when it was not restored.
    ///
    /// # Errors
    /// [`BackupError::HalfRestored`]; [`BackupError::Altered`] when it is none that this version reads.
    pub fn read(data: &Path) -> Result<Option<Self>, BackupError> {
        let path = path(data);
        let bytes = match files::read_private(&path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(FileError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let mark: Self = serde_json::from_slice(&bytes).map_err(|_| BackupError::Altered {
            path: path.clone(),
            what: "is not what a restore wrote",
        })?;
        if mark.format != FORMAT {
            return Err(BackupError::Altered {
                path,
                what: "is of another version",
            });
        }
        if !mark.finished {
            return Err(BackupError::HalfRestored(data.to_owned()));
        }
        Ok(Some(mark))
    }

    /// Says that what was restored must not be used: it is not what it seemed.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn condemn(mut self, data: &Path) -> Result<(), BackupError> {
        self.finished = false;
        self.write(data)
    }

    /// Takes the mark off: nothing is left to be said.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove(data: &Path) -> Result<(), BackupError> {
        let path = path(data);
        std::fs::remove_file(&path).map_err(BackupError::system(&path, "remove"))?;
        std::fs::File::open(data)
            .and_then(|directory| directory.sync_all())
            .map_err(BackupError::system(data, "make durable"))
    }
}

fn path(data: &Path) -> PathBuf {
    data.join(NAME)
}
