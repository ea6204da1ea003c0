//! Rows are laid ready under an id, and count for nothing until an entry of the log names it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use uuid::Uuid;

use super::{BatchId, ImportedRow, LAST, chunk_end};
use crate::domain::time::Timestamp;
use crate::store::engine::query;
use crate::store::error::StoreError;
use crate::store::references::SEPARATOR;
use crate::store::{Store, from_stored, to_stored};

/// How many rows one statement lays ready.
const AT_ONCE: usize = 500;

const COLUMNS: usize = 8;

static STAGE_MANY: LazyLock<String> = LazyLock::new(|| stage_statement(AT_ONCE));
static STAGE_ONE: LazyLock<String> = LazyLock::new(|| stage_statement(1));

fn stage_statement(rows: usize) -> String {
    let mut text =
        "INSERT INTO imported (batch, subject, sort, name, value, purposes, reference, given_us) VALUES "
            .to_owned();
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=COLUMNS {
            let comma = if column == 1 { "" } else { ", " };
            let number = row * COLUMNS + column;
            // Writing to a string does not fail.
            let _ = match column {
                5 | 8 => write!(text, "{comma}CAST(${number} AS BIGINT)"),
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
                let whose = row.subject.as_ref();
                insert = insert
                    .bind(batch.as_bytes().as_slice())
                    .bind(whose.map_or(&[][..], |subject| subject.0.as_slice()))
                    .bind(row.sort.number())
                    .bind(row.name)
                    .bind(row.value.map(Timestamp::micros))
                    .bind(row.purposes.join(&SEPARATOR.to_string()))
                    .bind(row.reference)
                    .bind(row.given.map(Timestamp::micros));
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

    /// Drops every import of this log that no entry named, and what there is of those that are lost, and tells how many rows of
    /// the former that were. For a start that has applied all of the log.
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
        let lost = query("SELECT id FROM imports WHERE log = $1 AND lost")
            .bind(self.log()?)
            .fetch_all(&self.engine)
            .await?;
        for row in lost {
            self.drop_rows(row.try_get("id")?, false).await?;
        }
        Ok(dropped)
    }

    /// Bit by bit, its row in `imports` last: what is left by a kill is dropped later.
    pub(super) async fn drop_import(&self, batch: &[u8]) -> Result<(), StoreError> {
        self.drop_rows(batch, true).await
    }

    async fn drop_rows(&self, batch: &[u8], whole: bool) -> Result<(), StoreError> {
        loop {
            let mut change = self.change().await?;
            let end = chunk_end(&mut change, batch, &[]).await?;
            query("DELETE FROM imported WHERE batch = $1 AND subject <= $2")
                .bind(batch)
                .bind(end.as_deref().unwrap_or(&LAST))
                .execute(&mut change)
                .await?;
            if end.is_none() && whole {
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
}
