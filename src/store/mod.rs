//! The store: what must be known after a restart and is not in the access log, or not fast enough to find there. People,
//! their credentials, holds and dates of subjects, ended sessions, reported outcomes.
//!
//! A change by people is an entry of the log first and comes here afterwards, with the entry's index; the store remembers
//! how far it has followed the log, so that a start can replay what it lacks. Charged failures and spent steps of second
//! factors are stored first, before anything is answered.
//!
//! The engine is SQLite in one private file; everything goes through [`Store`], so that another can take its place. This
//! room never decides anything, never reads a clock, never holds a secret in the clear (seeds come sealed, passwords
//! hashed), and never waits for the network. That no second process opens the same store is the log's lock to see to.

mod changes;
mod copy;
mod credentials;
mod disposals;
mod error;
mod log_holds;
mod marks;
mod people;
mod schema;
mod subjects;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Sqlite, Transaction};

pub use copy::StoreMarks;
pub use credentials::{Charge, Credential, SecondFactor};
pub use error::{Fault, StoreError};
pub use log_holds::LogHold;
pub use people::stored_person;

use crate::files;

/// How long a statement waits for a lock that another program (a backup, a curious operator) holds on the file, and a
/// caller for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Readers see the last commit and wait for no writer (WAL).
const READERS: u32 = 4;

/// The store. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    /// One connection: SQLite has one writer at a time, and queueing here is fair where its lock is not.
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Opens the store at `path`, makes it where there is none (mode 0600), and brings its schema up to date.
    ///
    /// # Errors
    /// When others may use the file, when it is damaged or no store, when a newer version wrote it, or when the system
    /// refuses.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, PATIENCE).await
    }

    async fn open_with(path: &Path, patience: Duration) -> Result<Self, StoreError> {
        // SQLite would make it readable for whoever the umask lets; its other two files take the mode of this one.
        files::ensure_private(path)?;
        let common = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(patience)
            .foreign_keys(true)
            .disable_statement_logging();
        let writing = common
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let writer = pool(1, patience).connect_with(writing).await?;
        schema::bring_up_to_date(&writer, path).await?;
        let reading = common.pragma("query_only", "ON").row_buffer_size(1_000);
        let readers = pool(READERS, patience).connect_with(reading).await?;
        Ok(Self { writer, readers })
    }

    /// Waits for what is under way, and closes. Every later call fails with [`StoreError::Closed`].
    pub async fn close(&self) {
        self.readers.close().await;
        // Last, so that it can fold the write-ahead log into the file.
        self.writer.close().await;
    }

    /// Begins a change. The write lock is taken at once: a transaction that reads first and then wants to write would fail
    /// when another program wrote in between.
    async fn change(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

fn pool(connections: u32, patience: Duration) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        // Opening a file costs more than keeping it open, and testing a connection to a file tells nothing.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_release(|connection, _| {
            Box::pin(async move {
                // The ping comes after any rollback that is still under way. When SQLite itself rolled back (a full disk),
                // sqlx's own rollback fails and it believes for ever that a transaction is open: begin anew instead.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
}

/// SQLite's integers are signed.
fn to_stored(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::OutOfRange)
}

fn from_stored(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Damaged("a negative count".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::LogIndex;
    use crate::proto::{StoredChange, StoredHold, stored_change::Kind};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use tempfile::TempDir;

    /// A store in a directory that goes with the test.
    pub(super) async fn fresh() -> (TempDir, PathBuf, Store) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.sqlite");
        let store = Store::open(&path).await.unwrap();
        (directory, path, store)
    }

    pub(super) fn hold(subject: u8, hold: &str) -> StoredHold {
        StoredHold {
            subject: vec![subject; 32],
            hold: hold.to_owned(),
            reference: "request-1".to_owned(),
        }
    }

    pub(super) fn change(kind: Kind) -> StoredChange {
        StoredChange { kind: Some(kind) }
    }

    #[tokio::test]
    async fn every_file_of_the_store_is_its_owners_alone() {
        let (directory, path, store) = fresh().await;
        store.count_start().await.unwrap();
        let files: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|file| file.unwrap())
            .collect();
        assert!(files.len() >= 2, "the write-ahead log is there");
        for file in files {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", file.path().display());
        }
        store.close().await;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Store::open(&path).await.unwrap_err();
        assert!(matches!(refused, StoreError::File(_)), "{refused}");
        assert_eq!(refused.fault(), Fault::Operator);
    }

    #[tokio::test]
    async fn writes_are_durable_and_relations_are_kept() {
        let (_directory, _, store) = fresh().await;
        let pragma = async |pool: &SqlitePool, name: &'static str| -> String {
            let value: Result<i64, _> = sqlx::query_scalar(name).fetch_one(pool).await;
            match value {
                Ok(number) => number.to_string(),
                Err(_) => sqlx::query_scalar(name).fetch_one(pool).await.unwrap(),
            }
        };
        assert_eq!(pragma(&store.writer, "PRAGMA journal_mode").await, "wal");
        assert_eq!(pragma(&store.writer, "PRAGMA synchronous").await, "2");
        assert_eq!(pragma(&store.writer, "PRAGMA foreign_keys").await, "1");
        assert_eq!(pragma(&store.readers, "PRAGMA query_only").await, "1");
    }

    #[tokio::test]
    async fn what_is_no_store_is_refused_and_left_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.sqlite");
        let content = vec![b'x'; 8_192];
        files::write_private(&path, &content).unwrap();
        let refused = Store::open(&path).await.unwrap_err();
        assert!(matches!(refused, StoreError::Damaged(_)), "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }

    #[tokio::test]
    async fn a_damaged_page_is_told_as_damage() {
        let (_directory, path, store) = fresh().await;
        let changes: Vec<_> = (0..200_u8)
            .map(|subject| {
                (
                    LogIndex(u64::from(subject)),
                    change(Kind::RegisterHold(hold(subject, "h"))),
                )
            })
            .collect();
        store.apply(&changes, 200).await.unwrap();
        store.close().await;
        let mut bytes = fs::read(&path).unwrap();
        let pages = bytes.len() / 4_096;
        assert!(pages > 4);
        for byte in &mut bytes[2 * 4_096..] {
            *byte = 0xA5;
        }
        files::write_private(&path, &bytes).unwrap();
        let told = match Store::open(&path).await {
            Ok(store) => store.load_subjects(|_, _| ()).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(told, StoreError::Damaged(_)), "{told:?}");
    }

    #[tokio::test]
    async fn a_full_disk_is_told_and_once_there_is_room_writes_go_on() {
        let (_directory, _, store) = fresh().await;
        sqlx::query("PRAGMA max_page_count = 20")
            .execute(&store.writer)
            .await
            .unwrap();
        let mut large = hold(1, "h");
        large.reference = "r".repeat(200_000);
        let changes = [(LogIndex(0), change(Kind::RegisterHold(large)))];
        let refused = store.apply(&changes, 1).await.unwrap_err();
        assert!(matches!(refused, StoreError::Full), "{refused:?}");
        assert_eq!(store.applied().await.unwrap(), 0);
        // The bound was the connection's; with a new one or the old one, the store works.
        sqlx::query("PRAGMA max_page_count = 100000")
            .execute(&store.writer)
            .await
            .unwrap();
        store.apply(&changes, 1).await.unwrap();
        assert_eq!(store.applied().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_lock_that_somebody_else_holds_is_told_after_the_wait() {
        let (_directory, path, store) = fresh().await;
        store.close().await;
        let store = Store::open_with(&path, Duration::from_millis(50))
            .await
            .unwrap();
        let somebody = Store::open(&path).await.unwrap();
        let held = somebody.change().await.unwrap();
        let refused = store.count_start().await.unwrap_err();
        assert!(matches!(refused, StoreError::Busy), "{refused:?}");
        assert_eq!(refused.fault(), Fault::Load);
        assert_eq!(store.starts().await.unwrap(), 0, "readers wait for nobody");
        held.rollback().await.unwrap();
        assert_eq!(store.count_start().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_closed_store_says_so() {
        let (_directory, _, store) = fresh().await;
        store.close().await;
        assert!(matches!(store.count_start().await, Err(StoreError::Closed)));
        assert!(matches!(store.applied().await, Err(StoreError::Closed)));
    }
}
