//! Backups: a copy of the whole data directory beside the running daemon, and back from it.
//!
//! ```text
//! <backup>/
//!   store.sqlite    as of one moment; what is in PostgreSQL is copied into such a file too
//!   log/            segments up to a durable end, checkpoints, tree
//!   seals/ sinks/   as they are
//!   keys.sealed     keyring, certificates and their keys, configuration: sealed to the recovery key
//!   manifest        what belongs to it, with sizes and hashes; written last
//! ```
//!
//! The order makes it whole: the store first, so that it is never ahead of the log, and again where an import was put in force
//! before the log was looked at, so that no rows are lost that only the store has; the streams' positions before the log, so
//! that nothing is left out of a stream; the data keys after it, so that every entry's key is there. The keys are sealed together
//! with the manifest: who alters it, and can't open the keys, makes them useless.
//!
//! | file | job |
//! |---|---|
//! | `make` | the copy |
//! | `restore` | back from it |
//! | `manifest` | what belongs to a backup |
//! | `keys` | the files that are sealed |
//! | `copying` | files, hashed while they are copied, durable when done |
//! | `mark` | a directory that was restored says so, until nothing is left to be said |
//!
//! What this room never does: write a secret in clear into a backup; stop or slow the daemon by a lock; overwrite anything;
//! take what is half for whole; call what was lost nothing (that a restored directory may serve is decided in `gate`).

mod copying;
mod keys;
mod make;
mod manifest;
pub mod mark;
mod restore;

use std::io;
use std::path::{Path, PathBuf};

pub use make::{Made, make};
pub use restore::{Restored, restore};

use crate::files::FileError;
use crate::identity::keyring::KeyringError;
use crate::identity::recovery::RecoveryKeyError;
use crate::log::{OpenError, ReadError, VerifyError};
use crate::store::StoreError;

const STORE: &str = "store.sqlite";
const LOG: &str = "log";
const SEALS: &str = "seals";
/// The revisions of the policy that were in force, and which is.
const POLICIES: &str = "policies";
const SINKS: &str = "sinks";
const KEYRING: &str = "keyring";
const SEALED_KEYS: &str = "keys.sealed";
const MANIFEST: &str = "manifest";

/// Why there is no backup, or nothing was restored: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target is there and not empty.
    #[error("{}: is there already and not empty; nothing is overwritten", .0.display())]
    TargetInUse(PathBuf),
    /// The target lies in the directory that is copied.
    #[error("{}: lies within what is backed up; put it on another disk", .0.display())]
    TargetWithin(PathBuf),
    /// No data directory.
    #[error("{}: is not a data directory: it has no {missing}", path.display())]
    NotData {
        /// The directory.
        path: PathBuf,
        /// What it lacks.
        missing: &'static str,
    },
    /// It was not finished, or it is none.
    #[error("{}: is not a whole backup: it has no manifest, which is written last", .0.display())]
    NoManifest(PathBuf),
    /// The manifest is not one that this version reads.
    #[error("manifest: {0}")]
    Manifest(String),
    /// A file of the backup is not what was written.
    #[error("{}: {what}", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// How it differs.
        what: &'static str,
    },
    /// The keys were sealed to another recovery key.
    #[error("the backup is sealed to the recovery key {wanted}, the one given is {given}")]
    OtherKey {
        /// Its id in the manifest.
        wanted: String,
        /// That of the key given.
        given: String,
    },
    /// A recovery key, or what was sealed to it, can't be used.
    #[error(transparent)]
    Key(#[from] RecoveryKeyError),
    /// The keyring can't be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The parts of the backup don't go together.
    #[error("the parts don't go together: {0}")]
    Mismatch(String),
    /// Something changed that must not while it is copied.
    #[error("{0} while it was copied: run it again")]
    Changed(&'static str),
    /// The log can't be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The restored log is not whole.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A private file can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A restore into this directory was not finished.
    #[error(
        "{}: a restore into it was not finished: remove it, and restore again", .0.display()
    )]
    HalfRestored(PathBuf),
    /// The system refused.
    #[error("{}: can't {doing}: {source}", path.display())]
    System {
        /// Which file or directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl BackupError {
    fn system(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::System {
            path,
            doing,
            source,
        }
    }

    /// The code the process ends with (sysexits).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Manifest(_)
            | Self::Altered { .. }
            | Self::Mismatch(_)
            | Self::HalfRestored(_)
            | Self::Key(RecoveryKeyError::NotGenuine)
            | Self::Read(_) => 65,
            Self::NotData { .. } | Self::NoManifest(_) => 66,
            Self::Store(_) | Self::System { .. } => 72,
            Self::TargetInUse(_) | Self::TargetWithin(_) | Self::File(_) => 73,
            Self::Changed(_) => 75,
            Self::OtherKey { .. } | Self::Key(_) | Self::Keyring(_) => 78,
            Self::Log(error) => error.exit_code(),
            Self::Verify(error) => error.exit_code(),
        }
    }
}

/// Takes a directory that isn't there, or is empty, and makes it private.
fn take_empty(path: &Path) -> Result<(), BackupError> {
    match std::fs::read_dir(path) {
        Ok(mut items) => {
            if items.next().is_some() {
                return Err(BackupError::TargetInUse(path.to_owned()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(BackupError::system(path, "list")(error)),
    }
    Ok(crate::files::make_private_directory(path)?)
}
