//! What an entry of the log puts in force; what of it was not there, and that a later import makes up for it.

use uuid::Uuid;

use super::Sort;
use super::folding::{Origin, fold_general};
use crate::domain::ids::LogIndex;
use crate::proto::StoredSubjectImport;
use crate::store::changes::Following;
use crate::store::engine::query;
use crate::store::error::StoreError;
use crate::store::news::Told;
use crate::store::{Store, from_stored, to_stored};

/// An import that an entry put in force and whose rows are not in the store, as after a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostImport {
    /// Its entry.
    pub index: LogIndex,
    /// Whether that is in the log of the daemon that asks.
    pub own: bool,
    /// How many rows it had.
    pub rows: u64,
    /// SHA-256 of them; `None` where an older version did not note it.
    pub digest: Option<Vec<u8>>,
}

impl LostImport {
    /// Whether these rows are those that are missing.
    #[must_use]
    pub fn is(&self, rows: u64, digest: &[u8]) -> bool {
        self.rows == rows && self.digest.as_deref().is_none_or(|lost| lost == digest)
    }
}

impl Store {
    /// What entries of any log put in force that was not in the store: their rows have to be imported again.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn lost_imports(&self) -> Result<Vec<LostImport>, StoreError> {
        let own = self.log()?;
        let rows = query(
            "SELECT log, log_index, row_count, digest FROM imports WHERE lost ORDER BY in_force",
        )
        .fetch_all(&self.engine)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(LostImport {
                    index: LogIndex(from_stored(row.try_get("log_index")?)?),
                    own: row.try_get::<i64>("log")? == own,
                    rows: from_stored(row.try_get("row_count")?)?,
                    digest: row.try_get("digest")?,
                })
            })
            .collect()
    }
}

impl Following<'_> {
    /// Puts in force what lies ready. Where not all of it is there nothing of it is: that is noted, and told until the same rows
    /// were imported again.
    pub(in crate::store) async fn import(
        &mut self,
        index: LogIndex,
        import: &StoredSubjectImport,
    ) -> Result<(), StoreError> {
        let batch = Uuid::from_slice(&import.batch).map_err(|_| StoreError::Change(index))?;
        let batch = batch.as_bytes().as_slice();
        let rows = to_stored(import.rows).map_err(|_| StoreError::Change(index))?;
        let there = query(
            "SELECT count(*) AS there FROM imported WHERE batch IN
                 (SELECT id FROM imports WHERE id = $1 AND log = $2 AND log_index IS NULL)",
        )
        .bind(batch)
        .bind(self.log)
        .fetch_one(&mut self.change)
        .await?
        .try_get::<i64>("there")?;
        let lost = there != rows;
        query(
            "INSERT INTO imports
                 (id, log, log_index, row_count, at_us, folded, done, lost, digest, in_force)
             SELECT $1, CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS BIGINT), CAST($5 AS BIGINT),
                 NULL, $6, $6, $7, coalesce(max(in_force), 0) + 1
             FROM imports WHERE TRUE
             ON CONFLICT (id) DO UPDATE
             SET log_index = excluded.log_index, row_count = excluded.row_count, at_us = excluded.at_us,
                 done = excluded.done, lost = excluded.lost, digest = excluded.digest,
                 in_force = excluded.in_force",
        )
        .bind(batch)
        .bind(self.log)
        .bind(to_stored(index.0)?)
        .bind(rows)
        .bind(import.at_us)
        .bind(lost)
        .bind(import.digest.as_slice())
        .execute(&mut self.change)
        .await?;
        if lost {
            return self.tell(Told::Lost).await;
        }
        self.general_of(
            batch,
            &Origin {
                log: self.log,
                index: to_stored(index.0)?,
                at: import.at_us,
            },
        )
        .await?;
        self.made_up_for(rows, &import.digest).await
    }

    /// What is for nobody in particular goes to its place at once.
    async fn general_of(&mut self, batch: &[u8], of: &Origin) -> Result<(), StoreError> {
        let nobody: &[u8] = &[];
        if fold_general(&mut self.change, batch, of).await? == 0 {
            return Ok(());
        }
        self.store
            .tell_of_general(&mut self.change, batch, self.log)
            .await?;
        query("DELETE FROM imported WHERE batch = $1 AND subject = $2")
            .bind(batch)
            .bind(nobody)
            .execute(&mut self.change)
            .await?;
        Ok(())
    }

    /// The same rows as those of imports that are lost: they are no more.
    async fn made_up_for(&mut self, rows: i64, digest: &[u8]) -> Result<(), StoreError> {
        // With what there is of them, since nobody would drop it once they are not named any more.
        const ROWS: &str = "DELETE FROM imported WHERE batch IN
            (SELECT id FROM imports WHERE lost AND row_count = $1 AND (digest = $2 OR digest IS NULL))";
        const THEM: &str =
            "DELETE FROM imports WHERE lost AND row_count = $1 AND (digest = $2 OR digest IS NULL)";
        let mut found = 0;
        for statement in [ROWS, THEM] {
            found = query(statement)
                .bind(rows)
                .bind(digest)
                .execute(&mut self.change)
                .await?;
        }
        if found > 0 {
            self.tell(Told::Lost).await?;
        }
        Ok(())
    }

    /// Something newer comes: what an import has on its way for it doesn't count any more.
    pub(in crate::store) async fn supersede(
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
