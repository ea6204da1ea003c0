//! The store: what must be known after a restart and is not in the access log, or not fast enough to find there. People,
//! their credentials, holds and dates of subjects, ended sessions, reported outcomes.
//!
//! A change by people is an entry of the log first and comes here afterwards, with the entry's index; the store remembers
//! how far it has followed the log, so that a start can replay what it lacks. Charged failures and spent steps of second
//! factors are stored first, before anything is answered.
//!
//! There are two engines behind [`Store`], which ask the same statements of the same tables: SQLite in one private file, the
//! default, and PostgreSQL, which several daemons can share. What is promised holds on both: a change is on the disk when its
//! method returns, of many that spend one step one wins, and whatever doesn't answer is given up in bounded time
//! ([`StoreError::Unreachable`]). A connection that was lost is made anew by the next call that needs one.
//!
//! This room never decides anything, never reads a clock, never holds a secret in the clear (seeds come sealed, passwords
//! hashed). No check waits for it: what a check needs of it is in memory. That no second process opens the same file, or
//! follows the same log, is the log's lock to see to.

mod address;
mod attestations;
mod changes;
mod copy;
mod credentials;
mod disposals;
mod engine;
mod error;
mod imports;
mod incidents;
mod live_sessions;
mod log_holds;
mod marks;
mod news;
mod people;
mod postgres;
mod pour;
mod records;
mod references;
mod requests;
mod reviews;
mod schema;
mod sealed_seeds;
mod sqlite;
mod staged;
mod subjects;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use address::PostgresAddress;
pub use attestations::Attested;
pub use changes::Turn;
pub use copy::StoreMarks;
pub use credentials::{
    Charge, Charging, Credential, RecoverySpending, SecondFactor, Spending, Throttle,
};
pub use error::{Fault, StoreError};
pub use imports::{BatchId, ImportedRow, LostImport, Sort};
pub use incidents::{IncidentQuery, KeptIncident};
pub use log_holds::LogHold;
pub use news::News;
pub use people::stored_person;
pub use records::{KeptRecord, RecordChange, RecordPlace, RecordQuery};
pub use requests::KeptRequest;
pub use reviews::{ItemQuery, KeptItem, KeptReview};
pub use sealed_seeds::{SealedSeed, SeedOwner};
pub use staged::{NewCredential, NewToken, StagedId, ToldTo};

use engine::{Engine, Transaction};

/// Where a store is.
#[derive(Debug, Clone)]
pub enum StorePlace {
    /// The embedded one, in this file.
    File(PathBuf),
    /// On a PostgreSQL server.
    Postgres {
        /// Where.
        address: PostgresAddress,
        /// Whether a log may join that the store doesn't know, when it knows others. Not by default: a log that was lost would
        /// be begun anew and nobody would notice.
        shared: bool,
    },
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => fmt::Display::fmt(&path.display(), f),
            Self::Postgres { address, .. } => fmt::Display::fmt(address, f),
        }
    }
}

/// The store. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Engine,
    shared: bool,
    /// The number of the log that it follows for this daemon, once it was told.
    log: Arc<OnceLock<i64>>,
}

impl Store {
    /// Opens the store at `place`, and brings its schema up to date.
    ///
    /// # Errors
    /// When it can't be reached or used, is damaged or no store, or when a newer version wrote it.
    pub async fn open_at(place: &StorePlace) -> Result<Self, StoreError> {
        match place {
            StorePlace::File(path) => Self::open(path).await,
            StorePlace::Postgres { address, shared } => {
                let engine = postgres::open(address).await?;
                Self::of(engine, *shared, &place.to_string()).await
            }
        }
    }

    /// Opens the embedded store at `path`, makes it where there is none (mode 0600), and brings its schema up to date.
    ///
    /// # Errors
    /// When others may use the file, when it is damaged or no store, when a newer version wrote it, or when the system
    /// refuses.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let engine = sqlite::open(path, sqlite::PATIENCE).await?;
        Self::of(engine, false, &path.display().to_string()).await
    }

    async fn of(engine: Engine, shared: bool, place: &str) -> Result<Self, StoreError> {
        schema::bring_up_to_date(&engine, place).await?;
        Ok(Self {
            engine,
            shared,
            log: Arc::default(),
        })
    }

    /// Waits for what is under way, and closes. Every later call fails with [`StoreError::Closed`].
    pub async fn close(&self) {
        self.engine.close().await;
    }

    /// Begins a change.
    async fn change(&self) -> Result<Transaction, StoreError> {
        self.engine.change().await
    }

    fn log(&self) -> Result<i64, StoreError> {
        self.log.get().copied().ok_or(StoreError::NoLog)
    }
}

/// Both engines' integers are signed.
fn to_stored(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::OutOfRange)
}

fn from_stored(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Damaged("a negative count".into()))
}

#[cfg(test)]
#[path = "../../tests/support/postgres.rs"]
#[allow(unreachable_pub, dead_code, clippy::disallowed_methods)]
mod private_postgres;

#[cfg(test)]
mod tests {
    use super::engine::query;
    use super::private_postgres::Postgres;
    use super::*;
    use crate::domain::ids::LogIndex;
    use crate::files;
    use crate::proto::{StoredChange, StoredHold, stored_change::Kind};
    use sqlx::sqlite::SqlitePool;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;
    use tempfile::TempDir;

    /// Where a test has its store, on one engine or the other; it can be opened as often as wanted.
    #[derive(Debug, Clone)]
    pub(super) struct Home {
        place: StorePlace,
        _directory: Option<Arc<TempDir>>,
    }

    impl Home {
        pub(super) fn sqlite() -> Self {
            let directory = tempfile::tempdir().unwrap();
            Self {
                place: StorePlace::File(directory.path().join("store.sqlite")),
                _directory: Some(Arc::new(directory)),
            }
        }

        pub(super) fn postgres() -> Self {
            Self::on(Postgres::shared())
        }

        pub(super) fn on(server: &Postgres) -> Self {
            let address = PostgresAddress::parse(&server.database(), None, Path::new("/")).unwrap();
            Self {
                place: StorePlace::Postgres {
                    address,
                    shared: false,
                },
                _directory: None,
            }
        }

        pub(super) fn place(&self) -> StorePlace {
            self.place.clone()
        }

        pub(super) fn path(&self) -> PathBuf {
            match &self.place {
                StorePlace::File(path) => path.clone(),
                StorePlace::Postgres { .. } => panic!("has no file"),
            }
        }

        /// Runs statements by the engine's own client.
        pub(super) fn sql(&self, statements: &str) -> String {
            match &self.place {
                StorePlace::File(_) => panic!("has no client"),
                StorePlace::Postgres { address, .. } => {
                    Postgres::shared().sql(&address.database, statements)
                }
            }
        }

        pub(super) async fn try_open(&self) -> Result<Store, StoreError> {
            let store = match &self.place {
                // So patient that no test depends on how busy the disk is.
                StorePlace::File(path) => {
                    let engine = sqlite::open(path, Duration::from_secs(60)).await?;
                    Store::of(engine, false, &path.display().to_string()).await?
                }
                StorePlace::Postgres { .. } => Store::open_at(&self.place).await?,
            };
            store.bind_log("log-a").await?;
            Ok(store)
        }

        pub(super) async fn open(&self) -> Store {
            self.try_open().await.unwrap()
        }

        pub(super) async fn open_unbound(&self) -> Store {
            Store::open_at(&self.place).await.unwrap()
        }

        pub(super) async fn open_shared(&self, log: &str) -> Store {
            let mut place = self.place.clone();
            if let StorePlace::Postgres { shared, .. } = &mut place {
                *shared = true;
            }
            let store = Store::open_at(&place).await.unwrap();
            store.bind_log(log).await.unwrap();
            store
        }
    }

    /// The same test on both engines.
    macro_rules! both {
        (async fn $name:ident($home:ident) $body:block) => {
            mod $name {
                #[allow(unused_imports)]
                use super::*;

                async fn test($home: $crate::store::tests::Home) $body

                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn on_sqlite() {
                    Box::pin(test($crate::store::tests::Home::sqlite())).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn on_postgres() {
                    Box::pin(test($crate::store::tests::Home::postgres())).await;
                }
            }
        };
    }
    pub(super) use both;

    pub(super) async fn execute(store: &Store, statement: &'static str) {
        let mut change = store.change().await.unwrap();
        query(statement).execute(&mut change).await.unwrap();
        change.commit().await.unwrap();
    }

    fn sqlite(store: &Store) -> (&SqlitePool, &SqlitePool) {
        match &store.engine {
            Engine::Sqlite { writer, readers } => (writer, readers),
            Engine::Postgres(_) => panic!("not embedded"),
        }
    }

    /// An embedded store in a directory that goes with the test.
    pub(super) async fn fresh() -> (TempDir, PathBuf, Store) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.sqlite");
        let store = Store::open(&path).await.unwrap();
        store.bind_log("log-a").await.unwrap();
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
        let (writer, readers) = sqlite(&store);
        assert_eq!(pragma(writer, "PRAGMA journal_mode").await, "wal");
        assert_eq!(pragma(writer, "PRAGMA synchronous").await, "2");
        assert_eq!(pragma(writer, "PRAGMA foreign_keys").await, "1");
        assert_eq!(pragma(readers, "PRAGMA query_only").await, "1");
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
            .execute(sqlite(&store).0)
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
            .execute(sqlite(&store).0)
            .await
            .unwrap();
        store.apply(&changes, 1).await.unwrap();
        assert_eq!(store.applied().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_lock_that_somebody_else_holds_is_told_after_the_wait() {
        let (_directory, path, store) = fresh().await;
        store.close().await;
        let engine = sqlite::open(&path, Duration::from_secs(2)).await.unwrap();
        let store = Store::of(engine, false, "it").await.unwrap();
        store.bind_log("log-a").await.unwrap();
        let somebody = Store::open(&path).await.unwrap();
        let held = somebody.change().await.unwrap();
        let refused = store.count_start().await.unwrap_err();
        assert!(matches!(refused, StoreError::Busy), "{refused:?}");
        assert_eq!(refused.fault(), Fault::Load);
        assert_eq!(store.starts().await.unwrap(), 0, "readers wait for nobody");
        held.rollback().await.unwrap();
        assert_eq!(store.count_start().await.unwrap(), 1);
    }

    both! {
    async fn a_closed_store_says_so(home) {
        let store = home.open().await;
        store.close().await;
        assert!(matches!(store.count_start().await, Err(StoreError::Closed)));
        assert!(matches!(store.applied().await, Err(StoreError::Closed)));
    }
    }
}
