//! What was attested last of each safety-management measure, of all logs. It is changed by `apply` only.

use super::changes::Following;
use super::engine::query;
use super::error::StoreError;
use super::{Store, from_stored, to_stored};
use crate::domain::ids::{LogIndex, Name};
use crate::domain::time::Timestamp;
use crate::proto::StoredAttestation;

/// What was attested of a measure last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// The measure's id.
    pub measure: String,
    /// When it was done.
    pub done: Timestamp,
    /// Who attested it.
    pub by: String,
    /// The document behind it.
    pub reference: String,
    /// The entry, in the log that it was attested to.
    pub index: LogIndex,
}

impl Store {
    /// What was attested of each measure last, by id.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn attested(&self) -> Result<Vec<Attested>, StoreError> {
        let rows = query(
            "SELECT measure, done, attested_by, reference, log_index FROM attestations
             ORDER BY measure",
        )
        .fetch_all(&self.engine)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Attested {
                    measure: row.try_get("measure")?,
                    done: Timestamp::from_micros(row.try_get("done")?),
                    by: row.try_get("attested_by")?,
                    reference: row.try_get("reference")?,
                    index: LogIndex(from_stored(row.try_get("log_index")?)?),
                })
            })
            .collect()
    }
}

impl Following<'_> {
    /// The one that was done last counts, whenever it was attested.
    pub(super) async fn attest(
        &mut self,
        index: LogIndex,
        attested: &StoredAttestation,
    ) -> Result<(), StoreError> {
        let name = |text: &str| Name::parse(text).map_err(|_| StoreError::Change(index));
        query(
            "INSERT INTO attestations (measure, done, attested_by, reference, log_index, log)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (measure) DO UPDATE
             SET done = excluded.done, attested_by = excluded.attested_by,
                 reference = excluded.reference, log_index = excluded.log_index,
                 log = excluded.log
             WHERE excluded.done >= attestations.done",
        )
        .bind(name(&attested.measure)?.to_string())
        .bind(attested.done_us)
        .bind(name(&attested.by)?.to_string())
        .bind(name(&attested.reference)?.to_string())
        .bind(to_stored(index.0)?)
        .bind(self.log)
        .execute(&mut self.change)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::stored_change::Kind;
    use crate::store::tests::{both, change};

    both! {
    async fn what_was_done_last_counts_whenever_it_was_attested(home) {
        let store = home.open().await;
        let attest = |done_us, reference: &str| change(Kind::Attest(StoredAttestation {
            measure: "training".into(),
            by: "security-1".into(),
            done_us,
            reference: reference.into(),
        }));
        let changes = [
            (LogIndex(1), attest(5, "second")),
            (LogIndex(2), attest(3, "first")),
            (LogIndex(3), attest(9, "third")),
        ];
        store.apply(&changes[..2], 3).await.unwrap();
        assert_eq!(store.attested().await.unwrap()[0].reference, "second");
        store.apply(&changes, 4).await.unwrap();
        store.close().await;
        let store = home.open().await;
        let found = store.attested().await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&*found[0].reference, found[0].index), ("third", LogIndex(3)));
    }
    }
}
