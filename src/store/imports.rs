//! Many holds, dates and references at once: laid ready first, in force by one entry of the log, and then moved to their place
//! bit by bit, so that nobody else waits for long. What no entry put in force is dropped by the next start.
//!
//! ```text
//! stage ──► entry ──► in force (one row of `imports`) ──► folded, 2,000 rows at a time ──► done
//! ```
//! Until it is folded a row of an import counts before what is in the tables, unless something newer came: whoever changes what
//! it is about drops it. Each fold tells other daemons of its subjects.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use uuid::Uuid;

use super::changes::Following;
use super::engine::{Row, Rows, Transaction, query};
use super::error::StoreError;
use super::news::Told;
use super::people::read_name;
use super::references::SEPARATOR;
use super::subjects::by_subject;
use super::{Store, from_stored, to_stored};
use crate::domain::ids::LogIndex;
use crate::domain::reference::{Reference, ReferenceKind};
use crate::domain::subject::{Pseudonym, SubjectState, Word, Words};
use crate::domain::time::Timestamp;
use crate::proto::StoredSubjectImport;

/// Names an import in the store: 16 random bytes.
pub type BatchId = Uuid;

/// How many rows one statement lays ready.
const AT_ONCE: usize = 500;
/// How many rows one transaction lays ready, folds or drops.
pub(super) const CHUNK: usize = 2_000;
/// For how long others may read what was folded; who is further behind reads all anew.
const KEPT_MICROS: i64 = 3_600 * 1_000_000;

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// A hold.
    Hold,
    /// A date.
    Date,
    /// A reference.
    Reference(ReferenceKind),
}

impl Sort {
    /// As the tables number it.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Hold => 1,
            Self::Date => 2,
            Self::Reference(kind) => 10 + kind as i64,
        }
    }

    fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::Hold),
            2 => Some(Self::Date),
            other => {
                let kind = i32::try_from(other.checked_sub(10)?).ok()?;
                ReferenceKind::from_number(kind).map(Self::Reference)
            }
        }
    }
}

/// A row to lay ready.
#[derive(Debug, Clone)]
pub struct ImportedRow<'a> {
    /// Whose.
    pub subject: Pseudonym,
    /// What it is.
    pub sort: Sort,
    /// The hold's or the date's id; of a reference what callers say.
    pub name: &'a str,
    /// A date's value, a reference's end.
    pub value: Option<Timestamp>,
    /// Of a reference.
    pub purposes: &'a [Word],
    /// The request or order behind a hold or a date; empty for none.
    pub reference: &'a str,
}

/// A row that is in force and not in its place yet.
#[derive(Debug)]
pub(super) struct OnTheWay {
    sort: Sort,
    name: Word,
    value: Option<Timestamp>,
    purposes: String,
    at: Timestamp,
}

impl OnTheWay {
    fn read(row: &Row, words: &mut Words) -> Result<Self, StoreError> {
        let sort = Sort::from_number(row.try_get("sort")?)
            .ok_or_else(|| StoreError::Damaged("a sort of an import".to_owned()))?;
        let value: Option<i64> = row.try_get("value")?;
        Ok(Self {
            sort,
            name: words.word(row.try_get("name")?),
            value: value.map(Timestamp::from_micros),
            purposes: row.try_get("purposes")?,
            at: Timestamp::from_micros(row.try_get("at_us")?),
        })
    }

    /// Registers it.
    pub(super) fn put_into(self, state: &mut SubjectState) {
        match self.sort {
            Sort::Hold => state.add_hold(&self.name),
            Sort::Date => state.set_date(&self.name, self.value.unwrap_or_default()),
            Sort::Reference(kind) => {
                let Ok(id) = read_name(&self.name) else {
                    return;
                };
                state.put_reference(Reference {
                    kind,
                    id,
                    purposes: self.purposes.split(SEPARATOR).map(Word::from).collect(),
                    until: self.value,
                    since: self.at,
                    withdrawn: false,
                });
            }
        }
    }
}

/// Which subjects of an import were folded at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Folded {
    batch: Vec<u8>,
    /// After this one; empty from the first.
    after: Vec<u8>,
    up_to: Vec<u8>,
}

impl Folded {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.batch.clone();
        bytes.push(u8::try_from(self.after.len()).unwrap_or(0));
        bytes.extend(&self.after);
        bytes.extend(&self.up_to);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (batch, rest) = bytes.split_at_checked(16)?;
        let (length, rest) = rest.split_first()?;
        let (after, up_to) = rest.split_at_checked(usize::from(*length))?;
        Some(Self {
            batch: batch.to_vec(),
            after: after.to_vec(),
            up_to: up_to.to_vec(),
        })
    }
}

/// Greater than any pseudonym.
const LAST: [u8; 33] = [0xff; 33];

const COLUMNS: usize = 7;

static STAGE_MANY: LazyLock<String> = LazyLock::new(|| stage_statement(AT_ONCE));
static STAGE_ONE: LazyLock<String> = LazyLock::new(|| stage_statement(1));

fn stage_statement(rows: usize) -> String {
    let mut text =
        "INSERT INTO imported (batch, subject, sort, name, value, purposes, reference) VALUES "
            .to_owned();
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=COLUMNS {
            let comma = if column == 1 { "" } else { ", " };
            let number = row * COLUMNS + column;
            // Writing to a string does not fail.
            let _ = match column {
                5 => write!(text, "{comma}CAST(${number} AS BIGINT)"),
                _ => write!(text, "{comma}${number}"),
            };
        }
        text.push(')');
    }
    text
}

impl Store {
    /// Begins an import: what is staged under the id that is returned counts for nothing until an entry of the log names it.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn begin_import(&self, rows: u64, now: Timestamp) -> Result<BatchId, StoreError> {
        let id = Uuid::new_v4();
        let mut change = self.change().await?;
        query(
            "INSERT INTO imports (id, log, log_index, row_count, at_us, folded, done, lost)
             VALUES ($1, $2, NULL, $3, $4, NULL, $5, $5)",
        )
        .bind(id.as_bytes().as_slice())
        .bind(self.log()?)
        .bind(to_stored(rows)?)
        .bind(now.micros())
        .bind(false)
        .execute(&mut change)
        .await?;
        change.commit().await?;
        Ok(id)
    }

    /// Lays rows ready, 2,000 at most; each subject, sort and name once in all. Durable when it returns.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn stage_rows(
        &self,
        batch: BatchId,
        rows: &[ImportedRow<'_>],
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let many = rows.chunks_exact(AT_ONCE);
        let rest = many.remainder();
        for rows in many.chain(rest.chunks(1)) {
            let statement = if rows.len() == AT_ONCE {
                STAGE_MANY.as_str()
            } else {
                STAGE_ONE.as_str()
            };
            let mut insert = query(statement);
            for row in rows {
                insert = insert
                    .bind(batch.as_bytes().as_slice())
                    .bind(row.subject.0.as_slice())
                    .bind(row.sort.number())
                    .bind(row.name)
                    .bind(row.value.map(Timestamp::micros))
                    .bind(row.purposes.join(&SEPARATOR.to_string()))
                    .bind(row.reference);
            }
            insert.execute(&mut change).await?;
        }
        change.commit().await
    }

    /// Drops what lies ready under this id, unless an entry has named it: it is not wanted after all.
    ///
    /// # Errors
    /// When the store can't be written; the next start drops it.
    pub async fn unstage_import(&self, batch: BatchId) -> Result<(), StoreError> {
        let named = query("SELECT log_index FROM imports WHERE id = $1 AND log_index IS NOT NULL")
            .bind(batch.as_bytes().as_slice())
            .fetch_optional(&self.engine)
            .await?;
        if named.is_some() {
            return Ok(());
        }
        self.drop_import(batch.as_bytes()).await
    }

    /// Drops every import of this log that no entry named, and tells how many rows that were. For a start that has applied all of
    /// the log.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn drop_unnamed_imports(&self) -> Result<u64, StoreError> {
        let rows = query("SELECT id, row_count FROM imports WHERE log = $1 AND log_index IS NULL")
            .bind(self.log()?)
            .fetch_all(&self.engine)
            .await?;
        let mut dropped = 0_u64;
        for row in rows {
            self.drop_import(row.try_get("id")?).await?;
            dropped = dropped.saturating_add(from_stored(row.try_get("row_count")?)?);
        }
        Ok(dropped)
    }

    /// Bit by bit, its row in `imports` last: what is left by a kill is dropped later.
    async fn drop_import(&self, batch: &[u8]) -> Result<(), StoreError> {
        loop {
            let mut change = self.change().await?;
            let end = chunk_end(&mut change, batch, &[]).await?;
            query("DELETE FROM imported WHERE batch = $1 AND subject <= $2")
                .bind(batch)
                .bind(end.as_deref().unwrap_or(&LAST))
                .execute(&mut change)
                .await?;
            if end.is_none() {
                query("DELETE FROM imports WHERE id = $1")
                    .bind(batch)
                    .execute(&mut change)
                    .await?;
            }
            change.commit().await?;
            if end.is_none() {
                return Ok(());
            }
        }
    }

    /// Moves some of what is in force to its place; returns how many rows, `None` when nothing is left. Only of this log's imports,
    /// or (`all`) of everybody's.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn fold_imports(&self, all: bool) -> Result<Option<u64>, StoreError> {
        let mut change = self.change().await?;
        self.take_turn(&mut change).await?;
        let found = query(
            "SELECT id, log, log_index, at_us, folded FROM imports
             WHERE log_index IS NOT NULL AND NOT done AND (log = $1 OR $2) ORDER BY at_us, id LIMIT 1",
        )
        .bind(self.log()?)
        .bind(all)
        .fetch_optional(&mut change)
        .await?;
        let Some(row) = found else {
            change.rollback().await?;
            return Ok(None);
        };
        let batch: Vec<u8> = row.try_get("id")?;
        let after: Option<Vec<u8>> = row.try_get("folded")?;
        let after = after.unwrap_or_default();
        let end = chunk_end(&mut change, &batch, &after).await?;
        let folded = Folded {
            up_to: end.clone().unwrap_or_else(|| LAST.to_vec()),
            batch,
            after,
        };
        let of = Origin {
            log: row.try_get("log")?,
            index: row.try_get("log_index")?,
            at: row.try_get("at_us")?,
        };
        let moved = fold(&mut change, &folded, &of).await?;
        query("UPDATE imports SET folded = $2, done = $3 WHERE id = $1")
            .bind(folded.batch.as_slice())
            .bind(folded.up_to.as_slice())
            .bind(end.is_none())
            .execute(&mut change)
            .await?;
        if self.has_others() {
            self.tell_others(&mut change, Told::Imported(&folded))
                .await?;
        } else {
            query("DELETE FROM imported WHERE batch = $1 AND subject <= $2")
                .bind(folded.batch.as_slice())
                .bind(folded.up_to.as_slice())
                .execute(&mut change)
                .await?;
        }
        change.commit().await?;
        Ok(Some(moved))
    }

    /// Forgets imports that are in their place, once nobody needs to read them any more. Some of them at a time.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn forget_folded_imports(&self, now: Timestamp) -> Result<(), StoreError> {
        let kept = if self.has_others() { KEPT_MICROS } else { 0 };
        let found = query(
            "SELECT id FROM imports WHERE log = $1 AND done AND NOT lost AND at_us <= $2 LIMIT 1",
        )
        .bind(self.log()?)
        .bind(now.micros().saturating_sub(kept))
        .fetch_optional(&self.engine)
        .await?;
        match found {
            Some(row) => self.drop_import(row.try_get("id")?).await,
            None => Ok(()),
        }
    }

    /// How many imports entries of this log put in force that were not in the store: their rows have to be imported again.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn lost_imports(&self) -> Result<u64, StoreError> {
        let row = query("SELECT count(*) AS lost FROM imports WHERE log = $1 AND lost")
            .bind(self.log()?)
            .fetch_one(&self.engine)
            .await?;
        from_stored(row.try_get("lost")?)
    }

    /// What is registered now of the subjects that were folded at once; `None` when it is not known any more who they are.
    pub(super) async fn subjects_of(
        &self,
        folded: &Folded,
    ) -> Result<Option<Vec<(Pseudonym, SubjectState)>>, StoreError> {
        const WHO: &str = "
            SELECT subject, CAST(0 AS BIGINT) AS kind, hold AS name, CAST(NULL AS BIGINT) AS value,
                CAST(NULL AS TEXT) AS purposes, CAST(NULL AS BIGINT) AS at_us, FALSE AS withdrawn
            FROM holds WHERE subject IN
                (SELECT subject FROM imported WHERE batch = $1 AND subject > $2 AND subject <= $3)
            UNION ALL
            SELECT subject, CAST(0 AS BIGINT), date, value, CAST(NULL AS TEXT), CAST(NULL AS BIGINT), FALSE
            FROM dates WHERE subject IN
                (SELECT subject FROM imported WHERE batch = $1 AND subject > $2 AND subject <= $3)
            UNION ALL
            SELECT subject, kind, id, ends, purposes, at_us, withdrawn
            FROM subject_references WHERE subject IN
                (SELECT subject FROM imported WHERE batch = $1 AND subject > $2 AND subject <= $3)
            ORDER BY 1";
        const ON_THE_WAY: &str = "
            SELECT imported.subject, imported.sort, imported.name, imported.value, imported.purposes,
                imports.at_us
            FROM imports JOIN imported ON imported.batch = imports.id
            WHERE imports.log_index IS NOT NULL AND NOT imports.done
                AND (imports.folded IS NULL OR imported.subject > imports.folded)
                AND imported.subject IN
                    (SELECT subject FROM imported WHERE batch = $1 AND subject > $2 AND subject <= $3)
            ORDER BY imports.log, imports.log_index";
        let mut reading = self.engine.reading().await?;
        let there = query("SELECT id FROM imports WHERE id = $1")
            .bind(folded.batch.as_slice())
            .fetch_optional(&mut reading)
            .await?;
        if there.is_none() {
            reading.rollback().await?;
            return Ok(None);
        }
        let mut all = Vec::new();
        let rows = query(WHO)
            .bind(folded.batch.as_slice())
            .bind(folded.after.as_slice())
            .bind(folded.up_to.as_slice())
            .fetch(&mut reading);
        by_subject(rows, |subject, state| all.push((subject, state))).await?;
        // Another import may be on its way for the same people.
        let rows = query(ON_THE_WAY)
            .bind(folded.batch.as_slice())
            .bind(folded.after.as_slice())
            .bind(folded.up_to.as_slice())
            .fetch(&mut reading);
        let mut on_the_way = by_way(rows).await?;
        for (subject, state) in &mut all {
            for row in on_the_way.remove(subject).into_iter().flatten() {
                row.put_into(state);
            }
        }
        reading.rollback().await?;
        Ok(Some(all))
    }
}

/// What is in force of one subject and not in its place yet.
pub(super) async fn on_the_way(
    reading: &mut Transaction,
    subject: Pseudonym,
) -> Result<Vec<OnTheWay>, StoreError> {
    let rows = query(
        "SELECT imported.sort, imported.name, imported.value, imported.purposes, imports.at_us
         FROM imports JOIN imported ON imported.batch = imports.id
         WHERE imports.log_index IS NOT NULL AND NOT imports.done AND imported.subject = $1
             AND (imports.folded IS NULL OR imported.subject > imports.folded)
         ORDER BY imports.log, imports.log_index",
    )
    .bind(subject.0.as_slice())
    .fetch_all(reading)
    .await?;
    let mut words = Words::default();
    rows.iter()
        .map(|row| OnTheWay::read(row, &mut words))
        .collect()
}

/// The same of all subjects.
pub(super) async fn all_on_the_way(
    reading: &mut Transaction,
) -> Result<HashMap<Pseudonym, Vec<OnTheWay>>, StoreError> {
    by_way(
        query(
            "SELECT imported.subject, imported.sort, imported.name, imported.value, imported.purposes,
                 imports.at_us
             FROM imports JOIN imported ON imported.batch = imports.id
             WHERE imports.log_index IS NOT NULL AND NOT imports.done
                 AND (imports.folded IS NULL OR imported.subject > imports.folded)
             ORDER BY imports.log, imports.log_index",
        )
        .fetch(reading),
    )
    .await
}

async fn by_way(mut rows: Rows<'_>) -> Result<HashMap<Pseudonym, Vec<OnTheWay>>, StoreError> {
    let mut all: HashMap<Pseudonym, Vec<OnTheWay>> = HashMap::new();
    let mut words = Words::default();
    while let Some(row) = rows.next().await {
        let row = row?;
        let subject = Pseudonym::from_bytes(row.try_get("subject")?)
            .ok_or_else(|| StoreError::Damaged("a pseudonym".to_owned()))?;
        all.entry(subject)
            .or_default()
            .push(OnTheWay::read(&row, &mut words)?);
    }
    Ok(all)
}

/// The last subject of the next chunk after `after`; `None` when the rest is no larger.
async fn chunk_end(
    change: &mut Transaction,
    batch: &[u8],
    after: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let row = query(
        "SELECT subject FROM imported WHERE batch = $1 AND subject > $2
         ORDER BY subject LIMIT 1 OFFSET $3",
    )
    .bind(batch)
    .bind(after)
    .bind(i64::try_from(CHUNK).unwrap_or(i64::MAX))
    .fetch_optional(change)
    .await?;
    row.map(|row| row.try_get("subject")).transpose()
}

/// The entry that put an import in force.
struct Origin {
    log: i64,
    index: i64,
    at: i64,
}

async fn fold(change: &mut Transaction, folded: &Folded, of: &Origin) -> Result<u64, StoreError> {
    const HOLDS: &str = "
        INSERT INTO holds (subject, hold, reference, log_index, log)
        SELECT subject, name, reference, CAST($4 AS BIGINT), CAST($5 AS BIGINT) FROM imported
        WHERE batch = $1 AND subject > $2 AND subject <= $3 AND sort = 1
        ON CONFLICT (subject, hold) DO UPDATE
        SET reference = excluded.reference, log_index = excluded.log_index, log = excluded.log";
    const DATES: &str = "
        INSERT INTO dates (subject, date, value, reference, log_index, log)
        SELECT subject, name, value, reference, CAST($4 AS BIGINT), CAST($5 AS BIGINT) FROM imported
        WHERE batch = $1 AND subject > $2 AND subject <= $3 AND sort = 2
        ON CONFLICT (subject, date) DO UPDATE
        SET value = excluded.value, reference = excluded.reference,
            log_index = excluded.log_index, log = excluded.log";
    // As one by one: see references.rs.
    const REFERENCES: &str = "
        INSERT INTO subject_references
            (subject, kind, id, purposes, ends, at_us, withdrawn, log_index, log)
        SELECT subject, sort - 10, name, purposes, value, CAST($6 AS BIGINT), FALSE,
            CAST($4 AS BIGINT), CAST($5 AS BIGINT)
        FROM imported WHERE batch = $1 AND subject > $2 AND subject <= $3 AND sort > 10
        ON CONFLICT (subject, kind, id) DO UPDATE
        SET purposes = excluded.purposes, ends = excluded.ends,
            log_index = excluded.log_index, log = excluded.log
        WHERE NOT subject_references.withdrawn";
    let mut moved = 0_u64;
    for statement in [HOLDS, DATES, REFERENCES] {
        let mut moving = query(statement)
            .bind(folded.batch.as_slice())
            .bind(folded.after.as_slice())
            .bind(folded.up_to.as_slice())
            .bind(of.index)
            .bind(of.log);
        if statement == REFERENCES {
            moving = moving.bind(of.at);
        }
        moved = moved.saturating_add(moving.execute(&mut *change).await?);
    }
    Ok(moved)
}

impl Following<'_> {
    /// Puts in force what lies ready. What isn't there can't be: that is noted, and told at each start.
    pub(super) async fn import(
        &mut self,
        index: LogIndex,
        import: &StoredSubjectImport,
    ) -> Result<(), StoreError> {
        let batch = Uuid::from_slice(&import.batch).map_err(|_| StoreError::Change(index))?;
        let rows = to_stored(import.rows).map_err(|_| StoreError::Change(index))?;
        let there = query(
            "SELECT count(*) AS there FROM imported WHERE batch IN
                 (SELECT id FROM imports WHERE id = $1 AND log = $2 AND log_index IS NULL)",
        )
        .bind(batch.as_bytes().as_slice())
        .bind(self.log)
        .fetch_one(&mut self.change)
        .await?
        .try_get::<i64>("there")?;
        let lost = there != rows;
        query(
            "INSERT INTO imports (id, log, log_index, row_count, at_us, folded, done, lost)
             VALUES ($1, $2, $3, $4, $5, NULL, $6, $7)
             ON CONFLICT (id) DO UPDATE
             SET log_index = excluded.log_index, at_us = excluded.at_us, lost = excluded.lost",
        )
        .bind(batch.as_bytes().as_slice())
        .bind(self.log)
        .bind(to_stored(index.0)?)
        .bind(rows)
        .bind(import.at_us)
        .bind(false)
        .bind(lost)
        .execute(&mut self.change)
        .await?;
        Ok(())
    }

    /// Something newer comes: what an import has on its way for it doesn't count any more.
    pub(super) async fn supersede(
        &mut self,
        subject: &[u8],
        sort: Sort,
        name: &str,
    ) -> Result<(), StoreError> {
        query(
            "DELETE FROM imported WHERE subject = $1 AND sort = $2 AND name = $3 AND batch IN
                 (SELECT id FROM imports WHERE log_index IS NOT NULL AND NOT done)",
        )
        .bind(subject)
        .bind(sort.number())
        .bind(name.replace('\0', ""))
        .execute(&mut self.change)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::stored_change::Kind;
    use crate::proto::{StoredChange, StoredDate};
    use crate::store::tests::{Home, both, change, hold};
    use std::collections::BTreeMap;

    /// Whose number it is.
    fn pseudonym(number: u32) -> Pseudonym {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Pseudonym(bytes)
    }

    fn row(number: u32, sort: Sort, name: &str) -> ImportedRow<'_> {
        ImportedRow {
            subject: pseudonym(number),
            sort,
            name,
            value: (sort != Sort::Hold).then(|| Timestamp::from_micros(i64::from(number))),
            purposes: &[],
            reference: "list-1",
        }
    }

    async fn stage(store: &Store, rows: &[ImportedRow<'_>]) -> BatchId {
        let count = u64::try_from(rows.len()).unwrap();
        let batch = store
            .begin_import(count, Timestamp::default())
            .await
            .unwrap();
        for rows in rows.chunks(CHUNK) {
            store.stage_rows(batch, rows).await.unwrap();
        }
        batch
    }

    fn in_force(batch: BatchId, rows: usize) -> StoredChange {
        change(Kind::ImportSubjects(StoredSubjectImport {
            batch: batch.as_bytes().to_vec(),
            rows: u64::try_from(rows).unwrap(),
            digest: vec![0; 32],
            at_us: 5,
        }))
    }

    async fn apply(store: &Store, changes: Vec<StoredChange>) {
        let begin = store.applied().await.unwrap();
        let changes: Vec<_> = (begin..).map(LogIndex).zip(changes).collect();
        let end = begin + u64::try_from(changes.len()).unwrap();
        store.apply(&changes, end).await.unwrap();
    }

    async fn fold_all(store: &Store) -> u64 {
        let mut moved = 0;
        while let Some(rows) = store.fold_imports(false).await.unwrap() {
            moved += rows;
        }
        moved
    }

    async fn load(store: &Store) -> BTreeMap<u32, SubjectState> {
        let mut all = BTreeMap::new();
        let each = |subject: Pseudonym, state| {
            let number = u32::from_be_bytes(subject.0[..4].try_into().unwrap());
            assert!(all.insert(number, state).is_none());
        };
        let count = store.load_subjects(each).await.unwrap();
        assert_eq!(count, u64::try_from(all.len()).unwrap());
        all
    }

    fn many(rows: u32) -> Vec<ImportedRow<'static>> {
        (0..rows)
            .flat_map(|number| {
                let date = row(number, Sort::Date, "end");
                [row(number, Sort::Hold, "stop"), date]
                    .into_iter()
                    .take(1 + usize::from(number % 2 == 0))
            })
            .collect()
    }

    both! {
    async fn what_lies_ready_counts_from_its_entry_on_wherever_it_is(home) {
        let store = home.open().await;
        let rows = many(5_003);
        let batch = stage(&store, &rows).await;
        assert!(load(&store).await.is_empty());
        apply(&store, vec![in_force(batch, rows.len())]).await;
        let check = async |store: &Store| {
            let all = load(store).await;
            assert_eq!(all.len(), 5_003);
            for (number, state) in &all {
                assert!(state.has_hold("stop"));
                let date = (number % 2 == 0).then(|| Timestamp::from_micros(i64::from(*number)));
                assert_eq!(state.date("end"), date);
            }
        };
        check(&store).await;
        let first = store.fold_imports(false).await.unwrap().unwrap();
        assert!((1..=4_000).contains(&first), "{first}");
        check(&store).await;
        store.close().await;
        let store = home.open().await;
        assert_eq!(store.drop_unnamed_imports().await.unwrap(), 0);
        check(&store).await;
        assert_eq!(first + fold_all(&store).await, u64::try_from(rows.len()).unwrap());
        check(&store).await;
        assert_eq!(store.lost_imports().await.unwrap(), 0);
        store.forget_folded_imports(Timestamp::from_seconds(9_999)).await.unwrap();
        check(&store).await;
        let left = query("SELECT count(*) AS n FROM imported").fetch_one(&store.engine).await;
        assert_eq!(left.unwrap().try_get::<i64>("n").unwrap(), 0);
    }
    }

    both! {
    async fn what_no_entry_named_is_dropped(home) {
        let store = home.open().await;
        let rows = many(2_500);
        let (one, other) = (stage(&store, &rows).await, stage(&store, &rows[..3]).await);
        store.unstage_import(other).await.unwrap();
        store.close().await;
        let store = home.open().await;
        assert_eq!(store.drop_unnamed_imports().await.unwrap(), 3_750);
        apply(&store, vec![in_force(one, rows.len())]).await;
        assert_eq!(store.lost_imports().await.unwrap(), 1);
        fold_all(&store).await;
        assert!(load(&store).await.is_empty());
    }
    }

    both! {
    async fn one_that_is_in_force_is_not_unstaged(home) {
        let store = home.open().await;
        let rows = many(2);
        let batch = stage(&store, &rows).await;
        apply(&store, vec![in_force(batch, rows.len())]).await;
        store.unstage_import(batch).await.unwrap();
        assert_eq!(load(&store).await.len(), 2);
    }
    }

    both! {
    async fn what_came_before_gives_way_and_what_came_after_stays(home) {
        let store = home.open().await;
        let stop = |number| StoredHoldOf(number).hold();
        let date = |number, value_us| change(Kind::SetDate(StoredDate {
            subject: pseudonym(number).0.to_vec(),
            date: "end".to_owned(),
            value_us,
            reference: String::new(),
        }));
        apply(&store, vec![date(2, 77), change(Kind::RegisterHold(stop(9)))]).await;
        let rows = many(5);
        let batch = stage(&store, &rows).await;
        apply(&store, vec![
            in_force(batch, rows.len()),
            change(Kind::ReleaseHold(stop(0))),
            date(4, 88),
        ]).await;
        for _ in 0..2 {
            let all = load(&store).await;
            assert!(!all[&0].has_hold("stop") && all[&1].has_hold("stop") && all[&9].has_hold("stop"));
            assert_eq!(all[&2].date("end"), Some(Timestamp::from_micros(2)));
            assert_eq!(all[&4].date("end"), Some(Timestamp::from_micros(88)));
            fold_all(&store).await;
        }
    }
    }

    both! {
    async fn a_reference_that_was_withdrawn_is_not_brought_back(home) {
        let store = home.open().await;
        let purposes = [Word::from("news"), Word::from("sale")];
        let sort = Sort::Reference(ReferenceKind::Consent);
        let reference = |number| ImportedRow { purposes: &purposes, ..row(number, sort, "c-1") };
        let withdrawal = crate::proto::StoredReference {
            subject: pseudonym(1).0.to_vec(),
            kind: ReferenceKind::Consent.number(),
            reference: "c-1".to_owned(),
            purposes: vec!["news".to_owned()],
            until_us: None,
            at_us: 3,
        };
        apply(&store, vec![change(Kind::WithdrawReference(withdrawal))]).await;
        let batch = stage(&store, &[reference(1), reference(2)]).await;
        apply(&store, vec![in_force(batch, 2)]).await;
        for _ in 0..2 {
            let all = load(&store).await;
            assert!(all[&1].references[0].withdrawn);
            let other = &all[&2].references[0];
            assert!(!other.withdrawn && other.covers("sale") && other.covers("news"));
            assert_eq!((other.since, other.until), (Timestamp::from_micros(5), Some(Timestamp::from_micros(2))));
            fold_all(&store).await;
        }
    }
    }

    struct StoredHoldOf(u32);

    impl StoredHoldOf {
        fn hold(&self) -> crate::proto::StoredHold {
            crate::proto::StoredHold {
                subject: pseudonym(self.0).0.to_vec(),
                ..hold(0, "stop")
            }
        }
    }

    #[tokio::test]
    async fn others_hear_of_an_import_as_it_is_put_in_its_place() {
        let home = Home::postgres();
        let store = home.open().await;
        let other = home.open_shared("log-b").await;
        let mut seen = other.newest_change().await.unwrap();
        let rows = many(9_000);
        let batch = stage(&store, &rows).await;
        apply(&store, vec![in_force(batch, rows.len())]).await;
        assert!(other.news_since(seen).await.unwrap().subjects.is_empty());
        let gone = StoredHoldOf(8_999).hold();
        apply(&store, vec![change(Kind::ReleaseHold(gone))]).await;
        fold_all(&store).await;
        let mut heard = BTreeMap::new();
        loop {
            let news = other.news_since(seen).await.unwrap();
            assert!(!news.all && news.subjects.len() < 10_000);
            heard.extend(
                news.subjects
                    .into_iter()
                    .map(|(of, state)| (of, state.is_empty())),
            );
            seen = news.seen;
            if !news.more {
                break;
            }
        }
        assert_eq!(heard.len(), 9_000);
        let gone = heard.values().filter(|empty| **empty).count();
        assert_eq!(gone, 1);
        // Whoever is far behind reads all anew.
        let begin = seen - 3;
        store
            .forget_folded_imports(Timestamp::from_seconds(9_999))
            .await
            .unwrap();
        assert!(other.news_since(begin).await.unwrap().all);
    }

    #[tokio::test]
    async fn others_hear_of_two_imports_for_the_same_people_while_one_is_on_its_way() {
        let home = Home::postgres();
        let store = home.open().await;
        let other = home.open_shared("log-b").await;
        let seen = other.newest_change().await.unwrap();
        for hold in ["stop", "later"] {
            let rows = [row(1, Sort::Hold, hold)];
            let batch = stage(&store, &rows).await;
            apply(&store, vec![in_force(batch, rows.len())]).await;
        }
        store.fold_imports(false).await.unwrap().unwrap();
        let news = other.news_since(seen).await.unwrap();
        let [(of, state)] = &news.subjects[..] else {
            panic!("{:?}", news.subjects)
        };
        assert_eq!(*of, pseudonym(1));
        assert!(
            state.has_hold("stop") && state.has_hold("later"),
            "{state:?}"
        );
    }

    #[test]
    fn what_is_told_of_a_fold_reads_as_it_was_written() {
        for after in [vec![], vec![3; 32]] {
            let folded = Folded {
                batch: vec![1; 16],
                after,
                up_to: LAST.to_vec(),
            };
            assert_eq!(Folded::from_bytes(&folded.to_bytes()), Some(folded));
        }
        assert_eq!(Folded::from_bytes(&[1; 16]), None);
    }
}
