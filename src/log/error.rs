//! What can go wrong, by whose hands it is mended.

use std::io;
use std::path::{Path, PathBuf};

use super::durable::DiskError;
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;

/// Why a log was not opened: the operator's to mend.
///
/// | exit code | kind | sysexits name |
/// |---|---|---|
/// | 65 | damaged | EX_DATAERR |
/// | 66 | not a log, or none there | EX_NOINPUT |
/// | 71 | disk full | EX_OSERR |
/// | 72 | any other error of the disk | EX_OSFILE |
/// | 73 | not writable | EX_CANTCREAT |
/// | 75 | in use | EX_TEMPFAIL |
/// | 78 | a name that no log can have | EX_CONFIG |
///
/// 74 (EX_IOERR) is left to the daemon that ends because an `fdatasync` failed while it was serving.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another handle in this one, has the log open.
    #[error("the access log in {} is in use by another process", directory.display())]
    InUse {
        /// The log's directory.
        directory: PathBuf,
    },
    /// Bytes that a torn write can't explain. Nothing was changed.
    #[error("the access log is damaged: {} at offset {offset}: {what}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it, bytes from its start.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// Missing permission, or a file system mounted read-only.
    #[error("the access log is not writable: {}: {source}", path.display())]
    NotWritable {
        /// The file or directory.
        path: PathBuf,
        /// As the system says it.
        source: io::Error,
    },
    /// No space, or a quota is used up.
    #[error("no space for the access log: {}: {source}", path.display())]
    DiskFull {
        /// The file that was to be written.
        path: PathBuf,
        /// As the system says it.
        source: io::Error,
    },
    /// The path is not a directory, or it holds something else and no log.
    #[error("{} is not an access log: {what}", path.display())]
    NotALog {
        /// The path given.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A new log can't have this name.
    #[error("the log's name {name:?} is not 1 to 128 bytes without control characters")]
    Name {
        /// The name given.
        name: String,
    },
    /// Any other error of the disk.
    #[error("cannot open the access log: {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// As the system says it.
        source: io::Error,
    },
}

impl OpenError {
    /// The code the process ends with, one per kind: the table is at the type.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged { .. } => 65,
            Self::NotALog { .. } => 66,
            Self::DiskFull { .. } => 71,
            Self::Io { .. } => 72,
            Self::NotWritable { .. } => 73,
            Self::InUse { .. } => 75,
            Self::Name { .. } => 78,
        }
    }

    /// An error of the system at `path`, by its kind.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, source }
            }
            io::ErrorKind::NotADirectory => Self::NotALog {
                path,
                what: "it is not a directory".to_owned(),
            },
            _ => Self::Io { path, source },
        }
    }
}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> Self {
        Self::io(&error.path, error.source)
    }
}

/// Why entries were not written, or not in time. Whatever the kind, nothing may be answered but UNAVAILABLE.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The queue is full: too much at once for the disk. Nothing was queued.
    #[error("the access log's queue is full")]
    QueueFull,
    /// The disk did not answer in time. The entries may be written yet.
    #[error("the access log was not written in time")]
    Deadline,
    /// The log was closed or has failed; it will not be written to before it is opened anew.
    #[error("the access log has stopped: {0}")]
    Stopped(String),
    /// The disk is full, read-only or gone; later appends try again. Nothing of it stays, unless the process dies before the
    /// next append: a start can't tell it from one that was about to be answered.
    #[error("the access log cannot be written: {0}")]
    Refused(String),
    /// An entry is over 65,535 bytes, or one append's entries together are more than a segment holds: our own mistake.
    #[error("{bytes} bytes are too large for the access log")]
    TooLarge {
        /// The size of the entry, or of all with their frames.
        bytes: usize,
    },
    /// No entries, or one without any content: our own mistake.
    #[error("an empty entry cannot be appended to the access log")]
    Empty,
}

/// Why an entry was not read: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not those that were written.
    #[error("the access log is damaged: {} at offset {offset}: {what}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it, bytes from its start.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The entry was disposed of, with all from `first` up to, but not including, `next`.
    #[error(
        "entries {first} to {last} of the access log were disposed of on {at} under the rule: {rule}",
        last = next.saturating_sub(1)
    )]
    Disposed {
        /// The first one that went.
        first: u64,
        /// The one after the last.
        next: u64,
        /// Under which rule.
        rule: String,
        /// When.
        at: Timestamp,
    },
    /// The bytes are whole but are not an entry.
    #[error("entry {index} of the access log cannot be decoded: {source}")]
    NotAnEntry {
        /// Which one.
        index: LogIndex,
        /// As the decoder says it.
        source: prost::DecodeError,
    },
    /// An error of the disk.
    #[error("cannot read the access log: {}: {source}", path.display())]
    Io {
        /// The segment.
        path: PathBuf,
        /// As the system says it.
        source: io::Error,
    },
}
