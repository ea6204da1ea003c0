//! Holds of the access log itself: for which times nothing is disposed of. Each log has its own. They are changed by `apply`
//! only.

use super::engine::{Transaction, query};
use super::error::StoreError;
use super::{Store, from_stored, to_stored};
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::proto::{StoredLogHold, StoredLogHoldRelease};

/// A hold of the log that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHold {
    /// Its id: where the entry is that placed it.
    pub id: LogIndex,
    /// Not before; `None` is from the beginning.
    pub from: Option<Timestamp>,
    /// Before; `None` is for ever.
    pub until: Option<Timestamp>,
}

impl Store {
    /// The holds of the log that are in force, in the order in which they were placed.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn log_holds(&self) -> Result<Vec<LogHold>, StoreError> {
        let rows = query(
            "SELECT log_index, held_from, held_until FROM log_holds
             WHERE log = $1 ORDER BY log_index",
        )
        .bind(self.log()?)
        .fetch_all(&self.engine)
        .await?;
        rows.iter()
            .map(|row| {
                let time = |name: &str| -> Result<Option<Timestamp>, StoreError> {
                    Ok(row
                        .try_get::<Option<i64>>(name)?
                        .map(Timestamp::from_micros))
                };
                Ok(LogHold {
                    id: LogIndex(from_stored(row.try_get("log_index")?)?),
                    from: time("held_from")?,
                    until: time("held_until")?,
                })
            })
            .collect()
    }
}

pub(super) async fn place(
    change: &mut Transaction,
    log: i64,
    index: LogIndex,
    hold: &StoredLogHold,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO log_holds (log, log_index, held_from, held_until) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(log)
    .bind(to_stored(index.0)?)
    .bind(hold.from_us)
    .bind(hold.until_us)
    .execute(change)
    .await?;
    Ok(())
}

pub(super) async fn release(
    change: &mut Transaction,
    log: i64,
    release: &StoredLogHoldRelease,
) -> Result<(), StoreError> {
    query("DELETE FROM log_holds WHERE log = $1 AND log_index = $2")
        .bind(log)
        .bind(to_stored(release.hold)?)
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
    async fn holds_of_the_log_survive_a_restart_until_they_are_released(home) {
        let store = home.open().await;
        let place =
            |from_us, until_us| change(Kind::PlaceLogHold(StoredLogHold { from_us, until_us }));
        let changes = [
            (LogIndex(3), place(None, None)),
            (LogIndex(5), place(Some(-1), Some(1))),
            (
                LogIndex(6),
                change(Kind::ReleaseLogHold(StoredLogHoldRelease { hold: 3, settles: None })),
            ),
        ];
        store.apply(&changes, 7).await.unwrap();
        store.apply(&changes, 7).await.unwrap();
        store.close().await;
        let store = home.open().await;
        let left = LogHold {
            id: LogIndex(5),
            from: Some(Timestamp::from_micros(-1)),
            until: Some(Timestamp::from_micros(1)),
        };
        assert_eq!(store.log_holds().await.unwrap(), [left]);
    }
    }
}
