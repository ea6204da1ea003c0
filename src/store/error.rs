//! What can go wrong with the store, and whose it is to mend.

use std::path::PathBuf;

use crate::domain::ids::LogIndex;
use crate::files::FileError;

/// Whose it is to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The operator's: the disk, the file, the choice of data directory.
    Operator,
    /// Nobody's: it passes, and may be tried again.
    Load,
    /// The daemon's own.
    Daemon,
}

/// Why the store did not do what it was asked. Nothing of what was asked is then done, unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store's file can't be used.
    #[error("store: {0}")]
    File(#[from] FileError),
    /// A database, but not one of ours.
    #[error("store: {0} is a database of another program")]
    NotAStore(String),
    /// A newer version has changed the schema.
    #[error(
        "store: has schema {found}, this version knows {known}: run the version that wrote it, or a newer one"
    )]
    Newer {
        /// The store's.
        found: i64,
        /// The newest that this version knows.
        known: i64,
    },
    /// It belongs to another log or another keyring.
    #[error("store: belongs to the {what} {bound}, not to {given}")]
    Bound {
        /// "log" or "pseudonym key".
        what: &'static str,
        /// What it was bound to first.
        bound: String,
        /// What it was opened with.
        given: String,
    },
    /// It follows other logs, and nobody said that it may follow one more.
    #[error(
        "store: belongs to the log {bound}, not to {given}; if several daemons, each with its own log, are meant to share it, set store.shared = true"
    )]
    NotShared {
        /// The one that it followed first.
        bound: String,
        /// What it was opened with.
        given: String,
    },
    /// The database can't be reached, or did not answer in time. Whether a change that was under way was made is not known.
    #[error("store: the database can't be reached: {0}")]
    Unreachable(String),
    /// The database refuses this user, password or what they ask for.
    #[error("store: the database refuses: {0}")]
    RefusedByServer(String),
    /// The server runs without `fsync`: what it calls committed may be lost with the power.
    #[error(
        "store: the database server runs with fsync = off, which forgets what it has confirmed: turn it on"
    )]
    NotDurable,
    /// The file with the password has none.
    #[error("store: {}: holds no password", .0.display())]
    PasswordFile(PathBuf),
    /// It has fewer changes than it had: an older copy was put back while daemons were using it.
    #[error(
        "store: was put back to an older state: it knows {newest} changes, this daemon has seen {seen}; restart every daemon that uses it"
    )]
    PutBack {
        /// Changes that were seen.
        seen: u64,
        /// Changes that it has.
        newest: u64,
    },
    /// It was asked for what depends on a log before it was told which.
    #[error("store: follows no log yet")]
    NoLog,
    /// The file is damaged, or something was written into it that this program never writes.
    #[error("store: is damaged: {0}")]
    Damaged(String),
    /// There is no room.
    #[error("store: the disk is full")]
    Full,
    /// The system refused to read or write. After a failed write, what the disk holds is unknown until the next start: don't
    /// try again.
    #[error("store: can't read or write: {0}")]
    System(#[source] sqlx::Error),
    /// Too many wait, or another program holds the file's lock.
    #[error("store: is busy")]
    Busy,
    /// It was closed: the daemon is stopping.
    #[error("store: is closed")]
    Closed,
    /// An entry holds a change that this version doesn't know or that is malformed.
    #[error("store: the change of entry {0} can't be applied by this version")]
    Change(LogIndex),
    /// Changes came out of order or beyond the mark.
    #[error("store: the change of entry {0} is out of order")]
    Order(LogIndex),
    /// There is no such person.
    #[error("store: has no such person")]
    NoSuchPerson,
    /// There is no such second factor.
    #[error("store: has no such second factor")]
    NoSuchSecondFactor,
    /// A person's epoch would be lowered, which would bring revoked tickets back.
    #[error("store: an epoch is never lowered")]
    EpochLowered,
    /// A number is larger than the store can hold.
    #[error("store: a number is out of range")]
    OutOfRange,
    /// Anything else that the engine says.
    #[error("store: {0}")]
    Engine(#[source] sqlx::Error),
}

impl StoreError {
    /// Whose it is to mend.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::File(_)
            | Self::NotAStore(_)
            | Self::Newer { .. }
            | Self::Bound { .. }
            | Self::NotShared { .. }
            | Self::RefusedByServer(_)
            | Self::NotDurable
            | Self::PutBack { .. }
            | Self::PasswordFile(_)
            | Self::Damaged(_)
            | Self::Full
            | Self::System(_)
            | Self::Change(_) => Fault::Operator,
            Self::Busy | Self::Closed | Self::Unreachable(_) => Fault::Load,
            Self::Order(_)
            | Self::NoLog
            | Self::NoSuchPerson
            | Self::NoSuchSecondFactor
            | Self::EpochLowered
            | Self::OutOfRange
            | Self::Engine(_) => Fault::Daemon,
        }
    }
}

/// By SQLite's primary result codes (<https://www.sqlite.org/rescode.html>); those of PostgreSQL are read in its own file.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => return Self::Busy,
            sqlx::Error::PoolClosed => return Self::Closed,
            sqlx::Error::Io(_) => return Self::System(error),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                return Self::Damaged(error.to_string());
            }
            _ => {}
        }
        let code = error
            .as_database_error()
            .and_then(|error| error.code())
            .and_then(|code| code.parse::<u32>().ok())
            .map(|extended| extended & 0xff);
        match code {
            // BUSY, LOCKED
            Some(5 | 6) => Self::Busy,
            // PERM, READONLY, IOERR, CANTOPEN
            Some(3 | 8 | 10 | 14) => Self::System(error),
            // CORRUPT, NOTADB
            Some(11 | 26) => Self::Damaged(error.to_string()),
            // FULL
            Some(13) => Self::Full,
            _ => Self::Engine(error),
        }
    }
}
