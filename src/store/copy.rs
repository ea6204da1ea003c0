//! A copy of the store while a daemon uses it, and a look at one without changing it.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::error::StoreError;
use super::sqlite::PATIENCE;
use super::{Store, from_stored, to_stored};
use crate::files;
use crate::proto::StoredSubjectImport;

/// What ties a store to its log and its keyring, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreMarks {
    /// The name of its log; `None` when no daemon ever ran on it.
    pub log: Option<String>,
    /// The id of the key that makes pseudonyms; `None` when no daemon ever ran on it.
    pub pseudonym_key: Option<String>,
    /// The length of the log up to which every change is in the store.
    pub applied: u64,
    /// How often the daemon was started.
    pub starts: u64,
}

impl Store {
    /// Copies the store at `from`, which a daemon may be using, as it is at one moment, into the new file `to` (0600). Holds
    /// no daemon up. The caller syncs the copy.
    ///
    /// # Errors
    /// When there is none at `from`, it is damaged, or the system refuses.
    pub async fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
        // SQLite takes an empty file, and would else make one that others may read.
        files::create_private(to, &[])?;
        // `VACUUM INTO` changes nothing of what it reads, yet is refused where only queries are allowed.
        let mut source = options(from).pragma("query_only", "OFF").connect().await?;
        let copied = sqlx::query("VACUUM INTO ?1")
            .bind(to.to_string_lossy())
            .execute(&mut source)
            .await;
        source.close().await?;
        copied?;
        Ok(())
    }

    /// Looks at the store at `path` without changing it: a daemon may be using it, also one of another version.
    ///
    /// # Errors
    /// When there is none, it is not one of ours, it is damaged, or the system refuses.
    pub async fn marks(path: &Path) -> Result<StoreMarks, StoreError> {
        let mut store = options(path).connect().await?;
        let marks = read_marks(&mut store, path).await;
        store.close().await?;
        marks
    }

    /// As [`Self::marks`], and reads every page of it.
    ///
    /// # Errors
    /// As [`Self::marks`].
    pub async fn check(path: &Path) -> Result<StoreMarks, StoreError> {
        let mut store = options(path).connect().await?;
        let found: Result<String, _> = sqlx::query_scalar("PRAGMA integrity_check(1)")
            .fetch_one(&mut store)
            .await;
        let marks = match found.as_deref() {
            Ok("ok") => read_marks(&mut store, path).await,
            Ok(what) => Err(StoreError::Damaged(what.to_owned())),
            Err(_) => Err(found.err().map_or(StoreError::Busy, StoreError::from)),
        };
        store.close().await?;
        marks
    }

    /// Whether the store at `path` lacks rows of one of these imports, which it has not applied yet.
    ///
    /// # Errors
    /// As [`Self::marks`].
    pub async fn lacks(path: &Path, imports: &[StoredSubjectImport]) -> Result<bool, StoreError> {
        let mut store = options(path).connect().await?;
        let mut lacks = false;
        for import in imports {
            // What lies ready of one that is in force already may be fewer: they are in their place.
            let there: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM imports WHERE id = ?1
                     AND (log_index IS NOT NULL OR (SELECT count(*) FROM imported WHERE batch = ?1) = ?2)",
            )
            .bind(import.batch.as_slice())
            .bind(to_stored(import.rows)?)
            .fetch_one(&mut store)
            .await?;
            lacks |= there == 0;
        }
        store.close().await?;
        Ok(lacks)
    }
}

/// A connection that changes nothing. Not opened read-only, since SQLite must be able to take up a write-ahead log that a
/// killed daemon left behind.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(PATIENCE)
        .pragma("query_only", "ON")
        .disable_statement_logging()
}

async fn read_marks(store: &mut SqliteConnection, path: &Path) -> Result<StoreMarks, StoreError> {
    let mut transaction = store.begin().await?;
    let version: Option<i64> =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'")
            .fetch_one(&mut *transaction)
            .await?;
    if version != Some(1) {
        return Err(StoreError::NotAStore(path.display().to_string()));
    }
    let version: i64 = sqlx::query_scalar("SELECT version FROM schema_version")
        .fetch_one(&mut *transaction)
        .await?;
    // Before it, a store had one log, and its marks were apart.
    let marks = if version < 5 {
        "SELECT (SELECT value FROM bindings WHERE what = 'log'),
             (SELECT value FROM marks WHERE what = 'applied'),
             (SELECT value FROM marks WHERE what = 'starts')"
    } else {
        "SELECT name, coalesce(applied, 0), coalesce(starts, 0)
         FROM (SELECT 1) LEFT JOIN logs ON number = 1"
    };
    let (log, applied, starts): (Option<String>, i64, i64) =
        sqlx::query_as(marks).fetch_one(&mut *transaction).await?;
    let pseudonym_key =
        sqlx::query_scalar("SELECT value FROM bindings WHERE what = 'pseudonym key'")
            .fetch_optional(&mut *transaction)
            .await?;
    transaction.rollback().await?;
    Ok(StoreMarks {
        log,
        pseudonym_key,
        applied: from_stored(applied)?,
        starts: from_stored(starts)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::LogIndex;
    use crate::proto::stored_change::Kind;
    use crate::store::tests::{change, fresh, hold};
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_copy_is_of_one_moment_while_the_store_is_used_and_its_owners_alone() {
        let (directory, path, store) = fresh().await;
        store.bind_log("log-a").await.unwrap();
        let register = |n: u64| {
            let subject = u8::try_from(n % 250).unwrap();
            [(LogIndex(n), change(Kind::RegisterHold(hold(subject, "h"))))]
        };
        store.apply(&register(0), 1).await.unwrap();
        let writing = store.clone();
        let writer = tokio::spawn(async move {
            for n in 1..200 {
                writing.apply(&register(n), n + 1).await.unwrap();
            }
        });
        for n in 0..5 {
            let to = directory.path().join(format!("copy-{n}"));
            Store::copy(&path, &to).await.unwrap();
            let mode = std::fs::metadata(&to).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600);
            let marks = Store::check(&to).await.unwrap();
            assert_eq!(marks.log.as_deref(), Some("log-a"));
            let copy = Store::open(&to).await.unwrap();
            let held = copy.load_subjects(|_, _| ()).await.unwrap();
            assert_eq!(held, marks.applied, "one more hold with each entry");
            copy.close().await;
        }
        writer.await.unwrap();
        assert_eq!(Store::marks(&path).await.unwrap().applied, 200);
        store.count_start().await.unwrap();
    }

    #[tokio::test]
    async fn nothing_is_copied_over_nor_from_nowhere() {
        let (directory, path, _store) = fresh().await;
        let to = directory.path().join("copy");
        Store::copy(&path, &to).await.unwrap();
        assert!(Store::copy(&path, &to).await.is_err());
        let none = directory.path().join("none");
        assert!(
            Store::copy(&none, &directory.path().join("x"))
                .await
                .is_err()
        );
        assert!(!none.exists());
        assert!(matches!(
            Store::marks(&directory.path().join("x")).await,
            Err(StoreError::NotAStore(_))
        ));
    }

    #[tokio::test]
    async fn a_damaged_copy_is_told() {
        let (directory, path, store) = fresh().await;
        let changes: Vec<_> = (0..200_u8)
            .map(|n| (LogIndex(n.into()), change(Kind::RegisterHold(hold(n, "h")))))
            .collect();
        store.apply(&changes, 200).await.unwrap();
        let to = directory.path().join("copy");
        Store::copy(&path, &to).await.unwrap();
        let mut bytes = std::fs::read(&to).unwrap();
        let end = bytes.len();
        for byte in &mut bytes[end - 3 * 4_096..] {
            *byte = 0xA5;
        }
        files::write_private(&to, &bytes).unwrap();
        assert!(matches!(
            Store::check(&to).await,
            Err(StoreError::Damaged(_))
        ));
    }
}
