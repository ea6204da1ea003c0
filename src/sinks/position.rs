//! The kept position of a sink: up to where everything is known to have arrived, and in which log.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::SinkError;
use crate::files::{self, FileError};

/// A log's name has at most 128 bytes.
const FILE_MAX_BYTES: u64 = 4_096;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The log's name.
    log: String,
    /// Index of the first entry that is not known to have arrived.
    next: u64,
}

/// A position and the file that keeps it.
#[derive(Debug, Clone)]
pub(super) struct Position {
    path: PathBuf,
    log: String,
    next: u64,
}

impl Position {
    /// Reads the position of the sink `id`; where none is kept, it begins at the start of `within` and that is kept at once,
    /// so that what follows is sent even when nothing was confirmed before the next start. Blocks on the disk.
    ///
    /// # Errors
    /// When the file can't be read, is of another log, or lies beyond the end of `within`, the number of entries.
    pub(super) fn take_up(
        folder: &Path,
        id: &str,
        log: &str,
        within: RangeInclusive<u64>,
    ) -> Result<Self, SinkError> {
        let (begin, entries) = within.into_inner();
        let path = folder.join(format!("{id}.position"));
        let mut position = Self {
            path: path.clone(),
            log: log.to_owned(),
            next: begin,
        };
        let bytes = match files::read_private(&path, FILE_MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(FileError::System { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                position.keep(begin).map_err(|source| SinkError::File {
                    id: id.to_owned(),
                    source,
                })?;
                return Ok(position);
            }
            Err(source) => {
                return Err(SinkError::File {
                    id: id.to_owned(),
                    source,
                });
            }
        };
        let kept: Kept =
            serde_json::from_slice(&bytes).map_err(|error| SinkError::NotAPosition {
                id: id.to_owned(),
                path: path.clone(),
                what: error.to_string(),
            })?;
        if kept.log != log {
            return Err(SinkError::OtherLog {
                id: id.to_owned(),
                path,
                theirs: kept.log,
                ours: log.to_owned(),
            });
        }
        if kept.next > entries {
            return Err(SinkError::LogOlder {
                id: id.to_owned(),
                path,
                sent: kept.next,
                entries,
            });
        }
        position.next = kept.next;
        Ok(position)
    }

    /// Index of the first entry that is not known to have arrived.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Keeps a position durably. Blocks on the disk.
    ///
    /// # Errors
    /// When the system refuses; the old position is kept then.
    pub(super) fn keep(&mut self, next: u64) -> Result<(), FileError> {
        let kept = Kept {
            log: self.log.clone(),
            next,
        };
        let mut text = serde_json::to_vec(&kept).unwrap_or_default();
        text.push(b'\n');
        files::write_private(&self.path, &text)?;
        self.next = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_taken_up_where_it_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut position = Position::take_up(folder.path(), "siem", "log", 0..=9).unwrap();
        assert_eq!(position.next(), 0);
        position.keep(9).unwrap();
        let again = Position::take_up(folder.path(), "siem", "log", 0..=9).unwrap();
        assert_eq!(again.next(), 9);
    }

    #[test]
    fn a_position_of_another_log_beyond_the_end_or_unreadable_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut position = Position::take_up(folder.path(), "siem", "log", 0..=9).unwrap();
        position.keep(9).unwrap();
        let refused = |log, entries| {
            let error = Position::take_up(folder.path(), "siem", log, 0..=entries).unwrap_err();
            assert_eq!(error.exit_code(), 65);
            error.to_string()
        };
        assert!(refused("other", 9).contains("in the log log, and this is other"));
        assert!(refused("log", 8).contains("9 entries were sent and the access log has 8"));
        let path = folder.path().join("siem.position");
        files::write_private(&path, b"{\"log\":\"log\"").unwrap();
        assert!(refused("log", 9).contains("is no position"));
    }
}
