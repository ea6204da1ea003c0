//! What the log has to know of the sidecars that the index of the search derives from its segments: where they lie, and that
//! what they tell of an entry goes for good together with it. Everything else about them is the index's own.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::durable::{self, Disk, DiskError, Step};
use crate::files::{self, FileError};

/// How often, and with what pauses, another process' writing is waited for: a sidecar takes less than a second.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Why the directory of the sidecars can't be locked. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum SidecarLockError {
    /// The directory can't be made, or others may write to it.
    #[error(transparent)]
    File(#[from] FileError),
    /// The lock's file can't be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// As the system says it.
        source: io::Error,
    },
    /// Another process holds it, and doesn't come to an end.
    #[error("{}: another process is writing there", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
}

impl SidecarLockError {
    /// As an error of the log's disk.
    pub(super) fn on_disk(self, directory: &Path) -> DiskError {
        let source = io::Error::other(self.to_string());
        durable::at(Step::Open, &directory_of(directory))(source)
    }
}

/// The right to put sidecars in their places, or to remove them: nobody else does, in this process or another, as long as this
/// lives. Whoever destroys what entries are opened with, or segments, holds it until the sidecars are gone; so one that is put
/// in place under it, after a look that all of that is still there, tells nothing that was disposed of.
#[derive(Debug)]
pub struct SidecarLock {
    directory: PathBuf,
    _file: File,
}

impl SidecarLock {
    /// Takes the lock of a directory of sidecars, which is made where it is missing. Waits up to ten seconds for another's.
    ///
    /// # Errors
    /// When the directory can't be used, or another keeps the lock.
    pub fn take(directory: &Path) -> Result<Self, SidecarLockError> {
        files::make_private_directory(directory)?;
        let path = directory.join("lock");
        let failed = |source| SidecarLockError::Io {
            path: path.clone(),
            source,
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => {
                    return Ok(Self {
                        directory: directory.to_owned(),
                        _file: file,
                    });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Err(SidecarLockError::Busy {
            path: directory.to_owned(),
        })
    }

    /// The lock of the sidecars of the log in `directory`.
    pub(super) fn of_log(directory: &Path) -> Result<Self, DiskError> {
        Self::take(&directory_of(directory)).map_err(|error| error.on_disk(directory))
    }

    /// Removes the sidecars of these segments, and what writers that were killed left behind: when this returns, no power
    /// failure brings them back. Doing it again makes durable what was removed before.
    pub(super) fn remove(
        &self,
        disk: &dyn Disk,
        first_indexes: impl Iterator<Item = u64>,
    ) -> Result<(), DiskError> {
        let directory = &self.directory;
        for first in first_indexes {
            remove(disk, &directory.join(format!("{first:020}.index")))?;
        }
        let listing = durable::at(Step::Read, directory);
        let listed: io::Result<Vec<_>> = std::fs::read_dir(directory).and_then(Iterator::collect);
        for item in listed.map_err(listing)? {
            // Nobody who lives is writing it: that takes the lock.
            if files::is_left_over(&item.file_name().to_string_lossy()) {
                remove(disk, &item.path())?;
            }
        }
        disk.sync_directory(directory)
            .map_err(durable::at(Step::Sync, directory))
    }
}

/// The index of the search is beside the log.
fn directory_of(log: &Path) -> PathBuf {
    log.with_file_name("index")
}

/// Removes a file; false when there was none.
pub(super) fn remove(disk: &dyn Disk, path: &Path) -> Result<bool, DiskError> {
    match disk.remove(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(durable::at(Step::Remove, path)(error)),
    }
}
