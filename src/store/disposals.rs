//! Disposals of the log that were decided and not carried out yet. They are begun by `apply` only; whoever removed the files
//! and destroyed the keys says so.

use prost::Message as _;

use super::engine::{Transaction, query};
use super::error::StoreError;
use super::{Store, from_stored, to_stored};
use crate::domain::ids::LogIndex;
use crate::proto::StoredDisposal;

impl Store {
    /// What is still to be carried out, in the order of its entries.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn disposals(&self) -> Result<Vec<(LogIndex, StoredDisposal)>, StoreError> {
        let rows = query("SELECT log_index, what FROM disposals WHERE log = $1 ORDER BY log_index")
            .bind(self.log()?)
            .fetch_all(&self.engine)
            .await?;
        rows.iter()
            .map(|row| {
                let index = LogIndex(from_stored(row.try_get("log_index")?)?);
                let what = StoredDisposal::decode(row.try_get::<&[u8]>("what")?)
                    .map_err(|_| StoreError::Damaged("a disposal".to_owned()))?;
                Ok((index, what))
            })
            .collect()
    }

    /// Nothing is left of what the disposal of entry `index` says. Durable when it returns.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn disposal_done(&self, index: LogIndex) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        query("DELETE FROM disposals WHERE log = $1 AND log_index = $2")
            .bind(self.log()?)
            .bind(to_stored(index.0)?)
            .execute(&mut change)
            .await?;
        change.commit().await
    }
}

pub(super) async fn begin(
    change: &mut Transaction,
    log: i64,
    index: LogIndex,
    disposal: &StoredDisposal,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO disposals (log, log_index, what) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(log)
    .bind(to_stored(index.0)?)
    .bind(disposal.encode_to_vec())
    .execute(change)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::stored_change::Kind;
    use crate::store::tests::{both, change};

    both! {
    async fn a_disposal_survives_a_restart_until_it_is_done_and_does_not_come_back(home) {
        let store = home.open().await;
        let disposal = |rule: &str| StoredDisposal {
            rule: rule.to_owned(),
            ..StoredDisposal::default()
        };
        let changes = [
            (LogIndex(3), change(Kind::Dispose(disposal("first")))),
            (LogIndex(5), change(Kind::Dispose(disposal("second")))),
        ];
        store.apply(&changes, 6).await.unwrap();
        store.disposal_done(LogIndex(3)).await.unwrap();
        store.apply(&changes, 6).await.unwrap();
        store.close().await;
        let store = home.open().await;
        assert_eq!(
            store.disposals().await.unwrap(),
            [(LogIndex(5), disposal("second"))]
        );
    }
    }
}
