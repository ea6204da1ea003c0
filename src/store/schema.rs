//! The tables, as a list of steps that is only ever added to.

use std::path::Path;

use sqlx::sqlite::SqlitePool;

use super::error::StoreError;

/// Step `n` of the list makes schema `n + 1` of schema `n`. One that was released is never changed.
const STEPS: [&str; 6] = [
    // Instants are microseconds since the epoch. `log_index` names the entry that a row comes from.
    "
CREATE TABLE bindings (
    what  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE marks (
    what  TEXT PRIMARY KEY,
    value BIGINT NOT NULL CHECK (value >= 0)
);
INSERT INTO marks (what, value) VALUES ('applied', 0), ('starts', 0);

CREATE TABLE people (
    id               TEXT PRIMARY KEY,
    department       TEXT NOT NULL,
    disabled         BOOLEAN NOT NULL,
    employment_end   BIGINT,
    trained_until    BIGINT,
    pledge           BOOLEAN NOT NULL,
    epoch            BIGINT NOT NULL CHECK (epoch >= 0)
);
CREATE TABLE person_roles (
    person   TEXT NOT NULL REFERENCES people (id),
    position BIGINT NOT NULL,
    role     TEXT NOT NULL,
    PRIMARY KEY (person, position)
);
CREATE TABLE passwords (
    person TEXT PRIMARY KEY REFERENCES people (id),
    hash   TEXT NOT NULL
);
CREATE TABLE second_factors (
    id          BLOB PRIMARY KEY CHECK (length(id) = 16),
    person      TEXT NOT NULL UNIQUE REFERENCES people (id),
    sealed_seed BLOB NOT NULL,
    last_step   BIGINT CHECK (last_step >= 0),
    failures    BIGINT NOT NULL DEFAULT 0 CHECK (failures >= 0)
);

CREATE TABLE holds (
    subject   BLOB NOT NULL CHECK (length(subject) = 32),
    hold      TEXT NOT NULL,
    reference TEXT NOT NULL,
    log_index BIGINT NOT NULL,
    PRIMARY KEY (subject, hold)
) WITHOUT ROWID;
CREATE TABLE dates (
    subject   BLOB NOT NULL CHECK (length(subject) = 32),
    date      TEXT NOT NULL,
    value     BIGINT NOT NULL,
    reference TEXT NOT NULL,
    log_index BIGINT NOT NULL,
    PRIMARY KEY (subject, date)
) WITHOUT ROWID;
CREATE TABLE outcomes (
    decision  BLOB PRIMARY KEY CHECK (length(decision) = 16),
    log_index BIGINT NOT NULL
) WITHOUT ROWID;
CREATE TABLE ended_sessions (
    session    BLOB PRIMARY KEY CHECK (length(session) = 16),
    ends_until BIGINT NOT NULL,
    log_index  BIGINT NOT NULL
) WITHOUT ROWID;
",
    // The newest checkpoint of the log that the store was told of: a log that doesn't contain it is not the one. And how
    // often what guards second factors was written: a store that did so less often than the log says is not the one.
    "
INSERT INTO marks (what, value) VALUES ('factor_writes', 0);
CREATE TABLE checkpoint (
    only BIGINT PRIMARY KEY CHECK (only = 1),
    size BIGINT NOT NULL CHECK (size >= 0),
    root BLOB NOT NULL CHECK (length(root) = 32)
);
",
    // Holds of the log itself; who placed one, and why, is in its entry.
    "
CREATE TABLE log_holds (
    log_index  BIGINT PRIMARY KEY,
    held_from  BIGINT,
    held_until BIGINT
);
",
    // How many of the writes for second factors are named by entries: the others' calls died before they had one.
    "
INSERT INTO marks (what, value) SELECT 'factor_writes_named', value FROM marks WHERE what = 'factor_writes';
",
    // Disposals of the log whose files and keys may still be there: `what` as its entry has it.
    "
CREATE TABLE disposals (
    log_index BIGINT PRIMARY KEY,
    what      BLOB NOT NULL
);
",
    // A person is kept whole, as the entry of their last change has them. Accounts of stores that were never released are
    // given up.
    "
DELETE FROM second_factors;
DELETE FROM passwords;
DROP TABLE person_roles;
DELETE FROM people;
ALTER TABLE people DROP COLUMN department;
ALTER TABLE people DROP COLUMN disabled;
ALTER TABLE people DROP COLUMN employment_end;
ALTER TABLE people DROP COLUMN trained_until;
ALTER TABLE people DROP COLUMN pledge;
ALTER TABLE people ADD COLUMN log_index BIGINT NOT NULL DEFAULT 0 CHECK (log_index >= 0);
ALTER TABLE people ADD COLUMN profile BLOB NOT NULL DEFAULT '';
",
];

/// Brings the schema up to date, in one transaction: all missing steps or none.
///
/// # Errors
/// When a newer version wrote the store, or it is another program's database: it is then left as it was.
pub(super) async fn bring_up_to_date(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master")
        .fetch_one(&mut *transaction)
        .await?;
    let ours: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'")
            .fetch_one(&mut *transaction)
            .await?;
    if ours == 0 && tables > 0 {
        return Err(StoreError::NotAStore(path.to_owned()));
    }
    if ours == 0 {
        sqlx::raw_sql(
            "CREATE TABLE schema_version (version BIGINT NOT NULL);
             INSERT INTO schema_version (version) VALUES (0);",
        )
        .execute(&mut *transaction)
        .await?;
    }
    let found: i64 = sqlx::query_scalar("SELECT version FROM schema_version")
        .fetch_one(&mut *transaction)
        .await?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let done = usize::try_from(found)
        .map_err(|_| StoreError::Damaged("a schema below zero".to_owned()))?;
    if found == known {
        return Ok(transaction.rollback().await?);
    }
    for step in STEPS.into_iter().skip(done) {
        sqlx::raw_sql(step).execute(&mut *transaction).await?;
    }
    sqlx::query("UPDATE schema_version SET version = ?1")
        .bind(known)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;
    use crate::store::Store;
    use crate::store::tests::fresh;
    use sqlx::sqlite::SqliteConnectOptions;

    #[tokio::test]
    async fn a_store_that_a_newer_version_wrote_is_refused() {
        let (_directory, path, store) = fresh().await;
        sqlx::query("UPDATE schema_version SET version = version + 1")
            .execute(&store.writer)
            .await
            .unwrap();
        store.close().await;
        let before = std::fs::read(&path).unwrap();
        let refused = Store::open(&path).await.unwrap_err();
        assert!(
            matches!(refused, StoreError::Newer { found, known } if found == known + 1),
            "{refused:?}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[tokio::test]
    async fn another_programs_database_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other.sqlite");
        files::ensure_private(&path).unwrap();
        let other = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&path))
            .await
            .unwrap();
        sqlx::query("CREATE TABLE theirs (x)")
            .execute(&other)
            .await
            .unwrap();
        other.close().await;
        assert!(matches!(
            Store::open(&path).await,
            Err(StoreError::NotAStore(_))
        ));
    }

    #[tokio::test]
    async fn a_store_opens_again_as_it_was() {
        let (_directory, path, store) = fresh().await;
        assert_eq!(store.count_start().await.unwrap(), 1);
        store.close().await;
        let store = Store::open(&path).await.unwrap();
        assert_eq!(store.starts().await.unwrap(), 1);
    }
}
