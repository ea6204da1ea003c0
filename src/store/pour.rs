//! A store's content into another, empty one, whatever engine each has: a backup's copy of a database, and back. What is one
//! log's own goes with the log that is named, as the first log of the copy; that of other logs stays behind.

use std::path::Path;

use super::engine::{Query, Row, Transaction, Value, query};
use super::error::StoreError;
use super::{Store, StorePlace};

/// Types of columns.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Flag,
    Text,
    Bytes,
    Number,
    MaybeNumber,
    MaybeBytes,
}
use Kind::{Bytes, Flag, MaybeBytes, MaybeNumber, Number, Text};

/// How a table is read and written.
struct Table {
    /// Reads it; `$1` is the number of the log where `of_log`.
    read: &'static str,
    of_log: bool,
    write: &'static str,
    /// In the order of both.
    columns: &'static [(&'static str, Kind)],
}

/// Whoever is referred to comes first.
const TABLES: [Table; 30] = [
    Table {
        read: "SELECT what, value FROM bindings",
        of_log: false,
        write: "INSERT INTO bindings (what, value) VALUES ($1, $2)",
        columns: &[("what", Text), ("value", Text)],
    },
    Table {
        read: "SELECT CAST(1 AS BIGINT) AS number, name, applied, starts, factor_writes,
                   factor_writes_named, checkpoint_size, checkpoint_root, recorded
               FROM logs WHERE number = $1",
        of_log: true,
        write: "INSERT INTO logs (number, name, applied, starts, factor_writes,
                    factor_writes_named, checkpoint_size, checkpoint_root, recorded)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        columns: &[
            ("number", Number),
            ("name", Text),
            ("applied", Number),
            ("starts", Number),
            ("factor_writes", Number),
            ("factor_writes_named", Number),
            ("checkpoint_size", MaybeNumber),
            ("checkpoint_root", MaybeBytes),
            ("recorded", Number),
        ],
    },
    Table {
        read: "SELECT id, epoch, log_index, profile FROM people",
        of_log: false,
        write: "INSERT INTO people (id, epoch, log_index, profile) VALUES ($1, $2, $3, $4)",
        columns: &[
            ("id", Text),
            ("epoch", Number),
            ("log_index", Number),
            ("profile", Bytes),
        ],
    },
    Table {
        read: "SELECT person, hash, must_change FROM passwords",
        of_log: false,
        write: "INSERT INTO passwords (person, hash, must_change) VALUES ($1, $2, $3)",
        columns: &[("person", Text), ("hash", Text), ("must_change", Flag)],
    },
    Table {
        read: "SELECT id, person, sealed_seed, last_step, failures, waits_until
               FROM second_factors",
        of_log: false,
        write: "INSERT INTO second_factors
                    (id, person, sealed_seed, last_step, failures, waits_until)
                VALUES ($1, $2, $3, $4, $5, $6)",
        columns: &[
            ("id", Bytes),
            ("person", Text),
            ("sealed_seed", Bytes),
            ("last_step", MaybeNumber),
            ("failures", Number),
            ("waits_until", Number),
        ],
    },
    Table {
        read: "SELECT factor, digest FROM recovery_codes",
        of_log: false,
        write: "INSERT INTO recovery_codes (factor, digest) VALUES ($1, $2)",
        columns: &[("factor", Bytes), ("digest", Bytes)],
    },
    Table {
        read: "SELECT person, digest, ends FROM enrollment_codes",
        of_log: false,
        write: "INSERT INTO enrollment_codes (person, digest, ends) VALUES ($1, $2, $3)",
        columns: &[("person", Text), ("digest", Bytes), ("ends", Number)],
    },
    Table {
        read: "SELECT serial, sealed_seed FROM hardware_tokens",
        of_log: false,
        write: "INSERT INTO hardware_tokens (serial, sealed_seed) VALUES ($1, $2)",
        columns: &[("serial", Text), ("sealed_seed", Bytes)],
    },
    Table {
        read: "SELECT kind, whose, told_to FROM told",
        of_log: false,
        write: "INSERT INTO told (kind, whose, told_to) VALUES ($1, $2, $3)",
        columns: &[("kind", Number), ("whose", Text), ("told_to", Text)],
    },
    Table {
        // An entry that names one may be in the log already, and not yet followed.
        read: "SELECT id, CAST(1 AS BIGINT) AS log, person, content, made_us
               FROM staged WHERE log = $1",
        of_log: true,
        write: "INSERT INTO staged (id, log, person, content, made_us) VALUES ($1, $2, $3, $4, $5)",
        columns: &[
            ("id", Bytes),
            ("log", Number),
            ("person", Text),
            ("content", Bytes),
            ("made_us", Number),
        ],
    },
    Table {
        read: "SELECT subject, hold, reference, log_index,
                   CAST(CASE WHEN log = $1 THEN 1 ELSE 0 END AS BIGINT) AS log
               FROM holds",
        of_log: true,
        write: "INSERT INTO holds (subject, hold, reference, log_index, log)
                VALUES ($1, $2, $3, $4, $5)",
        columns: &[
            ("subject", Bytes),
            ("hold", Text),
            ("reference", Text),
            ("log_index", Number),
            ("log", Number),
        ],
    },
    Table {
        read: "SELECT subject, date, value, reference, log_index,
                   CAST(CASE WHEN log = $1 THEN 1 ELSE 0 END AS BIGINT) AS log
               FROM dates",
        of_log: true,
        write: "INSERT INTO dates (subject, date, value, reference, log_index, log)
                VALUES ($1, $2, $3, $4, $5, $6)",
        columns: &[
            ("subject", Bytes),
            ("date", Text),
            ("value", Number),
            ("reference", Text),
            ("log_index", Number),
            ("log", Number),
        ],
    },
    Table {
        read: "SELECT subject, kind, id, purposes, ends, at_us, given_us, withdrawn, log_index,
                   CAST(CASE WHEN log = $1 THEN 1 ELSE 0 END AS BIGINT) AS log
               FROM subject_references",
        of_log: true,
        write: "INSERT INTO subject_references
                    (subject, kind, id, purposes, ends, at_us, given_us, withdrawn, log_index, log)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        columns: &[
            ("subject", Bytes),
            ("kind", Number),
            ("id", Text),
            ("purposes", Text),
            ("ends", MaybeNumber),
            ("at_us", Number),
            ("given_us", MaybeNumber),
            ("withdrawn", Flag),
            ("log_index", Number),
            ("log", Number),
        ],
    },
    Table {
        // What is in force is everybody's, also where it is not in its place yet.
        read: "SELECT id, CAST(CASE WHEN log = $1 THEN 1 ELSE 0 END AS BIGINT) AS log, log_index,
                   row_count, at_us, folded, done, lost, digest, in_force
               FROM imports WHERE log = $1 OR log_index IS NOT NULL",
        of_log: true,
        write: "INSERT INTO imports (id, log, log_index, row_count, at_us, folded, done, lost, digest, in_force)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        columns: &[
            ("id", Bytes),
            ("log", Number),
            ("log_index", MaybeNumber),
            ("row_count", Number),
            ("at_us", Number),
            ("folded", MaybeBytes),
            ("done", Flag),
            ("lost", Flag),
            ("digest", MaybeBytes),
            ("in_force", MaybeNumber),
        ],
    },
    Table {
        read: "SELECT batch, subject, sort, name, value, purposes, reference, given_us FROM imported
               WHERE batch IN (SELECT id FROM imports WHERE log = $1 OR log_index IS NOT NULL)",
        of_log: true,
        write: "INSERT INTO imported (batch, subject, sort, name, value, purposes, reference, given_us)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        columns: &[
            ("batch", Bytes),
            ("subject", Bytes),
            ("sort", Number),
            ("name", Text),
            ("value", MaybeNumber),
            ("purposes", Text),
            ("reference", Text),
            ("given_us", MaybeNumber),
        ],
    },
    Table {
        read: "SELECT decision, log_index, CAST(1 AS BIGINT) AS log FROM outcomes WHERE log = $1",
        of_log: true,
        write: "INSERT INTO outcomes (decision, log_index, log) VALUES ($1, $2, $3)",
        columns: &[("decision", Bytes), ("log_index", Number), ("log", Number)],
    },
    Table {
        read: "SELECT session, ends_until, log_index,
                   CAST(CASE WHEN log = $1 THEN 1 ELSE 0 END AS BIGINT) AS log
               FROM ended_sessions",
        of_log: true,
        write: "INSERT INTO ended_sessions (session, ends_until, log_index, log)
                VALUES ($1, $2, $3, $4)",
        columns: &[
            ("session", Bytes),
            ("ends_until", Number),
            ("log_index", Number),
            ("log", Number),
        ],
    },
    Table {
        read: "SELECT CAST(1 AS BIGINT) AS log, log_index, held_from, held_until
               FROM log_holds WHERE log = $1",
        of_log: true,
        write: "INSERT INTO log_holds (log, log_index, held_from, held_until)
                VALUES ($1, $2, $3, $4)",
        columns: &[
            ("log", Number),
            ("log_index", Number),
            ("held_from", MaybeNumber),
            ("held_until", MaybeNumber),
        ],
    },
    Table {
        read: "SELECT CAST(1 AS BIGINT) AS log, log_index, what FROM disposals WHERE log = $1",
        of_log: true,
        write: "INSERT INTO disposals (log, log_index, what) VALUES ($1, $2, $3)",
        columns: &[("log", Number), ("log_index", Number), ("what", Bytes)],
    },
    Table {
        read: "SELECT CAST(1 AS BIGINT) AS log, log_index FROM gaps WHERE log = $1",
        of_log: true,
        write: "INSERT INTO gaps (log, log_index) VALUES ($1, $2)",
        columns: &[("log", Number), ("log_index", Number)],
    },
    Table {
        read: "SELECT CAST(1 AS BIGINT) AS log, log_index, what, done, ends, waited
               FROM requests WHERE log = $1",
        of_log: true,
        write: "INSERT INTO requests (log, log_index, what, done, ends, waited) VALUES ($1, $2, $3, $4, $5, $6)",
        columns: &[
            ("log", Number),
            ("log_index", Number),
            ("what", Bytes),
            ("done", Flag),
            ("ends", MaybeNumber),
            ("waited", Number),
        ],
    },
    Table {
        read: "SELECT measure, done, attested_by, reference, log_index,
                   CAST(CASE WHEN log = $1 THEN 1 ELSE 0 END AS BIGINT) AS log
               FROM attestations",
        of_log: true,
        write: "INSERT INTO attestations (measure, done, attested_by, reference, log_index, log)
                VALUES ($1, $2, $3, $4, $5, $6)",
        columns: &[
            ("measure", Text),
            ("done", Number),
            ("attested_by", Text),
            ("reference", Text),
            ("log_index", Number),
            ("log", Number),
        ],
    },
    Table {
        read: "SELECT CAST(1 AS BIGINT) AS log, log_index, what, closed
               FROM incidents WHERE log = $1",
        of_log: true,
        write: "INSERT INTO incidents (log, log_index, what, closed) VALUES ($1, $2, $3, $4)",
        columns: &[
            ("log", Number),
            ("log_index", Number),
            ("what", Bytes),
            ("closed", Flag),
        ],
    },
    Table {
        read: "SELECT CAST(1 AS BIGINT) AS log, log_index, incident, what
               FROM incident_steps WHERE log = $1",
        of_log: true,
        write: "INSERT INTO incident_steps (log, log_index, incident, what)
                VALUES ($1, $2, $3, $4)",
        columns: &[
            ("log", Number),
            ("log_index", Number),
            ("incident", Number),
            ("what", Bytes),
        ],
    },
    Table {
        read: "SELECT session, person, caller, device, began, expires, epoch, generation
               FROM live_sessions",
        of_log: false,
        write: "INSERT INTO live_sessions
                    (session, person, caller, device, began, expires, epoch, generation)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        columns: &[
            ("session", Bytes),
            ("person", Text),
            ("caller", Text),
            ("device", Bytes),
            ("began", Number),
            ("expires", Number),
            ("epoch", Number),
            ("generation", Number),
        ],
    },
    Table {
        read: "SELECT service, generation FROM service_generations",
        of_log: false,
        write: "INSERT INTO service_generations (service, generation) VALUES ($1, $2)",
        columns: &[("service", Text), ("generation", Number)],
    },
    Table {
        read: "SELECT CAST(1 AS BIGINT) AS log, log_index, id, kind, status, at, keep_until, party, name_key,
                   route, closed_index, written
               FROM records WHERE log = $1",
        of_log: true,
        write: "INSERT INTO records
                    (log, log_index, id, kind, status, at, keep_until, party, name_key, route, closed_index,
                     written)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        columns: &[
            ("log", Number),
            ("log_index", Number),
            ("id", Bytes),
            ("kind", Number),
            ("status", Number),
            ("at", Number),
            ("keep_until", Number),
            ("party", Text),
            ("name_key", MaybeBytes),
            ("route", Text),
            ("closed_index", MaybeNumber),
            ("written", MaybeNumber),
        ],
    },
    Table {
        read: "SELECT subject, CAST(1 AS BIGINT) AS log, log_index, provided
               FROM record_people WHERE log = $1",
        of_log: true,
        write: "INSERT INTO record_people (subject, log, log_index, provided) VALUES ($1, $2, $3, $4)",
        columns: &[
            ("subject", Bytes),
            ("log", Number),
            ("log_index", Number),
            ("provided", Flag),
        ],
    },
    Table {
        read: "SELECT CAST(1 AS BIGINT) AS log, log_index, opened, signed_index, digest
               FROM reviews WHERE log = $1",
        of_log: true,
        write: "INSERT INTO reviews (log, log_index, opened, signed_index, digest)
                VALUES ($1, $2, $3, $4, $5)",
        columns: &[
            ("log", Number),
            ("log_index", Number),
            ("opened", Bytes),
            ("signed_index", MaybeNumber),
            ("digest", MaybeBytes),
        ],
    },
    Table {
        read: "SELECT CAST(1 AS BIGINT) AS log, review, item, person, reviewer, state, escalated, content,
                   question, answer, judgement
               FROM review_items WHERE log = $1",
        of_log: true,
        write: "INSERT INTO review_items
                    (log, review, item, person, reviewer, state, escalated, content, question, answer,
                     judgement)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        columns: &[
            ("log", Number),
            ("review", Number),
            ("item", Number),
            ("person", Text),
            ("reviewer", Text),
            ("state", Number),
            ("escalated", Flag),
            ("content", Bytes),
            ("question", MaybeNumber),
            ("answer", MaybeNumber),
            ("judgement", MaybeNumber),
        ],
    },
];

impl Store {
    /// Copies the store at `place`, which daemons may be using, as it is at one moment and with what it keeps of the log
    /// `log_name`, into the new embedded store `to` (0600). Holds no daemon up. The caller syncs the copy.
    ///
    /// # Errors
    /// When it can't be read, or the copy can't be written.
    pub async fn copy_at(place: &StorePlace, log_name: &str, to: &Path) -> Result<(), StoreError> {
        if let StorePlace::File(path) = place {
            return Self::copy(path, to).await;
        }
        let source = Self::open_at(place).await?;
        crate::files::create_private(to, &[])?;
        let target = Self::open(to).await?;
        let poured = source.pour_into(&target, log_name).await;
        target.close().await;
        source.close().await;
        poured
    }

    /// Fills this store, when nothing was ever in it, with the copy at `from`, which has one log. Returns whether it did.
    ///
    /// # Errors
    /// When the copy can't be read, or this store can't be written; then it is as empty as before.
    pub async fn fill_from(&self, from: &Path) -> Result<bool, StoreError> {
        let row = query(
            "SELECT (SELECT count(*) FROM people) + (SELECT count(*) FROM logs)
                 + (SELECT count(*) FROM bindings) AS known",
        )
        .fetch_one(&self.engine)
        .await?;
        if row.try_get::<i64>("known")? > 0 {
            return Ok(false);
        }
        let source = Self::open(from).await?;
        let poured = match query("SELECT name FROM logs WHERE number = 1")
            .fetch_optional(&source.engine)
            .await?
        {
            Some(row) => {
                let name: String = row.try_get("name")?;
                source.pour_into(self, &name).await
            }
            None => Err(StoreError::NoLog),
        };
        source.close().await;
        poured.map(|()| true)
    }

    async fn pour_into(&self, target: &Self, log_name: &str) -> Result<(), StoreError> {
        let mut reading = self.engine.reading().await?;
        let mut change = target.change().await?;
        let log: i64 = match query("SELECT number FROM logs WHERE name = $1")
            .bind(log_name)
            .fetch_optional(&mut reading)
            .await?
        {
            Some(row) => row.try_get("number")?,
            // No daemon has served yet.
            None => 0,
        };
        for table in &TABLES {
            table.pour(&mut reading, &mut change, log).await?;
        }
        change.commit().await?;
        reading.rollback().await
    }
}

impl Table {
    async fn pour(
        &self,
        from: &mut Transaction,
        to: &mut Transaction,
        log: i64,
    ) -> Result<(), StoreError> {
        let mut read = query(self.read);
        if self.of_log {
            read = read.bind(log);
        }
        let mut rows = read.fetch(from);
        while let Some(row) = rows.next().await {
            self.written(&row?)?.execute(to).await?;
        }
        Ok(())
    }

    fn written(&self, row: &Row) -> Result<Query, StoreError> {
        let mut write = query(self.write);
        for (column, kind) in self.columns {
            write = write.bind(match kind {
                Text => Value::Text(row.try_get(column)?),
                Bytes => Value::Bytes(row.try_get(column)?),
                Flag => Value::Flag(row.try_get(column)?),
                Number => Value::Number(row.try_get(column)?),
                MaybeNumber => Value::MaybeNumber(row.try_get(column)?),
                MaybeBytes => Value::MaybeBytes(row.try_get(column)?),
            });
        }
        Ok(write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{DecisionId, LogIndex};
    use crate::domain::time::Timestamp;
    use crate::proto::stored_change::Kind as ChangeKind;
    use crate::proto::{
        StoredDate, StoredDisposal, StoredGap, StoredLogHold, StoredOutcome, StoredReference,
        StoredSessionEnd,
    };
    use crate::store::people::tests::person;
    use crate::store::references::tests::reference;
    use crate::store::tests::{Home, change, hold};
    use uuid::Uuid;

    async fn told(store: &Store) -> String {
        let mut subjects = Vec::new();
        let each = |subject, state| subjects.push((subject, state));
        store.load_subjects(each).await.unwrap();
        let general = store.references(None, None, 9).await.unwrap();
        let credential = store.credential("p").await.unwrap().unwrap();
        let factor = credential.second_factor.unwrap();
        let ended = store.revoked_sessions().await;
        let outcome = store.outcome_of(DecisionId(Uuid::from_u128(5))).await;
        format!(
            "{:?} {:?} {:?} {:?} {:?} {subjects:?} {general:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            store.people().await.unwrap(),
            (
                store.disposals().await.unwrap(),
                store.gaps().await.unwrap()
            ),
            credential.password_hash,
            (factor.id, factor.sealed_seed, factor.last_step),
            (factor.failures, factor.waits_until),
            ended.unwrap(),
            outcome.unwrap(),
            store.log_holds().await.unwrap(),
            store.applied().await.unwrap(),
            store.starts().await.unwrap(),
            (
                store.factor_writes().await,
                store.named_factor_writes().await
            ),
            store.kept_checkpoint().await.unwrap(),
        )
        .replace("Ok(", "(")
    }

    #[tokio::test]
    async fn every_table_and_column_goes_along() {
        let home = Home::sqlite();
        let store = home.open().await;
        let rows = query(
            "SELECT tables.name || '.' || columns.name AS name
             FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns
             WHERE tables.type = 'table' ORDER BY 1",
        )
        .fetch_all(&store.engine)
        .await
        .unwrap();
        let names = rows
            .iter()
            .map(|row| row.try_get::<String>("name").unwrap());
        // Its version is its own, and what others are to be told is not a copy's.
        let left = ["schema_version.", "changes.", "news."];
        let expected: Vec<String> = names
            .filter(|name| !left.iter().any(|left| name.starts_with(left)))
            .collect();
        let mut poured = Vec::new();
        for table in &TABLES {
            let words: Vec<&str> = table.write.split_whitespace().collect();
            for (column, _) in table.columns {
                poured.push(format!("{}.{column}", words[2]));
                assert!(table.write.contains(column));
            }
        }
        poured.sort();
        assert_eq!(poured, expected);
    }

    #[tokio::test]
    async fn a_database_goes_into_a_backup_and_back_into_an_empty_one() {
        let home = Home::postgres();
        let other = home.open().await;
        other.apply(&[], 77).await.unwrap();
        // The second log, so that it gets another number in the copy.
        let store = home.open_shared("log-b").await;
        store.bind_pseudonym_key("0a").await.unwrap();
        store.put_person(&person("p", &["a", "b"])).await.unwrap();
        store.put_password("p", "hash").await.unwrap();
        let factor = Uuid::from_u128(1);
        store.put_second_factor("p", factor, b"seed").await.unwrap();
        store
            .spend_step(factor, 9, &crate::store::credentials::tests::LENIENT)
            .await
            .unwrap();
        let throttle = crate::store::Throttle {
            disabled_at: 50,
            wait_after: |_| std::time::Duration::from_secs(30),
        };
        let now = Timestamp::from_seconds(5);
        let charging = store.charge_second_factor(factor, &throttle, now).await;
        charging.unwrap();
        store.count_start().await.unwrap();
        store.keep_checkpoint(4, &[4; 32]).await.unwrap();
        store.note_named_factor_writes(1).await.unwrap();
        let changes = [
            ChangeKind::RegisterHold(hold(1, "h")),
            ChangeKind::SetDate(StoredDate {
                subject: vec![2; 32],
                date: "d".to_owned(),
                value_us: -5,
                reference: String::new(),
            }),
            ChangeKind::EndSession(StoredSessionEnd {
                session: vec![3; 16],
                until_us: 1_000,
            }),
            ChangeKind::Outcome(StoredOutcome {
                decision_id: DecisionId(Uuid::from_u128(5)).to_bytes(),
            }),
            ChangeKind::PlaceLogHold(StoredLogHold {
                from_us: None,
                until_us: Some(6),
            }),
            ChangeKind::RegisterReference(reference(1, 3, "c-1")),
            ChangeKind::WithdrawReference(reference(1, 3, "c-1")),
            ChangeKind::RegisterReference(StoredReference {
                subject: Vec::new(),
                ..reference(1, 1, "n-1")
            }),
            ChangeKind::Dispose(StoredDisposal::default()),
            ChangeKind::GapDeclared(StoredGap::default()),
        ];
        let changes: Vec<_> = (0..).map(LogIndex).zip(changes.map(change)).collect();
        store.apply(&changes, 11).await.unwrap();

        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("store.sqlite");
        Store::copy_at(&home.place(), "log-b", &copy).await.unwrap();
        let marks = Store::check(&copy).await.unwrap();
        assert_eq!((marks.log.as_deref(), marks.applied), (Some("log-b"), 11));
        assert_eq!(marks.pseudonym_key.as_deref(), Some("0a"));
        let embedded = Store::open(&copy).await.unwrap();
        embedded.bind_log("log-b").await.unwrap();
        let expected = told(&store).await;
        assert_eq!(told(&embedded).await, expected);
        embedded.close().await;

        let empty = Home::postgres();
        let filled = empty.open_unbound().await;
        assert!(filled.fill_from(&copy).await.unwrap());
        filled.bind_log("log-b").await.unwrap();
        assert_eq!(told(&filled).await, expected);
        assert!(
            !filled.fill_from(&copy).await.unwrap(),
            "never over another"
        );
        assert!(!store.fill_from(&copy).await.unwrap(), "never over another");
    }
}
