//! The tables, as a list of steps that is only ever added to: one list for both engines.

use super::engine::{Engine, Transaction, query};
use super::error::StoreError;

/// Step `n` of the list makes schema `n + 1` of schema `n`. One that was released is never changed.
const STEPS: [&str; 20] = [
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
    \"only\" BIGINT PRIMARY KEY CHECK (\"only\" = 1),
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
    // Several daemons, each with its own log, can use one store. What ties the store to a log is a log's own; the log of a
    // store that had one is number 1. `log_index` is an index in the log that `log` names.
    "
CREATE TABLE logs (
    number              BIGINT PRIMARY KEY CHECK (number >= 1),
    name                TEXT NOT NULL UNIQUE,
    applied             BIGINT NOT NULL DEFAULT 0 CHECK (applied >= 0),
    starts              BIGINT NOT NULL DEFAULT 0 CHECK (starts >= 0),
    factor_writes       BIGINT NOT NULL DEFAULT 0 CHECK (factor_writes >= 0),
    factor_writes_named BIGINT NOT NULL DEFAULT 0 CHECK (factor_writes_named >= 0),
    checkpoint_size     BIGINT CHECK (checkpoint_size >= 0),
    checkpoint_root     BLOB CHECK (length(checkpoint_root) = 32)
);
INSERT INTO logs
    (number, name, applied, starts, factor_writes, factor_writes_named, checkpoint_size, checkpoint_root)
SELECT 1, bindings.value,
    (SELECT value FROM marks WHERE what = 'applied'),
    (SELECT value FROM marks WHERE what = 'starts'),
    (SELECT value FROM marks WHERE what = 'factor_writes'),
    (SELECT value FROM marks WHERE what = 'factor_writes_named'),
    (SELECT size FROM checkpoint),
    (SELECT root FROM checkpoint)
FROM bindings WHERE what = 'log';
DELETE FROM bindings WHERE what = 'log';
DROP TABLE marks;
DROP TABLE checkpoint;

ALTER TABLE holds ADD COLUMN log BIGINT NOT NULL DEFAULT 1;
ALTER TABLE dates ADD COLUMN log BIGINT NOT NULL DEFAULT 1;
ALTER TABLE outcomes ADD COLUMN log BIGINT NOT NULL DEFAULT 1;
ALTER TABLE ended_sessions ADD COLUMN log BIGINT NOT NULL DEFAULT 1;
CREATE TABLE holds_of_logs (
    log        BIGINT NOT NULL,
    log_index  BIGINT NOT NULL,
    held_from  BIGINT,
    held_until BIGINT,
    PRIMARY KEY (log, log_index)
);
INSERT INTO holds_of_logs (log, log_index, held_from, held_until)
SELECT 1, log_index, held_from, held_until FROM log_holds;
DROP TABLE log_holds;
ALTER TABLE holds_of_logs RENAME TO log_holds;

-- What changed that others keep in memory, where others share the store; see news.rs. The one row of `changes` is the number
-- of the newest: whoever changes something takes it first, so that numbers appear in their order.
CREATE TABLE changes (
    newest BIGINT NOT NULL CHECK (newest >= 0)
);
INSERT INTO changes (newest) VALUES (0);
CREATE TABLE news (
    number  BIGINT PRIMARY KEY,
    log     BIGINT NOT NULL,
    what    BIGINT NOT NULL,
    what_id BLOB
);
",
    // Disposals of the log whose files and keys may still be there: `what` as its entry has it.
    "
CREATE TABLE disposals (
    log       BIGINT NOT NULL,
    log_index BIGINT NOT NULL,
    what      BLOB NOT NULL,
    PRIMARY KEY (log, log_index)
);
",
    // Where the log declares a gap; what it says of it is in its entry.
    "
CREATE TABLE gaps (
    log       BIGINT NOT NULL,
    log_index BIGINT NOT NULL,
    PRIMARY KEY (log, log_index)
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
    // Until when a second factor waits after failures, one-time codes, hardware tokens that are nobody's yet, and what lies
    // ready for an entry of the log that `log` names to take it up.
    "
ALTER TABLE passwords ADD COLUMN must_change BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE second_factors ADD COLUMN waits_until BIGINT NOT NULL DEFAULT 0;
CREATE TABLE recovery_codes (
    factor BLOB NOT NULL CHECK (length(factor) = 16),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (factor, digest)
);
CREATE TABLE enrollment_codes (
    person TEXT PRIMARY KEY REFERENCES people (id),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    ends   BIGINT NOT NULL
);
CREATE TABLE hardware_tokens (
    serial      TEXT PRIMARY KEY,
    sealed_seed BLOB NOT NULL
);
CREATE TABLE staged (
    id      BLOB PRIMARY KEY CHECK (length(id) = 16),
    log     BIGINT NOT NULL,
    person  TEXT NOT NULL,
    content BLOB NOT NULL,
    made_us BIGINT NOT NULL
);
",
    // Who is logged in; until when the tickets of services were ended; what waits for a second administrator, or for its time,
    // or for a review: `what` as its entry has it.
    "
CREATE TABLE live_sessions (
    session BLOB PRIMARY KEY CHECK (length(session) = 16),
    person  TEXT NOT NULL,
    caller  TEXT NOT NULL,
    device  BLOB NOT NULL CHECK (length(device) = 16),
    began   BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    epoch   BIGINT NOT NULL
);
CREATE INDEX live_sessions_of_person ON live_sessions (person);
CREATE TABLE ended_services (
    service     TEXT PRIMARY KEY,
    ended_until BIGINT NOT NULL
);
CREATE TABLE requests (
    log       BIGINT NOT NULL,
    log_index BIGINT NOT NULL,
    what      BLOB NOT NULL,
    done      BOOLEAN NOT NULL,
    ends      BIGINT,
    PRIMARY KEY (log, log_index)
);
",
    // For how many microseconds daemons have served while a request waits for its time.
    "
ALTER TABLE requests ADD COLUMN waited BIGINT NOT NULL DEFAULT 0 CHECK (waited >= 0);
",
    // How often the tickets of services were ended, in place of until when. Tickets that were given out before are of an older
    // format and have expired.
    "
DROP TABLE ended_services;
CREATE TABLE service_generations (
    service    TEXT PRIMARY KEY,
    generation BIGINT NOT NULL CHECK (generation >= 0)
);
ALTER TABLE live_sessions ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
",
    // Which administrators know a credential besides the person, or had it in their hands: `kind` as StoredCredentialKind numbers it, `whose` the person, or
    // of a hardware token that is nobody's yet its serial number.
    "
CREATE TABLE told (
    kind    BIGINT NOT NULL,
    whose   TEXT NOT NULL,
    told_to TEXT NOT NULL,
    PRIMARY KEY (kind, whose, told_to)
);
",
    // Records of provision and of receipt, to be found: what they say is in the entries. `kind` and `status` as the API numbers
    // them, `party` a recipient of the pack, `provided` unknown until the outcome is reported; and how far each log was read for
    // them.
    "
ALTER TABLE logs ADD COLUMN recorded BIGINT NOT NULL DEFAULT 0 CHECK (recorded >= 0);
CREATE TABLE records (
    log          BIGINT NOT NULL,
    log_index    BIGINT NOT NULL,
    id           BLOB NOT NULL CHECK (length(id) = 16),
    kind         BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    at           BIGINT NOT NULL,
    keep_until   BIGINT NOT NULL,
    party        TEXT NOT NULL,
    name         TEXT NOT NULL,
    route        TEXT NOT NULL,
    closed_index BIGINT,
    PRIMARY KEY (log, log_index)
);
CREATE UNIQUE INDEX records_by_id ON records (id);
CREATE INDEX records_by_time ON records (at, log, log_index);
CREATE INDEX records_by_end ON records (keep_until);
CREATE TABLE record_people (
    subject   BLOB NOT NULL CHECK (length(subject) = 32),
    log       BIGINT NOT NULL,
    log_index BIGINT NOT NULL,
    provided  BOOLEAN NOT NULL,
    PRIMARY KEY (subject, log, log_index)
) WITHOUT ROWID;
CREATE INDEX record_people_by_record ON record_people (log, log_index);
",
    // Documents that callers refer to. `subject` is empty where one is for nobody in particular; `kind` as ReferenceKind numbers
    // it; `purposes` are ids between commas; `at_us` is when it was registered or, once it is, withdrawn.
    "
CREATE TABLE subject_references (
    subject   BLOB NOT NULL CHECK (length(subject) IN (0, 32)),
    kind      BIGINT NOT NULL,
    id        TEXT NOT NULL,
    purposes  TEXT NOT NULL,
    ends      BIGINT,
    at_us     BIGINT NOT NULL,
    withdrawn BOOLEAN NOT NULL,
    log_index BIGINT NOT NULL,
    log       BIGINT NOT NULL,
    PRIMARY KEY (subject, kind, id)
) WITHOUT ROWID;
",
    // Many at once: `imported` lies ready until an entry of the log that `log` names puts it in force (`log_index`), and is then
    // moved into the tables above bit by bit, up to the subject `folded`. `sort` is 1 for a hold, 2 for a date, 10 and more for
    // a reference of the kind less 10. `lost` is what an entry puts in force and was not there.
    "
CREATE TABLE imports (
    id        BLOB PRIMARY KEY CHECK (length(id) = 16),
    log       BIGINT NOT NULL,
    log_index BIGINT,
    row_count BIGINT NOT NULL,
    at_us     BIGINT NOT NULL,
    folded    BLOB,
    done      BOOLEAN NOT NULL,
    lost      BOOLEAN NOT NULL
);
CREATE TABLE imported (
    batch     BLOB NOT NULL,
    subject   BLOB NOT NULL CHECK (length(subject) = 32),
    sort      BIGINT NOT NULL,
    name      TEXT NOT NULL,
    value     BIGINT,
    purposes  TEXT NOT NULL,
    reference TEXT NOT NULL,
    PRIMARY KEY (batch, subject, sort, name)
) WITHOUT ROWID;
",
    // When a consent was given; unknown where an import doesn't say it. In which order imports were put in force, and SHA-256 of
    // their rows; rows for nobody in particular (`subject` is empty). And whose retention is over is found by its date.
    "
ALTER TABLE subject_references ADD COLUMN given_us BIGINT;
UPDATE subject_references SET given_us = at_us WHERE NOT withdrawn;
ALTER TABLE imports ADD COLUMN digest BLOB;
ALTER TABLE imports ADD COLUMN in_force BIGINT;
UPDATE imports SET in_force = log_index WHERE log_index IS NOT NULL;
UPDATE imports SET done = TRUE WHERE lost;
CREATE TABLE imported_rows (
    batch     BLOB NOT NULL,
    subject   BLOB NOT NULL CHECK (length(subject) IN (0, 32)),
    sort      BIGINT NOT NULL,
    name      TEXT NOT NULL,
    value     BIGINT,
    purposes  TEXT NOT NULL,
    reference TEXT NOT NULL,
    given_us  BIGINT,
    PRIMARY KEY (batch, subject, sort, name)
) WITHOUT ROWID;
INSERT INTO imported_rows (batch, subject, sort, name, value, purposes, reference)
SELECT batch, subject, sort, name, value, purposes, reference FROM imported;
DROP TABLE imported;
ALTER TABLE imported_rows RENAME TO imported;
CREATE INDEX dates_by_value ON dates (date, value, subject);
",
    // Who the other party of a record is may be a natural person: looked up by a keyed pseudonym, and told by the entry alone.
    // `written` is when the entry was. Both come from the log, which is read for records anew.
    "
ALTER TABLE records DROP COLUMN name;
ALTER TABLE records ADD COLUMN name_key BLOB CHECK (length(name_key) = 32);
ALTER TABLE records ADD COLUMN written BIGINT;
UPDATE logs SET recorded = 0;
",
    // Campaigns of review: `opened` as its entry has it; `content` of an item, too. `state` as the API numbers it: up to 3 it is not
    // judged. What people wrote is in the entries that `question`, `answer` and `judgement` name.
    "
CREATE TABLE reviews (
    log          BIGINT NOT NULL,
    log_index    BIGINT NOT NULL,
    opened       BLOB NOT NULL,
    signed_index BIGINT,
    digest       BLOB CHECK (length(digest) = 32),
    PRIMARY KEY (log, log_index)
);
CREATE TABLE review_items (
    log       BIGINT NOT NULL,
    review    BIGINT NOT NULL,
    item      BIGINT NOT NULL,
    person    TEXT NOT NULL,
    reviewer  TEXT NOT NULL,
    state     BIGINT NOT NULL,
    escalated BOOLEAN NOT NULL,
    content   BLOB NOT NULL,
    question  BIGINT,
    answer    BIGINT,
    judgement BIGINT,
    PRIMARY KEY (log, review, item)
);
CREATE INDEX review_items_of_person ON review_items (log, person, state);
",
    // Incidents and what was done about them: `what` as the entry has it. What people wrote is in the entries alone. And what was
    // attested last of each safety-management measure.
    "
CREATE TABLE incidents (
    log       BIGINT NOT NULL,
    log_index BIGINT NOT NULL,
    what      BLOB NOT NULL,
    closed    BOOLEAN NOT NULL,
    PRIMARY KEY (log, log_index)
);
CREATE TABLE incident_steps (
    log       BIGINT NOT NULL,
    log_index BIGINT NOT NULL,
    incident  BIGINT NOT NULL,
    what      BLOB NOT NULL,
    PRIMARY KEY (log, log_index)
);
CREATE INDEX incident_steps_of ON incident_steps (log, incident);
CREATE TABLE attestations (
    measure     TEXT PRIMARY KEY,
    done        BIGINT NOT NULL,
    attested_by TEXT NOT NULL,
    reference   TEXT NOT NULL,
    log_index   BIGINT NOT NULL,
    log         BIGINT NOT NULL
);
",
];

/// A newest schema that waits for another daemon's steps waits as long.
const MIGRATION: &str = "SET LOCAL statement_timeout = 60000; SET LOCAL lock_timeout = 60000";
/// Held while the schema is looked at and changed, so that of two daemons that start one waits. The number is any, and ours.
const LOCK: &str = "SELECT pg_advisory_xact_lock(4705412345067823105)";

/// Brings the schema up to date, in one transaction: all missing steps or none. `place` is for the words of an error.
///
/// # Errors
/// When a newer version wrote the store, or it is another program's database: it is then left as it was.
pub(super) async fn bring_up_to_date(engine: &Engine, place: &str) -> Result<(), StoreError> {
    let mut transaction = engine.change().await?;
    let looked = match &transaction {
        Transaction::Sqlite(_) => query(
            "SELECT count(*) AS tables,
                 coalesce(sum(CASE WHEN name = 'schema_version' THEN 1 ELSE 0 END), 0) AS ours
             FROM sqlite_master",
        ),
        Transaction::Postgres(_) => {
            transaction.run(MIGRATION.to_owned()).await?;
            transaction.run(LOCK.to_owned()).await?;
            let there =
                query("SELECT count(*) AS there FROM pg_namespace WHERE nspname = 'sekisho'")
                    .fetch_one(&mut transaction)
                    .await?;
            if there.try_get::<i64>("there")? == 0 {
                transaction.run("CREATE SCHEMA sekisho".to_owned()).await?;
            }
            query(
                "SELECT count(*) AS tables,
                     count(*) FILTER (WHERE relname = 'schema_version') AS ours
                 FROM pg_class WHERE relnamespace = to_regnamespace('sekisho')",
            )
        }
    };
    let row = looked.fetch_one(&mut transaction).await?;
    let (tables, ours): (i64, i64) = (row.try_get("tables")?, row.try_get("ours")?);
    if ours == 0 && tables > 0 {
        return Err(StoreError::NotAStore(place.to_owned()));
    }
    if ours == 0 {
        let first = "CREATE TABLE schema_version (version BIGINT NOT NULL);
             INSERT INTO schema_version (version) VALUES (0);";
        transaction.run(first.to_owned()).await?;
    }
    let found: i64 = query("SELECT version FROM schema_version")
        .fetch_one(&mut transaction)
        .await?
        .try_get("version")?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let done = usize::try_from(found)
        .map_err(|_| StoreError::Damaged("a schema below zero".to_owned()))?;
    if found == known {
        return transaction.rollback().await;
    }
    for step in STEPS.into_iter().skip(done) {
        let step = in_words_of(&transaction, step);
        transaction.run(step).await?;
    }
    query("UPDATE schema_version SET version = $1")
        .bind(known)
        .execute(&mut transaction)
        .await?;
    transaction.commit().await
}

/// The steps are written in SQLite's words. PostgreSQL has another for bytes, compares text by the rules of a language unless
/// told to compare its bytes, and has no tables that are an index.
fn in_words_of(transaction: &Transaction, step: &str) -> String {
    match transaction {
        Transaction::Sqlite(_) => step.to_owned(),
        Transaction::Postgres(_) => step
            .replace("BLOB", "BYTEA")
            .replace(" TEXT", " TEXT COLLATE \"C\"")
            .replace(" WITHOUT ROWID", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{DecisionId, LogIndex};
    use crate::files;
    use crate::store::Store;
    use crate::store::tests::{Home, both, execute};
    use sqlx::Connection;
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
    use tokio::task::JoinSet;
    use uuid::Uuid;

    both! {
    async fn a_store_that_a_newer_version_wrote_is_refused(home) {
        let store = home.open().await;
        execute(&store, "UPDATE schema_version SET version = version + 1").await;
        store.close().await;
        let refused = home.try_open().await.unwrap_err();
        assert!(
            matches!(refused, StoreError::Newer { found, known } if found == known + 1),
            "{refused:?}"
        );
    }
    }

    both! {
    async fn a_store_opens_again_as_it_was(home) {
        let store = home.open().await;
        assert_eq!(store.count_start().await.unwrap(), 1);
        store.close().await;
        let store = home.open().await;
        assert_eq!(store.starts().await.unwrap(), 1);
    }
    }

    both! {
    async fn of_daemons_that_start_at_once_one_makes_the_tables(home) {
        let mut opening = JoinSet::new();
        for _ in 0..6 {
            let home = home.clone();
            opening.spawn(async move { home.open().await.starts().await.unwrap() });
        }
        assert_eq!(opening.join_all().await, [0; 6]);
    }
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
        // On a server, what is in other schemas of the database is others' and stays.
        let home = Home::postgres();
        home.sql("CREATE TABLE theirs (x INT); CREATE SCHEMA sekisho; CREATE TABLE sekisho.theirs (x INT)");
        let refused = home.try_open().await.unwrap_err();
        assert!(matches!(refused, StoreError::NotAStore(_)), "{refused}");
        home.sql("DROP TABLE sekisho.theirs");
        home.open().await;
        assert_eq!(home.sql("SELECT count(*) FROM public.theirs"), "0");
    }

    #[tokio::test]
    async fn a_store_of_one_log_keeps_what_it_knew() {
        let home = Home::sqlite();
        let path = home.path();
        files::ensure_private(&path).unwrap();
        let options = SqliteConnectOptions::new().filename(&path);
        let mut old = sqlx::SqliteConnection::connect_with(&options)
            .await
            .unwrap();
        let mut text = "CREATE TABLE schema_version (version BIGINT NOT NULL);
            INSERT INTO schema_version (version) VALUES (4);"
            .to_owned();
        text.extend(STEPS.into_iter().take(4));
        text.push_str(
            "INSERT INTO bindings VALUES ('log', 'log-a'), ('pseudonym key', '0a');
             UPDATE marks SET value = 9 WHERE what = 'applied';
             UPDATE marks SET value = 3 WHERE what = 'starts';
             UPDATE marks SET value = 7 WHERE what = 'factor_writes';
             UPDATE marks SET value = 6 WHERE what = 'factor_writes_named';
             INSERT INTO checkpoint VALUES (1, 8, zeroblob(32));
             INSERT INTO log_holds VALUES (2, NULL, 5);
             INSERT INTO outcomes VALUES (zeroblob(16), 4);",
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(text))
            .execute(&mut old)
            .await
            .unwrap();
        old.close().await.unwrap();
        let before = Store::check(&path).await.unwrap();
        let store = home.open().await;
        assert_eq!(store.applied().await.unwrap(), 9);
        assert_eq!(store.starts().await.unwrap(), 3);
        assert_eq!(store.factor_writes().await.unwrap(), 7);
        assert_eq!(store.named_factor_writes().await.unwrap(), 6);
        assert_eq!(store.kept_checkpoint().await.unwrap(), Some((8, [0; 32])));
        assert_eq!(store.log_holds().await.unwrap().len(), 1);
        let outcome = store.outcome_of(DecisionId(Uuid::nil())).await.unwrap();
        assert_eq!(outcome, Some(LogIndex(4)));
        store.bind_pseudonym_key("0a").await.unwrap();
        assert_eq!(Store::check(&path).await.unwrap(), before);
        assert_eq!((before.applied, before.log.as_deref()), (9, Some("log-a")));
    }
}
