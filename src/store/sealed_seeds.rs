//! The sealed seeds of all second factors and of hardware tokens that are nobody's yet: read page by page, and sealed anew
//! when the key that sealed them was replaced.

use uuid::Uuid;

use super::Store;
use super::engine::query;
use super::error::StoreError;

/// A sealed seed. Prints whose it is only.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSeed {
    /// What it was sealed for.
    pub owner: SeedOwner,
    /// The seed, sealed.
    pub sealed: Vec<u8>,
}

/// What a seed is sealed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeedOwner {
    /// A person's second factor.
    Factor {
        /// Names the factor.
        id: Uuid,
        /// Whose it is.
        person: String,
    },
    /// A hardware token that is nobody's yet.
    Token {
        /// As it is printed on it.
        serial: String,
    },
}

impl std::fmt::Debug for SealedSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedSeed({:?})", self.owner)
    }
}

impl Store {
    /// The next sealed seeds after `after`, from the first for `None`: those of second factors, then those of tokens, in an
    /// order that does not change. At most `max`; none when there are no more.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn sealed_seeds(
        &self,
        after: Option<&SeedOwner>,
        max: u32,
    ) -> Result<Vec<SealedSeed>, StoreError> {
        let serial = match after {
            None => {
                let factors = self.sealed_factors(&[], max).await?;
                if !factors.is_empty() {
                    return Ok(factors);
                }
                ""
            }
            Some(SeedOwner::Factor { id, .. }) => {
                let factors = self.sealed_factors(id.as_bytes(), max).await?;
                if !factors.is_empty() {
                    return Ok(factors);
                }
                ""
            }
            Some(SeedOwner::Token { serial }) => serial,
        };
        self.sealed_tokens(serial, max).await
    }

    async fn sealed_factors(&self, after: &[u8], max: u32) -> Result<Vec<SealedSeed>, StoreError> {
        let rows = query(
            "SELECT id, person, sealed_seed FROM second_factors WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(max))
        .fetch_all(&self.engine)
        .await?;
        rows.iter()
            .map(|row| {
                let id = Uuid::from_slice(row.try_get("id")?)
                    .map_err(|_| StoreError::Damaged("a second factor's id".to_owned()))?;
                let person = row.try_get("person")?;
                Ok(SealedSeed {
                    owner: SeedOwner::Factor { id, person },
                    sealed: row.try_get("sealed_seed")?,
                })
            })
            .collect()
    }

    async fn sealed_tokens(&self, after: &str, max: u32) -> Result<Vec<SealedSeed>, StoreError> {
        let rows = query(
            "SELECT serial, sealed_seed FROM hardware_tokens WHERE serial > $1 ORDER BY serial LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(max))
        .fetch_all(&self.engine)
        .await?;
        rows.iter()
            .map(|row| {
                let serial = row.try_get("serial")?;
                Ok(SealedSeed {
                    owner: SeedOwner::Token { serial },
                    sealed: row.try_get("sealed_seed")?,
                })
            })
            .collect()
    }

    /// Puts each seed's new sealing in the place of the old one, where that is still what is stored: what others replaced
    /// meanwhile stays theirs. Nothing else of the factor changes, neither its id nor its spent steps and failures. Returns how
    /// many were put. Durable when it returns, all or none.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn seal_anew(&self, seeds: &[(SealedSeed, Vec<u8>)]) -> Result<u64, StoreError> {
        if seeds.is_empty() {
            return Ok(0);
        }
        let mut change = self.change().await?;
        // Rows of several factors are taken: as `apply` does, after the turn.
        self.take_turn(&mut change).await?;
        let mut put = 0_u64;
        for (old, new) in seeds {
            let update = match &old.owner {
                SeedOwner::Factor { id, .. } => query(
                    "UPDATE second_factors SET sealed_seed = $3 WHERE id = $1 AND sealed_seed = $2",
                )
                .bind(id.as_bytes().as_slice()),
                SeedOwner::Token { serial } => query(
                    "UPDATE hardware_tokens SET sealed_seed = $3 WHERE serial = $1 AND sealed_seed = $2",
                )
                .bind(serial),
            };
            let update = update.bind(old.sealed.as_slice()).bind(new.as_slice());
            put = put.saturating_add(update.execute(&mut change).await?);
        }
        change.commit().await?;
        Ok(put)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::people::tests::person;
    use crate::store::tests::{both, execute};

    async fn all(store: &Store, page: u32) -> Vec<SealedSeed> {
        let mut found: Vec<SealedSeed> = Vec::new();
        loop {
            let after = found.last().map(|seed| seed.owner.clone());
            let next = store.sealed_seeds(after.as_ref(), page).await.unwrap();
            if next.is_empty() {
                return found;
            }
            assert!(next.len() <= page as usize);
            found.extend(next);
        }
    }

    both! {
    async fn every_sealed_seed_is_read_once_and_only_what_is_still_stored_is_replaced(home) {
        let store = home.open().await;
        assert!(all(&store, 2).await.is_empty());
        for number in 1..=5_u128 {
            let id = format!("p-{number}");
            store.put_person(&person(&id, &[])).await.unwrap();
            let sealed = id.clone().into_bytes();
            store.put_second_factor(&id, Uuid::from_u128(number), &sealed).await.unwrap();
        }
        execute(&store, "INSERT INTO hardware_tokens (serial, sealed_seed) SELECT 'T-' || person, sealed_seed FROM second_factors").await;
        execute(&store, "UPDATE second_factors SET last_step = 9, failures = 3, waits_until = 7").await;
        for page in [1, 2, 5, 100] {
            assert_eq!(all(&store, page).await.len(), 10, "{page}");
        }
        let seeds = all(&store, 100).await;
        // Somebody else replaced the first meanwhile.
        store.put_second_factor("p-1", Uuid::from_u128(1), b"theirs").await.unwrap();
        let anew: Vec<_> = seeds
            .into_iter()
            .map(|seed| {
                let new = [b"new ", seed.sealed.as_slice()].concat();
                (seed, new)
            })
            .collect();
        assert_eq!(store.seal_anew(&anew).await.unwrap(), 9);
        assert_eq!(store.seal_anew(&anew).await.unwrap(), 0);
        let now = all(&home.open().await, 100).await;
        assert_eq!(now[0].sealed, b"theirs");
        assert_eq!(now[1].sealed, b"new p-2");
        assert_eq!(now[9].sealed, b"new p-5");
        store.put_password("p-2", "h").await.unwrap();
        let kept = store.credential("p-2").await.unwrap().unwrap().second_factor.unwrap();
        assert_eq!((kept.id, kept.last_step, kept.failures), (Uuid::from_u128(2), Some(9), 3));
        assert_eq!(kept.waits_until.micros(), 7);
    }
    }
}
