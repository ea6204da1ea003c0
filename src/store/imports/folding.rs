//! What is in force is moved to its place, some rows at a time, and forgotten once nobody needs to read it any more.

use super::{LAST, chunk_end};
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::engine::{Transaction, query};
use crate::store::error::StoreError;
use crate::store::news::Told;

/// For how long others may read what was folded; who is further behind reads all anew.
const KEPT_MICROS: i64 = 3_600 * 1_000_000;

/// Which subjects of an import were folded at once.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Folded {
    pub(super) batch: Vec<u8>,
    /// After this one; empty from the first.
    pub(super) after: Vec<u8>,
    pub(super) up_to: Vec<u8>,
}

impl Folded {
    pub(in crate::store) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.batch.clone();
        bytes.push(u8::try_from(self.after.len()).unwrap_or(0));
        bytes.extend(&self.after);
        bytes.extend(&self.up_to);
        bytes
    }

    pub(in crate::store) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (batch, rest) = bytes.split_at_checked(16)?;
        let (length, rest) = rest.split_first()?;
        let (after, up_to) = rest.split_at_checked(usize::from(*length))?;
        Some(Self {
            batch: batch.to_vec(),
            after: after.to_vec(),
            up_to: up_to.to_vec(),
        })
    }

    pub(super) fn batch(&self) -> &[u8] {
        &self.batch
    }

    pub(super) fn after(&self) -> &[u8] {
        &self.after
    }

    pub(super) fn up_to(&self) -> &[u8] {
        &self.up_to
    }
}

impl Store {
    /// Moves some of what is in force to its place, whichever log's it is: the oldest first, so that what came later stays.
    /// Returns how many rows, `None` when nothing is left.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn fold_imports(&self) -> Result<Option<u64>, StoreError> {
        let mut change = self.change().await?;
        self.take_turn(&mut change).await?;
        let found = query(
            "SELECT id, log, log_index, at_us, folded FROM imports
             WHERE log_index IS NOT NULL AND NOT done ORDER BY in_force LIMIT 1",
        )
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
            .bind(folded.batch())
            .bind(folded.up_to())
            .bind(end.is_none())
            .execute(&mut change)
            .await?;
        if self.has_others() {
            self.tell_others(&mut change, Told::Imported(&folded))
                .await?;
        } else {
            query("DELETE FROM imported WHERE batch = $1 AND subject <= $2")
                .bind(folded.batch())
                .bind(folded.up_to())
                .execute(&mut change)
                .await?;
        }
        change.commit().await?;
        Ok(Some(moved))
    }

    /// Forgets imports that are in their place, whichever log's, once nobody needs to read them any more. Some of them at a time.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn forget_folded_imports(&self, now: Timestamp) -> Result<(), StoreError> {
        let kept = if self.has_others() { KEPT_MICROS } else { 0 };
        let found = query("SELECT id FROM imports WHERE done AND NOT lost AND at_us <= $1 LIMIT 1")
            .bind(now.micros().saturating_sub(kept))
            .fetch_optional(&self.engine)
            .await?;
        match found {
            Some(row) => self.drop_import(row.try_get("id")?).await,
            None => Ok(()),
        }
    }
}

/// Where and when an import was put in force.
pub(super) struct Origin {
    pub(super) log: i64,
    pub(super) index: i64,
    pub(super) at: i64,
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
    let mut moved = 0_u64;
    for statement in [HOLDS, DATES] {
        let moving = query(statement)
            .bind(folded.batch())
            .bind(folded.after())
            .bind(folded.up_to())
            .bind(of.index)
            .bind(of.log)
            .execute(&mut *change)
            .await?;
        moved = moved.saturating_add(moving);
    }
    let references = fold_references(change, REFERENCES, folded, of).await?;
    Ok(moved.saturating_add(references))
}

/// Those that are for nobody in particular, all of them: they are few.
pub(super) async fn fold_general(
    change: &mut Transaction,
    batch: &[u8],
    of: &Origin,
) -> Result<u64, StoreError> {
    let folded = Folded {
        batch: batch.to_vec(),
        after: Vec::new(),
        up_to: Vec::new(),
    };
    fold_references(change, GENERAL, &folded, of).await
}

/// As one by one: see references.rs.
macro_rules! references_where {
    ($where:literal) => {
        concat!(
            "INSERT INTO subject_references
                 (subject, kind, id, purposes, ends, at_us, given_us, withdrawn, log_index, log)
             SELECT subject, sort - 10, name, purposes, value, CAST($6 AS BIGINT), given_us, FALSE,
                 CAST($4 AS BIGINT), CAST($5 AS BIGINT)
             FROM imported WHERE batch = $1 AND ",
            $where,
            " AND sort > 10
             ON CONFLICT (subject, kind, id) DO UPDATE
             SET purposes = excluded.purposes, ends = excluded.ends,
                 given_us = CASE
                     WHEN excluded.given_us IS NULL OR subject_references.given_us < excluded.given_us
                     THEN subject_references.given_us ELSE excluded.given_us END,
                 log_index = excluded.log_index, log = excluded.log
             WHERE NOT subject_references.withdrawn"
        )
    };
}

const REFERENCES: &str = references_where!("subject > $2 AND subject <= $3");
const GENERAL: &str = references_where!("subject >= $2 AND subject <= $3");

async fn fold_references(
    change: &mut Transaction,
    statement: &'static str,
    folded: &Folded,
    of: &Origin,
) -> Result<u64, StoreError> {
    query(statement)
        .bind(folded.batch())
        .bind(folded.after())
        .bind(folded.up_to())
        .bind(of.index)
        .bind(of.log)
        .bind(of.at)
        .execute(change)
        .await
}
