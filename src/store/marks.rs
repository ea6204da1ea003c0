//! What ties the store to its logs and its keyring, and what it keeps of each log: how far it has followed it, how often its
//! daemon was started, how often that daemon wrote what guards second factors, and the newest checkpoint it was told of.
//!
//! With PostgreSQL several daemons, each with its own log, can use one store. People, credentials, holds, dates and ended
//! sessions are everybody's; everything here is one log's own, so that each can be held against the log that it speaks of:
//!
//! - *An older log than the store knows* is noticed by that log's `applied` and checkpoint, which no other daemon moves.
//! - *An older store than the log knows* is noticed by that log's `starts` and `factor_writes`: a store that was put back has
//!   fewer of them than the log's entries say, whatever other daemons did with it since. Each daemon notices that what it wrote
//!   itself was forgotten; what only another wrote is that other's to notice, at its next start. So after a database was put
//!   back, all are restarted.
//! - *Replay* after a crash is of a daemon's own changes only: another's are in the other's log, and it replays them. Two
//!   daemons that change the same hold, date or person are put in the order in which the database took them, which can be
//!   another than that of the times in the two logs where one of them was cut off in between.
//! - That no two daemons follow one log is that log's lock to see to.

use super::engine::{On, Transaction, query};
use super::error::StoreError;
use super::{Store, from_stored, to_stored};

impl Store {
    /// Whether it follows this log already; from then on it does so for this daemon. Changes nothing.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn knows_log(&self, log_name: &str) -> Result<bool, StoreError> {
        let found = query("SELECT number FROM logs WHERE name = $1")
            .bind(log_name)
            .fetch_optional(&self.engine)
            .await?;
        let Some(row) = found else { return Ok(false) };
        let number: i64 = row.try_get("number")?;
        Ok(*self.log.get_or_init(|| number) == number)
    }

    /// Says which log this daemon writes. The first one that a store is told of becomes its own; another is refused, unless
    /// the store is [shared](super::StorePlace): a store beside another log would take that log's entries for its own.
    ///
    /// # Errors
    /// [`StoreError::Bound`] or [`StoreError::NotShared`] when it is another log.
    pub async fn bind_log(&self, log_name: &str) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        // Takes the row that everybody takes: of two logs that come at once, one is first.
        query("UPDATE changes SET newest = newest")
            .execute(&mut change)
            .await?;
        let rows = query("SELECT number, name FROM logs ORDER BY number")
            .fetch_all(&mut change)
            .await?;
        let mut first = None;
        let mut known = None;
        for row in &rows {
            let (number, name): (i64, &str) = (row.try_get("number")?, row.try_get("name")?);
            first = first.or(Some(name));
            if name == log_name {
                known = Some(number);
            }
        }
        let number = match (known, first) {
            (Some(number), _) => number,
            (None, Some(bound)) if !self.shared => {
                let (bound, given) = (bound.to_owned(), log_name.to_owned());
                return Err(if self.engine.is_shared() {
                    StoreError::NotShared { bound, given }
                } else {
                    let what = "log";
                    StoreError::Bound { what, bound, given }
                });
            }
            (None, _) => {
                let number = i64::try_from(rows.len())
                    .ok()
                    .and_then(|logs| logs.checked_add(1))
                    .ok_or(StoreError::OutOfRange)?;
                query("INSERT INTO logs (number, name) VALUES ($1, $2)")
                    .bind(number)
                    .bind(log_name)
                    .execute(&mut change)
                    .await?;
                number
            }
        };
        change.commit().await?;
        if *self.log.get_or_init(|| number) == number {
            return Ok(());
        }
        Err(StoreError::Bound {
            what: "log",
            bound: "that it was opened with".to_owned(),
            given: log_name.to_owned(),
        })
    }

    /// Remembers, the first time, which key makes pseudonyms; later it must be the same: under another one, every hold would be
    /// lost from sight.
    ///
    /// # Errors
    /// [`StoreError::Bound`] when it is another key.
    pub async fn bind_pseudonym_key(&self, key_id: &str) -> Result<(), StoreError> {
        let what = "pseudonym key";
        let mut change = self.change().await?;
        query("INSERT INTO bindings (what, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(what)
            .bind(key_id)
            .execute(&mut change)
            .await?;
        let bound: String = query("SELECT value FROM bindings WHERE what = $1")
            .bind(what)
            .fetch_one(&mut change)
            .await?
            .try_get("value")?;
        change.commit().await?;
        if bound == key_id {
            return Ok(());
        }
        Err(StoreError::Bound {
            what,
            bound,
            given: key_id.to_owned(),
        })
    }

    /// Counts a start and returns its number, from 1. Durable when it returns.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn count_start(&self) -> Result<u64, StoreError> {
        let mut change = self.change().await?;
        query("UPDATE logs SET starts = starts + 1 WHERE number = $1")
            .bind(self.log()?)
            .execute(&mut change)
            .await?;
        let starts = self.read_marks(&mut change).await?.starts;
        change.commit().await?;
        Ok(starts)
    }

    /// How many starts were counted.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn starts(&self) -> Result<u64, StoreError> {
        Ok(self.read_marks(&self.engine).await?.starts)
    }

    /// The length of the log up to which every change is in the store.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn applied(&self) -> Result<u64, StoreError> {
        Ok(self.read_marks(&self.engine).await?.applied)
    }

    /// How often the daemon of this log charged second factors or spent steps of them.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn factor_writes(&self) -> Result<u64, StoreError> {
        Ok(self.read_marks(&self.engine).await?.factor_writes)
    }

    /// How many writes for second factors are known to be named by entries of the log.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn named_factor_writes(&self) -> Result<u64, StoreError> {
        Ok(self.read_marks(&self.engine).await?.factor_writes_named)
    }

    /// Remembers a checkpoint of the log: how many entries, and the root of their tree.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn keep_checkpoint(&self, size: u64, root: &[u8; 32]) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        query(
            "UPDATE logs SET checkpoint_size = $2, checkpoint_root = $3
             WHERE number = $1 AND (checkpoint_size IS NULL OR checkpoint_size < $2)",
        )
        .bind(self.log()?)
        .bind(to_stored(size)?)
        .bind(root.as_slice())
        .execute(&mut change)
        .await?;
        change.commit().await
    }

    /// The newest checkpoint that was kept.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn kept_checkpoint(&self) -> Result<Option<(u64, [u8; 32])>, StoreError> {
        let row = query("SELECT checkpoint_size, checkpoint_root FROM logs WHERE number = $1")
            .bind(self.log()?)
            .fetch_one(&self.engine)
            .await?;
        let size: Option<i64> = row.try_get("checkpoint_size")?;
        let root: Option<Vec<u8>> = row.try_get("checkpoint_root")?;
        let (Some(size), Some(root)) = (size, root) else {
            return Ok(None);
        };
        let root = root
            .try_into()
            .map_err(|_| StoreError::Damaged("a checkpoint's root".to_owned()))?;
        Ok(Some((from_stored(size)?, root)))
    }

    /// Remembers that entries of the log name the first `writes` writes for second factors.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn note_named_factor_writes(&self, writes: u64) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        query(
            "UPDATE logs SET factor_writes_named = $2
             WHERE number = $1 AND factor_writes_named < $2",
        )
        .bind(self.log()?)
        .bind(to_stored(writes)?)
        .execute(&mut change)
        .await?;
        change.commit().await
    }

    /// Counts a write for second factors; returns its number.
    pub(super) async fn count_factor_write(
        &self,
        change: &mut Transaction,
    ) -> Result<u64, StoreError> {
        query("UPDATE logs SET factor_writes = factor_writes + 1 WHERE number = $1")
            .bind(self.log()?)
            .execute(change)
            .await?;
        Ok(self.read_marks(change).await?.factor_writes)
    }

    /// How far the store has followed the log, taken so that nobody else moves it before this change is over.
    pub(super) async fn take_applied(&self, change: &mut Transaction) -> Result<u64, StoreError> {
        query("UPDATE logs SET applied = applied WHERE number = $1")
            .bind(self.log()?)
            .execute(change)
            .await?;
        Ok(self.read_marks(change).await?.applied)
    }

    /// Moves it.
    pub(super) async fn set_applied(
        &self,
        change: &mut Transaction,
        applied: u64,
    ) -> Result<(), StoreError> {
        query("UPDATE logs SET applied = $2 WHERE number = $1")
            .bind(self.log()?)
            .bind(to_stored(applied)?)
            .execute(change)
            .await?;
        Ok(())
    }

    async fn read_marks(&self, on: impl Into<On<'_>>) -> Result<Marks, StoreError> {
        let row = query(
            "SELECT applied, starts, factor_writes, factor_writes_named FROM logs WHERE number = $1",
        )
        .bind(self.log()?)
        .fetch_one(on)
        .await?;
        let mark = |column: &str| from_stored(row.try_get(column)?);
        Ok(Marks {
            applied: mark("applied")?,
            starts: mark("starts")?,
            factor_writes: mark("factor_writes")?,
            factor_writes_named: mark("factor_writes_named")?,
        })
    }
}

/// The marks of this daemon's log.
struct Marks {
    applied: u64,
    starts: u64,
    factor_writes: u64,
    factor_writes_named: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Home, both};

    both! {
    async fn a_store_follows_one_log_and_one_pseudonym_key(home) {
        let store = home.open_unbound().await;
        assert!(matches!(store.starts().await, Err(StoreError::NoLog)));
        store.bind_log("log-a").await.unwrap();
        store.bind_log("log-a").await.unwrap();
        store.bind_pseudonym_key("0a0a0a0a").await.unwrap();
        store.close().await;
        let store = home.open_unbound().await;
        let refused = store.bind_log("log-b").await.unwrap_err().to_string();
        assert!(refused.starts_with("store: belongs to the log log-a, not to log-b"), "{refused}");
        assert!(matches!(
            store.bind_pseudonym_key("0b0b0b0b").await,
            Err(StoreError::Bound { .. })
        ));
        store.bind_log("log-a").await.unwrap();
    }
    }

    #[tokio::test]
    async fn logs_that_share_a_store_have_their_own_marks() {
        let home = Home::postgres();
        let first = home.open().await;
        let second = home.open_shared("log-b").await;
        first.apply(&[], 10).await.unwrap();
        first.count_start().await.unwrap();
        first.keep_checkpoint(10, &[1; 32]).await.unwrap();
        first.note_named_factor_writes(4).await.unwrap();
        assert_eq!(second.applied().await.unwrap(), 0);
        assert_eq!(second.starts().await.unwrap(), 0);
        assert_eq!(second.kept_checkpoint().await.unwrap(), None);
        assert_eq!(second.named_factor_writes().await.unwrap(), 0);
        second.apply(&[], 3).await.unwrap();
        assert_eq!(first.applied().await.unwrap(), 10);
        // The same again, and no third without a word from the operator.
        let third = home.open_unbound().await;
        let refused = third.bind_log("log-c").await.unwrap_err();
        assert!(matches!(refused, StoreError::NotShared { .. }), "{refused}");
        third.bind_log("log-b").await.unwrap();
        assert_eq!(third.applied().await.unwrap(), 3);
    }

    both! {
    async fn a_checkpoint_is_kept_until_a_larger_one_comes(home) {
        let store = home.open().await;
        assert_eq!(store.kept_checkpoint().await.unwrap(), None);
        store.keep_checkpoint(7, &[7; 32]).await.unwrap();
        store.keep_checkpoint(6, &[6; 32]).await.unwrap();
        store.close().await;
        let store = home.open().await;
        assert_eq!(store.kept_checkpoint().await.unwrap(), Some((7, [7; 32])));
    }
    }

    both! {
    async fn every_start_has_its_own_number(home) {
        let store = home.open().await;
        assert_eq!(store.starts().await.unwrap(), 0);
        assert_eq!(store.count_start().await.unwrap(), 1);
        assert_eq!(store.count_start().await.unwrap(), 2);
        store.close().await;
        let store = home.open().await;
        assert_eq!(store.count_start().await.unwrap(), 3);
        assert_eq!(store.starts().await.unwrap(), 3);
    }
    }
}
