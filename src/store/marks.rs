//! What ties the store to its log and its keyring, and the two counts that it keeps: how far it has followed the log, and
//! how often the daemon was started.

use sqlx::{Sqlite, Transaction};

use super::error::StoreError;
use super::{Store, from_stored, to_stored};

const NAMED_FACTOR_WRITES: &str = "factor_writes_named";

impl Store {
    /// Remembers, the first time, which log this store follows; later it must be the same. A store beside another log would
    /// take that log's entries for its own.
    ///
    /// # Errors
    /// [`StoreError::Bound`] when it is another log.
    pub async fn bind_log(&self, log_name: &str) -> Result<(), StoreError> {
        self.bind("log", log_name).await
    }

    /// The same for the key that makes pseudonyms: under another one, every hold would be lost from sight.
    ///
    /// # Errors
    /// [`StoreError::Bound`] when it is another key.
    pub async fn bind_pseudonym_key(&self, key_id: &str) -> Result<(), StoreError> {
        self.bind("pseudonym key", key_id).await
    }

    async fn bind(&self, what: &'static str, given: &str) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        sqlx::query("INSERT INTO bindings (what, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
            .bind(what)
            .bind(given)
            .execute(&mut *change)
            .await?;
        let bound: String = sqlx::query_scalar("SELECT value FROM bindings WHERE what = ?1")
            .bind(what)
            .fetch_one(&mut *change)
            .await?;
        change.commit().await?;
        if bound == given {
            return Ok(());
        }
        Err(StoreError::Bound {
            what,
            bound,
            given: given.to_owned(),
        })
    }

    /// Counts a start and returns its number, from 1. Durable when it returns.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn count_start(&self) -> Result<u64, StoreError> {
        let mut change = self.change().await?;
        let starts = mark(&mut change, "starts").await?.saturating_add(1);
        set_mark(&mut change, "starts", starts).await?;
        change.commit().await?;
        Ok(starts)
    }

    /// How many starts were counted.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn starts(&self) -> Result<u64, StoreError> {
        self.read_mark("starts").await
    }

    /// The length of the log up to which every change is in the store.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn applied(&self) -> Result<u64, StoreError> {
        self.read_mark("applied").await
    }

    /// Remembers a checkpoint of the log: how many entries, and the root of their tree.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn keep_checkpoint(&self, size: u64, root: &[u8; 32]) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        sqlx::query(
            "INSERT INTO checkpoint (only, size, root) VALUES (1, ?1, ?2)
             ON CONFLICT (only) DO UPDATE SET size = excluded.size, root = excluded.root
             WHERE excluded.size > size",
        )
        .bind(to_stored(size)?)
        .bind(root.as_slice())
        .execute(&mut *change)
        .await?;
        Ok(change.commit().await?)
    }

    /// The newest checkpoint that was kept.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn kept_checkpoint(&self) -> Result<Option<(u64, [u8; 32])>, StoreError> {
        let kept: Option<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT size, root FROM checkpoint WHERE only = 1")
                .fetch_optional(&self.readers)
                .await?;
        let Some((size, root)) = kept else {
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
        let known = mark(&mut change, NAMED_FACTOR_WRITES).await?;
        set_mark(&mut change, NAMED_FACTOR_WRITES, known.max(writes)).await?;
        Ok(change.commit().await?)
    }

    /// How many writes for second factors are known to be named by entries of the log.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn named_factor_writes(&self) -> Result<u64, StoreError> {
        self.read_mark(NAMED_FACTOR_WRITES).await
    }

    pub(super) async fn read_mark(&self, what: &'static str) -> Result<u64, StoreError> {
        let value = sqlx::query_scalar("SELECT value FROM marks WHERE what = ?1")
            .bind(what)
            .fetch_one(&self.readers)
            .await?;
        from_stored(value)
    }
}

pub(super) async fn mark(
    change: &mut Transaction<'static, Sqlite>,
    what: &'static str,
) -> Result<u64, StoreError> {
    let value = sqlx::query_scalar("SELECT value FROM marks WHERE what = ?1")
        .bind(what)
        .fetch_one(&mut **change)
        .await?;
    from_stored(value)
}

pub(super) async fn set_mark(
    change: &mut Transaction<'static, Sqlite>,
    what: &'static str,
    value: u64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE marks SET value = ?2 WHERE what = ?1")
        .bind(what)
        .bind(to_stored(value)?)
        .execute(&mut **change)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::fresh;

    #[tokio::test]
    async fn a_store_follows_one_log_and_one_pseudonym_key() {
        let (_directory, path, store) = fresh().await;
        store.bind_log("log-a").await.unwrap();
        store.bind_log("log-a").await.unwrap();
        store.bind_pseudonym_key("0a0a0a0a").await.unwrap();
        store.close().await;
        let store = Store::open(&path).await.unwrap();
        let refused = store.bind_log("log-b").await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "store: belongs to the log log-a, not to log-b"
        );
        assert!(matches!(
            store.bind_pseudonym_key("0b0b0b0b").await,
            Err(StoreError::Bound { .. })
        ));
        store.bind_log("log-a").await.unwrap();
    }

    #[tokio::test]
    async fn a_checkpoint_is_kept_until_a_larger_one_comes() {
        let (_directory, path, store) = fresh().await;
        assert_eq!(store.kept_checkpoint().await.unwrap(), None);
        store.keep_checkpoint(7, &[7; 32]).await.unwrap();
        store.keep_checkpoint(6, &[6; 32]).await.unwrap();
        store.close().await;
        let store = Store::open(&path).await.unwrap();
        assert_eq!(store.kept_checkpoint().await.unwrap(), Some((7, [7; 32])));
    }

    #[tokio::test]
    async fn every_start_has_its_own_number() {
        let (_directory, path, store) = fresh().await;
        assert_eq!(store.starts().await.unwrap(), 0);
        assert_eq!(store.count_start().await.unwrap(), 1);
        assert_eq!(store.count_start().await.unwrap(), 2);
        store.close().await;
        let store = Store::open(&path).await.unwrap();
        assert_eq!(store.count_start().await.unwrap(), 3);
        assert_eq!(store.starts().await.unwrap(), 3);
    }
}
